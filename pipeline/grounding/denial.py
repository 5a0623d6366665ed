"""Denial word by word: none of what was denied is said, none of what was said is denied."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from pipeline import facts, results
from pipeline.grounding import drugs, findings, reading
from terminology.drugs import orders
from terminology.german import concepts

_HEADED = re.compile(r"^(?:verneint|keine angaben? zu)\b:?", re.IGNORECASE)
_SAYS_NO = re.compile(r"\b(?:nein|nee|nö|noi|kaum|keinerlei|weniger|verneint|wegge\w+)\b", re.IGNORECASE)
_ANSWERS_NO = re.compile(
    r"(?:(?:ja|also|seit|vor|schon|gar|noch|auch|überhaupt|bisher|eigentlich|\d+|\w*jahr\w*|\w*woche\w*|\w*tag\w*|\w*monat\w*)"
    r"\s+)*(?:nein|nee|nö|noi|nicht|nie|niemals|keine?[nrs]?|nix|nichts)\b",
    re.IGNORECASE,
)
_SHORT = 4  # letters under which a word claims nothing, unless it is written in capitals


@dataclass(frozen=True, slots=True)
class _Clause:
    """The words of one clause of a statement that claim something, and those of them that it denies."""

    words: tuple[str, ...]
    denied: tuple[str, ...]


def fault(statement: results.Statement, said: reading.Said) -> str | None:
    """ "negation" when a denial was lost, or was made up; else None."""
    text = statement.text
    if statement.polarity == "negated" or reading.denies(text) or _HEADED.search(text):
        return "negation" if _is_made_up(statement, said) else None
    return "negation" if _is_lost(text, said) else None


def _is_lost(text: str, said: reading.Said) -> bool:
    """Whether a word of the statement was only said where it is denied."""
    heard = _heard(said.clauses)
    if not heard.negated or _SAYS_NO.search(text):
        return False
    words = (word for clause in _clauses(text) for word in clause.words if word not in clause.denied)
    is_allergy = findings.is_allergy(text)
    return any(word.lower() not in heard.affirmed and _stands_denied(word, said, is_allergy) for word in words)


def _stands_denied(word: str, said: reading.Said, is_allergy: bool) -> bool:
    places = reading.stands(said, word)
    if is_allergy and any(facts.is_not_borne(clause.text) for clause, _standing in places):
        return False
    standings = {standing for _clause, standing in places}
    return "negated" in standings and standings <= {"negated", "asked", "unclear"}


def _is_made_up(statement: results.Statement, said: reading.Said) -> bool:
    """Whether a word that the statement denies was only said where nothing denies it."""
    clauses = _clauses(statement.text)
    has_own = any(clause.denied for clause in clauses) or _SAYS_NO.search(statement.text) is not None
    if _HEADED.search(statement.text):
        words = [word for clause in clauses for word in clause.words if reading.stands(said, word)]
        if not words:
            return orders.stops(statement.text) and orders.stops(said.text)
        return any(_stands_affirmed(word, said) for word in words) or not any(_is_denied(word, said) for word in words)
    if not has_own:
        return any(_stands_affirmed(word, said) for clause in clauses for word in clause.words)
    for clause in clauses:
        known = [word for word in clause.denied if reading.stands(said, word)]
        if known and all(_stands_affirmed(word, said) for word in known):
            return True
    known = [word for clause in clauses for word in clause.denied if reading.stands(said, word)]
    if known and all(_stands_unclear(word, said) for word in known):
        return True
    return statement.polarity != "negated" and _is_lost(statement.text, said)


def _stands_affirmed(word: str, said: reading.Said) -> bool:
    standings = {standing for _clause, standing in reading.stands(said, word)}
    return "affirmed" in standings and standings <= {"affirmed", "unclear"}


def _is_denied(word: str, said: reading.Said) -> bool:
    return any(standing == "negated" for _clause, standing in reading.stands(said, word))


def _stands_unclear(word: str, said: reading.Said) -> bool:
    return {standing for _clause, standing in reading.stands(said, word)} == {"unclear"}


@dataclass(frozen=True, slots=True)
class _Heard:
    affirmed: frozenset[str]
    negated: frozenset[str]


@functools.lru_cache(maxsize=2048)
def _heard(clauses: tuple[reading.Clause, ...]) -> _Heard:
    """The words that were said where nothing denies them, and those that were said where something does."""
    affirmed: set[str] = set()
    negated: set[str] = set()
    for clause in clauses:
        for start, word in clause.words:
            standing = clause.at(start)
            if standing in ("affirmed", "open"):
                affirmed.add(word)
            elif standing == "negated":
                negated.add(word)
    return _Heard(frozenset(affirmed), frozenset(negated))


@functools.lru_cache(maxsize=4096)
def _clauses(text: str) -> tuple[_Clause, ...]:
    """The clauses of a statement; a question that it keeps claims nothing. "Rauchen: seit Jahren nicht mehr" denies
    what stands before its colon.
    """
    found: list[_Clause] = []
    topic, colon, answer = _HEADED.sub("", text).strip().partition(": ")
    is_denied = bool(colon) and _ANSWERS_NO.match(answer) is not None
    for part, is_topic in ((topic, True), (answer, False)):
        for clause in reading.clauses_of(part, "doctor", False):
            if clause.standing == "asked":
                continue
            places = [(match.start(), match[0]) for match in reading.WORD.finditer(clause.text) if _claims(match[0])]
            if orders.stops(clause.text) and drugs.mentions(
                clause.text
            ):  # held against what was said of the drug by `drugs`
                continue
            denied = (word for start, word in places if (is_topic and is_denied) or clause.at(start) == "negated")
            found.append(_Clause(tuple(word for _start, word in places), tuple(denied)))
    return tuple(found)


def _claims(word: str) -> bool:
    is_long = len(word) >= _SHORT or (word.isupper() and len(word) > 1)
    return is_long and word.lower() not in concepts.form_words()


def forget() -> None:
    """Drop what is remembered of the texts of earlier runs."""
    for cache in (_heard, _clauses):
        cache.cache_clear()
