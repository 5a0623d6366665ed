"""Complaints and red flags of a text, and how each is told: there, not there, once, or as advice for when it comes."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline import results
from pipeline.grounding import answers
from terminology import tables
from terminology.german import polarity, sentences, vocabulary

_ADVICE = re.compile(
    r"^(?:und |aber |also |wichtig:? )*(?:wenn|falls|sollten?|sobald|bei)\b.*\b(?:112|eins eins zwei|sofort|gleich|"
    r"kommen|melden|rufen|anrufen|wieder|notaufnahme|notdienst|notarzt)\b",
    re.IGNORECASE | re.DOTALL,
)
_ADVICE_FIRST = re.compile(
    r"\b(?:(?:kommen|rufen|melden|gehen) sie|112|notaufnahme|wiederkommen|wiedervorstellung|vorstellen)\b.*"
    r"\b(?:wenn|falls|sobald)\b",
    re.IGNORECASE | re.DOTALL,
)
#: A new statement after "und": what its verb says is not denied by a "nicht" before it.
_NEXT_VERB = re.compile(
    r"\s+und\s+(?=(?:(?:ich|er|sie|es|jetzt|dann|da) )*"
    r"(?:kann|konnte|hab|habe|hat|hatte|bin|ist|sind|war|krieg\w*|bekomm\w*|muss\w*|tut|seh\w*|blute\w*|kommt|wird)\b)",
    re.IGNORECASE,
)
_SAYS_DENIED = re.compile(r"^\W*(?:vernein\w*|keine? angabe|nein)\b", re.IGNORECASE)
#: What a "nicht" takes back: "nicht schlecht Luft" is no complaint.
_DOUBLE = re.compile(r"\b(?:nicht|nie|kein\w*|keineswegs) (?:schlecht|schwer|kaum|wenig)\w*", re.IGNORECASE)
_LISTED = 5  # words of an item in a list at most


@dataclass(frozen=True, slots=True)
class _Named:
    """A complaint at its place. `is_own_no`: its own words hold a "nicht" that states it."""

    concept: str
    start: int
    end: int
    is_own_no: bool


def is_advice(text: str) -> bool:
    """Whether a text says what to do when something comes: what it names is not there yet."""
    return _ADVICE.match(text) is not None or _ADVICE_FIRST.search(text) is not None


@functools.cache
def red_flags() -> frozenset[str]:
    """The names of the red flags of the table `german/red_flags`."""
    return frozenset(row["flag"] for row in tables.rows("german/red_flags"))


def concepts(text: str) -> frozenset[str]:
    """The complaints that a text names, a red flag by its own name."""
    return frozenset(named.concept for named in _named(text))


def manners(text: str, whole: results.Polarity | None) -> Iterator[tuple[str, str]]:
    """Each complaint that `text` names, a red flag by its own name, with yes, no, was or if.

    `whole` is the polarity of all of the text, None where each clause speaks for itself. A "nicht" that belongs to the
    words of a complaint denies neither it nor what stands beside it.
    """
    text = _affirmed(text)
    named = concepts(text)
    if not named:
        return
    if is_advice(text):
        for concept in named:
            yield concept, "if"
        return
    if whole == "negated" and _is_negated_by_own_no(text):
        whole = "affirmed"
    before = ""
    for part in _parts(text):
        hits = _named(part)
        bare = _without(part, [hit for hit in hits if hit.is_own_no])
        value = manner(bare, whole)
        if whole is None and value == "yes" and before == "no" and _goes_on(part, text):
            value = "no"
        before = value
        for hit in hits:
            yield hit.concept, _own_manner(bare, text, whole) if hit.is_own_no else value


def _affirmed(text: str) -> str:
    """A question and its answer in one text as the answer affirms it: "Suizidgedanken haben keine: doch, manchmal"."""
    question, colon, answer = text.partition(": ")
    says = answers.kind(answer) if colon else None
    if says not in ("against", "some"):
        return text
    return f"{unnegated(question, keeps_own=says == 'some')}: {answer}"


def manner(clause: str, whole: results.Polarity | None) -> str:
    """Whether what a clause tells is so, by its words and by the polarity of the whole: yes, no or was."""
    if whole == "negated" or (whole != "historical" and polarity.is_negated(clause)):
        return "no"
    if whole == "historical" or (whole is None and polarity.is_historical(clause)):
        return "was"
    return "yes"


def unnegated(text: str, *, keeps_own: bool) -> str:
    """A question without its "nicht" and "kein", which an answer speaks against: "Schmerzen haben Sie keine? Doch."

    `keeps_own`: a "nicht" that belongs to the words of a complaint stays.
    """
    kept = [(hit.start, hit.end) for hit in _named(text) if hit.is_own_no] if keeps_own else []

    def blank(match: re.Match[str]) -> str:
        return match[0] if any(start <= match.start() < end for start, end in kept) else " "

    return _NO_WORD.sub(blank, text)


_NO_WORD = re.compile(r"\b(?:kein(?:e[nmrs]?|s)?|nicht|ned|net|nie(?:mals)?|ohne|nichts|nix)\b", re.IGNORECASE)


def _named(text: str) -> list[_Named]:
    flags = [(hit, hit.row["flag"], hit.row["term"]) for hit in vocabulary.lexicon("red_flags").find_all(text)]
    others = [(hit, hit.row["concept"], hit.row["stem"]) for hit in vocabulary.lexicon("symptoms").find(text)]
    return [
        _Named(concept, hit.start, hit.end, _states_by_no(pattern) and _is_whole(hit, text))
        for hit, concept, pattern in (*flags, *others)
    ]


def _is_whole(hit: vocabulary.Hit, text: str) -> bool:
    """Whether a hit is all of its words: "keine Luft", not "keine Luftnot"; and no "nicht schlecht Luft"."""
    return not text[hit.end : hit.end + 1].isalpha() and _DOUBLE.search(hit.text) is None


@functools.cache
def _states_by_no(pattern: str) -> bool:
    """Whether the words of a table's row hold a negation of their own."""
    return polarity.is_negated(pattern)


def _without(text: str, hits: list[_Named]) -> str:
    """`text` with blanks for the words of these complaints."""
    for hit in hits:
        text = f"{text[: hit.start]}{' ' * (hit.end - hit.start)}{text[hit.end :]}"
    return text


def _parts(text: str) -> list[str]:
    return [part for clause in sentences.clauses(text) for part in _NEXT_VERB.split(clause.text)]


def _goes_on(clause: str, text: str) -> bool:
    """Whether a denial goes on in this clause: "keine Übelkeit, Erbrechen oder Durchfall"."""
    return " oder " in text and len(clause.split()) <= _LISTED


def _is_negated_by_own_no(text: str) -> bool:
    """Whether all that is negated in a text is the "nicht" that states a complaint: "kann das Wasser nicht halten"."""
    own = [hit for hit in _named(text) if hit.is_own_no]
    return bool(own) and not _is_denial(text) and not polarity.is_negated(_without(text, own))


def _is_denial(text: str) -> bool:
    """Whether a text denies by its frame: "Verneint: …", or a question that was answered by no."""
    return _SAYS_DENIED.match(text) is not None or text.rstrip().endswith("?")


def _own_manner(bare: str, text: str, whole: results.Polarity | None) -> str:
    """The manner of a complaint that its own "nicht" states, in a text that may be called negated for that "nicht"."""
    if whole != "negated":
        return manner(bare, whole)
    return "no" if _is_denial(text) or polarity.is_negated(bare) else "yes"
