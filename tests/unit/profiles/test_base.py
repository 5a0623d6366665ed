"""`profiles.base`: each kind of fault with its exact FHIRPath, and no exception on any JSON."""

import copy
import json
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiles import base, primitives

DIV = '<div xmlns="http://www.w3.org/1999/xhtml"><p>Befund</p></div>'

ENCOUNTER: dict[str, Any] = {
    "resourceType": "Encounter",
    "id": "kontakt-1",
    "text": {"status": "generated", "div": DIV},
    "contained": [{"resourceType": "Practitioner", "id": "arzt", "name": [{"family": "Muster"}]}],
    "extension": [
        {"url": "http://example.org/grund", "valueString": "akut"},
        {"url": "http://example.org/arzt", "valueReference": {"reference": "#arzt"}},
    ],
    "status": "finished",
    "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
    "subject": {"reference": "Patient/p1"},
    "participant": [
        {"individual": {"reference": "#arzt"}, "period": {"start": "2024-02-01", "end": "2024-02-01"}},
    ],
    "period": {"start": "2024-02-01T09:00:00+01:00", "end": "2024-02-01T09:30:00+01:00"},
    "length": {"value": Decimal("30.0"), "unit": "min"},
}
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "active": True,
    "name": [
        {
            "family": "Muster",
            "given": ["Anna", None],
            "_given": [None, {"extension": [{"url": "http://example.org/fehlt", "valueCode": "masked"}]}],
        }
    ],
    "birthDate": "1980-02-29",
    "_birthDate": {"extension": [{"url": "http://example.org/zeit", "valueDateTime": "1980-02-29T10:00:00Z"}]},
    "deceasedBoolean": False,
    "multipleBirthInteger": 2,
}
OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"text": "Gewicht"},
    "valueQuantity": {"value": Decimal("71.50"), "unit": "kg"},
}
REQUEST: dict[str, Any] = {
    "resourceType": "MedicationRequest",
    "status": "active",
    "intent": "order",
    "medicationCodeableConcept": {"text": "Ramipril 5 mg"},
    "subject": {"reference": "urn:uuid:0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"},
}
CONDITION: dict[str, Any] = {
    "resourceType": "Condition",
    "clinicalStatus": {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]
    },
    "subject": {"reference": "https://ehr.example.org/fhir/Patient/p1/_history/2"},
}


def changed(resource: dict[str, Any], change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    result = copy.deepcopy(resource)
    change(result)
    return result


def put(**members: Any) -> Callable[[dict[str, Any]], object]:
    """Set members of the resource; `class_` and the like lose their underscore at the end."""
    return lambda resource: resource.update({name.rstrip("_"): value for name, value in members.items()})


def drop(name: str) -> Callable[[dict[str, Any]], object]:
    return lambda resource: resource.pop(name)


def found(resource: object, at: str | None = None) -> list[tuple[str, str]]:
    return [(fault.expression, fault.code) for fault in base.faults(resource, at=at) if fault.severity == "error"]


@pytest.mark.parametrize(
    "resource", [ENCOUNTER, PATIENT, OBSERVATION, REQUEST, CONDITION], ids=lambda r: r["resourceType"]
)
def test_clean(resource: dict[str, Any]) -> None:
    assert base.faults(resource) == []
    encoded = msgspec.json.Encoder(decimal_format="number").encode(resource)
    assert base.faults(msgspec.json.Decoder(float_hook=Decimal).decode(encoded)) == []


EXTENSION = {"url": "http://example.org/x"}
REFERS = EXTENSION | {"valueReference": {"reference": "#a"}}


def nested(levels: int) -> dict[str, Any]:
    extension: dict[str, Any] = EXTENSION | {"valueBoolean": True}
    for _ in range(levels):
        extension = EXTENSION | {"extension": [extension]}
    return extension


FAULTS: list[tuple[str, dict[str, Any], Callable[[dict[str, Any]], object], list[tuple[str, str]]]] = [
    # structure
    ("unknown element", ENCOUNTER, put(colour="blue"), [("Encounter.colour", "structure")]),
    ("unknown name that is no name", ENCOUNTER, put(**{"Anna Muster": 1}), [("Encounter", "structure")]),
    ("unknown element deep", ENCOUNTER, lambda r: r["participant"][0].update(who=1),
     [("Encounter.participant[0].who", "structure")]),
    ("DSTU2 comments", PATIENT, put(fhir_comments=["x"]), [("Patient", "structure")]),
    ("R4B only", PATIENT, put(extension=[EXTENSION | {"valueRatioRange": {"denominator": {"value": 1}}}]),
     [("Patient.extension[0].valueRatioRange", "structure")]),
    ("resourceType in an element", ENCOUNTER, lambda r: r["period"].update(resourceType="Period"),
     [("Encounter.period.resourceType", "structure")]),
    ("array for single", ENCOUNTER, put(subject=[{"reference": "Patient/1"}]), [("Encounter.subject", "structure")]),
    ("array for single primitive", ENCOUNTER, put(status=["finished"]), [("Encounter.status", "structure")]),
    ("single for array", ENCOUNTER, put(participant={"type": []}), [("Encounter.participant", "structure")]),
    ("object for primitive", ENCOUNTER, put(status={}), [("Encounter.status", "structure")]),
    ("empty array", ENCOUNTER, put(participant=[]), [("Encounter.participant", "structure")]),
    ("empty object", ENCOUNTER, put(subject={}), [("Encounter.subject", "structure")]),
    ("empty object in array", ENCOUNTER, put(participant=[{}]), [("Encounter.participant[0]", "structure")]),
    ("only an id", ENCOUNTER, put(subject={"id": "a"}), [("Encounter.subject", "structure")]),
    ("empty string", PATIENT, lambda r: r["name"][0].update(family=""), [("Patient.name[0].family", "value")]),
    ("null", ENCOUNTER, put(subject=None), [("Encounter.subject", "structure")]),
    ("null primitive", PATIENT, put(active=None), [("Patient.active", "structure")]),
    ("null in array of objects", ENCOUNTER, put(participant=[None]), [("Encounter.participant[0]", "structure")]),
    ("null without sibling", PATIENT, put(name=[{"given": ["Anna", None]}]),
     [("Patient.name[0].given[1]", "structure")]),
    ("null on both sides", PATIENT, put(name=[{"given": ["Anna", None], "_given": [{"id": "a"}, None]}]),
     [("Patient.name[0].given[1]", "structure")]),
    ("sibling too short", PATIENT, put(name=[{"given": ["Anna", "Maria"], "_given": [{"id": "a"}]}]),
     [("Patient.name[0].given", "structure")]),
    ("sibling without array", PATIENT, put(name=[{"given": ["Anna"], "_given": {"id": "a"}}]),
     [("Patient.name[0].given", "structure")]),
    ("sibling with nothing", PATIENT, put(name=[{"_given": [None]}]), [("Patient.name[0].given[0]", "structure")]),
    ("sibling of a complex type", ENCOUNTER, put(_subject={"id": "a"}), [("Encounter._subject", "structure")]),
    ("sibling with more", PATIENT, put(_birthDate={"value": 1, "id": "a"}), [("Patient.birthDate.value", "structure")]),
    ("sibling empty", PATIENT, put(_birthDate={}), [("Patient.birthDate", "structure")]),
    ("sibling with an id only", REQUEST, put(_doNotPerform={"id": "a"}),
     [("MedicationRequest.doNotPerform", "structure")]),
    ("sibling's extension", PATIENT, put(_birthDate={"extension": [{"valueCode": "x"}]}),
     [("Patient.birthDate.extension[0].url", "required")]),
    # cardinality and choices
    ("required primitive", ENCOUNTER, drop("status"), [("Encounter.status", "required")]),
    ("required complex", ENCOUNTER, drop("class"), [("Encounter.class", "required")]),
    ("required in backbone", ENCOUNTER, put(location=[{"status": "active"}]),
     [("Encounter.location[0].location", "required")]),
    ("required choice", REQUEST, drop("medicationCodeableConcept"), [("MedicationRequest.medication", "required")]),
    ("two choices", OBSERVATION, put(valueString="x"), [("Observation.value", "structure")]),
    ("two choices by sibling", OBSERVATION, put(_valueString={"extension": [EXTENSION | {"valueCode": "x"}]}),
     [("Observation.value", "structure")]),
    ("choice of another type", OBSERVATION, put(valueAddress={"city": "Ulm"}),
     [("Observation.valueAddress", "structure")]),
    ("fault within a choice", OBSERVATION, put(valueQuantity={"value": "71"}),
     [("Observation.value.value", "structure")]),
    # primitives
    ("boolean", PATIENT, put(active="true"), [("Patient.active", "structure")]),
    ("number for string", PATIENT, lambda r: r["name"][0].update(family=7), [("Patient.name[0].family", "structure")]),
    ("integer", PATIENT, put(multipleBirthInteger=True), [("Patient.multipleBirth", "structure")]),
    ("integer range", PATIENT, put(multipleBirthInteger=2**31), [("Patient.multipleBirth", "value")]),
    ("decimal for integer", PATIENT, put(multipleBirthInteger=Decimal("2.0")),
     [("Patient.multipleBirth", "structure")]),
    ("id", PATIENT, put(id="a/b"), [("Patient.id", "value")]),
    ("id length", PATIENT, put(id="a" * 65), [("Patient.id", "value")]),
    ("no such day", PATIENT, put(birthDate="2023-02-29"), [("Patient.birthDate", "value")]),
    ("dateTime for date", PATIENT, put(birthDate="2024-01-01T00:00:00Z"), [("Patient.birthDate", "value")]),
    ("no zone", ENCOUNTER, put(period={"start": "2024-01-01T10:00:00"}), [("Encounter.period.start", "value")]),
    ("uri", ENCOUNTER, put(implicitRules="a b"), [("Encounter.implicitRules", "value")]),
    ("positiveInt", ENCOUNTER, put(diagnosis=[{"condition": {"display": "x"}, "rank": 0}]),
     [("Encounter.diagnosis[0].rank", "value")]),
    ("array of primitives", PATIENT, lambda r: r["name"][0].update(prefix=["Dr.", 3]),
     [("Patient.name[0].prefix[1]", "structure")]),
    # bindings
    ("code", ENCOUNTER, put(status="done"), [("Encounter.status", "code-invalid")]),
    ("code of R5", ENCOUNTER, put(status="completed"), [("Encounter.status", "code-invalid")]),
    ("code in array", ENCOUNTER, put(statusHistory=[{"status": "x", "period": {"start": "2024"}}]),
     [("Encounter.statusHistory[0].status", "code-invalid")]),
    ("concept", CONDITION, put(clinicalStatus={"coding": [{"system": "http://x.example", "code": "active"}]}),
     [("Condition.clinicalStatus", "code-invalid")]),
    ("concept with text only", CONDITION, put(clinicalStatus={"text": "akut"}),
     [("Condition.clinicalStatus", "code-invalid")]),
    # references
    ("target", ENCOUNTER, put(subject={"reference": "Practitioner/1"}), [("Encounter.subject.reference", "invalid")]),
    ("target with version", ENCOUNTER, put(subject={"reference": "Device/1/_history/3"}),
     [("Encounter.subject.reference", "invalid")]),
    ("absolute target", ENCOUNTER, put(subject={"reference": "http://ehr.example/fhir/Device/1"}),
     [("Encounter.subject.reference", "invalid")]),
    ("conditional target", ENCOUNTER, put(subject={"reference": "Device?identifier=1"}),
     [("Encounter.subject.reference", "invalid")]),
    ("target's type", ENCOUNTER, put(subject={"type": "Device", "display": "x"}),
     [("Encounter.subject.type", "invalid")]),
    ("target's type as URL", ENCOUNTER,
     put(subject={"type": "http://hl7.org/fhir/StructureDefinition/Device", "display": "x"}),
     [("Encounter.subject.type", "invalid")]),
    ("type against reference", ENCOUNTER, put(subject={"type": "Group", "reference": "Patient/1"}),
     [("Encounter.subject.reference", "invalid")]),
    ("contained target", ENCOUNTER, put(subject={"reference": "#arzt"}), [("Encounter.subject.reference", "invalid")]),
    ("nothing contained", ENCOUNTER, put(subject={"reference": "#x"}), [("Encounter.subject.reference", "invariant")]),
    ("reference syntax", ENCOUNTER, put(subject={"reference": "p1"}), [("Encounter.subject.reference", "value")]),
    ("reference to no type", ENCOUNTER, put(subject={"reference": "Mensch/1"}),
     [("Encounter.subject.reference", "value")]),
    ("reference with space", ENCOUNTER, put(subject={"reference": "Patient/1 2"}),
     [("Encounter.subject.reference", "value")]),
    ("R4B's wider target", OBSERVATION, put(subject={"reference": "Procedure/1"}),
     [("Observation.subject.reference", "invalid")]),
    # contained resources
    ("contained without id", PATIENT, put(contained=[{"resourceType": "Basic", "code": {"text": "x"}}]),
     [("Patient.contained[0].id", "required")]),
    ("contained in contained", PATIENT,
     put(contained=[{"resourceType": "Device", "id": "a", "contained": [{"resourceType": "Device", "id": "b"}]}],
         extension=[REFERS]),
     [("Patient.contained[0].contained", "invariant")]),
    ("contained with version", PATIENT,
     put(contained=[{"resourceType": "Device", "id": "a", "meta": {"versionId": "1"}}], extension=[REFERS]),
     [("Patient.contained[0].meta.versionId", "invariant")]),
    ("contained with a security label", PATIENT,
     put(contained=[{"resourceType": "Device", "id": "a", "meta": {"security": [{"code": "R"}]}}], extension=[REFERS]),
     [("Patient.contained[0].meta.security", "invariant")]),
    ("contained of an unknown type", PATIENT,
     put(contained=[{"resourceType": "Mensch", "id": "a"}], extension=[REFERS]), [("Patient.contained[0]", "value")]),
    ("contained with an id in use", PATIENT,
     put(contained=[{"resourceType": "Device", "id": "a"}, {"resourceType": "Group", "id": "a", "type": "person",
                                                            "actual": True}], extension=[REFERS]),
     [("Patient.contained[1].id", "invalid")]),
    ("contained for nothing", PATIENT, put(contained=[{"resourceType": "Device", "id": "b"}]),
     [("Patient.contained[0]", "invariant")]),
    ("container of the wrong type", PATIENT,
     put(contained=[{"resourceType": "Account", "id": "a", "status": "active", "owner": {"reference": "#"}}],
         extension=[REFERS]),
     [("Patient.contained[0].owner.reference", "invalid")]),
    ("fault in contained", PATIENT,
     put(contained=[{"resourceType": "Device", "id": "a", "status": "x"}], extension=[REFERS]),
     [("Patient.contained[0].status", "code-invalid")]),
    ("contained without type", PATIENT, put(contained=[{"id": "a"}], extension=[REFERS]),
     [("Patient.contained[0]", "structure")]),
    # extensions
    ("no url", PATIENT, put(extension=[{"valueCode": "x"}]), [("Patient.extension[0].url", "required")]),
    ("no value", PATIENT, put(extension=[EXTENSION]), [("Patient.extension[0]", "invariant")]),
    ("value and nested", PATIENT,
     put(extension=[EXTENSION | {"valueCode": "x", "extension": [EXTENSION | {"valueCode": "y"}]}]),
     [("Patient.extension[0]", "invariant")]),
    ("nested", PATIENT, put(extension=[EXTENSION | {"extension": [EXTENSION]}]),
     [("Patient.extension[0].extension[0]", "invariant")]),
    ("depth", PATIENT, put(extension=[nested(80)]), [("Patient" + ".extension[0]" * 61, "structure")]),
    # Period and Narrative
    ("period", ENCOUNTER, put(period={"start": "2024-02-02", "end": "2024-02-01"}),
     [("Encounter.period", "invariant")]),
    ("narrative status", ENCOUNTER, put(text={"status": "new", "div": DIV}),
     [("Encounter.text.status", "code-invalid")]),
    ("narrative without div", ENCOUNTER, put(text={"status": "empty"}), [("Encounter.text.div", "required")]),
    ("script", ENCOUNTER, put(text={"status": "generated", "div": DIV.replace("p>", "script>")}),
     [("Encounter.text.div", "invariant")]),
    # ids of elements
    ("element id", ENCOUNTER, lambda r: r["subject"].update(id="a b"), [("Encounter.subject.id", "value")]),
    ("element id twice", ENCOUNTER, lambda r: (r["subject"].update(id="a"), r["period"].update(id="a")),
     [("Encounter.period.id", "invalid")]),
    ("element id twice, of a primitive", PATIENT,
     lambda r: (r["name"][0].update(id="a"), r["_birthDate"].update(id="a")), [("Patient.birthDate.id", "invalid")]),
    ("version id", ENCOUNTER, put(meta={"versionId": "a b"}), [("Encounter.meta.versionId", "value")]),
    ("modifierExtension of a data type", ENCOUNTER,
     lambda r: r["period"].update(modifierExtension=[EXTENSION | {"valueCode": "x"}]),
     [("Encounter.period.modifierExtension", "structure")]),
    ("modifierExtension without a value", ENCOUNTER, put(modifierExtension=[EXTENSION]),
     [("Encounter.modifierExtension[0]", "invariant")]),
    # numbers
    ("decimal too large", OBSERVATION, put(valueQuantity={"value": Decimal("1E+401")}),
     [("Observation.value.value", "value")]),
    ("integer as decimal too large", OBSERVATION, put(valueQuantity={"value": 10**5000}),
     [("Observation.value.value", "value")]),
    ("not a number", OBSERVATION, put(valueQuantity={"value": float("nan")}),
     [("Observation.value.value", "structure")]),
    # references
    *((f"reference {text!r}", ENCOUNTER, put(subject={"reference": text}), [("Encounter.subject.reference", "value")])
      for text in ("Patient/", "Patient/a b", "/Patient/1", "Patient/1 ", " Patient/1", "Patient/1/", "patient/1",
                   "Patient/1/_history/", "Patient/1#a", "Patient", "http://", "urn:", "Patient/ä", "../Patient/1")),
    # codes of other standards
    ("mime type", PATIENT, put(photo=[{"contentType": "png"}]), [("Patient.photo[0].contentType", "value")]),
    ("currency", PATIENT, put(extension=[EXTENSION | {"valueMoney": {"value": 1, "currency": "euro"}}]),
     [("Patient.extension[0].value.currency", "value")]),
    ("code behind a control character", PATIENT, put(gender="male\x01"), [("Patient.gender", "code-invalid")]),
    ("base64", PATIENT, put(photo=[{"contentType": "image/png", "data": "QQ="}]), [("Patient.photo[0].data", "value")]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("resource", "change", "expected"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS]
)
def test_fault(
    resource: dict[str, Any], change: Callable[[dict[str, Any]], object], expected: list[tuple[str, str]]
) -> None:
    assert found(changed(resource, change)) == expected


@pytest.mark.parametrize(
    ("change", "resource"),
    [
        (put(_status={"extension": [EXTENSION | {"valueCode": "unknown"}]}), ENCOUNTER),
        (put(subject={"reference": "urn:oid:1.2.3"}), ENCOUNTER),
        (put(subject={"reference": "https://portal.example/akte?id=7"}), ENCOUNTER),
        (put(subject={"identifier": {"value": "7"}, "type": "Patient"}), ENCOUNTER),
        (put(subject={"reference": "Patient?identifier=https://x.example|7"}), ENCOUNTER),
        (put(period={"start": "2024", "end": "2024-01"}), ENCOUNTER),
        (put(extension=[EXTENSION | {"valueMeta": {"versionId": "1"}}]), PATIENT),
        (put(extension=[EXTENSION | {"_valueCode": {"extension": [EXTENSION | {"valueCode": "masked"}]}}]), PATIENT),
        (put(status="entered-in-error"), OBSERVATION),
        (put(valueQuantity={"value": 71}), OBSERVATION),
        (put(clinicalStatus={"extension": [EXTENSION | {"valueCode": "masked"}]}), CONDITION),
        (put(modifierExtension=[EXTENSION | {"valueCode": "x"}], implicitRules="http://example.org/rules"), PATIENT),
        (put(instantiatesCanonical=["http://example.org/PlanDefinition/a|1.0#b"]), REQUEST),
        (put(photo=[{"contentType": "image/png; a=b", "data": "QU JD\nQUJD"}]), PATIENT),
        (put(contained=[{"resourceType": "Device", "id": "a"}], extension=[EXTENSION | {"valueUri": "#a"}]), PATIENT),
        (put(contained=[{"resourceType": "Provenance", "id": "a", "recorded": "2024-02-01T10:00:00Z",
                         "target": [{"reference": "#"}], "agent": [{"who": {"display": "Praxis"}}]}]), PATIENT),
        (lambda r: (r["subject"].update(id="a"), r["contained"][0]["name"][0].update(id="a")), ENCOUNTER),
        (put(valueQuantity={"value": Decimal("1E-300")}), OBSERVATION),
    ],
)  # fmt: skip
def test_legal(change: Callable[[dict[str, Any]], object], resource: dict[str, Any]) -> None:
    assert found(changed(resource, change)) == []


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "structure"),
        ([], "structure"),
        ("Patient", "structure"),
        ({}, "structure"),
        ({"resourceType": 5}, "structure"),
        ({"resourceType": "Mensch"}, "value"),
        ({"resourceType": "SubscriptionTopic"}, "value"),
        ({"resourceType": "Evidence"}, "not-supported"),
    ],
)
def test_no_checkable_resource(value: object, code: str) -> None:
    assert found(value) == [("Resource", code)]
    assert found(value, "Bundle.entry[3].resource") == [("Bundle.entry[3].resource", code)]


def test_at_replaces_the_type() -> None:
    wrong = changed(ENCOUNTER, put(status="done"))
    assert found(wrong, "Bundle.entry[3].resource") == [("Bundle.entry[3].resource.status", "code-invalid")]


def test_bundle_and_parameters_hold_resources() -> None:
    entry = {"resource": changed(ENCOUNTER, put(subject={"reference": "#arzt"}))}
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": PATIENT}, entry]}
    assert found(bundle) == [("Bundle.entry[1].resource.subject.reference", "invalid")]
    parameters = {"resourceType": "Parameters", "parameter": [{"name": "r", "resource": {"resourceType": "Patient"}}]}
    assert found(parameters) == []


def test_a_bundle_entry_sees_its_own_contained_resources_only() -> None:
    borrowed = changed(ENCOUNTER, drop("contained"))
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": ENCOUNTER}, {"resource": borrowed}],
    }
    assert found(bundle) == [
        ("Bundle.entry[1].resource.extension[1].value.reference", "invariant"),
        ("Bundle.entry[1].resource.participant[0].individual.reference", "invariant"),
    ]


def test_texts_name_the_rule_and_never_the_value() -> None:
    secret = "Geheimnis"
    wrong = changed(
        PATIENT,
        put(
            birthDate=secret,
            id=f"{secret}!",
            gender=secret,
            generalPractitioner=[{"reference": secret}],
            **{f"{secret} x": 1},
        ),
    )
    faults = base.faults(wrong)
    assert len(faults) == 5
    assert all(secret not in fault.text and secret not in fault.expression for fault in faults)
    gender = next(fault for fault in faults if fault.code == "code-invalid")
    assert gender.text == "Patient.gender must be a code of its required ValueSet: female, male, other, unknown."


def test_at_most_as_many_faults_as_anyone_reads() -> None:
    assert len(base.faults({"resourceType": "Patient"} | {f"x{n}": n for n in range(5000)})) == base.MAX_FAULTS


def test_warnings_never_keep_an_error_out() -> None:
    given = [{"given": ["a\x01"] * 900}]
    faults = base.faults({"resourceType": "Patient", "name": given, "gender": "x"})
    assert [fault.severity for fault in faults] == ["warning"] * base.MAX_WARNINGS + ["error"]


def test_reference_targets() -> None:
    assert base.reference_targets("Encounter", "subject") == {"Patient", "Group"}
    assert base.reference_targets("Encounter", "participant.individual") == {
        "Practitioner", "PractitionerRole", "RelatedPerson",
    }  # fmt: skip
    assert base.reference_targets("Observation", "subject") == {"Patient", "Group", "Device", "Location"}
    assert base.reference_targets("MedicationRequest", "medication") == {"Medication"}
    assert base.reference_targets("MedicationRequest", "medicationReference") == {"Medication"}
    assert base.reference_targets("Provenance", "target") == frozenset()
    assert base.reference_targets("Encounter", "status") == frozenset()
    with pytest.raises(LookupError):
        base.reference_targets("Encounter", "nothing")
    with pytest.raises(LookupError):
        base.reference_targets("Encounter", "status.nothing")
    with pytest.raises(LookupError):
        base.reference_targets("Mensch", "subject")


PRIMITIVES: list[tuple[str, list[object], list[object]]] = [
    ("boolean", [True, False], [1, 0, "true", None, []]),
    ("integer", [0, -(2**31), 2**31 - 1], [2**31, True, Decimal(1), "1", 1.0, 10**40]),
    ("unsignedInt", [0, 5], [-1, 2**31]),
    ("positiveInt", [1], [0, -1]),
    ("decimal", [1, Decimal("1.00"), Decimal("1E+9"), 0.5], ["1", True, None, Decimal("NaN"), float("inf")]),
    ("string", ["a", " a\r\n\tb ", "ä€😀"], ["", 1, "a\x00", "\ud800"]),
    ("markdown", ["# a\n\n* b"], ["", []]),
    ("code", ["a", "a b"], ["", " a", "a ", "a  b", "\n"]),
    ("id", ["a-B.9", "x" * 64], ["", "a_b", "ä", "x" * 65, "a\n"]),
    ("uri", ["urn:x", "http://a/b?c#d", "x"], ["", "a b", "\t"]),
    ("oid", ["urn:oid:1.2.276", "urn:oid:2.0"], ["1.2.3", "urn:oid:3.1", "urn:oid:1.02", "urn:oid:1"]),
    ("uuid", ["urn:uuid:c757873d-ec9a-4326-a141-556f43239520"], ["c757873d-ec9a-4326-a141-556f43239520", "urn:uuid:x"]),
    ("date", ["2024", "2024-02", "2024-02-29", "0001-01-01"],
     ["0000", "24", "2024-13", "2024-02-30", "2023-02-29", "1900-02-29", "2024-04-31", "2024-1-1", "２０２４",
      "2024-02-"]),
    ("dateTime", ["2024", "2024-02", "2024-02-29", "2024-02-29T23:59:60Z", "2024-01-01T00:00:00.123456789+14:00"],
     ["2024-02-31", "2024-01-01T10:00Z", "2024-01-01T10:00:00", "2024-01-01T24:00:00Z", "2024-01-01T10:00:00+14:30",
      "2024-01-01 10:00:00Z", "2024-02T10:00:00Z", "2024-01-01T10:00:00z"]),
    ("instant", ["2024-02-29T23:59:59.1-05:00"], ["2024-02-29", "2024-02-30T10:00:00Z", "2024"]),
    ("time", ["00:00:00", "23:59:60.5"], ["24:00:00", "10:00", "10:00:00Z"]),
    ("base64Binary", ["QQ==", "QUJD", "QU JD\nQUJD"], ["", "Q", "QQ", "QQ=", "====", "Q-_=", "QQ==QQ==", "ä", "    "]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "right", "wrong"), PRIMITIVES, ids=[row[0] for row in PRIMITIVES])
def test_primitive(name: str, right: list[object], wrong: list[object]) -> None:
    check = primitives.CHECKS[name]
    assert [value for value in right if check(value) is not None] == []
    assert [value for value in wrong if check(value) is None] == []


@pytest.mark.parametrize(
    ("change", "expression"),
    [
        (put(name=[{"text": "a\x0bb"}]), "Patient.name[0].text"),
        (put(name=[{"text": " \t"}]), "Patient.name[0].text"),
        (put(identifier=[{"system": "urn:oid:1.02.3", "value": "1"}]), "Patient.identifier[0].system"),
        (put(identifier=[{"system": "urn:uuid:1", "value": "1"}]), "Patient.identifier[0].system"),
        (put(generalPractitioner=[{"reference": "urn:uuid:1"}]), "Patient.generalPractitioner[0].reference"),
        (put(text={"status": "generated", "div": DIV.replace("Befund", '<img src="https://x.example/1.png"/>')}),
         "Patient.text.div"),
    ],
    ids=["control character", "white space", "OID", "UUID", "UUID in a reference", "image from elsewhere"],
)  # fmt: skip
def test_a_warning(change: Callable[[dict[str, Any]], object], expression: str) -> None:
    (fault,) = base.faults(changed(PATIENT, change))
    assert (fault.expression, fault.severity) == (expression, "warning")


def test_what_r4s_own_examples_point_to_is_a_warning() -> None:
    (fault,) = base.faults(changed(OBSERVATION, put(performer=[{"reference": "Encounter/1"}])))
    assert (fault.expression, fault.severity) == ("Observation.performer[0].reference", "warning")
    assert found(changed(OBSERVATION, put(performer=[{"reference": "Device/1"}]))) == [
        ("Observation.performer[0].reference", "invalid")
    ]


def div(content: str, attributes: str = ' xmlns="http://www.w3.org/1999/xhtml"') -> str:
    return f"<div{attributes}>{content}</div>"


@pytest.mark.parametrize(
    "text",
    [
        div("a"),
        "\n" + div("a"),
        div('<p class="x" style="color: red">a<br/></p>'),
        div('<img src="data:image/png;base64,QQ==" alt="x"/>'),
        div('<a href="https://example.org">a</a> &lt; &#228; <!-- c -->'),
        div("a", ' xmlns="http://www.w3.org/1999/xhtml" xml:lang="de" lang="de"'),
        div('<span title="data: and javascript: are words">a</span>'),
        div('<a href="mailto:praxis@example.org">a</a><a href="#x">b</a><a name="x">c</a><a href="Patient/1">d</a>'),
        div('<img src="#bild" alt="x"/><img src="Binary/1"/><img src="DATA:image/png;base64,QQ=="/>'),
        div('<table border="1"><tr><td colspan="2" nowrap="nowrap" style="width: 50%">a</td></tr></table>'),
        div('<p style="background: url(#bild) url(data:image/png;base64,QQ==) /* url */">a</p>'),
        div('<kbd>a</kbd><address xml:space="preserve">b</address><bdo dir="rtl">c</bdo>'),
    ],
)
def test_narrative(text: str) -> None:
    assert primitives.CHECKS["xhtml"](text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "text",
        "<p>a</p>",
        "<div>a</div>",
        div("a", ' xmlns="http://www.w3.org/2000/svg"'),
        "<divan xmlns='http://www.w3.org/1999/xhtml'>a</divan>",
        div("<p>a"),
        div("&nbsp;"),
        div("a") + "b",
        div("<?php x ?>a"),
        div("  <p/> "),
        '<!DOCTYPE div [<!ENTITY a "b">]>' + div("&a;"),
        div("a<script>1</script>"),
        div("a<SCRIPT>1</SCRIPT>"),
        div('a<h:script xmlns:h="http://www.w3.org/1999/xhtml">1</h:script>'),
        div('a<iframe src="https://example.org"/>'),
        div("a<object/>"),
        div("a<embed/>"),
        div("a<form/>"),
        div('<p onclick="x()">a</p>'),
        div('<p OnClick="x()">a</p>'),
        div('<a href="javascript:x()">a</a>'),
        div('<a href=" Java&#10;Script:x()">a</a>'),
        div('<a href="data:text/html,x">a</a>'),
        div('<img src="data:image/svg+xml,x"/>'),
        div('<p style="background: url( javascript:x )">a</p>'),
        div("\ud800"),
        div("\x00"),
        div("<u>a</u>"),
        div("<ins>a</ins>"),
        div("<font>a</font>"),
        div("<section>a</section>"),
        div('a<x xmlns="urn:x"/>'),
        div('<p data-x="1">a</p>'),
        div('<a href="#a" target="_blank">a</a>'),
        div('<p xlink:href="x" xmlns:xlink="http://www.w3.org/1999/xlink">a</p>'),
        div('<p xml:base="http://x.example/">a</p>'),
        div('<table background="http://x.example/1.png"><tr><td>a</td></tr></table>'),
        div("<img/>"),
        div('<img src="//x.example/1.png"/>'),
        div('<img src="\\\\x.example/1.png"/>'),
        div('<img src="ftp://x.example/1.png"/>'),
        div('<img src="file:///etc/passwd"/>'),
        div('<img srcset="http://x.example/1.png 2x" src="#a"/>'),
        div('<p style="background: url(http://x.example/1.png)">a</p>'),
        div("<p style=\"background: URL( '//x.example/1.png')\">a</p>"),
        div('<p style="background: \\75 rl(http://x.example/1.png)">a</p>'),
        div('<p style="background: u\\r\\l(x.png)">a</p>'),
        div("<p style=\"background: image-set('x.png' 1x)\">a</p>"),
        div('<p style="width: expr/**/ession(alert(1))">a</p>'),
        div('<p style="behavior: url(#default)">a</p>'),
        div('<p style="list-style: url(data:image/svg+xml,x)">a</p>'),
        7,
        None,
    ],
)
def test_harmful_or_broken_narrative(text: object) -> None:
    problem = primitives.CHECKS["xhtml"](text)
    assert problem is not None
    assert problem.severity == "error"


@pytest.mark.parametrize(
    ("start", "end", "right"),
    [
        ("2024", "2023", False),
        ("2024-03", "2024", True),
        ("2024-03", "2024-02-29", False),
        ("2024-01-01", "2024-01-01", True),
        ("2024-01-01T10:00:00Z", "2024-01-01T09:59:59Z", False),
        ("2024-01-01T10:00:00+01:00", "2024-01-01T09:30:00Z", True),
        ("2024-01-01T23:59:60Z", "2024-01-02T00:00:00Z", True),
        ("2024-02-01", "2024-01-31T23:30:00Z", True),
        ("2024-02-01", "2024-01-30T23:30:00Z", False),
        ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", True),
        ("x", "2024", True),
        (None, "2024", True),
    ],
)
def test_period_order(start: object, end: object, right: bool) -> None:
    assert primitives.in_order(start, end) is right


def test_deep_nesting_is_a_fault_and_no_recursion_error() -> None:
    resource: dict[str, Any] = {"resourceType": "Patient"}
    for _ in range(3000):
        resource = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": resource}]}
    faults = base.faults(resource)
    assert [fault.code for fault in faults] == ["structure"]
    assert faults[0].expression.count("entry") <= base.MAX_DEPTH


def spots(holder: dict[str, Any] | list[Any]) -> Iterator[tuple[Any, Any]]:
    """Each object or array with each of its keys, all levels down."""
    items: Iterable[tuple[Any, Any]] = holder.items() if isinstance(holder, dict) else enumerate(holder)
    for key, item in items:
        yield holder, key
        if type(item) in (dict, list):
            yield from spots(item)


NAMES = st.sampled_from(
    """resourceType id meta text div status contained extension url valueString _valueString valueReference reference
    type participant period start end name given _given birthDate _birthDate entry resource subject code coding system
    value deceasedBoolean multipleBirthInteger class""".split()  # noqa: SIM905
)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.decimals(),
    st.floats(),
    st.text(),
    st.sampled_from(["Patient", "Encounter", "Bundle", "Patient/1", "#a", DIV, "2024-02-31", "0000", "finished"]),
)
JSON = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(), inner, max_size=6),
    max_leaves=40,
)
CODES = {"structure", "required", "value", "invariant", "invalid", "code-invalid", "not-supported"}
MEMBERS = st.dictionaries(NAMES, JSON, max_size=6)


@given(JSON, MEMBERS, st.sampled_from(["Patient", "Encounter", "Bundle", "Observation", "Parameters", "Questionnaire"]))
@settings(max_examples=400, deadline=None)
def test_never_raises(value: Any, members: dict[str, Any], resource_type: str) -> None:
    base.faults(value)
    base.faults({"resourceType": resource_type} | members)
    base.faults({"resourceType": resource_type, "extension": value, "contained": value, "entry": value, "name": value})


@given(st.sampled_from([ENCOUNTER, PATIENT, OBSERVATION, REQUEST, CONDITION]), st.data())
@settings(max_examples=300, deadline=None)
def test_never_raises_on_a_damaged_resource(resource: dict[str, Any], data: st.DataObject) -> None:
    damaged = copy.deepcopy(resource)
    holder, key = data.draw(st.sampled_from(list(spots(damaged))))
    holder[key] = data.draw(JSON)
    for fault in base.faults(damaged):
        assert fault.code in CODES
        assert fault.severity in {"error", "warning"}


def test_fault_is_plain_data() -> None:
    (fault,) = base.faults({"resourceType": "Basic"})
    assert json.dumps([fault.expression, fault.code, fault.severity]) == '["Basic.code", "required", "error"]'
    assert fault.text == "Basic.code is required."
