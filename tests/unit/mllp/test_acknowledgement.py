"""Acknowledgements: modes, delimiters, character sets, versions, and where an error is."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_gateway.mllp import acknowledgement
from fhir_gateway.mllp.acknowledgement import Error, Wishes
from mappers import er7

NOW = dt.datetime(2026, 11, 22, 10, 15, tzinfo=dt.UTC)


def message(**fields: str) -> er7.Message:
    """A header with these fields (`f10="7"`) and a PID."""
    values = {3: "KIS", 4: "HAUS", 5: "GW", 6: "GWH", 9: "ADT^A01^ADT_A01", 10: "77", 11: "P", 12: "2.5"}
    values |= {int(name[1:]): value for name, value in fields.items()}
    head = "|".join(["MSH", "^~\\&", *(values.get(number, "") for number in range(3, max(values) + 1))])
    return er7.parse(f"{head}\rPID|1\r".encode())


def built(received: er7.Message | None, code: str = "AA", *errors: Error) -> er7.Message:
    """The answer, read from its bytes."""
    return er7.parse(acknowledgement.build(received, code, NOW, errors))


# ---- which answers are wanted


@pytest.mark.parametrize(
    ("accept", "answer", "mode", "expected"),
    [
        ("", "", "as-sent", Wishes(False)),
        ("AL", "NE", "as-sent", Wishes(True, "AL", "NE")),
        ("AL", "", "as-sent", Wishes(True, "AL", "NE")),
        ("", "AL", "as-sent", Wishes(True, "NE", "AL")),
        ("AL", "AL", "original", Wishes(False)),
        ("", "", "original", Wishes(False)),
        ("", "", "enhanced", Wishes(True, "AL", "NE")),
        ("NE", "AL", "enhanced", Wishes(True, "NE", "AL")),
    ],
)
def test_the_header_and_the_site_say_which_answers_are_wanted(
    accept: str, answer: str, mode: acknowledgement.Mode, expected: Wishes
) -> None:
    assert acknowledgement.wishes(message(f15=accept, f16=answer), mode) == expected


def test_what_cannot_be_read_is_answered_in_original_mode_unless_the_site_says_otherwise() -> None:
    assert acknowledgement.wishes(None, "as-sent") == Wishes(False)
    assert acknowledgement.wishes(None, "enhanced") == Wishes(True, "AL", "NE")


@pytest.mark.parametrize(
    ("condition", "good", "bad"), [("AL", True, True), ("NE", False, False), ("ER", False, True), ("SU", True, False)]
)
def test_a_condition_says_when(condition: str, good: bool, bad: bool) -> None:
    wishes = Wishes(True, condition, condition)
    assert (wishes.wants_commit(is_good=True), wishes.wants_commit(is_good=False)) == (good, bad)
    assert (wishes.wants_application(is_good=True), wishes.wants_application(is_good=False)) == (good, bad)
    assert wishes.may_want_application is (condition != "NE")


def test_original_mode_has_one_answer_always_and_no_other() -> None:
    wishes = Wishes(False)
    assert (wishes.wants_commit(is_good=True), wishes.wants_commit(is_good=False)) == (True, True)
    assert (wishes.wants_application(is_good=True), wishes.may_want_application) == (False, False)


@pytest.mark.parametrize(("accept", "answer"), [("al", "ne"), ("X", ""), ("X", "NE"), ("Y", "Y")])
def test_a_sender_with_a_code_that_is_none_gets_an_answer_all_the_same(accept: str, answer: str) -> None:
    """It would wait for ever."""
    wishes = acknowledgement.wishes(message(f15=accept, f16=answer), "as-sent")
    assert wishes.wants_commit(is_good=True)
    assert wishes.wants_commit(is_good=False)


# ---- what an answer says


def test_an_answer_goes_back_where_the_message_came_from() -> None:
    answer = built(message(f3="KIS&1.2&ISO", f11="T"))
    (head,) = answer.all("MSH")
    assert [head.field(number).raw for number in (3, 4, 5, 6, 7, 9, 11, 12)] == [
        "GW", "GWH", "KIS&1.2&ISO", "HAUS", "20261122101500+0000", "ACK^A01^ACK", "T", "2.5",
    ]  # fmt: skip
    assert [segment.name for segment in answer.segments] == ["MSH", "MSA"]
    assert (answer.text("MSA-1"), answer.text("MSA-2")) == ("AA", "77")
    assert 0 < len(answer.text("MSH-10")) <= 20


def test_the_event_is_named_from_version_2_4_on() -> None:
    assert built(message(f12="2.3")).first("MSH").field(9).raw == "ACK"  # type: ignore[union-attr]
    assert built(message(f9="ADT")).first("MSH").field(9).raw == "ACK"  # type: ignore[union-attr]


@pytest.mark.parametrize("separators", ["|^~\\&", "#*!$%", "|^~\\&#", "|^"])
def test_an_answer_has_the_delimiters_of_the_message(separators: str) -> None:
    f, c = separators[:2]
    fields = ["MSH", separators[1:], "KIS", "HAUS", "GW", "", "", "", f"ADT{c}A01", f"7{c}7", "P", "2.5"]
    received = er7.parse(f"{f.join(fields)}\r".encode())
    answer = built(received, "AE", Error("207", "Ein | Text ^ mit & allem ~ \\ und # * ! $ %", "PID-3"))
    assert answer.delimiters == received.delimiters
    assert answer.first("MSA").field(2).raw == f"7{c}7"  # type: ignore[union-attr]
    (error,) = answer.all("ERR")
    assert error.field(2).repetition(1).component(1).text == "PID"
    if len(separators) > 3:
        assert error.field(8).repetition(1).whole == "Ein | Text ^ mit & allem ~ \\ und # * ! $ %"


@pytest.mark.parametrize(("charset", "codec"), [("8859/1", "latin-1"), ("UNICODE UTF-8", "utf-8"), ("ASCII", "ascii")])
def test_an_answer_is_in_the_character_set_of_the_message(charset: str, codec: str) -> None:
    data = acknowledgement.build(message(f18=charset), "AE", NOW, [Error("207", "Größe fehlt")])
    text = data.decode(codec)
    assert f"|{charset}\r" in text
    assert ("Größe" if codec != "ascii" else "Gr??e") in text


def test_what_cannot_be_read_is_answered_without_a_control_id() -> None:
    answer = built(None, "AR", Error("100", "There is no MSH segment at the beginning."))
    assert (answer.text("MSA-1"), answer.text("MSA-2"), answer.text("MSH-12")) == ("AR", "", "2.5")
    assert (answer.text("ERR-3.1"), answer.text("ERR-3.2"), answer.text("ERR-4")) == (
        "100",
        "Segment sequence error",
        "E",
    )


@pytest.mark.parametrize(
    ("at", "expected"),
    [("PID-3", "PID^1^3"), ("PID-3[2].4.1", "PID^1^3"), ("PID", "PID^1"), ("", ""), ("Patient", "Patient^1")],
)
def test_an_error_says_where(at: str, expected: str) -> None:
    answer = built(message(), "AE", Error("207", "Grund", at))
    (error,) = answer.all("ERR")
    assert error.field(2).raw == expected
    assert error.field(8).raw == "Grund"
    assert answer.text("MSA-3") == ""


def test_each_error_has_a_segment_and_before_2_5_the_first_stands_in_the_msa() -> None:
    errors = (Error("101", "Eins", "PID-3"), Error("207", "Zwei"))
    assert [one.field(8).text for one in built(message(), "AE", *errors).all("ERR")] == ["Eins", "Zwei"]
    old = built(message(f12="2.3.1"), "AE", *errors)
    assert old.text("MSA-3") == "Eins"
    assert [one.field(1).raw for one in old.all("ERR")] == [
        "PID^1^3^101&Required field missing&HL70357", "^^^207&Application internal error&HL70357",
    ]  # fmt: skip


@given(st.text(max_size=30), st.text(alphabet="ABc|^~\\&\r\n\x0b\x1c Ä", max_size=30))
def test_nothing_that_was_sent_makes_another_segment(control: str, text: str) -> None:
    raw = er7.escape(control)
    received = message(f10=raw, f3=raw, f18="UNICODE UTF-8")
    data = acknowledgement.build(received, "AE", NOW, [Error("207", text, "PID-3")])
    assert b"\x0b" not in data
    assert b"\x1c" not in data
    assert [line[:3] for line in data.decode("utf-8", "replace").splitlines()] == ["MSH", "MSA", "ERR"]
    assert er7.parse(data).first("MSA").field(2).raw == received.segments[0].field(10).raw  # type: ignore[union-attr]
