"""The FHIR endpoint as a client sees it: create, read, vread, update, history, search, transaction, batch."""

from __future__ import annotations

import re
import urllib.parse
import uuid
from typing import Any

import httpx
import pytest

from tests import support
from tests.support import Gateway, Json

SYSTEM = "urn:test:rest"


def patient(**elements: Any) -> Json:
    return {"resourceType": "Patient", "name": [{"family": "Probe", "given": ["Kim"]}], **elements}


def observation(subject: str, **elements: Any) -> Json:
    return {"resourceType": "Observation", "status": "final", "code": {"text": "Gewicht"},
            "subject": {"reference": subject}, **elements}  # fmt: skip


def created(gateway: Gateway, resource: Json) -> Json:
    """The resource as the server answers its creation."""
    answer = gateway.post(resource["resourceType"], resource)
    assert answer.status_code == 201, answer.text
    return support.decode(answer)


def bundle(kind: str, *entries: Json) -> Json:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def entry(resource: Json, method: str = "POST", url: str | None = None, **parts: Any) -> Json:
    request = {"method": method, "url": url or resource["resourceType"], **parts.pop("request", {})}
    return {**parts, "resource": resource, "request": request}


def ids(searchset: Json) -> list[str]:
    return [found["resource"]["id"] for found in searchset.get("entry", [])]


def test_create_answers_201_with_location_etag_and_the_resource(gateway: Gateway) -> None:
    sent = patient(id="ignored", meta={"versionId": "99", "profile": ["http://example.org/p"]})
    answer = gateway.post("Patient", sent)
    stored = support.decode(answer)
    assert answer.status_code == 201
    assert answer.headers["content-type"] == "application/fhir+json; charset=utf-8"
    assert answer.headers["etag"] == 'W/"1"'
    assert answer.headers["location"] == gateway.address(f"/fhir/Patient/{stored['id']}/_history/1")
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT", answer.headers["last-modified"])
    assert uuid.UUID(stored["id"])
    assert stored["meta"].pop("lastUpdated").endswith("Z")
    assert stored == {**sent, "id": stored["id"], "meta": {"versionId": "1", "profile": ["http://example.org/p"]}}


def test_read_serves_what_was_stored(gateway: Gateway) -> None:
    stored = created(gateway, patient())
    answer = gateway.http.get(f"Patient/{stored['id']}")
    assert (answer.status_code, answer.headers["etag"], support.decode(answer)) == (200, 'W/"1"', stored)
    assert "location" not in answer.headers


def test_read_with_the_known_etag_is_304(gateway: Gateway) -> None:
    stored = created(gateway, patient())
    known = {"If-None-Match": 'W/"1"'}
    assert gateway.http.get(f"Patient/{stored['id']}", headers=known).status_code == 304
    assert gateway.put({**stored, "active": True}).status_code == 200
    assert gateway.http.get(f"Patient/{stored['id']}", headers=known).status_code == 200


def test_update_makes_a_version_and_keeps_the_old_one(gateway: Gateway) -> None:
    first = created(gateway, patient())
    answer = gateway.put({**first, "active": True})
    second = support.decode(answer)
    assert (answer.status_code, answer.headers["etag"]) == (200, 'W/"2"')
    assert answer.headers["location"] == gateway.address(f"/fhir/Patient/{first['id']}/_history/2")
    assert gateway.get(f"Patient/{first['id']}") == second
    assert gateway.get(f"Patient/{first['id']}/_history/1") == first
    assert gateway.get(f"Patient/{first['id']}/_history/2") == second
    history = gateway.get(f"Patient/{first['id']}/_history")
    assert (history["type"], history["total"]) == ("history", 2)
    assert [e["resource"] for e in history["entry"]] == [second, first]
    assert [(e["request"]["method"], e["response"]["status"], e["response"]["etag"]) for e in history["entry"]] == [
        ("PUT", "200 OK", 'W/"2"'), ("POST", "201 Created", 'W/"1"'),
    ]  # fmt: skip


def test_update_creates_under_the_clients_id(gateway: Gateway) -> None:
    resource = patient(id=f"kis-{uuid.uuid4().hex}")
    answer = gateway.put(resource)
    assert answer.status_code == 201
    assert answer.headers["location"].endswith(f"/fhir/Patient/{resource['id']}/_history/1")


def test_an_update_that_says_the_same_makes_no_version(gateway: Gateway) -> None:
    first = created(gateway, patient())
    answer = gateway.put(first)
    assert (answer.status_code, answer.headers["etag"], support.decode(answer)) == (200, 'W/"1"', first)


@pytest.mark.parametrize(
    ("if_match", "status"),
    [('W/"2"', 200), ('"2"', 200), ('W/"1"', 412), ('W/"7"', 412), ("2", 400), ("*", 400)],
)
def test_if_match_guards_an_update(gateway: Gateway, if_match: str, status: int) -> None:
    stored = support.decode(gateway.put({**created(gateway, patient()), "active": True}))
    answer = gateway.put({**stored, "active": False}, **{"If-Match": if_match})
    assert answer.status_code == status
    assert gateway.get(f"Patient/{stored['id']}")["active"] is (status != 200)


def test_if_match_on_nothing_is_412(gateway: Gateway) -> None:
    answer = gateway.put(patient(id=f"new-{uuid.uuid4().hex}"), **{"If-Match": 'W/"1"'})
    assert (answer.status_code, support.issues(answer)[0][0]) == (412, "conflict")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "Patient/nothing", None, 404, "not-found"),
        ("GET", "Patient/nothing/_history", None, 404, "not-found"),
        ("GET", "Patient/nothing/_history/1", None, 404, "not-found"),
        ("GET", "Nothing/1", None, 404, "not-supported"),
        ("GET", "Nothing", None, 404, "not-supported"),
        ("POST", "AuditEvent", {"resourceType": "AuditEvent"}, 405, "not-supported"),
        ("PUT", "AuditEvent/1", {"resourceType": "AuditEvent", "id": "1"}, 405, "not-supported"),
        ("DELETE", "AuditEvent/1", None, 405, "not-supported"),
        ("DELETE", "Patient/1/_history", None, 405, "not-supported"),
        ("PUT", "metadata", {}, 405, "not-supported"),
        ("PATCH", "Patient/1", {}, 415, "not-supported"),
        ("POST", "Patient", {"resourceType": "Observation"}, 400, "invalid"),
        ("PUT", "Patient/a", {"resourceType": "Patient", "id": "b"}, 400, "invalid"),
        ("PUT", "Patient/a", {"resourceType": "Patient"}, 400, "invalid"),
        ("PUT", "Patient/a_b", {"resourceType": "Patient", "id": "a_b"}, 400, "value"),
        ("GET", "Patient?nothing=1", None, 400, "not-supported"),
        ("GET", "Patient?birthdate=gestern", None, 400, "invalid"),
        ("GET", "Patient?family=", None, 400, "invalid"),
        ("GET", "Patient?_count=many", None, 400, "invalid"),
        ("GET", "Patient?_sort=shoe-size", None, 400, "not-supported"),
        ("POST", "Patient/_search?nothing=1", None, 400, "not-supported"),
    ],
)
def test_what_cannot_be_done_is_an_operation_outcome(
    gateway: Gateway, method: str, path: str, body: Json | None, status: int, code: str
) -> None:
    content = None if body is None else support.encode(body)
    headers = support.FHIR_JSON if body is not None else {}
    answer = gateway.http.request(method, path, content=content, headers=headers)
    assert answer.status_code == status
    assert support.issues(answer)[0][0] == code
    if status == 405 and path in ("Patient/1/_history", "metadata"):
        assert answer.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("Patient?_id={a}", "a"),
        ("Patient?_id={a},{b}", "ab"),
        ("Patient?identifier=urn:test:rest|{key}-a", "a"),
        ("Patient?identifier={key}-b", "b"),
        ("Patient?identifier=urn:other|{key}-a", ""),
        ("Patient?identifier=urn:test:rest|&family={key}", "ab"),
        ("Patient?family={key}", "ab"),
        ("Patient?family={KEY}müller", "a"),
        ("Patient?family={key}muller", "a"),
        ("Patient?family=üller", ""),
        ("Patient?name=jörg&family={key}", "a"),
        ("Patient?given=JORG,anna&family={key}", "ab"),
        ("Patient?given=anna&given=jörg&family={key}", ""),
        ("Patient?gender=male&family={key}", "a"),
        ("Patient?gender=male,female&family={key}", "ab"),
        ("Patient?active=true&family={key}", "b"),
        ("Patient?birthdate=1980-05-02&family={key}", "a"),
        ("Patient?birthdate=1980&family={key}", "a"),
        ("Patient?birthdate=1980-06&family={key}", ""),
        ("Patient?birthdate=gt1980-05-02&family={key}", "b"),
        ("Patient?birthdate=ge1980-05-02&family={key}", "ab"),
        ("Patient?birthdate=lt1990&family={key}", "a"),
        ("Patient?birthdate=le1990-12-31&family={key}", "ab"),
        ("Patient?birthdate=ne1980-05-02&family={key}", "b"),
        ("Patient?birthdate=ge1980&birthdate=lt1985&family={key}", "a"),
        ("Patient?_lastUpdated=gt2000-01-01&family={key}", "ab"),
        ("Patient?_lastUpdated=lt2000-01-01&family={key}", ""),
        ("Observation?subject=Patient/{a}", "A"),
        ("Observation?subject={a}", "A"),
        ("Observation?patient={a},{b}", "AB"),
        ("Observation?patient=Patient/{b}", "B"),
        ("Observation?subject=Group/{a}", ""),
        ("Observation?code=http://loinc.org|29463-7&patient={a},{b}", "A"),
        ("Observation?code=29463-7&patient={a},{b}", "A"),
        ("Observation?status=preliminary&patient={a},{b}", "B"),
        ("Observation?date=2026-03-04&patient={a},{b}", "A"),
        ("Observation?date=ge2026-03-04T10:00:00Z&patient={a},{b}", "B"),
    ],
)
def test_search_finds_by_each_kind_of_parameter(
    gateway: Gateway, people: dict[str, str], path: str, found: str
) -> None:
    query = path.format(**people).replace("ü", "%C3%BC").replace("ö", "%C3%B6")
    answer = gateway.http.get(query)
    assert answer.status_code == 200, answer.text
    searchset = support.decode(answer)
    assert (searchset["type"], searchset["total"]) == ("searchset", len(found))
    assert ids(searchset) == [people[name] for name in found]
    for one in searchset.get("entry", []):
        assert one["search"] == {"mode": "match"}
        assert one["fullUrl"] == gateway.address(f"/fhir/{one['resource']['resourceType']}/{one['resource']['id']}")
    assert searchset["link"][0]["relation"] == "self"


@pytest.fixture(scope="module")
def people(gateway: Gateway) -> dict[str, str]:
    """Two patients with an observation each; their ids are a and b, A and B."""
    key = f"k{uuid.uuid4().hex[:8]}"
    a = created(gateway, patient(
        identifier=[{"system": SYSTEM, "value": f"{key}-a"}], gender="male", birthDate="1980-05-02",
        name=[{"family": f"{key}Müller", "given": ["Jörg"]}],
    ))["id"]  # fmt: skip
    b = created(gateway, patient(
        identifier=[{"system": SYSTEM, "value": f"{key}-b"}], gender="female", birthDate="1990-12-31", active=True,
        name=[{"family": f"{key}Meier", "given": ["Anna", "Maria"]}],
    ))["id"]  # fmt: skip
    loinc = {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]}
    weight = observation(f"Patient/{a}", code=loinc, effectiveDateTime="2026-03-04T09:00:00+01:00")
    height = observation(f"Patient/{b}", status="preliminary", effectivePeriod={"start": "2026-03-05"})
    big_a, big_b = created(gateway, weight)["id"], created(gateway, height)["id"]
    return {"key": key, "KEY": key.upper(), "a": a, "b": b, "A": big_a, "B": big_b}


def test_search_by_post_finds_what_search_by_get_finds(gateway: Gateway, people: dict[str, str]) -> None:
    form = {"family": people["key"], "gender": "female"}
    answer = gateway.http.post("Patient/_search", data=form)
    assert answer.status_code == 200
    assert ids(support.decode(answer)) == [people["b"]]
    answer = gateway.http.post("Patient/_search?gender=male", data={"family": people["key"]})
    assert ids(support.decode(answer)) == [people["a"]]


def test_search_by_post_of_json_is_415(gateway: Gateway) -> None:
    answer = gateway.post("Patient/_search", {"family": "Probe"})
    assert (answer.status_code, support.issues(answer)[0][0]) == (415, "not-supported")


def test_an_old_version_is_not_found_any_more(gateway: Gateway) -> None:
    key = uuid.uuid4().hex
    stored = created(gateway, patient(identifier=[{"system": SYSTEM, "value": key}]))
    gateway.put({**stored, "identifier": [{"system": SYSTEM, "value": f"{key}-new"}]})
    assert gateway.get("Patient", identifier=key)["total"] == 0
    assert ids(gateway.get("Patient", identifier=f"{key}-new")) == [stored["id"]]


@pytest.mark.parametrize("sort", ["_lastUpdated", "-_lastUpdated"])
def test_next_links_walk_all_pages_once(gateway: Gateway, sort: str) -> None:
    key = f"page{uuid.uuid4().hex[:8]}"
    made = [created(gateway, patient(name=[{"family": key}]))["id"] for _number in range(7)]
    url, seen, pages = f"Patient?family={key}&_count=3&_sort={sort}", list[str](), 0
    while url:
        page = support.decode(gateway.http.get(url))
        assert page["total"] == 7
        seen += ids(page)
        pages += 1
        links = {link["relation"]: link["url"] for link in page["link"]}
        assert urllib.parse.parse_qs(urllib.parse.urlsplit(links["self"]).query)["family"] == [key]
        url = links.get("next", "")
    assert (seen, pages) == (made if sort == "_lastUpdated" else made[::-1], 3)


def test_a_transaction_resolves_its_urns_everywhere(gateway: Gateway) -> None:
    who, visit = "urn:uuid:" + str(uuid.uuid4()), "urn:uuid:" + str(uuid.uuid4())
    meeting = {"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"},
               "subject": {"reference": who}}  # fmt: skip
    seen = observation(who, encounter={"reference": visit}, derivedFrom=[{"reference": "Observation/elsewhere"}])
    sent = bundle("transaction", entry(seen), entry(meeting, fullUrl=visit), entry(patient(), fullUrl=who))
    answer = gateway.post("", sent)
    assert answer.status_code == 200
    response = support.decode(answer)
    assert response["type"] == "transaction-response"
    found = support.references(response)
    assert list(found) == ["Observation", "Encounter", "Patient"]
    assert [e["response"]["status"] for e in response["entry"]] == ["201 Created"] * 3
    assert [e["response"]["etag"] for e in response["entry"]] == ['W/"1"'] * 3
    stored = gateway.get(found["Observation"])
    assert stored["subject"]["reference"] == found["Patient"]
    assert stored["encounter"]["reference"] == found["Encounter"]
    assert stored["derivedFrom"] == [{"reference": "Observation/elsewhere"}]
    assert gateway.get(found["Encounter"])["subject"]["reference"] == found["Patient"]


def test_a_transaction_updates_and_creates(gateway: Gateway) -> None:
    stored = created(gateway, patient())
    address = f"Patient/{stored['id']}"
    put = entry({**stored, "active": True}, "PUT", address, request={"ifMatch": 'W/"1"'})
    response = support.decode(gateway.post("", bundle("transaction", put, entry(patient()))))
    assert [e["response"]["status"] for e in response["entry"]] == ["200 OK", "201 Created"]
    assert gateway.get(address)["meta"]["versionId"] == "2"


@pytest.mark.parametrize(
    ("spoiler", "status"),
    [
        (entry(patient(gender="x")), 400),
        (entry(patient(id="a"), "PUT", "Patient/b"), 400),
        (entry(patient(id="never"), "PUT", "Patient/never", request={"ifMatch": 'W/"3"'}), 412),
        (entry(observation("urn:uuid:00000000-0000-4000-8000-000000000000")), 400),
        (entry(patient(meta={"security": [
            {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "AIAST"}]})), 422),
    ],
    ids=["fault", "id", "stale ifMatch", "urn", "claims to be the machine"],
)  # fmt: skip
def test_a_transaction_is_stored_whole_or_not_at_all(gateway: Gateway, spoiler: Json, status: int) -> None:
    key = f"t{uuid.uuid4().hex[:8]}"
    good = entry(patient(name=[{"family": key}]))
    answer = gateway.post("", bundle("transaction", good, spoiler, good))
    assert answer.status_code == status
    assert support.issues(answer)
    assert gateway.get("Patient", family=key)["total"] == 0


def test_a_transaction_that_writes_a_resource_twice_is_refused(gateway: Gateway) -> None:
    twice = entry(patient(id="twice"), "PUT", "Patient/twice")
    answer = gateway.post("", bundle("transaction", twice, twice))
    assert answer.status_code == 400
    assert [(c, e) for c, _text, e in support.issues(answer)] == [("duplicate", "Bundle.entry[1]")]


def test_two_entries_with_one_full_url_are_refused(gateway: Gateway) -> None:
    url = f"urn:uuid:{uuid.uuid4()}"
    sent = bundle("transaction", entry(patient(), fullUrl=url), entry(patient(), fullUrl=url))
    answer = gateway.post("", sent)
    assert answer.status_code == 400
    assert [(c, e) for c, _text, e in support.issues(answer)] == [("invariant", "Bundle")]


@pytest.mark.parametrize("entries", [[], None], ids=["an empty array", "no entry"])
def test_a_transaction_without_entries_is_answered(gateway: Gateway, entries: list[Json] | None) -> None:
    sent = {"resourceType": "Bundle", "type": "transaction", **({} if entries is None else {"entry": entries})}
    answer = gateway.post("", sent)
    assert answer.status_code in (200, 400)
    assert support.decode(answer)["resourceType"] == ("Bundle" if answer.status_code == 200 else "OperationOutcome")


def test_a_batch_does_what_it_can(gateway: Gateway) -> None:
    key = f"b{uuid.uuid4().hex[:8]}"
    good = entry(patient(name=[{"family": key}]))
    sent = bundle("batch", good, entry(patient(gender="x")), entry({"resourceType": "AuditEvent"}), good)
    answer = gateway.post("", sent)
    assert answer.status_code == 200
    response = support.decode(answer)
    assert response["type"] == "batch-response"
    assert [e["response"]["status"][:3] for e in response["entry"]] == ["201", "400", "405", "201"]
    told = [e["response"].get("outcome", {}).get("issue", [{}])[0].get("expression") for e in response["entry"]]
    assert told == [None, ["Bundle.entry[1].resource.gender"], ["Bundle.entry[2].resource"], None]
    assert gateway.get("Patient", family=key)["total"] == 2


def test_a_batch_starts_the_runs_of_its_documents(gateway: Gateway) -> None:
    who = created(gateway, patient())["id"]
    encounter = f"Encounter/{uuid.uuid4()}"
    visit = {"resourceType": "Encounter", "id": encounter.split("/")[1], "status": "finished",
             "class": {"code": "AMB"}, "subject": {"reference": f"Patient/{who}"}}  # fmt: skip
    text = "Ärztin: Was fehlt Ihnen?\nPatientin: Ich habe seit drei Tagen Husten und Fieber.\n"
    source = support.document(encounter, f"Patient/{who}", text.encode())
    assert gateway.post("", bundle("batch", entry(source), entry(visit, "PUT", encounter))).status_code == 200
    assert gateway.ended(encounter)["status"] == "completed"


def test_if_none_exist_reuses_the_one_match_and_references_follow(gateway: Gateway) -> None:
    value = uuid.uuid4().hex
    known = created(gateway, patient(identifier=[{"system": SYSTEM, "value": value}]))
    who = "urn:uuid:" + str(uuid.uuid4())
    condition = {"ifNoneExist": f"identifier={SYSTEM}|{value}"}
    sent = bundle("transaction", entry(patient(active=True), fullUrl=who, request=condition), entry(observation(who)))
    response = support.decode(gateway.post("", sent))
    found = support.references(response)
    assert [e["response"]["status"] for e in response["entry"]] == ["200 OK", "201 Created"]
    assert found["Patient"] == f"Patient/{known['id']}"
    assert gateway.get(found["Patient"]) == known
    assert gateway.get(found["Observation"])["subject"]["reference"] == found["Patient"]


def test_if_none_exist_creates_where_nothing_matches_and_refuses_where_several_do(gateway: Gateway) -> None:
    value = uuid.uuid4().hex
    new = patient(identifier=[{"system": SYSTEM, "value": value}])
    guarded = bundle("transaction", entry(new, request={"ifNoneExist": f"identifier={SYSTEM}|{value}"}))
    assert support.decode(gateway.post("", guarded))["entry"][0]["response"]["status"] == "201 Created"
    created(gateway, new)
    answer = gateway.post("", guarded)
    expression = "Bundle.entry[0].request.ifNoneExist"
    assert answer.status_code == 412
    assert [(c, e) for c, _text, e in support.issues(answer)] == [("multiple-matches", expression)]


def test_two_conditional_creates_of_one_resource_in_a_transaction_make_one(gateway: Gateway) -> None:
    value = uuid.uuid4().hex
    known = created(gateway, patient(identifier=[{"system": SYSTEM, "value": value}]))
    guarded = entry(patient(), request={"ifNoneExist": f"identifier={SYSTEM}|{value}"})
    response = support.decode(gateway.post("", bundle("transaction", guarded, guarded)))
    assert [e["response"]["location"].split("/")[-3] for e in response["entry"]] == [known["id"]] * 2


def test_create_with_if_none_exist_never_makes_a_second_one(gateway: Gateway) -> None:
    value = uuid.uuid4().hex
    known = created(gateway, patient(identifier=[{"system": SYSTEM, "value": value}]))
    headers = {**support.FHIR_JSON, "If-None-Exist": f"identifier={SYSTEM}|{value}"}
    answer = gateway.http.post("Patient", content=support.encode(known), headers=headers)
    assert answer.status_code in (200, 412)  # done, or refused as not supported (R4 http.html#ccreate)
    assert gateway.get("Patient", identifier=value)["total"] == 1


def test_the_capability_statement_tells_what_the_server_does(gateway: Gateway) -> None:
    statement = gateway.get("metadata")
    assert (statement["resourceType"], statement["fhirVersion"]) == ("CapabilityStatement", "4.0.1")
    rest = statement["rest"][0]
    assert {i["code"] for i in rest["interaction"]} == {"transaction", "batch", "search-system", "history-system"}
    offered = {r["type"]: {i["code"] for i in r["interaction"]} for r in rest["resource"]}
    assert {"create", "update", "read", "search-type"} <= offered["DocumentReference"]
    assert offered["AuditEvent"] == {"read", "vread", "history-instance", "history-type", "search-type"}
    for resource in rest["resource"]:
        for parameter in resource["searchParam"]:
            value = {
                "date": "2026-01-01", "string": "x", "token": "x", "reference": "Patient/x", "uri": "urn:x",
                "number": "1", "quantity": "1|urn:s|u", "composite": "urn:s|c$1",
            }[parameter["type"]]  # fmt: skip
            value = "urn:s|c$2026" if parameter["name"] == "code-value-date" else value
            answer = gateway.http.get(resource["type"], params={parameter["name"]: value})
            assert answer.status_code == 200, (resource["type"], parameter)


@pytest.mark.parametrize(
    ("host", "status"), [("evil.example", 421), ("10.0.0.7:8080", 421), ("localhost:1234", 200), ("[::1]:8080", 200)]
)
def test_without_a_token_only_this_machines_names_are_answered(gateway: Gateway, host: str, status: int) -> None:
    assert gateway.http.get("Patient", headers={"Host": host}).status_code == status


def test_a_token_is_asked_for_where_security_says_so(tmp_path: Any) -> None:
    secret = tmp_path / "token"
    secret.write_text("geheim\n", "utf-8")
    with support.running(tmp_path / "data", f"[security]\ntoken_file = '{secret}'\n") as gateway:
        assert (gateway.http.get("Patient").status_code, gateway.http.get("metadata").status_code) == (401, 200)
        assert support.issues(gateway.http.get("Patient"))[0][0] == "login"
        wrong = {"Authorization": "Bearer falsch"}
        assert gateway.http.post("", content=b"{}", headers=wrong).status_code == 401
        right = {"Authorization": "Bearer geheim"}
        assert gateway.http.get("Patient", headers=right).status_code == 200
        assert httpx.get(gateway.address("/healthz"), trust_env=False).status_code == 200
        assert "geheim" not in gateway.log_text()
