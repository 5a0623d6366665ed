"""Drugs: what a statement names must have been named, by its brand or its ingredient."""

from __future__ import annotations

import functools
import re

from pipeline import results
from pipeline.grounding import reading
from terminology.drugs import catalogue
from terminology.german import concepts, lemmas

_PARTS = re.compile(r"[,;:]\s|[.!?]\s|\bund\b|\bdafür\b|\bstattdessen\b", re.IGNORECASE)
_STOPS = re.compile(
    r"\babsetz\w*|\babgesetzt|\bsetz\w*\b.*\bab\b|\blass\w*\b.*\bweg\b|\bweglass\w*|\bweggelassen|\bpausier\w*|\bstopp\w*|\bgestrichen|"
    r"\bstreichen|\bbeenden|\bbeendet|\bnicht mehr\b|\bkein\w*\b|\bstatt\b|\banstatt\b|\babzusetzen",
    re.IGNORECASE,
)

#: An advice not to stop: "nicht eigenmächtig absetzen".
_GOES_ON = re.compile(
    r"\bnicht\s+(?:\w+\s+){0,3}(?:absetzen|weglassen|pausieren|stoppen|beenden)\b|\bnicht mehr als\b", re.IGNORECASE
)


def fault(statement: results.Statement, said: reading.Said) -> str | None:
    """ "drug" when the statement names an ingredient that was not; a combination's brand stands for all of its own."""
    claimed = _names(statement.text)
    if not claimed:
        return None
    if claimed - _names(said.text):
        return "drug"
    return "negation" if statement.section == "P" and _is_turned(statement.text, said.text) else None


def _is_turned(text: str, told: str) -> bool:
    """Whether one of several drugs is stopped in the statement and was not, or was stopped and is not in the statement:
    "das Ibuprofen absetzen und Paracetamol nehmen".
    """
    given = _orders(told)
    if len({names for names, _stopped in given}) < 2:
        return False
    for names, is_stopped in _orders(text):
        same = {stopped for others, stopped in given if set(others) & set(names)}
        if same and is_stopped not in same:
            return True
    return False


@functools.lru_cache(maxsize=4096)
def _orders(text: str) -> tuple[tuple[tuple[str, ...], bool], ...]:
    """The drugs of a text, each with whether the part that names it, or what follows up to the next drug, stops it."""
    parts: list[str] = []
    for part in _PARTS.split(text):
        if parts and not mentions(part):
            parts[-1] = f"{parts[-1]}, {part}"
        else:
            parts.append(part)
    return tuple(
        (mention.names, _STOPS.search(_GOES_ON.sub(" ", part)) is not None)
        for part in parts
        for mention in mentions(part)
    )


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
