"""Sentences and clauses of spoken German, each with its place in the text."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a text: `text` is what stands from `start` to `end`."""

    start: int
    end: int
    text: str


_ABBREVIATIONS = (
    "z", "b", "d", "h", "u", "a", "o", "ä", "v", "s", "n", "i", "e", "p", "m", "dr", "prof", "ca", "bzw", "evtl", "ggf",
    "inkl", "max", "min", "nr", "st", "str", "tel", "usw", "vgl", "sog", "li", "re", "bds", "tgl", "tbl", "stk", "abs",
    "med", "dipl", "jan", "feb", "apr", "aug", "sept", "okt", "nov", "dez", "std", "sek", "tab", "amb", "stat",
)  # fmt: skip
_KNOWN = frozenset(_ABBREVIATIONS) - {"min", "max", "a", "e", "s", "n", "h"}

_END = re.compile(r"[.!?…]+[\"'»“”)]*(?=\s|$)")
_LOOKED_BACK = 24  # characters before a full stop: more than the longest abbreviation
_MONTHS = r"(?:januar|februar|märz|april|mai|juni|juli|august|september|oktober|november|dezember)"
_ORDINAL = re.compile(r"\b\d{1,2}$")
_AFTER_ORDINAL = re.compile(
    rf"\s+(?:{_MONTHS}|\d|tag|woche|monat|rippe|zehe|finger|lebensjahr|quartal|stock)", re.IGNORECASE
)


def split(text: str) -> list[Span]:
    """The sentences of `text`. Abbreviations, ordinals and decimals end none; a line break ends one."""
    spans: list[Span] = []
    offset = 0
    for line in text.splitlines(keepends=True):
        spans += _split_line(line, offset)
        offset += len(line)
    return spans


def _split_line(line: str, offset: int) -> list[Span]:
    spans: list[Span] = []
    begin = 0
    for match in _END.finditer(line):
        if match.group().startswith(".") and len(match.group()) == 1 and _is_inner(line, match):
            continue
        _append(spans, line, begin, match.end(), offset)
        begin = match.end()
    _append(spans, line, begin, len(line), offset)
    return spans


def _is_inner(line: str, match: re.Match[str]) -> bool:
    before = line[max(0, match.start() - _LOOKED_BACK) : match.start()]
    if re.search(r"\b(?:v|z|a|o)\. ?[anbe]$", before, re.IGNORECASE):
        return True
    word = re.search(r"([A-Za-zÄÖÜäöüß]+)$", before)
    if word is not None and word.group(1).lower() in _KNOWN:
        return True
    return bool(_ORDINAL.search(before) and _AFTER_ORDINAL.match(line, match.end()))


def _append(spans: list[Span], line: str, begin: int, end: int, offset: int) -> None:
    text = line[begin:end]
    stripped = text.strip()
    if any(char.isalnum() for char in stripped):
        start = begin + (len(text) - len(text.lstrip()))
        spans.append(Span(offset + start, offset + start + len(stripped), stripped))


_BREAK = re.compile(
    r",\s+(?:und\s+)?(?=(?:aber|jedoch|sonst|dafür|allerdings|ansonsten|außerdem|nur|auch|kein\w*|nicht|weder|ohne|dann|das\s|wir\s|ich\s))"
    r"|\s+(?=aber\s|jedoch\s|allerdings\s)"
    r"|[;:]\s+"
    r"|\s[–-]\s"
    r"|,\s+"
    r"|\s+und\s+(?=kein\w*\s|nicht\s|auch\s+(?:kein|nicht))",
    re.IGNORECASE,
)


def clauses(text: str) -> list[Span]:
    """`text` cut at its commas, dashes, and before negations that begin something new. Decimal commas cut nothing."""
    spans: list[Span] = []
    begin = 0
    for match in _BREAK.finditer(text):
        if match.start() > begin:
            spans.append(Span(begin, match.start(), text[begin : match.start()]))
        begin = match.end()
    if begin < len(text):
        spans.append(Span(begin, len(text), text[begin:]))
    return [span for span in spans if span.text.strip()]
