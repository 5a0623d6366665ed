"""A clause of what was said, with its standing; a question gets its own from the answer."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from pipeline import segments
from pipeline.grounding import replies
from terminology.german import concepts, lemmas, polarity

#: How something stands in a clause. Of a question that was answered with neither yes nor no, `open` is what it takes
#: for granted and `unclear` what it asks.
Standing = Literal["affirmed", "negated", "asked", "open", "unclear"]

_WORD = re.compile(r"[^\W\d_]+")
_CONTENT = 4  # letters of a word by which an answer names what was asked
_SENTENCES = 2  # of an answer that may tell apart what was asked
#: A question that is built around a verb: "nehmen Sie das noch".
_VERB = re.compile(r"\b(?:\w+(?:en|st|t) (?:sie|du|ihr)|(?:sie|du|ihr) \w+(?:en|st|t))\b", re.IGNORECASE)
_ITEM = re.compile(r"\b(?:oder|und|bzw|beziehungsweise|sowie)\b|/", re.IGNORECASE)


@functools.lru_cache(maxsize=8192)
def _is_uncertain(clause: str) -> bool:
    return polarity.is_uncertain(clause)


@functools.lru_cache(maxsize=8192)
def _is_historical(clause: str) -> bool:
    return polarity.is_historical(clause)


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause. `denied` is where its negation holds, (start, end) in `text`; None when it negates nothing. `items`
    are the parts of a question that its answer tells apart, each with its place and standing.
    """

    text: str
    sentence: str
    words: tuple[tuple[int, str], ...]
    denied: tuple[int, int] | None
    standing: Standing
    is_family: bool
    speaker: segments.Speaker
    items: tuple[tuple[int, int, Standing], ...] = ()

    @property
    def is_uncertain(self) -> bool:
        """Whether the clause is hedged."""
        return _is_uncertain(self.text)

    @property
    def is_historical(self) -> bool:
        """Whether the clause speaks of the past."""
        return _is_historical(self.text)

    def at(self, position: int) -> Standing:
        """How what stands at `position` stands."""
        for start, end, standing in self.items:
            if start <= position < end:
                return standing
        if self.standing != "affirmed":
            return self.standing
        return "negated" if self.denied and self.denied[0] <= position < self.denied[1] else "affirmed"


def answered(clauses: list[Clause]) -> Iterator[Clause]:
    """The clauses, each question with the standing that its answer gives it: the words of the next speaker after it,
    or the speaker's own where nobody else speaks.
    """
    runs = _runs(clauses)
    for index, run in enumerate(runs):
        last = max((place for place, clause in enumerate(run) if clause.standing == "asked"), default=-1)
        first = last
        while first > 0 and run[first - 1].standing == "asked":
            first -= 1
        told = next((lead for later in runs[index + 1 : index + 4 : 2] if (lead := _statements(later))), [])
        if not told and index + 1 == len(runs):
            yield from _by_itself(run)
            continue
        yield from run[: max(first, 0)]
        yield from _with_answer(run[max(first, 0) : last + 1], told)
        yield from run[last + 1 :]


def _runs(clauses: list[Clause]) -> list[list[Clause]]:
    found: list[list[Clause]] = []
    for clause in clauses:
        if found and found[-1][-1].speaker == clause.speaker:
            found[-1].append(clause)
        else:
            found.append([clause])
    return found


def _statements(run: list[Clause]) -> list[Clause]:
    """What a speaker says before asking."""
    end = next((place for place, clause in enumerate(run) if clause.standing == "asked"), len(run))
    return run[:end]


def _by_itself(run: list[Clause]) -> Iterator[Clause]:
    """The clauses of one speaker who answers himself: "Fieber? Nein." """
    place = 0
    while place < len(run):
        end = place
        while end < len(run) and run[end].standing == "asked":
            end += 1
        yield from _with_answer(run[place:end], _statements(run[end:])) if end > place else [run[place]]
        place = max(end, place + 1)


def _with_answer(questions: list[Clause], told: list[Clause]) -> Iterator[Clause]:
    spoken = tuple(dict.fromkeys(clause.sentence for clause in told))[:_SENTENCES]
    if not spoken:
        yield from questions
        return
    asked = frozenset(form for clause in questions for _start, word in clause.words for form in lemmas.of(word))
    answer = replies.of(spoken, asked)
    wanted = frozenset[str]().union(*(_asked_in(clause, 0, len(clause.text)) for clause in questions))
    named = _Named(answer, [clause for clause in told if clause.sentence in spoken], wanted)
    parts = [(clause, span, named.standing(clause, *span)) for clause in questions for span in _items(clause)]
    is_list = _is_list(questions) and len(parts) > 1 and not replies.names_all(spoken[0])
    found = {standing for _clause, _span, standing in parts} - {None}
    rest = _rest(answer, spoken, is_named=bool(found), is_specific=named.is_specific)
    negated = {clause.sentence for clause in questions if clause.denied}
    by_clause: dict[Clause, dict[tuple[int, int], Standing | None]] = {}
    for clause, span, standing in parts:
        by_clause.setdefault(clause, {})[span] = standing
    for clause in questions:
        whole = _whole(clause, answer, spoken, is_denied=clause.sentence in negated)
        own = by_clause.get(clause, {})
        spans = tuple((*span, standing or rest or whole.standing) for span, standing in own.items())
        if not spans or replies.asks_value(clause.sentence):
            yield whole
        elif is_list and found:
            yield replace(whole, standing=spans[0][2], denied=None, items=spans)
        elif answer in ("yes", "contrary") and found == {"negated"}:
            yield replace(whole, standing="negated")
        else:
            yield whole


def _is_list(questions: list[Clause]) -> bool:
    """Whether several things are asked of at once, and no sentence is built around one of them."""
    return any(" oder " in f" {clause.text.lower()} " for clause in questions) or not any(
        _VERB.search(clause.text) for clause in questions if not clause.sentence.startswith(clause.text)
    )


def _rest(answer: replies.Answer, told: tuple[str, ...], *, is_named: bool, is_specific: bool) -> Standing | None:
    """How what the answer does not name stands beside what it names; None: as the answer says."""
    if not is_named:
        return None
    if replies.leaves_rest(" ".join(told)):
        return "negated"
    return "unclear" if is_specific or answer != "no" else None


class _Named:
    """How what a question asks of stands in the answer's own words. A whole no denies all that the answer does not set
    apart from it; one that names something, "kein Fieber", denies no more than that.
    """

    def __init__(self, answer: replies.Answer, told: list[Clause], asked: frozenset[str]) -> None:
        first = frozenset(key for _start, word in told[0].words for key in _keys(word))
        self._refused = first & asked if answer == "no" else frozenset[str]()
        self._heard: dict[str, Standing] = {}
        for clause in told:
            is_apart = answer != "no" or replies.sets_apart(clause.text)
            for place, word in clause.words:
                standing = clause.at(place)
                for key in _keys(word) if is_apart or standing == "negated" else ():
                    if self._heard.get(key) != "affirmed":
                        self._heard[key] = standing

    @property
    def is_specific(self) -> bool:
        """Whether a no is to what it names alone."""
        return bool(self._refused)

    def standing(self, question: Clause, start: int, end: int) -> Standing | None:
        """How the part of a question from `start` to `end` stands; None where the answer does not name it."""
        keys = _asked_in(question, start, end)
        if keys & self._refused:
            return "negated"
        standings = {self._heard[key] for key in keys & self._heard.keys()}
        return "affirmed" if "affirmed" in standings else next(iter(standings), None)


def _asked_in(question: Clause, start: int, end: int) -> frozenset[str]:
    """The keys of what the part of a question from `start` to `end` asks of."""
    words = (word for place, word in question.words if start <= place < end and _claims(word))
    return frozenset(key for word in words for key in _keys(word))


def _whole(question: Clause, answer: replies.Answer, told: tuple[str, ...], *, is_denied: bool) -> Clause:
    """A question as one that was answered as a whole."""
    if replies.asks_value(question.sentence):
        if is_denied:
            return replace(question, standing="affirmed")
        return replace(question, standing="negated" if answer == "no" else "open")
    if answer == "unclear":
        return replace(question, standing="unclear", denied=None)
    if answer == "no":
        return replace(question, standing="negated")
    if answer == "contrary" or not is_denied:
        return replace(question, standing="affirmed", denied=None)
    return replace(question, standing="negated" if replies.agrees_to_denial(question.sentence, told[0]) else "unclear")


def _items(question: Clause) -> list[tuple[int, int]]:
    """The places of what a clause of a question asks of: "Brustschmerzen oder Luftnot" asks of two things."""
    cuts = [match.span() for match in _ITEM.finditer(question.text)]
    starts = [0, *(end for _start, end in cuts)]
    ends = [*(start for start, _end in cuts), len(question.text)]
    return [
        span
        for span in zip(starts, ends, strict=True)
        if any(span[0] <= place < span[1] and _claims(word) for place, word in question.words)
    ]


def _claims(word: str) -> bool:
    return len(word) >= _CONTENT and not replies.is_light(word)


def _keys(word: str) -> frozenset[str]:
    """What two words share that say the same: a dictionary form or a concept."""
    forms = lemmas.of(word)
    return forms.union(*(concepts.of(form) for form in forms))


def forget() -> None:
    """Drop what is remembered of the texts of earlier runs."""
    for cache in (_is_uncertain, _is_historical):
        cache.cache_clear()
