"""Numbers and amounts: NM, SI, CQ, MO, CP. HL7 v2.5 chapter 2.A; FHIR R4 Quantity, Money.

Digits are kept (1.50 stays 1.50). A decimal comma is read as one, but not where it could part thousands: `1,500` may be
one and a half or fifteen hundred, which is Unusable. `0,125` can only be a decimal.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from mappers import fhir_names
from mappers.v2_to_fhir.datatypes import code_systems, options, texts
from mappers.v2_to_fhir.reading import Unusable, Value
from mappers.v2_to_fhir.scope import Json, Scope

_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,30}(?:[.,][0-9]{0,30})?|[.,][0-9]{1,30})")
_MAYBE_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}")
_TEN = re.compile(r"(?:.*[^0-9])?10")
_EXPONENT = re.compile(r"[0-9]{1,2}(?:[^0-9].*)?")
_CURRENCY = re.compile(r"[A-Z]{3}")
_INTEGER_MAX: Final = 2**31 - 1


def number(text: str) -> Decimal:
    """The number that a text plainly is. Unusable for every other."""
    if _NUMBER.fullmatch(text) is None:
        raise Unusable("it is no number")
    if _MAYBE_THOUSANDS.fullmatch(text):
        raise Unusable("its comma may be a decimal comma or part thousands")
    return Decimal(text.replace(",", "."))


def unit(value: Value, scope: Scope) -> Json:
    """unit, system and code of a Quantity of a CWE (OBX-6, CQ.2); the system is UCUM only where the sender says so.

    The "^" of `10^9/l` is not escaped by most laboratories: it is no delimiter there.
    """
    if _TEN.fullmatch(value[1].raw) and _EXPONENT.fullmatch(value[2].raw):
        return {"unit": f"{texts.words(value[1])}^{texts.words(value[2])}"}
    code, name = texts.token(value[1]), texts.token(value[3])
    if code and name:
        system = code_systems.named(name, scope).system
        return {"unit": texts.words(value[2]) or code, "system": system, "code": code}
    said = code or texts.words(value[2])
    return {"unit": said} if said else {}


def _whole(value: Value, least: int) -> int | None:
    text = texts.words(value[1])
    if not text:
        return None
    found = number(text)
    if found != found.to_integral_value():
        raise Unusable("it is no whole number")
    if not least <= found <= _INTEGER_MAX:
        raise Unusable(f"it is less than {least} or more than FHIR allows")
    return int(found)


# ---- conversions


def decimal(value: Value, _scope: Scope) -> Decimal | None:
    """A decimal, digit for digit."""
    text = texts.words(value[1])
    return number(text) if text else None


def integer(value: Value, _scope: Scope) -> int | None:
    """A whole number of 32 bits."""
    return _whole(value, -_INTEGER_MAX - 1)


def unsigned_int(value: Value, _scope: Scope) -> int | None:
    """A whole number from 0."""
    return _whole(value, 0)


def positive_int(value: Value, _scope: Scope) -> int | None:
    """A whole number from 1."""
    return _whole(value, 1)


def quantity(value: Value, scope: Scope) -> Json | None:
    """A Quantity: the unit is CQ.2, or the CWE in the field `unit` of the same segment, or the UCUM code `ucum`."""
    text = texts.words(value[1])
    if not text:
        return None
    found = number(text)
    code = options.word(scope, "ucum")
    if code:
        return {"value": found, "unit": code, "system": fhir_names.UCUM, "code": code}
    beside = options.word(scope, "unit")
    return {"value": found, **unit(value.beside(int(beside)) if beside else value[2], scope)}


def money(value: Value, _scope: Scope) -> Json | None:
    """Money (MO, or the MO inside a CP). Unusable without a currency of ISO 4217: an amount alone is no price."""
    is_price = bool(value[1][2])
    text = texts.words(value[1][1])
    if not text:
        return None
    currency = texts.token(value[1][2] if is_price else value[2])
    if _CURRENCY.fullmatch(currency) is None:
        raise Unusable("its currency is not one of ISO 4217")
    return {"value": number(text), "currency": currency}
