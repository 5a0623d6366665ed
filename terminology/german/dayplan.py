"""How often and how much a day a text tells by the times of day: "morgens eine und abends eine" is 1-0-1."""

from __future__ import annotations

import functools
import re
from decimal import Decimal
from typing import Final

from terminology.german import quantities
from terminology.german.quantities import Quantity

_SLOTS: Final = {"morgens": 0, "früh": 0, "mittags": 1, "abends": 2, "nachts": 3, "zur nacht": 3, "vor dem schlafen": 3}
_SENTENCE = re.compile(r"[^.!?;]+(?:[.](?=\d)[^.!?;]+)*")
_PIECES = r"tabletten?|tbl\.?|kapseln?|pillen?|stück|hübe?|tropfen|beutel|einheiten|IE"
_COUNT = rf"(?P<count>eine[nr]?|ein|\d{{1,2}}(?:,5)?)(?![\d,.]*\s*(?:mg|g|µg|ml|%|uhr|x|mal)\b)(?:\s+(?:{_PIECES})\b)?"
_TIME = re.compile(rf"\b(?:{'|'.join(_SLOTS)})\b", re.IGNORECASE)
_BEHIND = re.compile(rf"\s+(?:(?:je|jeweils|immer|nur|noch|nehm\w*|ich|die)\s+){{0,2}}{_COUNT}\b", re.IGNORECASE)
_BEFORE = re.compile(rf"\b{_COUNT}\s+(?:am\s+)?$", re.IGNORECASE)
_NEAR = 30  # characters before a time of day in which its count stands


@functools.lru_cache(maxsize=2048)
def find(text: str) -> tuple[Quantity, ...]:
    """The schemes and the doses a day that the sentences of a text tell; places are in `quantities.prepared(text)`."""
    found: list[Quantity] = []
    told = quantities.prepared(text)
    for sentence in _SENTENCE.finditer(told):
        found += _of_sentence(told, sentence.start(), sentence.end())
    return tuple(found)


def _of_sentence(told: str, start: int, end: int) -> list[Quantity]:
    times = list(_TIME.finditer(told, start, end))
    slots = [_SLOTS[time[0].lower()] for time in times]
    if not times or len(set(slots)) < len(slots):
        return []
    counts = [_count(told, time) for time in times]
    for index in range(len(counts) - 2, -1, -1):
        between = told[times[index].end() : times[index + 1].start()].strip().lower()
        if counts[index] is None and between in ("und", ",", "sowie"):
            counts[index] = counts[index + 1]
    often = Decimal(len(times))
    whole = [Quantity("times", (often,), "Tag", (often,), times[0].start(), times[-1].end())]
    if len(times) == 1:
        whole = []
    day = [Decimal(0)] * 4
    for slot, count in zip(slots, counts, strict=True):
        if count is None:
            return whole
        day[slot] = count
    scheme = tuple(day if day[3] else day[:3])
    return [*whole, Quantity("scheme", scheme, "", scheme, times[0].start(), times[-1].end())]


def _count(told: str, time: re.Match[str]) -> Decimal | None:
    found = _BEHIND.match(told, time.end()) or _BEFORE.search(told[max(0, time.start() - _NEAR) : time.start()])
    if found is None:
        return None
    return Decimal(1) if found["count"][0].isalpha() else quantities.number(found["count"])


def forget() -> None:
    """Drop what is remembered of the texts of earlier runs."""
    find.cache_clear()
