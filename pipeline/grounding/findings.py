"""Diagnoses, symptoms and findings: the same concept must have been said, by any of its names."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Literal

from pipeline import results
from pipeline.grounding import reading
from terminology import tables
from terminology.german import vocabulary
from terminology.icd10gm import wording

Kind = Literal["diagnosis", "finding"]

_ALLERGY = re.compile(r"allerg|unverträglich|überempfindlich|anaphyla", re.IGNORECASE)
#: How patients say that they react to something.
_REACTS = re.compile(
    r"allerg|unverträglich|überempfindlich|anaphyla|vertr[aäu]g|reagier|ausschlag|quaddel|"
    r"nesseln?\b|geschwollen|zugeschwollen|krieg\w* .{0,30}(?:haut|flecken|juck)",
    re.IGNORECASE,
)
_SHORT = 3  # letters up to which a word is not looked for inside other words


@dataclass(frozen=True, slots=True)
class Term:
    """A diagnosis, complaint or finding that a text names. `concept` is its code or its concept in our tables."""

    start: int
    end: int
    text: str
    concept: str
    kind: Kind


@functools.cache
def _complaints() -> vocabulary.Lexicon:
    """Complaints with their concept, and findings without: theirs are too wide to make two of them the same."""
    rows = [*tables.rows("german/symptoms")]
    rows += [
        {"stem": row["stem"], "is_regex": "N", "concept": ""}
        for row in tables.rows("german/findings")
        if row["normal"] != "J" and row["is_regex"] != "J"
    ]
    return vocabulary.Lexicon(rows, "stem")


@functools.lru_cache(maxsize=4096)
def terms(text: str) -> tuple[Term, ...]:
    """The terms of a text in its order; one place may hold a diagnosis and a complaint."""
    found = [
        Term(hit.start, hit.end, hit.text, hit.code, "finding" if hit.kind == "symptom" else "diagnosis")
        for hit in wording.find(text)
    ]
    found += [Term(hit.start, hit.end, hit.text, hit.row["concept"], "finding") for hit in _complaints().find(text)]
    return tuple(sorted(found, key=lambda term: (term.start, -term.end)))


def fault(statement: results.Statement, said: reading.Said) -> str | None:
    """ "diagnosis" or "finding" when a term of the statement was not said by any of its names; an allergy needs words
    for it.
    """
    if _ALLERGY.search(statement.text) and not _REACTS.search(said.text):
        return "diagnosis"
    fallen = {term.kind for term in terms(statement.text) if not is_carried(term, statement.text, said)}
    return "diagnosis" if "diagnosis" in fallen else "finding" if fallen else None


def is_carried(term: Term, text: str, said: reading.Said) -> bool:
    """Whether each word of the term was said, or the concept by another of its names."""
    words = [word for word in reading.WORD.findall(_whole(term, text)) if len(word) > _SHORT or word.isupper()]
    if all(_is_said(word.lower(), said) for word in words):
        return True
    return (term.concept != "" and term.concept in concepts_of(said.text)) or all(
        _is_said(word.lower(), said) or said.holds_parts(word) for word in words
    )


@functools.lru_cache(maxsize=4096)
def concepts_of(text: str) -> frozenset[str]:
    """The codes and concepts that a text names."""
    return frozenset(term.concept for term in terms(text) if term.concept)


def _is_said(word: str, said: reading.Said) -> bool:
    if word in said.words or said.holds(word, ending=reading.INFLECTION):
        return True
    return len(word) > _SHORT and any(word in spoken and spoken != f"un{word}" for spoken in said.words)


def _whole(term: Term, text: str) -> str:
    """The term with the rest of the words that it begins and ends in."""
    begin, end = term.start, term.end
    while begin > 0 and text[begin - 1].isalpha():
        begin -= 1
    while end < len(text) and text[end].isalpha():
        end += 1
    return text[begin:end]


def is_allergy(text: str) -> bool:
    """Whether a statement speaks of an allergy: then no word of it may be invented."""
    return _ALLERGY.search(text) is not None


def forget() -> None:
    """Drop what is remembered of the texts of earlier runs."""
    terms.cache_clear()
    concepts_of.cache_clear()
