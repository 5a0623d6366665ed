"""What a speaker may correct in a sentence: numbers, sides, days, frequencies, places in a row, drugs."""

from __future__ import annotations

import re
from dataclasses import dataclass

from terminology.drugs import catalogue as drugs
from terminology.german import numbers

_SIDE = r"(?:links?\w*|rechts?\w*|rechte[rnms]?|linke[rnms]?|beidseits|beidseitig\w*|beide[rn]?)"
_FREQUENCY = r"(?:(?:ein|zwei|drei|vier|fünf|sechs|acht)mal|\d+\s?[x×])"
_TIME = (
    r"(?:montag|dienstag|mittwoch|donnerstag|freitag|samstag|sonntag|januar|februar|märz|april|mai|juni|juli|august|"
    r"september|oktober|november|dezember|gestern|vorgestern|heute|morgens?|mittags?|abends?|nachts?)\w*"
)
_ORDINAL = (
    r"(?:erst|zweit|dritt|viert|fünft|sechst|siebt|acht|neunt|zehnt|elft|zwölft|\w+(?:zehnt|zigst|ßigst))e[nrms]?"
)
_NUMBER = r"(?:\d+(?:[.,]\d+)?|\w+)"


@dataclass(frozen=True, slots=True)
class Element:
    """One of them: its kind (number, side, frequency, time, ordinal, drug) and where it stands."""

    kind: str
    start: int
    end: int


def find(text: str, *, named: bool = True) -> list[Element]:
    """The numbers, sides, days, frequencies, places in a row and, where they are `named`, drugs of a text."""
    found: list[Element] = []
    for match in re.finditer(rf"\b{_NUMBER} (?:zu|auf) {_NUMBER}|\b\d+/\d+", text, re.IGNORECASE):
        parts = re.split(r" (?:zu|auf) |/", match.group(), flags=re.IGNORECASE)
        if all(is_number(part) for part in parts):
            found.append(Element("number", match.start(), match.end()))
    for kind, pattern in (("side", _SIDE), ("frequency", _FREQUENCY), ("time", _TIME), ("ordinal", _ORDINAL)):
        found += [Element(kind, m.start(), m.end()) for m in re.finditer(rf"\b{pattern}\b", text, re.IGNORECASE)]
    for match in re.finditer(rf"\b{_NUMBER}(?: [Kk]omma {_NUMBER})?", text):
        first = match.group().split()[0]
        if is_number(first) and not any(e.start <= match.start() < e.end for e in found):
            found.append(Element("number", match.start(), match.end()))
    if named:
        found += [Element("drug", *_whole(text, m.start, m.end)) for m in drugs.find(text)]
    return sorted(found, key=lambda element: element.start)


def _whole(text: str, start: int, end: int) -> tuple[int, int]:
    while start > 0 and text[start - 1].isalpha():
        start -= 1
    while end < len(text) and text[end].isalpha():
        end += 1
    return start, end


def is_number(word: str) -> bool:
    """Whether a word is a number, in figures or spoken."""
    return word[:1].isdigit() or numbers.value(word) is not None or numbers.halves(word) is not None
