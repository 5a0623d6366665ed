"""What the tables of invariants are made of: the row, and the tests that many rows share.

A test takes an object of its type, whatever JSON it is, and answers whether the rule holds; it never raises.  A
primitive exists also when it has an extension only (`_birthDate`), as in FHIRPath.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple

Object = dict[str, object]
Test = Callable[[Object], bool]


class Invariant(NamedTuple):
    """One rule on the objects of a type."""

    key: str
    """R4's key, such as `obs-6`; empty for a rule that R4 has in its text only."""
    severity: str
    """error or warning."""
    test: Test
    """Whether an object of the type keeps the rule."""
    words: str
    """The rule, as the end of a sentence that starts with the element's path."""
    at: str = ""
    """The child that the rule sits on; empty for the object itself."""

    @property
    def rule(self) -> str:
        return f"{self.words} ({self.key})" if self.key else self.words


def keys(*names: str) -> frozenset[str]:
    """The JSON names with those of their extensions."""
    return frozenset(names) | {f"_{name}" for name in names}


def has(value: Object, name: str) -> bool:
    return name in value or f"_{name}" in value


def has_choice(value: Object, stem: str) -> bool:
    """Whether a choice element is there in any type; `stem` begins no other name of the type."""
    starts = (stem, f"_{stem}")
    return any(name.startswith(starts) for name in value)


def text(value: Object, name: str) -> str | None:
    item = value.get(name)
    return item if isinstance(item, str) else None


def number(value: Object, name: str) -> Decimal | None:
    """A finite JSON number."""
    item = value.get(name)
    if type(item) is int or isinstance(item, (Decimal, float)):
        exact = Decimal(item)
        return exact if exact.is_finite() else None
    return None


def member(value: Object, name: str) -> Object:
    """A child object; empty where there is none."""
    item = value.get(name)
    return item if isinstance(item, dict) else {}


def members(value: Object, name: str) -> list[Object]:
    """The objects of an array."""
    items = value.get(name)
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def coded(value: Object, name: str, system: str, *codes: str) -> bool:
    """Whether a CodeableConcept, or one of an array of them, has a coding with one of the codes."""
    concepts = members(value, name) or [member(value, name)]
    return any(
        coding.get("system") == system and coding.get("code") in codes
        for concept in concepts
        for coding in members(concept, "coding")
    )


def any_of(*names: str) -> Test:
    wanted = keys(*names)
    return lambda value: not wanted.isdisjoint(value)


def one_of(first: str, second: str) -> Test:
    return lambda value: has(value, first) != has(value, second)


def not_both(first: str, second: str) -> Test:
    one, other = keys(first), keys(second)
    return lambda value: one.isdisjoint(value) or other.isdisjoint(value)


def needs(name: str, other: str) -> Test:
    """With the first element comes the other."""
    one, needed = keys(name), keys(other)
    return lambda value: one.isdisjoint(value) or not needed.isdisjoint(value)


def not_negative(name: str) -> Test:
    def test(value: Object) -> bool:
        amount = number(value, name)
        return amount is None or amount >= 0

    return test


def none_with(array: str, name: str, code: str) -> Test:
    """No object of an array has the code."""
    return lambda value: all(item.get(name) != code for item in members(value, array))


def fragments(value: object) -> set[str]:
    """All strings of a resource that start with #: a canonical, uri or url may point to a contained resource too."""
    found: set[str] = set()
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            if item.startswith("#"):
                found.add(item)
        elif isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
    return found
