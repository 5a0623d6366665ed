"""Ids that this server assigns: random UUIDs (version 4), made without a system call each.

`uuid.uuid4` asks the operating system for every id and gives up the interpreter's lock meanwhile, which under load
costs a request more than all else it does. An id names a resource; nothing is protected by its being secret.
"""

from __future__ import annotations

import random
import uuid

_random = random.Random()  # seeded by the operating system when the process starts


def new() -> str:
    """A new id."""
    return str(uuid.UUID(int=_random.getrandbits(128), version=4))
