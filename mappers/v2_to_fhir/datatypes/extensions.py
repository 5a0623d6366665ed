"""Extensions of R4 that are more than a value: hl7.org/fhir/R4/patient-profiles.html and condition-profiles.html."""

from __future__ import annotations

from typing import Final

from mappers.v2_to_fhir.datatypes import addresses, codings, identifiers, texts
from mappers.v2_to_fhir.reading import Value
from mappers.v2_to_fhir.scope import Json, Scope

_CORE: Final = "http://hl7.org/fhir/StructureDefinition/"


def citizenship(value: Value, scope: Scope) -> Json | None:
    """The extension patient-citizenship of a code (PID-26, which repeats)."""
    return _coded("patient-citizenship", value, scope)


def nationality(value: Value, scope: Scope) -> Json | None:
    """The extension patient-nationality of a code (PID-28)."""
    return _coded("patient-nationality", value, scope)


def birth_place_name(value: Value, _scope: Scope) -> Json | None:
    """The extension patient-birthPlace of a place's name (PID-23)."""
    name = texts.words(value[1])
    return {"url": addresses.BIRTH_PLACE, "valueAddress": {"text": name}} if name else None


def due_to(value: Value, scope: Scope) -> Json | None:
    """The extension condition-dueTo of the number of another diagnosis (DG1-22)."""
    identifier = identifiers.entity_identifier(value, scope)
    if identifier is None:
        return None
    return {"url": f"{_CORE}condition-dueTo", "valueReference": {"type": "Condition", "identifier": identifier}}


def _coded(name: str, value: Value, scope: Scope) -> Json | None:
    concept = codings.codeable_concept(value, scope)
    if concept is None:
        return None
    return {"url": _CORE + name, "extension": [{"url": "code", "valueCodeableConcept": concept}]}
