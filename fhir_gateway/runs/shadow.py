"""`runs replay --shadow`: stored encounters under another model. Nothing is written, the difference is told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from fhir_gateway import app, errors, settings
from fhir_gateway.runs import register, stages
from pipeline import documenting, flow, results
from pipeline.engines import base, memory_fit, models, options, serving
from pipeline.evaluation import difference


@dataclass(frozen=True, slots=True)
class _Before:
    """What a run wrote, as its stages' outputs have it."""

    run: register.Run
    gathered: stages.Gathered
    note: results.Note
    summary: results.PatientSummary
    coding: results.Coding
    check: results.SafetyCheck
    billing: results.Billing | None


def texts(config: settings.Settings, run_id: str | None, model: str, limit: int) -> Iterator[str]:
    """One text a run: its id, where the model was of no use, and what would be added, lost or changed.

    `model` serves every stage.

    Without `run_id` the newest `limit` completed runs. Raises ConfigurationError for a model that cannot be used.
    """
    if model != options.RULES and model not in config.models:
        known = ", ".join((*config.models, options.RULES))
        raise errors.ConfigurationError(f"--shadow needs --model, one of {known}.")
    with app.opened(config) as store:
        found = store.read_now(lambda connection: _stored(connection, run_id, limit))
    chain = (options.RULES,) if model == options.RULES else (model, options.RULES)
    served = options.Stages.model_validate(dict.fromkeys(options.Stages.model_fields, chain))
    assumed = documenting.Options(app.insurance(config), config.summary.readability)
    wanted = {name: config.models[name] for name in served.models}
    with asyncio.Runner() as runner:
        loaded = models.configured(wanted, served)
        try:
            memory_fit.require(wanted)
            runner.run(loaded.start())
            for before in found:
                work = documenting.everything(serving.Setting(loaded), before.gathered.consultation, assumed)
                after = runner.run(work)
                yield f"{before.run.id}  Encounter/{before.run.encounter}\n{difference.report(before, after)}"
        except base.NotUsable as error:
            raise errors.ConfigurationError(str(error)) from None
        finally:
            runner.run(loaded.close())


def _stored(connection: sa.Connection, run_id: str | None, limit: int) -> list[_Before]:
    runs = [register.get(connection, run_id)] if run_id else register.listed(connection, "completed", limit)
    return [_before(connection, run) for run in runs]


def _before(connection: sa.Connection, run: register.Run) -> _Before:
    return _Before(
        run=run,
        gathered=_output(connection, run, "gather", stages.Gathered),
        note=_output(connection, run, "scribe", results.Note),
        summary=_output(connection, run, "summarise", results.PatientSummary),
        coding=_output(connection, run, "code", results.Coding),
        check=_output(connection, run, "check", results.SafetyCheck),
        billing=_output(connection, run, "bill", stages.Billed).billing,
    )


def _output(connection: sa.Connection, run: register.Run, stage: flow.Stage, model: type[stages.Model]) -> stages.Model:
    body = register.output(connection, run.id, stage)
    if body is None:
        raise errors.ConfigurationError(f"The run {run.id} has not finished its stage {stage}.")
    return model.model_validate_json(body)
