"""Rules about a write that need the store: whose encounter it is, and who may change a result."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from fhir_gateway.rest import outcomes
from fhir_gateway.runs import register
from fhir_gateway.store import codec, resources, search_index

#: Where a type names its encounter and its patient.
_ENCOUNTER_AND_SUBJECT = {
    "Condition": ("encounter", "subject"),
    "DocumentReference": ("context.encounter", "subject"),
    "Media": ("encounter", "subject"),
    "MedicationRequest": ("encounter", "subject"),
    "MedicationStatement": ("context", "subject"),
    "Observation": ("encounter", "subject"),
}

#: The security label of what a machine asserted (HL7 v3-ObservationValue).
AI_ASSERTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "AIAST"}


def is_produced(resource: codec.Resource) -> bool:
    """Whether the gateway itself wrote this resource as a proposal."""
    labels = resource.get("meta", {}).get("security", [])
    return any(label.get("code") == AI_ASSERTED["code"] for label in labels)


def check(connection: sa.Connection, resource: codec.Resource, at: str) -> None:
    """Refuse a write that crosses patients or touches the gateway's own proposals. `at` is the resource's FHIRPath."""
    if is_produced(resource):
        raise outcomes.rule(
            "The label AIAST marks what this gateway proposes; a client cannot set it.", f"{at}.meta.security"
        )
    current = resources.read(connection, resource["resourceType"], resource["id"])
    if current is not None and current.body is not None and is_produced(current.resource):
        raise outcomes.rule(
            "This is a proposal of the gateway; no client changes it before Composition/[id]/$release.",
            at,
        )
    if current is not None and current.body is not None and resource["resourceType"] == "Encounter":
        _keeps_its_patient(connection, resource, current.resource, at)
    for expression, encounter_id in _encounters(resource, at):
        encounter = resources.read(connection, "Encounter", encounter_id)
        if encounter is not None and encounter.body is not None:
            _same_patient(resource, encounter.resource, expression)


def _keeps_its_patient(connection: sa.Connection, resource: codec.Resource, current: codec.Resource, at: str) -> None:
    """What was heard and proposed in an encounter stays with the patient of whom it was said."""
    before, after = _named(current, "subject"), _named(resource, "subject")
    if before and before != after and register.has_runs(connection, resource["id"]):
        raise outcomes.rule(
            "There are documents and proposals for this encounter; it cannot go to another patient.", f"{at}.subject"
        )


def encounter_ids(resource: codec.Resource) -> list[str]:
    """The ids of the encounters that a resource names, without repeats."""
    return list(dict.fromkeys(encounter_id for _expression, encounter_id in _encounters(resource, "")))


def _encounters(resource: codec.Resource, at: str) -> Iterator[tuple[str, str]]:
    path, _subject = _ENCOUNTER_AND_SUBJECT.get(resource["resourceType"], ("", ""))
    if path:
        for target_type, target_id in _named(resource, path):
            if target_type == "Encounter":
                yield f"{at}.{path}", target_id


def _named(resource: codec.Resource, path: str) -> list[tuple[str, str]]:
    """Type and id of what a resource refers to at `path`."""
    return [search_index.split_reference(str(node)) for node in search_index.walk(resource, f"{path}.reference")]


def _same_patient(resource: codec.Resource, encounter: codec.Resource, expression: str) -> None:
    _path, subject = _ENCOUNTER_AND_SUBJECT[resource["resourceType"]]
    mine, theirs = _named(resource, subject), _named(encounter, "subject")
    if mine and theirs and mine != theirs:
        raise outcomes.rule("The encounter belongs to another patient than this resource.", expression)
