"""The metadata of BfArM: the 28 fields, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminology.icd10gm import edition
from terminology.importers import content, metadata
from tests.unit.terminology.importers import published


@pytest.mark.parametrize("text", [published.kodes(), published.with_header(), "\ufeff" + published.kodes()])
def test_both_forms_are_read_alike(text: str) -> None:
    codes = metadata.codes(text, "kodes.txt")
    assert len(codes) == len(published.rows())
    assert codes["E10.31"] == edition.Code(
        "E10.31", "Erfundene Krankheit E10: Mit Augenkomplikationen: Entgleist", 5, "E10.3",
        chapter="04", block="E10",
    )  # fmt: skip
    assert codes["E10.3"].practice == "P" and codes["E10.3"].hospital == "V" and not codes["E10.3"].is_terminal
    assert codes["E10"].parent is None and codes["E10"].level == 3 and codes["E10"].practice == "V"
    assert (codes["H36.0"].mark, codes["U00.0"].mark, codes["A00.0"].mark) == ("*", "!", None)


def test_every_rule_is_read() -> None:
    codes = metadata.codes(published.kodes(), "kodes.txt")
    birth = codes["O00.9"]
    assert (birth.sex, birth.sex_error, birth.age_error) == ("W", "K", "K")
    assert (birth.age_from, birth.age_to) == (edition.Age(12, "years"), edition.Age(55, "years"))
    child = codes["P00.0"]
    assert (child.age_from, child.age_to, child.age_error) == (edition.Age(0, "days"), edition.Age(1, "years"), "M")
    assert codes["N00.0"].sex == "M" and codes["J00.0"].sex == "" and codes["J00.0"].age_from is None
    cholera, cold, unused = codes["A00.0"], codes["J00.0"], codes["U00.0"]
    assert (cholera.is_rare, cholera.is_notifiable, cholera.has_lab_exemption, cholera.is_used) == (True,) * 4
    assert (cold.is_rare, cold.is_notifiable, cold.has_lab_exemption, cold.is_used) == (False, False, False, True)
    assert not unused.is_used


def test_quotes_and_hard_blanks() -> None:
    quoted = published.row("J00", '"Schnupfen; ""stark"""', "10", "J00")
    assert metadata.codes(";".join(quoted), "k")["J00"].title == 'Schnupfen; "stark"'
    hard = published.row("J00", "Grad\xa02  schwer", "10", "J00")
    assert metadata.codes(";".join(hard), "k")["J00"].title == "Grad 2 schwer"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (1, "4"), (1, "6"), (2, "X"), (4, "1"), (5, "A"), (6, "K00"), (7, "J0"), (7, "J00.0"), (7, "J00.012"),
        (8, "J01"), (9, ""), (9, "x" * 1001), (13, ""), (13, "p"), (14, "X"), (20, "D"), (21, "X"), (22, "t"),
        (22, "15"), (23, "m012"), (23, "j-01"), (24, "N"), (25, "9"), (26, ""), (27, "ja"), (28, "0"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named(field: int, value: str) -> None:
    wrong = published.row("J00", "Schnupfen", "10", "J00", **{f"f{field}": value})
    good = published.row("J01", "Anderer Schnupfen", "10", "J00")
    with pytest.raises(content.NotImportable, match=r"^Line 2 of kodes.txt has .* in field \d+"):
        metadata.codes(published.kodes([good, wrong]), "kodes.txt")
    assert len(metadata.codes(published.kodes([good]), "kodes.txt")) == 1


def test_a_cut_line_a_second_code_and_nothing_are_refused() -> None:
    text = published.kodes()
    with pytest.raises(content.NotImportable, match=r"of 28 fields: the file is cut off; fetch it again"):
        metadata.codes(text[:-40], "kodes.txt")
    with pytest.raises(content.NotImportable, match=r"^Line 2 of .* 3 of 28 fields: this is not the file"):
        metadata.codes(text.replace("\r\n", "\r\na;b;c\r\n", 1), "kodes.txt")
    with pytest.raises(content.NotImportable, match="has A00 a second time"):
        metadata.codes(text + text, "kodes.txt")
    for nothing in ("", published.with_header([])):
        with pytest.raises(content.NotImportable, match=r"^kodes\.txt has no code"):
            metadata.codes(nothing, "kodes.txt")


def test_progress_is_told() -> None:
    told: list[tuple[str, int, int]] = []
    metadata.codes(published.kodes(), "k", lambda *heard: told.append(heard))
    size = len(published.rows())
    assert told[-1] == ("reading codes", size, size)


@given(st.text() | st.lists(st.lists(st.text(max_size=5), min_size=28, max_size=28).map(";".join)).map("\n".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        metadata.codes(text, "x")
    except content.NotImportable as error:
        assert "\n" not in str(error)


@given(st.integers(0, len(published.kodes())), st.integers(0, 200), st.text(max_size=4))
def test_a_changed_file_is_read_or_refused(start: int, length: int, put: str) -> None:
    text = published.kodes()
    try:
        codes = metadata.codes(text[:start] + put + text[start + length :], "x")
    except content.NotImportable:
        return
    assert all(content.CODE.fullmatch(code) for code in codes)
