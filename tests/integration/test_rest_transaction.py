"""Batch and transaction as http.html#transaction and bundle.html of R4 4.0.1 say them."""

from __future__ import annotations

import concurrent.futures
import uuid
from typing import Any

import httpx
import pytest

from tests import support
from tests.support import Gateway, Json

SYSTEM = "urn:test:transaction"


def fresh() -> str:
    return uuid.uuid4().hex


def urn() -> str:
    return f"urn:uuid:{uuid.uuid4()}"


def patient(value: str, **elements: Any) -> Json:
    return {"resourceType": "Patient", "identifier": [{"system": SYSTEM, "value": value}], **elements}


def observation(subject: str, **elements: Any) -> Json:
    return {"resourceType": "Observation", "status": "final", "code": {"text": "Gewicht"},
            "subject": {"reference": subject}, **elements}  # fmt: skip


def entry(method: str, url: str, resource: Json | None = None, full_url: str | None = None, **request: str) -> Json:
    made: Json = {"request": {"method": method, "url": url, **request}}
    if resource is not None:
        made["resource"] = resource
    if full_url is not None:
        made["fullUrl"] = full_url
    return made


def send(gateway: Gateway, *entries: Json, kind: str = "transaction", **headers: str) -> httpx.Response:
    bundle = {"resourceType": "Bundle", "type": kind, "entry": list(entries)}
    return gateway.http.post("", content=support.encode(bundle), headers={**support.FHIR_JSON, **headers})


def done(gateway: Gateway, *entries: Json, kind: str = "transaction", **headers: str) -> list[Json]:
    """The entries of the answer; it must be 200 and have one for each sent."""
    answer = send(gateway, *entries, kind=kind, **headers)
    assert answer.status_code == 200, answer.text
    bundle = support.decode(answer)
    assert bundle["type"] == f"{kind}-response"
    assert len(bundle["entry"]) == len(entries)
    return list(bundle["entry"])


def statuses(entries: list[Json]) -> list[str]:
    return [one["response"]["status"][:3] for one in entries]


def located(one: Json) -> str:
    """Type/id of a response entry."""
    location: str = one["response"]["location"]
    return "/".join(location.split("/_history/")[0].split("/")[-2:])


def created(gateway: Gateway, value: str, **elements: Any) -> Json:
    answer = gateway.post("Patient", patient(value, **elements))
    assert answer.status_code == 201, answer.text
    return support.decode(answer)


def total(gateway: Gateway, value: str) -> int:
    return int(gateway.get(f"Patient?identifier={SYSTEM}|{value}")["total"])


def test_verbs_run_in_the_order_of_the_specification(gateway: Gateway) -> None:
    """DELETE, POST, PUT and PATCH, GET - whatever order they are sent in; the answers stand as sent."""
    value, gone, kept = fresh(), created(gateway, fresh()), created(gateway, fresh())
    patch = {"resourceType": "Binary", "contentType": "application/json-patch+json",
             "data": "W3sib3AiOiJhZGQiLCJwYXRoIjoiL2FjdGl2ZSIsInZhbHVlIjp0cnVlfV0="}  # fmt: skip
    entries = done(
        gateway,
        entry("GET", f"Patient?identifier={SYSTEM}|{value}"),
        entry("GET", f"Patient/{kept['id']}"),
        entry("PATCH", f"Patient/{kept['id']}", patch),
        entry("POST", "Patient", patient(value)),
        entry("DELETE", f"Patient/{gone['id']}"),
    )
    assert statuses(entries)[:4] == ["200", "200", "200", "201"]
    assert statuses(entries)[4] in ("200", "204")
    assert (entries[0]["resource"]["type"], entries[0]["resource"]["total"]) == ("searchset", 1)
    assert (entries[1]["resource"]["active"], entries[1]["resource"]["meta"]["versionId"]) == (True, "2")
    assert gateway.http.get(f"Patient/{gone['id']}").status_code == 410
    assert "location" in entries[3]["response"]
    assert "location" not in entries[0]["response"]


def test_a_delete_goes_before_a_create(gateway: Gateway) -> None:
    value = fresh()
    old = created(gateway, value)
    condition = f"identifier={SYSTEM}|{value}"
    create = entry("POST", "Patient", patient(value), ifNoneExist=condition)
    entries = done(gateway, create, entry("DELETE", f"Patient/{old['id']}"))
    assert (statuses(entries)[0], total(gateway, value)) == ("201", 1)
    assert located(entries[0]) != f"Patient/{old['id']}"


def test_no_reference_leads_to_what_the_transaction_deletes(gateway: Gateway) -> None:
    value, who = fresh(), urn()
    old = created(gateway, value)
    create = entry("POST", "Patient", patient(value), who, ifNoneExist=f"identifier={SYSTEM}|{value}")
    gone = entry("DELETE", f"Patient/{old['id']}")
    entries = done(gateway, create, entry("POST", "Observation", observation(who)), gone)
    subject = gateway.get(located(entries[1]))["subject"]["reference"]
    assert gateway.http.get(subject).status_code == 200


def test_two_conditional_updates_of_one_new_identity_do_not_make_two(gateway: Gateway) -> None:
    """http.html#trules: identities that overlap, those of conditional updates too; the second sees the first."""
    value = fresh()
    put = entry("PUT", f"Patient?identifier={SYSTEM}|{value}", patient(value))
    answer = send(gateway, put, put)
    assert answer.status_code in (200, 400, 409, 412), answer.text
    assert total(gateway, value) <= 1


def test_a_response_entry_tells_all(gateway: Gateway) -> None:
    known = created(gateway, fresh())
    changed = {**known, "active": True}
    first, second = done(
        gateway, entry("POST", "Patient", patient(fresh())), entry("PUT", f"Patient/{known['id']}", changed)
    )
    for one, status, version in ((first, "201", "1"), (second, "200", "2")):
        response = one["response"]
        assert response["status"].startswith(status)
        assert response["etag"] == f'W/"{version}"'
        assert response["location"].endswith(f"/_history/{version}")
        stored = gateway.get(located(one))
        assert response["lastModified"] == stored["meta"]["lastUpdated"]
    outcome = done(gateway, entry("POST", "Patient", patient(fresh())), Prefer="return=OperationOutcome")[0]
    assert outcome["response"]["outcome"]["resourceType"] == "OperationOutcome"
    full = done(gateway, entry("POST", "Patient", patient(fresh())), Prefer="return=representation")[0]
    assert full["resource"]["meta"]["versionId"] == "1"
    assert "resource" not in done(gateway, entry("POST", "Patient", patient(fresh())), Prefer="return=minimal")[0]


def test_urns_and_conditional_references_resolve_in_any_order(gateway: Gateway) -> None:
    value, known = fresh(), created(gateway, fresh())
    who, seen = urn(), urn()
    known_value = known["identifier"][0]["value"]
    narrative = f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{who}">x</a></div>'
    entries = done(
        gateway,
        entry("POST", "Observation", observation(who, hasMember=[{"reference": seen}],
              note=[{"text": f"siehe {who}", "authorReference": {"reference": who}}])),
        entry("POST", "Observation", observation(f"Patient?identifier={SYSTEM}|{known_value}"), seen),
        entry("POST", "Patient", patient(value, text={"status": "generated", "div": narrative}), who),
        entry("POST", "Observation", observation(who)),
    )  # fmt: skip
    assert statuses(entries) == ["201"] * 4
    first = gateway.get(located(entries[0]))
    new = located(entries[2])
    assert first["subject"]["reference"] == new
    assert first["hasMember"] == [{"reference": located(entries[1])}]
    assert first["note"][0]["authorReference"]["reference"] == new
    assert gateway.get(located(entries[1]))["subject"]["reference"] == f"Patient/{known['id']}"
    assert gateway.get(located(entries[3]))["subject"]["reference"] == new
    div = gateway.get(new)["text"]["div"]
    assert who not in div and new in div  # http.html#trules: links in the narrative are replaced too


def test_references_follow_a_put_an_absolute_url_and_a_conditional_update(gateway: Gateway) -> None:
    given, value = f"g{fresh()}", fresh()
    known = created(gateway, value)
    theirs, mine = f"http://sender.example/fhir/Patient/{given}", urn()
    entries = done(
        gateway,
        entry("POST", "Observation", observation(theirs)),
        entry("POST", "Observation", observation(mine)),
        entry("PUT", f"Patient/{given}", patient(fresh(), id=given), theirs),
        entry("PUT", f"Patient?identifier={SYSTEM}|{value}", patient(value, active=True), mine),
    )
    assert statuses(entries) == ["201", "201", "201", "200"]
    assert gateway.get(located(entries[0]))["subject"]["reference"] == f"Patient/{given}"
    assert gateway.get(located(entries[1]))["subject"]["reference"] == f"Patient/{known['id']}"


def test_a_conditional_reference_without_exactly_one_match_fails_the_transaction(gateway: Gateway) -> None:
    value, twice = fresh(), fresh()
    for _number in range(2):
        created(gateway, twice)
    for search in (f"identifier={SYSTEM}|{fresh()}", f"identifier={SYSTEM}|{twice}", "nonsense=1", ""):
        seen = entry("POST", "Observation", observation(f"Patient?{search}"))
        answer = send(gateway, entry("POST", "Patient", patient(value)), seen)
        assert answer.status_code in (400, 404, 412, 422), (search, answer.status_code)
        assert support.issues(answer)
    assert total(gateway, value) == 0


def spoilers() -> dict[str, list[Json]]:
    one, name = urn(), f"same{fresh()}"
    put = entry("PUT", f"Patient/{name}", patient(fresh(), id=name))
    return {
        "invalid": [entry("POST", "Patient", patient(fresh(), gender="x"))],
        "no request": [{"resource": patient(fresh())}],
        "no url": [{"resource": patient(fresh()), "request": {"method": "POST"}}],
        "no method": [{"resource": patient(fresh()), "request": {"url": "Patient"}}],
        "type of the url": [entry("POST", "Observation", patient(fresh()))],
        "unknown type": [entry("POST", "Nonsense", {"resourceType": "Nonsense"})],
        "no resource": [entry("POST", "Patient")],
        "unknown verb": [entry("LINK", "Patient", patient(fresh()))],
        "stale": [entry("PUT", "Patient/s1", patient(fresh(), id="s1"), ifMatch='W/"3"')],
        "read of nothing": [entry("GET", f"Patient/{fresh()}")],
        "one identity twice": [put, put],
        "PUT and DELETE": [put, entry("DELETE", f"Patient/{name}")],
        "two of one full url": [entry("POST", "Patient", patient(fresh()), one)] * 2,
        "unresolved urn": [entry("POST", "Observation", observation(urn()))],
        "id": [entry("PUT", "Patient/x1", patient(fresh(), id="x2"))],
        "read-only type": [entry("POST", "AuditEvent", {"resourceType": "AuditEvent"})],
    }


@pytest.mark.parametrize("name", spoilers())
def test_a_transaction_is_all_or_nothing(gateway: Gateway, name: str) -> None:
    value, gone = fresh(), created(gateway, fresh())
    answer = send(
        gateway, entry("DELETE", f"Patient/{gone['id']}"), entry("POST", "Patient", patient(value)), *spoilers()[name]
    )
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text[:500])
    assert support.issues(answer)
    assert total(gateway, value) == 0
    assert gateway.http.get(f"Patient/{gone['id']}").status_code == 200


@pytest.mark.parametrize("name", [n for n in spoilers() if n not in ("one identity twice", "PUT and DELETE")])
def test_a_batch_answers_for_each_entry(gateway: Gateway, name: str) -> None:
    value = fresh()
    answer = send(gateway, *spoilers()[name], entry("POST", "Patient", patient(value)), kind="batch")
    bad_bundle = ("no request", "no url", "no method", "unknown verb", "two of one full url")
    if answer.status_code == 400 and name in bad_bundle:
        return  # the Bundle itself is not valid (bdl-3, bdl-7, cardinality)
    assert answer.status_code == 200, answer.text
    bundle = support.decode(answer)
    assert bundle["type"] == "batch-response"
    assert bundle["entry"][-1]["response"]["status"].startswith("201")
    if name not in ("two of one full url", "unresolved urn"):
        assert bundle["entry"][0]["response"]["status"][0] == "4"
        assert bundle["entry"][0]["response"]["outcome"]["resourceType"] == "OperationOutcome"
    assert total(gateway, value) == 1


def test_conditional_entries(gateway: Gateway) -> None:
    value, gone, several = fresh(), fresh(), fresh()
    created(gateway, gone)
    entries = done(
        gateway,
        entry("PUT", f"Patient?identifier={SYSTEM}|{value}", patient(value)),
        entry("DELETE", f"Patient?identifier={SYSTEM}|{gone}"),
        entry("GET", f"Patient?identifier={gone}"),
    )
    assert statuses(entries)[0] == "201"
    assert (total(gateway, value), total(gateway, gone), entries[2]["resource"]["total"]) == (1, 0, 0)
    for _number in range(2):
        created(gateway, several)
    for one in (
        entry("PUT", f"Patient?identifier={SYSTEM}|{several}", patient(several)),
        entry("DELETE", f"Patient?identifier={SYSTEM}|{several}"),
        entry("POST", "Patient", patient(several), ifNoneExist=f"identifier={SYSTEM}|{several}"),
    ):
        answer = send(gateway, entry("POST", "Patient", patient(value)), one)
        assert answer.status_code == 412, (one["request"], answer.text)
    assert (total(gateway, value), total(gateway, several)) == (1, 2)


def test_reads_in_a_bundle_know_their_conditions(gateway: Gateway) -> None:
    known = created(gateway, fresh())
    url = f"Patient/{known['id']}"
    for kind in ("batch", "transaction"):
        entries = done(
            gateway,
            entry("GET", url, ifNoneMatch='W/"1"'),
            entry("GET", f"{url}/_history/1"),
            entry("GET", f"{url}/_history"),
            entry("GET", "metadata"),
            entry("HEAD", url),
            entry("GET", f"{url}?_elements=identifier"),
            kind=kind,
        )
        assert statuses(entries) == ["304", "200", "200", "200", "200", "200"]
        assert "resource" not in entries[0]
        assert entries[1]["response"]["etag"] == 'W/"1"'
        assert [e["resource"]["resourceType"] for e in entries[1:4]] == ["Patient", "Bundle", "CapabilityStatement"]


def test_five_hundred_entries(gateway: Gateway) -> None:
    value, who = fresh(), urn()
    entries = done(
        gateway,
        *(entry("POST", "Observation", observation(who, valueInteger=number)) for number in range(499)),
        entry("POST", "Patient", patient(value), who),
    )
    assert set(statuses(entries)) == {"201"}
    assert gateway.get(f"Observation?patient.identifier={value}&_summary=count")["total"] == 499


def test_two_clients_with_one_conditional_transaction_make_one(gateway: Gateway) -> None:
    value = fresh()

    def make(_number: int) -> int:
        who = urn()
        condition = f"identifier={SYSTEM}|{value}"
        with httpx.Client(base_url=gateway.http.base_url, timeout=60, trust_env=False) as client:
            sent = {"resourceType": "Bundle", "type": "transaction", "entry": [
                entry("POST", "Observation", observation(who)),
                entry("POST", "Patient", patient(value), who, ifNoneExist=condition)]}  # fmt: skip
            return client.post("", content=support.encode(sent), headers=support.FHIR_JSON).status_code

    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        answered = set(pool.map(make, range(20)))
    assert answered <= {200, 409, 412}
    assert total(gateway, value) == 1
    assert gateway.get(f"Patient?identifier={value}&_revinclude=Observation:subject")["total"] == 1


@pytest.mark.parametrize("kind", ["collection", "searchset", "history", "document", "message", "transaction-response"])
def test_another_bundle_is_not_taken_at_the_base(gateway: Gateway, kind: str) -> None:
    answer = gateway.post("", {"resourceType": "Bundle", "type": kind})
    assert answer.status_code in (400, 422)
    assert support.issues(answer)


def test_the_base_takes_bundles_only(gateway: Gateway) -> None:
    assert gateway.post("", patient(fresh())).status_code in (400, 404, 422)
    assert gateway.http.put("", content=b"{}", headers=support.FHIR_JSON).status_code == 405
    assert "POST" in gateway.http.put("", content=b"{}", headers=support.FHIR_JSON).headers["allow"]


def test_a_transaction_in_xml(gateway: Gateway) -> None:
    value = fresh()
    xml = f"""<?xml version="1.0" encoding="UTF-8"?>
      <Bundle xmlns="http://hl7.org/fhir"><type value="transaction"/><entry><resource><Patient>
      <identifier><system value="{SYSTEM}"/><value value="{value}"/></identifier></Patient></resource>
      <request><method value="POST"/><url value="Patient"/></request></entry></Bundle>"""
    kind = {"Content-Type": "application/fhir+xml", "Accept": "application/fhir+xml"}
    answer = gateway.http.post("", content=xml.encode(), headers=kind)
    assert answer.status_code == 200, answer.text
    assert b'<type value="transaction-response"/>' in answer.content
    assert total(gateway, value) == 1
