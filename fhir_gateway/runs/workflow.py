"""The durable workflow: stages in the order of `pipeline.flow`, each a checkpointed step of the engine (DBOS).

The engine's tables hold run ids and stage names, never a word of the patient. A stage that finished before a crash is
found by its stored output and not done again. The order of the steps is the replay contract of a running workflow: when
it changes, APPLICATION_VERSION changes too.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import sqlalchemy as sa
import structlog
from dbos import DBOS, PortableWorkflowError
from dbos import error as dbos_error

from fhir_gateway import errors
from fhir_gateway.ehr import client as ehr_client
from fhir_gateway.runs import in_flight, register, stages, trigger, write_back
from fhir_gateway.store import database
from pipeline import clinical, flow

if TYPE_CHECKING:
    from fhir_gateway.app import Gateway

APPLICATION_VERSION = "document-encounter-1"
_REPLACED = "A later source of this encounter started a newer run."
MAX_RECOVERY_ATTEMPTS = 1_000_000  # the engine counts every restart; we count those without progress
POISONOUS_STARTS = 10  # beginnings of one stage without an end, after which its run is dead

log = structlog.get_logger()

_gateway: Gateway | None = None


class StageFailed(Exception):
    """A stage failed in a way that another try may mend. Carries the error's type, never its text."""


def bind(gateway: Gateway | None) -> None:
    """The gateway whose runs this process works on. The engine allows one a process."""
    global _gateway
    _gateway = gateway


def _bound() -> Gateway:
    assert _gateway is not None, "workflow.bind was not called"
    return _gateway


@DBOS.workflow(name=trigger.WORKFLOW, max_recovery_attempts=MAX_RECOVERY_ATTEMPTS)
async def document_encounter(run_id: str) -> str:
    """All stages of a run; its end is always written to the run, whatever it is."""
    for group in flow.ORDER:
        answers = await asyncio.gather(*(_attempted(run_id, stage) for stage in group))
        ended = [answer for answer in answers if answer]
        if ended:
            return ended[0]
    return "completed"


@DBOS.workflow(name=trigger.DELIVERY, max_recovery_attempts=MAX_RECOVERY_ATTEMPTS)
async def deliver_again(run_id: str) -> str:
    """Send to those who receive results what changed after the run: its release."""
    gateway = _bound()
    options = gateway.settings.ehr or gateway.settings.runs
    try:
        await DBOS.run_step_async(
            {
                "name": "deliver-again",
                "retries_allowed": True,
                "max_attempts": options.attempts,
                "interval_seconds": options.backoff_seconds,
                "backoff_rate": 2.0,
            },
            _deliver_again,
            run_id,
        )
    except (dbos_error.DBOSException, PortableWorkflowError):
        reason = "The release could not be handed on; replay the run from deliver."
        return await DBOS.run_step_async({"name": "end-deliver-again"}, _end, run_id, "deliver", "failed", reason)
    return "completed"


async def _deliver_again(run_id: str) -> None:
    gateway = _bound()
    run = await gateway.database.read(lambda connection: register.get(connection, run_id))
    try:
        await stages.deliver_encounter(gateway, run)
    except ehr_client.Rejected as error:
        await _end(run_id, "deliver", "failed", error.reason)
    except Exception as error:  # noqa: BLE001 - its text may quote the patient: only its type goes on
        raise StageFailed(stages.public_reason(error)) from None


async def _attempted(run_id: str, stage: flow.Stage) -> str | None:
    """One stage with its retries; the state in which the run ended when it cannot go on."""
    settings = _bound().settings
    options = settings.ehr if stage == "deliver" and settings.ehr else settings.runs
    try:
        return await DBOS.run_step_async(
            {
                "name": stage,
                "retries_allowed": True,
                "max_attempts": options.attempts,
                "interval_seconds": options.backoff_seconds,
                "backoff_rate": 2.0,
            },
            _step,
            run_id,
            stage,
        )
    except (dbos_error.DBOSException, PortableWorkflowError) as error:
        causes = ", ".join(sorted({str(cause).rstrip(".") for cause in getattr(error, "errors", ())}))
        reason = f"The stage {stage} failed {options.attempts} times: {causes or 'see the log'}."
    return await DBOS.run_step_async({"name": f"end-{stage}"}, _end, run_id, stage, "failed", reason)


async def _step(run_id: str, stage: flow.Stage) -> str | None:
    """Do a stage once. None when it is done, the run's last state when it is over; raises to be tried again."""
    gateway = _bound()
    run, done, superseded = await gateway.database.read(lambda connection: _look(connection, run_id, stage))
    if run.status == "cancelled":
        return "cancelled"
    if done:
        return None
    if superseded:
        return await _end(run_id, stage, "cancelled", _REPLACED)
    starts = await gateway.database.write(lambda unit: register.begin(unit, run_id, stage))
    if starts > POISONOUS_STARTS:
        return await _end(run_id, stage, "failed", f"The process ended {starts - 1} times while it worked on {stage}.")
    try:
        doing = stages.do(gateway, run, stage)
        result, micros = await (gateway.in_flight.work(run, doing) if stage in stages.SERVED else doing)
    except (write_back.Superseded, in_flight.Ended):
        return await _end(run_id, stage, "cancelled", _REPLACED)
    except (clinical.StageRefused, ehr_client.Rejected) as error:
        return await _end(run_id, stage, "failed", error.reason)
    except Exception as error:  # noqa: BLE001 - its text may quote the patient: only its type goes on
        gateway.metrics.stage_failures.labels(stage).inc()
        log.warning("stage failed", run=run_id, stage=stage, error=type(error).__name__, at=errors.place(error))
        await gateway.database.write(lambda unit: register.ended(unit, run_id, stage))
        raise StageFailed(stages.public_reason(error)) from None
    await gateway.database.write(lambda unit: stages.finish(unit, gateway, run, stage, result, micros))
    gateway.metrics.stage_seconds.labels(stage).observe(micros / 1_000_000)
    return None


def _look(connection: sa.Connection, run_id: str, stage: flow.Stage) -> tuple[register.Run, bool, bool]:
    run = register.get(connection, run_id)
    done = register.output(connection, run_id, stage) is not None
    return run, done, register.is_superseded(connection, run)


def _close(unit: database.Unit, run_id: str, stage: str, state: register.State, reason: str) -> None:
    if register.get(unit.connection, run_id).status != "cancelled":
        register.change(unit, run_id, status=state, stage=stage, reason=reason)
    register.ended(unit, run_id, cast("flow.Stage", stage))


async def _end(run_id: str, stage: str, state: register.State, reason: str) -> str:
    """Write the run's last state with its reason, which stands in our own tables and not in the engine's."""
    gateway = _bound()
    await gateway.database.write(lambda unit: _close(unit, run_id, stage, state, reason))
    gateway.metrics.runs.labels(state).inc()
    log.warning("run ended", run=run_id, stage=stage, state=state)
    return state
