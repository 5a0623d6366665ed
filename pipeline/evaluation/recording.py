"""Makes the record of one task: what the stage wrote, what fell, what it measured, and what the model did for it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from pipeline import documenting, results
from pipeline.engines import options
from pipeline.evaluation import cases, measures, records

Written = results.Note | results.PatientSummary | results.Coding | results.SafetyCheck | results.Billing


@dataclass(frozen=True, slots=True)
class Task:
    """One question to a stage that is to be measured."""

    model: str
    stage: options.Served
    case: cases.Case
    repeat: int
    concurrency: int

    @property
    def key(self) -> tuple[Any, ...]:
        """The key of the record that it becomes."""
        return (self.model, self.stage, self.case.name, self.repeat, self.concurrency)


@dataclass(frozen=True, slots=True)
class Part:
    """What one stage wrote: its texts, what the gate refused of the proposals, and the model's work."""

    texts: tuple[str, ...]
    refused: tuple[results.Rejected, ...]
    work: results.Work
    digest: str

    @classmethod
    def of(cls, stage: options.Served, made: documenting.Documented, by_rules: documenting.Documented) -> Part:
        """The part of `made` that the stage wrote; `by_rules` is what the rules engine makes of the same case."""
        part = _written(stage, made)
        if part is None:
            return cls((), (), results.Work(), _digest(""))
        rejected = part.refused if isinstance(part, results.Billing) else part.rejected
        own = _written(stage, by_rules)
        if part.work.needs_human and isinstance(own, results.Note | results.PatientSummary):
            rejected = rejected[: len(rejected) - len(own.rejected)]  # the last are the rules engine's own
        refused = tuple(item for item in rejected if item.check is not None)
        content = part.model_dump_json(exclude={"work", "rejected", "refused"})
        return cls(_texts(part), refused, part.work, _digest(content))


def _written(stage: options.Served, made: documenting.Documented) -> Written | None:
    parts: dict[options.Served, Written | None] = {
        "scribe": made.note,
        "summarise": made.summary,
        "code": made.coding,
        "check": made.check,
        "bill": made.billing,
    }
    return parts[stage]


def _texts(part: Written) -> tuple[str, ...]:
    match part:
        case results.Note():
            return tuple(f"{s.section}: {s.text}" for s in part.statements)
        case results.PatientSummary():
            return tuple(s.text for s in part.sentences)
        case results.Coding():
            return tuple(f"{d.code} {d.certainty or ''}".strip() for d in part.diagnoses)
        case results.SafetyCheck():
            return tuple(f"{w.kind}: {', '.join(w.drugs)}" for w in part.warnings)
        case results.Billing():
            return tuple(f"{item.quantity} × {item.code}" for item in part.items)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def record(
    task: Task,
    part: Part,
    measured: measures.Measured,
    *,
    proposed: int,
    judged: records.Judgement | None,
    begun: float,
    seconds: float,
    megabytes: int | None,
    keep_texts: bool,
) -> records.Record:
    """The record. `proposed` counts the items of the model's answers; the rules engine's are what it wrote and lost.

    `begun` is a Unix time; `megabytes` the memory of the model's child processes.
    """
    is_rules = task.model == options.RULES
    return records.Record(
        model=task.model,
        stage=task.stage,
        case=task.case.name,
        repeat=task.repeat,
        concurrency=task.concurrency,
        served="model" if part.work.model else "rules",
        proposed=len(part.texts) + len(part.refused) if is_rules else proposed,
        refused=_counted(part.refused),
        measures=measured.numbers,
        answers=tuple(
            records.Answer.model_validate({name: getattr(attempt, name) for name in records.Answer.model_fields})
            for attempt in part.work.attempts
        ),
        result=part.digest,
        judged=judged,
        texts=_kept(part, measured) if keep_texts else None,
        times=records.Times(
            begun=begun,
            wall_seconds=seconds,
            answers=tuple(
                records.AnswerTimes.model_validate({n: getattr(attempt, n) for n in records.AnswerTimes.model_fields})
                for attempt in part.work.attempts
            ),
            children_megabytes=megabytes,
        ),
    )


def _counted(refused: tuple[results.Rejected, ...]) -> dict[str, int]:
    counted: dict[str, int] = {}
    for item in refused:
        name = f"{item.harm}/{item.check}"
        counted[name] = counted.get(name, 0) + 1
    return dict(sorted(counted.items()))


def _kept(part: Part, measured: measures.Measured) -> records.Texts:
    return records.Texts(
        result=part.texts,
        refused=tuple(
            records.Refusal(check=item.check or "", harm=item.harm or "", text=item.proposal) for item in part.refused
        ),
        missed=measured.missed,
    )
