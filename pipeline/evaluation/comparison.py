"""Measurements side by side: the models of all files on the cases that all files share."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from pipeline import results
from pipeline.engines import options
from pipeline.evaluation import figures, files, limits, records, shares

Verdict = Literal["good", "bad", "open", "reference"]
VERDICTS: dict[Verdict, str] = {
    "good": "keeps every limit",
    "bad": "disqualified",
    "open": "not measured",
    "reference": "reference",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One model of one file. `readability` is the least reading ease that its file's configuration asks for."""

    label: str
    model: str
    about: str
    measured: tuple[records.Record, ...]
    fault: str | None
    readability: float

    @property
    def levels(self) -> tuple[int, ...]:
        """The levels of concurrency that it was measured at."""
        return tuple(sorted({record.concurrency for record in self.measured}))

    def at(self, level: int) -> tuple[records.Record, ...]:
        """The records of one level."""
        return tuple(record for record in self.measured if record.concurrency == level)

    def value(self, figure: figures.Figure, level: int | None = None) -> shares.Value | None:
        """A figure over all records; one of speed at `level`, without any at the highest."""
        if figure.group != "speed":
            return figure.of(self.measured)
        if not self.measured:
            return None
        return figure.of(self.at(self.levels[-1] if level is None else level))

    @property
    def failures(self) -> tuple[str, ...]:
        """Why it is disqualified; empty where it is not."""
        return (self.fault,) if self.fault else limits.failures(self.bounds, self.value)

    @property
    def bounds(self) -> tuple[limits.Limit, ...]:
        """What it is held against."""
        return limits.of(self.readability)

    @property
    def verdict(self) -> Verdict:
        """`open` where the model was asked nothing: nothing can be said of it."""
        if self.model == options.RULES:
            return "reference"
        if self.failures:
            return "bad"
        return "good" if shares.asked(self.measured) else "open"

    def of_case(self, case: str) -> tuple[records.Record, ...]:
        """The records of one case."""
        return tuple(record for record in self.measured if record.case == case)

    def refused(self, stage: options.Served) -> dict[str, int]:
        """How often the gate refused its proposals for a stage, by `harm/check`."""
        counted: Counter[str] = Counter()
        for record in self.measured:
            if record.stage == stage:
                counted.update(record.refused)
        return dict(counted)

    def proposed(self, stage: options.Served) -> int:
        """How much it wanted to write for a stage."""
        return sum(record.proposed for record in self.measured if record.stage == stage)

    def of_hundred(self, stage: options.Served, name: str) -> float:
        """How many of 100 proposals for a stage the gate refused by one `harm/check`."""
        proposed = self.proposed(stage)
        return 100 * self.refused(stage).get(name, 0) / proposed if proposed else 0.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """All models. `notes` are sentences about what the files do not share: such figures are not quite comparable."""

    sources: tuple[files.Measured, ...]
    columns: tuple[Column, ...]
    cases: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def measured(self) -> tuple[Column, ...]:
        """The models that could be measured."""
        return tuple(column for column in self.columns if column.measured)

    @property
    def levels(self) -> tuple[int, ...]:
        """All levels of concurrency."""
        return tuple(sorted({level for column in self.columns for level in column.levels}))

    def rows(self) -> list[tuple[figures.Figure, int | None]]:
        """The figures that at least one model has; those of speed once for each level."""
        found: list[tuple[figures.Figure, int | None]] = []
        for figure in figures.FIGURES:
            levels: Sequence[int | None] = self.levels if figure.group == "speed" else (None,)
            found += [
                (figure, level)
                for level in levels
                if any(column.value(figure, level) is not None for column in self.columns)
            ]
        return found

    def refusals(self, stage: options.Served) -> list[str]:
        """Each `harm/check` by which the gate refused something of a stage: worst harm first, then commonest."""
        counted: Counter[str] = Counter()
        for column in self.columns:
            counted.update(column.refused(stage))
        harms = get_args(results.Harm)
        return sorted(counted, key=lambda name: (harms.index(name.partition("/")[0]), -counted[name], name))

    def best(self, figure: figures.Figure, level: int | None) -> frozenset[str]:
        """The labels of those whose figure is best; nobody where there is no better, or all are equal."""
        values = {c.label: v.value for c in self.columns if (v := c.value(figure, level)) is not None}
        if not figure.better or len(set(values.values())) < 2:
            return frozenset()
        top = max(values.values()) if figure.better == "more" else min(values.values())
        return frozenset(label for label, value in values.items() if value == top)


def compare(measured: Sequence[files.Measured]) -> Comparison:
    """The files side by side. A case counts where all files have it with the same text and gold annotations.

    Raises files.NotUsable where no case does.
    """
    measured = _told_apart(measured)
    shared = [
        case
        for case, digest in measured[0].header.cases.items()
        if all(other.header.cases.get(case) == digest for other in measured)
    ]
    if not shared:
        raise files.NotUsable("The files share no case with the same text and gold annotations; compare others.")
    columns = [_column(file, model, _label(file, model, measured), frozenset(shared))
               for file in measured for model in file.models]  # fmt: skip
    columns.sort(key=_rank)
    return Comparison(tuple(measured), tuple(columns), tuple(shared), tuple(_notes(measured, len(shared))))


def _told_apart(measured: Sequence[files.Measured]) -> list[files.Measured]:
    """The files with names of their own: those of one name are counted."""
    total = Counter(file.name for file in measured)
    seen: Counter[str] = Counter()
    named = []
    for file in measured:
        seen[file.name] += 1
        name = f"{file.name} #{seen[file.name]}" if total[file.name] > 1 else file.name
        named.append(dataclasses.replace(file, name=name))
    return named


def _rank(column: Column) -> tuple[bool, bool, bool, float]:
    """Those that can be used before the others, the better notes before the worse; the reference stands last."""
    recall = column.value(figures.BY_NAME["recall"])
    quality = -recall.value if recall else 0.0
    return column.model == options.RULES, not column.measured, bool(column.failures), quality


def _column(file: files.Measured, model: str, label: str, shared: frozenset[str]) -> Column:
    candidate = file.candidates.get(model)
    identity = candidate.identity.text() if candidate and candidate.identity else ""
    return Column(
        label=label,
        model=model,
        about="the rules engine" if model == options.RULES else identity,
        measured=tuple(record for record in file.records if record.model == model and record.case in shared),
        fault=candidate.fault if candidate else None,
        readability=file.header.readability,
    )


def _label(file: files.Measured, model: str, measured: Sequence[files.Measured]) -> str:
    is_only = sum(model in other.models for other in measured) == 1
    return model if is_only else f"{model} ({file.name})"


def _notes(measured: Sequence[files.Measured], shared: int) -> list[str]:
    told = []
    for file in measured:
        if len(file.header.cases) > shared:
            told.append(f"{file.name}: {shared} of its {len(file.header.cases)} cases are compared, the shared ones.")
        size = len(file.header.cases) * len(file.header.plan.stages) * file.header.plan.repeat
        size *= len(file.header.plan.concurrency)
        for model in file.models:
            done = sum(record.model == model and record.is_done for record in file.records)
            has_fault = model in file.candidates and file.candidates[model].fault
            if done < size and not has_fault:
                told.append(f"{file.name}: {model} was measured on {done} of {size} questions; go on by --resume.")
    first = measured[0].header
    for other in measured[1:]:
        parts = [name for name, title in _PARTS.items() if getattr(first, name) != getattr(other.header, name)]
        if parts:
            told.append(f"{other.name} differs from {measured[0].name} in: {', '.join(_PARTS[p] for p in parts)}.")
    return told


_PARTS = {
    "gateway": "gateway version",
    "rules": "rules",
    "tables": "tables",
    "prompts": "prompts",
    "readability": "summary.readability",
    "plan": "plan",
    "machine": "machine",
}
