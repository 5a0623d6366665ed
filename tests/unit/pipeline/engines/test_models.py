"""`pipeline.engines.models`: loaded once, shared by stages, with a deadline of their own."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from pipeline.engines import base, models, options, shapes
from tests import scripted_model

SHAPE = shapes.Shape(json_schema=shapes.obj(wort=shapes.string(40)))
GOOD = {"wort": "gut"}


def run(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(20):
            return await work()

    return asyncio.run(bounded())


def request(seconds: float = 60.0) -> base.Request:
    return base.Request(stage="scribe", system="s", user="u", shape=SHAPE, seconds=seconds)


def test_none_serves_nothing() -> None:
    alone = models.none()
    assert alone.loaded == {} and all(
        alone.chain(stage) == () for stage in ("scribe", "summarise", "code", "check", "bill")
    )
    run(alone.start)
    run(alone.close)


def test_a_chain_is_in_its_order_and_a_model_is_one_for_all_its_stages() -> None:
    one, two = (scripted_model.Engine(lambda _request: GOOD) for _ in range(2))
    loaded = scripted_model.serving({"scribe": [one, two], "code": [two, one], "bill": [two]})
    assert [model.engine for model in loaded.chain("scribe")] == [one, two]
    assert [model.engine for model in loaded.chain("code")] == [two, one]
    assert loaded.chain("check") == ()
    assert loaded.chain("scribe")[1] is loaded.chain("bill")[0]
    run(loaded.start)
    assert one.is_started and two.is_started
    run(loaded.close)
    assert one.is_closed and two.is_closed


def test_a_deadline_ends_a_call_and_frees_its_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "_GRACE_SECONDS", 0.0)

    async def work() -> None:
        engine = scripted_model.Engine(lambda _request: GOOD, parallel=1)
        (model,) = scripted_model.serving({"scribe": [engine]}).chain("scribe")
        engine.gate.clear()
        with pytest.raises(base.Failure) as failed:
            await model.answer(request(0.02))
        assert failed.value.kind == "timeout" and engine.cancelled == 1 and engine.working == 0
        engine.gate.set()
        assert (await model.answer(request())).value == GOOD

    run(work)


def test_waiting_for_a_slot_is_no_part_of_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "_GRACE_SECONDS", 0.0)

    async def work() -> None:
        engine = scripted_model.Engine(lambda _request: GOOD, parallel=1)
        (model,) = scripted_model.serving({"scribe": [engine]}).chain("scribe")
        engine.gate.clear()
        held = asyncio.create_task(model.answer(request(60)))
        while not engine.working:
            await asyncio.sleep(0)
        waiting = asyncio.create_task(model.answer(request(1)))
        await asyncio.sleep(1.2)
        assert not waiting.done()
        engine.gate.set()
        assert (await held).value == (await waiting).value == GOOD

    run(work)


def test_an_engine_with_its_own_deadline_speaks_first() -> None:
    async def work() -> None:
        engine = scripted_model.Engine(lambda _request: base.Failure("timeout", "Its own deadline.", tokens=9))
        (model,) = scripted_model.serving({"scribe": [engine]}).chain("scribe")
        with pytest.raises(base.Failure, match="Its own") as failed:
            await model.answer(request(0.001))
        assert failed.value.tokens == 9

    run(work)


def test_a_shutdown_is_no_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "_GRACE_SECONDS", 0.0)

    async def work() -> None:
        engine = scripted_model.Engine(lambda _request: GOOD)
        (model,) = scripted_model.serving({"scribe": [engine]}).chain("scribe")
        engine.gate.clear()
        with pytest.raises(TimeoutError):  # the caller's own limit, not ours
            async with asyncio.timeout(0.02):
                await model.answer(request(60))
        task = asyncio.create_task(model.answer(request(60)))
        while not engine.working:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert engine.working == 0 and engine.cancelled == 2

    run(work)


class _Unusable(scripted_model.Engine):
    async def start(self) -> None:
        raise base.NotUsable("The file is missing.")


class _Slow(scripted_model.Engine):
    is_starting = False

    async def start(self) -> None:
        self.is_starting = True
        try:
            await asyncio.sleep(0.2)
        finally:
            self.is_starting = False


def test_what_can_never_be_used_ends_the_start() -> None:
    loaded = scripted_model.serving({"scribe": [_Unusable(lambda _request: GOOD)]})
    with pytest.raises(base.NotUsable, match="missing"):
        run(loaded.start)


def test_no_start_goes_on_behind_one_that_failed() -> None:
    """What is closed next must not be in the middle of its start."""

    async def work() -> None:
        slow = _Slow(lambda _request: GOOD)
        loaded = scripted_model.serving({"scribe": [slow, _Unusable(lambda _request: GOOD)]})
        with pytest.raises(base.NotUsable):
            await loaded.start()
        assert not slow.is_starting

    run(work)


class _Stuck(scripted_model.Engine):
    async def close(self) -> None:
        raise OSError("no such process")


def test_all_are_closed_though_one_cannot_be() -> None:
    async def work() -> None:
        other = scripted_model.Engine(lambda _request: GOOD)
        loaded = scripted_model.serving({"scribe": [_Stuck(lambda _request: GOOD), other]})
        with pytest.raises(OSError, match="no such process"):
            await loaded.close()
        assert other.is_closed

    run(work)


def test_only_models_that_serve_a_stage_are_loaded() -> None:
    server = options.OpenAI(engine="openai", url="http://127.0.0.1:9/v1", parallel=3, seconds=12)
    configured = models.configured({"a": server, "b": server}, options.Stages(code=("a", "rules")))
    assert list(configured.loaded) == ["a"]
    (model,) = configured.chain("code")
    assert model.seconds == 12 and model.engine.parallel == 3 and model.engine.identity.name == "a"


def test_a_missing_file_is_said_at_the_start(tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp", reason="needs the extra llama")
    missing = options.Llama(engine="llama", file=tmp_path / "nichts.gguf", sha256="0" * 64)
    configured = models.configured({"a": missing}, options.Stages(scribe=("a", "rules")))
    with pytest.raises(base.NotUsable, match=r"nichts\.gguf"):
        run(configured.start)
    run(configured.close)
