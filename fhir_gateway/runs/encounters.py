"""Where a resource names its encounter and its patient."""

from __future__ import annotations

from collections.abc import Iterator

from fhir_gateway.search import values
from fhir_gateway.store import codec

#: Type: the paths of its encounter and of its patient.
_ENCOUNTER_AND_SUBJECT = {
    "Condition": ("encounter", "subject"),
    "DocumentReference": ("context.encounter", "subject"),
    "Media": ("encounter", "subject"),
    "MedicationRequest": ("encounter", "subject"),
    "MedicationStatement": ("context", "subject"),
    "Observation": ("encounter", "subject"),
}


def ids(resource: codec.Resource) -> list[str]:
    """The ids of the encounters that a resource names, without repeats."""
    return list(dict.fromkeys(encounter_id for _expression, encounter_id in named(resource, "")))


def named(resource: codec.Resource, at: str) -> Iterator[tuple[str, str]]:
    """FHIRPath and id of each encounter that a resource names; `at` is the FHIRPath of the resource."""
    path, _subject = _ENCOUNTER_AND_SUBJECT.get(resource["resourceType"], ("", ""))
    if path:
        for target_type, target_id in references(resource, path):
            if target_type == "Encounter":
                yield f"{at}.{path}", target_id


def subject(resource: codec.Resource) -> list[tuple[str, str]]:
    """Type and id of whom the resource is about."""
    _path, path = _ENCOUNTER_AND_SUBJECT.get(resource["resourceType"], ("", "subject"))
    return references(resource, path)


def references(resource: codec.Resource, path: str) -> list[tuple[str, str]]:
    """Type and id of what a resource refers to at a path."""
    return [values.split_reference(str(node)) for node in values.at(resource, f"{path}.reference")]
