"""Numbers as people say them: "hundertachtundsechzig zu achtundneunzig", "zwei Komma fünf", "siebenunddreißig neun"."""

from __future__ import annotations

import functools
import re
from decimal import Decimal

from terminology import tables

_UNITS = {
    "null": 0, "ein": 1, "eins": 1, "zwei": 2, "drei": 3, "vier": 4, "fünf": 5, "sechs": 6, "sieben": 7,
    "acht": 8, "neun": 9, "zehn": 10, "elf": 11, "zwölf": 12, "dreizehn": 13, "vierzehn": 14, "fünfzehn": 15,
    "sechzehn": 16, "siebzehn": 17, "achtzehn": 18, "neunzehn": 19,
}  # fmt: skip
_TENS = {
    "zwanzig": 20, "dreißig": 30, "dreissig": 30, "vierzig": 40, "fünfzig": 50, "sechzig": 60, "siebzig": 70,
    "achtzig": 80, "neunzig": 90,
}  # fmt: skip

#: Measure words and how they are written after a figure. Source: SI and UCUM print symbols.
UNIT_SYMBOLS = {
    "milligramm": "mg", "mikrogramm": "µg", "nanogramm": "ng", "gramm": "g", "kilogramm": "kg", "kilo": "kg",
    "milliliter": "ml", "liter": "l", "prozent": "%", "zentimeter": "cm", "millimeter": "mm", "meter": "m", "grad": "°C",
    "millimol": "mmol", "mmhg": "mmHg",
}  # fmt: skip

#: Words after a small number that say it counts something measured.
_MEASURED = (
    *UNIT_SYMBOLS, "tropfen", "hub", "hübe", "tabletten", "tablette", "einheiten", "internationale", "jahre", "jahren",
    "watt", "komma", "mg", "ml", "cm", "kg", "%",
)  # fmt: skip

_LARGE = 13  # from here on a spoken number is written in figures
_WORD = re.compile(r"[A-Za-zÄÖÜäöüß]+")
_NUMBER_WORD = (
    r"[a-zäöüß]*(?:null|eins?|zwei|drei|vier|fünf|sech|sieb|acht|neun|zehn|elf|zwölf|zig|ßig|hundert|tausend)[a-zäöüß]*"
)
_TOKEN = re.compile(rf"(?<![\w,.])(?:\d+(?:[.,]\d+)?|{_NUMBER_WORD})(?!\w)", re.IGNORECASE)
_FIGURE = re.compile(r"\d+(?:[.,]\d+)*")


_LONGEST = 90  # letters of a number word


def value(word: str) -> int | None:
    """The value of one spoken number, 0 to 999,999; None when the word is none ("einer" is not)."""
    word = word.lower()
    if word in ("ein", "") or len(word) > _LONGEST:
        return None
    return _standard_value(word)


@functools.lru_cache(maxsize=8192)
def _standard_value(word: str) -> int | None:
    found = _value(word)
    return _value(_standard(word)) if found is None else found


@functools.cache
def _forms() -> tuple[re.Pattern[str], dict[str, str]]:
    """The pieces of number words that are said in another way than they are written."""
    forms = {row["said"]: row["standard"] for row in tables.rows("german/number_forms")}
    return re.compile("|".join(sorted(map(re.escape, forms), key=len, reverse=True))), forms


def _standard(word: str) -> str:
    """A number word as it is written: "fuffzich" -> fünfzig, "zwo" -> zwei."""
    pattern, forms = _forms()
    return pattern.sub(lambda match: forms[match[0]], word)


def _in_standard(text: str) -> str:
    """`text` with its number words as they are written; a word that is no number stays as it is."""

    def replace(match: re.Match[str]) -> str:
        word = match[0].lower()
        if len(word) > _LONGEST or word == "ein" or _value(word) is not None or _standard_value(word) is None:
            return match[0]
        return _standard(word)

    return _WORD.sub(replace, text)


def _value(word: str) -> int | None:
    for power, size in (("tausend", 1000), ("hundert", 100)):
        if power in word:
            left, _, right = word.partition(power)
            high = _value(left) if left else 1
            low = _value(right.removeprefix("und")) if right else 0
            return high * size + low if high is not None and low is not None else None
    if word in _UNITS:
        return _UNITS[word]
    if word in _TENS:
        return _TENS[word]
    one, joined, ten = word.partition("und")
    if joined and one in _UNITS and ten in _TENS and 0 < _UNITS[one] < 10:
        return _TENS[ten] + _UNITS[one]
    return None


def in_figures(text: str) -> str:
    """`text` with its spoken measures in figures and unit symbols; small counts of everyday things stay words."""
    text = _decimals(_in_standard(text))
    text = _pairs(text)
    text = _temperatures(text)
    text = _singles(text)
    return _symbols(text)


_DECIMAL = re.compile(
    r"\b([A-Za-zäöüßÄÖÜ]+|\d+)\s+[Kk]omma\s+([A-Za-zäöüß]+|\d+)(?:\s+(null|eins|zwei|drei|vier|fünf|sechs|sieben|acht|neun))?\b"
)


def _decimals(text: str) -> str:
    def replace(match: re.Match[str]) -> str:
        whole, part = _figure(match[1]), _figure(match[2])
        third = value(match[3]) if match[3] else None
        if whole is None or part is None:
            return match[0]
        if third is None:
            return f"{whole},{part}" + (f" {match[3]}" if match[3] else "")
        return f"{whole},{part}{third}" if part < 10 else match[0]

    return _DECIMAL.sub(replace, text)


def _figure(word: str) -> int | None:
    if word.isdigit():
        return int(word)
    return 1 if word.lower() == "ein" else value(word)


_PAIR = re.compile(
    r"\b([A-Za-zäöüßÄÖÜ]+|\d{2,3})\s+(?:zu|auf|über)\s+([a-zäöüß]+|\d{2,3})\b(?!\s*(?:Milli|mg|Gramm|milli))"
)


#: "von hundert auf fünfzig" is a change, no pressure.
_CHANGE = re.compile(r"\bvon\s+$", re.IGNORECASE)
_NEAR = 8  # characters before a number in which the word stands that says what it is


def _pairs(text: str) -> str:
    """Blood pressures: two plausible numbers joined by "zu"."""

    def replace(match: re.Match[str]) -> str:
        upper, lower = _figure(match[1]), _figure(match[2])
        if upper is None or lower is None or not (60 <= upper <= 280 and 30 <= lower <= 160 and lower < upper):
            return match[0]
        if " zu " not in match[0].lower() and (
            upper < 90 or _CHANGE.search(text[max(0, match.start() - _NEAR) : match.start()])
        ):
            return match[0]
        return f"{upper}/{lower}"

    return _PAIR.sub(replace, text)


_TEMPERATURE = re.compile(
    r"\b([a-zäöüßA-ZÄÖÜ]+)\s+(null|eins|zwei|drei|vier|fünf|sechs|sieben|acht|neun)\b(?!\s*(?:Tag|Woche|Stunde|Minute|Monat|Jahr|Mal))",
    re.IGNORECASE,
)


def _temperatures(text: str) -> str:
    """Body temperatures said without a comma: "achtunddreißig neun"."""

    def replace(match: re.Match[str]) -> str:
        whole = value(match[1])
        return f"{whole},{value(match[2])}" if whole is not None and 34 <= whole <= 42 else match[0]

    return _TEMPERATURE.sub(replace, text)


_NEXT = re.compile(r"\s*([A-Za-zÄÖÜäöüß]+)")
_PERCENT = re.compile(r"\s*%")


def _singles(text: str) -> str:
    def replace(match: re.Match[str]) -> str:
        word = match[0]
        if word[0].isdigit():
            return word
        number = value(word)
        if number is None:
            return word
        following = _NEXT.match(text, match.end())
        measured = following is not None and following[1].lower() in _MEASURED
        percent = _PERCENT.match(text, match.end()) is not None
        return str(number) if number >= _LARGE or measured or percent else word

    return _TOKEN.sub(replace, text)


_SYMBOL = re.compile(rf"(?<=\d)\s*({'|'.join(sorted(UNIT_SYMBOLS, key=len, reverse=True))})\b", re.IGNORECASE)


_BODY_TEMPERATURE = re.compile(r"\b(?:3[4-9]|4[0-3])(?:[.,]\d)?$")


def _symbols(text: str) -> str:
    def replace(match: re.Match[str]) -> str:
        symbol = UNIT_SYMBOLS[match[1].lower()]
        if symbol == "°C" and not _BODY_TEMPERATURE.search(text[max(0, match.start() - _NEAR) : match.start()]):
            symbol = "°"
        return f" {symbol}"

    return _SYMBOL.sub(replace, text)


def values(text: str) -> set[Decimal]:
    """Every number in `text`, in figures or in words, as a value. "1.000" is a thousand, "37.2" a decimal."""
    found = {_decimal(figure) for figure in _FIGURE.findall(in_figures(text))}
    for number in re.findall(r"\d+", text):
        found.add(Decimal(number))
    for word in _WORD.findall(text):
        number_of_word = value(word)
        if number_of_word is not None:
            found.add(Decimal(number_of_word))
    for word, count in _MULTIPLES.items():
        if re.search(rf"\b{word}", text, re.IGNORECASE):
            found.add(Decimal(count))
    return found | {half for word in _WORD.findall(text) if (half := halves(word)) is not None}


_HALVES = re.compile(r"(?P<whole>[a-zäöüß]+?)einhalb")


def halves(word: str) -> Decimal | None:
    """The value of "zweieinhalb", "anderthalb" or "halb" in its forms; None when the word is none of them."""
    word = word.lower()
    if word in ("anderthalb", "eineinhalb"):
        return Decimal("1.5")
    if re.fullmatch(r"halbe?[nrsm]?", word):
        return Decimal("0.5")
    match = _HALVES.fullmatch(word)
    whole = value(match["whole"]) if match else None
    return whole + Decimal("0.5") if whole is not None else None


_MULTIPLES = {
    "einmal": 1, "zweimal": 2, "dreimal": 3, "viermal": 4, "fünfmal": 5, "sechsmal": 6, "achtmal": 8, "zehnmal": 10,
    "erst": 1, "zweit": 2, "dritt": 3, "viert": 4, "fünft": 5, "sechst": 6, "siebt": 7, "acht": 8, "neunt": 9, "zehnt": 10,
    "doppelt": 2,
}  # fmt: skip


def _decimal(figure: str) -> Decimal:
    if re.fullmatch(r"\d{1,3}(?:\.\d{3})+", figure):
        return Decimal(figure.replace(".", ""))
    return Decimal(re.sub(r"[.,]", ".", figure, count=1).split(".", 2)[0] + _fraction(figure)).normalize()


def _fraction(figure: str) -> str:
    parts = re.split(r"[.,]", figure)
    return f".{parts[1]}" if len(parts) > 1 and parts[1] else ""


def forget() -> None:
    """Drop what is remembered of the texts of earlier runs."""
    _standard_value.cache_clear()
