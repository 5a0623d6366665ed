"""Which side a diagnosis is on: by the words beside it, else by what the note tells of its place."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pipeline import results
from terminology.icd10gm import specificity, wording

_SIDE = re.compile(
    r"\b(?:(?P<L>links(?:seitig\w*)?|linke[rsnm]?|li\.)|(?P<R>rechts(?:seitig\w*)?|rechte[rsnm]?|re\.)"
    r"|(?P<B>beid(?:seits|seitig\w*|e[rn]?)|bds\.))(?!\w)",
    re.IGNORECASE,
)


def of_term(code: str, text: str, start: int, end: int) -> results.Side | None:
    """The side of a term at `start` to `end` of a text: the first one in it or behind it up to the next diagnosis, else
    one before it back to the diagnosis before; None where the code has no side or none is named."""
    if not specificity.has_side(code):
        return None
    others = [term for term in wording.find(text) if term.start != start]
    after = text[start : min((term.start for term in others if term.start >= end), default=len(text))]
    before = text[max((term.end for term in others if term.end <= start), default=0) : start]
    return _first(after) or _first(before)


def of_place(code: str, texts: Iterable[str]) -> results.Side | None:
    """The one side that is named together with the place of a code (`icd10gm/sites`); None where two are."""
    if not specificity.has_side(code):
        return None
    found = {side for text in texts if specificity.is_at(code, text) for side in _of(text)}
    return next(iter(found)) if len(found) == 1 else None


def _of(text: str) -> list[results.Side]:
    return [_side(match) for match in _SIDE.finditer(text)]


def _side(match: re.Match[str]) -> results.Side:
    return "L" if match["L"] else "R" if match["R"] else "B"


def _first(text: str) -> results.Side | None:
    found = _of(text)
    return "B" if {"L", "R"} <= set(found) else found[0] if found else None
