"""Handshake, payloads, order, retries and the limit after which a Subscription is in error."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict

import pytest

from fhir_gateway.store import codec, database, resources
from fhir_gateway.subscriptions import matching
from profiles import xml
from tests.unit.subscriptions.helpers import (
    Endpoint,
    Request,
    has_status,
    is_told,
    observation,
    path,
    put,
    read,
    refuse,
    rows,
    status,
    subscription,
    until,
    values,
    working,
)


def test_handshake_then_the_stored_bytes_as_an_update(store: database.Database, endpoint: Endpoint) -> None:
    headers = ["Authorization: Bearer geheim", "X-Two: 1", "X-Two: 2"]

    async def scenario() -> None:
        async with working(store):
            put(store, subscription(endpoint.url + "/", "Observation?code=1975-2", header=headers))
            await until(has_status(store, "active"), "active")
            put(store, observation(2, code="718-7"))
            put(store, observation(1, 5))
            await until(is_told(store), "an empty outbox")

    asyncio.run(scenario())
    shake, told = endpoint.requests
    assert (shake.method, shake.path, shake.body) == ("POST", "/hook/", b"")
    assert (told.method, told.path) == ("PUT", path(1))
    assert told.headers["content-type"] == "application/fhir+json"
    assert shake.headers["authorization"] == told.headers["authorization"] == "Bearer geheim"
    assert "cookie" not in told.headers
    stored = store.read_now(lambda connection: resources.read(connection, "Observation", "o1"))
    assert stored is not None and told.body == stored.body


def test_without_payload_a_notification_is_an_empty_post(store: database.Database, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with working(store):
            put(store, subscription(f"{endpoint.url}?key=1", payload=None))
            await until(has_status(store, "active"), "active")
            put(store, observation(1))
            put(store, observation(2))
            await until(is_told(store), "an empty outbox")

    asyncio.run(scenario())
    assert [(r.method, r.path, r.body) for r in endpoint.requests] == [("POST", "/hook?key=1", b"")] * 3


def test_xml_payload(store: database.Database, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with working(store):
            put(store, subscription(endpoint.url, payload="application/fhir+xml"), observation(1, 5))
            await until(is_told(store), "an empty outbox")

    asyncio.run(scenario())
    (told,) = endpoint.told
    assert told.headers["content-type"] == "application/fhir+xml"
    assert xml.decode(told.body)["valueInteger"] == 5


def test_a_wake_is_enough_and_so_is_none(url: str, endpoint: Endpoint) -> None:
    """Another process writes rows and wakes nobody: the worker looks by itself."""

    async def scenario(waking: bool, subscription_id: str) -> None:
        notes = matching.Notes()
        opened = database.Database(url, before_commit=notes)
        async with working(opened) as worker:
            notes.wake = worker.wake if waking else notes.wake
            put(opened, subscription(endpoint.url, subscription_id=subscription_id))
            await until(has_status(opened, "active", subscription_id), "active")
            put(opened, observation(subscription_id))
            await until(is_told(opened), "an empty outbox")
        notes.wake()  # after the end it does nothing
        opened.close()

    asyncio.run(scenario(True, "a"))
    asyncio.run(scenario(False, "b"))


def test_the_versions_of_a_resource_arrive_in_their_order(store: database.Database, endpoint: Endpoint) -> None:
    """Many threads write a few resources while every fifth delivery fails."""
    calls = [0]

    def answer(request: Request) -> int:
        calls[0] += 1
        return 503 if request.method == "PUT" and calls[0] % 5 == 0 else 200

    endpoint.answer = answer

    def write(thread: int) -> None:
        for number in range(3):
            for value in range(5):
                put(store, observation(number, 100 * thread + value))

    async def scenario() -> None:
        async with working(store, attempts=5):
            put(store, subscription(endpoint.url))
            threads = [threading.Thread(target=write, args=(thread,)) for thread in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                await asyncio.to_thread(thread.join)
            await until(is_told(store), "an empty outbox")

    asyncio.run(scenario())
    arrived: dict[str, list[int]] = defaultdict(list)
    for request in endpoint.told:
        version = int(codec.decode(request.body)["meta"]["versionId"])
        if not arrived[request.path] or arrived[request.path][-1] != version:  # a try again follows the failed one
            arrived[request.path].append(version)
    assert {place: len(versions) for place, versions in arrived.items()} == {path(n): 20 for n in range(3)}
    assert all(versions == list(range(1, 21)) for versions in arrived.values())


def test_the_noted_version_is_sent_though_a_newer_one_exists(store: database.Database, endpoint: Endpoint) -> None:
    put(store, subscription(endpoint.url, status="active"))
    for value in range(3):
        put(store, observation(1, value))
    store.submit(lambda unit: resources.delete(unit, "Observation", "o1", received="r")).result(10)

    async def scenario() -> None:
        async with working(store):
            await until(is_told(store), "an empty outbox")

    asyncio.run(scenario())
    assert values(endpoint) == [0, 1, 2]


@pytest.mark.parametrize("answer", [500, 503, 429, 408, 404, 400, 301, 307])
def test_a_failure_is_tried_again(store: database.Database, endpoint: Endpoint, answer: int) -> None:
    endpoint.answer = refuse(2, answer)

    async def scenario() -> None:
        async with working(store, attempts=3):
            put(store, subscription(endpoint.url))
            put(store, observation(1, 1), observation(2, 2))
            await until(is_told(store), "an empty outbox")

    asyncio.run(scenario())
    assert values(endpoint) == [1, 1, 1, 2]
    assert status(store) == "active"
    assert {request.path for request in endpoint.told} == {path(1), path(2)}  # no redirect was followed


def test_after_the_limit_it_is_in_error_and_goes_on_when_it_is_requested_again(
    store: database.Database, endpoint: Endpoint
) -> None:
    endpoint.answer = refuse(3, 503)

    async def scenario() -> None:
        async with working(store, attempts=3):
            put(store, subscription(endpoint.url))
            put(store, observation(1, 1))
            await until(has_status(store, "error"), "an error")
            found = read(store)
            assert found is not None and found["error"] == "The endpoint answered 503. Given up after 3 tries."
            put(store, observation(2, 2))
            assert [reference for _s, reference, _v in rows(store)] == ["Observation/o1", "Observation/o2"]
            put(store, subscription(endpoint.url, error=found["error"]))
            await until(is_told(store), "an empty outbox")

    asyncio.run(scenario())
    assert values(endpoint) == [1, 1, 1, 1, 2]
    assert len(endpoint.handshakes) == 2
    found = read(store)
    assert found is not None and found["status"] == "active" and "error" not in found


def test_the_handshake_is_tried_again_and_has_a_limit(store: database.Database, endpoint: Endpoint) -> None:
    endpoint.answer = refuse(4, 500, "POST")

    async def scenario() -> None:
        async with working(store, attempts=3):
            put(store, subscription(endpoint.url))
            put(store, observation(1))
            await until(has_status(store, "error"), "an error")
            assert len(endpoint.requests) == 3
            put(store, subscription(endpoint.url))
            await until(has_status(store, "active"), "active")
            await until(is_told(store), "an empty outbox")

    asyncio.run(scenario())
    assert [request.method for request in endpoint.requests] == ["POST"] * 5 + ["PUT"]


def test_nobody_listens(store: database.Database, endpoint: Endpoint) -> None:
    endpoint.close()

    async def scenario() -> None:
        async with working(store, attempts=2):
            put(store, subscription(endpoint.url))
            await until(has_status(store, "error"), "an error")

    endpoint.close = lambda: None  # type: ignore[method-assign]
    asyncio.run(scenario())
    found = read(store)
    assert found is not None
    assert found["error"] == "The endpoint could not be reached or broke off (ConnectError). Given up after 2 tries."


def test_an_endpoint_that_does_not_answer_in_time(store: database.Database, endpoint: Endpoint) -> None:
    release = threading.Event()

    def answer(_request: Request) -> int:
        release.wait(30)
        return 200

    endpoint.answer = answer

    async def scenario() -> None:
        async with working(store, attempts=2, timeout_seconds=0.1):
            put(store, subscription(endpoint.url))
            await until(has_status(store, "error"), "an error")
        release.set()

    asyncio.run(scenario())
    found = read(store)
    assert found is not None
    assert found["error"] == "The endpoint did not answer within 0.1 s. Given up after 2 tries."


def test_one_that_fails_does_not_hold_up_the_others(store: database.Database, endpoint: Endpoint) -> None:
    release = threading.Event()

    def answer(request: Request) -> int:
        if request.path.startswith("/slow"):
            release.wait(30)
        return 200

    endpoint.answer = answer

    async def scenario() -> None:
        async with working(store, timeout_seconds=30.0):
            put(store, subscription(f"http://{endpoint.host}/slow", subscription_id="slow"))
            put(store, subscription(endpoint.url))
            put(store, observation(1))
            await until(lambda: endpoint.told, "the delivery")
            assert status(store, "slow") == "requested"
            release.set()
            await until(is_told(store), "an empty outbox")

    asyncio.run(scenario())
