"""Where an HL7 v2 message is not as its version and its structure say: for the engineer who connects the sender.

The tables are those of hl7apy (HL7 2.1 to 2.8.2). Its parser and its Validator are left alone: they drop or shift what
they do not expect, quote values in their errors, stop at the first one and take 30 to 60 ms a message; the walk over
the tree takes one. No sentence holds a value, only names and counts.
"""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import hl7apy

from mappers import er7, message_structure

MOST_SEGMENTS: Final = 1_000  # of a message that are checked
MOST_VALUES: Final = 40_000  # fields, components and subcomponents of a message that are checked
MOST_FIELDS: Final = 200  # of a segment that is checked; HL7 has none with more
MOST_REPETITIONS: Final = 1_000  # of a field that are checked
MOST_WARNINGS: Final = 60  # that are said of a message
MOST_NUMBERS: Final = 3  # segments of one kind that a warning names

_FALLBACK: Final = "2.5"  # what the German profiles are written in
_VERSION: Final = re.compile(r"[0-9]\.[0-9](?:\.[0-9])?")

_DATE: Final = "[0-9]{4}(?:(?:0[1-9]|1[0-2])(?:[0-3][0-9]%s)?)?"
_TIME: Final = r"(?:[01][0-9]|2[0-3])(?:[0-5][0-9](?:[0-5][0-9](?:\.[0-9]{1,4})?)?)?"
_ZONE: Final = "(?:[+-](?:0[0-9]|1[0-4])[0-5][0-9])?"
#: HL7 v2.5 chapter 2.A.
_PRIMITIVES: Final = {
    "NM": re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"),
    "SI": re.compile("[0-9]{1,4}"),
    "DT": re.compile(_DATE % ""),
    "TM": re.compile(_TIME + _ZONE),
    "DTM": re.compile(_DATE % f"(?:{_TIME})?" + _ZONE),
}
#: Datatypes that hl7apy does not divide, though they may be; IS became CWE, and is sent as such.
_MAY_BE_DIVIDED: Final = ("varies", "CM", "IS", "TN", "CN", "SNM", "")
_WITHDRAWN: Final = ("WD", "wd")  # the datatype of a field or component that a version no longer has
#: Datatypes, of which it lists fewer than its version has, coding systems and media types, which others add to, and
#: what stands in MSH-9 and MSH-12, which is looked at apart.
_OPEN_TABLES: Final = ("HL70125", "HL70396", "HL70191", "HL70291", "HL70003", "HL70076", "HL70354", "HL70104")
_PROSE: Final = re.compile(
    r"…|\.\.\.| _|, | and |For "
)  # in a row of a table, such as "2 and higher": there are more codes


def warnings(message: er7.Message) -> list[str]:
    """What is not as HL7 says, a sentence each, such as `PV1: required by ADT_A01, but missing.`

    Segments that are missing, not of the structure or out of place; required fields that are empty; fields, repetitions
    and components that HL7 does not have; values that are no number, date or code of HL7's own tables; delimiters in
    plain text. Z segments are never odd, nor a coded value (CWE) where HL7 has an IS: both are custom in Germany.
    Never raises. A long message is checked up to a limit, in less than a second, and the last sentences say so.
    """
    version, said = _version(message.text("MSH-12"))
    report = _Report(message, version)
    for what in said:
        report.say("MSH-12", what)
    segments = message.segments[:MOST_SEGMENTS]
    _check_segments(report, [segment.name for segment in segments])
    for segment in segments:
        if report.left > 0 and _is_known(segment.name, version):
            report.begin(segment.name)
            _check_fields(report, segment)
    return report.sentences(len(segments))


class _Report:
    """The sentences about a message, each once, with the numbers of the segments that it is about."""

    def __init__(self, message: er7.Message, version: str) -> None:
        self.message = message
        self.version = version
        self.left = MOST_VALUES
        d = message.delimiters
        self.dividing = tuple(delimiter for delimiter in (d.component, d.subcomponent) if delimiter)
        self._said: dict[tuple[str, str], list[int]] = {}
        self._numbers: Counter[str] = Counter()
        self._number = 0

    def begin(self, name: str) -> None:
        """What is said from now on is about the next segment of this name."""
        self._numbers[name] += 1
        self._number = self._numbers[name]

    def say(self, place: str, what: str) -> None:
        """A sentence about a place such as PV1 or PV1-3."""
        numbers = self._said.setdefault((place, what), [])
        if self._number and self._number not in numbers[-1:]:
            numbers.append(self._number)

    def sentences(self, checked: int) -> list[str]:
        """All of them, and what was not looked at."""
        said = [f"{place}: {what}{self._where(place[:3], numbers)}." for (place, what), numbers in self._said.items()]
        if len(said) > MOST_WARNINGS:
            said = [*said[:MOST_WARNINGS], f"There are {len(said) - MOST_WARNINGS} more warnings."]
        if checked < len(self.message.segments):
            said.append(f"Only the first {checked} of {len(self.message.segments)} segments were checked.")
        if self.left <= 0:
            said.append(f"Only the first {MOST_VALUES} values were checked.")
        return said

    def _where(self, name: str, numbers: list[int]) -> str:
        if not numbers or self._numbers[name] == 1:
            return ""
        shown = ", ".join(str(number) for number in numbers[:MOST_NUMBERS])
        more = f" and {len(numbers) - MOST_NUMBERS} more" if len(numbers) > MOST_NUMBERS else ""
        return f" ({name} number {shown}{more})"


# ---- what HL7 says


def _library(version: str) -> Any:  # hl7apy's tables are untyped
    return hl7apy.load_library(version)


def _version(text: str) -> tuple[str, list[str]]:
    """The version whose tables are used, and what is to be said about that."""
    known = sorted(hl7apy.SUPPORTED_LIBRARIES)
    if text in known:
        return text, []
    if not _VERSION.fullmatch(text):
        return _FALLBACK, [f"{'names no version of HL7' if text else 'is empty'}; checked as {_FALLBACK}"]
    nearest = max((version for version in known if version < text), default=known[0])
    return nearest, [f"HL7 {text} is not known here; checked as {nearest}"]


def _is_known(name: str, version: str) -> bool:
    """Whether it is a segment of this version; hl7apy has a placeholder among them."""
    return len(name) == 3 and name in _library(version).SEGMENTS


@dataclass(frozen=True, slots=True)
class _Part:
    """A field, component or subcomponent as HL7 defines it."""

    title: str = ""
    datatype: str = ""
    codes: frozenset[str] = frozenset()  # of an HL7 table; empty where any may stand
    table: str = ""
    is_required: bool = False
    most: int = -1  # repetitions; -1 is any number
    parts: dict[int, _Part] = field(default_factory=dict)


@lru_cache(maxsize=512)
def _fields(version: str, segment: str) -> dict[int, _Part]:
    _kind, *rows = _library(version).SEGMENTS[segment]
    return _parts(rows[0] if rows else (), version)


@lru_cache(maxsize=512)
def _value(version: str, datatype: str) -> _Part | None:
    """OBX-5 of the datatype that OBX-2 names; None when it is none of this version."""
    library = _library(version)
    if datatype in library.DATATYPES_STRUCTS:
        return _Part("observation value", datatype, parts=_parts(library.DATATYPES_STRUCTS[datatype], version))
    return _Part("observation value", datatype) if datatype in library.BASE_DATATYPES else None


def _parts(rows: Sequence[Any], version: str) -> dict[int, _Part]:
    """The parts by their numbers, which have gaps where one was withdrawn. A few rows of hl7apy are broken."""
    usable = (row for row in rows if isinstance(row, tuple) and len(row) == 4 and len(row[1] or ()) == 6)
    return {int(row[0].rpartition("_")[2]): _part(row, version) for row in usable if row[1][2] not in _WITHDRAWN}


def _part(row: Any, version: str) -> _Part:
    name, (_kind, inner, datatype, title, table, _length), (least, most), _level = row
    codes: Sequence[str] = ()
    if datatype == "ID" and table not in _OPEN_TABLES:
        codes = getattr(_library(version), "TABLES", {}).get(table, ("", ()))[1]
        codes = (codes,) if isinstance(codes, str) else codes
        codes = () if any(_PROSE.search(code) for code in codes) else codes
    return _Part(
        title=(title or "").replace("_", " ").lower(),
        datatype="DTM" if name == "TS_1" else datatype or "",
        codes=frozenset(codes),
        table=(table or "").removeprefix("HL7"),
        is_required=least > 0,
        most=most,
        parts=_parts(inner, version) if isinstance(inner, tuple) else {},
    )


# ---- fields


def _check_fields(report: _Report, segment: er7.Segment) -> None:
    name, version = segment.name, report.version
    defined = _fields(version, name)
    last = max(defined, default=0)
    if segment.raw.count(report.message.delimiters.field) > MOST_FIELDS:
        report.say(name, f"more than {MOST_FIELDS} fields; they were not checked")
        return
    sent = dict(segment.fields)
    for number, part in defined.items():
        if part.is_required and number not in sent:
            report.say(f"{name}-{number}", f"{part.title} is required by HL7 {version}, but empty")
    for number, value in sent.items():
        place = f"{name}-{number}"
        if number > last:
            report.say(name, f"fields after {name}-{last}, the last of HL7 {version}")
            break
        if number not in defined:
            report.say(place, f"HL7 {version} does not have this field")
        elif name != "MSH" or number > 2:
            found = defined[number]
            if found.datatype == "varies" and name == "OBX":
                found = _observed(report, segment) or found
            _check_field(report, found, value, place)


def _observed(report: _Report, segment: er7.Segment) -> _Part | None:
    """OBX-5 as OBX-2 says."""
    datatype = segment.field(2).raw
    if not datatype:
        report.say("OBX-2", "a datatype is required where OBX-5 has a value")
        return None
    found = _value(report.version, datatype)
    if found is None:
        report.say("OBX-2", f"no datatype of HL7 {report.version}")
    return found


def _check_field(report: _Report, part: _Part, value: er7.Field, place: str) -> None:
    delimiter = report.message.delimiters.repetition
    number = value.raw.count(delimiter) + 1 if delimiter else 1
    if number > part.most > 0:
        report.say(place, f"{number} repetitions, HL7 {report.version} allows {part.most}")
    if number > MOST_REPETITIONS:
        report.say(place, f"only the first {MOST_REPETITIONS} repetitions were checked")
    repetitions = value.raw.split(delimiter, MOST_REPETITIONS) if delimiter else [value.raw]
    for raw in repetitions[:MOST_REPETITIONS]:
        _check_value(report, part, raw, place, report.dividing)


def _check_value(report: _Report, part: _Part, raw: str, place: str, dividing: tuple[str, ...]) -> None:
    report.left -= 1
    if raw in ("", er7.NULL) or report.left <= 0:
        return
    if not part.parts:
        _check_text(report, part, raw, place, dividing)
        return
    last = max(part.parts)
    pieces = raw.split(dividing[0], last) if dividing else [raw]  # and what comes after the last component
    for number, piece in enumerate(pieces, start=1):
        inner = part.parts.get(number)
        if inner is not None:
            _check_value(report, inner, piece, f"{place}.{number}", dividing[1:])
        elif number > last and piece.strip(dividing[0]):
            report.say(place, f"more components than the {last} of {part.datatype} in HL7 {report.version}")
        elif number <= last and piece:
            report.say(f"{place}.{number}", f"HL7 {report.version} does not have this component")
    for number, inner in part.parts.items() if dividing else ():
        if inner.is_required and not any(pieces[number - 1 : number]):
            report.say(f"{place}.{number}", f"{inner.title} is required by HL7 {report.version}, but empty")


def _check_text(report: _Report, part: _Part, raw: str, place: str, dividing: tuple[str, ...]) -> None:
    if any(delimiter in raw for delimiter in dividing):
        if part.datatype not in _MAY_BE_DIVIDED:
            report.say(place, f"is divided, but {part.datatype} has no components (a delimiter that is not escaped?)")
        return
    pattern = _PRIMITIVES.get(part.datatype)
    if pattern is not None and not (pattern.fullmatch(raw) and _is_in_calendar(part.datatype, raw)):
        report.say(place, f"no valid {part.datatype}")
    elif part.codes and raw not in part.codes:
        report.say(place, f"a code that HL7 table {part.table} does not have")


def _is_in_calendar(datatype: str, raw: str) -> bool:
    """Whether the day of a date that has one is in its month."""
    if datatype not in ("DT", "DTM") or len(raw) < 8 or not raw[:8].isdigit():
        return True
    try:
        datetime.date(int(raw[:4]), int(raw[4:6]), int(raw[6:8]))
    except ValueError:
        return False
    return True


# ---- segments


def _check_segments(report: _Report, names: list[str]) -> None:
    newest = max(hl7apy.SUPPORTED_LIBRARIES)
    known = [name for name in names if _is_known(name, report.version)]
    for name in names:
        if not _is_known(name, report.version) and not (name.startswith("Z") and len(name) == 3):
            if _is_known(name, newest):
                report.say(name, f"HL7 {report.version} does not have this segment")
            else:  # the name may be a line of a letter
                report.say("Message", "a line that is no segment of HL7 (a line break that is not escaped?)")
    structure = _structure_of(report)
    if structure is not None:
        _check_order(report, structure, known, is_whole=len(names) == len(report.message.segments))


def _check_order(report: _Report, structure: message_structure.Group, names: list[str], *, is_whole: bool) -> None:
    walk = message_structure.Walk(structure)
    missing: Counter[str] = Counter()
    misplaced: set[str] = set()
    for name in names:
        passed = walk.place(name)
        if passed is not None:
            missing.update(passed)
        elif name in structure.segments:
            misplaced.add(name)
            report.say(name, f"{structure.name} does not have it at this place, or not so often")
        else:
            report.say(name, f"{structure.name} does not have this segment")
    if is_whole:
        missing.update(walk.end())
    for name, number in missing.items():
        if name not in misplaced:
            times = f" {number} times" if number > 1 else ""
            report.say(name, f"required by {structure.name}, but missing{times}")


def _structure_of(report: _Report) -> message_structure.Group | None:
    """The structure of MSH-9, by its third component or by its event."""
    version = report.version
    kind, event, declared = (report.message.text(f"MSH-9.{number}") for number in (1, 2, 3))
    meant = message_structure.of_event(version, kind, event)
    is_known = message_structure.exists(version, declared)
    if meant and declared and declared != meant:
        report.say("MSH-9.3", f"not the structure of this event in HL7 {version}, which is {meant}")
    elif declared and not is_known:
        report.say("MSH-9.3", f"no structure of HL7 {version}")
    name = declared if is_known else meant
    if name is None:
        report.say("MSH-9", "an event whose structure is not known; only fields were checked")
        return None
    return message_structure.load(version, name)
