"""Alpha-ID and Alpha-ID-SE."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminology.importers import alpha_id, content
from tests.unit.terminology.importers import published


def test_the_eight_fields_of_alpha_id_se() -> None:
    first, second, third = alpha_id.phrases(published.alpha_se(), "a.txt")
    assert first == content.Phrase("I100", "Erfundene Zuckerkrankheit", "E10.90")
    assert second == content.Phrase("I101", "Erfundenes Zuckerauge", "E10.30", "H36.0", orpha="99999")
    assert second.codes == ("E10.30", "H36.0")
    assert (third.primary, third.extra, third.second) == ("A00.0", "U00.0", "J00.9")


def test_the_seven_fields_of_alpha_id() -> None:
    first, second = alpha_id.phrases(published.alpha(), "a.txt")
    assert (first.text, first.orpha) == ("Erfundene Zuckerkrankheit für Ältere", "")
    assert (second.primary, second.star, second.orpha) == ("E10.30", "H36.0", "")


def test_a_line_ends_at_the_line_feed_alone() -> None:
    (phrase,) = alpha_id.phrases("1|I1|A00.0||||Text\x85mit\x0bZeichen\r\n", "a.txt")
    assert phrase.text == "Text mit Zeichen"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("1|I1|A00.0||||", "has no text"),
        ("1|I1|||||Text", "has no code"),
        ("2|I1|A00.0||||Text", "'2' where 0 or 1"),
        ("1|X1|A00.0||||Text", "'X1', which is no Alpha-ID"),
        ("1|I1|A0||||Text", "'A0', which is no code"),
        ("1|I1|A00.0|H36.0.1|||Text", "'H36.0.1', which is no code"),
        ("1|I1|A00.0||||Text|x", "8 of 7 fields"),
        ("1|I1|A00.0", "3 of 7 fields: the file is cut off"),
    ],
)
def test_a_wrong_line_is_named(line: str, told: str) -> None:
    with pytest.raises(content.NotImportable, match=rf"^Line 2 of a\.txt .*{told}"):
        alpha_id.phrases(f"1|I0|A00.0||||Guter Text\n{line}", "a.txt")


@pytest.mark.parametrize("end", [0, 3, 8])
def test_a_last_line_without_its_end_is_refused(end: int) -> None:
    whole = "1|I0|A00.0||||Text\n1|I1|A00.0||||Guter Text\n"
    assert len(alpha_id.phrases(whole, "a.txt")) == 2
    with pytest.raises(content.NotImportable, match=r"^The last line of a\.txt has no end: the file is cut off"):
        alpha_id.phrases(whole[: len(whole) - 1 - end], "a.txt")


def test_a_wrong_orpha_number_and_a_second_line_are_named() -> None:
    with pytest.raises(content.NotImportable, match="'ORPHA:1', which is no ORPHA number"):
        alpha_id.phrases("1|I0|A00.0||||ORPHA:1|Text", "a.txt")
    with pytest.raises(content.NotImportable, match="has I0 a second time"):
        alpha_id.phrases("1|I0|A00.0||||Text\n1|I0|A00.0||||Text", "a.txt")
    with pytest.raises(content.NotImportable, match="has no valid text"):
        alpha_id.phrases("0|I0|||||Text", "a.txt")


@given(st.text() | st.lists(st.lists(st.text(max_size=6), min_size=7, max_size=8).map("|".join)).map("\n".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        alpha_id.phrases(text, "x")
    except content.NotImportable as error:
        assert "\n" not in str(error)
