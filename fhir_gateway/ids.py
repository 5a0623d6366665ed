"""Ids that this server assigns: UUIDs in the order of their making (version 7), made without a system call each.

The database keeps resources by their ids: what comes one after another lies side by side, and a commit touches few
pages.
`uuid.uuid4` also asks the operating system for every id and gives up the interpreter's lock meanwhile, which under load
costs a request more than all else it does. An id names a resource; nothing is protected by its being secret.

https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-7
"""

from __future__ import annotations

import random
import time

_random = random.Random()  # seeded by the operating system when the process starts


def new() -> str:
    """A new id: 48 bits of milliseconds since 1970, then 74 random ones."""
    millis, noise = time.time_ns() // 1_000_000, _random.getrandbits(74)
    text = (
        f"{millis & 0xFFFFFFFFFFFF:012x}7{noise >> 62:03x}{0x8 | noise >> 60 & 0x3:x}{noise & 0xFFFFFFFFFFFFFFF:015x}"
    )
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
