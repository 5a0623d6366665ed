"""JSON and XML on the wire: what a client sends, what it wants to get. https://hl7.org/fhir/R4/http.html#mime-type"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.responses import Response

from fhir_gateway.rest import outcomes
from fhir_gateway.store import codec
from profiles import xml

FHIR_JSON = "application/fhir+json; charset=utf-8"
FHIR_XML = "application/fhir+xml; charset=utf-8"
JSON_PATCH = "application/json-patch+json"

#: JSON Merge Patch (RFC 7386); clients without a type of their own for it send plain JSON.
MERGE_PATCHES = frozenset({"application/merge-patch+json", "application/json"})
FORM = "application/x-www-form-urlencoded"

_JSON = frozenset({"json", "application/fhir+json", "application/json", "text/json", "application/json+fhir"})
_XML = frozenset({"xml", "application/fhir+xml", "application/xml", "text/xml", "application/xml+fhir"})
_VERSION = re.compile(r"fhirversion=([\w.\-]+)")
_R4 = frozenset({"4.0", "4.0.1", "r4"})


@dataclass(frozen=True, slots=True)
class Format:
    """How an answer is written. `raw` is the media type of a Binary's own content that the client asked for."""

    is_xml: bool = False
    is_pretty: bool = False
    raw: str | None = None


JSON = Format()


def wanted(parameters: Mapping[str, str], accept: str, *, is_binary: bool = False) -> Format:
    """The format of the answer by `_format`, else by Accept; 406 when this server has none of them."""
    pretty = parameters.get("_pretty") == "true"
    asked = parameters.get("_format")
    choices, refused = ([asked.replace(" ", "+")], set[str]()) if asked else _by_quality(accept)
    for choice in choices or ([] if refused else ["*/*"]):
        name = choice.split(";")[0].strip().lower()
        if not _is_r4(choice):
            continue
        is_any = name in ("*/*", "application/*") or (name == "text/*" and not is_binary)
        if (name in _JSON or is_any) and not (is_any and refused & _JSON):
            return Format(is_pretty=pretty)
        if (name in _XML or is_any) and not (is_any and refused & _XML):
            return Format(is_xml=True, is_pretty=pretty)
        if is_binary and "/" in name:
            return Format(raw=name)
    text = "This server answers application/fhir+json or application/fhir+xml of FHIR 4.0."
    raise outcomes.Refused(406, outcomes.Issue("not-supported", text))


def _is_r4(media_range: str) -> bool:
    """Whether the media type names no other FHIR version."""
    version = _VERSION.search(media_range.lower().replace(" ", "").replace('"', ""))
    return version is None or version[1] in _R4


def _by_quality(accept: str) -> tuple[list[str], set[str]]:
    """The media ranges of an Accept header that are wanted, the best first, and those that are not (q=0)."""
    ranges: list[tuple[float, str]] = []
    refused: set[str] = set()
    for part in accept.split(","):
        if part.strip():
            quality = re.search(r";\s*q=([\d.]{1,6})", part)
            try:
                weight = float(quality[1]) if quality else 1.0
            except ValueError:
                weight = 0.0
            if weight > 0:
                ranges.append((weight, part))
            else:
                refused.add(media_type(part))
    return [part for _weight, part in sorted(ranges, key=lambda item: -item[0])], refused


def media_type(content_type: str) -> str:
    """The media type of a Content-Type header without its parameters."""
    return content_type.split(";")[0].strip().lower()


def decode(body: bytes, content_type: str) -> Any:
    """The JSON value, or the resource in XML, of a body; 415 for another format, 400 for what cannot be read."""
    name = media_type(content_type)
    if not _is_r4(content_type):
        raise outcomes.Refused(415, outcomes.Issue("not-supported", "This server reads FHIR 4.0."))
    try:
        if name in _XML:
            return xml.decode(body)
        if name in _JSON or name in ("", JSON_PATCH) or name in MERGE_PATCHES:
            return codec.decode_received(body)
    except (codec.NotJson, xml.NotXml) as error:
        text = str(error)
        raise outcomes.bad_request(f"{text[:1].upper()}{text[1:]}.", code="structure") from None
    raise outcomes.Refused(
        415, outcomes.Issue("not-supported", "The gateway reads application/fhir+json and application/fhir+xml.")
    )


def as_binary(body: bytes, content_type: str) -> codec.Resource:
    """The Binary of a body in its own format (R4 binary.html#rest)."""
    data = base64.b64encode(body).decode("ascii")
    return {"resourceType": "Binary", "contentType": content_type[:256], **({"data": data} if data else {})}


def is_fhir(content_type: str) -> bool:
    """Whether a body of this type is a resource, not a Binary's own content."""
    name = media_type(content_type)
    return name in _JSON or name in _XML or name == ""


def encode(resource: codec.Resource, wanted: Format) -> bytes:
    """A resource in the wanted format."""
    return convert(codec.encode(resource), wanted)


def convert(body: bytes, wanted: Format) -> bytes:
    """A resource in JSON as it is stored, in the wanted format."""
    if wanted.is_xml:
        return xml.encode(codec.decode(body))
    return msgspec.json.format(body, indent=2) if wanted.is_pretty else body


def not_in_xml() -> outcomes.Refused:
    """406: the resource holds what XML cannot carry, such as a control character."""
    text = "The resource holds characters that XML cannot carry; ask for it in JSON."
    return outcomes.Refused(406, outcomes.Issue("not-supported", text))


def response(body: bytes, status: int, headers: Mapping[str, str], wanted: Format = JSON) -> Response:
    """An HTTP response with a resource in the wanted format."""
    return Response(body, status, dict(headers), FHIR_XML if wanted.is_xml else FHIR_JSON)


def refusal(resource: codec.Resource, status: int, wanted: Format = JSON, **headers: str) -> Response:
    """An OperationOutcome as a response; in JSON where XML cannot carry its words."""
    try:
        return response(encode(resource, wanted), status, headers, wanted)
    except xml.NotInXml:
        return response(encode(resource, JSON), status, headers, JSON)


def content(body: bytes) -> tuple[bytes, str] | None:
    """The own content and type of a stored Binary; None when it has none."""
    binary = codec.decode(body)
    try:
        data = base64.b64decode("".join(str(binary.get("data", "")).split()), validate=True)
    except binascii.Error:
        return None
    kind = str(binary.get("contentType", ""))
    return (data, kind) if data and re.fullmatch(r"[\w.+-]+/[\w.+-]+(?:\s*;[\x20-\x7e]*)?", kind) else None
