"""Ages: a number is the age of the one of whom it was said, and of today."""

from __future__ import annotations

import re
from typing import Final

from pipeline.grounding import reading
from terminology.german import quantities as said_quantities
from terminology.german.quantities import Quantity

_YEAR: Final = 12  # months
_NEAR: Final = 80  # characters between the question for an age and the number
_ASKED = re.compile(r"\b(?:alt|alter|lebensjahr)\b", re.IGNORECASE)
_IS_AGED = (
    r"(?:\b(?:bin|ist|sind|bist|werde|wird|geworden)|(?<!im )\balter(?:\s+von)?:?)\s+"
    r"(?:(?:jetzt|schon|erst|gerade|ja|auch|etwa|inzwischen|mittlerweile|ich|er|sie)\s+){0,3}"
)
_NOT_MEASURED = (
    r"(?!\s*[,./\d]*\d)(?:\s+jahren?\b(?=\s*(?:[,.;!?]|alt|und|$)))?(?!\s+jahr)"
    r"(?!\s+\w*(?:uhr|mg|kilo|kg|prozent|grad|tag|woch|monat|stund|zu|schläge|zentimeter|cm|tropfen|tablette))"
)
#: The age at which something was: "mit vierzehn", "da war ich zwanzig".
_THEN = r"\b(?:mit|im\s+alter\s+von|als|war|waren|wurde)\s+(?:(?:ich|er|sie|etwa|ungefähr|so|gerade|schon)\s+){0,2}"
_THEN_BEFORE = re.compile(rf"{_THEN}$", re.IGNORECASE)
_PERSON = re.compile(r"\b(?:herr|frau|patient\w*|männlich|weiblich|geboren)\b", re.IGNORECASE)
_FEW: Final = 4  # words of an answer that is nothing but an age


def is_carried(claim: Quantity, said: reading.Said, *, of_family: bool) -> bool:
    """Whether an age was said of the patient, or of a relative where the claim speaks of one."""
    clauses = [clause.text for clause in said.clauses if clause.is_family == of_family]
    text = said_quantities.prepared(" ; ".join(clauses))
    if any(_is_same(claim, other, text) for other in said_quantities.find(" ; ".join(clauses))):
        return True
    if claim.values != (claim.said[0] * _YEAR,):
        return False
    return re.search(rf"{_IS_AGED}{claim.said[0]}\b{_NOT_MEASURED}", text, re.IGNORECASE) is not None


def _is_same(claim: Quantity, other: Quantity, text: str) -> bool:
    before = text[max(0, other.start - _NEAR) : other.start]
    if _THEN_BEFORE.search(before):
        return False
    if other.kind == "age":
        return (other.unit, other.values) == (claim.unit, claim.values)
    if other.kind == "bare":
        return other.said[0] * _YEAR == claim.values[0] and _ASKED.search(before) is not None
    if other.kind != "measure" or other.role or (other.unit, other.values) != (claim.unit, claim.values):
        return False
    clause = before.rpartition(";")[2] + text[other.start : other.end + _NEAR].partition(";")[0]
    return bool(_ASKED.search(before) or _PERSON.search(clause)) or len(clause.split()) <= _FEW


def is_at_age(claim: Quantity, text: str, told: str) -> bool:
    """Whether years of a claim are the age at which something was, and were said so: "mit 55 Jahren", "mit
    fünfundfünfzig". `text` and `told` are prepared.
    """
    if claim.unit != "Monat" or claim.values != (claim.said[0] * _YEAR,):
        return False
    if _THEN_BEFORE.search(text[max(0, claim.start - _NEAR) : claim.start]) is None:
        return False
    return re.search(rf"{_THEN}{claim.said[0]}\b{_NOT_MEASURED}", told, re.IGNORECASE) is not None
