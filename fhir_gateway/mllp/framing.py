"""MLLP frames: VT, the message, FS CR. HL7 Transport Specification: MLLP, Release 1."""

from __future__ import annotations

import asyncio

VT, FS, CR = b"\x0b", b"\x1c", b"\r"


class FrameTooLarge(Exception):
    """The frame is longer than the limit; the connection cannot go on."""


async def read_frame(reader: asyncio.StreamReader, limit: int) -> bytes | None:
    """The next message without its frame; None at the end of the stream. What stands before a VT is skipped.

    The reader's own limit must be larger than `limit` (bytes). A second VT starts the message anew.
    """
    try:
        chunk = await reader.readuntil(FS + CR)
    except asyncio.IncompleteReadError:
        return None
    except asyncio.LimitOverrunError:
        raise FrameTooLarge from None
    _before, start, message = chunk[:-2].rpartition(VT)
    if len(message) > limit:
        raise FrameTooLarge
    return message if start else b""


def frame(message: bytes) -> bytes:
    """A message in its frame."""
    return VT + message + FS + CR
