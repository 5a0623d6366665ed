"""What one published file brings: a year's codes, headings and notes, or its Alpha-ID texts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

from terminology.icd10gm import edition

Form = Literal["metadata", "claml", "fhir-package", "alpha-id"]

#: Which form a value is taken from where several know it: metadata say it of every code, ClaML of what it derives from.
PRECEDENCE: tuple[Form, ...] = ("metadata", "claml", "fhir-package")

#: The fields of a code that may be unknown to a form. What is not here, every form of codes has.
FIELDS = tuple(column.name for column in fields(edition.Code))
#: What the metadata say: everything but the dagger marks.
METADATA_FIELDS = frozenset(FIELDS) - {"is_dagger"}

YEARS = range(2004, 2101)  # ICD-10-GM is published since 2004

CODE = re.compile(r"[A-Z][0-9]{2}(?:\.[0-9]{1,2})?")
#: What may stand behind a code as it is written: dagger (+ in plain text), star, exclamation mark, and the strokes of
#: a code that goes on.
MARKS = "+†*!-."
#: A code, or a range of three-character codes, as texts refer to them: E11.9, F10.-, O98.-!, J00-J22, H36.0*.
REFERENCE = re.compile(r"([A-Z][0-9]{2})(?:-([A-Z][0-9]{2})|(\.[0-9]{1,2})?)")

_SHOWN = 60  # characters of a value in a message
_ROMAN = (
    "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI",
    "XII", "XIII", "XIV", "XV", "XVI", "XVII", "XVIII", "XIX", "XX", "XXI", "XXII",
)  # fmt: skip


class NotImportable(Exception):
    """The file is not what it has to be. The message says what is wrong with it and what to do."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A chapter ("01") or a block ("A00-A09") with its title. `chapter`: of a block, the number of its chapter."""

    kind: Literal["chapter", "block"]
    name: str
    title: str
    chapter: str = ""


@dataclass(frozen=True, slots=True)
class Phrase:
    """A diagnosis as doctors word it, and its codes (Alpha-ID). Empty where it has none.

    `primary`: the code, or the dagger code beside `star`; `extra`: an exclamation code; `second`: a second primary one;
    `orpha`: the number of a rare disease (Orphanet).
    """

    alpha_id: str
    text: str
    primary: str = ""
    star: str = ""
    extra: str = ""
    second: str = ""
    orpha: str = ""

    @property
    def codes(self) -> tuple[str, ...]:
        """Every code it names, the primary one first."""
        return tuple(code for code in (self.primary, self.star, self.extra, self.second) if code)


@dataclass(frozen=True)
class Content:
    """One file as it was read. `known`: the fields of its codes that the form has values for.

    `name`: of the file, inside an archive of the member; `version`: as the file calls it.
    `notes`: by code, by block ("A00-A09") and by chapter ("01").
    """

    form: Form
    year: int
    name: str
    version: str
    codes: Mapping[str, edition.Code] = field(default_factory=dict)
    known: frozenset[str] = frozenset()
    headings: tuple[Heading, ...] = ()
    notes: Mapping[str, tuple[edition.Note, ...]] = field(default_factory=dict)
    phrases: tuple[Phrase, ...] = ()


def plain(text: str) -> str:
    """A text with single blanks: BfArM's titles hold non-breaking ones."""
    return " ".join(text.split())


def chapter(code: str) -> str:
    """The number of a chapter as the metadata write it, 01 for I or 1; empty for what is no chapter."""
    number = _ROMAN.index(code) + 1 if code in _ROMAN else int(code) if re.fullmatch("[0-9]{1,2}", code) else 0
    return f"{number:02}" if 1 <= number <= len(_ROMAN) else ""


def lines(text: str) -> list[str]:
    """The lines of a text file. Only the line feed ends one: in ISO 8859-1 other bytes look like line ends too."""
    found = [line.removesuffix("\r") for line in text.split("\n")]
    return found if found[-1] else found[:-1]


def printable(name: str) -> str:
    """A name that can be kept and printed: a question mark for bytes that are no text, and for control characters."""
    return "".join(character if character.isprintable() else "?" for character in name)


def file_name(path: Path) -> str:
    """The name of a file without its folder, printable."""
    return printable(path.name)


def shown(text: str) -> str:
    """A value of a file in a message: short, and on one line."""
    told = ascii(text) if not text.isprintable() else f"'{text}'"
    return told if len(told) <= _SHOWN else f"{told[:_SHOWN]}…"
