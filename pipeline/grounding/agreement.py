"""Whether a sentence for the patient agrees with what the note says of the same thing.

Of a step of the plan: done or not, how much at most, on which side. Of a drug: when and how often it is taken. Of a
complaint: since when. Of all of them: whether it is judged good or bad. What a sentence leaves out is no disagreement,
but "höchstens" and "bei Bedarf" belong to the number behind them.

Source of the words: the table `german/agreement_words`.
"""

from __future__ import annotations

import functools
import re
from typing import Literal, NamedTuple

from pipeline import results
from pipeline.grounding import appointments, critical, reading
from terminology import tables
from terminology.drugs import catalogue as drugs
from terminology.drugs import doses, orders
from terminology.german import concepts, lemmas, sentences, vocabulary

Check = Literal["contradiction", "frequency", "side", "duration", "finding"]
_Keys = frozenset[str]

_DENIES = re.compile(r"\b(?:nicht|nichts|nie|niemals|keinesfalls|kein\w*|ohne|weder)\b", re.IGNORECASE)
#: A "nicht" that leaves what is said as it is.
_DENIES_NOTHING = re.compile(
    r"\bnicht (?:nur|vergessen|auszuschließen|ausgeschlossen|(?:ganz |so )?(?:sicher|klar|geklärt)|besser)\b|"
    r"\bvergessen sie (?:bitte )?nicht\b",
    re.IGNORECASE,
)
_DAYTIME = re.compile(r"\b(?:jeden |am |zur |zum )?(morgen|mittag|abend|nacht)s?\b", re.IGNORECASE)
#: A bound of how long, not of how much: "höchstens fünf Tage".
_FOR_DAYS = r" (?:für )?\w+ (?:tag|woche|monat|jahr)"
_TOMORROW = re.compile(r"(?<!jeden )(?<!am )\bmorgen\b", re.IGNORECASE)
_SIDES = {"links": re.compile(r"\blink(?:s|e[rsnm]?)\b", re.I), "rechts": re.compile(r"\brecht(?:s|e[rsnm]?)\b", re.I)}


@functools.cache
def _words(kind: str) -> re.Pattern[str]:
    rows = (row["pattern"] for row in tables.rows("german/agreement_words") if row["kind"] == kind)
    return re.compile(rf"(?<!\w)(?:{'|'.join(rows)})(?!\w)(?!{_FOR_DAYS})", re.IGNORECASE)


def is_advice(text: str) -> bool:
    """Whether a text says what to do for the case that something comes."""
    return _words("advice").search(text) is not None


class _Piece(NamedTuple):
    """A clause of a note's statement, and what it says of a step."""

    section: results.Section
    whole: str
    text: str
    is_denied: bool
    sides: frozenset[str]


@functools.lru_cache(maxsize=1024)
def pieces(statement_text: str, section: results.Section, polarity: results.Polarity) -> tuple[_Piece, ...]:
    """The clauses of a statement; nothing of one about relatives."""
    if polarity == "family":
        return ()
    is_off = orders.stops(statement_text) or (polarity == "negated" and not _denies(statement_text))
    return tuple(
        _Piece(section, statement_text, span.text, is_off or _denies(span.text), _sides(span.text))
        for span in sentences.clauses(statement_text)
    )


@functools.lru_cache(maxsize=2048)
def _keys(text: str) -> tuple[_Keys, ...]:
    """Each word of a text that claims something, with all its forms and what it means."""
    found: list[_Keys] = []
    for word in re.findall(r"[^\W\d_]+|\d+", text.lower()):
        if word not in concepts.form_words() and not _is_side(word):
            forms = lemmas.of(word) | {word}
            found.append(frozenset(forms | {f"={name}" for form in forms for name in concepts.of(form)}))
    return tuple(found)


def _is_side(word: str) -> bool:
    return any(pattern.fullmatch(word) for pattern in _SIDES.values())


def _sides(text: str) -> frozenset[str]:
    return frozenset(side for side, pattern in _SIDES.items() if pattern.search(text))


@functools.lru_cache(maxsize=2048)
def _denies(text: str) -> bool:
    return _DENIES.search(_DENIES_NOTHING.sub(" ", orders.without_manner(text))) is not None


def _is_akin(one: _Keys, other: _Keys) -> bool:
    return bool(one & other) or any(reading.is_akin(a, b) for a in one for b in other if a[:5] == b[:5])


@functools.lru_cache(maxsize=8192)
def _shared(words: tuple[_Keys, ...], piece: _Piece) -> int:
    return sum(any(_is_akin(word, other) for other in _keys(piece.text)) for word in words)


def fault(claim: str, statements: tuple[results.Statement, ...]) -> Check | None:
    """What a claim says otherwise than the statements of a note; None when they agree. `claim` is a sentence in the
    note's own words, without its frame.
    """
    noted = [piece for s in statements for piece in pieces(s.text, s.section, s.polarity)]
    for span in sentences.clauses(claim):
        found = _denial(span.text, noted) or _side(span.text, noted) or _judgement(span.text, noted)
        if found is not None:
            return found
    return _taking(claim, statements) or _since(claim, statements)


def _named(words: tuple[_Keys, ...], noted: list[_Piece]) -> list[_Piece]:
    """The clauses of the note that share the most words with a claim."""
    best = max((_shared(words, piece) for piece in noted), default=0)
    return [piece for piece in noted if best and _shared(words, piece) == best]


def _denial(clause: str, noted: list[_Piece]) -> Check | None:
    """Whether a step of the plan is denied or ordered otherwise than there; drugs are compared by themselves."""
    if drugs.find(clause):
        return None
    own, words = _denies(clause), _keys(clause)
    plan = [piece for piece in noted if piece.section == "P"]
    best = max((_shared(words, piece) for piece in plan if piece.is_denied != own), default=0)
    if best and not any(
        _shared(words, piece) >= best for piece in noted if piece.section != "P" or piece.is_denied == own
    ):
        return "contradiction"
    return _bound(clause, plan)


def _bound(clause: str, plan: list[_Piece]) -> Check | None:
    most, least = _words("most"), _words("least")
    for own, other in ((most, least), (least, most)):
        named = _named(_keys(clause), plan) if own.search(clause) else []
        if named and all(other.search(piece.whole) and not own.search(piece.whole) for piece in named):
            return "frequency"
    return None


def _side(clause: str, noted: list[_Piece]) -> Check | None:
    """Whether what is said of one side is said of the other one alone in the note: what is done there, not the part."""
    sides = _sides(clause)
    noted = [piece for piece in noted if piece.sides] if len(sides) == 1 else []
    for word in _keys(clause):
        if not noted or any(vocabulary.lexicon("body_parts").find(form) for form in word):
            continue
        given = [piece.sides for piece in noted if any(_is_akin(word, other) for other in _keys(piece.text))]
        if given and not any(sides & others for others in given):
            return "side"
    return None


def _judgement(clause: str, noted: list[_Piece]) -> Check | None:
    """Whether something is called good or bad that the note only names."""
    for kind in ("praise", "blame"):
        hit = _words(kind).search(clause)
        if hit is None:
            continue
        named = _named(_keys(clause.replace(hit[0], " ")), noted)
        if not any(_words(kind).search(piece.whole) for piece in named):
            return "finding"
    return None


class _Taking(NamedTuple):
    """How a drug is taken."""

    per_day: bool
    on_demand: bool
    is_most: bool
    is_least: bool
    times: frozenset[str]


@functools.lru_cache(maxsize=1024)
def _takings(text: str) -> tuple[tuple[str, _Taking], ...]:
    """Each ingredient that a text names with what it says of its taking, up to the next drug."""
    mentions = drugs.find(text)
    found: list[tuple[str, _Taking]] = []
    for index, mention in enumerate(mentions):
        end = mentions[index + 1].start if index + 1 < len(mentions) else len(text)
        words = text[0 if index == 0 else mention.start : end]
        dose = doses.parse(words)
        most, least = _words("most").search(words) is not None, _words("least").search(words) is not None
        times = frozenset(match[1].lower() for match in _DAYTIME.finditer(_TOMORROW.sub(" ", words)))
        taking = _Taking(dose.per_day is not None, dose.on_demand, most, least, times)
        found += [(name, taking) for name in mention.names]
    return tuple(found)


@functools.lru_cache(maxsize=2048)
def _ingredients(text: str) -> frozenset[str]:
    return frozenset(name for mention in drugs.find(text) for name in mention.names)


def _taking(claim: str, statements: tuple[results.Statement, ...]) -> Check | None:
    for name, own in _takings(claim):
        told = (s.text for s in statements if s.polarity != "family" and name in _ingredients(s.text))
        noted = [taking for text in told for other, taking in _takings(text) if other == name]
        if noted and not any(_is_same_taking(own, taking) for taking in noted):
            return "frequency"
    return None


def _is_same_taking(own: _Taking, noted: _Taking) -> bool:
    if (own.on_demand and not noted.on_demand) or own.times - noted.times:
        return False
    if own.per_day and noted.on_demand and not (own.on_demand or own.is_most):
        return False
    if not own.per_day:
        return not (own.is_least and not noted.is_least)
    return own.is_most == noted.is_most and own.is_least == noted.is_least


@functools.lru_cache(maxsize=2048)
def _topics(text: str) -> frozenset[str]:
    named = frozenset(concept for concept, _value in critical.manners(text, "affirmed"))
    return named | _ingredients(text)


@functools.lru_cache(maxsize=2048)
def _times(text: str) -> frozenset[appointments.Time]:
    return frozenset(appointments.find(text))


def _since(claim: str, statements: tuple[results.Statement, ...]) -> Check | None:
    """Whether a time is told of another complaint or drug than in the note; one that the note tells of none may be."""
    times = _times(claim)
    topics = _topics(claim) if times else frozenset()
    for time in times if topics else ():
        given = [_topics(s.text) for s in statements if appointments.are_known_times((time,), _times(s.text))]
        if given and all(others and not others & topics for others in given):
            return "duration"
    return None


def forget() -> None:
    """Drop what is remembered of the texts of earlier runs."""
    for cache in (pieces, _keys, _denies, _shared, _takings, _ingredients, _topics, _times):
        cache.cache_clear()
