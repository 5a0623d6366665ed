"""Measures models: each stage is served by one model alone on top of what the rules engine made of the case."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pipeline import documenting, rehearsal
from pipeline.engines import base, models, options, serving
from pipeline.evaluation import asking, files, judge, measures, recording, records
from pipeline.evaluation.cases import Case
from pipeline.evaluation.recording import Task

#: How many proposals each answer of the case in work held.
_proposed: contextvars.ContextVar[list[int]] = contextvars.ContextVar("proposed")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model to be measured. `load` makes its engine and says how long one answer may take, in seconds."""

    name: str
    load: Callable[[], tuple[base.Engine, float]]


Batch = list[Task]
Progress = Callable[[Task, bool], None]


def _unheard(_task: Task, _is_new: bool) -> None:
    """The progress that nobody looks at."""


@dataclass(slots=True)
class Measurement:
    """What is to be measured and where it is written. `progress` hears of each task, and whether it had to be done."""

    plan: records.Plan
    cases: tuple[Case, ...]
    candidates: tuple[Candidate, ...]
    writer: files.Writer
    assumed: documenting.Options = field(default_factory=documenting.Options)
    judge: Candidate | None = None
    keep_texts: bool = False
    progress: Progress = _unheard
    _by_rules: dict[str, documenting.Documented] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """How many records there will be."""
        each = len(self.plan.stages) * len(self.cases) * self.plan.repeat * len(self.plan.concurrency)
        return each * (1 + len(self.candidates))

    def batches(self, model: str) -> Iterator[Batch]:
        """What is asked of a model: the cases of each level, stage and repeat."""
        for level in self.plan.concurrency:
            for stage in self.plan.stages:
                for repeat in range(1, self.plan.repeat + 1):
                    yield [Task(model, stage, case, repeat, level) for case in self.cases]

    async def run(self) -> None:
        """Measure everything that the file does not hold yet: the rules engine first, then one model after another."""
        await asyncio.to_thread(rehearsal.run)
        loaded = models.none()
        if self.judge is not None:
            engine, seconds = self.judge.load()
            loaded = models.Models({self.judge.name: (engine, seconds)}, options.Stages())
        await loaded.start()
        try:
            judging = loaded.loaded[self.judge.name] if self.judge else None
            await self._measure(options.RULES, None, judging)
            for candidate in self.candidates:
                await self._measure_model(candidate, judging)
        finally:
            await loaded.close()

    async def _measure_model(self, candidate: Candidate, judging: models.Loaded | None) -> None:
        open_tasks = [task for batch in self.batches(candidate.name) for task in batch if self._is_open(task)]
        if not open_tasks:
            await self._measure(candidate.name, None, None)
            return
        try:
            engine, seconds = candidate.load()
            await engine.start()
        except base.NotUsable as error:
            self.writer.introduce(records.Candidate(name=candidate.name, fault=str(error)))
            for task in open_tasks:
                self.progress(task, False)
            return
        try:
            self.writer.introduce(records.Candidate(name=candidate.name, identity=engine.identity))
            await self._measure(candidate.name, (_Counting(engine), seconds), judging)
        finally:
            await engine.close()

    async def _measure(
        self, name: str, engine: tuple[base.Engine, float] | None, judging: models.Loaded | None
    ) -> None:
        is_first = True
        for batch in self.batches(name):
            todo = []
            for task in batch:
                if self._is_open(task):
                    todo.append(task)
                else:
                    self.progress(task, False)
            if todo:
                stages = options.Stages.model_validate({todo[0].stage: (name, options.RULES)} if engine else {})
                setting = serving.Setting(models.Models({name: engine} if engine else {}, stages))
                is_judged = is_first and todo[0].stage == "scribe"
                await self._work(setting, todo, judging if is_judged else None)
            is_first = is_first and batch[0].stage != "scribe"

    def _is_open(self, task: Task) -> bool:
        return task.key not in self.writer.done

    async def _work(self, setting: serving.Setting, todo: Batch, judging: models.Loaded | None) -> None:
        """Do the tasks, as many at once as the level says; write the records in the order of the tasks."""
        for task in todo:
            await self._prepare(task.case)
        waiting = iter(enumerate(todo))
        finished: dict[int, records.Record] = {}
        written = 0

        async def worker() -> None:
            nonlocal written
            for number, task in waiting:
                finished[number] = await self._one(setting, task, judging)
                self.progress(task, True)
                while written in finished:
                    self.writer.add([finished.pop(written)])
                    written += 1

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(todo[0].concurrency, len(todo))):
                    group.create_task(worker())
        finally:
            self.writer.add(finished.values())

    async def _prepare(self, case: Case) -> None:
        if case.name not in self._by_rules:
            self._by_rules[case.name] = await asyncio.to_thread(asking.by_rules, case, self.assumed)

    async def _one(self, setting: serving.Setting, task: Task, judging: models.Loaded | None) -> records.Record:
        before = self._by_rules[task.case.name]
        counts: list[int] = []
        _proposed.set(counts)
        begun = time.perf_counter()
        made = await asking.STAGES[task.stage](setting, task.case, before, self.assumed)
        seconds = time.perf_counter() - begun
        part = recording.Part.of(task.stage, made, before)
        if task.stage == "scribe":
            made = await asyncio.to_thread(asking.after_note, task.case, made, self.assumed)
        measured = await asyncio.to_thread(measures.of, task.stage, task.case, made)
        judged = await judge.compare(judging, made.note, part.refused, made.transcript) if judging else None
        return recording.record(
            task, part, measured, proposed=sum(counts), judged=judged, seconds=seconds, keep_texts=self.keep_texts
        )


class _Counting:
    """An engine that counts what its answers propose, also in those that are of no use afterwards."""

    def __init__(self, engine: base.Engine) -> None:
        self._engine = engine
        self.parallel = engine.parallel

    @property
    def identity(self) -> base.Identity:
        """The engine's own."""
        return self._engine.identity

    async def start(self) -> None:
        """Nothing: the engine is started by whoever made it."""

    async def answer(self, request: base.Request) -> base.Answer:
        """The engine's answer."""
        answer = await self._engine.answer(request)
        _proposed.get().append(sum(len(items) for items in answer.value.values() if isinstance(items, list)))
        return answer

    async def close(self) -> None:
        """Nothing: as with the start."""
