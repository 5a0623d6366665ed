"""A message as the rules read it: afterwards it is known of each value whether a rule has taken it, and where to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from mappers import er7

#: Number of the segment in the message (from 0), field, repetition, component, subcomponent (from 1).
Leaf = tuple[int, int, int, int, int]


class Unusable(Exception):
    """A value cannot be converted. The text says why, without the value."""


@dataclass(slots=True)
class Reading:
    """One message and what has been taken of it so far."""

    message: er7.Message
    went: dict[Leaf, list[str]] = field(default_factory=dict)
    pending: list[Leaf] = field(default_factory=list)
    #: Segment and field of a text whose lines are the repetitions: the segments that it stands in, in their order.
    texts: dict[tuple[int, int], list[int]] = field(default_factory=dict)

    def values(self, segment: int, number: int) -> list[Value]:
        """The repetitions of a field that have a value; all as one where they are the lines of a text."""
        if (segment, number) in self.texts:
            lines = [line for index in self.texts[segment, number] for line in self._repetitions(index, number)]
            return [Text(self, lines)] if any(lines) else []
        if not self.message.segments[segment].field(number).raw:
            return []
        return [value for value in self._repetitions(segment, number) if value]

    def _repetitions(self, segment: int, number: int) -> list[Value]:
        """One at least, so that an empty line stays a line."""
        found = self.message.segments[segment].field(number).repetitions
        return [
            Value(self, (segment, number, n, 1, 1), repetition)
            for n, repetition in enumerate(found or [er7.Repetition("", self.message.context)], start=1)
        ]

    def follow(self, segment: int, others: list[int]) -> None:
        """What a segment's fields went to, those of the others went to as well that say the same."""
        segments = self.message.segments
        for leaf, targets in [(leaf, targets) for leaf, targets in self.went.items() if leaf[0] == segment]:
            raw = segments[segment].field(leaf[1]).raw
            for other in others:
                if segments[other].field(leaf[1]).raw == raw:
                    self.went.setdefault((other, *leaf[1:]), list(targets))

    def take(self, target: str) -> None:
        """What has been read since the last `take` or `leave` went to `target`."""
        for leaf in self.pending:
            targets = self.went.setdefault(leaf, [])
            if target not in targets:
                targets.append(target)
        self.pending.clear()

    def leave(self) -> None:
        """What has been read since the last `take` or `leave` was of no use."""
        self.pending.clear()

    def leaves(self) -> Iterator[tuple[Leaf, str]]:
        """Every value of the message with its place, in the order of the message."""
        for index, segment in enumerate(self.message.segments):
            for number, found in segment.fields:
                for r, repetition in enumerate(found.repetitions, start=1):
                    for c, component in enumerate(repetition.components, start=1):
                        for s, subcomponent in enumerate(component.subcomponents, start=1):
                            if subcomponent.raw:
                                yield (index, number, r, c, s), subcomponent.raw

    def path(self, leaf: Leaf) -> str:
        """A place as people write it: `PID-3[2].4.1`; what is the first of its kind or undivided has no number."""
        index, number, repetition, component, subcomponent = leaf
        segment = self.message.segments[index]
        node = segment.field(number).repetition(repetition)
        path = f"{segment.name}-{number}" + (f"[{repetition}]" if repetition > 1 else "")
        is_deeper = len(node.component(component).subcomponents) > 1
        if is_deeper or len(node.components) > 1:
            path += f".{component}"
        return path + (f".{subcomponent}" if is_deeper else "")


class Value:
    """A repetition, component or subcomponent. `value[n]` is its part of that number; reading `text` takes it."""

    __slots__ = ("_node", "_reading", "at")

    def __init__(self, reading: Reading, at: Leaf, node: er7.Repetition | er7.Component | er7.Subcomponent) -> None:
        self._reading = reading
        self._node = node
        self.at = at

    def __bool__(self) -> bool:
        """Whether there is anything in it."""
        return bool(self._node.raw)

    def __getitem__(self, number: int) -> Value:
        """A component of a repetition, a subcomponent of a component; an empty one where there is none."""
        index, field_number, repetition, component, _subcomponent = self.at
        if isinstance(self._node, er7.Repetition):
            at = (index, field_number, repetition, number, 1)
            return Value(self._reading, at, self._node.component(number))
        if isinstance(self._node, er7.Component):
            at = (index, field_number, repetition, component, number)
            return Value(self._reading, at, self._node.subcomponent(number))
        return (
            self if number == 1 else Value(self._reading, self.at, er7.Subcomponent("", self._reading.message.context))
        )

    @property
    def raw(self) -> str:
        """As it came, escapes and all. Looking at it takes nothing."""
        return self._node.raw

    @property
    def text(self) -> str:
        """What its first part says."""
        if self._node.raw:
            self._reading.pending.append(self.at)
        return self._node.text

    @property
    def whole(self) -> str:
        """All of it as one text, for datatypes without components (TX, FT, ST of careless senders)."""
        index, number, repetition, first, _sub = self.at
        node = self._node
        if isinstance(node, er7.Repetition):
            for c, component in enumerate(node.components, start=1):
                for s, _part in enumerate(component.subcomponents, start=1):
                    self._reading.pending.append((index, number, repetition, c, s))
            return node.whole
        if isinstance(node, er7.Component):
            for s, _part in enumerate(node.subcomponents, start=1):
                self._reading.pending.append((index, number, repetition, first, s))
            return er7.unescape(node.raw, self._reading.message.context)
        return self.text

    @property
    def count(self) -> int:
        """How many components (or subcomponents) it has."""
        if isinstance(self._node, er7.Repetition):
            return len(self._node.components)
        return len(self._node.subcomponents) if isinstance(self._node, er7.Component) else 1

    def beside(self, number: int) -> Value:
        """The first repetition of another field of the same segment."""
        found = self._reading.values(self.at[0], number)
        if found:
            return found[0]
        return Value(self._reading, (self.at[0], number, 1, 1, 1), er7.Repetition("", self._reading.message.context))

    def all_beside(self, number: int) -> list[Value]:
        """All repetitions of another field of the same segment (or of this one)."""
        return self._reading.values(self.at[0], number)

    @property
    def is_null(self) -> bool:
        """Whether it says that the receiver is to delete what it has."""
        return self._node.raw == er7.NULL


class Text(Value):
    """A text whose lines stand in several repetitions or segments."""

    __slots__ = ("_lines",)

    def __init__(self, reading: Reading, lines: list[Value]) -> None:
        context = reading.message.context
        raw = context.delimiters.repetition.join(line.raw for line in lines)
        super().__init__(reading, lines[0].at, er7.Repetition(raw, context))
        self._lines = lines

    def __getitem__(self, number: int) -> Value:
        """It has one component only."""
        return (
            self if number == 1 else Value(self._reading, self.at, er7.Subcomponent("", self._reading.message.context))
        )

    @property
    def text(self) -> str:
        """All of it, with line breaks."""
        return self.whole

    @property
    def whole(self) -> str:
        """All of it, with line breaks."""
        return "\n".join(line.whole for line in self._lines)

    @property
    def count(self) -> int:
        """It has one component only."""
        return 1
