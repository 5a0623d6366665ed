"""What has a direction keeps it: from one drug to another, before and after an event."""

from __future__ import annotations

import functools
import re

from pipeline import results
from pipeline.grounding import drugs, reading
from terminology.drugs import catalogue
from terminology.german import concepts, lemmas
from terminology.german import quantities as said_quantities

_ARTICLE = r"(?:(?:der|dem|den|das|die|ein(?:e[mnr]?)?|ihre[mnr]?|meine[mnr]?|aktuell|bisher\w*|derzeit\w*)\s+){0,2}$"
_FROM = re.compile(rf"\b(?:von|vom)\s+{_ARTICLE}", re.IGNORECASE)
_TO = re.compile(rf"\b(?:auf|zu|zum)\s+{_ARTICLE}", re.IGNORECASE)
_FOR = re.compile(rf"\b(?:durch|gegen)\s+{_ARTICLE}", re.IGNORECASE)
_INSTEAD = re.compile(rf"\b(?:statt|anstatt|anstelle(?:\s+von)?)\s+{_ARTICLE}", re.IGNORECASE)
_SWAPS = re.compile(r"(?:tausch|ersetz|wechsel|umstell|umgestell|stell\w*\b.*\bum\b)", re.IGNORECASE)
_SENTENCE = re.compile(r"[.!?]\s")
_NEAR = 40  # characters before a drug's name in which the word stands that says its direction
_EVENT = re.compile(
    r"\b(vor|nach)\s+(?:(?:der|dem|den|das|die|einer|einem|jeder|jedem|allen|ihrer|ihrem|meiner|meinem)\s+)?"
    r"([^\W\d_]{2,})",
    re.IGNORECASE,
)
_CHANGE = tuple[frozenset[str], frozenset[str]]


def fault(statement: results.Statement, said: reading.Said) -> str | None:
    """ "drug" when a statement turns a change of drugs round, "date" when it puts before an event what comes after."""
    given = _changes(said.text)
    for old, new in _changes(statement.text) if given else ():
        is_turned = any(old & later and new & first for first, later in given)
        if is_turned and not any(old & first and new & later for first, later in given):
            return "drug"
    told = _events(said.text)
    for word, prepositions in _events(statement.text).items() if told else ():
        same = [others for other, others in told.items() if _is_same(word, other)]
        if same and not prepositions & frozenset().union(*same):
            return "date"
    return None


@functools.lru_cache(maxsize=4096)
def _changes(text: str) -> tuple[_CHANGE, ...]:
    """The changes of drugs that a text tells: what is given up, and what comes in its place."""
    told = said_quantities.prepared(text)
    mentions = drugs.mentions(told)
    found: list[_CHANGE] = []
    for index, mention in enumerate(mentions):
        before = told[max(0, mention.start - _NEAR) : mention.start]
        following = mentions[index + 1] if index + 1 < len(mentions) else None
        preceding = mentions[index - 1] if index else None
        later = following if _are_together(mention, following, told) else None
        earlier = preceding if preceding and _are_together(preceding, mention, told) else None
        if _INSTEAD.search(before) and (other := later or earlier):
            found.append((frozenset(mention.names), frozenset(other.names)))
        elif later is None:
            continue
        elif (_FROM.search(before) and _TO.search(told[mention.end : later.start])) or (
            _FOR.search(told[mention.end : later.start]) and _SWAPS.search(_around(told, mention, later))
        ):
            found.append((frozenset(mention.names), frozenset(later.names)))
    return tuple(found)


def _are_together(one: catalogue.Mention, other: catalogue.Mention | None, told: str) -> bool:
    """Whether one sentence holds two drugs."""
    return other is not None and _SENTENCE.search(told, one.end, other.start) is None


def _around(told: str, one: catalogue.Mention, other: catalogue.Mention) -> str:
    before = told[max(0, one.start - _NEAR) : one.start]
    return f"{_SENTENCE.split(before)[-1]} {_SENTENCE.split(told[one.end : other.end + _NEAR])[0]}"


@functools.lru_cache(maxsize=4096)
def _events(text: str) -> dict[str, frozenset[str]]:
    """The events before or after which something is to be or was, each with "vor" and "nach" as they were said."""
    found: dict[str, set[str]] = {}
    for match in _EVENT.finditer(said_quantities.prepared(text)):
        word = match[2].lower()
        if match[2][0].isupper() and word not in concepts.form_words():
            found.setdefault(word, set()).add(match[1].lower())
    return {word: frozenset(prepositions) for word, prepositions in found.items()}


def _is_same(one: str, other: str) -> bool:
    return one == other or bool(lemmas.of(one) & lemmas.of(other)) or reading.is_akin(one, other, ending=2)


def forget() -> None:
    """Drop what is remembered of the texts of earlier runs."""
    _changes.cache_clear()
    _events.cache_clear()
