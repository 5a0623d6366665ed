"""From an HTTP request to what is asked for."""

from __future__ import annotations

import asyncio
import urllib.parse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect, Request

from fhir_gateway import ids, settings
from fhir_gateway.rest import formats, outcomes
from fhir_gateway.rest.ask import Ask, Pairs
from fhir_gateway.rest.routes import Body, Route, Table
from fhir_gateway.store import inbox

if TYPE_CHECKING:
    from fhir_gateway.app import Gateway


def host(request: Request) -> str:
    """Name and port that the client called, from its Host header."""
    named = request.headers.get("host")
    if named:
        return named
    server = request.scope.get("server") or ("localhost", None)
    return f"{server[0]}:{server[1]}" if server[1] else str(server[0])


def base_url(gateway: Gateway, request: Request) -> str:
    """The service base URL, as this client reached it unless the configuration says otherwise."""
    configured = gateway.settings.server.base_url
    return configured.rstrip("/") if configured else f"{request.scope['scheme']}://{host(request)}/fhir"


def message(request: Request, body: bytes) -> inbox.Message:
    """The request as it is kept in the inbox."""
    return inbox.Message(
        channel="rest",
        target=f"{request.method} {request.scope['path']}".replace("\x00", ""),
        content_type=request.headers.get("content-type", ""),
        body=body,
    )


def query(request: Request) -> Pairs:
    """The parameters of the address; 400 where they are not UTF-8."""
    text = request.scope["query_string"]
    return _decoded(text) if text else ()


def _decoded(text: bytes) -> Pairs:
    try:
        pairs = tuple(urllib.parse.parse_qsl(text.decode("utf-8"), keep_blank_values=True, errors="strict"))
    except (UnicodeDecodeError, ValueError):
        raise outcomes.bad_request("The parameters are not UTF-8.") from None
    if b"%00" in text and any("\x00" in name or "\x00" in value for name, value in pairs):
        raise outcomes.bad_request("A parameter holds the character U+0000.")
    return pairs


def wanted_format(request: Request, pairs: Pairs, path: str) -> formats.Format:
    """The format of the answer; 406 where this server has none that the client takes."""
    is_binary = path.startswith("Binary/") and request.method in ("GET", "HEAD")
    return formats.wanted(dict(pairs), request.headers.get("accept", ""), is_binary=is_binary)


async def read_body(request: Request, limits: settings.Rest, *, megabytes: int | None = None) -> bytes:
    """The body within the limits of size and time; a longer one is refused before it is read to its end.

    `megabytes` is the limit of an address that has one of its own.
    """
    limit = (megabytes or limits.max_body_megabytes) * 1_048_576
    key = "hl7v2.max_megabytes" if megabytes else "rest.max_body_megabytes"
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit, key)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    raise _too_large(limit, key)
                chunks.append(chunk)
    except ClientDisconnect:
        raise outcomes.bad_request("The connection ended before the whole body had come.") from None
    except TimeoutError:
        text = f"The body did not come within {limits.body_seconds:g} s, the limit that rest.body_seconds sets."
        raise outcomes.Refused(408, outcomes.Issue("timeout", text), Connection="close") from None
    return b"".join(chunks)


def _too_large(limit: int, key: str) -> outcomes.Refused:
    text = f"The body is larger than {limit // 1_048_576} MB, the limit that {key} sets."
    return outcomes.Refused(413, outcomes.Issue("too-long", text))


def ask(
    gateway: Gateway, table: Table, request: Request, route: Route, path: Mapping[str, str], pairs: Pairs, body: bytes
) -> Ask:
    """The request with its body decoded; 400 or 415 where that cannot be done."""
    content_type = request.headers.get("content-type", "")
    decoded: Any = None
    if route.body is Body.FORM:
        pairs += _form(body, content_type)
    elif route.body is Body.PATCH:
        decoded = _patch(body, content_type)
    elif path.get("type") == "Binary" and not formats.is_fhir(content_type) and route.method in ("POST", "PUT"):
        decoded = {**formats.as_binary(body, content_type), **({"id": path["id"]} if "id" in path else {})}
    elif route.body is Body.RESOURCE or (route.body is Body.OPTIONAL and body):
        decoded = formats.decode(body, content_type)
        if not isinstance(decoded, dict):
            raise outcomes.bad_request("The body is not a JSON object.", code="structure")
    return Ask(
        gateway=gateway,
        table=table,
        base=base_url(gateway, request),
        method=request.method,
        path=path,
        pairs=pairs,
        headers=dict(request.headers),
        message=message(request, body),
        key=ids.new(),
        body=decoded,
    )


def _form(body: bytes, content_type: str) -> Pairs:
    if formats.media_type(content_type) not in ("", formats.FORM):
        text = f"A _search body is {formats.FORM}."
        raise outcomes.Refused(415, outcomes.Issue("not-supported", text))
    return _decoded(body)


def _patch(body: bytes, content_type: str) -> Any:
    decoded = formats.decode(body, content_type)
    name = formats.media_type(content_type)
    is_fhirpath = isinstance(decoded, dict) and decoded.get("resourceType") == "Parameters"
    is_merge = isinstance(decoded, dict) and name in formats.MERGE_PATCHES
    if name == formats.JSON_PATCH and not isinstance(decoded, list):
        raise outcomes.bad_request("A JSON Patch is an array of operations.", code="structure")
    if (is_fhirpath and name != formats.JSON_PATCH) or (not is_fhirpath and (is_merge or name == formats.JSON_PATCH)):
        return decoded
    text = f"A patch is a JSON Patch ({formats.JSON_PATCH}) or a Parameters resource (FHIRPath Patch)."
    raise outcomes.Refused(415, outcomes.Issue("not-supported", text))
