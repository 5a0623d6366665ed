"""_include and _revinclude: what comes along with the matches. https://hl7.org/fhir/R4/search.html#include"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from fhir_gateway.search import conditions, parameters, query, values
from fhir_gateway.store import resources, schema

LIMIT = 1000  # resources that come along with one page at most
ROUNDS = 4  # how often `:iterate` goes on from what came along

_version = schema.resource_version


def along(
    connection: sa.Connection, wanted: query.Query, matches: Sequence[resources.Stored]
) -> tuple[list[resources.Stored], bool]:
    """The resources that come along, without those that match, and whether these are all."""
    if not wanted.includes and not wanted.reverse_includes:
        return [], True
    seen = {stored.reference: stored for stored in matches}
    found: list[resources.Stored] = []
    latest: Sequence[resources.Stored] = matches
    for number in range(ROUNDS):
        new: dict[str, resources.Stored] = {}
        for include in wanted.includes:
            if number == 0 or include.iterate:
                new |= {s.reference: s for s in _forward(connection, include, latest)}
        for include in wanted.reverse_includes:
            if number == 0 or include.iterate:
                new |= {s.reference: s for s in _reverse(connection, include, latest)}
        latest = [stored for reference, stored in new.items() if reference not in seen]
        seen |= {stored.reference: stored for stored in latest}
        found += latest
        if len(found) > LIMIT:
            return found[:LIMIT], False
        if not latest:
            break
    return found, True


def _forward(
    connection: sa.Connection, include: query.Include, sources: Iterable[resources.Stored]
) -> Iterable[resources.Stored]:
    asked: set[tuple[str, str]] = set()
    for source in sources:
        if source.type != include.source:
            continue
        resource = source.resource
        for parameter in include.parameters:
            for path in parameter.paths:
                for node in parameters.walk(resource, path):
                    asked.update(values.references(node))
    for target_type, target_id in sorted(asked)[: LIMIT + 1]:
        if target_type and include.target in (None, target_type) and len(target_id) <= 64:
            stored = resources.present(connection, target_type, target_id)
            if stored is not None:
                yield stored


def _reverse(
    connection: sa.Connection, include: query.Include, targets: Sequence[resources.Stored]
) -> Iterable[resources.Stored]:
    table = schema.index_reference
    by_type: dict[str, list[str]] = {}
    for target in targets:
        if include.target in (None, target.type):
            by_type.setdefault(target.type, []).append(target.id)
    for target_type, ids in by_type.items():
        keys = sa.select(table.c.rk).where(
            table.c.parameter.in_([parameter.key for parameter in include.parameters]),
            table.c.target_type == target_type,
            table.c.target_id.in_(ids),
        )
        statement = (
            sa.select(_version.c.type, _version.c.id, _version.c.version, _version.c.at, _version.c.body)
            .where(_version.c.rk.in_(keys), conditions.IS_CURRENT)
            .order_by(_version.c.rk)
            .limit(LIMIT + 1)
        )
        for row in connection.execute(statement):
            yield resources.Stored(row.type, row.id, row.version, row.at, bytes(row.body))
