"""The rows of `notification`: what each Subscription has still to be told, in the order of the commits."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from fhir_gateway.store import database, resources, statements

_INSERT = statements.Statement(
    "INSERT INTO notification (subscription, type, id, version, at) VALUES (:subscription, :type, :id, :version, :at)"
)
_FIRST = statements.Statement(
    "SELECT number, type, id, version FROM notification WHERE subscription = :subscription ORDER BY number LIMIT 1"
)
_REMOVE = statements.Statement(
    "DELETE FROM notification"
    " WHERE number = :number AND subscription = :subscription AND type = :type AND id = :id AND version = :version"
)
_DROP = statements.Statement("DELETE FROM notification WHERE subscription = :subscription")
_NEXT = statements.Statement("SELECT min(subscription) FROM notification WHERE subscription > :last")


@dataclass(frozen=True, slots=True)
class Row:
    """One notification that is due: a version of a resource, for one Subscription."""

    number: int
    subscription: str
    type: str
    id: str
    version: int


def add(unit: database.Unit, subscription: str, stored: resources.Stored) -> None:
    """Note that a Subscription has to be told of a version."""
    _INSERT.run(
        unit.connection,
        subscription=subscription,
        type=stored.type,
        id=stored.id,
        version=stored.version,
        at=unit.now,
    )


def first(connection: sa.Connection, subscription: str) -> Row | None:
    """The oldest notification of a Subscription."""
    found = _FIRST.run(connection, subscription=subscription).fetchone()
    if found is None:
        return None
    number, resource_type, resource_id, version = found
    return Row(number, subscription, resource_type, resource_id, version)


def remove(unit: database.Unit, row: Row) -> None:
    """The row is delivered. It is named in full: SQLite gives the number of a dropped row to a later one."""
    _REMOVE.run(
        unit.connection,
        number=row.number,
        subscription=row.subscription,
        type=row.type,
        id=row.id,
        version=row.version,
    )


def drop(unit: database.Unit, subscription: str) -> None:
    """Forget what a Subscription had still to be told."""
    _DROP.run(unit.connection, subscription=subscription)


def waiting(connection: sa.Connection) -> set[str]:
    """The ids of the Subscriptions with rows: one probe of the index each, however many rows there are."""
    found: set[str] = set()
    last = ""
    while True:
        last = _NEXT.run(connection, last=last).fetchone()[0]
        if last is None:
            return found
        found.add(last)
