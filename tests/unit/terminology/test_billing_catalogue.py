"""`terminology.billing.catalogue`: fee items by day and age, to the cent."""

import datetime as dt
from decimal import Decimal

import pytest

from terminology import tables
from terminology.billing import catalogue

DAY = dt.date(2026, 5, 12)


@pytest.mark.parametrize(
    ("age", "points"),
    [(0, 225), (3, 225), (4, 142), (17, 142), (18, 114), (53, 114), (54, 148), (74, 148), (75, 200), (99, 200)],
)
def test_age_variants(age: int, points: int) -> None:
    item = catalogue.ebm_item("03000", DAY, age)
    assert item is not None and item.points == points


def test_an_item_with_age_variants_needs_the_age() -> None:
    assert catalogue.has_age_variants("03000")
    assert catalogue.ebm_item("03000", DAY, None) is None
    assert not catalogue.has_age_variants("03220")
    assert catalogue.ebm_item("03220", DAY, None) is not None


@pytest.mark.parametrize(
    ("day", "cents"),
    [(dt.date(2025, 12, 31), "12.3934"), (dt.date(2026, 1, 1), "12.7404"), (dt.date(2030, 1, 1), "12.7404"),
     (dt.date(2010, 1, 1), "11.1244")],
)  # fmt: skip
def test_point_value_of_the_day(day: dt.date, cents: str) -> None:
    assert catalogue.cent_per_point(day) == Decimal(cents)


@pytest.mark.parametrize(
    ("code", "price"),
    [("1", "10.72"), ("5", "10.72"), ("3", "20.11"), ("7", "21.45"), ("250", "4.20"), ("651", "26.54")],
)
def test_goae_prices_are_half_up_at_the_threshold_factor(code: str, price: str) -> None:
    # GOÄ, § 5: 5.82873 cents a point; threshold 2.3, technical services 1.8
    item = catalogue.goae_item(code)
    assert item is not None and item.price == Decimal(price)


def test_prices_are_decimals_of_two_places() -> None:
    for row in tables.rows("billing/goae"):
        item = catalogue.goae_item(row["code"])
        assert item is None or (isinstance(item.price, Decimal) and item.price.as_tuple().exponent == -2)
    for row in tables.rows("billing/ebm"):
        item = catalogue.ebm_item(row["code"], DAY, 40)
        assert item is None or (item.price > 0 and item.price == item.price.quantize(Decimal("0.01")))


def test_half_a_cent_goes_up() -> None:
    assert catalogue._round(Decimal("1.005")) == Decimal("1.01")
    assert catalogue._round(Decimal("1.0049")) == Decimal("1.00")


@pytest.mark.parametrize("code", ["", "99999", "99", "abc"])
def test_unknown_items_are_none(code: str) -> None:
    assert catalogue.item("EBM", code, DAY, 40) is None
    assert catalogue.goae_item("99999") is None


def test_items_that_the_association_sets_are_not_proposed() -> None:
    set_elsewhere = {row["code"] for row in tables.rows("billing/ebm") if row["set_by"] == "kv"}
    assert set_elsewhere
    assert all(catalogue.ebm_item(code, DAY, 40) is None for code in set_elsewhere)


def test_rules_are_kept_apart_by_schedule() -> None:
    assert all(rule.code == code for code, found in catalogue.rules("GOÄ").items() for rule in found)
    assert "03000" in catalogue.rules("EBM") and "03000" not in catalogue.rules("GOÄ")
