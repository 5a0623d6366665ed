"""The two event loops that the gateway runs on, and certificates that OpenSSL makes for a test."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from fhir_gateway.mllp import framing

T = TypeVar("T")

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}
DEADLINE = 10.0  # seconds that a test waits for something at most


def run(loop: str, scenario: Coroutine[Any, Any, T]) -> T:
    """The scenario's result. A fault in a callback, which a loop only logs, fails too."""
    faults: list[dict[str, Any]] = []

    async def watched() -> T:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: faults.append(context))
        async with asyncio.timeout(DEADLINE):
            return await scenario

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        result = runner.run(watched())
    assert not faults, faults
    return result


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until it is so."""
    while not is_so():
        await asyncio.sleep(0.002)


class Sender:
    """The other side of a listener: bytes as a test wants them, and the answers as they come."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._framer = framing.Framer(64 * 1_048_576)
        self._answers: list[bytes] = []

    async def send(self, data: bytes) -> None:
        """Bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def answers(self, count: int) -> list[bytes]:
        """The next answers."""
        while len(self._answers) < count:
            data = await self.reader.read(65_536)
            assert data, f"the connection ended after {len(self._answers)} of {count} answers"
            self._answers += self._framer.feed(data)
        found, self._answers = self._answers[:count], self._answers[count:]
        return found

    async def to_end(self) -> list[bytes]:
        """The answers until the connection ends, in order or by a reset."""
        try:
            while data := await self.reader.read(65_536):
                self._answers += self._framer.feed(data)
        except ConnectionError:
            pass
        return self._answers

    async def close(self) -> None:
        """End the connection."""
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


def acknowledge(code: str, control_id: str, *fields: str) -> bytes:
    """An answer: MSH and MSA."""
    segments = ["MSH|^~\\&|KIS|HOUSE|GW|HOUSE|20260101||ACK|a1|P|2.5", "|".join(["MSA", code, control_id, *fields])]
    return "".join(f"{segment}\r" for segment in segments).encode("latin-1")


class Certificates:
    """PEM files of one CA, and of another that nobody trusts. OpenSSL makes them when this is made.

    `server` is for localhost, `elsewhere` for another host; `client` has a common name, `nameless` DNS names only.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for ca in ("ca", "other_ca"):
            _openssl(folder, "req", "-x509", *_new(ca), "-subj", f"/CN={ca}", "-days", "2")
        _issue(folder, "ca", "server", "/CN=gateway.invalid", "DNS:localhost,IP:127.0.0.1")
        _issue(folder, "ca", "elsewhere", "/CN=elsewhere.invalid", "DNS:elsewhere.invalid")
        _issue(folder, "ca", "client", "/O=Klinik/CN=kis.klinik.example", "DNS:other.klinik.example")
        _issue(folder, "ca", "nameless", "/O=Klinik", "DNS:first.klinik.example,DNS:second.klinik.example")
        _issue(folder, "other_ca", "stranger", "/CN=stranger", "DNS:localhost")
        _openssl(folder, "ec", "-in", "client.key", "-aes128", "-passout", "pass:secret", "-out", "locked.key")

    def pem(self, name: str) -> Path:
        """A certificate."""
        return self._folder / f"{name}.pem"

    def key(self, name: str) -> Path:
        """Its key; `locked` is the client's with a passphrase."""
        return self._folder / f"{name}.key"


def _new(name: str) -> list[str]:
    return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key",
            "-out", f"{name}.pem"]  # fmt: skip


def _issue(folder: Path, ca: str, name: str, subject: str, names: str) -> None:
    signed = ["-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-subj", subject, "-days", "2"]
    extensions = ["-addext", f"subjectAltName={names}", "-addext", "basicConstraints=critical,CA:FALSE"]
    _openssl(folder, "req", "-x509", *_new(name), *signed, *extensions)


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=DEADLINE)
