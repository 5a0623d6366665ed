"""Results: OBX-5 by its OBX-2, and OBX-7. HL7 v2.5 chapters 2.A and 7; FHIR R4 Observation.

A value that is not what OBX-2 says (an NM of "neg", a date that cannot be) is handed on as the text that it is, with
its unit where it holds a digit: a result is never left out because it is odd.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from mappers.v2_to_fhir.datatypes import codings, numbers, texts, times
from mappers.v2_to_fhir.reading import Unusable, Value
from mappers.v2_to_fhir.scope import Json, Scope

_COMPARATORS: Final = {"": None, "=": None, "<": "<", ">": ">", "<=": "<=", ">=": ">=", "≤": "<=", "≥": ">="}
_COMPARED = re.compile(r"(<=|>=|[<>=≤≥]|)\s*(\S+)")
_RANGE = re.compile(r"([+-]?[0-9.,]+)\s*(?:-|–|bis)\s*([+-]?[0-9.,]+)")
_DIGIT = re.compile(r"[0-9]")


def observation(value: Value, scope: Scope) -> Json | None:
    """The value[x] of an Observation with its name: {"valueQuantity": …}. None for every repetition but the first.

    ST with a unit in OBX-6 is a quantity where it is plainly a number. Several repetitions are the lines of one
    valueString: an Observation has one value. Unusable for ED and RP, which belong into a document.
    """
    repetitions = texts.repetitions(value)
    if not repetitions:
        return None
    kind = texts.token(value.beside(2)).upper()
    if kind in ("ED", "RP"):
        raise Unusable("an Observation cannot hold a document")
    if len(repetitions) > 1:
        if kind in _CODED or kind == "SN":
            said = "\n".join(_readable(repetition, kind) for repetition in repetitions)
        else:
            said = texts.joined(repetitions)
        return _string(said, value, scope)
    try:
        found = _VALUES[kind](value, scope) if kind in _VALUES else None
    except Unusable:
        found = None
    return found or _string(_readable(value, kind), value, scope)


def _readable(value: Value, kind: str) -> str:
    """A repetition as a person reads it."""
    if kind in _CODED:
        said = [texts.words(value[number]) for number in (9, 2, 5, 1)]
        return next((part for part in said if part), "")
    if kind == "SN":
        return " ".join(part for number in range(1, 5) if (part := texts.words(value[number])))
    return texts.lines(value)


def _string(said: str, value: Value, scope: Scope) -> Json | None:
    """A valueString. A unit that was sent stays with a number."""
    said = said.strip("\n")
    if said and "\n" not in said and _DIGIT.search(said):
        unit = numbers.unit(value.beside(6), scope).get("unit")
        said = f"{said} {unit}" if unit and not said.endswith(unit) else said
    return {"valueString": said} if said else None


def _amount(text: str, value: Value, scope: Scope) -> Json | None:
    """A Quantity of a number, with a comparator before it; None for what is none."""
    found = _COMPARED.fullmatch(text)
    if found is None:
        return None
    number = numbers.number(found[2])
    comparator = _COMPARATORS[found[1]]
    unit = numbers.unit(value.beside(6), scope)
    return {"value": number, **({"comparator": comparator} if comparator else {}), **unit}


def _numeric(value: Value, scope: Scope) -> Json | None:
    amount = _amount(texts.words(value), value, scope)
    return {"valueQuantity": amount} if amount else None


def _short_text(value: Value, scope: Scope) -> Json | None:
    return _numeric(value, scope) if value.beside(6) else None


def _structured(value: Value, scope: Scope) -> Json | None:
    """SN: `>^100`, `^1^:^128`, `^3^-^5`, and `<0.1` undivided. None for what has no such form in FHIR (`^2^+`)."""
    if value.count == 1:
        return _numeric(value, scope)
    comparator, first, separator, second = (texts.token(value[number]) for number in range(1, 5))
    if comparator not in _COMPARATORS or not first:
        return None
    low = numbers.number(first)
    compared = _COMPARATORS[comparator]
    start: Json = {"value": low, **({"comparator": compared} if compared else {})}
    if not separator and not second:
        return {"valueQuantity": {**start, **numbers.unit(value.beside(6), scope)}}
    high = numbers.number(second)
    if separator == ":" or (separator == "/" and not value.beside(6)):
        return {"valueRatio": {"numerator": start, "denominator": {"value": high}}}
    if separator != "-" or comparator not in ("", "=") or low > high:
        return None
    unit = numbers.unit(value.beside(6), scope)
    return {"valueRange": {"low": {"value": low, **unit}, "high": {"value": high, **unit}}}


def _coded(value: Value, scope: Scope) -> Json | None:
    found = codings.codeable_concept(value, scope)
    return {"valueCodeableConcept": found} if found else None


def _dated(value: Value, scope: Scope) -> Json | None:
    found = times.date_time(value, scope)
    return {"valueDateTime": found} if found else None


def _timed(value: Value, scope: Scope) -> Json | None:
    found = times.time(value, scope)
    return {"valueTime": found} if found else None


def _lasting(value: Value, scope: Scope) -> Json | None:
    found = times.period(value, scope)
    return {"valuePeriod": found} if found else None


def _counted(value: Value, scope: Scope) -> Json | None:
    found = numbers.integer(value, scope)
    return None if found is None else {"valueInteger": found}


def _measured(value: Value, scope: Scope) -> Json | None:
    found = numbers.quantity(value, scope)
    return {"valueQuantity": found} if found else None


def _ranged(value: Value, scope: Scope) -> Json | None:
    low, high = (numbers.number(texts.words(value[number])) for number in (1, 2))
    unit = numbers.unit(value.beside(6), scope)
    return {"valueRange": {"low": {"value": low, **unit}, "high": {"value": high, **unit}}} if low <= high else None


_CODED: Final = frozenset({"CE", "CWE", "CNE", "CF", "ID", "IS"})
_VALUES: Final[Mapping[str, Callable[[Value, Scope], Json | None]]] = MappingProxyType(
    {
        "NM": _numeric,
        "ST": _short_text,
        "SN": _structured,
        "NR": _ranged,
        "SI": _counted,
        "CQ": _measured,
        "DT": _dated,
        "TS": _dated,
        "DTM": _dated,
        "TM": _timed,
        "DR": _lasting,
        **dict.fromkeys(_CODED, _coded),
    }
)


def reference_range(value: Value, scope: Scope) -> Json | None:
    """A referenceRange (OBX-7): its text; low and high with OBX-6's unit where it plainly is `3.5-5.0`, `<5`, `>60`."""
    text = texts.lines(value)
    if not text:
        return None
    bounds = _bounds(text)
    unit = numbers.unit(value.beside(6), scope) if bounds else {}
    return {**{name: {"value": bound, **unit} for name, bound in bounds.items()}, "text": text}


def _bounds(text: str) -> Json:
    try:
        found = _RANGE.fullmatch(text.strip())
        if found is not None:
            low, high = numbers.number(found[1]), numbers.number(found[2])
            return {"low": low, "high": high} if low <= high else {}
        compared = _COMPARED.fullmatch(text.strip())
        if compared is None or _COMPARATORS[compared[1]] is None:
            return {}
        return {"high" if compared[1] in ("<", "<=", "≤") else "low": numbers.number(compared[2])}
    except Unusable:
        return {}
