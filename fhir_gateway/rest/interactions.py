"""read, vread, create, update, patch and delete, plain and conditional. https://hl7.org/fhir/R4/http.html"""

from __future__ import annotations

import email.utils

import sqlalchemy as sa

from fhir_gateway import ids
from fhir_gateway.rest import conditional, outcomes, patch, types, writes
from fhir_gateway.rest.ask import Answer, Ask
from fhir_gateway.store import codec, database, resources


def read(connection: sa.Connection, ask: Ask) -> Answer:
    """GET [type]/[id] (R4 http.html#read); 410 when it was deleted."""
    return _served(ask, resources.read(connection, ask.type, ask.id))


def vread(connection: sa.Connection, ask: Ask) -> Answer:
    """GET [type]/[id]/_history/[vid] (R4 http.html#vread)."""
    text = ask.path["version"]
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    return _served(ask, resources.vread(connection, ask.type, ask.id, number))


def _served(ask: Ask, stored: resources.Stored | None) -> Answer:
    if stored is None:
        raise outcomes.not_found(ask.type, ask.id)
    if stored.body is None:
        raise outcomes.Refused(410, outcomes.Issue("deleted", f"{stored.reference} has been deleted."))
    if _is_known(ask, stored):
        return Answer(304, headers={"ETag": stored.etag})
    return Answer(200, stored, seen=(stored.reference,))


def _is_known(ask: Ask, stored: resources.Stored) -> bool:
    """Whether the client has this version already: If-None-Match, else If-Modified-Since (R4 http.html#cread)."""
    tags = ask.headers.get("if-none-match")
    if tags is not None:
        known = {tag.strip().removeprefix("W/") for tag in tags.split(",")}
        return "*" in known or stored.etag.removeprefix("W/") in known
    since = ask.headers.get("if-modified-since")
    if since is None:
        return False
    try:
        moment = email.utils.parsedate_to_datetime(since)
    except ValueError:
        raise outcomes.bad_request("If-Modified-Since is not an HTTP date.") from None
    return stored.at // 1_000_000 <= int(moment.timestamp())


def create(unit: database.Unit, ask: Ask) -> Answer:
    """POST [type], with If-None-Exist only when nothing matches (R4 http.html#create, #ccreate)."""
    resource = {**ask.body, "id": ids.new()}
    condition = ask.headers.get("if-none-exist")
    if condition:
        existing = conditional.once(unit, ask, conditional.pairs(condition), resource["id"])
        if existing is not None:
            return Answer(200, existing, written=True)
    return Answer(201, writes.put(unit, ask, resource, is_new=True), written=True)


def update(unit: database.Unit, ask: Ask) -> Answer:
    """PUT [type]/[id], also as create (R4 http.html#update, #upsert)."""
    if ask.headers.get("if-none-match", "").strip() == "*" and resources.present(unit.connection, ask.type, ask.id):
        raise outcomes.Refused(412, outcomes.Issue("conflict", "The resource exists already.", ask.at))
    return _put(unit, ask, ask.body)


def _put(unit: database.Unit, ask: Ask, resource: codec.Resource) -> Answer:
    stored = writes.put(unit, ask, resource, if_version=ask.if_match)
    return Answer(201 if stored.created else 200, stored, written=True)


def conditional_update(unit: database.Unit, ask: Ask) -> Answer:
    """PUT [type]?[search] (R4 http.html#cond-update)."""
    return _put(unit, ask, {**ask.body, "id": conditional.updated(unit, ask)})


def patch_resource(unit: database.Unit, ask: Ask) -> Answer:
    """PATCH [type]/[id] with a JSON Patch or a FHIRPath Patch (R4 http.html#patch)."""
    current = resources.read(unit.connection, ask.type, ask.id)
    if current is None:
        raise outcomes.not_found(ask.type, ask.id)
    if current.body is None:
        raise outcomes.Refused(410, outcomes.Issue("deleted", f"{current.reference} has been deleted."))
    return _patched(unit, ask, current)


def conditional_patch(unit: database.Unit, ask: Ask) -> Answer:
    """PATCH [type]?[search] (R4 http.html#patch)."""
    current = conditional.match(unit.connection, conditional.parse(ask, ask.type, ask.pairs), ask.condition_expression)
    if current is None:
        raise outcomes.Refused(404, outcomes.Issue("not-found", "The condition matches no resource.", ask.at))
    return _patched(unit, ask, current)


def _patched(unit: database.Unit, ask: Ask, current: resources.Stored) -> Answer:
    if current.type in types.READ_ONLY:
        raise outcomes.not_allowed(f"Only the gateway itself writes {current.type}.")
    if ask.if_match not in (None, current.version):
        raise outcomes.Refused(412, outcomes.Issue("conflict", "The resource is at another version now.", ask.at))
    is_fhirpath = isinstance(ask.body, dict) and ask.body.get("resourceType") == "Parameters"
    apply = patch.fhirpath_patch if is_fhirpath else patch.json_patch
    try:
        resource = apply(current.resource, ask.body)
    except patch.CannotPatch as error:
        raise outcomes.Refused(error.status, outcomes.Issue(error.code, error.text, error.expression)) from None
    try:
        writes.check(resource, current.type)
    except outcomes.Refused as refusal:
        raise outcomes.Refused(422, *refusal.issues) from None
    return Answer(200, writes.put(unit, ask, resource, if_version=current.version), written=True)


def delete(unit: database.Unit, ask: Ask) -> Answer:
    """DELETE [type]/[id] (R4 http.html#delete); what is not there is deleted already."""
    if ask.type in types.READ_ONLY:
        raise outcomes.not_allowed(f"{ask.type} is never deleted.")
    deletion = writes.delete(unit, ask, ask.type, ask.id, ask.if_match)
    return Answer(204, headers={"ETag": deletion.etag} if deletion else {})


def conditional_delete(unit: database.Unit, ask: Ask) -> Answer:
    """DELETE [type]?[search] for at most one match (R4 http.html#3.1.0.7.1)."""
    if ask.type in types.READ_ONLY:
        raise outcomes.not_allowed(f"{ask.type} is never deleted.")
    found = conditional.match(unit.connection, conditional.parse(ask, ask.type, ask.pairs), ask.condition_expression)
    if found is not None:
        writes.delete(unit, ask, found.type, found.id, ask.if_match)
    return Answer(204)
