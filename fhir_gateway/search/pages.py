"""One page of a search: which index leads, in which order, where the next page goes on.

There is no result cache: a page goes on after the sort values and the key of the last resource of the page before
(keyset paging). A condition that matches few resources leads, the others are probed; where none does, the resources are
walked through in the order that was asked for until the page is full. So the time hardly grows with the store.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.util import ClauseAdapter

from fhir_gateway.search import conditions, query, values
from fhir_gateway.store import codec, resources, schema, search_index

COUNTED = 1000  # resources of a type up to which they are counted without being asked to
FEW = 1000  # a condition with at most so many matches leads the search

_version = schema.resource_version
_COLUMNS = (_version.c.rk, _version.c.type, _version.c.id, _version.c.version, _version.c.at, _version.c.body)
_AT: sa.ColumnElement[int] = sa.type_coerce(_version.c.at, sa.BigInteger)
_RK: sa.ColumnElement[int] = sa.type_coerce(_version.c.rk, sa.BigInteger)


@dataclass(frozen=True, slots=True)
class Page:
    """The matches of one page, the token of the next one, and how many match where that is known."""

    matches: tuple[resources.Stored, ...]
    next: str | None
    total: int | None


def find(connection: sa.Connection, wanted: query.Query) -> Page:
    """One page. Raises BadQuery for a page token that this server did not make."""
    search_index.flush(connection)
    few = _few(connection, wanted)
    if wanted.summary == "count":
        return Page((), None, _count(connection, _where(wanted, few)))
    place = _place(wanted)
    rows, order = _rows(connection, wanted, few, place)
    found = [_stored(row) for row in rows[: wanted.count]]
    following = _token(wanted, order.place(rows[wanted.count - 1])) if len(rows) > wanted.count else None
    return Page(tuple(found), following, _total(connection, wanted, few, following, len(found)))


def _few(connection: sa.Connection, wanted: query.Query) -> tuple[int, ...] | None:
    """The keys that a condition leaves, of the first one that leaves few."""
    for condition in wanted.filters:
        keys = condition.keys()
        if keys is not None:
            some = sa.select(sa.func.count()).select_from(keys.limit(FEW + 1).subquery())
            if connection.execute(some).scalar_one() <= FEW:
                return tuple(sorted({int(row.rk) for row in connection.execute(keys)}))
    return None


def _where(wanted: query.Query, few: tuple[int, ...] | None) -> list[conditions.Clause]:
    types = wanted.types
    where: list[conditions.Clause] = [
        _version.c.type == types[0] if len(types) == 1 else _version.c.type.in_(types),
        conditions.IS_CURRENT,
        _version.c.body.is_not(None),
        *(condition.holds(_version.c.rk) for condition in wanted.filters),
    ]
    return where if few is None else [_version.c.rk.in_(few), *where]


def _rows(
    connection: sa.Connection, wanted: query.Query, few: tuple[int, ...] | None, place: Place | None
) -> tuple[list[Any], _ByColumns | _ByWalk]:
    """The rows of a page and one more, and the order that they stand in."""
    order = _order(wanted, place, is_few=few is not None)
    if isinstance(order, _ByWalk):
        return order.rows(connection, wanted, place), order
    return order.rows(connection, _where(wanted, few), place, wanted.count + 1), order


def _count(connection: sa.Connection, where: list[conditions.Clause]) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(_version).where(*where)).scalar_one()


def _total(
    connection: sa.Connection,
    wanted: query.Query,
    few: tuple[int, ...] | None,
    following: str | None,
    found: int,
) -> int | None:
    """The total where it was asked for, or costs next to nothing."""
    if wanted.total == "none":
        return None
    if wanted.page is None and following is None:
        return found
    if wanted.total is None and few is None:
        return None if wanted.filters else count_to(connection, _where(wanted, None), COUNTED)
    return _count(connection, _where(wanted, few))


def count_to(connection: sa.Connection, where: Sequence[conditions.Clause], limit: int) -> int | None:
    """How many versions match, if not more than `limit`: counting must not take longer than the page."""
    some = sa.select(_version.c.rk).where(*where).limit(limit + 1).subquery()
    counted = connection.execute(sa.select(sa.func.count()).select_from(some)).scalar_one()
    return counted if counted <= limit else None


def _stored(row: Any) -> resources.Stored:
    return resources.Stored(row.type, row.id, row.version, row.at, bytes(row.body), rk=row.rk)


Place = list[Any]


def _token(wanted: query.Query, place: Place) -> str:
    return base64.urlsafe_b64encode(codec.encode([wanted.fingerprint, *place])).decode("ascii").rstrip("=")


def _place(wanted: query.Query) -> Place | None:
    """Where the page goes on, from a token that this server made for this search."""
    token = wanted.page
    if token is None:
        return None
    try:
        place = codec.decode(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (ValueError, codec.NotJson):
        place = None
    if not isinstance(place, list) or len(place) < 3 or place[0] != wanted.fingerprint:
        raise _foreign_page()
    return [float(part) if isinstance(part, Decimal) else part for part in place[1:]]


def _bound(value: Any, key: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """A value of a token, if it is one that the key can have."""
    kind = key.type.python_type
    is_one = isinstance(value, int | float) and not isinstance(value, bool) if kind is float else type(value) is kind
    if not is_one or (isinstance(value, int) and abs(value) >= 2**63):
        raise _foreign_page()
    return sa.literal(value, key.type)


def _foreign_page() -> query.BadQuery:
    return query.BadQuery("_page is no token of this server: follow the next link as it is.")


@dataclass(frozen=True, slots=True)
class _ByColumns:
    """Sorted by columns and by the least or greatest value of parameters; the key of the version decides at last."""

    keys: tuple[tuple[sa.ColumnElement[Any], bool], ...]

    def rows(
        self, connection: sa.Connection, where: list[conditions.Clause], place: Place | None, limit: int
    ) -> list[Any]:
        labelled = [key.label(f"key{number}") for number, (key, _descending) in enumerate(self.keys)]
        statement = sa.select(*_COLUMNS, *labelled).where(*where)
        if place is not None:
            if len(place) != len(self.keys) + 1 or place[0] != "sorted":
                raise _foreign_page()
            statement = statement.where(
                self._after([_bound(v, k) for v, (k, _d) in zip(place[1:], self.keys, strict=True)])
            )
        ordered = [key.desc() if descending else key.asc() for key, descending in self.keys]
        return list(connection.execute(statement.order_by(*ordered).limit(limit)))

    def _after(self, place: Place) -> conditions.Clause:
        clauses = []
        for number, (key, descending) in enumerate(self.keys):
            same = [before == place[index] for index, (before, _descending) in enumerate(self.keys[:number])]
            clauses.append(sa.and_(*same, key < place[number] if descending else key > place[number]))
        return sa.or_(*clauses)

    def place(self, row: Any) -> Place:
        return ["sorted", *(getattr(row, f"key{number}") for number in range(len(self.keys)))]


@dataclass(frozen=True, slots=True)
class _ByWalk:
    """In the order of one index, as it is read: by the values of a parameter, then by the key of the version.

    `lead` is a condition on that index which is walked through alone. Without it every value of the parameter is, and
    the resources that have none come last.
    """

    table: sa.Table
    parameter: int
    descending: bool
    lead: conditions.Filter | None = None

    @property
    def _by(self) -> list[sa.Column[Any]]:
        return _by_value(self.table)

    def rows(self, connection: sa.Connection, wanted: query.Query, place: Place | None) -> list[Any]:
        if place is not None and place[0] not in ("walk", "without"):
            raise _foreign_page()
        limit = wanted.count + 1
        found: list[Any] = []
        if place is None or place[0] == "walk":
            found = self._with_value(connection, wanted, place, limit)
        if len(found) < limit and self.lead is None:
            after = place[1] if place is not None and place[0] == "without" else None
            found += self._without_value(connection, _where(wanted, None), after, limit - len(found))
        return found

    def _with_value(self, connection: sa.Connection, wanted: query.Query, place: Place | None, limit: int) -> list[Any]:
        """Rows of the index belong to resources of one type: the other conditions are probed for each."""
        by = self._by
        others = [condition for condition in wanted.filters if condition is not self.lead]
        mine = self.lead.clause if self.lead is not None else self.table.c.parameter == self.parameter
        statement = (
            sa.select(*_COLUMNS, *(column.label(f"key{number}") for number, column in enumerate(by)))
            .select_from(self.table.join(_version, _version.c.rk == self.table.c.rk))
            .where(mine, conditions.IS_CURRENT, _version.c.body.is_not(None))
            .where(*(condition.holds(self.table.c.rk) for condition in others), self._is_first(mine))
        )
        if place is not None:
            if len(place) != len(by) + 1:
                raise _foreign_page()
            bound = [_bound(value, column) for value, column in zip(place[1:], by, strict=True)]
            here, there = sa.tuple_(*by), sa.tuple_(*bound)
            statement = statement.where(here < there if self.descending else here > there)
        ordered = [column.desc() if self.descending else column.asc() for column in by]
        return list(connection.execute(statement.order_by(*ordered).limit(limit)))

    def _is_first(self, mine: conditions.Clause) -> conditions.Clause:
        """Of several rows of one resource the one that it is sorted by."""
        other = self.table.alias()
        values_of = [column for column in self.table.columns if column.name not in ("rk", "parameter")]
        here, there = sa.tuple_(*values_of), sa.tuple_(*(other.c[column.name] for column in values_of))
        better = there > here if self.descending else there < here
        same = ClauseAdapter(other).traverse(mine)
        return ~sa.exists().where(other.c.rk == self.table.c.rk, same, better)

    def _without_value(
        self, connection: sa.Connection, where: list[conditions.Clause], after: int | None, limit: int
    ) -> list[Any]:
        has = sa.exists().where(self.table.c.rk == _version.c.rk, self.table.c.parameter == self.parameter)
        statement = sa.select(*_COLUMNS, sa.null().label("key0")).where(*where, ~has)
        if after is not None:
            statement = statement.where(_version.c.rk > _bound(after, _RK))
        return list(connection.execute(statement.order_by(_version.c.rk).limit(limit)))

    def place(self, row: Any) -> Place:
        if row.key0 is None:
            return ["without", row.rk]
        return ["walk", *(getattr(row, f"key{number}") for number in range(len(self._by)))]


def _order(wanted: query.Query, place: Place | None, *, is_few: bool) -> _ByColumns | _ByWalk:
    """How the page is sorted. The token of the page before decides where the number of matches has changed since."""
    is_walk = not is_few if place is None else place[0] != "sorted"
    sort = wanted.sort
    if is_walk and len(sort) == 1 and sort[0].parameter is not None:
        parameter = sort[0].parameter
        return _ByWalk(conditions.TABLES[parameter.kind], parameter.key, sort[0].descending)
    lead = next((f for f in wanted.filters if f.table is not None and not f.negated), None)
    if is_walk and not sort and lead is not None and lead.table is not None:
        return _ByWalk(lead.table, 0, False, lead)
    last = bool(sort and sort[0].descending and sort[0].parameter is None)
    keys = [(_key(key), key.descending) for key in sort] or [(_AT, False)]
    return _ByColumns((*keys, (_RK, last)))


def _by_value(table: sa.Table) -> list[sa.Column[Any]]:
    """The columns of an index table in the order of its index by value, without the parameter."""
    by_value = next(index for index in table.indexes if index.name == f"{table.name}_by_value")
    return [table.c[column.name] for column in by_value.columns if column.name != "parameter"]


def _key(sort: query.Sort) -> sa.ColumnElement[Any]:
    """The value that a version is sorted by; one without any comes last in both directions."""
    if sort.parameter is None:
        return _AT if sort.name == "_lastUpdated" else _version.c.id
    table = conditions.TABLES[sort.parameter.kind]
    column = _by_value(table)[0]
    pick = sa.func.max if sort.descending else sa.func.min
    best = (
        sa.select(pick(column))
        .where(table.c.rk == _version.c.rk, table.c.parameter == sort.parameter.key)
        .scalar_subquery()
    )
    return sa.func.coalesce(best, _absent(column, sort.descending))


def _absent(column: sa.Column[Any], descending: bool) -> sa.ColumnElement[Any]:
    if isinstance(column.type, sa.BigInteger):
        return sa.literal(values.START_OF_TIME - 1 if descending else values.END_OF_TIME + 1, sa.BigInteger)
    if isinstance(column.type, sa.Double):
        return sa.literal(-10 * values.UNBOUNDED if descending else 10 * values.UNBOUNDED, sa.Double)
    return sa.literal("" if descending else "\U0010ffff")


def matches(connection: sa.Connection, wanted: query.Query, rk: int) -> bool:
    """Whether the current version with this key is one that the search would find."""
    search_index.flush(connection)
    statement = sa.select(sa.literal(1)).where(_version.c.rk == rk, *_where(wanted, None))
    return connection.execute(statement).first() is not None
