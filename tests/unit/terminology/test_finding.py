"""`terminology.icd10gm.finding`: German words to codes, over the starter and over the whole catalogue."""

import csv
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminology import tables
from terminology.icd10gm import catalogue, edition, finding, indexing
from terminology.importers import metadata

QUERIES = tuple(csv.DictReader((Path(__file__).parent / "search_queries.csv").read_text("utf-8").splitlines()))
OFFICIAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "icd10gm" / "icd10gm_2025_codes.csv"

#: Of all queries, the share that finds an expected code within the rank that the table asks for, and as the first.
WITHIN_RANK, FIRST = 0.95, 0.93

HELD = edition.Edition(
    2025,
    {
        code.code: code
        for code in (
            edition.Code("E11", "Diabetes mellitus, Typ 2", 3, is_terminal=False),
            edition.Code("E11.9", "Diabetes mellitus, Typ 2: Ohne Komplikationen", 4, "E11", is_terminal=False),
            edition.Code("E11.90", "Diabetes mellitus, Typ 2: Ohne Komplikationen: Nicht als entgleist bezeichnet", 5),
            edition.Code("E11.91", "Diabetes mellitus, Typ 2: Ohne Komplikationen: Als entgleist bezeichnet", 5),
            edition.Code("I10.90", "Essentielle Hypertonie, nicht näher bezeichnet", 5),
            edition.Code("I15.8", "Sonstige sekundäre Hypertonie", 4),
            edition.Code("I15.9", "Sekundäre Hypertonie, nicht näher bezeichnet", 4),
            edition.Code("J00", "Akute Rhinopharyngitis [Erkältungsschnupfen]", 3),
        )
    },
    (),
    is_complete=False,
)
TERMS = (
    {"term": "hypertonie", "code": "I10.90"},
    {"term": "zuckerkrankheit typ 2", "code": "E11.90"},
    {"term": "kopfschmerzen", "code": "R51"},
)
TEXTS = (("J00", "Koryza"), ("X99", "Unsinn"))


@functools.cache
def small() -> finding.Finder:
    return finding.Finder(HELD, indexing.built(HELD, TERMS, TEXTS), TERMS)


@functools.cache
def full() -> finding.Finder:
    if not OFFICIAL.is_file():
        pytest.skip("needs ../shared")
    held = edition.Edition(2025, metadata.codes(OFFICIAL.read_text("utf-8-sig"), OFFICIAL.name), (), is_complete=True)
    return finding.of(held)


@functools.cache
def by_image() -> finding.Finder:
    held, terms = full().held, tables.rows("icd10gm/terms")
    return finding.Finder(held, indexing.opened(held, indexing.image(held), terms), terms)


@pytest.fixture(autouse=True, scope="module")
def forgotten() -> Iterator[None]:
    yield
    finding.forget()
    for held in (small, full, by_image):
        held.cache_clear()


def codes(text: str, limit: int = 20) -> list[str]:
    return [found.code for found in small().search(text, limit)]


def rank(finder: finding.Finder, query: dict[str, str]) -> int:
    """The place, from 1, of the first code that is expected; 99 where none is among the first ten."""
    wanted = query["codes"].split("|")
    names = [found.code for found in finder.search(query["query"], 10)]
    return next((place for place, name in enumerate(names, 1) if name in wanted), 99)


def check_rates(finder: finding.Finder) -> None:
    ranks = [(rank(finder, query), query) for query in QUERIES]
    missed = [query["query"] for place, query in ranks if place > int(query["top"])]
    assert len(missed) <= (1 - WITHIN_RANK) * len(QUERIES), missed
    late = [query["query"] for place, query in ranks if place > 1]
    assert len(late) <= (1 - FIRST) * len(QUERIES), late


def test_the_list_of_queries_is_fit_to_judge() -> None:
    assert len(QUERIES) >= 150
    assert len({query["query"] for query in QUERIES}) == len(QUERIES)
    assert {query["top"] for query in QUERIES} == {"1", "3", "10"}


def test_queries_find_their_codes_in_the_starter() -> None:
    check_rates(finding.finder(2025))


def test_queries_find_their_codes_in_the_whole_catalogue() -> None:
    check_rates(full())


def test_queries_find_their_codes_by_the_image_of_the_whole_catalogue() -> None:
    check_rates(by_image())
    same = [full().search(query["query"], 3)[:1] == by_image().search(query["query"], 3)[:1] for query in QUERIES]
    assert sum(same) >= 0.95 * len(same)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("E11.9", ["E11.9", "E11.90", "E11.91"]),
        ("e11", ["E11", "E11.9", "E11.90", "E11.91"]),
        ("e1190", ["E11.90"]),
        (" I10.90 ", ["I10.90"]),
        ("I15.-", ["I15.8", "I15.9"]),
        ("Z99", []),
    ],
)
def test_a_code_finds_itself_and_those_below(text: str, expected: list[str]) -> None:
    assert codes(text) == expected


def test_a_code_that_can_be_coded_stands_before_the_one_above() -> None:
    found = small().search("Diabetes mellitus Typ 2")
    assert [code.code for code in found][:2] == ["E11.90", "E11.91"]
    assert [code.is_terminal for code in found] == [True, True, False, False]


def test_a_term_stands_before_a_title_and_the_unspecified_before_the_rest() -> None:
    assert codes("Hypertonie") == ["I10.90", "I15.9", "I15.8"]
    assert codes("sekundäre Hypertonie")[0] == "I15.9"


def test_found_tells_what_matched() -> None:
    assert small().search("Hypertonie", 1) == (
        finding.Found("I10.90", "Essentielle Hypertonie, nicht näher bezeichnet", "hypertonie", 1.0, True, "exact"),
    )


@pytest.mark.parametrize(
    ("text", "how"),
    [("Hypertoni", "corrected"), ("I10.90", "code"), ("Hypertonie Krise", "partial"), ("Hypertonien", "stem")],
)
def test_found_tells_what_its_score_rests_on(text: str, how: str) -> None:
    assert small().search(text, 1)[0].how == how


def test_what_the_edition_does_not_hold_is_left_out() -> None:
    assert codes("Kopfschmerzen") == []
    assert codes("Unsinn") == []
    assert codes("Koryza") == ["J00"]


@pytest.mark.parametrize(("text", "limit"), [("", 20), ("  ", 20), ("???", 20), ("Hypertonie", 0), ("E11", 0)])
def test_nothing_is_found(text: str, limit: int) -> None:
    assert codes(text, limit) == []


def test_the_year_decides_and_every_code_found_is_of_it() -> None:
    for year in catalogue.years():
        held = catalogue.edition_of(year)
        for text in ("Hypertonie", "Diabetes", "Schwindel"):
            assert all(found.code in held.codes for found in finding.search(text, year))
    assert finding.search("Hypertonie", 2025)[0].code == "I10.90"


def test_the_index_is_built_once_and_forgotten() -> None:
    first = finding.finder(2025)
    assert finding.finder(2025) is first
    finding.forget()
    assert finding.finder(2025) is not first


@given(st.text(max_size=60))
def test_any_text_finds_codes_of_the_edition_or_nothing(text: str) -> None:
    assert all(found.code in HELD.codes and 0 < found.score <= 1 for found in small().search(text))
