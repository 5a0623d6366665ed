"""`profiles.validation`: each rule of a profile on an invented package, then the published German packages."""

import copy
import json
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiles import base, package
from profiles.base import Fault
from profiles.validation import Profiles, UnknownProfile
from tests.support import SHARED

Json = dict[str, Any]
U = "https://example.org/"
HL7 = "http://hl7.org/fhir/StructureDefinition/"


def element(name: str, low: int = 0, high: str = "*", **more: Any) -> Json:
    """An ElementDefinition by its id; `base` is that of an element which R4 leaves open."""
    path = ".".join(step.partition(":")[0] for step in name.split("."))
    sliced = name.rpartition(".")[2].partition(":")[2]
    types = [{"code": code} if isinstance(code, str) else code for code in more.pop("types", [])]
    origin = {"base": {"path": more.pop("origin", path), "min": 0, "max": more.pop("open", "*")}}
    named = {"sliceName": sliced} if sliced else {}
    return {"id": name, "path": path, "min": low, "max": high, "type": types, **origin, **named, **more}


def sliced(*discriminators: tuple[str, str], rules: str = "open", ordered: bool = False) -> Json:
    listed = [{"type": kind, "path": path} for kind, path in discriminators]
    return {"discriminator": listed, "rules": rules, "ordered": ordered}


def profile(name: str, kind: str, *elements: Json, version: str = "1.0.0") -> Json:
    return {
        "resourceType": "StructureDefinition",
        "url": U + name,
        "version": version,
        "name": name,
        "fhirVersion": "4.0.1",
        "kind": "resource" if kind in base.known_types() else "complex-type",
        "type": kind,
        "derivation": "constraint",
        "snapshot": {"element": [element(kind), *elements]},
    }


def coding(code: str, system: str = f"{U}cs") -> Json:
    return {"system": system, "code": code}


def value_set(name: str, *include: Json, exclude: tuple[Json, ...] = ()) -> Json:
    compose = {"include": list(include), "exclude": list(exclude)}
    return {"resourceType": "ValueSet", "url": U + name, "compose": compose}


def invariant(key: str, expression: str, severity: str = "error") -> list[Json]:
    return [{"key": key, "severity": severity, "human": f"the words of {key}", "expression": expression}]


def bound(name: str, strength: str = "required") -> Json:
    return {"strength": strength, "valueSet": U + name}


EXTENSION = profile(
    "extension",
    "Extension",
    element("Extension.url", 1, "1", fixedUri=f"{U}extension"),
    element("Extension.value[x]", 1, "1", types=["Coding"], open="1", binding=bound("vs")),
)
IDENTIFIER = profile(
    "identifier",
    "Identifier",
    element("Identifier.system", 1, "1", types=["uri"], patternUri=f"{U}number"),
    element("Identifier.value", 1, "1", types=["string"], constraint=invariant("num-1", "matches('^[0-9]+$')")),
)
PATIENT = profile(
    "patient",
    "Patient",
    element("Patient.identifier", 1, slicing=sliced(("value", "system")), types=["Identifier"]),
    element("Patient.identifier:number", 1, "1", types=[{"code": "Identifier", "profile": [f"{U}identifier"]}]),
    element("Patient.active", 1, "1", types=["boolean"], fixedBoolean=True, open="1"),
    element("Patient.name", 0, "1", types=["HumanName"]),
    element("Patient.name.family", 1, "1", types=["string"], maxLength=10),
    element(
        "Patient.name.family.extension",
        slicing=sliced(("value", "url")),
        types=["Extension"],
        origin="Element.extension",
    ),
    element(
        "Patient.name.family.extension:own",
        0,
        "1",
        types=[{"code": "Extension", "profile": [f"{U}extension"]}],
        origin="Element.extension",
    ),
    element("Patient.multipleBirth[x]", types=["integer"], open="1", constraint=invariant("pat-t5", "nonsense()")),
    element("Patient.photo", 0, "0", types=["Attachment"]),
    element("Patient.deceased[x]", types=["dateTime"], open="1"),
    element("Patient.maritalStatus", types=["CodeableConcept"], binding=bound("vs")),
    element("Patient.generalPractitioner", types=[{"code": "Reference", "targetProfile": [f"{U}doctor"]}]),
    element("Patient.managingOrganization", types=[{"code": "Reference", "targetProfile": [f"{HL7}Organization"]}]),
    element(
        "Patient.communication", slicing=sliced(("pattern", "language"), rules="closed"), types=["BackboneElement"]
    ),
    element("Patient.communication:one", 0, "1", types=["BackboneElement"]),
    element("Patient.communication:one.language", 1, "1", patternCodeableConcept={"coding": [coding("a")]}),
    element("Patient.communication:two", types=["BackboneElement"]),
    element("Patient.communication:two.language", 1, "1", patternCodeableConcept={"coding": [coding("b")]}),
    element("Patient.communication:two.preferred", 1, "1", types=["boolean"], open="1"),
)
PATIENT["snapshot"]["element"][0]["constraint"] = [
    *invariant(
        "pat-t1",
        "gender.exists() and gender = 'other' implies gender.extension('https://example.org/extension').exists()",
    ),
    *invariant("pat-t2", "name.family.exists() or telecom.exists()", "warning"),
    *invariant("pat-t3", "link.empty() or link.other.resolve().active"),
    *invariant("pat-t4", "birthDate.empty() or birthDate.toString().length() = 10"),
    *invariant("ele-1", "false"),
]
OBSERVATION = profile(
    "observation",
    "Observation",
    element("Observation.status", 1, "1", types=["code"], open="1", binding=bound("codes")),
    element("Observation.category", slicing=sliced(("exists", "text")), types=["CodeableConcept"]),
    element("Observation.category:worded", 1, "1", types=["CodeableConcept"]),
    element("Observation.category:worded.text", 1, "1", types=["string"], open="1"),
    element("Observation.category:coded", types=["CodeableConcept"]),
    element("Observation.category:coded.text", 0, "0", types=["string"], open="1"),
    element("Observation.category:coded.coding", 1, types=["Coding"], binding=bound("filtered")),
    element("Observation.focus", slicing=sliced(("type", "resolve()"), rules="openAtEnd"), types=["Reference"]),
    element("Observation.focus:patient", 0, "1", types=[{"code": "Reference", "targetProfile": [f"{HL7}Patient"]}]),
    element("Observation.value[x]", types=["Quantity", "string"], slicing=sliced(("type", "$this")), open="1"),
    element("Observation.value[x]:valueQuantity", 0, "1", types=["Quantity"], origin="Observation.value[x]"),
    element("Observation.value[x]:valueQuantity.unit", 1, "1", types=["string"], open="1"),
    element("Observation.value[x]:valueQuantity.value", types=["decimal"], open="1", minValueDecimal=0.5),
    element("Observation.interpretation", types=["CodeableConcept"], binding=bound("vs", "extensible")),
    element("Observation.derivedFrom", slicing=sliced(("profile", "resolve()")), types=["Reference"]),
    element("Observation.derivedFrom:numbered", 1, "1", types=[{"code": "Reference", "targetProfile": [f"{U}doctor"]}]),
    element("Observation.referenceRange", types=["BackboneElement"]),
    element("Observation.referenceRange.text", 1, "1", types=["string"], open="1"),
    element("Observation.component", types=["BackboneElement"], slicing=sliced(("value", "code.coding"), ordered=True)),
    element("Observation.component:first", types=["BackboneElement"]),
    element("Observation.component:first.code", 1, "1", types=["CodeableConcept"]),
    element("Observation.component:first.code.coding", 1, types=["Coding"]),
    element("Observation.component:first.code.coding.code", 1, "1", types=["code"], fixedCode="a"),
    element(
        "Observation.component:first.referenceRange",
        0,
        "1",
        contentReference=f"{HL7}Observation#Observation.referenceRange",
        origin="Observation.component.referenceRange",
    ),
    element("Observation.component:first/sub", 0, "1", types=["BackboneElement"]),
    element("Observation.component:first/sub.code", types=["CodeableConcept"]),
    element("Observation.component:first/sub.code.coding", types=["Coding"], patternCoding=coding("a", f"{U}sub")),
    element("Observation.component:second", types=["BackboneElement"]),
    element("Observation.component:second.code", 1, "1", types=["CodeableConcept"]),
    element("Observation.component:second.code.coding", types=["Coding"], binding=bound("codes")),
    element("Observation.component:vague", 0, "1", types=["BackboneElement"]),
)
DOCTOR = profile(
    "doctor", "Practitioner", element("Practitioner.identifier", 1, types=[{"code": "Identifier", "profile": [
        f"{U}identifier", f"{U}missing"]}]),
)  # fmt: skip
DOCTOR["snapshot"]["element"][1]["type"][0]["profile"] = [f"{U}identifier"]
BUNDLE = profile(
    "bundle",
    "Bundle",
    element("Bundle.entry", slicing=sliced(("type", "resource")), types=["BackboneElement"]),
    element("Bundle.entry:patient", 1, "1", types=["BackboneElement"]),
    element("Bundle.entry:patient.resource", 1, "1", types=[{"code": "Patient", "profile": [f"{U}patient"]}], open="1"),
)
MISSING = profile(
    "missing-parts",
    "Patient",
    element("Patient.name", types=[{"code": "HumanName", "profile": [f"{U}nowhere"]}]),
    element("Patient.contact.name", types=["HumanName"]),
)
MISSING["snapshot"]["element"].insert(2, element("Patient.contact", types=["BackboneElement"]))
DEFINITIONS = [
    EXTENSION,
    IDENTIFIER,
    PATIENT,
    OBSERVATION,
    DOCTOR,
    BUNDLE,
    MISSING,
    {**profile("patient", "Patient", element("Patient.photo", 1), version="0.9.0")},
    value_set("vs", {"system": f"{U}cs"}, exclude=({"system": f"{U}cs", "concept": [{"code": "old"}]},)),
    value_set("codes", {"system": f"{U}status", "concept": [{"code": "final"}, {"code": "b"}]}),
    value_set("filtered", {"system": f"{U}cs", "filter": [{"property": "p", "op": "=", "value": "v"}]}),
    {
        "resourceType": "CodeSystem",
        "url": f"{U}cs",
        "content": "complete",
        "concept": [{"code": "a", "concept": [{"code": "b"}]}, {"code": "old"}],
    },
]


@pytest.fixture(scope="module")
def profiles(tmp_path_factory: pytest.TempPathFactory) -> Profiles:
    folder = tmp_path_factory.mktemp("package")
    for number, definition in enumerate(DEFINITIONS):
        (folder / f"{number}.json").write_bytes(msgspec.json.encode(definition))
    loaded = package.load(folder)
    assert loaded.unusable == ()
    return Profiles([loaded])


NUMBER: Json = {"system": f"{U}number", "value": "123"}
PERSON: Json = {
    "resourceType": "Patient",
    "identifier": [{"system": f"{U}other"}, NUMBER],
    "active": True,
    "name": [{"family": "Muster"}],
}
VALUE: Json = {
    "resourceType": "Observation",
    "status": "final",
    "category": [{"text": "Labor"}],
    "code": {"text": "Gewicht"},
    "derivedFrom": [{"reference": "#d"}],
    "contained": [{"resourceType": "Practitioner", "id": "d", "identifier": [NUMBER]}],
    "valueQuantity": {"value": Decimal("71.5"), "unit": "kg"},
}
OWN: Json = {"url": f"{U}extension", "valueCoding": coding("a")}


def told(faults: list[Fault]) -> list[tuple[str, str, str]]:
    return [(fault.expression, fault.code, fault.severity) for fault in faults]


def test_what_conforms_has_no_fault(profiles: Profiles) -> None:
    assert profiles.faults(PERSON, f"{U}patient") == []
    assert profiles.faults(VALUE, f"{U}observation") == []


ERRORS: list[tuple[str, Json, list[tuple[str, str]]]] = [
    ("patient", {"identifier": [NUMBER, NUMBER]}, [("Patient.identifier", "structure")]),
    ("patient", {"identifier": [{"system": f"{U}other"}]}, [("Patient.identifier", "required")]),
    ("patient", {"identifier": []}, [("Patient.identifier", "required")] * 2),  # the element and its slice
    ("patient", {"identifier": [{"system": f"{U}number"}]}, [("Patient.identifier[0].value", "required")]),
    ("patient", {"identifier": [{**NUMBER, "value": "x"}]}, [("Patient.identifier[0].value", "invariant")]),
    ("patient", {"active": None}, [("Patient.active", "required")]),
    ("patient", {"active": False}, [("Patient.active", "value")]),
    ("patient", {"name": [{"family": "A"}, {"family": "B"}]}, [("Patient.name", "structure")]),
    ("patient", {"name": [{"text": "A"}], "telecom": [{}]}, [("Patient.name[0].family", "required")]),
    ("patient", {"name": [{"family": "Mustermann-Lang"}]}, [("Patient.name[0].family", "value")]),
    ("patient", {"photo": [{"url": "x"}]}, [("Patient.photo", "structure")]),
    ("patient", {"deceasedBoolean": True}, [("Patient.deceased", "structure")]),
    ("patient", {"maritalStatus": {"coding": [coding("old")]}}, [("Patient.maritalStatus", "code-invalid")]),
    ("patient", {"maritalStatus": {"coding": [coding("z")]}}, [("Patient.maritalStatus", "code-invalid")]),
    ("patient", {"maritalStatus": {"coding": [coding("a", "")]}}, [("Patient.maritalStatus", "code-invalid")]),
    ("patient", {"maritalStatus": {"text": "a"}}, [("Patient.maritalStatus", "code-invalid")]),
    (
        "patient",
        {"managingOrganization": {"reference": "Patient/1"}},
        [],  # the base check says that, from R4's own table
    ),
    (
        "patient",
        {"generalPractitioner": [{"reference": "Organization/1"}]},
        [("Patient.generalPractitioner[0].reference", "structure")],
    ),
    (
        "patient",
        {"generalPractitioner": [{"type": "Organization", "display": "x"}]},
        [("Patient.generalPractitioner[0]", "structure")],
    ),
    (
        "patient",
        {"generalPractitioner": [{"reference": "#d"}], "contained": [{"resourceType": "Practitioner", "id": "d"}]},
        [("Patient.generalPractitioner[0].reference", "structure")],
    ),
    (
        "patient",
        {"communication": [{"language": {"coding": [coding("c")]}}, {"language": {"coding": [coding("b")]}}]},
        [("Patient.communication[0]", "structure"), ("Patient.communication[1].preferred", "required")],
    ),
    ("patient", {"gender": "other"}, [("Patient", "invariant")]),
    ("patient", {"gender": "other", "_gender": {"extension": [{"url": "x:y"}]}}, [("Patient", "invariant")]),
    ("patient", {"birthDate": "1980-01"}, [("Patient", "invariant")]),
    (
        "patient",
        {"gender": "other", "_gender": {"extension": [{"url": f"{U}extension", "valueString": "x"}]}},
        [("Patient.gender.extension[0].value", "structure")],
    ),
    (
        "patient",
        {"extension": [{"url": f"{U}extension", "valueCoding": coding("z")}]},
        [("Patient.extension[0].value", "code-invalid")],
    ),
    (
        "patient",
        {"name": [{"family": "A", "_family": {"extension": [OWN, OWN]}}]},
        [("Patient.name[0].family.extension", "structure")],
    ),
    ("patient", {"modifierExtension": [{"url": "x:y"}]}, [("Patient.modifierExtension[0]", "extension")]),
    ("observation", {"status": "amended"}, [("Observation.status", "code-invalid")]),
    ("observation", {"category": []}, [("Observation.category", "required")]),
    ("observation", {"category": [{"text": "a"}, {"text": "b"}]}, [("Observation.category", "structure")]),
    (
        "observation",
        {"category": [{"text": "a"}, {"id": "b"}]},
        [("Observation.category[1].coding", "required")],
    ),
    ("observation", {"valueQuantity": {"value": 1}}, [("Observation.value.unit", "required")]),
    ("observation", {"valueQuantity": {"value": 0, "unit": "kg"}}, [("Observation.value.value", "value")]),
    ("observation", {"valueQuantity": None, "valueBoolean": True}, [("Observation.value", "structure")]),
    ("observation", {"derivedFrom": [{"reference": "Observation/1"}]}, [("Observation.derivedFrom", "required")]),
    (
        "observation",
        {"focus": [{"reference": "Group/1"}, {"reference": "Patient/1"}]},
        [("Observation.focus[1]", "structure")],
    ),
    ("observation", {"focus": [{"reference": "Patient/1"}] * 2}, [("Observation.focus", "structure")]),
    (
        "observation",
        {"component": [{"code": {"coding": [coding("b", f"{U}status")]}}, {"code": {"coding": [coding("a")]}}]},
        [("Observation.component[1]", "structure")],
    ),
    (
        "observation",
        {"component": [{"code": {"coding": [coding("a")]}, "referenceRange": [{"low": {"value": 1}}]}]},
        [("Observation.component[0].referenceRange[0].text", "required")],
    ),
    (
        "observation",
        {"component": [{"code": {"coding": [coding("a", f"{U}sub")]}}] * 2},
        [("Observation.component", "structure")],
    ),
]


@pytest.mark.parametrize(("name", "changes", "expected"), ERRORS)
def test_each_rule_with_the_path_of_its_element(
    profiles: Profiles, name: str, changes: Json, expected: list[tuple[str, str]]
) -> None:
    resource = {**(PERSON if name == "patient" else VALUE), **changes}
    resource = {key: value for key, value in resource.items() if value is not None}
    faults = [fault for fault in profiles.faults(resource, U + name) if fault.severity == "error"]
    assert [(fault.expression, fault.code) for fault in faults] == expected
    for fault in faults:
        assert fault.text.startswith(f"{fault.expression} ")
        assert fault.text.endswith(".") and "(profile " in fault.text


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("patient", {"name": []}, ("Patient", "invariant", "warning")),
        (
            "patient",
            {"extension": [{"url": "x:y", "valueString": "z"}]},
            ("Patient.extension[0]", "extension", "warning"),
        ),
        ("patient", {"link": [{"other": {"reference": "Patient/2"}}]}, ("Patient", "not-supported", "information")),
        ("patient", {"multipleBirthInteger": 2}, ("Patient.multipleBirth", "not-supported", "information")),
        (
            "observation",
            {"interpretation": [{"coding": [coding("z")]}]},
            ("Observation.interpretation[0]", "code-invalid", "warning"),
        ),
        (
            "observation",
            {"category": [*VALUE["category"], {"coding": [coding("a")]}]},
            ("Observation.category[1].coding[0]", "not-supported", "information"),
        ),
        (
            "observation",
            {"component": [{"code": {"text": "weder noch"}}]},
            ("Observation.component[0]", "not-supported", "information"),
        ),
    ],
)
def test_what_only_warns_and_what_was_not_checked(
    profiles: Profiles, name: str, changes: Json, expected: tuple[str, str, str]
) -> None:
    resource = {**(PERSON if name == "patient" else VALUE), **changes}
    assert told(profiles.faults(resource, U + name)) == [expected]


@pytest.mark.parametrize(
    "changes",
    [
        {"maritalStatus": {"coding": [coding("z"), coding("b")]}},
        {"maritalStatus": {"extension": [OWN], "text": "unbekannt"}},
        {"gender": "other", "_gender": {"extension": [OWN]}},
        {"name": [{"_family": {"extension": [OWN]}}]},
        {"name": [{"family": "A", "_family": {"extension": [OWN]}}]},
        {"generalPractitioner": [{"reference": "Practitioner/1"}, {"display": "Dr. Muster"}]},
        {"generalPractitioner": [{"reference": "urn:uuid:0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"}]},
        {"birthDate": "1980-01-31", "deceasedDateTime": "2024"},
    ],
)
def test_what_a_profile_allows(profiles: Profiles, changes: Json) -> None:
    assert profiles.faults({**PERSON, **changes}, f"{U}patient") == []


def test_a_fault_never_holds_a_received_value(profiles: Profiles) -> None:
    resource = copy.deepcopy(PERSON)
    resource["identifier"] = [{"system": f"{U}number", "value": "geheim"}]
    resource["maritalStatus"] = {"coding": [coding("geheim", "urn:geheim")], "text": "geheim"}
    resource["extension"] = [{"url": "urn:geheim", "valueString": "geheim"}]
    resource["generalPractitioner"] = [{"reference": "Organization/geheim"}]
    faults = profiles.faults(resource, f"{U}patient")
    assert len(faults) == 4
    assert not [fault for fault in faults if "geheim" in fault.text]


def test_the_text_names_the_rule_the_constraint_and_the_profile(profiles: Profiles) -> None:
    faults = profiles.faults({**PERSON, "gender": "other"}, f"{U}patient")
    text = "Patient breaks the constraint pat-t1: “the words of pat-t1” (profile patient)."
    assert faults == [Fault("Patient", "invariant", text, "error")]
    faults = profiles.faults({**PERSON, "active": False}, f"{U}patient", at="Bundle.entry[3].resource")
    assert faults[0].text == "Bundle.entry[3].resource.active must be True (profile patient)."


def test_a_resource_of_a_bundle_is_held_to_the_profile_of_its_entry(profiles: Profiles) -> None:
    wrong = {**PERSON, "active": False, "link": [{"other": {"reference": "Patient/2"}}]}
    other = {"fullUrl": "http://example.org/Patient/2", "resource": {"resourceType": "Patient", "active": True}}
    bundle: Json = {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Basic"}}, {"resource": wrong}]}
    assert told(profiles.faults(bundle, f"{U}bundle")) == [
        ("Bundle.entry[1].resource", "not-supported", "information"),  # pat-t3: Patient/2 is not at hand
        ("Bundle.entry[1].resource.active", "value", "error"),
    ]
    bundle["entry"].append(other)
    assert ("Bundle.entry", "structure", "error") in told(profiles.faults(bundle, f"{U}bundle"))
    assert told(profiles.faults({**bundle, "entry": []}, f"{U}bundle")) == [("Bundle.entry", "required", "error")]


def test_a_profile_of_a_part_that_is_not_installed_is_said(profiles: Profiles) -> None:
    assert told(profiles.faults(PERSON, f"{U}missing-parts")) == [("Patient.name[0]", "not-supported", "information")]


def test_a_resource_of_another_type(profiles: Profiles) -> None:
    assert told(profiles.faults(VALUE, f"{U}patient")) == [("Observation", "structure", "error")]


def test_an_unknown_profile_is_refused(profiles: Profiles) -> None:
    for url in (f"{U}nowhere", f"{U}patient|7.0.0"):
        with pytest.raises(UnknownProfile, match="is not installed; install the package") as raised:
            profiles.faults(PERSON, url)
        assert raised.value.url == url


def test_versions_and_claims(profiles: Profiles) -> None:
    assert told(profiles.faults(PERSON, f"{U}patient|0.9.0")) == [("Patient.photo", "required", "error")]
    assert profiles.faults(PERSON, f"{U}patient|1.0") == []
    claims = [f"{U}patient", f"{U}patient|0.9", f"{U}patient|2.0.0", f"{U}nowhere"]
    claimed = profiles.claimed({**PERSON, "meta": {"profile": claims}})
    assert (claimed.known, claimed.unknown) == (tuple(claims[:2]), tuple(claims[2:]))
    malformed: list[Any] = [None, [], {"profile": "x"}, {"profile": [7]}]
    for meta in malformed:
        assert profiles.claimed({"resourceType": "Patient", "meta": meta}) == ((), ())


def test_lists_the_profiles_of_resources(profiles: Profiles) -> None:
    assert (f"{U}patient", "0.9.0", "Patient", "patient") in profiles.urls
    assert {known.type for known in profiles.urls} == {"Patient", "Observation", "Practitioner", "Bundle"}


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=3)
    | st.sampled_from(["#d", "Patient/1", f"{U}number"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*PERSON, *VALUE, "extension", "_family", "family", "coding", "reference", "url", "entry"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["patient", "observation", "bundle"]), st.data())
def test_no_json_breaks_the_check(profiles: Profiles, name: str, data: st.DataObject) -> None:
    resource = {"patient": PERSON, "observation": VALUE}.get(name, {"resourceType": "Bundle", "entry": []})
    key = data.draw(st.sampled_from([*resource, "extension", "communication", "component", "focus", "_active"]))
    if key != "resourceType":
        profiles.faults({**resource, key: data.draw(VALUES)}, U + name)


# The published packages.

PACKAGES = SHARED / "data" / "profiles"
BASIS = PACKAGES / "de.gematik.isik-basismodul-4.0.3"
published = pytest.mark.skipif(not PACKAGES.is_dir(), reason="the published packages of ../shared are not here")
decode = msgspec.json.Decoder(float_hook=Decimal).decode

ISIK = "https://gematik.de/fhir/isik/StructureDefinition/"

_VERSION = "an ATC Coding without version, which ISiKATCCoding requires"
_UNITS = "the published example uses L/min; R4's vital signs profile binds components to ucum-vitals-common"
KNOWN_BAD = {
    "Condition-PrimaereGonarthroseMinimal": "isik-con1: a coded diagnosis without encounter; no version at ICD-10-GM",
    "Coverage-Example-coverage-example": "uses older CodeSystems of the KBV than its ValueSets take",
    "Encounter-FachabteilungskontaktMinimal2": "a finished inpatient contact without period: ISiK-enc-2 as it is meant",
    "Encounter-FachabteilungskontaktNormal": "the Kontaktebene has the system of another case",
    "Encounter-SZ1Stationaer": "stationaer is no code of kontaktart-de",
    "Encounter-SZ2Encounter": "stationaer is no code of kontaktart-de",
    "Invoice-c3d4e5f6-4b5c-6d7e-1f2a-3b4c5d6e7f8a": "writes its CodeSystem -CS, which is -cs",
    "Medication-ExampleISiKMedikament1": _VERSION,
    "Medication-ExampleISiKMedikament2": _VERSION,
    "Medication-ExampleISiKMedikament5": _VERSION,
    "Medication-ExampleISiKMedikament7": _VERSION,
    "Medication-ExampleISiKMedikament8": _VERSION,
    "Medication-ExampleISiKMedikament9": _VERSION,
    "Observation-Example-observation-sauerstoffsaettigung": _UNITS,
    "Observation-ExampleObservationSauerstoffsaettigungPulsoximetrie": _UNITS,
    "Observation-ExampleISiKLaboruntersuchungGFR1": "the profile binds the unit of a reference range to codes of GFR",
}
"""Published examples that break the profile they claim, with the reason."""


@cache
def all_packages() -> Profiles:
    folders = [each for each in sorted(PACKAGES.iterdir()) if each.is_dir() and not each.name.startswith("isik5")]
    return Profiles([package.load(each) for each in folders])


def read(file: Path) -> Json:
    resource: Json = decode(file.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    return resource


def errors(resource: Json, url: str) -> list[Fault]:
    return [fault for fault in all_packages().faults(resource, url) if fault.severity == "error"]


@published
def test_the_published_examples_conform_but_for_the_known_ones() -> None:
    clean, broken = 0, set()
    for file in sorted(PACKAGES.glob("*/examples/*.json")):
        resource = read(file)
        for url in all_packages().claimed(resource).known:
            if errors(resource, url):
                broken.add(file.stem)
            else:
                clean += 1
    assert broken == KNOWN_BAD.keys()
    assert clean == 312


@published
def test_what_the_reference_validator_of_gematik_takes_and_refuses() -> None:
    """Its files for ISiK 5, against the profiles of 4.0.3; two faults are of codes that no profile binds."""
    missed = set()
    for file in sorted((PACKAGES / "isik5-referenzvalidator-testfiles").glob("ISiK-Basismodul/*/*/*.json")):
        resource = read(file)
        found = [fault for url in all_packages().claimed(resource).known for fault in errors(resource, url)]
        found += [fault for fault in base.faults(resource) if fault.severity == "error"]
        if file.parent.name == "valid":
            assert not found, (file, found)
        elif not found:
            missed.add(file.stem)
    assert missed == {"Account-AbrechnungsfallAmbulant", "Practitioner-PractitionerWalterArzt"}


def example(name: str) -> Json:
    return read(BASIS / "examples" / f"{name}.json")


def drop(*path: str | int) -> Callable[[Json], None]:
    def change(resource: Json) -> None:
        holder: Any = resource
        for step in path[:-1]:
            holder = holder[step]
        del holder[path[-1]]

    return change


def put(value: Any, *path: str | int) -> Callable[[Json], None]:
    def change(resource: Json) -> None:
        holder: Any = resource
        for step in path[:-1]:
            holder = holder[step]
        holder[path[-1]] = value

    return change


ENCOUNTER, DIAGNOSIS, PATIENT_EXAMPLE = (
    "Encounter-Fachabteilungskontakt",
    "Condition-MittelgradigeIntelligenzminderung",
    "Patient-PatientinMusterfrau",
)
CERTAINTY = "http://fhir.de/StructureDefinition/icd-10-gm-diagnosesicherheit"
CERTAINTY_SYSTEM = "https://fhir.kbv.de/CodeSystem/KBV_CS_SFHIR_ICD_DIAGNOSESICHERHEIT"
MUTATIONS: list[tuple[str, Callable[[Json], None], str, str]] = [
    (ENCOUNTER, drop("identifier"), "Encounter.identifier", "required"),
    (ENCOUNTER, drop("subject"), "Encounter.subject", "required"),
    (ENCOUNTER, drop("type"), "Encounter.type", "required"),
    (ENCOUNTER, drop("type", 0), "Encounter.type", "required"),
    (ENCOUNTER, put("stationaer", "type", 1, "coding", 0, "code"), "Encounter.type[1]", "code-invalid"),
    (ENCOUNTER, put("entered", "status"), "Encounter.status", "code-invalid"),
    (ENCOUNTER, put("XYZ", "class", "code"), "Encounter.class", "code-invalid"),
    (ENCOUNTER, drop("period"), "Encounter", "invariant"),
    (ENCOUNTER, drop("period", "end"), "Encounter", "invariant"),
    (ENCOUNTER, put("planned", "status"), "Encounter", "invariant"),
    (ENCOUNTER, put([{"url": f"{U}unknown"}], "modifierExtension"), "Encounter.modifierExtension[0]", "extension"),
    (DIAGNOSIS, drop("encounter"), "Condition", "invariant"),
    (DIAGNOSIS, drop("recordedDate"), "Condition.recordedDate", "required"),
    (DIAGNOSIS, drop("code", "coding", 0, "version"), "Condition.code.coding[0].version", "required"),
    (DIAGNOSIS, put({"display": "x"}, "subject"), "Condition.subject.reference", "required"),
    (
        DIAGNOSIS,
        put([{"url": CERTAINTY, "valueCoding": coding("Q", CERTAINTY_SYSTEM)}], "code", "coding", 0, "extension"),
        "Condition.code.coding[0].extension[0].value",
        "code-invalid",
    ),
    (
        DIAGNOSIS,
        put([{"url": CERTAINTY, "valueString": "G"}], "code", "coding", 0, "extension"),
        "Condition.code.coding[0].extension[0].value",
        "structure",
    ),
    (PATIENT_EXAMPLE, drop("identifier"), "Patient.identifier", "required"),
    (PATIENT_EXAMPLE, drop("name"), "Patient.name", "required"),
    (PATIENT_EXAMPLE, drop("gender"), "Patient.gender", "required"),
    (PATIENT_EXAMPLE, drop("birthDate"), "Patient.birthDate", "required"),
    (PATIENT_EXAMPLE, put("other", "gender"), "Patient", "invariant"),
    (PATIENT_EXAMPLE, put({"use": "official", "given": ["A"]}, "name", 0), "Patient.name[0].family", "required"),
    (PATIENT_EXAMPLE, drop("name", 0, "family"), "Patient.name[0]", "invariant"),  # its extensions stay
    (PATIENT_EXAMPLE, drop("identifier", 0, "value"), "Patient.identifier[0].value", "required"),
]


@published
@pytest.mark.parametrize(("name", "change", "path", "code"), MUTATIONS)
def test_an_edited_example_is_told_with_its_element(
    name: str, change: Callable[[Json], None], path: str, code: str
) -> None:
    resource = example(name)
    url = resource["meta"]["profile"][0]
    assert errors(resource, url) == []
    change(resource)
    assert (path, code) in [(fault.expression, fault.code) for fault in errors(resource, url)]


@published
def test_the_examples_stay_as_they_were_read() -> None:
    resource = example(PATIENT_EXAMPLE)
    before = json.dumps(resource, default=str)
    errors(resource, f"{ISIK}ISiKPatient")
    assert json.dumps(resource, default=str) == before
