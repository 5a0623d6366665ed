"""Clients that are slow, rude, many or gone: a clear answer, nothing half-done, and the process goes on."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from tests import support
from tests.support import Gateway, Json

LIMITS = "[rest]\nmax_body_megabytes = 1\nmax_bundle_entries = 50\nbody_seconds = 1\nheader_seconds = 1\n"
POSTGRES = os.environ.get("FHIR_GATEWAY_TEST_POSTGRES")
JSON = b"Content-Type: application/fhir+json\r\n"


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with small limits."""
    with support.running(tmp_path_factory.mktemp("narrow") / "data", LIMITS) as started:
        yield started
        assert '"unexpected error"' not in started.log_text()


class Api(Gateway):
    """A process in the role api beside the one that has the data."""

    def __init__(self, first: Gateway) -> None:
        super().__init__(first.data)
        self.log = first.data.with_name(f"{first.data.name}-{self.port}.log")
        self.config = first.config

    def arguments(self) -> list[str]:
        return [*super().arguments(), "--role", "api"]


@contextlib.contextmanager
def beside(first: Gateway, processes: int) -> Iterator[list[Gateway]]:
    """The first gateway and so many processes in the role api on the same data, all ready."""
    others = [Api(first) for _number in range(processes)]
    try:
        for other in others:
            other.spawn()
        for other in others:
            support.poll(lambda other=other: other.is_ready() or None, "/readyz")  # type: ignore[misc]
        yield [first, *others]
        for other in others:
            other.stop()
    finally:
        for other in others:
            other.close()


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Gateway]]:
    """Two processes on one SQLite data folder."""
    with support.running(tmp_path_factory.mktemp("together") / "data") as first, beside(first, 1) as gateways:
        yield gateways


@pytest.fixture(scope="module")
def on_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Gateway]]:
    """Three processes on one PostgreSQL database."""
    if POSTGRES is None:
        pytest.skip("needs a PostgreSQL URL in FHIR_GATEWAY_TEST_POSTGRES")
    name = f"gateway_test_{uuid.uuid4().hex[:12]}"
    server = sa.create_engine(POSTGRES, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    config = f"[database]\nurl = '{sa.make_url(POSTGRES).set(database=name).render_as_string(hide_password=False)}'\n"
    try:
        with support.running(tmp_path_factory.mktemp("pg") / "data", config) as first, beside(first, 2) as gateways:
            yield gateways
    finally:
        with server.connect() as connection:
            connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
        server.dispose()


@pytest.fixture(params=["one", "together", "on_postgres"])
def processes(request: pytest.FixtureRequest) -> list[Gateway]:
    """One process, two on SQLite, three on PostgreSQL."""
    if request.param == "one":
        return [request.getfixturevalue("gateway")]
    found: list[Gateway] = request.getfixturevalue(request.param)
    return found


def raw(gateway: Gateway, *parts: bytes) -> bytes:
    """What comes back for these bytes until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=support.DEADLINE) as connection:
        with contextlib.suppress(ConnectionError):
            for part in parts:
                connection.sendall(part)
        found = b""
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(65536):
                found += piece
        return found


def head(method: str, path: bytes, *lines: bytes) -> bytes:
    return method.encode() + b" " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"".join(lines) + b"\r\n"


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def transaction(identifier: str, entries: int) -> Json:
    patient = {"resourceType": "Patient", "identifier": [{"system": "urn:x", "value": identifier}]}
    entry = {"resource": patient, "request": {"method": "POST", "url": "Patient"}}
    return {"resourceType": "Bundle", "type": "transaction", "entry": [entry] * entries}


def stored(gateway: Gateway, identifier: str) -> int:
    total: int = gateway.get("Patient", identifier=f"urn:x|{identifier}", _summary="count")["total"]
    return total


def at_once(
    gateways: list[Gateway], number: int, work: Callable[[Gateway, int], httpx.Response]
) -> list[httpx.Response]:
    """The answers to so many requests that set out together, spread over the processes."""
    start = threading.Barrier(number)

    def one(index: int) -> httpx.Response:
        start.wait(support.DEADLINE)
        return work(gateways[index % len(gateways)], index)

    with ThreadPoolExecutor(number) as threads:
        return list(threads.map(one, range(number)))


@pytest.mark.parametrize("has_length", [True, False], ids=["length", "chunked"])
@pytest.mark.parametrize("path", ["Patient", "", "Patient/_search", "Patient/$validate"])
def test_a_body_over_the_limit_is_413(narrow: Gateway, path: str, has_length: bool) -> None:
    content: Any = b" " * 1_200_000 if has_length else (b" " * 100_000 for _number in range(12))
    headers = {"Content-Type": "application/x-www-form-urlencoded"} if "_search" in path else support.FHIR_JSON
    answer = narrow.http.post(path, content=content, headers=headers)
    assert (answer.status_code, support.issues(answer)[0][0]) == (413, "too-long")


def test_a_declared_length_over_the_limit_is_refused_before_the_body_comes(narrow: Gateway) -> None:
    answer = raw(
        narrow, head("POST", b"/fhir/Patient", JSON, b"Content-Length: 99999999999\r\n", b"Connection: close\r\n")
    )
    assert status(answer) == 413


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"extension":'])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_deep_json_is_400(narrow: Gateway, opening: bytes, method: str) -> None:
    path = "Patient" if method == "POST" else "Patient/deep"
    for depth in (300, 15_000):
        for body in (opening * depth, opening * depth + b"1" + b"]" * depth):
            answer = narrow.http.request(method, path, content=body, headers=support.FHIR_JSON)
            assert answer.status_code in ((400, 415) if method == "PATCH" else (400,))
    extension: Json = {"url": "urn:x", "valueBoolean": True}
    for _level in range(150):
        extension = {"url": "urn:x", "extension": [extension]}
    answer = narrow.put({"resourceType": "Patient", "id": "deep", "extension": [extension]})
    assert answer.status_code == 400
    answer = narrow.http.put("Patient/deep", content=b"<a>" * 20_000, headers={"Content-Type": "application/fhir+xml"})
    assert answer.status_code == 400


@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_more_entries_than_the_limit_are_413(narrow: Gateway, kind: str) -> None:
    answer = narrow.post("", {**transaction("many", 51), "type": kind})
    assert (answer.status_code, support.issues(answer)[0][0]) == (413, "too-costly")
    assert stored(narrow, "many") == 0


def test_500_entries_are_one_transaction(gateway: Gateway) -> None:
    assert gateway.post("", transaction("500", 500)).status_code == 200
    assert stored(gateway, "500") == 500


def test_a_slow_body_is_408(narrow: Gateway) -> None:
    answer = raw(narrow, head("POST", b"/fhir/Patient", JSON, b"Content-Length: 50\r\n"), b'{"resourceType":')
    assert status(answer) == 408
    assert b'"code":"timeout"' in answer
    assert narrow.is_ready()


@pytest.mark.parametrize("start", [b"", b"GET /fhir/Patient HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: a"])
def test_a_slow_head_ends_the_connection(narrow: Gateway, start: bytes) -> None:
    assert raw(narrow, start) == b""
    assert narrow.is_ready()


def test_a_head_without_an_end_does_not_go_on_for_ever(narrow: Gateway) -> None:
    answer = raw(narrow, b"GET /fhir/metadata HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ", *[b"a" * 65536] * 64, b"\r\n\r\n")
    assert answer == b"" or status(answer) in (400, 431)
    assert narrow.is_ready()


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_client_that_goes_mid_body_leaves_nothing(gateway: Gateway, share: float) -> None:
    name = uuid.uuid4().hex
    body = support.encode(transaction(name, 40))
    sent = body[: int(len(body) * share)]
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=support.DEADLINE) as connection:
        connection.sendall(head("POST", b"/fhir/", JSON, b"Content-Length: %d\r\n" % len(body)) + sent)
    assert gateway.post("", transaction(f"{name}-after", 1)).status_code == 200
    assert stored(gateway, name) == 0


def test_a_client_that_goes_mid_answer_leaves_all_or_nothing(gateway: Gateway) -> None:
    names = [uuid.uuid4().hex for _number in range(20)]
    for name in names:
        body = support.encode(transaction(name, 40))
        connection = socket.create_connection(("127.0.0.1", gateway.port), timeout=support.DEADLINE)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        connection.sendall(head("POST", b"/fhir/", JSON, b"Content-Length: %d\r\n" % len(body)) + body)
        connection.close()  # with a reset: what is under way is lost
    last = uuid.uuid4().hex
    assert gateway.post("", transaction(last, 1)).status_code == 200  # behind the others in the one writer's queue
    assert {stored(gateway, name) for name in names} <= {0, 40}
    assert gateway.is_ready()


def test_a_stop_during_requests_loses_nothing_acknowledged(tmp_path: Path) -> None:
    with support.running(tmp_path / "data") as gateway:
        acknowledged: list[str] = []
        statuses: Counter[int] = Counter()
        stopping = threading.Event()

        def write(number: int) -> None:
            with httpx.Client(base_url=str(gateway.http.base_url), timeout=support.DEADLINE, trust_env=False) as http:
                for step in range(10_000):
                    name = f"{number}-{step}"
                    try:
                        answer = http.post("", content=support.encode(transaction(name, 5)), headers=support.FHIR_JSON)
                    except httpx.TransportError:
                        return
                    statuses[answer.status_code] += 1
                    if answer.status_code == 200:
                        acknowledged.append(name)
                    if len(acknowledged) > 40:
                        stopping.set()

        with ThreadPoolExecutor(8) as threads:
            for number in range(8):
                threads.submit(write, number)
            assert stopping.wait(support.DEADLINE)
            gateway.stop()
        assert set(statuses) <= {200, 503}
        gateway.start()
        assert {stored(gateway, name) for name in acknowledged} == {5}


def test_200_readers_beside_writers(gateway: Gateway) -> None:
    trusted = ssl.create_default_context()  # made once: it is what a client takes its time for

    def client() -> httpx.Client:
        """A connection of its own: one client's pool closes connections under the feet of 200 threads."""
        return httpx.Client(base_url=gateway.http.base_url, timeout=support.DEADLINE, trust_env=False, verify=trusted)

    def put(http: httpx.Client, number: int) -> int:
        body = {"resourceType": "Patient", "id": "both", "name": [{"family": f"n{number}", "given": [f"n{number}"]}]}
        return http.put("Patient/both", content=support.encode(body), headers=support.FHIR_JSON).status_code

    assert put(gateway.http, 0) == 201
    done = threading.Event()

    def writer(thread: int) -> set[int]:
        found, number = set[int](), 0
        with client() as http:
            while not done.is_set():
                number += 1
                found.add(put(http, thread * 100_000 + number))
        return found

    def read(_gateway: Gateway, index: int) -> httpx.Response:
        with client() as http:
            return http.get(("Patient/both", "Patient?_id=both", "Patient/both/_history?_count=1")[index % 3])

    with ThreadPoolExecutor(2) as threads:
        writers = [threads.submit(writer, number) for number in (1, 2)]
        try:
            answers = at_once([gateway], 200, read)
        finally:
            done.set()
        assert {found for future in writers for found in future.result()} <= {200, 409}
    assert {answer.status_code for answer in answers} == {200}
    for body in map(support.decode, answers):
        resource = body["entry"][0]["resource"] if body["resourceType"] == "Bundle" else body
        assert [resource["name"][0]["family"]] == resource["name"][0]["given"]


def test_of_two_updates_with_the_same_if_match_one_is_412(processes: list[Gateway]) -> None:
    for _round in range(10):
        patient = {"resourceType": "Patient", "id": uuid.uuid4().hex}
        assert processes[0].put(patient).status_code == 201

        def put(gateway: Gateway, index: int, patient: Json = patient) -> httpx.Response:
            return gateway.put({**patient, "name": [{"family": str(index)}]}, **{"If-Match": 'W/"1"'})

        answers = at_once(processes, 2, put)
        assert sorted(answer.status_code for answer in answers) == [200, 412]


@pytest.mark.parametrize("way", ["update", "patch", "transaction"])
def test_updates_at_once_leave_versions_without_gaps(processes: list[Gateway], way: str) -> None:
    patient: Json = {"resourceType": "Patient", "id": uuid.uuid4().hex, "active": True}
    path = f"Patient/{patient['id']}"
    assert processes[0].put(patient).status_code == 201

    def write(gateway: Gateway, index: int) -> httpx.Response:
        changed = {**patient, "name": [{"family": str(index)}]}
        if way == "update":
            return gateway.put(changed)
        if way == "transaction":
            entry = {"resource": changed, "request": {"method": "PUT", "url": path}}
            return gateway.post("", {"resourceType": "Bundle", "type": "transaction", "entry": [entry]})
        patch = [{"op": "add", "path": "/name", "value": [{"family": str(index)}]}]
        headers = {"Content-Type": "application/json-patch+json"}
        return gateway.http.patch(path, content=support.encode(patch), headers=headers)

    answers = at_once(processes, 40, write)
    counts = Counter(answer.status_code for answer in answers)
    assert set(counts) <= {200, 409}, counts
    history = processes[-1].get(f"{path}/_history", _count="1000")
    versions = [int(entry["resource"]["meta"]["versionId"]) for entry in history["entry"]]
    assert versions == list(range(len(versions), 0, -1))
    assert len(versions) == counts[200] + 1


@pytest.mark.parametrize("way", ["create", "update", "transaction"])
def test_50_conditional_creates_at_once_make_one(processes: list[Gateway], way: str) -> None:
    name = uuid.uuid4().hex
    condition = f"identifier=urn:x|{name}"
    patient = {"resourceType": "Patient", "identifier": [{"system": "urn:x", "value": name}]}

    def create(gateway: Gateway, _index: int) -> httpx.Response:
        if way == "update":
            body = support.encode(patient)
            return gateway.http.put(
                "Patient", params={"identifier": f"urn:x|{name}"}, content=body, headers=support.FHIR_JSON
            )
        if way == "transaction":
            request = {"method": "POST", "url": "Patient", "ifNoneExist": condition}
            entry = {"resource": patient, "request": request}
            return gateway.post("", {"resourceType": "Bundle", "type": "transaction", "entry": [entry]})
        return gateway.http.post(
            "Patient", content=support.encode(patient), headers={**support.FHIR_JSON, "If-None-Exist": condition}
        )

    answers = at_once(processes, 50, create)
    assert {answer.status_code for answer in answers} <= {200, 201, 409}
    if way != "transaction":
        assert [answer.status_code for answer in answers].count(201) == 1
    assert {stored(gateway, name) for gateway in processes} == {1}


@pytest.mark.parametrize("kind", ["together", "on_postgres"])
def test_every_process_serves_the_same_data(request: pytest.FixtureRequest, kind: str) -> None:
    gateways: list[Gateway] = request.getfixturevalue(kind)
    for number, writer in enumerate(gateways):
        reference = f"Patient/{uuid.uuid4()}"
        for step in (number, number + 10):
            patient = {"resourceType": "Patient", "id": reference.split("/")[1], "name": [{"family": f"Probe{step}"}]}
            assert writer.put(patient).status_code in (200, 201)
            for reader in gateways:
                assert reader.get(reference)["name"] == [{"family": f"Probe{step}"}]
                assert reader.found("Patient", _id=reference.split("/")[1], family=f"Probe{step}")
        assert writer.http.delete(reference).status_code == 204
        assert {reader.http.get(reference).status_code for reader in gateways} == {410}
    posted = gateways[-1].posted(support.case_bundle("cystitis"))
    assert gateways[-1].ended(posted["Encounter"])["status"] == "completed"


@pytest.mark.parametrize("path", [
    b"/fhir/Patient/%00", b"/fhir/Patient/%", b"/fhir/Patient/%zz", b"/fhir/Patient/%ff%fe", b"/fhir/Patient/%ed%a0%80",
    b"/fhir/Patient/%2e%2e%2f%2e%2e", b"/fhir/../../etc/passwd", b"/fhir/Patient?name=%00", b"/fhir/Patient?%00=%ff",
    b"/fhir/Patient?_id=%00", b"/fhir/Patient/" + b"a" * 60_000, b"/fhir/Patient?name=" + b"a" * 60_000, b"*",
    b"/fhir/Patient/a/_history/%00", b"/fhir/%00", b"/fhir/Encounter/%00/$process", b"/fhir/_async/%00",
])  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "DELETE", "POST", "PATCH"])
def test_an_odd_address_is_answered(processes: list[Gateway], method: str, path: bytes) -> None:
    answer = raw(processes[0], head(method, path, JSON, b"Content-Length: 2\r\n", b"Connection: close\r\n"), b"{}")
    assert 200 <= status(answer) < 500, answer[:500]
    assert b'"resourceType":"' in answer or status(answer) == 204


@pytest.mark.parametrize("lines", [
    [b"Content-Length: 5\r\n", b"Content-Length: 6\r\n"],
    [b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"],
    [b"Content-Length: -1\r\n"], [b"Content-Length: 0x5\r\n"], [b"Content-Length: 5, 6\r\n"],
    [b"Transfer-Encoding: xchunked\r\n"], [b"X-A : b\r\n", b"Content-Length : 5\r\n"], [b"X-A: \x00\r\n"],
])  # fmt: skip
def test_two_readings_of_one_request_are_refused(narrow: Gateway, lines: list[bytes]) -> None:
    inner = head("DELETE", b"/fhir/Patient/smuggled")
    assert narrow.put({"resourceType": "Patient", "id": "smuggled"}).status_code in (200, 201)
    answer = raw(narrow, head("POST", b"/fhir/Patient", JSON, *lines), b"0\r\n\r\n" + inner)
    assert status(answer) in (400, 408, 413)
    assert narrow.http.get("Patient/smuggled").status_code == 200


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_no_header_and_no_parameter_makes_another_method(gateway: Gateway, header: str) -> None:
    assert gateway.put({"resourceType": "Patient", "id": "kept"}).status_code in (200, 201)
    assert gateway.http.get("Patient/kept", headers={header: "DELETE"}).status_code == 200
    assert gateway.http.post("Patient/kept", headers={header: "DELETE"}).status_code == 405
    assert gateway.http.get("Patient/kept", params={"_method": "DELETE"}).status_code == 400
    assert gateway.http.get("Patient/kept").status_code == 200


def test_headers_with_umlauts_are_read(gateway: Gateway) -> None:
    for name in ("Prefer", "If-None-Match", "X-Request-Id", "Authorization", "User-Agent", "Accept-Language"):
        for value in ("Käse".encode(), "Käse".encode("latin-1")):
            answer = gateway.http.get("metadata", headers={name.encode(): value})
            assert answer.status_code == 200
    answer = gateway.http.post("Patient", content=b"{}", headers={b"Content-Type": "Käse".encode("latin-1")})
    assert answer.status_code == 415


@pytest.mark.parametrize("number", ["1" + "0" * 350, "1e350"])
def test_a_very_large_number_is_stored_or_refused(gateway: Gateway, number: str) -> None:
    body = (
        f'{{"resourceType":"Observation","status":"final","code":{{"text":"K"}},"valueQuantity":{{"value":{number}}}}}'
    )
    assert gateway.post("Observation", body.encode()).status_code in (201, 400)


def test_a_transaction_reads_what_needs_no_store(gateway: Gateway) -> None:
    entry = {"request": {"method": "GET", "url": "metadata"}}
    answer = gateway.post("", {"resourceType": "Bundle", "type": "transaction", "entry": [entry]})
    assert answer.status_code in (200, 400)


def test_the_base_address_needs_no_slash(gateway: Gateway) -> None:
    body = support.encode(transaction("slash", 1))
    assert httpx.post(gateway.address("/fhir"), content=body, headers=support.FHIR_JSON).status_code == 200
