"""Vital signs and laboratory values: their spoken names, units and adult reference ranges."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from terminology import tables
from terminology.german import vocabulary

Flag = Literal["low", "normal", "high"]

#: How far from the name its value may stand, in characters.
_REACH = 45
_VALUE = re.compile(r"(?<![\d,./-])(\d{1,3}(?:\.\d{3})+|\d+(?:[.,]\d+)?)(?![\d/]|[.,]\d|-\d|\.\s?\w+ber\b)")
_BETWEEN = re.compile(
    r"^[\s,:=-]*(?:(?:wert|serum|der|die|das|war|ist|sind|bei|liegt|lag|jetzt|heute|aktuell|zuletzt|von|mit|auf|im|labor|noch|nur|so|um|etwa|"
    r"beträgt|betrug|eben|aus|dem|finger|nüchtern|über|unter|knapp|gut|ca\.|circa|gestiegen|gefallen|wieder|einen?|am|vom|januar|februar|märz|"
    r"april|mai|juni|juli|august|september|oktober|november|dezember|und|als|gemessen|wir|haben|gerade|dann|immer|leicht|erhöht|erniedrigt|zu|hoch|"
    r"niedrig|dein|ihr|ihre?r?)[\s,:]+)*$",
    re.IGNORECASE,
)
_IS_DATE = re.compile(r"\d{1,2}\.\d{1,2}\.(?:\d{2,4})?")
#: A value this far outside its reference range was said in another unit, and is not judged.
_PLAUSIBLE_LOW, _PLAUSIBLE_HIGH = Decimal("0.08"), Decimal(40)


@dataclass(frozen=True, slots=True)
class Analyte:
    """One measured quantity. `low` and `high` bound the adult reference range; None where there is none."""

    key: str
    name: str
    unit: str
    loinc: str
    low: Decimal | None
    high: Decimal | None
    low_female: Decimal | None
    high_female: Decimal | None
    is_vital: bool


@dataclass(frozen=True, slots=True)
class Value:
    """A value said of an analyte: the span from its name to the end of the number, and how it lies to the range."""

    start: int
    end: int
    analyte: Analyte
    value: Decimal
    unit_end: int
    has_unit: bool
    flag: Flag | None


#: Bedside measurements: they get a unit, but no word on the laboratory's reference range.
_VITALS = frozenset(
    {"bp_systolic", "bp_diastolic", "heart_rate", "temperature", "respiratory_rate", "spo2", "height", "weight", "bmi",
     "waist", "peak_flow", "fev1", "fev1_percent", "fvc", "pain_nrs", "abi"}
)  # fmt: skip
#: Any unit after a number, also one that is not the analyte's own.
_ANY_UNIT = re.compile(
    r"\s*(?:%|‰|(?:[mµnpkd]?(?:g|l|mol|U|IE|val|m)|mmHg|cm|°C|Grad|Punkte?|mal|x|Tag\w*|Woche\w*|Jahr\w*|Uhr)(?![\wäöü]))"
)


def _decimal(text: str) -> Decimal | None:
    return Decimal(text) if text else None


@functools.cache
def analytes() -> dict[str, Analyte]:
    """All analytes by key."""
    return {
        row["key"]: Analyte(
            key=row["key"],
            name=row["name_de"],
            unit=row["unit"],
            loinc=row["loinc"],
            low=_decimal(row["low"]),
            high=_decimal(row["high"]),
            low_female=_decimal(row["low_female"]),
            high_female=_decimal(row["high_female"]),
            is_vital=row["key"] in _VITALS,
        )
        for row in tables.rows("labs")
    }


@functools.cache
def _lexicon() -> vocabulary.Lexicon:
    rows = [
        {"term": name, "key": row["key"]} for row in tables.rows("labs") for name in row["names"].split("|") if name
    ]
    return vocabulary.Lexicon(rows, "term", whole_words=True)


@functools.cache
def _units() -> dict[str, re.Pattern[str]]:
    patterns: dict[str, re.Pattern[str]] = {}
    for row in tables.rows("labs"):
        variants = [row["unit"], *filter(None, row["unit_variants"].split("|"))]
        alternatives = "|".join(re.escape(variant) for variant in sorted(variants, key=len, reverse=True))
        patterns[row["key"]] = re.compile(rf"\s*(?:{alternatives})(?!\w)", re.IGNORECASE)
    return patterns


def mentions(text: str) -> list[vocabulary.Hit]:
    """The analytes that `text` names, with or without a value."""
    return _lexicon().find(text)


def by_name(name: str) -> Analyte | None:
    """The analyte that this name means; None when it means none."""
    hits = _lexicon().find(name)
    return analytes()[hits[0].row["key"]] if hits else None


def is_own_unit(analyte: Analyte, unit: str | None) -> bool:
    """Whether a value in `unit` can be held against the analyte's range; no unit at all counts as its own."""
    if not unit or not analyte.unit:
        return True
    return _plain_unit(unit) in _own_units()[analyte.key] or _plain_unit(unit).startswith(_plain_unit(analyte.unit))


def _plain_unit(unit: str) -> str:
    return re.sub(r"[\s*]", "", unit.lower()).replace(",", ".").replace("²", "2").replace("μ", "µ")


@functools.cache
def _own_units() -> dict[str, frozenset[str]]:
    return {
        row["key"]: frozenset(_plain_unit(unit) for unit in (row["unit"], *row["unit_variants"].split("|")) if unit)
        for row in tables.rows("labs")
    }


def find(text: str, *, female: bool | None = None) -> list[Value]:
    """The values that `text` (numbers in figures) gives. The range is the women's only where `female` is True."""
    found: list[Value] = []
    hits = _lexicon().find(text)
    for index, hit in enumerate(hits):
        limit = hits[index + 1].start if index + 1 < len(hits) else len(text)
        match = _VALUE.search(text, hit.end, min(limit, hit.end + _REACH))
        while match is not None and _IS_DATE.match(text, match.start()):
            match = _VALUE.search(text, _IS_DATE.match(text, match.start()).end(), min(limit, hit.end + _REACH))  # type: ignore[union-attr]
        if match is None or not _BETWEEN.match(text[hit.end : match.start()]):
            continue
        analyte = analytes()[_key(hit.row["key"], text[match.end() :])]
        number = _number(match[1])
        unit = _units()[analyte.key].match(text, match.end())
        other = None if unit else _ANY_UNIT.match(text, match.end())
        judged = None if other else flag(analyte, number, female=female)
        has_unit = unit is not None or other is not None
        found.append(
            Value(hit.start, match.end(), analyte, number, unit.end() if unit else match.end(), has_unit, judged)
        )
    return found


def _key(key: str, following: str) -> str:
    """FEV1 in per cent of the predicted value is another quantity than FEV1 in litres."""
    return "fev1_percent" if key == "fev1" and re.match(r"\s*(?:%|prozent)", following, re.IGNORECASE) else key


def _number(text: str) -> Decimal:
    if re.fullmatch(r"\d{1,3}(?:\.\d{3})+", text):
        return Decimal(text.replace(".", ""))
    return Decimal(text.replace(",", "."))


def flag(analyte: Analyte, number: Decimal, *, female: bool | None = None) -> Flag | None:
    """How a value in the analyte's unit lies to its reference range; None without a range or in another unit."""
    low = analyte.low_female if female and analyte.low_female is not None else analyte.low
    high = analyte.high_female if female and analyte.high_female is not None else analyte.high
    if low is None and high is None:
        return None
    if not is_plausible(analyte, number):
        return None
    if low is not None and number < low:
        return "low"
    if high is not None and number > high:
        return "high"
    return "normal"


def is_plausible(analyte: Analyte, number: Decimal) -> bool:
    """Whether a number without a unit can be in the analyte's unit."""
    low, high = analyte.low, analyte.high
    if low is not None and low > 0 and number < low * _PLAUSIBLE_LOW:
        return False
    return not (high is not None and number > high * _PLAUSIBLE_HIGH)
