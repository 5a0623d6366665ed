"""The EDV-Fassung of Alpha-ID and Alpha-ID-SE: one diagnosis text a line, with its codes.

Source: BfArM, LIESMICH zur Alpha-ID-SE EDV-Fassung: valid|Alpha-ID|primary|star|extra|second primary|ORPHA|text; the
Alpha-ID without rare diseases has no ORPHA.
"""

from __future__ import annotations

import re

from terminology import reporting
from terminology.importers import content

_FIELDS = (7, 8)
_ALPHA_ID = re.compile(r"I[0-9]{1,8}")
_ORPHA = re.compile(r"[0-9]{1,8}")
_LONGEST = 1000  # characters of a text


def is_alpha_id(line: str) -> bool:
    """Whether this is a line of such a file."""
    return line.count("|") + 1 in _FIELDS and line[:2] in ("0|", "1|")


def phrases(text: str, name: str, progress: reporting.Progress = reporting.quiet) -> tuple[content.Phrase, ...]:
    """The valid texts of a file in its order; NotImportable with the line that is wrong."""
    lines = content.lines(text)
    width = lines[0].count("|") + 1 if lines else 0
    found: dict[str, content.Phrase] = {}
    for number, line in enumerate(lines, 1):
        row = line.split("|")
        if len(row) != width or width not in _FIELDS:
            why = "the file is cut off" if number == len(lines) else "this is not the file that BfArM publishes"
            raise content.NotImportable(
                f"Line {number} of {name} has {len(row)} of {width} fields: {why}; fetch it again."
            )
        phrase = _phrase(row, number, name)
        if phrase.alpha_id in found:
            raise content.NotImportable(f"Line {number} of {name} has {phrase.alpha_id} a second time: fetch it again.")
        if row[0] == "1":
            found[phrase.alpha_id] = phrase
        if number % 5000 == 0:
            progress("reading texts", number, len(lines))
    if not found:
        raise content.NotImportable(f"{name} has no valid text: fetch the file again.")
    if not text.endswith("\n"):
        raise content.NotImportable(f"The last line of {name} has no end: the file is cut off; fetch it again.")
    progress("reading texts", len(lines), len(lines))
    return tuple(found.values())


def _phrase(row: list[str], number: int, name: str) -> content.Phrase:
    valid, alpha_id, *codes = (value.strip() for value in row[:6])
    orpha = row[6].strip() if len(row) == max(_FIELDS) else ""
    text = content.plain(row[-1])
    plain = [code.rstrip(content.MARKS) for code in codes]
    wrong = next((code for code in plain if code and not content.CODE.fullmatch(code)), None)
    if wrong is not None:
        fault = f"{content.shown(wrong)}, which is no code"
    elif valid not in ("0", "1"):
        fault = f"{content.shown(valid)} where 0 or 1 has to be"
    elif not _ALPHA_ID.fullmatch(alpha_id):
        fault = f"{content.shown(alpha_id)}, which is no Alpha-ID"
    elif orpha and not _ORPHA.fullmatch(orpha):
        fault = f"{content.shown(orpha)}, which is no ORPHA number"
    elif not text or len(text) > _LONGEST:
        fault = "no text"
    elif valid == "1" and not any(plain):
        fault = "no code"
    else:
        primary, star, extra, second = plain
        return content.Phrase(alpha_id, text, primary, star, extra, second, orpha)
    raise content.NotImportable(f"Line {number} of {name} has {fault}: fetch the file again.")
