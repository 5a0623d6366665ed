"""Delimiters, and the escapes that keep a text from being taken for one. HL7 v2.5 chapter 2.7."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

NULL: Final = '""'  # a field that says: delete what you have


@dataclass(frozen=True, slots=True)
class Delimiters:
    """MSH-1 and MSH-2. One that a message does not have is empty."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"
    truncation: str = ""

    @property
    def encoding_characters(self) -> str:
        """MSH-2."""
        return self.component + self.repetition + self.escape + self.subcomponent + self.truncation


STANDARD: Final = Delimiters()


@dataclass(frozen=True, slots=True)
class Context:
    """What the parts of a message need of it: its delimiters, and the codec of the bytes in `\\X..\\` escapes."""

    delimiters: Delimiters
    codec: str = "ascii"


UNDIVIDED: Final = Context(Delimiters("", "", "", "", "", ""))  # MSH-1 and MSH-2

_LINE_BREAKS: Final = ("\r\n", *"\r\n\u2028\u2029\x0b\x0c\x1c\x1d\x1e\x85")
_UNPRINTABLE: Final = "\r\n|[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]"  # all controls but the tabulator
_SPECIAL_IN_ESCAPED: Final = re.compile(_UNPRINTABLE)
_MOST_BLANKS: Final = 100  # that one escape stands for


@dataclass(frozen=True, slots=True)
class _Escapes:
    """How a set of delimiters is escaped."""

    pattern: re.Pattern[str]  # of an escape: a run of hexadecimal ones, or what stands in any other
    letters: dict[str, str]  # letter to delimiter
    special: re.Pattern[str]  # what cannot stand in a text
    written: dict[str, str]  # special to escape; what is not in here goes


@lru_cache(maxsize=64)
def _escapes(delimiters: Delimiters) -> _Escapes:
    e = delimiters.escape
    letters = {
        "F": delimiters.field,
        "S": delimiters.component,
        "R": delimiters.repetition,
        "E": e,
        "T": delimiters.subcomponent,
        "P": delimiters.truncation,
    }
    letters = {letter: character for letter, character in letters.items() if character}
    escaped = re.escape(e)
    inside = f"[{''.join(letters)}HN]|[.][A-Za-z]{{2}}[+-]??[0-9]{{0,4}}"
    delimiting = "".join(f"{re.escape(character)}|" for character in letters.values())
    line_break = "X0A" if "." in letters.values() else ".br"
    return _Escapes(
        pattern=re.compile(f"(?:{escaped}X[0-9A-Fa-f]+{escaped})+|{escaped}({inside}){escaped}"),
        letters=letters,
        special=re.compile(f"{delimiting}{_UNPRINTABLE}|[\ud800-\udfff]"),
        written={
            **dict.fromkeys(_LINE_BREAKS, f"{e}{line_break}{e}" if e else " "),
            **{character: f"{e}{letter}{e}" if e else " " for letter, character in letters.items()},
        },
    )


def unescape(raw: str, context: Context) -> str:
    """What an escaped text says. Highlighting (`\\H\\`, `\\N\\`) goes; an escape that is not known stays as it is.

    `\\.br\\` and `\\.sp3\\` are "\\n", `\\.sk3\\` blanks; `\\.ti\\`, `\\.in\\` and the like go. `\\X..\\` are bytes
    of the message's character set, several of them together where they follow each other.
    """
    e = context.delimiters.escape
    if not e or e not in raw:
        return raw
    escapes = _escapes(context.delimiters)

    def meaning(found: re.Match[str]) -> str:
        name = found[1]
        if name is None:
            return _bytes(found[0].replace(f"{e}X", "").replace(e, " "), context.codec, found[0])
        if name.startswith("."):
            return _formatting(name[1:3].lower(), name[3:], found[0])
        return escapes.letters.get(name, "")

    return escapes.pattern.sub(meaning, raw)


def _formatting(command: str, argument: str, raw: str) -> str:
    if command in ("sp", "sk"):
        number = int(argument) if argument.isdigit() else 1
        return ("\n" if command == "sp" else " ") * min(number, _MOST_BLANKS)
    if command in ("br", "ce"):
        return "\n"
    return "" if command in ("fi", "nf", "in", "ti") else raw


def _bytes(digits: str, codec: str, raw: str) -> str:
    try:
        data = bytes.fromhex(digits)
        if codec == "ascii" or (codec.startswith("utf-16") and len(data) % 2):
            codec = "iso8859-1"
        return data.decode(codec)
    except ValueError:
        return raw


def escape(text: str, delimiters: Delimiters = STANDARD) -> str:
    """A text that can stand in a message: delimiters and line breaks as escapes, other control characters left out.

    Where the delimiters have no escape character, blanks stand for them.
    """
    escapes = _escapes(delimiters)
    escaped = escapes.special.sub(lambda found: escapes.written.get(found[0], ""), text)
    if escaped == NULL:  # two quotation marks are a text here, not the order to delete
        e = delimiters.escape
        return f'"{e}X22{e}' if e else '"'
    return escaped


def one_line(escaped: str, delimiters: Delimiters) -> str:
    """An escaped text whose line breaks are escapes too, and without other control characters."""
    if escaped.isprintable():
        return escaped
    written = _escapes(delimiters).written
    return _SPECIAL_IN_ESCAPED.sub(lambda found: written.get(found[0], ""), escaped)
