"""A model's file: is it the one that was recorded?"""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from pipeline.engines import base

#: The digests of files as they are: path, bytes, time of the last change (ns).
_known: dict[tuple[Path, int, int], str] = {}


async def verify(name: str, file: Path, sha256: str) -> None:
    """Compare a file with its recorded SHA-256; a large one takes a while, once. Raises base.NotUsable."""
    try:
        status = await asyncio.to_thread(file.stat)
        key = (file, status.st_size, status.st_mtime_ns)
        if key not in _known:
            _known[key] = await asyncio.to_thread(_digest, file)
    except OSError as fault:
        raise base.NotUsable(f"The file {file} of the model {name} cannot be read: {fault.strerror}.") from None
    if _known[key] != sha256:
        raise base.NotUsable(
            f"The file {file} of the model {name} has the SHA-256 {_known[key]}, not the configured one: "
            "it is another file, or damaged."
        )


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
