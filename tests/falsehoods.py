"""Clinical falsehoods: functions from an honest answer of a stage to a false one of the same shape."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

_DRUGS = {"Metoprolol": "Metformin", "Ramipril": "Rivaroxaban", "Ibuprofen": "Ibandronat", "Penicillin": "Paracetamol",
          "ASS": "Apixaban", "Amoxicillin": "Amiodaron"}  # fmt: skip
_SWAPPED = _DRUGS | {there: here for here, there in _DRUGS.items()}
_CM = "S93.401A"  # ICD-10-CM has seven places, ICD-10-GM has not


def in_texts(value: Any, change: Callable[[str], str], keys: frozenset[str] | None = None, key: str = "") -> Any:
    """A value with its texts changed; with `keys` only those that stand under one of them."""
    if isinstance(value, dict):
        return {name: in_texts(part, change, keys, name) for name, part in value.items()}
    if isinstance(value, list):
        return [in_texts(part, change, keys, key) for part in value]
    return change(value) if isinstance(value, str) and (keys is None or key in keys) else value


def changed_ages(value: Any) -> Any:
    """All ages and other numbers of years ten more."""
    pattern = re.compile(r"\b(\d{1,3})(?=[- ]?(?:jährig|Jahre))")
    return in_texts(value, lambda said: pattern.sub(lambda found: str(int(found[1]) + 10), said))


def swapped_drugs(value: Any) -> Any:
    """Each drug another one."""
    pattern = re.compile("|".join(_SWAPPED))
    return in_texts(value, lambda said: pattern.sub(lambda found: _SWAPPED[found[0]], said))


def flipped_negations(value: Any) -> Any:
    """What was denied is affirmed, and the other way round."""

    def flip(said: str) -> str:
        without = re.sub(r"\b(?:kein(?:e|en|er)?|nicht|ohne)\s+", "", said)
        return without if without != said else f"Kein Hinweis auf: {said}"

    return in_texts(value, flip, frozenset({"text"}))


def invented_words(value: Any) -> Any:
    """Each text ends with a word that no language has."""
    return in_texts(value, lambda said: f"{said} Splenohepatorexie.", frozenset({"text"}))


def wrong_segments(value: Any, by: int = 1000) -> Any:
    """Each cited segment another one."""
    if isinstance(value, dict):
        return {k: v + by if k == "segment" and type(v) is int else wrong_segments(v, by) for k, v in value.items()}
    return [wrong_segments(part, by) for part in value] if isinstance(value, list) else value


def american_codes(value: Any) -> Any:
    """Each code one of ICD-10-CM."""
    return in_texts(value, lambda _said: _CM, frozenset({"code"}))
