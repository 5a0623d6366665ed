"""Dates and times: precision, offsets, summer time, and what is no time."""

import pytest

from mappers.v2_to_fhir.reading import Unusable
from tests.unit.mappers.v2_to_fhir.values import converted, left


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("2026", "2026"),
        ("202601", "2026-01"),
        ("20260102", "2026-01-02"),
        ("2026010215", "2026-01-02T15:00:00+01:00"),
        ("202601021530", "2026-01-02T15:30:00+01:00"),
        ("20260102153045", "2026-01-02T15:30:45+01:00"),
        ("20260102153045.1234", "2026-01-02T15:30:45.1234+01:00"),
        ("202607021530", "2026-07-02T15:30:00+02:00"),
        ("202607021530+0000", "2026-07-02T15:30:00+00:00"),
        ("202607021530-0330", "2026-07-02T15:30:00-03:30"),
        ("20260702+0200", "2026-07-02"),
        ("202610250230", "2026-10-25T02:30:00+02:00"),  # twice: the first
        ("202610250230+0100", "2026-10-25T02:30:00+01:00"),
        ("20260102000000^D", "2026-01-02"),
        ("20260102153045^M", "2026-01-02T15:30:00+01:00"),
        ("20260101^Y", "2026"),
        ("19500000", "1950"),
        ("19500600", "1950-06"),
        ("19500000000000", "1950"),
        ("20240229", "2024-02-29"),
        ('""', None),
        ("^D", None),
    ],
)
def test_date_time(raw: str, expected: str | None) -> None:
    assert converted("dateTime", raw) == expected


@pytest.mark.parametrize(
    "raw",
    [
        "0000", "00000000", "022604011645", "20261301", "20260230", "18990101", "99991231", "11111111", "2026010224",
        "202601021560", "20260102153060", "20260102153045.", "20260102T1530", "2026-01-02", "02.01.2026", "heute",
        "202603290230", "19500012", "195000001200", "202607021530+9900", "202607021530+2", "20260", "２０２６",
    ],
)  # fmt: skip
def test_no_time(raw: str) -> None:
    for name in ("dateTime", "instant"):
        with pytest.raises(Unusable) as caught:
            converted(name, raw)
        assert raw not in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [("19870304", "1987-03-04"), ("198703042359+0000", "1987-03-04"), ("1987", "1987"), ("20260102^D", "2026-01-02")],
)
def test_date(raw: str, expected: str) -> None:
    assert converted("date", raw) == expected


def test_instant() -> None:
    assert converted("instant", "202601021530") == "2026-01-02T15:30:00+01:00"
    for raw in ("20260102", "2026010215"):
        with pytest.raises(Unusable, match="hour and minute"):
            converted("instant", raw)


@pytest.mark.parametrize(("raw", "expected"), [("1530", "15:30:00"), ("153045.5", "15:30:45.5"), ("08", "08:00:00")])
def test_time(raw: str, expected: str) -> None:
    assert converted("time", raw) == expected


@pytest.mark.parametrize("raw", ["2430", "1560", "1530+0100", "15:30", "153"])
def test_no_time_of_day(raw: str) -> None:
    with pytest.raises(Unusable):
        converted("time", raw)


def test_period() -> None:
    assert converted("Period", "20260101^202602011200") == {"start": "2026-01-01", "end": "2026-02-01T12:00:00+01:00"}
    assert converted("Period", "^20260101") == {"end": "2026-01-01"}
    assert converted("Period", "^") is None
    with pytest.raises(Unusable, match="before"):
        converted("Period", "20260201^20260101")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("19870304", None),
        ("19870304000000", None),
        ("198703040000", None),
        ("198703041405", "1987-03-04T14:05:00+01:00"),
    ],
)
def test_a_time_of_birth_is_made_only_of_one(raw: str, expected: str | None) -> None:
    found = converted("birth_time", raw)
    assert (found and found["valueDateTime"]) == expected


def test_what_is_taken() -> None:
    assert left("dateTime", "20260102^D") == []
    assert left("date", "20260102^unbekannt") == ["ZZZ-1.2"]
    assert left("birth_time", "19870304") == ["ZZZ-1"]
