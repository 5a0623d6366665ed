"""Encounter/$process and Composition/$release. https://hl7.org/fhir/R4/operations.html"""

from __future__ import annotations

import functools

import sqlalchemy as sa

from fhir_gateway import errors
from fhir_gateway.rest import outcomes
from fhir_gateway.rest.ask import Answer, Ask
from fhir_gateway.runs import register, release, trigger
from fhir_gateway.search import values
from fhir_gateway.security import audit
from fhir_gateway.store import codec, database, resources, turns

POLL_SECONDS = 1  # what Retry-After tells a client that polls


def process(unit: database.Unit, ask: Ask) -> Answer:
    """POST Encounter/[id]/$process: a run over all sources of the encounter. Answers 202.

    With `Prefer: respond-async` the Content-Location is polled (https://hl7.org/fhir/R4/async.html), else it is the
    run's Task, which is the body too.
    """
    if resources.present(unit.connection, "Encounter", ask.id) is None:
        raise outcomes.not_found("Encounter", ask.id)
    sources = trigger.sources_of(unit.connection, ask.id, ask.gateway)
    if not sources:
        text = "The encounter has no transcript and no recording to work on."
        raise outcomes.Refused(422, outcomes.Issue("business-rule", text, "Encounter"))
    run = trigger.start(unit, ask.gateway, ask.id, tuple(sources))
    audit.did(unit, ask.gateway.device, "operation", [f"Encounter/{ask.id}", f"Task/{run.id}"])
    if ask.prefers("respond-async") is not None:
        issue = outcomes.Issue("informational", "The run is queued. Poll Content-Location.", severity="information")
        location = f"{ask.base}/_async/{run.id}"
        return Answer(202, resource=outcomes.outcome(issue), headers={"Content-Location": location})
    location = f"{ask.base}/Task/{run.id}"
    task = resources.present(unit.connection, "Task", run.id)
    return Answer(202, task, headers={"Location": location, "Content-Location": location}, written=True)


def process_status(connection: sa.Connection, ask: Ask) -> Answer:
    """GET _async/[run]: 202 with X-Progress while it is worked on, 200 with its outputs, else why it ended."""
    run = _run(connection, ask)
    if run.status in ("waiting", "queued", "running"):
        progress = run.reason or (f"{run.status}: {run.stage}" if run.stage else run.status)
        return Answer(202, headers={"X-Progress": _ascii(progress), "Retry-After": str(POLL_SECONDS)})
    if run.status == "cancelled":
        raise outcomes.Refused(404, outcomes.Issue("not-found", run.reason or "The run was cancelled."))
    if run.status == "failed":
        raise outcomes.Refused(422, outcomes.Issue("processing", run.reason or "The run failed.", "Encounter"))
    task = resources.present(connection, "Task", run.id)
    assert task is not None
    outputs = [str(name) for name in values.at(task.resource, "output.valueReference.reference")]
    manifest = {
        "transactionTime": resources.instant(run.updated),
        "request": f"{ask.base}/Encounter/{run.encounter}/$process",
        "requiresAccessToken": ask.gateway.token is not None,
        "output": [{"type": text.split("/")[0], "url": f"{ask.base}/{text}"} for text in outputs],
        "error": [],
    }
    return Answer(200, resource=manifest, seen=tuple(outputs), is_fhir=False)


def process_cancel(unit: database.Unit, ask: Ask) -> Answer:
    """DELETE _async/[run]: take the run back. What it has written already stays a draft."""
    run = _run(unit.connection, ask)
    register.cancel(unit, run.id, "The client took the run back.")
    unit.after_commit.append(functools.partial(ask.gateway.in_flight.end, run.id))
    audit.did(unit, ask.gateway.device, "operation", [f"Task/{run.id}"])
    return Answer(202)


def _run(connection: sa.Connection, ask: Ask) -> register.Run:
    try:
        return register.get(connection, ask.id)
    except errors.RunNotFound:
        raise outcomes.Refused(404, outcomes.Issue("not-found", "There is no such request.")) from None


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode("ascii").replace("\n", " ")[:100]


def release_composition(unit: database.Unit, ask: Ask) -> Answer:
    """POST Composition/[id]/$release with Parameters.practitioner: make a draft and what belongs to it final."""
    practitioner = _practitioner(ask.body)
    composition = resources.present(unit.connection, "Composition", ask.id)
    if composition is None:
        raise outcomes.not_found("Composition", ask.id)
    if not composition.is_own:
        raise outcomes.rule("Only a draft of this gateway can be released.", "Composition")
    encounter = values.split_reference(composition.resource["encounter"]["reference"])[1]
    turns.take(unit, encounter)
    composition = resources.present(unit.connection, "Composition", ask.id)
    assert composition is not None
    _may_release(unit.connection, practitioner)
    if ask.if_match not in (None, composition.version) and composition.resource["status"] == "preliminary":
        text = f"The draft is at version {composition.version} now; read it again before it is released."
        raise outcomes.Refused(412, outcomes.Issue("conflict", text))
    try:
        released = release.release(unit, composition.resource, practitioner, resources.instant(unit.now))
    except release.NotReleasable as error:
        raise outcomes.rule(error.message, "Composition.status") from None
    trigger.deliver_again(unit, ask.gateway, encounter)
    audit.did(unit, ask.gateway.device, "operation", [version.reference for version in released], practitioner)
    return Answer(200, resources.present(unit.connection, "Composition", ask.id), written=True)


def _practitioner(parameters: codec.Resource) -> str:
    if parameters.get("resourceType") != "Parameters":
        raise outcomes.bad_request("The body is a Parameters resource.", "Parameters", code="structure")
    for parameter in values.at(parameters, "parameter"):
        if isinstance(parameter, dict) and parameter.get("name") == "practitioner":
            for reference in values.at(parameter, "valueReference.reference"):
                found = values.split_reference(str(reference))
                if found[0] == "Practitioner":
                    return "/".join(found)
    text = "The parameter practitioner names who releases, as a reference to a Practitioner."
    raise outcomes.bad_request(text, "Parameters.parameter.where(name='practitioner')", code="required")


def _may_release(connection: sa.Connection, practitioner: str) -> None:
    at = "Parameters.parameter.where(name='practitioner')"
    who = resources.present(connection, *practitioner.split("/"))
    if who is None:
        raise outcomes.rule(f"{practitioner} is not known here; send the Practitioner first.", at, code="not-found")
    if who.resource.get("active") is False:
        raise outcomes.rule(f"{practitioner} is not active and releases nothing.", at)
