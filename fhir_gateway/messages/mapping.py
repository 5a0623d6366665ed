"""The worker that maps what was received, in the order of its arrival, and writes it into the store.

A message is mapped outside of the store and written in one transaction, together with its new state: a process that
ends between the two maps it again. What cannot be mapped keeps its reason and waits; the messages behind it go on.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
import structlog

from fhir_gateway import errors
from fhir_gateway.messages import apply, places, register
from fhir_gateway.store import database
from mappers.v2_to_fhir import engine, sites

if TYPE_CHECKING:
    from fhir_gateway.app import Gateway

POLL: Final = 1.0  # seconds until the worker looks by itself: other processes receive too
BATCH: Final = 32  # messages that are mapped side by side and share commits
BATCH_BYTES: Final = 8 * 1_048_576  # of them together, but for one that is larger alone
LONGEST_PAUSE: Final = 30.0  # seconds between two tries while the store does not answer
OUTCOME_SECONDS: Final = 30.0  # how long an answer after the mapping is waited for

log = structlog.get_logger()


class Mapper:
    """Maps for one database; one process at a time runs it. `start` it in the event loop, `stop` it when done."""

    def __init__(self, gateway: Gateway, known: sites.Sites) -> None:
        self._gateway = gateway
        self._sites = known
        self._woken = asyncio.Event()
        self._done = asyncio.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self, *, maps: bool) -> None:
        """Begin to look for changed site files, and where this process `maps`, for messages."""
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._work_on(maps), name="hl7v2 mapping")

    async def stop(self) -> None:
        """End; a message under way is either written or mapped again after the next start."""
        self._loop = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def wake(self) -> None:
        """There may be work. Any thread may call it."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the event loop has just been closed
                self._loop.call_soon_threadsafe(self._woken.set)

    async def outcome(self, message_id: str) -> tuple[register.State, str | None] | None:
        """State and reason of a message once it has been mapped; None when that takes longer than 30 s."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(OUTCOME_SECONDS):
                while True:
                    state, reason = await self._gateway.database.read(
                        lambda connection: register.state(connection, message_id)
                    )
                    if state != "received":
                        return state, reason
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(POLL / 2), self._done:
                            await self._done.wait()
        return None

    async def _work_on(self, maps: bool) -> None:
        pause = 0.0
        while True:
            self._woken.clear()
            try:
                for name in await asyncio.to_thread(self._sites.refresh):
                    self._tell_of(name)
                is_busy = maps and await self._batch()
                pause = 0.0
            except Exception as error:  # noqa: BLE001 - whatever it is, the next messages are mapped when it is over
                log.error("messages cannot be mapped now", error=type(error).__name__, at=errors.place(error))
                is_busy, pause = False, min(max(1.0, pause * 2), LONGEST_PAUSE)
            if not is_busy:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(POLL, pause)):
                        await self._woken.wait()

    def _tell_of(self, name: str) -> None:
        broken = self._sites.broken.get(name)
        if broken:
            log.error("site file refused; its last good state goes on", site=name, reason=broken)
        else:
            log.info("site file read", site=name)

    async def _batch(self) -> bool:
        """Map the next messages; whether there were any."""
        store = self._gateway.database
        rows = await store.read(_next)
        if not rows:
            return False
        mapped = await asyncio.to_thread(lambda: [self._map(message, body) for message, body in rows])
        outcomes = await asyncio.gather(
            *(self._store(message, *found) for (message, _body), found in zip(rows, mapped, strict=True)),
            return_exceptions=True,
        )
        async with self._done:
            self._done.notify_all()
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return True

    def _map(self, message: register.Message, body: bytes) -> tuple[sites.Site, engine.Mapped | str]:
        """What the message says; a sentence when the mapping broke off."""
        site = self._sites.of(message.origin)
        try:
            parsed = site.parse(body)
            return site, engine.map_message(parsed, site.library, site.scope(parsed))
        except Exception as error:  # noqa: BLE001 - one message of many: the others go on, and this one keeps its reason
            log.error("mapping broke off", message=message.id, error=type(error).__name__, at=errors.place(error))
            return site, f"The mapping broke off ({type(error).__name__} at {errors.place(error)})."

    async def _store(self, message: register.Message, site: sites.Site, mapped: engine.Mapped | str) -> None:
        state, reason = await self._write(message, site, mapped)
        self._gateway.metrics.messages.labels(site.name, state).inc()
        if not isinstance(mapped, str) and not message.is_counted:
            self._gateway.metrics.not_mapped.labels(site.name).inc(len(mapped.unmapped))
        if state == "failed":
            log.warning("message not mapped", message=message.id, site=site.name, kind=message.event, reason=reason)

    async def _write(
        self, message: register.Message, site: sites.Site, mapped: engine.Mapped | str
    ) -> tuple[register.State, str | None]:
        if isinstance(mapped, str):
            return await self._end(message, site, "failed", mapped, None)
        if not mapped.has_map:
            return await self._end(message, site, "no-map", f"There is no map for {message.event}.", mapped)
        if mapped.fatal is not None:
            return await self._end(message, site, "failed", str(mapped.fatal), mapped)
        try:
            await self._gateway.database.write(lambda unit: _apply(unit, self._gateway, message, site, mapped))
        except places.NotStorable as error:
            return await self._end(message, site, "failed", error.message, mapped)
        except (errors.StoreUnavailable, errors.VersionConflict):
            raise
        except Exception as error:  # noqa: BLE001 - one message of many: the others go on, and this one keeps its reason
            log.error("storing broke off", message=message.id, error=type(error).__name__, at=errors.place(error))
            text = f"Storing broke off ({type(error).__name__} at {errors.place(error)})."
            return await self._end(message, site, "failed", text, mapped)
        return "mapped", None

    async def _end(
        self,
        message: register.Message,
        site: sites.Site,
        state: register.State,
        reason: str,
        mapped: engine.Mapped | None,
    ) -> tuple[register.State, str | None]:
        def work(unit: database.Unit) -> None:
            register.end(
                unit, message.id, state, site=site.name, reason=reason,
                faults=len(mapped.faults) if mapped else 0, not_mapped=len(mapped.unmapped) if mapped else 0,
            )  # fmt: skip
            if mapped is not None:
                register.count_not_mapped(unit, message, site.name, fields(mapped))

        await self._gateway.database.write(work)
        return state, reason


def _next(connection: sa.Connection) -> list[tuple[register.Message, bytes]]:
    """The next messages to be mapped with their bytes."""
    found: list[tuple[register.Message, bytes]] = []
    size = 0
    for message in register.waiting(connection, BATCH):
        body = register.body(connection, message.id)
        size += len(body)
        if found and size > BATCH_BYTES:
            break
        found.append((message, body))
    return found


def _apply(
    unit: database.Unit, gateway: Gateway, message: register.Message, site: sites.Site, mapped: engine.Mapped
) -> None:
    encounter, refused = apply.run(unit, gateway, message, mapped)
    faults = list(dict.fromkeys(map(str, (*mapped.faults, *refused))))
    register.end(
        unit, message.id, "mapped", site=site.name, reason="; ".join(faults) or None, encounter=encounter,
        faults=len(faults), not_mapped=len(mapped.unmapped),
    )  # fmt: skip
    register.count_not_mapped(unit, message, site.name, fields(mapped))


def fields(mapped: engine.Mapped) -> set[str]:
    """The places that no rule took, whichever repetition; what is no character is a question mark."""
    paths = {engine.without_repetition(line.path) for line in mapped.unmapped}
    return {register.readable(path) for path in paths}
