"""The worker that sends our messages: a task for each destination, one message in flight.

A message is sent when it is the first one of its patient that has not ended, so a patient's messages arrive in order;
one that has to wait lets those of other patients go on. A destination that cannot be reached is tried for as long as it
takes, with pauses that double; a message that was sent and not taken is tried `attempts` times, then it is a dead
letter. The log says once that a destination fails, and once that it has recovered.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
import structlog

from fhir_gateway import errors
from fhir_gateway.messages import outgoing
from fhir_gateway.mllp import client, tls
from fhir_gateway.store import database

if TYPE_CHECKING:
    from fhir_gateway.app import Gateway
    from fhir_gateway.settings import Destination

POLL: Final = 1.0  # seconds until a worker looks by itself
LONGEST_PAUSE: Final = 60.0  # seconds between two tries
UNANSWERED: Final = 3  # messages in a row without an answer, after which it is the destination that fails
_GOOD: Final = ("AA", "CA")

log = structlog.get_logger()


@dataclass(slots=True)
class _State:
    """How a destination is doing."""

    failures: int = 0  # in a row
    is_failing: bool = False  # it cannot be reached, or leaves one message after the other unanswered


class Worker:
    """Sends for one database; one process at a time runs it. `start` it in the event loop, `stop` it when done."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._tasks: list[asyncio.Task[None]] = []
        self._woken = {name: asyncio.Event() for name in gateway.settings.hl7v2.destinations}

    def start(self) -> None:
        """Begin to send. ConfigurationError when a certificate cannot be read."""
        for name, destination in self._gateway.settings.hl7v2.destinations.items():
            context = tls.client_context(destination.ca, destination.certificate, destination.key)
            peer = client.Client(
                destination.host,
                destination.port,
                tls=context if destination.tls else None,
                timeout_seconds=destination.timeout_seconds,
                connect_seconds=destination.connect_seconds,
            )
            self._tasks.append(asyncio.create_task(self._serve(name, destination, peer), name=f"hl7v2 to {name}"))

    async def stop(self) -> None:
        """End; a message in flight may have arrived and is sent again after the next start, under the same id."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    def wake(self, destination: str) -> None:
        """There is a message for a destination. Called in the event loop."""
        if destination in self._woken:
            self._woken[destination].set()

    async def _serve(self, name: str, destination: Destination, peer: client.Client) -> None:
        state = _State()
        store = self._gateway.database
        try:
            while True:
                self._woken[name].clear()
                pause = POLL
                try:
                    now = database.now_micros()
                    message, later = await store.read(_next_due(name, now))
                    if message is not None:
                        pause = await self._send(name, destination, peer, message, state)
                    elif later is not None:
                        pause = min(POLL, max(0.0, (later - now) / 1_000_000))
                except errors.StoreUnavailable:
                    log.error("outgoing messages cannot be looked for", destination=name)
                except Exception as error:  # noqa: BLE001 - a fault of one round ends no deliveries
                    log.error("sending broke off", destination=name, error=type(error).__name__, at=errors.place(error))
                if state.is_failing:
                    await asyncio.sleep(pause)
                elif pause:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(pause):
                            await self._woken[name].wait()
        finally:
            await peer.close()

    async def _send(
        self, name: str, destination: Destination, peer: client.Client, message: outgoing.Message, state: _State
    ) -> float:
        """Send one message and note how it went; the pause until the next one, in seconds."""
        try:
            answer = await peer.send(message.body, message.control, wants_application_answer=destination.answer == "AL")
        except client.SendFailed as failure:
            state.failures += 1
            is_sent = failure.kind not in ("connect", "tls")
            if not state.is_failing and (not is_sent or state.failures >= UNANSWERED):
                state.is_failing = True
                log.error("destination fails", destination=name, reason=failure.kind)
                self._gateway.metrics.destination_up.labels(name).set(0)
            await self._in_vain(destination, message, f"No answer: {failure.kind}.", counts=is_sent)
            return _pause(destination, state.failures) if state.is_failing else 0.0
        if state.is_failing:
            log.info("destination recovered", destination=name)
        state.failures, state.is_failing = 0, False
        self._gateway.metrics.destination_up.labels(name).set(1)
        if answer.code in _GOOD:
            await self._gateway.database.write(lambda unit: outgoing.sent(unit, message, answer.raw))
            self._gateway.metrics.sent.labels(name, "sent").inc()
        else:
            await self._in_vain(destination, message, f"Answered {answer.code}.", counts=True, answer=answer.raw)
        return 0.0

    async def _in_vain(
        self,
        destination: Destination,
        message: outgoing.Message,
        reason: str,
        *,
        counts: bool,
        answer: bytes | None = None,
    ) -> None:
        tries = message.attempts + counts
        is_dead = tries >= destination.attempts
        due = None if is_dead else database.now_micros() + int(_pause(destination, max(1, tries)) * 1_000_000)
        await self._gateway.database.write(
            lambda unit: outgoing.failed(unit, message, reason=reason, due=due, counts=counts, answer=answer)
        )
        self._gateway.metrics.sent.labels(message.destination, "dead" if is_dead else "in-vain").inc()
        if is_dead:
            log.error(
                "message is a dead letter", destination=message.destination, control=message.control,
                kind=message.event, attempts=tries,
            )  # fmt: skip


def _next_due(destination: str, now: int) -> Callable[[sa.Connection], tuple[outgoing.Message | None, int | None]]:
    return lambda connection: outgoing.next_due(connection, destination, now)


def _pause(destination: Destination, tries: int) -> float:
    return float(min(destination.backoff_seconds * 2.0 ** min(tries - 1, 30), LONGEST_PAUSE))
