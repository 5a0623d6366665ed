"""A message as the rules read it: afterwards it is known of each value whether a rule has taken it, and where to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from mappers import er7
from mappers.er7 import Leaf

_NEVER: Final = "\r"  # stands in no field: for a delimiter that the message does not have


class Unusable(Exception):
    """A value cannot be converted. The text says why, without the value."""


class Reading:
    """One message and what has been taken of it so far: `went` says of each place where to.

    Values are made once and kept until `close`.
    """

    def __init__(self, message: er7.Message) -> None:
        self.message = message
        self.raws = [segment.raws for segment in message.segments]
        self.went: dict[Leaf, list[str]] = {}
        self.pending: list[Leaf] = []
        self._order: list[Leaf] = []  # in which the places came into `went`
        self._sorted = 0  # so many of them are in `_taken`, by segment
        self._taken: dict[int, list[Leaf]] = {}
        self._values: dict[tuple[int, int], Sequence[Value]] = {}
        self._repetitions: dict[tuple[int, int], list[str]] = {}
        self._by = message.delimiters.repetition or _NEVER
        self._level: _Level | None = None

    def values(self, segment: int, number: int) -> Sequence[Value]:
        """The repetitions of a field that have a value; all as one where they are the lines of a text."""
        found = self._values.get((segment, number))
        if found is None:
            raws = self.raws[segment]
            if not 0 < number < len(raws) or not raws[number]:
                return ()
            raw = raws[number]
            if number > 2 and self._by not in raw:  # most fields: one repetition, and none of a header's delimiters
                found = [Value((segment, number, 1, 1, 1), raw, (self._level or self._top()).of(raw))]
            else:
                found = [value for value in self._lines(segment, number) if value.raw]
            self._values[segment, number] = found
        return found

    def nothing(self, segment: int, number: int) -> Value:
        """The value of a field that has none."""
        return Value((segment, number, 1, 1, 1), "", self._top())

    def join(self, segments: list[int], number: int) -> None:
        """The repetitions of this field of all these segments are the lines of one text, which is the first one's."""
        lines = [line for segment in segments for line in self._lines(segment, number)]
        self._values[segments[0], number] = [Text(lines, self._top())] if any(lines) else []

    def close(self) -> None:
        """No more values are read: those that were go, as each holds on to the whole message."""
        self._values.clear()
        self._level = None

    def _top(self) -> _Level:
        if self._level is None:
            self._level = _levels(self, self.message.context)
        return self._level

    def _lines(self, segment: int, number: int) -> list[Value]:
        """All repetitions of a field. One at least, so that an empty line stays a line."""
        context = self.message.segments[segment].context(number)
        raws = self._split(segment, number, context)
        level = self._top() if context is self.message.context else _levels(self, context)
        return [Value((segment, number, n, 1, 1), raw, level.of(raw)) for n, raw in enumerate(raws, start=1)]

    def _split(self, segment: int, number: int, context: er7.Context) -> list[str]:
        """All repetitions of a field as they came."""
        raws = self.raws[segment]
        raw = raws[number] if 0 < number < len(raws) else ""
        by = context.delimiters.repetition or _NEVER
        if by not in raw:
            return [raw]
        found = self._repetitions.get((segment, number))
        if found is None:
            found = self._repetitions[segment, number] = raw.split(by)
        return found

    # ---- what was taken

    def take(self, target: str) -> None:
        """What has been read since the last `take` or `leave` went to `target`."""
        for leaf in self.pending:
            targets = self.went.get(leaf)
            if targets is None:
                self.went[leaf] = [target]
                self._order.append(leaf)
            elif target not in targets:
                targets.append(target)
        self.pending.clear()

    def leave(self) -> None:
        """What has been read since the last `take` or `leave` was of no use."""
        self.pending.clear()

    def follow(self, segment: int, others: list[int]) -> None:
        """What a segment's fields went to, those of the others went to as well that say the same."""
        for leaf in self._order[self._sorted :]:
            self._taken.setdefault(leaf[0], []).append(leaf)
        self._sorted = len(self._order)
        for leaf in self._taken.get(segment, ()):
            number = leaf[1]
            raw = self.raws[segment][number : number + 1]
            for other in others:
                same = (other, *leaf[1:])
                if self.raws[other][number : number + 1] == raw and same not in self.went:
                    self.went[same] = list(self.went[leaf])
                    self._order.append(same)

    def leaves(self) -> Iterator[tuple[Leaf, str]]:
        """Every value of the message with its place, in the order of the message."""
        return self.message.leaves()

    def path(self, leaf: Leaf) -> str:
        """A place as people write it: `PID-3[2].4.1`; what is the first of its kind or undivided has no number."""
        index, number, repetition, component, subcomponent = leaf
        segment = self.message.segments[index]
        context = segment.context(number)
        raws = self._split(index, number, context)
        node = er7.Repetition(raws[repetition - 1] if repetition <= len(raws) else "", context)
        path = f"{segment.name}-{number}" + (f"[{repetition}]" if repetition > 1 else "")
        is_deeper = len(node.component(component).subcomponents) > 1
        if is_deeper or len(node.components) > 1:
            path += f".{component}"
        return path + (f".{subcomponent}" if is_deeper else "")


class _Level:
    """What a message's repetitions have in common, or their components, or (the lowest level) what is undivided."""

    __slots__ = ("by", "context", "deeper", "escape", "parts", "reading")

    def __init__(self, reading: Reading, context: er7.Context, by: str = "", deeper: _Level | None = None) -> None:
        self.reading = reading
        self.context = context
        self.escape = context.delimiters.escape
        self.by = by or _NEVER  # what divides them
        self.deeper = deeper  # the level of their parts
        self.parts: Sequence[Value] | None = () if deeper is None else None

    def of(self, raw: str) -> _Level:
        """The level of a text at this one: the lowest where nothing in it divides it."""
        deeper = self.deeper
        if deeper is None or self.by in raw or deeper.by in raw:
            return self
        return deeper.deeper or deeper


def _levels(reading: Reading, context: er7.Context) -> _Level:
    """The level of repetitions."""
    delimiters = context.delimiters
    components = _Level(reading, context, delimiters.subcomponent, _Level(reading, context))
    return _Level(reading, context, delimiters.component, components)


class Value:
    """A repetition, component or subcomponent. `value[n]` is its part of that number; reading `text` takes it.

    `raw` is it as it came, escapes and all, and `at` its place. Looking at these takes nothing.
    """

    __slots__ = ("_level", "_parts", "at", "raw")

    def __init__(self, at: Leaf, raw: str, level: _Level) -> None:
        self.at = at
        self.raw = raw
        self._level = level
        #: None before it is divided. From 1 on; at 0 stands an empty value for the parts that are not there.
        self._parts: Sequence[Value] | None = level.parts

    def __bool__(self) -> bool:
        """Whether there is anything in it."""
        return bool(self.raw)

    def __getitem__(self, number: int) -> Value:
        """A component of a repetition, a subcomponent of a component; an empty one where there is none.

        What is not divided is its own first part.
        """
        parts = self._parts
        if parts is None:
            parts = self._divide()
        if number < len(parts):
            return parts[number]
        if number == 1 or not self.raw:
            return self
        if not parts:
            parts = self._parts = (Value(self.at, "", self._level),)
        return parts[0]

    def _divide(self) -> Sequence[Value]:
        level, at = self._level, self.at
        deeper = level.deeper
        assert deeper is not None
        raws = self.raw.split(level.by)
        inner = deeper.of(self.raw)
        parts = [Value(at, "", inner)]
        if deeper.deeper is None:
            parts += [Value((*at[:4], n), raw, inner) for n, raw in enumerate(raws, start=1)]
        else:
            parts += [Value((*at[:3], n, 1), raw, inner) for n, raw in enumerate(raws, start=1)]
        self._parts = parts
        return parts

    @property
    def _reading(self) -> Reading:
        return self._level.reading

    @property
    def text(self) -> str:
        """What its first part says."""
        raw, level = self.raw, self._level
        if not raw:
            return ""
        level.reading.pending.append(self.at)
        if level.deeper is not None:
            raw = self[1][1].raw
        if raw == er7.NULL:
            return ""
        return er7.unescape(raw, level.context) if level.escape in raw else raw

    @property
    def whole(self) -> str:
        """All of it as one text, for datatypes without components (TX, FT, ST of careless senders)."""
        self._level.reading.pending.extend(self._leaves())
        return "" if self.raw == er7.NULL else er7.unescape(self.raw, self._level.context)

    def _leaves(self) -> Iterator[Leaf]:
        parts = self._divide() if self._parts is None else self._parts
        if len(parts) < 2:
            yield self.at
        for part in parts[1:]:
            yield from part._leaves()

    @property
    def count(self) -> int:
        """How many components (or subcomponents) it has."""
        if self._level.deeper is None:
            return 1
        return len(self._divide() if self._parts is None else self._parts) - 1

    @property
    def is_null(self) -> bool:
        """Whether it says that the receiver is to delete what it has."""
        return self.raw == er7.NULL

    def beside(self, number: int) -> Value:
        """The first repetition of another field of the same segment."""
        reading = self._level.reading
        found = reading.values(self.at[0], number)
        return found[0] if found else reading.nothing(self.at[0], number)

    def all_beside(self, number: int) -> Sequence[Value]:
        """All repetitions of another field of the same segment (or of this one)."""
        return self._level.reading.values(self.at[0], number)


class Text(Value):
    """A text whose lines stand in several repetitions or segments. It has one component only."""

    __slots__ = ("_lines",)

    def __init__(self, lines: list[Value], level: _Level) -> None:
        raw = level.context.delimiters.repetition.join(line.raw for line in lines)
        super().__init__(lines[0].at, raw, _Level(level.reading, level.context))
        self._lines = lines

    @property
    def text(self) -> str:
        """All of it, with line breaks."""
        return self.whole

    @property
    def whole(self) -> str:
        """All of it, with line breaks."""
        return "\n".join(line.whole for line in self._lines)
