"""An endpoint that remembers what it was sent, and a worker on a SQLite file."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from fhir_gateway.store import codec, database, resources
from fhir_gateway.subscriptions import delivery, outbox

Json = dict[str, Any]
T = TypeVar("T")

DEADLINE = 30.0  # seconds that a test waits for something at most
LOINC = "http://loinc.org"


@dataclass(frozen=True)
class Request:
    """One request that the endpoint got."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Endpoint:
    """An HTTP server on the loopback address. `answer` gives the status of each request, at first 200."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answer: Callable[[Request], int] = lambda _request: 200
        self._lock = threading.Lock()
        endpoint = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def _take(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(length)
                if len(body) < length:  # the worker was stopped in the middle of its request
                    self.close_connection = True
                    return
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.command, self.path, headers, body)
                with endpoint._lock:
                    endpoint.requests.append(request)
                status = endpoint.answer(request)
                self.send_response(status)
                self.send_header("Content-Length", "2")
                self.send_header("Set-Cookie", "session=1; Path=/")
                if status in (301, 302, 307):
                    self.send_header("Location", "/elsewhere")
                self.end_headers()
                self.wfile.write(b"ok")

            do_POST = do_PUT = do_GET = _take

            def log_message(self, *_arguments: object) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_arguments: object) -> None:
                pass  # a worker that was stopped in the middle has gone away

        self._server = Server(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.host}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer nothing any more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def handshakes(self) -> list[Request]:
        """The POSTs."""
        return [request for request in list(self.requests) if request.method == "POST"]

    @property
    def told(self) -> list[Request]:
        """The PUTs."""
        return [request for request in list(self.requests) if request.method == "PUT"]


@dataclass(frozen=True)
class Section:
    """[subscriptions]."""

    hosts: tuple[str, ...] = ("127.0.0.1",)
    attempts: int = 3
    backoff_seconds: float = 0.01
    timeout_seconds: float = 10.0


@dataclass(frozen=True)
class Settings:
    """The configuration."""

    subscriptions: Section = field(default_factory=Section)


@dataclass(frozen=True)
class Gateway:
    """What the worker needs of a gateway."""

    database: database.Database
    settings: Settings


@contextlib.asynccontextmanager
async def working(store: database.Database, **section: Any) -> AsyncIterator[delivery.Worker]:
    """A worker that runs until the context ends."""
    worker = delivery.Worker(Gateway(store, Settings(replace(Section(), **section))))
    worker.start()
    try:
        yield worker
    finally:
        await worker.stop()


async def until(found: Callable[[], T | None], what: str) -> T:
    """What `found` returns once it is true."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        result = found()
        if result:
            return result
        await asyncio.sleep(0.01)
    raise AssertionError(f"{what}: not within {DEADLINE} s")


def subscription(url: str, criteria: str = "Observation", *, subscription_id: str = "s", **elements: Any) -> Json:
    """A Subscription as a client sends it; `payload` and `header` are elements of its channel."""
    channel = {"type": "rest-hook", "endpoint": url, "payload": "application/fhir+json"}
    for name in ("payload", "header", "type", "endpoint"):
        if name in elements:
            channel[name] = elements.pop(name)
    return {
        "resourceType": "Subscription",
        "id": subscription_id,
        "status": "requested",
        "reason": "A test",
        "criteria": criteria,
        "channel": {name: value for name, value in channel.items() if value is not None},
        **elements,
    }


def observation(number: int | str, value: int = 0, code: str = "1975-2") -> Json:
    """An Observation."""
    return {
        "resourceType": "Observation",
        "id": f"o{number}",
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": code}]},
        "valueInteger": value,
    }


def put(store: database.Database, *written: Json) -> list[resources.Stored]:
    """Store these in one unit."""
    return store.submit(lambda unit: [resources.put(unit, resource, received="r") for resource in written]).result(30)


def read(store: database.Database, reference: str = "Subscription/s") -> Json | None:
    """A current resource."""
    stored = store.read_now(lambda connection: resources.present(connection, *reference.split("/")))
    return None if stored is None else stored.resource


def status(store: database.Database, subscription_id: str = "s") -> str | None:
    """The status of a Subscription."""
    found = read(store, f"Subscription/{subscription_id}")
    return None if found is None else str(found["status"])


def has_status(store: database.Database, wanted: str, subscription_id: str = "s") -> Callable[[], bool]:
    """Whether a Subscription has come to a status."""
    return lambda: status(store, subscription_id) == wanted


def rows(store: database.Database) -> list[tuple[str, str, int]]:
    """The outbox: Subscription, Type/id, version."""
    query = "SELECT subscription, type, id, version FROM notification ORDER BY number"

    def work(connection: Any) -> list[tuple[str, str, int]]:
        found = connection.exec_driver_sql(query).fetchall()
        return [(row[0], f"{row[1]}/{row[2]}", row[3]) for row in found]

    return store.read_now(work)


def is_told(store: database.Database) -> Callable[[], bool]:
    """Whether the outbox is empty."""
    return lambda: not store.read_now(outbox.waiting)


def endpoints() -> Iterator[Endpoint]:
    """One endpoint, closed at the end."""
    endpoint = Endpoint()
    yield endpoint
    endpoint.close()


def path(number: int) -> str:
    """Where an Observation is put."""
    return f"/hook/Observation/o{number}"


def values(endpoint: Endpoint) -> list[int]:
    """The values of the Observations in the order in which they arrived."""
    return [codec.decode(request.body)["valueInteger"] for request in endpoint.told]


def refuse(times: int, answer: int, method: str = "PUT") -> Callable[[Request], int]:
    """An endpoint that answers so many requests of a method with a failure."""
    left = [times]

    def decide(request: Request) -> int:
        if request.method == method and left[0] > 0:
            left[0] -= 1
            return answer
        return 200

    return decide
