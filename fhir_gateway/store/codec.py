"""JSON on the wire and in the store: plain dicts, decimals kept to the digit.

https://hl7.org/fhir/R4/json.html: "the precision of the decimal value … SHALL be preserved".
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec

Resource = dict[str, Any]

_decoder = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")


class NotJson(ValueError):
    """The body is not JSON."""


def decode(body: bytes) -> Any:
    """The JSON value in `body` with decimals as `Decimal`; NotJson says where it breaks, never what stands there."""
    try:
        return _decoder.decode(body)
    except UnicodeDecodeError as error:
        raise NotJson(f"the body is not UTF-8 (byte {error.start})") from None
    except msgspec.DecodeError as error:
        raise NotJson(f"the body is not JSON: {error}") from None
    except RecursionError:
        raise NotJson("the body is nested too deeply") from None
    except ArithmeticError:
        raise NotJson("the body holds a number that nothing can be computed with") from None


def decode_received(body: bytes) -> Any:
    """As `decode`, and NotJson when an object has a key twice: of two birth dates nobody knows which one is meant."""
    value = decode(body)
    try:
        json.loads(body, object_pairs_hook=_refuse_repeats, parse_int=str, parse_float=str)
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise NotJson("the body is not JSON") from None
    except RecursionError:
        raise NotJson("the body is nested too deeply") from None
    return value


def _refuse_repeats(pairs: list[tuple[str, object]]) -> None:
    if len({key for key, _value in pairs}) < len(pairs):
        raise NotJson("an object in the body has a key twice")


def encode(value: object) -> bytes:
    """`value` as compact UTF-8 JSON."""
    return _encoder.encode(value)
