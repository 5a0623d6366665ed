"""Messages of ours on their way to a destination: rows of `outgoing`, in the order in which they were made.

States: `waiting` (to be sent, or to be sent again when it is due), `sent` (answered positively), `dead` (given up; the
reason says why, and `messages send-again` queues it anew).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import sqlalchemy as sa

from fhir_gateway import errors
from fhir_gateway.store import codec, database, schema

State = Literal["waiting", "sent", "dead"]
STATES: Final = ("waiting", "sent", "dead")

_table, _delivered = schema.outgoing, schema.delivered


class OutgoingNotFound(errors.GatewayError):
    """There is no outgoing message with this control id. `fhir-gateway messages outgoing` shows the known ones."""


@dataclass(frozen=True, slots=True)
class Message:
    """One row. Times are microseconds since 1970; `control` is MSH-10; `patient` and `encounter` are ids.

    `told` are references and versions of what its receiver has with it.
    """

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
    told: tuple[tuple[str, str], ...]
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
    told: Sequence[tuple[str, str]] = (),
    fault: str | None = None,
) -> None:
    """Queue a message; one with a `fault` is a dead letter from the beginning, which a person may send all the same."""
    unit.connection.execute(
        _table.insert().values(
            control=control, destination=destination, patient=patient, encounter=encounter, event=event,
            at=unit.now, state="waiting" if fault is None else "dead", attempts=0, due=unit.now, body=body,
            told=codec.encode(told),
            reason=fault[:512] if fault else None,
        )
    )  # fmt: skip
    remember(unit, destination, told)


def target(destination: str) -> str:
    """How `delivered` names a destination."""
    return f"hl7v2:{destination}"


def remember(unit: database.Unit, destination: str, told: Sequence[tuple[str, str]]) -> None:
    """Note the versions that a destination has, or is about to get."""
    for reference, version in told:
        key = {"target": target(destination), "reference": reference}
        unit.connection.execute(_delivered.delete().filter_by(**key))
        unit.connection.execute(_delivered.insert().values(**key, version=version))


def _forget(unit: database.Unit, message: Message) -> None:
    """A dead letter has told its destination nothing: the next change is told to one who does not have these."""
    for reference, version in message.told:
        unit.connection.execute(
            _delivered.delete().filter_by(target=target(message.destination), reference=reference, version=version)
        )


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
    if due is None:
        _forget(unit, message)


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
    """Have a dead letter sent again, with new attempts; refused where something newer was queued since."""
    found = get(unit.connection, control)
    if found.state != "dead":
        raise errors.GatewayError(f"This message is {found.state}; only a dead one is sent again.")
    newer = sa.select(_table.c.number).where(
        _table.c.destination == found.destination,
        _table.c.encounter == found.encounter,
        _table.c.number > found.number,
        _table.c.event.like(f"{found.event[:3]}%"),
        _table.c.state != "dead",
    )
    if unit.connection.execute(newer.limit(1)).first() is not None:
        raise errors.GatewayError(
            "A newer message of this kind was queued since; this one would put an old state over what it said."
        )
    _change(unit, found, state="waiting", attempts=0, due=unit.now, reason=None)
    remember(unit, found.destination, found.told)


def _from_row(row: sa.Row[tuple[object, ...]]) -> Message:
    found = row._mapping
    return Message(
        found["number"], found["control"], found["destination"], found["patient"], found["encounter"], found["event"],
        found["at"], found["state"], found["attempts"], found["due"], bytes(found["body"]),
        tuple((reference, version) for reference, version in codec.decode(bytes(found["told"]))), found["reason"],
    )  # fmt: skip
