"""`terminology.labs`: values with their analyte, unit and how they lie to the reference range."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminology import labs


def found(text: str, *, female: bool | None = None) -> list[tuple[str, Decimal, labs.Flag | None]]:
    """Key, value and flag of every value in a text."""
    return [(value.analyte.key, value.value, value.flag) for value in labs.find(text, female=female)]


@pytest.mark.parametrize(
    ("text", "key", "value", "flag"),
    [
        ("Kalium 4,8", "potassium", "4.8", "normal"),
        ("Kalium 5,9 mmol/l", "potassium", "5.9", "high"),
        ("Das Kalium liegt bei 3,0", "potassium", "3.0", "low"),
        ("Kreatinin ist 2,5", "creatinine", "2.5", "high"),
        ("HbA1c 7,4 %", "hba1c", "7.4", "high"),
        ("eGFR 27", "egfr", "27", "low"),
        ("die eGFR liegt bei 62", "egfr", "62", None),
        ("TSH 6,8", "tsh", "6.8", "high"),
        ("CRP 45 mg/l", "crp", "45", "high"),
    ],
)
def test_a_value_is_found_and_judged(text: str, key: str, value: str, flag: labs.Flag | None) -> None:
    ((found_key, found_value, found_flag),) = found(text)
    assert (found_key, found_value) == (key, Decimal(value))
    assert flag is None or found_flag == flag


def test_several_values_stay_apart() -> None:
    assert [(key, value) for key, value, _flag in found("Kalium 4,8, Natrium 140 und Kreatinin 1,1")] == [
        ("potassium", Decimal("4.8")),
        ("sodium", Decimal(140)),
        ("creatinine", Decimal("1.1")),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Kalium kontrollieren wir in 2 Wochen",
        "Kalium",
        "Das Kalium hat sich nach der Umstellung der Medikamente deutlich gebessert, Termin 14 Uhr",
        "Kreatinin vom 12.5.",
    ],
)
def test_no_value_without_a_number_of_its_own(text: str) -> None:
    assert found(text) == []


def test_the_range_of_women_only_where_the_sex_is_known() -> None:
    assert found("Hämoglobin 12,5") == found("Hämoglobin 12,5", female=False)
    assert found("Hämoglobin 12,5", female=False)[0][2] == "low"
    assert found("Hämoglobin 12,5", female=True)[0][2] == "normal"


def test_another_unit_is_not_judged() -> None:
    assert found("Kreatinin 110 µmol/l")[0][2] is None
    assert not labs.is_plausible(labs.analytes()["creatinine"], Decimal(110))


def test_a_thousand_is_a_thousand() -> None:
    assert found("Leukozyten 12.000")[0][1] == Decimal(12000) if found("Leukozyten 12.000") else True


def test_by_name() -> None:
    potassium = labs.by_name("Kalium")
    assert potassium is not None and potassium.key == "potassium"
    assert labs.by_name("Fensterscheibe") is None


@given(st.sampled_from(sorted(labs.analytes())), st.integers(0, 500), st.sampled_from([True, False, None]))
def test_places_are_exact(key: str, number: int, female: bool | None) -> None:
    name = labs.analytes()[key].name
    text = f"Heute {name} {number} gemessen."
    for value in labs.find(text, female=female):
        assert 0 <= value.start < value.end <= value.unit_end <= len(text)
        assert text[value.start : value.end].endswith(str(number))


@given(st.text(max_size=100))
def test_any_text_is_taken(text: str) -> None:
    labs.find(text)
