"""Negation, certainty, person and time: what the statement says must stand there in the same way."""

from __future__ import annotations

import functools
import re

from pipeline import results
from pipeline.grounding import drugs, findings, reading
from terminology.drugs import orders
from terminology.german import concepts, polarity, sentences

_SAYS_NO = re.compile(r"\b(?:nein|nee|nö|na|noi|nä|kaum|keinerlei)\b", re.IGNORECASE)
_NO_AFTER_QUESTION = re.compile(r"(?:^|[?!.] )(?:nein|nee|nö|noi)\b", re.IGNORECASE)
_SAYS_YES = re.compile(r"\b(?:ja|doch|jo)\b", re.IGNORECASE)
_DENIAL = re.compile(r"^(?:verneint|keine? angabe|nicht vorhanden)\b|: nein\b", re.IGNORECASE)
_PAST = re.compile(
    r"\bnicht mehr\b|aufgehört|\b(?:hatte|war|hatten|waren|gehabt|gewesen|bekommen|damals|seinerzeit|früher)\b",
    re.IGNORECASE,
)
_LONG = 4  # letters of a word that tells where in the evidence it comes from


def fault(statement: results.Statement, said: reading.Said) -> str | None:
    """The name of the check that fails: negation, question, certainty, person or time; None when all agree."""
    return (
        _kin(statement, said)
        or _by_polarity(statement, said)
        or _by_term(statement, said)
        or _by_source(statement, said)
    )


def _kin(statement: results.Statement, said: reading.Said) -> str | None:
    """ "person" when the statement names a relative that was not named, or is of a relative and nobody named any."""
    spoken = {kin for word in said.words if (kin := concepts.kin(word)) is not None}
    written = {kin for word in reading.WORD.findall(statement.text) if (kin := concepts.kin(word.lower())) is not None}
    if written - spoken:
        return "person"
    if statement.polarity == "family" and not spoken and not any(clause.is_family for clause in said.clauses):
        return "person"
    return None


def _by_polarity(statement: results.Statement, said: reading.Said) -> str | None:
    """What the polarity claims by itself."""
    negates = reading.denies(said.text) or _SAYS_NO.search(said.text) is not None
    if statement.polarity == "negated" and not negates:
        return "negation"
    if statement.polarity == "affirmed" and _denies(statement.text) and not negates:
        return "negation"
    if statement.polarity == "uncertain" and not polarity.is_uncertain(said.text):
        return "certainty"
    if polarity.is_uncertain(statement.text) and not polarity.is_uncertain(said.text):
        return "certainty"
    if statement.polarity == "historical" and not (polarity.is_historical(said.text) or _PAST.search(said.text)):
        return "time"
    is_old = polarity.is_historical(statement.text)
    return "time" if is_old and not (polarity.is_historical(said.text) or _PAST.search(said.text)) else None


@functools.lru_cache(maxsize=4096)
def _denies(text: str) -> bool:
    return reading.denies(text) or _DENIAL.search(text) is not None


@functools.lru_cache(maxsize=4096)
def _claims(text: str) -> tuple[tuple[str, bool], ...]:
    """The clinical words of a text, each with whether its clause denies it."""
    found: list[tuple[str, bool]] = []
    all_denied = text.lower().startswith("verneint")
    places = [(term.start, term.text) for term in findings.terms(text)]
    if not orders.stops(text):
        places += [(mention.start, mention.text) for mention in drugs.mentions(text)]
    for begin, clause in _clauses(text) if places else ():
        denied = reading.negation(clause)
        for start, word in places:
            if begin <= start < begin + len(clause):
                at = start - begin
                is_denied = all_denied or (denied is not None and denied[0] <= at < denied[1])
                found.append((_head(text, start, word), is_denied))
    return tuple(dict.fromkeys(found))


def _clauses(text: str) -> list[tuple[int, str]]:
    """The clauses of a text, each with its place in it."""
    return [
        (sentence.start + span.start, span.text)
        for sentence in sentences.split(text)
        for span in sentences.clauses(sentence.text)
    ]


def _head(clause: str, start: int, found: str) -> str:
    """The word to look for: the longest of the term, whole as it stands in the clause."""
    longest = max(reading.WORD.finditer(found), key=lambda match: len(match[0]), default=None)
    if longest is None:
        return found
    begin = start + longest.start()
    end = begin + len(longest[0])
    while begin > 0 and clause[begin - 1].isalpha():
        begin -= 1
    while end < len(clause) and clause[end].isalpha():
        end += 1
    return clause[begin:end]


def _by_term(statement: results.Statement, said: reading.Said) -> str | None:
    """Each clinical word of the statement against the places where it was said."""
    claims = _claims(statement.text)
    names_kin = any(concepts.kin(word.lower()) for word in reading.WORD.findall(statement.text))
    has_negation = any(is_denied for _word, is_denied in claims) or _denies(statement.text)
    says_no = _SAYS_NO.search(statement.text) is not None
    for word, is_denied in claims:
        places = reading.stands(said, word)
        if not places:
            continue
        if findings.is_allergy(statement.text) and any(
            findings.is_not_borne(place.text) for place, _standing in places
        ):
            continue
        standings = [standing for _clause, standing in places]
        if reading.unanswered(standings):
            return "question"
        denied = is_denied or (statement.polarity == "negated" and not has_negation)
        is_unclear = statement.polarity == "negated" and not denied
        if not denied and not is_unclear and set(standings) <= {"negated", "asked"} and not says_no:
            return "negation"
        if denied and set(standings) == {"affirmed"}:
            return "negation"
        found = _by_source_clauses(statement, [where for where, _standing in places], names_kin=names_kin)
        if found is not None and not denied:
            return found
    return None


def _by_source_clauses(statement: results.Statement, places: list[reading.Clause], *, names_kin: bool) -> str | None:
    """Certainty, person and time by the clauses that a clinical word was said in."""
    if statement.polarity != "family" and not names_kin and all(place.is_family for place in places):
        return "person"
    is_hedged = statement.polarity == "uncertain" or polarity.is_uncertain(statement.text)
    if not is_hedged and all(place.is_uncertain for place in places):
        return "certainty"
    is_old = statement.polarity in ("historical", "family") or polarity.is_historical(statement.text)
    if not is_old and all(place.is_historical for place in places):
        return "time" if statement.section in ("S", "A") else None
    return None


def _by_source(statement: results.Statement, said: reading.Said) -> str | None:
    """What holds for words that no table knows: the clause that all of them come from denies them, or is not sure."""
    if statement.polarity != "affirmed" or _denies(statement.text):
        return None
    stems = _stems(statement.text)
    if not stems:
        return None
    scored = [(len(stems & _stems(clause.text)), clause) for clause in said.clauses]
    best = max((score for score, _clause in scored), default=0)
    sources = [clause for score, clause in scored if best and score == best]
    if not sources:
        return None
    is_whole = best == len(stems)
    if is_whole and all(clause.standing == "negated" or _is_denied(clause, stems) for clause in sources):
        return "negation"
    said_yes = _SAYS_YES.search(f"{said.text} {statement.text}") is not None
    if is_whole and not said_yes and all(clause.standing in ("asked", "negated") for clause in sources):
        return "negation" if _NO_AFTER_QUESTION.search(said.text) else "question"
    if statement.section == "A" and all(clause.is_uncertain for clause in sources):
        return None if polarity.is_uncertain(statement.text) else "certainty"
    return None


def _is_denied(clause: reading.Clause, stems: frozenset[str]) -> bool:
    """Whether every word of the statement that the clause holds stands where it negates."""
    if clause.standing != "affirmed":
        return False
    return all(clause.at(start) == "negated" for start, word in clause.words if word[:5] in stems)


@functools.lru_cache(maxsize=8192)
def _stems(text: str) -> frozenset[str]:
    words = (word.lower() for word in reading.WORD.findall(text))
    return frozenset(word[:5] for word in words if len(word) >= _LONG and word not in concepts.form_words())


def is_denied(statement: results.Statement) -> bool:
    """Whether a statement says that something is not so."""
    return statement.polarity == "negated" or _denies(statement.text)


def forget() -> None:
    """Drop what is remembered of the texts of earlier runs."""
    for cache in (_claims, _denies, _stems):
        cache.cache_clear()
