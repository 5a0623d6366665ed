"""Numbers, quantities and money: digits are kept, and nothing is guessed."""

from decimal import Decimal

import msgspec
import pytest

from mappers.v2_to_fhir import datatypes
from mappers.v2_to_fhir.reading import Unusable
from tests.unit.mappers.v2_to_fhir.values import converted, of, scope

UCUM = "http://unitsofmeasure.org"


@pytest.mark.parametrize(
    ("raw", "json"),
    [
        ("1.50", "1.50"), ("+5", "5"), ("007", "7"), ("-0.10", "-0.10"), ("3,5", "3.5"), ("0,125", "0.125"),
        (".5", "0.5"), ("5.", "5"), ("1000", "1000"), ("12345,678", "12345.678"), ("1.234", "1.234"),
        ("0.0000001", "1E-7"),
    ],
)  # fmt: skip
def test_decimal(raw: str, json: str) -> None:
    found = converted("decimal", raw)
    assert msgspec.json.Encoder(decimal_format="number").encode(found).decode() == json


@pytest.mark.parametrize(
    "raw", ["1,234", "-12,500", "1.234,5", "1 000", "1e5", ">5", "neg", "5mg", "٣", "NaN", "9" * 40, "1,234,567"]
)
def test_no_number(raw: str) -> None:
    with pytest.raises(Unusable):
        converted("decimal", raw)


@pytest.mark.parametrize(
    ("name", "raw", "expected"),
    [
        ("integer", "-5", -5), ("integer", "5.0", 5), ("integer", "", None), ("unsignedInt", "0", 0),
        ("positiveInt", "1", 1), ("positiveInt", "2147483647", 2147483647),
    ],
)  # fmt: skip
def test_whole_numbers(name: str, raw: str, expected: int | None) -> None:
    found = converted(name, raw + "^x")
    assert found == expected
    assert found is None or type(found) is int


@pytest.mark.parametrize(
    ("name", "raw"), [("integer", "5.5"), ("unsignedInt", "-1"), ("positiveInt", "0"), ("positiveInt", "2147483648")]
)
def test_outside(name: str, raw: str) -> None:
    with pytest.raises(Unusable):
        converted(name, raw)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("5^mg", {"value": Decimal(5), "unit": "mg"}),
        ("5", {"value": Decimal(5)}),
        ("2,5^mg/dL&Milligramm&UCUM", {"value": Decimal("2.5"), "unit": "Milligramm", "system": UCUM, "code": "mg/dL"}),
        ("5^&Tabletten", {"value": Decimal(5), "unit": "Tabletten"}),
        (
            "5^St&Stück&99EH",
            {
                "value": Decimal(5),
                "unit": "Stück",
                "system": "https://fhir-gateway.org/CodeSystem/hl7v2/KLINIK/99EH",
                "code": "St",
            },
        ),
        ("^mg", None),
    ],
)
def test_quantity(raw: str, expected: object) -> None:
    assert converted("Quantity", raw) == expected


def test_a_unit_beside_and_one_that_the_rule_knows() -> None:
    value = of("RXE|1|500|mg^^UCUM", 2)
    assert datatypes.TYPES["Quantity"](value, scope(unit="3")) == {
        "value": Decimal(500), "unit": "mg", "system": UCUM, "code": "mg",
    }  # fmt: skip
    assert converted("Quantity", "7", ucum="d") == {"value": Decimal(7), "unit": "d", "system": UCUM, "code": "d"}


def test_money() -> None:
    assert converted("Money", "12.50&EUR^UP") == {"value": Decimal("12.50"), "currency": "EUR"}
    assert converted("Money", "12.50^EUR") == {"value": Decimal("12.50"), "currency": "EUR"}
    assert converted("Money", "^EUR") is None
    for raw in ("12.50", "12.50^UP", "12.50&€"):
        with pytest.raises(Unusable, match="currency"):
            converted("Money", raw)
