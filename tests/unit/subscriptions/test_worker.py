"""What a restart, the end, a change and a failing database leave of a Subscription; what is logged."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import structlog

from fhir_gateway.store import database, resources
from fhir_gateway.subscriptions import delivery, matching, outbox, sending
from tests.unit.subscriptions.helpers import (
    Endpoint,
    Gateway,
    Request,
    Section,
    Settings,
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


def test_a_restart_in_the_middle_loses_nothing(url: str, endpoint: Endpoint) -> None:
    """The worker ends after each few requests, also between a 2xx and the removal of the row."""

    async def scenario(first: bool) -> None:
        opened = database.Database(url, before_commit=matching.Notes())
        seen = len(endpoint.requests)
        async with working(opened):
            if first:
                put(opened, subscription(endpoint.url))
                for value in range(12):
                    put(opened, observation(1, value))
            await until(lambda: len(endpoint.requests) >= seen + 3 or is_told(opened)(), "some deliveries")
        is_done.append(is_told(opened)())
        opened.close()

    is_done: list[bool] = []
    asyncio.run(scenario(True))
    for _start in range(30):
        if not is_done[-1]:
            asyncio.run(scenario(False))
    assert is_done[-1]
    assert list(dict.fromkeys(values(endpoint))) == list(range(12))  # each in its turn, some more than once


def test_what_arrived_but_was_not_crossed_off_comes_again(
    store: database.Database, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At least once: the process ends after the 2xx and before the row is removed."""
    put(store, subscription(endpoint.url, status="active"))
    put(store, observation(1, 1))
    put(store, observation(2, 2))
    reached = asyncio.Event()

    class Ends(Exception):
        """The end of the process."""

    def remove(_unit: database.Unit, _row: outbox.Row) -> None:
        reached.set()
        raise Ends

    async def scenario(ends: bool) -> None:
        async with working(store):
            await until(reached.is_set if ends else is_told(store), "the end")

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "remove", remove)
        asyncio.run(scenario(True))
    again = len(values(endpoint))
    assert set(values(endpoint)) == {1} and len(rows(store)) == 2
    asyncio.run(scenario(False))
    assert values(endpoint)[again:] == [1, 2]


def test_turned_off_nothing_more_is_sent(store: database.Database, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with working(store):
            put(store, subscription(endpoint.url))
            await until(has_status(store, "active"), "active")
            put(store, subscription(endpoint.url, status="off"))
            put(store, observation(1))
            put(store, subscription(endpoint.url, "Patient", subscription_id="later"))
            await until(has_status(store, "active", "later"), "active")

    asyncio.run(scenario())
    assert (status(store), endpoint.told, rows(store)) == ("off", [], [])


def test_rows_of_a_subscription_that_is_gone_are_swept_out(store: database.Database, endpoint: Endpoint) -> None:
    put(store, subscription(endpoint.url, status="off"))
    stored = put(store, observation(1))[0]
    for name in ("s", "gone"):
        store.submit(lambda unit, name=name: outbox.add(unit, name, stored)).result(10)  # type: ignore[misc]

    async def scenario() -> None:
        async with working(store):
            await until(is_told(store), "an empty outbox")

    asyncio.run(scenario())
    assert endpoint.requests == []


@pytest.mark.parametrize("before", matching.NOTED)
def test_after_its_end_it_is_off(store: database.Database, endpoint: Endpoint, before: str) -> None:
    put(store, subscription(endpoint.url, status=before, end="2020-01-01T00:00:00+01:00"))
    put(store, subscription(endpoint.url, end="2999-01-01T00:00:00Z", subscription_id="later"))
    put(store, observation(1))

    async def scenario() -> None:
        async with working(store):
            await until(has_status(store, "off"), "the end")
            await until(is_told(store), "an empty outbox")

    asyncio.run(scenario())
    assert status(store, "later") == "active"
    assert [request.path for request in endpoint.told] == [path(1)]


def test_the_configuration_is_asked_again_before_each_delivery(store: database.Database, endpoint: Endpoint) -> None:
    put(store, subscription(endpoint.url, status="active"), subscription(endpoint.url, subscription_id="t"))
    put(store, observation(1))

    async def scenario() -> None:
        async with working(store, hosts=("other.example", "127.0.0.1:1")):
            await until(has_status(store, "error"), "an error")
            await until(has_status(store, "error", "t"), "an error")

    asyncio.run(scenario())
    found = read(store)
    assert found is not None
    assert found["error"] == "Subscriptions are delivered only to the hosts in subscriptions.hosts."
    assert endpoint.requests == []
    assert len(rows(store)) == 2  # they come when it is allowed and requested again


def test_criteria_that_are_not_understood_any_more_are_an_error(store: database.Database, endpoint: Endpoint) -> None:
    put(store, subscription(endpoint.url, "Observation?colour=red", status="active"))

    async def scenario() -> None:
        async with working(store):
            await until(has_status(store, "error"), "an error")

    asyncio.run(scenario())
    found = read(store)
    assert found is not None and "colour" in found["error"]


def test_a_change_by_the_client_wins_over_the_worker(store: database.Database, endpoint: Endpoint) -> None:
    """While the handshake is under way the client turns the Subscription off, or changes it."""

    def change(request: Request) -> int:
        if request.path == "/hook":
            put(store, subscription(f"http://{endpoint.host}/new"))
        elif request.path == "/off":
            put(store, subscription(endpoint.url, subscription_id="o", status="off"))
        return 200

    endpoint.answer = change

    async def scenario() -> None:
        async with working(store):
            put(store, subscription(endpoint.url))
            put(store, subscription(f"http://{endpoint.host}/off", subscription_id="o"))
            await until(has_status(store, "active"), "active")
            await until(has_status(store, "off", "o"), "off")
            put(store, observation(1))
            await until(is_told(store), "an empty outbox")

    asyncio.run(scenario())
    sent = [(request.method, request.path) for request in endpoint.requests]
    assert sorted(sent[:3]) == [("POST", "/hook"), ("POST", "/new"), ("POST", "/off")]
    assert sent[3:] == [("PUT", "/new/Observation/o1")]
    versions = store.read_now(lambda connection: resources.read(connection, "Subscription", "o"))
    assert versions is not None and versions.version == 2


def test_a_change_ends_the_pause(store: database.Database, endpoint: Endpoint) -> None:
    """A client that corrects its Subscription does not wait for the next try."""
    endpoint.answer = lambda request: 500 if request.path == "/hook" else 200

    async def scenario() -> None:
        async with working(store, backoff_seconds=3600.0):
            put(store, subscription(endpoint.url))
            await until(lambda: endpoint.requests, "the first try")
            put(store, subscription(f"http://{endpoint.host}/right"))
            await until(has_status(store, "active"), "active")

    asyncio.run(scenario())


def test_pauses_double_up_to_a_minute(store: database.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def rest(seconds: float, _until: asyncio.Event) -> None:
        pauses.append(seconds)

    async def scenario() -> None:
        stored = put(store, subscription("http://127.0.0.1:9"))[0]
        section = Section(attempts=99, backoff_seconds=1.0)
        worker = delivery.Worker(Gateway(store, Settings(section)))
        job = delivery._Job("s", 1)
        monkeypatch.setattr(delivery, "_rest", rest)
        for _try in range(9):
            await worker._failed(job, stored, sending.Failed("No.", "503"))
        await worker.stop()

    asyncio.run(scenario())
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]


def test_an_answer_without_end_holds_up_nothing(store: database.Database) -> None:
    """A raw server: a 2xx whose body never ends is a delivery all the same."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
        await writer.drain()
        await reader.read()
        writer.close()

    async def scenario() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with working(store, timeout_seconds=0.2):
            put(store, subscription(f"http://127.0.0.1:{port}/hook", payload=None))
            put(store, observation(1))
            await until(is_told(store), "an empty outbox")
        server.close()
        await server.wait_closed()

    asyncio.run(scenario())
    assert status(store) == "active"


def test_nothing_of_a_patient_and_no_secret_is_logged(store: database.Database, endpoint: Endpoint) -> None:
    endpoint.answer = refuse(3, 503)
    header = ["Authorization: Bearer geheim"]
    told = {**observation(1), "note": [{"text": "Musterfrau"}]}

    async def scenario() -> None:
        async with working(store, attempts=3):
            put(store, subscription(f"{endpoint.url}/pfad", header=header))
            put(store, told)
            await until(has_status(store, "error"), "an error")

    with structlog.testing.capture_logs() as logged:
        asyncio.run(scenario())
    assert [entry for entry in logged if entry["event"] == "notification failed"] == [
        {"subscription": "s", "attempt": n, "reason": "503", "event": "notification failed", "log_level": "warning"}
        for n in (1, 2, 3)
    ]
    assert not any(word in str(logged) for word in ("geheim", "Musterfrau", "pfad", "o1"))


def test_a_database_that_is_away_for_a_moment_ends_no_deliveries(
    store: database.Database, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "POLL", 0.02)
    failures = [0]
    survey = delivery._survey

    def away(connection: Any) -> Any:
        failures[0] += 1
        if failures[0] < 4:
            raise OSError
        return survey(connection)

    monkeypatch.setattr(delivery, "_survey", away)

    async def scenario() -> None:
        async with working(store):
            put(store, subscription(endpoint.url))
            await until(has_status(store, "active"), "active")

    asyncio.run(scenario())
