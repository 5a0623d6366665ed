"""Whether a code is in a ValueSet, as far as the installed packages can tell.

Specification: https://hl7.org/fhir/R4/valueset.html#compositions.  A part of a ValueSet is known when it lists its
codes or takes a whole CodeSystem that is installed with all its codes (`content` complete, the same version).  Filters
and CodeSystems that are not installed (SNOMED CT, LOINC, ICD-10-GM, OPS …) are not known: the answer is then None
unless another part of the ValueSet decides.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from profiles.package import CodeSystem, Concept, Contained, Include, Index, ValueSet


@dataclass(frozen=True, slots=True)
class _Part:
    """An include or exclude."""

    system: str | None
    codes: frozenset[str]
    is_known: bool
    """Whether `codes` are all of them."""
    value_sets: tuple[str, ...]


class ValueSets:
    """The ValueSets and CodeSystems of the installed packages."""

    def __init__(self, value_sets: Iterable[ValueSet], code_systems: Iterable[CodeSystem]) -> None:
        self._value_sets = Index(value_sets)
        self._code_systems = Index(code_systems)
        self._parts: dict[str, tuple[tuple[_Part, ...], tuple[_Part, ...]] | None] = {}
        self._codes: dict[str, frozenset[str]] = {}

    def contains(self, canonical: str, system: str | None, code: str, *, above: tuple[str, ...] = ()) -> bool | None:
        """True, False, or None where it cannot be told. A `code` has no system: it is in the set by its code alone."""
        if canonical not in self._parts:
            self._parts[canonical] = self._compiled(canonical)
        parts = self._parts[canonical]
        if parts is None or canonical in above:
            return None
        included = _any(self._in(part, system, code, (*above, canonical)) for part in parts[0])
        if not included or not parts[1]:
            return included
        excluded = _any(self._in(part, system, code, (*above, canonical)) for part in parts[1])
        return None if excluded is None else not excluded

    def _in(self, part: _Part, system: str | None, code: str, above: tuple[str, ...]) -> bool | None:
        if part.system is not None and system is not None and system != part.system:
            return False
        results: list[bool | None] = [self.contains(name, system, code, above=above) for name in part.value_sets]
        if part.system is not None:
            results.append(True if code in part.codes else False if part.is_known else None)
        if False in results:
            return False
        return None if None in results or not results else True

    def _compiled(self, canonical: str) -> tuple[tuple[_Part, ...], tuple[_Part, ...]] | None:
        value_set = self._value_sets.find(canonical)
        if value_set is None:
            return None
        if value_set.compose is not None:
            compose = value_set.compose
            return tuple(map(self._part, compose.include)), tuple(map(self._part, compose.exclude))
        if value_set.expansion is None:
            return None
        listed: dict[str | None, set[str]] = {}
        for item in _expanded(value_set.expansion.contains):
            listed.setdefault(item.system, set()).add(item.code or "")
        return tuple(_Part(system, frozenset(codes), True, ()) for system, codes in listed.items()), ()

    def _part(self, include: Include) -> _Part:
        if include.concept:
            codes = frozenset(concept.code for concept in include.concept)
            return _Part(include.system, codes, True, include.value_sets)
        system = None if include.system is None or include.filter else self._code_systems.find(include.system)
        if system is None or system.content not in ("complete", "fragment"):
            return _Part(include.system, frozenset(), False, include.value_sets)
        is_known = system.content == "complete" and include.version in (None, system.version)
        return _Part(include.system, self._all(system), is_known, include.value_sets)

    def _all(self, system: CodeSystem) -> frozenset[str]:
        key = f"{system.url}|{system.version}"
        if key not in self._codes:
            self._codes[key] = frozenset(_below(system.concept))
        return self._codes[key]


def _any(results: Iterable[bool | None]) -> bool | None:
    unknown = False
    for result in results:
        if result:
            return True
        unknown = unknown or result is None
    return None if unknown else False


def _below(concepts: Iterable[Concept]) -> Iterator[str]:
    for concept in concepts:
        yield concept.code
        yield from _below(concept.concept)


def _expanded(items: Iterable[Contained]) -> Iterator[Contained]:
    for item in items:
        if item.code is not None:
            yield item
        yield from _expanded(item.contains)
