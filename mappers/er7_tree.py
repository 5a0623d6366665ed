"""The tree of a message by the standard's own words: Message, Segment, Field, Repetition, Component, Subcomponent.

Each node keeps its text as it came and cuts its parts out of it when they are asked for. HL7 v2.5 chapter 2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cached_property, lru_cache
from typing import Final

from mappers import er7_character_sets
from mappers.er7_escapes import NULL, UNDIVIDED, Context, Delimiters, unescape

HEADERS: Final = ("MSH", "FHS", "BHS")

#: Number of a segment in its message (from 0), field, repetition, component, subcomponent (from 1).
Leaf = tuple[int, int, int, int, int]


class Subcomponent:
    """The smallest part. `raw` is as it came, `text` what it says."""

    __slots__ = ("_context", "raw")

    def __init__(self, raw: str, context: Context) -> None:
        self.raw = raw
        self._context = context

    @property
    def text(self) -> str:
        """What it says: escapes undone, `""` (delete) as nothing."""
        return "" if self.raw == NULL else unescape(self.raw, self._context)


class Component:
    """A component with its subcomponents."""

    __slots__ = ("_context", "raw")

    def __init__(self, raw: str, context: Context) -> None:
        self.raw = raw
        self._context = context

    @property
    def subcomponents(self) -> list[Subcomponent]:
        """All of them; one at least."""
        return [Subcomponent(raw, self._context) for raw in _split(self.raw, self._context.delimiters.subcomponent)]

    def subcomponent(self, number: int) -> Subcomponent:
        """The subcomponent of this number, from 1; an empty one where there is none."""
        return Subcomponent(_nth(self.raw, self._context.delimiters.subcomponent, number), self._context)

    @property
    def text(self) -> str:
        """What the first subcomponent says: the value, for a component that is not divided."""
        return self.subcomponent(1).text


class Repetition:
    """One of a field's values."""

    __slots__ = ("_context", "raw")

    def __init__(self, raw: str, context: Context) -> None:
        self.raw = raw
        self._context = context

    @property
    def components(self) -> list[Component]:
        """All of them; one at least."""
        return [Component(raw, self._context) for raw in _split(self.raw, self._context.delimiters.component)]

    def component(self, number: int) -> Component:
        """The component of this number, from 1; an empty one where there is none."""
        return Component(_nth(self.raw, self._context.delimiters.component, number), self._context)

    @property
    def text(self) -> str:
        """What the first component says: the value, for a field that is not divided."""
        return self.component(1).text

    @property
    def whole(self) -> str:
        """All of it as text, delimiters and all: for a datatype without components, such as TX, whose sender did not
        escape what is not divided anyway."""
        return unescape(self.raw, self._context) if self.raw != NULL else ""


class Field:
    """A field with its repetitions."""

    __slots__ = ("_context", "raw")

    def __init__(self, raw: str, context: Context) -> None:
        self.raw = raw
        self._context = context

    @property
    def repetitions(self) -> list[Repetition]:
        """All of them; none for a field without a value."""
        if not self.raw:
            return []
        return [Repetition(raw, self._context) for raw in _split(self.raw, self._context.delimiters.repetition)]

    def repetition(self, number: int) -> Repetition:
        """The repetition of this number, from 1; an empty one where there is none."""
        return Repetition(_nth(self.raw, self._context.delimiters.repetition, number), self._context)

    @property
    def is_null(self) -> bool:
        """Whether it says that the receiver is to delete what it has."""
        return self.raw == NULL

    @property
    def text(self) -> str:
        """What the first component of the first repetition says."""
        return self.repetition(1).text


class Segment:
    """A line of a message: its name and its fields. `end` is the line end that it came with."""

    __slots__ = ("_context", "_fields", "end", "raw")

    def __init__(self, raw: str, context: Context, end: str = "\r") -> None:
        self.raw = raw
        self.end = end
        self._context = context
        self._fields: list[str] | None = None

    @property
    def name(self) -> str:
        """What stands before the first field: three letters in a well-formed message."""
        end = self.raw.find(self._context.delimiters.field)
        return self.raw if end < 0 else self.raw[:end]

    @property
    def raws(self) -> list[str]:
        """raws[n] is field n as it came. MSH-1 is the field separator itself."""
        if self._fields is None:
            self._fields = self.raw.split(self._context.delimiters.field)
            if self._fields[0] in HEADERS:
                self._fields.insert(1, self._context.delimiters.field)
        return self._fields

    def __len__(self) -> int:
        """The number of the last field that was sent."""
        return len(self.raws) - 1

    def field(self, number: int) -> Field:
        """The field of this number; an empty one where there is none."""
        values = self.raws
        return Field(values[number] if 0 < number < len(values) else "", self.context(number))

    def context(self, number: int) -> Context:
        """What the field of this number is read with: nothing divides MSH-1 and MSH-2."""
        return UNDIVIDED if number <= 2 and self.name in HEADERS else self._context

    @property
    def fields(self) -> list[tuple[int, Field]]:
        """Number and field of each one that has a value."""
        return [(number, self.field(number)) for number, raw in enumerate(self.raws) if number and raw]


class Message:
    """One message. `notes` say what was odd about its character set; `is_decoded` whether it could be read with it."""

    def __init__(
        self, segments: Iterable[Segment], context: Context, *, prefix: bytes = b"", notes: tuple[str, ...] = ()
    ) -> None:
        self.segments = list(segments)
        self.context = context
        self.prefix = prefix
        self.notes = notes

    @property
    def delimiters(self) -> Delimiters:
        """Its own delimiters."""
        return self.context.delimiters

    @property
    def codec(self) -> str:
        """The Python name of the character set that it is read and written with."""
        return self.context.codec

    @cached_property
    def is_decoded(self) -> bool:
        """Whether all of its bytes are characters of its character set."""
        raws = (segment.raw for segment in self.segments)
        return not any(_UNDECODED.search(raw) for raw in raws if not raw.isascii())

    def all(self, name: str) -> list[Segment]:
        """The segments of this name, in their order."""
        return [segment for segment in self.segments if segment.name == name]

    def first(self, name: str) -> Segment | None:
        """The first segment of this name."""
        return next((segment for segment in self.segments if segment.name == name), None)

    def text(self, path: str) -> str:
        """What stands at a path such as `PID-5.1.1` or `PID-3[2].4`; empty where there is nothing."""
        name, field, repetition, component, subcomponent = _path(path)
        segment = self.first(name)
        if segment is None:
            return ""
        found = segment.field(field).repetition(repetition).component(component)
        return found.subcomponent(subcomponent).text

    def leaves(self) -> Iterator[tuple[Leaf, str]]:
        """Every subcomponent that has a value, with its place and as it came, in the order of the message.

        A walk down the tree finds the same; this makes no object for each node.
        """
        delimiters = (self.delimiters.repetition, self.delimiters.component, self.delimiters.subcomponent)
        repetition_by, component_by, subcomponent_by = (one or "\r" for one in delimiters)  # no field has a CR
        for index, segment in enumerate(self.segments):
            is_header = segment.name in HEADERS
            for number, field in enumerate(segment.raws):
                if not field or not number:
                    continue
                if (is_header and number <= 2) or not (
                    component_by in field or repetition_by in field or subcomponent_by in field
                ):
                    yield (index, number, 1, 1, 1), field
                    continue
                for r, repetition in enumerate(field.split(repetition_by), start=1):
                    for c, component in enumerate(repetition.split(component_by), start=1):
                        if subcomponent_by not in component:
                            if component:
                                yield (index, number, r, c, 1), component
                            continue
                        for s, subcomponent in enumerate(component.split(subcomponent_by), start=1):
                            if subcomponent:
                                yield (index, number, r, c, s), subcomponent

    @property
    def structure(self) -> str:
        """Message type and trigger event, e.g. `ADT^A01`."""
        return f"{self.text('MSH-9.1')}^{self.text('MSH-9.2')}"

    def __str__(self) -> str:
        return "".join(f"{segment.raw}{segment.end}" for segment in self.segments)

    def encode(self) -> bytes:
        """The bytes. Unencodable when a text that was put in has a character that the character set lacks."""
        return self.prefix + er7_character_sets.encoded(str(self), self.codec)


_UNDECODED: Final = re.compile("[\udc80-\udcff]")
_PATH: Final = re.compile(r"([A-Z][A-Z0-9]{2})-(\d+)(?:\[(\d+)\])?(?:\.(\d+))?(?:\.(\d+))?")


@lru_cache(maxsize=4096)
def _path(path: str) -> tuple[str, int, int, int, int]:
    found = _PATH.fullmatch(path)
    if found is None:
        raise ValueError(f"{path} is no path such as PID-5.1.1")
    return found[1], int(found[2]), int(found[3] or 1), int(found[4] or 1), int(found[5] or 1)


def _split(raw: str, delimiter: str) -> list[str]:
    return raw.split(delimiter) if delimiter else [raw]


def _nth(raw: str, delimiter: str, number: int) -> str:
    if number == 1 and (not delimiter or delimiter not in raw):
        return raw
    parts = _split(raw, delimiter)
    return parts[number - 1] if 0 < number <= len(parts) else ""
