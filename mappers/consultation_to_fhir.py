"""A consultation as a record system would post it: one transaction Bundle. For demo, tests and benchmarks."""

from __future__ import annotations

import base64
import uuid
from typing import Any

from mappers import fhir_names
from pipeline import consultation

Json = dict[str, Any]

_CLASSES = {"home": ("HH", "home health"), "phone": ("VR", "virtual"), "video": ("VR", "virtual")}


def bundle(documented: consultation.Consultation, *, text: str | None = None) -> Json:
    """The transaction: patient, practitioner, coverage, encounter, record and one transcript, all by urn:uuid.

    `text` takes the place of the consultation's own transcript. Nobody in it is real.
    """
    entries = [
        _entry("patient", _patient(documented)),
        _entry(
            "practitioner",
            {
                "resourceType": "Practitioner",
                "name": [{"family": "Beispiel", "given": ["Anna"], "prefix": ["Dr. med."]}],
            },
        ),
        *_coverage(documented),
        _entry("encounter", _encounter(documented)),
        *_record(documented),
        _entry("transcript", _transcript(documented, text)),
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _urn(name: str) -> str:

    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{fhir_names.BASE}/demo/{name}')}"


def _reference(name: str) -> Json:
    return {"reference": _urn(name)}


def _entry(name: str, resource: Json) -> Json:
    return {"fullUrl": _urn(name), "resource": resource, "request": {"method": "POST", "url": resource["resourceType"]}}


def _patient(documented: consultation.Consultation) -> Json:
    patient = documented.patient
    return {
        "resourceType": "Patient",
        "identifier": [{"system": f"{fhir_names.BASE}/NamingSystem/demo-patient", "value": documented.encounter.id}],
        "name": [{"use": "official", "family": "Muster", "given": ["Kim"]}],
        **({"gender": patient.sex} if patient.sex else {}),
        **({"birthDate": patient.birth_date.isoformat()} if patient.birth_date else {}),
    }


def _coverage(documented: consultation.Consultation) -> list[Json]:
    insurance = documented.encounter.insurance
    if insurance is None:
        return []
    coding = {"system": "http://fhir.de/CodeSystem/versicherungsart-de-basis", "code": insurance}
    return [
        _entry(
            "coverage",
            {
                "resourceType": "Coverage",
                "status": "active",
                "type": {"coding": [coding]},
                "beneficiary": _reference("patient"),
                "payor": [{"display": "Musterkasse"}],
            },
        )
    ]


def _encounter(documented: consultation.Consultation) -> Json:
    encounter = documented.encounter
    code, display = (
        ("IMP", "inpatient encounter")
        if encounter.setting == "hospital"
        else _CLASSES.get(encounter.contact, ("AMB", "ambulatory"))
    )
    period = {
        **({"start": encounter.start.isoformat()} if encounter.start else {}),
        **({"end": encounter.end.isoformat()} if encounter.end else {}),
    }
    return {
        "resourceType": "Encounter",
        "status": "finished",
        "class": {"system": fhir_names.ACT_CODE, "code": code, "display": display},
        **({"type": [{"text": "Telefonkontakt"}]} if encounter.contact == "phone" else {}),
        "subject": _reference("patient"),
        "participant": [{"individual": _reference("practitioner")}],
        **({"period": period} if period else {}),
    }


def _record(documented: consultation.Consultation) -> list[Json]:
    record, entries = documented.record, []
    for number, medication in enumerate(record.medications):
        entries.append(
            _entry(
                f"medication-{number}",
                {
                    "resourceType": "MedicationStatement",
                    "status": "active",
                    "medicationCodeableConcept": {"text": medication.text},
                    "subject": _reference("patient"),
                    **({"dosage": [{"text": medication.dosage}]} if medication.dosage else {}),
                },
            )
        )
    for number, allergy in enumerate(record.allergies):
        entries.append(
            _entry(
                f"allergy-{number}",
                {
                    "resourceType": "AllergyIntolerance",
                    "clinicalStatus": _status("allergyintolerance-clinical", "active"),
                    "verificationStatus": _status("allergyintolerance-verification", "confirmed"),
                    "code": {"text": allergy.text},
                    "patient": _reference("patient"),
                    **({"reaction": [{"manifestation": [{"text": allergy.reaction}]}]} if allergy.reaction else {}),
                },
            )
        )
    for number, condition in enumerate(record.conditions):
        coding = {"system": fhir_names.ICD_10_GM, "version": "2026", "code": condition.code}
        entries.append(
            _entry(
                f"condition-{number}",
                {
                    "resourceType": "Condition",
                    "clinicalStatus": _status("condition-clinical", "active"),
                    "verificationStatus": _status("condition-ver-status", "confirmed"),
                    "code": {**({"coding": [coding]} if condition.code else {}), "text": condition.text},
                    "subject": _reference("patient"),
                },
            )
        )
    for number, observation in enumerate(record.observations):
        entries.append(
            _entry(
                f"observation-{number}",
                {
                    "resourceType": "Observation",
                    "status": "final",
                    "code": {"text": observation.name},
                    "subject": _reference("patient"),
                    **({"effectiveDateTime": observation.at.isoformat()} if observation.at else {}),
                    "valueQuantity": {
                        "value": observation.value,
                        **({"unit": observation.unit} if observation.unit else {}),
                    },
                },
            )
        )
    return entries


def _status(system: str, code: str) -> Json:
    return {"coding": [{"system": f"http://terminology.hl7.org/CodeSystem/{system}", "code": code}]}


def _transcript(documented: consultation.Consultation, text: str | None) -> Json:
    content = text.encode() if text is not None else documented.sources[0].content or b""
    return {
        "resourceType": "DocumentReference",
        "status": "current",
        "type": {
            "coding": [{"system": fhir_names.LOINC, "code": "75476-2", "display": "Physician Note"}],
            "text": "Gesprächstranskript",
        },
        "subject": _reference("patient"),
        "content": [
            {
                "attachment": {
                    "contentType": "text/plain; charset=utf-8",
                    "language": "de-DE",
                    "data": base64.b64encode(content).decode("ascii"),
                }
            }
        ],
        "context": {"encounter": [_reference("encounter")]},
    }
