"""Subscriptions over HTTP: a client asks, a hook is told, and a killed gateway forgets nothing it has acknowledged."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import support
from tests.support import Gateway, Json
from tests.unit.subscriptions import helpers
from tests.unit.subscriptions.helpers import Endpoint, Request

CODE = "http://loinc.org|1975-2"


def config(*hosts: str) -> str:
    """A configuration that allows these hosts and tries three times."""
    return f"[subscriptions]\nhosts = {list(hosts)}\nattempts = 3\nbackoff_seconds = 0.05\n"


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """The subscriber's server."""
    yield from helpers.endpoints()


@pytest.fixture
def gateway(tmp_path: Path, endpoint: Endpoint) -> Iterator[Gateway]:
    """A gateway that may call it."""
    with support.running(tmp_path / "data", config(endpoint.host)) as started:
        yield started


@pytest.fixture(scope="module")
def careful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that may call one host, where nobody listens."""
    with support.running(tmp_path_factory.mktemp("careful") / "data", config("127.0.0.1:2")) as started:
        yield started


def subscribe(gateway: Gateway, endpoint: Endpoint, criteria: str = "Observation", **elements: Any) -> str:
    """An accepted Subscription; its Type/id."""
    resource = helpers.subscription(endpoint.url, criteria, **elements)
    del resource["id"]
    answer = gateway.post("Subscription", resource)
    assert answer.status_code == 201, answer.text
    created = support.decode(answer)
    assert created["status"] == "requested"
    return f"Subscription/{created['id']}"


def comes_to(gateway: Gateway, reference: str, status: str) -> Json:
    """The Subscription once it has this status."""

    def found() -> Json | None:
        resource = gateway.get(reference)
        return resource if resource["status"] == status else None

    return support.poll(found, f"{reference} {status}")


def active(gateway: Gateway, endpoint: Endpoint, criteria: str = "Observation", **elements: Any) -> str:
    """A Subscription after its handshake."""
    reference = subscribe(gateway, endpoint, criteria, **elements)
    comes_to(gateway, reference, "active")
    return reference


def told(endpoint: Endpoint, count: int) -> list[Request]:
    """The notifications with a payload once there are so many."""
    return support.poll(lambda: endpoint.told if len(endpoint.told) >= count else None, f"{count} notifications")


def observe(gateway: Gateway, number: int | str, value: int = 0, code: str = "1975-2") -> Json:
    """An acknowledged write of an Observation."""
    answer = gateway.put(helpers.observation(number, value, code))
    assert answer.status_code in (200, 201), answer.text
    return support.decode(answer)


def test_what_is_written_arrives_as_it_is_served(gateway: Gateway, endpoint: Endpoint) -> None:
    active(gateway, endpoint, f"Observation?code={CODE}", header=["Authorization: Bearer geheim"])
    assert [(r.method, r.path, r.body) for r in endpoint.requests] == [("POST", "/hook", b"")]
    observe(gateway, 1, 1)
    observe(gateway, 2, code="718-7")
    observe(gateway, 1, 2)
    first, second = told(endpoint, 2)
    assert {first.path, second.path} == {"/hook/Observation/o1"}
    assert first.body == gateway.http.get("Observation/o1/_history/1").content
    assert second.body == gateway.http.get("Observation/o1/_history/2").content
    assert {r.headers["authorization"] for r in endpoint.requests} == {"Bearer geheim"}
    assert "geheim" not in gateway.log_text()


def test_a_transaction_is_told_after_its_commit(gateway: Gateway, endpoint: Endpoint) -> None:
    active(gateway, endpoint, "Patient?family=Mustermann")
    patient = {"resourceType": "Patient", "name": [{"family": "Mustermann"}]}
    entry = {"fullUrl": "urn:uuid:6f0c1d9c-7f6b-4f6e-9a43-0d5c1a6d7c11", "resource": patient}
    good = {**entry, "request": {"method": "POST", "url": "Patient"}}
    bad = {"request": {"method": "DELETE", "url": "Nothing/1"}}
    refused = gateway.post("", {"resourceType": "Bundle", "type": "transaction", "entry": [good, bad]})
    assert refused.status_code >= 400
    references = gateway.posted({"resourceType": "Bundle", "type": "transaction", "entry": [good]})
    (only,) = told(endpoint, 1)
    assert only.path == f"/hook/{references['Patient']}"


def test_a_deleted_subscription_is_told_nothing_more(gateway: Gateway, endpoint: Endpoint) -> None:
    gone = active(gateway, endpoint)
    off = active(gateway, endpoint)
    assert gateway.http.delete(gone).status_code in (200, 204)
    assert gateway.put({**gateway.get(off), "status": "off"}).status_code == 200
    observe(gateway, 1)
    active(gateway, endpoint, "Patient")  # the worker has looked since
    assert endpoint.told == []
    assert gateway.rows("SELECT * FROM notification") == []


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"status": "active"}, "Subscription.status"),
        ({"criteria": "Observation?colour=red"}, "Subscription.criteria"),
        ({"criteria": "Observation?_sort=date"}, "Subscription.criteria"),
        ({"type": "websocket"}, "Subscription.channel.type"),
        ({"endpoint": "http://127.0.0.1:1/hook"}, "Subscription.channel.endpoint"),
        ({"endpoint": "http://evil.example/hook"}, "Subscription.channel.endpoint"),
        ({"payload": "text/plain"}, "Subscription.channel.payload"),
        ({"header": ["Host: evil.example"]}, "Subscription.channel.header[0]"),
    ],
)
def test_what_cannot_be_done_is_refused(careful: Gateway, change: Json, where: str) -> None:
    answer = careful.put(helpers.subscription("http://127.0.0.1:2/hook", **change))
    assert answer.status_code == 422, answer.text
    assert [expression for _code, _text, expression in support.issues(answer)] == [where]
    assert careful.http.get("Subscription/s").status_code == 404


def test_without_hosts_nobody_subscribes(tmp_path: Path, endpoint: Endpoint) -> None:
    with support.running(tmp_path / "data") as gateway:
        assert gateway.put(helpers.subscription(endpoint.url)).status_code == 422


def test_in_error_with_a_reason_and_on_again(gateway: Gateway, endpoint: Endpoint) -> None:
    reference = active(gateway, endpoint)
    endpoint.answer = lambda _request: 503
    observe(gateway, 1, 1)
    failed = comes_to(gateway, reference, "error")
    assert failed["error"] == "The endpoint answered 503. Given up after 3 tries."
    observe(gateway, 1, 2)
    endpoint.requests.clear()
    endpoint.answer = lambda _request: 200
    assert gateway.put({**failed, "status": "requested"}).status_code == 200
    assert [r.path for r in told(endpoint, 2)] == ["/hook/Observation/o1"] * 2
    assert [value_of(r) for r in endpoint.told] == [1, 2]
    assert "error" not in comes_to(gateway, reference, "active")


def value_of(request: Request) -> int:
    """The value of a delivered Observation."""
    return int(support.decode(httpx.Response(200, content=request.body))["valueInteger"])


def test_a_killed_gateway_loses_nothing_and_keeps_the_order(tmp_path: Path, endpoint: Endpoint) -> None:
    """Clients write, the hook fails now and then, the process is killed twice."""
    calls = [0]

    def answer(request: Request) -> int:
        calls[0] += 1
        return 503 if request.method == "PUT" and calls[0] % 7 == 0 else 200

    endpoint.answer = answer
    acknowledged: dict[str, list[int]] = defaultdict(list)
    stop = threading.Event()

    def write(gateway: Gateway, number: int) -> None:
        with httpx.Client(base_url=gateway.http.base_url, timeout=support.DEADLINE, trust_env=False) as http:
            value = 0
            while not stop.is_set():
                value += 1
                try:
                    body = support.encode(helpers.observation(number, value))
                    response = http.put(f"Observation/o{number}", content=body, headers=support.FHIR_JSON)
                except httpx.TransportError:  # nobody is there just now
                    stop.wait(0.02)
                    continue
                if response.status_code in (200, 201):
                    version = int(support.decode(response)["meta"]["versionId"])
                    acknowledged[f"/hook/Observation/o{number}"].append(version)

    with support.running(tmp_path / "data", config(endpoint.host) + "timeout_seconds = 5.0\n") as gateway:
        reference = active(gateway, endpoint)
        threads = [threading.Thread(target=write, args=(gateway, number)) for number in range(3)]
        for thread in threads:
            thread.start()
        for kill in (1, 2):
            told(endpoint, 15 * kill)
            gateway.kill()
            gateway.start()
        stop.set()
        for thread in threads:
            thread.join()
        support.poll(lambda: gateway.rows("SELECT count(*) FROM notification") == [(0,)] or None, "an empty outbox")
        assert gateway.get(reference)["status"] == "active"

    arrived: dict[str, list[int]] = defaultdict(list)
    for request in endpoint.told:
        version = int(support.decode(httpx.Response(200, content=request.body))["meta"]["versionId"])
        if version not in arrived[request.path]:  # what was under way at a kill comes again
            arrived[request.path].append(version)
    for place, versions in acknowledged.items():
        assert set(versions) <= set(arrived[place])
        assert arrived[place] == list(range(1, arrived[place][-1] + 1))


def test_what_another_process_writes_is_told_too(tmp_path: Path, endpoint: Endpoint) -> None:
    with support.running(tmp_path / "data", config(endpoint.host)) as worker:
        reference = active(worker, endpoint)
        second = Gateway(tmp_path / "second", config(endpoint.host) + "[server]\nrole = 'api'\n")
        second.data = worker.data
        try:
            second.start()
            observe(second, 1, 7)
            assert value_of(told(endpoint, 1)[0]) == 7
            assert second.put({**second.get(reference), "status": "off"}).status_code == 200
            observe(second, 2)
        finally:
            second.close()
        active(worker, endpoint, "Patient")
        assert len(endpoint.told) == 1
