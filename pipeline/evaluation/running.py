"""Measures models: each stage is served by one model alone on top of what the rules engine made of the case."""

from __future__ import annotations

import asyncio
import contextvars
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline import documenting, rehearsal
from pipeline.engines import base, models, options, serving
from pipeline.evaluation import asking, files, judge, machine, measures, recording, records
from pipeline.evaluation.cases import Case
from pipeline.evaluation.recording import Task

#: The value of each answer of the case in work.
_answered: contextvars.ContextVar[list[dict[str, Any]]] = contextvars.ContextVar("answered")

#: An address in a reason: IPv4, or IPv6 with at least three groups.
_ADDRESS = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b|\b[0-9a-fA-F]{1,4}(?::{1,2}[0-9a-fA-F]{1,4}){2,7}\b")

#: The folders of an absolute path; a name like `maker/model` has none.
_PATH = re.compile(r"^(?:[A-Za-z]:)?[/\\].*[/\\]")

_CHANGED = "It became another model while it was measured; what stands in the file is the first one's."


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model to be measured. `load` makes its engine and says how long one answer may take, in seconds.

    `private` are the files and addresses of its configuration, each with what stands for it in the file that is passed
    on.
    """

    name: str
    load: Callable[[], tuple[base.Engine, float]]
    private: Mapping[str, str] = field(default_factory=dict)


Batch = list[Task]
Progress = Callable[[Task], None]


def _unheard(_task: Task) -> None:
    """The progress that nobody looks at."""


@dataclass(slots=True)
class Measurement:
    """What is to be measured and where it is written. `progress` hears of each task that need not be done any more."""

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
        """Measure everything that the file does not hold yet: the rules engine first, then one model after another.

        Raises files.NotUsable where the file holds another model of a name, or takes no more.
        """
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
        if not any(self._is_open(task) for batch in self.batches(candidate.name) for task in batch):
            await self._measure(candidate.name, None, None)
            return
        others = machine.children()
        try:
            engine, seconds = candidate.load()
            await engine.start()
        except base.NotUsable as error:
            self._refuse(candidate, str(error))
            return
        model = _AtWork(candidate, engine, seconds, others)
        try:
            if model.state in ("down", "disabled"):
                self._refuse(candidate, model.reason)
                return
            if model.state == "available":
                self.writer.introduce(model.introduction)
            await self._measure(candidate.name, model, judging)
        finally:
            await engine.close()

    def _refuse(self, candidate: Candidate, why: str) -> None:
        """Write why a model cannot be used; what was to be asked of it is asked no more."""
        for private, told in candidate.private.items():
            why = why.replace(private, told)
        why = _ADDRESS.sub("its address", why)
        self.writer.introduce(records.Candidate(name=candidate.name, fault=why))
        for batch in self.batches(candidate.name):
            for task in batch:
                if self._is_open(task):
                    self.progress(task)

    async def _measure(self, name: str, model: _AtWork | None, judging: models.Loaded | None) -> None:
        is_first = True
        for batch in self.batches(name):
            todo = []
            for task in batch:
                if self._is_open(task):
                    todo.append(task)
                else:
                    self.progress(task)
            if todo:
                is_judged = is_first and todo[0].stage == "scribe"
                await self._work(model, todo, judging if is_judged else None)
                if model is not None and not self._is_same(model):
                    self._refuse(model.candidate, _CHANGED)
                    return
            is_first = is_first and batch[0].stage != "scribe"
        if model is not None and self._identity(name) is None:
            self._refuse(model.candidate, model.reason)

    def _is_open(self, task: Task) -> bool:
        return task.key not in self.writer.done

    def _identity(self, name: str) -> base.Identity | None:
        known = self.writer.candidates.get(name)
        return known.identity if known is not None else None

    def _is_same(self, model: _AtWork) -> bool:
        """Whether it is the model that the file was begun with. One that was loading at its start is told of now."""
        known = self._identity(model.candidate.name)
        if known is None and model.state == "available":
            self.writer.introduce(model.introduction)
        return known in (None, model.introduction.identity)

    async def _work(self, model: _AtWork | None, todo: Batch, judging: models.Loaded | None) -> None:
        """Do the tasks, as many at once as the level says; write the records in the order of the tasks."""
        for task in todo:
            await self._prepare(task.case)
        setting = serving.Setting(model.serving(todo[0].stage) if model else models.none())
        waiting = iter(enumerate(todo))
        finished: dict[int, records.Record] = {}
        written = 0

        async def worker() -> None:
            nonlocal written
            for number, task in waiting:
                made = await self._one(setting, task, model, judging)
                if model is not None and not self._is_same(model):
                    return
                finished[number] = made
                self.progress(task)
                while written in finished:
                    self.writer.add([finished.pop(written)])
                    written += 1

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(todo[0].concurrency, len(todo))):
                    group.create_task(worker())
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        finally:
            self.writer.add(finished.values())

    async def _prepare(self, case: Case) -> None:
        if case.name not in self._by_rules:
            self._by_rules[case.name] = await asyncio.to_thread(asking.by_rules, case, self.assumed)

    async def _one(
        self, setting: serving.Setting, task: Task, model: _AtWork | None, judging: models.Loaded | None
    ) -> records.Record:
        before = self._by_rules[task.case.name]
        answered: list[dict[str, Any]] = []
        _answered.set(answered)
        at, begun = time.time(), time.perf_counter()
        made = await asking.STAGES[task.stage](setting, task.case, before, self.assumed)
        seconds = time.perf_counter() - begun
        part = recording.Part.of(task.stage, made, before)
        if task.stage == "scribe":
            made = await asyncio.to_thread(asking.after_note, task.case, made, self.assumed)
        measured = await asyncio.to_thread(measures.of, task.stage, task.case, made)
        if model is not None and task.stage == "summarise":
            measured = measured._replace(numbers=measures.with_ease_of(measured.numbers, _summaries(answered)))
        is_own = model is None or part.work.model is not None
        own = [s for s in made.note.statements if is_own and not s.is_added]
        return recording.record(
            task,
            part,
            measured,
            proposed=sum(len(items) for value in answered for items in value.values() if isinstance(items, list)),
            judged=await judge.compare(judging, own, part.refused, made.transcript) if judging else None,
            begun=at,
            seconds=seconds,
            megabytes=machine.children_megabytes(model.others) if model else None,
            keep_texts=self.keep_texts,
        )


def _summaries(answered: list[dict[str, Any]]) -> list[str]:
    """The texts of the summaries that were proposed."""
    return [" ".join(item["text"] for item in value["saetze"]) for value in answered]


@dataclass(frozen=True, slots=True)
class _AtWork:
    """The model that is measured now. `others` are the ids of the child processes that are not its own."""

    candidate: Candidate
    engine: base.Engine
    seconds: float
    others: frozenset[int]

    @property
    def state(self) -> str:
        """What the engine says of itself; one that says nothing is there."""
        return str(getattr(self.engine, "state", "available"))

    @property
    def reason(self) -> str:
        """Why it is not available."""
        return str(getattr(self.engine, "reason", ""))

    @property
    def introduction(self) -> records.Candidate:
        """Who it says that it is; of a server that calls its model by a path, by the file's name alone."""
        known = self.engine.identity
        called = known.model_copy(update={"model": _PATH.sub("", known.model)})
        return records.Candidate(name=self.candidate.name, identity=called)

    def serving(self, stage: options.Served) -> models.Models:
        """The model for one stage, with the rules engine behind it."""
        name = self.candidate.name
        stages = options.Stages.model_validate({stage: (name, options.RULES)})
        return models.Models({name: (_Listening(self.engine), self.seconds)}, stages)


class _Listening:
    """An engine that keeps the values of its answers, also of those that are of no use afterwards."""

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
        _answered.get().append(answer.value)
        return answer

    async def close(self) -> None:
        """Nothing: as with the start."""
