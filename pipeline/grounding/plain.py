"""Plain German for patients: the medical words to avoid, the plain ones for them, and phrases that claim nothing."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from terminology import tables
from terminology.german import concepts, vocabulary


def closings() -> tuple[str, ...]:
    """The fixed sentences that may stand in a summary without evidence, the one that fits everywhere first."""
    return tuple(row["phrase"] for row in tables.rows("german/summary_phrases") if row["kind"] == "closing")


def nothing() -> str:
    """The fixed sentence for a note that says nothing."""
    return next(row["phrase"] for row in tables.rows("german/summary_phrases") if row["kind"] == "nothing")


class Jargon(NamedTuple):
    """A medical word found in a text: the table's term and what a patient calls it."""

    term: str
    plain: str


_ENDINGS = ("", "e", "en", "er", "es", "em", "n", "s")
_ASIDE = re.compile(r"\([^)]*\)")
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")


@functools.cache
def _jargon_words() -> tuple[vocabulary.Lexicon, re.Pattern[str], dict[str, str]]:
    """The lexicon of whole words, the pattern of those that end a compound, and the plain word of each."""
    table = tables.rows("german/jargon")
    rows = {f"{row['term']}{ending}": row["term"] for row in reversed(table) for ending in _ENDINGS}
    lexicon = vocabulary.Lexicon(
        [{"form": form, "term": term} for form, term in rows.items()], "form", whole_words=True
    )
    ends = "|".join(re.escape(row["term"]) for row in table if row["in_compounds"] == "J")
    compound = re.compile(rf"\w(?P<term>{ends})(?:{'|'.join(_ENDINGS)})$", re.IGNORECASE)
    return lexicon, compound, {row["term"]: row["plain"] for row in table}


def jargon(text: str) -> list[Jargon]:
    """The medical words of a text outside brackets, where a plain word may be explained by the medical one."""
    lexicon, compound, plain = _jargon_words()
    text = _ASIDE.sub(" ", text)
    hits = lexicon.find(text)
    terms = [hit.row["term"] for hit in hits]
    whole = {hit.text.lower() for hit in hits}
    for word in _WORD.findall(text):
        match = compound.search(word)
        if match is not None and word.lower() not in whole:
            terms.append(match["term"].lower())
    return [Jargon(term, plain[term]) for term in terms]


@functools.cache
def _replacements() -> tuple[tuple[str, str], ...]:
    """Every (word, other word for it) of medical and plain ones in lower case, the longest plain words first."""
    found = {(row["term"].lower(), row["plain"].lower()) for row in tables.rows("german/plain_words")}
    found |= {(row["term"].lower(), row["plain"].lower()) for row in tables.rows("german/jargon")}
    pairs = sorted(found, key=lambda pair: (-len(pair[1]), pair))
    return tuple(either for term, plain in pairs for either in ((plain, term), (term, plain)))


@functools.cache
def _places() -> dict[str, list[int]]:
    """Where each word stands among the replacements."""
    found: dict[str, list[int]] = {}
    for place, (own, _other) in enumerate(_replacements()):
        found.setdefault(own, []).append(place)
    return found


@functools.cache
def _either_word() -> vocabulary.Lexicon:
    return vocabulary.Lexicon([{"word": word} for word in _places()], "word")


def _next_places(text: str, after: int) -> list[int]:
    """The replacements from `after` on whose word stands in the text, also inside of longer words."""
    named = {hit.row["word"] for hit in _either_word().find_all(text)}
    return sorted((place for word in named for place in _places()[word] if place >= after), reverse=True)


def in_words_of(text: str, said: str) -> str:
    """`text` with each plain word in the medical word that `said` uses for it, and the other way round."""
    source = said.lower()
    places = _next_places(text, 0)
    while places:
        place = places.pop()
        own, other = _replacements()[place]
        if own not in source and other in source:
            text = re.sub(rf"(?<!\w){re.escape(own)}", other, text, flags=re.IGNORECASE)
            places = _next_places(text, place + 1)
    return text


@functools.cache
def _frames() -> vocabulary.Lexicon:
    rows = [row for row in tables.rows("german/summary_phrases") if row["kind"] == "frame"]
    return vocabulary.Lexicon(rows, "phrase", whole_words=True)


@functools.cache
def _steps() -> tuple[tables.Row, ...]:
    return tuple(row for row in tables.rows("german/summary_phrases") if row["kind"] == "step")


def steps(order: str) -> list[str]:
    """What a statement of the plan orders, each kind of step once and in the name that fits best."""
    best: dict[str, str] = {}
    for action, name in _named(order):
        best.setdefault(action, name)
    return list(best.values())


def _named(order: str) -> Iterator[tuple[str, str]]:
    """Every name that the table has for what is ordered, behind its kind."""
    kinds = {hit.row["kind"] for hit in vocabulary.lexicon("actions").find(order)}
    for row in _steps():
        if row["action"] in kinds and re.search(row["needs"], order, re.IGNORECASE):
            yield row["action"], row["phrase"]


def words_for(name: str) -> str:
    """What a patient calls a complaint or an illness: the whole name or each medical word of it in plain German.

    What the tables do not know stays as it is, so that `jargon` still finds it.
    """
    known = _plain_words()
    if name.lower() in known:
        return known[name.lower()]
    return _WORD.sub(lambda match: known.get(match.group().lower(), match.group()), name)


@functools.cache
def _plain_words() -> dict[str, str]:
    return {row["term"]: row["plain"] for name in ("plain_words", "jargon") for row in tables.rows(f"german/{name}")}


def ordered(plan: Iterable[str]) -> frozenset[str]:
    """The names of every step that one of these statements orders."""
    return frozenset(name for order in plan for _action, name in _named(order))


def claim(text: str, names: frozenset[str]) -> tuple[str, bool]:
    """What is left of a sentence without its framing, and whether a step was taken out of it that is `ordered`."""
    has_step = False
    lowered = text.lower()
    for phrase in (row["phrase"] for row in _steps() if row["phrase"].lower() in lowered):
        if phrase in names:
            text = re.sub(re.escape(phrase), " ", text, flags=re.IGNORECASE)
            has_step = True
    return unframed(text), has_step


def unframed(text: str) -> str:
    """A text without the phrases that only frame what is said: "Die Diagnose ist:"."""
    for hit in reversed(_frames().find(text)):
        text = f"{text[: hit.start]} {text[hit.end :]}"
    return text


def has_content(text: str) -> bool:
    """Whether there is a figure or a word that claims something."""
    return any(word[0].isdigit() or word not in concepts.form_words() for word in re.findall(r"\w+", text.lower()))


def bare(text: str) -> str:
    """The words of a text in lower case."""
    return " ".join(re.findall(r"\w+", text.lower()))
