"""The stages under way in this process, so that a run that nobody wants any more gives its slots back at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fhir_gateway.runs import register

Result = TypeVar("Result")


class Abandoned(Exception):
    """The stage gave up by itself: something that it waited for will never come."""


class Ended(Exception):
    """The stage was ended because its run was taken back or replaced."""


@dataclass(frozen=True, slots=True, eq=False)
class _Stage:
    run: register.Run
    task: asyncio.Task[Any]
    loop: asyncio.AbstractEventLoop
    was_ended: threading.Event = field(default_factory=threading.Event)


class InFlight:
    """Which stage of which run is being worked on. `end` and `end_older` may be called from any thread."""

    def __init__(self) -> None:
        self._stages: set[_Stage] = set()

    async def work(self, run: register.Run, work: Coroutine[Any, Any, Result]) -> Result:
        """The result of `work`. Raises Ended when its run was ended, Abandoned when it was cancelled from within."""
        task = asyncio.create_task(work)
        stage = _Stage(run, task, asyncio.get_running_loop())
        self._stages.add(stage)
        try:
            return await task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                task.cancel()
                raise
            if not stage.was_ended.is_set():
                raise Abandoned from None
            raise Ended from None
        finally:
            self._stages.discard(stage)

    def end(self, run_id: str) -> None:
        """End what is under way of a run."""
        self._cancel([stage for stage in tuple(self._stages) if stage.run.id == run_id])

    def end_older(self, encounter: str, number: int) -> None:
        """End what is under way of the runs of an encounter that came before `number`."""
        self._cancel([s for s in tuple(self._stages) if s.run.encounter == encounter and s.run.number < number])

    def _cancel(self, stages: list[_Stage]) -> None:
        for stage in stages:
            stage.was_ended.set()
            stage.loop.call_soon_threadsafe(stage.task.cancel)
