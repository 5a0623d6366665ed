"""The Metadaten TXT (CSV) of BfArM: one row a code, 28 fields.

Source: BfArM, LIESMICH zu den Metadaten der ICD-10-GM, "Datensatzbeschreibung".
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from terminology import reporting
from terminology.icd10gm import edition
from terminology.importers import content, meta

FIELDS = 28
_LONGEST = 1000  # characters of a field; BfArM writes 255 at most

#: The fields' names in a file with a header, in their order; a file of BfArM has none.
HEADER = (
    "level", "terminal", "subcode_type", "chapter", "block_first", "code_marked", "code", "code_nodot", "title",
    "title_3", "title_4", "title_5", "p295", "p301", "mort1", "mort2", "mort3", "mort4", "morb", "sex", "sex_error",
    "age_min", "age_max", "age_error", "rare_central_europe", "has_content", "ifsg_notifiable", "ifsg_lab",
)  # fmt: skip

_LEVELS: Mapping[str, int] = {"3": 3, "4": 4, "5": 5}
_LENGTHS: Mapping[int, int] = {3: 3, 4: 5, 5: 6}  # characters of a code by its level, with the point
_TERMINAL: Mapping[str, bool] = {"T": True, "N": False}

_CHAPTER_ROW = re.compile(r"(\d\d);(.+)")
_BLOCK_ROW = re.compile(r"([A-Z]\d\d);([A-Z]\d\d);(\d\d);(.+)")

Value = TypeVar("Value")


def is_metadata(line: str) -> bool:
    """Whether this is the first line of such a file, with or without a header."""
    return (line.count(";") == FIELDS - 1 and line[:2] in ("3;", "4;", "5;")) or _header(line) is not None


def is_chapters(lines: Sequence[str]) -> bool:
    """Whether this is the file _kapitel.txt: number and title."""
    return bool(lines) and all(_CHAPTER_ROW.fullmatch(line) for line in lines)


def is_blocks(lines: Sequence[str]) -> bool:
    """Whether this is the file _gruppen.txt: first and last category, chapter, title."""
    return bool(lines) and all(_BLOCK_ROW.fullmatch(line) for line in lines)


def headings(chapters: Sequence[str], blocks: Sequence[str]) -> tuple[content.Heading, ...]:
    """Chapters and blocks from the lines of their files."""
    found = [
        content.Heading("chapter", row[1], content.plain(row[2]))
        for row in map(_CHAPTER_ROW.fullmatch, chapters)
        if row is not None
    ]
    found += [
        content.Heading("block", f"{row[1]}-{row[2]}", content.plain(row[4]), row[3])
        for row in map(_BLOCK_ROW.fullmatch, blocks)
        if row is not None
    ]
    return tuple(found)


def codes(text: str, name: str, progress: reporting.Progress = reporting.quiet) -> dict[str, edition.Code]:
    """The codes of a file; NotImportable with the line that is wrong."""
    lines = content.lines(text)
    found: dict[str, edition.Code] = {}
    for number, row in _rows(lines, name):
        code = _code(row, number, name)
        if code.code in found:
            raise content.NotImportable(f"Line {number} of {name} has {code.code} a second time: fetch the file again.")
        found[code.code] = code
        if number % 1000 == 0:
            progress("reading codes", number, len(lines))
    if not found:
        raise content.NotImportable(f"{name} has no code: fetch the file again.")
    progress("reading codes", len(lines), len(lines))
    return found


def _header(line: str) -> str | None:
    """The delimiter of a header line; None where it is none."""
    return next((mark for mark in ",;" if tuple(line.strip("\ufeff\r\n").split(mark)) == HEADER), None)


def _rows(lines: list[str], name: str) -> Iterator[tuple[int, list[str]]]:
    """The rows with the numbers of their lines, each of 28 fields."""
    mark = _header(lines[0]) if lines else None
    for number, line in enumerate(lines, 1):
        if number == 1 and mark is not None:
            continue
        row = line.removeprefix("\ufeff").split(mark or ";")
        if len(row) != FIELDS or '"' in line:
            row = _quoted(line, mark or ";")
        if len(row) != FIELDS:
            is_last = number == len(lines)
            why = "the file is cut off" if is_last else "this is not the file that BfArM publishes"
            raise content.NotImportable(
                f"Line {number} of {name} has {len(row)} of {FIELDS} fields: {why}; fetch it again."
            )
        yield number, row


def _quoted(line: str, mark: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=mark, strict=True), [])
    except csv.Error:
        return []


def _code(row: list[str], number: int, name: str) -> edition.Code:
    def fault(field: int, expected: str) -> content.NotImportable:
        shown = content.shown(row[field - 1])
        return content.NotImportable(
            f"Line {number} of {name} has {shown} in field {field}, where {expected} has to be: fetch the file again."
        )

    def one_of(field: int, values: Mapping[str, Value]) -> Value:
        if row[field - 1] not in values:
            raise fault(field, " or ".join(values))
        return values[row[field - 1]]

    def age(field: int) -> edition.Age | None:
        try:
            return edition.age(row[field - 1])
        except ValueError:
            raise fault(field, "tNNN, jNNN or 9999") from None

    level, code = one_of(1, _LEVELS), row[6]
    if not content.CODE.fullmatch(code) or len(code) != _LENGTHS[level]:
        raise fault(7, f"a code of {level} characters")
    if row[7] != code.replace(".", "") or not row[5].startswith(code):
        raise fault(8, "the same code")
    if not re.fullmatch(r"\d\d", row[3], re.ASCII):
        raise fault(4, "a chapter of two digits")
    if not content.CODE.fullmatch(row[4]):
        raise fault(5, "the first category of a block")
    title = content.plain(row[8])
    if not title or len(title) > _LONGEST:
        raise fault(9, "a title")
    return edition.Code(
        code=code,
        title=title,
        level=level,
        parent=edition.parent(code),
        is_terminal=one_of(2, _TERMINAL),
        chapter=row[3],
        block=row[4],
        practice=one_of(13, meta.USES),
        hospital=one_of(14, meta.USES),
        sex=one_of(20, meta.SEXES),
        sex_error=one_of(21, meta.ERRORS),
        age_from=age(22),
        age_to=age(23),
        age_error=one_of(24, meta.ERRORS),
        is_rare=one_of(25, meta.YES),
        is_used=one_of(26, meta.YES),
        is_notifiable=one_of(27, meta.YES),
        has_lab_exemption=one_of(28, meta.YES),
    )
