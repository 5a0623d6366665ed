"""One page of a search: which index leads, in which order, where the next page goes on.

There is no result cache: a page goes on after the sort values and the key of the last resource of the page before
(keyset paging). A condition that matches few resources leads, the others are probed; where none does, the resources are
walked through in the order that was asked for until the page is full. So the time hardly grows with the store.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from fhir_gateway.search import conditions, query, values
from fhir_gateway.store import codec, resources, schema

FEW = 1000  # a condition with at most so many matches leads the search

_version = schema.resource_version
_COLUMNS = (_version.c.rk, _version.c.type, _version.c.id, _version.c.version, _version.c.at, _version.c.body)
_RK: sa.ColumnElement[int] = sa.type_coerce(_version.c.rk, sa.BigInteger)


@dataclass(frozen=True, slots=True)
class Page:
    """The matches of one page, the token of the next one, and how many match where that is known."""

    matches: tuple[resources.Stored, ...]
    next: str | None
    total: int | None


def find(connection: sa.Connection, wanted: query.Query) -> Page:
    """One page. Raises BadQuery for a page token that this server did not make."""
    few = _few(connection, wanted)
    where = _where(wanted, few)
    if wanted.summary == "count":
        return Page((), None, _count(connection, where))
    place = _place(wanted.page)
    order = _order(wanted, walks=few is None)
    rows = order.rows(connection, where, place, wanted.count + 1)
    matches = [_stored(row) for row in rows[: wanted.count]]
    following = _token(order.place(rows[wanted.count - 1])) if len(rows) > wanted.count else None
    return Page(tuple(matches), following, _total(connection, wanted, where, few, following, len(matches)))


def _few(connection: sa.Connection, wanted: query.Query) -> tuple[int, ...] | None:
    """The keys that the most selective condition leaves, when they are few."""
    for condition in wanted.filters:
        keys = condition.keys()
        if keys is not None:
            found = tuple(int(row.rk) for row in connection.execute(keys.limit(FEW + 1)))
            if len(found) <= FEW:
                return found
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


def _count(connection: sa.Connection, where: list[conditions.Clause]) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(_version).where(*where)).scalar_one()


def _total(
    connection: sa.Connection,
    wanted: query.Query,
    where: list[conditions.Clause],
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
        return None
    return _count(connection, where)


def _stored(row: Any) -> resources.Stored:
    return resources.Stored(row.type, row.id, row.version, row.at, bytes(row.body), rk=row.rk)


Place = list[Any]


def _token(place: Place) -> str:
    return base64.urlsafe_b64encode(codec.encode(place)).decode("ascii").rstrip("=")


def _place(token: str | None) -> Place | None:
    if token is None:
        return None
    try:
        place = codec.decode(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (ValueError, codec.NotJson):
        place = None
    if not isinstance(place, list) or len(place) < 2 or not all(isinstance(part, str | int | float) for part in place):
        raise _foreign_page()
    return place


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
            statement = statement.where(self._after(place[1:]))
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
    """Sorted by one parameter, read from its index in that order; resources without a value come last."""

    table: sa.Table
    parameter: int
    descending: bool

    @property
    def _by(self) -> list[sa.ColumnElement[Any]]:
        by_value = next(index for index in self.table.indexes if index.name == f"{self.table.name}_by_value")
        return [self.table.c[column.name] for column in by_value.columns if column.name != "parameter"]

    def rows(
        self, connection: sa.Connection, where: list[conditions.Clause], place: Place | None, limit: int
    ) -> list[Any]:
        if place is not None and (place[0] not in ("walk", "without") or len(place) < 2):
            raise _foreign_page()
        found: list[Any] = []
        if place is None or place[0] == "walk":
            found = self._with_value(connection, where, place, limit)
        if len(found) < limit:
            after = place[1] if place is not None and place[0] == "without" else None
            found += self._without_value(connection, where, after, limit - len(found))
        return found

    def _with_value(
        self, connection: sa.Connection, where: list[conditions.Clause], place: Place | None, limit: int
    ) -> list[Any]:
        by = self._by
        statement = (
            sa.select(*_COLUMNS, *(column.label(f"key{number}") for number, column in enumerate(by)))
            .select_from(self.table.join(_version, _version.c.rk == self.table.c.rk))
            .where(self.table.c.parameter == self.parameter, *where, self._is_first())
        )
        if place is not None:
            if len(place) != len(by) + 1:
                raise _foreign_page()
            bound = [sa.literal(value, column.type) for value, column in zip(place[1:], by, strict=True)]
            mine, theirs = sa.tuple_(*by), sa.tuple_(*bound)
            statement = statement.where(mine < theirs if self.descending else mine > theirs)
        ordered = [column.desc() if self.descending else column.asc() for column in by]
        return list(connection.execute(statement.order_by(*ordered).limit(limit)))

    def _is_first(self) -> conditions.Clause:
        """Of several values of one resource the one that it is sorted by."""
        other = self.table.alias()
        mine = sa.tuple_(*(column for column in self._by if column.name != "rk"))
        theirs = sa.tuple_(*(other.c[column.name] for column in self._by if column.name != "rk"))
        better = theirs > mine if self.descending else theirs < mine
        return ~sa.exists().where(other.c.rk == self.table.c.rk, other.c.parameter == self.parameter, better)

    def _without_value(
        self, connection: sa.Connection, where: list[conditions.Clause], after: int | None, limit: int
    ) -> list[Any]:
        has = sa.exists().where(self.table.c.rk == _version.c.rk, self.table.c.parameter == self.parameter)
        statement = sa.select(*_COLUMNS, sa.null().label("key0")).where(*where, ~has)
        if after is not None:
            statement = statement.where(_version.c.rk > after)
        return list(connection.execute(statement.order_by(_version.c.rk).limit(limit)))

    def place(self, row: Any) -> Place:
        if row.key0 is None:
            return ["without", row.rk]
        return ["walk", *(getattr(row, f"key{number}") for number in range(len(self._by)))]


def _order(wanted: query.Query, *, walks: bool) -> _ByColumns | _ByWalk:
    """How the page is sorted. The token of the page before decides where the number of matches has changed since."""
    place = _place(wanted.page)
    first = wanted.sort[0] if wanted.sort else None
    is_walk = walks if place is None else place[0] != "sorted"
    if is_walk and len(wanted.sort) == 1 and first is not None and first.parameter is not None:
        return _ByWalk(conditions.TABLES[first.parameter.kind], first.parameter.key, first.descending)
    last = bool(first and first.descending and first.parameter is None)
    return _ByColumns((*((_key(sort), sort.descending) for sort in wanted.sort), (_RK, last)))


def _key(sort: query.Sort) -> sa.ColumnElement[Any]:
    """The value that a version is sorted by; one without any comes last in both directions."""
    if sort.parameter is None:
        return _version.c.at if sort.name == "_lastUpdated" else _version.c.id
    table = conditions.TABLES[sort.parameter.kind]
    by_value = next(index for index in table.indexes if index.name == f"{table.name}_by_value")
    column = table.c[[c.name for c in by_value.columns][1]]
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
    statement = sa.select(sa.literal(1)).where(_version.c.rk == rk, *_where(wanted, None))
    return connection.execute(statement).first() is not None
