"""A model's file: is it the one that was recorded?"""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path

from pipeline.engines import base

#: Which file it is and in which state: device, inode, bytes, times of the last change of content and of anything (ns).
Stamp = tuple[int, int, int, int, int]

#: The digests of files in the states that they were in.
_known: dict[tuple[Path, Stamp], str] = {}


async def verify(name: str, file: Path, sha256: str) -> Stamp:
    """Compare a file with its recorded SHA-256; a large one takes a while, once. Raises base.NotUsable."""
    try:
        stamp = _stamp(await asyncio.to_thread(file.stat))
        if (file, stamp) not in _known:
            stamp, digest = await asyncio.to_thread(_digest, file)
            _known[file, stamp] = digest
    except OSError as fault:
        raise base.NotUsable(f"The file {file} of the model {name} cannot be read: {fault.strerror}.") from None
    found = _known[file, stamp]
    if found != sha256:
        raise base.NotUsable(
            f"The file {file} of the model {name} has the SHA-256 {found}, not the configured one: "
            "it is another file, or damaged."
        )
    return stamp


async def is_unchanged(file: Path, stamp: Stamp) -> bool:
    """Whether it is the file that was verified, untouched since then."""
    try:
        return _stamp(await asyncio.to_thread(file.stat)) == stamp
    except OSError:
        return False


def _digest(file: Path) -> tuple[Stamp, str]:
    """The digest, and the state before it was read: whoever changes the file meanwhile changes that."""
    with file.open("rb") as stream:
        stamp = _stamp(os.fstat(stream.fileno()))
        return stamp, hashlib.file_digest(stream, "sha256").hexdigest()


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
