"""What a note says, as the sentences of a summary are held against it: each part is read once, when it is asked for."""

from __future__ import annotations

import functools
from collections.abc import Hashable
from dataclasses import dataclass
from decimal import Decimal

from pipeline import results, segments
from pipeline.grounding import appointments, critical, plain, whole
from terminology.drugs import catalogue as drugs
from terminology.german import numbers, polarity, sentences
from terminology.icd10gm import wording

#: What a sentence says, and whether it denies it.
Content = tuple[Hashable, bool]


@dataclass(frozen=True)
class Noted:
    """A note whose parts are read once. It lives as long as one summary is checked.

    `statements` are the note's, `spoken` is what patient and relatives said.
    """

    statements: tuple[results.Statement, ...]
    spoken: str

    @classmethod
    def of(cls, note: results.Note, transcript: segments.Transcript) -> Noted:
        """A note, with what the patient said beside it."""
        spoken = " ".join(s.text for s in transcript.segments if s.speaker not in ("doctor", "nurse"))
        return cls(statements=note.statements, spoken=spoken)

    @functools.cached_property
    def text(self) -> str:
        """The whole of the note."""
        return " ".join(statement.text for statement in self.statements)

    @functools.cached_property
    def numbers(self) -> frozenset[Decimal]:
        """Every number."""
        return _numbers(self.text)

    @functools.cached_property
    def drugs(self) -> frozenset[str]:
        """The ingredients of every drug."""
        return frozenset().union(*(_drugs(statement.text) for statement in self.statements))

    def facts(self, asked: critical.Fact) -> frozenset[critical.Fact]:
        """Allergies, drugs and measured values, in every form in which they may be asked for: of a drug only those of
        the statements that name it.
        """
        of_drug = asked.kind in ("drug", "dose", "frequency")
        told = (s for s in self.statements if not of_drug or asked.about in _drugs(s.text))
        return frozenset().union(*(_facts(statement.text, statement.polarity) for statement in told))

    @functools.cached_property
    def manners(self) -> dict[str, set[str]]:
        """The complaints with how they are told."""
        found: dict[str, set[str]] = {}
        for statement in self.statements:
            if statement.polarity != "family":
                for concept, value in _manners(statement.text, statement.polarity):
                    found.setdefault(concept, set()).add(value)
        return found

    @functools.cached_property
    def diagnoses(self) -> tuple[tuple[wording.Term, str], ...]:
        """The illnesses with the polarity of each mention."""
        found: list[tuple[wording.Term, str]] = []
        for statement in self.statements:
            for term, is_denied in illnesses(statement.text):
                is_so = statement.polarity == "affirmed"
                found.append((term, "negated" if is_so and is_denied else statement.polarity))
        return tuple(found)

    @functools.cached_property
    def times(self) -> frozenset[appointments.Time]:
        """Every span and day."""
        return frozenset(time for s in self.statements for time in appointments.find(s.text))

    @functools.cached_property
    def plan(self) -> tuple[str, ...]:
        """What is ordered."""
        return tuple(s.text for s in self.statements if s.section == "P" and s.polarity == "affirmed")

    @functools.cached_property
    def steps(self) -> frozenset[str]:
        """What the steps are called that are ordered."""
        return plain.ordered(self.plan)

    def content(self, text: str) -> Content:
        """What a sentence says, whatever its frame and its word for a medical one, and whether it denies it."""
        said = plain.unframed(text)
        worded = plain.in_words_of(said if plain.has_content(said) else text, self.text)
        return whole.topic(worded) if plain.has_content(worded) else plain.bare(text), polarity.is_negated(text)

    @functools.cached_property
    def own_jargon(self) -> frozenset[str]:
        """The medical words that patient and relatives used themselves."""
        return frozenset(hit.term for hit in plain.jargon(self.spoken))


@functools.lru_cache(maxsize=2048)
def illnesses(text: str) -> tuple[tuple[wording.Term, bool], ...]:
    """Each illness that a text names, and whether its clause denies it."""
    found: list[tuple[wording.Term, bool]] = []
    for term in wording.find(text):
        if term.kind != "symptom":
            clause = next((s.text for s in sentences.clauses(text) if s.start <= term.start < s.end), text)
            found.append((term, polarity.is_negated(clause)))
    return tuple(found)


@functools.lru_cache(maxsize=16)
def _numbers(text: str) -> frozenset[Decimal]:
    return frozenset(numbers.values(text))


@functools.lru_cache(maxsize=2048)
def _drugs(text: str) -> frozenset[str]:
    return frozenset(name for mention in drugs.find(text) for name in mention.names)


@functools.lru_cache(maxsize=2048)
def _facts(text: str, whole: results.Polarity) -> frozenset[critical.Fact]:
    return frozenset(critical.in_every_form(critical.treated_and_measured(text, whole)))


@functools.lru_cache(maxsize=2048)
def _manners(text: str, whole: results.Polarity) -> tuple[tuple[str, str], ...]:
    return tuple(critical.manners(text, whole))


def forget() -> None:
    """Drop what is remembered of the texts of earlier runs."""
    for cache in (illnesses, _numbers, _drugs, _facts, _manners):
        cache.cache_clear()
