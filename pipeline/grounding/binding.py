"""Which thing a quantity was said of: "Am Montag Röntgen, am Freitag OP" is no operation on Monday.

A text falls into parts at its commas, sentences, "und" and "aber". A quantity of the statement must stand in one of the
parts of the talk that speak of what its own part speaks of, where the talk has several that could be meant.
"""

from __future__ import annotations

import functools
import itertools
import re
from dataclasses import dataclass
from typing import Final

from pipeline.grounding import carriers, drugs, owners, reading
from terminology import labs
from terminology.german import concepts, lemmas
from terminology.german import quantities as said_quantities
from terminology.german.quantities import Quantity

_STEM: Final = 5  # letters by which a word is found again
_SHORT: Final = 4  # letters of a word that longer words may begin with: Knie, Ruhe, Hüft
_PART = re.compile(r"[,;:]\s|[.!?]\s|\b(?:und|aber)\b", re.IGNORECASE)
_TIME_WORD = re.compile(r"(?:tag|woche|monat|jahr|stund|minut|uhr|seit|vor|nach)(?:e[nrs]?|n|s)?", re.IGNORECASE)
_ELSEWHERE = frozenset({"code", "ordinal", "age"})  # what other checks look after
_YEARS = (1900, 2100)
_MOST: Final = 8  # quantities of a part that others are joined to
_HOURS: Final = 24
_DAY: Final = 86400
_DAILY = r"täglich|tgl|tägl|(?:am|pro|jeden)\s+tag|jeden\s+(?:morgen|abend|mittag)|jede\s+nacht"
_WEEKDAY = r"montag|dienstag|mittwoch|donnerstag|freitag|samstag|sonnabend|sonntag"
_WEEKLY = rf"wöchentlich|(?:pro|in\s+der|die|jede|jeder)\s+woche|(?:{_WEEKDAY})s|jeden\s+(?:{_WEEKDAY})"
_MONTHLY = r"monatlich|(?:pro|im|jeden)\s+monat"
_YEARLY = r"jährlich|(?:pro|im|jedes)\s+jahr"
_RHYTHMS = tuple(
    (re.compile(rf"\b(?:{words})\b", re.IGNORECASE), days * _DAY)
    for words, days in ((_DAILY, 1), (_WEEKLY, 7), (_MONTHLY, 30), (_YEARLY, 365))
)
_EVERY_OTHER = re.compile(r"\bjede[nr]?\s+(\d)\.\s+(tag|woche|monat)", re.IGNORECASE)
_LENGTHS = {"tag": _DAY, "woche": 7 * _DAY, "monat": 30 * _DAY}


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a text: its lower-case text, the keys by which its words are found again, and its quantities."""

    text: str
    keys: frozenset[str]
    words: tuple[frozenset[str], ...]
    quantities: tuple[Quantity, ...]
    drugs: frozenset[str]


def moved(text: str, said: reading.Said) -> Quantity | None:
    """The first quantity of a statement that was said of something else than the statement says it of."""
    claims, given = _parts(text), _parts(said.text)
    if len(claims) == 1 and len(given) < 2:
        return None
    for part in claims:
        for claim in part.quantities:
            if _group(claim) not in _ELSEWHERE and (
                _is_moved(claim, part, given, said) or _is_parted(claim, part, given, said)
            ):
                return claim
    return None


def is_other_rhythm(text: str, told: str) -> bool:
    """Whether a statement says "täglich" of what was said to be every week or every third day."""
    claimed, given = _rhythms(text, of_words=True), _rhythms(told, of_words=False)
    return bool(given) and bool(claimed - given)


def _rhythms(text: str, *, of_words: bool) -> frozenset[int]:
    written = said_quantities.prepared(text)
    found = {length for pattern, length in _RHYTHMS if pattern.search(written)}
    if of_words:
        return frozenset(found)
    for other in said_quantities.find(text):
        if other.kind == "measure" and other.role == "every":
            found.add(int(other.values[0] * (30 * _DAY if other.unit == "Monat" else 1)))
        elif (other.kind == "mark" and other.unit in owners.DAYTIMES) or other.kind == "scheme":
            found.add(_DAY)
    found |= {int(number) * _LENGTHS[unit.lower()] for number, unit in _EVERY_OTHER.findall(written)}
    hours = {length for length in found if length < _DAY}
    return frozenset(found | {_DAY} if hours else found)


@functools.lru_cache(maxsize=2048)
def _parts(text: str) -> tuple[_Part, ...]:
    """The parts of a text that hold a quantity."""
    written = said_quantities.prepared(text)
    breaks = [
        (0, 0),
        *((match.start(), match.end()) for match in _PART.finditer(written)),
        (len(written), len(written)),
    ]
    quantities = list(said_quantities.find(text))
    found: list[_Part] = []
    index = 0
    for (_, start), (end, _) in itertools.pairwise(breaks):
        held: list[Quantity] = []
        while index < len(quantities) and quantities[index].start < end:
            held.append(quantities[index])
            index += 1
        if held and found and _is_renewed(found[-1], held):
            held = [*found[-1].quantities, *held]
            found[-1] = _part(f"{found[-1].text}, {written[start:end]}", tuple(held))
        elif held:
            found.append(_part(written[start:end], tuple(held)))
    return tuple(found)


def _is_renewed(part: _Part, held: list[Quantity]) -> bool:
    """Whether a part goes on with the new value of what the part before told the old one of: "war 88, jetzt 95"."""
    return part.quantities[-1].is_old and not held[0].is_old and len(part.quantities) < _MOST


def _part(text: str, quantities: tuple[Quantity, ...]) -> _Part:
    words = tuple(keys for word in reading.WORD.findall(text) if (keys := _keys(word.lower())))
    names = frozenset(name for mention in drugs.mentions(text) for name in mention.names)
    return _Part(text.lower(), frozenset().union(*words), words, quantities, names)


@functools.lru_cache(maxsize=8192)
def _keys(word: str) -> frozenset[str]:
    """The keys by which a word of content is found again; none for a word of form or of time."""
    is_mark = any(other.kind != "bare" for other in said_quantities.find(word))
    if len(word) < 2 or is_mark or word in concepts.form_words() or _TIME_WORD.fullmatch(word):
        return frozenset()
    forms = lemmas.of(word)
    meant = {f"={concept}" for form in forms for concept in concepts.of(form)}
    ends = {f"{word[:_SHORT]}-"} if len(word) >= _SHORT else set[str]()
    return forms | meant | ends | ({word[:_STEM]} if len(word) >= _STEM else set())


def _shared(claim: _Part, part: _Part) -> int:
    """How many words of the claim a part of the talk has, too; a drug counts for more than all of them."""
    shared = sum(not keys.isdisjoint(part.keys) for keys in claim.words)
    return shared + 100 * len(claim.drugs & part.drugs)


def _is_moved(claim: Quantity, part: _Part, given: tuple[_Part, ...], said: reading.Said) -> bool:
    if sum(_is_like(claim, other) for other in part.quantities) > 1 or _is_owned(claim, part):
        return False
    rivals = [(other, alike) for other in given if (alike := tuple(q for q in other.quantities if _is_like(claim, q)))]
    if len({quantity.said or quantity.unit for _part, alike in rivals for quantity in alike}) < 2:
        return False
    if part.drugs and not any(part.drugs & other.drugs for other, _alike in rivals):
        return False
    shares = [(_shared(part, other), alike) for other, alike in rivals]
    best = max(shared for shared, _alike in shares)
    return best > 0 and not any(_carries(claim, alike, said) for shared, alike in shares if shared == best)


def _is_owned(claim: Quantity, part: _Part) -> bool:
    """Whether an amount is a drug's or an analyte's, or a time of day a drug's, which `owners` looks after."""
    group = _group(claim)
    if group in ("amount", "daytime", "times", "scheme") and part.drugs:
        return True
    return group == "amount" and bool(labs.find(part.text))


def _carries(claim: Quantity, given: tuple[Quantity, ...], said: reading.Said) -> bool:
    return carriers.carries(claim, given, said) or (
        claim.kind in ("measure", "range") and any(other.said == claim.said and not other.unit for other in given)
    )


def _is_parted(claim: Quantity, part: _Part, given: tuple[_Part, ...], said: reading.Said) -> bool:
    """Whether two quantities of one part of the statement were not said of each other: after "fünf Tage vierzig, dann
    drei Tage zwanzig" it is not 20 for five days.
    """
    holders = [other for other in given if _carries(claim, other.quantities, said)]
    for partner in part.quantities:
        if partner is claim or _is_like(claim, partner) or not holders:
            continue
        rivals = [tuple(q for q in other.quantities if _is_rival(partner, q)) for other in holders]
        if all(rivals) and not any(_carries(partner, other.quantities, said) for other in holders):
            return True
    return False


def _is_rival(claim: Quantity, other: Quantity) -> bool:
    """Whether one quantity could stand for another: both doses, both spans, both times a day."""
    if _group(claim) != "amount":
        return _is_like(claim, other)
    return _is_like(claim, other) and (claim.kind == "pair") == (other.kind == "pair")


def is_year(quantity: Quantity) -> bool:
    """Whether a number by itself is a year."""
    return quantity.kind == "bare" and _YEARS[0] <= quantity.said[0] <= _YEARS[1]


def _group(quantity: Quantity) -> str:
    if quantity.kind in ("measure", "range") and quantity.is_time:
        return "every" if quantity.role == "every" else "span"
    if quantity.kind == "mark":
        return "daytime" if quantity.unit in owners.DAYTIMES else "day"
    if is_year(quantity):
        return "year"
    return {"date": "day", "clock": "clock", "bare": "amount", "measure": "amount", "range": "amount",
            "pair": "pair"}.get(quantity.kind, quantity.kind)  # fmt: skip


def _is_like(claim: Quantity, other: Quantity) -> bool:
    """Whether two quantities answer the same question: when, how long, how much of the same unit."""
    group, others = _group(claim), _group(other)
    if group in _ELSEWHERE:
        return False
    if {group, others} == {"clock", "amount"}:
        bare = other if group == "clock" else claim
        return bare.kind == "bare" and bare.said[0] <= _HOURS
    return group == others and (group != "amount" or claim.unit == other.unit or "" in (claim.unit, other.unit))


def forget() -> None:
    """Drop what is remembered of the texts of earlier runs."""
    _parts.cache_clear()
    _keys.cache_clear()
