"""Coded diagnoses as Conditions with the German ICD-10-GM extensions. https://hl7.org/fhir/R4/condition.html

The shape holds for ISiKDiagnose (gematik, Basismodul 4.0.3) and for MII Diagnose 2026 at once.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Iterable
from typing import Final

from mappers import fhir_names
from mappers.results_to_fhir import links
from pipeline import results
from terminology.icd10gm import catalogue

_CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
_VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
_BERLIN: Final = zoneinfo.ZoneInfo("Europe/Berlin")  # whose day it is when an onset is today

#: The displays of KBV_CS_SFHIR_ICD_DIAGNOSESICHERHEIT 1.00: a terminology server refuses others.
_CERTAINTY_NAMES: Final = {
    "G": "gesicherte Diagnose",
    "V": "Verdacht auf / zum Ausschluss von",
    "A": "ausgeschlossen",
    "Z": "Zustand nach",
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


class NoPrimary(Exception):
    """A star or exclamation code names a primary code that is not among the diagnoses; this is a fault of the coder."""


def build(
    surroundings: links.Links, diagnosis: results.CodedDiagnosis, diagnoses: Iterable[results.CodedDiagnosis]
) -> links.Json:
    """One diagnosis, not yet confirmed. `diagnoses` are all of the encounter.

    A star or exclamation code refers to the Condition of its primary code. Raises NoPrimary.
    """
    resource_id = _id(surroundings, diagnosis)
    clinical = _CLINICAL_STATUS[diagnosis.certainty]
    onset = _onset(surroundings, diagnosis)
    notes = [text for text in (diagnosis.remark, _runner_up(diagnosis)) if text]
    return {
        "resourceType": "Condition",
        "id": resource_id,
        **links.ai_meta(),
        **_related(surroundings, diagnosis, diagnoses),
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
        **({"onsetDateTime": onset} if onset else {}),
        "recordedDate": surroundings.recorded,
        "evidence": [
            {
                "code": [{"text": diagnosis.reason}],
                "detail": surroundings.evidence_references(diagnosis.evidence),
            }
        ],
        **({"note": [{"text": text} for text in notes]} if notes else {}),
    }


def _id(surroundings: links.Links, diagnosis: results.CodedDiagnosis) -> str:
    return surroundings.result_id("condition", f"{diagnosis.code}|{diagnosis.side or ''}")


def _related(
    surroundings: links.Links, diagnosis: results.CodedDiagnosis, diagnoses: Iterable[results.CodedDiagnosis]
) -> links.Json:
    """The extension from a secondary code to its primary one; nothing for any other code."""
    if diagnosis.partner is None:
        return {}
    primary = min(
        (one for one in diagnoses if one.code == diagnosis.partner),
        key=lambda one: (one.side != diagnosis.side, one.rank > diagnosis.rank, abs(one.rank - diagnosis.rank)),
        default=None,
    )
    if primary is None:
        raise NoPrimary
    reference = {"reference": f"Condition/{_id(surroundings, primary)}"}
    return {"extension": [{"url": fhir_names.CONDITION_RELATED, "valueReference": reference}]}


def _onset(surroundings: links.Links, diagnosis: results.CodedDiagnosis) -> str | None:
    """The day, month or year of onset. None for what was excluded, and for a time to come."""
    if diagnosis.since is None or diagnosis.certainty == "A":
        return None
    today = dt.datetime.fromisoformat(surroundings.recorded).astimezone(_BERLIN).date().isoformat()
    return diagnosis.since if diagnosis.since <= today[: len(diagnosis.since)] else None


def _runner_up(diagnosis: results.CodedDiagnosis) -> str | None:
    if diagnosis.runner_up is None:
        return None
    code = catalogue.edition_of(diagnosis.year).codes.get(diagnosis.runner_up)
    return f"Nächstliegend: {diagnosis.runner_up}{f' {code.title}' if code is not None else ''}."


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
            _coded(fhir_names.MEHRFACHCODIERUNG, fhir_names.MEHRFACHCODIERUNG_CODES, diagnosis.mark, diagnosis.mark)
        )
    return {
        **({"extension": extensions} if extensions else {}),
        "system": fhir_names.ICD_10_GM,
        "version": str(diagnosis.year),
        "code": diagnosis.code,
        "display": diagnosis.title,
    }


def _coded(url: str, system: str, code: str, display: str) -> links.Json:
    return {"url": url, "valueCoding": links.coding(system, code, display)}
