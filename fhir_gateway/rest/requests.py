"""From an HTTP request to a checked resource, and from a stored version to an HTTP response."""

from __future__ import annotations

import datetime as dt
import email.utils
import re
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from fhir_gateway.rest import outcomes, types
from fhir_gateway.store import codec, inbox, resources
from profiles import base

if TYPE_CHECKING:
    from fhir_gateway.app import Gateway

FHIR_JSON = "application/fhir+json; charset=utf-8"
_ACCEPTED_TYPES = {"", "application/fhir+json", "application/json", "text/json"}


@dataclass(frozen=True, slots=True)
class Context:
    """One request with the gateway that answers it. `body` is empty for reads."""

    gateway: Gateway
    request: Request
    body: bytes = b""

    @property
    def base(self) -> str:
        """The service base URL, as this client reached it unless the configuration says otherwise."""
        configured = self.gateway.settings.server.base_url
        return configured.rstrip("/") if configured else f"{self.request.base_url}fhir"

    @property
    def message(self) -> inbox.Message:
        """The request as it is kept in the inbox."""
        return inbox.Message(
            channel="rest",
            target=f"{self.request.method} {self.request.url.path}",
            content_type=self.request.headers.get("content-type", ""),
            body=self.body,
        )

    def path(self, name: str) -> str:
        """A part of the path, e.g. the resource type."""
        return str(self.request.path_params[name])


async def read_body(request: Request, limit: int) -> bytes:
    """The body, at most `limit` bytes; a longer one is refused before it is read to its end."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            chunks.append(chunk)
    except ClientDisconnect:
        raise outcomes.bad_request("The connection ended before the whole body had come.") from None
    return b"".join(chunks)


def _too_large(limit: int) -> outcomes.Refused:
    text = f"The body is larger than {limit // 1_048_576} MB, the limit that rest.max_body_megabytes sets."
    return outcomes.Refused(413, outcomes.Issue("too-long", text))


def decoded(context: Context) -> codec.Resource:
    """The JSON object of the body; 415 for another format, 400 for what is no JSON object."""
    media_type = context.request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type not in _ACCEPTED_TYPES:
        text = "The gateway reads application/fhir+json."
        raise outcomes.Refused(415, outcomes.Issue("not-supported", text))
    try:
        value = codec.decode_received(context.body)
    except codec.NotJson as error:
        raise outcomes.bad_request(f"{str(error)[:1].upper()}{str(error)[1:]}.", code="structure") from None
    if not isinstance(value, dict):
        raise outcomes.bad_request("The body is not a JSON object.", code="structure")
    return value


def checked(resource: Any, at: str, *, expected_type: str | None = None) -> codec.Resource:
    """A resource that passed the base check; 400 with every fault and its FHIRPath when it did not."""
    resource_type = resource.get("resourceType") if isinstance(resource, dict) else None
    if not isinstance(resource_type, str):
        raise outcomes.bad_request("There is no resourceType.", at, code="structure")
    if resource_type not in types.SUPPORTED:
        refusal = outcomes.not_supported(resource_type)
        raise outcomes.Refused(refusal.status, outcomes.Issue("not-supported", refusal.issues[0].text, at))
    if expected_type is not None and resource_type != expected_type:
        raise outcomes.bad_request(f"The body is a {resource_type}, the address says {expected_type}.", at)
    if resource_type not in types.RECEIVED:
        raise outcomes.Refused(
            405, outcomes.Issue("not-supported", f"Only the gateway itself writes {resource_type}.", at)
        )
    faults = base.faults(resource, at=at)
    if any(fault.severity == "error" for fault in faults):
        raise outcomes.Refused(
            400, *(outcomes.Issue(fault.code, fault.text, fault.expression, fault.severity) for fault in faults)
        )
    checked_resource: codec.Resource = resource
    return checked_resource


def if_match(context: Context) -> int | None:
    """The version that the client says it read; None where it says none, 400 where it is no version."""
    value = context.request.headers.get("if-match")
    if value is None:
        return None
    match = re.fullmatch(r'(?:W/)?"(\d{1,9})"', value.strip())
    if match is None:
        raise outcomes.bad_request('If-Match is not of the form W/"version".')
    return int(match.group(1))


def new_id() -> str:
    """A server-assigned id."""
    return str(uuid.uuid4())


def location(context: Context, stored: resources.Stored) -> str:
    """The versioned address of a stored resource (R4 http.html#create)."""
    return f"{context.base}/{stored.type}/{stored.id}/_history/{stored.version}"


def http_date(micros: int) -> str:
    """An HTTP date."""
    return email.utils.format_datetime(dt.datetime.fromtimestamp(micros // 1_000_000, tz=dt.UTC), usegmt=True)


def resource_response(context: Context, stored: resources.Stored, status: int = 200) -> Response:
    """A stored version as it stands in the store, with ETag and Last-Modified."""
    headers = {"ETag": stored.etag, "Last-Modified": http_date(stored.at)}
    if context.request.method in ("POST", "PUT"):
        headers["Location"] = location(context, stored)
    return Response(stored.body, status, headers, FHIR_JSON)


def json_response(resource: codec.Resource, status: int = 200, **headers: str) -> Response:
    """A resource made for this answer."""
    return Response(codec.encode(resource), status, headers, FHIR_JSON)
