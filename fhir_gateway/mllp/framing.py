"""MLLP frames: VT, the message, FS CR. HL7 Transport Specification: MLLP, Release 1."""

from __future__ import annotations

import re

from fhir_gateway import errors

VT, FS, CR = b"\x0b", b"\x1c", b"\r"

_EDGE = re.compile(rb"\x0b|\x1c[\r\x0b]")  # one pass: two finds for each of many edges would be quadratic


class FrameTooLarge(errors.GatewayError):
    """The message is longer than the limit. Send it in parts, or raise the limit."""

    def __init__(self, complete: list[bytes]) -> None:
        super().__init__()
        self.complete = complete  # the messages that ended before it in the same bytes


class Framer:
    """Takes the bytes of one connection as they come and gives the messages in them, without their frames.

    `limit` is in bytes, of one message. A VT within a message begins it anew. FS CR ends a message, and so does FS
    before the VT of the next one; any other FS belongs to the message. What stands between frames is skipped.
    """

    def __init__(self, limit: int) -> None:
        self.dropped = 0  # bytes that came and belong to no message: between frames, or before a VT that began it anew
        self._limit = limit
        self._content: bytearray | None = None  # of the message that has begun
        self._holds_fs = False  # the last byte was an FS within a message: the next one says what it means

    @property
    def is_inside(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._content is not None

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that end in `data`. Raises FrameTooLarge, after which the stream cannot be read on."""
        complete: list[bytes] = []
        if self._holds_fs:
            data = FS + data
            self._holds_fs = False
        at = 0
        while True:
            if self._content is None:
                start = data.find(VT, at)
                if start < 0:
                    self.dropped += len(data) - at
                    return complete
                self.dropped += start - at
                self._content = bytearray()
                at = start + 1
            edge = _EDGE.search(data, at)
            if edge is None:
                self._holds_fs = data.endswith(FS, at)
                self._content += data[at : len(data) - self._holds_fs]
                self._check(complete)
                return complete
            self._content += data[at : edge.start()]
            self._check(complete)
            if edge[0] == VT:
                self.dropped += len(VT) + len(self._content)
            else:
                complete.append(bytes(self._content))
            self._content = bytearray() if edge[0].endswith(VT) else None
            at = edge.end()

    def _check(self, complete: list[bytes]) -> None:
        if self._content is not None and len(self._content) > self._limit:
            self._content = None
            raise FrameTooLarge(complete)


def frame(message: bytes) -> bytes:
    """A message in its frame."""
    return VT + message + FS + CR
