"""The entries of a batch or transaction: what each asks for, and how it is answered.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

import http
import urllib.parse
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from fhir_gateway.rest import formats, outcomes, render
from fhir_gateway.rest.ask import Answer, Ask
from fhir_gateway.rest.routes import Body, Route
from fhir_gateway.store import codec, resources
from profiles import base

#: The parts of Bundle.entry.request that are headers of the interaction.
_HEADERS = {
    "ifNoneMatch": "if-none-match",
    "ifModifiedSince": "if-modified-since",
    "ifMatch": "if-match",
    "ifNoneExist": "if-none-exist",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: its line of the route table and what it asks for."""

    number: int
    route: Route
    ask: Ask
    full_url: str | None

    @property
    def at(self) -> str:
        """The FHIRPath of the entry."""
        return f"Bundle.entry[{self.number}]"


def refused(refusal: outcomes.Refused) -> codec.Resource:
    """The response entry of a refusal."""
    return {"response": {"status": _status(refusal.status), "outcome": refusal.resource}}


def _status(status: int) -> str:
    return f"{status} {http.HTTPStatus(status).phrase}"


def response(entry: Entry, answer: Answer) -> codec.Resource:
    """The response entry of an answer (R4 bundle.html#transaction-response)."""
    stored = answer.stored
    told: codec.Resource = {"status": _status(answer.status)}
    result: codec.Resource = {"response": told}
    if stored is None:
        if "ETag" in answer.headers:
            told["etag"] = answer.headers["ETag"]
        return result if answer.resource is None else {"resource": answer.resource, **result}
    if answer.written:
        told["location"] = render.location(entry.ask, stored)
    told |= {"etag": stored.etag, "lastModified": resources.instant(stored.at)}
    result = {"fullUrl": f"{entry.ask.base}/{stored.reference}", **result}
    if not answer.written:
        return {"resource": msgspec.Raw(render.seen(entry.ask, stored)), **result}
    wish = entry.ask.prefers("return")
    if wish in ("representation", "OperationOutcome"):
        body = render.preferred(entry.ask, answer)
        if isinstance(body, bytes):
            result = {"resource": msgspec.Raw(body), **result}
        elif body is not None:
            told["outcome"] = body
    return result


def opened(ask: Ask) -> tuple[str, list[Any]]:
    """Type and entries of the Bundle; 400 or 413 for what is none that can be worked on."""
    body = ask.body
    if body.get("resourceType") != "Bundle":
        raise outcomes.bad_request("Only a Bundle can be posted to the base address.", "Bundle.resourceType")
    entries = body.get("entry", [])
    limit = ask.gateway.settings.rest.max_bundle_entries
    if isinstance(entries, list) and len(entries) > limit:
        raise outcomes.Refused(
            413, outcomes.Issue("too-costly", f"A Bundle has at most {limit} entries.", "Bundle.entry")
        )
    kind = body.get("type")
    if kind not in ("transaction", "batch"):
        raise outcomes.bad_request("Bundle.type is transaction or batch.", "Bundle.type", code="value")
    _check_envelope(body)
    return kind, entries


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
    faults = [fault for fault in base.faults(bare) if fault.severity == "error" and _is_of_envelope(fault, body)]
    if faults:
        raise outcomes.Refused(400, *map(outcomes.issue, faults))


def _is_of_envelope(fault: base.Fault, body: codec.Resource) -> bool:
    """Whether a fault is the Bundle's: a batch's entries fail alone, and one without a request is told by `read`."""
    in_entry = fault.expression.startswith("Bundle.entry[")
    return not (in_entry and (body["type"] == "batch" or "(bdl-" in fault.text))


def read(ask: Ask, number: int, body: Any) -> Entry:
    """An entry with the line of the route table that it asks for. Raises Refused."""
    at = f"Bundle.entry[{number}]"
    request = body.get("request") if isinstance(body, dict) else None
    if not isinstance(request, dict):
        raise outcomes.bad_request("The entry has no request.", f"{at}.request", code="required")
    method, url = str(request.get("method")), str(request.get("url", ""))
    if "\x00" in urllib.parse.unquote(url):
        raise outcomes.bad_request("The url holds the character U+0000.", f"{at}.request.url")
    path, _, query = url.removeprefix(f"{ask.base}/").partition("?")
    try:
        route, parts = ask.table.find(method, path.strip("/"))
    except outcomes.Refused as refusal:
        part = "method" if refusal.status == 405 else "url"
        raise outcomes.Refused(
            refusal.status,
            *(outcomes.Issue(issue.code, issue.text, f"{at}.request.{part}") for issue in refusal.issues),
        ) from None
    if route.name in ("transaction", "process-status", "process-cancel") or "$" in path:
        raise outcomes.Refused(
            405, outcomes.Issue("not-supported", "A Bundle's entry cannot ask for this.", f"{at}.request.url")
        )
    resource = body.get("resource")
    has_body = route.body in (Body.RESOURCE, Body.PATCH)
    if has_body and not isinstance(resource, dict):
        raise outcomes.bad_request("The entry has no resource.", f"{at}.resource", code="required")
    if has_body and method == "PUT" and "id" in parts and "id" not in resource:
        resource = {**resource, "id": parts["id"]}
    given = {header: str(request[name]) for name, header in _HEADERS.items() if name in request}
    entry_ask = replace(
        ask,
        method=method,
        path=parts,
        pairs=tuple(urllib.parse.parse_qsl(query, keep_blank_values=True)),
        headers={**given, "prefer": ask.headers.get("prefer", "")},
        body=_decoded_patch(resource) if method == "PATCH" else resource,
        at=f"{at}.resource" if has_body else f"{at}.request",
        is_entry=True,
    )
    entry = Entry(number, route, entry_ask, body.get("fullUrl"))
    return replace(entry, ask=route.prepare(entry_ask)) if route.prepare is not None else entry


def _decoded_patch(resource: codec.Resource) -> Any:
    """The patch of an entry: a Parameters resource, or a Binary that holds a JSON Patch (R4 http.html#patch)."""
    if resource.get("resourceType") != "Binary":
        return resource
    own = formats.content(codec.encode(resource))
    if own is None:
        raise outcomes.bad_request("The Binary holds no JSON Patch.", code="structure")
    return formats.decode(own[0], formats.JSON_PATCH)
