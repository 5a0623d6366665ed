"""create, read, vread, update and history of one resource. https://hl7.org/fhir/R4/http.html"""

from __future__ import annotations

import re

from starlette.responses import Response

from fhir_gateway import errors
from fhir_gateway.rest import outcomes, requests, rules, search, types
from fhir_gateway.runs import trigger
from fhir_gateway.security import audit
from fhir_gateway.store import codec, database, inbox, resources

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


async def create(context: requests.Context) -> Response:
    """POST [type] (R4 http.html#create)."""
    resource_type = _supported(context)
    resource = requests.checked(requests.decoded(context), resource_type, expected_type=resource_type)
    resource = {**resource, "id": requests.new_id()}
    condition = _if_none_exist(context, resource_type)
    stored = await context.gateway.database.write(lambda unit: _create(context, unit, resource, condition))
    return requests.resource_response(context, stored, 201 if stored.created else 200)


def _if_none_exist(context: requests.Context, resource_type: str) -> search.Query | None:
    """The condition of a conditional create (R4 http.html#ccreate)."""
    value = context.request.headers.get("if-none-exist")
    return search.parse_text(resource_type, value, context.gateway.settings.rest.page_size) if value else None


def _create(
    context: requests.Context, unit: database.Unit, resource: codec.Resource, condition: search.Query | None
) -> resources.Stored:
    existing = search.the_one(unit.connection, condition, "If-None-Exist") if condition else None
    return existing or _keep(context, unit, resource, None)


async def update(context: requests.Context) -> Response:
    """PUT [type]/[id], also as create (R4 http.html#update)."""
    resource_type, resource_id = _supported(context), context.path("id")
    resource = requests.checked(requests.decoded(context), resource_type, expected_type=resource_type)
    if resource.get("id") != resource_id:
        raise outcomes.bad_request("The id of the body is not the id of the address.", f"{resource_type}.id")
    if not _ID.fullmatch(resource_id):
        raise outcomes.bad_request("An id has 1 to 64 letters, digits, '-' and '.'.", f"{resource_type}.id")
    version = requests.if_match(context)
    try:
        stored = await context.gateway.database.write(lambda unit: _keep(context, unit, resource, version))
    except errors.VersionConflict as error:
        raise outcomes.Refused(412 if version else 409, outcomes.Issue("conflict", error.message)) from None
    return requests.resource_response(context, stored, 201 if stored.created else 200)


async def read(context: requests.Context) -> Response:
    """GET [type]/[id] (R4 http.html#read)."""
    resource_type, resource_id = _supported(context), context.path("id")
    stored = await context.gateway.database.read(
        lambda connection: resources.read(connection, resource_type, resource_id)
    )
    return await _served(context, stored)


async def vread(context: requests.Context) -> Response:
    """GET [type]/[id]/_history/[vid] (R4 http.html#vread)."""
    resource_type, resource_id, version = _supported(context), context.path("id"), context.path("version")
    number = int(version) if version.isdigit() and len(version) < 10 else 0
    stored = await context.gateway.database.read(
        lambda connection: resources.vread(connection, resource_type, resource_id, number)
    )
    return await _served(context, stored)


async def history(context: requests.Context) -> Response:
    """GET [type]/[id]/_history (R4 http.html#history)."""
    resource_type, resource_id = _supported(context), context.path("id")
    versions = await context.gateway.database.read(
        lambda connection: resources.history(connection, resource_type, resource_id)
    )
    if not versions:
        raise outcomes.not_found(resource_type, resource_id)
    await audit.accessed(context.gateway, "history", [f"{resource_type}/{resource_id}"])
    return requests.json_response(
        {
            "resourceType": "Bundle",
            "type": "history",
            "total": len(versions),
            "link": [{"relation": "self", "url": f"{context.base}/{resource_type}/{resource_id}/_history"}],
            "entry": [_history_entry(context, stored) for stored in versions],
        }
    )


def _history_entry(context: requests.Context, stored: resources.Stored) -> codec.Resource:
    return {
        "fullUrl": f"{context.base}/{stored.type}/{stored.id}",
        "resource": stored.resource,
        "request": {"method": "POST" if stored.version == 1 else "PUT", "url": f"{stored.type}/{stored.id}"},
        "response": {
            "status": "201 Created" if stored.version == 1 else "200 OK",
            "etag": stored.etag,
            "lastModified": resources.instant(stored.at),
        },
    }


def _supported(context: requests.Context) -> str:
    resource_type = context.path("type")
    if resource_type not in types.SUPPORTED:
        raise outcomes.not_supported(resource_type)
    return resource_type


async def _served(context: requests.Context, stored: resources.Stored | None) -> Response:
    resource_type, resource_id = context.path("type"), context.path("id")
    if stored is None or stored.body is None:
        raise outcomes.not_found(resource_type, resource_id)
    await audit.accessed(context.gateway, "read", [f"{resource_type}/{resource_id}"])
    if context.request.headers.get("if-none-match") == stored.etag:
        return Response(None, 304, {"ETag": stored.etag})
    return requests.resource_response(context, stored)


def _keep(
    context: requests.Context, unit: database.Unit, resource: codec.Resource, version: int | None
) -> resources.Stored:
    """The resource, the request's bytes, the audit row and the run that it starts: one durable commit."""
    rules.check(unit.connection, resource, resource["resourceType"])
    received = inbox.keep(unit, context.message, status=200)
    stored = resources.put(unit, resource, received=received, if_version=version)
    audit.wrote(unit, context.gateway.device, [stored])
    trigger.stored(unit, context.gateway, [stored])
    return stored
