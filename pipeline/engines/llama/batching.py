"""Continuous batching: one context, many sequences, in each step one token of each answer and parts of new prompts.

Requests join and leave between steps. Who waits is let in by priority, then in the order of coming; among prompts of
the same priority a step's room is shared out evenly. Cells are reserved for a request's whole prompt and answer when
it is let in, so that none runs out of room on the way; prefixes that nobody uses are given up when cells are wanted.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.engines import base
from pipeline.engines.llama import decoder, library, messages, prefixes

#: Role prompts whose KV is kept at once: there are five roles.
KEPT_PREFIXES = 6


class Context(Protocol):
    """What the loop needs of library.Context."""

    def decode(self, inputs: Sequence[library.Input]) -> list[NDArray[np.float32] | None]: ...

    def copy(self, source: int, target: int) -> None: ...

    def free(self, sequence: int) -> None: ...

    def clear(self) -> None: ...


@dataclass(slots=True, eq=False)
class Job:
    """A request that is ready to be computed; `fixed` tokens of its prompt are the role's, `most` are its answer's."""

    id: int
    priority: int
    prompt: list[int]
    fixed: int
    most: int
    decoder: decoder.Decoder
    number: int = 0
    sequence: int = -1
    prefix: prefixes.Prefix | None = None
    waits: bool = False  # for its prefix
    done: int = 0
    shared: int = 0
    following: int | None = None
    began: float = 0.0
    answers: float = 0.0

    @property
    def cells(self) -> int:
        return len(self.prompt) + self.most

    @property
    def turn(self) -> tuple[int, int]:
        return self.priority, self.number


@dataclass(slots=True)
class _Filling:
    """A prompt, or a prefix, that is not computed to its end."""

    of: Job | prefixes.Prefix
    turn: tuple[int, int]
    sequence: int
    tokens: Sequence[int]


class Batching:
    """The jobs of one context. `exact`: one job at a time on an empty context, nothing shared."""

    def __init__(
        self, context: Context, *, cells: int, parallel: int, batch: int, exact: bool,
        tell: Callable[[messages.Answered | messages.Failed | messages.Gone], None],
    ) -> None:  # fmt: skip
        self._context = context
        self._cells = cells
        self._batch = batch
        self._exact = exact
        self._tell = tell
        self._numbers = itertools.count()
        self._vacant = list(range(1 if exact else parallel))
        kept = range(0) if exact else range(parallel, parallel + KEPT_PREFIXES)
        self._prefixes = prefixes.Prefixes(kept, context.free)
        self._waiting: list[Job] = []
        self._working: list[Job] = []

    @property
    def is_idle(self) -> bool:
        """Nothing to do."""
        return not self._waiting and not self._working

    def add(self, job: Job) -> None:
        """Let a job wait for its turn."""
        job.number = next(self._numbers)
        self._waiting.append(job)

    def cancel(self, number: int) -> None:
        """Forget a request, and give its sequence back; one that has ended already is gone too."""
        self._waiting = [job for job in self._waiting if job.id != number]
        for job in [job for job in self._working if job.id == number]:
            self._end(job)
        self._tell(messages.Gone(id=number))

    def step(self) -> None:
        """Let in who may come, and compute one batch."""
        self._admit()
        answering = [job for job in self._working if job.following is not None]
        fillings, parts = self._parts(self._batch - len(answering))
        inputs = [self._next(job) for job in answering]
        logits = self._context.decode(inputs + parts)
        for filling, part in zip(fillings, parts, strict=True):
            filling.of.done += len(part.tokens)
        asked = [*answering, *(filling.of for filling in fillings)]
        for of, behind in zip(asked, logits, strict=True):
            if isinstance(of, prefixes.Prefix):
                self._hand_out(of)
            elif behind is not None:
                self._answer(of, behind)

    # --- who comes in -------------------------------------------------------------------------------------------

    def _admit(self) -> None:
        for job in sorted(self._waiting, key=lambda job: job.turn):
            if not self._vacant or not self._has_room(job):
                return
            self._waiting.remove(job)
            self._begin(job)

    def _has_room(self, job: Job) -> bool:
        taken = sum(other.cells for other in self._working) + job.cells
        while taken + self._prefixes.unused_tokens > self._cells:
            if not self._prefixes.give_up():
                return False
        return True

    def _begin(self, job: Job) -> None:
        job.sequence = self._vacant.pop(0)
        job.began = time.perf_counter()
        self._working.append(job)
        if self._exact:
            self._context.clear()
            return
        fixed = tuple(job.prompt[: min(job.fixed, len(job.prompt) - 1)])
        job.prefix = self._prefixes.take(fixed) if fixed else None
        if job.prefix is None:
            return
        if job.prefix.is_ready:
            self._share(job, len(fixed))
        else:
            job.waits = True
            job.shared = len(fixed) if job.prefix.users > 1 else 0

    def _share(self, job: Job, shared: int) -> None:
        assert job.prefix is not None
        self._context.copy(job.prefix.sequence, job.sequence)
        job.done, job.shared, job.waits = len(job.prefix.tokens), shared, False

    def _hand_out(self, prefix: prefixes.Prefix) -> None:
        if not prefix.is_ready:
            return
        for job in self._working:
            if job.prefix is prefix and job.waits:
                self._share(job, job.shared)

    # --- one step -----------------------------------------------------------------------------------------------

    def _next(self, job: Job) -> library.Input:
        assert job.following is not None
        return library.Input(job.sequence, job.done + job.decoder.count - 1, [job.following], True)

    def _parts(self, room: int) -> tuple[list[_Filling], list[library.Input]]:
        """What is computed of new prompts in this step."""
        waiting = sorted(self._fillings(), key=lambda filling: filling.turn)
        chosen, parts = [], []
        for _priority, same in itertools.groupby(waiting, key=lambda filling: filling.turn[0]):
            group = list(same)
            for at, filling in enumerate(group):
                share = -(-room // (len(group) - at))
                tokens = filling.tokens[filling.of.done : filling.of.done + share]
                if not tokens:
                    continue
                is_last = isinstance(filling.of, Job) and filling.of.done + len(tokens) == len(filling.tokens)
                chosen.append(filling)
                parts.append(library.Input(filling.sequence, filling.of.done, tokens, is_last))
                room -= len(tokens)
        return chosen, parts

    def _fillings(self) -> list[_Filling]:
        found: dict[int, _Filling] = {}
        for job in sorted(self._working, key=lambda job: job.turn):
            if job.waits and job.prefix is not None:
                prefix = job.prefix
                found.setdefault(prefix.sequence, _Filling(prefix, job.turn, prefix.sequence, prefix.tokens))
            elif job.done < len(job.prompt):
                found[job.sequence] = _Filling(job, job.turn, job.sequence, job.prompt)
        return list(found.values())

    def _answer(self, job: Job, logits: NDArray[np.float32]) -> None:
        """Take the next token of an answer, and say so when it is complete."""
        if job.following is None:
            job.answers = time.perf_counter()
        try:
            job.following = job.decoder.feed(logits)
        except base.Failure as failure:
            self._end(job)
            self._tell(messages.Failed(id=job.id, why=failure.kind, text=failure.text, tokens=failure.tokens))
            return
        if job.decoder.is_done:
            self._end(job)
            self._tell(self._answered(job))

    def _answered(self, job: Job) -> messages.Answered:
        return messages.Answered(
            id=job.id,
            text=job.decoder.text,
            prompt_tokens=len(job.prompt),
            shared_tokens=job.shared,
            tokens=job.decoder.count,
            prefill_seconds=job.answers - job.began,
            decode_seconds=time.perf_counter() - job.answers,
            closed_at=job.decoder.closed_at,
        )

    def _end(self, job: Job) -> None:
        self._working.remove(job)
        self._context.free(job.sequence)
        self._vacant.append(job.sequence)
        if job.prefix is not None:
            self._prefixes.leave(job.prefix)
