"""One process for one data folder: the embedded workflow engine must not run twice on one file."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from fhir_gateway import errors

if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock file for the time of the context; AlreadyRunning when another process holds it.

    The operating system frees it when the process ends, however it ends.
    """
    with path.open("ab") as file:
        try:
            _lock(file)
        except OSError:
            raise errors.AlreadyRunning from None
        yield
