"""Quantities in German text: doses, measures, ages, dates, spans of time, frequencies, each as an exact value.

"fünf Milligramm", "5 mg" and "0,005 g" are one quantity; "5 mg" and "5 Tage" are two.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Literal

from terminology.german import contexts, numbers, spelled
from terminology.german.contexts import Bound, Role

Kind = Literal["bare", "measure", "range", "pair", "date", "mark", "clock", "scheme", "times", "ordinal", "code", "age"]
TIME_BASES = frozenset({"s", "Monat"})


@dataclasses.dataclass(frozen=True, slots=True)
class Quantity:
    """One quantity. `values` are in the base `unit` of its dimension (g, l, m, s, Monat, %, mmHg, Tablette ...), and
    empty for a `mark` or `code`, whose `unit` is the word. `said` are the numbers as they stand there. `is_old` marks
    a value that the sentence itself replaces ("von 5 auf 10", "statt 5"), `bound` a limit ("höchstens 3 g"), `per` what
    a dose is reckoned by (kg, min, h).
    """

    kind: Kind
    values: tuple[Decimal, ...]
    unit: str
    said: tuple[Decimal, ...]
    start: int
    end: int
    role: Role = ""
    is_old: bool = False
    bound: Bound = ""
    per: frozenset[str] = frozenset()

    @property
    def is_time(self) -> bool:
        """Whether it measures time."""
        return self.unit in TIME_BASES and self.kind != "age"


@functools.cache
def _units() -> dict[str, tuple[str, Decimal]]:
    exact = {spelling: (row["unit"], Decimal(row["factor"])) for spelling, row in spelled.spellings()}
    return {**{spelling.lower(): meant for spelling, meant in exact.items()}, **exact}


_NUMBER = r"(?:\d{1,3}(?:\.\d{3})+|\d+(?:[.,]\d+)?)"
_PIECE = rf"(?<![\w.,/])({_NUMBER})"
_WEEKDAYS = r"montag|dienstag|mittwoch|donnerstag|freitag|samstag|sonnabend|sonntag"
_DAYTIMES = {
    "morgens": "morgens", "früh": "morgens", "frühmorgens": "morgens", "vormittags": "vormittags",
    "mittags": "mittags", "nachmittags": "nachmittags", "abends": "abends", "nachts": "nachts",
    "abend": "abends", "mittag": "mittags", "nacht": "nachts", "frühstück": "morgens",
}  # fmt: skip
_DAYS = frozenset({"gestern", "vorgestern", "übermorgen", "heute"})


@functools.cache
def _master() -> re.Pattern[str]:
    unit = spelled.unit_pattern()
    return re.compile(
        rf"(?P<iso>\b\d{{4}}-\d{{2}}-\d{{2}}\b)"
        rf"|(?P<date>(?<![\w.,])\d{{1,2}}\.\s?\d{{1,2}}\.(?:\s?(?:19|20)?\d{{2}}\b)?)"
        rf"|(?P<named>(?<![\w.,])\d{{1,2}}\.?\s+(?:{spelled.MONTH})\b(?:\s+\d{{4}}\b)?)"
        rf"|(?P<spoken>(?<![\w.,])\d{{1,2}}\.\s+\d{{1,2}}\.(?!\d))"
        rf"|(?P<scheme>(?<![\w,.-])\d(?:,5)?(?:\s?[-–]\s?\d(?:,5)?){{2,3}}(?![\w-])|(?<![\w,.-])[0-4](?:\s[0-4]){{2,3}}(?!\w|[.,]\d|-))"
        rf"|(?P<clock>(?<![\w.,])\d{{1,2}}[:.]\d{{2}}(?:\s*Uhr\b)|(?<![\w.,])\d{{1,2}}:\d{{2}}\b|(?<![\w.,])\d{{1,2}}\s+Uhr\b(?:\s+\d{{1,2}}\b)?|\bhalb\s+\d{{1,2}}\b)"
        rf"|(?P<pair>(?<![\w.,/])\d+(?:,\d+)?\s?/\s?\d+(?:,\d+)?(?![\w/])(?:\s*mm\s?Hg\b)?)"
        rf"|(?P<range>(?<![\w.,/])(?P<low>{_NUMBER})\s*(?:-|–|bis(?:\s+zu)?)\s*(?P<high>{_NUMBER})(?:[\s-]*(?P<range_unit>{unit})(?![\wäöüß]))?(?!\d))"
        rf"|(?P<times>{_PIECE}\s?(?:x|×|mal)(?![a-zäöü])(?:\s*(?P<per>{spelled.PER})|\s*(?P<week>{spelled.PER_WEEK})|\s*(?P<month>{spelled.PER_MONTH}))?)"
        rf"|(?P<aged>{_PIECE}[-\s]?(jährig|tägig|wöchig|monatig|stündig|stündlich|minütig)\w*)"
        rf"|(?P<measure>(?<![\w.,/])(?P<amount>{_NUMBER})(?:[\s-]*(?P<unit>{unit})(?![\wäöüß]))(?P<alt>\s+alt\b)?)"
        rf"|(?P<ordinal>(?<![\w.,])\d{{1,2}}\.(?=\s+(?:{spelled.COUNTED_OFF})))"
        rf"|(?P<code>\b[A-Za-zÄÖÜ]{{1,3}}\d[\w]*\b)"
        rf"|(?P<bare>{_PIECE}(?!\w))"
        rf"|(?P<digits>\d+)"
        rf"|(?P<mark>\b(?:{spelled.MONTH}|(?:{_WEEKDAYS})(?:s|en)?|{'|'.join(_DAYTIMES)}|{'|'.join(_DAYS)})\b)",
        re.IGNORECASE,
    )


_AGED = {
    "jährig": ("Monat", 12), "tägig": ("s", 86400), "wöchig": ("s", 604800), "monatig": ("Monat", 1),
    "stündig": ("s", 3600), "stündlich": ("s", 3600), "minütig": ("s", 60),
}  # fmt: skip


def number(text: str) -> Decimal:
    """The value of a figure: "1.000" is a thousand, "2,5" and "2.5" are two and a half."""
    if re.fullmatch(r"\d{1,3}(?:\.\d{3})+", text):
        return Decimal(text.replace(".", ""))
    return Decimal(text.replace(",", "."))


_LETTER_NUMBER = re.compile(r"\b([A-Z]{1,2}) (\d{1,2})\b(?![.,/]?\d)")
_ROMAN = {"I": 1, "II": 2, "III": 3, "IV": 4, "V": 5, "VI": 6}
_STAGE = re.compile(r"\b(nyha|ccs|gold|grad|stadium|typ|klasse|stufe|fontaine|asa|phase)(?:\s+(?:nach\s+)?(?:klasse|stadium|grad|gold|nyha))?[\s-]+(I{1,3}|IV|VI?)\b", re.IGNORECASE)  # fmt: skip


@functools.lru_cache(maxsize=4096)
def prepared(text: str) -> str:
    """`text` as the quantities are read from it: in figures, "L 5" as L5, "NYHA III" as NYHA 3."""
    text = _LETTER_NUMBER.sub(r"\1\2", spelled.normal(text))
    return _STAGE.sub(lambda match: f"{match[0][: -len(match[2])]}{_ROMAN[match[2].upper()]}", text)


@functools.lru_cache(maxsize=4096)
def find(text: str) -> tuple[Quantity, ...]:
    """The quantities of `text` in its order; `start` and `end` are places in `prepared(text)`."""
    return tuple(_find(prepared(text)))


def _find(text: str) -> Iterator[Quantity]:
    for match in _master().finditer(text):
        kind = next(name for name in _READERS if match[name] is not None)
        found = _READERS[kind](match, text)
        if found is not None:
            yield _limited(found, text)


def _limited(found: Quantity, text: str) -> Quantity:
    """The quantity with the limit that it is and what it is per; "über drei Tage" is a span and no limit."""
    if found.kind in ("code", "scheme", "ordinal"):
        return found
    bound = contexts.bound(text, found.start, found.end)
    if bound == "above" and found.is_time and found.role == "for":
        bound = ""
    if bound == "below" and found.unit in _TAKEN:
        bound = ""
    per = contexts.per(text, found.end) if found.kind in ("bare", "measure", "range") else frozenset[str]()
    return dataclasses.replace(found, bound=bound, per=per) if bound or per else found


#: "unter 5 mg Prednisolon" is said of what somebody takes, and is no limit.
_TAKEN = frozenset({"g", "IE", "Tablette", "Kapsel", "Tropfen", "Hub"})


def _figures(text: str) -> tuple[Decimal, ...]:
    return tuple(number(figure) for figure in re.findall(_NUMBER, text))


def _date(match: re.Match[str], _text: str) -> Quantity:
    whole = match[0].lower()
    if match["iso"]:
        year, month, day = (Decimal(part) for part in whole.split("-"))
        return Quantity("date", (day, month, year), "", (day, month, year), match.start(), match.end())
    figures = tuple(Decimal(part) for part in re.findall(r"\d+", whole))
    name = next((name for name in spelled.MONTH_FORMS if re.search(rf"\b{name}\b", whole)), None)
    if name is not None:
        figures = (figures[0], Decimal(spelled.MONTH_FORMS[name]), *figures[1:])
    if len(figures) > 2 and figures[2] < 100:
        figures = (*figures[:2], figures[2] + 2000)
    return Quantity("date", figures, "", figures, match.start(), match.end())


def _mark(match: re.Match[str], _text: str) -> Quantity | None:
    word = match[0].lower()
    if word in spelled.MONTH_FORMS:
        return Quantity("mark", (), spelled.MONTHS[spelled.MONTH_FORMS[word] - 1], (), match.start(), match.end())
    if word in _DAYTIMES:
        return Quantity("mark", (), _DAYTIMES[word], (), match.start(), match.end())
    if word in _DAYS:
        return Quantity("mark", (), word, (), match.start(), match.end())
    day = re.sub(r"(?:s|en)$", "", word.replace("sonnabend", "samstag"))
    return Quantity("mark", (), day, (), match.start(), match.end())


def _clock(match: re.Match[str], _text: str) -> Quantity:
    hour, *rest = (Decimal(part) for part in re.findall(r"\d+", match[0]))
    minute = rest[0] if rest else Decimal(0)
    if match[0].lower().startswith("halb"):
        hour, minute = hour - 1, Decimal(30)
    return Quantity("clock", (hour, minute), "Uhr", (hour,), match.start(), match.end())


def _scheme(match: re.Match[str], _text: str) -> Quantity:
    parts = tuple(number(part) for part in re.findall(r"\d(?:,5)?", match[0]))
    return Quantity("scheme", parts, "", parts, match.start(), match.end())


_PARTS = re.compile(r"\d+(?:,\d+)?")


def _pair(match: re.Match[str], _text: str) -> Quantity:
    parts = tuple(number(part) for part in _PARTS.findall(match[0])[:2])
    is_old = contexts.is_old(match.string, *match.span())
    return Quantity("pair", parts, "", parts, match.start(), match.end(), is_old=is_old)


def _times(match: re.Match[str], _text: str) -> Quantity:
    per = "Woche" if match["week"] else "Monat" if match["month"] else "Tag" if match["per"] else ""
    figures = _figures(match[0])[:1]
    return Quantity("times", figures, per, figures, match.start(), match.end())


def _aged(match: re.Match[str], _text: str) -> Quantity:
    figures = _figures(match[0])[:1]
    name = next(name for name in _AGED if name in match[0].lower())
    unit, factor = _AGED[name]
    if name == "jährig":
        return Quantity("age", (figures[0] * factor,), unit, figures, match.start(), match.end())
    role: Role = "every" if name == "stündlich" else ""
    return Quantity("measure", (figures[0] * factor,), unit, figures, match.start(), match.end(), role)


def _unit(text: str) -> tuple[str, Decimal]:
    spelled = re.sub(r"\s+", " ", text)
    return _units()[spelled] if spelled in _units() else _units()[spelled.lower()]


def _range(match: re.Match[str], _text: str) -> Quantity:
    unit, factor = _unit(match["range_unit"]) if match["range_unit"] else ("", Decimal(1))
    said = (number(match["low"]), number(match["high"]))
    values = tuple(value * factor for value in said)
    return Quantity("range", values, unit, said, match.start(), match.end(), contexts.role(match.string, *match.span()))


def _measure(match: re.Match[str], _text: str) -> Quantity:
    unit, factor = _unit(match["unit"])
    said = (number(match["amount"]),)
    if match["alt"]:
        return Quantity("age", (said[0] * factor,), unit, said, match.start(), match.end())
    return _in_context("measure", (said[0] * factor,), unit, said, match)


def _in_context(
    kind: Kind, values: tuple[Decimal, ...], unit: str, said: tuple[Decimal, ...], match: re.Match[str]
) -> Quantity:
    """A number with its role and its age by what stands around it."""
    span = match.span()
    return Quantity(
        kind, values, unit, said, *span, contexts.role(match.string, *span), contexts.is_old(match.string, *span)
    )


def _ordinal_figure(match: re.Match[str], _text: str) -> Quantity:
    figures = _figures(match[0])[:1]
    return Quantity("ordinal", figures, "", figures, match.start(), match.end())


def _code(match: re.Match[str], _text: str) -> Quantity:
    return Quantity("code", (), match[0].upper(), (), match.start(), match.end())


def _bare(match: re.Match[str], text: str) -> Quantity:
    """A number by itself; in "von 5 auf 10 mg" and "5 oder 10 mg" it has the unit of the number that follows."""
    said = _figures(match[0])[:1]
    shared = _shared_unit().match(text, match.end())
    if shared:
        unit, factor = _unit(shared["unit"])
        return _in_context("measure", (said[0] * factor,), unit, said, match)
    return _in_context("bare", said, "", said, match)


@functools.cache
def _shared_unit() -> re.Pattern[str]:
    return re.compile(
        rf"\s+(?:auf|oder|und|bzw\.?|statt)\s+{_NUMBER}[\s-]*(?P<unit>{spelled.unit_pattern()})(?![\wäöüß])",
        re.IGNORECASE,
    )


_READERS = {
    "iso": _date, "date": _date, "named": _date, "spoken": _date, "scheme": _scheme, "clock": _clock,
    "pair": _pair, "range": _range, "times": _times, "aged": _aged, "measure": _measure,
    "ordinal": _ordinal_figure, "code": _code, "bare": _bare, "digits": _bare, "mark": _mark,
}  # fmt: skip


def forget() -> None:
    """Drop what is remembered of the texts of earlier runs."""
    for cache in (find, prepared):
        cache.cache_clear()
    spelled.forget()
    numbers.forget()


def month(number_of_month: int) -> str:
    """The lower-case name of a month, 1 to 12."""
    return spelled.MONTHS[number_of_month - 1]
