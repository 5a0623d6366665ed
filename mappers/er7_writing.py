"""Segments that are written: whatever a text holds, it does not become a delimiter or a segment. HL7 v2.5 chapter 2."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from mappers.er7_escapes import STANDARD, Context, Delimiters, escape, one_line
from mappers.er7_tree import HEADERS, Segment

_NAME: Final = re.compile("[A-Z][A-Z0-9]{2}")


class Raw(str):
    """A piece of another message with the same delimiters, which is put in as it is, but for line breaks and control
    characters: these become `\\.br\\` and nothing, since a receiver may take them for the end of a segment."""

    __slots__ = ()


Part = str | None  # text; None is nothing
ComponentValue = Part | tuple[Part, ...]  # subcomponents
RepetitionValue = ComponentValue | tuple[ComponentValue, ...]  # components
FieldValue = RepetitionValue | list[RepetitionValue]


def segment(name: str, values: Mapping[int, FieldValue], context: Context | None = None, *, end: str = "\r") -> Segment:
    """A segment with these fields by their numbers. A field is a text, a tuple of components (each a text or a tuple of
    subcomponents), a list of repetitions of these, or `Raw`.

    MSH-1 and MSH-2 come from the delimiters, whatever `values` say. ValueError for a name that is none, for parts that
    the delimiters cannot separate, and for a `Raw` with a delimiter that does not belong inside the part it is put in.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!a} is no name of a segment")
    context = context or Context(STANDARD)
    d = context.delimiters
    last = max((number for number, value in values.items() if value), default=0)
    fields = [_written(values.get(number), d) for number in range(1, last + 1)]
    if name in HEADERS:
        fields = [d.encoding_characters, *fields[2:]]
    return Segment(d.field.join([name, *fields]), context, end)


def _written(value: FieldValue, d: Delimiters) -> str:
    if isinstance(value, list):
        return _joined([_repetition(part, d, d.field + d.repetition) for part in value], d.repetition)
    return _repetition(value, d, d.field)


def _repetition(value: RepetitionValue, d: Delimiters, outer: str) -> str:
    if isinstance(value, tuple):
        inner = d.field + d.repetition + d.component
        return _joined([_component(part, d, inner) for part in value], d.component)
    return _component(value, d, outer)


def _component(value: ComponentValue, d: Delimiters, outer: str) -> str:
    if isinstance(value, tuple):
        inner = d.field + d.repetition + d.component + d.subcomponent
        return _joined([_part(part, d, inner) for part in value], d.subcomponent)
    return _part(value, d, outer)


def _joined(parts: list[str], delimiter: str) -> str:
    """The parts up to the last that is not empty."""
    while parts and not parts[-1]:
        parts.pop()
    if len(parts) > 1 and not delimiter:
        raise ValueError("the message has no delimiter between these parts")
    return delimiter.join(parts)


def _part(value: Part, d: Delimiters, outer: str) -> str:
    """A text without the delimiters `outer`, which would end the part that it is."""
    if not value:
        return ""
    if not isinstance(value, Raw):
        return escape(value, d)
    if any(delimiter in value for delimiter in outer):
        raise ValueError("a raw piece holds a delimiter of what it is put in")
    return one_line(value, d)
