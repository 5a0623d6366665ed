"""The runs themselves: their row, their Task, and the outputs of their stages. All in the caller's transaction.

States: `waiting` (its encounter is not known yet), `queued`, `running`, `completed`, `failed` (dead: see the reason,
replay it), `cancelled` (a later source of the same encounter started a newer run, or the client took it back).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import sqlalchemy as sa

from fhir_gateway import errors, ids
from fhir_gateway.store import codec, database, resources, schema, statements
from mappers.results_to_fhir import task
from pipeline import flow, results

State = Literal["waiting", "queued", "running", "completed", "failed", "cancelled"]

_run, _output, _start = schema.run, schema.stage_output, schema.stage_start

#: Most encounters have no run when they come.
_WAITING = statements.Statement("SELECT 1 FROM run WHERE encounter = :encounter AND status = 'waiting' LIMIT 1")


@dataclass(frozen=True, slots=True)
class Run:
    """One run. `sources` are Type/id in the order of their arrival; `focus` is the one that started it."""

    id: str
    number: int
    encounter: str
    status: State
    stage: str | None
    workflow: str | None
    sources: tuple[str, ...]
    focus: str
    reason: str | None
    created: int
    updated: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a finished run shows on its Task: references by kind, German sentences, what was refused, and the stages
    whose models were asked in vain.
    """

    outputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    refused: tuple[results.Rejected, ...] = ()
    unserved: tuple[str, ...] = ()


def create(
    unit: database.Unit, encounter: str, sources: tuple[str, ...], focus: str, patient: str | None, state: State
) -> Run:
    """A new run with its Task. `encounter` is an id, `patient` a reference."""
    newest = unit.connection.execute(
        sa.select(sa.func.max(_run.c.number)).where(_run.c.encounter == encounter)
    ).scalar_one_or_none()
    run_id = ids.new()
    run = Run(
        id=run_id,
        number=max(unit.now, (newest or 0) + 1),
        encounter=encounter,
        status=state,
        stage=None,
        workflow=run_id,
        sources=sources,
        focus=focus,
        reason=f"Waits for Encounter/{encounter}, which has not been received yet." if state == "waiting" else None,
        created=unit.now,
        updated=unit.now,
    )
    unit.connection.execute(_run.insert().values(**_row(run)))
    _write_task(unit, run, patient, Outcome())
    return run


def change(
    unit: database.Unit,
    run_id: str,
    *,
    status: State,
    stage: str | None = None,
    reason: str | None = None,
    outcome: Outcome | None = None,
    workflow: str | None = None,
    patient: str | None = None,
) -> None:
    """Move a run on, and its Task with it. What is not given stays as it is, but for the reason."""
    run = get(unit.connection, run_id)
    changed = Run(
        id=run.id,
        number=run.number,
        encounter=run.encounter,
        status=status,
        stage=stage or run.stage,
        workflow=workflow or run.workflow,
        sources=run.sources,
        focus=run.focus,
        reason=reason[:512] if reason else None,
        created=run.created,
        updated=unit.now,
    )
    unit.connection.execute(_run.update().where(_run.c.id == run_id).values(**_row(changed)))
    _write_task(unit, changed, patient, outcome or Outcome())


def cancel(unit: database.Unit, run_id: str, reason: str) -> bool:
    """End a run that has not ended yet; whether there was anything to end. A stage under way is not waited for."""
    if get(unit.connection, run_id).status not in ("waiting", "queued", "running"):
        return False
    change(unit, run_id, status="cancelled", reason=reason)
    return True


def get(connection: sa.Connection, run_id: str) -> Run:
    """One run; RunNotFound when there is none."""
    row = connection.execute(sa.select(_run).where(_run.c.id == run_id)).first()
    if row is None:
        raise errors.RunNotFound
    return _from_row(row)


def listed(connection: sa.Connection, state: str | None = None, limit: int = 50) -> list[Run]:
    """The newest runs, all or those in one state."""
    query = sa.select(_run).order_by(_run.c.created.desc()).limit(limit)
    if state is not None:
        query = query.where(_run.c.status == state)
    return [_from_row(row) for row in connection.execute(query)]


def has_runs(connection: sa.Connection, encounter: str) -> bool:
    """Whether any run was ever started for an encounter."""
    query = sa.select(_run.c.id).where(_run.c.encounter == encounter).limit(1)
    return connection.execute(query).first() is not None


def waiting_for(connection: sa.Connection, encounter: str) -> list[Run]:
    """The runs that wait for this encounter."""
    if _WAITING.run(connection, encounter=encounter).fetchone() is None:
        return []
    query = sa.select(_run).where(_run.c.encounter == encounter, _run.c.status == "waiting").order_by(_run.c.number)
    return [_from_row(row) for row in connection.execute(query)]


def newest_completed(connection: sa.Connection, encounter: str) -> Run | None:
    """The newest finished run of an encounter."""
    query = (
        sa.select(_run)
        .where(_run.c.encounter == encounter, _run.c.status == "completed")
        .order_by(_run.c.number.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return None if row is None else _from_row(row)


def is_superseded(connection: sa.Connection, run: Run) -> bool:
    """Whether a newer run of the same encounter is under way or done; one that failed takes nobody's place."""
    newer = sa.and_(_run.c.encounter == run.encounter, _run.c.number > run.number)
    query = sa.select(sa.literal(1)).where(newer, _run.c.status.not_in(("failed", "cancelled"))).limit(1)
    return connection.execute(query).first() is not None


def begin(unit: database.Unit, run_id: str, stage: flow.Stage) -> int:
    """Note that a stage is begun; how often that has happened without an end."""
    mine = (_start.c.run == run_id, _start.c.stage == stage)
    starts = unit.connection.execute(sa.select(_start.c.starts).where(*mine)).scalar_one_or_none()
    if starts is None:
        unit.connection.execute(_start.insert().values(run=run_id, stage=stage, starts=1))
        return 1
    unit.connection.execute(_start.update().where(*mine).values(starts=starts + 1))
    return int(starts) + 1


def ended(unit: database.Unit, run_id: str, stage: flow.Stage) -> None:
    """Forget the beginnings of a stage that has finished, or failed in an orderly way."""
    unit.connection.execute(_start.delete().where(_start.c.run == run_id, _start.c.stage == stage))


def save_output(unit: database.Unit, run_id: str, stage: flow.Stage, body: bytes, micros: int, engine: str) -> None:
    """Keep what a stage said; a stage that had been finished before keeps its first output."""
    exists = sa.select(sa.literal(1)).where(_output.c.run == run_id, _output.c.stage == stage)
    if unit.connection.execute(exists).first() is None:
        unit.connection.execute(
            _output.insert().values(run=run_id, stage=stage, body=body, at=unit.now, micros=micros, engine=engine)
        )


def output(connection: sa.Connection, run_id: str, stage: flow.Stage) -> bytes | None:
    """What a finished stage said; None when it is not finished."""
    query = sa.select(_output.c.body).where(_output.c.run == run_id, _output.c.stage == stage)
    body = connection.execute(query).scalar_one_or_none()
    return None if body is None else bytes(body)


def timings(connection: sa.Connection, run_id: str) -> dict[flow.Stage, tuple[int, str]]:
    """Microseconds and engine of each finished stage, in the order of the flow."""
    rows = connection.execute(
        sa.select(_output.c.stage, _output.c.micros, _output.c.engine).where(_output.c.run == run_id)
    )
    found = {row.stage: (row.micros, row.engine) for row in rows}
    return {stage: found[stage] for stage in flow.STAGES if stage in found}


def forget_outputs(unit: database.Unit, run_id: str, first: flow.Stage) -> None:
    """Drop what must be made again when `first` runs again."""
    again = flow.from_stage(first)
    unit.connection.execute(_output.delete().where(_output.c.run == run_id, _output.c.stage.in_(again)))


def _row(run: Run) -> dict[str, object]:
    return {
        "id": run.id,
        "number": run.number,
        "encounter": run.encounter,
        "status": run.status,
        "stage": run.stage,
        "workflow": run.workflow,
        "sources": codec.encode({"all": run.sources, "focus": run.focus}),
        "reason": run.reason,
        "created": run.created,
        "updated": run.updated,
    }


def _from_row(row: sa.Row[tuple[object, ...]]) -> Run:
    values = dict(row._mapping)
    sources = codec.decode(bytes(values["sources"]))
    return Run(**{**values, "sources": tuple(sources["all"]), "focus": sources["focus"]})


def _write_task(unit: database.Unit, run: Run, patient: str | None, outcome: Outcome) -> None:
    if patient is None:
        current = resources.read(unit.connection, "Task", run.id)
        patient = current.resource.get("for", {}).get("reference") if current else None
    resources.put(
        unit,
        task.build(
            task.Run(
                id=run.id,
                encounter=f"Encounter/{run.encounter}",
                patient=patient,
                sources=run.sources,
                focus=run.focus,
                state=run.status,
                created=resources.instant(run.created),
                updated=resources.instant(run.updated),
                stage=run.stage,
                reason=run.reason,
                outputs=outcome.outputs,
                notes=outcome.notes,
                refused=outcome.refused,
                unserved=outcome.unserved,
            )
        ),
    )
