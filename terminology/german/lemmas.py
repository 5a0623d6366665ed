"""Dictionary forms of German words, which words exist, and what a compound is made of.

Source of the dictionary: simplemma (MIT), a word list made of Wiktionary and of free morphological lexica. It is read
as a compressed stream: about 30 MB of memory and one second at the first call, some 20 µs for each new word.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

from simplemma.strategies.dictionaries import StreamDictionaryFactory

from terminology import tables

#: What joins the parts of a German compound: "Blut-druck", "Schulter-s-chmerz", "Tablette-n-einnahme".
_LINKS = ("", "s", "n", "en", "es", "er", "e")
_SHORTEST_PART = 4  # letters of a part of a compound that is taken for a word
_LONGEST = 45  # letters; a longer run is no word
_WORD = re.compile(r"[^\W\d_]+")
#: Tables whose words are known words, with the column that holds them.
_TABLES = (
    ("german/body_parts", "stem"),
    ("german/findings", "stem"),
    ("german/symptoms", "stem"),
    ("german/actions", "stem"),
    ("german/synonyms", "words"),
    ("german/form_words", "word"),
    ("german/opposites", "word"),
    ("german/opposites", "opposites"),
    ("german/plain_words", "term"),
    ("german/plain_words", "plain"),
    ("german/relatives", "words"),
    ("german/units", "spellings"),
    ("german/verbs", "first_person"),
    ("german/verbs", "third_person"),
    ("icd10gm/terms", "term"),
    ("icd10gm/codes", "title"),
    ("labs", "names"),
)


@functools.cache
def _dictionary() -> Mapping[str, str]:
    return StreamDictionaryFactory().get_dictionary("de")


_REMEMBERED = 50_000  # dictionary words
_seen: dict[str, str] = {}


def _entry(form: str) -> str | None:
    """The dictionary's entry for a form. Only what the dictionary holds is remembered, so no name of a patient is."""
    entry = _seen.get(form)
    if entry is None:
        entry = _dictionary().get(form)
        if entry is not None and len(_seen) < _REMEMBERED:
            _seen[form] = entry
    return entry


@functools.lru_cache(maxsize=65536)
def of(word: str) -> frozenset[str]:
    """The dictionary forms of one word in lower case, the word itself among them: "Häusern" -> häusern, haus."""
    lowered = word.lower()
    if len(word) > _LONGEST or not _WORD.fullmatch(word):
        return frozenset({lowered})
    entries = (_entry(form) for form in (lowered, lowered.capitalize()))
    return frozenset({lowered, *(entry.lower() for entry in entries if entry)})


@functools.cache
def _own_words() -> frozenset[str]:
    texts = (
        row[column]
        for name, column in _TABLES
        for row in tables.rows(name)
        if column != "stem" or row.get("is_regex") != "J"
    )
    return frozenset(word.lower() for text in texts for word in _WORD.findall(text))


@functools.lru_cache(maxsize=65536)
def is_known(word: str) -> bool:
    """Whether the word is German or of our tables, by itself or as a compound of two or three such words."""
    lowered = word.lower()
    return len(word) <= _LONGEST and (_is_simple(lowered) or bool(splits(lowered)))


def _is_simple(lowered: str) -> bool:
    if lowered in _own_words():
        return True
    return _WORD.fullmatch(lowered) is not None and any(
        _entry(form) is not None for form in (lowered, lowered.capitalize())
    )


def is_entry(word: str) -> bool:
    """Whether the word itself stands in the dictionary or in our tables, not only as a compound."""
    return len(word) <= _LONGEST and _is_simple(word.lower())


@functools.lru_cache(maxsize=16384)
def splits(lowered: str) -> tuple[tuple[str, ...], ...]:
    """Every way to read a lower-case word as two or three known words with their joints; none when there is no way.

    "blutdruckkontrolle" -> (("blutdruck", "kontrolle"), ...). The joint belongs to no part.
    """
    if len(lowered) > _LONGEST:
        return ()
    return tuple(_splits(lowered, parts=3))


def _splits(lowered: str, *, parts: int) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for end in range(_SHORTEST_PART, len(lowered) - _SHORTEST_PART + 1):
        head, rest = lowered[:end], lowered[end:]
        stems = [head.removesuffix(link) for link in _LINKS if head.endswith(link)]
        known = next((stem for stem in stems if len(stem) >= _SHORTEST_PART and _is_simple(stem)), None)
        if known is None:
            continue
        if _is_simple(rest):
            found.append((known, rest))
        if parts > 2:
            found += [(known, *tail) for tail in _splits(rest, parts=parts - 1)]
    return found


def forget() -> None:
    """Drop what is remembered of the words of earlier runs."""
    for cache in (of, is_known, splits):
        cache.cache_clear()
