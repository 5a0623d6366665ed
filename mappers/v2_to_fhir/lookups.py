"""What rules look up in a message: the values at their paths, and whether their conditions hold.

Paths and conditions are made into functions, once. Such a function takes the way through the message and the number of
the segment whose rules are followed. Looking up takes nothing of the message.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Protocol

from mappers.v2_to_fhir import rules
from mappers.v2_to_fhir.reading import Reading, Value


class Walk(Protocol):
    """What is asked of the way through a message."""

    @property
    def reading(self) -> Reading:
        """The message as it is read."""

    @property
    def type(self) -> str:
        """MSH-9.1."""

    @property
    def event(self) -> str:
        """MSH-9.2."""

    @property
    def after(self) -> str:
        """The name of the last segment that was no comment."""

    @property
    def latest(self) -> Container[str]:
        """The names of the drafts that can be filled now."""

    def before(self, index: int) -> str:
        """The name of the next segment that is one of its own."""

    def nearest(self, index: int, name: str) -> int | None:
        """Which segment of another name is meant; None where there is none."""


Values = Callable[[Walk, int], Sequence[Value]]
Holds = Callable[[Walk, int], bool]


def values(sources: tuple[rules.Source, ...], segment: str) -> Values:
    """The values at the first of these paths that has any, seen from a segment of this name."""
    parts = [_values(source, segment) for source in sources]
    if len(parts) == 1:
        return parts[0]

    def found(walk: Walk, index: int) -> Sequence[Value]:
        return next((values for part in parts if (values := part(walk, index))), ())

    return found


def _values(source: rules.Source, segment: str) -> Values:
    name, field, component, subcomponent = source.segment, source.field, source.component, source.subcomponent

    def whole(walk: Walk, index: int) -> Sequence[Value]:
        return walk.reading.values(index, field)

    def elsewhere(walk: Walk, index: int) -> Sequence[Value]:
        nearest = walk.nearest(index, name)
        return () if nearest is None else walk.reading.values(nearest, field)

    fields = whole if name == segment else elsewhere
    if not component:
        return fields

    def components(walk: Walk, index: int) -> Sequence[Value]:
        found = [part for value in fields(walk, index) if (part := value[component]).raw]
        return [part for value in found if (part := value[subcomponent]).raw] if subcomponent else found

    return components


def condition(clauses: rules.Condition, segment: str) -> Holds | None:
    """Whether all of these hold, seen from a segment of this name; None where there are none."""
    parts = tuple(_clause(clause, segment) for clause in clauses)
    if len(parts) < 2:
        return parts[0] if parts else None

    def holds(walk: Walk, index: int) -> bool:
        for part in parts:  # noqa: SIM110 - a generator would take longer than most conditions
            if not part(walk, index):
                return False
        return True

    return holds


def _clause(clause: rules.Clause, segment: str) -> Holds:
    said, negated = clause.values, clause.negated
    if isinstance(clause.subject, str):
        return _word(clause.subject, said, negated)
    found, pattern = values(clause.subject, segment), clause.pattern

    def valued(walk: Walk, index: int) -> bool:
        there = found(walk, index)
        return (bool(there) and not there[0].is_null) != negated

    def compared(walk: Walk, index: int) -> bool:
        there, text = found(walk, index), ""
        if there:
            text = there[0].text
            walk.reading.leave()
        return (text in said if pattern is None else pattern.search(text) is not None) != negated

    return valued if clause.operator == "valued" else compared


def _word(word: str, said: tuple[str, ...], negated: bool) -> Holds:
    if word == "event":
        return lambda walk, _index: (walk.event in said) != negated
    if word == "type":
        return lambda walk, _index: (walk.type in said) != negated
    if word == "after":
        return lambda walk, _index: (walk.after in said) != negated
    if word == "before":
        return lambda walk, index: (walk.before(index) in said) != negated
    return lambda walk, _index: (next((name for name in said if name in walk.latest), "") in said) != negated
