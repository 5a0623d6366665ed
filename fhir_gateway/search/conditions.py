"""One condition of a search as SQL over the index tables. https://hl7.org/fhir/R4/search.html"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

import sqlalchemy as sa
from sqlalchemy.sql.util import ClauseAdapter

from fhir_gateway.search import parameters, values
from fhir_gateway.store import schema

Clause = sa.ColumnElement[bool]

_version = schema.resource_version

#: The version is the newest of its resource.
IS_CURRENT: Clause = _version.c.is_current.is_(True)

_APPROXIMATE = 0.1  # R4 recommends ten per cent for `ap`
_DAY = 86_400_000_000  # microseconds


class BadValue(Exception):
    """A value or a modifier that the parameter cannot take. `text` says why; it does not repeat the value."""

    def __init__(self, text: str, code: str = "invalid") -> None:
        super().__init__(text)
        self.text = text
        self.code = code


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition: on the version's own columns, or on rows of an index table (`negated`: on there being none)."""

    clause: Clause
    table: sa.Table | None = None
    negated: bool = False
    lookup: sa.Select[tuple[int]] | None = None

    def holds(self, rk: sa.ColumnElement[int]) -> Clause:
        """The condition for the version whose key is `rk`."""
        if self.table is None:
            return self.clause
        rows = self.table.alias()  # the query around it may read the same table
        found = sa.exists().where(rows.c.rk == rk, ClauseAdapter(rows).traverse(self.clause))
        return sa.not_(found) if self.negated else found

    def keys(self) -> sa.Select[tuple[int]] | None:
        """The keys of all versions that fulfil it, where the index can name them."""
        if self.table is None or self.negated:
            return self.lookup
        return sa.select(self.table.c.rk).where(self.clause)


def by_id(types: Sequence[str], ids: Sequence[str]) -> Filter:
    """`_id`."""
    return _on_id(types, _version.c.id.in_([_plain(value) for value in ids]))


def _on_id(types: Sequence[str], clause: Clause) -> Filter:
    lookup = sa.select(_version.c.rk).where(_version.c.type.in_(types), IS_CURRENT, clause)
    return Filter(clause, lookup=lookup)


def by_last_updated(texts: Sequence[str]) -> Filter:
    """`_lastUpdated`."""
    clauses = []
    for text in texts:
        prefix, low, high = _date("_lastUpdated", text)
        clauses.append(_compare(prefix, _version.c.at, _version.c.at, low, high, _margin(low, high)))
    return Filter(sa.or_(*clauses))


def by_parameter(
    parameter: parameters.Parameter,
    modifier: str,
    texts: Sequence[str],
    *,
    base_url: str = "",
    known_types: frozenset[str] = frozenset(),
) -> Filter:
    """Any other parameter with the alternatives of its value. Raises BadValue."""
    if modifier == "missing":
        return _missing(parameter, texts)
    if parameter.kind == "reference" and modifier == "identifier":
        return _rows(schema.index_token, parameter.beside("identifier"), [_token(text) for text in texts])
    if parameter.kind == "reference":
        if modifier and modifier not in known_types:
            raise _no_modifier(parameter, modifier)
        clauses = [_reference(parameter, text, modifier, base_url) for text in texts]
        return _rows(schema.index_reference, parameter.key, clauses)
    if parameter.kind == "token" and modifier == "text":
        starts = [_starts_with(schema.index_string.c.value, values.folded(_plain(text))) for text in texts]
        return _rows(schema.index_string, parameter.beside("text"), starts)
    allowed, table, build = _KINDS[parameter.kind]
    if modifier not in allowed:
        raise _no_modifier(parameter, modifier)
    found = _rows(table, parameter.key, [build(parameter, modifier, text) for text in texts])
    return Filter(found.clause, table, negated=modifier == "not")


def chained(parameter: parameters.Parameter, inner: Mapping[str, Filter]) -> Filter:
    """A reference to a resource that itself fulfils a condition; `inner` has one for each type of target."""
    table = schema.index_reference
    clauses = []
    for target_type, condition in inner.items():
        target = _version.alias()
        clause = sa.and_(
            table.c.target_type == target_type, table.c.target_id.in_(_ids(target, target_type, condition))
        )
        clauses.append(clause)
    return _rows(table, parameter.key, clauses)


def pointed_at(resource_type: str, parameter: parameters.Parameter, inner: Filter) -> Filter:
    """There is a resource that refers to this one by `parameter` and fulfils `inner` (`_has`)."""
    table, source = schema.index_reference, _version.alias()
    query = sa.select(table.c.target_id).join(source, source.c.rk == table.c.rk)
    query = query.where(table.c.parameter == parameter.key, table.c.target_type == resource_type, _inner(source, inner))
    return _on_id((resource_type,), _version.c.id.in_(query))


def _ids(target: sa.FromClause, resource_type: str, condition: Filter) -> sa.Select[tuple[str]]:
    """The ids of the current resources of a type that fulfil a condition."""
    return sa.select(target.c.id).where(
        target.c.type == resource_type, target.c.is_current, target.c.body.is_not(None), _inner(target, condition)
    )


def _inner(version: sa.FromClause, condition: Filter) -> Clause:
    keys = condition.keys()
    if keys is not None:
        return version.c.rk.in_(keys)
    if condition.table is not None:
        return condition.holds(version.c.rk)
    own = sa.select(_version.c.rk).where(condition.clause, IS_CURRENT)
    return version.c.rk.in_(own)


def _rows(table: sa.Table, key: int, clauses: Sequence[Clause]) -> Filter:
    return Filter(sa.and_(table.c.parameter == key, sa.or_(*clauses)), table)


def _no_modifier(parameter: parameters.Parameter, modifier: str) -> BadValue:
    return BadValue(f"{parameter.name} does not know the modifier {modifier[:64]}.", "not-supported")


def _missing(parameter: parameters.Parameter, texts: Sequence[str]) -> Filter:
    if list(texts) not in (["true"], ["false"]):
        raise BadValue(f"{parameter.name}:missing is true or false.")
    table = TABLES[parameter.kind]
    return Filter(table.c.parameter == parameter.key, table, negated=texts[0] == "true")


def split(text: str, separator: str) -> list[str]:
    """The parts of a value at separators that no backslash escapes."""
    parts, start, is_escaped = list[str](), 0, False
    for index, char in enumerate(text):
        if is_escaped:
            is_escaped = False
        elif char == "\\":
            is_escaped = True
        elif char == separator:
            parts.append(text[start:index])
            start = index + 1
    return [*parts, text[start:]]


def _plain(text: str) -> str:
    """The value without its escapes."""
    return re.sub(r"\\([\\,|$])", r"\1", text)


def _key(text: str) -> str:
    """The value as it stands in the index."""
    return values.key(_plain(text))


def _token(text: str) -> Clause:
    table = schema.index_token
    parts = split(text, "|")
    if len(parts) > 2:
        raise BadValue("A token is code, system|code, system| or |code.")
    if len(parts) == 1:
        return table.c.code == _key(text)
    system, code = map(_key, parts)
    if not code:
        return table.c.system == system
    return sa.and_(table.c.code == code, table.c.system == system)


def _uri(_parameter: parameters.Parameter, modifier: str, text: str) -> Clause:
    table = schema.index_token
    return _starts_with(table.c.code, _plain(text)) if modifier == "below" else table.c.code == _key(text)


def _reference(parameter: parameters.Parameter, text: str, target: str, base_url: str) -> Clause:
    table, value = schema.index_reference, _plain(text)
    if base_url and value.startswith(f"{base_url}/"):
        value = value.removeprefix(f"{base_url}/")
    found_type, found_id = values.split_reference(value)
    if target and found_type not in ("", target):
        raise BadValue(f"{parameter.name}:{target} names a resource of another type.")
    is_foreign = not found_type and "/" in value
    wanted = "" if is_foreign else target or found_type or parameter.target
    clause = table.c.target_id == found_id
    return sa.and_(clause, table.c.target_type == wanted) if wanted else clause


_DATE_PREFIX = re.compile(r"(eq|ne|gt|lt|ge|le|sa|eb|ap)?(.+)", re.DOTALL)


def _date(name: str, text: str) -> tuple[str, int, int]:
    """Prefix, first and last microsecond."""
    match = _DATE_PREFIX.fullmatch(text)
    bounds = values.date_bounds(match[2].replace(" ", "+")) if match else None
    if match is None or bounds is None:
        raise BadValue(f"The value of {name} is not a date.")
    return match[1] or "eq", *bounds


def _margin(low: int, high: int) -> int:
    """How far `ap` reaches: a tenth of the range, a day at least."""
    return max(_DAY, int((high - low) * _APPROXIMATE))


def _by_date(parameter: parameters.Parameter, _modifier: str, text: str) -> Clause:
    prefix, low, high = _date(parameter.name, text)
    table = schema.index_date
    return _compare(prefix, table.c.low, table.c.high, low, high, _margin(low, high))


def _compare(
    prefix: str,
    low_column: sa.ColumnElement[int] | sa.ColumnElement[float],
    high_column: sa.ColumnElement[int] | sa.ColumnElement[float],
    low: float,
    high: float,
    margin: float,
) -> Clause:
    """R4 search.html#prefix: each prefix compares the range of the value with the range of the resource."""
    inside = sa.and_(low_column >= low, high_column <= high)
    clauses: dict[str, Callable[[], Clause]] = {
        "eq": lambda: sa.and_(inside, low_column <= high),
        "ne": lambda: sa.not_(inside),
        "gt": lambda: high_column > high,
        "lt": lambda: low_column < low,
        "ge": lambda: sa.or_(high_column > high, inside),
        "le": lambda: sa.or_(low_column < low, inside),
        "sa": lambda: low_column > high,
        "eb": lambda: high_column < low,
        "ap": lambda: sa.and_(low_column <= high + margin, high_column >= low - margin),
    }
    return clauses[prefix]()


def _string(_parameter: parameters.Parameter, modifier: str, text: str) -> Clause:
    table, value = schema.index_string, _plain(text)
    if modifier == "exact":
        return sa.and_(table.c.value == values.folded(value), table.c.written == values.key(value))
    if modifier == "contains":
        return table.c.value.contains(values.folded(value), autoescape=True)
    return _starts_with(table.c.value, values.folded(value))


def _starts_with(column: sa.ColumnElement[str], text: str) -> Clause:
    """A prefix as a range of the index: LIKE would read the whole of it."""
    return sa.and_(column >= text, column < f"{text}\U0010ffff")


_NUMBER = re.compile(r"(eq|ne|gt|lt|ge|le|sa|eb|ap)?([+-]?\d{1,40}(?:\.\d{1,40})?(?:[eE][+-]?\d{1,3})?)", re.ASCII)


def _range(name: str, text: str) -> tuple[str, float, float, float]:
    """Prefix, value, and the half of the last digit that its precision leaves open (R4 search.html#number)."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise BadValue(f"The value of {name} is not a number.")
    try:
        number = Decimal(match[2])
        exponent = number.as_tuple().exponent
        assert isinstance(exponent, int)
        half = float(Decimal(5).scaleb(exponent - 1))
    except InvalidOperation:
        raise BadValue(f"The value of {name} is not a number.") from None
    return match[1] or "eq", float(number), half, abs(float(number)) * _APPROXIMATE


def _amount(name: str, text: str, low_column: sa.ColumnElement[float], high_column: sa.ColumnElement[float]) -> Clause:
    prefix, value, half, margin = _range(name, text)
    if prefix in ("eq", "ne"):
        return _compare(prefix, low_column, high_column, value - half, value + half, 0)
    return _compare(prefix, low_column, high_column, value, value, margin)


def _quantity(parameter: parameters.Parameter, _modifier: str, text: str) -> Clause:
    table = schema.index_quantity
    parts = split(text, "|")
    clauses = [_amount(parameter.name, parts[0], table.c.low, table.c.high)]
    if len(parts) == 3:
        system, code = map(_key, parts[1:])
        clauses += [table.c.system == system] if system else []
        clauses += [table.c.code == code if system else sa.or_(table.c.code == code, table.c.unit == code)]
    elif len(parts) != 1:
        raise BadValue(f"The value of {parameter.name} is number, number|system|code or number||code.")
    return sa.and_(*clauses)


def _composite(parameter: parameters.Parameter, _modifier: str, text: str) -> Clause:
    """`code$value`: both in the same group."""
    table = schema.index_composite
    components = split(text, "$")
    if len(components) != 2:
        raise BadValue(f"The value of {parameter.name} has two components, code$value.")
    first = split(components[0], "|")
    clauses = [table.c.code == _key(first[-1])] + ([table.c.system == _key(first[0])] if len(first) == 2 else [])
    kind, value = parameter.parts[1].kind, components[1]
    if kind == "quantity":
        number, *unit = split(value, "|")
        clauses.append(_amount(parameter.name, number, table.c.low, table.c.high))
        clauses += [table.c.value_system == _key(unit[0])] if unit and unit[0] else []
        clauses += [table.c.value_code == _key(unit[1])] if len(unit) > 1 else []
    elif kind == "date":
        prefix, low, high = _date(parameter.name, value)
        clauses.append(_compare(prefix, table.c.low, table.c.high, low, high, _margin(low, high)))
    elif kind == "string":
        clauses.append(_starts_with(table.c.value_code, values.folded(_plain(value))))
    elif kind == "reference":
        found_type, found_id = values.split_reference(_plain(value))
        clauses.append(table.c.value_code == found_id)
        clauses += [table.c.value_system == found_type] if found_type else []
    else:
        second = split(value, "|")
        clauses.append(table.c.value_code == _key(second[-1]))
        clauses += [table.c.value_system == _key(second[0])] if len(second) == 2 else []
    return sa.and_(*clauses)


TABLES: Mapping[parameters.Kind, sa.Table] = {
    "token": schema.index_token,
    "uri": schema.index_token,
    "reference": schema.index_reference,
    "date": schema.index_date,
    "string": schema.index_string,
    "quantity": schema.index_quantity,
    "number": schema.index_quantity,
    "composite": schema.index_composite,
}

Builder = Callable[[parameters.Parameter, str, str], Clause]

#: Kind: the modifiers it knows besides `missing`, its table, and how one value becomes SQL.
_KINDS: Mapping[parameters.Kind, tuple[frozenset[str], sa.Table, Builder]] = {
    "token": (frozenset({"", "not"}), schema.index_token, lambda _parameter, _modifier, text: _token(text)),
    "uri": (frozenset({"", "below"}), schema.index_token, _uri),
    "date": (frozenset({""}), schema.index_date, _by_date),
    "string": (frozenset({"", "exact", "contains"}), schema.index_string, _string),
    "quantity": (frozenset({""}), schema.index_quantity, _quantity),
    "number": (
        frozenset({""}),
        schema.index_quantity,
        lambda parameter, _modifier, text: _amount(
            parameter.name, text, schema.index_quantity.c.low, schema.index_quantity.c.high
        ),
    ),
    "composite": (frozenset({""}), schema.index_composite, _composite),
}
