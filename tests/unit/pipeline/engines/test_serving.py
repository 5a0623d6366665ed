"""`pipeline.engines.serving`: models in their order, a second question with the fault named, then the rules."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import Any, get_args

import pytest

from pipeline import prompts, results
from pipeline.engines import base, options, serving, shapes
from tests import scripted_model

SHAPE = shapes.Shape(json_schema=shapes.obj(wort=shapes.string(40)))
QUESTION = serving.Question("[1] Patient/in: Ich huste.", SHAPE)
GOOD, BAD = {"wort": "gut"}, {"wort": "schlecht"}
KINDS: tuple[base.Kind, ...] = get_args(base.Kind)


def run(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(20):
            return await work()

    return asyncio.run(bounded())


def judge(value: Any) -> serving.Judged[str]:
    """Good is of use with one thing refused, bad is not with two."""
    word = value["wort"]
    fell = results.Rejected(stage="scribe", proposal=word, reason="Ein Wort steht nicht im Beleg.")
    if word.startswith("gut"):
        return serving.Judged(word, (fell,))
    return serving.Judged(None, (fell, fell), f"Deine Antwort {word} stimmt nicht.")


def asked(
    *engines: scripted_model.Engine,
    question: Callable[[], serving.Question | None] = lambda: QUESTION,
    priority: int = 0,
) -> serving.Served[str]:
    setting = serving.Setting(scripted_model.serving({"scribe": engines}), priority)
    served: serving.Served[str] = run(lambda: serving.ask(setting, "scribe", question, judge))
    return served


def failure(kind: base.Kind, tokens: int = 0) -> base.Failure:
    return base.Failure(kind, f"It was {kind}.", tokens=tokens, thinking_tokens=tokens // 2)


def said(*things: Any, **options: Any) -> scripted_model.Engine:
    return scripted_model.Engine(scripted_model.in_turn(*things), **options)


def outcomes(served: serving.Served[str]) -> list[tuple[str, bool]]:
    return [(attempt.outcome, attempt.is_second) for attempt in served.work.attempts]


# --- one model -------------------------------------------------------------------------------------------------------


def test_an_answer_of_use() -> None:
    engine = said(GOOD)
    served = asked(engine, priority=7)
    assert served.result == "gut" and [item.proposal for item in served.rejected] == ["gut"]
    (attempt,) = served.work.attempts
    assert (attempt.outcome, attempt.model, attempt.mode) == ("used", "skript (skript-1)", "single")
    assert attempt.prefill_seconds == 0.25 and attempt.decode_seconds == 0.5 and attempt.wall_seconds >= 0
    assert served.work.model == attempt.model and not served.work.needs_human
    (request,) = engine.requests
    assert (request.stage, request.priority, request.fault, request.seconds) == ("scribe", 7, None, 60.0)
    assert request.system == prompts.load("scribe").text and request.user == QUESTION.user
    assert request.shape == SHAPE


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_can_be_mended_is_asked_again(kind: base.Kind) -> None:
    engine = said(failure(kind, 17), GOOD)
    served = asked(engine)
    if kind in base.MENDABLE:
        assert served.result == "gut" and outcomes(served) == [(kind, False), ("used", True)]
        first, second = engine.requests
        assert first.fault is None and second.fault and second.fault.startswith("Deine erste Antwort")
        assert second.model_copy(update={"fault": None}) == first
    else:
        assert served.result is None and outcomes(served) == [(kind, False)] and len(engine.requests) == 1
    assert (served.work.attempts[0].tokens, served.work.attempts[0].thinking_tokens) == (17, 8)
    assert served.work.attempts[0].outcome == kind and served.work.attempts[0].text == f"It was {kind}."
    assert served.work.needs_human is (kind not in base.MENDABLE)


@pytest.mark.parametrize("kind", sorted(base.MENDABLE))
def test_a_model_is_asked_twice_and_not_three_times(kind: base.Kind) -> None:
    engine = said(failure(kind), failure(kind), GOOD)
    served = asked(engine)
    assert served.result is None and outcomes(served) == [(kind, False), (kind, True)]
    assert served.work.needs_human and served.work.model is None


def test_an_answer_of_no_use_is_asked_again_with_what_the_gate_says() -> None:
    engine = said(BAD, GOOD)
    served = asked(engine)
    assert outcomes(served) == [("ungrounded", False), ("used", True)] and not served.work.needs_human
    assert engine.requests[1].fault == "Deine Antwort schlecht stimmt nicht."
    assert [item.proposal for item in served.rejected] == ["schlecht", "schlecht", "gut"]


def test_what_each_attempt_refused_is_kept_when_none_is_of_use() -> None:
    served = asked(said({"wort": "a"}, {"wort": "b"}), said({"wort": "c"}, {"wort": "d"}))
    assert served.result is None and served.work.needs_human
    assert [item.proposal for item in served.rejected] == ["a", "a", "b", "b", "c", "c", "d", "d"]


def test_an_answer_that_breaks_the_schema_is_a_failure() -> None:
    engine = said({"wort": 3}, scripted_model.Text('{"wort":"gut"} so'))
    assert outcomes(asked(engine)) == [("invalid", False), ("invalid", True)]


# --- several models --------------------------------------------------------------------------------------------------


def test_the_next_model_stands_in_and_knows_no_fault_of_the_first() -> None:
    first, second, third = said(BAD, failure("loop"), name="eins"), said(GOOD, name="zwei"), said(GOOD, name="drei")
    served = asked(first, second, third)
    assert served.result == "gut" and not served.work.needs_human
    assert [(a.model[:4], a.outcome, a.is_second) for a in served.work.attempts] == [
        ("eins", "ungrounded", False), ("eins", "loop", True), ("zwei", "used", False)
    ]  # fmt: skip
    assert second.requests[0].fault is None and third.requests == []
    assert served.work.model == "zwei (zwei-1)"


@pytest.mark.parametrize("kind", sorted(set(KINDS) - base.MENDABLE))
def test_a_model_that_cannot_is_passed_over_at_once(kind: base.Kind) -> None:
    first, second = said(failure(kind)), said(failure("empty"), GOOD)
    served = asked(first, second)
    assert outcomes(served) == [(kind, False), ("empty", False), ("used", True)]


# --- nothing to ask --------------------------------------------------------------------------------------------------


def test_without_a_model_nothing_is_prepared() -> None:
    def never() -> serving.Question | None:
        raise AssertionError("no model, no question")

    served = asked(question=never)
    assert served == serving.Served(None, (), results.Work()) and not served.work.needs_human


def test_without_a_question_nobody_is_asked() -> None:
    engine = said(GOOD)
    served = asked(engine, question=lambda: None)
    assert served.result is None and served.work == results.Work() and engine.requests == []
    assert not served.work.needs_human


def test_question_and_judgement_run_outside_the_loop() -> None:
    seen: list[str] = []

    async def in_thread(work: Callable[..., Any], /, *arguments: Any) -> Any:
        seen.append("in")
        return await asyncio.to_thread(work, *arguments)

    def question() -> serving.Question:
        assert threading.current_thread() is not threading.main_thread()
        return QUESTION

    def judged(value: Any) -> serving.Judged[str]:
        assert threading.current_thread() is not threading.main_thread()
        return judge(value)

    setting = serving.Setting(scripted_model.serving({"scribe": [said(BAD, GOOD)]}), in_thread=in_thread)
    served = run(lambda: serving.ask(setting, "scribe", question, judged))
    assert served.result == "gut" and len(seen) == 3


# --- errors of ours --------------------------------------------------------------------------------------------------


def _ask(setting: serving.Setting, stage: options.Served = "scribe") -> Coroutine[Any, Any, serving.Served[str]]:
    return serving.ask(setting, stage, lambda: QUESTION, judge)


@pytest.mark.parametrize("error", [ValueError("ours"), KeyError("ours"), AssertionError("ours"), RuntimeError("ours")])
def test_an_error_of_the_program_is_none_of_the_model(error: Exception) -> None:
    async def work() -> None:
        engine = said(error, GOOD, parallel=1)
        setting = serving.Setting(scripted_model.serving({"scribe": [engine]}))
        with pytest.raises(type(error), match="ours"):
            await _ask(setting)
        assert (await _ask(setting)).result == "gut"  # its slot was given back

    run(work)


def test_an_error_in_the_gate_goes_on_and_frees_the_slot() -> None:
    async def work() -> None:
        engine = said(GOOD, GOOD, parallel=1)
        setting = serving.Setting(scripted_model.serving({"scribe": [engine]}))

        def broken(_value: Any) -> serving.Judged[str]:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await serving.ask(setting, "scribe", lambda: QUESTION, broken)
        assert (await _ask(setting)).result == "gut"

    run(work)


# --- slots -----------------------------------------------------------------------------------------------------------


async def _until(done: Callable[[], bool]) -> None:
    while not done():
        await asyncio.sleep(0.001)


def test_the_engine_never_has_more_than_its_slots_and_the_smaller_number_goes_first() -> None:
    async def work() -> None:
        order: list[int] = []

        def script(request: base.Request) -> Any:
            order.append(request.priority)
            return GOOD

        engine = scripted_model.Engine(script, parallel=1)
        loaded = scripted_model.serving({"scribe": [engine]})
        engine.gate.clear()
        tasks = [asyncio.create_task(_ask(serving.Setting(loaded, 50)))]
        await _until(lambda: engine.working == 1)
        for priority in (9, 3, 7, 3):
            tasks.append(asyncio.create_task(_ask(serving.Setting(loaded, priority))))
            await asyncio.sleep(0.05)
        assert len(engine.requests) == 1
        engine.gate.set()
        await asyncio.gather(*tasks)
        assert order == [50, 3, 3, 7, 9] and engine.most == 1

    run(work)


def test_two_stages_share_the_slots_of_one_model() -> None:
    async def work() -> None:
        engine = scripted_model.Engine(lambda _request: GOOD, parallel=2, seconds=0.01)
        loaded = scripted_model.serving({"scribe": [engine], "code": [engine], "check": [engine]})
        assert len(loaded.loaded) == 1
        stages: tuple[options.Served, ...] = ("scribe", "code", "check")
        served = await asyncio.gather(*(_ask(serving.Setting(loaded), stage) for stage in stages * 4))
        assert all(one.result == "gut" for one in served) and engine.most == 2
        assert {request.stage for request in engine.requests} == set(stages)
        assert {request.system for request in engine.requests} == {prompts.load(stage).text for stage in stages}

    run(work)


def test_two_models_do_not_wait_for_one_another() -> None:
    async def work() -> None:
        one, two = (scripted_model.Engine(lambda _request: GOOD, parallel=1) for _ in range(2))
        loaded = scripted_model.serving({"scribe": [one], "code": [two]})
        one.gate.clear()
        waiting = asyncio.create_task(_ask(serving.Setting(loaded)))
        await _until(lambda: one.working == 1)
        assert (await _ask(serving.Setting(loaded), "code")).result == "gut"
        one.gate.set()
        await waiting

    run(work)


def test_one_that_is_called_off_frees_its_slot_and_its_sequence() -> None:
    async def work() -> None:
        engine = scripted_model.Engine(lambda _request: GOOD, parallel=1)
        setting = serving.Setting(scripted_model.serving({"scribe": [engine]}))
        engine.gate.clear()
        held = asyncio.create_task(_ask(setting))
        await _until(lambda: engine.working == 1)
        waiting = asyncio.create_task(_ask(setting))
        await asyncio.sleep(0.05)
        held.cancel()
        with pytest.raises(asyncio.CancelledError):
            await held
        assert engine.cancelled == 1
        await _until(lambda: engine.working == 1)  # the one that waited has the slot now
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        engine.gate.set()
        assert (await _ask(setting)).result == "gut" and engine.working == 0

    run(work)


def test_one_that_is_called_off_while_it_waits_never_reaches_the_engine() -> None:
    async def work() -> None:
        engine = scripted_model.Engine(lambda _request: GOOD, parallel=1)
        setting = serving.Setting(scripted_model.serving({"scribe": [engine]}))
        engine.gate.clear()
        held = asyncio.create_task(_ask(setting))
        await _until(lambda: engine.working == 1)
        waiting = asyncio.create_task(_ask(setting))
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        engine.gate.set()
        assert (await held).result == "gut" and len(engine.requests) == 1 and engine.cancelled == 0

    run(work)
