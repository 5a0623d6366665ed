"""The word lists, ready to be searched: plain stems by one automaton, patterns by one expression each."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass

import ahocorasick

from terminology import tables
from terminology.german import literals


@dataclass(frozen=True, slots=True)
class Hit:
    """One found term: its place in the searched text, the text itself, and the table row it comes from."""

    start: int
    end: int
    text: str
    row: tables.Row


class Lexicon:
    """Finds the terms of one table in a text. Case does not matter; the longest match wins where hits overlap."""

    def __init__(self, rows: Iterable[tables.Row], column: str, *, whole_words: bool = False) -> None:
        self._whole_words = whole_words
        self._always: list[int] = []
        self._patterns: list[tuple[re.Pattern[str], tables.Row]] = []
        terms: dict[str, list[tables.Row]] = {}
        triggers: dict[str, list[int]] = {}
        for row in rows:
            if row.get("is_regex") == "J":
                self._add_pattern(row, row[column], triggers)
            else:
                terms.setdefault(row[column].lower(), []).append(row)
        self._automaton = ahocorasick.Automaton()
        for word in {*terms, *triggers}:
            self._automaton.add_word(word, (len(word), terms.get(word, [])[:1], triggers.get(word, ())))
        if len(self._automaton):
            self._automaton.make_automaton()

    def _add_pattern(self, row: tables.Row, pattern: str, triggers: dict[str, list[int]]) -> None:
        number = len(self._patterns)
        self._patterns.append((re.compile(pattern, re.IGNORECASE), row))
        needed = literals.required(pattern.lower())
        if needed is None:
            self._always.append(number)
        for word in needed or ():
            triggers.setdefault(word, []).append(number)

    def find(self, text: str) -> list[Hit]:
        """All hits in the order of the text; none overlaps another."""
        return _without_overlaps(self.find_all(text))

    def find_all(self, text: str) -> list[Hit]:
        """All hits, also those that overlap."""
        lowered = _lower(text)
        hits: list[Hit] = []
        candidates = set(self._always)
        if len(self._automaton):
            for last, (length, rows, patterns) in self._automaton.iter(lowered):
                start, end = last - length + 1, last + 1
                candidates.update(patterns)
                if rows and (not self._whole_words or _is_whole(lowered, start, end)):
                    hits.append(Hit(start, end, text[start:end], rows[0]))
        for number in candidates:
            pattern, row = self._patterns[number]
            for match in pattern.finditer(lowered):
                if match.end() > match.start():
                    hits.append(Hit(match.start(), match.end(), text[match.start() : match.end()], row))
        return hits


def _lower(text: str) -> str:
    """Lower case of the same length, so that offsets stay."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(low if len(low := char.lower()) == 1 else char for char in text)


def _is_whole(text: str, start: int, end: int) -> bool:
    before = text[start - 1] if start else " "
    after = text[end] if end < len(text) else " "
    return not (before.isalnum() or after.isalnum())


def _without_overlaps(hits: list[Hit]) -> list[Hit]:
    chosen: list[Hit] = []
    end = -1
    for hit in sorted(hits, key=lambda hit: (hit.start, -hit.end)):
        if hit.start >= end:
            chosen.append(hit)
            end = hit.end
        elif hit.end - hit.start > chosen[-1].end - chosen[-1].start and hit.start == chosen[-1].start:
            chosen[-1] = hit
            end = hit.end
    return chosen


@functools.cache
def lexicon(name: str) -> Lexicon:
    """The lexicon of `data/german/NAME.csv`."""
    rows = tables.rows(f"german/{name}")
    column = next(iter(rows[0]))
    return Lexicon(rows, column)


@functools.cache
def _small_talk() -> tuple[frozenset[str], re.Pattern[str]]:
    rows = tables.rows("german/small_talk")
    plain = frozenset(row["phrase"] for row in rows if row["is_regex"] != "J")
    patterns = "|".join(f"(?:{row['phrase']})" for row in rows if row["is_regex"] == "J")
    return plain, re.compile(patterns, re.IGNORECASE)


def is_small_talk(sentence: str) -> bool:
    """Whether a sentence is nothing but greeting, thanks, filler or small talk."""
    plain, patterns = _small_talk()
    bare = sentence.lower().strip(" .,!?…")
    parts = [part.strip() for part in re.split(r"[,.!]", bare) if part.strip()]
    return (
        bare in plain or patterns.fullmatch(bare) is not None or (bool(parts) and all(part in plain for part in parts))
    )


@functools.cache
def _procedural() -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{row['pattern']})" for row in tables.rows("german/procedural")), re.IGNORECASE)


def is_procedural(clause: str) -> bool:
    """Whether a doctor only says what she is doing or asks the patient to move."""
    return _procedural().search(clause.strip(" .,!?…")) is not None
