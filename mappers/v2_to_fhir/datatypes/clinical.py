"""What a diagnosis or a procedure says of itself beside its code. HL7 v2.5 chapter 6.5.2, 6.5.4."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Final

from mappers import fhir_names
from mappers.v2_to_fhir.datatypes import codings, numbers, texts, times
from mappers.v2_to_fhir.reading import Unusable, Value
from mappers.v2_to_fhir.scope import Json, Scope

_VERIFICATION: Final = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
_CLINICAL: Final = "http://terminology.hl7.org/CodeSystem/condition-clinical"

_LONGEST: Final = 7 * 24 * 60  # minutes

#: Diagnosesicherheit to Condition.verificationStatus. What was excluded must not be read as a disease.
_VERIFIED: Final = {"G": "confirmed", "V": "provisional", "A": "refuted", "Z": "confirmed"}


def diagnosis_status(value: Value, scope: Scope) -> Json | None:
    """verificationStatus, and for a state afterwards (Z) clinicalStatus, by the Diagnosesicherheit behind an ICD-10-GM
    code (DG1-3); None without one.
    """
    for triple in codings.triples(value)[:1]:
        coding = codings.of_triple(triple, scope, fhir_names.ICD_10_GM) or {}
        said = [
            extension["valueCoding"]["code"]
            for extension in coding.get("extension", ())
            if extension["url"] == fhir_names.DIAGNOSESICHERHEIT
        ]
        if said:
            found = {"verificationStatus": _concept(_VERIFICATION, _VERIFIED[said[0]])}
            return {**found, "clinicalStatus": _concept(_CLINICAL, "resolved")} if said[0] == "Z" else found
    return None


def _concept(system: str, code: str) -> Json:
    return {"coding": [{"system": system, "code": code}]}


def _minutes(value: Value) -> Decimal:
    found = numbers.number(texts.words(value[1]))
    if not 0 <= found <= _LONGEST:
        raise Unusable("a procedure does not take that long")
    return found


def procedure_period(value: Value, scope: Scope) -> Json | None:
    """The Period of a procedure that began at a time of day (PR1-5) and took some minutes (PR1-7); else its start."""
    start = times.date_time(value, scope)
    if start is None:
        return None
    minutes = value.beside(7)
    if "T" not in start or not minutes:
        return {"start": start}
    took = datetime.timedelta(minutes=float(_minutes(minutes)))
    begun = datetime.datetime.fromisoformat(start).astimezone(datetime.UTC)
    return {"start": start, "end": (begun + took).astimezone(scope.timezone).isoformat()}
