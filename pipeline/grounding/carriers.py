"""How each kind of quantity is carried by what was said: the same value, unit, limit and sense."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable
from decimal import Decimal

from pipeline.grounding import reading
from terminology import labs
from terminology.german import dayplan
from terminology.german import quantities as said_quantities
from terminology.german.quantities import Quantity

_PIECES = frozenset({"Tablette", "Kapsel"})
_ON_A_WEEKDAY = re.compile(
    r"\bjeden\s+(?:montag|dienstag|mittwoch|donnerstag|freitag|samstag|sonnabend|sonntag)\b", re.IGNORECASE
)
_OTHER_DAYS = frozenset({"gestern", "vorgestern", "übermorgen"})
_PER_DAY = re.compile(r"\b(?:tag|täglich|tgl)\b", re.IGNORECASE)


def carries(claim: Quantity, given: tuple[Quantity, ...], said: reading.Said) -> bool:
    """Whether one of the given quantities says what the claim says; an age is for `ages`."""
    return _CARRIERS[claim.kind](claim, alike(claim, given), said)


def alike(claim: Quantity, given: tuple[Quantity, ...]) -> tuple[Quantity, ...]:
    """The quantities that are the same kind of limit as the claim, and reckoned by the same."""
    return tuple(other for other in given if _is_same_limit(claim, other) and claim.per == other.per)


def _is_same_limit(claim: Quantity, other: Quantity) -> bool:
    if claim.kind in ("date", "mark", "clock"):
        return claim.bound == other.bound or "most" not in (claim.bound, other.bound)
    if claim.unit == "°C" and claim.bound == "most" and not other.bound:
        return True  # "Fieber bis 39": the highest that was measured
    return claim.bound == other.bound


def _bare(claim: Quantity, given: tuple[Quantity, ...], _said: reading.Said) -> bool:
    return any(claim.said[0] in other.said for other in given if other.kind not in ("range", "date", "scheme")) or any(
        claim.said[0] == other.said[0] for other in given if other.kind == "date"
    )


def _measure(claim: Quantity, given: tuple[Quantity, ...], said: reading.Said) -> bool:
    for other in given:
        if other.kind == "measure" and (other.unit, other.values) == (claim.unit, claim.values):
            if not claim.is_time or _agree(claim.role, other.role):
                return True
        elif other.kind == "age" and claim.role == "" and (other.unit, other.values) == (claim.unit, claim.values):
            return True
    return claim.unit in _PIECES and any(
        other.kind == "scheme" and set(other.values) - {Decimal(0)} == set(claim.values)
        for other in dayplan.find(said.text)
    )


def _agree(one: str, other: str) -> bool:
    """Whether two spans of time can say the same: "vor drei Tagen" and "drei Tage", not "in" and "seit"."""
    return one == other or {one, other} == {"since", "ago"} or ("every" not in (one, other) and "" in (one, other))


def _range(claim: Quantity, given: tuple[Quantity, ...], _said: reading.Said) -> bool:
    return any(
        other.kind == "range"
        and (other.unit, other.values) == (claim.unit, claim.values)
        and _agree(claim.role, other.role)
        for other in given
    )


def _pair(claim: Quantity, given: tuple[Quantity, ...], _said: reading.Said) -> bool:
    if any(other.kind == "pair" and other.said == claim.said for other in given):
        return True
    figures = [other.said[0] for other in given if other.kind in ("bare", "measure")]
    return any((upper, lower) == claim.said for upper, lower in itertools.pairwise(figures))


def _date(claim: Quantity, given: tuple[Quantity, ...], _said: reading.Said) -> bool:
    return any(
        other.kind == "date" and other.values[:2] == claim.values[:2] and claim.values[2:] in ((), other.values[2:])
        for other in given
    )


def _mark(claim: Quantity, given: tuple[Quantity, ...], said: reading.Said) -> bool:
    marks = {other.unit for other in given if other.kind == "mark"}
    if claim.unit in marks or (claim.unit == "morgens" and "morgen" in said.words):
        return True
    if claim.unit == "heute":
        return not marks & _OTHER_DAYS
    return any(other.kind == "date" and _month(other) == claim.unit for other in given)


def _month(date: Quantity) -> str:
    return said_quantities.month(int(date.values[1])) if 1 <= date.values[1] <= 12 else ""


def _clock(claim: Quantity, given: tuple[Quantity, ...], _said: reading.Said) -> bool:
    if any(other.kind == "clock" and other.values == claim.values for other in given):
        return True
    return claim.values[1] == 0 and any(other.kind == "bare" and other.said == claim.said[:1] for other in given)


def _scheme(claim: Quantity, given: tuple[Quantity, ...], said: reading.Said) -> bool:
    told = (*given, *dayplan.find(said.text))
    return any(other.kind == "scheme" and _whole_day(other) == _whole_day(claim) for other in told)


def _whole_day(scheme: Quantity) -> tuple[Decimal, ...]:
    return (*scheme.values, Decimal(0)) if len(scheme.values) == 3 else scheme.values


@functools.lru_cache(maxsize=256)
def _is_on_a_weekday(text: str) -> bool:
    return _ON_A_WEEKDAY.search(text) is not None


@functools.lru_cache(maxsize=256)
def _is_per_day(text: str) -> bool:
    return _PER_DAY.search(text) is not None


def forget() -> None:
    """Drop what is remembered of the texts of earlier runs."""
    _is_on_a_weekday.cache_clear()
    _is_per_day.cache_clear()


def _times(claim: Quantity, given: tuple[Quantity, ...], said: reading.Said) -> bool:
    if (claim.unit, claim.said) == ("Woche", (Decimal(1),)) and _is_on_a_weekday(said.text):
        return True
    is_told = any(other.kind == "times" for other in given)
    for other in (*given, *(() if claim.bound or is_told else dayplan.find(said.text))):
        if other.kind == "times" and other.said == claim.said:
            spoken_per = other.unit or ("Tag" if _is_per_day(said.text) else "")
            if claim.unit in ("", spoken_per):
                return True
    return False


def _ordinal(claim: Quantity, given: tuple[Quantity, ...], _said: reading.Said) -> bool:
    return any(
        other.said and other.said[0] == claim.said[0] for other in given if other.kind not in ("range", "scheme")
    )


def _code(claim: Quantity, given: tuple[Quantity, ...], said: reading.Said) -> bool:
    if any(other.kind == "code" and other.unit == claim.unit for other in given):
        return True
    named = labs.by_name(claim.unit)
    return named is not None and any(labs.by_name(hit.text) == named for hit in labs.mentions(said.text))


_CARRIERS: dict[str, Callable[[Quantity, tuple[Quantity, ...], reading.Said], bool]] = {
    "bare": _bare, "measure": _measure, "range": _range, "pair": _pair, "date": _date, "mark": _mark, "clock": _clock,
    "scheme": _scheme, "times": _times, "ordinal": _ordinal, "code": _code,
}  # fmt: skip
