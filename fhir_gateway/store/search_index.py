"""The index rows of the current resources: written and dropped in the commit that stores the resource."""

from __future__ import annotations

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


_COLUMNS = {table.name: [c.name for c in table.columns if c.name != "rk"] for table in schema.INDEX_TABLES}
_INSERTS = {table.name: _insert(table) for table in schema.INDEX_TABLES}
_DELETES = {
    table.name: statements.Statement(f"DELETE FROM {table.name} WHERE rk = :rk")  # noqa: S608
    for table in schema.INDEX_TABLES
}


def add(connection: sa.Connection, rk: int, resource: codec.Resource) -> None:
    """Write the index rows of a resource that is now current."""
    rows: dict[str, dict[tuple[Any, ...], None]] = {}
    for table, row in _rows(resource):
        rows.setdefault(table, {})[row] = None
    for table, found in rows.items():
        names = _COLUMNS[table]
        _INSERTS[table].many(connection, [{"rk": rk, **dict(zip(names, row, strict=True))} for row in found])


def remove(connection: sa.Connection, rk: int) -> None:
    """Drop the index rows of a version that is not current any more."""
    for statement in _DELETES.values():
        statement.run(connection, rk=rk)


def _rows(resource: codec.Resource) -> Iterator[tuple[str, tuple[Any, ...]]]:
    for parameter in parameters.of_type(resource["resourceType"]).values():
        for path in parameter.paths:
            if path and path[0][0] not in resource:
                continue
            for node in parameters.walk(resource, path):
                yield from _of_node(parameter, path, node)
        if parameter.name == "deceased" and "deceasedBoolean" not in resource and "deceasedDateTime" not in resource:
            yield schema.index_token.name, (parameter.key, "", "false")


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
        if not parameter.target or value[0] in (parameter.target, ""):
            yield table.name, (parameter.key, *value)
    if parameter.kind == "token":
        for text in values.token_texts(node):
            yield schema.index_string.name, (parameter.beside("text"), text, text)
    elif parameter.kind == "reference" and isinstance(node, dict) and "identifier" in node:
        for value in values.tokens(node["identifier"]):
            yield schema.index_token.name, (parameter.beside("identifier"), *value)


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
            if not batch:
                connection.execute(schema.index_state.insert().values(registry=parameters.checksum()))
                break
        last, count = batch[-1].rk, count + len(batch)
    if count:
        log.info("search index made again", resources=count)
