"""The work behind `fhir-gateway evaluate`: measure the configured models, and compare what was measured."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

import fhir_gateway
from fhir_gateway import errors, settings, terminology_command
from pipeline import clinical, documenting
from pipeline.engines import base, models, options
from pipeline.evaluation import (
    cases,
    comparison,
    figures,
    files,
    page,
    provenance,
    recording,
    records,
    report,
    running,
)

STOPPED = 130  # exit code after Ctrl-C


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options of the command, None or empty where they were not given."""

    models: Path | None = None
    cases: Path | None = None
    stages: str | None = None
    repeat: int | None = None
    concurrency: str | None = None
    judge: str | None = None
    out: Path | None = None
    resume: bool = False
    keep_texts: bool = False

    @property
    def is_measurement(self) -> bool:
        """Whether anything was given that the table of the rules engine does not know."""
        given = (self.models, self.stages, self.repeat, self.concurrency, self.judge, self.out)
        return any(value is not None for value in given) or self.resume or self.keep_texts


def table(folder: Path | None, *, details: bool, catalogue: Path | None = None) -> str:
    """The figures of the rules engine over the bundled cases, or over those of a folder.

    `catalogue`: a published file of ICD-10-GM by which the codes are measured a second time.
    """
    read_cases(folder)
    return report.text(folder, details=details, held=terminology_command.edition_of(catalogue) if catalogue else None)


def read_cases(folder: Path | None) -> tuple[cases.Case, ...]:
    """The cases of a folder, or the bundled ones; ConfigurationError where there are none, or one is none."""
    if folder is None:
        return cases.bundled()
    try:
        found = cases.read(folder)
    except cases.NotACase as error:
        raise errors.ConfigurationError(f"Not a case: {error}") from None
    if not found:
        raise errors.ConfigurationError(f"{folder} holds no case: no file *.yaml.")
    return found


# --- measuring ---------------------------------------------------------------------------------------------------


def measure(wanted: Wanted, console: Console) -> int:
    """Measure and print the comparison. The exit code: 0, 1 where a model cannot be used, STOPPED after Ctrl-C."""
    config = settings.load(wanted.models)
    given = read_cases(wanted.cases)
    plan = _plan(wanted)
    judge = _judge(wanted.judge, config.models)
    if judge is not None and "scribe" not in plan.stages:
        raise errors.ConfigurationError("--judge is asked about notes alone: name the stage scribe too.")
    path = wanted.out or Path(f"evaluation-{dt.datetime.now().astimezone().date()}.jsonl")
    header = provenance.header(
        plan,
        given,
        config.models,
        gateway=fhir_gateway.__version__,
        judge=judge,
        readability=config.summary.readability,
        keep_texts=wanted.keep_texts,
    )
    candidates = tuple(_candidate(name, model) for name, model in config.models.items())
    try:
        with files.Writer.resume(path, header) if wanted.resume else files.Writer.begin(path, header) as writer:
            measurement = running.Measurement(
                plan=plan,
                cases=given,
                candidates=candidates,
                writer=writer,
                assumed=documenting.Options(readability=config.summary.readability),
                judge=_candidate(*judge) if judge else None,
                keep_texts=wanted.keep_texts,
            )
            _run(measurement)
        measured = files.read(path)
    except (files.NotUsable, base.NotUsable) as error:
        raise errors.ConfigurationError(str(error)) from None
    except clinical.StageRefused as error:
        raise errors.ConfigurationError(f"A case cannot be worked on: {error.reason}") from None
    except KeyboardInterrupt:
        Console(stderr=True).print(f"Stopped; --resume --out {path} goes on from there.", markup=False, soft_wrap=True)
        return STOPPED
    show(comparison.compare([measured]), console)
    console.print(f"\n{path}", markup=False, highlight=False, soft_wrap=True)
    return 1 if any(candidate.fault for candidate in measured.candidates.values()) else 0


def _run(measurement: running.Measurement) -> None:
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description:<40}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("starting", total=measurement.size)

        def heard(task: recording.Task) -> None:
            progress.update(bar, advance=1, description=f"{task.model}  {task.stage}  {task.concurrency} at once")

        measurement.progress = heard
        asyncio.run(measurement.run())


def _candidate(name: str, model: options.Model) -> running.Candidate:
    def load() -> tuple[base.Engine, float]:
        alone = models.configured({name: model}, options.Stages(scribe=(name, options.RULES))).loaded[name]
        return alone.engine, alone.seconds

    return running.Candidate(name, load, _private(name, model))


def _private(name: str, model: options.Model) -> dict[str, str]:
    """The files and the address of a model's section with the keys that name them; whole paths before file names."""
    given = {key: value for key in ("file", "ca", "key_file") if isinstance(value := getattr(model, key, None), Path)}
    told = {str(path): key for key, path in given.items()} | {path.name: key for key, path in given.items()}
    if isinstance(model, options.OpenAI):
        told[model.url] = "url"
    return {private: f"models.{name}.{key}" for private, key in told.items()}


def _judge(name: str | None, configured: Mapping[str, options.Model]) -> tuple[str, options.Model] | None:
    if name is None:
        return None
    if name not in configured:
        raise errors.ConfigurationError(f"There is no [models.{name}] that could be the judge.")
    return name, configured[name]


def _plan(wanted: Wanted) -> records.Plan:
    stages = tuple(dict.fromkeys(_words(wanted.stages))) if wanted.stages is not None else records.STAGES
    unknown = [stage for stage in stages if stage not in records.STAGES]
    if unknown or not stages:
        named = f"no stage {unknown[0]}" if unknown else "no stage in --stages"
        raise errors.ConfigurationError(f"There is {named}; the stages are {', '.join(records.STAGES)}.")
    levels = _words(wanted.concurrency) if wanted.concurrency is not None else ["1"]
    if not levels or not all(level.isdecimal() and 1 <= int(level) <= _MOST_AT_ONCE for level in levels):
        raise errors.ConfigurationError(f"--concurrency takes numbers from 1 to {_MOST_AT_ONCE}, e.g. 1,3,8.")
    ordered = sorted(records.STAGES.index(cast("options.Served", stage)) for stage in stages)
    return records.Plan(
        stages=tuple(records.STAGES[place] for place in ordered),
        repeat=1 if wanted.repeat is None else wanted.repeat,
        concurrency=tuple(sorted({int(level) for level in levels})),
    )


_MOST_AT_ONCE = 256


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


# --- comparing ---------------------------------------------------------------------------------------------------


def compare(paths: Sequence[Path], html: Path | None, console: Console) -> None:
    """Print the comparison of some files, and write it as a page."""
    try:
        compared = comparison.compare([files.read(path) for path in paths])
    except files.NotUsable as error:
        raise errors.ConfigurationError(str(error)) from None
    show(compared, console)
    if html is not None:
        try:
            html.write_text(page.html(compared), "utf-8")
        except OSError as error:
            raise errors.ConfigurationError(f"{html} cannot be written: {error.strerror}.") from None
        console.print(f"\n{html}", markup=False, highlight=False, soft_wrap=True)


def show(compared: comparison.Comparison, console: Console) -> None:
    """The comparison as a table, with those that are disqualified and why."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    shown.add_column("figure")
    for column in compared.measured:
        shown.add_column(Text(column.label), justify="right", overflow="fold")
    group = ""
    for figure, level in compared.rows():
        if figure.group != group:
            group = figure.group
            shown.add_row("")
            shown.add_row(Text(figures.GROUPS[figure.group], style="bold"))
        best = compared.best(figure, level)
        cells = [
            Text(figures.text(figure, column.value(figure, level)), style="bold green" if column.label in best else "")
            for column in compared.measured
        ]
        shown.add_row(Text(f"  {figure.title}{'' if level is None else f', {level} at once'}"), *cells)
    console.print(shown)
    _show_refusals(compared, console)
    for note in compared.notes:
        console.print(Text(f"\n{note}"), soft_wrap=True)
    _show_verdicts(compared, console)


def _show_refusals(compared: comparison.Comparison, console: Console) -> None:
    """What the gate refused of each stage, by harm and check."""
    for stage in records.STAGES:
        found = compared.refusals(stage)
        if not found:
            continue
        columns = [column for column in compared.measured if column.proposed(stage)]
        shown = Table(box=None, pad_edge=False, header_style="bold")
        shown.add_column(f"{figures.GROUPS[stage]}: refused of 100 proposals")
        for column in columns:
            shown.add_column(Text(column.label), justify="right", overflow="fold")
        for name in found:
            harm, _, check = name.partition("/")
            shown.add_row(Text(f"  {check} ({harm})"), *(f"{column.of_hundred(stage, name):.1f}" for column in columns))
        console.print("")
        console.print(shown)


_STYLES: dict[comparison.Verdict, str] = {"good": "green", "bad": "bold red", "open": "yellow", "reference": ""}


def _show_verdicts(compared: comparison.Comparison, console: Console) -> None:
    for column in compared.columns:
        if column.verdict == "reference" and not column.failures:
            continue
        verdict = Text(comparison.VERDICTS[column.verdict], style=_STYLES[column.verdict])
        console.print(Text.assemble(f"\n{column.label}: ", verdict), soft_wrap=True)
        for sentence in column.failures:
            console.print(Text(f"  {sentence}"), soft_wrap=True)
