"""Body parts and sides: the same part, and the side that was said of it."""

from __future__ import annotations

import functools
import re
from typing import Literal

from pipeline import results
from pipeline.grounding import findings, reading
from terminology.german import quantities, vocabulary

Side = Literal["links", "rechts"]

_BOTH = re.compile(r"\bbeid(?:e|en|er|es|seits|seitig\w*)\b|\bbds\b|\bbilateral\w*", re.IGNORECASE)
_SIDES: dict[Side, re.Pattern[str]] = {
    "links": re.compile(r"\blinke[rsnm]?\b|\blinks\w*|\bli\.(?=\s|$)", re.IGNORECASE),
    "rechts": re.compile(r"\brechte[rsnm]?\b|\brechts\w*|\bre\.(?=\s|$)", re.IGNORECASE),
}

_PART = re.compile(r"[,;:]\s|[.!?](?:\s|$)|\b(?:und|aber|als|sowie)\b", re.IGNORECASE)
_SAME = re.compile(r"\b(?:auch|ebenso|ebenfalls|genauso|beid\w*|bds|bilateral\w*)\b", re.IGNORECASE)
_TOLD = re.compile(r"\d+|[^\W\d_]{4,}")


def fault(statement: results.Statement, said: reading.Said) -> str | None:
    """ "side" or "body-part" when a side or a part was not said, or the side was said of another part; else None."""
    return _side(statement.text, said) or _body_part(statement.text, said)


def _side(text: str, said: reading.Said) -> str | None:
    claimed = _sides(text)
    given = _sides(said.text)
    if _BOTH.search(text) and not (_BOTH.search(said.text) or len(given) == 2):
        return "side"
    if claimed - given and not _BOTH.search(said.text):
        return "side"
    if len(claimed) == 1 and len(given) == 2 and _is_of_other_side(text, next(iter(claimed)), said):
        return "side"
    return "side" if _is_turned(text, said.text) else None


@functools.lru_cache(maxsize=4096)
def _fragments(text: str) -> tuple[tuple[frozenset[Side], frozenset[str], bool], ...]:
    """What a text says between its commas and its "und", where it names a side: the sides, the words and figures beside
    them, and whether it says the same of both.
    """
    found: list[tuple[frozenset[Side], frozenset[str], bool]] = []
    for part in _PART.split(quantities.prepared(text)):
        sides = _sides(part)
        is_same = _SAME.search(part) is not None
        if sides or is_same:
            told = frozenset(word.lower() for word in _TOLD.findall(part) if not _sides(word))
            found.append((sides, told, is_same))
    return tuple(found)


def _is_turned(text: str, told: str) -> bool:
    """Whether what a statement says of one side was said of the other, part by part."""
    if not (_sides(text) and _sides(told)):
        return False
    given = _fragments(told)
    for sides, claimed, _is_same in _fragments(text):
        if len(sides) != 1 or not claimed:
            continue
        if any(is_same and (not others or sides & others) and claimed & spoken for others, spoken, is_same in given):
            continue
        own = max((_shared(claimed, spoken) for others, spoken, _same in given if sides & others), default=0)
        other = max(
            (_shared(claimed, spoken) for others, spoken, _same in given if others and not sides & others), default=0
        )
        if other > own and not any(is_same and sides & others for others, _spoken, is_same in given):
            return True
    return False


def _shared(claimed: frozenset[str], spoken: frozenset[str]) -> int:
    return sum(word in spoken or any(reading.is_akin(word, other) for other in spoken) for word in claimed)


def _sides(text: str) -> frozenset[Side]:
    return frozenset(side for side, pattern in _SIDES.items() if pattern.search(text))


def _is_of_other_side(text: str, side: Side, said: reading.Said) -> bool:
    """Whether the words of the statement stand in clauses of the other side only, better than in those of its own."""
    words = [word.lower() for word in reading.WORD.findall(text) if len(word) > 3 and not _sides(word)]
    own: list[int] = []
    other: list[int] = []
    current: frozenset[Side] = frozenset()
    sentence = ""
    for clause in said.clauses:
        if clause.sentence != sentence:
            sentence, current = clause.sentence, frozenset()
        current = _sides(clause.text) or current
        score = sum(
            1 for word in words if any(word == spoken or reading.is_akin(word, spoken) for _at, spoken in clause.words)
        )
        if side in current or _BOTH.search(clause.text):
            own.append(score)
        elif current:
            other.append(score)
    return bool(other) and max(other) > max(own, default=0)


@functools.lru_cache(maxsize=4096)
def _regions(text: str) -> tuple[tuple[int, str, str], ...]:
    """The regions of the body that a text names, each with its place and the word it was found in."""
    found: list[tuple[int, str, str]] = []
    for hit in vocabulary.lexicon("body_parts").find(text):
        begin, end = hit.start, hit.end
        while begin > 0 and text[begin - 1].isalpha():
            begin -= 1
        while end < len(text) and text[end].isalpha():
            end += 1
        found.append((hit.start, hit.row["region"], text[begin:end].lower()))
    return tuple(found)


def _body_part(text: str, said: reading.Said) -> str | None:
    told = quantities.prepared(said.text)
    for start, region, word in _regions(quantities.prepared(text)):
        if word in said.words or all(said.holds(part) for part in word.split()):
            continue
        is_told = any(region == other for _start, other, _word in _regions(told))
        if not is_told and not _is_in_term(start, text, said):
            return "body-part"
    return None


def _is_in_term(start: int, text: str, said: reading.Said) -> bool:
    """Whether a part belongs to the name of an illness that was said by another name: "arterielle Hypertonie"."""
    return any(
        term.kind == "diagnosis" and term.start <= start < term.end and term.concept in findings.concepts_of(said.text)
        for term in findings.terms(quantities.prepared(text))
    )


def forget() -> None:
    """Drop what is remembered of the texts of earlier runs."""
    _regions.cache_clear()
    _fragments.cache_clear()
