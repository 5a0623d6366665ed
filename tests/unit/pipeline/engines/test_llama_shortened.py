"""What stays of an answer that was brought to its end: nothing that the model had not said to its end."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engines.llama import shortened

TEXT = '{"stellen":[{"text":"Husten, \\"trocken\\"]"},{"text":"Ramipril 5 mg"}]}'
BETWEEN = TEXT.index('"},{')
FIRST, SECOND = {"text": 'Husten, "trocken"]'}, {"text": "Ramipril 5 mg"}


@pytest.mark.parametrize(
    ("at", "stays"),
    [
        (BETWEEN + 2, [FIRST]), (BETWEEN + 3, [FIRST]), (TEXT.index(" mg"), [FIRST]), (TEXT.index('"}]'), [FIRST]),
        (TEXT.index("}]"), [FIRST]), (TEXT.index("]}"), [FIRST, SECOND]), (len(TEXT) - 1, [FIRST, SECOND]),
    ],
)  # fmt: skip
def test_an_item_stays_only_when_it_was_complete(at: int, stays: list[Any]) -> None:
    assert json.loads(shortened.whole(TEXT, at)) == {"stellen": stays}


@pytest.mark.parametrize(
    ("text", "at"),
    [
        (TEXT, 3), (TEXT, TEXT.index("[") + 1), (TEXT, BETWEEN), ("[]", 1), ("[12]", 2), ('"Husten"', 5), ("12", 2),
        ('{"text":"Hus","ja":true}', 12), ('{"text":"Husten","zahl":12}', 26), ('{"o":{"liste":["a","b"]}}', 19),
        ('{"a":[],"b":[]}', 7),
    ],
)  # fmt: skip
def test_nothing_whole(text: str, at: int) -> None:
    with pytest.raises(shortened.NothingWhole):
        shortened.whole(text, at)


@pytest.mark.parametrize(
    ("text", "at", "stays"),
    [
        ("[1000,1001,10]", 13, [1000, 1001]),  # perhaps 1002
        ("[1000,1001]", 10, [1000]),
        ("[true,false]", 11, [True, False]),
        ('{"a":[["x"],["y"]],"b":["z"]}', 12, {"a": [["x"]], "b": []}),
        ('{"ja":true,"a":["x","yz"]}', 22, {"ja": True, "a": ["x"]}),
        ('{"text":"Husten","ja":true}', 26, {"text": "Husten", "ja": True}),
    ],
)
def test_lists_of_all_kinds(text: str, at: int, stays: Any) -> None:
    assert json.loads(shortened.whole(text, at)) == stays


ITEMS = st.lists(st.fixed_dictionaries({"t": st.text(max_size=8), "n": st.integers(0, 99)}), min_size=1, max_size=4)


@given(ITEMS, st.data())
def test_wherever_it_is_cut_a_beginning_of_the_list_stays(items: list[Any], data: st.DataObject) -> None:
    text = json.dumps({"stellen": items}, ensure_ascii=False, separators=(",", ":"))
    at = data.draw(st.integers(0, len(text)))
    try:
        stays = json.loads(shortened.whole(text, at))["stellen"]
    except shortened.NothingWhole:
        stays = []
    assert stays == items[: len(stays)]
    written = json.dumps({"stellen": stays}, ensure_ascii=False, separators=(",", ":"))[:-2]
    assert not stays or text[:at].startswith(written)
    assert len(stays) == len(items) or not text[:at].startswith(
        json.dumps({"stellen": items[: len(stays) + 1]}, ensure_ascii=False, separators=(",", ":"))[:-2]
    )
