"""transaction and batch. https://hl7.org/fhir/R4/http.html#transaction"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from fhir_gateway import errors
from fhir_gateway.rest import outcomes, requests, rules, types
from fhir_gateway.rest import search as search_interaction
from fhir_gateway.runs import trigger
from fhir_gateway.security import audit
from fhir_gateway.store import codec, database, inbox, resources, search_index
from profiles import base

_URL = re.compile(r"(?P<type>[A-Za-z]+)(?:/(?P<id>[A-Za-z0-9\-.]{1,64}))?")

#: Types whose arrival can start a run: a resend of a bundle that holds one gets the stored answer.
_DOCUMENTS = frozenset({"DocumentReference", "Media"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One checked entry. `resource` has its final id; `condition` is a conditional create's search."""

    number: int
    method: str
    full_url: str | None
    resource: codec.Resource
    if_version: int | None = None
    condition: search_interaction.Query | None = None

    @property
    def reference(self) -> str:
        """Type/id."""
        return f"{self.resource['resourceType']}/{self.resource['id']}"


async def bundle(context: requests.Context) -> Response:
    """POST [base]: a transaction is stored whole or not at all, a batch entry by entry."""
    body = requests.decoded(context)
    if body.get("resourceType") != "Bundle":
        raise outcomes.bad_request("Only a Bundle can be posted to the base address.", "Bundle.resourceType")
    entries = body.get("entry", [])
    limit = context.gateway.settings.rest.max_bundle_entries
    if isinstance(entries, list) and len(entries) > limit:
        raise outcomes.Refused(
            413, outcomes.Issue("too-costly", f"A Bundle has at most {limit} entries.", "Bundle.entry")
        )
    kind = body.get("type")
    if kind not in ("transaction", "batch"):
        raise outcomes.bad_request("Bundle.type is transaction or batch.", "Bundle.type", code="value")
    _check_envelope(body)
    answer = await (_transaction(context, entries) if kind == "transaction" else _batch(context, entries))
    return Response(answer, 200, media_type=requests.FHIR_JSON)


def _check_envelope(body: codec.Resource) -> None:
    """The Bundle itself without its resources, which are checked one by one with what each is asked for."""
    bare = {name: value for name, value in body.items() if name != "entry"}
    entries = body.get("entry", [])
    if isinstance(entries, list):
        stripped = [
            {name: value for name, value in entry.items() if name != "resource"} if isinstance(entry, dict) else entry
            for entry in entries
        ]
        stripped = [entry for entry in stripped if entry != {}]
        if stripped:
            bare["entry"] = stripped
    elif "entry" in body:
        bare["entry"] = entries
    faults = [fault for fault in base.faults(bare) if fault.severity == "error"]
    if faults:
        raise outcomes.Refused(400, *(outcomes.Issue(fault.code, fault.text, fault.expression) for fault in faults))


async def _transaction(context: requests.Context, bodies: list[Any]) -> bytes:
    entries = _entries(context, bodies)
    resolved = _resolve(entries)
    resend = any(entry.resource["resourceType"] in _DOCUMENTS for entry in resolved)
    try:
        return await context.gateway.database.write(lambda unit: _store(context, unit, resolved, resend=resend))
    except errors.VersionConflict as error:
        raise outcomes.conflict(error.message) from None


def _store(context: requests.Context, unit: database.Unit, entries: list[Entry], *, resend: bool) -> bytes:
    """Every entry, the bundle's bytes, the audit row and the runs it starts: one durable commit."""
    message = context.message
    if resend:
        answer = inbox.answer_again(unit.connection, message)
        if answer is not None and _still_there(unit, answer):
            return answer
    entries = _reuse_existing(unit, entries)
    stored: list[resources.Stored] = []
    received = inbox.new_key()
    for entry in sorted(entries, key=lambda entry: (entry.resource["resourceType"] != "Encounter", entry.number)):
        rules.check(unit.connection, entry.resource, f"Bundle.entry[{entry.number}].resource")
        if entry.method == "EXISTING":
            found = resources.read(unit.connection, entry.resource["resourceType"], entry.resource["id"])
            assert found is not None
            stored.append(found)
        else:
            stored.append(resources.put(unit, entry.resource, received=received, if_version=entry.if_version))
    by_reference = {f"{version.type}/{version.id}": version for version in stored}
    answer = codec.encode(
        {
            "resourceType": "Bundle",
            "type": "transaction-response",
            "entry": [_response_entry(context, by_reference[entry.reference]) for entry in entries],
        }
    )
    inbox.keep(unit, message, status=200, answer=answer, key=received)
    audit.wrote(unit, context.gateway.device, stored)
    trigger.stored(unit, context.gateway, [version for version in stored if version.changed])
    return answer


def _still_there(unit: database.Unit, answer: bytes) -> bool:
    for entry in codec.decode(answer).get("entry", []):
        resource_type, resource_id = search_index.split_reference(entry["response"]["location"])
        stored = resources.read(unit.connection, resource_type, resource_id)
        if stored is None or stored.body is None:
            return False
    return True


def _reuse_existing(unit: database.Unit, entries: list[Entry]) -> list[Entry]:
    """Conditional creates that match one resource become that resource, and references follow."""
    replaced: dict[str, str] = {}
    result: list[Entry] = []
    for entry in entries:
        if entry.condition is None:
            result.append(entry)
            continue
        at = f"Bundle.entry[{entry.number}].request.ifNoneExist"
        match = search_interaction.the_one(unit.connection, entry.condition, "ifNoneExist", at)
        if match is not None:
            existing = match.resource
            replaced[entry.reference] = f"{existing['resourceType']}/{existing['id']}"
            result.append(Entry(entry.number, "EXISTING", entry.full_url, existing))
        else:
            result.append(entry)
    if not replaced:
        return result
    return [
        entry
        if entry.method == "EXISTING"
        else Entry(
            entry.number, entry.method, entry.full_url, _with_references(entry.resource, replaced), entry.if_version
        )
        for entry in result
    ]


def _response_entry(context: requests.Context, stored: resources.Stored) -> codec.Resource:
    return {
        "fullUrl": f"{context.base}/{stored.type}/{stored.id}",
        "response": {
            "status": "201 Created" if stored.created else "200 OK",
            "location": requests.location(context, stored),
            "etag": stored.etag,
            "lastModified": resources.instant(stored.at),
        },
    }


def _entries(context: requests.Context, bodies: list[Any]) -> list[Entry]:
    """All entries checked; every fault of every entry in one OperationOutcome."""
    entries: list[Entry] = []
    issues: list[outcomes.Issue] = []
    status = 0
    for number, body in enumerate(bodies):
        try:
            entries.append(_entry(context, number, body))
        except outcomes.Refused as refusal:
            issues += refusal.issues
            status = max(status, refusal.status) if refusal.status != 404 else status or 400
    if issues:
        raise outcomes.Refused(400 if status in (404, 405) else status, *issues)
    seen: set[str] = set()
    for entry in entries:
        if entry.reference in seen:
            text = "The transaction writes this resource twice."
            raise outcomes.bad_request(text, f"Bundle.entry[{entry.number}]", code="duplicate")
        seen.add(entry.reference)
    return entries


def _entry(context: requests.Context, number: int, body: Any) -> Entry:
    at = f"Bundle.entry[{number}]"
    request = body.get("request") if isinstance(body, dict) else None
    if not isinstance(request, dict):
        raise outcomes.bad_request("The entry has no request.", f"{at}.request", code="required")
    method, url = request.get("method"), str(request.get("url", ""))
    match = _URL.fullmatch(url)
    if method not in ("POST", "PUT"):
        raise outcomes.Refused(
            405, outcomes.Issue("not-supported", "An entry's method is POST or PUT.", f"{at}.request.method")
        )
    if match is None or (method == "PUT") != (match["id"] is not None):
        raise outcomes.bad_request("The url is [type] for POST and [type]/[id] for PUT.", f"{at}.request.url")
    if match["type"] not in types.SUPPORTED:
        raise outcomes.Refused(
            404,
            outcomes.Issue(
                "not-supported", f"The resource type {match['type'][:64]} is not supported.", f"{at}.request.url"
            ),
        )
    resource = requests.checked(body.get("resource"), f"{at}.resource", expected_type=match["type"])
    full_url = body.get("fullUrl")
    if method == "PUT":
        if resource.get("id", match["id"]) != match["id"]:
            raise outcomes.bad_request("The id of the resource is not the id of the url.", f"{at}.resource.id")
        return Entry(number, "PUT", full_url, {**resource, "id": match["id"]}, _if_match(request, at))
    resource = {**resource, "id": requests.new_id()}
    return Entry(number, "POST", full_url, resource, None, _condition(context, match["type"], request, at))


def _if_match(request: dict[str, Any], at: str) -> int | None:
    value = request.get("ifMatch")
    if value is None:
        return None
    match = re.fullmatch(r'(?:W/)?"(\d{1,9})"', str(value))
    if match is None:
        raise outcomes.bad_request('ifMatch is not of the form W/"version".', f"{at}.request.ifMatch")
    return int(match.group(1))


def _condition(
    context: requests.Context, resource_type: str, request: dict[str, Any], at: str
) -> search_interaction.Query | None:
    value = request.get("ifNoneExist")
    if not value:
        return None
    try:
        return search_interaction.parse_text(resource_type, str(value), context.gateway.settings.rest.page_size)
    except outcomes.Refused as refusal:
        raise outcomes.bad_request(refusal.issues[0].text, f"{at}.request.ifNoneExist") from None


def _same_urls(entries: list[Entry]) -> Iterator[outcomes.Issue]:
    """A fullUrl names one entry: a reference to one that names two could go to the wrong patient (R4 bdl-7)."""
    seen: set[str] = set()
    for entry in entries:
        if not entry.full_url:
            continue
        if entry.full_url in seen:
            text = "Another entry has the same fullUrl (bdl-7)."
            yield outcomes.Issue("invariant", text, f"Bundle.entry[{entry.number}].fullUrl")
        seen.add(entry.full_url)


def _resolve(entries: list[Entry]) -> list[Entry]:
    """Entries with their references to one another rewritten (R4 bundle.html#references)."""
    known: dict[str, str] = {}
    for entry in entries:
        if entry.full_url:
            known[entry.full_url] = entry.reference
            own = "/".join(search_index.split_reference(entry.full_url))
            if entry.method == "POST" and own.startswith(f"{entry.resource['resourceType']}/"):
                known.setdefault(own, entry.reference)
    resolved: list[Entry] = []
    issues = list(_same_urls(entries))
    for entry in entries:
        at = f"Bundle.entry[{entry.number}].resource"
        issues += [
            outcomes.Issue("not-found", "No entry of the transaction has this urn as its fullUrl.", expression)
            for expression, reference in _references(entry.resource, at)
            if reference.startswith("urn:") and reference not in known
        ]
        resolved.append(
            Entry(
                entry.number, entry.method, entry.full_url, _with_references(entry.resource, known), entry.if_version,
                entry.condition,
            )
        )  # fmt: skip
    if issues:
        raise outcomes.Refused(400, *issues)
    return resolved


def _references(node: Any, at: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "reference" and isinstance(value, str):
                yield f"{at}.reference", value
            else:
                yield from _references(value, f"{at}.{name}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _references(value, f"{at}[{index}]")


def _with_references(node: Any, known: dict[str, str]) -> Any:
    if isinstance(node, dict):
        return {
            name: known.get(value, value)
            if name in ("reference", "url") and isinstance(value, str)
            else _with_references(value, known)
            for name, value in node.items()
        }  # fmt: skip
    if isinstance(node, list):
        return [_with_references(value, known) for value in node]
    return node


async def _batch(context: requests.Context, bodies: list[Any]) -> bytes:
    """Each entry for itself; one that is refused says why in its own response."""
    entries = [await _batch_entry(context, number, body) for number, body in enumerate(bodies)]
    return codec.encode({"resourceType": "Bundle", "type": "batch-response", "entry": entries})


async def _batch_entry(context: requests.Context, number: int, body: Any) -> codec.Resource:
    try:
        resolved = _resolve([_entry(context, number, body)])
        answer = await context.gateway.database.write(lambda unit: _store(context, unit, resolved, resend=False))
    except errors.VersionConflict as error:
        return _refused_entry(outcomes.conflict(error.message))
    except outcomes.Refused as refusal:
        status = refusal.status
        await context.gateway.database.write(lambda unit: inbox.keep(unit, context.message, status=status))
        return _refused_entry(refusal)
    entry: codec.Resource = codec.decode(answer)["entry"][0]
    return entry


def _refused_entry(refusal: outcomes.Refused) -> codec.Resource:
    return {"response": {"status": str(refusal.status), "outcome": refusal.resource}}
