"""Messages of ours on their way to a destination: rows of `outgoing`, in the order in which they were made.

States: `waiting` (to be sent, or to be sent again when it is due), `sent` (answered positively), `dead` (given up; the
reason says why, and `messages send-again` queues it anew).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import sqlalchemy as sa

from fhir_gateway import errors
from fhir_gateway.store import database, schema

State = Literal["waiting", "sent", "dead"]
STATES: Final = ("waiting", "sent", "dead")

_table = schema.outgoing


class OutgoingNotFound(errors.GatewayError):
    """There is no outgoing message with this control id. `fhir-gateway messages outgoing` shows the known ones."""


@dataclass(frozen=True, slots=True)
class Message:
    """One row. Times are microseconds since 1970; `control` is MSH-10; `patient` and `encounter` are ids."""

    number: int
    control: str
    destination: str
    patient: str
    encounter: str
    event: str
    at: int
    state: State
    attempts: int
    due: int
    body: bytes
    reason: str | None


def add(
    unit: database.Unit,
    *,
    control: str,
    destination: str,
    patient: str,
    encounter: str,
    event: str,
    body: bytes,
    fault: str | None = None,
) -> None:
    """Queue a message; one with a `fault` is a dead letter from the beginning, which a person may send all the same."""
    unit.connection.execute(
        _table.insert().values(
            control=control, destination=destination, patient=patient, encounter=encounter, event=event,
            at=unit.now, state="waiting" if fault is None else "dead", attempts=0, due=unit.now, body=body,
            reason=fault[:512] if fault else None,
        )
    )  # fmt: skip


def next_due(connection: sa.Connection, destination: str, now: int) -> tuple[Message | None, int | None]:
    """The first message that may be sent now: the first of its patient, and due. Without one: when one will be due.

    A patient's later messages wait for the first one; other patients' go on.
    """
    first = (
        sa.select(sa.func.min(_table.c.number).label("number"))
        .where(_table.c.destination == destination, _table.c.state == "waiting")
        .group_by(_table.c.patient)
        .subquery()
    )
    query = sa.select(_table).join(first, first.c.number == _table.c.number)
    due = query.where(_table.c.due <= now).order_by(_table.c.due, _table.c.number)
    row = connection.execute(due.limit(1)).first()
    if row is not None:
        return _from_row(row), None
    later = connection.execute(sa.select(sa.func.min(query.subquery().c.due))).scalar_one_or_none()
    return None, later


def sent(unit: database.Unit, message: Message, answer: bytes) -> None:
    """The destination has it."""
    _change(unit, message, state="sent", attempts=message.attempts + 1, answer=answer, reason=None)


def failed(
    unit: database.Unit, message: Message, *, reason: str, due: int | None, counts: bool, answer: bytes | None = None
) -> None:
    """A try was in vain: the next one is due then; None gives the message up.

    `counts` says whether it was a try of this message, not only of a connection.
    """
    _change(
        unit, message,
        state="waiting" if due is not None else "dead", attempts=message.attempts + counts, reason=reason[:512],
        due=message.due if due is None else due, answer=answer,
    )  # fmt: skip


def _change(unit: database.Unit, message: Message, **values: object) -> None:
    unit.connection.execute(_table.update().where(_table.c.number == message.number).values(**values))


def listed(connection: sa.Connection, state: str | None, limit: int) -> list[Message]:
    """The newest outgoing messages, all or those in one state."""
    query = sa.select(_table).order_by(_table.c.number.desc()).limit(limit)
    if state is not None:
        query = query.where(_table.c.state == state)
    return [_from_row(row) for row in connection.execute(query)]


def get(connection: sa.Connection, control: str) -> Message:
    """One outgoing message; OutgoingNotFound when there is none."""
    row = connection.execute(sa.select(_table).where(_table.c.control == control)).first()
    if row is None:
        raise OutgoingNotFound
    return _from_row(row)


def queue_again(unit: database.Unit, control: str) -> None:
    """Have a dead letter sent again, with new attempts."""
    found = get(unit.connection, control)
    if found.state != "dead":
        raise errors.GatewayError(f"This message is {found.state}; only a dead one is sent again.")
    _change(unit, found, state="waiting", attempts=0, due=unit.now, reason=None)


def _from_row(row: sa.Row[tuple[object, ...]]) -> Message:
    found = row._mapping
    return Message(
        found["number"], found["control"], found["destination"], found["patient"], found["encounter"], found["event"],
        found["at"], found["state"], found["attempts"], found["due"], bytes(found["body"]), found["reason"],
    )  # fmt: skip
