"""Patch and delete as http.html and fhirpatch.html of R4 4.0.1 say them."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest

from tests import support
from tests.support import Gateway, Json

JSON_PATCH = {"Content-Type": "application/json-patch+json"}
PATIENT: Json = {
    "resourceType": "Patient",
    "identifier": [{"system": "urn:s", "value": "1"}, {"system": "urn:s", "value": "2"}],
    "active": True,
    "name": [{"use": "official", "family": "Probe", "given": ["Kim", "Lou"]}, {"use": "nickname", "text": "Ki"}],
    "birthDate": "1980-05-02",
}


@pytest.fixture
def url(gateway: Gateway) -> str:
    answer = gateway.post("Patient", PATIENT)
    assert answer.status_code == 201, answer.text
    return f"Patient/{support.decode(answer)['id']}"


def json_patch(gateway: Gateway, url: str, *operations: Json, **headers: str) -> httpx.Response:
    return gateway.http.patch(url, content=support.encode(list(operations)), headers={**JSON_PATCH, **headers})


def operation(kind: str, path: str, value: Any = None, **parts: Any) -> Json:
    """One operation of a FHIRPath Patch. `value` is (type, value) or a list of parts."""
    named: list[Json] = [{"name": "type", "valueCode": kind}, {"name": "path", "valueString": path}]
    if isinstance(value, tuple):
        named.append({"name": "value", f"value{value[0]}": value[1]})
    elif value is not None:
        named.append({"name": "value", "part": value})
    for name, given in parts.items():
        named.append({"name": name, ("valueInteger" if isinstance(given, int) else "valueString"): given})
    return {"name": "operation", "part": named}


def fhirpath_patch(gateway: Gateway, url: str, *operations: Json) -> httpx.Response:
    body = {"resourceType": "Parameters", "parameter": list(operations)}
    return gateway.http.patch(url, content=support.encode(body), headers=support.FHIR_JSON)


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ([{"op": "replace", "path": "/active", "value": False}], {"active": False}),
        ([{"op": "remove", "path": "/birthDate"}], {"birthDate": None}),
        ([{"op": "add", "path": "/gender", "value": "female"}], {"gender": "female"}),
        ([{"op": "add", "path": "/identifier/-", "value": {"value": "3"}}],
         {"identifier": [*PATIENT["identifier"], {"value": "3"}]}),
        ([{"op": "add", "path": "/name/0/given/0", "value": "Al"}],
         {"name": [{**PATIENT["name"][0], "given": ["Al", "Kim", "Lou"]}, PATIENT["name"][1]]}),
        ([{"op": "move", "from": "/identifier/1", "path": "/identifier/0"}],
         {"identifier": PATIENT["identifier"][::-1]}),
        ([{"op": "copy", "from": "/name/0/family", "path": "/name/1/family"}],
         {"name": [PATIENT["name"][0], {**PATIENT["name"][1], "family": "Probe"}]}),
        ([{"op": "test", "path": "/active", "value": True}, {"op": "remove", "path": "/active"}], {"active": None}),
        ([{"op": "remove", "path": "/identifier/1"}, {"op": "remove", "path": "/identifier/0"},
          {"op": "remove", "path": "/identifier"}], {"identifier": None}),
    ],
)  # fmt: skip
def test_json_patch(gateway: Gateway, url: str, operations: list[Json], expected: Json) -> None:
    answer = json_patch(gateway, url, *operations)
    assert answer.status_code == 200, answer.text
    assert answer.headers["etag"] == 'W/"2"'
    stored = gateway.get(url)
    assert stored == support.decode(answer)
    assert {name: stored.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    "operations",
    [
        [{"op": "test", "path": "/active", "value": False}, {"op": "remove", "path": "/active"}],
        [{"op": "remove", "path": "/nothing"}], [{"op": "replace", "path": "/identifier/7", "value": {}}],
        [{"op": "replace", "path": "/active", "value": "yes"}], [{"op": "add", "path": "/gender", "value": "x"}],
        [{"op": "nonsense", "path": "/active"}], [{"op": "replace", "path": "active", "value": False}],
        [{"op": "replace", "path": "/active"}], [{"path": "/active"}], [5],
        [{"op": "add", "path": "/nonsense", "value": 1}],
        [{"op": "replace", "path": "/resourceType", "value": "Person"}], [{"op": "replace", "path": "", "value": 5}],
        [{"op": "replace", "path": "/id", "value": "another"}], [{"op": "remove", "path": "/resourceType"}],
        [{"op": "add", "path": "/name/0/given/9", "value": "x"}],
    ],
)  # fmt: skip
def test_a_patch_that_does_not_fit_changes_nothing(gateway: Gateway, url: str, operations: list[Json]) -> None:
    answer = json_patch(gateway, url, *operations)
    assert answer.status_code in (400, 409, 412, 422), (answer.status_code, answer.text[:300])
    assert support.issues(answer)
    assert gateway.get(url)["meta"]["versionId"] == "1"
    assert gateway.get(url)["active"] is True


def test_patch_keeps_to_its_address(gateway: Gateway, url: str) -> None:
    assert json_patch(gateway, f"Patient/{uuid.uuid4()}", {"op": "remove", "path": "/active"}).status_code == 404
    assert gateway.http.delete(url).status_code in (200, 204)
    assert json_patch(gateway, url, {"op": "remove", "path": "/active"}).status_code in (404, 410)
    for body in (b"", b"{", b"{}", b"null"):
        assert gateway.http.patch(url, content=body, headers=JSON_PATCH).status_code in (400, 404, 410, 422)


CONTACT = [{"name": "system", "valueCode": "phone"}, {"name": "value", "valueString": "0221"}]


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ([operation("replace", "Patient.active", ("Boolean", False))], {"active": False}),
        ([operation("replace", "Patient.birthDate", ("Date", "1930-01-01"))], {"birthDate": "1930-01-01"}),
        ([operation("add", "Patient", ("Code", "female"), name="gender")], {"gender": "female"}),
        ([operation("add", "Patient", CONTACT, name="telecom")], {"telecom": [{"system": "phone", "value": "0221"}]}),
        ([operation("add", "Patient", ("Identifier", {"value": "3"}), name="identifier")],
         {"identifier": [*PATIENT["identifier"], {"value": "3"}]}),
        ([operation("delete", "Patient.birthDate")], {"birthDate": None}),
        ([operation("delete", "Patient.photo")], {"photo": None}),  # delete of nothing is no error
        ([operation("delete", "Patient.identifier.where(value = '1')")], {"identifier": [PATIENT["identifier"][1]]}),
        ([operation("delete", "Patient.name[1]")], {"name": [PATIENT["name"][0]]}),
        ([operation("insert", "Patient.identifier", ("Identifier", {"value": "0"}), index=0)],
         {"identifier": [{"value": "0"}, *PATIENT["identifier"]]}),
        ([operation("insert", "Patient.identifier", ("Identifier", {"value": "9"}), index=2)],
         {"identifier": [*PATIENT["identifier"], {"value": "9"}]}),
        ([operation("move", "Patient.identifier", source=1, destination=0)],
         {"identifier": PATIENT["identifier"][::-1]}),
        ([operation("replace", "Patient.name.where(use = 'official').family", ("String", "Neu"))],
         {"name": [{**PATIENT["name"][0], "family": "Neu"}, PATIENT["name"][1]]}),
        ([operation("add", "Patient.name[1]", ("String", "Ki"), name="given")],
         {"name": [PATIENT["name"][0], {**PATIENT["name"][1], "given": ["Ki"]}]}),
        ([operation("delete", "Patient.active"), operation("add", "Patient", ("Boolean", False), name="active")],
         {"active": False}),
        ([operation("add", "Patient", ("Boolean", True), name="deceased")], {"deceasedBoolean": True}),
    ],
)  # fmt: skip
def test_fhirpath_patch(gateway: Gateway, url: str, operations: list[Json], expected: Json) -> None:
    answer = fhirpath_patch(gateway, url, *operations)
    assert answer.status_code == 200, answer.text
    stored = gateway.get(url)
    assert {name: stored.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    "operations",
    [
        [operation("replace", "Patient.gender.where(false)", ("Code", "male"))],  # no element: an error
        [operation("replace", "Patient.identifier", ("Identifier", {"value": "x"}))],  # several elements: an error
        [operation("delete", "Patient.identifier")],
        [operation("insert", "Patient.identifier", ("Identifier", {"value": "x"}), index=7)],
        [operation("move", "Patient.identifier", source=7, destination=0)],
        [operation("add", "Patient", ("Code", "x"), name="gender")],
        [operation("add", "Patient", ("Code", "male"))],
        [operation("nonsense", "Patient.active")], [operation("replace", "Patient.active")],
        [operation("replace", "Patient.active((", ("Boolean", True))], [operation("replace", "", ("Boolean", True))],
        [operation("delete", "Patient.active"), operation("nonsense", "Patient.name")],
        [operation("replace", "Patient.id", ("Id", "another"))], [operation("delete", "Patient")],
        [{"name": "operation"}], [{"name": "nonsense", "valueString": "x"}],
        [operation("delete", "Observation.status")],
    ],
)  # fmt: skip
def test_a_fhirpath_patch_that_does_not_fit_changes_nothing(gateway: Gateway, url: str, operations: list[Json]) -> None:
    answer = fhirpath_patch(gateway, url, *operations)
    stored = gateway.get(url)
    if operations == [operation("delete", "Observation.status")] and answer.status_code == 200:
        assert {name: stored[name] for name in PATIENT} == PATIENT  # nothing selected, nothing deleted
        return
    assert answer.status_code in (400, 409, 412, 422), (answer.status_code, answer.text[:300])
    assert support.issues(answer)
    assert (stored["meta"]["versionId"], stored["active"]) == ("1", True)


def test_another_body_than_a_patch_is_refused(gateway: Gateway, url: str) -> None:
    answer = gateway.http.patch(url, content=support.encode(PATIENT), headers=support.FHIR_JSON)
    assert answer.status_code in (400, 415, 422)


def test_delete(gateway: Gateway, url: str) -> None:
    answer = gateway.http.delete(url)
    assert answer.status_code in (200, 204)
    assert (answer.status_code == 204) == (answer.content == b"")
    assert answer.headers["etag"] == 'W/"2"'  # http.html#delete: SHOULD tell the version
    gone = gateway.http.get(url)
    assert gone.status_code == 410
    assert support.issues(gone)
    assert gateway.http.head(url).status_code == 410
    assert gateway.get("Patient", _id=url.split("/")[1])["total"] == 0
    assert gateway.http.delete(url).status_code in (200, 204)  # again: nothing more to do
    assert len(gateway.get(f"{url}/_history")["entry"]) == 2
    assert gateway.http.delete(f"Patient/{uuid.uuid4()}").status_code in (200, 204, 404)


def test_an_update_brings_a_deleted_resource_back(gateway: Gateway, url: str) -> None:
    gateway.http.delete(url)
    back = gateway.put({**PATIENT, "id": url.split("/")[1]})
    assert (back.status_code in (200, 201), back.headers["etag"]) == (True, 'W/"3"')
    assert gateway.get(url)["active"] is True
    assert gateway.get("Patient", _id=url.split("/")[1])["total"] == 1


def test_update_as_create_and_the_id_of_the_address(gateway: Gateway) -> None:
    name = f"n{uuid.uuid4().hex}"
    answer = gateway.put({**PATIENT, "id": name})
    assert (answer.status_code, answer.headers["etag"]) == (201, 'W/"1"')
    assert answer.headers["location"].endswith(f"/Patient/{name}/_history/1")
    for body in ({**PATIENT, "id": "other"}, PATIENT, {**PATIENT, "resourceType": "Person", "id": name}):
        refused = gateway.http.put(f"Patient/{name}", content=support.encode(body), headers=support.FHIR_JSON)
        assert refused.status_code == 400, refused.text  # http.html#update: the id must be there and the same
    wrong = {**PATIENT, "id": name, "active": False, "meta": {"versionId": "77", "lastUpdated": "2001-01-01T00:00:00Z"}}
    again = gateway.put(wrong)
    assert (again.status_code, again.headers["etag"]) == (200, 'W/"2"')
    assert support.decode(again)["meta"]["versionId"] == "2"
    assert not support.decode(again)["meta"]["lastUpdated"].startswith("2001")


def test_tags_stay_with_the_resource_over_an_update_without_them(gateway: Gateway) -> None:
    """resource.html#Meta: what the update does not have of profile is gone; tag and security are as sent or kept."""
    tagged = {**PATIENT, "meta": {"profile": ["urn:p"], "tag": [{"system": "urn:t", "code": "t"}]}}
    made = support.decode(gateway.post("Patient", tagged))
    changed = support.decode(gateway.put({**made, "active": False}))
    assert changed["meta"]["profile"] == ["urn:p"]
    assert changed["meta"]["tag"] == [{"system": "urn:t", "code": "t"}]
