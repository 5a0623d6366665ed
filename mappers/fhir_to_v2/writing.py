"""How a message is written: with the delimiters and in the character set of the one that was received."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mappers import er7
from mappers.fhir_to_v2 import characters

_UNDECODED: Final = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes the segments of one message."""

    context: er7.Context
    received: er7.Context | None = None

    def segment(self, name: str, values: Mapping[int, er7.FieldValue]) -> er7.Segment:
        """A segment whose texts have stand-ins for what the character set lacks."""
        return er7.segment(name, {number: self._field(value) for number, value in values.items()}, self.context)

    def taken(self, field: er7.Field) -> er7.FieldValue:
        """A received field: byte for byte where delimiters and character set allow it, else what it says."""
        if self.received is None or not field.raw:
            return None
        return er7.Raw(field.raw) if self._is_same(field.raw, self.received) else self._said(field)

    def _is_same(self, raw: str, received: er7.Context) -> bool:
        if received.delimiters != self.context.delimiters:
            return False
        in_bytes = f"{received.delimiters.escape}X" in raw or _UNDECODED.search(raw)
        return received.codec == self.context.codec or not in_bytes

    def _said(self, field: er7.Field) -> er7.FieldValue:
        return [
            tuple(tuple(_text(part) for part in component.subcomponents) for component in repetition.components)
            for repetition in field.repetitions
        ]

    def _field(self, value: er7.FieldValue) -> er7.FieldValue:
        if isinstance(value, list):
            return [self._repetition(part) for part in value]
        return self._repetition(value)

    def _repetition(self, value: er7.RepetitionValue) -> er7.RepetitionValue:
        if isinstance(value, tuple):
            return tuple(self._component(part) for part in value)
        return self._part(value)

    def _component(self, value: er7.ComponentValue) -> er7.ComponentValue:
        if isinstance(value, tuple):
            return tuple(self._part(part) for part in value)
        return self._part(value)

    def _part(self, value: er7.Part) -> er7.Part:
        if value is None or isinstance(value, er7.Raw):
            return value
        return characters.fitted(value, self.context.codec)


def _text(part: er7.Subcomponent) -> str:
    return er7.Raw(er7.NULL) if part.raw == er7.NULL else _UNDECODED.sub("\ufffd", part.text)


def contexts(received: er7.Message | None) -> list[er7.Context]:
    """In what a message may be written, the best first; the last one has every character."""
    delimiters = received.delimiters if received is not None and _is_complete(received.delimiters) else er7.STANDARD
    codecs = [received.codec] if received is not None and characters.name(received.codec) else []
    return [er7.Context(delimiters, codec) for codec in dict.fromkeys((*codecs, "utf-8"))]


def _is_complete(delimiters: er7.Delimiters) -> bool:
    """Whether there is a delimiter of each kind, so that every value can be written."""
    return all((delimiters.component, delimiters.repetition, delimiters.escape, delimiters.subcomponent))
