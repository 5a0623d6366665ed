"""`pipeline.consultation`: age, minutes and day."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import consultation

BORN = dt.date(1958, 12, 3)


@pytest.mark.parametrize(
    ("day", "age"),
    [("2026-12-02", 67), ("2026-12-03", 68), ("2026-12-04", 68), ("2026-01-01", 67), ("1958-12-03", 0)],
)
def test_age_on(day: str, age: int) -> None:
    assert consultation.Patient(birth_date=BORN).age_on(dt.date.fromisoformat(day)) == age


@pytest.mark.parametrize(("day", "age"), [("2025-02-28", 20), ("2025-03-01", 21), ("2028-02-29", 24)])
def test_age_of_who_was_born_on_a_leap_day(day: str, age: int) -> None:
    assert consultation.Patient(birth_date=dt.date(2004, 2, 29)).age_on(dt.date.fromisoformat(day)) == age


def test_no_birth_date_no_age() -> None:
    assert consultation.Patient().age_on(dt.date(2026, 1, 1)) is None


@given(st.dates(dt.date(1910, 1, 1), dt.date(2026, 1, 1)), st.integers(0, 36500))
def test_age_grows_by_one_a_year(born: dt.date, days: int) -> None:
    patient = consultation.Patient(birth_date=born)
    day = born + dt.timedelta(days=days)
    age = patient.age_on(day)
    assert age is not None and -0.01 < days / 365.2425 - age < 1.01
    tomorrow = patient.age_on(day + dt.timedelta(days=1))
    assert tomorrow is not None and tomorrow - age in (0, 1)


def moment(text: str) -> dt.datetime:
    """A point in time."""
    return dt.datetime.fromisoformat(text)


def test_minutes_are_whole_and_cross_the_change_of_the_clock() -> None:
    encounter = consultation.Encounter(
        id="1", start=moment("2026-03-29T01:50:00+01:00"), end=moment("2026-03-29T03:05:59+02:00")
    )
    assert encounter.minutes == 15
    assert consultation.Encounter(id="1", start=moment("2026-03-29T01:50:00+01:00")).minutes is None
    assert consultation.Encounter(id="1").minutes is None


def test_the_day_is_that_of_the_encounters_own_zone() -> None:
    encounter = consultation.Encounter(id="1", start=moment("2026-01-01T00:30:00+01:00"))
    assert consultation.Consultation(encounter=encounter).day == dt.date(2026, 1, 1)
    assert consultation.Consultation(encounter=consultation.Encounter(id="1")).day is None
