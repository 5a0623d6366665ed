"""Results as HL7 v2: which message tells which change to which destination, once."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from fhir_gateway import settings
from fhir_gateway.messages import outgoing, results
from fhir_gateway.store import codec, resources
from mappers import er7
from mappers.results_to_fhir import composition, released
from tests.integration.hospital import Hospital, message, pid, pv1
from tests.unit.mappers.fhir_to_v2 import helpers

Json = dict[str, Any]

ALL = ("note", "summary", "diagnoses", "warnings", "billing")
SIGNER = "Practitioner/a1"
AT = "2026-11-22T10:15:00Z"


class Record:
    """An encounter that was received by HL7 v2, its results, and what was queued for the destinations."""

    def __init__(self, hospital: Hospital) -> None:
        self.hospital = hospital
        hospital.takes(message("ADT^A01", pid(name="Müller^Änne"), pv1("F1"), "ZBE|7^KIS|20261122||INSERT"))
        self.encounter = hospital.only("Encounter")["id"]
        self.patient = hospital.only("Patient")["id"]
        self.results: dict[str, Json] = {}

    def put(self, *found: Json) -> None:
        """Store results of ours, as a run does."""
        for resource in found:
            stored = self.hospital.store.submit(lambda unit, one=resource: resources.put(unit, one)).result()
            self.results[stored.reference] = stored.resource

    def made(self, resource_type: str, case: str = "sinusitis") -> list[Json]:
        """Results of a bundled case for this encounter."""
        text = codec.encode(helpers.made(case, resource_type)).decode()
        text = text.replace("Encounter/e1", f"Encounter/{self.encounter}")
        found: list[Json] = codec.decode(text.replace("Patient/p1", f"Patient/{self.patient}").encode())
        return found

    def note(self, number: str = "", replaces: str | None = None) -> Json:
        """The note of the case; one of another `number` may replace one."""
        found = next(one for one in self.made("Composition") if one["type"]["coding"][0] == composition.NOTE_TYPE)
        found["id"] += number
        found["identifier"]["value"] += number
        if replaces:
            found["relatesTo"] = [{"code": "replaces", "targetReference": {"reference": f"Composition/{replaces}"}}]
        return found

    def change(self, resource: Json, **elements: Any) -> None:
        """A further version."""
        self.put({**self.results[f"{resource['resourceType']}/{resource['id']}"], **elements})

    def withdraw(self, resource: Json) -> None:
        """Take a draft back."""
        self.change(resource, status="entered-in-error")

    def release(self, *found: Json) -> None:
        """As $release does it."""
        for one in found:
            resource = self.results[f"{one['resourceType']}/{one['id']}"]
            if resource["resourceType"] == "Composition":
                self.put(released.composition(resource, SIGNER, AT))
            else:
                final = released.result(resource)
                assert final is not None
                self.put(final)

    def queued(self) -> list[er7.Message]:
        """Deliver, and what is new in the queue then. Every message is fit to be sent."""
        before = {one.control for one in self._listed()}
        asyncio.run(self._deliver())
        new = [one for one in self._listed() if one.control not in before]
        assert {one.state for one in new} <= {"waiting"}, [one.reason for one in new]
        return [er7.parse(one.body) for one in new]

    async def _deliver(self) -> None:
        await self.hospital.opened(
            lambda _door, _mapper: results.queue(self.hospital.gateway, self.encounter, [*self.results.values()])
        )

    def _listed(self) -> list[outgoing.Message]:
        return self.hospital.store.read_now(lambda connection: outgoing.listed(connection, None, 1000))[::-1]


@pytest.fixture
def opened(url: str) -> Iterator[Callable[..., Record]]:
    """The record of an encounter, with one destination that gets these results."""
    made: list[Hospital] = []

    def make(*wanted: str, **more: Any) -> Record:
        destination = settings.Destination(host="127.0.0.1", port=1, results=wanted or ALL, **more)
        made.append(Hospital(url, destinations={"kis": destination}))
        return Record(made[-1])

    yield make
    for hospital in made:
        hospital.close()


def events(messages: list[er7.Message]) -> list[str]:
    """Type and event of each."""
    return [one.structure for one in messages]


def told(one: er7.Message) -> tuple[str, str, str]:
    """Event, document and parent of an MDM."""
    return one.text("MSH-9.2"), one.text("TXA-12.1"), one.text("TXA-13.1")


def number(resource: Json) -> str:
    """Its identifier."""
    found = resource["identifier"]
    return str((found if isinstance(found, dict) else found[0])["value"])


# ---- notes


def test_a_note_goes_out_as_draft_then_changed_by_its_release(opened: Callable[..., Record]) -> None:
    record = opened("note")
    note = record.note()
    record.put(note)
    (draft,) = record.queued()
    assert told(draft) == ("T02", number(note), "")
    assert (draft.text("TXA-17"), draft.text("TXA-19")) == ("PA", "UN")
    assert (draft.text("PID-3.1"), draft.text("PV1-19.1")) == ("4711", "F1")
    assert record.queued() == []
    record.release(note)
    (final,) = record.queued()
    assert told(final) == ("T08", number(note), "")
    assert (final.text("TXA-17"), final.text("TXA-19"), final.text("TXA-22.1")) == ("LA", "AV", "a1")
    assert record.queued() == []


def test_a_draft_that_replaces_a_draft_names_it(opened: Callable[..., Record]) -> None:
    record = opened("note")
    first = record.note()
    second = record.note("-2", replaces=first["id"])
    record.put(first)
    record.queued()
    record.withdraw(first)
    record.put(second)
    (replacing,) = record.queued()
    assert told(replacing) == ("T10", number(second), number(first))
    assert replacing.text("TXA-17") == "PA"
    record.release(second)
    assert [told(one)[0] for one in record.queued()] == ["T08"]
    assert record.queued() == []


def test_a_draft_that_nothing_replaces_is_taken_back(opened: Callable[..., Record]) -> None:
    record = opened("note")
    record.put(record.note())
    record.queued()
    record.withdraw(record.note())
    (cancelled,) = record.queued()
    assert told(cancelled) == ("T11", number(record.note()), "")
    assert (cancelled.text("TXA-17"), cancelled.text("TXA-19"), cancelled.all("OBX")) == ("PA", "CA", [])
    assert record.queued() == []


def test_a_draft_that_was_never_sent_is_not_taken_back(opened: Callable[..., Record]) -> None:
    record = opened("note")
    record.put(record.note())
    record.withdraw(record.note())
    assert record.queued() == []


def test_a_draft_does_not_take_the_place_of_a_released_note_before_its_own_release(
    opened: Callable[..., Record],
) -> None:
    record = opened("note")
    first = record.note()
    second = record.note("-2", replaces=first["id"])
    record.put(first)
    record.release(first)
    assert [told(one)[0] for one in record.queued()] == ["T02"]
    record.put(second)
    (draft,) = record.queued()
    assert (told(draft), draft.text("TXA-17")) == (("T02", number(second), ""), "PA")
    record.change(second, title="Verlauf (Entwurf)")
    assert [told(one) for one in record.queued()] == [("T08", number(second), "")]
    record.release(second)
    (final,) = record.queued()
    assert (told(final), final.text("TXA-17")) == (("T10", number(second), number(first)), "LA")
    assert record.queued() == []


def test_where_drafts_are_not_wanted_only_the_release_is_told(opened: Callable[..., Record]) -> None:
    record = opened("note", drafts=())
    first = record.note()
    second = record.note("-2", replaces=first["id"])
    record.put(first)
    assert record.queued() == []
    record.withdraw(first)
    record.put(second)
    assert record.queued() == []
    record.release(second)
    (final,) = record.queued()
    assert (told(final), final.text("TXA-17")) == (("T02", number(second), ""), "LA")


# ---- diagnoses, billing, warnings


def test_only_notes_summaries_and_warnings_leave_as_drafts(opened: Callable[..., Record]) -> None:
    record = opened(*ALL)
    for resource_type in ("Condition", "DetectedIssue", "Claim", "Composition"):
        record.put(*record.made(resource_type))
    found = record.queued()
    assert sorted(events(found)) == ["MDM^T02", "MDM^T02", "ORU^R01"]
    assert record.queued() == []


def test_diagnoses_go_out_after_the_release_then_changed_and_deleted(opened: Callable[..., Record]) -> None:
    record = opened("diagnoses")
    first, second = record.made("Condition")[0], copy.deepcopy(record.made("Condition")[0])
    second |= {"id": "zwei", "identifier": [{**second["identifier"][0], "value": "zwei"}]}
    record.put(first, second)
    assert record.queued() == []
    record.release(first, second)

    def actions() -> list[list[tuple[str, str]]]:
        segments = [one.all("DG1") for one in record.queued()]
        return [[(dg1.field(20).text, dg1.field(21).text) for dg1 in found] for found in segments]

    assert actions() == [[(number(first), "A"), ("zwei", "A")]]
    assert actions() == []
    record.change(second, note=[{"text": "Verlauf"}])
    assert actions() == [[(number(first), "U"), ("zwei", "U")]]
    wrong = {"coding": [{**first["verificationStatus"]["coding"][0], "code": "entered-in-error"}]}
    record.change(second, verificationStatus=wrong)
    assert actions() == [[(number(first), "U"), ("zwei", "D")]]
    assert actions() == []


def test_the_diagnoses_name_the_movement_that_was_received(opened: Callable[..., Record]) -> None:
    record = opened("diagnoses")
    record.put(*record.made("Condition"))
    record.release(*record.made("Condition"))
    (bar,) = record.queued()
    assert (bar.structure, bar.text("ZBE-1.1"), bar.text("ZBE-4")) == ("BAR^P12", "7", "REFERENCE")


def test_a_claim_that_changes_is_credited_and_charged_anew(opened: Callable[..., Record]) -> None:
    record = opened("billing")
    (claim,) = record.made("Claim")
    record.put(claim)
    assert record.queued() == []
    record.release(claim)

    def charges() -> list[tuple[str, list[str]]]:
        found = record.queued()
        assert set(events(found)) <= {"DFT^P03"}
        return [(one.text("FT1-6"), [ft1.field(10).text for ft1 in one.all("FT1")]) for one in found]

    twice = {**claim["item"][0], "quantity": {"value": 2}}
    once = ["1"] * len(claim["item"])
    assert charges() == [("CG", once)]
    assert charges() == []
    record.change(claim, item=[twice, *claim["item"]])
    assert charges() == [("CD", once), ("CG", ["2", *once])]
    record.change(claim, status="entered-in-error")
    assert charges() == [("CD", ["2", *once])]
    assert charges() == []


def test_a_warning_is_confirmed_and_taken_back_under_its_number(opened: Callable[..., Record]) -> None:
    record = opened("warnings")
    issue = record.made("DetectedIssue")[0]
    record.put(issue)
    (draft,) = record.queued()
    record.release(issue)
    (final,) = record.queued()
    record.change(issue, status="entered-in-error")
    (gone,) = record.queued()
    assert [one.text("OBX-11") for one in (draft, final, gone)] == ["P", "F", "D"]
    assert len({one.text("OBX-4") for one in (draft, final, gone)}) == 1


# ---- once, and to whom


def test_two_deliveries_at_once_queue_nothing_twice(opened: Callable[..., Record]) -> None:
    """A run's own delivery and the one after a release may meet."""
    record = opened("note")
    record.put(record.note())
    gateway = record.hospital.gateway

    async def both(_door: object, _mapper: object) -> None:
        one = [results.queue(gateway, record.encounter, [*record.results.values()]) for _number in range(4)]
        await asyncio.gather(*one)

    record.hospital.run(both)
    listed = record.hospital.store.read_now(lambda connection: outgoing.listed(connection, None, 10))
    assert [one.event for one in listed] == ["MDM^T02"]


def test_each_destination_gets_what_it_asks_for(url: str) -> None:
    def destination(*wanted: str, **more: Any) -> settings.Destination:
        return settings.Destination(host="127.0.0.1", port=1, results=wanted, **more)

    hospital = Hospital(
        url, destinations={"kis": destination("note"), "apo": destination("warnings", application="AMTS")}
    )
    record = Record(hospital)
    record.put(*record.made("Composition"), *record.made("DetectedIssue"))
    found = {(one.text("MSH-3"), one.structure) for one in record.queued()}
    assert found == {("FHIR-GATEWAY", "MDM^T02"), ("AMTS", "ORU^R01")}
    hospital.close()


def test_an_unknown_encounter_or_one_without_patient_is_logged(opened: Callable[..., Record]) -> None:
    record = opened("note")
    note = record.note()
    record.put(note)
    gateway = record.hospital.gateway
    nobody = {"resourceType": "Encounter", "id": "leer", "status": "finished", "class": {"code": "AMB"}}
    record.hospital.store.submit(lambda unit: resources.put(unit, nobody, received="r")).result()

    async def work(_door: object, _mapper: object) -> None:
        await results.queue(gateway, "nix", [*record.results.values()])
        await results.queue(gateway, "leer", [*record.results.values()])

    with structlog.testing.capture_logs() as logged:
        record.hospital.run(work)
    assert [one["event"] for one in logged if one["log_level"] == "warning"] == [
        "results cannot be sent: the encounter is not known here",
        "results cannot be sent: the encounter names no patient",
    ]


def test_what_breaks_the_standard_waits_for_a_person(
    opened: Callable[..., Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    record = opened("note")
    record.put(record.note())
    monkeypatch.setattr(results.conformance, "warnings", lambda _message: ["PV1: required by MDM_T02, but missing."])
    with pytest.raises(AssertionError, match="Not conformant: PV1"):
        record.queued()
    assert record.queued() == []


def test_the_patient_and_character_set_are_those_of_the_last_message(opened: Callable[..., Record]) -> None:
    record = opened("note")
    record.hospital.takes(
        message("ADT^A08", pid(name="Schön^Änne"), pv1("F1"), at="20261122120000", msh={18: "8859/1"}, codec="latin-1")
    )
    record.put(record.note())
    (note,) = record.queued()
    assert (note.text("PID-5.1"), note.text("MSH-18"), note.codec) == ("Schön", "8859/1", "iso8859-1")
