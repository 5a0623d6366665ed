"""Where the words of a statement were said: by form, by drug, by term of medicine or by the parts of a compound."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.grounding import drugs, findings, reading
from terminology.german import concepts, lemmas

_LONG = 4  # letters from which a word claims something; shorter ones do in capitals


@dataclass(frozen=True, slots=True)
class Claim:
    """A word of a statement that claims something. `names` are the ingredients of the drug that it is, `terms` the
    concepts of the diagnosis or finding that it belongs to; both are empty for other words.
    """

    start: int
    word: str
    names: frozenset[str]
    terms: frozenset[str]
    is_clinical: bool
    is_noun: bool


@dataclass(frozen=True, slots=True)
class Place:
    """A place in what was said: the number of the clause and the offset in it."""

    clause: int
    start: int


@functools.lru_cache(maxsize=4096)
def claims(text: str) -> tuple[Claim, ...]:
    """The words of a text that claim something, in its order."""
    named = [(mention.start, mention.end, frozenset(mention.names)) for mention in drugs.mentions(text)]
    terms = findings.terms(text)
    found: list[Claim] = []
    for match in reading.WORD.finditer(text):
        names = [others for start, end, others in named if start < match.end() and match.start() < end]
        inside = [term for term in terms if term.start < match.end() and match.start() < term.end]
        is_clinical = bool(names or inside)
        if names or _claims(match[0]):
            found.append(
                Claim(
                    match.start(),
                    match[0].lower(),
                    frozenset().union(*names),
                    frozenset(term.concept for term in inside if term.concept),
                    is_clinical,
                    (match[0][0].isupper() and match.start() > 0) or match[0].isupper(),
                )
            )
    return tuple(found)


def _claims(word: str) -> bool:
    is_long = len(word) >= _LONG or (word.isupper() and len(word) > 1)
    return is_long and word.lower() not in concepts.form_words()


def of(claim: Claim, clauses: Sequence[reading.Clause]) -> list[Place]:
    """Every place where a claim was said. What is quoted does not matter here."""
    found = _of_word(claim.word, clauses)
    for number, clause in enumerate(clauses):
        if claim.names:
            found += [
                Place(number, mention.start)
                for mention in drugs.mentions(clause.text)
                if claim.names & set(mention.names)
            ]
        if claim.terms:
            found += [Place(number, term.start) for term in findings.terms(clause.text) if term.concept in claim.terms]
    if found or not claim.is_clinical:
        return list(dict.fromkeys(found))
    for parts in lemmas.splits(claim.word):
        by_part = [_of_word(part, clauses) for part in parts]
        if all(by_part):
            return list(dict.fromkeys(place for places in by_part for place in places))
    return []


def _of_word(word: str, clauses: Sequence[reading.Clause]) -> list[Place]:
    forms = lemmas.of(word)
    meant = frozenset().union(*(concepts.of(form) for form in forms))
    return [
        Place(number, start)
        for number, clause in enumerate(clauses)
        for start, other in clause.words
        if other == word or reading.is_same(word, forms, meant, other, ending=reading.INFLECTION)
    ]


def forget() -> None:
    """Drop what is remembered of the texts of earlier runs."""
    claims.cache_clear()
