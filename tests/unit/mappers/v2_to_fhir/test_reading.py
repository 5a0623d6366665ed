"""A message as the rules read it: its values, what was taken of them, and where they stand."""

from __future__ import annotations

import gc
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappers import er7
from mappers.v2_to_fhir.reading import Reading, Value

ENCODINGS = ["^~\\&", "^~\\", "^~", "^", "#$%!"]


def reading(*segments: str, encoding: str = "^~\\&") -> Reading:
    """These segments behind a header."""
    return Reading(er7.parse("".join(f"{one}\r" for one in (f"MSH|{encoding}|KIS", *segments)).encode()))


def taken(of: Reading) -> list[str]:
    """The places that were read and neither taken nor left yet."""
    return [of.path(leaf) for leaf in of.pending]


# ---- values


@given(st.text('ab^~\\&"T#$%! ', max_size=20), st.sampled_from(ENCODINGS))
def test_values_say_what_the_tree_of_the_message_says(raw: str, encoding: str) -> None:
    found = reading(f"ZZZ|x|y|{raw}", encoding=encoding)
    tree = [one for one in found.message.segments[1].field(3).repetitions if one.raw]
    values = found.values(1, 3)
    assert [(value.raw, value.text, value.whole, value.count) for value in values] == [
        (one.raw, one.text, one.whole, len(one.components)) for one in tree
    ]
    for value, one in zip(values, tree, strict=True):
        for c in range(1, len(one.components) + 2):
            part, component = value[c], one.component(c)
            assert (part.raw, part.text, bool(part)) == (component.raw, component.text, bool(component.raw))
            assert part.count == len(component.subcomponents)
            for s in range(1, len(component.subcomponents) + 2):
                assert (part[s].raw, part[s].text) == (component.subcomponent(s).raw, component.subcomponent(s).text)


@given(st.text('ab^~\\&" ', max_size=20))
def test_all_that_is_read_of_a_field_is_what_stands_in_it(raw: str) -> None:
    found = reading(f"ZZZ|{raw}")
    for value in found.values(1, 1):
        assert value.at[:3] == (1, 1, value.at[2])
        _ = value.whole
    assert {leaf for leaf, _raw in found.leaves() if leaf[0] == 1} <= set(found.pending)


def test_a_value_is_taken_by_reading_it_and_not_by_looking_at_it() -> None:
    found = reading("ZZZ|a^b&c^^d~e")
    first, second = found.values(1, 1)
    assert (first.raw, first[2].raw, bool(first[3]), first.count, second.is_null) == (
        "a^b&c^^d",
        "b&c",
        False,
        4,
        False,
    )
    assert taken(found) == []
    assert (first.text, first[2][2].text, first[3].text, first[9].text, second[1].text) == ("a", "c", "", "", "e")
    assert taken(found) == ["ZZZ-1.1", "ZZZ-1.2.2", "ZZZ-1[2]"]
    found.leave()
    assert (first[2].whole, first.whole) == ("b&c", "a^b&c^^d")
    assert taken(found) == [
        "ZZZ-1.2.1", "ZZZ-1.2.2", "ZZZ-1.1", "ZZZ-1.2.1", "ZZZ-1.2.2", "ZZZ-1.3", "ZZZ-1.4",
    ]  # fmt: skip


def test_a_field_without_a_value_has_none() -> None:
    found = reading('ZZZ||~|""')
    assert [list(found.values(1, number)) for number in (0, 1, 2, 4, 99)] == [[]] * 5
    (null,) = found.values(1, 3)
    assert (null.is_null, null.text, null.whole, taken(found)) == (True, "", "", ["ZZZ-3", "ZZZ-3"])


def test_what_stands_beside() -> None:
    found = reading("ZZZ|a|b~c|")
    (value,) = found.values(1, 1)
    assert (value.beside(2).text, [one.raw for one in value.all_beside(2)]) == ("b", ["b", "c"])
    empty = value.beside(3)
    assert (empty.raw, empty[4][1].raw, empty.count, empty.at[:2], empty.beside(1).raw) == ("", "", 1, (1, 3), "a")
    assert value[2].beside(2).raw == "b"


def test_the_delimiters_of_the_header_are_not_divided_by_themselves() -> None:
    found = reading()
    assert [(value.raw, value.text, value.count) for n in (1, 2) for value in found.values(0, n)] == [
        ("|", "|", 1),
        ("^~\\&", "^~\\&", 1),
    ]
    assert taken(found) == ["MSH-1", "MSH-2"]


# ---- texts of several lines


def test_repetitions_and_segments_are_the_lines_of_one_text() -> None:
    found = reading("NTE|1||", "NTE|2||eins^&~\\T\\", "NTE|3||drei")
    found.join([1, 2, 3], 3)
    (text,) = found.values(1, 3)
    assert (text.text, text[1] is text, text[2].raw, text.count) == ("\neins^&\n&\ndrei", True, "", 1)
    found.take("note")
    assert {found.path(leaf) for leaf in found.went} >= {"NTE-3.1", "NTE-3.2.2", "NTE-3[2]", "NTE-3"}
    assert [value.raw for value in found.values(3, 3)] == ["drei"]
    found.join([1], 3)
    assert list(found.values(1, 3)) == []


def test_what_a_text_goes_on_in_went_where_its_beginning_went() -> None:
    found = reading("NTE|1|L|a", "NTE|2|L|b", "NTE|3|P|c")
    for number in (1, 2, 3):
        assert found.values(1, number)[0].text
        found.take(f"Note.{number}")
    found.follow(1, [2, 3])
    assert {found.path(leaf): (leaf[0], targets) for leaf, targets in found.went.items() if leaf[0] > 1} == {
        "NTE-2": (2, ["Note.2"])
    }


# ---- what went where


def test_where_a_value_went_is_told_once() -> None:
    found = reading("ZZZ|a")
    for target in ("Patient.id", "Patient.id", "Group.id"):
        assert found.values(1, 1)[0].text == "a"
        found.take(target)
    assert (found.went, found.pending) == ({(1, 1, 1, 1, 1): ["Patient.id", "Group.id"]}, [])


@pytest.mark.parametrize(
    ("raw", "paths"),
    [
        ("a", ["ZZZ-1"]),
        ("a&b", ["ZZZ-1.1.1", "ZZZ-1.1.2"]),
        ("a^b~c~d^e&f", ["ZZZ-1.1", "ZZZ-1.2", "ZZZ-1[2]", "ZZZ-1[3].1", "ZZZ-1[3].2.1", "ZZZ-1[3].2.2"]),
        ("^b", ["ZZZ-1.2"]),
    ],
)
def test_places_as_people_write_them(raw: str, paths: list[str]) -> None:
    found = reading(f"ZZZ|{raw}")
    assert [found.path(leaf) for leaf, _raw in found.leaves() if leaf[0] == 1] == paths


def test_what_was_read_goes_with_the_message() -> None:
    found = reading("ZZZ|a^b")
    value: Value = found.values(1, 1)[0]
    message = weakref.ref(found.message)
    assert value[2].text == "b"
    found.close()
    gc.disable()
    try:
        del found, value
        assert message() is None
    finally:
        gc.enable()
