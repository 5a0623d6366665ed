"""read, vread, create, update, patch and delete, plain and conditional. https://hl7.org/fhir/R4/http.html"""

from __future__ import annotations

import email.utils
from typing import Any

import sqlalchemy as sa

from fhir_gateway import ids
from fhir_gateway.rest import conditional, merge_patch, outcomes, patch, types, writes
from fhir_gateway.rest.ask import Answer, Ask
from fhir_gateway.store import codec, database, resources

#: What Allow says of a type that only the gateway writes.
_READS = "GET, HEAD"

#: Parameters that every request may have.
_PLAIN = frozenset({"_format", "_pretty"})


def read(connection: sa.Connection, ask: Ask) -> Answer:
    """GET [type]/[id] (R4 http.html#read); 410 when it was deleted."""
    return _served(ask, resources.read(connection, ask.type, ask.id))


def vread(connection: sa.Connection, ask: Ask) -> Answer:
    """GET [type]/[id]/_history/[vid] (R4 http.html#vread)."""
    text = ask.path["version"]
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    return _served(ask, resources.vread(connection, ask.type, ask.id, number))


def there(ask: Ask, stored: resources.Stored | None) -> resources.Stored:
    """A version that has a body; 404 where there never was one, 410 where it is a deletion."""
    if stored is None:
        raise outcomes.not_found(ask.type, ask.id)
    if stored.body is None:
        raise outcomes.Refused(410, outcomes.Issue("deleted", f"{stored.reference} has been deleted."))
    return stored


def _served(ask: Ask, stored: resources.Stored | None) -> Answer:
    stored = there(ask, stored)
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
        moment = email.utils.parsedate_to_datetime(since).timestamp()
    except (ValueError, OverflowError, TypeError):
        return False  # RFC 9110 13.1.3: a date that is none is as good as no header
    return stored.at // 1_000_000 <= int(moment)


def no_parameters(ask: Ask) -> None:
    """Refuse search parameters where they mean nothing: a condition of a create stands in If-None-Exist."""
    known = _PLAIN | {"_filename"} if ask.type == "Binary" else _PLAIN
    unknown = [name for name, _value in ask.pairs if name not in known]
    if unknown and not ask.is_lenient:
        text = f"The parameter {unknown[0][:64]} means nothing here. A conditional create has the header If-None-Exist."
        raise outcomes.bad_request(text, ask.at, code="not-supported")


def create(unit: database.Unit, ask: Ask) -> Answer:
    """POST [type], with If-None-Exist only when nothing matches (R4 http.html#create, #ccreate)."""
    no_parameters(ask)
    resource = {**ask.body, "id": ids.new()}
    condition = ask.headers.get("if-none-exist")
    if condition is not None:
        existing = conditional.once(unit, ask, conditional.pairs(condition), resource["id"])
        if existing is not None:
            return Answer(200, existing, written=True)
    return Answer(201, writes.put(unit, ask, resource, is_new=True, method="POST"), written=True)


def update(unit: database.Unit, ask: Ask) -> Answer:
    """PUT [type]/[id], also as create (R4 http.html#update, #upsert)."""
    no_parameters(ask)
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
    """PATCH [type]/[id] with a JSON Patch, a FHIRPath Patch or a JSON Merge Patch (R4 http.html#patch)."""
    no_parameters(ask)
    return _patched(unit, ask, there(ask, resources.read(unit.connection, ask.type, ask.id)))


def conditional_patch(unit: database.Unit, ask: Ask) -> Answer:
    """PATCH [type]?[search] (R4 http.html#patch)."""
    current = conditional.meant(unit.connection, ask)
    if current is None:
        raise outcomes.Refused(404, outcomes.Issue("not-found", "The condition matches no resource.", ask.at))
    return _patched(unit, ask, current)


def _patched(unit: database.Unit, ask: Ask, current: resources.Stored) -> Answer:
    if current.type in types.READ_ONLY:
        raise outcomes.not_allowed(f"Only the gateway itself writes {current.type}.", Allow=_READS)
    if ask.if_match not in (None, current.version):
        raise outcomes.Refused(412, outcomes.Issue("conflict", "The resource is at another version now.", ask.at))
    try:
        resource = _applied(current.resource, ask.body)
    except patch.CannotPatch as error:
        raise outcomes.Refused(error.status, outcomes.Issue(error.code, error.text, error.expression)) from None
    try:
        writes.check(ask, resource, current.type)
    except outcomes.Refused as refusal:
        raise outcomes.Refused(422, *refusal.issues) from None
    return Answer(200, writes.put(unit, ask, resource, if_version=current.version, method="PATCH"), written=True)


def _applied(resource: codec.Resource, body: Any) -> codec.Resource:
    """The resource after the patch, whose form tells its kind."""
    if isinstance(body, list):
        return patch.json_patch(resource, body)
    if body.get("resourceType") == "Parameters":
        return patch.fhirpath_patch(resource, body)
    return merge_patch.merge_patch(resource, body)


def delete(unit: database.Unit, ask: Ask) -> Answer:
    """DELETE [type]/[id] (R4 http.html#delete); what is not there is deleted already."""
    no_parameters(ask)
    if ask.type in types.READ_ONLY:
        raise outcomes.not_allowed(f"{ask.type} is never deleted.", Allow=_READS)
    deletion = writes.delete(unit, ask, ask.type, ask.id, ask.if_match)
    return Answer(204, headers={"ETag": deletion.etag} if deletion else {})


def conditional_delete(unit: database.Unit, ask: Ask) -> Answer:
    """DELETE [type]?[search] for at most one match (R4 http.html#3.1.0.7.1)."""
    if ask.type in types.READ_ONLY:
        raise outcomes.not_allowed(f"{ask.type} is never deleted.", Allow=_READS)
    found = conditional.meant(unit.connection, ask)
    if found is not None:
        writes.delete(unit, ask, found.type, found.id, ask.if_match)
    return Answer(204)
