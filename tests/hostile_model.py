"""A scripted, hostile model server: it speaks `/v1/chat/completions` and does what a test tells it to.

    with hostile_model.running([says.answer({"a": 1}), says.cut()]) as server:
        engine = openai.Engine("m", options.OpenAI(engine="openai", url=server.url))

A script is one behaviour for all requests or a list of them, of which the last stays. A behaviour is a function of an
`Exchange`; those that are often wanted are made by `tests/says.py`. Canaries are honoured with a valid answer of
the schema that they bring, unless `canary` says otherwise: the server is good as long as it is looked at.

Clinical falsehoods for `says.made` are in `tests/falsehoods.py`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.server
import json
import select
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline.engines.openai import canary as the_canary

Json = dict[str, Any]
Pages = dict[str, tuple[int, Any]]

_LONGEST_WAIT = 60.0  # seconds that a behaviour holds a connection at most


@dataclasses.dataclass(frozen=True)
class Persona:
    """Who the server says it is: in `/v1/models`, in its own pages, and in every answer."""

    model: str = "boeses-modell"
    owner: str = "somebody"
    fingerprint: str | None = "fp-1"
    pages: Pages = dataclasses.field(default_factory=dict)
    others: tuple[str, ...] = ()

    def page(self, path: str) -> tuple[int, Any]:
        """Status and body of a page."""
        if path in self.pages:
            return self.pages[path]
        if path == "/v1/models":
            data = [{"id": name, "object": "model", "owned_by": self.owner} for name in (self.model, *self.others)]
            return 200, {"object": "list", "data": data}
        return 404, {"error": {"message": "not found", "type": "not_found_error"}}


def llama_cpp(model: str = "boeses-modell", process: str = "p1", context: int = 4096) -> Persona:
    """As a llama.cpp server; `process` is new with each start."""
    settings = {"n_ctx": context}
    props = {"default_generation_settings": settings, "total_slots": 2, "model_path": f"/models/{model}.gguf",
             "build_info": "b9999-abc", "media_marker": process}  # fmt: skip
    return Persona(model, "llamacpp", "b9999-abc", {"/props": (200, props), "/health": (200, {"status": "ok"})})


def vllm(model: str = "boeses-modell", context: int = 4096) -> Persona:
    """As vLLM."""
    listing = {"data": [{"id": model, "owned_by": "vllm", "root": model, "max_model_len": context}]}
    pages: Pages = {"/v1/models": (200, listing), "/version": (200, {"version": "0.12.0"})}
    return Persona(model, "vllm", None, pages)


@dataclasses.dataclass(frozen=True)
class Request:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    json: Json

    @property
    def system(self) -> str:
        """The role's prompt."""
        return str(self.json["messages"][0]["content"])

    @property
    def prompt(self) -> str:
        """The user's message."""
        return str(self.json["messages"][-1]["content"])

    @property
    def schema(self) -> Json:
        """The schema, however it was asked for."""
        asked = self.json.get("response_format") or {}
        found = asked.get("schema") or asked.get("json_schema", {}).get("schema")
        schema: Json = found or self.json.get("structured_outputs", {}).get("json") or {}
        return schema

    @property
    def is_canary(self) -> bool:
        """Whether it is the schema canary."""
        return self.method == "POST" and self.system == the_canary.SYSTEM


class HungUp(Exception):
    """The client closed the connection."""


class Exchange:
    """One request and the connection on which it is answered."""

    def __init__(self, server: Hostile, request: Request, connection: socket.socket) -> None:
        self.server = server
        self.request = request
        self._connection = connection
        self.is_over = False  # nothing more can be said on this connection

    def raw(self, data: bytes) -> None:
        """Bytes as they are."""
        try:
            self._connection.sendall(data)
        except OSError:
            raise HungUp from None

    def status(self, code: int, body: bytes = b"", content_type: str = "application/json", **headers: str) -> None:
        """A whole response. Underscores in the names of headers are hyphens."""
        told = {"Content-Type": content_type, "Content-Length": str(len(body))}
        told |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        self.raw(f"HTTP/1.1 {code} told\r\n{lines}\r\n".encode() + body)

    def begin(self, content_type: str = "text/event-stream", **headers: str) -> None:
        """The head of a stream."""
        told = {"Content-Type": content_type, "Transfer-Encoding": "chunked"}
        told |= {name.replace("_", "-"): value for name, value in headers.items()}
        self.raw(("HTTP/1.1 200 OK\r\n" + "".join(f"{n}: {v}\r\n" for n, v in told.items()) + "\r\n").encode())

    def send(self, data: bytes) -> None:
        """A part of the stream's bytes."""
        self.raw(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def event(self, delta: Json | None, finish: str | None = None, **more: Any) -> None:
        """One event; without a delta one without choices."""
        self.send(f"data: {json.dumps(self.chunk(delta, finish, **more), ensure_ascii=False)}\n\n".encode())

    def chunk(self, delta: Json | None, finish: str | None = None, **more: Any) -> Json:
        """What an event says."""
        persona = self.server.persona
        choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
        told = {"object": "chat.completion.chunk", "model": persona.model, "choices": choices}
        return told | ({"system_fingerprint": persona.fingerprint} if persona.fingerprint else {}) | more

    def end(self, finish: str | None = "stop", usage: Json | None = None) -> None:
        """The end of an answer: its reason, what it took, `[DONE]`."""
        self.event({}, finish)
        if usage is not None:
            self.event(None, usage=usage)
        self.send(b"data: [DONE]\n\n")
        self.raw(b"0\r\n\r\n")

    def close(self) -> None:
        """Cut the connection."""
        self.is_over = True

    def pause(self, seconds: float) -> None:
        """Wait, but no longer than the client does or the test lasts."""
        if self.server.ends.wait(seconds):
            raise HungUp

    def until_hung_up(self) -> None:
        """Say nothing until the client closes the connection."""
        for _ in range(int(_LONGEST_WAIT / 0.02)):
            readable, _, _ = select.select([self._connection], [], [], 0)
            if readable and not self._connection.recv(1):
                raise HungUp
            self.pause(0.02)


Behaviour = Callable[[Exchange], None]
Script = Behaviour | Sequence[Behaviour]


# --- the honest answer -----------------------------------------------------------------------------------------------


def valid(exchange: Exchange) -> None:
    """Say a value of the schema that was sent: the first choice, the shortest list, the shortest text."""
    exchange.begin()
    exchange.event({"role": "assistant", "content": None})
    exchange.event({"content": compact(value_of(exchange.request.schema))})
    exchange.end()


def compact(value: Any) -> str:
    """JSON as a constrained model writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def value_of(schema: Json, definitions: Json | None = None) -> Any:
    """A value of a schema as `pipeline.engines.shapes` has them."""
    definitions = definitions if definitions is not None else schema.get("$defs", {})
    if "$ref" in schema:
        return value_of(definitions[schema["$ref"].removeprefix("#/$defs/")], definitions)
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    simple = {"string": "x" * schema.get("minLength", 0), "integer": schema.get("minimum", 0), "boolean": False}
    if schema["type"] == "object":
        return {name: value_of(part, definitions) for name, part in schema["properties"].items()}
    if schema["type"] == "array":
        return [value_of(schema["items"], definitions)] * schema.get("minItems", 0)
    return simple[schema["type"]]


# --- the server ---------------------------------------------------------------------------------------------------


class Hostile:
    """The running server. `persona`, `script` and `canary` may be set anew while it runs."""

    def __init__(self, script: Script, persona: Persona, canary: Behaviour) -> None:
        self.url = ""
        self.persona = persona
        self.canary = canary
        self.requests: list[Request] = []
        self.hung_up = 0  # connections that the client ended while it was answered
        self.connections = 0  # ever
        self.most = 0  # at once
        self.faults: list[BaseException] = []
        self.ends = threading.Event()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._script: Script = script
        self._at = 0

    @property
    def script(self) -> Script:
        """What it does with requests that are no canary."""
        return self._script

    @script.setter
    def script(self, script: Script) -> None:
        self._script, self._at = script, 0

    @property
    def asked(self) -> list[Request]:
        """The requests for an answer, without canaries."""
        return [request for request in self.requests if request.method == "POST" and not request.is_canary]

    @property
    def canaries(self) -> list[Request]:
        """The canaries."""
        return [request for request in self.requests if request.is_canary]

    def opened(self, connection: socket.socket) -> None:
        """A connection came."""
        with self._lock:
            self._open.add(connection)
            self.connections += 1
            self.most = max(self.most, len(self._open))

    def closed(self, connection: socket.socket) -> None:
        """A connection ended."""
        with self._lock:
            self._open.discard(connection)

    def drop(self) -> None:
        """Cut all connections, as a server that dies does."""
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def work(self, exchange: Exchange) -> None:
        """Answer one request."""
        request = exchange.request
        self.requests.append(request)
        if request.method == "GET":
            code, body = self.persona.page(request.path)
            exchange.status(code, body if isinstance(body, bytes) else json.dumps(body).encode())
        elif request.is_canary:
            self.canary(exchange)
        else:
            self._next()(exchange)

    def _next(self) -> Behaviour:
        if callable(self._script):
            return self._script
        with self._lock:
            behaviour = self._script[min(self._at, len(self._script) - 1)]
            self._at += 1
        return behaviour


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hostile: Hostile

    def setup(self) -> None:
        self.hostile.opened(self.request)
        super().setup()

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()
        self.hostile.closed(self.request)

    def do_GET(self) -> None:
        self._work({})

    def do_POST(self) -> None:
        self._work(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _work(self, body: Json) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        exchange = Exchange(self.hostile, Request(self.command, self.path, headers, body), self.connection)
        try:
            self.hostile.work(exchange)
        except HungUp:
            self.hostile.hung_up += 1
            exchange.close()
        self.close_connection = self.close_connection or exchange.is_over

    def log_message(self, format: str, *args: Any) -> None:
        pass


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    hostile: Hostile

    def handle_error(self, request: Any, client_address: Any) -> None:
        fault = sys.exception()
        if fault is not None and not isinstance(fault, OSError):
            self.hostile.faults.append(fault)


@contextlib.contextmanager
def running(
    script: Script = valid,
    *,
    persona: Persona | None = None,
    canary: Behaviour = valid,
    certificate: tuple[Path, Path] | None = None,
    port: int = 0,
) -> Iterator[Hostile]:
    """The server on 127.0.0.1; `certificate`: a PEM file and its key for TLS. Its own faults are raised at the end."""
    hostile = Hostile(script, persona or Persona(), canary)
    handler = type("Handler", (_Handler,), {"hostile": hostile})
    with _Server(("127.0.0.1", port), handler) as server:
        server.hostile = hostile
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        hostile.url = f"{'http' if certificate is None else 'https'}://127.0.0.1:{server.server_port}/v1"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield hostile
        finally:
            hostile.ends.set()
            hostile.drop()
            server.shutdown()
            thread.join()
    if hostile.faults:
        raise hostile.faults[0]


@contextlib.contextmanager
def elsewhere() -> Iterator[tuple[int, Callable[[], bool]]]:
    """A second address that must not be contacted: its port, and whether somebody came."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)

        def was_contacted() -> bool:
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                return False
            connection.close()
            return True

        yield listener.getsockname()[1], was_contacted
