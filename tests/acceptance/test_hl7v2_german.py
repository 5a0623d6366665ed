"""A German hospital's HL7 v2 through a real gateway: patients from pre-admission to discharge, in and out of order.

What is expected is written by hand, from HL7 v2.5, the Nachrichtenprofile of HL7 Deutschland, HL7 v2-to-FHIR and
de.basisprofil.r4; the messages are the golden ones of the site beispielklinik.
"""

from __future__ import annotations

import base64
import os
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pytest

from mappers import fhir_names
from mappers.v2_to_fhir import rules, sites
from tests import support
from tests.acceptance import german, hl7v2
from tests.acceptance.hl7v2 import Answer
from tests.support import Gateway, Json

PEERS = os.environ.get("FHIR_PEERS")

OPERATION, EMERGENCY, DUPLICATE, CALLED_OFF, CLINIC = "F26004711", "F26004800", "F26004810", "F26004900", "A26000321"
AERENFELD, SCHAEFER, DOUBLE, SUESSMILCH = "100234", "200815", "200816", "300077"

#: Places as PL has them, without the kind of place (PL.6).
WARD, BED_LATER, INTENSIVE, WRONG_WARD = (
    "CHI1^101^1^BKN^^^A^4", "CHI1^104^2^BKN^^^A^4", "ITS^3^2^BKN^^^B^1", "INN2^212^1^BKN^^^A^2",
)  # fmt: skip
CASUALTY, ENT = "NFA^K2^^BKN^^^C^0", "HNO1^21^2^BKN^^^D^1"

ADMITTED = "2026-03-02T08:15:00+01:00"
TO_INTENSIVE, TO_INTENSIVE_TRULY = "2026-03-03T10:30:00+01:00", "2026-03-03T09:45:00+01:00"
BACK = "2026-03-05T11:00:00+01:00"
FIRST_DISCHARGE, DISCHARGE = "2026-03-09T11:00:00+01:00", "2026-03-10T10:30:00+01:00"

#: How the encounters stand in the end, whatever order their messages came in.
IN_THE_END: dict[str, Json] = {
    OPERATION: {
        "status": "finished", "class": "IMP", "before": [],
        "period": {"start": ADMITTED, "end": DISCHARGE},
        "whereabouts": [
            (WARD, "completed", ADMITTED, TO_INTENSIVE_TRULY),
            (INTENSIVE, "completed", TO_INTENSIVE_TRULY, BACK),
            (BED_LATER, "completed", BACK, DISCHARGE),
        ],
    },
    EMERGENCY: {
        "status": "finished", "class": "AMB",
        "before": [
            ("AMB", {"start": "2026-03-16T14:05:00+01:00", "end": "2026-03-16T16:00:00+01:00"}),
            ("IMP", {"start": "2026-03-16T16:00:00+01:00", "end": "2026-03-17T10:00:00+01:00"}),
        ],
        "period": {"start": "2026-03-16T14:05:00+01:00", "end": "2026-03-17T11:15:00+01:00"},
        "whereabouts": [
            (CASUALTY, "completed", "2026-03-16T14:05:00+01:00", "2026-03-16T16:00:00+01:00"),
            (ENT, "completed", "2026-03-16T16:00:00+01:00", "2026-03-17T10:00:00+01:00"),
            (CASUALTY, "completed", "2026-03-17T10:00:00+01:00", "2026-03-17T11:15:00+01:00"),
        ],
    },
    DUPLICATE: {"status": "cancelled", "class": "IMP", "before": [], "period": None, "whereabouts": []},
    CALLED_OFF: {"status": "cancelled", "class": "PRENC", "before": [], "period": None, "whereabouts": []},
    CLINIC: {
        "status": "arrived", "class": "AMB", "before": [], "period": None,
        "whereabouts": [("HNOAMB^^^BKN", "active", None, None)],
    },
}  # fmt: skip


@dataclass
class Story:
    """All messages in their order: the gateway afterwards, the answers, and encounters as they were on the way."""

    gateway: Gateway
    answers: dict[str, Answer] = field(default_factory=dict)
    operation: dict[str, Json] = field(default_factory=dict)
    others: dict[str, Json] = field(default_factory=dict)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """The whole story in one gateway, told once. `operation["06"]` is the first encounter after message 06."""
    with support.running(tmp_path_factory.mktemp("german") / "data", german.CONFIG) as gateway:
        found = Story(gateway)
        for name in german.names():
            (found.answers[name],) = german.sent(gateway, [german.message(name)])
            assert german.not_mapped(gateway) == [], name
            if name[:2] <= "19":
                found.operation[name[:2]] = german.encounter(gateway, OPERATION)
            elif name[:2] in ("21", "22"):
                found.others[name[:2]] = german.encounter(gateway, CALLED_OFF)
            elif name[:2] == "23":
                found.others[name[:2]] = german.encounter(gateway, DUPLICATE)
            elif "25" <= name[:2] <= "30":
                found.others[name[:2]] = german.encounter(gateway, EMERGENCY)
        gateway.ended(german.reference(german.encounter(gateway, EMERGENCY)))
        yield found


@pytest.fixture
def gateway(story: Story) -> Gateway:
    """The gateway that has heard the whole story."""
    return story.gateway


# ---- the answers


def test_each_message_is_answered_as_its_header_asks(story: Story) -> None:
    for name, answer in story.answers.items():
        header = german.header(german.message(name))
        assert answer.said == ("CA" if header[15] == "AL" else "AA", header[10]), name
        assert answer.segments[0][17:18] == ([header[18]] if len(header) > 18 and header[18] else []), name


def test_messages_sent_again_get_their_answer_again_and_change_nothing(gateway: Gateway, story: Story) -> None:
    versions = "SELECT type, id, version FROM resource_version WHERE type <> 'AuditEvent' ORDER BY 1, 2, 3"
    before = gateway.rows(versions)  # the audit of a read is written after its answer
    again = german.sent(gateway, [german.message(name) for name in story.answers])
    assert [answer.raw for answer in again] == [answer.raw for answer in story.answers.values()]
    assert gateway.rows(versions) == before


# ---- the life of the first encounter


def test_a_pre_admission_is_planned_and_has_no_period(story: Story) -> None:
    planned = story.operation["01"]
    assert german.standing(planned) | {"whereabouts": None} == {
        "status": "planned", "class": "PRENC", "before": [], "period": None, "whereabouts": None,
    }  # fmt: skip
    assert [(place, status) for place, status, _start, _end in german.whereabouts(planned)] == [(WARD, "planned")]
    start = german.extension(
        planned, "http://hl7.org/fhir/5.0/StructureDefinition/extension-Encounter.plannedStartDate"
    )
    assert start["valueDateTime"] == "2026-03-02T08:00:00+01:00"


def test_an_admission_begins_the_encounter_that_was_planned(story: Story) -> None:
    admitted = story.operation["02"]
    assert admitted["id"] == story.operation["01"]["id"]
    assert german.standing(admitted) == {
        "status": "in-progress", "class": "IMP", "before": [], "period": {"start": ADMITTED},
        "whereabouts": [(WARD, "active", ADMITTED, None)],
    }  # fmt: skip
    assert admitted["location"][0]["location"]["display"] == "Station CHI1, Zimmer 101, Bett 1, Gebäude A, Ebene 4"
    assert german.participants(admitted) == {"ATND": "4711", "REF": "838382202"}
    assert german.codes(admitted["hospitalization"]["admitSource"]) >= {
        ("http://fhir.de/CodeSystem/dgkev/Aufnahmeanlass", "E")
    }
    assert german.codes(admitted["serviceType"]) >= {
        ("http://fhir.de/CodeSystem/dkgev/Fachabteilungsschluessel", "1500")
    }


def test_the_reason_of_admission_is_the_key_of_301(story: Story) -> None:
    reason = german.extension(story.operation["02"], "http://fhir.de/StructureDefinition/Aufnahmegrund")
    assert {part["url"]: part["valueCoding"]["code"] for part in reason["extension"]} == {
        "ErsteUndZweiteStelle": "01", "DritteStelle": "0", "VierteStelle": "1",
    }  # fmt: skip
    assert "reasonCode" not in story.operation["02"]  # 0101 is no clinical reason


def test_an_update_with_a_broken_time_says_so_and_is_taken_all_the_same(story: Story) -> None:
    assert german.standing(story.operation["03"]) == german.standing(story.operation["02"])
    ((reason,),) = story.gateway.rows("SELECT reason FROM message WHERE event = 'ADT^A08' ORDER BY number LIMIT 1")
    assert "PV2-9" in reason and "EVN-2" in reason and "0226" not in reason
    planned_end = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Encounter.plannedEndDate"
    assert german.extension(story.operation["03"], planned_end)["valueDateTime"] == "2026-03-07"


def test_a_transfer_ends_the_stay_before(story: Story) -> None:
    moved = story.operation["04"]
    assert german.whereabouts(moved) == [
        (WARD, "completed", ADMITTED, TO_INTENSIVE),
        (INTENSIVE, "active", TO_INTENSIVE, None),
    ]
    assert (moved["status"], moved["period"]) == ("in-progress", {"start": ADMITTED})


def test_what_a_transfer_does_not_name_stays(story: Story) -> None:
    moved = story.operation["04"]
    assert german.participants(moved) == {"ATND": "4714", "REF": "838382202"}
    assert german.codes(moved["hospitalization"]["admitSource"]) >= {
        ("http://fhir.de/CodeSystem/dgkev/Aufnahmeanlass", "E")
    }


def test_a_cancelled_transfer_has_not_been(story: Story) -> None:
    assert [place for place, *_rest in german.whereabouts(story.operation["05"])] == [WARD, INTENSIVE, WRONG_WARD]
    assert german.standing(story.operation["06"]) == german.standing(story.operation["04"])
    assert german.codes(story.operation["06"]["serviceType"]) >= {
        ("http://fhir.de/CodeSystem/dkgev/Fachabteilungsschluessel", "3600")
    }


def test_a_historical_update_corrects_the_past(story: Story) -> None:
    assert german.whereabouts(story.operation["07"])[1] == (INTENSIVE, "completed", TO_INTENSIVE, BACK)
    assert german.whereabouts(story.operation["08"]) == [
        (WARD, "completed", ADMITTED, TO_INTENSIVE_TRULY),
        (INTENSIVE, "completed", TO_INTENSIVE_TRULY, BACK),
        (BED_LATER, "active", BACK, None),
    ]


def test_what_a_historical_update_says_of_the_past_is_not_so_now(story: Story) -> None:
    now = story.operation["08"]
    assert german.codes(now["serviceType"]) >= {("http://fhir.de/CodeSystem/dkgev/Fachabteilungsschluessel", "1500")}
    assert german.participants(now)["ATND"] == "4711"
    assert now["serviceProvider"]["display"] == "Chirurgie 1"


def test_a_discharge_ends_it_with_the_key_of_301(story: Story) -> None:
    left = story.operation["14"]
    assert (left["status"], left["period"]) == ("finished", {"start": ADMITTED, "end": FIRST_DISCHARGE})
    assert german.whereabouts(left)[-1] == (BED_LATER, "completed", BACK, FIRST_DISCHARGE)
    disposition = left["hospitalization"]["dischargeDisposition"]
    reason = german.extension(disposition, "http://fhir.de/StructureDefinition/Entlassungsgrund")
    assert {part["url"]: part["valueCoding"]["code"] for part in reason["extension"]} == {
        "ErsteUndZweiteStelle": "01", "DritteStelle": "1",
    }  # fmt: skip
    assert german.codes(left["hospitalization"]["admitSource"]) >= {
        ("http://fhir.de/CodeSystem/dgkev/Aufnahmeanlass", "E")
    }


def test_a_cancelled_discharge_has_not_been(story: Story) -> None:
    back = story.operation["15"]
    assert (back["status"], back["period"]) == ("in-progress", {"start": ADMITTED})
    assert german.whereabouts(back)[-1] == (BED_LATER, "active", BACK, None)
    assert "dischargeDisposition" not in back.get("hospitalization", {})


def test_documents_results_and_diagnoses_move_nobody(story: Story) -> None:
    for name in ("09", "10", "11", "12", "13"):
        assert german.standing(story.operation[name]) == german.standing(story.operation["08"]), name
    assert german.standing(story.operation["16"]) == german.standing(story.operation["15"])
    for name in ("18", "19"):
        assert german.standing(story.operation[name]) == IN_THE_END[OPERATION], name


def test_how_the_encounters_stand_in_the_end(gateway: Gateway) -> None:
    assert {case: german.standing(german.encounter(gateway, case)) for case in IN_THE_END} == IN_THE_END


# ---- the other encounters


def test_a_cancelled_pre_admission_was_planned_before(story: Story) -> None:
    assert story.others["21"]["status"] == "planned"
    assert story.others["22"]["status"] == "cancelled"


def test_a_cancelled_admission_was_one_before(story: Story) -> None:
    assert german.standing(story.others["23"])["status"] == "in-progress"


def test_an_outpatient_becomes_an_inpatient_and_an_outpatient_again(story: Story) -> None:
    seen = {
        name: (story.others[name]["status"], story.others[name]["class"]["code"]) for name in ("25", "28", "29", "30")
    }
    assert seen == {
        "25": ("in-progress", "AMB"), "28": ("in-progress", "IMP"),
        "29": ("in-progress", "AMB"), "30": ("finished", "AMB"),
    }  # fmt: skip
    assert german.whereabouts(story.others["28"]) == [
        (CASUALTY, "completed", "2026-03-16T14:05:00+01:00", "2026-03-16T16:00:00+01:00"),
        (ENT, "active", "2026-03-16T16:00:00+01:00", None),
    ]


# ---- people


def test_a_name_has_its_parts_and_the_name_at_birth(gateway: Gateway) -> None:
    person = german.patient(gateway, AERENFELD)
    now, birth = person["name"]
    assert (now["use"], now["family"], now["given"], now["prefix"]) == (
        "official", "von und zu Ährenfeld", ["Jörg", "Bernhard"], ["Dr. phil."],
    )  # fmt: skip
    parts = {item["url"].rsplit("/", 1)[1]: item["valueString"] for item in now["_family"]["extension"]}
    assert parts == {"humanname-own-prefix": "von und zu", "humanname-own-name": "Ährenfeld"}
    assert now["_prefix"][0]["extension"][0]["valueCode"] == "AC"
    assert (birth["use"], birth["family"]) == ("maiden", "Weiß")
    assert (person["birthDate"], person["gender"]) == ("1957-03-14", "male")


def test_an_address_has_street_and_number_apart_and_the_place_of_birth_is_none(gateway: Gateway) -> None:
    person = german.patient(gateway, AERENFELD)
    (address,) = person["address"]
    assert address["line"] == ["Am Mühlenbach 7a"]
    parts = {item["url"].rsplit("-", 1)[1]: item["valueString"] for item in address["_line"][0]["extension"]}
    assert parts == {"streetName": "Am Mühlenbach", "houseNumber": "7a"}
    assert (address["postalCode"], address["city"], address["country"]) == ("04999", "Nordstadt an der Öhe", "DE")
    birth = german.extension(person, "http://hl7.org/fhir/StructureDefinition/patient-birthPlace")
    assert birth["valueAddress"]["city"] == "Grünwalde"


def test_the_family_doctor_is_known_by_the_lanr(gateway: Gateway) -> None:
    (doctor,) = german.patient(gateway, AERENFELD)["generalPractitioner"]
    assert (doctor["identifier"]["system"], doctor["identifier"]["value"], doctor["display"]) == (
        "https://fhir.kbv.de/NamingSystem/KBV_NS_Base_ANR", "838382202", "Dr. med. Ignaz Übelacker",
    )  # fmt: skip


def test_two_quotes_delete_a_number(tmp_path: Path) -> None:
    with support.running(tmp_path / "data", german.CONFIG) as gateway:
        german.sent(gateway, [german.message("02")])
        before = {item["value"] for item in german.patient(gateway, AERENFELD)["telecom"]}
        german.sent(gateway, [german.message("03")])
        after = {item["value"] for item in german.patient(gateway, AERENFELD)["telecom"]}
    assert (before, after) == ({"04999 815-07", "0170 5550815"}, {"04999 815-99"})


def test_the_wife_is_a_related_person(gateway: Gateway) -> None:
    about = german.reference(german.patient(gateway, AERENFELD))
    (wife,) = gateway.found("RelatedPerson", patient=about)
    assert wife["name"][0]["text"] == "Annegret von und zu Ährenfeld"
    kinds = set.union(*(german.codes(kind) for kind in wife["relationship"]))
    assert {("http://terminology.hl7.org/CodeSystem/v3-RoleCode", "SPS"),
            ("http://terminology.hl7.org/CodeSystem/v2-0131", "N")} <= kinds  # fmt: skip


def test_divers_is_other_with_the_german_extension(gateway: Gateway) -> None:
    person = german.patient(gateway, SUESSMILCH)
    assert person["gender"] == "other"
    sex = german.extension(person["_gender"], "http://fhir.de/StructureDefinition/gender-amtlich-de")
    assert (sex["valueCoding"]["system"], sex["valueCoding"]["code"]) == (
        "http://fhir.de/CodeSystem/gender-amtlich-de", "D",
    )  # fmt: skip
    assert person["name"][0]["family"] == "Süßmilch"
    assert person["address"][0]["line"] == ["Žižkaweg 3"]  # Ž is in ISO 8859-15, not in 8859-1


def test_a_married_woman_has_her_new_name_and_keeps_what_the_house_knows_of_her(gateway: Gateway) -> None:
    person = german.patient(gateway, SCHAEFER)
    assert [(name["use"], name["text"]) for name in person["name"]] == [
        ("official", "Ayşe Öztürk-Groß"), ("maiden", "Ayşe Schäfer"),
    ]  # fmt: skip
    assert german.codes(person["maritalStatus"]) >= {("http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "M")}
    # of the segment ZPI, which only the site's file knows
    assert german.codes(person["communication"][0]["language"]) >= {("urn:ietf:bcp:47", "tr")}
    interpreter = german.extension(person, "http://hl7.org/fhir/StructureDefinition/patient-interpreterRequired")
    assert interpreter["valueBoolean"] is True


def test_a_merge_links_both_ways(gateway: Gateway) -> None:
    survivor, replaced = german.patient(gateway, SCHAEFER), german.patient(gateway, DOUBLE)
    assert replaced["active"] is False
    assert replaced["link"] == [{"other": {"reference": german.reference(survivor)}, "type": "replaced-by"}]
    assert survivor["link"] == [{"other": {"reference": german.reference(replaced)}, "type": "replaces"}]
    assert survivor.get("active") is not False
    assert replaced["name"][0]["family"] == "Schaefer"


# ---- insurance, allergies, diagnoses, procedures


def test_a_coverage_has_ik_and_kvnr(gateway: Gateway) -> None:
    for number, ik, insurer, kvnr in (
        (AERENFELD, "109999949", "Musterkasse Nord", "Q570314280"),
        (SCHAEFER, "108888852", "Ersatzkasse Öhetal", "S880719366"),
    ):
        (coverage,) = gateway.found("Coverage", beneficiary=german.reference(german.patient(gateway, number)))
        (payor,) = coverage["payor"]
        assert (payor["identifier"]["system"], payor["identifier"]["value"], payor["display"]) == (
            "http://fhir.de/sid/arge-ik/iknr", ik, insurer,
        )  # fmt: skip
        assert coverage["subscriberId"] == kvnr
        assert ("http://fhir.de/sid/gkv/kvid-10", kvnr) in {
            (item["system"], item["value"]) for item in coverage["identifier"]
        }
        assert german.codes(coverage["type"]) == {("http://fhir.de/CodeSystem/versicherungsart-de-basis", "GKV")}
        status = german.extension(coverage, "http://fhir.de/StructureDefinition/gkv/versichertenart")
        assert status["valueCoding"]["code"] == "1"
        assert coverage["status"] == "active"


def test_a_period_of_insurance_is_that_of_the_card(gateway: Gateway) -> None:
    (coverage,) = gateway.found("Coverage", beneficiary=german.reference(german.patient(gateway, AERENFELD)))
    assert coverage["period"] == {"start": "2020-01-01", "end": "2028-12-31"}


def test_a_severe_allergy_is_of_high_criticality(gateway: Gateway) -> None:
    (allergy,) = gateway.found("AllergyIntolerance", patient=german.reference(german.patient(gateway, AERENFELD)))
    assert (allergy["code"]["text"], allergy["category"], allergy["criticality"], allergy["onsetDateTime"]) == (
        "Penicillin", ["medication"], "high", "2004-11-05",
    )  # fmt: skip
    assert allergy["clinicalStatus"]["coding"][0]["code"] == "active"
    assert [one["text"] for one in allergy["reaction"][0]["manifestation"]] == ["Urtikaria", "Atemnot"]


def test_a_diagnosis_has_side_certainty_and_the_year_of_its_catalogue(gateway: Gateway) -> None:
    condition = german.diagnosis(gateway, "D-6001")
    (coding,) = condition["code"]["coding"]
    assert (coding["system"], coding["version"], coding["code"]) == (fhir_names.ICD_10_GM, "2026", "H66.0")
    assert german.said_with(condition) == {
        "icd-10-gm-diagnosesicherheit": (fhir_names.DIAGNOSESICHERHEIT_CODES, "V"),
        "seitenlokalisation": (fhir_names.SEITENLOKALISATION_CODES, "L"),
    }
    assert condition["verificationStatus"]["coding"][0]["code"] == "provisional"
    assert condition["encounter"]["reference"] == german.reference(german.encounter(gateway, EMERGENCY))
    assert condition["subject"]["reference"] == german.reference(german.patient(gateway, SCHAEFER))


def test_cross_and_star_are_marked(gateway: Gateway) -> None:
    cross, star = german.diagnosis(gateway, "D-5004"), german.diagnosis(gateway, "D-5005")
    system = fhir_names.MEHRFACHCODIERUNG_CODES
    assert german.said_with(cross) == {"icd-10-gm-mehrfachcodierungs-kennzeichen": (system, "†")}
    assert german.said_with(star) == {"icd-10-gm-mehrfachcodierungs-kennzeichen": (system, "*")}
    assert [item["code"]["coding"][0]["code"] for item in (cross, star)] == ["E11.40", "G63.2"]


def test_the_main_diagnosis_is_first_and_a_deleted_one_is_none(gateway: Gateway, story: Story) -> None:
    assert [item["rank"] for item in story.operation["02"]["diagnosis"]] == [1, 2]
    deleted = german.diagnosis(gateway, "D-5001")
    assert deleted["verificationStatus"]["coding"][0]["code"] == "entered-in-error"
    assert "clinicalStatus" not in deleted  # con-5
    named = {
        item["condition"]["reference"]: (item["use"]["coding"][0]["code"], item["rank"])
        for item in german.encounter(gateway, OPERATION)["diagnosis"]
    }
    assert named == {
        german.reference(german.diagnosis(gateway, "D-5002")): ("AD", 2),
        german.reference(german.diagnosis(gateway, "D-5003")): ("treatment-diagnosis", 1),
        german.reference(german.diagnosis(gateway, "D-5004")): ("treatment-diagnosis", 2),
        german.reference(german.diagnosis(gateway, "D-5005")): ("treatment-diagnosis", 3),
    }


def test_a_procedure_is_coded_in_ops(gateway: Gateway) -> None:
    (procedure,) = gateway.found("Procedure", subject=german.reference(german.patient(gateway, AERENFELD)))
    (coding,) = procedure["code"]["coding"]
    assert (coding["system"], coding["version"], coding["code"]) == (
        "http://fhir.de/CodeSystem/bfarm/ops", "2026", "5-470.10",
    )  # fmt: skip
    assert (procedure["status"], procedure["performedDateTime"]) == ("completed", "2026-03-02T14:20:00+01:00")
    assert procedure["performer"][0]["actor"]["display"] == "Prof. Dr. med. Levent Özdemir"


# ---- laboratory


def test_a_corrected_result_takes_the_place_of_the_wrong_one(gateway: Gateway) -> None:
    found = gateway.found("Observation", subject=german.reference(german.patient(gateway, AERENFELD)))
    by_code = {item["code"]["coding"][0]["code"]: item for item in found}
    assert len(found) == len(by_code) == 4
    potassium = by_code["2823-3"]
    assert (potassium["status"], potassium["valueQuantity"]["value"], potassium["meta"]["versionId"]) == (
        "corrected", Decimal("4.1"), "2",
    )  # fmt: skip
    assert [note["text"] for note in potassium["note"]] == ["Korrigierter Befund, Nachmessung aus zweiter Probe."]
    assert german.codes(potassium["interpretation"][0]) == {
        ("http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation", "N")
    }
    first = gateway.get(f"Observation/{potassium['id']}/_history/1")
    assert (first["status"], first["valueQuantity"]["value"]) == ("final", Decimal("6.9"))
    assert "Probe hämolytisch" in first["note"][0]["text"] and "Kontrolle in 24 h" in first["note"][0]["text"]


def test_numbers_are_read_as_germans_write_them(gateway: Gateway) -> None:
    found = gateway.found("Observation", subject=german.reference(german.patient(gateway, AERENFELD)))
    by_code = {item["code"]["coding"][0]["code"]: item for item in found}
    haemoglobin, crp, bacteria = by_code["718-7"], by_code["1988-5"], by_code["UBAK"]
    assert haemoglobin["valueQuantity"] == {
        "value": Decimal("11.8"), "unit": "g/dL", "system": fhir_names.UCUM, "code": "g/dL",
    }  # fmt: skip
    (limits,) = haemoglobin["referenceRange"]
    assert (limits["low"]["value"], limits["high"]["value"]) == (Decimal("13.5"), Decimal("17.5"))
    assert (crp["valueQuantity"]["comparator"], crp["valueQuantity"]["value"]) == (">", 200)
    assert bacteria["valueString"] == "vereinzelt"
    assert {item["effectiveDateTime"] for item in found} == {"2026-03-06T06:15:00+01:00"}


def test_a_report_goes_back_to_its_order(gateway: Gateway) -> None:
    about = german.reference(german.patient(gateway, AERENFELD))
    (report,) = gateway.found("DiagnosticReport", subject=about)
    (order,) = gateway.found("ServiceRequest", subject=about)
    assert (report["status"], len(report["result"])) == ("corrected", 4)
    assert [one["reference"] for one in report["basedOn"]] == [german.reference(order)]
    assert {("KIS-4400", f"{german.SID}/auftrag"), ("L2603060031", f"{german.SID}/laborauftrag")} == {
        (item["value"], item["system"]) for item in order["identifier"]
    }
    # A result without ORC-5 says nothing of the order's status: it stays what ORC-1 NW made it.
    assert (order["status"], order["intent"], order["authoredOn"]) == ("active", "order", "2026-03-05T15:18:00+01:00")


# ---- documents


def attachment_of(name: str) -> bytes:
    """The bytes that a message's ED holds, by the test's own reading."""
    (obx,) = [line for line in german.message(name).decode("latin-1").split("\r") if line.startswith("OBX")]
    return base64.b64decode(obx.split("|")[5].split("^")[4])


def data_of(document: Json) -> bytes:
    """The bytes of a document's one attachment."""
    (content,) = document["content"]
    return base64.b64decode(content["attachment"]["data"])


def test_a_letter_is_replaced_and_both_keep_their_bytes(gateway: Gateway) -> None:
    draft, final = german.document(gateway, "DOK-9001"), german.document(gateway, "DOK-9002")
    assert (draft["status"], draft["docStatus"]) == ("superseded", "preliminary")
    assert (final["status"], final["docStatus"]) == ("current", "final")
    (relation,) = final["relatesTo"]
    assert (relation["code"], relation["target"]["reference"]) == ("replaces", german.reference(draft))
    for document, name in ((draft, "13"), (final, "16")):
        assert document["content"][0]["attachment"]["contentType"] == "application/pdf"
        assert data_of(document) == attachment_of(name)
        assert data_of(document).startswith(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3")
        assert ("http://loinc.org", "18842-5") in german.codes(document["type"])
        assert document["author"][0]["display"] == "Dr. med. Käthe Kühne-Weiß"
    assert final["date"] == "2026-03-10T09:25:00+01:00"
    assert final["context"]["encounter"] == [{"reference": german.reference(german.encounter(gateway, OPERATION))}]


def test_a_document_that_is_cancelled_is_in_error_and_keeps_its_bytes(gateway: Gateway) -> None:
    document = german.document(gateway, "DOK-9003")
    assert document["status"] == "entered-in-error"
    assert data_of(document) == attachment_of("18")


def test_a_conversation_is_documented(gateway: Gateway) -> None:
    document = german.document(gateway, "DIK-771")
    text = data_of(document).decode("utf-8")
    assert re.fullmatch(r"(?:(?:Ärztin|Patientin): [^\n]+\n?){11}", text), text
    assert text.startswith("Ärztin: Guten Tag, Frau Schäfer. Was führt Sie zu uns?\nPatientin: Seit vorgestern")
    assert ("http://loinc.org", "75476-2") in german.codes(document["type"])
    encounter = german.encounter(gateway, EMERGENCY)
    task = gateway.ended(german.reference(encounter))
    assert (task["status"], task["focus"]["reference"]) == ("completed", german.reference(document))
    results = gateway.outputs(task)
    note = next(
        item for item in results if ("http://loinc.org", "11506-3") in german.codes(item.get("type", {"coding": []}))
    )
    assert note["resourceType"] == "Composition"
    assert note["encounter"]["reference"] == german.reference(encounter)
    assert note["subject"]["reference"] == german.reference(german.patient(gateway, SCHAEFER))
    (condition,) = [item for item in results if item["resourceType"] == "Condition"]
    assert [c["code"] for c in condition["code"]["coding"] if c["system"] == fhir_names.ICD_10_GM] == ["H66.0"]


def test_the_allergy_that_the_record_system_sent_warns_of_what_the_doctor_prescribed(gateway: Gateway) -> None:
    task = gateway.ended(german.reference(german.encounter(gateway, EMERGENCY)))
    warnings = [item for item in gateway.outputs(task) if item["resourceType"] == "DetectedIssue"]
    (allergy,) = [item for item in warnings if "llergi" in item.get("detail", "") and "Amoxicillin" in item["detail"]]
    assert allergy["severity"] == "high"


def test_no_other_document_starts_a_run(gateway: Gateway) -> None:
    assert gateway.rows("SELECT count(*) FROM run") == [(1,)]


# ---- appointments and charges


def test_an_appointment_is_cancelled(gateway: Gateway) -> None:
    appointment = german.one(gateway, "Appointment", f"{german.SID}/termin|T-88012")
    assert appointment["status"] == "cancelled"
    assert (appointment["start"], appointment["end"]) == ("2026-04-13T09:30:00+02:00", "2026-04-13T10:00:00+02:00")
    assert appointment["minutesDuration"] == 30
    assert appointment["cancelationReason"]["text"] == "Von der zu behandelnden Person abgesagt"
    assert appointment["reasonCode"][0]["text"] == "Hörtest, Eigenanteil 25 €"  # € is in ISO 8859-15
    first = gateway.get(f"Appointment/{appointment['id']}/_history/1")
    assert first["status"] == "booked"
    actors = {item["actor"].get("reference") or item["actor"]["identifier"]["value"] for item in first["participant"]}
    assert actors == {german.reference(german.patient(gateway, SUESSMILCH)), "4730", "HNOAMB^^^BKN"}


def test_services_are_charged_by_ebm_and_goae(gateway: Gateway) -> None:
    items = gateway.found("ChargeItem", subject=german.reference(german.patient(gateway, SCHAEFER)))
    by_system = {item["code"]["coding"][0]["system"]: item for item in items}
    ebm, goae = by_system[fhir_names.EBM], by_system[fhir_names.GOAE]
    assert (ebm["code"]["coding"][0]["code"], ebm["occurrenceDateTime"], ebm["quantity"]["value"]) == (
        "09211", "2026-03-16", 1,
    )  # fmt: skip
    assert (goae["code"]["coding"][0]["code"], goae["occurrenceDateTime"], goae["quantity"]["value"]) == (
        "1415", "2026-03-16T14:40:00+01:00", 2,
    )  # fmt: skip
    encounter, (account,) = german.encounter(gateway, EMERGENCY), gateway.found("Account")
    for item in items:
        assert item["status"] == "billable"
        assert item["context"]["reference"] == german.reference(encounter)
        assert [one["reference"] for one in item["account"]] == [german.reference(account)]
    (reason,) = ebm["reason"]
    assert german.said_with({"code": reason})["icd-10-gm-diagnosesicherheit"][1] == "G"
    assert account["identifier"][0]["value"] == "K-26-0815"


# ---- where it came from, and what became of all of it


def test_provenance_and_header_say_which_message_it_was(gateway: Gateway) -> None:
    encounter = german.reference(german.encounter(gateway, DUPLICATE))
    found = gateway.found("Provenance", target=encounter)
    assert {entity["what"]["identifier"]["value"] for item in found for entity in item["entity"]} == {
        "KIS00000123", "KIS00000124",
    }  # fmt: skip
    admission = next(item for item in found if item["activity"]["coding"][0]["code"] == "A01")
    assert admission["recorded"] == "2026-03-16T13:52:00+01:00"
    assert "Jana Schmitt" in {agent["who"].get("display") for agent in admission["agent"]}


def test_every_type_that_a_message_becomes_is_served(gateway: Gateway) -> None:
    served = {item["type"] for item in gateway.get("metadata")["rest"][0]["resource"]}
    assert german.stored_types(gateway) - served == set()


def test_every_resource_passes_the_base_check(gateway: Gateway) -> None:
    served = list(german.everything(gateway))
    assert len(served) > 100
    assert german.base_faults(served) == []


@pytest.mark.skipif(PEERS is None, reason="needs the Node peers in FHIR_PEERS")
def test_every_resource_passes_two_foreign_validators(gateway: Gateway, tmp_path: Path) -> None:
    assert PEERS is not None
    assert german.foreign_faults(list(german.everything(gateway)), Path(PEERS), tmp_path) == ""


def test_no_word_of_a_patient_is_in_the_log(gateway: Gateway) -> None:
    log = gateway.log_text()
    for word in (
        "hrenfeld",
        "Sch\\u00e4fer",
        "Schäfer",
        "Öztürk",
        "Süßmilch",
        "Q570314280",
        "S880719366",
        "Penicillin",
        "022604",
    ):
        assert word not in log, word


# ---- the same in another order


@pytest.fixture(scope="module", params=[None, 1, 2026], ids=["reversed", "shuffled-1", "shuffled-2026"])
def late(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A fresh gateway that has got the same messages in another order."""
    names = german.names()[::-1]
    if request.param is not None:
        random.Random(request.param).shuffle(names)
    with support.running(tmp_path_factory.mktemp("late") / "data", german.CONFIG) as started:
        german.sent(started, [german.message(name) for name in names])
        assert german.not_mapped(started) == [], names
        started.ended(german.reference(german.encounter(started, EMERGENCY)))
        yield started


def test_late_movements_leave_the_same_history(late: Gateway) -> None:
    assert {case: german.standing(german.encounter(late, case)) for case in IN_THE_END} == IN_THE_END


def test_late_messages_leave_the_same_encounter(late: Gateway) -> None:
    last = german.encounter(late, OPERATION)
    assert german.codes(last["serviceType"]) >= {("http://fhir.de/CodeSystem/dkgev/Fachabteilungsschluessel", "1500")}
    assert german.participants(last) == {"ATND": "4711", "REF": "838382202"}
    assert last["serviceProvider"]["display"] == "Chirurgie 1"
    hospitalization = last["hospitalization"]
    assert ("http://fhir.de/CodeSystem/dgkev/Aufnahmeanlass", "E") in german.codes(hospitalization["admitSource"])
    german.extension(hospitalization["dischargeDisposition"], "http://fhir.de/StructureDefinition/Entlassungsgrund")


def test_a_late_original_is_superseded_by_what_replaced_it(late: Gateway) -> None:
    draft, final = german.document(late, "DOK-9001"), german.document(late, "DOK-9002")
    assert (draft["status"], final["status"]) == ("superseded", "current")
    assert final["relatesTo"][0]["target"]["reference"] == german.reference(draft)


def test_a_late_document_that_was_cancelled_before_it_came_is_in_error_and_has_its_bytes(late: Gateway) -> None:
    document = german.document(late, "DOK-9003")
    assert document["status"] == "entered-in-error"
    assert data_of(document) == attachment_of("18")


def test_a_late_diagnosis_that_was_deleted_before_it_came_stays_deleted(late: Gateway) -> None:
    deleted = german.diagnosis(late, "D-5001")
    assert deleted["verificationStatus"]["coding"][0]["code"] == "entered-in-error"
    named = [item["condition"]["reference"] for item in german.encounter(late, OPERATION)["diagnosis"]]
    assert german.reference(deleted) not in named and len(named) == 4


def test_a_late_result_does_not_undo_its_correction_nor_an_order_its_status(late: Gateway) -> None:
    found = late.found("Observation", code="http://loinc.org|2823-3")
    assert [(item["status"], item["valueQuantity"]["value"]) for item in found] == [("corrected", Decimal("4.1"))]
    (order,) = late.found("ServiceRequest")
    assert order["status"] == "active"
    assert german.one(late, "Appointment", f"{german.SID}/termin|T-88012")["status"] == "cancelled"


def test_late_messages_about_a_merged_patient_change_only_who_there_is_now(late: Gateway) -> None:
    survivor = german.patient(late, SCHAEFER)
    assert survivor["name"][0]["text"] == "Ayşe Öztürk-Groß"
    assert [item["value"] for item in survivor["identifier"]] == [SCHAEFER]  # the other number is the other Patient's
    replaced = german.patient(late, DOUBLE)
    assert replaced["active"] is False
    assert replaced["link"] == [{"other": {"reference": german.reference(survivor)}, "type": "replaced-by"}]


def test_late_messages_leave_valid_resources_and_a_documented_conversation(late: Gateway) -> None:
    assert late.ended(german.reference(german.encounter(late, EMERGENCY)))["status"] == "completed"
    assert german.base_faults(list(german.everything(late))) == []


# ---- the engineer's side


SITE = (german.SITES / "beispielklinik.yaml").read_text("utf-8")


@pytest.fixture
def workplace(tmp_path: Path) -> Iterator[Workplace]:
    """A gateway whose site files may be changed."""
    folder = tmp_path / "sites"
    folder.mkdir()
    (folder / "beispielklinik.yaml").write_text(SITE, "utf-8")
    with support.running(tmp_path / "data", f'[hl7v2]\nsites = "{folder}"\n') as gateway:
        yield Workplace(gateway, folder / "beispielklinik.yaml")


@dataclass(frozen=True)
class Workplace:
    """A gateway and the site file that an engineer works on."""

    gateway: Gateway
    file: Path

    def messages(self, *arguments: str) -> str:
        """What `fhir-gateway messages` says."""
        assert self.gateway.config is not None
        done = support.command("messages", *arguments, "--config", self.gateway.config, "--data", self.gateway.data)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def change(self, text: str) -> None:
        """Write the file anew, and wait until the gateway has looked at it."""
        before = self.read()
        self.file.write_text(text, "utf-8")
        support.poll(lambda: self.read() > before or None, "the gateway to read the site file")

    def read(self) -> int:
        """How often the gateway has read the file, or refused it."""
        return sum(
            line.get("site") == "beispielklinik" and "site file" in line["event"] for line in hl7v2.logged(self.gateway)
        )

    def refused(self) -> list[str]:
        """Why it refused the file."""
        return [line["reason"] for line in hl7v2.logged(self.gateway) if line["event"].startswith("site file refused")]


def with_table(rows: str) -> str:
    """The site file with a table over one that the gateway brings."""
    assert "\ntables:\n" in SITE
    return SITE.replace("\ntables:\n", f"\ntables:\n{rows}", 1)


def test_a_message_that_cannot_be_mapped_is_kept_and_mapped_after_the_fix(workplace: Workplace) -> None:
    # The site says that PI numbers are no identifiers: a Patient without any cannot be stored.
    broken = SITE.replace(
        "\nmaps:\n",
        "\nmaps:\n  PID:\n    Patient:\n      - {from: PID-3, to: identifier, drop: true}\n"
        "      - {from: PID-2, to: identifier, drop: true}\n      - {from: PID-4, to: identifier, drop: true}\n",
        1,
    )
    workplace.change(broken)
    message = german.message("02")
    (answer,) = german.sent(workplace.gateway, [message])
    assert answer.code == "CA"
    failed = workplace.messages("list", "--state", "failed")
    assert "ADT^A01" in failed and "beispielklinik" in failed and "Patient" in failed and "identifier" in failed
    assert "hrenfeld" not in failed
    assert workplace.gateway.found("Patient") == []
    workplace.change(SITE)
    assert "1 message is mapped again" in workplace.messages("replay", "--state", "failed")

    def mapped() -> bool | None:
        return hl7v2.kept(workplace.gateway, message)[0].state == "mapped" or None

    support.poll(mapped, "the replay")
    assert workplace.messages("list", "--state", "failed") == ""
    assert german.standing(german.encounter(workplace.gateway, OPERATION))["status"] == "in-progress"
    assert len(hl7v2.kept(workplace.gateway, message)) == 1


def test_a_changed_site_file_holds_without_a_restart(workplace: Workplace) -> None:
    german.sent(workplace.gateway, [german.message("33")])
    assert german.patient(workplace.gateway, SUESSMILCH)["gender"] == "other"
    workplace.change(with_table("  administrative-gender: {D: unknown}\n"))
    german.sent(workplace.gateway, [german.message("33").replace(b"TERMIN-5501", b"TERMIN-5591")])
    assert german.patient(workplace.gateway, SUESSMILCH)["gender"] == "unknown"


def test_a_broken_site_file_is_refused_and_the_last_good_one_goes_on(workplace: Workplace) -> None:
    good = with_table("  administrative-gender: {D: unknown}\n")
    workplace.change(good)
    assert workplace.refused() == []
    line = good[: good.index("  ZPI:\n")].count("\n") + 1
    wrong = good.replace("to: communication.language", "to: communication.tongue", 1)
    workplace.change(wrong)
    (reason,) = workplace.refused()
    file, number, why = reason.split(":", 2)
    assert file == "beispielklinik.yaml"
    assert int(number) > line and "communication.tongue" in wrong.splitlines()[int(number) - 1]
    assert "tongue" in why and "Patient" in why
    german.sent(workplace.gateway, [german.message("33"), german.message("20")])
    assert german.not_mapped(workplace.gateway) == []
    assert german.patient(workplace.gateway, SUESSMILCH)["gender"] == "unknown"  # as the last good file says
    language = german.patient(workplace.gateway, SCHAEFER)["communication"][0]["language"]
    assert ("urn:ietf:bcp:47", "tr") in german.codes(language)


@pytest.mark.parametrize(
    ("wrong", "right", "said"),
    [
        ("charset: 8859/99", "charset: 8859/1", "8859/99"),
        ("timezone: Europe/Nordstadt", "timezone: Europe/Berlin", "time zone"),
        ("acknowledge: {mode: sometimes", "acknowledge: {mode: as-sent", "mode is"),
        ("matches:", "match:", "matches is no key"),
        ("as: boolish", "as: boolean", "boolish"),
        ("from: ZPI-b", "from: ZPI-3", "ZPI-b"),
        ("table: sprachen", "table: language", "sprachen"),
        ("draft: sometimes", "draft: current", "draft is"),
        ("resource: Pazient", "resource: Patient", "Pazient"),
        ("description: >-\n\tx", "description: >-", "character"),
    ],
)
def test_what_is_wrong_in_a_site_file_is_told_with_its_line(tmp_path: Path, wrong: str, right: str, said: str) -> None:
    text = SITE.replace(right, wrong, 1)
    assert text != SITE
    (tmp_path / "haus.yaml").write_text(text, "utf-8")
    with pytest.raises(rules.Broken) as broken:
        sites.read(tmp_path / "haus.yaml")
    assert broken.value.place.file == "haus.yaml"
    near = "\n".join(text.splitlines()[broken.value.place.line - 1 :][:3])
    assert wrong.split(": ")[-1].strip(" >-\n\t{") in near
    assert said in broken.value.reason


def test_a_command_with_a_broken_site_file_ends_with_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "haus.yaml").write_text(SITE.replace("as: boolean", "as: boolish"), "utf-8")
    done = support.command("map", "explain", german.FOLDER / "20-a28-person-neu.hl7", "--sites", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    line = SITE[: SITE.index("from: ZPI-3")].count("\n") + 1
    assert re.search(rf"haus\.yaml:({line}|{line + 2}): .*boolish", done.stderr.replace("\n", " ")), done.stderr


def test_explain_says_where_each_value_goes(tmp_path: Path) -> None:
    done = support.command("map", "explain", german.FOLDER / "20-a28-person-neu.hl7", "--sites", german.SITES)
    assert done.returncode == 0, done.stderr
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if re.match(r"[A-Z][A-Z0-9]{2}-\d", line)}
    assert done.stdout.startswith("ADT^A28 by the maps of the site beispielklinik")
    assert "Patient.name" in lines["PID-5.1"] and "Schäfer" in lines["PID-5.1"]
    assert "Patient.communication.language" in lines["ZPI-2.1"]
    assert "left out: an address in the memory of the KIS" in lines["ZPI-4"]
    assert lines["ZPI-5"].endswith("not mapped") and "Schließfach 12" in lines["ZPI-5"]
    assert "PV1: required by ADT_A05, but missing" in done.stdout


def test_explain_with_another_site(tmp_path: Path) -> None:
    (tmp_path / "anders.yaml").write_text("description: another house\n", "utf-8")
    file = german.FOLDER / "20-a28-person-neu.hl7"
    done = support.command("map", "explain", file, "--sites", tmp_path, "--site", "anders")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^ZPI-2\.1 .*not mapped$", done.stdout, re.MULTILINE)
    unknown = support.command("map", "explain", file, "--sites", tmp_path, "--site", "niemand")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "no site of this name" in unknown.stderr


def test_a_damaged_message_is_explained_as_far_as_it_goes(tmp_path: Path) -> None:
    done = support.command("map", "explain", german.FOLDER / "03-a08-kaputter-zeitstempel.hl7", "--sites", german.SITES)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^fault +PV2-9: ", done.stdout, re.MULTILINE)
    assert re.search(r"^PV2-9 +022604011645 +not mapped$", done.stdout, re.MULTILINE)


def test_the_golden_messages_are_as_accepted() -> None:
    done = support.command("map", "test", "beispielklinik")
    assert (done.returncode, done.stdout) == (0, f"{len(german.names())} golden messages, 0 different\n")


def test_a_changed_rule_shows_as_a_difference_to_read(tmp_path: Path) -> None:
    (tmp_path / "beispielklinik.yaml").write_text(with_table("  administrative-gender: {D: unknown}\n"), "utf-8")
    (tmp_path / "beispielklinik").mkdir()
    for name in ("20-a28-person-neu", "33-a04-ambulanz-ohne-zbe"):
        for suffix in ("hl7", "json"):
            (tmp_path / "beispielklinik" / f"{name}.{suffix}").write_bytes(
                (german.FOLDER / f"{name}.{suffix}").read_bytes()
            )
    done = support.command("map", "test", "--sites", tmp_path)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[:2] == ["--- 33-a04-ambulanz-ohne-zbe: expected", "+++ 33-a04-ambulanz-ohne-zbe: now"]
    assert [line.split(":")[1].strip(' ,"') for line in lines[2:] if line.startswith(("-", "+"))] == [
        "other",
        "unknown",
    ]
    assert lines[-1] == "2 golden messages, 1 different"
    accepted = support.command("map", "test", "--sites", tmp_path, "--accept")
    assert accepted.returncode in (0, 1)
    assert support.command("map", "test", "--sites", tmp_path).returncode == 0


def test_what_was_not_mapped_is_counted(gateway: Gateway) -> None:
    done = support.command("messages", "not-mapped", "--site", "beispielklinik", "--data", gateway.data)
    assert done.returncode == 0, done.stderr
    counted = {tuple(line.split()[1:3]): int(line.split()[3]) for line in done.stdout.splitlines()}
    assert counted["ADT^A28", "ZPI-5"] == 1
    assert counted["ADT^A03", "ZBE-2"] == 3
    assert ("ADT^A28", "ZPI-4") not in counted
    metrics = gateway.http.get(gateway.address("/metrics")).text
    assert re.search(r'not_mapped[a-z_]*\{site="beispielklinik"\} [1-9]', metrics)
