"""`terminology.icd10gm.catalogue`: codes by year, terms, refinements, values, sides."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminology import tables
from terminology.icd10gm import catalogue


@pytest.mark.parametrize(("year", "used"), [(2019, 2025), (2025, 2025), (2026, 2026), (2031, 2026)])
def test_the_nearest_year_is_used(year: int, used: int) -> None:
    assert catalogue.year_of(year) == used


def test_a_code_is_held_only_in_its_years() -> None:
    for found in catalogue.codes().values():
        assert (catalogue.code(found.code, 2025) is not None) == (found.valid_from == 2025)
        assert (catalogue.code(found.code, 2026) is not None) == (found.valid_to in (None, 2026))
    assert any(found.valid_from == 2026 for found in catalogue.codes().values())
    assert any(found.valid_to == 2025 for found in catalogue.codes().values())


@pytest.mark.parametrize("name", ["", "X99.9", "E11", "E11.9", "i10.90"])
def test_what_is_no_terminal_code_is_none(name: str) -> None:
    assert catalogue.code(name, 2026) is None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("akute Bronchitis", "J20.9"),
        ("eine akuten Bronchitis", "J20.9"),
        ("Vorhofflimmern", "I48.9"),
        ("diabetische Polyneuropathie", "E14.40"),
        ("chronische Nierenkrankheit", "N18.9"),
        ("Migräne", "G43.9"),
    ],
)
def test_terms(text: str, code: str) -> None:
    assert [term.code for term in catalogue.find(text)][:1] == [code]


@pytest.mark.parametrize("text", ["", "Der Patient kam zu Fuß.", "Bronchialbaum", "Migränetagebuchführung"])
def test_no_terms(text: str) -> None:
    assert catalogue.find(text) == []


@given(st.sampled_from(tables.rows("icd10gm/terms")))
def test_every_term_is_found_at_its_place(row: tables.Row) -> None:
    text = f"Befund: {row['term']}."
    hits = catalogue.find(text)
    assert all(text[hit.start : hit.end] == hit.text for hit in hits)
    assert row["code"] in {hit.code for hit in hits}


def test_refinement_needs_its_cue() -> None:
    row = next(row for row in tables.rows("icd10gm/refinements") if row["cue"].isalpha())
    refined = catalogue.refine(row["base_code"], row["cue"], row["cue"])
    assert refined is not None
    assert catalogue.refine(row["base_code"], "", "") is None
    assert catalogue.refine("X99.9", row["cue"], row["cue"]) is None


def test_a_cue_of_a_denied_clause_refines_nothing() -> None:
    row = next(row for row in tables.rows("icd10gm/refinements") if row["cue"].isalpha())
    assert catalogue.refine(row["base_code"], f"kein Zeichen: {row['cue']}", "") is None


@pytest.mark.parametrize(
    ("egfr", "code"),
    [("95", "N18.1"), ("90", "N18.1"), ("89.9", "N18.2"), ("60", "N18.2"), ("59", "N18.3"), ("30", "N18.3"),
     ("29", "N18.4"), ("15", "N18.4"), ("14.9", "N18.5"), ("0", "N18.5")],
)  # fmt: skip
def test_stage_by_egfr(egfr: str, code: str) -> None:
    assert catalogue.by_value("N18.9", "egfr", Decimal(egfr)) == code


def test_values_decide_nothing_else() -> None:
    assert catalogue.by_value("N18.9", "creatinine", Decimal(2)) is None
    assert catalogue.by_value("E11.90", "egfr", Decimal(20)) is None


@pytest.mark.parametrize(("name", "sided"), [("M17.1", True), ("S93.40", True), ("H66.9", True), ("I10.90", False)])
def test_sides(name: str, sided: bool) -> None:
    assert catalogue.has_side(name) is sided


def test_a_symptom_is_not_coded_beside_its_illness() -> None:
    assert catalogue.is_symptom_of("R05", "J20.9")
    assert catalogue.is_symptom_of("R51", "G43.9")
    assert not catalogue.is_symptom_of("R05", "S93.40")
    assert not catalogue.is_symptom_of("R05", "R05")


def test_partners_are_the_required_ones_only() -> None:
    required = {(row["code"], row["partner"]) for row in tables.rows("icd10gm/partners") if row["required"] == "J"}
    assert {(code, partner) for code, found in catalogue.partners().items() for partner in found} == required
