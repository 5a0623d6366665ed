"""Strength and frequency as they are said: "2x5 mg", "1-0-1", "dreimal täglich", "bei Bedarf", "einmal pro Woche"."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from decimal import Decimal

from terminology import tables
from terminology.german import numbers, vocabulary


@dataclass(frozen=True, slots=True)
class Dose:
    """What was said of a dose. `strength_mg` is one intake in milligrams, `per_day` intakes a day; None: not said."""

    strength_mg: Decimal | None
    per_day: Decimal | None
    on_demand: bool

    @property
    def daily_mg(self) -> Decimal | None:
        """Milligrams a day; None when strength or frequency was not said."""
        if self.strength_mg is None or self.per_day is None:
            return None
        return self.strength_mg * self.per_day


_TO_MG = {"mg": Decimal(1), "g": Decimal(1000), "µg": Decimal("0.001"), "mcg": Decimal("0.001")}
_STRENGTH = re.compile(r"(\d+(?:[.,]\d+)?)\s*(mg|g|µg|mcg)\b(?!/)")
_SCHEME = re.compile(r"(?<![\d-])(\d|½|1/2)-(\d|½|1/2)-(\d|½|1/2)(?:-(\d|½|1/2))?(?![\d-])")
_TIMES = re.compile(r"(\d+)\s?(?:x|×|mal)\s?(?:täglich|am tag|pro tag|tgl|/d)?", re.IGNORECASE)


@functools.cache
def _phrases() -> vocabulary.Lexicon:
    return vocabulary.Lexicon(tables.rows("drugs/dose_words"), "phrase", whole_words=True)


def parse(text: str) -> Dose:
    """The dose that `text` gives; numbers may be words."""
    figures = numbers.in_figures(text)
    strength = _STRENGTH.search(figures)
    strength_mg = Decimal(strength[1].replace(",", ".")) * _TO_MG[strength[2]] if strength else None
    per_day, on_demand = _frequency(figures)
    return Dose(strength_mg, per_day, on_demand)


def _frequency(text: str) -> tuple[Decimal | None, bool]:
    meanings = [hit.row["meaning"] for hit in _phrases().find(text)]
    on_demand = "prn" in meanings
    scheme = _SCHEME.search(text)
    if scheme:
        return sum((_part(part) for part in scheme.groups() if part), Decimal(0)), on_demand
    for meaning in meanings:
        per_day = _meaning(meaning)
        if per_day is not None:
            return per_day, on_demand
    times = _TIMES.search(text)
    return (Decimal(times[1]) if times else None), on_demand


def _part(text: str) -> Decimal:
    return Decimal("0.5") if text in ("½", "1/2") else Decimal(text)


def _meaning(meaning: str) -> Decimal | None:
    if meaning.endswith("/d"):
        return Decimal(meaning[:-2].replace(",", "."))
    if meaning.endswith("/w"):
        return Decimal(meaning[:-2].replace(",", ".")) / 7
    if "-" in meaning:
        return sum((_part(part) for part in meaning.split("-")), Decimal(0))
    return None


def has_frequency(text: str) -> bool:
    """Whether `text` says how often something is taken."""
    return _SCHEME.search(text) is not None or bool(_phrases().find(text))
