"""One process for one database: the workflow engine must not run twice under one executor id."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import sqlalchemy as sa

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


#: The key of our PostgreSQL advisory lock ("fhir-gw" in ASCII).
_ADVISORY_KEY = 0x666869722D6777


@contextlib.contextmanager
def held_in_database(url: str) -> Iterator[None]:
    """Hold a PostgreSQL session lock for the time of the context; the server frees it when the connection ends."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            got = connection.execute(sa.text("SELECT pg_try_advisory_lock(:key)"), {"key": _ADVISORY_KEY}).scalar_one()
            if not got:
                raise errors.AlreadyRunning
            yield
    except sa.exc.OperationalError:
        raise errors.StoreUnavailable("The database cannot be reached. Start it, or correct database.url.") from None
    finally:
        engine.dispose()
