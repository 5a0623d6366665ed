"""Composition/$document: the Composition with all that it refers to, as one document Bundle.

https://hl7.org/fhir/R4/composition-operation-document.html
"""

from __future__ import annotations

import uuid

import sqlalchemy as sa

from fhir_gateway import ids
from fhir_gateway.rest import interactions, literals, outcomes, writes
from fhir_gateway.rest.ask import Answer, Ask
from fhir_gateway.search import values
from fhir_gateway.store import database, resources

MAX_RESOURCES = 2000  # resources of one document


def document(connection: sa.Connection, ask: Ask) -> Answer:
    """GET Composition/[id]/$document."""
    return _built(connection, ask, resources.instant(database.now_micros()))


def persisted(unit: database.Unit, ask: Ask) -> Answer:
    """POST Composition/[id]/$document; with `persist` true the Bundle is stored too."""
    answer = _built(unit.connection, ask, resources.instant(unit.now))
    if _persist(ask):
        assert answer.resource is not None
        stored = writes.put(unit, ask, {**answer.resource, "id": ids.new()}, is_new=True)
        return Answer(200, stored, written=True, seen=answer.seen)
    return answer


def _persist(ask: Ask) -> bool:
    given = [value for name, value in ask.pairs if name == "persist"]
    for parameter in values.at(ask.body, "parameter"):
        if isinstance(parameter, dict) and parameter.get("name") == "persist":
            given.append("true" if parameter.get("valueBoolean") is True else "false")
    return given[-1:] == ["true"]


def _built(connection: sa.Connection, ask: Ask, at: str) -> Answer:
    composition = interactions.there(ask, resources.read(connection, "Composition", ask.id))
    found = _collected(connection, composition)
    bundle = {
        "resourceType": "Bundle",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{uuid.uuid4()}"},
        "type": "document",
        "timestamp": at,
        "entry": [{"fullUrl": f"{ask.base}/{stored.reference}", "resource": stored.resource} for stored in found],
    }
    return Answer(200, resource=bundle, seen=tuple(stored.reference for stored in found))


def _collected(connection: sa.Connection, composition: resources.Stored) -> list[resources.Stored]:
    """The Composition and, in the order of their mention, all that it leads to in this store."""
    found: dict[str, resources.Stored] = {composition.reference: composition}
    waiting = [composition]
    while waiting:
        for _at, reference in literals.of(waiting.pop(0).resource, ""):
            resource_type, resource_id = values.split_reference(reference)
            known = f"{resource_type}/{resource_id}"
            if resource_type and known not in found and len(resource_id) <= 64:
                stored = resources.present(connection, resource_type, resource_id)
                if stored is not None:
                    found[known] = stored
                    waiting.append(stored)
                    _within_limit(found)
    return list(found.values())


def _within_limit(found: dict[str, resources.Stored]) -> None:
    if len(found) > MAX_RESOURCES:
        text = f"The document would hold more than {MAX_RESOURCES} resources."
        raise outcomes.Refused(422, outcomes.Issue("too-costly", text))
