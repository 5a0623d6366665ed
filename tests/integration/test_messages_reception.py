"""Receiving HL7 v2: kept first and answered then, once, whatever comes; who is answered how."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from fhir_gateway import errors
from fhir_gateway.messages import mapping, reception
from fhir_gateway.store import inbox, schema
from mappers import er7
from tests.integration.hospital import Hospital, control, message, pid

A31 = "ADT^A31"


@pytest.fixture
def hospital(url: str) -> Iterator[Hospital]:
    """A gateway of which no sender wants anything special."""
    opened = Hospital(url)
    yield opened
    opened.close()


@pytest.fixture
def patient_one(url: str, tmp_path: Path) -> Iterator[Hospital]:
    """One with senders that a site file knows: KIS is answered after the mapping, OLD and NEW in one mode always."""
    folder = tmp_path / "sites"
    folder.mkdir()
    (folder / "kis.yaml").write_text("match: [{application: KIS}]\nacknowledge: {after: mapping}\n")
    (folder / "old.yaml").write_text("match: [{application: OLD}]\nacknowledge: {mode: original}\n")
    (folder / "new.yaml").write_text("match: [{application: NEW}]\nacknowledge: {mode: enhanced}\n")
    opened = Hospital(url, folder)
    yield opened
    opened.close()


def asked(hospital: Hospital, *messages: bytes) -> list[list[bytes]]:
    """The answers to each message."""

    async def work(door: reception.Reception, _mapper: mapping.Mapper) -> list[list[bytes]]:
        return [await reception.known(await door.receive(one, channel="test")) for one in messages]

    return hospital.run(work)


def codes(answers: list[bytes]) -> list[str]:
    """MSA-1 of each answer."""
    return [er7.parse(one).text("MSA-1") for one in answers]


def error(data: bytes) -> tuple[str, str, str]:
    """Where, the code and the reason of an answer's ERR."""
    found = er7.parse(data)
    where = "-".join(part for part in (found.text("ERR-2.1"), found.text("ERR-2.3")) if part)
    return where, found.text("ERR-3.1"), found.text("ERR-8")


def kept(hospital: Hospital) -> list[tuple[bytes, int]]:
    """Everything that was received, with the status it was kept under."""
    table = schema.received
    query = sa.select(table.c.body, table.c.status).order_by(table.c.at)
    return [(bytes(row.body), row.status) for row in hospital.rows(query)]


# ---- kept, then answered


def test_a_message_is_kept_as_it_came_and_answered(hospital: Hospital) -> None:
    sent = message(A31, pid(name="Müller^Änne"), codec="latin-1", msh={18: "8859/1"})
    ((good,),) = asked(hospital, sent)
    found = er7.parse(good)
    assert (found.text("MSA-1"), found.text("MSA-2")) == ("AA", er7.parse(sent).text("MSH-10"))
    assert kept(hospital) == [(sent, 202)]


def test_no_positive_answer_when_the_store_cannot_write(hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = message(A31, pid())

    async def fails(_work: object) -> None:
        raise errors.StoreUnavailable

    async def work(door: reception.Reception, _mapper: mapping.Mapper) -> None:
        with monkeypatch.context() as broken:
            broken.setattr(hospital.store, "write", fails)
            for data in (sent, b"no message", b"BHS|^~\\&\r" + sent):
                with pytest.raises(errors.StoreUnavailable):
                    await door.receive(data, channel="test")

    hospital.run(work)
    assert hospital.messages() == []
    assert codes(asked(hospital, sent)[0]) == ["AA"]


def test_a_commit_that_fails_leaves_nothing_behind(hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = message(A31, pid())

    def full(*_arguments: object, **_more: object) -> None:
        raise sa.exc.OperationalError("INSERT", None, Exception("database or disk is full"))

    async def work(door: reception.Reception, _mapper: mapping.Mapper) -> None:
        with pytest.raises(errors.StoreUnavailable):
            await door.receive(sent, channel="test")

    with monkeypatch.context() as broken:
        broken.setattr(inbox, "keep", full)
        hospital.run(work)
    assert (hospital.messages(), kept(hospital)) == ([], [])
    assert codes(asked(hospital, sent)[0]) == ["AA"]


# ---- once


class _Clock:
    """Goes a minute further with every look."""

    _minutes = itertools.count()

    @classmethod
    def now(cls, zone: dt.tzinfo) -> dt.datetime:
        """The time."""
        return dt.datetime(2026, 11, 22, tzinfo=zone) + dt.timedelta(minutes=next(cls._minutes))


def test_a_resend_gets_the_stored_answer_and_has_no_effect(hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reception, "dt", types.SimpleNamespace(datetime=_Clock, UTC=dt.UTC))
    sent = message(A31, pid())
    hospital.takes(sent)
    versions = hospital.versions()
    first, second = asked(hospital, sent, sent)
    assert first == second
    assert codes(first) == ["AA"]
    assert kept(hospital) == [(sent, 202)]
    assert (len(hospital.messages()), hospital.versions()) == (1, versions)


def test_the_same_message_on_many_connections_is_one(hospital: Hospital) -> None:
    sent = message(A31, pid())

    async def work(door: reception.Reception, mapper: mapping.Mapper) -> list[list[reception.Answer]]:
        found = await asyncio.gather(*(door.receive(sent, channel="test") for _number in range(10)))
        await mapper.outcome(hospital.id_of(sent))
        return found

    answers = hospital.run(work)
    assert len({tuple(one) for one in answers}) == 1
    assert len(hospital.messages()) == len(hospital.found("Patient")) == 1


def test_another_message_with_the_same_id_is_refused_and_kept(hospital: Hospital) -> None:
    number = control()
    first, other = (message(A31, pid(name=name), msh={10: number}) for name in ("Eins^A", "Zwei^B"))
    _good, (bad,), (again,) = asked(hospital, first, other, first)
    assert codes([bad, again]) == ["AR", "AA"]
    assert error(bad)[:2] == ("MSH-10", "205")
    assert kept(hospital) == [(first, 202), (other, 422)]
    assert [one.state for one in hospital.messages()][1] == "refused"
    ((enhanced,),) = asked(hospital, message(A31, pid(), msh={10: number, 15: "AL", 16: "NE"}))
    assert codes([enhanced]) == ["CR"]


def test_the_same_id_from_another_sender_is_another_message(hospital: Hospital) -> None:
    sent = [message(A31, pid(), msh={10: "1", **who}) for who in ({}, {3: "LIS"}, {4: "SUED"})]
    assert [codes(answers) for answers in asked(hospital, *sent)] == [["AA"]] * 3
    assert len(hospital.messages()) == 3


# ---- what is none, or not whole


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n",
        b"Hallo",
        b"\x00\xff",
        b"MSH",
        b"MSH|",
        b"PID|1\rMSH|^~\\&|A\r",
        b"BHS|^~\\&\rBTS|0\r",
        b"\xff\xfeM",
    ],
)
def test_garbage_is_refused_with_a_reason_and_kept(hospital: Hospital, data: bytes) -> None:
    ((bad,),) = asked(hospital, data)
    assert codes([bad]) == ["AR"]
    assert error(bad)[1] == "100"
    assert error(bad)[2]
    assert kept(hospital) == [(data, 422)]
    assert [one.reason for one in hospital.messages()] == [error(bad)[2]]


@pytest.mark.parametrize(("field", "value"), [(9, ""), (10, ""), (10, '""'), (9, "^^")])
def test_a_message_without_type_or_id_is_refused(hospital: Hospital, field: int, value: str) -> None:
    sent = message(A31, pid(), msh={field: value})
    ((bad,),) = asked(hospital, sent)
    assert codes([bad]) == ["AR"]
    assert error(bad)[:2] == (f"MSH-{field}", "101")
    assert kept(hospital) == [(sent, 422)]


def test_one_bad_message_of_a_batch_does_not_hinder_the_others(hospital: Hospital) -> None:
    first, bad, last = message(A31, pid("1")), message(A31, pid("2"), msh={10: ""}), message(A31, pid("3"))
    (answers,) = asked(hospital, b"FHS|^~\\&\rBHS|^~\\&\r" + first + bad + last + b"BTS|3\rFTS|1\r")
    assert codes(answers) == ["AA", "AR", "AA"]
    assert sorted(one.state == "refused" for one in hospital.messages()) == [False, False, True]


@pytest.mark.parametrize(
    "msh",
    [{3: "ORBIS K\xd6LN"}, {4: "KLINIKUM K\xd6LN"}, {10: "\xd6 1"}, {9: "ADT^A31\xd6"},
     {3: "A\\X00\\B"}, {9: "ADT\\X00\\^A31"}],
)  # fmt: skip
def test_any_bytes_in_the_header_are_answered(hospital: Hospital, msh: dict[int, str]) -> None:
    """A wrong MSH-18 (UTF-8 that is ISO 8859-1) is common: without an answer its sender would send it for ever."""
    sent = message(A31, pid(), msh=msh, codec="latin-1")
    first, again = asked(hospital, sent, sent)
    assert codes(first)[0] in ("AA", "AR")
    assert (codes(again), len(again)) == (codes(first), 1)
    assert kept(hospital)[0][0] == sent


def test_an_answer_is_never_answered(hospital: Hospital) -> None:
    sent = b"MSH|^~\\&|KIS|KLINIK|||20261122||ACK^A31|77|P|2.5\rMSA|AA|1\r"
    assert asked(hospital, sent, sent, sent.replace(b"|AA|", b"|AE|")) == [[], [], []]
    assert [one.state for one in hospital.messages()] == ["no-map"]


# ---- which answers

MODES = {  # MSH-15 and MSH-16 to the codes of a good and of a bad message
    ("", ""): (["AA"], ["AR"]),
    ("AL", "NE"): (["CA"], ["CR"]),
    ("AL", ""): (["CA"], ["CR"]),
    ("NE", "NE"): ([], []),
    ("ER", "NE"): ([], ["CR"]),
    ("SU", "NE"): (["CA"], []),
    ("", "NE"): ([], []),
    ("AL", "AL"): (["CA", "AA"], ["CR"]),
    ("NE", "AL"): (["AA"], ["AR"]),
    ("", "AL"): (["AA"], ["AR"]),
    ("AL", "SU"): (["CA", "AA"], ["CR"]),
    ("AL", "ER"): (["CA"], ["CR"]),
}


def test_the_header_says_which_answers_are_sent(hospital: Hospital) -> None:
    number = control()
    asked(hospital, message(A31, pid(), msh={10: number}))
    good = [message(A31, pid(), msh={15: accept, 16: answer}) for accept, answer in MODES]
    bad = [message(A31, pid("9"), msh={10: number, 15: accept, 16: answer}) for accept, answer in MODES]
    assert [codes(one) for one in asked(hospital, *good)] == [expected for expected, _bad in MODES.values()]
    assert [codes(one) for one in asked(hospital, *bad)] == [expected for _good, expected in MODES.values()]


@pytest.mark.parametrize(("answer", "expected"), [("AL", "AE"), ("ER", "AE"), ("SU", None), ("NE", None)])
def test_the_application_answer_says_that_it_could_not_be_mapped(
    hospital: Hospital, answer: str, expected: str | None
) -> None:
    (answers,) = asked(hospital, message(A31, "PID|1", msh={15: "AL", 16: answer}))
    assert codes(answers) == ["CA", *([expected] if expected else [])]


def test_the_order_of_a_code_in_lower_case_is_heeded(hospital: Hospital) -> None:
    """A sender that gets no answer stands still."""
    assert codes(asked(hospital, message(A31, pid(), msh={15: "al", 16: "ne"}))[0]) == ["CA"]


def test_a_site_says_which_mode_its_sender_has(patient_one: Hospital) -> None:
    def sent(application: str, accept: str, answer: str) -> bytes:
        return message(A31, pid(), msh={3: application, 15: accept, 16: answer})

    wanted = [sent("OLD", "AL", "NE"), sent("OLD", "NE", "NE"), sent("NEW", "", ""), sent("NEW", "NE", "AL")]
    assert [codes(one) for one in asked(patient_one, *wanted)] == [["AA"], ["AA"], ["CA"], ["AA"]]
    bad = [message("", msh={3: name, 15: "AL", 16: "NE"}) for name in ("OLD", "NEW")]
    assert [codes(one) for one in asked(patient_one, *bad)] == [["AR"], ["CR"]]


# ---- after the mapping


def test_a_site_can_be_answered_after_the_mapping(patient_one: Hospital) -> None:
    good, bad, unknown = message(A31, pid()), message(A31, "PID|1"), message("ZZZ^Z01", pid())
    answers = asked(patient_one, good, bad, unknown)
    assert [codes(one) for one in answers] == [["AA"], ["AE"], ["AE"]]
    assert len(patient_one.found("Patient")) == 1
    assert error(answers[1][0])[1:] == ("207", "Patient: There is no identifier.")
    assert error(answers[2][0])[:2] == ("MSH-9", "200")


def test_the_answer_after_the_mapping_says_where_the_fault_is(patient_one: Hospital) -> None:
    txa = "TXA|1|GESPR|AP|||||||||D1^KIS|||||AU"
    broken = message("MDM^T02", pid(), "PV1|1|O", txa, "OBX|1|ED|X||^AP^^Base64^@@@@")
    (answers,) = asked(patient_one, broken)
    assert codes(answers) == ["AE"]
    where, code, text = error(answers[0])
    assert (where, code) == ("OBX-5", "207")
    assert text


@pytest.mark.parametrize("segment", [pid(), "PID|1"])
def test_a_resend_after_the_mapping_gets_the_same_answer(
    patient_one: Hospital, segment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reception, "dt", types.SimpleNamespace(datetime=_Clock, UTC=dt.UTC))
    sent = message(A31, segment)
    first, second = asked(patient_one, sent, sent)
    assert first == second
    assert len(patient_one.messages()) == 1


def test_no_answer_when_the_mapping_takes_too_long(patient_one: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender sends it again then; a wrong word would be final."""
    monkeypatch.setattr(mapping, "OUTCOME_SECONDS", 0.05)
    monkeypatch.setattr(mapping.Mapper, "_batch", _nothing)
    assert asked(patient_one, message(A31, pid())) == [[]]


async def _nothing(_self: mapping.Mapper) -> bool:
    return False
