"""The FHIR endpoint measured: durable creates, reads, transactions and searches, against an in-memory FHIR server.

Nothing here passes or fails by time. Compare ratios of one table; the milliseconds belong to the machine and its load.
The yardstick is the fake EHR of ../shared/tools/fhir (Medplum's router over a memory repository), which stores nothing
durably. Every server runs on one processor core where `--pin` says so, the load generator on another.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from benchmarks import load
from fhir_gateway.search import parameters
from fhir_gateway.store import database, resources, search_index

SIZES = (10_000, 200_000)
ENCOUNTERS = 4  # of each patient, whatever the size of the store: what a search finds does not grow with it
READY_SECONDS = 60.0

Json = dict[str, Any]


def encounter(number: int, patients: int = 10) -> Json:
    """An invented encounter of one of so many patients, one in fifty still in progress."""
    day = f"20{10 + number % 16:02}-{1 + number % 12:02}-{1 + number % 28:02}"
    return {
        "resourceType": "Encounter",
        "identifier": [{"system": "urn:example:fall", "value": f"F{number}"}],
        "status": "in-progress" if number % 50 == 0 else "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "type": [{"coding": [{"system": "http://fhir.de/CodeSystem/Kontaktebene", "code": "einrichtungskontakt"}]}],
        "subject": {"reference": f"Patient/p{number % patients}"},
        "period": {"start": f"{day}T09:00:00+01:00", "end": f"{day}T09:20:00+01:00"},
        "serviceProvider": {"reference": "Organization/o1"},
    }


def patient(number: int) -> Json:
    """An invented patient."""
    return {
        "resourceType": "Patient",
        "id": f"p{number}",
        "name": [{"family": f"Probe{number}", "given": ["Kim"]}],
        "birthDate": f"{1930 + number % 90}-01-02",
    }


def create(number: int, port: int) -> bytes:
    """POST Encounter."""
    return load.request("POST", "/Encounter", port, msgspec.json.encode(encounter(number)))


def read(number: int, port: int) -> bytes:
    """GET Patient/[id]."""
    return load.request("GET", f"/Patient/p{number % 10}", port)


def transaction(number: int, port: int) -> bytes:
    """POST a transaction of 20 creates, of which 19 refer to the first."""
    who = f"urn:uuid:{uuid.UUID(int=number + 1)}"
    entries: list[Json] = [{"fullUrl": who, "resource": {k: v for k, v in patient(number).items() if k != "id"},
                            "request": {"method": "POST", "url": "Patient"}}]  # fmt: skip
    for index in range(19):
        resource = {**encounter(number * 20 + index), "subject": {"reference": who}}
        entries.append({"resource": resource, "request": {"method": "POST", "url": "Encounter"}})
    body = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    return load.request("POST", "", port, msgspec.json.encode(body))


SEARCHES: dict[str, Callable[[int], str]] = {
    "identifier": lambda n: f"identifier=urn:example:fall%7CF{5000 + n % 5000}",
    "subject": lambda n: f"subject=Patient/p{n % 2000}",
    "patient, status and date": lambda n: f"patient=p{n % 2000}&status=finished&date=ge2015",
    "status, newest 20": lambda _n: "status=finished&_sort=-date&_count=20",
    "chained: patient.name": lambda n: f"patient.family:exact=Probe{n % 2000}",
    "last 50 changed": lambda _n: "_sort=-_lastUpdated",
}


class Server:
    """Processes that answer under some ports."""

    def __init__(self, name: str, processes: Sequence[subprocess.Popen[bytes]], ports: Sequence[int]) -> None:
        self.name = name
        self.pids = [process.pid for process in processes]
        self.ports = list(ports)

    def measure(self, make: Callable[[int, int], bytes], seconds: float) -> load.Measured:
        """One kind of request, after a second that is not counted."""
        load.measure(self.ports, self.pids, lambda n, port: make(n + 5_000_000, port), 1.0)
        return load.measure(self.ports, self.pids, make, seconds)


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(url: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
            if answer.status == 200:
                return
        time.sleep(0.1)
    raise SystemExit(f"{url} does not answer")


def _pinned(cores: set[int] | None) -> Callable[[], None] | None:
    return (lambda: os.sched_setaffinity(0, cores)) if cores else None


@contextlib.contextmanager
def gateway(folder: Path, url: str | None, count: int, cores: set[int] | None) -> Iterator[Server]:
    """`count` processes on one database: the first in the role all, the others in the role api."""
    processes: list[subprocess.Popen[bytes]] = []
    ports = [free_port() for _number in range(count)]
    config = folder / "gateway.toml"
    config.write_text(f"[database]\nurl = '{url}'\n" if url else "")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FHIR_GATEWAY_")}
    try:
        for number, port in enumerate(ports):
            arguments = ["--config", str(config), "--data", str(folder), "--port", str(port), "--mllp-port", "0",
                         "--role", "api" if number else "all"]  # fmt: skip
            with (folder / f"gateway{number}.log").open("wb") as log:
                processes.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "fhir_gateway", "serve", *arguments],
                        env=environment,
                        stdout=log,
                        stderr=log,
                        preexec_fn=_pinned(cores),
                    )
                )
            _wait(f"http://127.0.0.1:{port}/readyz")
        yield Server("gateway", processes, ports)
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            process.wait()


@contextlib.contextmanager
def yardstick(peers: Path, cores: set[int] | None) -> Iterator[Server]:
    """The fake EHR."""
    port = free_port()
    process = subprocess.Popen(
        ["node", "ehr.mjs", str(port)], cwd=peers, stdout=subprocess.DEVNULL, preexec_fn=_pinned(cores)
    )
    try:
        _wait(f"http://127.0.0.1:{port}/fhir/metadata")
        yield Server("fake EHR", [process], [port])
    finally:
        process.terminate()
        process.wait()


def put_patients(server: Server) -> None:
    """The patients that the reads and references name."""
    for number in range(10):
        body = msgspec.json.encode(patient(number))
        request = urllib.request.Request(
            f"http://127.0.0.1:{server.ports[0]}/fhir/Patient/p{number}", body, method="PUT",
            headers={"Content-Type": "application/fhir+json"},
        )  # fmt: skip
        urllib.request.urlopen(request).close()


def fill(url: str, total: int) -> float:
    """Put patients and encounters into a new store past HTTP; microseconds of processor time a resource."""
    database.migrate(url)
    engine = database.connect(url, writes=True)
    search_index.make_again(engine)
    engine.dispose()
    store = database.Database(url)
    begun = time.process_time()
    patients = total // (ENCOUNTERS + 1)
    made = [patient(number) for number in range(patients)]
    for start in range(0, total, 500):
        batch = [
            made[n] if n < patients else {**encounter(n - patients, patients), "id": f"e{n}"}
            for n in range(start, min(start + 500, total))
        ]
        store.submit(lambda unit, batch=batch: [resources.put(unit, r, is_new=True) for r in batch]).result()  # type: ignore[misc]
    used = time.process_time() - begun
    store.close()
    return used / total * 1_000_000


@contextlib.contextmanager
def postgres_database(server: str) -> Iterator[str]:
    """A database of its own on a PostgreSQL server."""
    name = f"gateway_bench_{uuid.uuid4().hex[:12]}"
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    try:
        yield sa.make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
        engine.dispose()


@contextlib.contextmanager
def stores(kind: str, postgres: str | None) -> Iterator[tuple[Path, str | None]]:
    """A data folder, and the URL of a new PostgreSQL database where it is one."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        url = stack.enter_context(postgres_database(postgres)) if kind == "PostgreSQL" and postgres else None
        yield Path(folder), url


def row(*cells: object) -> None:
    """One line of the table."""
    print("| " + " | ".join(f"{cell:,.1f}" if isinstance(cell, float) else str(cell) for cell in cells) + " |")


def traffic(server: Server, name: str, seconds: float, base: dict[str, float]) -> dict[str, float]:
    """Creates, reads and transactions of a server, as lines of the table; their rates."""
    put_patients(server)
    rates: dict[str, float] = {}
    for what, make in (("create", create), ("read", read), ("transaction of 20", transaction)):
        found = server.measure(make, seconds)
        rates[what] = found.rate
        row(name, what, found.rate, found.p50, found.p99, found.cpu, f"{found.rate / base.get(what, found.rate):.2f}")
    return rates


def searches(folder: Path, url: str | None, name: str, size: int, seconds: float, cores: set[int] | None) -> Json:
    """The median latency of each search on a store of this size, one request at a time."""
    filled = fill(url or database.sqlite_url(folder / "gateway.sqlite"), size)
    latencies: Json = {"fill": filled}
    with gateway(folder, url, 1, cores) as server:
        load.CONNECTIONS, before = 1, load.CONNECTIONS
        for what, make in SEARCHES.items():
            found = server.measure(
                lambda n, port, make=make: load.request("GET", f"/Encounter?{make(n)}", port),  # type: ignore[misc]
                seconds,
            )
            latencies[what] = found.p50
        load.CONNECTIONS = before
        found = server.measure(
            lambda n, port: load.request("GET", f"/Encounter?{SEARCHES['subject'](n)}", port), seconds
        )
        row(name, f"search by subject, {size:,} stored", found.rate, found.p50, found.p99, found.cpu, "")
    return latencies


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="time of one measurement")
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES, help="stored resources for the searches")
    parser.add_argument("--postgres", help="SQLAlchemy URL of a PostgreSQL server to make databases on")
    parser.add_argument("--peers", type=Path, help="folder of the fake EHR with its node_modules")
    parser.add_argument("--pin", action="store_true", help="servers on core 0, the load generator on core 1")
    options = parser.parse_args()
    one = {0} if options.pin else None
    if options.pin:
        os.sched_setaffinity(0, {1})
    kinds = ["SQLite", *(["PostgreSQL"] if options.postgres else [])]
    assert parameters.of_type("Encounter")
    print("| server | request | a second | p50 ms | p99 ms | CPU µs | rate against the fake EHR |")
    print("|---|---|---:|---:|---:|---:|---:|")
    base: dict[str, float] = {}
    if options.peers:
        with yardstick(options.peers, one) as server:
            base = traffic(server, "fake EHR, in memory", options.seconds, {})
    for kind in kinds:
        for count in (1, 2):
            with (
                stores(kind, options.postgres) as (folder, url),
                gateway(folder, url, count, one if count == 1 else None) as server,
            ):
                traffic(server, f"{kind}, {count} process{'es' if count > 1 else ''}", options.seconds, base)
    found: dict[str, dict[int, Json]] = {kind: {} for kind in kinds}
    for kind in kinds:
        for size in options.sizes:
            with stores(kind, options.postgres) as (folder, url):
                found[kind][size] = searches(folder, url, f"{kind}, 1 process", size, options.seconds, one)
    print("\n| search, one at a time | store | " + " | ".join(f"p50 ms at {n:,}" for n in options.sizes) + " | ratio |")
    print("|---|---|" + "---:|" * (len(options.sizes) + 1))
    for kind, by_size in found.items():
        for what in SEARCHES:
            times = [by_size[size][what] for size in options.sizes]
            row(what, kind, *times, f"{times[-1] / times[0]:.2f}")
    print(json.dumps({kind: {size: values["fill"] for size, values in v.items()} for kind, v in found.items()}))


if __name__ == "__main__":
    main()
