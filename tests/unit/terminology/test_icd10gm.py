"""`terminology.icd10gm`: editions by year, terms, refinements, values, sides."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminology import tables
from terminology.icd10gm import catalogue, edition, installed, specificity, starter, wording
from terminology.importers import content


@pytest.fixture(autouse=True)
def nothing_imported() -> Iterator[None]:
    """The starter catalogue alone counts, before and after."""
    catalogue.use(None)
    yield
    catalogue.use(None)


@pytest.mark.parametrize(("year", "used"), [(2019, 2025), (2025, 2025), (2026, 2026), (2031, 2026)])
def test_the_year_itself_or_the_last_one_before_is_used(year: int, used: int) -> None:
    assert catalogue.year_of(year) == used == catalogue.edition_of(year).year


def test_a_code_is_held_only_in_its_years() -> None:
    assert catalogue.code("R53", 2025) is not None and catalogue.code("R53", 2026) is None
    assert catalogue.code("R53.9", 2025) is None and catalogue.code("R53.9", 2026) is not None


@pytest.mark.parametrize("name", ["", "X99.9", "E11", "E11.9", "i10.90"])
def test_what_is_no_terminal_code_is_none(name: str) -> None:
    assert catalogue.code(name, 2026) is None


def test_a_code_of_a_record_is_known_whatever_its_year() -> None:
    older, newer = catalogue.known("R53"), catalogue.known("R53.9")
    assert older is not None and newer is not None and catalogue.known("X99.9") is None


@pytest.mark.parametrize(
    ("name", "year", "found"),
    [("R53.9", 2026, "R53.9"), ("R53.9", 2025, "R53"), ("I10.90", 2025, "I10.90"), ("X99.9", 2026, None)],
)
def test_a_code_that_a_year_has_not_split_off_is_the_one_above(name: str, year: int, found: str | None) -> None:
    code = catalogue.edition_of(year).resolve(name)
    assert (code.code if code is not None else None) == found


def test_another_edition_counts_where_it_is_to_be_measured_with() -> None:
    only = edition.Edition(2031, {"A00.0": edition.Code("A00.0", "Cholera", 4)}, (), is_complete=True)
    with catalogue.only(only):
        assert catalogue.edition_of(2026) is only and catalogue.code("I10.90", 2026) is None
    assert catalogue.code("I10.90", 2026) is not None


def test_an_imported_edition_comes_before_the_starter(tmp_path: Path) -> None:
    path = tmp_path / installed.FILE
    catalogue.use(path)  # not there yet
    assert catalogue.years() == starter.YEARS
    codes = {"A00.0": edition.Code("A00.0", "Cholera", 4)}
    read = content.Content("metadata", 2024, "a.csv", "2024", codes=codes, known=frozenset(content.FIELDS))
    installed.Store(path).write(
        read, edition.Source("a.csv", "metadata", "2024", "0" * 64, "2026-01-01T00:00:00+00:00")
    )
    catalogue.use(path)
    assert catalogue.years() == (2024, 2025, 2026)
    assert catalogue.edition_of(2024).is_complete and not catalogue.edition_of(2025).is_complete
    assert catalogue.code("A00.0", 2024) is not None


@pytest.mark.parametrize(
    ("name", "is_chronic"), [("I10.90", True), ("J20.9", False), ("E11.31", True), ("Q99.9", False), ("", False)]
)
def test_what_lasts(name: str, is_chronic: bool) -> None:
    assert starter.is_chronic(name) is is_chronic


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
    assert [term.code for term in wording.find(text)][:1] == [code]


@pytest.mark.parametrize("text", ["", "Der Patient kam zu Fuß.", "Bronchialbaum", "Migränetagebuchführung"])
def test_no_terms(text: str) -> None:
    assert wording.find(text) == []


@given(st.sampled_from([row for row in tables.rows("icd10gm/terms") if row["in_text"] == "J"]))
def test_every_term_is_found_at_its_place(row: tables.Row) -> None:
    text = f"Befund: {row['term']}."
    hits = wording.find(text)
    assert all(text[hit.start : hit.end] == hit.text for hit in hits)
    assert row["code"] in {hit.code for hit in hits}


def test_refinement_needs_its_cue() -> None:
    row = next(row for row in tables.rows("icd10gm/refinements") if row["cue"].isalpha())
    refined = specificity.refine(row["base_code"], row["cue"], row["cue"])
    assert refined is not None
    assert specificity.refine(row["base_code"], "", "") is None
    assert specificity.refine("X99.9", row["cue"], row["cue"]) is None


def test_a_cue_of_a_denied_clause_refines_nothing() -> None:
    row = next(row for row in tables.rows("icd10gm/refinements") if row["cue"].isalpha())
    assert specificity.refine(row["base_code"], f"kein Zeichen: {row['cue']}", "") is None


@pytest.mark.parametrize(
    ("egfr", "code"),
    [("95", "N18.1"), ("90", "N18.1"), ("89.9", "N18.2"), ("60", "N18.2"), ("59", "N18.3"), ("30", "N18.3"),
     ("29", "N18.4"), ("15", "N18.4"), ("14.9", "N18.5"), ("0", "N18.5")],
)  # fmt: skip
def test_stage_by_egfr(egfr: str, code: str) -> None:
    assert specificity.by_value("N18.9", "egfr", Decimal(egfr)) == code


def test_values_decide_nothing_else() -> None:
    assert specificity.by_value("N18.9", "creatinine", Decimal(2)) is None
    assert specificity.by_value("E11.90", "egfr", Decimal(20)) is None


@pytest.mark.parametrize(("name", "sided"), [("M17.1", True), ("S93.40", True), ("H66.9", True), ("I10.90", False)])
def test_sides(name: str, sided: bool) -> None:
    assert specificity.has_side(name) is sided


def test_a_symptom_is_not_coded_beside_its_illness() -> None:
    assert specificity.is_symptom_of("R05", "J20.9")
    assert specificity.is_symptom_of("R51", "G43.9")
    assert not specificity.is_symptom_of("R05", "S93.40")
    assert not specificity.is_symptom_of("R05", "R05")


def test_partners_are_the_required_ones_only() -> None:
    required = {(row["code"], row["partner"]) for row in tables.rows("icd10gm/partners") if row["required"] == "J"}
    assert {(code, partner) for code, found in specificity.partners().items() for partner in found} == required
