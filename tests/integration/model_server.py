"""An engine before a model server: a question, its honest answer, and how a scenario is run."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from pipeline.engines import base, options, shapes
from pipeline.engines.openai import engine

DEADLINE = 60.0  # seconds that a scenario takes at most

SHAPE = shapes.Shape(
    json_schema=shapes.obj(text=shapes.string(60), belege=shapes.array(shapes.CITED, most=2))
    | {"$defs": {"beleg": shapes.cite({1: "Hallo.", 2: "Guten Tag."}, longest=40)}}
)
HONEST = {"text": "Übelkeit seit 3 Tagen", "belege": [{"segment": 1, "zitat": "Hallo."}]}


def request(user: str = "Was wurde gesagt?", seconds: float = 20.0, **more: Any) -> base.Request:
    """A stage's question."""
    return base.Request(stage="scribe", system="Du bist Schreibkraft.", user=user, shape=SHAPE, seconds=seconds, **more)


@contextlib.asynccontextmanager
async def started(url: str, **more: Any) -> AsyncIterator[engine.Engine]:
    """An engine; `more` is configuration."""
    made = engine.Engine("klein", options.OpenAI.model_validate({"engine": "openai", "url": url, **more}))
    await made.start()
    try:
        yield made
    finally:
        await made.close()


def run(url: str, scenario: Callable[[engine.Engine], Awaitable[Any]], **more: Any) -> Any:
    """The result of a scenario with a started engine."""

    async def whole() -> Any:
        async with asyncio.timeout(DEADLINE), started(url, **more) as made:
            return await scenario(made)

    return asyncio.run(whole())


def answer(url: str, **more: Any) -> base.Answer:
    """The answer to one request."""
    found: base.Answer = run(url, lambda made: made.answer(request()), **more)
    return found


async def failure(of: engine.Engine, **how: Any) -> base.Failure:
    """The failure of one request."""
    with pytest.raises(base.Failure) as raised:
        await of.answer(request(**how))
    return raised.value


def failing(url: str, **more: Any) -> base.Failure:
    """The failure of the only request."""
    found: base.Failure = run(url, failure, **more)
    return found
