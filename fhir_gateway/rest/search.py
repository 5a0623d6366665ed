"""search-type. https://hl7.org/fhir/R4/search.html"""

from __future__ import annotations

import re
import urllib.parse
from dataclasses import dataclass

import sqlalchemy as sa
from starlette.responses import Response

from fhir_gateway.rest import outcomes, requests, types
from fhir_gateway.security import audit
from fhir_gateway.store import resources, schema, search_index

_PREFIX = re.compile(r"(eq|ne|gt|lt|ge|le)?(.+)")
_CONTROL = frozenset({"_count", "_sort", "_format", "_pretty", "_page"})
_MAX_COUNT = 1000  # results a page

_version = schema.resource_version


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed search: what must hold, how many a page, newest first or not, and the row key it goes on after."""

    resource_type: str
    conditions: tuple[sa.ColumnElement[bool], ...]
    count: int
    newest_first: bool
    after: int | None


async def search(context: requests.Context) -> Response:
    """GET [type]?… and POST [type]/_search."""
    resource_type = context.path("type")
    if resource_type not in types.SUPPORTED:
        raise outcomes.not_supported(resource_type)
    pairs = list(context.request.query_params.multi_items())
    if context.request.method == "POST":
        pairs += _form(context)
    query = parse(resource_type, pairs, context.gateway.settings.rest.page_size)
    total, found = await context.gateway.database.read(lambda connection: run(connection, query))
    await audit.accessed(context.gateway, "search-type", [f"{stored.type}/{stored.id}" for _rk, stored in found])
    links = [{"relation": "self", "url": _link(context, pairs, None)}]
    if query.count and len(found) > query.count:
        links.append({"relation": "next", "url": _link(context, pairs, found[query.count - 1][0])})
    return requests.json_response(
        {
            "resourceType": "Bundle",
            "type": "searchset",
            "total": total,
            "link": links,
            "entry": [
                {
                    "fullUrl": f"{context.base}/{stored.type}/{stored.id}",
                    "resource": stored.resource,
                    "search": {"mode": "match"},
                }
                for _rk, stored in found[: query.count]
            ],
        }
    )


def parse(resource_type: str, pairs: list[tuple[str, str]], page_size: int) -> Query:
    """The query that the parameters mean; an unknown parameter is an error, never ignored."""
    conditions: list[sa.ColumnElement[bool]] = []
    count, newest_first, after = page_size, False, None
    for name, value in pairs:
        if name == "_count":
            count = min(_integer(name, value), _MAX_COUNT)
        elif name == "_page":
            after = _integer(name, value)
        elif name == "_sort":
            newest_first = _sort(value)
        elif name not in _CONTROL:
            conditions.append(_condition(resource_type, name, value))
    return Query(resource_type, tuple(conditions), count, newest_first, after)


def run(connection: sa.Connection, query: Query) -> tuple[int, list[tuple[int, resources.Stored]]]:
    """How many match, and one page of them with one more when there is a next page, each with its row key."""
    base = (_version.c.type == query.resource_type, _version.c.is_current, _version.c.body.is_not(None))
    matching = sa.and_(*base, *query.conditions)
    total = connection.execute(sa.select(sa.func.count()).select_from(_version).where(matching)).scalar_one()
    page = sa.select(_version.c.rk, _version.c.id, _version.c.version, _version.c.at, _version.c.body).where(matching)
    if query.after is not None:
        page = page.where(_version.c.rk < query.after if query.newest_first else _version.c.rk > query.after)
    page = page.order_by(_version.c.rk.desc() if query.newest_first else _version.c.rk).limit(query.count + 1)
    rows = connection.execute(page)
    return total, [
        (row.rk, resources.Stored(query.resource_type, row.id, row.version, row.at, row.body)) for row in rows
    ]


def _form(context: requests.Context) -> list[tuple[str, str]]:
    media_type = context.request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type not in ("", "application/x-www-form-urlencoded"):
        text = "A _search body is application/x-www-form-urlencoded."
        raise outcomes.Refused(415, outcomes.Issue("not-supported", text))
    try:
        return urllib.parse.parse_qsl(context.body.decode("utf-8"), keep_blank_values=True)
    except UnicodeDecodeError:
        raise outcomes.bad_request("The search parameters are not UTF-8.") from None


def _link(context: requests.Context, pairs: list[tuple[str, str]], after: int | None) -> str:
    kept = [(name, value) for name, value in pairs if name != "_page"]
    if after is not None:
        kept.append(("_page", str(after)))
    query = urllib.parse.urlencode(kept)
    return f"{context.base}/{context.path('type')}" + (f"?{query}" if query else "")


def _integer(name: str, value: str) -> int:
    if not re.fullmatch(r"\d{1,18}", value, re.ASCII):
        raise outcomes.bad_request(f"{name} is not a whole number.")
    return int(value)


def _sort(value: str) -> bool:
    if value not in ("_lastUpdated", "-_lastUpdated"):
        raise outcomes.bad_request("_sort knows _lastUpdated and -_lastUpdated.", code="not-supported")
    return value.startswith("-")


def _condition(resource_type: str, name: str, value: str) -> sa.ColumnElement[bool]:
    values = [part for part in value.split(",") if part]
    if not values:
        raise outcomes.bad_request(f"The search parameter {name[:64]} has no value.")
    if name == "_id":
        return _version.c.id.in_(values)
    if name == "_lastUpdated":
        return sa.or_(*(_last_updated(part) for part in values))
    found = search_index.parameter(resource_type, name)
    if found is None:
        text = f"The search parameter {name[:64]} is not supported for {resource_type}."
        raise outcomes.bad_request(text, code="not-supported")
    match = {"token": _token, "reference": _reference, "date": _date, "string": _string}[found.kind]
    table = {
        "token": schema.index_token,
        "reference": schema.index_reference,
        "date": schema.index_date,
        "string": schema.index_string,
    }[found.kind]
    return sa.exists().where(
        table.c.rk == _version.c.rk, table.c.parameter == found.name, sa.or_(*(match(found, part) for part in values))
    )


def _token(_found: search_index.Parameter, value: str) -> sa.ColumnElement[bool]:
    table = schema.index_token
    if "|" not in value:
        return table.c.code == value
    system, code = value.split("|", 1)
    if not code:
        return table.c.system == system
    return sa.and_(table.c.system == system, table.c.code == code)


def _reference(found: search_index.Parameter, value: str) -> sa.ColumnElement[bool]:
    table = schema.index_reference
    target_type, target_id = search_index.split_reference(value)
    condition = table.c.target_id == target_id
    target_type = target_type or found.target or ""
    return sa.and_(condition, table.c.target_type == target_type) if target_type else condition


def _date(found: search_index.Parameter, value: str) -> sa.ColumnElement[bool]:
    prefix, low, high = _bounds(found.name, value)
    table = schema.index_date
    return _compare(prefix, table.c.low, table.c.high, low, high)


def _last_updated(value: str) -> sa.ColumnElement[bool]:
    prefix, low, high = _bounds("_lastUpdated", value)
    return _compare(prefix, _version.c.at, _version.c.at, low, high)


def _bounds(name: str, value: str) -> tuple[str, int, int]:
    match = _PREFIX.fullmatch(value)
    bounds = search_index.date_bounds(match.group(2)) if match else None
    if match is None or bounds is None:
        raise outcomes.bad_request(f"The value of {name} is not a date.")
    return match.group(1) or "eq", *bounds


def _compare(
    prefix: str, low_column: sa.ColumnElement[int], high_column: sa.ColumnElement[int], low: int, high: int
) -> sa.ColumnElement[bool]:
    """R4 search.html#prefix: each prefix compares the range of the value with the range of the resource."""
    inside = sa.and_(low_column >= low, high_column <= high)
    return {
        "eq": inside,
        "ne": sa.not_(inside),
        "gt": high_column > high,
        "lt": low_column < low,
        "ge": sa.or_(high_column > high, inside),
        "le": sa.or_(low_column < low, inside),
    }[prefix]


def _string(_found: search_index.Parameter, value: str) -> sa.ColumnElement[bool]:
    return schema.index_string.c.value.startswith(search_index.plain(value), autoescape=True)


def the_one(connection: sa.Connection, condition: Query, name: str, at: str | None = None) -> resources.Stored | None:
    """What the condition of a conditional create matches; None for nothing, 412 for more than one.

    `name` is how the condition is called where it stands, `at` its FHIRPath (R4 http.html#ccreate).
    """
    total, found = run(connection, condition)
    if total > 1:
        text = f"The condition of {name} matches more than one resource."
        raise outcomes.Refused(412, outcomes.Issue("multiple-matches", text, at))
    return found[0][1] if total else None


def parse_text(resource_type: str, text: str, page_size: int) -> Query:
    """The query of a conditional create, e.g. `identifier=system|value`."""
    return parse(resource_type, urllib.parse.parse_qsl(text.removeprefix("?"), keep_blank_values=True), page_size)
