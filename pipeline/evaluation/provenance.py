"""The first line of a measurement: the versions of all that its figures depend on."""

from __future__ import annotations

import datetime as dt
import hashlib
import importlib.resources
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources.abc import Traversable

from pipeline import prompts
from pipeline.engines import options
from pipeline.evaluation import cases, machine, records
from pipeline.evaluation import judge as judging
from terminology import tables


def header(
    plan: records.Plan,
    measured: Iterable[cases.Case],
    models: Mapping[str, options.Model],
    *,
    gateway: str,
    judge: tuple[str, options.Model] | None,
    readability: float,
    keep_texts: bool,
) -> records.Header:
    """The header of a measurement that begins now. `gateway` is the service's version."""
    stages = (*plan.stages, *((judging.PROMPT,) if judge else ()))
    return records.Header(
        begun=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        gateway=gateway,
        rules=_rules(),
        tables=tables.digest(),
        prompts={stage: prompts.load(stage).digest for stage in stages},
        cases={case.name: case.digest for case in measured},
        models={name: _configured(model) for name, model in models.items()},
        judge=f"{judge[0]} {_configured(judge[1])}" if judge else None,
        readability=readability,
        plan=plan,
        has_texts=keep_texts,
        machine=machine.describe(),
    )


def _configured(model: options.Model) -> str:
    """A digest of a model's section: it names no host and no file in a report that is passed on."""
    return hashlib.sha256(model.model_dump_json().encode()).hexdigest()[:12]


def _rules() -> str:
    """A digest of the code of the stages, the rules engine, the gate, and of this measurement."""
    total = hashlib.sha256()
    for package in ("pipeline", "terminology"):
        for name, file in sorted(_sources(importlib.resources.files(package), package), key=lambda found: found[0]):
            total.update(name.encode())
            total.update(file.read_bytes())
    return total.hexdigest()[:16]


def _sources(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        name = f"{prefix}/{entry.name}"
        if entry.is_dir():
            yield from _sources(entry, name)
        elif name.endswith(".py"):
            yield name, entry
