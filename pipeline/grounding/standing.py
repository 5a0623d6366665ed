"""Negation, certainty, person and time: what the statement says must stand there in the same way."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Final

from pipeline import facts, results
from pipeline.grounding import drugs, findings, reading, replies
from terminology.drugs import orders
from terminology.german import concepts, lemmas, polarity, quantities, sentences

_SAYS_NO = re.compile(r"\b(?:nein|nee|nö|na|noi|nä|kaum|keinerlei)\b", re.IGNORECASE)
_NO_AFTER_QUESTION = re.compile(r"(?:^|[?!.] )(?:nein|nee|nö|noi)\b", re.IGNORECASE)
_SAYS_YES = re.compile(r"\b(?:ja|doch|jo)\b", re.IGNORECASE)
_DENIAL = re.compile(r"^(?:verneint|keine? angabe|nicht vorhanden)\b|: nein\b", re.IGNORECASE)
_PAST = re.compile(
    r"\bnicht mehr\b|aufgehört|\b(?:hatte|war|hatten|waren|gehabt|gewesen|bekommen|damals|seinerzeit|früher)\b",
    re.IGNORECASE,
)
_UNANSWERED: Final = frozenset[reading.Standing](["asked", "unclear"])  # standings of what was no more than asked
_FIGURE = re.compile(r"\d+")
_LONG = 4  # letters of a word that tells where in the evidence it comes from
_STEM = 5  # letters that the forms of a word share


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


def _answers_no(said: reading.Said) -> bool:
    """Whether an answer denies what was asked, or a drug is stopped."""
    spoken = (
        standing for clause in said.clauses for standing in (clause.standing, *(item[2] for item in clause.items))
    )
    return "negated" in spoken or orders.stops(said.text)


def _by_polarity(statement: results.Statement, said: reading.Said) -> str | None:
    """What the polarity claims by itself."""
    negates = reading.denies(said.text) or _SAYS_NO.search(said.text) is not None or _answers_no(said)
    if statement.polarity == "negated" and not (negates and _has_denial(statement.text)):
        return "negation"
    if statement.polarity == "affirmed" and _denies(statement.text) and not negates:
        return "negation"
    if (statement.polarity == "uncertain" or polarity.is_uncertain(statement.text)) and not _is_guess(said.text):
        return "certainty"
    is_old = statement.polarity == "historical" or polarity.is_historical(statement.text)
    return "time" if is_old and not _tells_past(said.text) else None


@functools.lru_cache(maxsize=4096)
def _tells_past(text: str) -> bool:
    return polarity.is_historical(text) or _PAST.search(text) is not None or replies.tells_end(text)


@functools.lru_cache(maxsize=4096)
def _denies(text: str) -> bool:
    return reading.denies(text) or _DENIAL.search(text) is not None


@functools.lru_cache(maxsize=4096)
def _has_denial(text: str) -> bool:
    """Whether the words of a statement deny something; its polarity alone does not show in the chart."""
    return _denies(text) or _SAYS_NO.search(text) is not None or orders.stops(text) or polarity.has_denial(text)


@functools.lru_cache(maxsize=4096)
def _is_guess(text: str) -> bool:
    return polarity.is_guess(text)


@dataclass(frozen=True, slots=True)
class _Claim:
    """A clinical word of a statement, the clause that it stands in and whether that denies it."""

    word: str
    clause: str
    is_denied: bool


@functools.lru_cache(maxsize=4096)
def _claims(text: str) -> tuple[_Claim, ...]:
    """The clinical words of a text; what a question that it keeps asks of is not claimed."""
    found: list[_Claim] = []
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
                found.append(_Claim(_head(text, start, word), clause, is_denied))
    return tuple(dict.fromkeys(found))


def _clauses(text: str) -> list[tuple[int, str]]:
    """The clauses of a text, each with its place in it; no question that it keeps."""
    return [
        (sentence.start + span.start, span.text)
        for sentence in sentences.split(text)
        for span in sentences.clauses(sentence.text)
        if not sentence.text.endswith("?") and not span.text.endswith("?")
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
    has_negation = any(claim.is_denied for claim in claims) or _denies(statement.text)
    says_no = _SAYS_NO.search(statement.text) is not None
    for claim in claims:
        places = reading.stands(said, claim.word)
        if not places:
            continue
        if findings.is_allergy(statement.text) and any(facts.is_not_borne(place.text) for place, _standing in places):
            continue
        standings = {standing for _clause, standing in places}
        denied = claim.is_denied or (statement.polarity == "negated" and not has_negation)
        if standings <= _UNANSWERED and ("unclear" not in standings or denied or not _takes(claim, places, said)):
            return "question"
        is_unclear = statement.polarity == "negated" and not denied
        is_no = standings <= {"negated", *_UNANSWERED} and "negated" in standings
        if not denied and not is_unclear and is_no and not says_no and not _is_ended(statement, places, said):
            return "negation"
        if denied and "affirmed" in standings and standings <= {"affirmed", *_UNANSWERED}:
            return "negation"
        found = _by_source_clauses(statement, [where for where, _standing in places], names_kin=names_kin)
        if found is not None and not denied:
            return found
    return None


def _takes(claim: _Claim, places: list[tuple[reading.Clause, reading.Standing]], said: reading.Said) -> bool:
    """Whether the clause of a claim also tells what the answer says, and not what was asked alone."""
    asked = {form for place, _s in places for word in reading.WORD.findall(place.sentence) for form in lemmas.of(word)}
    for word in reading.WORD.findall(claim.clause):
        is_own = len(word) >= _LONG and word != claim.word and word.lower() not in concepts.form_words()
        if is_own and not lemmas.of(word) & asked and _is_affirmed(word, said):
            return True
    figures = _figures(claim.clause)
    questions = {figure for place, _standing in places for figure in _figures(place.sentence)}
    return bool(figures & _figures(said.text) - questions)


def _is_affirmed(word: str, said: reading.Said) -> bool:
    return any(standing == "affirmed" for _clause, standing in reading.stands(said, word))


@functools.lru_cache(maxsize=4096)
def _figures(text: str) -> frozenset[str]:
    return frozenset(_FIGURE.findall(quantities.prepared(text)))


def _is_ended(
    statement: results.Statement, places: list[tuple[reading.Clause, reading.Standing]], said: reading.Said
) -> bool:
    """Whether the statement tells as past what was asked of now and answered by its end: "nicht mehr", "abgesetzt"."""
    is_old = statement.polarity == "historical" or polarity.is_historical(statement.text)
    is_asked_of_now = not any(_PAST.search(place.text) for place, _standing in places)
    return is_old and is_asked_of_now and replies.tells_end(said.text)


def _by_source_clauses(statement: results.Statement, places: list[reading.Clause], *, names_kin: bool) -> str | None:
    """Certainty, person and time by the clauses that a clinical word was said in."""
    if statement.polarity != "family" and not names_kin and all(place.is_family for place in places):
        return "person"
    is_hedged = statement.polarity == "uncertain" or _is_guess(statement.text)
    is_judged = statement.section == "A"
    if not is_hedged and all(place.is_uncertain or (is_judged and _is_guess(place.text)) for place in places):
        return "certainty"
    is_old = statement.polarity in ("historical", "family") or polarity.is_historical(statement.text)
    if not is_old and all(place.is_historical for place in places):
        return "time"
    return None


def _by_source(statement: results.Statement, said: reading.Said) -> str | None:
    """What holds for words that no table knows: the clause that all of them come from denies them, or is not sure."""
    if statement.polarity != "affirmed" or _denies(statement.text):
        return None
    stems = _stems(" ".join(clause for _begin, clause in _clauses(polarity.without_partial(statement.text))))
    if not stems:
        return None
    scored = [(len(stems & _stems(clause.text)), clause) for clause in said.clauses]
    best = max((score for score, _clause in scored), default=0)
    sources = [clause for score, clause in scored if best and score == best]
    if not sources:
        return None
    is_whole = best == len(stems)
    standings = {standing for clause in sources for standing in _standings(clause, stems)}
    if is_whole and standings and standings <= {"negated"}:
        return "negation"
    if is_whole and not _SAYS_YES.search(statement.text) and standings <= {"negated", *_UNANSWERED}:
        return "negation" if _NO_AFTER_QUESTION.search(said.text) else "question"
    if statement.section == "A" and all(_is_guess(clause.text) for clause in sources):
        return None if _is_guess(statement.text) else "certainty"
    return None


def _standings(clause: reading.Clause, stems: frozenset[str]) -> set[reading.Standing]:
    """How the words of the statement stand that the clause holds."""
    return {clause.at(start) for start, word in clause.words if _stem(word) in stems}


@functools.lru_cache(maxsize=8192)
def _stems(text: str) -> frozenset[str]:
    words = (word.lower() for word in reading.WORD.findall(text))
    return frozenset(_stem(word) for word in words if len(word) >= _LONG and word not in concepts.form_words())


def _stem(word: str) -> str:
    """What the forms of a word share; of a verb that changes its vowel, "nimmt", what its infinitive begins with."""
    forms = reading.verb_forms().get(word)
    return (min(forms) if forms else word)[:_STEM]


def is_denied(statement: results.Statement) -> bool:
    """Whether a statement says that something is not so."""
    return statement.polarity == "negated" or _denies(statement.text)


def forget() -> None:
    """Drop what is remembered of the texts of earlier runs."""
    for cache in (_claims, _denies, _figures, _has_denial, _is_guess, _stems, _tells_past):
        cache.cache_clear()
