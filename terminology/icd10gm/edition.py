"""One year's ICD-10-GM: its codes with everything that decides where a code may stand.

Source of the fields: BfArM, ICD-10-GM Systematisches Verzeichnis, Metadaten TXT (CSV), description of the 28 fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

#: Fields 13 and 14. P: may stand alone. O: star code, Z: exclamation code, both beside a primary code. V: not allowed.
Use = Literal["P", "O", "Z", "V"]
#: Fields 21 and 24. M (Muss-Fehler): the code is refused. K (Kann-Fehler): it is told. Empty: no rule.
Error = Literal["", "K", "M"]
Sex = Literal["", "M", "W"]
NoteKind = Literal["inclusion", "exclusion", "hint", "definition"]


@dataclass(frozen=True, slots=True)
class Age:
    """An age limit in completed days or years of life (fields 22 and 23)."""

    count: int
    unit: Literal["days", "years"]


def age(text: str) -> Age | None:
    """An age limit as the metadata write it: t028, j015; None for 9999 and the empty text. Raises ValueError."""
    if text in ("", "9999"):
        return None
    unit, count = text[:1], text[1:]
    if unit not in ("t", "j") or not (count.isascii() and count.isdigit()):
        raise ValueError("an age limit is tNNN or jNNN")
    return Age(int(count), "days" if unit == "t" else "years")


def parent(name: str) -> str | None:
    """The code above by its form: E11.9 for E11.90, E11 for E11.9, None for E11."""
    return None if len(name) <= 3 else name[:-1].rstrip(".")


@dataclass(frozen=True, slots=True)
class Code:
    """One code of one year, e.g. E11.90, without its marks.

    `level`: 3, 4 or 5 characters; `parent`: the code above, None for level 3. `age_from`: an age of at least this;
    `age_to`: an age below this (t000: before birth), None: no limit. `is_used`: whether the year gives it a content
    (field 26). `is_notifiable`: the physician's duty to report (IfSG); `has_lab_exemption`: GOP 32006 may be claimed.
    """

    code: str
    title: str
    level: int
    parent: str | None = None
    is_terminal: bool = True
    chapter: str = ""
    block: str = ""
    practice: Use = "P"
    hospital: Use = "P"
    sex: Sex = ""
    sex_error: Error = ""
    age_from: Age | None = None
    age_to: Age | None = None
    age_error: Error = ""
    is_rare: bool = False
    is_used: bool = True
    is_notifiable: bool = False
    has_lab_exemption: bool = False
    is_dagger: bool = False

    @property
    def mark(self) -> Literal["*", "!"] | None:
        """Star or exclamation mark."""
        return (
            "*"
            if self.practice == "O" or self.hospital == "O"
            else "!"
            if "Z" in (self.practice, self.hospital)
            else None
        )


@dataclass(frozen=True, slots=True)
class Note:
    """An inclusion, exclusion or hint of the Systematisches Verzeichnis. `codes`: those that its text refers to."""

    kind: NoteKind
    text: str
    codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """Where an edition came from. `sha256`: of the imported file; `imported`: ISO 8601 with time zone."""

    name: str
    form: str
    version: str
    sha256: str
    imported: str


@dataclass(frozen=True)
class Edition:
    """A year's codes by their name, and the notes by code where the source has them.

    `is_complete`: False for the starter catalogue, which holds a choice of terminal codes.
    """

    year: int
    codes: Mapping[str, Code]
    sources: tuple[Source, ...]
    is_complete: bool
    notes: Mapping[str, tuple[Note, ...]] = field(default_factory=dict)

    def terminal(self, name: str) -> Code | None:
        """The code where the year holds it and it can be coded."""
        found = self.codes.get(name)
        return found if found is not None and found.is_terminal else None

    def resolve(self, name: str) -> Code | None:
        """The terminal code of this name; for one that the year has not split off yet, the code it was split from."""
        above: str | None = name
        while above is not None:
            found = self.terminal(above)
            if found is not None:
                return found
            above = parent(above)
        return None
