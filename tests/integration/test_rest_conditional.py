"""Conditional interactions, preconditions and preferences as http.html of R4 4.0.1 says them."""

from __future__ import annotations

import concurrent.futures
import uuid

import httpx
import pytest

from tests import support
from tests.support import Gateway, Json

SYSTEM = "urn:test:conditional"
PATCH = {"Content-Type": "application/json-patch+json"}
DEACTIVATE = [{"op": "add", "path": "/active", "value": False}]


def fresh() -> str:
    return uuid.uuid4().hex


def patient(value: str, **elements: object) -> Json:
    identifier = [{"system": SYSTEM, "value": value}]
    return {"resourceType": "Patient", "identifier": identifier, "name": [{"family": "Probe"}], **elements}


def by(value: str) -> str:
    return f"identifier={SYSTEM}|{value}"


def created(gateway: Gateway, value: str, **elements: object) -> Json:
    answer = gateway.post("Patient", patient(value, **elements))
    assert answer.status_code == 201, answer.text
    return support.decode(answer)


def send(
    gateway: Gateway, method: str, url: str, body: object = None, *, params: str = "", **headers: str
) -> httpx.Response:
    """A request; header names with underscores."""
    named = {**support.FHIR_JSON, **{name.replace("_", "-"): value for name, value in headers.items()}}
    content = None if body is None else support.encode(body)
    return gateway.http.request(method, f"{url}?{params}" if params else url, content=content, headers=named)


def code(answer: httpx.Response) -> str:
    """The code of the first issue: every refusal carries an OperationOutcome (http.html#Status-Codes)."""
    return support.issues(answer)[0][0]


def total(gateway: Gateway, value: str) -> int:
    return int(gateway.get(f"Patient?{by(value)}")["total"])


def test_conditional_create(gateway: Gateway) -> None:
    value = fresh()
    first = send(gateway, "POST", "Patient", patient(value), If_None_Exist=by(value))
    assert first.status_code == 201
    again = send(gateway, "POST", "Patient", patient(value, active=True), If_None_Exist=by(value))
    assert (again.status_code, again.headers["etag"]) == (200, 'W/"1"')
    assert again.headers["location"] == first.headers["location"]
    assert total(gateway, value) == 1
    created(gateway, value)
    assert send(gateway, "POST", "Patient", patient(value), If_None_Exist=by(value)).status_code == 412
    assert total(gateway, value) == 2


def test_conditional_create_after_a_delete_creates(gateway: Gateway) -> None:
    value = fresh()
    gone = created(gateway, value)
    assert gateway.http.delete(f"Patient/{gone['id']}").status_code in (200, 204)
    answer = send(gateway, "POST", "Patient", patient(value), If_None_Exist=by(value))
    assert (answer.status_code, total(gateway, value)) == (201, 1)


@pytest.mark.parametrize("bad", ["nonsense=1", "family:nonsense=x", "birthdate=never"])
def test_a_condition_that_cannot_be_understood_is_never_ignored(gateway: Gateway, bad: str) -> None:
    value = fresh()
    answer = send(gateway, "POST", "Patient", patient(value), If_None_Exist=bad)
    assert answer.status_code in (400, 412), answer.text
    assert support.issues(answer)
    lenient = send(gateway, "POST", "Patient", patient(value), If_None_Exist=bad, Prefer="handling=lenient")
    assert lenient.status_code in (400, 412), lenient.text
    assert total(gateway, value) == 0


@pytest.mark.parametrize("condition", [by("{}"), "{0}&name=probe", "identifier={}&active:missing=true"])
def test_fifty_clients_that_create_the_same_thing_make_one(gateway: Gateway, condition: str) -> None:
    value = fresh()
    wanted = condition.replace("{0}", by(value)).replace("{}", value)

    def create(_number: int) -> tuple[int, str]:
        with httpx.Client(base_url=gateway.http.base_url, timeout=60, trust_env=False) as client:
            answer = client.post("Patient", content=support.encode(patient(value)),
                                 headers={**support.FHIR_JSON, "If-None-Exist": wanted})  # fmt: skip
        return answer.status_code, answer.headers.get("location", "")

    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(create, range(50)))
    assert sorted({status for status, _location in answers}) == [200, 201]
    assert [status for status, _location in answers].count(201) == 1
    assert len({location for _status, location in answers}) == 1
    assert total(gateway, value) == 1


def test_fifty_clients_that_update_by_condition_make_one(gateway: Gateway) -> None:
    value = fresh()

    def update(_number: int) -> int:
        with httpx.Client(base_url=gateway.http.base_url, timeout=60, trust_env=False) as client:
            content = support.encode(patient(value))
            return client.put(f"Patient?{by(value)}", content=content, headers=support.FHIR_JSON).status_code

    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        statuses = list(pool.map(update, range(50)))
    assert set(statuses) <= {200, 201, 409, 412}
    assert (statuses.count(201), total(gateway, value)) == (1, 1)


def test_conditional_update(gateway: Gateway) -> None:
    value = fresh()
    made = send(gateway, "PUT", "Patient", patient(value), params=by(value))  # none matches, no id: creates
    assert made.status_code == 201
    known = support.decode(made)
    changed = send(gateway, "PUT", "Patient", patient(value, active=True), params=by(value))
    assert (changed.status_code, changed.headers["etag"]) == (200, 'W/"2"')
    assert support.decode(changed)["id"] == known["id"]
    same = send(gateway, "PUT", "Patient", patient(value, id=known["id"]), params=by(value))  # id that fits
    assert same.status_code == 200
    other = send(gateway, "PUT", "Patient", patient(value, id="another-id"), params=by(value))
    assert other.status_code == 400  # "the update is rejected", one match and an id that does not fit
    assert total(gateway, value) == 1


def test_conditional_update_with_an_id_where_none_matches_is_an_update_as_create(gateway: Gateway) -> None:
    value, given = fresh(), f"given-{fresh()}"
    answer = send(gateway, "PUT", "Patient", patient(value, id=given), params=by(value))
    assert answer.status_code == 201
    assert support.decode(answer)["id"] == given
    clash = send(gateway, "PUT", "Patient", patient(value, id=given), params=by(fresh()))  # the id is taken
    assert (clash.status_code, code(clash) in ("duplicate", "conflict")) == (409, True)


def test_conditional_update_patch_and_delete_where_several_match_are_412(gateway: Gateway) -> None:
    value = fresh()
    for _number in range(2):
        created(gateway, value)
    assert send(gateway, "PUT", "Patient", patient(value, active=True), params=by(value)).status_code == 412
    assert send(gateway, "PATCH", "Patient", DEACTIVATE, params=by(value), **PATCH).status_code == 412
    assert send(gateway, "DELETE", "Patient", params=by(value)).status_code == 412
    assert total(gateway, value) == 2


def test_conditional_patch(gateway: Gateway) -> None:
    value = fresh()
    none = send(gateway, "PATCH", "Patient", DEACTIVATE, params=by(value), Content_Type=PATCH["Content-Type"])
    assert none.status_code == 404
    known = created(gateway, value)
    done = send(gateway, "PATCH", "Patient", DEACTIVATE, params=by(value), Content_Type=PATCH["Content-Type"])
    assert (done.status_code, support.decode(done)["active"]) == (200, False)
    assert support.decode(done)["id"] == known["id"]


def test_conditional_delete(gateway: Gateway) -> None:
    value = fresh()
    known = created(gateway, value)
    assert send(gateway, "DELETE", "Patient", params=by(value)).status_code in (200, 204)
    assert gateway.http.get(f"Patient/{known['id']}").status_code == 410
    assert send(gateway, "DELETE", "Patient", params=by(value)).status_code in (200, 204, 404)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("params", ["", "nonsense=1", "_count=1", "_format=json"])
def test_a_write_by_an_empty_or_unknown_condition_touches_nothing(gateway: Gateway, method: str, params: str) -> None:
    value = fresh()
    created(gateway, value)
    type_ = {"Content_Type": PATCH["Content-Type"]} if method == "PATCH" else {}
    body = {"PUT": patient(value, active=True), "PATCH": DEACTIVATE, "DELETE": None}[method]
    answer = send(gateway, method, "Patient", body, params=params, **type_)
    assert answer.status_code in (400, 405, 412), (answer.status_code, answer.text)
    assert (total(gateway, value), gateway.get(f"Patient?{by(value)}&active:missing=true")["total"]) == (1, 1)


def test_if_match(gateway: Gateway) -> None:
    known = created(gateway, fresh())
    url = f"Patient/{known['id']}"
    assert send(gateway, "PUT", url, {**known, "active": True}, If_Match='W/"1"').status_code == 200
    stale = send(gateway, "PUT", url, {**known, "active": False}, If_Match='W/"1"')
    assert (stale.status_code, code(stale)) == (412, "conflict")
    kind = PATCH["Content-Type"]
    assert send(gateway, "PATCH", url, DEACTIVATE, If_Match='W/"1"', Content_Type=kind).status_code == 412
    assert send(gateway, "PATCH", url, DEACTIVATE, If_Match='W/"2"', Content_Type=kind).status_code == 200
    assert send(gateway, "DELETE", url, If_Match='W/"1"').status_code == 412
    assert send(gateway, "DELETE", url, If_Match='W/"3"').status_code in (200, 204)
    never = patient(fresh(), id=fresh())
    assert send(gateway, "PUT", f"Patient/{never['id']}", never, If_Match='W/"1"').status_code == 412
    assert gateway.http.get(f"Patient/{never['id']}").status_code == 404


def test_one_of_twenty_updates_of_one_version_wins(gateway: Gateway) -> None:
    known = created(gateway, fresh())
    url = f"Patient/{known['id']}"

    def update(number: int) -> int:
        changed = {**known, "name": [{"family": f"Probe{number}"}]}
        return send(gateway, "PUT", url, changed, If_Match='W/"1"').status_code

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(update, range(20)))
    assert (statuses.count(200), set(statuses) <= {200, 409, 412}) == (1, True)
    assert gateway.get(url)["meta"]["versionId"] == "2"


def test_conditional_read(gateway: Gateway) -> None:
    url = f"Patient/{created(gateway, fresh())['id']}"
    read = gateway.http.get(url)
    etag, modified = read.headers["etag"], read.headers["last-modified"]
    future = "Fri, 01 Jan 2100 00:00:00 GMT"
    for headers in ({"If-None-Match": etag}, {"If-None-Match": f'W/"7", {etag}'}, {"If-None-Match": "*"},
                    {"If-Modified-Since": modified}, {"If-Modified-Since": future}):  # fmt: skip
        answer = gateway.http.get(url, headers=headers)
        assert (answer.status_code, answer.content) == (304, b""), headers
        assert answer.headers["etag"] == etag
    for headers in ({"If-None-Match": 'W/"7"'}, {"If-Modified-Since": "Thu, 01 Jan 2015 00:00:00 GMT"},
                    {"If-Modified-Since": "no date"},  # RFC 9110 13.1.3: ignored when it is not a date
                    {"If-None-Match": 'W/"7"', "If-Modified-Since": modified}):  # fmt: skip
        assert gateway.http.get(url, headers=headers).status_code == 200, headers


def test_prefer_return(gateway: Gateway) -> None:
    def post(prefer: str) -> httpx.Response:
        answer = send(gateway, "POST", "Patient", patient(fresh()), Prefer=prefer)
        assert answer.status_code == 201
        assert answer.headers["location"]
        assert answer.headers["etag"] == 'W/"1"'
        return answer

    assert post("return=minimal").content == b""
    assert support.decode(post("return=representation"))["resourceType"] == "Patient"
    outcome = support.decode(post("return=OperationOutcome"))
    assert outcome["resourceType"] == "OperationOutcome"
    assert all(i["severity"] in ("information", "warning") for i in outcome["issue"])
    assert support.decode(post("handling=strict, return=OperationOutcome"))["resourceType"] == "OperationOutcome"
    assert support.decode(post("return=nonsense"))["resourceType"] == "Patient"
    known = support.decode(post("return=representation"))
    url = f"Patient/{known['id']}"
    assert send(gateway, "PUT", url, {**known, "active": True}, Prefer="return=minimal").content == b""
    kind = PATCH["Content-Type"]
    assert send(gateway, "PATCH", url, DEACTIVATE, Prefer="return=minimal", Content_Type=kind).content == b""


@pytest.mark.parametrize("etag", ["1", '"1"', "*", 'W/"1", W/"2"', "W/1", ""])
def test_no_form_of_if_match_makes_a_fault_or_is_ignored(gateway: Gateway, etag: str) -> None:
    """RFC 9110 13.1.1; `*` and a list hold here, the rest is refused or held to."""
    known = created(gateway, fresh())
    wrong = etag.replace("1", "7")
    answer = send(gateway, "PUT", f"Patient/{known['id']}", {**known, "active": True}, If_Match=etag)
    assert answer.status_code in (200, 400, 412), answer.text
    if "7" in wrong and "2" not in wrong:
        stale = send(gateway, "PUT", f"Patient/{known['id']}", {**known, "active": True}, If_Match=wrong)
        assert stale.status_code in (400, 412), stale.text


def test_two_long_identifiers_are_two(gateway: Gateway) -> None:
    long = "x" * 300 + uuid.uuid4().hex
    first = support.decode(gateway.post("Patient", {"resourceType": "Patient", "identifier": [{"value": f"{long}1"}]}))
    other = gateway.http.post(
        "Patient", content=support.encode({"resourceType": "Patient", "identifier": [{"value": f"{long}2"}]}),
        headers={**support.FHIR_JSON, "If-None-Exist": f"identifier={long}2"},
    )  # fmt: skip
    assert other.status_code == 201
    assert gateway.http.delete(f"Patient?identifier={long}2").status_code == 204
    assert gateway.get(f"Patient/{first['id']}")["id"] == first["id"]


@pytest.mark.parametrize("value", [",", ",,", " , ", ""])
def test_a_condition_without_a_value_means_nobody(gateway: Gateway, value: str) -> None:
    gateway.post("Patient", {"resourceType": "Patient", "identifier": [{"value": uuid.uuid4().hex}]})
    before = gateway.get("Patient", _summary="count")["total"]
    assert gateway.http.delete("Patient", params={"identifier": value}).status_code in (400, 412)
    assert gateway.get("Patient", _summary="count")["total"] == before


def test_too_many_alternatives_are_refused(gateway: Gateway) -> None:
    answer = gateway.http.post("Patient/_search", data={"identifier": ",".join(f"urn:x|{n}" for n in range(1500))})
    assert (answer.status_code, support.issues(answer)[0][0]) == (400, "too-costly")
    assert gateway.http.post("Patient/_search", data={"_id": ",".join(f"p{n}" for n in range(500))}).status_code == 200
