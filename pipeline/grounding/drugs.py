"""Drugs: what a statement names must have been named, by its brand or its ingredient."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

from pipeline import facts, results
from pipeline.grounding import reading
from terminology.drugs import catalogue, orders
from terminology.german import concepts, lemmas, polarity, sentences

_PARTS = re.compile(r"[,;:]\s|[.!?]\s|\bund\b|\bdafür\b|\bstattdessen\b", re.IGNORECASE)
_INSTEAD = re.compile(r"\b(?:statt|anstatt)\b", re.IGNORECASE)


def fault(statement: results.Statement, said: reading.Said) -> str | None:
    """ "drug" when the statement names an ingredient that was not; a combination's brand stands for all of its own."""
    claimed = _names(statement.text)
    if not claimed:
        return None
    if claimed - _names(said.text):
        return "drug"
    return "negation" if _is_turned(statement, said) else None


def _is_turned(statement: results.Statement, said: reading.Said) -> bool:
    """Whether a drug is not taken in the statement and was said to be, or the other way round: "das Ibuprofen absetzen
    und Paracetamol nehmen".
    """
    given = list(_given(said))
    is_whole = statement.polarity in ("negated", "historical")
    for names, is_off in _orders(statement.text):
        same = {off for others, off in given if set(others) & set(names)}
        if same and is_off not in same and not (is_whole and True in same):
            return True
    return False


def _given(said: reading.Said) -> Iterator[tuple[tuple[str, ...], bool]]:
    """The drugs of what was said, each with whether it is not taken; of a question that was answered with neither yes
    nor no both may be so.
    """
    standings = {clause.sentence: clause.standing for clause in said.clauses}
    for sentence in sentences.split(said.text):
        standing = standings.get(sentence.text, "affirmed") if sentence.text.endswith("?") else "affirmed"
        for names, is_off in _orders(sentence.text):
            if standing != "negated":
                yield names, is_off
            if standing != "affirmed":
                yield names, True


@functools.lru_cache(maxsize=4096)
def _orders(text: str) -> tuple[tuple[tuple[str, ...], bool], ...]:
    """The drugs of a text, each with whether it is not taken: the part that names it, or what follows up to the next
    drug of the sentence, stops it, or its clause denies it.
    """
    found: list[tuple[tuple[str, ...], bool]] = []
    for sentence in sentences.split(text):
        parts: list[str] = []
        for part in _PARTS.split(sentence.text):
            if parts and not mentions(part):
                parts[-1] = f"{parts[-1]}, {part}"
            else:
                parts.append(part)
        found += [(mention.names, _is_off(part, mention)) for part in parts for mention in mentions(part)]
    return tuple(found)


def _is_off(part: str, mention: catalogue.Mention) -> bool:
    if orders.stops(part) or _INSTEAD.search(part):
        return True
    clause = next((s.text for s in sentences.clauses(part) if s.start <= mention.start < s.end), part)
    return not facts.is_not_borne(clause) and polarity.is_negated(orders.without_manner(clause))


@functools.lru_cache(maxsize=8192)
def mentions(text: str) -> tuple[catalogue.Mention, ...]:
    """The drugs that a text names, in its order."""
    return tuple(catalogue.find(text))


@functools.lru_cache(maxsize=8192)
def _names(text: str) -> frozenset[str]:
    return frozenset(name for mention in mentions(text) for name in mention.names)


def looks_like_one(word: str) -> bool:
    """Whether a word that is no German word ends as drugs do: "Fantapril", "Tofluxaban"."""
    return word.lower().endswith(concepts.drug_endings()) and not lemmas.is_entry(word)


def forget() -> None:
    """Drop what is remembered of the texts of earlier runs."""
    mentions.cache_clear()
    _names.cache_clear()
    _orders.cache_clear()
