"""The schema canary: does the server hold a model to a schema that no free text satisfies by luck?

The prompt asks for a friendly sentence and for no JSON; the schema wants a word and a number that were drawn a moment
ago and stand nowhere in the prompt. Whoever answers by them was held to the schema. It has every part that stages use
and that servers understand alike: a choice of words, a choice of numbers, a list with bounds, a reference. Bounds of
numbers are left out, since llama.cpp's grammar ignored them in some versions; segments are choices anyway.
"""

from __future__ import annotations

import secrets

from pipeline.engines import shapes
from pipeline.engines.shapes import Shape

SYSTEM = "Du bist ein freundlicher Mensch, der gern über das Wetter spricht. Schreibe kein JSON."
USER = "Wie wird das Wetter morgen? Antworte mit einem einzigen freundlichen deutschen Satz, ohne Klammern und Zahlen."

_LETTERS = "bcdfghjklmnpqrstvwxz"  # no vowels: no word of any language comes out
_LENGTH = 12


def shape() -> Shape:
    """A new canary's shape: 20^12 words, 900,000 numbers."""
    word = "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))
    number = 100_000 + secrets.randbelow(900_000)
    schema = shapes.obj(wort=shapes.one_of(word), belege=shapes.array(shapes.CITED, most=2, fewest=1))
    schema["$defs"] = {shapes.CITE: shapes.obj(segment={"type": "integer", "enum": [number]})}
    return Shape(json_schema=schema)
