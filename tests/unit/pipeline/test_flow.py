"""`pipeline.flow`: what must run again."""

import typing

import pytest

from pipeline import flow

ALL = frozenset(flow.STAGES)


def test_every_stage_stands_once_after_what_it_needs() -> None:
    assert sorted(flow.STAGES) == sorted(typing.get_args(flow.Stage)) == sorted(flow.NEEDS)
    done: set[str] = set()
    for group in flow.ORDER:
        for stage in group:
            assert set(flow.NEEDS[stage]) <= done
        done.update(group)


@pytest.mark.parametrize(
    ("first", "again"),
    [
        ("gather", ALL),
        ("read", ALL - {"gather"}),
        ("scribe", ALL - {"gather", "read"}),
        ("summarise", {"summarise", "write_back", "deliver"}),
        ("code", {"code", "bill", "write_back", "deliver"}),
        ("check", {"check", "write_back", "deliver"}),
        ("bill", {"bill", "write_back", "deliver"}),
        ("write_back", {"write_back", "deliver"}),
        ("deliver", {"deliver"}),
    ],
)
def test_from_stage(first: flow.Stage, again: frozenset[flow.Stage]) -> None:
    assert flow.from_stage(first) == again
