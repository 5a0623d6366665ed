"""A GGUF model as an engine: the process that owns it is started, asked, and started anew when it dies."""

from __future__ import annotations

import asyncio
import collections
import os
import time
from typing import Any, Literal

from pipeline.engines import base, memory_fit, options, shapes
from pipeline.engines.llama import child, messages, shortened, turns, weights

State = Literal["unknown", "available", "disabled", "down"]

#: So many deaths of the process in so many seconds, and nothing is asked of the model until the first of them is past.
MOST_DEATHS = 6
DEATHS_WITHIN_SECONDS = 600.0
#: Seconds before the process is started anew, by the deaths before.
BACK_OFF_SECONDS = (0.0, 0.0, 1.0, 2.0, 5.0, 10.0)
#: Seconds before it is tried again, once it could not be used as it is configured after it had been.
AGAIN_SECONDS = 60.0


class Engine:
    """One configured model. `state` with its `reason` is what readiness and the console show."""

    def __init__(self, name: str, model: options.Llama) -> None:
        self.parallel = 1 if model.exact else model.parallel
        self._name = name
        self._model = model
        self._is_closed = False
        self._why = ""  # why it cannot be used as it is configured
        self._not_before = 0.0  # monotonic time
        self._deaths: collections.deque[float] = collections.deque(maxlen=MOST_DEATHS)  # monotonic times
        self._turns = turns.Turns()
        self._told: messages.Ready | None = None
        self._child: child.Child | None = None
        self._loading: asyncio.Task[child.Child] | None = None
        self._unloading: asyncio.Task[None] | None = None
        self._at_work = 0
        self._idle: asyncio.TimerHandle | None = None

    @property
    def identity(self) -> base.Identity:
        """The model by its recorded hash; name and quantisation as its file says, once it was loaded."""
        told = self._told
        return base.Identity(
            name=self._name,
            engine="llama",
            model=(told.name if told else "") or self._model.file.stem,
            sha256=self._model.sha256,
            quantisation=(told.quantisation if told else "") or None,
        )

    @property
    def state(self) -> State:
        """`available` also while the model is unloaded because it was idle; `down` while it is started anew."""
        if self.reason:
            return "disabled"
        if self._told is None:
            return "unknown"
        return "down" if self._loading is not None and self._deaths else "available"

    @property
    def reason(self) -> str:
        """Why nothing is asked of the model, or nothing."""
        if self._is_closed:
            return f"The model {self._name} is closed."
        if self._why and time.monotonic() < self._not_before:
            return self._why
        if self._recent_deaths() < MOST_DEATHS:
            return ""
        return (
            f"The process of the model {self._name} ended {MOST_DEATHS} times within {DEATHS_WITHIN_SECONDS:.0f} "
            "seconds and is not used for a while; check the file, the memory and the installation of llama-cpp-python."
        )

    async def start(self) -> None:
        """Verify the file and load it. Raises base.NotUsable."""
        require_extra(self._name)
        try:
            await self._ready()
        except child.Died:
            raise base.NotUsable(
                f"The process of the model {self._name} ended while it loaded {self._model.file}; "
                "check the file, the memory and the installation of llama-cpp-python."
            ) from None

    async def answer(self, request: base.Request) -> base.Answer:
        """The answer; raises base.Failure. A cancelled call gives its sequence back at the next step."""
        if reason := self.reason:
            raise base.Failure("disabled", reason)
        self._at_work += 1
        if self._idle is not None:
            self._idle.cancel()
        try:
            async with asyncio.timeout(request.seconds):
                answered = await self._asked(request)
        except TimeoutError:
            raise base.Failure("timeout", "The model did not answer in its time.") from None
        finally:
            self._at_work -= 1
            self._rest()
        return self._parsed(request, answered)

    async def close(self) -> None:
        """End the process."""
        self._is_closed = True
        if self._idle is not None:
            self._idle.cancel()
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.wait({self._loading})
        if self._unloading is not None:
            await self._unloading
        if self._child is not None:
            await self._child.close()

    # --- one request --------------------------------------------------------------------------------------------

    async def _asked(self, request: base.Request) -> messages.Answered:
        """Asked a second time, and alone, when the process died: it may be this request that kills it."""
        try:
            async with self._turns.together():
                return await self._once(request)
        except child.Died:
            pass
        try:
            async with self._turns.alone():
                return await self._once(request)
        except child.Died:
            raise base.Failure(
                "unavailable", "The model's process ended twice while it worked on this request."
            ) from None

    async def _once(self, request: base.Request) -> messages.Answered:
        try:
            ready = await self._ready()
        except base.NotUsable as why:
            raise base.Failure("disabled", str(why)) from None
        return await ready.ask(request, self._model.max_tokens)

    def _parsed(self, request: base.Request, answered: messages.Answered) -> base.Answer:
        try:
            value = shapes.parse(answered.text, request.shape)
        except shapes.NotValid:
            raise base.Failure(
                "invalid", "The answer does not satisfy the schema, although the grammar allowed it.",
                tokens=answered.tokens,
            ) from None  # fmt: skip
        if answered.closed_at is not None:
            value = self._said_to_its_end(request, answered, answered.closed_at)
        return base.Answer(
            value=value,
            prompt_tokens=answered.prompt_tokens,
            tokens=answered.tokens,
            shared_tokens=answered.shared_tokens,
            prefill_seconds=answered.prefill_seconds,
            decode_seconds=answered.decode_seconds,
            finish="stop" if answered.closed_at is None else "closed",
            is_closed=answered.closed_at is not None,
            mode="single" if self.parallel == 1 else "batched",
        )

    def _said_to_its_end(self, request: base.Request, answered: messages.Answered, closed_at: int) -> Any:
        """The value without what was under way when the budget was spent."""
        try:
            return shapes.parse(shortened.whole(answered.text, closed_at), request.shape)
        except (shortened.NothingWhole, shapes.NotValid):
            raise base.Failure(
                "truncated", "The answer did not come to its end within its tokens, and nothing whole is left of it.",
                tokens=answered.tokens,
            ) from None  # fmt: skip

    # --- the process --------------------------------------------------------------------------------------------

    async def _ready(self) -> child.Child:
        """The process with its model loaded; several requests wait for one start. Raises base.NotUsable, child.Died."""
        if self._child is not None and self._child.is_alive:
            return self._child
        if reason := self.reason:
            raise base.NotUsable(reason)
        return await asyncio.shield(self._begin())

    def _begin(self) -> asyncio.Task[child.Child]:
        if self._loading is None:
            self._loading = asyncio.create_task(self._load())
            self._loading.add_done_callback(self._loaded)
        return self._loading

    async def _load(self) -> child.Child:
        if self._unloading is not None:
            await self._unloading
        await asyncio.sleep(BACK_OFF_SECONDS[min(self._recent_deaths(), len(BACK_OFF_SECONDS) - 1)])
        model = self._model
        stamp = await weights.verify(self._name, model.file, model.sha256)
        await asyncio.to_thread(memory_fit.require, {self._name: model})
        loaded = await child.start(
            messages.Load(
                file=model.file.absolute(), context=model.context, parallel=model.parallel,
                threads=model.threads or max(1, _cores() - 1), batch=model.batch, kv=model.kv,
                gpu_layers=model.gpu_layers, exact=model.exact,
            )
        )  # fmt: skip
        is_same = False
        try:
            is_same = await weights.is_unchanged(model.file, stamp)
        finally:
            if not is_same:
                await loaded.close()
        if not is_same:
            raise base.NotUsable(
                f"The file {model.file} of the model {self._name} was changed while it was loaded; "
                "put the recorded one there."
            )
        return loaded

    def _loaded(self, loading: asyncio.Task[child.Child]) -> None:
        self._loading = None
        if loading.cancelled():
            return
        fault = loading.exception()
        if fault is None:
            self._child = loading.result()
            self._told = self._child.ready
            self._child.when_ended(self._ended)
            self._rest()
        elif isinstance(fault, child.Died):
            self._deaths.append(time.monotonic())
        elif isinstance(fault, base.NotUsable):
            self._why, self._not_before = str(fault), time.monotonic() + AGAIN_SECONDS

    def _ended(self, ended: child.Child) -> None:
        """The process is gone. When we did not end it ourselves, it is started anew at once."""
        if ended is not self._child:
            return
        self._child = None
        self._deaths.append(time.monotonic())
        if not self.reason:
            self._begin()

    def _recent_deaths(self) -> int:
        since = time.monotonic() - DEATHS_WITHIN_SECONDS
        return sum(time > since for time in self._deaths)

    def _rest(self) -> None:
        """Unload the model after a while without work, where that is configured."""
        if self._model.keep_alive_seconds and not self._at_work and not self._is_closed:
            if self._idle is not None:
                self._idle.cancel()
            self._idle = asyncio.get_running_loop().call_later(self._model.keep_alive_seconds, self._unload)

    def _unload(self) -> None:
        idle, self._child = self._child, None
        if idle is not None:
            self._unloading = asyncio.create_task(idle.close())


def require_extra(name: str) -> None:
    """Raises base.NotUsable where the extra `llama` is not installed, or not all of it."""
    if missing := child.missing():
        raise base.NotUsable(
            f"The model {name} needs the extra llama, of which {' and '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not installed: run pip install 'fhir-gateway[llama]'."
        )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
