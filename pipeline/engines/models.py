"""The configured models, loaded once and shared by the stages that they serve."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.engines import base, options, slots

_GRACE_SECONDS = 5.0  # how much later than an engine's own deadline its call is given up


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model with its slots: who waits for one goes by priority."""

    name: str
    engine: base.Engine
    slots: slots.Slots
    seconds: float

    async def answer(self, request: base.Request) -> base.Answer:
        """The engine's answer, once there is a slot. Raises base.Failure."""
        async with self.slots.hold(request.priority):
            try:
                async with asyncio.timeout(request.seconds + _GRACE_SECONDS):
                    return await self.engine.answer(request)
            except TimeoutError:
                raise base.Failure("timeout", "The model did not answer in its time.") from None


class Models:
    """The models that serve a stage, by name."""

    def __init__(self, engines: Mapping[str, tuple[base.Engine, float]], stages: options.Stages) -> None:
        self._stages = stages
        self.loaded = {
            name: Loaded(name, engine, slots.Slots(engine.parallel), seconds)
            for name, (engine, seconds) in engines.items()
        }

    def chain(self, stage: options.Served) -> tuple[Loaded, ...]:
        """The models of a stage in their order; empty where the rules engine serves it alone."""
        return tuple(self.loaded[name] for name in self._stages.chain(stage))

    async def start(self) -> None:
        """Make all of them ready. Raises base.NotUsable for the first that never can be.

        Servers are asked together. What is loaded here is loaded one after the other: each sees the memory that the
        ones before it have left.
        """
        engines = [model.engine for model in self.loaded.values()]
        own = [engine for engine in engines if engine.identity.engine == "llama"]
        others = (engine.start() for engine in engines if engine.identity.engine != "llama")
        for failure in await asyncio.gather(_in_turn(own), *others, return_exceptions=True):
            if failure is not None:
                raise failure

    async def close(self) -> None:
        """End all of them."""
        ended = await asyncio.gather(*(m.engine.close() for m in self.loaded.values()), return_exceptions=True)
        for failure in ended:
            if failure is not None:
                raise failure


async def _in_turn(engines: Sequence[base.Engine]) -> None:
    for engine in engines:
        await engine.start()


def none() -> Models:
    """The rules engine alone."""
    return Models({}, options.Stages())


def configured(models: Mapping[str, options.Model], stages: options.Stages) -> Models:
    """The models that serve a stage; one that serves none is not loaded."""
    wanted = {name: model for name, model in models.items() if name in stages.models}
    return Models({name: (_engine(name, model), model.seconds) for name, model in wanted.items()}, stages)


def _engine(name: str, model: options.Model) -> base.Engine:
    if isinstance(model, options.Llama):
        from pipeline.engines.llama import engine as llama

        return llama.Engine(name, model)
    from pipeline.engines.openai import engine as openai

    return openai.Engine(name, model)
