"""What the tests of the harness share: two short cases, and a way to measure stubs on them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import documenting
from pipeline.evaluation import cases, files, provenance, records, running
from tests.unit.pipeline.evaluation.stub import Stub

#: The two shortest bundled cases.
CASES = tuple(sorted(cases.bundled(), key=lambda case: len(case.transcript))[:2])

Measure = Callable[..., files.Measured]


def header(plan: records.Plan, given: tuple[cases.Case, ...] = CASES, *, keep_texts: bool = False) -> records.Header:
    """The header of a measurement of stubs."""
    return provenance.header(plan, given, {}, gateway="0", judge=None, readability=60.0, keep_texts=keep_texts)


def candidate(stub: Stub) -> running.Candidate:
    """A stub as a candidate."""
    return running.Candidate(stub.name, lambda: (stub, 30.0))


def measure(
    path: Path,
    *stubs: Stub,
    plan: records.Plan | None = None,
    judge: Stub | None = None,
    keep_texts: bool = False,
    resume: bool = False,
    progress: running.Progress = lambda _task: None,
) -> files.Measured:
    """Measure stubs into a file and read it."""
    plan = plan or records.Plan()
    made = header(plan, keep_texts=keep_texts)
    with files.Writer.resume(path, made) if resume else files.Writer.begin(path, made) as writer:
        measurement = running.Measurement(
            plan=plan,
            cases=CASES,
            candidates=tuple(candidate(stub) for stub in stubs),
            writer=writer,
            assumed=documenting.Options(),
            judge=candidate(judge) if judge else None,
            keep_texts=keep_texts,
            progress=progress,
        )
        asyncio.run(measurement.run())
    return files.read(path)


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory) -> files.Measured:
    """A model that writes down what was said, one that invents drugs, one that is not there, and the rules engine."""
    return measure(
        tmp_path_factory.mktemp("measured") / "all.jsonl",
        Stub("copies"),
        Stub("invents <b>", invents=2, breaks=2, thinks=0.6),
        Stub("absent", refuses_to_start="The file absent.gguf is not there."),
        plan=records.Plan(concurrency=(1, 3)),
        judge=Stub("judge"),
    )
