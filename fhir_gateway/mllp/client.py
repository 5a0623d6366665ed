"""The MLLP client: one peer, one connection, one message in flight. Only the answer that names the message counts."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

from fhir_gateway.mllp import framing

_MAX_ANSWER = 1_048_576  # bytes
_MAX_STRAY = 16  # bytes outside frames that may come during one message: some peers add line ends
_MAX_TEXT = 200  # characters
_PARTING = 2.0  # seconds that the peer has to close on its side
_CODES = frozenset({"AA", "AE", "AR", "CA", "CE", "CR"})  # HL7 table 0008
_BEFORE_HEADER = b"\xef\xbb\xbf \t\x00"  # a byte order mark and blanks

Kind = Literal["connect", "timeout", "connection lost", "not an answer", "tls"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the peer said to a message: MSA-1 and its reason, MSA-3 or else the first ERR-8, at most 200 characters.

    `text` and `raw` come from the peer and may quote the patient.
    """

    code: str
    text: str
    raw: bytes


class SendFailed(Exception):
    """No answer to the message was had. Whether the peer got it is not known, but for `connect`; it may be sent again.

    `kind` is `connect` (no connection), `tls` (a handshake or a certificate was refused), `timeout`, `connection lost`
    or `not an answer` (what came is no acknowledgement, stands in no frame, or is too large).
    """

    def __init__(self, kind: Kind) -> None:
        super().__init__(kind)
        self.kind = kind


class Client:
    """Sends to one peer and keeps the connection between messages. Every failure ends the connection.

    `timeout_seconds` is for a message and its answers, `connect_seconds` for a connection with its TLS handshake.
    `skipped` counts the frames that came and answered no message in flight.
    """

    def __init__(
        self, host: str, port: int, *, tls: ssl.SSLContext | None = None, timeout_seconds: float, connect_seconds: float
    ) -> None:
        self.skipped = 0
        self._host = host
        self._port = port
        self._tls = tls
        self._timeout = timeout_seconds
        self._connect_timeout = connect_seconds
        self._turn = asyncio.Lock()
        self._connection: _Connection | None = None
        self._last: str | None = None  # the control id before

    async def send(self, message: bytes, control_id: str, *, wants_application_answer: bool) -> Answer:
        """The answer whose MSA-2 is `control_id` (MSH-10 of the message). Raises SendFailed.

        The first one is final; with `wants_application_answer` (MSH-16 AL) a CA is not, and AA, AE or AR is waited for.
        """
        async with self._turn:
            connection = await self._connected(control_id)
            self._last = control_id
            is_answered = False
            try:
                async with asyncio.timeout(self._timeout):
                    answer = await connection.ask(message, control_id, wants_application_answer)
                is_answered = True
            except TimeoutError:
                raise SendFailed("timeout") from None
            finally:
                if not is_answered:
                    connection.abort()
            return answer

    async def close(self) -> None:
        """Close the connection; a message in flight fails. The next message opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _connected(self, control_id: str) -> _Connection:
        for _ in range(2):
            await asyncio.sleep(0)  # the first lets the loop see an end that has come, the second lets it say so
        if self._connection is not None:
            if self._connection.is_ready and control_id != self._last:  # an answer repeated would answer it again
                return self._connection
            self._connection.abort()
        try:
            async with asyncio.timeout(self._connect_timeout):
                _, self._connection = await asyncio.get_running_loop().create_connection(
                    lambda: _Connection(self._skip), self._host, self._port, ssl=self._tls
                )
        except ssl.SSLError:
            raise SendFailed("tls") from None
        except OSError:
            raise SendFailed("connect") from None
        return self._connection

    def _skip(self) -> None:
        self.skipped += 1


class _Connection(asyncio.Protocol):
    """One connection, and the message in flight on it. Answers are taken as they come, so none waits for the next."""

    def __init__(self, skip: Callable[[], None]) -> None:
        self._skip = skip
        self._framer = framing.Framer(_MAX_ANSWER)
        self._is_open = True
        self._lost = asyncio.get_running_loop().create_future()
        self._control_id = ""
        self._wants_application_answer = False
        self._stray = 0  # bytes outside frames before the message in flight
        self._answer: asyncio.Future[Answer] | None = None

    @property
    def is_ready(self) -> bool:
        """Whether a message can be sent: the peer has not closed, and is not in the middle of a frame."""
        return self._is_open and not self._framer.is_inside

    async def ask(self, message: bytes, control_id: str, wants_application_answer: bool) -> Answer:
        """Send and wait. Raises SendFailed."""
        self._control_id = control_id
        self._wants_application_answer = wants_application_answer
        self._stray = self._framer.dropped
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(framing.frame(message))
        return await self._answer

    async def close(self) -> None:
        """Close, and wait a moment until the peer has too."""
        self._transport.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._lost), _PARTING)
        self.abort()

    def abort(self) -> None:
        """Close at once."""
        self._is_open = False
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if not self._is_open:
            return
        is_too_large = False
        try:
            frames = self._framer.feed(data)
        except framing.FrameTooLarge as error:
            frames = error.complete
            is_too_large = True
        for raw in frames:
            self._take(raw)
        if is_too_large or (self._is_waiting and self._framer.dropped - self._stray > _MAX_STRAY):
            self._fail("not an answer")

    def eof_received(self) -> None:
        self._is_open = False  # the transport closes by itself, after what we still have to send

    def connection_lost(self, error: Exception | None) -> None:
        self._fail("tls" if isinstance(error, ssl.SSLError) else "connection lost")
        if not self._lost.done():
            self._lost.set_result(None)

    @property
    def _is_waiting(self) -> bool:
        return self._answer is not None and not self._answer.done()

    def _take(self, raw: bytes) -> None:
        if not self._is_waiting or self._answer is None:
            self._skip()
            return
        found = parse(raw)
        if found is None:
            self._fail("not an answer")
            return
        control_id, answer = found
        if not control_id or control_id != self._control_id:
            self._skip()
        elif answer.code != "CA" or not self._wants_application_answer:
            self._answer.set_result(answer)

    def _fail(self, kind: Kind) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(SendFailed(kind))
        self.abort()


def parse(raw: bytes) -> tuple[str, Answer] | None:
    """MSA-2 and the answer; None where `raw` is no message with an acknowledgement code in its MSA."""
    segments = re.split(rb"[\r\n]+", raw.lstrip(_BEFORE_HEADER + b"\r\n"))
    if not segments[0].startswith(b"MSH") or len(segments[0]) < 4:
        return None
    separator = segments[0][3:4]
    fields = [segment.split(separator) for segment in segments if segment.startswith((b"MSA", b"ERR"))]
    acknowledged = next((field for field in fields if field[0] == b"MSA"), [])
    code = _field(acknowledged, 1)
    if code not in _CODES:
        return None
    reasons = [_field(field, 8) for field in fields if field[0] == b"ERR"]
    reason = next((text for text in (_field(acknowledged, 3), *reasons) if text), "")[:_MAX_TEXT]
    text = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in reason)
    return _field(acknowledged, 2), Answer(code, text, raw)


def _field(fields: list[bytes], position: int) -> str:
    """In latin-1, which reads every byte; empty where it is missing."""
    return fields[position].decode("latin-1") if position < len(fields) else ""
