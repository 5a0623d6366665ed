"""HL7 v2 messages: bytes to a tree by the standard's own words and back, byte for byte. HL7 v2.5 chapter 2.

A message keeps its text as it came; segments, fields and what is in them are cut out of it when they are asked for, so
what nobody changes comes back exactly, in any version, with Z segments, odd line ends and unknown escapes. Reading goes
through `text`, which undoes the escapes; writing goes through `segment`, which makes them, so that no text can become a
delimiter or a segment.
"""

from __future__ import annotations

import codecs
import itertools
import re
from collections.abc import Iterator
from typing import Final

from mappers import er7_character_sets
from mappers.er7_character_sets import Malformed, Unencodable, codec_named
from mappers.er7_escapes import NULL, STANDARD, Context, Delimiters, escape, unescape
from mappers.er7_tree import HEADERS, Component, Field, Leaf, Message, Repetition, Segment, Subcomponent
from mappers.er7_writing import ComponentValue, FieldValue, Part, Raw, RepetitionValue, segment

__all__ = [
    "MOST_SEGMENTS", "NULL", "STANDARD", "Component", "ComponentValue", "Context", "Delimiters", "Field", "FieldValue",
    "Leaf", "Malformed", "Message", "Part", "Raw", "Repetition", "RepetitionValue", "Segment", "Subcomponent",
    "Unencodable", "codec_named", "escape", "messages", "parse", "segment", "unescape",
]  # fmt: skip

MOST_SEGMENTS: Final = 200_000  # of one message; no real one has a hundredth of it

_BY_CR: Final = re.compile(r"\r[\r\n]*")
_BY_LF: Final = re.compile(r"[\r\n]+")
_BEGINS_MESSAGE: Final = re.compile(r"MSH[!-/:-@\[-`{-~]")
_IS_OF_BATCH: Final = re.compile(r"(?:FHS|BHS|BTS|FTS)(?![A-Za-z0-9])")


def parse(data: bytes, default: str | None = None, *, heeds_header: bool = True) -> Message:
    """The message in `data`; Malformed when it has no header or two, or its byte order mark promises what it is not.

    `default` is the character set (as in MSH-18) of a sender that names none. Without it bytes beyond ASCII are read as
    UTF-8 where they are UTF-8 from end to end, else as ISO 8859-1. `notes` say so, and where the bytes are not what
    MSH-18 says. With `heeds_header` False that sender's MSH-18 lies, and `default` holds whatever it says.
    """
    prefix, text, codec, notes = er7_character_sets.decoded(data, default, heeds_header=heeds_header)
    delimiters = _delimiters(text)
    context = Context(delimiters, codec)
    segments = list(itertools.islice(_segments(text, context), MOST_SEGMENTS + 1))
    if len(segments) > MOST_SEGMENTS:
        raise Malformed(f"There are more than {MOST_SEGMENTS} segments.")
    header = f"MSH{delimiters.field}"
    if sum(line.raw.startswith(header) for line in segments) > 1:
        raise Malformed("There is more than one MSH segment. Two messages are not to be taken for one.")
    return Message(segments, context, prefix=prefix, notes=notes)


def _delimiters(text: str) -> Delimiters:
    if not text.startswith(HEADERS):
        raise Malformed("There is no MSH segment at the beginning.")
    field = text[3:4]
    if not _can_delimit(field):
        raise Malformed("MSH-1 does not say what separates fields.")
    parts: list[str] = []
    for character in text[4:64]:
        if not _can_delimit(character) or character == field or len(parts) == 5:
            break
        if character not in parts:  # `^~\\\\&`, escaped once too often, is `^~\\&`
            parts.append(character)
    if not parts:
        raise Malformed("MSH-2 does not say what separates components.")
    return Delimiters(field, *parts, *[""] * (5 - len(parts)))


def _can_delimit(character: str) -> bool:
    """Whether it is a printable character of ASCII, no letter and no digit: these are what escapes are made of."""
    return "!" <= character <= "~" and not character.isalnum()


def _segments(text: str, context: Context) -> Iterator[Segment]:
    """Lines. Empty ones belong to the end of the line before them."""
    start = 0
    for end in _line_ends(text).finditer(text):
        yield Segment(text[start : end.start()], context, end[0])
        start = end.end()
    if start < len(text):
        yield Segment(text[start:], context, "")


def _line_ends(text: str) -> re.Pattern[str]:
    """A message whose header ends with CR keeps a lone LF as data; one that ends it with LF has lines by LF."""
    lf, cr = text.find("\n"), text.find("\r")
    return _BY_LF if cr < 0 or 0 <= lf < cr else _BY_CR


def messages(data: bytes) -> list[bytes]:
    """The messages of a batch (FHS, BHS … BTS, FTS), each from its MSH on; `data` itself when it is no batch."""
    body = data.removeprefix(codecs.BOM_UTF8).lstrip(er7_character_sets.BLANK)
    if not body.startswith((b"FHS", b"BHS")):
        return [data]
    text = body.decode("latin-1")  # each byte a character; only line ends and names are looked at
    found: list[list[str]] = []
    is_inside = False
    for line in _segments(text, Context(STANDARD)):
        if _BEGINS_MESSAGE.match(line.raw):
            found.append([])
            is_inside = True
        elif _IS_OF_BATCH.match(line.raw):
            is_inside = False
        if is_inside:
            found[-1].append(f"{line.raw}{line.end}")
    return ["".join(message).encode("latin-1") for message in found]
