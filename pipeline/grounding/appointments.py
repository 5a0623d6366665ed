"""When something was or is to be: spans and days of a text, and whether they lie ahead or behind."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Literal, NamedTuple

from terminology.german import numbers


class Time(NamedTuple):
    """A span or a day: its number, the unit or weekday, and whether it lies ahead, behind or neither was said."""

    number: Decimal
    unit: str
    lies: Literal["ahead", "behind", ""]


_UNIT = r"(minute|stunde|tag|woche|monat|jahr)"
_COUNTED = re.compile(
    rf"(?:\b(seit|vor|in|nach)\s+(?:\w+\s+)?)?\b(\d+(?:[.,]\d+)?|[a-zäöüß]+)\s+{_UNIT}", re.IGNORECASE
)
_NEXT = re.compile(rf"\b(nächste|kommende|letzte|vorige|vergangene)[nrsm]?\s+{_UNIT}", re.IGNORECASE)
_DAY = re.compile(
    r"\b(montag|dienstag|mittwoch|donnerstag|freitag|samstag|sonnabend|sonntag|übermorgen|januar|februar|märz|april|"
    r"mai|juni|juli|august|september|oktober|november|dezember)(?!\w{3})"
    r"|(?<!am )(?<!jeden )(?<!guten )(?<!früh )\b(?-i:morgen|Morgen(?= \w))\b",
    re.IGNORECASE,
)
_LIES: dict[str, Literal["ahead", "behind"]] = {
    "in": "ahead", "nach": "ahead", "nächste": "ahead", "kommende": "ahead", "seit": "behind", "vor": "behind",
    "letzte": "behind", "vorige": "behind", "vergangene": "behind",
}  # fmt: skip


def find(text: str) -> Iterator[Time]:
    """The spans and days of a text."""
    for match in _COUNTED.finditer(text):
        word = match[2].lower()
        number = Decimal(word.replace(",", ".")) if word[0].isdigit() else _spoken(word)
        if number is not None:
            yield Time(number, match[3].lower(), _LIES.get((match[1] or "").lower(), ""))
    for match in _NEXT.finditer(text):
        yield Time(Decimal(0), match[2].lower(), _LIES[match[1].lower()])
    for match in _DAY.finditer(text):
        yield Time(Decimal(0), match.group().lower(), "")


def _spoken(word: str) -> Decimal | None:
    if re.fullmatch(r"eine?[nrms]?", word):
        return Decimal(1)
    number = numbers.value(word)
    return Decimal(number) if number is not None else numbers.halves(word)


def are_known(claim: str, known: frozenset[Time]) -> bool:
    """Whether every span and day of a claim is known, and lies ahead or behind as there."""
    return are_known_times(find(claim), known)


def are_known_times(times: Iterable[Time], known: frozenset[Time]) -> bool:
    """Whether each of these times is known, and lies ahead or behind as there."""
    return all(
        any(t[:2] == time[:2] and (t.lies == time.lies or "" in (t.lies, time.lies)) for t in known) for time in times
    )
