"""The history of a resource, of a type and of the whole server. https://hl7.org/fhir/R4/http.html#history"""

from __future__ import annotations

import re
import urllib.parse
from typing import Any

import msgspec
import sqlalchemy as sa

from fhir_gateway.rest import outcomes
from fhir_gateway.rest.ask import Answer, Ask
from fhir_gateway.search import pages, query, values
from fhir_gateway.store import codec, resources, schema

_version = schema.resource_version
_CONTROLS = ("_count", "_since", "_at", "_page", "_format", "_pretty")


def instance(connection: sa.Connection, ask: Ask) -> Answer:
    """GET [type]/[id]/_history, newest first."""
    if resources.read(connection, ask.type, ask.id) is None:
        raise outcomes.not_found(ask.type, ask.id)
    where = (_version.c.type == ask.type, _version.c.id == ask.id)
    return _page(connection, ask, f"{ask.type}/{ask.id}/_history", where)


def of_type(connection: sa.Connection, ask: Ask) -> Answer:
    """GET [type]/_history, newest first."""
    return _page(connection, ask, f"{ask.type}/_history", (_version.c.type == ask.type,))


def of_system(connection: sa.Connection, ask: Ask) -> Answer:
    """GET _history, newest first."""
    return _page(connection, ask, "_history", ())


def _page(connection: sa.Connection, ask: Ask, path: str, where: tuple[sa.ColumnElement[bool], ...]) -> Answer:
    count, clauses = _parameters(ask)
    selected = (*where, *clauses)
    order = (_version.c.at, _version.c.rk) if len(where) == 1 else (_version.c.rk,)
    statement = sa.select(_version).where(*selected).order_by(*(key.desc() for key in order)).limit(count + 1)
    before = dict(ask.pairs).get("_page")
    if before is not None:
        place = [_whole("_page", part) for part in before.split(".")]
        if len(place) != len(order):
            raise outcomes.bad_request("_page is no token of this server: follow the next link as it is.")
        bound = (sa.literal(part, sa.BigInteger) for part in place)
        statement = statement.where(sa.tuple_(*order) < sa.tuple_(*bound))
    rows = list(connection.execute(statement))
    last = rows[count - 1] if count and len(rows) > count else None
    following = None if last is None else ".".join(str(last._mapping[key.name]) for key in order)
    is_whole = before is None and following is None
    links = [{"relation": "self", "url": _url(ask, path, before)}]
    if following is not None:
        links.append({"relation": "next", "url": _url(ask, path, following)})
    bundle: codec.Resource = {
        "resourceType": "Bundle",
        "type": "history",
        "link": links,
        "entry": [_entry(ask, row) for row in rows[:count]],
    }
    total = len(rows) if is_whole and count else pages.count_to(connection, selected, pages.COUNTED)
    if total is not None:
        bundle["total"] = total
    if not bundle["entry"]:
        del bundle["entry"]
    seen = dict.fromkeys(f"{row.type}/{row.id}" for row in rows[:count])
    return Answer(200, resource=bundle, seen=tuple(seen))


def _parameters(ask: Ask) -> tuple[int, list[sa.ColumnElement[bool]]]:
    """How many a page, and the times that the versions lie between."""
    count, clauses = ask.gateway.settings.rest.page_size, list[sa.ColumnElement[bool]]()
    for name, value in ask.pairs:
        if name not in _CONTROLS and not ask.is_lenient:
            text = f"The parameter {name[:64]} is not supported for a history."
            raise outcomes.bad_request(text, code="not-supported")
        if name == "_count":
            count = min(_whole(name, value), query.MAX_COUNT)
        elif name == "_since":
            clauses.append(_version.c.at >= _moment(name, value)[0])
        elif name == "_at":
            clauses.append(_at(_moment(name, value)))
    return count, clauses


def _at(moment: tuple[int, int]) -> sa.ColumnElement[bool]:
    """Versions that were current at some time of the range: written before its end, replaced after its start."""
    low, high = moment
    later = _version.alias()
    replaced = sa.exists().where(
        later.c.type == _version.c.type, later.c.id == _version.c.id, later.c.version > _version.c.version,
        later.c.at <= low,
    )  # fmt: skip
    return sa.and_(_version.c.at <= high, ~replaced)


def _whole(name: str, value: str) -> int:
    if not re.fullmatch(r"\d{1,18}", value, re.ASCII):
        raise outcomes.bad_request(f"{name} is not a whole number.")
    return int(value)


def _moment(name: str, value: str) -> tuple[int, int]:
    bounds = values.date_bounds(value.replace(" ", "+"))
    if bounds is None:
        raise outcomes.bad_request(f"The value of {name} is not a date.")
    return bounds


def _url(ask: Ask, path: str, before: str | None) -> str:
    kept = [(name, value) for name, value in ask.pairs if name != "_page"]
    kept += [("_page", before)] if before is not None else []
    return f"{ask.base}/{path}" + (f"?{urllib.parse.urlencode(kept)}" if kept else "")


def _entry(ask: Ask, row: Any) -> codec.Resource:
    reference = f"{row.type}/{row.id}"
    response = {"etag": f'W/"{row.version}"', "lastModified": resources.instant(row.at)}
    if row.body is None:
        return {
            "fullUrl": f"{ask.base}/{reference}",
            "request": {"method": "DELETE", "url": reference},
            "response": {"status": "204 No Content", **response},
        }
    return {
        "fullUrl": f"{ask.base}/{reference}",
        "resource": msgspec.Raw(bytes(row.body)),
        "request": {"method": row.method, "url": row.type if row.method == "POST" else reference},
        "response": {"status": "201 Created" if row.created else "200 OK", **response},
    }
