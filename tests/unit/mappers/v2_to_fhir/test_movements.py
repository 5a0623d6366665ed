"""The history of an encounter: whatever the order of the messages, the same. All cases are invented."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappers.v2_to_fhir import movements
from mappers.v2_to_fhir.movements import Entry
from profiles import base

Json = dict[str, Any]

IMP: Json = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"}
AMB: Json = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}
PRENC: Json = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PRENC"}
UNKNOWN: Json = {"system": "http://terminology.hl7.org/CodeSystem/v2-0004", "code": "U"}


def at(hour: int, day: int = 2) -> str:
    return f"2026-03-{day:02d}T{hour:02d}:00:00+01:00"


def place(name: str) -> Json:
    return {"type": "Location", "display": f"Station {name}"}


def said(kind: str, hour: int, number: int | None = None, action: str | None = None, **more: Any) -> Entry:
    """What a message made at this hour says; `number` is ZBE-1."""
    draft: Json = {"resourceType": "Movement", "kind": kind, **more}
    if number is not None:
        draft["id"] = [{"system": "urn:oid:1.2.276.0.76", "value": str(number)}]
    if action is not None:
        draft["action"] = action
    if isinstance(draft.get("location"), str):
        draft["location"] = place(draft["location"])
    return movements.entry(draft, at(hour))


def admit(hour: int = 8, **more: Any) -> Entry:
    return said("admit", hour, **{"start": at(hour), "admitted": at(hour), "class": IMP, "location": "A", **more})


def transfer(hour: int, to: str, **more: Any) -> Entry:
    return said("transfer", hour, **{"start": at(hour), "class": IMP, "location": to, **more})


def discharge(hour: int, **more: Any) -> Entry:
    return said("discharge", hour, **{"start": at(hour), "discharged": at(hour), "class": IMP, "location": "A", **more})


def history(*entries: Entry, stored: Json | None = None) -> Json:
    """The history, which is the same from the last to the first, and is FHIR."""
    found = movements.history(entries, stored)
    assert movements.history(entries[::-1], stored) == found
    assert movements.history([*entries, *entries], stored) == found  # everything came twice
    assert faults(found) == []
    return found


def faults(found: Json) -> list[base.Fault]:
    encounter = {"resourceType": "Encounter", "class": IMP, "subject": {"reference": "Patient/1"}, **found}
    return [fault for fault in base.faults(encounter) if fault.severity == "error"]


def places(found: Json) -> list[tuple[str, str | None]]:
    return [(item["location"]["display"][-1], item.get("status")) for item in found.get("location", [])]


def test_a_stay_from_admission_to_discharge() -> None:
    found = history(admit(8), transfer(12, "B"), discharge(18))
    assert found == {
        "status": "finished",
        "class": IMP,
        "period": {"start": at(8), "end": at(18)},
        "location": [
            {"location": place("A"), "status": "completed", "period": {"start": at(8), "end": at(12)}},
            {"location": place("B"), "status": "completed", "period": {"start": at(12), "end": at(18)}},
        ],
    }


def test_the_last_location_is_active_while_the_patient_is_in() -> None:
    found = history(admit(8), transfer(12, "B"))
    assert found["status"] == "in-progress"
    assert places(found) == [("A", "completed"), ("B", "active")]
    assert "end" not in found["location"][1]["period"]
    assert "end" not in found["period"]


def test_a_planned_stay_has_no_period() -> None:
    found = history(said("preadmit", 8, start=at(9, day=20), location="A", **{"class": PRENC}))
    assert found["status"] == "planned"
    assert "period" not in found
    assert places(found) == [("A", "planned")]


def test_an_admission_takes_the_place_of_what_was_planned() -> None:
    found = history(said("preadmit", 7, start=at(9), location="C", **{"class": PRENC}), admit(8))
    assert found["status"] == "in-progress"
    assert found["class"] == IMP
    assert places(found) == [("A", "active")]


@pytest.mark.parametrize(("more", "status"), [({}, "arrived"), ({"start": at(8)}, "in-progress")])
def test_a_registration_with_and_without_a_start(more: Json, status: str) -> None:
    found = history(said("register", 8, location="A", **{"class": AMB}, **more))
    assert found["status"] == status
    assert places(found) == [("A", "active")]


# ---- cancellations


def test_a_cancelled_discharge_leaves_the_patient_in() -> None:
    found = history(admit(8), discharge(18), said("cancel-discharge", 19, **{"class": IMP}))
    assert found["status"] == "in-progress"
    assert found["period"] == {"start": at(8)}
    assert places(found) == [("A", "active")]


def test_a_discharge_after_the_cancelled_one_counts() -> None:
    found = history(admit(8), discharge(18), said("cancel-discharge", 19), discharge(20))
    assert found["status"] == "finished"
    assert found["period"]["end"] == at(20)


def test_a_cancelled_transfer_gives_the_location_back() -> None:
    found = history(admit(8), transfer(12, "B"), said("cancel-transfer", 13, location="A"))
    assert places(found) == [("A", "active")]
    assert found["location"][0]["period"] == {"start": at(8)}


def test_a_cancelled_transfer_is_that_of_its_number() -> None:
    entries = admit(8, number=1), transfer(12, "B", number=2), transfer(14, "C", number=3)
    found = history(*entries, said("cancel-transfer", 15, number=2, action="DELETE"))
    assert places(found) == [("A", "completed"), ("C", "active")]


def test_the_last_transfer_is_cancelled_where_none_is_named() -> None:
    found = history(admit(8), transfer(12, "B"), transfer(14, "C"), said("cancel-transfer", 15))
    assert places(found) == [("A", "completed"), ("B", "active")]


@pytest.mark.parametrize("number", [None, 1])
def test_a_cancelled_admission(number: int | None) -> None:
    found = history(admit(8, number=number), said("cancel-admit", 9, number=number, **{"class": IMP}))
    assert found == {"status": "cancelled", "class": IMP}


def test_a_cancelled_admission_of_a_stay_that_was_planned() -> None:
    planned = said("preadmit", 7, location="A", **{"class": PRENC})
    assert history(planned, admit(8), said("cancel-admit", 9))["status"] == "planned"


def test_a_cancelled_plan() -> None:
    planned = said("preadmit", 7, location="A", **{"class": PRENC})
    assert history(planned, said("cancel-preadmit", 8))["status"] == "cancelled"


def test_a_cancellation_by_number_spares_what_has_another_number() -> None:
    found = history(admit(8, number=1), transfer(12, "B", number=2), said("cancel-transfer", 13, number=9))
    assert places(found) == [("A", "completed"), ("B", "active")]


def test_a_resend_of_the_older_message_does_not_bring_it_back() -> None:
    inserted = transfer(12, "B", number=2, action="INSERT")
    deleted = said("cancel-transfer", 13, number=2, action="DELETE")
    assert places(history(deleted, admit(8, number=1), inserted, inserted)) == [("A", "active")]


def test_a_newer_insert_does() -> None:
    deleted = said("cancel-transfer", 13, number=2, action="DELETE")
    again = transfer(14, "B", number=2, action="INSERT", start=at(12))
    assert places(history(deleted, again, admit(8, number=1))) == [("A", "completed"), ("B", "active")]


def test_a_deletion_wins_over_an_insert_of_the_same_second() -> None:
    entries = [
        transfer(12, "B", number=2, action="INSERT"),
        said("cancel-transfer", 12, number=2, action="DELETE"),
        admit(8, number=1),
    ]
    assert places(history(*entries)) == [("A", "active")]


# ---- ZBE


def test_the_later_update_wins() -> None:
    early = said("update", 13, number=2, action="UPDATE", original="transfer", start=at(11), location="C")
    late = said("update", 14, number=2, action="UPDATE", original="transfer", start=at(12), location="D")
    found = history(admit(8, number=1), late, early, transfer(12, "B", number=2))
    assert places(found) == [("A", "completed"), ("D", "active")]
    assert found["location"][1]["period"] == {"start": at(12)}


def test_an_update_of_a_movement_that_was_never_seen_is_one() -> None:
    found = history(said("update", 13, number=2, action="UPDATE", start=at(11), location="C", **{"class": IMP}))
    assert found["status"] == "in-progress"
    assert places(found) == [("C", "active")]


def test_an_update_that_names_no_event_keeps_that_of_the_movement() -> None:
    corrected = said("update", 19, number=3, action="UPDATE", start=at(17), discharged=at(17))
    found = history(admit(8, number=1), discharge(18, number=3), corrected)
    assert found["status"] == "finished"
    assert found["period"]["end"] == at(17)


def test_a_reference_changes_nothing_of_the_movement() -> None:
    refers = said("update", 13, number=2, action="REFERENCE", start=at(6), location="X", **{"class": IMP})
    found = history(admit(8, number=1), transfer(12, "B", number=2), refers)
    assert places(found) == [("A", "completed"), ("B", "active")]


def test_a_discharge_that_refers_to_the_last_movement_is_a_discharge() -> None:
    found = history(admit(8, number=1), discharge(18, number=1, action="REFERENCE"))
    assert found["status"] == "finished"
    assert places(found) == [("A", "completed")]


def test_a_discharge_that_updates_the_last_movement_does_not_take_its_place() -> None:
    found = history(admit(8, number=1), discharge(18, number=1, action="UPDATE"))
    assert found["status"] == "finished"
    assert places(found) == [("A", "completed")]


def test_a_movement_is_one_by_any_of_its_numbers() -> None:
    both: Json = {"id": [{"system": "urn:kis", "value": "4711"}, {"system": "urn:pdms", "value": "15"}]}
    one: Json = {"id": [{"system": "urn:pdms", "value": "15"}]}
    first = transfer(12, "B", **one)
    second = said("update", 13, action="UPDATE", original="transfer", start=at(12), location="C", **both)
    assert places(history(admit(8), first, second)) == [("A", "completed"), ("C", "active")]


def test_a_movement_of_the_past_takes_its_place_in_the_row() -> None:
    late = said(
        "update", 20, number=7, action="INSERT", original="transfer", historical=True, start=at(10), location="C"
    )
    found = history(admit(8, number=1), transfer(12, "B", number=2), late)
    assert places(found) == [("A", "completed"), ("C", "completed"), ("B", "active")]
    assert [item["period"] for item in found["location"]] == [
        {"start": at(8), "end": at(10)},
        {"start": at(10), "end": at(12)},
        {"start": at(12)},
    ]


def test_the_end_that_was_sent_counts() -> None:
    found = history(admit(8, end=at(10)), transfer(12, "B"))
    assert found["location"][0]["period"] == {"start": at(8), "end": at(10)}


# ---- class


def test_a_change_of_class_is_kept() -> None:
    found = history(
        said("register", 8, start=at(8), location="A", **{"class": AMB}),
        said("class-change", 12, start=at(12), location="B", **{"class": IMP}),
    )
    assert found["class"] == IMP
    assert found["classHistory"] == [{"class": AMB, "period": {"start": at(8), "end": at(12)}}]


def test_an_update_corrects_the_class() -> None:
    found = history(admit(8), said("update", 9, **{"class": AMB}))
    assert found["class"] == AMB
    assert "classHistory" not in found


def test_an_older_update_does_not() -> None:
    assert history(admit(8), said("update", 7, **{"class": AMB}))["class"] == IMP


def test_a_class_that_is_not_known_corrects_nothing() -> None:
    assert history(admit(8), said("update", 9, **{"class": UNKNOWN}))["class"] == IMP
    assert history(said("update", 9, **{"class": UNKNOWN}))["class"] == UNKNOWN


# ---- what only updates say


@pytest.mark.parametrize(
    ("of", "status"), [(IMP, "in-progress"), (PRENC, "planned"), (UNKNOWN, "unknown"), (None, "unknown")]
)
def test_the_class_decides_where_no_event_does(of: Json | None, status: str) -> None:
    found = history(said("update", 8, **({"class": of} if of else {})))
    assert found["status"] == status


def test_an_update_keeps_what_is_stored() -> None:
    stored = {"status": "onleave", "period": {"start": at(6)}, "location": [{"location": place("X")}], "class": AMB}
    found = history(said("update", 8), stored=stored)
    assert found == stored


def test_an_update_with_an_end_is_a_discharge() -> None:
    found = history(said("update", 8, admitted=at(6), discharged=at(7), location="A", **{"class": IMP}))
    assert found["status"] == "finished"
    assert found["period"] == {"start": at(6), "end": at(7)}
    assert places(found) == [("A", "completed")]


def test_an_update_corrects_the_admission() -> None:
    assert history(admit(8), said("update", 9, admitted=at(7)))["period"] == {"start": at(7)}


def test_the_location_of_an_update_where_no_movement_says_one() -> None:
    found = history(said("update", 8, location="A", prior=place("Z"), **{"class": IMP}))
    assert places(found) == [("Z", "completed"), ("A", "active")]
    assert all("period" not in item for item in found["location"])


def test_a_message_of_another_system_says_nothing_against_the_record_system() -> None:
    mention = said("mention", 20, discharged=at(9), location="X", **{"class": AMB})
    assert history(admit(8), mention) == history(admit(8))
    assert history(mention)["status"] == "finished"


# ---- the rest


def test_the_prior_location_where_no_earlier_movement_is_known() -> None:
    moved = transfer(12, "B", prior=place("A"))
    assert places(history(moved)) == [("A", "completed"), ("B", "active")]
    assert places(history(admit(8), moved)) == [("A", "completed"), ("B", "active")]
    assert "period" not in history(moved)["location"][0]


def test_movements_without_a_start_keep_the_order_of_their_messages() -> None:
    found = history(said("transfer", 9, location="A", **{"class": IMP}), said("transfer", 10, location="B"))
    assert places(found) == [("A", "completed"), ("B", "active")]
    assert all("period" not in item for item in found["location"])


def test_visits_under_one_number() -> None:
    first = said("register", 8, number=1, start=at(8, day=2), admitted=at(8, day=2), location="A", **{"class": AMB})
    second = said("register", 9, number=2, start=at(8, day=9), admitted=at(8, day=9), location="A", **{"class": AMB})
    found = history(first, second, discharge(18, number=3, start=at(9), discharged=at(9)))
    assert found["status"] == "in-progress"
    assert found["period"] == {"start": at(8)}
    assert [item["period"] for item in found["location"]] == [
        {"start": at(8), "end": at(9)},
        {"start": at(8, day=9)},
    ]


def test_a_leave_of_absence() -> None:
    assert history(admit(8), said("leave", 10))["status"] == "onleave"
    assert history(admit(8), said("leave", 10), said("return", 12))["status"] == "in-progress"


def test_an_end_before_the_start_is_left_out() -> None:
    found = history(admit(8), discharge(18, start=at(7), discharged=at(7)))
    assert found["status"] == "finished"
    assert found["period"] == {"start": at(8)}


def test_instants_count_and_not_their_texts() -> None:
    """In the night of 25 October 2026 the hour from 2 to 3 comes twice."""
    summer, winter = "2026-10-25T02:45:00+02:00", "2026-10-25T02:15:00+01:00"  # half an hour later
    found = history(admit(8, start=summer, admitted=summer), transfer(9, "B", start=winter))
    assert places(found) == [("A", "completed"), ("B", "active")]
    assert found["location"][0]["period"] == {"start": summer, "end": winter}


def test_nothing_at_all() -> None:
    assert movements.history([], None) == {"status": "unknown"}
    assert movements.history([], {"status": "finished", "class": IMP})["status"] == "finished"


def test_keys() -> None:
    assert admit(8).key == said("register", 8).key == said("cancel-admit", 9).key == "admit"
    assert said("preadmit", 8).key == "preadmit"
    assert discharge(8).key == "discharge"
    assert transfer(12, "B").key == f"transfer@{at(12)}"
    assert said("transfer", 12, start="gestern").key == f"transfer@{at(12)}"
    assert transfer(12, "B", number=5).key == "5|urn:oid:1.2.276.0.76"


# ---- any messages in any order

_TIMES = st.sampled_from(
    [None, "gestern", "2026", "2026-03", "2026-03-02", *(at(hour) for hour in (7, 8, 9)), "2026-03-02T08:30:00.5+02:00"]
)
_KINDS = st.sampled_from(
    [
        "preadmit", "admit", "register", "transfer", "class-change", "discharge", "update", "mention", "leave",
        "return", "cancel-admit", "cancel-preadmit", "cancel-transfer", "cancel-discharge",
    ]
)  # fmt: skip
_DRAFTS = st.fixed_dictionaries(
    {"kind": _KINDS},
    optional={
        "action": st.sampled_from(["INSERT", "UPDATE", "DELETE", "REFERENCE"]),
        "id": st.lists(
            st.sampled_from([{"system": "urn:kis", "value": "1"}, {"value": "2"}, {"value": "3"}]), max_size=2
        ),
        "original": _KINDS,
        "historical": st.booleans(),
        "class": st.sampled_from([IMP, AMB, PRENC, UNKNOWN]),
        "location": st.sampled_from([place("A"), place("B")]),
        "prior": st.sampled_from([place("A"), place("B")]),
        **dict.fromkeys(["start", "end", "admitted", "discharged", "at"], _TIMES),
    },
)
_ENTRIES = st.lists(
    st.builds(movements.entry, _DRAFTS, st.sampled_from([at(7), at(8), at(9), "2026-03-02T08:00:00Z"])), max_size=7
)
_STORED = st.sampled_from(
    [
        None,
        {"status": "arrived"},
        {"status": "finished", "class": AMB, "period": {"start": at(7), "end": at(8)}},
        {"status": "planned", "location": [{"location": place("X"), "status": "planned"}]},
    ]
)


@settings(max_examples=400, deadline=None)
@given(entries=_ENTRIES, stored=_STORED, data=st.data())
def test_any_order_gives_the_same(entries: list[Entry], stored: Json | None, data: st.DataObject) -> None:
    found = movements.history(entries, stored)
    shuffled: Sequence[Entry] = data.draw(st.permutations(entries))
    assert movements.history(shuffled, stored) == found
    assert found.keys() <= {"status", "class", "classHistory", "period", "location"}
    assert faults(found) == []


@settings(max_examples=200, deadline=None)
@given(entries=_ENTRIES, data=st.data())
def test_a_newer_deletion_wins(entries: list[Entry], data: st.DataObject) -> None:
    """Every movement with a number goes when the last message deletes it."""
    numbered = [entry for entry in entries if entry.is_numbered]
    deletions = [
        movements.entry({"kind": "update", "action": "DELETE", "id": [_identifier(key)]}, at(20))
        for entry in numbered
        for key in (entry.key, *entry.also)
    ]
    rest = [entry for entry in entries if not entry.is_numbered]
    together: Sequence[Entry] = data.draw(st.permutations([*entries, *deletions]))
    found = movements.history(together, None)
    live = {json.dumps(entry.location) for entry in rest if entry.location}
    movements_left = [item for item in found.get("location", []) if "start" in item.get("period", {})]
    assert {json.dumps(item["location"]) for item in movements_left} <= live


def _identifier(key: str) -> Json:
    value, system = key.split("|")
    return {"value": value, "system": system} if system else {"value": value}


@given(entries=_ENTRIES)
def test_an_entry_goes_through_json(entries: list[Entry]) -> None:
    for entry in entries:
        assert Entry.from_json(json.loads(json.dumps(entry.as_json))) == entry
