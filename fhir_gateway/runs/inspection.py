"""Looking at runs and replaying them from the command line, beside a running gateway or without one."""

from __future__ import annotations

from typing import cast, get_args

import sqlalchemy as sa
from dbos import DBOSClient

from fhir_gateway import app, errors, settings
from fhir_gateway.runs import register, stages, trigger
from fhir_gateway.store import database, resources
from pipeline import flow, results


def lines(config: settings.Settings, state: str | None, limit: int) -> list[str]:
    """One line a run: id, time, state, stage, encounter, reason."""
    with app.opened(config) as store:
        found = store.read_now(lambda connection: register.listed(connection, state, limit))
    return [
        "  ".join(
            (run.id, resources.instant(run.created), f"{run.status:<9}", f"{run.stage or '-':<10}",
             f"Encounter/{run.encounter}", run.reason or "")
        ).rstrip()
        for run in found
    ]  # fmt: skip


def text(config: settings.Settings, run_id: str) -> str:
    """A run with its stages, and what became of each question to a model."""
    with app.opened(config) as store:
        run = store.read_now(lambda connection: register.get(connection, run_id))
        timings = store.read_now(lambda connection: register.timings(connection, run_id))
        asked = store.read_now(lambda connection: {stage: _asked(connection, run_id, stage) for stage in timings})
    told = [
        f"run        {run.id}",
        f"state      {run.status}",
        f"encounter  Encounter/{run.encounter}",
        f"sources    {', '.join(run.sources)}",
        f"created    {resources.instant(run.created)}",
        f"updated    {resources.instant(run.updated)}",
    ]
    if run.reason:
        told.append(f"reason     {run.reason}")
    for stage, (micros, engine) in timings.items():
        told.append(f"  {stage:<10} {micros / 1000:9.1f} ms  {engine}")
        told += [f"    {_of_attempt(attempt)}" for attempt in asked[stage]]
    return "\n".join(told)


def _asked(connection: sa.Connection, run_id: str, stage: flow.Stage) -> tuple[results.Attempt, ...]:
    body = register.output(connection, run_id, stage)
    return () if body is None else stages.read_work(stage, body).attempts


def _of_attempt(attempt: results.Attempt) -> str:
    """One line: model, outcome, how it was decoded, tokens, and why it was of no use."""
    parts = (
        attempt.model,
        f"{attempt.outcome}{' (second question)' if attempt.is_second else ''}",
        *([attempt.mode] if attempt.mode else ()),
        f"{attempt.tokens} tokens",
        f"{attempt.wall_seconds:.1f} s",
        *([attempt.text] if attempt.text else ()),
    )
    return "  ".join(parts)


def replay(config: settings.Settings, run_id: str, from_stage: str) -> str:
    """Queue a run again from a stage on. Its resources keep their ids, so nothing is written twice."""
    if from_stage not in get_args(flow.Stage):
        raise errors.ConfigurationError(f"There is no stage {from_stage}. The stages are {', '.join(flow.STAGES)}.")
    stage = cast("flow.Stage", from_stage)
    url = app.database_url(config)
    with app.opened(config) as store:
        engine = app.engine_connection(url)
        client = app.client(url, engine)
        try:
            store.submit(lambda unit: _replay(unit, client, run_id, stage)).result()
        finally:
            client.destroy()
            engine.dispose()
    return f"Run {run_id} is queued from {from_stage} on."


def _replay(unit: database.Unit, client: DBOSClient, run_id: str, stage: flow.Stage) -> None:
    register.get(unit.connection, run_id)
    register.forget_outputs(unit, run_id, stage)
    workflow = f"{run_id}.{unit.now}"
    register.change(unit, run_id, status="queued", workflow=workflow)
    client.enqueue_in_transaction(
        unit.connection,
        {"workflow_name": trigger.WORKFLOW, "queue_name": trigger.QUEUE, "workflow_id": workflow},
        run_id,
    )
