"""A model server as an engine: nothing is asked of it before the schema canary passed, and nothing is repaired."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal

import httpx

from pipeline.engines import base, house, options, shapes
from pipeline.engines.openai import canary, capabilities, stream, wire
from pipeline.engines.shapes import Shape

State = Literal["unknown", "available", "disabled", "down"]

_START_SECONDS = 20.0  # that a start waits for the canary at most; the first request goes on with it
_RESTART_SECONDS = 2.0  # no server ends, starts and loads a model in less
_AGAIN_SECONDS = (60.0, 600.0)  # before a disabled endpoint is tried again: at first, and at most
_THOUGHT_TOKENS = 2048  # that a model may think where thinking cannot be switched off
_CHARACTERS_A_TOKEN = 8  # at most, over a whole answer
_SPARE = 256  # tokens and characters for white space between the parts of an answer
_BYTES_A_TOKEN = 2.5  # of German text, rather too few: vLLM refuses what may not fit
_FEWEST_TOKENS = 16
_CANARY_TOKENS = _THOUGHT_TOKENS + 2 * _SPARE


@dataclass(frozen=True, slots=True)
class Report:
    """What was found of an endpoint. `reason` says in a sentence why it is not available; times are seconds."""

    name: str
    state: State
    reason: str
    server: str
    model: str | None
    build: str | None
    context: int | None
    slots: int | None
    form: str | None
    thoughts: str | None

    @property
    def is_reachable(self) -> bool:
        """Whether it answered at all."""
        return self.state in {"available", "disabled"}

    @property
    def has_passed(self) -> bool:
        """Whether it passed the schema canary."""
        return self.state == "available"


class Engine:
    """One configured model server. `state` with its `reason` is what readiness and the console show."""

    def __init__(self, name: str, model: options.OpenAI) -> None:
        self.parallel = model.parallel
        self.state: State = "unknown"
        self.reason = "The server was not asked yet."
        self.capabilities: capabilities.Capabilities | None = None
        self._name = name
        self._model = model
        self._told: capabilities.Told | None = None
        self._passed_with: int | None = None  # connections made when the canary passed; None: it must pass again
        self._pause = 0.0  # seconds
        self._not_before = 0.0  # time of the loop, as the next
        self._heard = 0.0
        self._gate = asyncio.Lock()
        self._wire: wire.Wire | None = None

    @property
    def identity(self) -> base.Identity:
        """The model as the server named it last; before that, as it is configured."""
        told = self._told.model if self._told is not None else self._model.model
        return base.Identity(name=self._name, engine="openai", model=told or "unknown")

    @property
    def report(self) -> Report:
        """What is known now."""
        told, able = self._told or capabilities.Told(self._model.model), self.capabilities
        return Report(
            name=self._name,
            state=self.state,
            reason=self.reason,
            server=told.server,
            model=told.model,
            build=told.build,
            context=self._model.context or told.context,
            slots=told.slots,
            form=able.form if able else None,
            thoughts=able.thoughts if able else None,
        )

    async def start(self) -> None:
        """Let it pass the canary, if it is there already. Raises base.NotUsable for what can never work."""
        await self._first(_START_SECONDS)

    async def close(self) -> None:
        """End its connections."""
        if self._wire is not None:
            await self._wire.close()

    async def _first(self, seconds: float) -> None:
        self._wire = wire.Wire(self._model)
        with contextlib.suppress(base.Failure):
            async with self._within(seconds) as until:
                await self._ready(self._wire, until)

    async def answer(self, request: base.Request) -> base.Answer:
        """The answer, strictly parsed. Raises base.Failure."""
        assert self._wire is not None, "the engine was not started"
        try:
            largest = request.shape.max_bytes
        except shapes.NotBounded:
            raise base.Failure("refused", "The schema of the answer bounds no size.") from None
        async with self._within(request.seconds) as until:
            for pause in (*wire.PAUSES, None):
                try:
                    return await self._answer(self._wire, request, largest, until)
                except wire.Unanswered:
                    if pause is None:
                        raise
                await asyncio.sleep(pause)
        raise AssertionError("the last try returns or raises")

    async def _answer(self, to: wire.Wire, request: base.Request, largest: int, until: float) -> base.Answer:
        """One try, once it is certain who answers."""
        able = await self._ready(to, until)
        user = request.told
        wanted = 2 * largest + _SPARE + (_THOUGHT_TOKENS if able.thoughts else 0)
        tokens = self._tokens(able.told, wanted, request.system, user)
        try:
            said, value = await _ask(
                to, able.told.model, able.form, able.fields, request.system, user, request.shape,
                tokens, until, able.stamp, self._heard + _RESTART_SECONDS,
            )  # fmt: skip
        except base.Failure as failure:
            self._learn(failure)
            raise
        self._heard = asyncio.get_running_loop().time()
        return _answer(said, value, request)

    def _tokens(self, told: capabilities.Told, wanted: int, system: str, user: str) -> int:
        """How many tokens the answer may have. Raises base.Failure where the prompt leaves no room."""
        tokens = min(self._model.max_tokens, wanted)
        context = self._model.context or told.context
        if context is None:
            return tokens
        room = context - _estimate(system, user)
        if room < _FEWEST_TOKENS:
            raise base.Failure("refused", "The prompt is longer than the context of the model server.")
        return min(tokens, room)

    @contextlib.asynccontextmanager
    async def _within(self, seconds: float) -> AsyncIterator[float]:
        """A deadline as a Failure; gives its time of the loop."""
        until = asyncio.get_running_loop().time() + seconds
        try:
            async with asyncio.timeout_at(until):
                yield until
        except TimeoutError:
            raise base.Failure("timeout", "The model server did not answer in its time.") from None

    # --- who answers ----------------------------------------------------------------------------------------------

    async def _ready(self, to: wire.Wire, until: float) -> capabilities.Capabilities:
        """The record of the endpoint once it is certain who answers and that he passed the canary."""
        async with self._gate:
            heard = self._heard
            try:
                told = await self._look(to, until)
                if self._is_settled(told, to.made, heard):
                    assert self.capabilities is not None
                    self._passed_with = to.made
                    return self.capabilities
                if (
                    self.state == "disabled"
                    and told == self._told
                    and asyncio.get_running_loop().time() < self._not_before
                ):
                    raise base.Failure("disabled", self.reason)
                self.state, self.reason, self._told = "unknown", "The schema canary has not passed yet.", told
                self.capabilities = await _passed(
                    to, told, self._tokens(told, _CANARY_TOKENS, canary.SYSTEM, canary.USER), until
                )
            except base.Failure as failure:
                self._learn(failure)
                if self.state != "disabled":
                    self.state, self.reason, self._passed_with = "down", failure.text, None
                raise
            self._passed_with, self._pause = to.made, 0.0
            self._heard = asyncio.get_running_loop().time()
            self.state, self.reason = "available", "The schema canary passed."
            return self.capabilities

    async def _look(self, to: wire.Wire, until: float) -> capabilities.Told:
        await self._stays_in_the_house()
        known = self._told.pages if self._told is not None and self.state == "available" else capabilities.PAGES
        pages = {capabilities.MODELS: await to.page(capabilities.MODELS, until, again=self.state != "down")}
        for path in known:
            try:
                pages[path] = await to.page(path, until)
            except (wire.Lost, wire.Outside):
                raise
            except base.Failure:
                pages[path] = None
        self._heard = asyncio.get_running_loop().time()
        return capabilities.told(pages, self._model.model)

    async def _stays_in_the_house(self) -> None:
        """Raises base.Failure where the server's name leads out of the building."""
        url = httpx.URL(self._model.url)
        port = url.port or (443 if url.scheme == "https" else 80)
        try:
            stranger = await house.stranger(url.host, port, self._model.networks)
        except OSError:
            raise wire.Lost("The model server's name has no address.") from None
        if stranger is not None:
            raise wire.Outside(stranger)

    def _is_settled(self, told: capabilities.Told, made: int, heard: float) -> bool:
        """Whether it is the model that passed, in a server that was not started anew.

        Where the server does not tell one start from the next, a new connection may lead to a new process, unless the
        old one was heard so lately that no model can have been loaded in between.
        """
        if self._passed_with is None or self.state != "available" or told != self._told:
            return False
        return told.process is not None or made == self._passed_with or self._heard - heard < _RESTART_SECONDS

    def _learn(self, failure: base.Failure) -> None:
        """What a failure says of the endpoint."""
        if failure.kind == "disabled":
            now = asyncio.get_running_loop().time()
            if self.state != "disabled" or now >= self._not_before:
                first, most = _AGAIN_SECONDS
                self._pause = min(most, 2 * self._pause or first)
                self._not_before = now + self._pause
            self.state, self.reason, self._passed_with = "disabled", failure.text, None
        elif isinstance(failure, wire.Lost):
            self.state, self.reason, self._passed_with = "down", failure.text, None
        elif isinstance(failure, stream.Changed):
            self.state, self.reason, self._passed_with = "unknown", failure.text, None


async def probe(name: str, model: options.OpenAI) -> Report:
    """What an endpoint is and whether it passes the canary. Raises base.NotUsable for what can never work."""
    engine = Engine(name, model)
    try:
        await engine._first(model.seconds)
        return engine.report
    finally:
        await engine.close()


async def _passed(to: wire.Wire, told: capabilities.Told, tokens: int, until: float) -> capabilities.Capabilities:
    """The first way of asking in which the server holds its model to the canary's schema. Raises base.Failure."""
    reasons: list[str] = []
    for form in capabilities.FORMS:
        for fields in capabilities.SETS:
            shape = canary.shape()
            try:
                said, _value = await _ask(
                    to, told.model, form, fields, canary.SYSTEM, canary.USER, shape, tokens, until, stream.Stamp(), None
                )
            except base.Failure as failure:
                if failure.kind in {"disabled", "timeout"} or isinstance(failure, wire.Lost):
                    raise
                reason = f"{form}: {failure.text}"
                if failure.kind == "refused":  # perhaps for a field that it does not know
                    continue
                break
            counts = said.usage.answer is not None
            return capabilities.Capabilities(told, form, fields, said.thoughts, counts, said.stamp)
        reasons.append(reason)
    raise base.Failure("disabled", f"The server does not hold its model to a JSON schema. {' '.join(reasons)}")


async def _ask(
    to: wire.Wire, model: str | None, form: str, fields: tuple[str, ...], system: str, user: str, shape: Shape,
    tokens: int, until: float, stamp: stream.Stamp, known_until: float | None,
) -> tuple[stream.Said, Any]:  # fmt: skip
    """One answer with its value."""
    messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
    body = capabilities.body(model, form, fields, shape.json_schema, messages, tokens)
    longest = min(2 * shape.max_bytes + _SPARE, _CHARACTERS_A_TOKEN * tokens)
    limits = stream.Limits(longest, _CHARACTERS_A_TOKEN * _THOUGHT_TOKENS)
    begun = time.monotonic()
    async with to.ask(body, until, known_until) as chunks:
        said = await stream.read(chunks, limits, stamp, begun)
    try:
        return said, shapes.parse(said.text, shape)
    except shapes.NotValid:
        raise base.Failure(
            "invalid", "The answer is no JSON of the schema.",
            tokens=said.tokens, thinking_tokens=said.thinking_tokens,
        ) from None  # fmt: skip


def _answer(said: stream.Said, value: Any, request: base.Request) -> base.Answer:
    counted = said.usage.prompt
    return base.Answer(
        value=value,
        prompt_tokens=counted if counted is not None else _estimate(request.system, request.user),
        tokens=said.tokens,
        thinking_tokens=said.thinking_tokens,
        shared_tokens=said.usage.shared or 0,
        prefill_seconds=said.first - said.begun,
        decode_seconds=said.ended - said.first,
        mode="remote",
    )


def _estimate(*texts: str) -> int:
    return round(sum(len(text.encode()) for text in texts) / _BYTES_A_TOKEN)
