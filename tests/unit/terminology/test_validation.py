"""`terminology.icd10gm.validation`: what refuses a code, and what is told beside it."""

import datetime as dt
from dataclasses import replace

import pytest

from terminology.icd10gm import edition, starter, validation

HELD = starter.load(2026)


def with_code(**changes: object) -> edition.Edition:
    """An edition of one code, A00.0, with these fields."""
    code = replace(edition.Code("A00.0", "Cholera", 4), **changes)  # type: ignore[arg-type]
    return edition.Edition(2026, {"A00.0": code}, (), is_complete=True)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("I10.90", None),
        ("I10", "unterteilt"),
        ("E11.9", "unterteilt"),
        ("S52.501A", "keine Form"),
        ("i10.90", "keine Form"),
        ("", "keine Form"),
        ("X99.9", "führt"),
        ("R53", "2026 unterteilt"),
    ],
)
def test_form_and_year(name: str, fault: str | None) -> None:
    told = validation.validate(HELD, name, is_practice=True).fault
    assert told is None if fault is None else fault in (told or "")


@pytest.mark.parametrize(("is_practice", "paragraph"), [(True, "295"), (False, "301")])
def test_what_the_setting_does_not_allow(is_practice: bool, paragraph: str) -> None:
    held = with_code(practice="V" if is_practice else "P", hospital="P" if is_practice else "V")
    assert paragraph in (validation.validate(held, "A00.0", is_practice=is_practice).fault or "")
    assert validation.validate(held, "A00.0", is_practice=not is_practice).fault is None


@pytest.mark.parametrize("use", ["O", "Z"])
def test_star_and_exclamation_need_a_primary(use: edition.Use) -> None:
    held = with_code(practice=use, hospital=use)
    assert validation.validate(held, "A00.0", is_practice=True, has_primary=False).fault
    assert validation.validate(held, "A00.0", is_practice=True, has_primary=True).fault is None


@pytest.mark.parametrize(("error", "refuses"), [("K", False), ("M", True)])
def test_sex_and_age_by_their_class_of_error(error: edition.Error, refuses: bool) -> None:
    held = with_code(sex="W", sex_error=error)
    wrong = validation.validate(held, "A00.0", is_practice=True, sex="M")
    assert (wrong.fault is not None) is refuses and bool(wrong.warnings) is not refuses
    assert validation.validate(held, "A00.0", is_practice=True, sex="") == validation.Verdict()
    held = with_code(age_from=edition.Age(18, "years"), age_error=error)
    young = validation.validate(held, "A00.0", is_practice=True, lived=validation.Lived(17, 6300))
    assert (young.fault is not None) is refuses and bool(young.warnings) is not refuses


@pytest.mark.parametrize(
    ("limit", "lived", "holds"),
    [
        ({"age_from": edition.Age(28, "days")}, validation.Lived(0, 27), False),
        ({"age_from": edition.Age(28, "days")}, validation.Lived(0, 28), True),
        ({"age_to": edition.Age(1, "years")}, validation.Lived(0, 364), True),
        ({"age_to": edition.Age(1, "years")}, validation.Lived(1, 366), False),
        ({"age_to": edition.Age(0, "days")}, validation.Lived(0, 0), False),  # t000: before birth
    ],
)
def test_age_limits_count_completed_days_and_years(
    limit: dict[str, edition.Age], lived: validation.Lived, holds: bool
) -> None:
    verdict = validation.validate(with_code(age_error="M", **limit), "A00.0", is_practice=True, lived=lived)
    assert (verdict.fault is None) is holds


def test_days_that_are_not_known_are_not_judged() -> None:
    held = with_code(age_from=edition.Age(28, "days"), age_to=edition.Age(1, "years"), age_error="M")
    assert validation.validate(held, "A00.0", is_practice=True, lived=validation.Lived(0, None)).fault is None
    assert validation.validate(held, "A00.0", is_practice=True, lived=validation.Lived(1, None)).fault is not None
    assert validation.validate(held, "A00.0", is_practice=True, lived=validation.Lived(0, 27)).fault is not None


@pytest.mark.parametrize(
    ("name", "is_judged"), [("I10.90", True), ("X99.9", False), ("I10", True), ("S52.501A", True), ("R53", True)]
)
def test_a_choice_of_codes_does_not_judge_what_it_lacks(name: str, is_judged: bool) -> None:
    assert validation.validate(HELD, name, is_practice=True).is_judged is is_judged
    whole = replace(HELD, is_complete=True)
    assert validation.validate(whole, name, is_practice=True).is_judged
    assert validation.validate(whole, "X99.9", is_practice=True).fault == "Der Katalog 2026 führt X99.9 nicht."


def test_what_is_told_beside_a_code() -> None:
    verdict = validation.validate(with_code(is_rare=True, is_used=False, is_notifiable=True), "A00.0", is_practice=True)
    assert verdict.fault is None and len(verdict.warnings) == 3


def test_age_on_a_day() -> None:
    born = dt.date(2024, 2, 29)
    assert validation.Lived.on(dt.date(2025, 2, 28), born) == validation.Lived(0, 365)
    assert validation.Lived.on(dt.date(2025, 3, 1), born) == validation.Lived(1, 366)
