"""The drugs, doses and measured values that a text tells, as critical facts."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from decimal import Decimal

from pipeline import results
from pipeline.grounding import complaints
from pipeline.grounding.fact import PRESSURE, Fact
from terminology import labs, tables
from terminology.drugs import catalogue as drugs
from terminology.drugs import doses, orders
from terminology.german import numbers, sentences

_ONLY_THOUGHT = re.compile(
    r"\b(?:könnten?|würden?|wäre\w*|hätten?|wenn|falls|sollten?|sobald|statt|anstatt|oder)\b", re.IGNORECASE
)
_USED_UP = re.compile(r"\b(?:weg|ausgegangen|leer)\b", re.IGNORECASE)
_CONDITION = re.compile(r"^(?:und |aber |also )*(?:wenn|falls|sollten?|sobald)\b", re.IGNORECASE)
_STRENGTH = re.compile(r"(\d+(?:[.,]\d+)?)\s*(mg|µg|mcg|g|ml|%|IE|Einheiten|Hub|Hübe|Tropfen|Sprühst[oö]ße?)(?![\w/])")
#: A number right behind the name is the strength, if it counts nothing else: "ASS 100", "Ramipril fünf".
_BEHIND = re.compile(
    r"^(?:[a-zäöü]*|-\w+)[ ,-]{1,2}(?:die |das )?(\d+(?:[.,]\d+)?|[a-zäöüß]+)"
    r"(?!\s*(?:\d|x|mal|tag|woche|monat|jahr|stunde|uhr|tablette|kapsel|stück|prozent|mg|µg|mcg|g|ml|%|IE|hub|hübe|tropfen|"
    r"einheiten|sprühst|[-/,.]\d))\b",
    re.IGNORECASE,
)


def plain(number: Decimal) -> str:
    """A number without trailing zeros: 39.0 is 39."""
    return f"{number.normalize():f}"


def medication(text: str, whole: results.Polarity | None) -> Iterator[Fact]:
    """Each drug of a text (numbers in figures) with what is said of it, up to the next one."""
    mentions = drugs.find(text)
    for index, mention in enumerate(mentions):
        following = mentions[index + 1].start if index + 1 < len(mentions) else len(text)
        clause = next((s.text for s in sentences.clauses(text) if s.start <= mention.start < s.end), text)
        if whole is None and _ONLY_THOUGHT.search(clause):
            continue
        words = text[0 if index == 0 else mention.start : following]
        value = _taking(text[: mention.start], clause, words, whole)
        for name in mention.names:
            yield Fact("drug", name, "if" if value == "yes" and _CONDITION.match(text) else value)
            if value == "yes":
                yield from _doses(name, text[mention.end : following], words)


def _taking(before: str, clause: str, words: str, whole: results.Polarity | None) -> str:
    if whole == "negated" or orders.is_replaced(before) or orders.stops(words) or _USED_UP.search(words):
        return "no"
    return complaints.manner(orders.without_manner(clause), whole)


def _doses(name: str, behind: str, words: str) -> Iterator[Fact]:
    for number, unit in _STRENGTH.findall(behind):
        yield Fact("dose", name, f"{plain(Decimal(number.replace(',', '.')))} {_UNITS.get(unit[:3].lower(), unit)}")
    match = _BEHIND.match(behind)
    if match:
        number = match[1].replace(",", ".") if match[1][0].isdigit() else numbers.value(match[1])
        if number is not None:
            yield Fact("dose", name, plain(Decimal(number)))
    per_day = doses.parse(words).per_day
    if per_day is not None:
        yield Fact("frequency", name, plain(per_day))


_UNITS = {"hub": "Hub", "hüb": "Hub", "spr": "Sprühstoß", "ein": "IE"}

# Measured values.

_IS_GOAL = re.compile(r"\b(?:ziel\w*|soll\w*|wenn|falls)\b|\b(?:unter|über|ab) (?:die )?\d", re.IGNORECASE)
_PRESSURE = re.compile(r"(?<![\d/])(\d{2,3})/(\d{2,3})(?![\d/]|\s*mg)")
_BARE_TEMPERATURE = re.compile(
    r"(?<![\d/.,])(3[5-9]|4[0-2])[.,](\d)(?!\d|\s*(?:%|mg|g\b|g/|kg|cm|µ|ml|mm|U|IE|nmol|pg|ng|s\b))"
)
_VITALS = frozenset({"heart_rate", "temperature", "spo2", "respiratory_rate", "weight", "glucose", "glucose_fasting"})
_LINKS = r"(?:\s+(?:ist|war|sind|waren|bei|liegt|lag|jetzt|heute|nur|noch|von|auf|wert|gerade))*"
#: A small number as a word right behind the name of a value, and nothing that it counts: "Hb sieben", "INR vier".
_SMALL = re.compile(rf"^{_LINKS}[\s,:]+([a-zäöüß]+)(?=\s*(?:$|[.;!?)]|,\s|und\b))", re.IGNORECASE)
_POINTS = r"\s*(?:punkten?|von \d+|von [a-zäöüß]+)"


def values(text: str) -> Iterator[Fact]:
    """The measured values of a text (numbers in figures) that are no goals; a temperature also where only its number
    was said.
    """
    if _IS_GOAL.search(text):
        return
    for upper, lower in _PRESSURE.findall(text):
        if 60 <= int(upper) <= 280 and 30 <= int(lower) <= 160 and int(lower) < int(upper):
            yield Fact("vital", PRESSURE, f"{upper}/{lower}")
    text = _with_small_numbers(text)
    found = labs.find(text)
    for value in found:
        key = "glucose" if value.analyte.key == "glucose_fasting" else value.analyte.key
        if labs.is_plausible(value.analyte, value.value):
            yield Fact("vital" if key in _VITALS else "lab", key, plain(value.value))
    for match in _BARE_TEMPERATURE.finditer(text):
        if not any(value.start <= match.start() < value.end for value in found):
            yield Fact("vital", "temperature", plain(Decimal(f"{match[1]}.{match[2]}")))
    yield from _scores(text)


def _with_small_numbers(text: str) -> str:
    """`text` with the number words up to twelve in figures that stand behind the name of a laboratory value."""
    for hit in reversed(labs.mentions(text)):
        match = _SMALL.match(text[hit.end :])
        number = numbers.value(match[1]) if match else None
        if match and number is not None:
            text = f"{text[: hit.end + match.start(1)]}{number}{text[hit.end + match.end(1) :]}"
    return text


@functools.cache
def _score_patterns() -> tuple[tuple[str, re.Pattern[str], int, int], ...]:
    return tuple(
        (
            row["name"],
            re.compile(
                rf"\b(?:{row['names']})\b{_LINKS}[\s,:]+(\d+|[a-zäöüß]+)(?=(?:{_POINTS})?\s*(?:$|[.;,!?)]|und\b))",
                re.IGNORECASE,
            ),
            int(row["low"]),
            int(row["high"]),
        )
        for row in tables.rows("german/scores")
    )


def _scores(text: str) -> Iterator[Fact]:
    """The points of the scores in the table `german/scores`."""
    for name, pattern, low, high in _score_patterns():
        for match in pattern.finditer(text):
            points = int(match[1]) if match[1].isdigit() else numbers.value(match[1])
            if points is not None and low <= points <= high:
                yield Fact("vital", name, str(points))
