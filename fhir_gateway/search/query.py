"""What the parameters of a search mean. https://hl7.org/fhir/R4/search.html"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

from fhir_gateway.search import conditions, parameters

MAX_COUNT = 1000  # results a page
MAX_ALTERNATIVES = 500  # values of one parameter, at commas

Total = Literal["none", "estimate", "accurate"]
Summary = Literal["true", "text", "data", "count", "false"]

#: Parameters that change how the matches are shown and not which they are.
_VIEW = frozenset({"_count", "_page", "_total", "_summary", "_elements", "_include", "_revinclude", "_format",
                   "_pretty"})  # fmt: skip

_SUMMARIES = ("true", "text", "data", "count", "false")
_TOTALS = ("none", "estimate", "accurate")

#: What every answer takes besides; `rest/formats.py` reads them.
_FORMAT = frozenset({"_format", "_pretty"})


class BadQuery(Exception):
    """The search cannot be done as it was asked. `code` is an IssueType, `text` says why in words."""

    def __init__(self, text: str, code: str = "invalid") -> None:
        super().__init__(text)
        self.text = text
        self.code = code


@dataclass(frozen=True, slots=True)
class Sort:
    """One key of the order: a parameter, `_lastUpdated` or `_id`."""

    name: str
    descending: bool
    parameter: parameters.Parameter | None = None


@dataclass(frozen=True, slots=True)
class Include:
    """What comes along: what `source` refers to by `parameter`, or (reverse) what refers to a match by it."""

    source: str
    parameters: tuple[parameters.Parameter, ...]
    target: str | None
    iterate: bool


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed search. `types` has more than one type for a search of the whole system."""

    types: tuple[str, ...]
    filters: tuple[conditions.Filter, ...] = ()
    sort: tuple[Sort, ...] = ()
    count: int = 50
    page: str | None = None
    total: Total | None = None
    summary: Summary = "false"
    elements: tuple[str, ...] = ()
    includes: tuple[Include, ...] = ()
    reverse_includes: tuple[Include, ...] = ()
    ignored: tuple[str, ...] = ()
    used: tuple[tuple[str, str], ...] = ()

    @property
    def fingerprint(self) -> int:
        """What a page token is bound to: the types, the conditions and the order."""
        asked = [pair for pair in self.used if pair[0].partition(":")[0] not in _VIEW]
        return zlib.crc32(repr((self.types, asked)).encode())


def parse(
    types: Sequence[str],
    pairs: Iterable[tuple[str, str]],
    *,
    page_size: int,
    base_url: str = "",
    lenient: bool = False,
    known_types: frozenset[str] = frozenset(),
) -> Query:
    """The query that the parameters mean. Raises BadQuery.

    An unknown parameter is an error; with `lenient` it stands in `ignored` and is told to the client.
    `known_types` are the resource types of this server, `base_url` its own address in references.
    """
    reader = _Reader(tuple(types), base_url, known_types)
    query = Query(tuple(types), count=page_size)
    used: list[tuple[str, str]] = []
    for name, value in pairs:
        if "\x00" in name or "\x00" in value:
            raise BadQuery("A search parameter holds the character U+0000.")
        try:
            query = reader.take(query, name, value)
        except _UnknownParameter as error:
            if not lenient:
                raise BadQuery(error.text, "not-supported") from None
            query = replace(query, ignored=(*query.ignored, error.text))
        else:
            used.append((name, value))
    if query.summary == "text" and (query.includes or query.reverse_includes):
        raise BadQuery("_summary=text cannot be mixed with _include and _revinclude.")
    return replace(query, used=tuple(used))


class _UnknownParameter(Exception):
    def __init__(self, name: str, where: str) -> None:
        super().__init__(name)
        self.text = f"The search parameter {name[:64]} is not supported for {where}."


class _Reader:
    """Reads one parameter after the other into a query."""

    def __init__(self, types: tuple[str, ...], base_url: str, known_types: frozenset[str]) -> None:
        self.types = types
        self.base_url = base_url
        self.known_types = known_types

    def take(self, query: Query, name: str, value: str) -> Query:
        code, colon, _modifier = name.partition(":")
        control = _CONTROLS.get(code)
        if control is not None:
            if colon and code not in ("_include", "_revinclude"):
                raise BadQuery(f"{code} takes no modifier.", "not-supported")
            return control(self, query, name, value)
        if name in _FORMAT:
            return query
        return replace(query, filters=(*query.filters, self.filter(self.types, name, value)))

    def filter(self, types: tuple[str, ...], name: str, value: str) -> conditions.Filter:
        """The condition of one parameter, with a chain or `_has` at most one level deep."""
        alternatives = [text for text in conditions.split(value, ",") if text]
        if not any(text.strip() for text in alternatives):
            raise BadQuery(f"The search parameter {name[:64]} has no value.")
        if len(alternatives) > MAX_ALTERNATIVES:
            raise BadQuery(f"A search parameter has at most {MAX_ALTERNATIVES} alternatives.", "too-costly")
        if name == "_id":
            return conditions.by_id(types, alternatives)
        if name == "_lastUpdated":
            return self._build(lambda: conditions.by_last_updated(alternatives))
        if name.startswith("_has:"):
            return self._reverse_chain(types, name, value)
        head, dot, rest = name.partition(".")
        code, _, modifier = head.partition(":")
        parameter = self._parameter(types, code, name)
        if dot:
            return self._chain(parameter, modifier, rest, value)
        build = lambda: conditions.by_parameter(  # noqa: E731
            parameter, modifier, alternatives, base_url=self.base_url, known_types=self.known_types
        )
        return self._build(build)

    def _parameter(self, types: tuple[str, ...], code: str, name: str) -> parameters.Parameter:
        found = [parameters.of_type(resource_type).get(code) for resource_type in types]
        if not all(found) or (len(found) > 1 and not code.startswith("_")):
            raise _UnknownParameter(name, types[0] if len(types) == 1 else "all types")
        first = found[0]
        assert first is not None
        return first

    @staticmethod
    def _build(build: Callable[[], conditions.Filter]) -> conditions.Filter:
        try:
            return build()
        except conditions.BadValue as error:
            raise BadQuery(error.text, error.code) from None

    def _chain(self, parameter: parameters.Parameter, modifier: str, rest: str, value: str) -> conditions.Filter:
        """`subject:Patient.identifier=…`, `patient.name=…`."""
        if parameter.kind != "reference":
            raise BadQuery(f"{parameter.name} is no reference, nothing can be chained to it.")
        if "." in rest or rest.startswith("_has:"):
            raise BadQuery("A chain goes one level deep.", "not-supported")
        targets = {modifier} if modifier else (parameter.targets or self.known_types)
        code = rest.partition(":")[0]
        inner = {
            target: self.filter((target,), rest, value)
            for target in sorted(targets & self.known_types)
            if code in ("_id", "_lastUpdated") or code in parameters.of_type(target)
        }
        if not inner:
            raise _UnknownParameter(f"{parameter.name}.{rest}", parameter.type)
        return conditions.chained(parameter, inner)

    def _reverse_chain(self, types: tuple[str, ...], name: str, value: str) -> conditions.Filter:
        """`_has:Observation:patient:code=…`."""
        parts = name.split(":", 3)
        if len(parts) != 4 or len(types) != 1:
            raise BadQuery("_has has the form _has:Type:reference:parameter=value.")
        _has, source, reference, rest = parts
        if rest.startswith("_has") or "." in rest:
            raise BadQuery("_has goes one level deep.", "not-supported")
        if source not in self.known_types:
            raise BadQuery(f"_has names {source[:64]}, which is no supported type.", "not-supported")
        parameter = self._parameter((source,), reference, name)
        if parameter.kind != "reference":
            raise BadQuery(f"{reference} of {source} is no reference.")
        return conditions.pointed_at(types[0], parameter, self.filter((source,), rest, value))

    def count(self, query: Query, name: str, value: str) -> Query:
        if not re.fullmatch(r"\d{1,9}", value, re.ASCII):
            raise BadQuery(f"{name[:64]} is not a whole number.")
        count = min(int(value), MAX_COUNT)
        return replace(query, count=count, summary="count" if count == 0 else query.summary)

    def page(self, query: Query, _name: str, value: str) -> Query:
        return replace(query, page=value)

    def total(self, query: Query, name: str, value: str) -> Query:
        if value not in _TOTALS:
            raise BadQuery(f"{name} is {', '.join(_TOTALS)}.")
        return replace(query, total=cast(Total, value))

    def summary(self, query: Query, name: str, value: str) -> Query:
        if value not in _SUMMARIES:
            raise BadQuery(f"{name} is {', '.join(_SUMMARIES)}.")
        return replace(query, summary=cast(Summary, value))

    def elements(self, query: Query, name: str, value: str) -> Query:
        names = tuple(part.strip().rpartition(".")[2] for part in value.split(",") if part.strip())
        if not names or not all(re.fullmatch(r"[A-Za-z]\w*", found, re.ASCII) for found in names):
            raise BadQuery(f"{name} lists names of elements.")
        return replace(query, elements=(*query.elements, *names))

    def sort(self, query: Query, _name: str, value: str) -> Query:
        keys = [self._sort_key(part.strip()) for part in value.split(",") if part.strip()]
        if not keys:
            raise BadQuery("_sort names no search parameter.")
        return replace(query, sort=(*query.sort, *keys))

    def _sort_key(self, text: str) -> Sort:
        name = text.removeprefix("-")
        if name in ("_lastUpdated", "_id"):
            return Sort(name, text.startswith("-"))
        parameter = parameters.of_type(self.types[0]).get(name) if len(self.types) == 1 else None
        if parameter is None or parameter.kind == "composite":
            raise BadQuery(f"_sort by {name[:64]} is not supported for {self.types[0]}.", "not-supported")
        return Sort(name, text.startswith("-"), parameter)

    def include(self, query: Query, name: str, value: str) -> Query:
        return replace(query, includes=(*query.includes, self._include(name, value)))

    def reverse_include(self, query: Query, name: str, value: str) -> Query:
        return replace(query, reverse_includes=(*query.reverse_includes, self._include(name, value)))

    def _include(self, name: str, value: str) -> Include:
        control, _, modifier = name.partition(":")
        if modifier not in ("", "iterate", "recurse"):
            raise BadQuery(f"{control} knows the modifier iterate.", "not-supported")
        if value == "*" and control == "_include" and len(self.types) == 1:
            value = f"{self.types[0]}:*"
        source, _, rest = value.partition(":")
        code, _, target = rest.partition(":")
        if source not in self.known_types or not code or (target and target not in self.known_types):
            raise BadQuery(f"{control} has the form Type:parameter or Type:parameter:Type with supported types.")
        known = parameters.of_type(source)
        found = [known[code]] if code in known else [p for p in known.values() if code == "*"]
        references = tuple(parameter for parameter in found if parameter.kind == "reference")
        if not references:
            raise BadQuery(f"{control}: {source} has no reference parameter {code[:64]}.", "not-supported")
        return Include(source, references, target or None, bool(modifier))


_CONTROLS: dict[str, Callable[[_Reader, Query, str, str], Query]] = {
    "_count": _Reader.count,
    "_page": _Reader.page,
    "_total": _Reader.total,
    "_summary": _Reader.summary,
    "_elements": _Reader.elements,
    "_sort": _Reader.sort,
    "_include": _Reader.include,
    "_revinclude": _Reader.reverse_include,
}
