"""Which Subscriptions a commit concerns: their notifications are noted in the transaction that stores the resource.

So a notification exists exactly when its resource does, whatever ends the process in between.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import sqlalchemy as sa

from fhir_gateway.search import parameters, query
from fhir_gateway.store import codec, database, resources, search_index, statements
from fhir_gateway.subscriptions import criteria, outbox

#: Notifications are noted in every status but off, and delivered in `active`. What is written during the handshake
#: after a change, or while the endpoint is down and the status is `error`, comes once the Subscription is active again.
NOTED = ("active", "requested", "error")

_STATUS = parameters.number("Subscription", "status")
_OF_STATUS = statements.Statement(
    "SELECT v.rk, v.id, v.version, v.at, v.body FROM index_token t JOIN resource_version v ON v.rk = t.rk"  # noqa: S608
    f" WHERE t.parameter = :parameter AND t.code IN {NOTED} AND v.is_current"
)


class Notes:
    """What `database.Database` calls before each commit. `wake` is called after a commit that leaves something to do.

    `base_url` is this server's own address, as it may stand in references.
    """

    def __init__(self, base_url: str = "", wake: Callable[[], None] = lambda: None) -> None:
        self.base_url = base_url
        self.wake = wake

    def __call__(self, unit: database.Unit) -> None:
        """Note what the unit has written."""
        if note(unit, self.base_url):
            unit.after_commit.append(self.wake)


def note(unit: database.Unit, base_url: str = "") -> bool:
    """Put a row into the outbox for each new version and each Subscription that it fulfils the criteria of.

    A resource that the unit wrote twice is told once, with its last version; a deletion is not told. Where there is no
    Subscription this is one probe of an index. Returns whether the worker has something to do.
    """
    last: dict[tuple[str, str], resources.Stored] = {}
    for stored in unit.written:
        last.pop((stored.type, stored.id), None)
        last[stored.type, stored.id] = stored
    subscriptions = [stored for stored in last.values() if stored.type == "Subscription"]
    for subscription in subscriptions:
        _silence(unit, subscription)
    if subscriptions:
        search_index.flush(unit.connection)  # so that they are found, by the next units of this commit too
    is_due = bool(subscriptions)
    told = [stored for stored in last.values() if stored.body is not None and stored.type not in criteria.NEVER_TOLD]
    if told:
        for subscription_id, matcher in _matchers(unit.connection, base_url):
            for stored in told:
                if stored.type == matcher.type and matcher.holds(unit.connection, stored.rk):
                    outbox.add(unit, subscription_id, stored)
                    is_due = True
    return is_due


def _silence(unit: database.Unit, subscription: resources.Stored) -> None:
    """What was still to be told goes with the Subscription that is deleted or turned off."""
    if subscription.body is None or subscription.resource.get("status") not in NOTED:
        outbox.drop(unit, subscription.id)


def current(connection: sa.Connection) -> list[resources.Stored]:
    """The current Subscriptions that are not off."""
    found = _OF_STATUS.run(connection, parameter=_STATUS).fetchall()
    return [
        resources.Stored("Subscription", resource_id, version, at, bytes(body), rk=rk)
        for rk, resource_id, version, at, body in found
    ]


def _matchers(connection: sa.Connection, base_url: str) -> Iterator[tuple[str, criteria.Matcher]]:
    """Id and criteria of each Subscription; the worker sets those that are not understood to `error`."""
    for stored in current(connection):
        subscription: codec.Resource = stored.resource
        with contextlib.suppress(query.BadQuery):
            yield stored.id, criteria.matcher(str(subscription.get("criteria", "")), base_url)
