"""Prescribing warnings, and what was not checked, as DetectedIssues. https://hl7.org/fhir/R4/detectedissue.html"""

from __future__ import annotations

from typing import Final

from mappers import fhir_names
from mappers.results_to_fhir import links
from pipeline import results

NOT_CHECKED: Final = "not-checked"

_SEVERITY: Final = {"contraindicated": "high", "high": "high", "moderate": "moderate", "low": "low"}
_SEVERITY_NAMES: Final = {"contraindicated": "kontraindiziert", "high": "hoch", "moderate": "mittel", "low": "gering"}

#: Our rule kinds in HL7 v3-ActCode (ActSuppliedItemDetectedIssueCode).
_ACT_CODES: Final = {
    "drug-drug": ("DRG", "Drug Interaction Alert"),
    "drug-disease": ("COND", "Condition Alert"),
    "drug-lab": ("LAB", "Lab Alert"),
    "allergy": ("ALGY", "Allergy Alert"),
    "duplicate": ("DUPTHPY", "Duplicate Therapy Alert"),
    "age": ("AGE", "Age Alert"),
    "dose": ("DOSE", "Dosage problem"),
}


def build(
    surroundings: links.Links, warning: results.PrescribingWarning, drugs: tuple[results.CheckedDrug, ...]
) -> links.Json:
    """One finding. Drugs that the record does not hold are contained, so that every `implicated` resolves."""
    resource_id = surroundings.result_id("warning", f"{warning.rule}|{'|'.join(warning.drugs)}")
    implicated = [drug for drug in drugs if set(drug.ingredients) & set(warning.drugs)]
    contained = [
        _contained(surroundings, drug, f"drug-{index}")
        for index, drug in enumerate(implicated, start=1)
        if drug.record is None
    ]
    references = [
        {"reference": drug.record or f"#drug-{index}", "display": ", ".join(drug.ingredients)}
        for index, drug in enumerate(implicated, start=1)
    ]
    codings = [links.coding(fhir_names.ISSUE_CODES, warning.kind)]
    if warning.kind in _ACT_CODES:
        codings.insert(0, links.coding(fhir_names.ACT_CODE, *_ACT_CODES[warning.kind]))
    return {
        "resourceType": "DetectedIssue",
        "id": resource_id,
        **links.ai_meta(),
        **({"contained": contained} if contained else {}),
        "identifier": [surroundings.identifier(resource_id)],
        "status": "preliminary",
        "code": links.concept(*codings, text=f"{', '.join(warning.drugs)} ({_SEVERITY_NAMES[warning.severity]})"),
        "severity": _SEVERITY[warning.severity],
        "patient": {"reference": surroundings.patient},
        "identifiedDateTime": surroundings.recorded,
        "author": {"reference": surroundings.device, "display": "fhir-gateway"},
        **({"implicated": references} if references else {}),
        "evidence": [
            {
                "code": [{"text": warning.about or ", ".join(warning.drugs)}],
                "detail": surroundings.evidence_references(warning.evidence),
            }
        ],
        "detail": f"{warning.explanation} Quelle: {warning.source}",
        "mitigation": [{"action": {"text": warning.management}}],
    }


def not_checked(surroundings: links.Links, check: results.SafetyCheck) -> links.Json:
    """What the check could not cover, in one DetectedIssue."""
    resource_id = surroundings.result_id("warning", NOT_CHECKED)
    return {
        "resourceType": "DetectedIssue",
        "id": resource_id,
        **links.ai_meta(),
        "identifier": [surroundings.identifier(resource_id)],
        "status": "preliminary",
        "code": links.concept(links.coding(fhir_names.ISSUE_CODES, NOT_CHECKED), text="Nicht geprüft"),
        "patient": {"reference": surroundings.patient},
        "identifiedDateTime": surroundings.recorded,
        "author": {"reference": surroundings.device, "display": "fhir-gateway"},
        "detail": f"{check.covered} {' '.join(check.gaps)}".strip(),
    }


def _contained(surroundings: links.Links, drug: results.CheckedDrug, local_id: str) -> links.Json:
    medication = links.concept(
        *(
            links.coding(fhir_names.ATC, atc, ingredient)
            for atc, ingredient in zip(drug.atc, drug.ingredients, strict=True)
            if atc
        ),
        text=drug.text,
    )
    subject = {"reference": surroundings.patient}
    if drug.status == "prescribed":
        return {
            "resourceType": "MedicationRequest",
            "id": local_id,
            "status": "draft",
            "intent": "order",
            "medicationCodeableConcept": medication,
            "subject": subject,
        }
    return {
        "resourceType": "MedicationStatement",
        "id": local_id,
        "status": "active",
        "medicationCodeableConcept": medication,
        "subject": subject,
    }
