"""The rules for ADT: what an admission says, and one event after another. Patients and staff are invented."""

from __future__ import annotations

import pytest

from tests.unit.mappers.v2_to_fhir.adt import (
    A01,
    A02,
    A03,
    PID,
    Json,
    codes,
    line,
    mapped,
    msh,
    pv1,
    stored,
    told,
    unmapped,
    zbe,
)

ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"

ADMISSION = (
    msh("ADT^A01^ADT_A01"),
    "SFT|Klinik-IT GmbH|7.2|Stationssystem",
    "EVN|A01|20260302091500||01|pfl12^Ahlers^Maren|20260302090000",
    line(
        "PID",
        {
            1: "1",
            2: "K-77",
            3: "P-4711^^^NORDKLINIK^PI~A123456780^^^GKV^NI",
            5: "von der Heide&von der&Heide^Thorben^Jan^^Dr.^^L~Petersen^Thorben^^^^^M",
            7: "195803121430",
            8: "D",
            11: "Deichstr. 5a&Deichstr.&5a^^Husum^^25813^DEU^H~^^Flensburg^^^DEU^BDL",
            13: "^PRN^PH^^49^4841^12345",
            14: "^^PH^^49^4841^777",
            15: "DEU",
            16: "M",
            18: "A-900^^^NORDKLINIK",
            24: "N",
            26: "DEU^deutsch~DNK^dänisch",
            30: "N",
        },
    ),
    "PD1|||Praxis am Hafen^^123456789^^^^BSNR|999999900^Brodersen^Inga^^^Dr.^^^^^^^LANR",
    line("NK1", {1: "1", 2: "Heide^Antje", 3: "SPO^Ehefrau", 5: "^PRN^PH^^49^4841^12345", 15: "F", 16: "19600704"}),
    pv1(
        n4="E",
        n7="4711^Lorenzen^Uwe^^^Dr.",
        n8="999999900^Brodersen^Inga",
        n10="1500",
        n14="E",
        n17="4711^Lorenzen^Uwe",
        n50="B-3",
    ),
    line("PV2", {3: "0101^vollstationär, Normalfall^GSG0001", 8: "20260302", 9: "20260309"}),
    zbe("B-1", "20260302090000", n5="N", n7="Station 3^^ST3"),
    "AL1|1|DA|^Penicillin|SV|Hautausschlag~Atemnot|20190501",
    line(
        "DG1",
        {
            1: "1", 3: "K35.8 G^Akute Appendizitis^I10-2026", 5: "20260302100000", 6: "AD", 15: "1",
            16: "4711^Lorenzen^Uwe", 19: "20260302103000", 20: "D-1^KIS", 21: "A",
        },
    ),
    line("DG1", {1: "2", 3: "N26 L V^Schrumpfniere^I10-2026", 6: "ED", 15: "1.1", 20: "D-2^KIS", 21: "A"}),
    line("DG1", {1: "3", 3: "I10.90 A^Hypertonie^I10-2026", 6: "BD", 15: "2", 20: "D-3^KIS", 21: "A"}),
    line(
        "PR1",
        {
            1: "1", 3: "5-470.0^Appendektomie^O301-2026", 5: "20260302113000", 7: "45", 8: "9^Kühl^Ole",
            11: "4711^Lorenzen^Uwe", 19: "PR-1^KIS",
        },
    ),
    line("GT1", {1: "1", 3: "Heide^Thorben", 11: "SEL"}),
    line(
        "IN1",
        {
            1: "1", 2: "GKV^gesetzlich", 3: "104212059^^^^NII", 4: "Küstenkasse", 12: "20200101",
            15: "1^Mitglied^GSG0012", 16: "von der Heide^Thorben", 17: "SEL", 49: "A123456780",
        },
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def admission() -> dict[str, list[Json]]:
    return stored(mapped(*ADMISSION))


def test_an_admission_leaves_only_what_is_known(admission: dict[str, list[Json]]) -> None:
    found = mapped(*ADMISSION)
    assert found.faults == []
    assert unmapped(found) == ["SFT-1", "DG1-15", "GT1-3.1", "GT1-3.2"]
    assert {name: len(drafts) for name, drafts in admission.items()} == {
        "MessageHeader": 1, "Provenance": 1, "Patient": 1, "Account": 1, "RelatedPerson": 1, "Encounter": 1,
        "AllergyIntolerance": 1, "Condition": 3, "Procedure": 1, "Coverage": 1,
    }  # fmt: skip


def test_the_message(admission: dict[str, list[Json]]) -> None:
    [header], [provenance] = admission["MessageHeader"], admission["Provenance"]
    assert header["eventCoding"] == {"system": "http://terminology.hl7.org/CodeSystem/v2-0003", "code": "A01"}
    assert header["source"] == {
        "name": "KIS", "endpoint": "urn:oid:1.2.276.0.76.3.1.99", "software": "Stationssystem", "version": "7.2",
    }  # fmt: skip
    assert header["destination"][0]["name"] == "GATEWAY"
    assert header["destination"][0]["_endpoint"]["extension"][0]["url"] == ABSENT
    focus = [one["reference"].split("/")[0] for one in header["focus"]]
    assert focus == [
        "Patient", "Account", "RelatedPerson", "Encounter", "AllergyIntolerance", "Condition", "Condition", "Condition",
        "Procedure", "Coverage",
    ]  # fmt: skip
    assert provenance["target"] == header["focus"]
    assert provenance["recorded"] == "2026-03-02T09:15:00+01:00"
    assert provenance["occurredDateTime"] == "2026-03-02T09:00:00+01:00"
    assert provenance["entity"][0]["role"] == "source"
    assert provenance["entity"][0]["what"]["identifier"]["value"] == "M-1001"
    assert [agent["who"]["display"] for agent in provenance["agent"]] == ["NORDKLINIK", "Maren Ahlers"]


def test_the_patient(admission: dict[str, list[Json]]) -> None:
    [patient] = admission["Patient"]
    assert [identifier["value"] for identifier in patient["identifier"]] == ["P-4711", "A123456780", "K-77"]
    assert patient["identifier"][1]["system"] == "http://fhir.de/sid/gkv/kvid-10"
    assert [name["use"] for name in patient["name"]] == ["official", "maiden"]
    assert patient["name"][0]["family"] == "von der Heide"
    assert patient["birthDate"] == "1958-03-12"
    assert patient["_birthDate"]["extension"][0]["valueDateTime"] == "1958-03-12T14:30:00+01:00"
    assert patient["gender"] == "other"
    assert patient["_gender"]["extension"][0]["valueCoding"]["code"] == "D"
    assert [address["city"] for address in patient["address"]] == ["Husum"]
    extensions = {extension["url"].rsplit("/", 1)[1]: extension for extension in patient["extension"]}
    assert extensions["patient-birthPlace"]["valueAddress"]["city"] == "Flensburg"
    assert [telecom["use"] for telecom in patient["telecom"]] == ["home", "work"]
    assert codes(patient["communication"][0]["language"])[0] == "de"
    assert patient["multipleBirthBoolean"] is False
    assert patient["deceasedBoolean"] is False
    citizenships = [one for one in patient["extension"] if one["url"].endswith("citizenship")]
    assert [one["extension"][0]["valueCodeableConcept"]["text"] for one in citizenships] == ["deutsch", "dänisch"]
    assert [one["display"] for one in patient["generalPractitioner"]] == ["Praxis am Hafen", "Dr. Inga Brodersen"]


def test_the_next_of_kin_and_the_account(admission: dict[str, list[Json]]) -> None:
    [kin], [account] = admission["RelatedPerson"], admission["Account"]
    assert kin["name"][0]["text"] == "Antje Heide"
    assert codes(kin["relationship"][0]) == ["SPS", "SPO"]
    assert kin["relationship"][0]["text"] == "Ehefrau"
    assert (kin["gender"], kin["birthDate"]) == ("female", "1960-07-04")
    assert account["identifier"][0]["value"] == "A-900"
    assert account["guarantor"][0]["party"] == account["subject"][0] == kin["patient"]


def test_the_encounter(admission: dict[str, list[Json]]) -> None:
    [encounter] = admission["Encounter"]
    assert [identifier["value"] for identifier in encounter["identifier"]] == ["F-17", "B-3"]
    assert codes(encounter["identifier"][0]["type"]) == ["VN"]
    assert encounter["status"] == "in-progress"
    assert encounter["class"]["code"] == "IMP"
    assert encounter["period"] == {"start": "2026-03-02T09:00:00+01:00"}
    [location] = encounter["location"]
    assert location["location"]["display"] == "Station ST3, Zimmer 312, Bett 2"
    assert location["status"] == "active"
    assert location["period"] == {"start": "2026-03-02T09:00:00+01:00"}
    assert [codes(one["type"][0])[0] for one in encounter["participant"]] == ["ATND", "REF", "ADM"]
    assert encounter["serviceType"]["coding"][0]["system"] == "http://fhir.de/CodeSystem/dkgev/Fachabteilungsschluessel"
    source = encounter["hospitalization"]["admitSource"]["coding"][0]
    assert (source["system"], source["code"]) == ("http://fhir.de/CodeSystem/dgkev/Aufnahmeanlass", "E")
    assert encounter["serviceProvider"]["display"] == "Station 3"
    assert encounter["account"][0]["reference"].startswith("Account/")
    extensions = {extension["url"].rsplit("/", 1)[1]: extension for extension in encounter["extension"]}
    parts = {part["url"]: part["valueCoding"]["code"] for part in extensions["Aufnahmegrund"]["extension"]}
    assert parts == {"ErsteUndZweiteStelle": "01", "DritteStelle": "0", "VierteStelle": "1"}
    assert extensions["extension-Encounter.plannedEndDate"]["valueDateTime"] == "2026-03-09"


def test_the_diagnoses(admission: dict[str, list[Json]]) -> None:
    [encounter] = admission["Encounter"]
    coded = [condition["code"]["coding"][0] for condition in admission["Condition"]]
    assert [(coding["version"], coding["code"]) for coding in coded] == [
        ("2026", "K35.8"), ("2026", "N26"), ("2026", "I10.90"),
    ]  # fmt: skip
    assert [codes(condition["verificationStatus"]) for condition in admission["Condition"]] == [
        ["confirmed"], ["provisional"], ["refuted"],
    ]  # fmt: skip
    assert not any("clinicalStatus" in condition for condition in admission["Condition"])
    assert [extension["valueCoding"]["code"] for extension in coded[1]["extension"]] == ["V", "L"]
    first = admission["Condition"][0]
    assert first["identifier"][0]["value"] == "D-1"
    assert first["extension"][0]["valueDateTime"] == "2026-03-02T10:00:00+01:00"
    assert first["recordedDate"] == "2026-03-02T10:30:00+01:00"
    assert first["asserter"]["display"] == "Uwe Lorenzen"
    assert first["subject"] == encounter["subject"]
    assert [codes(one["use"]) for one in encounter["diagnosis"]] == [
        ["AD"], ["referral-diagnosis"], ["treatment-diagnosis"],
    ]  # fmt: skip
    assert [one.get("rank") for one in encounter["diagnosis"]] == [1, None, 2]


def test_allergy_procedure_and_insurance(admission: dict[str, list[Json]]) -> None:
    [allergy], [procedure], [coverage] = admission["AllergyIntolerance"], admission["Procedure"], admission["Coverage"]
    assert codes(allergy["clinicalStatus"]) == ["active"]
    assert (allergy["category"], allergy["type"], allergy["criticality"]) == (["medication"], "allergy", "high")
    assert allergy["code"]["text"] == "Penicillin"
    assert [one["text"] for one in allergy["reaction"][0]["manifestation"]] == ["Hautausschlag", "Atemnot"]
    assert allergy["reaction"][0]["severity"] == "severe"
    assert procedure["status"] == "unknown"
    assert procedure["performedPeriod"] == {"start": "2026-03-02T11:30:00+01:00", "end": "2026-03-02T12:15:00+01:00"}
    assert len(procedure["performer"]) == 2
    assert codes(coverage["type"]) == ["GKV"]
    assert coverage["payor"][0]["identifier"]["system"] == "http://fhir.de/sid/arge-ik/iknr"
    assert coverage["payor"][0]["display"] == "Küstenkasse"
    assert coverage["extension"][0]["valueCoding"]["code"] == "1"
    assert coverage["identifier"][0]["system"] == "http://fhir.de/sid/gkv/kvid-10"
    assert coverage["subscriber"]["reference"] == coverage["beneficiary"]["reference"]
    assert codes(coverage["relationship"]) == ["self"]


# ---- one event after another


def test_a_transfer() -> None:
    found = told(A01, A02)
    assert [item["status"] for item in found["location"]] == ["completed", "active"]
    assert found["location"][0]["period"]["end"] == found["location"][1]["period"]["start"]


def test_a_transfer_alone_knows_where_from() -> None:
    found = told(A02)
    assert [item["location"]["display"] for item in found["location"]] == [
        "Station ST3, Zimmer 312, Bett 2",
        "Station ITS, Zimmer 1, Bett 4",
    ]
    assert found["period"] == {"start": "2026-03-02T09:00:00+01:00"}


def test_a_cancelled_transfer() -> None:
    cancelled = (msh("ADT^A12", "20260303120000"), PID, pv1(), zbe("2", "20260303104500", "DELETE"))
    found = told(A01, A02, cancelled)
    assert [item["status"] for item in found["location"]] == ["active"]
    assert found["location"][0]["location"]["display"] == "Station ST3, Zimmer 312, Bett 2"


def test_a_discharge() -> None:
    found = told(A01, A02, A03)
    assert found["status"] == "finished"
    assert found["period"] == {"start": "2026-03-02T09:00:00+01:00", "end": "2026-03-09T11:30:00+01:00"}
    [encounter] = stored(mapped(*A03))["Encounter"]
    disposition = encounter["hospitalization"]["dischargeDisposition"]
    parts = [part["valueCoding"]["code"] for part in disposition["extension"][0]["extension"]]
    assert parts == ["01", "1"]
    assert disposition["coding"][0]["code"] == "011"


@pytest.mark.parametrize("segment", [zbe("3", "20260309113000", "DELETE"), zbe("2", "20260303104500", "REFERENCE"), ""])
def test_a_cancelled_discharge(segment: str) -> None:
    cancelled = (msh("ADT^A13", "20260309130000"), PID, pv1(n3="ITS^1^4"), segment)
    found = told(A01, A02, A03, cancelled)
    assert found["status"] == "in-progress"
    assert found["period"] == {"start": "2026-03-02T09:00:00+01:00"}
    assert [item["status"] for item in found["location"]] == ["completed", "active"]


def test_a_cancelled_admission() -> None:
    cancelled = (msh("ADT^A11", "20260302100000"), PID, pv1(), zbe("1", "20260302090000", "DELETE"))
    assert told(A01, cancelled)["status"] == "cancelled"


def test_a_planned_admission_and_its_cancellation() -> None:
    planned = (
        msh("ADT^A05", "20260220080000"),
        PID,
        pv1(n2="P", n44=""),
        line("PV2", {3: "0101", 8: "202603020800"}),
        zbe("1", "20260302080000"),
    )
    [encounter] = stored(mapped(*planned))["Encounter"]
    assert encounter["status"] == "planned"
    assert encounter["class"]["code"] == "PRENC"
    assert "period" not in encounter
    assert encounter["location"][0]["status"] == "planned"
    dates = [one["valueDateTime"] for one in encounter["extension"] if "valueDateTime" in one]
    assert dates == ["2026-03-02T08:00:00+01:00"]
    cancelled = (msh("ADT^A38", "20260221080000"), PID, pv1(n2="P", n44=""), zbe("1", "20260302080000", "DELETE"))
    assert told(planned, cancelled)["status"] == "cancelled"


@pytest.mark.parametrize(
    ("event", "before", "after"), [("A06", "O", "I"), ("A07", "I", "O")], ids=["to inpatient", "to outpatient"]
)
def test_a_change_of_class(event: str, before: str, after: str) -> None:
    names = {"I": "IMP", "O": "AMB"}
    registered = (
        msh("ADT^A04", "20260302080000"),
        PID,
        pv1(n2=before, n44="20260302080000"),
        zbe("1", "20260302080000"),
    )
    changed = (msh(f"ADT^{event}", "20260302120000"), PID, pv1(n2=after), zbe("2", "20260302120000"))
    found = told(registered, changed)
    assert found["status"] == "in-progress"
    assert found["class"]["code"] == names[after]
    [phase] = found["classHistory"]
    assert phase["class"]["code"] == names[before]
    assert phase["period"] == {"start": "2026-03-02T08:00:00+01:00", "end": "2026-03-02T12:00:00+01:00"}


@pytest.mark.parametrize(("start", "status"), [("20260302080000", "in-progress"), ("", "arrived")])
def test_a_registration(start: str, status: str) -> None:
    [encounter] = stored(mapped(msh("ADT^A04"), PID, pv1(n2="O", n44=start)))["Encounter"]
    assert encounter["status"] == status
    assert encounter["class"]["code"] == "AMB"


def test_an_update_moves_a_movement_of_the_past() -> None:
    update = (
        msh("ADT^A08", "20260304080000"),
        PID,
        pv1(n3="ITS^1^4"),
        zbe("2", "20260303103000", "UPDATE", n5="Y", n6="A02"),
    )
    found = told(A01, A02, update)
    assert found["location"][1]["period"] == {"start": "2026-03-03T10:30:00+01:00"}


def test_an_update_that_only_refers() -> None:
    update = (msh("ADT^A08", "20260304080000"), PID, pv1(n3="X"), zbe("2", "20260303104500", "REFERENCE"))
    assert told(A01, A02, update) == told(A01, A02)


@pytest.mark.parametrize("event", ["A21", "A22"])
def test_a_leave_of_absence(event: str) -> None:
    leave = (msh(f"ADT^{event}", "20260304080000"), PID, pv1())
    assert told(A01, leave)["status"] == {"A21": "onleave", "A22": "in-progress"}[event]


@pytest.mark.parametrize("event", ["A28", "A31"])
def test_a_person_has_no_encounter(event: str) -> None:
    found = mapped(
        msh(f"ADT^{event}"),
        PID,
        "PV1||N",
        "AL1|1|DA|^Penicillin",
        line("IN1", {1: "1", 2: "PKV", 4: "Deichversicherung", 36: "4-711"}),
    )
    assert stored(found).keys() == {"MessageHeader", "Provenance", "Patient", "AllergyIntolerance", "Coverage"}
    assert unmapped(found) == []


def test_a_merge() -> None:
    found = mapped(
        msh("ADT^A40^ADT_A39"),
        PID,
        "MRG|P-0815^^^NORDKLINIK^PI~K-12||||||Mustermann^Erika",
        PID.replace("P-4711", "P-5000").replace("Muster^", "Beispiel^"),
        "MRG|P-0900^^^NORDKLINIK^PI",
    )
    resources = stored(found)
    drafts = {draft.number: draft for draft in found.drafts}
    assert [len(resources[name]) for name in ("Patient", "ReplacedPatient")] == [2, 2]
    for survivor, replaced in zip(resources["Patient"], resources["ReplacedPatient"], strict=True):
        [link], [back] = survivor["link"], replaced["link"]
        assert (link["type"], back["type"]) == ("replaces", "replaced-by")
        assert replaced["active"] is False
        old = drafts[int(link["other"]["reference"].split("/")[1])].resource
        assert old["identifier"] == replaced["identifier"]
        new = drafts[int(back["other"]["reference"].split("/")[1])].resource
        assert new["identifier"] == survivor["identifier"]
    assert [one["identifier"][0]["value"] for one in resources["ReplacedPatient"]] == ["P-0815", "P-0900"]
    assert resources["ReplacedPatient"][0]["name"][0]["family"] == "Mustermann"
    assert found.fatal is None
    assert unmapped(found) == []


def test_a_merge_without_a_patient_to_merge_is_refused() -> None:
    assert mapped(msh("ADT^A40"), PID).fatal is not None
