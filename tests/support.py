"""What the integration and acceptance tests share: a gateway as its own process, and a record system's moves."""

from __future__ import annotations

import base64
import contextlib
import functools
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec

from mappers import consultation_to_fhir, fhir_names
from pipeline.evaluation import cases

Json = dict[str, Any]
T = TypeVar("T")

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"
FHIR_JSON = {"Content-Type": "application/fhir+json"}
DEADLINE = 60.0  # seconds that a test waits for something at most

_encoder = msgspec.json.Encoder(decimal_format="number")
_decoder = msgspec.json.Decoder(float_hook=Decimal)


def encode(value: object) -> bytes:
    """JSON with decimals as they are."""
    return _encoder.encode(value)


# Each once, and below those that the system gives to clients: a gateway that is started again finds its port free.
_ports = iter(random.SystemRandom().sample(range(20_000, 32_000), 12_000))


def free_port() -> int:
    """A port of the loopback address that nobody listens on, and that this process has not given away before."""
    for port in _ports:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def poll(found: Callable[[], T | None], what: str, deadline: float = DEADLINE) -> T:
    """What `found` returns once it is not None."""
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        result = found()
        if result is not None:
            return result
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {deadline} s")


def environment() -> dict[str, str]:
    """This process's environment without what would configure a gateway."""
    return {name: value for name, value in os.environ.items() if not name.upper().startswith("FHIR_GATEWAY_")}


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The finished `fhir-gateway` command with these arguments."""
    return subprocess.run(
        [sys.executable, "-m", "fhir_gateway", *map(str, arguments)],
        cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=DEADLINE, check=False,
    )  # fmt: skip


class Gateway:
    """One gateway process on a data folder. It may be killed and started again; ports and data stay."""

    def __init__(self, data: Path, config: str | None = None) -> None:
        self.data = data
        self.port, self.mllp_port = free_port(), free_port()
        self.log = data.with_name(f"{data.name}.log")
        self.config = data.with_name(f"{data.name}.toml") if config is not None else None
        if self.config is not None and config is not None:
            self.config.write_text(config, "utf-8")
        self.process: subprocess.Popen[bytes] | None = None
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}/fhir", timeout=DEADLINE, trust_env=False)

    def arguments(self) -> list[str]:
        """The command line after `python -m fhir_gateway`."""
        named = ["--host", "127.0.0.1", "--port", str(self.port), "--mllp-port", str(self.mllp_port)]
        config = ["--config", str(self.config)] if self.config else []
        return ["serve", *named, "--data", str(self.data), *config]

    def spawn(self) -> None:
        """Start the process and return at once."""
        assert self.process is None
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "fhir_gateway", *self.arguments()],
                cwd=ROOT, env=environment(), stdout=log, stderr=log,
            )  # fmt: skip

    def is_ready(self) -> bool:
        """Whether /readyz answers 200."""
        assert self.process is not None
        assert self.process.poll() is None, f"the gateway ended: {self.log.read_text('utf-8')[-2000:]}"
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(self.address("/readyz"), timeout=5, trust_env=False).status_code == 200
        return False

    def start(self) -> Gateway:
        """Start the process and wait until it is ready."""
        self.spawn()
        poll(lambda: self.is_ready() or None, "/readyz")
        return self

    def stop(self) -> float:
        """End it with SIGTERM; the seconds that took."""
        assert self.process is not None
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(DEADLINE)
        self.process = None
        return time.monotonic() - begun

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    def close(self) -> None:
        """End whatever still runs."""
        self.http.close()
        if self.process is not None:
            self.kill()

    def address(self, path: str) -> str:
        """The URL of a path outside /fhir."""
        return f"http://127.0.0.1:{self.port}{path}"

    def get(self, path: str, **parameters: str) -> Json:
        """A resource or a search's Bundle; the answer must be 200."""
        response = self.http.get(path, params=parameters or None)
        assert response.status_code == 200, response.text
        return decode(response)

    def found(self, path: str, **parameters: str) -> list[Json]:
        """The resources on the first page of a search."""
        return [entry["resource"] for entry in self.get(path, **parameters).get("entry", [])]

    def post(self, path: str, body: object) -> httpx.Response:
        """POST `body`: bytes as they are, anything else as JSON."""
        return self.http.post(path, content=body if isinstance(body, bytes) else encode(body), headers=FHIR_JSON)

    def put(self, resource: Json, **headers: str) -> httpx.Response:
        """PUT a resource to its own address."""
        path = f"{resource['resourceType']}/{resource['id']}"
        return self.http.put(path, content=encode(resource), headers={**FHIR_JSON, **headers})

    def posted(self, bundle: object) -> dict[str, str]:
        """POST a transaction; its references by type, the last one of each type."""
        response = self.post("", bundle)
        assert response.status_code == 200, response.text
        return references(decode(response))

    def tasks(self, encounter: str) -> list[Json]:
        """The Tasks of an encounter (Type/id), oldest first."""
        return self.found("Task", encounter=encounter)

    def ended(self, encounter: str, runs: int = 1) -> Json:
        """The Task of the encounter's newest run once all `runs` runs have ended."""

        def done() -> Json | None:
            tasks = self.tasks(encounter)
            assert len(tasks) <= runs, tasks
            over = len(tasks) == runs and all(t["status"] in ("completed", "failed", "cancelled") for t in tasks)
            return max(tasks, key=lambda task: task["authoredOn"]) if over else None

        return poll(done, f"the end of {runs} runs of {encounter}")

    def outputs(self, task: Json) -> list[Json]:
        """The resources that a Task names as its results."""
        found = [output["valueReference"] for output in task.get("output", []) if "valueReference" in output]
        return [self.get(result["reference"]) for result in found]

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """What the SQLite file holds, read beside the process."""
        with contextlib.closing(sqlite3.connect(f"file:{self.data / 'gateway.sqlite'}?mode=ro", uri=True)) as database:
            return database.execute(query, parameters).fetchall()

    def kept(self, body: bytes) -> list[int]:
        """The answered status of each received message with exactly these bytes."""
        return [row[0] for row in self.rows("SELECT status FROM received WHERE body = ? ORDER BY at", body)]

    def log_text(self) -> str:
        """Everything the process wrote to stdout and stderr."""
        return self.log.read_text("utf-8")


@contextlib.contextmanager
def running(data: Path, config: str | None = None) -> Iterator[Gateway]:
    """A ready gateway on `data`; it ends with the context."""
    gateway = Gateway(data, config)
    try:
        yield gateway.start()
    finally:
        gateway.close()


def decode(response: httpx.Response) -> Json:
    """The JSON object of an answer with its decimals."""
    value: Json = _decoder.decode(response.content)
    return value


def references(response: Json) -> dict[str, str]:
    """Type to Type/id of a transaction's answer."""
    locations = [entry["response"]["location"] for entry in response["entry"]]
    found = ["/".join(location.split("/fhir/")[1].split("/")[:2]) for location in locations]
    return {reference.split("/")[0]: reference for reference in found}


@functools.cache
def case(name: str) -> cases.Case:
    """A bundled case, parsed once."""
    return cases.named(name)


def case_bundle(name: str, *, text: str | None = None) -> Json:
    """A bundled case as a transaction whose bytes occur only once, so that it is never taken for a resend."""
    bundle = consultation_to_fhir.bundle(case(name).consultation, text=text)
    encounter = resource(bundle, "Encounter")
    encounter["identifier"] = [{"system": "urn:test:encounter", "value": str(uuid.uuid4())}]
    return bundle


def resource(bundle: Json, resource_type: str) -> Json:
    """The first resource of this type in a Bundle."""
    return next(e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == resource_type)


def document(encounter: str, patient: str, content: bytes | None, content_type: str = "text/plain") -> Json:
    """A DocumentReference with an inline transcript; without content its attachment has no data."""
    data = {} if content is None else {"data": base64.b64encode(content).decode("ascii")}
    return {
        "resourceType": "DocumentReference",
        "status": "current",
        "type": {"coding": [{"system": fhir_names.LOINC, "code": "75476-2"}]},
        "subject": {"reference": patient},
        "content": [{"attachment": {"contentType": content_type, **data}}],
        "context": {"encounter": [{"reference": encounter}]},
    }


def issues(response: httpx.Response) -> list[tuple[str, str, str | None]]:
    """Code, text and expression of each issue of an OperationOutcome."""
    outcome = decode(response)
    assert outcome["resourceType"] == "OperationOutcome"
    return [(i["code"], i["diagnostics"], i.get("expression", [None])[0]) for i in outcome["issue"]]
