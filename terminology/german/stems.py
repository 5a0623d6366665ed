"""Words as they are compared in a search: one spelling for ä and ae, for Carcinom and Karzinom, and no endings.

A rule of thumb that needs no dictionary, because most words of medicine stand in none. It may join words that differ;
it must never be used to decide what a text says, only to find what it could mean.
"""

from __future__ import annotations

import re
import unicodedata

_LETTERS = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "æ": "ae", "œ": "oe", "ø": "oe", "α": "alpha", "β": "beta"}
)
_NO_WORD = re.compile(r"[^a-z0-9]+")
_SOFT_C = re.compile(r"c(?=e|i|y|ae|oe)(?!h)")  # Cystitis, Carcinom, Caecum, Coeliakie
_HARD_C = re.compile(r"c(?!h)")  # Coxarthrose, Ulcus; not "ch"

#: Endings by which German nouns and adjectives are inflected, the longest first.
_ENDINGS = ("ens", "ern", "ers", "en", "es", "er", "em", "e", "s", "n")
#: How many letters must be left: fewer for endings that are hardly ever part of the word.
_LEFT = {"ens": 3, "en": 3, "e": 3, "es": 3, "er": 4, "em": 4, "ern": 3, "ers": 4, "s": 4, "n": 4}
_LAST = frozenset(ending[-1] for ending in _ENDINGS)
_BEFORE_S = frozenset("bdfghklmnrt")  # no ending in "Status", "Ulkus", "Sepsis"
_BEFORE_N = frozenset("lr")  # "Knöcheln"; no ending in "Neuron"


def fold(text: str) -> str:
    """A text in lower case with a to z and 0 to 9 only, one space between words: "Z. n. Cystitis" -> "z n zystitis"."""
    lowered = text.lower() if text.isascii() else unicodedata.normalize("NFC", text).lower().translate(_LETTERS)
    if not lowered.isascii():
        lowered = "".join(char for char in unicodedata.normalize("NFKD", lowered) if not unicodedata.combining(char))
        lowered = lowered.lower().translate(_LETTERS)
    if "c" in lowered:
        lowered = _HARD_C.sub("k", _SOFT_C.sub("z", lowered))
    lowered = lowered.replace("ph", "f")
    return lowered if lowered.isascii() and lowered.isalpha() else _NO_WORD.sub(" ", lowered).strip()


def stem(word: str) -> str:
    """A folded word without its ending: "herzens", "herz" -> "herz"; "chronische" -> "chron"."""
    if not word.isalpha():
        return word
    bare = _without_ending(word)
    if bare.endswith("isch") and len(bare) >= 8:
        return bare[:-4]
    if bare.endswith("i") and word.startswith(f"{bare}e") and len(bare) >= 6:  # Hypertonie, Allergien
        return bare[:-1]
    return bare


def _without_ending(word: str) -> str:
    if word[-1] not in _LAST:
        return word
    for ending in _ENDINGS:
        bare = word.removesuffix(ending)
        if len(bare) == len(word) or len(bare) < _LEFT[ending]:
            continue
        if ending == "s" and bare[-1] not in _BEFORE_S:
            continue
        if ending == "n" and bare[-1] not in _BEFORE_N:
            continue
        if bare[-1] == "s" and ending != "s" and len(bare) > _LEFT["s"] and bare[-2] in _BEFORE_S:
            return bare[:-1]  # Krebses as Krebs
        return bare
    return word
