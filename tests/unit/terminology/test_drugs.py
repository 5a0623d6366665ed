"""`terminology.drugs.catalogue`: drugs by any of their names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminology import tables
from terminology.drugs import catalogue


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Ibuprofen 400 mg bei Bedarf", [("Ibuprofen",)]),
        ("ibuprofen", [("Ibuprofen",)]),
        ("Eliquis 5", [("Apixaban",)]),
        ("ASS 100 und Ramipril 5", [("Acetylsalicylsäure",), ("Ramipril",)]),
        ("Metformin, Dapagliflozin", [("Metformin",), ("Dapagliflozin",)]),
        ("Er aß viel Obst", []),
        ("Ibuprofensaft 5 ml und Paracetamolzäpfchen", [("Ibuprofen",), ("Paracetamol",)]),
        ("Wassertabletten", []),
        ("", []),
    ],
)
def test_find(text: str, names: list[tuple[str, ...]]) -> None:
    assert [mention.names for mention in catalogue.find(text)] == names


@pytest.mark.parametrize("row", tables.rows("drugs/brands")[::25], ids=lambda row: row["brand"])
def test_brands_are_found(row: tables.Row) -> None:
    mentions = catalogue.find(f"Sie nehmen {row['brand']} ein.")
    assert row["ingredients"].split("|") in [list(mention.names) for mention in mentions]


@given(st.sampled_from(tables.rows("drugs/ingredients")))
def test_ingredients_are_found_by_name_at_their_place(row: tables.Row) -> None:
    text = f"Sie nehmen {row['ingredient']} ein."
    mentions = catalogue.find(text)
    assert (row["ingredient"],) in [mention.names for mention in mentions]
    assert all(text[mention.start : mention.end] == mention.text for mention in mentions)


def test_classes_of_a_combination_are_those_of_all() -> None:
    (row,) = [row for row in tables.rows("drugs/brands") if row["ingredients"].count("|") == 1][:1]
    (mention,) = catalogue.find(row["brand"])
    for ingredient in mention.ingredients:
        assert ingredient.classes <= mention.classes


def test_by_atc() -> None:
    assert catalogue.by_atc()["M01AE01"].name == "Ibuprofen"
    assert "" not in catalogue.by_atc()
