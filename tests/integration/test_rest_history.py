"""History and versions as http.html#history and bundle.html of R4 4.0.1 say them."""

from __future__ import annotations

import datetime
import time
import urllib.parse
import uuid

import pytest

from tests import support
from tests.support import Gateway, Json


@pytest.fixture(scope="module")
def told(gateway: Gateway) -> Json:
    """A Flag that was created, updated, patched, deleted and brought back; and the instants between."""
    flag = {"resourceType": "Flag", "id": "f", "status": "active", "code": {"text": "eins"},
            "subject": {"reference": "Patient/p"}}  # fmt: skip
    instants = []
    steps = [
        lambda: gateway.put(flag),
        lambda: gateway.put({**flag, "code": {"text": "zwei"}}),
        lambda: gateway.http.patch("Flag/f", content=b'[{"op":"replace","path":"/code/text","value":"drei"}]',
                                   headers={"Content-Type": "application/json-patch+json"}),
        lambda: gateway.http.delete("Flag/f"),
        lambda: gateway.put({**flag, "code": {"text": "fünf"}}),
    ]  # fmt: skip
    for step, statuses in zip(steps, [(201,), (200,), (200,), (200, 204), (200, 201)], strict=True):
        instants.append(now())
        time.sleep(0.02)
        answer = step()
        assert answer.status_code in statuses, answer.text
        time.sleep(0.02)
    for number in range(2):
        gateway.put({**flag, "id": f"other{number}"})
    return {"instants": instants}


def now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def entries(bundle: Json) -> list[tuple[str, str, str | None]]:
    """Method, status code and version of each entry."""
    found = []
    for entry in bundle.get("entry", []):
        version = entry.get("resource", {}).get("meta", {}).get("versionId")
        found.append((entry["request"]["method"], entry["response"]["status"][:3], version))
    return found


def test_the_history_of_an_instance(gateway: Gateway, told: Json) -> None:
    bundle = gateway.get("Flag/f/_history")
    assert (bundle["type"], bundle["total"]) == ("history", 5)
    methods = [method for method, _status, _version in entries(bundle)]
    assert methods == ["PUT", "DELETE", methods[2], "PUT", methods[4]]
    assert methods[2] in ("PUT", "PATCH")
    assert methods[4] in ("PUT", "POST")  # created by an update
    assert [version for _method, _status, version in entries(bundle)] == ["5", None, "3", "2", "1"]
    assert "resource" not in bundle["entry"][1]
    for entry, version in zip(bundle["entry"], "54321", strict=True):
        assert entry["fullUrl"] == gateway.address("/fhir/Flag/f")
        assert entry["request"]["url"] in ("Flag/f", "Flag")
        assert entry["response"]["etag"] == f'W/"{version}"'
        assert entry["response"]["lastModified"]
        assert "search" not in entry
    assert [link["relation"] for link in bundle["link"]] == ["self"]
    moments = [entry["response"]["lastModified"] for entry in bundle["entry"]]
    assert moments == sorted(moments, reverse=True)


def test_versions_are_read_one_by_one(gateway: Gateway, told: Json) -> None:
    texts = {"1": "eins", "2": "zwei", "3": "drei", "5": "fünf"}
    for version, text in texts.items():
        answer = gateway.http.get(f"Flag/f/_history/{version}")
        assert (answer.status_code, answer.headers["etag"]) == (200, f'W/"{version}"')
        found = support.decode(answer)
        assert (found["code"]["text"], found["meta"]["versionId"]) == (text, version)
        assert answer.headers["last-modified"]
    assert gateway.http.get("Flag/f/_history/4").status_code == 410
    assert gateway.http.get("Flag/f/_history/6").status_code == 404
    assert gateway.http.get("Flag/f/_history/x").status_code == 404
    assert gateway.http.get("Flag/never/_history/1").status_code == 404


def test_the_history_of_a_deleted_resource_stays_and_of_an_unknown_one_is_404(gateway: Gateway, told: Json) -> None:
    gone = support.decode(gateway.post("Flag", gateway.get("Flag/other0")))
    gateway.http.delete(f"Flag/{gone['id']}")
    bundle = gateway.get(f"Flag/{gone['id']}/_history")
    assert [method for method, _status, _version in entries(bundle)] == ["DELETE", "POST"]
    assert entries(bundle)[1][1] == "201"
    assert gateway.http.get(f"Flag/{gone['id']}/_history/1").status_code == 200
    assert gateway.http.get(f"Flag/{uuid.uuid4()}/_history").status_code == 404


def test_the_history_of_a_type_and_of_the_system(gateway: Gateway, told: Json) -> None:
    of_type = gateway.get("Flag/_history", _count="200")
    assert of_type["total"] >= 7
    assert {e["fullUrl"].split("/fhir/")[1].split("/")[0] for e in of_type["entry"]} == {"Flag"}
    assert {e["fullUrl"].rsplit("/", 1)[1] for e in of_type["entry"]} >= {"f", "other0", "other1"}
    moments = [entry["response"]["lastModified"] for entry in of_type["entry"]]
    assert moments == sorted(moments, reverse=True)
    of_system = gateway.get("_history", _count="200")
    assert of_system["type"] == "history"
    assert {e["fullUrl"] for e in of_system["entry"]} >= {e["fullUrl"] for e in of_type["entry"]}
    assert gateway.http.get("Nonsense/_history").status_code == 404


@pytest.mark.parametrize("path", ["Flag/f/_history", "Flag/_history"])
def test_since(gateway: Gateway, told: Json, path: str) -> None:
    instant = told["instants"][3]
    bundle = gateway.get(path, _since=instant)
    of_f = [e for e in bundle["entry"] if e["fullUrl"].endswith("/f")]
    assert [e["request"]["method"] for e in of_f] == ["PUT", "DELETE"]
    india = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
    moved = datetime.datetime.fromisoformat(instant).astimezone(india)
    again = gateway.get(path, _since=moved.isoformat())
    assert entries(again) == entries(bundle)
    assert gateway.get(path, _since="2100-01-01T00:00:00Z").get("entry", []) == []
    assert gateway.http.get(path, params={"_since": "yesterday"}).status_code == 400
    assert gateway.http.get(path, params={"_nonsense": "1"}).status_code == 400


def test_at(gateway: Gateway, told: Json) -> None:
    """http.html#history: versions that were current at some point during the period."""
    bundle = gateway.get("Flag/f/_history", _at=told["instants"][2])
    assert [version for _method, _status, version in entries(bundle)] == ["2"]
    assert gateway.get("Flag/f/_history", _at="2001").get("entry", []) == []
    day = told["instants"][0][:10]
    assert len(gateway.get("Flag/f/_history", _at=day[:4])["entry"]) == 5


@pytest.mark.parametrize("path", ["Flag/f/_history", "Flag/_history", "_history"])
def test_pages_of_history(gateway: Gateway, told: Json, path: str) -> None:
    since = told["instants"][0]
    seen, total, pages = [], None, 0
    url: str | None = f"{path}?{urllib.parse.urlencode({'_count': '2', '_since': since})}"
    while url and pages < 60:
        page = gateway.get(url)
        total = page["total"] if total is None else total
        assert 1 <= len(page["entry"]) <= 2
        seen += [(e["fullUrl"], e["response"]["etag"]) for e in page["entry"] if "/AuditEvent/" not in e["fullUrl"]]
        links = {link["relation"]: link["url"] for link in page["link"]}
        url = links.get("next")
        assert "_since" in links["self"]
        pages += 1
    expected = {"Flag/f/_history": 5}.get(path, 7)
    assert len(seen) == len(set(seen)) >= expected
    assert url is None
    assert path == "_history" or total == len(seen)


def test_a_history_of_zero_counts(gateway: Gateway, told: Json) -> None:
    bundle = gateway.get("Flag/f/_history", _count="0")
    assert (bundle["total"], bundle.get("entry", [])) == (5, [])
    assert gateway.http.get("Flag/f/_history?_count=x").status_code == 400


def test_the_history_in_xml_and_by_head(gateway: Gateway, told: Json) -> None:
    answer = gateway.http.get("Flag/f/_history", headers={"Accept": "application/fhir+xml"})
    assert answer.headers["content-type"].startswith("application/fhir+xml")
    assert b'<type value="history"/>' in answer.content
    assert gateway.http.head("Flag/f/_history").status_code == 200
    assert gateway.http.post("Flag/f/_history", content=b"{}").status_code == 405


def test_an_update_without_a_change_still_answers_200(gateway: Gateway, told: Json) -> None:
    flag = gateway.get("Flag/other1")
    answer = gateway.put(flag)
    assert answer.status_code == 200
    assert answer.headers["etag"] in ('W/"1"', 'W/"2"')
    assert gateway.get("Flag/other1/_history")["total"] == int(answer.headers["etag"][3:-1])
