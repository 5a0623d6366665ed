"""search-type and search-system. https://hl7.org/fhir/R4/search.html"""

from __future__ import annotations

import urllib.parse
from typing import Any

import msgspec
import sqlalchemy as sa

from fhir_gateway.rest import outcomes, subset, types
from fhir_gateway.rest.ask import Answer, Ask, Pairs
from fhir_gateway.search import includes, pages, query
from fhir_gateway.store import codec, resources


def of_type(connection: sa.Connection, ask: Ask) -> Answer:
    """GET [type]?… and POST [type]/_search."""
    return _answer(connection, ask, (ask.type,), ask.type, ask.pairs)


def of_system(connection: sa.Connection, ask: Ask) -> Answer:
    """GET [base]?… and POST _search: the parameters of every type, over all types or those that `_type` names."""
    named = [part for name, value in ask.pairs if name == "_type" for part in value.split(",")]
    unknown = [name for name in named if name not in types.SUPPORTED]
    if unknown:
        raise outcomes.bad_request(f"_type names {unknown[0][:64]}, which is not supported.", code="not-supported")
    pairs = tuple(pair for pair in ask.pairs if pair[0] != "_type")
    return _answer(connection, ask, tuple(named or sorted(types.SUPPORTED)), "", pairs)


def _answer(connection: sa.Connection, ask: Ask, searched: tuple[str, ...], path: str, pairs: Pairs) -> Answer:
    wanted = ask.search(searched, pairs)
    try:
        page = pages.find(connection, wanted)
    except query.BadQuery as error:
        raise outcomes.bad_request(error.text, code=error.code) from None
    along, is_all = includes.along(connection, wanted, page.matches)
    view = subset.View.of(wanted)
    told = [outcomes.Issue("not-supported", text, severity="warning") for text in wanted.ignored]
    if not is_all:
        text = f"More than {includes.LIMIT} resources would come along; the rest is left out."
        told.append(outcomes.Issue("too-costly", text, severity="warning"))
    entries = [_entry(ask, stored, "match", view) for stored in page.matches]
    entries += [_entry(ask, stored, "include", view) for stored in along]
    if told:
        entries.append({"resource": outcomes.outcome(*told), "search": {"mode": "outcome"}})
    links = [{"relation": "self", "url": _url(ask, path, wanted, wanted.page)}]
    if page.next is not None:
        links.append({"relation": "next", "url": _url(ask, path, wanted, page.next)})
    bundle: codec.Resource = {"resourceType": "Bundle", "type": "searchset"}
    if page.total is not None:
        bundle["total"] = page.total
    bundle["link"] = links
    if entries:
        bundle["entry"] = entries
    return Answer(200, resource=bundle, seen=tuple(stored.reference for stored in (*page.matches, *along)))


def _entry(ask: Ask, stored: resources.Stored, mode: str, view: subset.View) -> codec.Resource:
    assert stored.body is not None
    resource: Any = msgspec.Raw(stored.body) if view.is_whole else view.cut(stored.resource)
    return {
        "fullUrl": f"{ask.base}/{stored.reference}",
        "resource": resource,
        "search": {"mode": mode},
    }


def _url(ask: Ask, path: str, wanted: query.Query, page: str | None) -> str:
    """The search as it was understood: parameters that were ignored are not in it (R4 search.html#conformance)."""
    kept = [(name, value) for name, value in wanted.used if name != "_page"]
    if len(wanted.types) < len(types.SUPPORTED) and not path:
        kept.insert(0, ("_type", ",".join(wanted.types)))
    kept += [("_page", page)] if page is not None else []
    address = f"{ask.base}/{path}" if path else ask.base
    return address + (f"?{urllib.parse.urlencode(kept)}" if kept else "")
