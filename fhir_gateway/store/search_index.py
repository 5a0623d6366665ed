"""The index rows of the current resources: written and dropped in the commit that stores the resource.

The rows of all resources of a commit are written together. So whatever looks at the index inside a transaction that
writes has to `flush` first; `search/pages.py` and `store/search.py` do.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import sqlalchemy as sa
import structlog

from fhir_gateway.search import parameters, values
from fhir_gateway.store import codec, schema, statements

log = structlog.get_logger()

_REINDEX_BATCH = 500  # resources a commit when the whole index is made again
_TOKENS, _STRINGS = schema.index_token.name, schema.index_string.name

_EXTRACT: dict[parameters.Kind, tuple[Callable[[Any], Iterable[tuple[Any, ...]]], str]] = {
    "token": (values.tokens, _TOKENS),
    "uri": (values.uris, _TOKENS),
    "reference": (values.references, schema.index_reference.name),
    "date": (values.dates, schema.index_date.name),
    "string": (values.strings, _STRINGS),
    "quantity": (values.quantities, schema.index_quantity.name),
    "number": (values.numbers, schema.index_quantity.name),
}


def _insert(table: sa.Table) -> statements.Statement:
    names = [column.name for column in table.columns]
    marks = ", ".join(f":{name}" for name in names)
    return statements.Statement(
        f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks}) ON CONFLICT DO NOTHING"  # noqa: S608
    )


_INSERTS = {table.name: _insert(table) for table in schema.INDEX_TABLES}
_NAMES = {table.name: tuple(column.name for column in table.columns) for table in schema.INDEX_TABLES}
_DELETES = {
    table.name: statements.Statement(f"DELETE FROM {table.name} WHERE rk = :rk")  # noqa: S608
    for table in schema.INDEX_TABLES
}

#: Where a connection keeps the index rows that are not written yet.
_PENDING = "index rows"

Pending = list["Row"]


def add(connection: sa.Connection, rk: int, resource: codec.Resource) -> None:
    """Note the index rows of a resource that is now current; `flush` writes them, many resources at once."""
    pending: Pending = connection.info.setdefault(_PENDING, [])
    pending += [(table, (rk, *row)) for table, row in _rows(resource)]


def flush(connection: sa.Connection) -> None:
    """Write what is noted: before the commit, and before anything in the transaction looks at the index."""
    pending: Pending | None = connection.info.get(_PENDING)
    if pending:
        connection.info[_PENDING] = []
        by_table: dict[str, dict[tuple[Any, ...], None]] = {}
        for table, row in pending:
            by_table.setdefault(table, {})[row] = None
        for table, rows in by_table.items():
            names = _NAMES[table]
            _INSERTS[table].many(connection, [dict(zip(names, row, strict=True)) for row in rows])


def noted(connection: sa.Connection) -> tuple[Pending, int]:
    """What is noted so far, for `back_to`."""
    pending: Pending = connection.info.setdefault(_PENDING, [])
    return pending, len(pending)


def back_to(connection: sa.Connection, state: tuple[Pending, int]) -> None:
    """Note again what was noted at an earlier moment, to which the transaction has been rolled back."""
    pending, length = state
    connection.info[_PENDING] = pending[:length]


def forget(connection: sa.Connection) -> None:
    """Drop what is noted: the transaction is over."""
    connection.info.pop(_PENDING, None)


def remove(connection: sa.Connection, rk: int) -> None:
    """Drop the index rows of a version that is not current any more."""
    flush(connection)
    for statement in _DELETES.values():
        statement.run(connection, rk=rk)


Extractor = tuple[parameters.Parameter, parameters.ElementPath]


@functools.cache
def _by_element(resource_type: str) -> dict[str, tuple[Extractor, ...]]:
    """The parameters and their paths by the first element of the path; "" for those that look at the whole resource."""
    found: dict[str, list[Extractor]] = {}
    for parameter in parameters.of_type(resource_type).values():
        for path in parameter.paths:
            found.setdefault(path[0][0] if path else "", []).append((parameter, path))
    return {name: tuple(extractors) for name, extractors in found.items()}


Row = tuple[str, tuple[Any, ...]]


def _rows(resource: codec.Resource) -> list[Row]:
    """Table and values (without the key of the version) of each index row of a resource."""
    by_element = _by_element(resource["resourceType"])
    rows: list[Row] = []
    for name in ("", *resource):
        for parameter, path in by_element.get(name, ()):
            for node in parameters.walk(resource, path):
                _add_node(rows, parameter, path, node)
    if resource["resourceType"] == "Patient" and not resource.keys() & {"deceasedBoolean", "deceasedDateTime"}:
        rows.append((schema.index_token.name, (parameters.of_type("Patient")["deceased"].key, "", "false")))
    return rows


def _add_node(rows: list[Row], parameter: parameters.Parameter, path: parameters.ElementPath, node: Any) -> None:
    kind = parameter.kind
    if kind == "composite":
        rows += _composites(parameter, node)
        return
    if parameter.name == "deceased" and path[-1][0] == "deceasedDateTime":
        node = True  # R4: Patient.deceased.exists() and Patient.deceased != false
    extract, table = _EXTRACT[kind]
    for value in extract(node):
        if parameter.system and value[0] == "":
            value = (parameter.system, *value[1:])
        if not parameter.target or _leads_to(parameter.target, value):
            rows.append((table, (parameter.key, *value)))
    if isinstance(node, dict):
        if kind == "token":
            rows += [(_STRINGS, (parameter.beside("text"), text, text)) for text in values.token_texts(node)]
        elif kind == "reference" and "identifier" in node:
            key = parameter.beside("identifier")
            rows += [(_TOKENS, (key, *value)) for value in values.tokens(node["identifier"])]


def _leads_to(target: str, value: tuple[Any, ...]) -> bool:
    """Whether a reference is one to this type, here or on another server."""
    return value[0] == target or (value[0] == "" and f"/{target}/" in value[1])


def _composites(parameter: parameters.Parameter, node: Any) -> Iterator[Row]:
    """One row for each pair of a code (always the first component) and a value beside it."""
    first, second = parameter.parts
    codes = [code for path in first.paths for item in parameters.walk(node, path) for code in values.tokens(item)]
    found = [_component(second.kind, item) for path in second.paths for item in parameters.walk(node, path)]
    for system, code in codes:
        for rows in found:
            for value in rows:
                yield schema.index_composite.name, (parameter.key, system, code, *value)


def _component(kind: parameters.Kind, node: Any) -> list[tuple[str, str, float, float]]:
    """(system or type, code or id or text, low, high) of a composite's second component."""
    if kind == "quantity":
        return [(system, code, low, high) for system, code, _unit, low, high in values.quantities(node)]
    if kind == "date":
        return [("", "", float(low), float(high)) for low, high in values.dates(node)]
    if kind == "string":
        return [("", text, 0.0, 0.0) for text, _written in values.strings(node)]
    return [(system, code, 0.0, 0.0) for system, code in (
        values.references(node) if kind == "reference" else values.tokens(node)
    )]  # fmt: skip


def is_current(connection: sa.Connection) -> bool:
    """Whether the index was made with this version's table of parameters."""
    made = connection.execute(sa.select(schema.index_state.c.registry)).scalar_one_or_none()
    return made == parameters.checksum()


def make_again(engine: sa.Engine) -> None:
    """Index every current resource anew, in batches; a start that is cut off goes on from the beginning."""
    version = schema.resource_version
    with engine.begin() as connection:
        for table in schema.INDEX_TABLES:
            connection.execute(table.delete())
        connection.execute(schema.index_state.delete())
    last, count = 0, 0
    while True:
        with engine.begin() as connection:
            query = (
                sa.select(version.c.rk, version.c.body)
                .where(version.c.rk > last, version.c.is_current, version.c.body.is_not(None))
                .order_by(version.c.rk)
                .limit(_REINDEX_BATCH)
            )
            batch = connection.execute(query).all()
            for row in batch:
                add(connection, row.rk, codec.decode(row.body))
            flush(connection)
            if not batch:
                connection.execute(schema.index_state.insert().values(registry=parameters.checksum()))
                break
        last, count = batch[-1].rk, count + len(batch)
    if count:
        log.info("search index made again", resources=count)
