"""The rules for ADT and BAR^P12 where something is missing, odd or rare. Patients and staff are invented."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappers import er7
from mappers.v2_to_fhir import datatypes, engine
from mappers.v2_to_fhir.reading import Reading, Unusable
from tests.support import SHARED
from tests.unit.mappers.v2_to_fhir.adt import (
    A01,
    A02,
    PID,
    Json,
    codes,
    line,
    mapped,
    msh,
    pv1,
    site,
    stored,
    told,
    unmapped,
    zbe,
)
from tests.unit.mappers.v2_to_fhir.values import HEADER, converted, scope

SAMPLES = SHARED / "data" / "hl7v2"
ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"


# ---- what is missing


def test_no_visit_number_is_no_encounter() -> None:
    found = mapped(msh("ADT^A01"), PID, pv1(n19=""), line("DG1", {3: "K35.8^^I10-2026", 6: "AD"}), zbe("1", "2026"))
    resources = stored(found)
    assert "Encounter" not in resources
    assert not any(draft.type == "Movement" for draft in found.drafts)
    assert "encounter" not in resources["Condition"][0]
    assert {"PV1-2", "PV1-44", "DG1-6", "ZBE-1.1"} <= set(unmapped(found))


def test_the_alternate_visit_id_will_do() -> None:
    [encounter] = stored(mapped(msh("ADT^A01"), PID, pv1(n19="", n50="B-3^^^NORDKLINIK")))["Encounter"]
    assert encounter["identifier"][0]["value"] == "B-3"
    assert encounter["status"] == "in-progress"


def test_a_visit_without_a_class() -> None:
    [encounter] = stored(mapped(msh("ADT^A08"), PID, "PV1|||" + "|" * 16 + "F-17"))["Encounter"]
    assert encounter["class"]["code"] == "U"
    assert encounter["status"] == "unknown"


def test_a_class_of_the_senders_own() -> None:
    [encounter] = stored(mapped(msh("ADT^A01"), PID, pv1(n2="TS^teilstationär^99KIS")))["Encounter"]
    assert (encounter["class"]["code"], encounter["class"]["display"]) == ("TS", "teilstationär")


def test_no_pv1() -> None:
    found = mapped(msh("ADT^A08"), PID, "AL1|1|FA|^Erdnüsse|MO")
    assert "Encounter" not in stored(found)
    assert found.fatal is None
    assert unmapped(found) == ["AL1-4"]


def test_no_pid() -> None:
    assert mapped(msh("ADT^A01"), pv1()).fatal is not None


def test_a_patient_number_without_an_assigner() -> None:
    [patient] = stored(mapped(msh("ADT^A01"), line("PID", {2: "99^^^COPRA", 3: "4711"})))["Patient"]
    systems = [identifier["system"] for identifier in patient["identifier"]]
    assert [identifier["value"] for identifier in patient["identifier"]] == ["4711", "99"]
    assert len(set(systems)) == 2


@pytest.mark.parametrize("at", ["", "022604011645", "20260302"])
def test_a_message_whose_time_is_of_no_use(at: str) -> None:
    found = mapped(msh("ADT^A01", at), PID, pv1())
    [provenance] = stored(found)["Provenance"]
    assert provenance["_recorded"]["extension"][0]["url"] == ABSENT
    assert found.fatal is None


def test_a_sender_without_a_name() -> None:
    found = mapped("MSH|^~\\&|||||20260302091500||ADT^A01||P|2.5", PID, pv1())
    [provenance] = stored(found)["Provenance"]
    assert provenance["agent"][0]["who"]["extension"][0]["url"] == ABSENT
    assert provenance["entity"][0]["what"]["extension"][0]["url"] == ABSENT


def test_z_segments_are_reported() -> None:
    found = mapped(msh("ADT^A01"), PID, pv1(), "ZKV|1|Wahlleistung^Einzelzimmer")
    assert unmapped(found) == ["ZKV-1", "ZKV-2.1", "ZKV-2.2"]


def test_the_number_of_an_insurer_beside_its_ik() -> None:
    """A Reference has one identifier."""
    found = mapped(msh("ADT^A01"), PID, line("IN1", {2: "GKV", 3: "61125^^^^NIIP~104212059^^^^NII", 4: "Küstenkasse"}))
    [coverage] = stored(found)["Coverage"]
    assert [one["identifier"]["value"] for one in coverage["payor"]] == ["104212059"]
    assert unmapped(found) == ["IN1-3.1", "IN1-3.5"]


def test_who_is_insured_with_somebody_else() -> None:
    insured = {2: "GKV", 4: "Küstenkasse", 15: "3", 16: "Muster^Karl", 17: "FTH", 18: "19350101", 49: "B123456789"}
    resources = stored(mapped(msh("ADT^A01"), PID, line("IN1", insured)))
    [father], [coverage] = resources["Subscriber"], resources["Coverage"]
    assert father["name"][0]["text"] == "Karl Muster"
    assert codes(father["relationship"][0])[0] == "FTH"
    assert coverage["subscriber"]["display"] == "Karl Muster"
    assert coverage["subscriber"]["reference"].startswith("RelatedPerson/")
    assert "relationship" not in coverage


@pytest.mark.parametrize(
    ("fields", "payor"),
    [
        ({2: "SEL"}, {"reference"}),
        ({2: "GKV"}, {"extension"}),
        ({2: "GKV", 3: "^^^^NII"}, {"extension"}),
        ({2: "PKV", 4: "Deichversicherung"}, {"type", "display"}),
    ],
)
def test_who_pays(fields: dict[int, str], payor: set[str]) -> None:
    [coverage] = stored(mapped(msh("ADT^A01"), PID, line("IN1", fields)))["Coverage"]
    [found] = coverage["payor"]
    assert found.keys() == payor


def test_a_guarantor_without_a_name_is_none() -> None:
    found = mapped(msh("ADT^A01"), line("PID", {3: "1", 18: "A-1"}), line("GT1", {11: "FTH", 13: "2026"}))
    assert "guarantor" not in stored(found)["Account"][0]


@pytest.mark.parametrize(
    ("start", "end", "period"),
    [
        ("20260101", "20261231", {"start": "2026-01-01", "end": "2026-12-31"}),
        ("20260101", "20251231", {"start": "2026-01-01"}),
        ("20260101", "99991231", {"start": "2026-01-01"}),
        ("00000000", "20261231", {"end": "2026-12-31"}),
        ("", "20261231", {"end": "2026-12-31"}),
        ("", "", None),
    ],
)
def test_how_long_an_insurance_holds(start: str, end: str, period: Json | None) -> None:
    found = mapped(msh("ADT^A01"), PID, line("IN1", {2: "GKV", 4: "Küstenkasse", 12: start, 13: end}))
    [coverage] = stored(found)["Coverage"]
    assert coverage.get("period") == period
    taken = set((period or {}).values())
    assert unmapped(found) == [
        f"IN1-{number}"
        for number, sent in ((12, start), (13, end))
        if sent and f"{sent[:4]}-{sent[4:6]}-{sent[6:]}" not in taken
    ]


def test_a_diagnosis_because_of_another() -> None:
    found = mapped(msh("ADT^A01"), PID, line("DG1", {3: "G63.2*^^I10-2026", 20: "D-2^KIS", 22: "D-1^KIS"}))
    [condition] = stored(found)["Condition"]
    assert condition["extension"][0]["valueReference"]["identifier"]["value"] == "D-1"


# ---- diagnoses and procedures of BAR^P12


def test_diagnoses_of_a_bar() -> None:
    found = mapped(
        msh("BAR^P12^BAR_P12"),
        "EVN|P12|20260303120000",
        PID,
        pv1(),
        zbe("2", "20260303104500", "REFERENCE"),
        line("DG1", {1: "1", 3: "^Blinddarmentzündung", 6: "BD", 15: "1", 20: "D-1^KIS", 21: "A"}),
        line("DG1", {1: "2", 3: "E11.90 Z^Diabetes^I10-2026", 6: "BD", 15: "2", 20: "D-2^KIS", 21: "D"}),
        line("DG1", {1: "3", 3: "C50.9 Z^Mammakarzinom^I10-2026", 6: "BD", 15: "3", 20: "D-3^KIS", 21: "U"}),
        line("PR1", {1: "1", 3: "5-470.0^Appendektomie^O301-2026", 5: "20260302", 19: "PR-1^KIS"}),
        line("PR1", {1: "2", 3: "5-471.0^Appendektomie^O301-2026", 5: "20260302", 19: "PR-2^KIS", 20: "D"}),
    )
    resources = stored(found)
    text, deleted, past = resources["Condition"]
    assert text["code"] == {"text": "Blinddarmentzündung"}
    assert "verificationStatus" not in text
    assert codes(deleted["verificationStatus"]) == ["entered-in-error"]
    assert "clinicalStatus" not in deleted
    assert (codes(past["verificationStatus"]), codes(past["clinicalStatus"])) == (["confirmed"], ["resolved"])
    [encounter] = resources["Encounter"]
    assert [one["rank"] for one in encounter["diagnosis"]] == [1, 3]
    assert [procedure["status"] for procedure in resources["Procedure"]] == ["completed", "entered-in-error"]
    assert unmapped(found) == ["DG1-6", "DG1-15"]  # of the deleted one


def test_a_bar_alone_does_not_decide_where_the_patient_is() -> None:
    bar = (msh("BAR^P12", "20260310120000"), PID, pv1(n3="X", n45="20260301120000"))
    assert told(A01, A02, bar) == told(A01, A02)


# ---- the rest


@pytest.mark.parametrize(
    ("action", "status", "clinical", "verification"),
    [
        ("A", "C", "active", "confirmed"),
        ("U", "I", "inactive", "confirmed"),
        ("A", "S", "active", "unconfirmed"),
        ("U", "E", None, "entered-in-error"),
        ("D", "C", None, "entered-in-error"),
        ("A", "", "active", None),
    ],
)
def test_allergies_with_an_action(action: str, status: str, clinical: str | None, verification: str | None) -> None:
    iam = {1: "1", 2: "FA", 3: "^Erdnüsse", 4: "MO", 5: "Quaddeln", 6: action, 7: "AL-1^KIS", 11: "2019", 17: status}
    found = mapped(msh("ADT^A60"), PID, line("IAM", {key: value for key, value in iam.items() if value}))
    [allergy] = stored(found)["AllergyIntolerance"]
    assert [
        codes(allergy[name])[0] if name in allergy else None for name in ("clinicalStatus", "verificationStatus")
    ] == [
        clinical,
        verification,
    ]
    assert allergy["reaction"][0]["severity"] == "moderate"
    assert "criticality" not in allergy
    assert unmapped(found) == []


def test_roles() -> None:
    found = mapped(
        msh("ADT^A01"),
        PID,
        "ROL||AD|FHCP^Hausärztin|1^Brodersen^Inga",
        pv1(),
        "ROL||AD|CP^Konsiliar|2^Kühl^Ole|20260302||",
        "ROL||DE|AT|3^Weg^Ina",
    )
    resources = stored(found)
    assert [one["display"] for one in resources["Patient"][0]["generalPractitioner"]] == ["Inga Brodersen"]
    [participant] = resources["Encounter"][0]["participant"]
    assert codes(participant["type"][0])[0] == "CON"
    assert participant["period"] == {"start": "2026-03-02"}


def test_a_guarantor() -> None:
    found = mapped(
        msh("ADT^A01"),
        line("PID", {3: "1", 18: "A-1"}),
        line("GT1", {1: "1", 2: "G-1", 3: "Muster^Karl", 5: "Weg 1^^Husum", 11: "FTH", 13: "2026"}),
    )
    resources = stored(found)
    [guarantor], [account] = resources["Guarantor"], resources["Account"]
    assert guarantor["name"][0]["text"] == "Karl Muster"
    assert account["guarantor"][0]["party"]["reference"].startswith("RelatedPerson/")
    assert account["guarantor"][0]["period"] == {"start": "2026"}


@pytest.mark.parametrize(
    ("name", "raw", "expected"),
    [
        ("admission_reason_301", "0101", ["01", "0", "1"]),
        ("admission_reason_301", "Sturz", None),
        ("admission_reason_301", "1301", None),
        ("discharge_reason_301", "079", ["07", "9"]),
        ("discharge_reason_301", "01", None),
    ],
)
def test_keys_of_301(name: str, raw: str, expected: list[str] | None) -> None:
    found = converted(name, raw)
    assert (found and [part["valueCoding"]["code"] for part in found["extension"]]) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("KIS^1.2.3^ISO", "urn:oid:1.2.3"),
        ("KIS^kis.klinik.example^DNS", "urn:dns:kis.klinik.example"),
        ("^https://klinik.example/ein gang^URI", "https://klinik.example/ein%20gang"),
        ("KIS", None),
        ("KIS^^ISO", None),
        ("KIS^1.2.3", None),
    ],
)
def test_endpoints(raw: str, expected: str | None) -> None:
    found = mapped(f"MSH|^~\\&|{raw}|K|||20260302091500||ADT^A01|1|P|2.5", PID)
    [header] = stored(found)["MessageHeader"]
    assert header["source"].get("endpoint") == expected
    assert ("_endpoint" in header["source"]) == (expected is None)


def test_the_end_of_a_procedure_in_the_night_of_the_change_of_clocks() -> None:
    found = mapped(msh("ADT^A01"), PID, line("PR1", {3: "5-470.0", 5: "202610250150", 7: "90"}))
    [procedure] = stored(found)["Procedure"]
    assert procedure["performedPeriod"] == {"start": "2026-10-25T01:50:00+02:00", "end": "2026-10-25T02:20:00+01:00"}


_OWN = (
    "admission_reason_301", "discharge_reason_301", "diagnosis_status", "procedure_period", "payor", "citizenship",
    "nationality", "birth_place_name", "due_to", "message_source", "message_destination",
    "message_entity", "recorded", "span",
)  # fmt: skip
_PIECES = st.sampled_from(
    [
        "^",
        "~",
        "&",
        "\\.br\\",
        "\\X00\\",
        '""',
        " ",
        "0101",
        "011",
        "20260302",
        "1130",
        "-5",
        "1e9",
        "K35.8 A",
        "I10-2026",
    ]
)


@pytest.mark.parametrize("name", _OWN)
@settings(max_examples=80, deadline=None)
@given(raw=st.lists(_PIECES, min_size=1, max_size=8).map("".join), beside=st.lists(_PIECES, max_size=3).map("".join))
def test_a_conversion_raises_nothing_else(name: str, raw: str, beside: str) -> None:
    reading = Reading(er7.parse(f"{HEADER}\rIN1|||{raw}|{beside}|{raw}||{beside}\r".encode()))
    for value in (*reading.values(1, 3), *reading.values(1, 5)):
        try:
            datatypes.TYPES[name](value, scope())
        except Unusable as reason:
            assert len(str(reason)) < 100
        reading.leave()


# ---- what others have sent


def _samples() -> list[Path]:
    return sorted(
        path
        for path in SAMPLES.rglob("*")
        if path.suffix in (".hl7", ".txt") and any(f"{kind}_" in path.name for kind in ("ADT", "BAR"))
    )


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="needs ../shared/data/hl7v2")
def test_the_samples_of_others() -> None:
    """No exception, and what is not refused is FHIR."""
    count = 0
    for path in _samples():
        for data in er7.messages(path.read_bytes()):
            message = er7.parse(data)
            found = engine.map_message(message, site().library, site().scope(message))
            assert found.has_map, path.name
            if found.fatal is None:
                assert stored(found), path.name
                count += 1
    assert count > 60


# ---- whatever the fields say

_FIELDS = st.sampled_from(
    [
        '""', "X", "0101", "011", "20260302", "202603021130", "20251231", "022604011645", "99991231", "Y", "D", "I",
        "SEL", "FTH", "GKV", "^", "^^^KIS", "4711^^^KIS^VN", "4711^Muster^Erika", "Muster^Erika^^^^^L", "-5", "1.1",
        "K35.8 A^Text^I10-2026", "104212059^^^^NII", "A123456780", "ST3^1^2", "a~b", "^PRN^PH^^49^4841^1", "B-1^KIS",
        "Weg 1^^Husum^^25813^DE^H", "UPDATE", "REFERENCE", "DELETE", "A02", "A13", "DA", "SV", "FHCP", "\\X00\\",
        "5-470.0^x^O301-2026",
    ]
)  # fmt: skip
_LENGTHS = {
    "SFT": 6, "EVN": 7, "PD1": 14, "NK1": 41, "PV1": 52, "PV2": 40, "ZBE": 9, "ROL": 14, "DG1": 26, "AL1": 6, "IAM": 17,
    "PR1": 25, "GT1": 21, "IN1": 49,
}  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(data=st.data(), event=st.sampled_from(["ADT^A01", "ADT^A03", "ADT^A05", "ADT^A08", "ADT^A13", "BAR^P12"]))
def test_what_is_not_refused_is_fhir(data: st.DataObject, event: str) -> None:
    segments = [msh(event), PID]
    for name, length in _LENGTHS.items():
        fields = st.dictionaries(st.integers(1, length), _FIELDS, min_size=1, max_size=length)
        if data.draw(st.booleans()):
            segments.append(line(name, {**({19: "F-17"} if name == "PV1" else {}), **data.draw(fields)}))
    found = mapped(*segments)
    if found.fatal is None:
        assert stored(found)
