"""What a character set lacks, written with what it has, where nothing is lost by it.

A dose must never change on the way: a character without a stand-in here makes the whole message UTF-8 instead.
"""

from __future__ import annotations

import unicodedata
from typing import Final

#: The name in MSH-18 (HL7 table 0211) of a codec that we write. cp1252 is in no HL7 table; this is how senders name it.
_NAMES: Final = {
    "ascii": "ASCII",
    "cp1252": "WINDOWS-1252",
    "utf-8": "UNICODE UTF-8",
    **{f"iso8859-{part}": f"8859/{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15)},
}

#: Stand-ins in ASCII. Not here, because a reader could take them for something else: µ (m or u), °, superscripts
#: (10⁵ is not 105) and fractions (1½ is not 11/2).
_STAND_INS: Final = {
    **dict.fromkeys("„“”‟«»″", '"'), **dict.fromkeys("‚‘’‛‹›′´", "'"),
    **dict.fromkeys("‐‑‒–—―−", "-"), **dict.fromkeys("•‣▪●◦", "-"),
    **dict.fromkeys("\u00a0\u2002\u2003\u2007\u2008\u2009\u200a\u202f", " "),
    **dict.fromkeys("\u00ad\u200b\u200c\u200d\u2060\ufeff", ""),
    "…": "...", "≥": ">=", "≤": "<=", "≠": "ungleich", "≈": "ca. ", "→": "->", "←": "<-", "⇒": "=>",
    "↑": "(Pfeil hoch)", "↓": "(Pfeil runter)", "€": "EUR", "×": "x", "‰": " Promille",
    "ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss", "ẞ": "SS",
    "ı": "i", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ø": "oe", "æ": "ae", "Æ": "Ae", "œ": "oe", "Œ": "Oe",
    "ﬁ": "fi", "ﬂ": "fl", "ﬀ": "ff", "ﬃ": "ffi", "ﬄ": "ffl",
}  # fmt: skip

_GREEK_MU: Final = "\u03bc"
_MICRO_SIGN: Final = "\u00b5"


def name(codec: str) -> str | None:
    """What MSH-18 calls a codec; None for one that no message is sent in (UTF-16, UTF-32)."""
    return _NAMES.get(codec)


def fitted(text: str, codec: str) -> str:
    """The text with stand-ins for what the codec lacks. What has none stays, and cannot be encoded."""
    if _has(codec, text):
        return text
    composed = unicodedata.normalize("NFC", text)
    return "".join(character if _has(codec, character) else _stand_in(character, codec) for character in composed)


def _has(codec: str, text: str) -> bool:
    try:
        text.encode(codec)
    except UnicodeEncodeError:
        return False
    return True


def _stand_in(character: str, codec: str) -> str:
    if character in _STAND_INS:
        return _STAND_INS[character]
    if character == _GREEK_MU and _has(codec, _MICRO_SIGN):
        return _MICRO_SIGN
    if not character.isalpha():
        return character
    decomposed = unicodedata.normalize("NFD", character)
    letter, marks = decomposed[0], decomposed[1:]
    is_marked = bool(marks) and all(unicodedata.category(mark) == "Mn" for mark in marks)
    return letter if is_marked and _has(codec, letter) else character
