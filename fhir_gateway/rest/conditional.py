"""Conditional create, update, patch and delete: which resource a condition means. https://hl7.org/fhir/R4/http.html#cond

A conditional create rests on a unique key of the database, not on the search before it: of many that ask for the same
at once, in whatever process, one creates it and the others get that one.
"""

from __future__ import annotations

import hashlib
import urllib.parse

import sqlalchemy as sa

from fhir_gateway import ids
from fhir_gateway.rest import outcomes
from fhir_gateway.rest.ask import Ask, Pairs
from fhir_gateway.search import pages, query
from fhir_gateway.store import codec, database, resources, statements

_CLAIM = statements.Statement(
    "INSERT INTO conditional_create (type, criteria, id) VALUES (:type, :criteria, :id) ON CONFLICT DO NOTHING"
)
_CLAIMED = statements.Statement("SELECT id FROM conditional_create WHERE type = :type AND criteria = :criteria")
_TAKE_OVER = statements.Statement(
    "UPDATE conditional_create SET id = :id WHERE type = :type AND criteria = :criteria AND id = :old"
)
_ATTEMPTS = 10  # how often a race about one condition is run again before the client has to


def pairs(text: str) -> Pairs:
    """The parameters of a condition, e.g. `identifier=system|value`."""
    return tuple(urllib.parse.parse_qsl(text.removeprefix("?"), keep_blank_values=True))


def parse(ask: Ask, resource_type: str, condition: Pairs) -> query.Query:
    """The condition as a search; 412 for one that says nothing, 400 for an unknown parameter, also under `lenient`."""
    try:
        wanted = ask.search((resource_type,), condition, lenient=False)
    except outcomes.Refused as refusal:
        issue = refusal.issues[0]
        raise outcomes.bad_request(issue.text, ask.condition_expression, code=issue.code) from None
    if not wanted.filters:
        text = "The condition names no search parameter: it would mean every resource."
        raise outcomes.Refused(412, outcomes.Issue("multiple-matches", text, ask.condition_expression))
    return wanted


def match(connection: sa.Connection, wanted: query.Query, at: str | None = None) -> resources.Stored | None:
    """The one resource that the condition means; None for none, 412 for more than one."""
    found = pages.find(connection, query.Query(wanted.types, wanted.filters, count=2, total="none")).matches
    if len(found) > 1:
        text = "The condition matches more than one resource."
        raise outcomes.Refused(412, outcomes.Issue("multiple-matches", text, at))
    return resources.present(connection, found[0].type, found[0].id) if found else None


def meant(connection: sa.Connection, ask: Ask) -> resources.Stored | None:
    """The one resource that the condition in the address means; None for none, 412 for more than one."""
    return match(connection, parse(ask, ask.type, ask.pairs), ask.condition_expression)


def digest(resource_type: str, condition: Pairs) -> str:
    """The key of a condition, whatever the order of its parameters."""
    return hashlib.sha256(codec.encode([resource_type, *sorted(condition)])).hexdigest()


def once(unit: database.Unit, ask: Ask, condition: Pairs, new_id: str) -> resources.Stored | None:
    """What a conditional create finds; None when the caller is the one who creates `new_id` now."""
    wanted = parse(ask, ask.type, condition)
    key = {"type": ask.type, "criteria": digest(ask.type, condition)}
    for _attempt in range(_ATTEMPTS):
        found = match(unit.connection, wanted, ask.condition_expression)
        if found is not None:
            return found
        if _CLAIM.run(unit.connection, **key, id=new_id).rowcount == 1:
            return None
        old = _CLAIMED.run(unit.connection, **key).fetchone()
        is_stale = old is not None and _is_stale(unit.connection, wanted, ask.type, old[0])
        if is_stale and _TAKE_OVER.run(unit.connection, **key, id=new_id, old=old[0]).rowcount == 1:
            return None
    raise outcomes.conflict("Others ask for the same resource at this moment. Send the request again.")


def updated(unit: database.Unit, ask: Ask) -> str:
    """The id that a conditional update writes to: of what matches, else of the body, else a new one.

    400 when the body has another id than what matches, 409 when a resource has the body's id and does not match.
    """
    given = ask.body.get("id")
    new_id: str = given or ids.new()
    existing = once(unit, ask, ask.pairs, new_id)
    if existing is not None and given not in (None, existing.id):
        text = "The condition matches a resource with another id than the body's."
        raise outcomes.bad_request(text, f"{ask.expression}.id")
    if existing is None and given is not None and resources.present(unit.connection, ask.type, given):
        text = "A resource with this id exists, but the condition does not match it."
        raise outcomes.Refused(409, outcomes.Issue("conflict", text, f"{ask.expression}.id"))
    return existing.id if existing else new_id


def _is_stale(connection: sa.Connection, wanted: query.Query, resource_type: str, resource_id: str) -> bool:
    """Whether the resource of an earlier create is gone, or is not what the condition means any more."""
    stored = resources.present(connection, resource_type, resource_id)
    return stored is None or not pages.matches(connection, wanted, stored.rk)
