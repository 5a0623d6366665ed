"""`terminology.drugs.doses`: strength and frequency as they are said."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminology.drugs import doses


@pytest.mark.parametrize(
    ("text", "strength", "per_day", "daily"),
    [
        ("Metformin 500 mg 1-0-1", "500", "2", "1000"),
        ("Ramipril 5 mg einmal täglich", "5", "1", "5"),
        ("Ibuprofen 600 mg dreimal täglich", "600", "3", "1800"),
        ("Ibuprofen vierhundert Milligramm dreimal am Tag", "400", "3", "1200"),
        ("L-Thyroxin 75 µg 1-0-0", "0.075", "1", "0.075"),
        ("Amoxicillin 1 g 1-0-1", "1000", "2", "2000"),
        ("Torasemid 10 mg ½-0-0", "10", "0.5", "5"),
        ("Bisoprolol 2,5 mg 1-0-1", "2.5", "2", "5.0"),
        ("Paracetamol 500 mg 1-1-1-1", "500", "4", "2000"),
        ("Ramipril 5 mg", "5", None, None),
        ("dreimal täglich eine Tablette", None, "3", None),
        ("Pantoprazol", None, None, None),
    ],
)
def test_parse(text: str, strength: str | None, per_day: str | None, daily: str | None) -> None:
    dose = doses.parse(text)
    assert dose.strength_mg == (Decimal(strength) if strength else None)
    assert dose.per_day == (Decimal(per_day) if per_day else None)
    assert dose.daily_mg == (Decimal(daily) if daily else None)


def test_on_demand() -> None:
    assert doses.parse("Ibuprofen 400 mg bei Bedarf").on_demand
    assert not doses.parse("Ibuprofen 400 mg dreimal täglich").on_demand


def test_once_a_week_is_a_seventh() -> None:
    dose = doses.parse("Methotrexat 15 mg einmal pro Woche")
    assert dose.per_day is not None and abs(dose.per_day - Decimal(1) / 7) < Decimal("0.001")


def test_a_concentration_is_no_strength() -> None:
    assert doses.parse("Lösung 20 mg/ml").strength_mg is None


@pytest.mark.parametrize("text", ["1-0-1", "dreimal täglich", "einmal täglich"])
def test_has_frequency(text: str) -> None:
    assert doses.has_frequency(text)


@pytest.mark.parametrize("text", ["Ramipril 5 mg", "am 12-05-2026", ""])
def test_has_no_frequency(text: str) -> None:
    assert not doses.has_frequency(text)


@given(st.text(max_size=80) | st.from_regex(r"\d-\d-\d-\d [a-z]{0,5} \d{1,4} mg", fullmatch=True))
def test_any_text_is_taken(text: str) -> None:
    doses.parse(text)
