"""What a resource is found by: the values that each kind of parameter sees."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_gateway.search import values


@pytest.fixture
def known_bases() -> Iterator[None]:
    """Two addresses under which our resources are known."""
    values.know_bases("https://gateway.example/fhir/", "https://kis.example/r4", None)
    yield
    values.know_bases()


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("Patient/7", ("Patient", "7")),
        ("Patient/7/_history/3", ("Patient", "7")),
        ("https://gateway.example/fhir/Patient/7", ("Patient", "7")),
        ("https://kis.example/r4/Patient/7/_history/1", ("Patient", "7")),
        ("http://127.0.0.1:8080/fhir/Patient/7", ("Patient", "7")),
        ("http://localhost/fhir/Patient/7", ("Patient", "7")),
        ("https://other.example/fhir/Patient/7", ("", "https://other.example/fhir/Patient/7")),
        ("https://kis.example/r4/x/Patient/7", ("", "https://kis.example/r4/x/Patient/7")),
        ("http://localhost.evil.example/fhir/Patient/7", ("", "http://localhost.evil.example/fhir/Patient/7")),
        ("urn:uuid:1", ("", "urn:uuid:1")),
        ("#p", ("", "#p")),
        ("Patient/" + "7" * 65, ("", "Patient/" + "7" * 65)),
    ],
)
@pytest.mark.usefixtures("known_bases")
def test_a_reference_under_another_address_is_another_resource(reference: str, found: tuple[str, str]) -> None:
    assert values.split_reference(reference) == found


def test_the_last_steps_of_any_url() -> None:
    assert values.last_steps("https://other.example/fhir/Patient/7/_history/2") == "Patient/7"
    assert values.last_steps("urn:uuid:1") == ""


@pytest.mark.parametrize(
    ("node", "found"),
    [
        ({"system": "s", "code": "c"}, [("s", "c")]),
        ({"code": "c"}, [("", "c")]),
        ({"system": "s", "value": "v"}, [("s", "v")]),
        ({"coding": [{"system": "s", "code": "c"}, {"code": "d"}, {"display": "x"}, 7], "text": "t"},
         [("s", "c"), ("", "d")]),
        ({"text": "t"}, []),
        ("final", [("", "final")]),
        (True, [("", "true")]),
        (3, [("", "3")]),
        (None, []),
    ],
)  # fmt: skip
def test_tokens(node: Any, found: list[tuple[str, str]]) -> None:
    assert list(values.tokens(node)) == found


def test_the_words_beside_a_code() -> None:
    node = {"coding": [{"display": "Übergewicht"}], "text": "Zu  schwer"}
    assert list(values.token_texts(node)) == ["zu schwer", "ubergewicht"]


@pytest.mark.parametrize(
    ("node", "found"),
    [
        ({"value": Decimal("5.4"), "unit": "mg", "system": "u", "code": "mg"}, [("u", "mg", "mg", 5.4, 5.4)]),
        ({"value": 5, "comparator": "<"}, [("", "", "", -values.UNBOUNDED, 5.0)]),
        ({"value": 5, "comparator": ">="}, [("", "", "", 5.0, values.UNBOUNDED)]),
        ({"value": Decimal("2.50"), "currency": "EUR"}, [("", "EUR", "", 2.5, 2.5)]),
        ({"low": {"value": 1, "code": "a"}, "high": {"value": 2}}, [("", "a", "", 1.0, 2.0)]),
        ({"high": {"value": 2, "code": "a"}}, [("", "a", "", -values.UNBOUNDED, 2.0)]),
        ({"value": 10**400}, [("", "", "", values.UNBOUNDED, values.UNBOUNDED)]),
        ({"value": True}, []),
        ("5", []),
    ],
)
def test_quantities(node: Any, found: list[tuple[str, str, str, float, float]]) -> None:
    assert list(values.quantities(node)) == found


def test_the_bounds_of_dates() -> None:
    day = 86_400_000_000
    assert values.date_bounds("1970") == (0, 365 * day - 1)
    assert values.date_bounds("1970-01-02") == (day, 2 * day - 1)
    assert values.date_bounds("1970-01-01T01:00:00+01:00") == (0, 999_999)
    assert values.date_bounds("1970-02-30") is None
    assert list(values.dates({"start": "1970"})) == [(0, values.END_OF_TIME)]
    assert next(iter(values.dates({"end": "1970"})))[0] == values.START_OF_TIME
    timing = {"event": ["1970-01-01"], "repeat": {"boundsPeriod": {"start": "1970-01-02", "end": "1970-01-02"}}}
    assert list(values.dates(timing)) == [(0, day - 1), (day, 2 * day - 1)]


def test_names_are_folded() -> None:
    name = {"family": "Weiß-Öztürk", "given": ["Jörg", "Ümit"], "use": "official"}
    assert [found for found, _written in values.strings(name)] == ["weiss-ozturk", "jorg", "umit"]
    assert values.folded("Jo\u0308rg") == "jorg"


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.decimals(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "value",
                    "code",
                    "system",
                    "coding",
                    "low",
                    "high",
                    "start",
                    "end",
                    "event",
                    "repeat",
                    "family",
                    "text",
                    "reference",
                    "comparator",
                    "display",
                    "type",
                    "unit",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(json)
def test_no_json_makes_an_error(node: Any) -> None:
    for extract in (values.tokens, values.references, values.dates, values.strings, values.uris, values.quantities,
                    values.numbers, values.token_texts):  # fmt: skip
        list(extract(node))
