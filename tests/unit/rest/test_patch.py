"""`rest.patch`: JSON Patch and FHIRPath Patch on plain resources, with the cases of R4's own FHIRPath Patch tests."""

import copy
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_gateway.rest import fhirpath_patch, patch
from fhir_gateway.store import codec
from profiles import base

BIRTH_TIME = "http://hl7.org/fhir/StructureDefinition/patient-birthTime"
REASON = {"extension": [{"url": "http://example.org/fehlt", "valueCode": "masked"}]}

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p1",
    "name": [
        {"use": "official", "family": "Muster", "given": ["Anna", None, "Eva"], "_given": [None, REASON, {"id": "c"}]},
        {"use": "nickname", "given": ["Anni"]},
    ],
    "birthDate": "1980-02-29",
    "_birthDate": {"extension": [{"url": BIRTH_TIME, "valueDateTime": "1980-02-29T10:00:00Z"}]},
    "deceasedBoolean": False,
}
OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
    "valueQuantity": {"value": Decimal("71.50"), "unit": "kg"},
    "component": [
        {"code": {"text": "oben"}, "valueQuantity": {"value": Decimal("120.0")}},
        {"code": {"text": "unten"}, "valueQuantity": {"value": Decimal("80.0")}},
    ],
}


def operation(kind: str, path: str, **parts: Any) -> dict[str, Any]:
    """One operation parameter; `value` is the value part without its name, numbers and texts get their value[x]."""
    found: list[dict[str, Any]] = [{"name": "type", "valueCode": kind}, {"name": "path", "valueString": path}]
    for name, item in parts.items():
        shown = item if isinstance(item, dict) else {"valueInteger" if isinstance(item, int) else "valueString": item}
        found.append({"name": name, **shown})
    return {"name": "operation", "part": found}


def parameters(*operations: Any) -> dict[str, Any]:
    return {"resourceType": "Parameters", **({"parameter": list(operations)} if operations else {})}


def patched(resource: dict[str, Any], *operations: Any) -> dict[str, Any]:
    """The result, after making sure that neither the resource nor the patch was changed."""
    sent = parameters(*operations)
    before = copy.deepcopy((resource, sent))
    result = patch.fhirpath_patch(resource, sent)
    assert (resource, sent) == before
    return result


def refused(resource: dict[str, Any], *operations: Any) -> tuple[int, str, str | None]:
    with pytest.raises(patch.CannotPatch) as caught:
        patched(resource, *operations)
    assert caught.value.text.endswith(".")
    return caught.value.status, caught.value.code, caught.value.expression


def patient(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", **elements}


def identifiers(*numbers: int) -> dict[str, Any]:
    return patient(identifier=[identifier(number) for number in numbers])


def identifier(number: int) -> dict[str, Any]:
    return {"system": "http://example.org", "value": f"value {number}"}


ONE = "Parameters.parameter[0]"

# name, resource, operations, result: https://github.com/FHIR/fhir-test-cases, r4/patch/fhir-path-tests.xml
CASES: list[tuple[str, dict[str, Any], list[dict[str, Any]], dict[str, Any]]] = [
    ("No Difference", patient(birthDate="1920-01-01"), [], patient(birthDate="1920-01-01")),
    (
        "Replace Primitive",
        patient(birthDate="1920-01-01"),
        [operation("replace", "Patient.birthDate", value={"valueDate": "1930-01-01"})],
        patient(birthDate="1930-01-01"),
    ),
    (
        "Delete Primitive",
        patient(birthDate="1920-01-01"),
        [operation("delete", "Patient.birthDate")],
        patient(),
    ),
    (
        "Add Primitive",
        patient(),
        [operation("add", "Patient", name="birthDate", value={"valueDate": "1930-01-01"})],
        patient(birthDate="1930-01-01"),
    ),
    ("Delete Primitive #2", patient(), [operation("delete", "Patient.birthDate")], patient()),
    (
        "Replace Nested Primitive #1",
        patient(contact=[{"name": {"text": "a name"}, "gender": "male"}]),
        [operation("replace", "Patient.contact[0].gender", value={"valueCode": "female"})],
        patient(contact=[{"name": {"text": "a name"}, "gender": "female"}]),
    ),
    (
        "Replace Nested Primitive #2",
        patient(contact=[{"name": {"text": "a name"}, "gender": "male"}]),
        [operation("replace", "Patient.contact[0].name.text", value={"valueString": "the name"})],
        patient(contact=[{"name": {"text": "the name"}, "gender": "male"}]),
    ),
    (
        "Delete Nested Primitive #1",
        patient(contact=[{"name": {"text": "a name"}, "gender": "male"}]),
        [operation("delete", "Patient.contact[0].gender")],
        patient(contact=[{"name": {"text": "a name"}}]),
    ),
    (
        "Delete Nested Primitive #2",
        patient(contact=[{"name": {"text": "a name"}, "gender": "male"}]),
        [operation("delete", "Patient.contact[0].name.text")],
        patient(contact=[{"gender": "male"}]),
    ),
    (
        "Add Nested Primitive",
        patient(contact=[{"name": {"text": "a name"}}]),
        [operation("add", "Patient.contact[0]", name="gender", value={"valueCode": "male"})],
        patient(contact=[{"name": {"text": "a name"}, "gender": "male"}]),
    ),
    (
        "Add Complex",
        patient(),
        [operation("add", "Patient", name="maritalStatus", value={"valueCodeableConcept": {"text": "married"}})],
        patient(maritalStatus={"text": "married"}),
    ),
    (
        "Replace Complex",
        patient(maritalStatus={"id": "1", "text": "married"}),
        [
            operation(
                "replace", "Patient.maritalStatus", value={"valueCodeableConcept": {"id": "2", "text": "not married"}}
            )
        ],
        patient(maritalStatus={"id": "2", "text": "not married"}),
    ),
    (
        "Delete Complex",
        patient(maritalStatus={"text": "married"}),
        [operation("delete", "Patient.maritalStatus")],
        patient(),
    ),
    (
        "Add Anonymous Type",
        patient(),
        [
            operation(
                "add",
                "Patient",
                name="contact",
                value={"part": [{"name": "name", "valueHumanName": {"text": "a name"}}]},
            )
        ],
        patient(contact=[{"name": {"text": "a name"}}]),
    ),
    (
        "Delete Anonymous Type",
        patient(contact=[{"name": {"text": "a name"}}]),
        [operation("delete", "Patient.contact[0]")],
        patient(),
    ),
    ("List unchanged", identifiers(1, 2), [], identifiers(1, 2)),
    (
        "List unchanged, contents changed",
        identifiers(1, 2),
        [
            operation("replace", "Patient.identifier[0].value", value={"valueString": "value 2"}),
            operation("replace", "Patient.identifier[1].value", value={"valueString": "value 1"}),
        ],
        identifiers(2, 1),
    ),
    *(
        (
            f"Insert in list at {index}",
            identifiers(1, 2),
            [operation("insert", "Patient.identifier", index=index, value={"valueIdentifier": identifier(3)})],
            identifiers(*numbers),
        )
        for index, numbers in ((2, (1, 2, 3)), (1, (1, 3, 2)), (0, (3, 1, 2)))
    ),
    *(
        (
            f"List without item {index}",
            identifiers(1, 2, 3),
            [operation("delete", f"Patient.identifier[{index}]")],
            identifiers(*numbers),
        )
        for index, numbers in ((0, (2, 3)), (1, (1, 3)), (2, (1, 2)))
    ),
    *(
        (
            f"Reorder list {moves}",
            identifiers(1, 2, 3, 4),
            [operation("move", "Patient.identifier", source=source, destination=to) for source, to in moves],
            identifiers(*numbers),
        )
        for moves, numbers in (
            (((3, 1),), (1, 4, 2, 3)),
            (((3, 0),), (4, 1, 2, 3)),
            (((3, 2),), (1, 2, 4, 3)),
            (((0, 3),), (2, 3, 4, 1)),
            (((1, 0), (2, 1)), (2, 3, 1, 4)),
            (((3, 0), (3, 1), (3, 2)), (4, 3, 2, 1)),
        )
    ),
    (
        "Operation on missing element #2",
        patient(),
        [operation("add", "Patient", name="identifier", value={"valueIdentifier": identifier(3)})],
        identifiers(3),
    ),
    (
        "Full Resource",
        patient(text={"status": "generated", "div": "<div/>"}, name=[{"family": "Chalmers"}]),
        [
            operation("replace", "Patient.text.div", value={"valueString": "<div>1</div>"}),
            operation("replace", "Patient.name[0].family", value={"valueString": "Chalmers1"}),
        ],
        patient(text={"status": "generated", "div": "<div>1</div>"}, name=[{"family": "Chalmers1"}]),
    ),
]


@pytest.mark.parametrize(("resource", "operations", "result"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_the_cases_of_r4(resource: dict[str, Any], operations: list[dict[str, Any]], result: dict[str, Any]) -> None:
    assert patched(resource, *operations) == result


def test_a_parent_that_is_missing_is_not_made() -> None:
    """R4's case "Operation on missing element"."""
    resource = patient(identifier=[{"use": "official", "value": "123"}])
    path = "Patient.identifier.where(use = 'official').period"
    add = operation("add", path, name="end", value={"valueDate": "2021-12-01"})
    assert refused(resource, add) == (422, "not-found", ONE)


def test_where_finds_by_criteria_and_leaves_the_rest_as_it_is() -> None:
    path = "Patient.name.where(use = 'official' and family.startsWith('Mu')).family"
    result = patched(PATIENT, operation("replace", path, value={"valueString": "Beispiel"}))
    assert result["name"][0]["family"] == "Beispiel"
    assert result["name"][1] == PATIENT["name"][1]


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("Patient.name.first()", ["nickname"]),
        ("Patient.name.last()", ["official"]),
        ("Patient.name[1]", ["official"]),
        ("name.where(given.exists($this = 'Anni'))", ["official"]),
        ("Patient.name.where(given = 'Anni' or (family.empty()))", ["official"]),
        ("Resource.name.where(family.exists()).where(use != 'nickname')", ["nickname"]),
        ("Patient.name[7]", ["official", "nickname"]),
        ("Patient.name.where(false)", ["official", "nickname"]),
    ],
)
def test_the_forms_of_a_path(path: str, left: list[str]) -> None:
    assert [name["use"] for name in patched(PATIENT, operation("delete", path))["name"]] == left


def test_the_criteria_see_a_choice_by_its_stem_and_a_primitive_despite_its_extension() -> None:
    delete = operation("delete", "Observation.component.where(value.value > 100)")
    assert [item["code"]["text"] for item in patched(OBSERVATION, delete)["component"]] == ["unten"]
    resource = patient(contact=[{"gender": "male", "_gender": REASON}, {"gender": "female"}])
    delete = operation("delete", "Patient.contact.where(gender = 'male')")
    assert patched(resource, delete) == patient(contact=[{"gender": "female"}])
    delete = operation("delete", "Patient.name.given.where($this = 'Eva')")
    assert patched(PATIENT, delete)["name"][0]["given"] == ["Anna", None]


def test_the_siblings_of_a_repeating_primitive_stay_aligned() -> None:
    result = patched(PATIENT, operation("insert", "Patient.name[0].given", index=1, value={"valueString": "Ida"}))
    assert result["name"][0]["given"] == ["Anna", "Ida", None, "Eva"]
    assert result["name"][0]["_given"] == [None, None, REASON, {"id": "c"}]

    result = patched(PATIENT, operation("delete", "Patient.name[0].given[0]"))
    assert (result["name"][0]["given"], result["name"][0]["_given"]) == ([None, "Eva"], [REASON, {"id": "c"}])

    result = patched(PATIENT, operation("move", "Patient.name[0].given", source=2, destination=0))
    assert result["name"][0]["given"] == ["Eva", "Anna", None]
    assert result["name"][0]["_given"] == [{"id": "c"}, None, REASON]

    result = patched(PATIENT, operation("add", "Patient.name[1]", name="given", value={"_valueString": REASON}))
    assert (result["name"][1]["given"], result["name"][1]["_given"]) == (["Anni", None], [None, REASON])

    result = patched(PATIENT, operation("delete", "Patient.name[1].given[0]"))
    assert result["name"][1] == {"use": "nickname"}


def test_the_extensions_of_a_primitive() -> None:
    value = f"Patient.birthDate.extension('{BIRTH_TIME}').value"
    result = patched(PATIENT, operation("replace", value, value={"valueDateTime": "1980-02-29T11:00:00Z"}))
    assert result["_birthDate"]["extension"][0]["valueDateTime"] == "1980-02-29T11:00:00Z"

    assert "_birthDate" not in patched(PATIENT, operation("delete", f"Patient.birthDate.extension('{BIRTH_TIME}')"))
    assert patched(PATIENT, operation("delete", "Patient.birthDate")).keys().isdisjoint({"birthDate", "_birthDate"})
    assert "_birthDate" not in patched(
        PATIENT, operation("replace", "Patient.birthDate", value={"valueDate": "1981-01-01"})
    )

    extension = {"part": [{"name": "url", "valueUri": "http://example.org/x"}, {"name": "value", "valueCode": "a"}]}
    added = {"extension": [{"url": "http://example.org/x", "valueCode": "a"}]}
    result = patched(PATIENT, operation("add", "Patient.name[1].given[0]", name="extension", value=extension))
    assert (result["name"][1]["given"], result["name"][1]["_given"]) == (["Anni"], [added])
    result = patched(PATIENT, operation("add", "Patient.deceased", name="extension", value=extension))
    assert (result["deceasedBoolean"], result["_deceasedBoolean"]) == (False, added)

    delete = operation("delete", "Patient.name[0].given[1].extension[0]")
    assert patched(PATIENT, delete)["name"][0]["given"] == ["Anna", "Eva"]
    assert refused(PATIENT, operation("add", "Patient.id", name="extension", value=extension))[:2] == (422, "structure")


def test_a_choice_goes_by_its_stem_and_takes_its_member_from_the_value() -> None:
    new = {"valueString": "nicht messbar"}
    result = patched(OBSERVATION, operation("replace", "Observation.value", value=new))
    assert result["valueString"] == "nicht messbar"
    assert "valueQuantity" not in result

    path = "Observation.value.ofType(Quantity).value"
    result = patched(OBSERVATION, operation("replace", path, value={"valueDecimal": Decimal("72.00")}))
    assert str(result["valueQuantity"]["value"]) == "72.00"
    assert "valueQuantity" not in patched(OBSERVATION, operation("delete", "Observation.value.as(Quantity)"))
    assert patched(OBSERVATION, operation("delete", "Observation.value.ofType(string)")) == OBSERVATION

    add = operation("add", "Observation", name="value", value=new)
    assert refused(OBSERVATION, add) == (422, "conflict", ONE)
    assert patched({"resourceType": "Observation"}, add)["valueString"] == "nicht messbar"
    wrong = operation("replace", "Observation.value", value={"valueAttachment": {"title": "x"}})
    assert refused(OBSERVATION, wrong) == (422, "value", ONE)
    assert refused(OBSERVATION, operation("delete", "Observation.valueQuantity")) == (422, "structure", ONE)

    url = {"resourceType": "Patient", "extension": [{"url": "http://example.org/x", "valueCode": "a"}]}
    result = patched(url, operation("replace", "Patient.extension('http://example.org/x').value", value=new))
    assert result["extension"] == [{"url": "http://example.org/x", "valueString": "nicht messbar"}]


def test_decimals_keep_their_digits() -> None:
    resource = codec.decode(b'{"resourceType":"Observation","status":"final","valueQuantity":{"value":1.10}}')
    part = codec.decode(b'{"name":"value","valueQuantity":{"value":2.500}}')
    result = patched(resource, operation("replace", "Observation.status", value={"valueCode": "amended"}))
    assert codec.encode(result) == (b'{"resourceType":"Observation","status":"amended","valueQuantity":{"value":1.10}}')
    result = patched(resource, operation("replace", "Observation.value", value=part))
    assert codec.encode(result["valueQuantity"]) == b'{"value":2.500}'
    result = patch.json_patch(resource, [{"op": "add", "path": "/valueQuantity/unit", "value": "kg"}])
    assert codec.encode(result["valueQuantity"]) == b'{"value":1.10,"unit":"kg"}'
    result = patch.json_patch(resource, [{"op": "test", "path": "/valueQuantity/value", "value": Decimal("1.1")}])
    assert codec.encode(result["valueQuantity"]) == b'{"value":1.10}'


def test_parts_build_an_object_of_a_type_that_parameters_have_not() -> None:
    value = {
        "part": [
            {"name": "relationship", "part": [{"name": "text", "valueString": "Tochter"}]},
            {"name": "relationship", "valueCodeableConcept": {"text": "Betreuerin"}},
            {"name": "name", "valueHumanName": {"text": "Ida Muster"}},
            {"name": "gender", "valueCode": "female", "_valueCode": REASON},
        ]
    }
    result = patched(patient(), operation("insert", "Patient.contact", index=0, value=value))
    assert result["contact"] == [
        {
            "relationship": [{"text": "Tochter"}, {"text": "Betreuerin"}],
            "name": {"text": "Ida Muster"},
            "gender": "female",
            "_gender": REASON,
        }
    ]
    assert base.faults(result) == []
    twice = {"part": [{"name": "gender", "valueCode": "male"}, {"name": "gender", "valueCode": "female"}]}
    assert refused(patient(), operation("add", "Patient", name="contact", value=twice)) == (422, "conflict", ONE)


def test_resources_within_the_resource() -> None:
    arzt = {"resourceType": "Practitioner", "id": "arzt", "name": [{"family": "Muster"}]}
    result = patched(patient(), operation("add", "Patient", name="contained", value={"resource": arzt}))
    assert result["contained"] == [arzt]
    path = "Patient.contained.where(id = 'arzt').ofType(Practitioner).name.family"
    assert patched(result, operation("delete", path))["contained"] == [{"resourceType": "Practitioner", "id": "arzt"}]
    assert refused(patient(), operation("add", "Patient", name="contained", value={"valueString": "x"}))[1] == "value"


@pytest.mark.parametrize(
    ("resource", "sent", "expected"),
    [
        (PATIENT, operation("replace", "Patient.gender", value={"valueCode": "male"}), (422, "not-found")),
        (PATIENT, operation("delete", "Patient.name"), (422, "processing")),
        (PATIENT, operation("replace", "Patient.name.use", value={"valueCode": "old"}), (422, "processing")),
        (
            PATIENT,
            operation("insert", "Patient.name", index=3, value={"valueHumanName": {"text": "x"}}),
            (422, "processing"),
        ),
        (PATIENT, operation("insert", "Patient.name.given", index=0, value={"valueString": "x"}), (422, "processing")),
        (PATIENT, operation("insert", "Patient.birthDate", index=0, value={"valueDate": "2000"}), (422, "structure")),
        (
            PATIENT,
            operation("insert", "Patient.name[0]", index=0, value={"valueHumanName": {"text": "x"}}),
            (400, "invalid"),
        ),
        (
            PATIENT,
            operation("insert", "Patient.name", index=-1, value={"valueHumanName": {"text": "x"}}),
            (400, "value"),
        ),
        (
            PATIENT,
            operation("insert", "Patient.name", index=True, value={"valueHumanName": {"text": "x"}}),
            (400, "value"),
        ),
        (PATIENT, operation("move", "Patient.name", source=0, destination=2), (422, "processing")),
        (PATIENT, operation("move", "Patient.name", source=2, destination=0), (422, "processing")),
        (PATIENT, operation("add", "Patient", name="birthDate", value={"valueDate": "2000"}), (422, "conflict")),
        (PATIENT, operation("add", "Patient", name="nonsense", value={"valueDate": "2000"}), (422, "structure")),
        (PATIENT, operation("add", "Patient.name", name="text", value={"valueString": "x"}), (422, "processing")),
        (PATIENT, operation("add", "Patient", name="name", value={"valueAddress": {"city": "x"}}), (422, "value")),
        (PATIENT, operation("add", "Patient", name="gender", value={"valueBoolean": True}), (422, "value")),
        (
            PATIENT,
            operation("add", "Patient", name="gender", value={"part": [{"name": "id", "valueId": "x"}]}),
            (422, "value"),
        ),
        (PATIENT, operation("add", "Patient", name="name", value={"valueHumanName": {}}), (400, "structure")),
        (PATIENT, operation("add", "Patient", name="name", value={"valueHumanName": "x"}), (400, "structure")),
        (PATIENT, operation("add", "Patient", name="gender", value={"valueCode": ["x"]}), (400, "structure")),
        (
            PATIENT,
            operation("add", "Patient", name="gender", value={"valueCode": "x", "valueUri": "y"}),
            (400, "structure"),
        ),
        (PATIENT, operation("add", "Patient", name="gender", value={"valueNothing": "x"}), (400, "structure")),
        (PATIENT, operation("add", "Patient", name="gender", value={}), (400, "structure")),
        (PATIENT, operation("add", "Patient", name="contact", value={"part": []}), (400, "structure")),
        (PATIENT, operation("delete", "Patient"), (422, "processing")),
        (PATIENT, operation("replace", "Patient", value={"resource": PATIENT}), (422, "processing")),
        (PATIENT, operation("delete", "Patient.nonsense"), (422, "structure")),
        (PATIENT, operation("delete", "Observation.status"), (422, "value")),
        (PATIENT, operation("delete", "Patient.name", index=0), (400, "structure")),
        (PATIENT, operation("add", "Patient", name="gender"), (400, "structure")),
        (PATIENT, operation("upsert", "Patient.name"), (400, "value")),
        (PATIENT, {"name": "operation"}, (400, "structure")),
        (PATIENT, {"name": "other", "part": []}, (400, "structure")),
        (PATIENT, {"name": "operation", "part": [{"name": "type", "valueCode": "delete"}] * 2}, (400, "structure")),
        (PATIENT, "x", (400, "structure")),
        ({"resourceType": "Evidence"}, operation("delete", "Evidence.id"), (422, "processing")),
        ({"resourceType": "Patient", "name": {}}, operation("delete", "Patient.name"), (422, "structure")),
    ],
)
def test_what_a_fhirpath_patch_is_refused_for(resource: Any, sent: Any, expected: tuple[int, str]) -> None:
    assert refused(resource, sent) == (*expected, ONE)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "Patient.",
        "Patient..name",
        "Patient name",
        "Patient.name[-1]",
        "Patient.name[0",
        "Patient.name.where(use = 'official'",
        "Patient.name.where()",
        "Patient.name.where(use = )",
        "Patient.name.where(use = 'o\\'x')",
        "Patient.name.where(trace('x').exists())",
        "Patient.name.where(`trace`('x').exists())",
        "Patient.name.where(/* ' */ trace('x').exists() /* ' */)",
        "Patient.name.where(%resource.descendants().exists())",
        "Patient.name.where(use is code)",
        "Patient.name.where(use | family)",
        "Patient.name.select(use)",
        "Patient.name.first(1)",
        "Patient.name.extension(x)",
        "Patient.name | Patient.contact",
        "(Patient.name)",
        "first()",
        "Patient" + ".name" * 200,
    ],
)
def test_another_form_of_path_is_refused(path: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert refused(PATIENT, operation("delete", path)) == (400, "invalid", ONE)
    assert capfd.readouterr() == ("", "")


def test_the_place_of_the_fault_is_the_operations() -> None:
    good = operation("delete", "Patient.birthDate")
    assert refused(PATIENT, good, good, operation("delete", "Patient.name"))[2] == "Parameters.parameter[2]"
    assert refused({"resourceType": "Patient"}, *[good] * 1001) == (400, "invalid", None)
    with pytest.raises(patch.CannotPatch):
        patch.fhirpath_patch(PATIENT, PATIENT)


@pytest.mark.parametrize(
    "sent",
    [
        operation("delete", "Patient.id"),
        operation("replace", "Patient.id", value={"valueId": "p2"}),
    ],
)
def test_a_fhirpath_patch_keeps_the_id(sent: dict[str, Any]) -> None:
    assert refused(PATIENT, sent) == (422, "invalid", "Resource.id")
    add = operation("add", "Patient", name="id", value={"valueId": "p2"})
    assert refused(patient(), add) == (422, "invalid", "Resource.id")


def test_what_criteria_may_cost_is_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fhirpath_patch, "MAX_JUDGED", 2000)
    many = identifiers(*range(500))
    operations = [operation("delete", f"Patient.identifier.where(value = 'value {number}')") for number in range(9)]
    assert refused(many, *operations) == (422, "processing", "Parameters.parameter[2]")
    same = [operation("delete", "Patient.name.where(text = 'x')")] * 900
    assert patched(PATIENT, *same) == PATIENT


def test_criteria_see_the_extensions_of_their_element() -> None:
    delete = operation("delete", "Patient.extension.where(url = 'http://example.org/x' and value = 'b')")
    extensions = [{"url": "http://example.org/x", "valueCode": code} for code in "ab"]
    assert patched(patient(extension=extensions), delete) == patient(extension=extensions[:1])
    delete = operation("delete", "Patient.contact.where(extension('http://example.org/x').value = 'b')")
    contacts = [{"extension": [extension], "gender": "other"} for extension in extensions]
    assert patched(patient(contact=contacts), delete) == patient(contact=contacts[:1])


# JSON Patch


def refused_json(operations: object, resource: dict[str, Any] = PATIENT) -> tuple[int, str, str | None]:
    before = copy.deepcopy((resource, operations))
    with pytest.raises(patch.CannotPatch) as caught:
        patch.json_patch(resource, operations)
    assert (resource, operations) == before
    assert "Muster" not in caught.value.text
    return caught.value.status, caught.value.code, caught.value.expression


def test_each_operation_of_json_patch() -> None:
    operations = [
        {"op": "test", "path": "/name/0/family", "value": "Muster"},
        {"op": "add", "path": "/name/0/family", "value": "Beispiel"},
        {"op": "add", "path": "/name/-", "value": {"text": "neu"}},
        {"op": "add", "path": "/name/0", "value": {"text": "vorn"}},
        {"op": "copy", "from": "/name/1/use", "path": "/name/0/use"},
        {"op": "move", "from": "/name/2", "path": "/name/0"},
        {"op": "replace", "path": "/birthDate", "value": "1980-03-01", "comment": "ignored"},
        {"op": "remove", "path": "/_birthDate"},
        {"op": "add", "path": "/address", "value": []},
        {"op": "add", "path": "/address/-", "value": {"city": "Musterstadt"}},
    ]
    before = copy.deepcopy((PATIENT, operations))
    result = patch.json_patch(PATIENT, operations)
    assert before == (PATIENT, operations)
    assert [name.get("text", name.get("use")) for name in result["name"]] == ["nickname", "vorn", "official", "neu"]
    assert result["name"][1] == {"text": "vorn", "use": "official"}
    assert (result["name"][2]["family"], result["birthDate"]) == ("Beispiel", "1980-03-01")
    assert result["address"] == [{"city": "Musterstadt"}]
    assert "_birthDate" not in result


def test_escapes_in_a_json_pointer() -> None:
    assert patch.json_patch({"a/b": 1, "m~n": 2}, [{"op": "move", "from": "/a~1b", "path": "/m~0n"}]) == {"m~n": 1}


def test_json_patch_leaves_nothing_empty() -> None:
    operations = [{"op": "remove", "path": "/name/1"}, {"op": "remove", "path": "/name/0"}]
    assert "name" not in patch.json_patch(PATIENT, operations)
    operations = [{"op": "remove", "path": f"/_birthDate/extension/0/{name}"} for name in ("url", "valueDateTime")]
    assert "_birthDate" not in patch.json_patch(PATIENT, operations)
    name = patch.json_patch(PATIENT, [{"op": "remove", "path": "/name/0/_given/1/extension"}])["name"][0]
    assert (name["given"], name["_given"]) == (["Anna", None, "Eva"], [None, None, {"id": "c"}])


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({}, (400, "structure", None)),
        ([1], (400, "structure", "[0]")),
        ([{"op": "test", "path": "/id", "value": "p1"}, {"op": "delete", "path": "/id"}], (400, "value", "[1]")),
        ([{"op": ["add"], "path": "/id"}], (400, "value", "[0]")),
        ([{"op": "add", "path": "/active"}], (400, "structure", "[0]")),
        ([{"op": "move", "path": "/active"}], (400, "structure", "[0]")),
        ([{"op": "remove", "path": "active"}], (400, "value", "[0]")),
        ([{"op": "remove", "path": "/a~2"}], (400, "value", "[0]")),
        ([{"op": "remove", "path": 1}], (400, "value", "[0]")),
        ([{"op": "copy", "from": "x", "path": "/a"}], (400, "value", "[0]")),
        ([{"op": "remove", "path": "/gender"}], (422, "not-found", "[0]")),
        ([{"op": "replace", "path": "/gender", "value": "male"}], (422, "not-found", "[0]")),
        ([{"op": "replace", "path": "/name/2", "value": {}}], (422, "not-found", "[0]")),
        ([{"op": "test", "path": "/birthDate", "value": "1980-02-28"}], (422, "conflict", "[0]")),
        ([{"op": "test", "path": "/deceasedBoolean", "value": 0}], (422, "conflict", "[0]")),
        ([{"op": "test", "path": "/gender", "value": None}], (422, "conflict", "[0]")),
        ([{"op": "add", "path": "/name/3", "value": {}}], (422, "processing", "[0]")),
        ([{"op": "add", "path": "/name/01", "value": {}}], (422, "processing", "[0]")),
        ([{"op": "add", "path": "/name/" + "9" * 5000, "value": {}}], (422, "processing", "[0]")),
        ([{"op": "add", "path": "/contact/0/gender", "value": "male"}], (422, "processing", "[0]")),
        ([{"op": "remove", "path": "/name/-"}], (422, "processing", "[0]")),
        ([{"op": "move", "from": "/name", "path": "/name/0"}], (422, "processing", "[0]")),
        ([{"op": "remove", "path": ""}], (422, "processing", "[0]")),
        ([{"op": "replace", "path": "", "value": [1]}], (422, "structure", None)),
        ([{"op": "replace", "path": "/id", "value": "p2"}], (422, "invalid", "Resource.id")),
        ([{"op": "remove", "path": "/id"}], (422, "invalid", "Resource.id")),
        ([{"op": "replace", "path": "/resourceType", "value": "Person"}], (422, "invalid", "Resource")),
        ([{"op": "test", "path": "", "value": PATIENT}] * 1001, (400, "invalid", None)),
    ],
)
def test_what_a_json_patch_is_refused_for(sent: Any, expected: tuple[int, str, str | None]) -> None:
    assert refused_json(sent) == expected


def test_copies_cannot_make_a_small_patch_large() -> None:
    doubling = [{"op": "copy", "from": "/name", "path": "/name/0/x"}] * 500
    assert refused_json(doubling)[0] == 422
    doubling = [{"op": "copy", "from": "", "path": "/contact"}] * 500
    assert refused_json(doubling)[0] == 422
    long = patient(name=[{"text": "x" * 100_000}])
    assert refused_json([{"op": "copy", "from": "/name/0", "path": "/name/-"}] * 20, long) == (422, "processing", "[9]")


def test_deep_nesting_is_refused() -> None:
    deep: Any = "x"
    for _ in range(50_000):
        deep = [deep]
    assert patch_status(patient(), [{"op": "add", "path": "/a", "value": deep}]) == 400
    assert patch_status(patient(name=deep), [{"op": "test", "path": "/id", "value": "x"}]) == 422
    growing = [{"op": "add", "path": "/a" * depth, "value": {"b": 1}} for depth in range(1, 900)]
    assert patch_status(patient(), growing) == 422
    for sent in (parameters(operation("add", "Patient", name="name", value={"valueHumanName": {"x": deep}})),):
        with pytest.raises(patch.CannotPatch):
            patch.fhirpath_patch(patient(), sent)
    with pytest.raises(patch.CannotPatch):
        patch.fhirpath_patch(patient(name=deep), parameters())


def patch_status(resource: dict[str, Any], operations: object) -> int:
    with pytest.raises(patch.CannotPatch) as caught:
        patch.json_patch(resource, operations)
    return caught.value.status


# Properties: a dict or CannotPatch, whatever is sent, and the resource that was given stays as it is.

_SCALARS = st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False) | st.text(max_size=8)
_NAMES = st.sampled_from(["name", "given", "_given", "id", "part", "value", "valueString", "extension", "type", "x"])
_JSON = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_NAMES | st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
_TOKENS = st.sampled_from(["name", "0", "1", "-", "given", "_given", "birthDate", "01", "id", "", "~0", "~2", "x"])
_POINTERS = st.lists(_TOKENS, max_size=5).map(lambda tokens: "".join(f"/{token}" for token in tokens)) | _SCALARS
_STEPS = st.sampled_from([".name", ".given", ".family", "[0]", "[1]", ".first()", ".last()", ".value", ".id"]) | (
    st.sampled_from([".where(use = 'official')", ".where($this)", ".ofType(string)", ".extension('x')", ".birthDate"])
    | st.sampled_from([".extension", ".where(given[0]", ".", "("])
)
_PATHS = st.lists(_STEPS, max_size=5).map(lambda steps: "Patient" + "".join(steps))
_RESOURCES = st.sampled_from([PATIENT, OBSERVATION]) | st.dictionaries(_NAMES, _JSON, max_size=4).map(
    lambda body: {"resourceType": "Patient", **body}
)


@st.composite
def _operations(draw: st.DrawFn) -> object:
    made = st.fixed_dictionaries(
        {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "x"]), "path": _POINTERS},
        optional={"from": _POINTERS, "value": _JSON},
    )
    return draw(st.lists(made | _JSON, max_size=4))


@st.composite
def _parameters(draw: st.DrawFn) -> dict[str, Any]:
    value = st.sampled_from(["valueString", "valueHumanName", "_valueString", "part", "resource", "valueDate"])
    made: list[Any] = []
    for _ in range(draw(st.integers(0, 3))):
        kind = draw(st.sampled_from(["add", "insert", "delete", "replace", "move", "x"]))
        parts = {
            "name": draw(st.sampled_from(["name", "given", "birthDate", "extension", "contact", "value", "x"])),
            "value": draw(st.dictionaries(value, _JSON, max_size=2)),
            "index": draw(st.integers(-1, 3)),
            "source": draw(st.integers(0, 3)),
            "destination": draw(st.integers(0, 3)),
        }
        taken = {"add": ["name", "value"], "insert": ["index", "value"], "replace": ["value"]}
        names = taken.get(kind, ["source", "destination"] if kind == "move" else [])
        made.append(operation(kind, draw(_PATHS), **{name: parts[name] for name in names}))
        if draw(st.booleans()):
            made.append(draw(_JSON))
    return draw(st.just(parameters(*made)) | st.dictionaries(_NAMES, _JSON, max_size=3))


@settings(max_examples=400, deadline=None)
@given(_RESOURCES, _operations() | _JSON)
def test_json_patch_answers_or_refuses_whatever_is_sent(resource: dict[str, Any], operations: object) -> None:
    before = copy.deepcopy(resource)
    try:
        assert isinstance(patch.json_patch(resource, operations), dict)
    except patch.CannotPatch as refusal:
        assert refusal.status in (400, 422)
    assert resource == before


@settings(max_examples=400, deadline=None)
@given(_RESOURCES, _parameters())
def test_fhirpath_patch_answers_or_refuses_whatever_is_sent(resource: dict[str, Any], sent: dict[str, Any]) -> None:
    before = copy.deepcopy(resource)
    try:
        assert isinstance(patch.fhirpath_patch(resource, sent), dict)
    except patch.CannotPatch as refusal:
        assert refusal.status in (400, 422)
    assert resource == before


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["insert", "delete", "move"]), st.integers(0, 5), st.integers(0, 5)), max_size=8)
)
def test_values_and_siblings_of_a_list_stay_together(steps: list[tuple[str, int, int]]) -> None:
    """Each given name has itself as the id beside it; after any insert, delete or move it still has."""
    resource = patient(name=[{"use": "usual", "given": ["a", "b"], "_given": [{"id": "a"}, {"id": "b"}]}])
    expected = ["a", "b"]
    for number, (kind, first, second) in enumerate(steps):
        text = f"n{number}"
        if kind == "insert" and first <= len(expected):
            value = {"valueString": text, "_valueString": {"id": text}}
            resource = patched(resource, operation("insert", "Patient.name[0].given", index=first, value=value))
            expected.insert(first, text)
        elif kind == "delete":
            resource = patched(resource, operation("delete", f"Patient.name[0].given[{first}]"))
            expected[first : first + 1] = []
        elif kind == "move" and max(first, second) < len(expected):
            moved = operation("move", "Patient.name[0].given", source=first, destination=second)
            resource = patched(resource, moved)
            expected.insert(second, expected.pop(first))
    name = resource["name"][0]
    assert name.get("given", []) == expected
    assert [item["id"] for item in name.get("_given", [])] == expected
    assert base.faults(resource) == []
