"""How a stage is served: its models in their order, each asked a second time with its fault named, then the rules."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from pipeline import prompts, results
from pipeline.engines import base, models, options
from pipeline.engines.shapes import Shape

Result = TypeVar("Result")

#: What a model is told of its first answer, by the kind of the failure.
_FAULTS: dict[base.Kind, str] = {
    "invalid": "Deine erste Antwort war kein gültiges JSON nach dem Schema.",
    "truncated": "Deine erste Antwort war zu lang und kam nicht zu ihrem Ende. Fasse dich kürzer.",
    "loop": "Deine erste Antwort hat sich wiederholt. Schreibe jede Sache nur einmal.",
    "empty": "Deine erste Antwort war leer.",
}


class InThread(Protocol):
    """Runs work of the processor outside the event loop, within the limits of the caller."""

    def __call__(self, work: Callable[..., Any], /, *arguments: Any) -> Awaitable[Any]:
        """The result of `work(*arguments)`."""
        ...


@dataclass(frozen=True, slots=True)
class Setting:
    """In what surroundings stages are worked on. A smaller `priority` goes first at the models' slots."""

    models: models.Models
    priority: int = 0
    in_thread: InThread = asyncio.to_thread


@dataclass(frozen=True, slots=True)
class Question:
    """What a model is asked: the encounter's part of the prompt, and the shape of the answer."""

    user: str
    shape: Shape


@dataclass(frozen=True, slots=True)
class Judged(Generic[Result]):
    """What is left of an answer after the gate. Without a `result` the answer is of no use, for the reason `fault`."""

    result: Result | None
    rejected: tuple[results.Rejected, ...] = ()
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Served(Generic[Result]):
    """A stage's result: a model's, or None where none of them was of use, with all that was refused on the way."""

    result: Result | None
    rejected: tuple[results.Rejected, ...]
    work: results.Work


async def ask(
    setting: Setting,
    stage: options.Served,
    question: Callable[[], Question | None],
    judge: Callable[[Any], Judged[Result]],
) -> Served[Result]:
    """Ask the models of a stage until the answer of one is of use. `question`: None where there is nothing to ask."""
    chain = setting.models.chain(stage)
    asked: Question | None = await setting.in_thread(question) if chain else None
    attempts: list[results.Attempt] = []
    rejected: list[results.Rejected] = []
    for model in chain if asked is not None else ():
        assert asked is not None
        fault: str | None = None
        for is_second in (False, True):
            request = base.Request(
                stage=stage,
                system=prompts.load(stage).text,
                user=asked.user,
                shape=asked.shape,
                seconds=model.seconds,
                priority=setting.priority,
                fault=fault,
            )
            begun = time.perf_counter()
            try:
                answer = await model.answer(request)
            except base.Failure as failure:
                attempts.append(_failed(model, failure, is_second, time.perf_counter() - begun))
                if failure.kind not in base.MENDABLE:
                    break
                fault = _FAULTS[failure.kind]
                continue
            seconds = time.perf_counter() - begun
            judged: Judged[Result] = await setting.in_thread(judge, answer.value)
            rejected += judged.rejected
            attempts.append(_answered(model, answer, judged, is_second, seconds))
            if judged.result is not None:
                return Served(judged.result, tuple(rejected), results.Work(attempts=tuple(attempts)))
            fault = judged.fault
    return Served(None, tuple(rejected), results.Work(attempts=tuple(attempts)))


def _failed(model: models.Loaded, failure: base.Failure, is_second: bool, seconds: float) -> results.Attempt:
    return results.Attempt(
        model=model.engine.identity.text(),
        outcome=failure.kind,
        text=failure.text,
        is_second=is_second,
        tokens=failure.tokens,
        thinking_tokens=failure.thinking_tokens,
        wall_seconds=seconds,
    )


def _answered(
    model: models.Loaded, answer: base.Answer, judged: Judged[Result], is_second: bool, seconds: float
) -> results.Attempt:
    return results.Attempt(
        model=model.engine.identity.text(),
        outcome="ungrounded" if judged.result is None else "used",
        text=judged.fault,
        mode=answer.mode,
        is_second=is_second,
        is_closed=answer.is_closed,
        prompt_tokens=answer.prompt_tokens,
        shared_tokens=answer.shared_tokens,
        tokens=answer.tokens,
        thinking_tokens=answer.thinking_tokens,
        prefill_seconds=answer.prefill_seconds,
        decode_seconds=answer.decode_seconds,
        wall_seconds=seconds,
    )
