"""Coded diagnoses as Conditions with the German ICD-10-GM extensions. https://hl7.org/fhir/R4/condition.html"""

from __future__ import annotations

from typing import Final

from mappers import fhir_names
from mappers.results_to_fhir import links
from pipeline import results

_CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
_VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"

_CERTAINTY_NAMES: Final = {
    "G": "gesicherte Diagnose",
    "V": "Verdachtsdiagnose",
    "A": "ausgeschlossene Diagnose",
    "Z": "(symptomloser) Zustand nach der betreffenden Diagnose",
}
_SIDE_NAMES: Final = {"R": "rechts", "L": "links", "B": "beiderseits"}

#: clinicalStatus by certainty (reference: the extension's own invariants icd-4 to icd-7).
_CLINICAL_STATUS: Final = {"G": "active", "V": "active", "A": None, "Z": "resolved", None: "active"}

#: verificationStatus before and after release.
_DRAFT_STATUS: Final = {
    "G": "unconfirmed",
    "V": "provisional",
    "A": "unconfirmed",
    "Z": "unconfirmed",
    None: "unconfirmed",
}
RELEASED_STATUS: Final = {"G": "confirmed", "V": "provisional", "A": "refuted", "Z": "confirmed", None: "confirmed"}


def build(surroundings: links.Links, diagnosis: results.CodedDiagnosis) -> links.Json:
    """One diagnosis, not yet confirmed."""
    resource_id = surroundings.result_id("condition", f"{diagnosis.code}|{diagnosis.side or ''}")
    clinical = _CLINICAL_STATUS[diagnosis.certainty]
    return {
        "resourceType": "Condition",
        "id": resource_id,
        **links.ai_meta(),
        "identifier": [surroundings.identifier(resource_id)],
        **({"clinicalStatus": links.concept(links.coding(_CLINICAL, clinical))} if clinical else {}),
        "verificationStatus": verification(_DRAFT_STATUS[diagnosis.certainty]),
        "category": [
            links.concept(
                links.coding(
                    "http://terminology.hl7.org/CodeSystem/condition-category",
                    "encounter-diagnosis",
                    "Encounter Diagnosis",
                )
            )
        ],
        "code": {"coding": [_icd(diagnosis)], "text": diagnosis.title},
        "subject": {"reference": surroundings.patient},
        "encounter": {"reference": surroundings.encounter},
        "recordedDate": surroundings.recorded,
        "evidence": [
            {
                "code": [{"text": diagnosis.reason}],
                "detail": surroundings.evidence_references(diagnosis.evidence),
            }
        ],
        **({"note": [{"text": diagnosis.remark}]} if diagnosis.remark else {}),
    }


def verification(code: str) -> links.Json:
    """A verificationStatus."""
    return links.concept(links.coding(_VERIFICATION, code))


def released(condition: links.Json) -> links.Json:
    """The Condition as it stands after a clinician released it."""
    extensions = condition["code"]["coding"][0].get("extension", [])
    certainty = next((e["valueCoding"]["code"] for e in extensions if e["url"] == fhir_names.DIAGNOSESICHERHEIT), None)
    return {**condition, "verificationStatus": verification(RELEASED_STATUS[certainty])}


def _icd(diagnosis: results.CodedDiagnosis) -> links.Json:
    extensions: list[links.Json] = []
    if diagnosis.certainty:
        extensions.append(
            _coded(fhir_names.DIAGNOSESICHERHEIT, fhir_names.DIAGNOSESICHERHEIT_CODES, diagnosis.certainty,
                   _CERTAINTY_NAMES[diagnosis.certainty])
        )  # fmt: skip
    if diagnosis.side:
        extensions.append(
            _coded(fhir_names.SEITENLOKALISATION, fhir_names.SEITENLOKALISATION_CODES, diagnosis.side,
                   _SIDE_NAMES[diagnosis.side])
        )  # fmt: skip
    if diagnosis.mark:
        extensions.append(
            _coded(fhir_names.MEHRFACHCODIERUNG, fhir_names.MEHRFACHCODIERUNG_CODES, diagnosis.mark, None)
        )
    return {
        **({"extension": extensions} if extensions else {}),
        "system": fhir_names.ICD_10_GM,
        "version": str(diagnosis.year),
        "code": diagnosis.code,
        "display": diagnosis.title,
    }


def _coded(url: str, system: str, code: str, display: str | None) -> links.Json:
    return {"url": url, "valueCoding": links.coding(system, code, display)}
