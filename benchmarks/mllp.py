"""A load generator for MLLP: connections in one loop, latencies and the server's processor time; and what it loads."""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import os
import selectors
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks import load

START_SECONDS = 60.0
_POLL_SECONDS = 0.05
_READ = 262_144  # bytes

#: Gives a control id (MSH-10) that was not used before, and its message.
Make = Callable[[], tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Server:
    """A process with an MLLP port. `database` is the gateway's file; a yardstick has none."""

    pid: int
    port: int
    database: Path | None = None

    def waiting(self) -> int:
        """How many messages have been acknowledged and not mapped yet."""
        with contextlib.closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as connection:
            query = "SELECT count(*) FROM message WHERE state = 'received'"
            return int(connection.execute(query).fetchone()[0])


#: The gateway as it is, but for the worker that maps: what is received stays as it came.
_NOT_MAPPING = (
    "from fhir_gateway import cli; from fhir_gateway.messages import mapping; start = mapping.Mapper.start; "
    "mapping.Mapper.start = lambda self, *, maps: start(self, maps=False); cli.main()"
)


@contextlib.contextmanager
def gateway(cores: set[int] | None, *, maps: bool = True) -> Iterator[Server]:
    """A gateway on a new SQLite file."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        (data / "gateway.toml").touch()
        start = ["-m", "fhir_gateway"] if maps else ["-c", _NOT_MAPPING]
        options = {"--config": data / "gateway.toml", "--data": data, "--port": 0, "--mllp-port": 0}
        arguments = [str(part) for option in options.items() for part in option]
        with (data / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, *start, "serve", *arguments],
                env={k: v for k, v in os.environ.items() if not k.startswith("FHIR_GATEWAY_")},
                stdout=log,
                stderr=log,
                preexec_fn=(lambda: os.sched_setaffinity(0, cores)) if cores else None,
            )
        try:
            yield Server(process.pid, _mllp_port(process, data / "log"), data / "gateway.sqlite")
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()


def _mllp_port(process: subprocess.Popen[bytes], log: Path) -> int:
    """The port that the gateway says it listens on, once it is ready."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        said = [
            json.loads(line) for line in log.read_text().splitlines() if line.startswith("{") and line.endswith("}")
        ]
        if any("url" in line for line in said):
            return int(next(line["mllp"] for line in said if "mllp" in line).rpartition(":")[2])
        time.sleep(_POLL_SECONDS)
    raise SystemExit(f"The gateway does not start:\n{log.read_text()}")


@contextlib.contextmanager
def yardstick(cores: set[int] | None) -> Iterator[Server]:
    """python-hl7's asyncio server, which answers each message with its `create_ack` and keeps nothing."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_yardstick, args=(theirs, cores), daemon=True)
    process.start()
    theirs.close()  # else nothing says that the process has ended before it listened
    try:
        yield Server(process.pid or 0, ours.recv())
    finally:
        process.terminate()
        process.join()


def _yardstick(told: Connection, cores: set[int] | None) -> None:
    import hl7.mllp

    if cores:
        os.sched_setaffinity(0, cores)

    async def answer(reader: Any, writer: Any) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                message = await reader.readmessage()
                writer.writemessage(message.create_ack("CA" if str(message["MSH"][0][15]) else "AA"))
                await writer.drain()

    async def serve() -> None:
        server = await hl7.mllp.start_hl7_server(answer, "127.0.0.1", 0, encoding="latin-1")
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


@dataclass(slots=True)
class Sent:
    """What was sent and answered positively. Latencies in seconds, none where nothing was waited for."""

    messages: int = 0
    seconds: float = 0.0
    cpu: float = 0.0  # seconds of the server's processor time
    latencies: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds

    def answered(self, share: float) -> float | str:
        """Milliseconds after which so many of the messages were answered."""
        return sorted(self.latencies)[int(len(self.latencies) * share)] * 1000 if self.latencies else ""


def in_turns(server: Server, connections: int, make: Make, code: bytes, seconds: float) -> Sent:
    """Each connection waits for its answer, of this MSA-1, before its next message."""
    sent = Sent()
    now = time.perf_counter
    controls, begun, come = [b""] * connections, [0.0] * connections, [b""] * connections
    with _connected(server, connections) as sockets, selectors.DefaultSelector() as ready:

        def send(number: int) -> None:
            controls[number], message = make()
            begun[number], come[number] = now(), b""
            sockets[number].sendall(b"\x0b" + message + b"\x1c\r")

        used, start = load.cpu_seconds([server.pid]), now()
        stop = start + seconds
        for number, connection in enumerate(sockets):
            ready.register(connection, selectors.EVENT_READ, number)
            send(number)
        while ready.get_map():
            for key, _events in ready.select():
                number = key.data
                come[number] += _some(sockets[number])
                if not come[number].endswith(b"\x1c\r"):
                    continue
                at = now()
                sent.latencies.append(at - begun[number])
                if b"\rMSA|" + code + b"|" + controls[number] not in come[number]:
                    raise SystemExit(f"No positive answer: {come[number]!r}")
                if at < stop:
                    send(number)
                else:
                    ready.unregister(sockets[number])
        sent.seconds, sent.cpu = now() - start, load.cpu_seconds([server.pid]) - used
    sent.messages = len(sent.latencies)
    return sent


def in_a_row(server: Server, connections: int, make: Make, code: bytes, messages: int) -> Sent:
    """Each connection writes all of its messages without waiting for an answer."""
    each = messages // connections
    left = [memoryview(b"".join(b"\x0b" + make()[1] + b"\x1c\r" for _n in range(each))) for _c in range(connections)]
    sent = Sent(each * connections)
    with _connected(server, connections) as sockets, selectors.DefaultSelector() as ready:
        come: list[list[bytes]] = [[] for _connection in sockets]
        missing = sent.messages
        used, start = load.cpu_seconds([server.pid]), time.perf_counter()
        for number, connection in enumerate(sockets):
            connection.setblocking(False)
            ready.register(connection, selectors.EVENT_READ | selectors.EVENT_WRITE, number)
        while missing:
            for key, events in ready.select():
                number = key.data
                if events & selectors.EVENT_WRITE:
                    left[number] = left[number][sockets[number].send(left[number]) :]
                    if not left[number]:
                        ready.modify(sockets[number], selectors.EVENT_READ, number)
                if events & selectors.EVENT_READ:
                    come[number].append(_some(sockets[number]))
                    missing -= come[number][-1].count(b"\x1c")
        sent.seconds, sent.cpu = time.perf_counter() - start, load.cpu_seconds([server.pid]) - used
    if sum(b"".join(data).count(b"\rMSA|" + code + b"|") for data in come) != sent.messages:
        raise SystemExit("Not all answers were positive.")
    return sent


def seconds_to_map(server: Server) -> float:
    """How long it takes from now on until nothing waits to be mapped."""
    start = time.perf_counter()
    while server.waiting():
        time.sleep(_POLL_SECONDS)
    return time.perf_counter() - start


@contextlib.contextmanager
def _connected(server: Server, count: int) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port))) for _n in range(count)]
        for connection in found:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield found


def _some(connection: socket.socket) -> bytes:
    data = connection.recv(_READ)
    if not data:
        raise SystemExit("The server closed the connection.")
    return data
