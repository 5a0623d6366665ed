"""The rows of received HL7 v2 messages: kept once, in the order of arrival, each with its state.

States: `received` (kept and acknowledged, not mapped yet), `mapped`, `failed` (its reason says why; `messages replay`
maps it again), `no-map` (there are no rules for this kind of message), `refused` (answered negatively; the bytes are
kept all the same).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final, Literal

import sqlalchemy as sa

from fhir_gateway import errors
from fhir_gateway.store import codec, database, schema, statements
from mappers.v2_to_fhir import sites

State = Literal["received", "mapped", "failed", "no-map", "refused"]
STATES: Final = ("received", "mapped", "failed", "no-map", "refused")

_table, _received = schema.message, schema.received

_ADD = statements.Statement(
    "INSERT INTO message (id, identity, at, state, site, event, sha256, answer, peer, reason)"
    " VALUES (:id, :identity, :at, :state, :site, :event, :sha256, :answer, :peer, :reason)"
    " ON CONFLICT (identity) DO NOTHING"
)
_BY_IDENTITY = statements.Statement("SELECT id, sha256, at, answer FROM message WHERE identity = :identity")
_END = statements.Statement(
    "UPDATE message SET state = :state, reason = :reason, encounter = :encounter, faults = :faults,"
    " not_mapped = :not_mapped, site = :site, is_counted = :yes WHERE id = :id"
)
_COUNT = statements.Statement(
    "INSERT INTO not_mapped (site, event, field, messages, first, last)"
    " VALUES (:site, :event, :field, 1, :at, :at) ON CONFLICT (site, event, field) DO UPDATE"
    " SET messages = not_mapped.messages + 1, last = excluded.last"
)


class MessageNotFound(errors.GatewayError):
    """There is no message with this id. `fhir-gateway messages list` shows the known ones."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A message that was there already when the same one came again. `at` is microseconds since 1970."""

    id: str
    sha256: str
    at: int
    answer: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """One row. `at` is microseconds since 1970; `faults` and `not_mapped` count fields."""

    number: int
    id: str
    at: int
    state: State
    site: str
    event: str
    origin: sites.Origin
    encounter: str | None
    faults: int
    not_mapped: int
    is_counted: bool
    reason: str | None


def identity(application: str, facility: str, control: str) -> str:
    """The digest of what names a message: MSH-3, MSH-4 and MSH-10, as they came."""
    return hashlib.sha256("\x00".join((application, facility, control)).encode("utf-8", "surrogateescape")).hexdigest()


def readable(text: str) -> str:
    """A text as every database can keep it: what is no character is a question mark."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "?")


def add(
    unit: database.Unit,
    message_id: str,
    *,
    identity: str | None,
    state: State,
    site: str,
    event: str,
    sha256: str,
    answer: bytes,
    origin: sites.Origin,
    reason: str | None = None,
) -> Kept | None:
    """Note a message; the earlier one of the same identity when there is one, and then nothing is written."""
    peer = codec.encode([origin.application, origin.facility, origin.port, origin.certificate])
    added = _ADD.run(
        unit.connection, id=message_id, identity=identity, at=unit.now, state=state, site=site[:64],
        event=readable(event)[:16],
        sha256=sha256, answer=answer, peer=peer, reason=reason,
    )  # fmt: skip
    if added.rowcount == 1:
        return None
    found = _BY_IDENTITY.run(unit.connection, identity=identity).fetchone()
    return Kept(found[0], found[1], found[2], bytes(found[3]))


def end(
    unit: database.Unit,
    message_id: str,
    state: State,
    *,
    site: str,
    reason: str | None = None,
    encounter: str | None = None,
    faults: int = 0,
    not_mapped: int = 0,
) -> None:
    """Write how the mapping of a message ended."""
    _END.run(
        unit.connection, id=message_id, state=state, site=site[:64], reason=readable(reason)[:512] if reason else None,
        encounter=encounter, faults=faults, not_mapped=not_mapped, yes=True,
    )  # fmt: skip


def count_not_mapped(unit: database.Unit, message: Message, site: str, fields: set[str]) -> None:
    """Count the fields of a message that carried a value and were mapped by no rule; a replay counts nothing again."""
    for field in () if message.is_counted else sorted(fields):
        _COUNT.run(unit.connection, site=site[:64], event=message.event, field=field[:32], at=unit.now)


def totals(connection: sa.Connection, site: str | None = None) -> list[tuple[str, str, str, int]]:
    """Site, event, field and number of messages of what was not mapped, the most frequent first."""
    table = schema.not_mapped
    query = sa.select(table.c.site, table.c.event, table.c.field, table.c.messages).order_by(
        table.c.messages.desc(), table.c.site, table.c.event, table.c.field
    )
    if site is not None:
        query = query.where(table.c.site == site)
    return [(row[0], row[1], row[2], row[3]) for row in connection.execute(query)]


def waiting(connection: sa.Connection, limit: int) -> list[Message]:
    """The messages to be mapped, in the order of their arrival."""
    query = sa.select(_table).where(_table.c.state == "received").order_by(_table.c.number).limit(limit)
    return [_from_row(row) for row in connection.execute(query)]


def listed(connection: sa.Connection, state: str | None, limit: int) -> list[Message]:
    """The newest messages, all or those in one state."""
    query = sa.select(_table).order_by(_table.c.number.desc()).limit(limit)
    if state is not None:
        query = query.where(_table.c.state == state)
    return [_from_row(row) for row in connection.execute(query)]


def get(connection: sa.Connection, message_id: str) -> Message:
    """One message; MessageNotFound when there is none."""
    row = connection.execute(sa.select(_table).where(_table.c.id == message_id)).first()
    if row is None:
        raise MessageNotFound
    return _from_row(row)


def state(connection: sa.Connection, message_id: str) -> tuple[State, str | None]:
    """State and reason of a message."""
    found = get(connection, message_id)
    return found.state, found.reason


def body(connection: sa.Connection, message_id: str) -> bytes:
    """The bytes of a message as they came."""
    query = sa.select(_received.c.body).where(_received.c.id == message_id)
    return bytes(connection.execute(query).scalar_one())


def of_encounter(connection: sa.Connection, encounter: str, limit: int) -> list[Message]:
    """The newest mapped messages about an encounter; those of the feed of admissions (ADT) first."""
    query = (
        sa.select(_table)
        .where(_table.c.encounter == encounter, _table.c.state == "mapped")
        .order_by(_table.c.event.like("ADT%").desc(), _table.c.number.desc())
        .limit(limit)
    )
    return [_from_row(row) for row in connection.execute(query)]


def queue_again(unit: database.Unit, message_id: str) -> None:
    """Have a message mapped again."""
    found = get(unit.connection, message_id)
    if found.state == "refused":
        raise errors.GatewayError("A message that was refused was never taken over; it cannot be mapped.")
    if found.state == "received":
        raise errors.GatewayError("This message waits to be mapped already.")
    unit.connection.execute(_table.update().where(_table.c.id == message_id).values(state="received", reason=None))


def _from_row(row: sa.Row[tuple[object, ...]]) -> Message:
    found = row._mapping
    application, facility, port, certificate = codec.decode(bytes(found["peer"]))
    return Message(
        found["number"], found["id"], found["at"], found["state"], found["site"], found["event"],
        sites.Origin(application, facility, port, certificate),
        found["encounter"], found["faults"], found["not_mapped"], bool(found["is_counted"]),
        found["reason"],
    )  # fmt: skip
