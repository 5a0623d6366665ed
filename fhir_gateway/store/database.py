"""The connection to SQLite or PostgreSQL, and the one writer thread with group commit.

Many requests wait for one commit. One that fails takes none of its neighbours with it: they are done again, each inside
a savepoint of its own. None is answered before the shared commit is durable.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import alembic.command
import alembic.config
import alembic.migration
import alembic.script
import sqlalchemy as sa

from fhir_gateway import errors
from fhir_gateway.store import search_index, statements

if TYPE_CHECKING:
    from fhir_gateway.store import resources

T = TypeVar("T")

GROUP_LIMIT = 64  # requests that share one commit
BUSY_TIMEOUT = 30_000  # milliseconds a SQLite connection waits for the other writer
CACHE = 32_768  # KiB of pages that a SQLite connection keeps
CHECKPOINT = 8_000  # pages of the write-ahead log (32 MiB) that are carried into the database file at once
CLASH_ATTEMPTS = 4  # how often work is tried alone when the database chose it as the victim of a deadlock


def now_micros() -> int:
    """Microseconds since 1970 (UTC)."""
    return time.time_ns() // 1000


@dataclass(slots=True)
class Unit:
    """One unit of work inside a transaction: its connection and time, what it has written, what is done after it."""

    connection: sa.Connection
    now: int
    written: list[resources.Stored] = field(default_factory=list)
    after_commit: list[Callable[[], None]] = field(default_factory=list)


def is_sqlite(url: str) -> bool:
    """Whether this database URL names a SQLite file."""
    return url.startswith("sqlite")


def sqlite_url(path: Path) -> str:
    """The database URL of a SQLite file."""
    return f"sqlite:///{path.as_posix()}"


def prepare_sqlite_connection(connection: Any) -> None:
    """The settings that make an acknowledged commit survive a power cut (WAL with synchronous=FULL)."""
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT}",
        "foreign_keys=ON",
        "journal_mode=WAL",
        "synchronous=FULL",
        f"cache_size=-{CACHE}",
        f"wal_autocheckpoint={CHECKPOINT}",
    ):
        connection.execute(f"PRAGMA {pragma}")
    # DBOS asks for unixepoch('subsec') on Python >= 3.12, which SQLite knows from 3.42 on: give it to older ones.
    connection.create_function("unixepoch", 1, lambda _modifier: int(time.time() * 1000) / 1000)


def connect(url: str, *, writes: bool) -> sa.Engine:
    """An engine on `url`. On SQLite every transaction of a writing engine takes the write lock when it begins."""
    if not is_sqlite(url):
        # A page is found by walking one index and probing others: a join by hashing would read them whole first, and a
        # prepared statement is planned without knowing how short the page is.
        walking = {"options": "-c enable_hashjoin=off -c enable_mergejoin=off", "prepare_threshold": None}
        options: dict[str, Any] = {} if writes else walking
        return sa.create_engine(url, pool_size=10, max_overflow=10, pool_pre_ping=True, connect_args=options)
    engine = sa.create_engine(url, pool_size=1 if writes else 8, max_overflow=0 if writes else 24)

    @sa.event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        prepare_sqlite_connection(connection)

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _migrations() -> alembic.config.Config:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def migrate(url: str) -> None:
    """Bring the schema to this version's state; a newer schema than this program knows is an error."""
    config = _migrations()
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


def check_schema(url: str) -> None:
    """ConfigurationError when the database does not have the schema of this version."""
    head = alembic.script.ScriptDirectory.from_config(_migrations()).get_current_head()
    engine = connect(url, writes=False)
    try:
        with engine.connect() as connection:
            found = alembic.migration.MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()
    if found != head:
        raise errors.ConfigurationError(
            "The database is not at this version's schema. Start a gateway in the role all first; it migrates."
        )


@dataclass(slots=True)
class _Job:
    work: Callable[[Unit], Any]
    future: concurrent.futures.Future[Any] | asyncio.Future[Any]
    unit: Unit | None = None
    result: Any = None
    error: BaseException | None = None

    loop: asyncio.AbstractEventLoop | None = None  # whose future it is; None for one of a thread

    def tell(self) -> None:
        """Hand the outcome to the caller; its changes are durable now, or undone."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


_SAVE, _RELEASE, _BACK = (
    statements.Statement(text) for text in ("SAVEPOINT job", "RELEASE SAVEPOINT job", "ROLLBACK TO SAVEPOINT job")
)


class Database:
    """Reads on pooled connections, writes through one thread. Use `read` and `write`; close it when done.

    `before_commit` sees each unit of work that has written something, in its own transaction.
    """

    def __init__(self, url: str, before_commit: Callable[[Unit], None] | None = None) -> None:
        self.url = url
        self._before_commit = before_commit
        self._reader = connect(url, writes=False)
        self._writer = connect(url, writes=True)
        self._inline = self._reader.connect() if is_sqlite(url) else None
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="store-writer", daemon=True)
        self._closed = False
        self._thread.start()

    async def read(self, work: Callable[[sa.Connection], T]) -> T:
        """What `work` reads, run in a thread on one consistent snapshot."""
        return await asyncio.to_thread(self.read_now, work)

    async def read_one(self, work: Callable[[sa.Connection], T]) -> T:
        """What a `work` of one statement reads by a primary key.

        On SQLite it runs at once, in the event loop: it takes some 10 microseconds, the way to a thread and back 200.
        """
        if self._inline is None:
            return await self.read(work)
        return work(self._inline)

    def read_now(self, work: Callable[[sa.Connection], T]) -> T:
        """Like `read`, in the calling thread."""
        with self._reader.connect() as connection, connection.begin():
            return work(connection)

    async def write(self, work: Callable[[Unit], T]) -> T:
        """What `work` returns, once its changes are durable. What it raises undoes its changes and comes back here.

        A caller that is cancelled does not take the write back. The work may run more than once, of which one run
        counts.
        """
        if self._closed:
            raise errors.StoreUnavailable
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put(_Job(work, future, loop=loop))
        return await asyncio.shield(future)

    def submit(self, work: Callable[[Unit], T]) -> concurrent.futures.Future[T]:
        """Queue `work` for the writer; the future is done after the commit."""
        if self._closed:
            raise errors.StoreUnavailable
        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._jobs.put(_Job(work, future))
        return future

    @property
    def is_writing(self) -> bool:
        """Whether the writer is at work."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Finish what is queued and close all connections."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
            self._thread.join()
            if self._inline is not None:
                self._inline.close()
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
                self._commit_or_tell(group)

    def _commit_or_tell(self, group: list[_Job]) -> None:
        """The writer goes on, whatever happens: everybody who waits gets an answer."""
        try:
            self._commit(group)
        except Exception as error:  # noqa: BLE001 - the callers get it
            for job in group:
                job.error = _unavailable(error)
            _tell(group)

    def _commit(self, group: list[_Job], *, is_guarded: bool = False, attempt: int = 1) -> None:
        """One transaction for the group.

        The first time nothing guards the jobs from one another: mostly none fails. When one does, all are done again,
        each inside a savepoint of its own. After a clash with another process each job is done again alone.
        """
        is_alone = len(group) == 1
        try:
            with self._writer.connect() as connection, connection.begin():
                try:
                    for job in group:
                        self._do(job, connection, is_guarded=is_guarded)
                    search_index.flush(connection)
                finally:
                    search_index.forget(connection)
        except _Undone:
            if not is_alone:
                self._commit(group, is_guarded=True, attempt=attempt)
                return
        except sa.exc.SQLAlchemyError as error:
            if (_is_clash(error) or not is_alone) and attempt < CLASH_ATTEMPTS:
                for job in group:  # what one of them asks for must not fail the others
                    self._commit([job], attempt=attempt + 1)
                return
            for job in group:
                job.error = _unavailable(error)
        _tell(group)

    def _do(self, job: _Job, connection: sa.Connection, *, is_guarded: bool) -> None:
        """Run a job. What it raises undoes its savepoint, or the whole transaction where it has none."""
        unit = job.unit = Unit(connection, now_micros())
        job.error = None
        noted = search_index.noted(connection)
        if is_guarded:
            _SAVE.run(connection)
        try:
            job.result = job.work(unit)
            if unit.written and self._before_commit is not None:
                self._before_commit(unit)
        except sa.exc.OperationalError:
            raise  # the database itself is in trouble: the whole group fails
        except BaseException as error:  # noqa: BLE001 - the caller gets it, whatever it is
            job.error = error
            if not is_guarded:
                raise _Undone from None
            _BACK.run(connection)
            search_index.back_to(connection, noted)
        if is_guarded:
            _RELEASE.run(connection)


def _tell(group: list[_Job]) -> None:
    """Do what is to be done after the commit, then wake each event loop once for all of its callers."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
    for job in group:
        for action in job.unit.after_commit if job.unit and job.error is None else ():
            action()
        if job.loop is None:
            job.tell()
        else:
            by_loop.setdefault(job.loop, []).append(job)
    for loop, jobs in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits any more
            loop.call_soon_threadsafe(_tell_all, jobs)


def _tell_all(jobs: list[_Job]) -> None:
    for job in jobs:
        job.tell()


class _Undone(Exception):
    """A job without a savepoint failed: roll the transaction back."""


def _is_clash(error: Exception) -> bool:
    """Whether the database ended the transaction for the sake of another one (PostgreSQL: deadlock, serialization)."""
    cause = getattr(error, "orig", None) or error.__cause__
    return getattr(cause, "sqlstate", None) in ("40001", "40P01")


def _unavailable(error: Exception) -> errors.StoreUnavailable:
    failure = errors.StoreUnavailable()
    failure.__cause__ = error
    return failure
