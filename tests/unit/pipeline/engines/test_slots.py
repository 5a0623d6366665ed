"""`pipeline.engines.slots`: never more holders than slots, the lowest number first, and no slot is ever lost."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable

import pytest

from pipeline.engines import slots


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await work()

    asyncio.run(bounded())


async def _settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def _all_free(held: slots.Slots, size: int) -> None:
    """All slots can be taken at once, and not one more."""
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(size):
            await asyncio.wait_for(stack.enter_async_context(held.hold(0)), 1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01), held.hold(0):
                pass
    async with held.hold(0):
        pass


def test_no_more_than_the_size_at_once() -> None:
    async def work() -> None:
        held, now, most = slots.Slots(3), 0, 0

        async def one(number: int) -> None:
            nonlocal now, most
            async with held.hold(number % 4):
                now += 1
                most = max(most, now)
                await asyncio.sleep(0)
                now -= 1

        await asyncio.gather(*(one(number) for number in range(50)))
        assert most == 3
        await _all_free(held, 3)

    run(work)


def test_the_lowest_number_goes_first_and_equal_ones_as_they_came() -> None:
    async def work() -> None:
        held, order = slots.Slots(1), []

        async def one(priority: int, name: str) -> None:
            async with held.hold(priority):
                order.append(name)

        async with held.hold(0):
            tasks = []
            for priority, name in ((5, "a"), (1, "b"), (5, "c"), (-3, "d"), (1, "e")):
                tasks.append(asyncio.create_task(one(priority, name)))
                await _settled()
            assert order == []
        await asyncio.gather(*tasks)
        assert order == ["d", "b", "e", "a", "c"]

    run(work)


def test_nobody_overtakes_those_who_wait() -> None:
    async def work() -> None:
        held, order = slots.Slots(1), []

        async def one(priority: int) -> None:
            async with held.hold(priority):
                order.append(priority)

        async with held.hold(0):
            waiting = asyncio.create_task(one(1))
            await _settled()
        late = asyncio.create_task(one(0))  # comes when the slot has been promised already
        await asyncio.gather(waiting, late)
        assert order == [1, 0]

    run(work)


def test_a_holder_that_fails_or_is_cancelled_gives_its_slot_back() -> None:
    async def work() -> None:
        held = slots.Slots(1)
        with pytest.raises(ValueError, match="ours"):
            async with held.hold(0):
                raise ValueError("ours")

        async def long() -> None:
            async with held.hold(0):
                await asyncio.sleep(60)

        task = asyncio.create_task(long())
        await _settled()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await _all_free(held, 1)

    run(work)


def test_one_who_waits_and_is_cancelled_takes_nothing() -> None:
    async def work() -> None:
        held = slots.Slots(1)

        async def one() -> None:
            async with held.hold(0):
                await asyncio.sleep(0)

        async with held.hold(0):
            gone, stays = asyncio.create_task(one()), asyncio.create_task(one())
            await _settled()
            gone.cancel()
            await _settled()
            assert gone.cancelled()
        await stays
        await _all_free(held, 1)

    run(work)


def test_one_who_is_cancelled_when_the_slot_was_just_given_hands_it_on() -> None:
    async def work() -> None:
        held = slots.Slots(1)
        got: list[str] = []

        async def one(name: str) -> None:
            async with held.hold(0):
                got.append(name)

        async with held.hold(0):
            gone, stays = asyncio.create_task(one("gone")), asyncio.create_task(one("stays"))
            await _settled()
        gone.cancel()  # its turn is set, it has not run yet
        with contextlib.suppress(asyncio.CancelledError):
            await gone
        await stays
        assert got == ["stays"]
        await _all_free(held, 1)

    run(work)


@pytest.mark.parametrize("seed", range(8))
def test_no_slot_is_lost_whatever_happens(seed: int) -> None:
    async def work() -> None:
        chance = random.Random(seed)
        held, now, most = slots.Slots(2), 0, 0

        async def one() -> None:
            nonlocal now, most
            async with held.hold(chance.randrange(3)):
                now += 1
                most = max(most, now)
                try:
                    for _ in range(chance.randrange(4)):
                        await asyncio.sleep(0)
                    if chance.random() < 0.2:
                        raise ValueError
                finally:
                    now -= 1

        tasks = [asyncio.create_task(one()) for _ in range(60)]
        while any(not task.done() for task in tasks):
            await asyncio.sleep(0)
            chance.choice(tasks).cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert now == 0 and most <= 2
        await _all_free(held, 2)

    run(work)
