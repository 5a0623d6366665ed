"""The connection to SQLite or PostgreSQL, and the one writer thread with group commit.

Many requests wait for one commit: each runs inside a savepoint of its own, so that one which fails takes none of its
neighbours with it, and none is answered before the shared commit is durable.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import alembic.command
import alembic.config
import sqlalchemy as sa

from fhir_gateway import errors

T = TypeVar("T")

GROUP_LIMIT = 64  # requests that share one commit
BUSY_TIMEOUT = 30_000  # milliseconds a SQLite connection waits for the other writer


def now_micros() -> int:
    """Microseconds since 1970 (UTC)."""
    return time.time_ns() // 1000


@dataclass(slots=True)
class Unit:
    """One unit of work inside a transaction: its connection, its time, and what to do once it is durable."""

    connection: sa.Connection
    now: int
    after_commit: list[Callable[[], None]] = field(default_factory=list)


def is_sqlite(url: str) -> bool:
    """Whether this database URL names a SQLite file."""
    return url.startswith("sqlite")


def sqlite_url(path: Path) -> str:
    """The database URL of a SQLite file."""
    return f"sqlite:///{path.as_posix()}"


def prepare_sqlite_connection(connection: Any) -> None:
    """The settings that make an acknowledged commit survive a power cut (WAL with synchronous=FULL)."""
    for pragma in (f"busy_timeout={BUSY_TIMEOUT}", "foreign_keys=ON", "journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")
    # DBOS asks for unixepoch('subsec') on Python >= 3.12, which SQLite knows from 3.42 on: give it to older ones.
    connection.create_function("unixepoch", 1, lambda _modifier: int(time.time() * 1000) / 1000)


def connect(url: str, *, writes: bool) -> sa.Engine:
    """An engine on `url`. On SQLite every transaction of a writing engine takes the write lock when it begins."""
    if not is_sqlite(url):
        return sa.create_engine(url, pool_size=10, max_overflow=10, pool_pre_ping=True)
    engine = sa.create_engine(url, pool_size=1 if writes else 8, max_overflow=0 if writes else 24)

    @sa.event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        prepare_sqlite_connection(connection)

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def migrate(url: str) -> None:
    """Bring the schema to this version's state; a newer schema than this program knows is an error."""
    config = alembic.config.Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    engine = connect(url, writes=True)
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            alembic.command.upgrade(config, "head")
    except alembic.util.CommandError as error:
        raise errors.ConfigurationError(
            f"The database was made by a newer fhir-gateway ({error}). Install that version or use another database."
        ) from None
    finally:
        engine.dispose()


@dataclass(slots=True)
class _Job:
    work: Callable[[Unit], Any]
    future: concurrent.futures.Future[Any]


class Database:
    """Reads on pooled connections, writes through one thread. Use `read` and `write`; close it when done."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._reader = connect(url, writes=False)
        self._writer = connect(url, writes=True)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="store-writer", daemon=True)
        self._closed = False
        self._thread.start()

    async def read(self, work: Callable[[sa.Connection], T]) -> T:
        """What `work` reads, run in a thread on one consistent snapshot."""
        return await asyncio.to_thread(self.read_now, work)

    def read_now(self, work: Callable[[sa.Connection], T]) -> T:
        """Like `read`, in the calling thread."""
        with self._reader.connect() as connection, connection.begin():
            return work(connection)

    async def write(self, work: Callable[[Unit], T]) -> T:
        """What `work` returns, once its changes are durable. What it raises undoes its changes and comes back here.

        A caller that is cancelled does not take the write back: it is either wholly done or not begun.
        """
        return await asyncio.shield(asyncio.wrap_future(self.submit(work)))

    def submit(self, work: Callable[[Unit], T]) -> concurrent.futures.Future[T]:
        """Queue `work` for the writer; the future is done after the commit."""
        if self._closed:
            raise errors.StoreUnavailable
        job = _Job(work, concurrent.futures.Future())
        self._jobs.put(job)
        return job.future

    def close(self) -> None:
        """Finish what is queued and close all connections."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
            self._thread.join()
            self._reader.dispose()
            self._writer.dispose()

    def _serve(self) -> None:
        running = True
        while running:
            first = self._jobs.get()
            group = [] if first is None else [first]
            running = first is not None
            while running and len(group) < GROUP_LIMIT and not self._jobs.empty():
                job = self._jobs.get()
                if job is None:
                    running = False
                else:
                    group.append(job)
            if group:
                self._commit_together(group)

    def _commit_together(self, group: list[_Job]) -> None:
        done: list[tuple[_Job, Any]] = []
        units: list[Unit] = []
        try:
            with self._writer.connect() as connection, connection.begin():
                for job in group:
                    if not job.future.set_running_or_notify_cancel():
                        continue
                    unit = Unit(connection, now_micros())
                    with _failing_alone(job), connection.begin_nested():
                        done.append((job, job.work(unit)))
                        units.append(unit)
        except sa.exc.SQLAlchemyError as error:
            for job, _result in done:
                job.future.set_exception(_unavailable(error))
            for job in group:
                if not job.future.done():
                    job.future.set_exception(_unavailable(error))
            return
        for unit in units:
            for action in unit.after_commit:
                action()
        for job, result in done:
            job.future.set_result(result)


def _unavailable(error: Exception) -> errors.StoreUnavailable:
    failure = errors.StoreUnavailable()
    failure.__cause__ = error
    return failure


@contextlib.contextmanager
def _failing_alone(job: _Job) -> Iterator[None]:
    """Hand what the work raises to its caller; its savepoint has been rolled back by then."""
    try:
        yield
    except sa.exc.OperationalError:
        raise  # the database itself is in trouble: the whole group fails
    except BaseException as error:  # noqa: BLE001 - the caller gets it, whatever it is
        job.future.set_exception(error)
