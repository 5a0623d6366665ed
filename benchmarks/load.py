"""A load generator for HTTP: keep-alive connections in threads of one process, latencies and the servers' CPU time."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

CONNECTIONS = 16
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Measured:
    """Requests a second, latencies in milliseconds, and the servers' processor time in microseconds a request."""

    rate: float
    p50: float
    p99: float
    cpu: float


def request(method: str, path: str, port: int, body: bytes | None = None) -> bytes:
    """One HTTP request below /fhir, as it goes over the wire."""
    head = f"{method} /fhir{path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
    if body is not None:
        head += f"Content-Type: application/fhir+json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + (body or b"")


def cpu_seconds(processes: Iterable[int]) -> float:
    """The processor time that these processes have used."""
    total = 0
    for pid in processes:
        with open(f"/proc/{pid}/stat", "rb") as stat:  # noqa: PTH123 - /proc is no file to have a path of
            fields = stat.read().rsplit(b")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def measure(
    ports: Sequence[int], processes: Sequence[int], make: Callable[[int, int], bytes], seconds: float
) -> Measured:
    """Send what `make(number, port)` gives over all connections for some seconds, the ports taking turns."""
    latencies: list[list[float]] = [[] for _number in range(CONNECTIONS)]
    stop = time.perf_counter() + seconds
    failed: list[str] = []
    threads = [
        threading.Thread(target=_connection, args=(number, ports[number % len(ports)], make, stop, latencies, failed))
        for number in range(CONNECTIONS)
    ]
    before, begun = cpu_seconds(processes), time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken, used = time.perf_counter() - begun, cpu_seconds(processes) - before
    if failed:
        raise SystemExit(f"A request failed: {failed[0]}")
    found = sorted(latency for one in latencies for latency in one)
    return Measured(
        rate=len(found) / taken,
        p50=found[len(found) // 2] * 1000,
        p99=found[int(len(found) * 0.99)] * 1000,
        cpu=used / len(found) * 1_000_000,
    )


def _connection(
    number: int,
    port: int,
    make: Callable[[int, int], bytes],
    stop: float,
    latencies: list[list[float]],
    failed: list[str],
) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        count = 0
        while time.perf_counter() < stop and not failed:
            sent = make(number + CONNECTIONS * count, port)
            count += 1
            begun = time.perf_counter()
            connection.sendall(sent)
            status = _answer(connection)
            latencies[number].append(time.perf_counter() - begun)
            if not status.startswith(b"HTTP/1.1 20"):
                failed.append(status.decode("latin-1"))


def _answer(connection: socket.socket) -> bytes:
    """Read one answer to its end; its status line."""
    head = b""
    while b"\r\n\r\n" not in head:
        chunk = connection.recv(65536)
        if not chunk:
            return b"the connection was closed"
        head += chunk
    head, _, body = head.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in lines[1:])
    if b"content-length" in fields:
        missing = int(fields[b"content-length"]) - len(body)
        while missing > 0:
            missing -= len(connection.recv(65536))
    else:
        while not body.endswith(b"0\r\n\r\n"):
            body += connection.recv(65536)
    return lines[0]
