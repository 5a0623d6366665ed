"""From FHIR R4 resources to a `Consultation`. What the resources do not say stays unknown."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from mappers import fhir_names
from pipeline import consultation

Resource = Mapping[str, Any]

#: v3-ActEncounterCode of contacts in a hospital bed or emergency room; everything else is ambulatory.
_HOSPITAL_CLASSES = frozenset({"IMP", "ACUTE", "NONAC", "OBSENC", "PRENC", "SS", "EMER"})
_CONTACTS: dict[str, consultation.Contact] = {"HH": "home", "VR": "video", "FLD": "home"}

#: http://fhir.de/CodeSystem/versicherungsart-de-basis
_INSURANCES: dict[str, consultation.Insurance] = {"GKV": "GKV", "PKV": "PKV", "SEL": "PKV"}

_GONE = frozenset({"entered-in-error", "refuted"})
_PAST = frozenset({"inactive", "resolved", "remission"})
_TAKEN = frozenset({"active", "on-hold", "intended", "unknown", "draft"})

_PREGNANCY_LOINC = "82810-3"  # LOINC "Pregnancy status"
_PREGNANT_CODES = {"LA15173-0": True, "LA26683-5": False, "77386006": True, "60001007": False}  # LOINC and SNOMED CT


def build(
    encounter: Resource,
    *,
    patient: Resource | None,
    coverages: Iterable[Resource] = (),
    record: Iterable[Resource] = (),
    sources: Iterable[Resource] = (),
) -> consultation.Consultation:
    """The consultation of `encounter`. `record` mixes medications, allergies, conditions and observations."""
    items = list(record)
    return consultation.Consultation(
        patient=_patient(patient or {}, items),
        encounter=_encounter(encounter, coverages),
        record=consultation.Record(
            medications=tuple(_medications(items)),
            allergies=tuple(_allergies(items)),
            conditions=tuple(_conditions(items)),
            observations=tuple(_observations(items)),
        ),
        sources=tuple(source(resource) for resource in sources),
    )


def reference(resource: Resource) -> str:
    """Type/id."""
    return f"{resource['resourceType']}/{resource['id']}"


def source(resource: Resource) -> consultation.Source:
    """A DocumentReference or Media as a source with its decoded bytes, or with the reason why there are none."""
    attachment = _attachment(resource)
    content_type, charset = _content_type(str(attachment.get("contentType", "")))
    content, missing = _content(attachment)
    return consultation.Source(
        id=reference(resource),
        kind=_kind(content_type),
        content_type=content_type,
        content=content,
        charset=charset,
        missing=missing,
    )


def _attachment(resource: Resource) -> Resource:
    if resource["resourceType"] == "Media":
        return _mapping(resource.get("content"))
    attachments = [_mapping(_mapping(content).get("attachment")) for content in resource.get("content") or [{}]]
    texts = [a for a in attachments if str(a.get("contentType", "text/plain")).lower().startswith("text/plain")]
    return (texts or attachments)[0]


def _content_type(text: str) -> tuple[str, str | None]:
    media_type, *parameters = (part.strip() for part in text.split(";"))
    charset = next((p.split("=", 1)[1].strip('" ') for p in parameters if p.lower().startswith("charset=")), None)
    return media_type.lower(), charset


def _kind(content_type: str) -> Any:
    if content_type in ("", "text/plain"):
        return "transcript"
    return "recording" if content_type.startswith(("audio/", "video/")) else "document"


def _content(attachment: Resource) -> tuple[bytes | None, str | None]:
    data = attachment.get("data")
    if isinstance(data, str):
        try:
            return base64.b64decode("".join(data.split()), validate=True), None
        except (binascii.Error, ValueError):
            return None, "the attachment's data is not base64"
    if attachment.get("url"):
        return None, "the attachment has a URL and no data; the gateway reads inline data only"
    return None, "the attachment has no data"


def _patient(resource: Resource, record: list[Resource]) -> consultation.Patient:
    birth_date = str(resource.get("birthDate", ""))
    return consultation.Patient(
        birth_date=dt.date.fromisoformat(birth_date) if len(birth_date) == 10 else None,
        sex=resource.get("gender"),
        pregnant=next((found for found in map(_pregnancy, record) if found is not None), None),
    )


def _pregnancy(resource: Resource) -> bool | None:
    if (
        resource.get("resourceType") != "Observation"
        or _code(resource.get("code"), fhir_names.LOINC) != _PREGNANCY_LOINC
    ):
        return None
    codings = _mapping(resource.get("valueCodeableConcept")).get("coding", [])
    return next((_PREGNANT_CODES[c["code"]] for c in codings if c.get("code") in _PREGNANT_CODES), None)


def _encounter(resource: Resource, coverages: Iterable[Resource]) -> consultation.Encounter:
    code = str(_mapping(resource.get("class")).get("code", ""))
    period = _mapping(resource.get("period"))
    return consultation.Encounter(
        id=str(resource["id"]),
        start=_moment(period.get("start")),
        end=_moment(period.get("end")),
        setting="hospital" if code in _HOSPITAL_CLASSES else "practice",
        contact="phone" if code == "VR" and _is_by_phone(resource) else _CONTACTS.get(code, "in_person"),
        insurance=next((found for found in map(_insurance, coverages) if found is not None), None),
    )


def _is_by_phone(encounter: Resource) -> bool:
    """Whether a virtual contact was a telephone call: Encounter.type says so in its text or in a display."""
    types = [_mapping(concept) for concept in encounter.get("type", [])]
    words = [str(c.get("text", "")) for c in types] + [
        str(x.get("display", "")) for c in types for x in c.get("coding", [])
    ]
    return any("telefon" in word.lower() or "phone" in word.lower() for word in words)


def _moment(text: object) -> dt.datetime | None:
    """A FHIR dateTime; one with less than a day's precision says nothing about the day and is None."""
    if not isinstance(text, str) or len(text) < 10:
        return None
    return dt.datetime.fromisoformat(text)


def _insurance(resource: Resource) -> consultation.Insurance | None:
    if resource.get("status") != "active":
        return None
    codings = _mapping(resource.get("type")).get("coding", [])
    return next((_INSURANCES[c["code"]] for c in codings if c.get("code") in _INSURANCES), None)


def _medications(record: list[Resource]) -> Iterator[consultation.Medication]:
    drugs = {reference(item): item for item in record if item["resourceType"] == "Medication"}
    for item in record:
        if item["resourceType"] in ("MedicationStatement", "MedicationRequest") and item.get("status") in _TAKEN:
            concept = _mapping(item.get("medicationCodeableConcept")) or _medication_concept(item, drugs)
            text = _text(concept)
            if text:
                dosages = item.get("dosage") or item.get("dosageInstruction") or []
                yield consultation.Medication(
                    id=reference(item),
                    text=text,
                    atc=_code(concept, fhir_names.ATC) or _code(concept, "http://www.whocc.no/atc"),
                    dosage="; ".join(filter(None, (_dosage(_mapping(dosage)) for dosage in dosages))) or None,
                )


def _medication_concept(item: Resource, drugs: Mapping[str, Resource]) -> Resource:
    target = str(_mapping(item.get("medicationReference")).get("reference", ""))
    contained = {f"#{inner.get('id')}": inner for inner in item.get("contained", [])}
    return _mapping(_mapping(contained.get(target) or drugs.get(target)).get("code"))


def _dosage(dosage: Resource) -> str | None:
    if dosage.get("text"):
        return str(dosage["text"])
    repeat = _mapping(_mapping(dosage.get("timing")).get("repeat"))
    when = repeat.get("when")
    return " ".join(when) if isinstance(when, list) else None


def _allergies(record: list[Resource]) -> Iterator[consultation.Allergy]:
    for item in record:
        if item["resourceType"] == "AllergyIntolerance" and not _has_status(item, "verificationStatus", _GONE):
            text = _text(_mapping(item.get("code")))
            if text and not _has_status(item, "clinicalStatus", _PAST):
                reactions = [
                    _text(_mapping(manifestation))
                    for reaction in item.get("reaction", [])
                    for manifestation in reaction.get("manifestation", [])
                ]
                yield consultation.Allergy(
                    id=reference(item),
                    text=text,
                    atc=_code(item.get("code"), fhir_names.ATC),
                    reaction=", ".join(filter(None, reactions)) or None,
                )


def _conditions(record: list[Resource]) -> Iterator[consultation.Condition]:
    for item in record:
        if item["resourceType"] == "Condition" and not _has_status(item, "verificationStatus", _GONE):
            code = _code(item.get("code"), fhir_names.ICD_10_GM)
            text = _text(_mapping(item.get("code")))
            if code or text:
                yield consultation.Condition(id=reference(item), text=text or str(code), code=code)


def _observations(record: list[Resource]) -> Iterator[consultation.Observation]:
    for item in record:
        if item["resourceType"] == "Observation" and item.get("status") not in ("cancelled", "entered-in-error"):
            for part in (item, *item.get("component", [])):
                quantity = _mapping(part.get("valueQuantity"))
                name = _text(_mapping(part.get("code")))
                if name and isinstance(quantity.get("value"), int | Decimal):
                    yield consultation.Observation(
                        id=reference(item),
                        name=name,
                        value=Decimal(quantity["value"]),
                        unit=quantity.get("unit") or quantity.get("code"),
                        loinc=_code(part.get("code"), fhir_names.LOINC),
                        at=_day(item),
                    )


def _day(item: Resource) -> dt.date | None:
    for name in ("effectiveDateTime", "effectiveInstant", "issued"):
        moment = _moment(item.get(name))
        if moment is not None:
            return moment.date()
    moment = _moment(_mapping(item.get("effectivePeriod")).get("start"))
    return moment.date() if moment else None


def _has_status(item: Resource, name: str, codes: frozenset[str]) -> bool:
    return any(coding.get("code") in codes for coding in _mapping(item.get(name)).get("coding", []))


def _code(concept: object, system: str) -> str | None:
    codings = _mapping(concept).get("coding", [])
    return next((str(c["code"]) for c in codings if c.get("system") == system and c.get("code")), None)


def _text(concept: Resource) -> str:
    if concept.get("text"):
        return str(concept["text"])
    return next((str(c["display"]) for c in concept.get("coding", []) if c.get("display")), "")


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
