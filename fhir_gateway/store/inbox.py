"""What was received, byte for byte, and the answer it got."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import sqlalchemy as sa

from fhir_gateway import ids
from fhir_gateway.store import database, schema, statements

_KEEP = statements.Statement(
    "INSERT INTO received (id, at, channel, target, content_type, sha256, body, status, answer)"
    " VALUES (:id, :at, :channel, :target, :content_type, :sha256, :body, :status, :answer)"
)


@dataclass(frozen=True, slots=True)
class Message:
    """One request that wants to write. `target` is what it was sent to, e.g. "POST /fhir"."""

    channel: str
    target: str
    content_type: str
    body: bytes

    @property
    def sha256(self) -> str:
        """The digest of the body."""
        return hashlib.sha256(self.body).hexdigest()


def keep(
    unit: database.Unit, message: Message, *, status: int, answer: bytes | None = None, key: str | None = None
) -> str:
    """Keep the message with the answer's status (and body where a resend must get it again); returns its key."""
    key = key or ids.new()
    _KEEP.run(
        unit.connection,
        id=key,
        at=unit.now,
        channel=message.channel,
        target=message.target[:512],
        content_type=message.content_type[:128],
        sha256=message.sha256,
        body=message.body,
        status=status,
        answer=answer,
    )
    return key


def answer_again(connection: sa.Connection, message: Message) -> bytes | None:
    """The stored answer to exactly these bytes at this target; None when they were never answered with success."""
    table = schema.received
    query = (
        sa.select(table.c.answer)
        .where(table.c.sha256 == message.sha256, table.c.target == message.target[:512], table.c.answer.is_not(None))
        .order_by(table.c.at.desc())
        .limit(1)
    )
    answer = connection.execute(query).scalar_one_or_none()
    return None if answer is None else bytes(answer)
