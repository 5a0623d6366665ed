"""Quantities in German text: doses, measures, ages, dates, spans of time, frequencies, each as an exact value.

"fünf Milligramm", "5 mg" and "0,005 g" are one quantity; "5 mg" and "5 Tage" are two.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from terminology import tables
from terminology.german import numbers

Kind = Literal["bare", "measure", "range", "pair", "date", "mark", "clock", "scheme", "times", "ordinal", "code", "age"]
#: What a span of time says: how long ago, when to come, how long for, how often.
Role = Literal["", "since", "in", "for", "every"]

TIME_BASES = frozenset({"s", "Monat"})


@dataclass(frozen=True, slots=True)
class Quantity:
    """One quantity. `values` are in the base `unit` of its dimension (g, l, m, s, Monat, %, mmHg, Tablette ...), and
    empty for a `mark` or `code`, whose `unit` is the word. `said` are the numbers as they stand there. `is_old` marks
    a value that the sentence itself replaces ("von 5 auf 10", "statt 5").
    """

    kind: Kind
    values: tuple[Decimal, ...]
    unit: str
    said: tuple[Decimal, ...]
    start: int
    end: int
    role: Role = ""
    is_old: bool = False

    @property
    def is_time(self) -> bool:
        """Whether it measures time."""
        return self.unit in TIME_BASES


@functools.cache
def _spellings() -> tuple[tuple[str, tables.Row], ...]:
    """Every spelling of a unit with its row, the longest first."""
    found = ((spelling, row) for row in tables.rows("german/units") for spelling in row["spellings"].split("|"))
    return tuple(sorted(found, key=lambda pair: len(pair[0]), reverse=True))


@functools.cache
def _units() -> dict[str, tuple[str, Decimal]]:
    exact = {spelling: (row["unit"], Decimal(row["factor"])) for spelling, row in _spellings()}
    return {**{spelling.lower(): meant for spelling, meant in exact.items()}, **exact}


@functools.cache
def _unit_pattern() -> str:
    return "|".join(re.escape(spelling).replace(r"\ ", r"\s+") for spelling, _row in _spellings())


_NUMBER = r"(?:\d{1,3}(?:\.\d{3})+|\d+(?:[.,]\d+)?)"
_PIECE = rf"(?<![\w.,/])({_NUMBER})"
_MONTHS = ("januar", "februar", "märz", "april", "mai", "juni", "juli", "august", "september", "oktober", "november", "dezember")  # fmt: skip
_MONTH_FORMS = {**{name: n for n, name in enumerate(_MONTHS, 1)}, "jänner": 1, "feber": 2}
_MONTH = "|".join(_MONTH_FORMS)
_WEEKDAYS = r"montag|dienstag|mittwoch|donnerstag|freitag|samstag|sonnabend|sonntag"
_DAYTIMES = {
    "morgens": "morgens", "früh": "morgens", "frühmorgens": "morgens", "vormittags": "vormittags",
    "mittags": "mittags", "nachmittags": "nachmittags", "abends": "abends", "nachts": "nachts",
    "abend": "abends", "mittag": "mittags", "nacht": "nachts", "frühstück": "morgens",
}  # fmt: skip
_DAYS = frozenset({"gestern", "vorgestern", "übermorgen", "heute"})
_ORDINALS = {
    "erst": 1, "zweit": 2, "dritt": 3, "viert": 4, "fünft": 5, "sechst": 6, "siebt": 7, "siebent": 7, "acht": 8,
    "neunt": 9, "zehnt": 10, "elft": 11, "zwölft": 12,
}  # fmt: skip
_TIMES_WORDS = {
    "einmal": 1, "zweimal": 2, "dreimal": 3, "viermal": 4, "fünfmal": 5, "sechsmal": 6, "siebenmal": 7, "achtmal": 8,
    "zehnmal": 10,
}  # fmt: skip
#: What is counted off: "am 3. Tag"; any other full stop after a figure ends a sentence.
_COUNTED_OFF = r"tag|woche|monat|jahr|lebens|quartal|rippe|zeh|finger|stock|mal|grad|schwanger|ssw|trimenon|bwk|lwk|hwk|strahl|zyklus|dosis|impfung"
_PER = r"(?:täglich|tägl\.?|tgl\.?|am\s+tag|pro\s+tag|je\s+tag|den\s+tag|/d\b)"
_PER_WEEK = r"(?:wöchentlich|pro\s+woche|in\s+der\s+woche|die\s+woche|je\s+woche)"
_PER_MONTH = r"(?:monatlich|pro\s+monat|im\s+monat)"


def normal(text: str) -> str:
    """`text` with every number in figures: "zweimal" -> 2x, "dritter März" -> 3. märz, "eine Tablette" -> 1 Tablette."""
    text = _HALF.sub("0,5", _QUARTER.sub("0,25", text.replace("μ", "µ")))
    text = _SPOKEN.sub(_spoken, numbers.in_figures(text))
    text = _SECOND_ORDINAL.sub(_month_ordinal, text)
    return _article().sub("1 ", text)


_SPOKEN = re.compile(r"(?<![\w])[^\W\d_]+(?![\w])")


def _spoken(match: re.Match[str]) -> str:
    word = match[0].lower()
    number = numbers.value(word)
    if number is not None:
        return str(number)
    half = numbers.halves(word)
    if half is not None and not (word == "halb" and _counts(match.string, match.end())):
        return str(half).replace(".", ",")
    if word in _TIMES_WORDS:
        return f"{_TIMES_WORDS[word]}x" if word != "einmal" or _ONCE.match(match.string, match.end()) else match[0]
    ordinal = _ordinal(word)
    if ordinal is not None and _AFTER_ORDINAL.match(match.string, match.end()):
        return f"{ordinal}."
    aged = _AGED_WORD.fullmatch(word)
    years = numbers.value(aged[1]) if aged else None
    return f"{years}-{aged[2]}" if aged and years is not None else match[0]


#: "1/2 Tablette": a fraction of something counted; by itself 1/2 may be a finding.
_HALF = re.compile(r"½|(?<![\d/])1/2(?=\s*(?:tbl|tabl|liter|stunde|jahr))", re.IGNORECASE)
_QUARTER = re.compile(r"¼|(?<![\d/])1/4(?=\s*(?:tbl|tabl|liter|stunde|jahr))", re.IGNORECASE)
_SECOND_ORDINAL = re.compile(r"(?<=\d\. )[^\W\d_]+")


def _month_ordinal(match: re.Match[str]) -> str:
    """The month of a date said in two ordinals: "am dritten Dritten"."""
    ordinal = _ordinal(match[0].lower())
    return f"{ordinal}." if ordinal is not None and ordinal <= len(_MONTHS) else match[0]


def _counts(text: str, position: int) -> bool:
    """Whether a number follows: "halb acht" is a time of day."""
    following = _NEXT_WORD.match(text, position)
    return following is not None and numbers.value(following[1]) is not None


_NEXT_WORD = re.compile(r"\s+([^\W\d_]+)")
_ONCE = re.compile(rf"\s+(?:{_PER}|{_PER_WEEK}|{_PER_MONTH})", re.IGNORECASE)
_AFTER_ORDINAL = re.compile(
    rf"\s+(?:(?:{_MONTH})\b|(?:dritte|vierte|fünfte|sechste|sieb|achte|neunte|zehnte|elfte|zwölfte|erste|zweite)\w*|{_COUNTED_OFF})",
    re.IGNORECASE,
)
_AGED_WORD = re.compile(r"(.+?)(jährig\w*|tägig\w*|wöchig\w*|monatig\w*|stündig\w*|stündlich\w*|minütig\w*)")


@functools.lru_cache(maxsize=4096)
def _ordinal(word: str) -> int | None:
    stem = re.sub(r"e[nrsm]?$", "", word)
    if stem == word:
        return None
    if stem in _ORDINALS:
        return _ORDINALS[stem]
    return numbers.value(stem.removesuffix("t").removesuffix("s")) if len(stem) > 6 and stem.endswith("t") else None


@functools.cache
def _article() -> re.Pattern[str]:
    counted = "|".join(
        re.escape(spelling)
        for spelling, row in _spellings()
        if row["kind"] in ("piece", "time", "count", "mass", "volume") and len(spelling) > 2
    )
    return re.compile(rf"\b(?:ein|eine[nmrs]?|ne[nr]?|'ne[nr]?)\s+(?=(?:{counted})\b)", re.IGNORECASE)


@functools.cache
def _master() -> re.Pattern[str]:
    unit = _unit_pattern()
    return re.compile(
        rf"(?P<iso>\b\d{{4}}-\d{{2}}-\d{{2}}\b)"
        rf"|(?P<date>(?<![\w.,])\d{{1,2}}\.\s?\d{{1,2}}\.(?:\s?(?:19|20)?\d{{2}}\b)?)"
        rf"|(?P<named>(?<![\w.,])\d{{1,2}}\.?\s+(?:{_MONTH})\b(?:\s+\d{{4}}\b)?)"
        rf"|(?P<spoken>(?<![\w.,])\d{{1,2}}\.\s+\d{{1,2}}\.(?!\d))"
        rf"|(?P<scheme>(?<![\w,.-])\d(?:,5)?(?:\s?[-–]\s?\d(?:,5)?){{2,3}}(?![\w-])|(?<![\w,.-])[0-4](?:\s[0-4]){{2,3}}(?!\w|[.,]\d|-))"
        rf"|(?P<clock>(?<![\w.,])\d{{1,2}}[:.]\d{{2}}(?:\s*Uhr\b)|(?<![\w.,])\d{{1,2}}:\d{{2}}\b|(?<![\w.,])\d{{1,2}}\s+Uhr\b(?:\s+\d{{1,2}}\b)?|\bhalb\s+\d{{1,2}}\b)"
        rf"|(?P<pair>(?<![\w.,/])\d+(?:,\d+)?\s?/\s?\d+(?:,\d+)?(?![\w/])(?:\s*mm\s?Hg\b)?)"
        rf"|(?P<range>(?<![\w.,/])(?P<low>{_NUMBER})\s*(?:-|–|bis(?:\s+zu)?)\s*(?P<high>{_NUMBER})(?:[\s-]*(?P<range_unit>{unit})(?![\wäöüß]))?(?!\d))"
        rf"|(?P<times>{_PIECE}\s?(?:x|×|mal)(?![a-zäöü])(?:\s*(?P<per>{_PER})|\s*(?P<week>{_PER_WEEK})|\s*(?P<month>{_PER_MONTH}))?)"
        rf"|(?P<aged>{_PIECE}[-\s]?(jährig|tägig|wöchig|monatig|stündig|stündlich|minütig)\w*)"
        rf"|(?P<measure>(?<![\w.,/])(?P<amount>{_NUMBER})(?:[\s-]*(?P<unit>{unit})(?![\wäöüß]))(?P<alt>\s+alt\b)?)"
        rf"|(?P<ordinal>(?<![\w.,])\d{{1,2}}\.(?=\s+(?:{_COUNTED_OFF})))"
        rf"|(?P<code>\b[A-Za-zÄÖÜ]{{1,3}}\d[\w]*\b)"
        rf"|(?P<bare>{_PIECE}(?!\w))"
        rf"|(?P<digits>\d+)"
        rf"|(?P<mark>\b(?:{_MONTH}|(?:{_WEEKDAYS})(?:s|en)?|{'|'.join(_DAYTIMES)}|{'|'.join(_DAYS)})\b)",
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
_OLD_BEFORE = re.compile(
    r"\b(?:statt|anstatt|anstelle(?:\s+von)?|nicht(?:\s+mehr)?)\s+(?:den|die|der)?\s*$", re.IGNORECASE
)
_CHANGED = re.compile(rf"[^.;?!]{{0,25}}?\s+auf\s+{_NUMBER}", re.IGNORECASE)
_FROM = re.compile(r"\bvon\s+(?:derzeit\s+|bisher\s+)?$", re.IGNORECASE)
_ABOUT = r"(?:(?:etwa|circa|ca\.|ungefähr|gut|knapp|so|über|fast|rund|mindestens|höchstens|maximal|bestimmt|schon|frühestens|spätestens)\s+){0,2}$"
_ROLES: tuple[tuple[re.Pattern[str], Role], ...] = (
    (re.compile(rf"\b(?:seit|vor)\s+{_ABOUT}", re.IGNORECASE), "since"),
    (re.compile(rf"\b(?:in|nach)\s+{_ABOUT}", re.IGNORECASE), "in"),
    (re.compile(rf"\b(?:für|über)\s+{_ABOUT}", re.IGNORECASE), "for"),
    (re.compile(r"\b(?:alle|jede|jeden)\s+$", re.IGNORECASE), "every"),
)
_NEAR = 45  # characters before a number in which the words stand that say what it is for


@functools.lru_cache(maxsize=4096)
def prepared(text: str) -> str:
    """`text` as the quantities are read from it: in figures, "L 5" as L5, "NYHA III" as NYHA 3."""
    text = _LETTER_NUMBER.sub(r"\1\2", normal(text))
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
            yield found


def _figures(text: str) -> tuple[Decimal, ...]:
    return tuple(number(figure) for figure in re.findall(_NUMBER, text))


def _before(match: re.Match[str]) -> str:
    return match.string[max(0, match.start() - _NEAR) : match.start()]


def _role(match: re.Match[str]) -> Role:
    before = _before(match)
    found: Role = next((role for pattern, role in _ROLES if pattern.search(before)), "")
    return "for" if not found and re.match(r"\s+lang\b", match.string[match.end() : match.end() + 6]) else found


def _is_old(match: re.Match[str]) -> bool:
    """Whether the sentence itself puts another value in the place of this one."""
    before = _before(match)
    if _OLD_BEFORE.search(before):
        return True
    return _FROM.search(before) is not None and _CHANGED.match(match.string, match.end()) is not None


def _date(match: re.Match[str], _text: str) -> Quantity:
    whole = match[0].lower()
    if match["iso"]:
        year, month, day = (Decimal(part) for part in whole.split("-"))
        return Quantity("date", (day, month, year), "", (day, month, year), match.start(), match.end())
    figures = tuple(Decimal(part) for part in re.findall(r"\d+", whole))
    name = next((name for name in _MONTH_FORMS if re.search(rf"\b{name}\b", whole)), None)
    if name is not None:
        figures = (figures[0], Decimal(_MONTH_FORMS[name]), *figures[1:])
    if len(figures) > 2 and figures[2] < 100:
        figures = (*figures[:2], figures[2] + 2000)
    return Quantity("date", figures, "", figures, match.start(), match.end())


def _mark(match: re.Match[str], _text: str) -> Quantity | None:
    word = match[0].lower()
    if word in _MONTH_FORMS:
        return Quantity("mark", (), _MONTHS[_MONTH_FORMS[word] - 1], (), match.start(), match.end())
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
    return Quantity("pair", parts, "", parts, match.start(), match.end())


def _times(match: re.Match[str], _text: str) -> Quantity:
    per = "Woche" if match["week"] else "Monat" if match["month"] else "Tag" if match["per"] else ""
    figures = _figures(match[0])[:1]
    return Quantity("times", figures, per, figures, match.start(), match.end())


def _aged(match: re.Match[str], _text: str) -> Quantity:
    figures = _figures(match[0])[:1]
    name = next(name for name in _AGED if name in match[0].lower())
    unit, factor = _AGED[name]
    if name == "jährig":
        return Quantity("age", figures, "Jahr", figures, match.start(), match.end())
    role: Role = "every" if name == "stündlich" else ""
    return Quantity("measure", (figures[0] * factor,), unit, figures, match.start(), match.end(), role)


def _unit(text: str) -> tuple[str, Decimal]:
    spelled = re.sub(r"\s+", " ", text)
    return _units()[spelled] if spelled in _units() else _units()[spelled.lower()]


def _range(match: re.Match[str], _text: str) -> Quantity:
    unit, factor = _unit(match["range_unit"]) if match["range_unit"] else ("", Decimal(1))
    said = (number(match["low"]), number(match["high"]))
    values = tuple(value * factor for value in said)
    return Quantity("range", values, unit, said, match.start(), match.end(), _role(match))


def _measure(match: re.Match[str], _text: str) -> Quantity:
    unit, factor = _unit(match["unit"])
    said = (number(match["amount"]),)
    if match["alt"]:
        return Quantity("age", said, "Jahr", said, match.start(), match.end())
    values = (said[0] * factor,)
    return Quantity("measure", values, unit, said, match.start(), match.end(), _role(match), _is_old(match))


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
        values = (said[0] * factor,)
        return Quantity("measure", values, unit, said, match.start(), match.end(), _role(match), _is_old(match))
    return Quantity("bare", said, "", said, match.start(), match.end(), _role(match), _is_old(match))


@functools.cache
def _shared_unit() -> re.Pattern[str]:
    return re.compile(
        rf"\s+(?:auf|oder|und|bzw\.?|statt)\s+{_NUMBER}[\s-]*(?P<unit>{_unit_pattern()})(?![\wäöüß])", re.IGNORECASE
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


def month(number_of_month: int) -> str:
    """The lower-case name of a month, 1 to 12."""
    return _MONTHS[number_of_month - 1]
