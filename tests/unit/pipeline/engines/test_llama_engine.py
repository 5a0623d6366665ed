"""The parent's side of the llama engine, against a process that answers, hangs and dies on demand."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.engines import base, memory_fit, options, shapes
from pipeline.engines.llama import child, turns, weights
from pipeline.engines.llama import engine as llama

SHAPE = shapes.Shape(json_schema=shapes.obj(ja={"type": "boolean"}))
LIST = shapes.Shape(json_schema=shapes.obj(stellen=shapes.array(shapes.obj(text=shapes.string(40)), 3)))
CUT = '{"stellen":[{"text":"Husten."},{"text":"Ramipril 5 mg"}]}'  # the closing began behind "mg'

WORKER = """
import os, sys
from pipeline.engines.llama import messages

def read():
    head = sys.stdin.buffer.read(4)
    if len(head) < 4:
        os._exit(0)
    return messages.ORDERS.validate_json(sys.stdin.buffer.read(int.from_bytes(head, "big")))

def tell(message):
    sys.stdout.buffer.write(messages.frame(message))
    sys.stdout.buffer.flush()

def log(line):
    with open(load.file.with_suffix(".log"), "a") as file:
        file.write(line + "\\n")

load = read()
log("start")
how = load.file.read_text()
if how == "dies":
    os._exit(3)
if how == "no":
    tell(messages.Unusable(why="It is no model."))
    os._exit(0)
if how == "swapped":
    load.file.with_suffix(".other").write_text(how)
    load.file.with_suffix(".other").replace(load.file)
tell(messages.Ready(name="", quantisation="Q4_0", trained_context=4096, vocabulary=100))
while True:
    order = read()
    if order.kind == "cancel":
        log("cancel")
        if "stumm" not in waiting:
            tell(messages.Gone(id=order.id))
        continue
    waiting = order.user
    if "stirb" in order.user:
        os._exit(9)
    if "warte" in order.user:
        log("waits")
        continue
    told_of_fault = "Antworte noch einmal" in order.user
    text = "{}" if "falsch" in order.user else '{"ja":%s}' % ("true" if told_of_fault else "false")
    cut = [int(word) for word in order.user.split() if word.isdigit()]
    if cut:
        text = '{"stellen":[{"text":"Husten."},{"text":"Ramipril 5 mg"}]}'
    tell(messages.Answered(
        id=order.id, text=text, prompt_tokens=5, shared_tokens=3, tokens=4, prefill_seconds=0.1, decode_seconds=0.2,
        closed_at=cut[0] if cut else None,
    ))
"""


@pytest.fixture(autouse=True)
def _fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "worker.py"
    script.write_text(WORKER, "utf-8")
    monkeypatch.setattr(child, "COMMAND", (sys.executable, "-P", str(script)))
    monkeypatch.setattr(child, "missing", list)
    monkeypatch.setattr(memory_fit, "require", lambda _models: None)
    monkeypatch.setattr(llama, "BACK_OFF_SECONDS", (0.0,))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.gguf"
    path.write_text("works", "utf-8")
    return path


def _log(file: Path) -> list[str]:
    return file.with_suffix(".log").read_text("utf-8").split()


def _request(user: str, **others: Any) -> base.Request:
    told = {"stage": "scribe", "system": "Rolle", "user": user, "shape": SHAPE, "seconds": 30.0} | others
    return base.Request.model_validate(told)


def _run(file: Path, work: Callable[[llama.Engine], Awaitable[Any]], **others: Any) -> Any:
    told = {"sha256": hashlib.sha256(file.read_bytes()).hexdigest(), "parallel": 3} | others
    model = options.Llama.model_validate({"engine": "llama", "file": file, **told})

    async def main() -> Any:
        engine = llama.Engine("klein", model)
        try:
            await engine.start()
            return await work(engine)
        finally:
            await engine.close()

    return asyncio.run(main())


async def _outcome(engine: llama.Engine, request: base.Request) -> base.Answer | base.Failure:
    try:
        return await engine.answer(request)
    except base.Failure as failure:
        return failure


async def _until(file: Path, line: str, count: int = 1) -> None:
    while _log(file).count(line) < count:
        await asyncio.sleep(0.01)


def test_an_answer_and_what_it_cost(file: Path) -> None:
    async def ask(engine: llama.Engine) -> tuple[base.Answer, base.Answer, str]:
        return (
            await engine.answer(_request("Frage")),
            await engine.answer(_request("Frage", fault="Das war leer.")),
            engine.identity.text(),
        )

    answer, second, identity = _run(file, ask)
    assert answer.value == {"ja": False}
    assert (answer.prompt_tokens, answer.shared_tokens, answer.tokens) == (5, 3, 4)
    assert (answer.prefill_seconds, answer.decode_seconds) == (0.1, 0.2)
    assert (answer.finish, answer.is_closed, answer.mode) == ("stop", False, "batched")
    assert second.value == {"ja": True}  # it was told of its fault
    assert identity.startswith("klein (a) Q4_0 sha256:")


def test_of_an_answer_whose_budget_was_spent_only_what_was_whole_stays(file: Path) -> None:
    async def ask(engine: llama.Engine) -> list[base.Answer | base.Failure]:
        places = (CUT.index(" mg"), CUT.index("Husten") + 3, len(CUT) - 2)
        return [await _outcome(engine, _request(str(place), shape=LIST)) for place in places]

    shortened, nothing, all_of_it = _run(file, ask)
    assert (shortened.finish, shortened.is_closed) == ("closed", True)
    assert shortened.value == {"stellen": [{"text": "Husten."}]}
    assert (nothing.kind, nothing.tokens) == ("truncated", 4) and "Husten" not in nothing.text
    assert (all_of_it.is_closed, len(all_of_it.value["stellen"])) == (True, 2)


@pytest.mark.parametrize(
    ("others", "mode"), [({"parallel": 1}, "single"), ({"exact": True}, "single"), ({}, "batched")]
)
def test_the_mode_is_told(file: Path, others: dict[str, Any], mode: str) -> None:
    assert _run(file, lambda engine: engine.answer(_request("Frage")), **others).mode == mode


def test_an_answer_that_is_none_of_the_schema_is_invalid(file: Path) -> None:
    failure = _run(file, lambda engine: _outcome(engine, _request("falsch")))
    assert isinstance(failure, base.Failure)
    assert (failure.kind, failure.tokens, "falsch" in failure.text) == ("invalid", 4, False)


def test_a_request_that_kills_the_process_twice_fails_and_harms_no_other(file: Path) -> None:
    async def ask(engine: llama.Engine) -> list[base.Answer | base.Failure]:
        first = [asyncio.create_task(_outcome(engine, _request(f"warte {number}"))) for number in range(2)]
        await _until(file, "waits", 2)
        poison = asyncio.create_task(_outcome(engine, _request("stirb")))
        await _until(file, "waits", 3)  # alone, in the next process
        for task in first:
            task.cancel()
        await asyncio.gather(*first, return_exceptions=True)
        return [await poison, await engine.answer(_request("Frage"))]

    failure, answer = _run(file, ask)
    assert isinstance(failure, base.Failure) and failure.kind == "unavailable"
    assert isinstance(answer, base.Answer)
    assert _log(file).count("start") == 3


def test_a_process_that_was_killed_answers_after_its_restart(file: Path) -> None:
    async def ask(engine: llama.Engine) -> base.Answer:
        assert engine._child is not None
        os.kill(engine._child.pid, signal.SIGKILL)
        return await engine.answer(_request("Frage"))

    assert _run(file, ask).value == {"ja": False}
    assert _log(file).count("start") == 2


def test_a_process_is_started_anew_without_being_asked(file: Path) -> None:
    async def ask(engine: llama.Engine) -> str:
        assert engine._child is not None
        os.kill(engine._child.pid, signal.SIGKILL)
        await _until(file, "start", 2)
        return engine.state

    assert _run(file, ask) in {"down", "available"}


def test_too_many_deaths_disable_the_model_for_a_while(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask(engine: llama.Engine) -> tuple[list[base.Answer | base.Failure], base.Answer]:
        outcomes = [await _outcome(engine, _request("stirb")) for _ in range(llama.MOST_DEATHS // 2 + 1)]
        assert engine.state == "disabled" and "klein" in engine.reason
        monkeypatch.setattr(llama, "DEATHS_WITHIN_SECONDS", 0.0)
        return outcomes, await engine.answer(_request("Frage"))

    outcomes, answer = _run(file, ask)
    kinds = [outcome.kind for outcome in outcomes if isinstance(outcome, base.Failure)]
    assert kinds == ["unavailable"] * (llama.MOST_DEATHS // 2) + ["disabled"]
    assert answer.value == {"ja": False}


def test_a_cancelled_request_is_told_to_the_process(file: Path) -> None:
    async def ask(engine: llama.Engine) -> base.Answer:
        task = asyncio.create_task(engine.answer(_request("warte")))
        await _until(file, "waits")
        task.cancel()
        await _until(file, "cancel")
        return await engine.answer(_request("Frage"))

    assert _run(file, ask).value == {"ja": False}
    assert _log(file).count("start") == 1


def test_the_deadline_is_kept(file: Path) -> None:
    failure = _run(file, lambda engine: _outcome(engine, _request("warte", seconds=0.05)))
    assert isinstance(failure, base.Failure) and failure.kind == "timeout"


def test_a_process_that_hangs_is_killed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "HANG_SECONDS", 0.05)

    async def ask(engine: llama.Engine) -> base.Answer:
        assert isinstance(await _outcome(engine, _request("warte stumm", seconds=0.05)), base.Failure)
        await _until(file, "start", 2)
        return await engine.answer(_request("Frage"))

    assert _run(file, ask).value == {"ja": False}


def test_an_idle_model_is_unloaded_and_loaded_again(file: Path) -> None:
    async def ask(engine: llama.Engine) -> base.Answer:
        await engine.answer(_request("Frage"))
        while engine._child is not None:
            await asyncio.sleep(0.01)
        assert (engine.state, engine.reason) == ("available", "")
        return await engine.answer(_request("Frage"))

    assert _run(file, ask, keep_alive_seconds=0.05).value == {"ja": False}
    assert _log(file).count("start") == 2


def test_a_file_that_changes_while_the_model_is_unloaded_is_not_loaded_again(file: Path) -> None:
    async def ask(engine: llama.Engine) -> base.Failure | base.Answer:
        await engine.answer(_request("Frage"))
        while engine._child is not None:
            await asyncio.sleep(0.01)
        file.write_text("another", "utf-8")
        failure = await _outcome(engine, _request("Frage"))
        assert engine.state == "disabled"
        return failure

    failure = _run(file, ask, keep_alive_seconds=0.05)
    assert isinstance(failure, base.Failure)
    assert failure.kind == "disabled" and "SHA-256" in failure.text


@pytest.mark.parametrize(("how", "says"), [("dies", "ended while it loaded"), ("no", "It is no model")])
def test_a_model_that_cannot_be_loaded_is_one_sentence(file: Path, how: str, says: str) -> None:
    file.write_text(how, "utf-8")
    with pytest.raises(base.NotUsable, match=says) as raised:
        _run(file, lambda engine: engine.answer(_request("Frage")))
    assert str(raised.value).endswith(".")


def test_a_missing_extra_is_one_sentence(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for names, are in ((["llama_cpp"], "llama_cpp is"), (["llama_cpp", "llguidance"], "llama_cpp and llguidance are")):
        with monkeypatch.context() as patch:
            _hide(patch, *names)
            with pytest.raises(base.NotUsable, match=rf"of which {are} not.*pip install 'fhir-gateway\[llama\]'"):
                _run(file, lambda engine: engine.answer(_request("Frage")))


def _hide(patch: pytest.MonkeyPatch, *names: str) -> None:
    """Let these extras be missing, and no other."""
    patch.setattr(importlib.util, "find_spec", lambda name: None if name in names else object())


def test_the_process_sees_no_key_and_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://192.0.2.1")
    monkeypatch.setenv("GATEWAY_DATABASE_PASSWORD", "x")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    seen = child.environment()
    assert not {"HTTPS_PROXY", "GATEWAY_DATABASE_PASSWORD"} & seen.keys()
    assert (seen["OMP_NUM_THREADS"], seen["HF_HUB_OFFLINE"], seen["GGML_NO_BACKTRACE"]) == ("2", "1", "1")


def test_a_file_that_is_swapped_while_it_is_loaded_is_not_used(file: Path) -> None:
    file.write_text("swapped", "utf-8")
    with pytest.raises(base.NotUsable, match="was changed while it was loaded"):
        _run(file, lambda engine: engine.answer(_request("Frage")))


@pytest.mark.parametrize("is_renamed", [True, False])
def test_another_file_of_the_same_size_and_time_is_read_again(file: Path, is_renamed: bool) -> None:
    asyncio.run(weights.verify("klein", file, hashlib.sha256(b"works").hexdigest()))
    before = file.stat()
    other = file.with_name("other") if is_renamed else file
    other.write_text("wrong", "utf-8")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(file)
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    with pytest.raises(base.NotUsable, match="SHA-256"):
        asyncio.run(weights.verify("klein", file, hashlib.sha256(b"works").hexdigest()))


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")
def test_no_crash_leaves_a_core_dump() -> None:
    code = (
        "import ctypes, resource; from pipeline.engines import core_dumps; core_dumps.forbid();"
        "print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=child.environment(), capture_output=True, check=True)
    assert done.stdout == b"(0, 0) 0\n"


def test_a_file_is_read_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(weights.verify("klein", file, hashlib.sha256(b"works").hexdigest()))
    monkeypatch.setattr(weights, "_digest", lambda _file: pytest.fail("read twice"))
    asyncio.run(weights.verify("klein", file, hashlib.sha256(b"works").hexdigest()))
    with pytest.raises(base.NotUsable):
        asyncio.run(weights.verify("klein", file, "0" * 64))


def test_who_goes_alone_waits_for_the_others_and_keeps_new_ones_out() -> None:
    async def main() -> list[str]:
        turn, seen = turns.Turns(), list[str]()
        leave = asyncio.Event()

        async def together(name: str) -> None:
            async with turn.together():
                seen.append(name)
                await leave.wait()

        async def alone(name: str) -> None:
            async with turn.alone():
                seen.append(name)
                await asyncio.sleep(0)
                seen.append(name)

        async with asyncio.TaskGroup() as group:
            group.create_task(together("a"))
            await asyncio.sleep(0)
            given_up = asyncio.create_task(alone("x"))
            group.create_task(alone("b"))
            group.create_task(alone("c"))
            for _ in range(5):
                await asyncio.sleep(0)
            given_up.cancel()
            group.create_task(together("d"))
            for _ in range(5):
                await asyncio.sleep(0)
            seen.append("-")
            leave.set()
        return seen

    assert asyncio.run(main()) == ["a", "-", "b", "b", "c", "c", "d"]
