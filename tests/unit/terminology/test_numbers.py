"""`terminology.german.numbers`: spoken numbers to figures and values."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminology.german import numbers

ONES = ["", "ein", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn", "elf", "zwölf"]
ONES += ["dreizehn", "vierzehn", "fünfzehn", "sechzehn", "siebzehn", "achtzehn", "neunzehn"]
TENS = ["", "", "zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig"]


def spoken(number: int) -> str:
    """A whole number up to 999,999 as German says it."""
    if number >= 1000:
        thousands = spoken(number // 1000)
        thousands = thousands[:-1] if thousands.endswith("eins") else thousands
        return thousands + "tausend" + (spoken(number % 1000) if number % 1000 else "")
    if number >= 100:
        return ONES[number // 100] + "hundert" + (spoken(number % 100) if number % 100 else "")
    if number == 1:
        return "eins"
    if number < 20:
        return ONES[number] or "null"
    joint = ONES[number % 10] + "und" if number % 10 else ""
    return joint + TENS[number // 10]


@given(st.integers(0, 999_999))
def test_value_reads_every_whole_number(number: int) -> None:
    assert numbers.value(spoken(number)) == number
    assert numbers.value(spoken(number).capitalize()) == number


@pytest.mark.parametrize(
    ("word", "number"),
    [("zwo", 2), ("hundert", 100), ("hundertundeins", 101), ("dreissig", 30), ("tausend", 1000), ("null", 0)],
)
def test_value_of_variants(word: str, number: int) -> None:
    assert numbers.value(word) == number


@pytest.mark.parametrize(
    "word",
    ["", "ein", "eine", "einer", "Verein", "achten", "Nacht", "verachten", "dreist", "Klavier", "hundertste", "Hund"],
)
def test_value_of_no_number(word: str) -> None:
    assert numbers.value(word) is None


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("Puls achtundachtzig", "Puls 88"),
        ("zwei Komma fünf Milligramm", "2,5 mg"),
        ("HbA1c sieben Komma vier Prozent", "HbA1c 7,4 %"),
        ("null Komma null fünf", "0,05"),
        ("Kalium vier Komma acht", "Kalium 4,8"),
        ("Kreatinin ein Komma zwei", "Kreatinin 1,2"),
        ("eine Dosis von fünfhundert Milligramm", "eine Dosis von 500 mg"),
        ("zwanzig Tropfen", "20 Tropfen"),
        ("zwei Tabletten", "2 Tabletten"),
        ("500 Milligramm", "500 mg"),
        ("94 Kilo", "94 kg"),
        ("siebenundneunzig Prozent", "97 %"),
        ("zwei Hübe", "2 Hübe"),
    ],
)
def test_in_figures(said: str, written: str) -> None:
    assert numbers.in_figures(said) == written


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("hundertachtundsechzig zu achtundneunzig", "168/98"),
        ("Blutdruck hundertsechsunddreißig zu zweiundachtzig", "Blutdruck 136/82"),
        ("hundertvierzig auf neunzig", "140/90"),
        ("140 zu 85", "140/85"),
        ("Blutdruck 120 über 80", "Blutdruck 120/80"),
    ],
)
def test_blood_pressures(said: str, written: str) -> None:
    assert numbers.in_figures(said) == written


@pytest.mark.parametrize(
    "said",
    ["von 20 auf 40 Milligramm", "zwei zu drei", "von fünf auf zehn", "achtzig zu hundertzwanzig", "20 zu 10"],
)
def test_no_blood_pressures(said: str) -> None:
    assert "/" not in numbers.in_figures(said)


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("achtunddreißig neun", "38,9"),
        ("Temperatur siebenunddreißig zwei", "Temperatur 37,2"),
        ("siebenunddreißig Komma acht Grad", "37,8 °C"),
        ("vierzig null", "40,0"),
    ],
)
def test_temperatures(said: str, written: str) -> None:
    assert numbers.in_figures(said) == written


@pytest.mark.parametrize("said", ["dreiundvierzig neun", "dreiunddreißig fünf", "achtunddreißig neun Tage"])
def test_no_temperatures(said: str) -> None:
    assert "," not in numbers.in_figures(said)


@pytest.mark.parametrize(
    "said", ["zwei Kinder", "seit drei Tagen", "einmal am Tag", "der Achtung wegen", "ein Vierteljahr", "Einsicht"]
)
def test_small_counts_and_other_words_stay(said: str) -> None:
    assert numbers.in_figures(said) == said


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=120))
def test_in_figures_takes_any_text_and_is_stable(text: str) -> None:
    once = numbers.in_figures(text)
    assert numbers.in_figures(once) == once


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("37,2 °C", {"37.2", "37", "2"}),
        ("37.2", {"37.2", "37", "2"}),
        ("1.000 mg", {"1000"}),
        ("1.234.567", {"1234567"}),
        ("2,50", {"2.5"}),
        ("hundertsechzig zu neunzig", {"160", "90"}),
        ("168/98", {"168", "98"}),
        ("zwei Komma fünf", {"2.5", "2", "5"}),
        ("dreimal täglich", {"3"}),
        ("einmal am Tag", {"1"}),
        ("anderthalb Tabletten", {"1.5"}),
        ("Ramipril zweieinhalb", {"2.5"}),
        ("eine halbe Tablette", {"0.5"}),
        ("kein einziger Wert", set()),
    ],
)
def test_values_hold_every_number(text: str, expected: set[str]) -> None:
    found = numbers.values(text)
    assert {Decimal(number) for number in expected} <= found
    if not expected:
        assert found == set()


@given(st.integers(0, 999_999))
def test_values_are_the_same_in_words_and_figures(number: int) -> None:
    assert Decimal(number) in numbers.values(f"Wert {spoken(number)} heute")
    assert Decimal(number) in numbers.values(f"Wert {number} heute")


@given(st.decimals(min_value=0, max_value=999, places=2))
def test_values_read_decimal_commas(number: Decimal) -> None:
    assert number.normalize() in numbers.values(f"Wert {number} heute".replace(".", ","))
