"""Two patient numbers that turn out to be one patient's (ADT^A40), in every order, again, and nonsensically."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.hospital import Hospital, Json, message, numbers, pid, pv1

A31, A40 = "ADT^A31", "ADT^A40"


@pytest.fixture
def hospital(url: str) -> Iterator[Hospital]:
    """Patients 1, 2 and 3."""
    opened = Hospital(url)
    opened.takes(
        *(message("ADT^A28", pid(number, name=f"Familie{number}^Kim"), at="20261122090000") for number in "123")
    )
    opened.names = {one["id"]: numbers(one)[0] for one in opened.found("Patient")}
    yield opened
    opened.close()


def merge(survivor: str, replaced: str, minute: int) -> bytes:
    """PID stays, MRG goes."""
    return message(
        A40, pid(survivor, name=f"Familie{survivor}^Kim"), f"MRG|{replaced}^^^KIS^PI", at=f"202611221000{minute:02d}"
    )


def mapped(hospital: Hospital, *messages: bytes) -> None:
    """Take messages that must all be mapped."""
    for state, reason in hospital.takes(*messages):
        assert state == "mapped", reason


def patients(hospital: Hospital) -> dict[str, Json]:
    """The number that each began with, to Patient."""
    return {hospital.names.get(one["id"], numbers(one)[0]): one for one in hospital.found("Patient")}


def links(hospital: Hospital) -> set[tuple[str, str, str]]:
    """Number, type and number of all links between patients."""
    found = patients(hospital)
    names = {f"Patient/{one['id']}": number for number, one in found.items()}
    return {
        (number, link["type"], names[link["other"]["reference"]])
        for number, one in found.items()
        for link in one.get("link", [])
    }


MERGED = {("2", "replaces", "1"), ("1", "replaced-by", "2")}


def test_a_merge_links_both_and_the_old_one_is_inactive(hospital: Hospital) -> None:
    mapped(hospital, merge("2", "1", 1))
    found = patients(hospital)
    assert links(hospital) == MERGED
    assert (found["1"]["active"], found["2"].get("active", True)) == (False, True)


def test_a_merge_of_nobody_we_know_makes_both(hospital: Hospital) -> None:
    mapped(hospital, merge("8", "9", 1))
    assert ("9", "replaced-by", "8") in links(hospital)


def test_later_messages_with_the_old_number_are_the_survivors(hospital: Hospital) -> None:
    later = message("ADT^A01", pid("1", name="Neu^Nora"), pv1("F9"), at="20261122110000")
    mapped(hospital, merge("2", "1", 1), later)
    found = patients(hospital)
    assert (found["1"]["name"][0]["family"], found["2"]["name"][0]["family"]) == ("Familie1", "Neu")
    assert hospital.only("Encounter")["subject"]["reference"] == f"Patient/{found['2']['id']}"
    assert found["1"]["active"] is False


def test_what_was_the_old_patients_is_the_survivors_with_its_next_message(hospital: Hospital) -> None:
    admission = message("ADT^A01", pid("1"), pv1("F1"), at="20261122093000")
    discharge = message("ADT^A03", pid("2"), pv1("F1"), at="20261122110000")
    mapped(hospital, admission, merge("2", "1", 1), discharge)
    assert hospital.only("Encounter")["subject"]["reference"] == f"Patient/{patients(hospital)['2']['id']}"


@pytest.mark.parametrize("is_between", [False, True])
def test_a_replay_of_a_merge_changes_nothing(hospital: Hospital, is_between: bool) -> None:
    sent = merge("2", "1", 1)
    mapped(hospital, sent)
    if is_between:
        mapped(hospital, message(A31, pid("1"), at="20261122110000"))
    before = hospital.versions()
    assert hospital.replays(sent) == [("mapped", None)]
    assert (hospital.versions(), links(hospital)) == (before, MERGED)


def test_a_merge_that_is_sent_twice_is_one(hospital: Hospital) -> None:
    mapped(hospital, merge("2", "1", 1), message(A31, pid("1"), at="20261122101000"), merge("2", "1", 30))
    assert links(hospital) == MERGED


@pytest.mark.parametrize("with_traffic", [False, True])
def test_a_chain_of_merges_ends_at_the_last(hospital: Hospital, with_traffic: bool) -> None:
    traffic = [message(A31, f"PID|||{number}^^^KIS^PI", at="20261122100015") for number in "12"] if with_traffic else []
    mapped(hospital, merge("2", "1", 1), *traffic, merge("3", "2", 30))
    assert {("1", "replaced-by", "2"), ("2", "replaced-by", "3")} <= links(hospital)
    mapped(hospital, *(message(A31, pid(number, name="Neu^Nora"), at="20261122110000") for number in "12"))
    assert [patients(hospital)[number]["name"][0]["family"] for number in "123"] == ["Familie1", "Familie2", "Neu"]


@pytest.mark.parametrize("backwards", [[("1", "1")], [("2", "1"), ("1", "2")], [("2", "1"), ("3", "2"), ("1", "3")]])
def test_a_merge_with_oneself_is_refused_and_harms_nobody(hospital: Hospital, backwards: list[tuple[str, str]]) -> None:
    """The same number twice, or backwards along earlier merges: a circle would shut the patient out for good."""
    *good, last = [merge(survivor, replaced, minute) for minute, (survivor, replaced) in enumerate(backwards, start=1)]
    mapped(hospital, *good)
    before = hospital.versions()
    ((state, _reason),) = hospital.takes(last)
    assert (state, hospital.versions()) == ("failed", before)
    mapped(hospital, *(message(A31, pid(number), at="20261122120000") for number in "123"))


def test_a_merge_message_with_two_pairs(hospital: Hospital) -> None:
    both = message(A40, pid("2"), "MRG|1^^^KIS^PI", pid("3"), "MRG|9^^^KIS^PI", at="20261122100001")
    mapped(hospital, both)
    assert links(hospital) == MERGED | {("3", "replaces", "9"), ("9", "replaced-by", "3")}


def test_a_merge_of_another_hospital_is_not_ours(hospital: Hospital) -> None:
    foreign = message(A40, pid("2"), "MRG|1^^^KIS^PI", at="20261122100001", msh={4: "SUED"})
    mapped(hospital, foreign)
    assert all("link" not in one for one in hospital.found("Patient")[:3])
