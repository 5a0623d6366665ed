"""What messages leave in the store: found again, laid over, undone; each message whole or not at all."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from fhir_gateway.messages import mapping, reception, register
from fhir_gateway.store import database, resources, schema
from tests.integration.hospital import Hospital, document, line, message, numbers, pid, pv1, settled

A31, A01 = "ADT^A31", "ADT^A01"
KVNR = "A123456780^^^GKV^KVNR"
TEN, ELEVEN, NOON = "20261122100000", "20261122110000", "20261122120000"


@pytest.fixture
def hospital(url: str) -> Iterator[Hospital]:
    """A gateway of which no sender wants anything special."""
    opened = Hospital(url)
    yield opened
    opened.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for site files."""
    (tmp_path / "sites").mkdir()
    return tmp_path / "sites"


def mapped(hospital: Hospital, *messages: bytes) -> None:
    """Take messages that must all be mapped."""
    for state, reason in hospital.takes(*messages):
        assert state == "mapped", reason


def totals(hospital: Hospital) -> dict[str, int]:
    """Field to messages of what was not mapped."""
    return {field: count for _site, _event, field, count in hospital.store.read_now(register.totals)}


def written(hospital: Hospital) -> int:
    """How many versions there are."""
    return len(hospital.versions())


# ---- a message that cannot be mapped


def test_a_failed_message_keeps_its_reason_and_stops_no_other(hospital: Hospital) -> None:
    outcomes = hospital.takes(message(A31, "PID|1"), message(A31, pid("1")), message("ZZZ^Z99", pid()))
    assert outcomes == [
        ("failed", "Patient: There is no identifier."), ("mapped", None), ("no-map", "There is no map for ZZZ^Z99."),
    ]  # fmt: skip
    assert [numbers(one) for one in hospital.found("Patient")] == [["1"]]


@pytest.mark.parametrize("name", ["Z\xc4X", "Z\x00X", "Z" * 80])
def test_a_segment_with_any_name_stops_nothing(hospital: Hospital, name: str) -> None:
    odd = message(A31, pid("1"), f"{name}|1", codec="latin-1")
    assert hospital.takes(odd)[0][0] in ("failed", "mapped")
    mapped(hospital, message(A31, pid("2")))


def test_a_database_that_does_not_answer_once_ends_no_mapping(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, failed = database.Database.read, asyncio.Event()

    async def gone(self: database.Database, work: object) -> object:
        if not failed.is_set():
            failed.set()
            raise sa.exc.OperationalError("SELECT", None, Exception("server closed the connection"))
        return await read(self, work)  # type: ignore[arg-type]

    async def work(door: reception.Reception, mapper: mapping.Mapper) -> str:
        await failed.wait()
        await door.receive(sent, channel="test")
        return (await settled(mapper, hospital.id_of(sent)))[0]

    sent = message(A31, pid())
    monkeypatch.setattr(database.Database, "read", gone)
    assert hospital.run(work) == "mapped"


def test_nothing_of_a_message_is_stored_when_a_part_of_it_cannot_be(hospital: Hospital) -> None:
    mapped(hospital, message(A01, pid("1"), pv1("F1")))
    before = hospital.versions()
    diagnosis = line("DG1", {1: "1", 3: "J01.0 G^Sinusitis^I10-2026", 20: "D1^KIS", 21: "A"})
    ((state, reason),) = hospital.takes(message(A01, pid("2"), pv1("F1"), diagnosis))
    assert (state, hospital.versions()) == ("failed", before)
    assert reason == "Encounter: it belongs to another patient than this message is about."
    assert hospital.rows(sa.select(schema.message_identity).where(schema.message_identity.c.type == "Condition")) == []


def test_a_document_with_a_broken_part_is_not_stored_without_it(hospital: Hospital) -> None:
    broken = document("D1", "Text").replace(b"OBX|1|TX|GESPR||Text", b"OBX|1|ED|GESPR||^AP^^Base64^@@@")
    ((state, reason),) = hospital.takes(broken)
    assert (state, hospital.found("DocumentReference")) == ("failed", [])
    assert "@" not in str(reason)


# ---- replay


def test_a_replay_after_mending_the_site_maps_the_message(url: str, folder: Path) -> None:
    site = folder / "kis.yaml"
    site.write_text(
        "match: [{application: KIS}]\nmaps: {PID: {Patient: [{from: PID-3, to: identifier, drop: true}]}}\n"
    )
    hospital = Hospital(url, folder)
    sent = message(A31, pid("", more={3: "4711^^^KIS^PI"}))
    assert hospital.takes(sent) == [("failed", "Patient: There is no identifier.")]
    site.write_text("match: [{application: KIS}]\n")
    assert hospital.sites.refresh() == ["kis"]
    assert hospital.replays(sent) == [("mapped", None)]
    assert numbers(hospital.only("Patient")) == ["4711"]
    hospital.close()


def test_a_replay_changes_nothing_and_counts_nothing_again(hospital: Hospital) -> None:
    rich = message(
        A01, pid(), pv1(), "AL1|1|FA|^Nuss", "NK1|1|Muster^Max|SPO", "IN1|1|GKV|123456789^^^^NII|AOK",
        line("DG1", {1: "1", 3: "J01.0 G^Sinusitis^I10-2026", 6: "BD", 15: "1", 20: "D1^KIS", 21: "A"}),
        line("PR1", {1: "1", 3: "5-470.0^Appendektomie^O301-2026", 5: "20261122"}),
        line("OBX", {1: "1", 2: "NM", 3: "8302-2^Größe^LN", 5: "170", 6: "cm", 11: "F"}), "ZXX|nicht|abgebildet",
    )  # fmt: skip
    sent = [rich, document("D1", "Text"), message(A31, "PID|1", "ZYY|1")]
    hospital.takes(*sent)
    before, counted, queued = hospital.versions(), totals(hospital), list(hospital.gateway.engine.queued)
    assert counted["ZXX-1"] == counted["ZYY-1"] == 1
    hospital.replays(*sent)
    hospital.replays(*sent)
    assert (hospital.versions(), totals(hospital)) == (before, counted)
    assert hospital.gateway.engine.queued == queued == ["document-encounter"]


def test_a_replay_of_the_first_of_two_messages_of_a_second_does_not_undo_the_second(hospital: Hospital) -> None:
    first, second = (message(A31, pid(name=name)) for name in ("Alt^A", "Neu^B"))
    mapped(hospital, first, second)
    before = hospital.versions()
    hospital.replays(first)
    assert hospital.only("Patient")["name"][0]["family"] == "Neu"
    assert hospital.versions() == before


# ---- who it is


def test_the_same_number_at_two_hospitals_is_two_patients(hospital: Hospital) -> None:
    mapped(hospital, *(message(A31, pid("1"), msh={4: facility}) for facility in ("NORD", "SUED", "NORD")))
    assert len(hospital.found("Patient")) == 2


def test_a_shared_kvnr_does_not_unite_two_patients(hospital: Hospital) -> None:
    both = [message(A31, pid(more={3: f"{number}^^^KIS^PI~{KVNR}"})) for number in "12"]
    mapped(hospital, *both)
    assert [numbers(one)[0] for one in hospital.found("Patient")] == ["1", "2"]
    ((state, reason),) = hospital.takes(message(A31, pid(more={3: KVNR})))
    assert (state, reason) == ("failed", "Patient: its identifiers belong to 2 different resources.")


def test_numbers_of_two_patients_in_one_message_store_nothing(hospital: Hospital) -> None:
    mapped(hospital, message(A31, pid("1")), message(A31, pid("2")))
    before = hospital.versions()
    assert hospital.takes(message(A31, pid(more={3: "1^^^KIS^PI~2^^^KIS^PI"}))) == [
        ("failed", "Patient: its identifiers belong to 2 different resources.")
    ]
    assert hospital.versions() == before


def test_a_patient_that_came_by_fhir_is_found_by_his_number(hospital: Hospital) -> None:
    mapped(hospital, message(A31, pid("1")))
    system = hospital.only("Patient")["identifier"][0]["system"]
    known = {"resourceType": "Patient", "id": "rest", "identifier": [{"system": system, "value": "2"}]}
    hospital.store.submit(lambda unit: resources.put(unit, known, received="r")).result()
    mapped(hospital, message(A31, pid("2", name="Neu^Nora")))
    assert hospital.with_number("Patient", "2")["id"] == "rest"


# ---- what is laid over what


def test_an_older_message_only_adds_what_is_missing(hospital: Hospital) -> None:
    newer = message(A31, pid(name="Neu^Nora", more={13: "030 1"}), at=NOON)
    older = message(A31, pid(name="Alt^Anna", more={16: "M", 13: "030 2"}), at=TEN)
    mapped(hospital, newer, older)
    patient = hospital.only("Patient")
    assert (patient["name"][0]["family"], patient["telecom"][0]["value"]) == ("Neu", "030 1")
    assert patient["maritalStatus"]["coding"][0]["code"] == "M"


def test_an_older_message_does_not_bring_the_dead_back(hospital: Hospital) -> None:
    newer = message(A31, pid(more={29: "20261121", 30: "Y"}), at=NOON)
    mapped(hospital, newer, message(A31, pid(more={30: "N"}), at=TEN))
    patient = hospital.only("Patient")
    assert (patient.get("deceasedDateTime"), patient.get("deceasedBoolean")) == ("2026-11-21", None)


def test_a_message_from_the_future_is_not_the_newest_for_ever(hospital: Hospital) -> None:
    """A sender whose clock is wrong for one message."""
    later = f"{dt.datetime.now(dt.UTC) + dt.timedelta(hours=1):%Y%m%d%H%M%S}+0000"
    mapped(hospital, message(A31, pid(name="Falsch^F"), at="20991231235959"))
    mapped(hospital, message(A31, pid(name="Richtig^R"), at=later))
    assert hospital.only("Patient")["name"][0]["family"] == "Richtig"


def test_two_quotation_marks_delete(hospital: Hospital) -> None:
    mapped(
        hospital,
        message(A31, pid(more={11: "Weg 1^^Ort", 14: "030 1", 16: "M"}), at=TEN),
        message(A31, pid(more={13: '""', 16: '""'}), at=NOON),
    )
    patient = hospital.only("Patient")
    assert ("maritalStatus" in patient, "address" in patient) == (False, True)
    assert "telecom" in patient, "PID-13 deletes nothing of what PID-14 said"


def test_what_is_not_said_stays(hospital: Hospital) -> None:
    mapped(hospital, message(A31, pid(more={16: "M"}), at=TEN), message(A31, "PID|||4711^^^KIS^PI", at=NOON))
    patient = hospital.only("Patient")
    assert (patient["name"][0]["family"], "maritalStatus" in patient) == ("Beispiel", True)


@pytest.mark.parametrize(
    ("raw", "family"),
    [("A\\F\\B", "A|B"), ("A\\S\\B", "A^B"), ("A\\T\\B", "A&B"), ("A\\R\\B", "A~B"), ("A\\E\\F\\E\\B", "A\\F\\B"),
     ("O'Neill\"; DROP TABLE message;--", "O'Neill\"; DROP TABLE message;--"), ("<script>", "<script>")],
)  # fmt: skip
def test_escapes_in_a_name_are_text(hospital: Hospital, raw: str, family: str) -> None:
    mapped(hospital, message(A31, pid(name=f"{raw}^Eva")))
    assert hospital.only("Patient")["name"][0]["family"] == family


def test_line_ends_in_a_name_make_no_segment(hospital: Hospital) -> None:
    hospital.takes(message(A31, pid("1", name="A\\X0D\\PID\\F\\1\\F\\\\F\\2\\S\\\\S\\\\S\\KIS\\S\\PI\\X0A\\^B")))
    assert [numbers(one) for one in hospital.found("Patient")] == [["1"]]


# ---- traces


def test_each_message_is_named_by_what_it_wrote(hospital: Hospital) -> None:
    sent = message(A01, pid(), pv1(), msh={10: "K-77"})
    mapped(hospital, sent)
    provenance, header = hospital.only("Provenance"), hospital.only("MessageHeader")
    patient, encounter = hospital.only("Patient")["id"], hospital.only("Encounter")["id"]
    assert provenance["entity"][0]["what"]["identifier"]["value"] == "K-77"
    about = {f"Patient/{patient}", f"Encounter/{encounter}"}
    assert about <= {target["reference"] for target in provenance["target"]}
    assert about <= {focus["reference"] for focus in header["focus"]}
    seen = {entity["what"]["reference"] for event in hospital.found("AuditEvent") for entity in event["entity"]}
    assert about <= {reference.split("/_history")[0] for reference in seen}
    (row,) = hospital.messages()
    assert row.encounter == encounter
    table = schema.resource_version
    brought = hospital.rows(sa.select(table.c.received).where(table.c.type == "Patient"))
    assert [one.received for one in brought] == [row.id]


def test_a_result_of_ours_is_not_changed_by_a_feed(hospital: Hospital) -> None:
    mapped(hospital, message(A01, pid(), pv1()))
    own = {
        "resourceType": "Condition", "id": "own",
        "identifier": [{"system": "https://fhir-gateway.org/NamingSystem/result", "value": "own"}],
        "subject": {"reference": f"Patient/{hospital.only('Patient')['id']}"}, "code": {"text": "Von uns"},
    }  # fmt: skip
    hospital.store.submit(lambda unit: resources.put(unit, own)).result()
    echo = line("DG1", {1: "1", 3: "J01.0 G^Sinusitis^I10-2026", 6: "BD", 20: "own^FHIR-GATEWAY", 21: "U"})
    ((state, reason),) = hospital.takes(message("BAR^P12", pid(), pv1(), echo))
    assert state == "mapped"
    assert [(one["id"], one["code"]["text"]) for one in hospital.found("Condition")] == [("own", "Von uns")]
    assert reason == "Condition: This is the gateway's own result; it stays as it is."


# ---- documents and runs


def statuses(hospital: Hospital) -> dict[str, str]:
    """Number to status of each document."""
    return {one["masterIdentifier"]["value"]: one["status"] for one in hospital.found("DocumentReference")}


def test_a_document_starts_one_run_and_its_bytes_are_its_own(hospital: Hospital) -> None:
    sent = document("D1", "Husten\\.br\\seit drei Tagen & Fieber")
    mapped(hospital, sent)
    assert hospital.gateway.engine.queued == ["document-encounter"]
    (content,) = hospital.only("DocumentReference")["content"]
    assert base64.b64decode(content["attachment"]["data"]).decode() == "Husten\nseit drei Tagen & Fieber"
    hospital.replays(sent)
    assert hospital.gateway.engine.queued == ["document-encounter"]


def test_a_document_without_its_visit_starts_no_run(hospital: Hospital) -> None:
    mapped(hospital, message("MDM^T02", pid(), "TXA|1|GESPR|TX|||||||||D1^KIS|||||AU", "OBX|1|TX|GESPR||Text"))
    assert hospital.gateway.engine.queued == []


@pytest.mark.parametrize("is_late", [False, True])
def test_a_replacing_document_supersedes_the_one_before(hospital: Hospital, is_late: bool) -> None:
    first, second = document("D1", "alt", at=TEN), document("D2", "neu", event="T10", parent="D1", at=NOON)
    mapped(hospital, *((second, first) if is_late else (first, second)))
    assert statuses(hospital) == {"D1": "superseded", "D2": "current"}
    target = hospital.only("Patient")["id"]
    assert {one["subject"]["reference"] for one in hospital.found("DocumentReference")} == {f"Patient/{target}"}


@pytest.mark.parametrize("order", [*itertools.permutations(range(3))], ids=str)
def test_of_a_chain_of_documents_only_the_last_is_current_in_any_order(
    hospital: Hospital, order: tuple[int, ...]
) -> None:
    sent = [
        document("D1", "erste", at=TEN),
        document("D2", "zweite", event="T10", parent="D1", at=ELEVEN),
        document("D3", "dritte", event="T10", parent="D2", at=NOON),
    ]
    mapped(hospital, *(sent[number] for number in order))
    assert statuses(hospital) == {"D1": "superseded", "D2": "superseded", "D3": "current"}
    before, queued = hospital.versions(), list(hospital.gateway.engine.queued)
    hospital.replays(*sent)
    assert (hospital.versions(), hospital.gateway.engine.queued) == (before, queued)


def test_a_replay_of_a_replaced_document_and_its_successor_changes_nothing(hospital: Hospital) -> None:
    first, second = document("D1", "alt", at=TEN), document("D2", "neu", event="T10", parent="D1", at=NOON)
    mapped(hospital, first, second)
    before, queued = hospital.versions(), list(hospital.gateway.engine.queued)
    hospital.replays(second)
    hospital.replays(first)
    hospital.replays(first, second)
    assert statuses(hospital) == {"D1": "superseded", "D2": "current"}
    assert (hospital.versions(), hospital.gateway.engine.queued) == (before, queued)


def test_nobody_replaces_the_document_of_another_patient(hospital: Hospital) -> None:
    foreign = document("D2", "neu", event="T10", parent="D1", patient="666", visit="F666", at=NOON)
    mapped(hospital, document("D1", "alt", at=TEN))
    ((state, reason),) = hospital.takes(foreign)
    assert (state, statuses(hospital)) == ("failed", {"D1": "current"})
    assert reason == "DocumentReference.relatesTo: the replaced document is another patient's."


def test_a_cancelled_document_is_entered_in_error(hospital: Hospital) -> None:
    mapped(hospital, document("D1", "Text", at=TEN), document("D1", "", event="T11", at=NOON))
    assert statuses(hospital) == {"D1": "entered-in-error"}
    mapped(hospital, document("D1", "Text", at=ELEVEN))
    assert statuses(hospital) == {"D1": "entered-in-error"}
