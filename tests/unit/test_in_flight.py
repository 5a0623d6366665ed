"""`fhir_gateway.runs.in_flight`: stages of runs that nobody wants any more end at once, and nothing else does."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from fhir_gateway.runs import in_flight, register


def run_of(name: str, number: int = 1, encounter: str = "e1") -> register.Run:
    return register.Run(
        id=name, number=number, encounter=encounter, status="running", stage=None, workflow=name, sources=(),
        focus="DocumentReference/1", reason=None, created=0, updated=0,
    )  # fmt: skip


def run(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(20):
            return await work()

    return asyncio.run(bounded())


class Stage:
    """A stage that goes on until it is called off; `is_over` once it has cleaned up."""

    def __init__(self) -> None:
        self.has_begun, self.is_over = asyncio.Event(), False

    async def work(self) -> str:
        self.has_begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            self.is_over = True
        return "done"


async def _begun(flying: in_flight.InFlight, run_: register.Run) -> tuple[Stage, asyncio.Task[str]]:
    stage = Stage()
    task = asyncio.create_task(flying.work(run_, stage.work()))
    await stage.has_begun.wait()
    return stage, task


async def _ended(task: asyncio.Task[str]) -> bool:
    try:
        await asyncio.wait_for(asyncio.shield(task), 5)
    except in_flight.Ended:
        return True
    return False


def test_what_a_stage_returns_or_raises_goes_on() -> None:
    async def work() -> None:
        flying = in_flight.InFlight()

        async def good() -> int:
            return 3

        async def bad() -> int:
            raise ValueError("ours")

        assert await flying.work(run_of("a"), good()) == 3
        with pytest.raises(ValueError, match="ours"):
            await flying.work(run_of("a"), bad())
        assert flying._stages == set()

    run(work)


def test_an_ended_run_ends_all_its_stages_and_no_other() -> None:
    async def work() -> None:
        flying = in_flight.InFlight()
        one, first = await _begun(flying, run_of("a"))
        two, second = await _begun(flying, run_of("a"))
        other, third = await _begun(flying, run_of("b"))
        flying.end("a")
        assert await _ended(first) and await _ended(second)
        assert one.is_over and two.is_over and not other.is_over and len(flying._stages) == 1
        flying.end("nobody")
        third.cancel()
        with pytest.raises(asyncio.CancelledError):
            await third
        assert flying._stages == set()

    run(work)


def test_older_runs_of_an_encounter_end_and_newer_ones_and_others_do_not() -> None:
    async def work() -> None:
        flying = in_flight.InFlight()
        old, first = await _begun(flying, run_of("a", 1))
        same, second = await _begun(flying, run_of("b", 2))
        newer, third = await _begun(flying, run_of("c", 3))
        elsewhere, fourth = await _begun(flying, run_of("d", 1, "e2"))
        flying.end_older("e1", 2)
        assert await _ended(first)
        await asyncio.sleep(0.01)
        assert [stage.is_over for stage in (old, same, newer, elsewhere)] == [True, False, False, False]
        flying.end_older("e1", 9)
        assert await _ended(second) and await _ended(third) and not elsewhere.is_over
        flying.end("d")
        assert await _ended(fourth)
        assert flying._stages == set()

    run(work)


@pytest.mark.parametrize("call", [lambda flying: flying.end("a"), lambda flying: flying.end_older("e1", 2)])
def test_another_thread_may_end_them(call: Callable[[in_flight.InFlight], None]) -> None:
    async def work() -> None:
        flying = in_flight.InFlight()
        stage, task = await _begun(flying, run_of("a"))
        thread = threading.Thread(target=call, args=(flying,))
        thread.start()
        assert await _ended(task) and stage.is_over  # the loop was woken: nothing else happens in it
        thread.join()
        assert flying._stages == set()

    run(work)


def test_another_thread_may_end_what_works_in_another_loop() -> None:
    flying = in_flight.InFlight()
    begun, outcome = threading.Event(), []

    async def stage() -> None:
        begun.set()
        await asyncio.sleep(60)

    async def worker() -> None:
        try:
            await flying.work(run_of("a"), stage())
        except in_flight.Ended:
            outcome.append("ended")

    thread = threading.Thread(target=lambda: asyncio.run(worker()))
    thread.start()
    assert begun.wait(10)
    flying.end("a")
    thread.join(10)
    assert outcome == ["ended"] and flying._stages == set()


def test_a_shutdown_is_not_taken_for_an_end() -> None:
    async def work() -> None:
        flying = in_flight.InFlight()
        stage, task = await _begun(flying, run_of("a"))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)
        assert stage.is_over and flying._stages == set()

    run(work)


def test_a_shutdown_at_the_same_moment_wins() -> None:
    async def work() -> None:
        for order in (0, 1):
            flying = in_flight.InFlight()
            _stage, task = await _begun(flying, run_of("a"))
            if order:
                flying.end("a")
                task.cancel()
            else:
                task.cancel()
                flying.end("a")
            with pytest.raises(asyncio.CancelledError):
                await task
            assert flying._stages == set()

    run(work)


def test_a_time_limit_of_the_caller_is_not_taken_for_an_end() -> None:
    async def work() -> None:
        flying, stage = in_flight.InFlight(), Stage()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await flying.work(run_of("a"), stage.work())
        await asyncio.sleep(0)
        assert stage.is_over and flying._stages == set()

    run(work)


def test_a_stage_that_gives_up_by_itself_is_not_taken_for_an_end() -> None:
    """A dead engine's future is cancelled, nobody has taken the run back: it must not be told so."""

    async def work() -> None:
        flying = in_flight.InFlight()

        async def dead() -> None:
            gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            gone.cancel()
            await gone

        with pytest.raises(BaseException) as failed:
            await flying.work(run_of("a"), dead())
        assert not isinstance(failed.value, in_flight.Ended)

    run(work)


def test_a_stage_that_is_just_done_keeps_its_result() -> None:
    async def work() -> None:
        flying = in_flight.InFlight()
        go = asyncio.Event()

        async def stage() -> str:
            await go.wait()
            return "done"

        task = asyncio.create_task(flying.work(run_of("a"), stage()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        go.set()
        await asyncio.sleep(0)  # the stage is about to finish
        await asyncio.sleep(0)
        flying.end("a")
        assert await task == "done"
        flying.end("a")
        assert flying._stages == set()

    run(work)


def test_to_end_what_is_not_under_way_is_nothing() -> None:
    flying = in_flight.InFlight()
    flying.end("a")
    flying.end_older("e1", 10**18)
    assert flying._stages == set()
