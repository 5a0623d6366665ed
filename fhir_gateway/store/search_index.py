"""The index rows of the current resources: written and dropped in the commit that stores the resource.

The rows of all resources of a commit are written together. So whatever looks at the index inside a transaction that
writes has to `flush` first; `search/pages.py` and `store/search.py` do.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
import structlog

from fhir_gateway.search import parameters, values
from fhir_gateway.store import codec, schema, statements

log = structlog.get_logger()

_REINDEX_BATCH = 500  # resources a commit when the whole index is made again
_EXTRACT = {
    "token": (values.tokens, schema.index_token),
    "uri": (values.uris, schema.index_token),
    "reference": (values.references, schema.index_reference),
    "date": (values.dates, schema.index_date),
    "string": (values.strings, schema.index_string),
    "quantity": (values.quantities, schema.index_quantity),
    "number": (values.numbers, schema.index_quantity),
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

Pending = list[tuple[str, tuple[Any, ...]]]


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


def _rows(resource: codec.Resource) -> Iterator[tuple[str, tuple[Any, ...]]]:
    by_element = _by_element(resource["resourceType"])
    for name in ("", *resource):
        for parameter, path in by_element.get(name, ()):
            for node in parameters.walk(resource, path):
                yield from _of_node(parameter, path, node)
    if resource["resourceType"] == "Patient" and not resource.keys() & {"deceasedBoolean", "deceasedDateTime"}:
        yield schema.index_token.name, (parameters.of_type("Patient")["deceased"].key, "", "false")


def _of_node(
    parameter: parameters.Parameter, path: parameters.ElementPath, node: Any
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    if parameter.kind == "composite":
        yield from _composites(parameter, node)
        return
    if parameter.name == "deceased" and path[-1][0] == "deceasedDateTime":
        node = True  # R4: Patient.deceased.exists() and Patient.deceased != false
    extract, table = _EXTRACT[parameter.kind]
    for value in extract(node):
        if parameter.system and value[0] == "":
            value = (parameter.system, *value[1:])
        if not parameter.target or _leads_to(parameter.target, value):
            yield table.name, (parameter.key, *value)
    if parameter.kind == "token":
        for text in values.token_texts(node):
            yield schema.index_string.name, (parameter.beside("text"), text, text)
    elif parameter.kind == "reference" and isinstance(node, dict) and "identifier" in node:
        for value in values.tokens(node["identifier"]):
            yield schema.index_token.name, (parameter.beside("identifier"), *value)


def _leads_to(target: str, value: tuple[Any, ...]) -> bool:
    """Whether a reference is one to this type, here or on another server."""
    return value[0] == target or (value[0] == "" and f"/{target}/" in value[1])


def _composites(parameter: parameters.Parameter, node: Any) -> Iterator[tuple[str, tuple[Any, ...]]]:
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
