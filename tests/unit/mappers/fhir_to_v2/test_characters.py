"""Stand-ins for what a character set lacks: readable, and never another dose."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappers import er7
from mappers.fhir_to_v2 import characters


@pytest.mark.parametrize(
    ("text", "codec", "expected"),
    [
        ("„5–10 mg“ … ≥ 3 • ≤ 4 → ok, ca. ≈ 2 €", "iso8859-1", '"5-10 mg" ... >= 3 - <= 4 -> ok, ca. ca.  2 EUR'),
        ("≥ 50 µg, 38,5 °C, Größe 1½", "iso8859-1", ">= 50 µg, 38,5 °C, Größe 1½"),
        ("50 μg", "iso8859-1", "50 µg"),  # the Greek letter becomes the micro sign
        ("5 €", "iso8859-15", "5 €"),
        ("Müller, Größe, Ägypten", "ascii", "Mueller, Groesse, Aegypten"),
        ("Yılmaz, Göğüş, Dvořák, Łódź", "iso8859-1", "Yilmaz, Gögüs, Dvorák, Lódz"),
        ("Mu\u0308ller", "iso8859-1", "Müller"),  # decomposed, as macOS writes it
        ("5\u202fmg", "iso8859-1", "5 mg"),
        ("„≥ 50 µg“", "utf-8", "„≥ 50 µg“"),
    ],
)
def test_a_stand_in_says_the_same(text: str, codec: str, expected: str) -> None:
    assert characters.fitted(text, codec) == expected


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        ("50 µg", "ascii"), ("37 °C", "ascii"), ("10⁵/ml", "iso8859-1"), ("1½ Tabletten", "ascii"), ("1⅔", "iso8859-1"),
        ("Σ", "iso8859-1"), ("x\u0304", "iso8859-1"), ("Ё", "iso8859-1"), ("H₂O", "iso8859-1"), ("10ⁿ", "iso8859-1"),
        ("≮ 5", "iso8859-1"), ("≱ 5", "ascii"),
    ],
)  # fmt: skip
def test_what_could_be_taken_for_something_else_stays(text: str, codec: str) -> None:
    assert characters.fitted(text, codec) == text


@given(st.text(), st.sampled_from(["ascii", "iso8859-1", "iso8859-2", "iso8859-15", "cp1252", "utf-8"]))
def test_digits_stay(text: str, codec: str) -> None:
    fitted = characters.fitted(text, codec)
    assert [c for c in fitted if c.isdigit()] == [c for c in text if c.isdigit()]


@pytest.mark.parametrize("codec", ["ascii", "iso8859-1", "iso8859-15", "cp1252", "utf-8"])
def test_the_name_of_a_codec_is_read_as_that_codec(codec: str) -> None:
    name = characters.name(codec)
    assert name is not None
    assert er7.codec_named(name) == codec
    assert characters.name("utf-16-be") is None
