"""Encounter/$process and Composition/$release. https://hl7.org/fhir/R4/operations.html"""

from __future__ import annotations

from starlette.responses import Response

from fhir_gateway.rest import outcomes, requests
from fhir_gateway.runs import release, trigger
from fhir_gateway.security import audit
from fhir_gateway.store import database, inbox, resources, search_index


async def process(context: requests.Context) -> Response:
    """POST Encounter/[id]/$process: a run over all sources of the encounter. Answers 202 with its Task."""
    encounter = context.path("id")
    stored = await context.gateway.database.write(lambda unit: _process(context, unit, encounter))
    location = f"{context.base}/Task/{stored.id}"
    return Response(stored.body, 202, {"Location": location, "Content-Location": location}, requests.FHIR_JSON)


def _process(context: requests.Context, unit: database.Unit, encounter: str) -> resources.Stored:
    known = resources.read(unit.connection, "Encounter", encounter)
    if known is None or known.body is None:
        raise outcomes.not_found("Encounter", encounter)
    sources = trigger.sources_of(unit.connection, encounter, context.gateway)
    if not sources:
        text = "The encounter has no transcript and no recording to work on."
        raise outcomes.Refused(422, outcomes.Issue("business-rule", text, "Encounter"))
    inbox.keep(unit, context.message, status=202)
    run = trigger.start(unit, context.gateway, encounter, tuple(sources))
    audit.did(unit, context.gateway.device, "operation", [f"Encounter/{encounter}", f"Task/{run.id}"])
    task = resources.read(unit.connection, "Task", run.id)
    assert task is not None
    return task


async def release_composition(context: requests.Context) -> Response:
    """POST Composition/[id]/$release with Parameters.practitioner: make a draft and what belongs to it final."""
    practitioner = _practitioner(context)
    composition = context.path("id")
    stored = await context.gateway.database.write(lambda unit: _release(context, unit, composition, practitioner))
    return requests.resource_response(context, stored)


def _practitioner(context: requests.Context) -> str:
    parameters = requests.decoded(context)
    if parameters.get("resourceType") != "Parameters":
        raise outcomes.bad_request("The body is a Parameters resource.", "Parameters", code="structure")
    for parameter in parameters.get("parameter", []):
        if isinstance(parameter, dict) and parameter.get("name") == "practitioner":
            reference = parameter.get("valueReference", {}).get("reference", "")
            if search_index.split_reference(str(reference))[0] == "Practitioner":
                return "/".join(search_index.split_reference(str(reference)))
    text = "The parameter practitioner names who releases, as a reference to a Practitioner."
    raise outcomes.bad_request(text, "Parameters.parameter.where(name='practitioner')", code="required")


def _release(
    context: requests.Context, unit: database.Unit, composition_id: str, practitioner: str
) -> resources.Stored:
    composition = resources.read(unit.connection, "Composition", composition_id)
    if composition is None or composition.body is None:
        raise outcomes.not_found("Composition", composition_id)
    who = resources.read(unit.connection, *practitioner.split("/"))
    if who is None or who.body is None:
        text = f"{practitioner} is not known here; send the Practitioner first."
        raise outcomes.rule(text, "Parameters.parameter.where(name='practitioner')", code="not-found")
    if who.resource.get("active") is False:
        text = f"{practitioner} is not active and releases nothing."
        raise outcomes.rule(text, "Parameters.parameter.where(name='practitioner')")
    read = requests.if_match(context)
    if read not in (None, composition.version) and composition.resource["status"] == "preliminary":
        text = f"The draft is at version {composition.version} now; read it again before it is released."
        raise outcomes.Refused(412, outcomes.Issue("conflict", text))
    inbox.keep(unit, context.message, status=200)
    try:
        released = release.release(unit, composition.resource, practitioner, resources.instant(unit.now))
    except release.NotReleasable as error:
        raise outcomes.rule(error.message, "Composition.status") from None
    references = [f"{version.type}/{version.id}" for version in released]
    encounter = search_index.split_reference(composition.resource["encounter"]["reference"])[1]
    trigger.deliver_again(unit, context.gateway, encounter)
    audit.did(unit, context.gateway.device, "operation", references, practitioner)
    result = resources.read(unit.connection, "Composition", composition_id)
    assert result is not None
    return result
