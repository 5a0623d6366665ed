"""What a rule file says, checked and ready to be followed. docs/mapping.md explains each word to who writes one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from profiles import r4_differences

Json = dict[str, Any]

#: A draft of each: `each` segment makes a new one; `join` fills the latest one that this kind of segment has not filled
#: yet, or makes one; `current` fills the latest one, and does nothing where there is none.
Mode = Literal["each", "join", "current"]

#: Not a resource: what a message says of an encounter's whereabouts. `movements` makes the history out of them.
MOVEMENT: Final = "Movement"
_MOVEMENT_ELEMENTS: Final = frozenset(
    {
        "id", "action", "kind", "start", "end", "historical", "original", "class", "location", "prior", "at",
        "admitted", "discharged", "encounter",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """File and line of a rule."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Broken(Exception):
    """A rule file cannot be used. The text has file, line and reason."""

    def __init__(self, place: Place, reason: str) -> None:
        super().__init__(f"{place}: {reason}")
        self.place = place
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Source:
    """A path into a message: `PID-5`, `PID-5.1`, `PID-5.1.2`. A part that is not named is 0."""

    segment: str
    field: int
    component: int = 0
    subcomponent: int = 0

    def __str__(self) -> str:
        deeper = "".join(f".{number}" for number in (self.component, self.subcomponent) if number)
        return f"{self.segment}-{self.field}{deeper}"


_SOURCE = re.compile(r"([A-Z][A-Z0-9]{2})-([1-9]\d*)(?:\.([1-9]\d*))?(?:\.([1-9]\d*))?")


def source(text: str) -> Source:
    """The path; ValueError when it is none."""
    found = _SOURCE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no path such as PID-5.1")
    return Source(found[1], int(found[2]), int(found[3] or 0), int(found[4] or 0))


@dataclass(frozen=True, slots=True)
class Clause:
    """One part of a condition: a source (or `event`, `type`, `after`, `before`, `draft`), how it is compared, with
    what.

    Of several sources (`PV1-19|PV1-50`) the first that has a value counts.
    """

    subject: tuple[Source, ...] | str
    operator: Literal["valued", "=", "~"]
    values: tuple[str, ...] = ()
    pattern: re.Pattern[str] | None = None
    negated: bool = False


Condition = tuple[Clause, ...]
_CLAUSE = re.compile(r"(not )?\s*(\S+)(?:\s+(=|!=|~)\s+(.+))?")
_WORDS: Final = ("event", "type", "after", "before", "draft")


def condition(text: str) -> Condition:
    """`PV1-2.1 = P|O and not PV1-45 and event = A01|A04`; ValueError when it is none."""
    return tuple(_clause(part.strip()) for part in text.split(" and "))


def _clause(text: str) -> Clause:
    found = _CLAUSE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no condition such as PV1-2.1 = P|O")
    name, operator = found[2], found[3]
    subject = name if name in _WORDS else tuple(source(part) for part in name.split("|"))
    if isinstance(subject, str) and operator not in ("=", "!="):
        raise ValueError(f"{text!r}: {subject} is compared by = or !=")
    negated = bool(found[1]) != (operator == "!=")
    if operator == "~":
        try:
            return Clause(subject, "~", pattern=re.compile(found[4]), negated=negated)
        except re.error as error:
            raise ValueError(f"{text!r}: {error}") from None
    values = tuple(value.strip() for value in found[4].split("|")) if operator else ()
    return Clause(subject, "=" if operator else "valued", values, negated=negated)


@dataclass(frozen=True, slots=True)
class Step:
    """One element of a target path. `label` names an item of a list that several rules fill."""

    name: str
    is_list: bool
    label: str | None = None


_STEP = re.compile(r"(_?[A-Za-z][A-Za-z0-9]*)(?:\[([a-z0-9{}_\-]+)\])?")
WHOLE: Final = "*"


def target(resource_type: str, text: str) -> tuple[Step, ...]:
    """The steps of a path such as `participant[attending].individual`; ValueError when R4 has no such element."""
    if text == WHOLE:
        return ()
    if resource_type == MOVEMENT:
        if text not in _MOVEMENT_ELEMENTS:
            raise ValueError(f"{MOVEMENT} has no {text}; it has {', '.join(sorted(_MOVEMENT_ELEMENTS))}")
        return (Step(text, text == "id"),)
    steps: list[Step] = []
    of = resource_type
    for part in text.split("."):
        found = _STEP.fullmatch(part)
        if found is None:
            raise ValueError(f"{part!r} is no element such as participant[attending]")
        name, label = found[1], found[2]
        if name.startswith("_"):
            steps.append(Step(name, False))
            of = "Element"
            continue
        element = r4_differences.definition(of).elements.get(name)
        if element is None:
            raise ValueError(f"{resource_type} has no element {text}: there is no {name} in {of}")
        if label is not None and not element.many:
            raise ValueError(f"{name} in {of} is no list")
        steps.append(Step(name, element.many, label))
        of = element.type
    return tuple(steps)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. Exactly one of `sources`, `value` and `refer` says where the value comes from. With none of them the
    element is deleted.
    """

    place: Place
    target: tuple[Step, ...]
    to: str
    sources: tuple[Source, ...] = ()
    kind: str = "string"
    options: Mapping[str, Any] = field(default_factory=dict)
    when: Condition = ()
    value: Any = None
    refer: str | None = None
    beside: Mapping[str, Any] = field(default_factory=dict)
    default: bool = False  # only where neither another rule nor the stored resource has the element
    essential: bool = False  # without this value nothing of the message may be stored, where one was sent

    @property
    def key(self) -> str:
        """What makes it the same rule in a site's overlay: where from and where to."""
        return f"{'|'.join(map(str, self.sources)) or self.refer or ''} > {self.to}"


@dataclass(frozen=True, slots=True)
class Block:
    """The rules of one segment for one resource. `name` tells two drafts of the same type apart."""

    place: Place
    resource: str
    name: str
    draft: Mode
    rules: tuple[Rule, ...]
    when: Condition = ()
    identity: tuple[tuple[str, ...], ...] = ()
    required: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Text:
    """A field whose repetitions are lines of one text. The text goes on in the next segment of the same kind, where
    that one says the same in the fields `same`.
    """

    field: Source
    same: tuple[Source, ...] = ()
    when: Condition = ()


@dataclass(frozen=True, slots=True)
class SegmentMap:
    """The rules of one kind of segment. `left_out` says of each field that goes nowhere on purpose why."""

    name: str
    segment: str
    source: str
    blocks: tuple[Block, ...]
    left_out: Mapping[Source, str]
    opens_group: bool = False  # another such segment begins anew: another patient
    text: Text | None = None


@dataclass(frozen=True, slots=True)
class MessageMap:
    """Which messages there is a map for, and where a segment has another map than the one of its own name."""

    name: str
    source: str
    events: frozenset[str]
    use: Mapping[str, str | None]
    required: tuple[str, ...]  # drafts without which the message says nothing
