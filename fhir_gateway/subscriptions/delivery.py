"""The worker that activates Subscriptions and delivers what the outbox holds.

https://hl7.org/fhir/R4/subscription.html#errors: "The server may retry the notification a fixed number of times … If
the notification fails, the server should set the status to 'error', and mark the error in the resource."

One task a Subscription takes its rows one after the other, so that the versions of a resource arrive in their order. A
row goes only after a 2xx: a process that ends between the two delivers it again (at least once). The count of failures
is kept in memory and begins anew with each start and with each change of the Subscription.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import sqlalchemy as sa
import structlog

from fhir_gateway import errors
from fhir_gateway.search import values
from fhir_gateway.store import codec, database, resources
from fhir_gateway.subscriptions import channel, matching, outbox, rules, sending

POLL = 1.0  # seconds until the worker looks by itself: other processes write rows too
LONGEST_PAUSE = 60.0  # seconds between two tries

log = structlog.get_logger()


class Settings(rules.Settings, Protocol):
    """The section `[subscriptions]`."""

    @property
    def attempts(self) -> int:
        """Tries of one notification before the Subscription is in error."""

    @property
    def backoff_seconds(self) -> float:
        """Pause before the second try; it doubles with every further one."""

    @property
    def timeout_seconds(self) -> float:
        """How long one request may take."""


class AllSettings(Protocol):
    """The configuration, as far as it is needed here."""

    @property
    def subscriptions(self) -> Settings:
        """The section `[subscriptions]`."""


class Gateway(Protocol):
    """What the worker needs of `app.Gateway`."""

    @property
    def database(self) -> database.Database:
        """The store."""

    @property
    def settings(self) -> AllSettings:
        """The configuration."""


@dataclass(slots=True)
class _Job:
    """A Subscription that is being worked on: the version that was seen last, and the failures since then."""

    id: str
    version: int
    failures: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Worker:
    """Delivers for one database; one process at a time runs it. Start it in the event loop, stop it when done."""

    def __init__(self, gateway: Gateway) -> None:
        self._database = gateway.database
        self._settings = gateway.settings.subscriptions
        self._sender = sending.Sender(self._settings.timeout_seconds)
        self._woken = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._looking: asyncio.Task[None] | None = None
        self._jobs: dict[str, tuple[_Job, asyncio.Task[None]]] = {}

    def start(self) -> None:
        """Begin to look for work, now and from now on."""
        self._loop = asyncio.get_running_loop()
        self._looking = self._loop.create_task(self._look_on(), name="subscriptions")

    async def stop(self) -> None:
        """End all deliveries. One that is under way may have arrived; its row stays and comes again."""
        tasks = [task for _job, task in self._jobs.values()]
        tasks += [self._looking] if self._looking is not None else []
        self._loop = self._looking = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._sender.close()

    def wake(self) -> None:
        """There may be work. Any thread may call it, also when the worker does not run."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the event loop has just been closed
                self._loop.call_soon_threadsafe(self._woken.set)

    async def _look_on(self) -> None:
        while True:
            self._woken.clear()
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001 - a database that is away for a moment ends no deliveries
                log.error("subscriptions cannot be looked for", error=type(error).__name__, at=errors.place(error))
            await _rest(POLL, self._woken)

    async def _look(self) -> None:
        """Begin a job for each Subscription that needs one, and tell the running ones of changes."""
        current, waiting = await self._database.read(_survey)
        for subscription in waiting.difference(stored.id for stored in current):
            await self._database.write(_dropping(subscription))
        now = database.now_micros()
        for stored in current:
            if stored.id in self._jobs:
                job, _task = self._jobs[stored.id]
                if job.version < stored.version:
                    job.changed.set()
            elif self._needs(stored, stored.id in waiting, now):
                self._begin(stored)

    def _needs(self, stored: resources.Stored, has_rows: bool, now: int) -> bool:
        subscription = stored.resource
        if subscription["status"] == "error":
            return _is_over(subscription, now)
        is_idle = subscription["status"] == "active" and not has_rows
        return not is_idle or _is_over(subscription, now) or bool(rules.faults(subscription, self._settings))

    def _begin(self, stored: resources.Stored) -> None:
        job = _Job(stored.id, stored.version)
        task = asyncio.create_task(self._work(job), name=f"subscription {job.id}")
        self._jobs[job.id] = job, task
        task.add_done_callback(lambda task: self._ended(job, task))

    def _ended(self, job: _Job, task: asyncio.Task[None]) -> None:
        del self._jobs[job.id]
        error = None if task.cancelled() else task.exception()
        if error is None:
            self._woken.set()  # a row may have come while the job ended
        else:
            log.error("delivery broke off", subscription=job.id, error=type(error).__name__, at=errors.place(error))

    async def _work(self, job: _Job) -> None:
        """Do what the Subscription needs until nothing is left; it is read anew before each step."""
        while True:
            stored, row = await self._database.read(_next_of(job.id))
            if stored is None:
                return
            if stored.version != job.version:
                job.version, job.failures = stored.version, 0
                job.changed.clear()
            with contextlib.suppress(errors.VersionConflict):  # somebody changed it meanwhile: look again
                if not await self._step(job, stored, row):
                    return

    async def _step(self, job: _Job, stored: resources.Stored, row: outbox.Row | None) -> bool:
        """One handshake, one delivery or one change of status; False when there is nothing to do."""
        subscription = stored.resource
        status = subscription["status"]
        if status != "off" and _is_over(subscription, database.now_micros()):
            await self._change(stored, "off")
            return True
        if status not in ("requested", "active"):
            return False
        faults = rules.faults(subscription, self._settings)
        if faults:
            await self._change(stored, "error", faults[0][0])
            return True
        if status == "active" and row is None:
            return False
        try:
            await self._tell(channel.of(subscription), row if status == "active" else None)
        except sending.Failed as failure:
            await self._failed(job, stored, failure)
            return True
        job.failures = 0
        if status == "requested":
            await self._change(stored, "active")
        else:
            assert row is not None
            await self._database.write(_removing(row))
        return True

    async def _tell(self, target: channel.Channel, row: outbox.Row | None) -> None:
        """The handshake, or the notification of a row. Raises sending.Failed."""
        if row is None:
            await self._sender.shake_hands(target)
            return
        told = await self._database.read(lambda connection: resources.vread(connection, row.type, row.id, row.version))
        if told is None or told.body is None:
            raise sending.Failed("The version to tell of is not in the store.", "NotStored", is_final=True)
        await self._sender.notify(target, told)

    async def _failed(self, job: _Job, stored: resources.Stored, failure: sending.Failed) -> None:
        """Wait before the next try; after the last one the Subscription is in error. What waits for it stays."""
        job.failures += 1
        log.warning("notification failed", subscription=job.id, attempt=job.failures, reason=failure.kind)
        if failure.is_final or job.failures >= self._settings.attempts:
            tries = f"{job.failures} tries" if job.failures > 1 else "1 try"
            await self._change(stored, "error", f"{failure.words} Given up after {tries}.")
            return
        pause = min(self._settings.backoff_seconds * 2.0 ** min(job.failures - 1, 30), LONGEST_PAUSE)
        await _rest(pause, job.changed)
        job.changed.clear()

    async def _change(self, stored: resources.Stored, status: str, error: str | None = None) -> None:
        """Write the status as the next version. VersionConflict when somebody changed the Subscription meanwhile."""
        kept = {name: value for name, value in stored.resource.items() if name not in ("error", "_error")}
        changed: codec.Resource = {**kept, "status": status, **({} if error is None else {"error": error})}
        await self._database.write(lambda unit: resources.put(unit, changed, if_version=stored.version))
        log.info("subscription changed", subscription=stored.id, status=status)


async def _rest(seconds: float, until: asyncio.Event) -> None:
    """Wait so long, or until the event. `asyncio.wait_for` would do, but in Python 3.11 it can lose a cancellation."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await until.wait()


def _survey(connection: sa.Connection) -> tuple[list[resources.Stored], set[str]]:
    return matching.current(connection), outbox.waiting(connection)


def _next_of(subscription: str) -> Callable[[sa.Connection], tuple[resources.Stored | None, outbox.Row | None]]:
    return lambda connection: (
        resources.present(connection, "Subscription", subscription),
        outbox.first(connection, subscription),
    )


def _removing(row: outbox.Row) -> Callable[[database.Unit], None]:
    return lambda unit: outbox.remove(unit, row)


def _dropping(subscription: str) -> Callable[[database.Unit], None]:
    """Drop the rows of a Subscription that is off or gone, unless it has come back."""

    def drop(unit: database.Unit) -> None:
        stored = resources.present(unit.connection, "Subscription", subscription)
        if stored is None or stored.resource["status"] not in matching.NOTED:
            outbox.drop(unit, subscription)

    return drop


def _is_over(subscription: codec.Resource, now: int) -> bool:
    """Whether its `end` has come: "The time for the server to turn the subscription off"."""
    bounds = values.date_bounds(str(subscription.get("end", "")))
    return bounds is not None and bounds[0] <= now
