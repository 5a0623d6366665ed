"""Operations, the asynchronous pattern, and the CapabilityStatement beside what the server really answers (R4)."""

from __future__ import annotations

import json
import urllib.parse
import uuid
from typing import Any

import httpx
import pytest

from tests import support
from tests.support import Gateway, Json

PATIENT: Json = {"resourceType": "Patient", "name": [{"family": "Probe"}]}
EXAMPLE = {
    "date": "2026-01-01", "string": "x", "token": "x", "reference": "Patient/x", "uri": "urn:x", "number": "1",
    "quantity": "1|urn:s|u", "composite": "urn:s|c$2026",
}  # fmt: skip


def parameters(**named: Any) -> Json:
    """A Parameters resource: resource, or valueCode/valueUri/valueBoolean by the name of the parameter."""
    kinds = {"resource": "resource", "mode": "valueCode", "profile": "valueUri", "persist": "valueBoolean"}
    made = [{"name": name, kinds[name]: value} for name, value in named.items()]
    return {"resourceType": "Parameters", "parameter": made}


def severities(answer: httpx.Response) -> set[str]:
    """The severities of a $validate, which always answers 200 with an OperationOutcome when it could check."""
    assert answer.status_code == 200, answer.text
    outcome = support.decode(answer)
    assert outcome["resourceType"] == "OperationOutcome"
    assert outcome["issue"]  # 1..*
    return {issue["severity"] for issue in outcome["issue"]}


def created(gateway: Gateway, resource: Json) -> str:
    answer = gateway.post(resource["resourceType"], resource)
    assert answer.status_code == 201, answer.text
    return f"{resource['resourceType']}/{support.decode(answer)['id']}"


GOOD, BAD = {"information", "warning"}, {"error", "fatal"}


@pytest.mark.parametrize("wrap", [lambda r: r, lambda r: parameters(resource=r)], ids=["plain", "Parameters"])
def test_validate_at_the_type(gateway: Gateway, wrap: Any) -> None:
    before = gateway.get("Patient?_summary=count")["total"]
    assert severities(gateway.post("Patient/$validate", wrap(PATIENT))) <= GOOD
    wrong = gateway.post("Patient/$validate", wrap({**PATIENT, "gender": "x"}))
    assert severities(wrong) & BAD
    assert "Patient.gender" in str(support.decode(wrong)["issue"])
    assert severities(gateway.post("Patient/$validate", wrap({**PATIENT, "nonsense": 1}))) & BAD
    other = gateway.post("Observation/$validate", wrap(PATIENT))
    assert other.status_code == 400 or severities(other) & BAD
    assert gateway.get("Patient?_summary=count")["total"] == before


def test_validate_with_a_mode_and_a_profile(gateway: Gateway) -> None:
    for mode in ("create", "update"):
        assert severities(gateway.post("Patient/$validate", parameters(resource=PATIENT, mode=mode))) <= GOOD | BAD
    assert gateway.post("Patient/$validate", parameters(resource=PATIENT, mode="nonsense")).status_code == 400
    core = "http://hl7.org/fhir/StructureDefinition/Patient"
    assert severities(gateway.post("Patient/$validate", parameters(resource=PATIENT, profile=core))) <= GOOD
    unknown = gateway.post("Patient/$validate", parameters(resource=PATIENT, profile="http://example.org/never"))
    assert unknown.status_code in (400, 404, 422) or severities(unknown) & {*BAD, "warning"}
    query = urllib.parse.quote(core, safe="")
    assert severities(gateway.post(f"Patient/$validate?profile={query}&mode=create", PATIENT)) <= GOOD
    assert gateway.post("Patient/$validate", parameters()).status_code in (400, 422)
    assert gateway.post("Nonsense/$validate", {"resourceType": "Nonsense"}).status_code == 404


def test_validate_at_an_instance(gateway: Gateway) -> None:
    known = created(gateway, PATIENT)
    name = known.split("/")[1]
    assert severities(gateway.http.get(f"{known}/$validate")) <= GOOD
    assert severities(gateway.post(f"{known}/$validate", {**PATIENT, "id": name})) <= GOOD
    assert severities(gateway.post(f"{known}/$validate", parameters(mode="delete"))) <= GOOD
    profile = "http://hl7.org/fhir/StructureDefinition/Patient"
    assert severities(gateway.post(f"{known}/$validate", parameters(mode="profile", profile=profile))) <= GOOD
    assert gateway.http.get(f"Patient/{uuid.uuid4()}/$validate").status_code == 404
    assert gateway.get(known)["meta"]["versionId"] == "1"
    kind = {"Content-Type": "application/fhir+xml", "Accept": "application/fhir+xml"}
    xml = gateway.http.post("Patient/$validate", content=b'<Patient xmlns="http://hl7.org/fhir"/>', headers=kind)
    assert (xml.status_code, b"<OperationOutcome" in xml.content) == (200, True)


def encounter(gateway: Gateway) -> str:
    return gateway.posted(support.case_bundle("sinusitis"))["Encounter"]


def test_process_is_asynchronous(gateway: Gateway) -> None:
    """async.html: 202 with Content-Location, 202 while it works, 200 with the manifest of what was made."""
    visit = encounter(gateway)
    gateway.ended(visit)
    answer = gateway.http.post(f"{visit}/$process", headers={"Prefer": "respond-async"})
    assert answer.status_code == 202, answer.text
    address = answer.headers["content-location"]
    assert address.startswith(gateway.address("/"))

    def finished() -> httpx.Response | None:
        polled = gateway.http.get(address)
        assert polled.status_code in (200, 202), polled.text
        if polled.status_code == 202:
            assert len(polled.headers.get("x-progress", "")) <= 100
            return None
        return polled

    done = support.poll(finished, "the end of $process")
    assert done.headers["content-type"].startswith("application/json")
    manifest = json.loads(done.content)
    assert {"transactionTime", "request", "requiresAccessToken", "output", "error"} <= set(manifest)
    assert manifest["request"] == gateway.address(f"/fhir/{visit}/$process")
    assert manifest["output"]
    for output in manifest["output"]:
        assert gateway.get(output["url"])["resourceType"] == output["type"]
    assert gateway.http.delete(address).status_code == 202
    assert gateway.http.get(gateway.address("/fhir/_async/never")).status_code == 404
    assert gateway.http.delete(gateway.address("/fhir/_async/never")).status_code == 404


def test_process_is_cancelled_by_delete(gateway: Gateway) -> None:
    visit = encounter(gateway)
    answer = gateway.http.post(f"{visit}/$process", headers={"Prefer": "respond-async"})
    address = answer.headers["content-location"]
    assert gateway.http.delete(address).status_code == 202
    assert gateway.http.get(address).status_code in (200, 404)  # it may have ended before
    assert gateway.http.get(f"{visit}/$process").status_code == 405
    assert gateway.http.post(f"Encounter/{uuid.uuid4()}/$process").status_code == 404


@pytest.fixture(scope="module")
def composition(gateway: Gateway) -> str:
    who, author = created(gateway, PATIENT), created(gateway, {"resourceType": "Practitioner"})
    organization = created(gateway, {"resourceType": "Organization", "name": "Praxis"})
    meeting: Json = {"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}}
    visit = created(gateway, {**meeting, "subject": {"reference": who}})
    entry = created(gateway, {"resourceType": "Condition", "subject": {"reference": who}, "code": {"text": "Husten"}})
    nested = created(gateway, {"resourceType": "Flag", "status": "active", "code": {"text": "x"},
                               "subject": {"reference": who}})  # fmt: skip
    return created(gateway, {
        "resourceType": "Composition", "status": "final", "type": {"text": "Brief"}, "date": "2026-03-04",
        "title": "Arztbrief", "subject": {"reference": who}, "author": [{"reference": author}],
        "encounter": {"reference": visit}, "custodian": {"reference": organization},
        "section": [{"title": "A", "entry": [{"reference": entry}],
                     "section": [{"title": "B", "entry": [{"reference": nested}, {"reference": entry}]}]}],
    })  # fmt: skip


def test_document(gateway: Gateway, composition: str) -> None:
    """documents.html, composition-operation-document.html and the invariants bdl-9 to bdl-12."""
    for answer in (gateway.http.get(f"{composition}/$document"), gateway.post(f"{composition}/$document", b"")):
        assert answer.status_code == 200, answer.text
        bundle = support.decode(answer)
        assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "document")
        assert bundle["identifier"]["system"] and bundle["identifier"]["value"]
        assert bundle["timestamp"]
        held = [entry["resource"]["resourceType"] for entry in bundle["entry"]]
        assert held[0] == "Composition"
        assert sorted(held[1:]) == ["Condition", "Encounter", "Flag", "Organization", "Patient", "Practitioner"]
        urls = [entry["fullUrl"] for entry in bundle["entry"]]
        assert len(set(urls)) == len(urls)
        assert all("request" not in e and "response" not in e and "search" not in e for e in bundle["entry"])
    query = f"identifier={urllib.parse.quote(bundle['identifier']['value'])}"
    assert gateway.get(f"Bundle?{query}")["total"] == 0
    kept = support.decode(gateway.post(f"{composition}/$document", parameters(persist=True)))
    stored = gateway.get(f"Bundle/{kept['id']}")
    assert stored["type"] == "document"
    assert gateway.get(f"Bundle?identifier={urllib.parse.quote(kept['identifier']['value'])}")["total"] == 1
    assert gateway.http.get(f"Composition/{uuid.uuid4()}/$document").status_code == 404
    assert gateway.post("Bundle/$validate", stored).status_code == 200
    xml = gateway.http.get(f"{composition}/$document", headers={"Accept": "application/fhir+xml"})
    assert b'<type value="document"/>' in xml.content


@pytest.fixture(scope="module")
def statement(gateway: Gateway) -> Json:
    return gateway.get("metadata")


def test_the_statement_is_valid_and_names_the_server(gateway: Gateway, statement: Json) -> None:
    assert (statement["resourceType"], statement["fhirVersion"], statement["kind"]) == (
        "CapabilityStatement", "4.0.1", "instance")  # fmt: skip
    assert {"status", "date", "software", "implementation"} <= set(statement)
    assert {"application/fhir+json", "application/fhir+xml"} <= {*statement["format"], "application/fhir+json"}
    rest = statement["rest"][0]
    assert rest["mode"] == "server"
    for resource in rest["resource"]:
        for key in ("interaction", "searchParam", "operation"):
            names = [one.get("code") or one.get("name") for one in resource.get(key, [])]
            assert len(set(names)) == len(names), (resource["type"], key)  # cpb-12 and the like
        assert all(s == "*" or s.startswith(resource["type"] + ":") for s in resource.get("searchInclude", []))
    assert len({r["type"] for r in rest["resource"]}) == len(rest["resource"])
    assert gateway.get("metadata", mode="full")["resourceType"] == "CapabilityStatement"


def test_each_type_answers_the_interactions_it_lists_and_refuses_the_others(gateway: Gateway, statement: Json) -> None:
    wrong: list[str] = []
    for listed in statement["rest"][0]["resource"]:
        kind, codes = listed["type"], {i["code"] for i in listed["interaction"]}
        never = f"{kind}/{uuid.uuid4()}"
        body = support.encode({"resourceType": kind, "nonsense": True})
        patch = {"Content-Type": "application/json-patch+json"}
        asked = {
            "read": ("GET", never, None, {}, {404}), "vread": ("GET", f"{never}/_history/1", None, {}, {404}),
            "history-instance": ("GET", f"{never}/_history", None, {}, {404}),
            "history-type": ("GET", f"{kind}/_history", None, {}, {200}), "search-type": ("GET", kind, None, {}, {200}),
            "create": ("POST", kind, body, support.FHIR_JSON, {400, 422}),
            "update": ("PUT", never, body, support.FHIR_JSON, {400, 422}),
            "patch": ("PATCH", never, b'[{"op":"add","path":"/id","value":"x"}]', patch, {404}),
            "delete": ("DELETE", never, None, {}, {200, 204, 404}),
        }  # fmt: skip
        for code, (method, path, content, headers, expected) in asked.items():
            answer = gateway.http.request(method, path, content=content, headers=headers)
            if code in codes and answer.status_code not in expected:
                wrong.append(f"{code} of {kind}: {answer.status_code}")
            if code not in codes and answer.status_code not in (404, 405):
                wrong.append(f"{code} of {kind} is not listed and answers {answer.status_code}")
            if answer.status_code == 405 and "GET" not in answer.headers.get("allow", ""):  # RFC 9110 15.5.6: MUST
                wrong.append(f"{code} of {kind} is refused without Allow")
    assert wrong == []


def test_every_listed_search_parameter_is_accepted(gateway: Gateway, statement: Json) -> None:
    wrong = []
    for listed in statement["rest"][0]["resource"]:
        urls = [
            f"{listed['type']}?_count=1&{p['name']}={urllib.parse.quote(EXAMPLE[p['type']], safe='')}"
            for p in listed["searchParam"]
        ]
        entries = [{"request": {"method": "GET", "url": url}} for url in urls]
        answer = gateway.post("", {"resourceType": "Bundle", "type": "batch", "entry": entries})
        for url, entry in zip(urls, support.decode(answer)["entry"], strict=True):
            if not entry["response"]["status"].startswith("200"):
                wrong.append((url, str(entry["response"])[:200]))
    assert wrong == []


def test_every_listed_include_works(gateway: Gateway, statement: Json) -> None:
    wrong = []
    for listed in statement["rest"][0]["resource"]:
        query = [("_include", one) for one in listed.get("searchInclude", [])]
        query += [("_revinclude", one) for one in listed.get("searchRevInclude", [])]
        answer = gateway.http.get(listed["type"], params=[("_count", "1"), *query])
        if answer.status_code != 200:
            wrong.append((listed["type"], answer.text[:200]))
    assert wrong == []


def test_the_system_answers_what_it_lists(gateway: Gateway, statement: Json) -> None:
    rest = statement["rest"][0]
    codes = {i["code"] for i in rest["interaction"]}
    empty = {"resourceType": "Bundle", "type": "batch"}
    asked = {
        "transaction": gateway.post("", {**empty, "type": "transaction"}), "batch": gateway.post("", empty),
        "search-system": gateway.http.get("?_id=never"), "history-system": gateway.http.get("_history?_count=1"),
    }  # fmt: skip
    for code, answer in asked.items():
        assert (answer.status_code == 200) == (code in codes), (code, answer.text)
    for parameter in rest.get("searchParam", []):
        value = EXAMPLE[parameter["type"]]
        assert gateway.http.get("", params={parameter["name"]: value}).status_code == 200
    assert gateway.http.get("", params={"_type": "Patient,Task", "_lastUpdated": "2026"}).status_code == 200
    listed = {resource["type"]: {o["name"] for o in resource.get("operation", [])} for resource in rest["resource"]}
    assert {"validate", "process"} <= listed["Encounter"]
    assert {"validate", "document", "release"} <= listed["Composition"]


def test_a_type_of_r4_that_is_not_listed_is_404(gateway: Gateway, statement: Json) -> None:
    listed = {resource["type"] for resource in statement["rest"][0]["resource"]}
    for kind in {"VisionPrescription", "Substance", "Contract"} - listed:
        assert gateway.http.get(kind).status_code == 404
        assert gateway.http.get(f"{kind}/x").status_code == 404
        assert gateway.post(kind, {"resourceType": kind}).status_code in (404, 405)
