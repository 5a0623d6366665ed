"""German text with every number in figures: "zweimal" -> 2x, "dritter März" -> 3. märz, "eine Tablette" -> 1 Tablette."""

from __future__ import annotations

import functools
import re

from terminology import tables
from terminology.german import numbers

MONTHS = ("januar", "februar", "märz", "april", "mai", "juni", "juli", "august", "september", "oktober", "november", "dezember")  # fmt: skip
MONTH_FORMS = {**{name: n for n, name in enumerate(MONTHS, 1)}, "jänner": 1, "feber": 2}
MONTH = "|".join(MONTH_FORMS)
_ORDINALS = {
    "erst": 1, "zweit": 2, "dritt": 3, "viert": 4, "fünft": 5, "sechst": 6, "siebt": 7, "siebent": 7, "acht": 8,
    "neunt": 9, "zehnt": 10, "elft": 11, "zwölft": 12,
}  # fmt: skip
_TIMES_WORDS = {
    "einmal": 1, "zweimal": 2, "dreimal": 3, "viermal": 4, "fünfmal": 5, "sechsmal": 6, "siebenmal": 7, "achtmal": 8,
    "zehnmal": 10,
}  # fmt: skip
#: What is counted off: "am 3. Tag"; any other full stop after a figure ends a sentence.
COUNTED_OFF = r"tag|woche|monat|jahr|lebens|quartal|rippe|zeh|finger|stock|mal|grad|schwanger|ssw|trimenon|bwk|lwk|hwk|strahl|zyklus|dosis|impfung"
PER = r"(?:täglich|tägl\.?|tgl\.?|am\s+tag|pro\s+tag|je\s+tag|den\s+tag|/d\b)"
PER_WEEK = r"(?:wöchentlich|pro\s+woche|in\s+der\s+woche|die\s+woche|je\s+woche)"
PER_MONTH = r"(?:monatlich|pro\s+monat|im\s+monat)"


@functools.cache
def spellings() -> tuple[tuple[str, tables.Row], ...]:
    """Every spelling of a unit with its row, the longest first."""
    found = ((spelling, row) for row in tables.rows("german/units") for spelling in row["spellings"].split("|"))
    return tuple(sorted(found, key=lambda pair: len(pair[0]), reverse=True))


@functools.cache
def unit_pattern() -> str:
    """Every spelling of a unit as a pattern, the longest first."""
    return "|".join(re.escape(spelling).replace(r"\ ", r"\s+") for spelling, _row in spellings())


def normal(text: str) -> str:
    """`text` with every number in figures: "zweimal" -> 2x, "dritter März" -> 3. märz, "eine Tablette" -> 1 Tablette."""
    text = _HALF.sub("0,5", _QUARTER.sub("0,25", text.replace("μ", "µ")))
    text = _SPOKEN.sub(_spoken, numbers.in_figures(text))
    text = _SECOND_ORDINAL.sub(_month_ordinal, text)
    return _article().sub("1 ", text)


_SPOKEN = re.compile(r"(?<![\w])[^\W\d_]+(?![\w])")


def _spoken(match: re.Match[str]) -> str:
    word = match[0].lower()
    number = numbers.value(word)
    if number is not None:
        return str(number)
    half = numbers.halves(word)
    if half is not None and not (word == "halb" and _counts(match.string, match.end())):
        return str(half).replace(".", ",")
    if word in _TIMES_WORDS:
        return f"{_TIMES_WORDS[word]}x" if word != "einmal" or _ONCE.match(match.string, match.end()) else match[0]
    ordinal = _ordinal(word)
    if ordinal is not None and _AFTER_ORDINAL.match(match.string, match.end()):
        return f"{ordinal}."
    aged = _AGED_WORD.fullmatch(word)
    years = numbers.value(aged[1]) if aged else None
    return f"{years}-{aged[2]}" if aged and years is not None else match[0]


#: "1/2 Tablette": a fraction of something counted; by itself 1/2 may be a finding.
_HALF = re.compile(r"½|(?<![\d/])1/2(?=\s*(?:tbl|tabl|liter|stunde|jahr))", re.IGNORECASE)
_QUARTER = re.compile(r"¼|(?<![\d/])1/4(?=\s*(?:tbl|tabl|liter|stunde|jahr))", re.IGNORECASE)
_SECOND_ORDINAL = re.compile(r"(?<=\d\. )[^\W\d_]+")


def _month_ordinal(match: re.Match[str]) -> str:
    """The month of a date said in two ordinals: "am dritten Dritten"."""
    ordinal = _ordinal(match[0].lower())
    return f"{ordinal}." if ordinal is not None and ordinal <= len(MONTHS) else match[0]


def _counts(text: str, position: int) -> bool:
    """Whether a number follows: "halb acht" is a time of day."""
    following = _NEXT_WORD.match(text, position)
    return following is not None and numbers.value(following[1]) is not None


_NEXT_WORD = re.compile(r"\s+([^\W\d_]+)")
_ONCE = re.compile(rf"\s+(?:{PER}|{PER_WEEK}|{PER_MONTH})", re.IGNORECASE)
_AFTER_ORDINAL = re.compile(
    rf"\s+(?:(?:{MONTH})\b|(?:dritte|vierte|fünfte|sechste|sieb|achte|neunte|zehnte|elfte|zwölfte|erste|zweite)\w*|{COUNTED_OFF})",
    re.IGNORECASE,
)
_AGED_WORD = re.compile(r"(.+?)(jährig\w*|tägig\w*|wöchig\w*|monatig\w*|stündig\w*|stündlich\w*|minütig\w*)")


@functools.lru_cache(maxsize=4096)
def _ordinal(word: str) -> int | None:
    stem = re.sub(r"e[nrsm]?$", "", word)
    if stem == word:
        return None
    if stem in _ORDINALS:
        return _ORDINALS[stem]
    return numbers.value(stem.removesuffix("t").removesuffix("s")) if len(stem) > 6 and stem.endswith("t") else None


@functools.cache
def _article() -> re.Pattern[str]:
    counted = "|".join(
        re.escape(spelling)
        for spelling, row in spellings()
        if row["kind"] in ("piece", "time", "count", "mass", "volume") and len(spelling) > 2
    )
    return re.compile(rf"\b(?:ein|eine[nmrs]?|ne[nr]?|'ne[nr]?)\s+(?=(?:{counted})\b)", re.IGNORECASE)


def forget() -> None:
    """Drop what is remembered of the texts of earlier runs."""
    _ordinal.cache_clear()
