"""SIU and DFT: appointments with who and what takes part, and what is charged."""

import pytest

from mappers.v2_to_fhir import engine
from tests.unit.mappers.v2_to_fhir.maps import PID, PV1, Json, identity, invalid, mapped, not_mapped, only, resources

TIME = "^^^202611241000^202611241030"


def sch(*, reason: str = "", duration: str = "", unit: str = "", time: str = TIME, state: str = "") -> str:
    about = f"{reason}|KONTROLLE^Kontrolle nach OP^L|Normal|{duration}|{unit}|{time}"
    return f"SCH|T-1^KIS|S-1^TERMIN||||{about}{'|' * 14}{state}"


def booked(event: str, *segments: str, schedule: str = "") -> engine.Mapped:
    return mapped(f"SIU^{event}", schedule or sch(), PID, *segments)


def actors(appointment: Json) -> list[str]:
    return [item["actor"].get("reference") or item["actor"].get("display", "") for item in appointment["participant"]]


def test_an_appointment() -> None:
    found = booked(
        "S12", PV1, "RGS|1|A",
        "AIS|1|A|SONO^Sonographie Abdomen^L|202611241000|||30|MIN", "NTE|1||Bitte nüchtern", "NTE|2||kommen.",
        "AIG|1|A|GER7^Ultraschallgerät 7|GERAET", "AIL|1|A|AMB^U2|UNTERSUCHUNG^Raum^L",
        "AIP|1|A|5551^Muster^Max^^^Dr.|ARZT^Arzt^L||202611241000|||30|MIN||Confirmed",
        schedule=sch(duration="30", unit="MIN"),
    )  # fmt: skip
    appointment, patient = only(found, "Appointment"), only(found, "Patient")
    assert invalid(found) == []
    assert found.faults == []
    assert [item["value"] for item in appointment["identifier"]] == ["T-1", "S-1"]
    assert identity(found, "Appointment") == [(("identifier:FILL",), ("identifier:PLAC",))]
    assert appointment["status"] == "booked"
    assert (appointment["start"], appointment["end"]) == ("2026-11-24T10:00:00+01:00", "2026-11-24T10:30:00+01:00")
    assert appointment["minutesDuration"] == 30
    assert appointment["serviceType"][0]["text"] == "Sonographie Abdomen"
    assert appointment["reasonCode"][0]["text"] == "Kontrolle nach OP"
    assert appointment["appointmentType"]["coding"][0]["code"] == "Normal"
    assert {item["status"] for item in appointment["participant"]} == {"accepted"}
    assert sorted(actors(appointment)) == sorted(
        [f"Patient/{patient['id']}", "Ultraschallgerät 7", "Station AMB, Zimmer U2", "Dr. Max Muster"]
    )
    (doctor,) = [item for item in appointment["participant"] if item["actor"].get("type") == "Practitioner"]
    assert doctor["period"] == {"start": "2026-11-24T10:00:00+01:00", "end": "2026-11-24T10:30:00+01:00"}
    (extension,) = appointment["extension"]
    assert extension["valueAnnotation"]["text"] == "Bitte nüchtern\nkommen."
    assert not any(path.startswith(("AIS", "AIL", "AIP", "SCH")) for path in not_mapped(found))
    (provenance,) = resources(found, "Provenance")
    assert {"reference": f"Appointment/{appointment['id']}"} in provenance["target"]


@pytest.mark.parametrize(
    ("event", "state", "status"),
    [
        ("S12", "", "booked"), ("S13", "", "booked"), ("S14", "", "booked"), ("S15", "", "cancelled"),
        ("S16", "", "cancelled"), ("S17", "", "entered-in-error"), ("S26", "", "noshow"), ("S12", "Pending", "pending"),
        ("S12", "BOOKED^^HL70278", "booked"), ("S14", "Started", "checked-in"), ("S14", "Complete", "fulfilled"),
        ("S15", "Booked", "cancelled"), ("S14", "Discontinued", "cancelled"), ("S14", "Noshow", "noshow"),
    ],
)  # fmt: skip
def test_the_status_of_an_appointment(event: str, state: str, status: str) -> None:
    found = booked(event, schedule=sch(state=state, reason="ABSAGE^Patient hat abgesagt^L"))
    appointment = only(found, "Appointment")
    assert appointment["status"] == status
    assert ("cancelationReason" in appointment) == (event in ("S15", "S16", "S26"))
    (draft,) = [draft for draft in found.drafts if draft.type == "Appointment"]
    assert ("cancelationReason" in draft.nulls) == (
        event in ("S12", "S13", "S14", "S17")
    )  # app-4: none without a cancellation
    assert invalid(found) == []


@pytest.mark.parametrize(
    ("schedule", "service"),
    [
        (sch(), ""), (sch(time="^^M30^202611241000"), ""), (sch(time="^^30^202611241000"), ""),
        (sch(time="^^^202611241000", duration="30"), ""), (sch(time="^^^202611241000", duration="0.5", unit="H"), ""),
        (sch(time=""), "AIS|1||SONO^Sonographie|202611241000|||30|min"),
        (sch(time="^^^202611241000"), "AIS|1||SONO^Sonographie|202611241000|||1800|s"),
    ],
)  # fmt: skip
def test_when_it_is(schedule: str, service: str) -> None:
    found = booked("S12", *([service] if service else []), schedule=schedule)
    appointment = only(found, "Appointment")
    assert (appointment["start"], appointment["end"]) == ("2026-11-24T10:00:00+01:00", "2026-11-24T10:30:00+01:00")
    assert found.faults == []
    assert invalid(found) == []


def test_a_night_in_which_the_clock_is_put_back() -> None:
    found = booked("S12", schedule=sch(time="^^H3^202610250130"))
    appointment = only(found, "Appointment")
    assert appointment["start"] == "2026-10-25T01:30:00+02:00"
    assert appointment["end"] == "2026-10-25T04:30:00+02:00"


def test_what_is_no_time() -> None:
    alone = booked("S15", schedule=sch(time="^^^202611241000"))  # R4 holds no start without an end
    assert "start" not in only(alone, "Appointment")
    assert "SCH-11.4" in not_mapped(alone)
    assert invalid(alone) == []
    backwards = booked("S15", schedule=sch(time="^^^202611241000^202611240900"))
    assert [fault.text for fault in backwards.faults] == ["it ends before it starts"]
    other_unit = booked("S15", schedule=sch(time="^^^202611241000", duration="2", unit="QUARTAL"))
    assert {"SCH-9", "SCH-10"} <= not_mapped(other_unit)


def test_a_resource_that_is_dropped_does_not_take_part() -> None:
    found = booked("S14", "RGS|1|A", "AIP|1|D|5551^Muster^Max|ARZT", "AIP|2|A|5552^Ober^Olga|ARZT||||||||Pending")
    appointment = only(found, "Appointment")
    assert "Olga Ober" in actors(appointment)
    assert "Max Muster" not in actors(appointment)
    assert [item["status"] for item in appointment["participant"] if item["actor"].get("display") == "Olga Ober"] == [
        "needs-action"
    ]
    assert invalid(found) == []


def test_comment_contacts_and_orders() -> None:
    fields = sch().split("|") + [""] * 3
    fields[12], fields[16], fields[20] = "1^Bucht^Bernd", "2^Plant^Petra", "3^Tippt^Tina"
    fields[26], fields[27] = "A-100^KIS", "R-200^RIS"
    found = mapped("SIU^S12", "|".join(fields), "NTE|1||Rückruf erbeten", PID)
    appointment = only(found, "Appointment")
    roles = {item["actor"].get("display"): item for item in appointment["participant"]}
    assert appointment["comment"] == "Rückruf erbeten"
    assert roles["Bernd Bucht"]["required"] == roles["Tina Tippt"]["required"] == "information-only"
    assert roles["Petra Plant"]["type"] == [{"text": "filler contact"}]
    assert [item["identifier"]["value"] for item in appointment["basedOn"]] == ["A-100", "R-200"]
    assert invalid(found) == []


def test_two_patients_in_one_appointment() -> None:
    found = mapped("SIU^S12", sch(), PID, "PID|2||4712^^^KIS^PI||Zweiter^Zeno", "RGS|1", "AIP|1||5551^Muster^Max|ARZT")
    patients = {f"Patient/{patient['id']}" for patient in resources(found, "Patient")}
    assert patients | {"Max Muster"} == set(actors(only(found, "Appointment")))
    assert len(patients) == 2
    assert invalid(found) == []


# ---- charges

FT1 = (
    "FT1|1|Z-1^KIS||20261122083000|20261122090000|CG|01210^Notfallpauschale^EBM|||2|42.50&EUR||INN^Innere Medizin||||||"
    "J18.9 G^Pneumonie^I10-2026|5551^Muster^Max^^^Dr.||||9^Tippt^Tina"
)


def test_a_charge() -> None:
    found = mapped("DFT^P03", PID, PV1, FT1, "NTE|1||Nachts")
    charge = only(found, "ChargeItem")
    assert invalid(found) == []
    assert found.faults == []
    assert charge["identifier"][0]["value"] == "Z-1"
    assert charge["status"] == "billable"
    assert charge["code"]["coding"][0]["code"] == "01210"
    assert charge["occurrenceDateTime"] == "2026-11-22T08:30:00+01:00"
    assert charge["enteredDate"] == "2026-11-22T09:00:00+01:00"
    assert str(charge["quantity"]["value"]) == "2"
    assert {name: str(value) for name, value in charge["priceOverride"].items()} == {
        "value": "42.50",
        "currency": "EUR",
    }
    assert charge["costCenter"]["display"] == "Innere Medizin"
    assert charge["reason"][0]["coding"][0]["code"] == "J18.9"
    assert charge["performer"][0]["actor"]["display"] == "Dr. Max Muster"
    assert charge["enterer"]["display"] == "Tina Tippt"
    assert charge["note"] == [{"text": "Nachts"}]
    assert charge["subject"]["reference"].startswith("Patient/")
    assert charge["context"]["reference"].startswith("Encounter/")
    assert identity(found, "ChargeItem") == [(("identifier",),)]


@pytest.mark.parametrize(
    ("sent", "status"), [("CG", "billable"), ("CD", "aborted"), ("CR", "aborted"), ("", "unknown")]
)
def test_the_status_of_a_charge(sent: str, status: str) -> None:
    found = mapped("DFT^P03", PID, FT1.replace("|CG|", f"|{sent}|"))
    assert only(found, "ChargeItem")["status"] == status
    assert invalid(found) == []


def test_a_payment_is_no_charge() -> None:
    found = mapped("DFT^P03", PID, FT1.replace("|CG|", "|PY|"))
    assert resources(found, "ChargeItem") == []
    assert "FT1-6" in not_mapped(found)


def test_charges_of_one_message_keep_their_own() -> None:
    found = mapped(
        "DFT^P03", PID, PV1, FT1, "FT1|2|||20261122|20261122|CG|03220^Chronikerpauschale^EBM|||1||15.00&EUR",
        "FT1|3|||20261101^20261122|20261122|CG|5^Beratung^GOÄ|||3||10.72&EUR",
    )  # fmt: skip
    first, second, third = resources(found, "ChargeItem")
    assert str(second["priceOverride"]["value"]) == "15.00"  # the price of one is that of all
    assert "priceOverride" not in third  # three at 10.72: nobody says what the whole costs
    assert third["occurrencePeriod"] == {"start": "2026-11-01", "end": "2026-11-22"}
    assert "identifier" not in second
    assert identity(found, "ChargeItem")[1] == (
        ("subject", "context", "code", "occurrenceDateTime", "occurrencePeriod"),
    )
    assert first["code"] != second["code"]
    assert invalid(found) == []


def test_diagnoses_and_procedures_come_along() -> None:
    found = mapped(
        "DFT^P03", PID, PV1, FT1, "PR1|1||5-470.0^Appendektomie^O301-2026||202611220930",
        "DG1|1||J18.9 G^Pneumonie^I10-2026|||ED",
    )  # fmt: skip
    assert only(found, "Condition")["code"]["coding"][0]["code"] == "J18.9"
    assert only(found, "Procedure")["code"]["coding"][0]["code"] == "5-470.0"
    assert invalid(found) == []
