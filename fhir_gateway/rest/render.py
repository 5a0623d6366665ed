"""From an answer to an HTTP response: headers, and the body that `Prefer: return` asks for."""

from __future__ import annotations

import datetime as dt
import email.utils
import functools

from starlette.responses import Response

from fhir_gateway.rest import formats, outcomes, subset
from fhir_gateway.rest.ask import Answer, Ask
from fhir_gateway.search import query
from fhir_gateway.store import codec, resources


def location(ask: Ask, stored: resources.Stored) -> str:
    """The versioned address of a stored resource (R4 http.html#create)."""
    return f"{ask.base}/{stored.reference}/_history/{stored.version}"


def http_date(micros: int) -> str:
    """An HTTP date."""
    return _http_date(micros // 1_000_000)


@functools.lru_cache(maxsize=256)
def _http_date(seconds: int) -> str:
    return email.utils.format_datetime(dt.datetime.fromtimestamp(seconds, tz=dt.UTC), usegmt=True)


def preferred(ask: Ask, answer: Answer) -> codec.Resource | bytes | None:
    """The body of the answer to a write: the resource, an OperationOutcome or nothing (R4 http.html#ops)."""
    wish = ask.prefers("return")
    stored = answer.stored
    assert stored is not None
    if wish == "minimal":
        return None
    if wish == "OperationOutcome":
        text = f"{stored.reference} is at version {stored.version}."
        return outcomes.outcome(outcomes.Issue("informational", text, severity="information"))
    return stored.body


def response(ask: Ask, answer: Answer, wanted: formats.Format) -> Response:
    """The HTTP response."""
    headers = dict(answer.headers)
    stored = answer.stored
    if stored is None:
        if answer.resource is None:
            return Response(None, answer.status, headers)
        if not answer.is_fhir:
            return Response(codec.encode(answer.resource), answer.status, headers, "application/json")
        return formats.response(formats.encode(answer.resource, wanted), answer.status, headers, wanted)
    headers |= {"ETag": stored.etag, "Last-Modified": http_date(stored.at)}
    if answer.written:
        headers.setdefault("Location", location(ask, stored))
        body = preferred(ask, answer)
        if body is None:
            return Response(None, answer.status, headers)
        encoded = formats.convert(body, wanted) if isinstance(body, bytes) else formats.encode(body, wanted)
        return formats.response(encoded, answer.status, headers, wanted)
    return _read(ask, stored, answer.status, headers, wanted)


def seen(ask: Ask, stored: resources.Stored) -> bytes:
    """A resource that was read, whole or cut by `_summary` or `_elements`."""
    assert stored.body is not None
    view = _view(ask)
    return stored.body if view.is_whole else codec.encode(view.cut(codec.decode(stored.body)))


def _read(ask: Ask, stored: resources.Stored, status: int, headers: dict[str, str], wanted: formats.Format) -> Response:
    """A resource that was read: whole, cut by `_summary` or `_elements`, or a Binary's own content."""
    if wanted.raw is not None:
        own = formats.content(seen(ask, stored))
        if own is None or not _fits(own[1], wanted.raw):
            text = "The Binary has no content of a type that the Accept header names."
            raise outcomes.Refused(406, outcomes.Issue("not-supported", text))
        safe = {"X-Content-Type-Options": "nosniff", "Content-Disposition": "attachment"}
        return Response(own[0], status, {**headers, **safe, "Content-Type": own[1]})
    return formats.response(formats.convert(seen(ask, stored), wanted), status, headers, wanted)


def _fits(content_type: str, asked: str) -> bool:
    kind = formats.media_type(content_type)
    return asked in (kind, "*/*") or (asked.endswith("/*") and kind.startswith(asked[:-1]))


def _view(ask: Ask) -> subset.View:
    pairs = tuple(pair for pair in ask.pairs if pair[0] in ("_summary", "_elements", "_format", "_pretty"))
    unknown = [name for name, _value in ask.pairs if (name, _value) not in pairs]
    if unknown and not ask.is_lenient:
        text = f"The parameter {unknown[0][:64]} is not supported for a read."
        raise outcomes.bad_request(text, code="not-supported")
    if not pairs:
        return subset.View()
    wanted: query.Query = ask.search((ask.type,), pairs)
    return subset.View.of(wanted)
