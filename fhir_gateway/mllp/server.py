"""The MLLP listener: messages in, their answers out in the same order. It knows bytes and limits, and no HL7 v2."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

from fhir_gateway import errors
from fhir_gateway.mllp import framing

_BUFFER = 65_536  # bytes; twice as many wait at most until they are read
_ALL = 1_048_576  # bytes, more than can wait: one read takes all that have come
_BACKLOG = 128  # connections that wait to be accepted
_ACCEPT_PAUSE = 1.0  # seconds until a connection is accepted again after the system could give none
_HANDSHAKE = 10.0  # seconds that a TLS handshake may take
_PARTING = 1.0  # seconds that the peer has to take its last answers and to close on its side
_FULL_EVERY = 60.0  # seconds between two words on refused connections

T = TypeVar("T")

log = structlog.get_logger()


class _NotReceived(Exception):
    """A message could not be taken, or its answer not be had."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who sends: through which listener of ours, on which port of ours, and from which address.

    `certificate` names the client's TLS certificate by its common name, or else by its first DNS name.
    """

    listener: str
    port: int
    address: str
    certificate: str | None


#: An answer, or one that is waited for after those before it have been sent; None is no answer after all.
Answer = bytes | Callable[[], Awaitable[bytes | None]]

#: The answers to a message, in order, maybe none. What it raises ends the connection without an answer. It may be
#: cancelled when the message before it failed or the listener ends; it must then have kept the message or not at all.
Receive = Callable[[bytes, Peer], Awaitable[Sequence[Answer]]]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one listener takes, and how long it waits."""

    message_bytes: int = 32 * 1_048_576
    connections: int = 256  # at once, those that still shake hands among them
    idle_seconds: float = 3600  # without a byte from the peer and without work for it
    read_seconds: float = 60  # from the VT to the FS CR of a message, and for the peer to take an answer
    in_flight: int = 16  # messages of a connection worked on at once; together they are not above message_bytes, or one


async def start(
    name: str, host: str, port: int, receive: Receive, limits: Limits, tls: ssl.SSLContext | None = None
) -> Listener:
    """Listen on the first address of `host`; port 0 takes a free one. ConfigurationError when it cannot be had."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, _kind, _protocol, _name, address = found[0]
        listening = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        why = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise errors.ConfigurationError(f"The MLLP port {port} on {host} cannot be opened: {why}.") from None
    listening.setblocking(False)
    return Listener(name, listening, receive, limits, tls)


class Listener:
    """A port that takes connections. `start` makes it.

    It accepts by itself, as asyncio's own server does not know a connection before its TLS handshake is done.
    """

    def __init__(
        self, name: str, listening: socket.socket, receive: Receive, limits: Limits, tls: ssl.SSLContext | None
    ) -> None:
        self.port: int = listening.getsockname()[1]
        self._name = name
        self._listening = listening
        self._receive = receive
        self._limits = limits
        self._tls = tls
        self._tasks: dict[asyncio.Task[None], _Connection | None] = {}  # None: it still shakes hands
        self._said_full: float | None = None
        self._accepting = asyncio.create_task(self._accept())

    async def close(self, drain_seconds: float) -> None:
        """Take no more connections and no more bytes, answer the messages that have come, and close.

        What has not ended after `drain_seconds` is broken off.
        """
        self._accepting.cancel()
        await asyncio.wait([self._accepting])
        self._listening.close()
        for task, connection in self._tasks.items():
            if connection is None:
                task.cancel()
            else:
                connection.drain()
        await self._ended(drain_seconds)
        for task in self._tasks:
            task.cancel()
        await self._ended(None)

    async def _ended(self, seconds: float | None) -> None:
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=seconds)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(self._listening)
            except ConnectionAbortedError:
                continue  # the peer went away before
            except OSError as error:
                log.error("mllp connection not accepted", listener=self._name, error=error.strerror)
                await asyncio.sleep(_ACCEPT_PAUSE)
                continue
            if len(self._tasks) >= self._limits.connections:
                accepted.close()
                self._say_full(loop.time())
                continue
            task = asyncio.create_task(self._serve(accepted, address[0]))
            self._tasks[task] = None
            task.add_done_callback(self._tasks.pop)

    def _say_full(self, now: float) -> None:
        if self._said_full is None or now - self._said_full >= _FULL_EVERY:
            self._said_full = now
            log.warning("mllp connection refused", listener=self._name, limit=self._limits.connections)

    async def _serve(self, accepted: socket.socket, address: str) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(_BUFFER)
        protocol = asyncio.StreamReaderProtocol(reader)
        limited: dict[str, Any] = {}
        if self._tls is not None:
            limited["ssl_handshake_timeout"] = min(_HANDSHAKE, self._limits.read_seconds)
            limited["ssl_shutdown_timeout"] = _PARTING
        try:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, accepted, ssl=self._tls, **limited)
        except OSError as error:
            log.warning("mllp handshake failed", listener=self._name, address=address, error=type(error).__name__)
            return
        certificate = _name_of(transport.get_extra_info("peercert"))
        connection = _Connection(
            reader,
            asyncio.StreamWriter(transport, protocol, reader, loop),
            Peer(self._name, self.port, address, certificate),
            self._receive,
            self._limits,
        )
        task = asyncio.current_task()
        assert task is not None
        self._tasks[task] = connection
        await connection.serve()


def _name_of(certificate: dict[str, Any] | None) -> str | None:
    if not certificate:
        return None
    names = [value for rdn in certificate.get("subject", ()) for name, value in rdn if name == "commonName"]
    names += [value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"]
    return names[0] if names else None


class _Connection:
    """One peer: a reader that begins the work on each message in turn, and a writer that waits for it in turn."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        peer: Peer,
        receive: Receive,
        limits: Limits,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._peer = peer
        self._receive = receive
        self._limits = limits
        self._log = log.bind(listener=peer.listener, address=peer.address)
        self._framer = framing.Framer(limits.message_bytes)
        self._now = asyncio.get_running_loop().time
        self._clock: asyncio.Timeout | None = None  # runs while bytes are waited for
        self._touched = self._now()  # when bytes came or an answer went
        self._begun: float | None = None  # when the message that has not ended began
        self._work: asyncio.Queue[tuple[asyncio.Task[Sequence[Answer]], int] | None] = asyncio.Queue()
        self._messages = self._bytes = 0  # that are worked on
        self._has_room = asyncio.Event()
        self._is_draining = False
        self._has_failed = False  # a message could not be received: nothing after it is, and nothing is answered
        self._reason: str | None = None  # why it ends; None where the peer just closed

    def drain(self) -> None:
        """Take what has come and no more, then end."""
        self._is_draining = True
        if self._clock is not None and not self._clock.expired():
            self._clock.reschedule(self._now())

    async def serve(self) -> None:
        """Read and answer until either side ends."""
        reading = asyncio.create_task(self._read())
        try:
            try:
                await self._answer()
            finally:
                await self._stop(reading)
            await self._part()
        finally:
            self._writer.transport.abort()
            if self._reason is not None or self._framer.dropped:
                say = self._log.info if self._reason == "idle" else self._log.warning
                say("mllp connection ended", reason=self._reason, bytes_outside_messages=self._framer.dropped)

    async def _read(self) -> None:
        try:
            is_last = False
            while not (is_last or self._has_failed):
                is_last = self._is_draining
                data = await self._next()
                if not data:
                    return
                try:
                    messages = self._framer.feed(data)
                except framing.FrameTooLarge as error:
                    messages = error.complete
                    self._reason = "message too large"
                    is_last = True
                for message in messages:
                    await self._begin(message)
                self._touched = self._now()
                if not self._framer.is_inside:
                    self._begun = None
                elif messages or self._begun is None:
                    self._begun = self._touched
        finally:
            self._work.put_nowait(None)

    async def _next(self) -> bytes:
        """The next bytes; none when the peer has ended, is silent or slow for too long, or we take no more."""
        while True:
            is_last = self._is_draining
            try:
                async with asyncio.timeout_at(self._deadline()) as clock:
                    self._clock = clock
                    data = await self._reader.read(_ALL)
            except OSError as error:  # a TimeoutError is the clock's, or comes from the network
                if not (isinstance(error, TimeoutError) and clock.expired()):
                    self._reason = "connection lost"
                    return b""
            else:
                if not data and self._framer.is_inside:
                    self._reason = "message broken off"
                return data
            finally:
                self._clock = None
            if is_last:
                return b""
            if self._begun is None and self._messages:
                self._touched = self._now()
            if not self._is_draining and self._deadline() <= self._now():
                self._reason = "idle" if self._begun is None else "message too slow"
                return b""

    def _deadline(self) -> float:
        if self._is_draining:
            return self._now()
        if self._begun is not None:
            return self._begun + self._limits.read_seconds
        return self._touched + self._limits.idle_seconds

    async def _begin(self, message: bytes) -> None:
        """Begin to work on a message as soon as there is room for it; until then nothing is read."""
        size = len(message)
        while self._messages and (
            self._messages >= self._limits.in_flight or self._bytes + size > self._limits.message_bytes
        ):
            self._has_room.clear()
            await self._has_room.wait()
        if not self._has_failed:
            self._messages += 1
            self._bytes += size
            self._work.put_nowait(
                (asyncio.create_task(self._guarded(lambda: self._receive(message, self._peer))), size)
            )

    async def _guarded(self, work: Callable[[], Awaitable[T]]) -> T:
        """What the work gives. _NotReceived when it failed: nothing after it is answered."""
        try:
            return await work()
        except errors.GatewayError as error:
            self._log.warning("mllp message not received", error=type(error).__name__)
        except Exception as error:  # noqa: BLE001 - our fault must not be answered, and its text may quote the message
            self._log.error("mllp message not received", error=type(error).__name__, place=errors.place(error))
        self._has_failed = True
        raise _NotReceived

    async def _answer(self) -> None:
        while (begun := await self._work.get()) is not None:
            work, size = begun
            try:
                for answer in await work:
                    known = answer if isinstance(answer, bytes) else await self._guarded(answer)
                    if known is not None:
                        await self._write(known)
            except _NotReceived:
                self._reason = "message not received"
                return
            self._messages -= 1
            self._bytes -= size
            self._touched = self._now()
            self._has_room.set()

    async def _write(self, answer: bytes) -> None:
        """A connection that was lost takes nothing more, but what it brought is worked on to its end."""
        if self._writer.is_closing():
            return
        try:
            async with asyncio.timeout(self._limits.read_seconds):
                self._writer.write(framing.frame(answer))
                await self._writer.drain()
        except OSError:
            self._reason = "answer not taken"
            self._writer.transport.abort()

    async def _part(self) -> None:
        """Close after the peer has: a close with bytes unread is a reset, which can overtake the last answers."""
        if self._writer.is_closing():
            return
        with contextlib.suppress(OSError):
            async with asyncio.timeout(_PARTING):
                if self._writer.can_write_eof():
                    self._writer.write_eof()
                    while await self._reader.read(_ALL):
                        pass
                self._writer.close()
                await self._writer.wait_closed()

    async def _stop(self, reading: asyncio.Task[None]) -> None:
        left: list[asyncio.Task[Any]] = [reading]
        while not self._work.empty():
            begun = self._work.get_nowait()
            if begun is not None:
                left.append(begun[0])
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
