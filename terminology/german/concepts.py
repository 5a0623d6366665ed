"""Words that say the same, words that say the opposite, relatives, headings: the small word tables as look-ups."""

from __future__ import annotations

import functools

from terminology import tables
from terminology.german import lemmas, vocabulary


@functools.cache
def _groups() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for row in tables.rows("german/synonyms"):
        for word in row["words"].split("|"):
            for form in lemmas.of(word):
                found.setdefault(form, set()).add(row["concept"])
    return {word: frozenset(concepts) for word, concepts in found.items()}


def of(word: str) -> frozenset[str]:
    """The concepts that a lower-case word or dictionary form can stand for; empty for most words."""
    return _groups().get(word, frozenset())


@functools.cache
def _phrases() -> vocabulary.Lexicon:
    rows = [
        {"word": word, "concept": row["concept"]}
        for row in tables.rows("german/synonyms")
        for word in row["words"].split("|")
        if " " in word
    ]
    return vocabulary.Lexicon(rows, "word", whole_words=True)


def in_phrases(text: str) -> frozenset[str]:
    """The concepts that a text says in several words: "ich krieg schlecht Luft" -> atemnot."""
    return frozenset(hit.row["concept"] for hit in _phrases().find(text))


@functools.cache
def _opposites() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for row in tables.rows("german/opposites"):
        for other in row["opposites"].split("|"):
            found.setdefault(row["word"], set()).add(other)
            found.setdefault(other, set()).add(row["word"])
    return {word: frozenset(others) for word, others in found.items()}


def opposites(word: str) -> frozenset[str]:
    """The opposites of a lower-case word: "regelmäßig" -> unregelmäßig."""
    by_prefix = {f"un{word}"} if not word.startswith("un") else {word[2:]}
    return _opposites().get(word, frozenset()) | by_prefix


@functools.cache
def form_words() -> frozenset[str]:
    """Words that carry a sentence and claim nothing about the patient."""
    return frozenset(row["word"] for row in tables.rows("german/form_words"))


@functools.cache
def _kin() -> dict[str, str]:
    return {
        word: row["kin"] for row in tables.rows("german/relatives") if row["words"] for word in row["words"].split("|")
    }


def kin(word: str) -> str | None:
    """The relative that a lower-case word names ("mama" -> mutter); None when it names none."""
    return _kin().get(word)


@functools.cache
def headings() -> frozenset[str]:
    """Headings of a note in lower case."""
    return frozenset(row["heading"] for row in tables.rows("german/headings"))


@functools.cache
def drug_endings() -> tuple[str, ...]:
    """Endings by which an unknown word is taken for a drug. Source: WHO, INN stems."""
    return tuple(row["ending"] for row in tables.rows("german/drug_endings"))


@functools.cache
def implied_units() -> dict[str, str]:
    """The unit that is meant when a drug's strength is said as a bare number, by ingredient."""
    return {row["ingredient"]: row["unit"] for row in tables.rows("german/implied_units")}
