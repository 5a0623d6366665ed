"""Diagnoses as Conditions: marks, relations, onset, statuses, notes and rank."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_gateway.rest import literals
from mappers import fhir_names
from mappers.results_to_fhir import condition, released
from pipeline import results
from tests.unit.mappers.results_to_fhir import coded
from tests.unit.mappers.results_to_fhir.coded import HOSPITAL, PRACTICE, Json, diagnosis

RELATED = fhir_names.CONDITION_RELATED
SETTINGS = pytest.mark.parametrize(
    ("diagnoses", "hospital"), [(PRACTICE, False), (HOSPITAL, True)], ids=["practice", "hospital"]
)


def built(one: results.CodedDiagnosis, *others: results.CodedDiagnosis, recorded: str | None = None) -> Json:
    surroundings = coded.links_of(recorded) if recorded else coded.links_of()
    return condition.build(surroundings, one, (one, *others))


def extensions(resource: Json) -> dict[str, Json]:
    return {e["url"]: e["valueCoding"] for e in resource["code"]["coding"][0].get("extension", [])}


def related(resource: Json) -> list[str]:
    return [e["valueReference"]["reference"] for e in resource.get("extension", []) if e["url"] == RELATED]


def status(resource: Json, name: str) -> str | None:
    return resource[name]["coding"][0]["code"] if name in resource else None


def test_the_coding_is_that_of_the_year_with_its_title() -> None:
    made = built(diagnosis("M17.1", side="B"))
    (icd,) = made["code"]["coding"]
    assert (icd["system"], icd["version"], icd["code"]) == (fhir_names.ICD_10_GM, "2026", "M17.1")
    assert icd["display"] == made["code"]["text"] == "Sonstige primäre Gonarthrose"
    assert made["recordedDate"] == "2026-06-10T07:30:00.123456Z"
    assert made["encounter"] == {"reference": "Encounter/e1"}


@pytest.mark.parametrize("mark", ["†", "*", "!"])
def test_the_mark_stands_on_the_coding(mark: Any) -> None:
    told = extensions(built(diagnosis("M51.1", mark=mark)))[fhir_names.MEHRFACHCODIERUNG]
    assert told == {"system": fhir_names.MEHRFACHCODIERUNG_CODES, "code": mark, "display": mark}


def test_what_a_diagnosis_has_not_is_not_said() -> None:
    made = built(diagnosis("N39.0", certainty=None))
    assert "extension" not in made["code"]["coding"][0]
    assert not {"extension", "onsetDateTime", "note"} & made.keys()


@SETTINGS
def test_a_secondary_code_refers_to_its_primary_code_which_stands_before_it(
    diagnoses: tuple[results.CodedDiagnosis, ...], hospital: bool
) -> None:
    made = coded.conditions(diagnoses, hospital=hospital)
    references = [f"Condition/{one['id']}" for one in made]
    codes = dict(zip(references, map(coded.code, made), strict=True))
    relations = {coded.code(one): [codes[reference] for reference in related(one)] for one in made}
    assert {code: to for code, to in relations.items() if to} == {"G55.1": ["M51.1"], "B96.2": ["N39.0"]}
    for one in made:
        assert all(references.index(to) < references.index(f"Condition/{one['id']}") for to in related(one))


@SETTINGS
def test_every_reference_to_a_result_is_to_one_of_the_same_bundle(
    diagnoses: tuple[results.CodedDiagnosis, ...], hospital: bool
) -> None:
    made = coded.made(diagnoses, hospital=hospital)
    present = {f"{one['resourceType']}/{one['id']}" for one in made}
    sent = {"Patient/p1", "Encounter/e1", "Practitioner/a1", "Device/g1", "DocumentReference/d1"}
    named = {reference for one in made for _at, reference in literals.of(one, "")}
    assert named <= present | sent
    assert {reference for reference in present if reference.startswith("Condition/")} <= named


def test_the_primary_code_of_the_same_side_is_meant_then_the_one_before() -> None:
    left, right = diagnosis("M51.1", 1, side="L", mark="†"), diagnosis("M51.1", 2, side="R", mark="†")
    ids = [coded.links_of().result_id("condition", f"M51.1|{side}") for side in ("L", "R")]
    star = diagnosis("G55.1", 3, side="L", mark="*", partner="M51.1")
    assert related(built(star, left, right)) == [f"Condition/{ids[0]}"]
    unsided = diagnosis("G55.1", 3, mark="*", partner="M51.1")
    assert related(built(unsided, left, right)) == [f"Condition/{ids[1]}"]


def test_a_secondary_code_without_its_primary_code_is_not_written() -> None:
    with pytest.raises(condition.NoPrimary):
        coded.made((diagnosis("M17.1"), diagnosis("G55.1", 2, mark="*", partner="M51.1")))


def test_the_same_code_and_side_is_one_condition() -> None:
    pairs = (
        diagnosis("M51.1", 1, side="L", mark="†"), diagnosis("G55.1", 2, mark="*", partner="M51.1"),
        diagnosis("M51.1", 3, side="R", mark="†"), diagnosis("G55.1", 4, mark="*", partner="M51.1"),
    )  # fmt: skip
    made = coded.conditions(pairs)
    assert [coded.code(one) for one in made] == ["M51.1", "G55.1", "M51.1"]
    assert related(made[1]) == [f"Condition/{made[0]['id']}"]


NOW = "2026-06-10T07:30:00.123456Z"
LATE = "2026-06-10T22:30:00.123456Z"  # half past midnight of the 11th in Berlin


@pytest.mark.parametrize(
    ("since", "recorded", "certainty", "expected"),
    [
        ("2015", NOW, "G", "2015"),
        ("2026", NOW, "G", "2026"),
        ("2027", NOW, "G", None),
        ("2026-06", NOW, None, "2026-06"),
        ("2026-07", NOW, None, None),
        ("2026-06-10", NOW, "V", "2026-06-10"),
        ("2026-06-11", NOW, "V", None),
        ("2026-06-11", LATE, "V", "2026-06-11"),
        ("2026-06-12", LATE, "V", None),
        ("2015", NOW, "Z", "2015"),
        ("2015", NOW, "A", None),
        (None, NOW, "G", None),
    ],
)
def test_onset(since: str | None, recorded: str, certainty: Any, expected: str | None) -> None:
    made = built(diagnosis("N39.0", since=since, certainty=certainty), recorded=recorded)
    assert made.get("onsetDateTime") == expected


@pytest.mark.parametrize(
    ("certainty", "clinical", "draft", "final"),
    [
        ("G", "active", "unconfirmed", "confirmed"),
        ("V", "active", "provisional", "provisional"),
        ("A", None, "unconfirmed", "refuted"),
        ("Z", "resolved", "unconfirmed", "confirmed"),
        (None, "active", "unconfirmed", "confirmed"),
    ],
)
def test_statuses_by_certainty(certainty: Any, clinical: str | None, draft: str, final: str) -> None:
    made = built(diagnosis("J18.9", certainty=certainty))
    assert (fhir_names.DIAGNOSESICHERHEIT in extensions(made)) is (certainty is not None)
    assert (status(made, "clinicalStatus"), status(made, "verificationStatus")) == (clinical, draft)
    after = released.result(made)
    assert after is not None
    assert (status(after, "clinicalStatus"), status(after, "verificationStatus")) == (clinical, final)


def test_nobody_can_tell_the_certainty_of_an_in_patient() -> None:
    made = coded.conditions(HOSPITAL, hospital=True)
    assert made
    assert all(fhir_names.DIAGNOSESICHERHEIT not in extensions(one) for one in made)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, []),
        ({"remark": "Bitte prüfen."}, ["Bitte prüfen."]),
        ({"runner_up": "I48.1"}, ["Nächstliegend: I48.1 Vorhofflimmern, persistierend."]),
        ({"runner_up": "X99.99"}, ["Nächstliegend: X99.99."]),
        ({"remark": "Bitte prüfen.", "runner_up": "M17.9"},
         ["Bitte prüfen.", "Nächstliegend: M17.9 Gonarthrose, nicht näher bezeichnet."]),
    ],
)  # fmt: skip
def test_notes(more: Json, expected: list[str]) -> None:
    made = built(diagnosis("I48.2", **more))
    assert [note["text"] for note in made.get("note", [])] == expected


def test_the_reason_stands_with_its_place() -> None:
    (evidence,) = built(diagnosis("N39.0"))["evidence"]
    assert evidence["code"] == [{"text": "„Befunde“ in der Beurteilung."}]
    assert [detail["reference"] for detail in evidence["detail"]] == ["DocumentReference/d1"]


def test_the_order_of_the_entries_and_of_the_claim_is_the_rank() -> None:
    made = coded.made(PRACTICE)
    ranked = [f"Condition/{one['id']}" for one in coded.of_type(made, "Condition")]
    (composition,), (claim,) = coded.of_type(made, "Composition"), coded.of_type(made, "Claim")
    entries = [entry["reference"] for section in composition["section"] for entry in section.get("entry", [])]
    assert entries == ranked
    listed = [(one["sequence"], one["diagnosisCodeableConcept"]["coding"][0]["code"]) for one in claim["diagnosis"]]
    assert listed == list(enumerate((one.code for one in PRACTICE if one.mark != "*"), start=1))


def test_two_runs_write_the_same() -> None:
    assert coded.made(PRACTICE) == coded.made(PRACTICE)
