"""A text as the words that a search compares: folded, abbreviations spelled out, what says nothing left out."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from terminology import tables
from terminology.german import stems

NOT = "~"  # stands before a word that the text denies: "ohne Aura" -> "~aura"

_PIECE = re.compile(r"[^,;:()\[\]]+|[(\[]|[)\]]|[,;:]")
_JOINTS = re.compile(r"[,;:()\[\]]")
_DENIED = 5  # words at most that one "ohne" denies
_ENDS_DENIAL = frozenset(["mit", "bei", "durch", "aber", "sondern"])


class Word(NamedTuple):
    """One word of a text, folded. `is_denied`: behind "ohne" or "nicht"; `is_aside`: in brackets, or a side."""

    text: str
    stem: str
    is_denied: bool = False
    is_aside: bool = False


@dataclass(frozen=True, slots=True)
class _Entry:
    words: tuple[str, ...]
    kind: str
    means: tuple[str, ...]


@functools.cache
def _entries() -> Mapping[str, tuple[_Entry, ...]]:
    """What is dropped, denied or spelled out, by its first word, the longest first."""
    found: dict[str, list[_Entry]] = {}
    for row in tables.rows("german/search_words"):
        if row["kind"] != "same":
            words = tuple(stems.fold(row["word"]).split())
            found.setdefault(words[0], []).append(_Entry(words, row["kind"], tuple(stems.fold(row["means"]).split())))
    return {first: tuple(sorted(rows, key=lambda row: -len(row.words))) for first, rows in found.items()}


@functools.cache
def never_parts() -> frozenset[str]:
    """Stems of words that say nothing by themselves; no compound is split at them."""
    return frozenset(stems.stem(first) for first, rows in _entries().items() for row in rows if len(row.words) == 1)


@functools.cache
def same_words() -> Mapping[str, tuple[tuple[str, ...], ...]]:
    """Other words for the same, by stem: "karzinom" -> (("kreb",), ("boesart", "neubildung"))."""
    return {
        stems.stem(stems.fold(row["word"])): tuple(tuple(stems.fold(text).split()) for text in row["means"].split("|"))
        for row in tables.rows("german/search_words")
        if row["kind"] == "same"
    }


def words(text: str) -> list[Word]:
    """The words of a text that a search compares, in its order."""
    if _JOINTS.search(text) is None:
        return _words_of(stems.fold(text).split(), is_aside=False)
    found: list[Word] = []
    depth = 0
    for piece in _PIECE.findall(text):
        if piece in "([":
            depth += 1
        elif piece in ")]":
            depth = max(0, depth - 1)
        elif piece not in ",;:":
            found += _words_of(stems.fold(piece).split(), is_aside=depth > 0)
    return found


def _words_of(tokens: list[str], *, is_aside: bool) -> list[Word]:
    found: list[Word] = []
    denied = place = 0
    while place < len(tokens):
        token = tokens[place]
        entry = _entry(tokens, place) if token in _entries() else None
        place += len(entry.words) if entry else 1
        if token in _ENDS_DENIAL:
            denied = 0
        if entry is not None and entry.kind == "not":
            denied = _DENIED
            continue
        for word in (token,) if entry is None else entry.means:
            found.append(
                Word(word, stems.stem(word), denied > 0, is_aside or (entry is not None and entry.kind == "aside"))
            )
            denied = max(0, denied - 1)
    return found


def _entry(tokens: list[str], place: int) -> _Entry | None:
    for row in _entries()[tokens[place]]:
        if tuple(tokens[place : place + len(row.words)]) == row.words:
            return row
    return None
