"""What only the whole note shows: a sentence that stands there twice, and two that contradict each other."""

from __future__ import annotations

import functools
from collections.abc import Hashable, Iterable

from pipeline import results
from pipeline.grounding import reading, standing
from terminology.german import concepts, quantities

#: Told by the patient and found by the doctor: that these differ is no contradiction but the reason for examining.
_TOLD_AND_FOUND = frozenset({frozenset({"S", "O"}), frozenset({"S", "A"})})


@functools.lru_cache(maxsize=4096)
def topic(text: str) -> Hashable:
    """What a statement is about, without how it says so: its words but the form words, and its quantities."""
    words = frozenset(word.lower() for word in reading.WORD.findall(text)) - concepts.form_words()
    figures = frozenset((found.kind, found.values, found.unit, found.role) for found in quantities.find(text))
    return words, figures


def fault(statement: results.Statement, others: Iterable[results.Statement]) -> str | None:
    """ "repeated" or "contradiction" against statements of the same `topic` that are already in the note.

    Repeated: the same section and polarity again. A contradiction: two statements, each grounded by itself, of the same
    person and time, that nothing but the denial tells apart. Both cannot stand, whether one of them has misread the
    segment that both cite or the speaker changed her mind unnoticed; the first stays, the other is shown for review.
    What differs in more than the denial are two facts: "kein Fieber" of the patient and "Temperatur 38,5 °C" of the
    examination; and so are a complaint denied in the history and the same one found on examination or assessed by the
    doctor, when they are cited from different segments.
    """
    for other in others:
        if other.polarity == statement.polarity and other.section == statement.section:
            return "repeated"
        if _contradicts(statement, other):
            return "contradiction"
    return None


def _contradicts(statement: results.Statement, other: results.Statement) -> bool:
    if {"family", "historical"} & {statement.polarity, other.polarity}:
        return False
    if standing.is_denied(statement) == standing.is_denied(other):
        return False
    is_one_source = bool(_segments(statement) & _segments(other))
    return is_one_source or frozenset({statement.section, other.section}) not in _TOLD_AND_FOUND


def _segments(statement: results.Statement) -> frozenset[int]:
    return frozenset(item.segment for item in statement.evidence if item.segment is not None)


def forget() -> None:
    """Drop what is remembered of the texts of earlier runs."""
    topic.cache_clear()
