"""Conditions, risks, fears and purposes: what was only supposed is not stated as what is, or is to be done."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence

from pipeline import results, segments
from pipeline.grounding import places, quotes, reading
from terminology import tables
from terminology.german import concepts

_LAY = ("patient", "relative")
#: A condition. A patient's says when something happens: "wenn ich Treppen steige, krieg ich keine Luft".
_WHEN = re.compile(r"\b(?:wenn(?:'?s)?|sobald|sofern|solange|falls|vorausgesetzt)\b", re.IGNORECASE)
_CASE = re.compile(r"\b(?:falls|vorausgesetzt)\b", re.IGNORECASE)
#: A condition that was not so, or is not so yet.
_UNREAL = re.compile(
    r"\b(?:wäre|wären|wär|hätte|hätten|hätt|würde|würden|müsste|müssten|könnte|könnten|bräuchte|bräuchten|sollte|sollten)\b",
    re.IGNORECASE,
)
#: "Bei Atemnot rufen Sie den Notarzt": what stands after a bare "bei" in an order.
_IN_CASE = re.compile(
    r"\b(?:bei|im fall von)\s+(?!(?:der|dem|den|ihre[rmn]?|ihnen|diese[rmn]?|bekannte\w*)\b)", re.IGNORECASE
)
_AFTER_CASE = 40  # characters after it
_IMPERATIVE = re.compile(
    r"\b(?!haben\b|sind\b|kriegen\b|bekommen\b|leiden\b|merken\b|spüren\b|waren\b|hatten\b)\w{3,}en sie\b|\bbitte\b",
    re.IGNORECASE,
)
_SO_FAR = re.compile(r"\b(?:daher|deshalb|deswegen|weil)\b", re.IGNORECASE)


def fault(statement: results.Statement, said: reading.Said, cited: Sequence[quotes.Cited]) -> str | None:
    """ "condition" when something that was only supposed is stated without a word that keeps it so; else None."""
    if statement.polarity not in ("affirmed", "negated") or _kept().search(statement.text):
        return None
    spans = _supposed(tuple((item.text, item.speaker) for item in cited))
    if len(spans) != len(said.clauses) or not any(spans):
        return None
    general: list[bool] = []
    has_clinical = False
    for claim in places.claims(statement.text):
        found = places.of(claim, said.clauses)
        told = [
            place for place in found if said.clauses[place.clause].at(place.start) in ("affirmed", "negated")
        ] or found
        states = [any(start <= place.start < end for start, end in spans[place.clause]) for place in told]
        if claim.is_clinical and states:
            has_clinical = True
            if all(states):
                return "condition"
        elif concepts.kin(claim.word) is None:
            general += states
    return "condition" if not has_clinical and general and all(general) else None


@functools.lru_cache(maxsize=2048)
def _supposed(parts: tuple[tuple[str, segments.Speaker], ...]) -> tuple[tuple[tuple[int, int], ...], ...]:
    """For every clause of what was said where it only supposes, as (start, end) in its text."""
    found: list[tuple[tuple[int, int], ...]] = []
    for text, speaker in parts:
        for sentence in _by_sentence(reading.clauses_of(text, speaker, False)):
            found += _of_sentence([clause.text for clause in sentence], speaker)
    return tuple(found)


def _by_sentence(clauses: tuple[reading.Clause, ...]) -> Iterator[list[reading.Clause]]:
    group: list[reading.Clause] = []
    for clause in clauses:
        if group and clause.sentence != group[-1].sentence:
            yield group
            group = []
        group.append(clause)
    if group:
        yield group


def _of_sentence(clauses: list[str], speaker: segments.Speaker) -> list[tuple[tuple[int, int], ...]]:
    found: list[list[tuple[int, int]]] = [[] for _clause in clauses]
    is_whole = False
    for number, clause in enumerate(clauses):
        if is_whole:
            found[number].append((0, len(clause)))
        for scope, pattern in _words().items():
            for match in pattern.finditer(clause):
                if scope == "opening" and match.start() > 0:
                    continue
                start = match.end() if scope == "after" else match.start() if scope == "rest" else 0
                found[number].append((start, len(clause)))
                is_whole = is_whole or scope in ("rest", "opening", "sentence")
        if _IMPERATIVE.search(clause) and speaker not in _LAY:
            found[number] += [(m.end(), m.end() + _AFTER_CASE) for m in _IN_CASE.finditer(clause)]
    for number in _conditions(clauses, speaker):
        found[number].append((0, len(clauses[number])))
    return [tuple(spans) for spans in found]


def _conditions(clauses: list[str], speaker: segments.Speaker) -> Iterator[int]:
    """The clauses of a sentence that a "wenn" supposes: its own and those after it; the one before it when it ends
    the sentence and an order goes before it.
    """
    at = next((number for number, clause in enumerate(clauses) if _WHEN.search(clause)), None)
    if at is None:
        return
    told = ", ".join(clauses)
    is_order = speaker not in _LAY and _orders().search(told) is not None
    if not is_order and not _UNREAL.search(told) and not _CASE.search(clauses[at]):
        return
    before = clauses[at - 1] if 0 < at == len(clauses) - 1 else ""
    is_case = speaker not in _LAY and _CASE.search(clauses[at]) is not None
    if before and (is_case or _orders().search(before) or _UNREAL.search(before)):
        yield at - 1
    for number in range(at, len(clauses)):
        if number > at and _SO_FAR.search(clauses[number]):
            return
        yield number


@functools.cache
def _words() -> dict[str, re.Pattern[str]]:
    """Words that suppose, by how far they reach. Source: the table `german/supposing`."""
    by_scope: dict[str, list[str]] = {}
    for row in tables.rows("german/supposing"):
        by_scope.setdefault(row["scope"], []).append(row["pattern"])
    return {
        scope: re.compile(rf"\b(?:{'|'.join(f'(?:{p})' for p in patterns)})(?!\w)", re.IGNORECASE)
        for scope, patterns in by_scope.items()
    }


@functools.cache
def _orders() -> re.Pattern[str]:
    return re.compile(
        rf"\b(?:{'|'.join(row['pattern'] for row in tables.rows('german/supposed_orders'))})", re.IGNORECASE
    )


@functools.cache
def _kept() -> re.Pattern[str]:
    """Words of a statement that keep what it says supposed. Source: the table `german/supposed_kept`."""
    words = "|".join(row["pattern"] for row in tables.rows("german/supposed_kept"))
    return re.compile(rf"\b(?:{words})\b", re.IGNORECASE)


def forget() -> None:
    """Drop what is remembered of the texts of earlier runs."""
    _supposed.cache_clear()
