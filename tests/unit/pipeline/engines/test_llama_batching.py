"""Who is computed when: the loop on a context that only writes down what it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from pipeline.engines.llama import messages, prefixes

np = pytest.importorskip("numpy", reason="needs the extra llama")
library = pytest.importorskip("pipeline.engines.llama.library", reason="needs the extra llama")
batching = pytest.importorskip("pipeline.engines.llama.batching", reason="needs the extra llama")

ROLE = list(range(100, 140))


class _Context:
    """Keeps the tokens of each sequence, and refuses what is out of place or without room."""

    def __init__(self, cells: int) -> None:
        self.cells = cells
        self.held: dict[int, list[int]] = {}
        self.shared: dict[int, int] = {}
        self.steps: list[list[library.Input]] = []
        self.cleared = 0

    def decode(self, inputs: Sequence[library.Input]) -> list[Any]:
        assert inputs
        self.steps.append(list(inputs))
        for asked in inputs:
            held = self.held.setdefault(asked.sequence, [])
            assert asked.position == len(held)
            held += asked.tokens
        assert sum(map(len, self.held.values())) - sum(self.shared.values()) <= self.cells
        return [np.zeros(1, np.float32) if asked.is_last else None for asked in inputs]

    def copy(self, source: int, target: int) -> None:
        assert target not in self.held
        self.held[target] = list(self.held[source])
        self.shared[target] = len(self.held[source])

    def free(self, sequence: int) -> None:
        self.held.pop(sequence, None)
        self.shared.pop(sequence, None)

    def clear(self) -> None:
        self.held.clear()
        self.cleared += 1


class _Decoder:
    """Says so many tokens."""

    def __init__(self, tokens: int) -> None:
        self._tokens = tokens
        self.count = 0
        self.is_done = False
        self.closed_at: int | None = None
        self.text = "{}"

    def feed(self, _logits: Any) -> int:
        self.count += 1
        self.is_done = self.count == self._tokens
        return 7


class _Loop:
    def __init__(self, parallel: int = 2, *, context: int = 200, batch: int = 32, exact: bool = False) -> None:
        self.context = _Context(context * parallel)
        self.told: list[Any] = []
        self.loop = batching.Batching(
            self.context, cells=context * parallel, parallel=parallel, batch=batch, exact=exact, tell=self.told.append
        )

    def add(
        self, number: int, *, user: int = 10, answer: int = 5, priority: int = 0, role: list[int] | None = None
    ) -> None:
        fixed = ROLE if role is None else role
        prompt = [*fixed, *([number] * user)]
        says: Any = _Decoder(answer)
        self.loop.add(batching.Job(number, priority, prompt, len(fixed), answer, says))

    def run(self, steps: int = 1000) -> list[Any]:
        for _ in range(steps):
            if self.loop.is_idle:
                break
            self.loop.step()
        return self.told

    @property
    def ended(self) -> list[int]:
        return [told.id for told in self.told if isinstance(told, messages.Answered)]


def test_all_are_answered_and_nothing_but_roles_is_left() -> None:
    loop = _Loop()
    for number in range(1, 8):
        loop.add(number)
    loop.run()
    assert sorted(loop.ended) == list(range(1, 8))
    assert list(loop.context.held.values()) == [ROLE]
    assert sorted(told.shared_tokens for told in loop.told) == [0, *[len(ROLE)] * 6]


def test_a_role_is_computed_once_also_by_those_that_come_together() -> None:
    loop = _Loop(3)
    for number in (1, 2, 3):
        loop.add(number)
    loop.run()
    computed = [token for step in loop.context.steps for asked in step for token in asked.tokens]
    assert computed.count(ROLE[0]) == 1
    assert {told.prompt_tokens for told in loop.told} == {50}


def test_one_joins_and_leaves_while_another_answers() -> None:
    loop = _Loop()
    loop.add(1, answer=40)
    loop.run(6)
    loop.add(2)
    loop.run()
    assert loop.ended == [2, 1]
    assert any(len(step) > 1 for step in loop.context.steps)


def test_the_smaller_priority_comes_first_then_the_earlier() -> None:
    loop = _Loop(1)
    for number, priority in ((1, 5), (2, 5), (3, 1), (4, 1), (5, 9)):
        loop.add(number, priority=priority)
    loop.run()
    assert loop.ended == [3, 4, 1, 2, 5]


def test_a_steps_room_is_shared_evenly_by_equals_and_goes_first_to_the_more_urgent() -> None:
    loop = _Loop(4)
    loop.add(1, role=[], user=100)
    loop.add(2, role=[], user=100)
    loop.run(1)
    assert [len(asked.tokens) for asked in loop.context.steps[0]] == [16, 16]
    loop.add(3, role=[], user=40, priority=-1)
    loop.run(1)
    assert [(asked.tokens[0], len(asked.tokens)) for asked in loop.context.steps[1]] == [(3, 32)]
    loop.run(1)
    assert [(asked.tokens[0], len(asked.tokens)) for asked in loop.context.steps[2]] == [(3, 8), (1, 12), (2, 12)]


def test_a_cancelled_request_gives_its_sequence_to_the_next() -> None:
    loop = _Loop(1)
    loop.add(1, answer=1000, user=1, role=[1, 2])
    loop.loop.cancel(9)
    assert [told.kind for told in loop.told] == ["gone"]
    for answer, number in ((100, 2), (5, 3)):
        loop.add(number, answer=answer)
    loop.loop.cancel(1)
    loop.run(5)
    loop.loop.cancel(2)
    loop.run()
    assert loop.ended == [3]
    assert [told.id for told in loop.told if told.kind == "gone"] == [9, 1, 2]


def test_a_role_that_nobody_waits_for_any_more_is_not_kept_half() -> None:
    loop = _Loop(2)
    loop.add(1)
    loop.add(2)
    loop.run(1)
    loop.loop.cancel(1)
    assert loop.context.held
    loop.loop.cancel(2)
    assert loop.loop.is_idle and not loop.context.held


def test_roles_that_are_not_used_make_room() -> None:
    loop = _Loop(2, context=100)
    for number in range(1, 20):
        loop.add(number, role=list(range(1000 * number, 1000 * number + 45)), user=45, answer=10)
    loop.run()
    assert len(loop.ended) == 19
    loop.add(20, role=[], user=90, answer=10)
    loop.add(21, role=[], user=90, answer=10)
    loop.run()
    assert sorted(loop.ended[-2:]) == [20, 21]


def test_no_more_roles_are_kept_than_have_a_sequence() -> None:
    freed: list[int] = []
    kept = prefixes.Prefixes([5, 6], freed.append)
    first, second = kept.take((1,)), kept.take((2, 2))
    assert first is not None and second is not None and kept.take((3,)) is None
    first.done, second.done = 1, 2
    kept.leave(first)
    kept.leave(second)
    assert kept.take((1,)) is first  # used again, so the other is the older one
    kept.leave(first)
    third = kept.take((3,))
    assert third is not None and third.sequence == second.sequence == freed[0]
    assert kept.unused_tokens == 1


def test_exact_clears_all_before_each_and_shares_nothing() -> None:
    loop = _Loop(3, exact=True)
    for number in (1, 2, 3):
        loop.add(number)
    loop.run()
    assert loop.ended == [1, 2, 3]
    assert loop.context.cleared == 3
    assert {told.shared_tokens for told in loop.told} == {0}
    assert all(len(step) == 1 for step in loop.context.steps)
    firsts = [at for at, step in enumerate(loop.context.steps) if step[0].position == 0]
    assert [len(loop.context.steps[at][0].tokens) for at in firsts] == [32, 32, 32]


def test_a_prompt_that_is_all_role_still_gives_an_answer() -> None:
    loop = _Loop(1)
    loop.add(1, user=0)
    loop.add(2, user=0)
    loop.run()
    assert loop.ended == [1, 2]
