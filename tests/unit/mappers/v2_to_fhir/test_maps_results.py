"""ORU, ORM and OML: reports, results, orders, specimens and the comments to them."""

from pathlib import Path

import pytest

from mappers.v2_to_fhir import engine, sites
from tests.unit.mappers.v2_to_fhir.maps import (
    PID,
    PV1,
    SAMPLES,
    Json,
    bundled,
    header,
    identity,
    invalid,
    mapped,
    not_mapped,
    only,
    resources,
    through,
)

ORC = "ORC|RE|A-100^KIS|L-200^LIS|||||||||5551^Muster^Max^^^Dr."
OBR = "OBR|1|A-100^KIS|L-200^LIS|24323-8^Klinische Chemie^LN|||202611220830|||||||||||||||202611221000||CH|F"
LEUKOCYTES = "6690-2^Leukozyten^LN"

NOTE_OF_REPORT = "http://hl7.org/fhir/5.0/StructureDefinition/extension-DiagnosticReport.note"


def obx(
    number: int, kind: str, code: str, value: str, rest: str = "", status: str = "F", time: str = "", sub: str = ""
) -> str:
    unit, _, rest = rest.partition("|")
    interval, _, sign = rest.partition("|")
    return f"OBX|{number}|{kind}|{code}|{sub}|{value}|{unit}|{interval}|{sign}|||{status}|||{time}"


def coded(codings: list[Json]) -> set[tuple[str | None, str]]:
    return {(coding.get("system"), coding["code"]) for coding in codings}


def test_a_report_and_its_results() -> None:
    found = mapped(
        "ORU^R01", PID, PV1, ORC, OBR,
        obx(1, "NM", LEUKOCYTES, "12.30", "G/l|3.9-10.2|H"),
        obx(2, "ST", "5802-4^Nitrit^LN", "negativ"),
    )  # fmt: skip
    assert invalid(found) == []
    assert found.faults == []
    order, report = only(found, "ServiceRequest"), only(found, "DiagnosticReport")
    leukocytes, nitrite = resources(found, "Observation")
    assert [item["value"] for item in order["identifier"]] == ["A-100", "L-200"]
    assert order["requester"]["display"] == "Dr. Max Muster"
    assert order["intent"] == "order"
    assert report["status"] == "final"
    assert report["basedOn"] == [{"reference": f"ServiceRequest/{order['id']}"}]
    assert report["result"] == [{"reference": f"Observation/{one['id']}"} for one in (leukocytes, nitrite)]
    assert report["issued"] == "2026-11-22T10:00:00+01:00"
    assert coded(report["category"][0]["coding"]) == {("http://terminology.hl7.org/CodeSystem/v2-0074", "CH")}
    assert leukocytes["code"]["coding"][0] == {"system": "http://loinc.org", "code": "6690-2", "display": "Leukozyten"}
    assert str(leukocytes["valueQuantity"]["value"]) == "12.30"
    assert leukocytes["effectiveDateTime"] == "2026-11-22T08:30:00+01:00"  # OBR-7, for OBX-14 is empty
    assert leukocytes["referenceRange"][0]["text"] == "3.9-10.2"
    assert leukocytes["interpretation"][0]["coding"] == [
        {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation", "code": "H"}
    ]
    assert "category" not in leukocytes  # nothing says which
    assert nitrite["valueString"] == "negativ"
    for resource in (order, report, leukocytes, nitrite):
        assert resource["subject"]["reference"].startswith("Patient/")
        assert resource["encounter"]["reference"].startswith("Encounter/")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ("F", "final"), ("C", "corrected"), ("P", "preliminary"), ("A", "amended"), ("D", "entered-in-error"),
        ("W", "entered-in-error"), ("X", "cancelled"), ("I", "registered"), ("O", "registered"), ("R", "preliminary"),
        ("S", "preliminary"), ("U", "final"), ("V", "final"), ("B", "amended"), ("", "unknown"),
    ],
)  # fmt: skip
def test_the_status_of_a_result(sent: str, status: str) -> None:
    found = mapped("ORU^R01", PID, PV1, ORC, OBR, obx(1, "NM", LEUKOCYTES, "5", status=sent))
    assert only(found, "Observation")["status"] == status
    assert invalid(found) == []
    assert {draft.type for draft in found.drafts if "status" in draft.defaults} == (
        {"ServiceRequest"} if sent else {"ServiceRequest", "Observation"}
    )


def test_a_result_that_was_not_sought() -> None:
    found = mapped("ORU^R01", PID, PV1, ORC, OBR, obx(1, "NM", LEUKOCYTES, "", status="N"))
    result = only(found, "Observation")
    assert result["status"] == "cancelled"
    assert result["dataAbsentReason"]["coding"][0]["code"] == "not-asked"
    assert invalid(found) == []
    sought = mapped("ORU^R01", PID, PV1, ORC, OBR, obx(1, "NM", LEUKOCYTES, "5"))
    (draft,) = [draft for draft in sought.drafts if draft.type == "Observation"]
    assert draft.nulls == {"dataAbsentReason"}  # obs-6: none beside a value


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ("F", "final"), ("P", "preliminary"), ("C", "corrected"), ("R", "partial"), ("A", "partial"),
        ("X", "cancelled"), ("O", "registered"), ("I", "registered"), ("S", "registered"), ("M", "preliminary"),
        ("N", "registered"), ("", "unknown"),
    ],
)  # fmt: skip
def test_the_status_of_a_report(sent: str, status: str) -> None:
    found = mapped("ORU^R01", PID, PV1, ORC, OBR[: OBR.rindex("|") + 1] + sent)
    assert only(found, "DiagnosticReport")["status"] == status
    assert invalid(found) == []


def test_a_status_that_answers_a_query_is_a_fault() -> None:
    found = mapped("ORU^R01", PID, PV1, ORC, OBR[: OBR.rindex("|") + 1] + "Z")
    assert [str(fault) for fault in found.faults] == ["OBR-25: no row in table report-status for this code"]
    assert only(found, "DiagnosticReport")["status"] == "unknown"


def test_a_correction_is_found_again_and_another_time_is_another_result() -> None:
    def keys(*results: str) -> list[list[object]]:
        found = mapped("ORU^R01", PID, PV1, ORC, OBR, *results)
        ((way,),) = set(identity(found, "Observation"))
        return [
            [one.get(path) for path in way if path != "extension.extension.valueString"]
            + [one.get("extension", [{}])[0].get("extension")]
            for one in resources(found, "Observation")
        ]

    first = keys(obx(1, "NM", LEUKOCYTES, "12.3"))
    assert keys(obx(1, "NM", LEUKOCYTES, "11.3", status="C")) == first
    morning, evening = keys(
        obx(1, "NM", "2345-7^Glukose^LN", "88", time="202611220700"),
        obx(2, "NM", "2345-7^Glukose^LN", "140", time="202611221900"),
    )
    assert morning != evening
    one, two = keys(obx(1, "CWE", "600-7^Keim^LN", "a", sub="1"), obx(2, "CWE", "600-7^Keim^LN", "b", sub="2"))
    assert one != two


def test_orders_and_reports_are_found_by_number_and_code() -> None:
    found = mapped("ORU^R01", PID, PV1, ORC, OBR)
    assert identity(found, "ServiceRequest") == [(("identifier:PLAC", "code"), ("identifier:FILL", "code"))]
    assert identity(found, "DiagnosticReport") == [(("identifier:FILL", "code"),)]
    assert {item["type"]["coding"][0]["code"] for item in only(found, "ServiceRequest")["identifier"]} == {
        "PLAC",
        "FILL",
    }
    found = mapped("ORU^R01", PID, PV1, "OBR|1|A-1^KIS||BB^Blutbild^L|||202611220830||||||||||||||||||P")
    assert identity(found, "DiagnosticReport") == [
        (("identifier:PLAC", "code", "effectiveDateTime", "effectivePeriod"),)
    ]
    found = mapped("ORU^R01", PID, PV1, "OBR|1|||BB^Blutbild^L|||202611220830||||||||||||||||||P")
    assert identity(found, "DiagnosticReport") == [
        (("subject", "encounter", "code", "effectiveDateTime", "effectivePeriod"),)
    ]
    found = mapped("ORU^R01", PID, PV1, ORC, OBR, obx(1, "NM", LEUKOCYTES, "5") + "|||||||X-1^LIS")
    assert identity(found, "Observation") == [(("identifier:FILL",),)]


def test_two_groups_keep_their_own() -> None:
    found = mapped(
        "ORU^R01", PID, PV1,
        "ORC|RE|A-1^KIS|L-1^LIS|||||||||1^Eins^Eva",
        "OBR|1|A-1^KIS|L-1^LIS|BB^Blutbild^L|||202611220700||||||||||||||||||F",
        obx(1, "NM", LEUKOCYTES, "5"), "NTE|1||Zur ersten Probe",
        "ORC|RE|A-2^KIS|L-2^LIS|||||||||2^Zwei^Zoe",
        "OBR|2|A-2^KIS|L-2^LIS|UST^Urinstatus^L|||202611220900||||||||||||||||||P",
        obx(1, "ST", "5802-4^Nitrit^LN", "positiv"),
    )  # fmt: skip
    first, second = resources(found, "DiagnosticReport")
    orders = resources(found, "ServiceRequest")
    blood, urine = resources(found, "Observation")
    assert [order["requester"]["display"] for order in orders] == ["Eva Eins", "Zoe Zwei"]
    assert [report["basedOn"][0]["reference"] for report in (first, second)] == [
        f"ServiceRequest/{order['id']}" for order in orders
    ]
    assert (first["result"], second["result"]) == (
        [{"reference": f"Observation/{blood['id']}"}], [{"reference": f"Observation/{urine['id']}"}],
    )  # fmt: skip
    assert (blood["effectiveDateTime"], urine["effectiveDateTime"]) == (
        "2026-11-22T07:00:00+01:00", "2026-11-22T09:00:00+01:00",
    )  # fmt: skip
    assert blood["note"] == [{"text": "Zur ersten Probe"}]
    assert "note" not in urine
    assert invalid(found) == []


def test_two_patients_keep_their_own() -> None:
    found = mapped(
        "ORU^R01", PID, PV1, ORC, OBR, obx(1, "NM", LEUKOCYTES, "5"),
        "PID|1||4712^^^KIS^PI||Zweiter^Zeno||19700101|M",
        "OBR|1||L-300^LIS|BB^Blutbild^L|||202611220900||||||||||||||||||F",
        obx(1, "NM", LEUKOCYTES, "6"),
    )  # fmt: skip
    berta, zeno = resources(found, "Patient")
    first, second = resources(found, "Observation")
    assert [one["subject"]["reference"] for one in (first, second)] == [
        f"Patient/{berta['id']}",
        f"Patient/{zeno['id']}",
    ]
    assert "encounter" not in second  # the visit is the other patient's
    assert len(resources(found, "ServiceRequest")[1]["identifier"]) == 1  # and so is the ORC
    assert invalid(found) == []


def test_a_report_in_many_lines_is_one_text() -> None:
    found = mapped(
        "ORU^R01", PID, PV1, ORC, OBR,
        obx(1, "TX", "18782-3^Befund^LN", "Röntgen Thorax:"), obx(2, "TX", "18782-3^Befund^LN", ""),
        obx(3, "TX", "18782-3^Befund^LN", "Kein Infiltrat.~Kein Erguss."),
        obx(4, "FT", "18783-1^Empfehlung^LN", "Kontrolle in\\.br\\14 Tagen"),
    )  # fmt: skip
    report, advice = resources(found, "Observation")
    assert report["valueString"] == "Röntgen Thorax:\n\nKein Infiltrat.\nKein Erguss."
    assert advice["valueString"] == "Kontrolle in\n14 Tagen"
    assert not_mapped(found) == set()
    assert invalid(found) == []


def test_text_without_a_code_is_the_report_itself() -> None:
    found = mapped("ORU^R01", PID, PV1, ORC, OBR, obx(1, "TX", "", "Erste Zeile"), obx(2, "TX", "", "Zweite Zeile"))
    (form,) = only(found, "DiagnosticReport")["presentedForm"]
    assert form == {"contentType": "text/plain; charset=utf-8", "data": "RXJzdGUgWmVpbGUKWndlaXRlIFplaWxl"}
    assert resources(found, "Observation") == []
    assert invalid(found) == []


def test_a_pdf_is_the_report_itself() -> None:
    found = mapped(
        "ORU^R01", PID, PV1, ORC, OBR, obx(1, "ED", "PDF^Laborbefund", "LIS^application^pdf^Base64^JVBERi0xLjQK")
    )
    (form,) = only(found, "DiagnosticReport")["presentedForm"]
    assert form == {"contentType": "application/pdf", "data": "JVBERi0xLjQK", "title": "Laborbefund"}
    assert invalid(found) == []


def test_comments_belong_to_what_is_before_them() -> None:
    found = mapped(
        "ORU^R01", PID, PV1, ORC, "NTE|1||Zum Auftrag", OBR, "NTE|1||Probe hämolytisch.", "NTE|2||Bitte wiederholen.",
        obx(1, "NM", LEUKOCYTES, "5"), "NTE|1|L|Mikroskopisch~kontrolliert||77^Labor^Lea|202611220955",
        obx(2, "ED", "PDF^Befund", "LIS^application^pdf^Base64^JVBERi0xLjQK"), "NTE|1||Gehört zu keinem Wert",
    )  # fmt: skip
    assert only(found, "ServiceRequest")["note"] == [{"text": "Zum Auftrag"}]
    assert only(found, "DiagnosticReport")["extension"] == [
        {"url": NOTE_OF_REPORT, "valueAnnotation": {"text": "Probe hämolytisch.\nBitte wiederholen."}}
    ]
    (note,) = only(found, "Observation")["note"]
    assert note["text"] == "Mikroskopisch\nkontrolliert"
    assert note["authorReference"]["display"] == "Lea Labor"
    assert note["time"] == "2026-11-22T09:55:00+01:00"
    assert "NTE-3" in not_mapped(found)
    assert invalid(found) == []


def test_results_without_report_order_or_visit() -> None:
    found = mapped("ORU^R01", PID, obx(1, "NM", "8310-5^Körpertemperatur^LN", "38.5", "Cel", time="202611220800"))
    result = only(found, "Observation")
    assert result["effectiveDateTime"] == "2026-11-22T08:00:00+01:00"
    assert "basedOn" not in result
    assert "encounter" not in result
    assert resources(found, "DiagnosticReport", "ServiceRequest") == []
    assert invalid(found) == []


def test_a_report_without_a_code_says_so() -> None:
    found = mapped("ORU^R01", PID, PV1, "OBR|1||L-9^LIS||||202611220830||||||||||||||||||F")
    assert only(found, "DiagnosticReport")["code"]["extension"][0]["valueCode"] == "unknown"
    assert invalid(found) == []


def test_specimens() -> None:
    found = mapped(
        "ORU^R01", PID, PV1, ORC, OBR, obx(1, "NM", LEUKOCYTES, "5"),
        "SPM|1|P-77&KIS^R-88&LIS||SER^Serum^HL70487||||||||5^mL|||||202611220815|202611220840||Y",
    )  # fmt: skip
    specimen = only(found, "Specimen")
    assert [(item["type"]["coding"][0]["code"], item["value"]) for item in specimen["identifier"]] == [
        ("PLAC", "P-77"), ("FILL", "R-88"),
    ]  # fmt: skip
    assert specimen["collection"]["collectedDateTime"] == "2026-11-22T08:15:00+01:00"
    assert specimen["status"] == "available"
    assert only(found, "DiagnosticReport")["specimen"] == [{"reference": f"Specimen/{specimen['id']}"}]
    assert only(found, "ServiceRequest")["specimen"] == [{"reference": f"Specimen/{specimen['id']}"}]
    assert invalid(found) == []


def test_the_source_in_an_obr_is_a_specimen_of_its_own_report() -> None:
    with_source = (
        "OBR|1|A-1^KIS|L-1^LIS|BB^Blutbild^L|||202611220700|||||||202611220730|BLD&Vollblut&HL70070||||||||||F"
    )
    without = "OBR|2|A-2^KIS|L-2^LIS|UST^Urinstatus^L|||202611220900||||||||||||||||||F"
    found = mapped(
        "ORU^R01",
        PID,
        PV1,
        with_source,
        obx(1, "NM", LEUKOCYTES, "5"),
        without,
        obx(1, "ST", "5802-4^Nitrit^LN", "neg"),
    )
    specimen = only(found, "Specimen")
    first, second = resources(found, "Observation")
    assert specimen["type"]["coding"][0]["code"] == "BLD"
    assert specimen["receivedTime"] == "2026-11-22T07:30:00+01:00"
    assert first["specimen"] == {"reference": f"Specimen/{specimen['id']}"}
    assert "specimen" not in second
    assert ["specimen" in report for report in resources(found, "DiagnosticReport")] == [True, False]
    assert invalid(found) == []


# ---- orders


def test_an_order() -> None:
    found = mapped(
        "ORM^O01", PID, PV1, "ORC|NW|A-100^KIS||G-1^KIS|||^^^202611231000^^S||20261122101500|||5551^Muster^Max^^^Dr.",
        "OBR|1|A-100^KIS||TH2^Röntgen Thorax 2 Ebenen^L|||||||||Husten, Fieber||||||||||||||||||^Ausschluss Pneumonie",
        "NTE|1||Patient nüchtern",
        "OBX|1|ST|SCHW^Schwangerschaft^L||nein||||||F",
    )  # fmt: skip
    order, question = only(found, "ServiceRequest"), only(found, "Observation")
    assert (order["status"], order["intent"], order["priority"]) == ("active", "order", "stat")
    assert order["authoredOn"] == "2026-11-22T10:15:00+01:00"
    assert order["occurrenceDateTime"] == "2026-11-23T10:00:00+01:00"
    assert order["requisition"]["value"] == "G-1"
    assert order["code"]["text"] == "Röntgen Thorax 2 Ebenen"
    assert order["reasonCode"] == [{"text": "Ausschluss Pneumonie"}]
    assert [note["text"] for note in order["note"]] == ["Husten, Fieber", "Patient nüchtern"]
    assert order["supportingInfo"] == [{"reference": f"Observation/{question['id']}"}]
    assert "basedOn" not in question
    assert resources(found, "DiagnosticReport") == []
    assert invalid(found) == []


@pytest.mark.parametrize(
    ("control", "state", "status"),
    [
        ("NW", "", "active"), ("CA", "", "revoked"), ("OC", "", "revoked"), ("DC", "", "revoked"),
        ("HD", "", "on-hold"), ("RL", "", "active"), ("SC", "CM", "completed"), ("SC", "IP", "active"),
        ("NW", "CA", "revoked"), ("SC", "ER", "entered-in-error"), ("XO", "", "unknown"), ("RE", "", "unknown"),
    ],
)  # fmt: skip
def test_the_status_of_an_order(control: str, state: str, status: str) -> None:
    found = mapped("ORM^O01", PID, PV1, f"ORC|{control}|A-100^KIS|||{state}", "OBR|1|A-100^KIS||TH2^Röntgen^L")
    assert only(found, "ServiceRequest")["status"] == status
    assert (status == "unknown") == any("status" in draft.defaults for draft in found.drafts)
    assert found.faults == []
    assert invalid(found) == []


def test_an_order_of_which_only_the_number_is_sent() -> None:
    found = mapped("ORM^O01", PID, "ORC|CA|A-100^KIS|L-200^LIS")
    order = only(found, "ServiceRequest")
    assert order["status"] == "revoked"
    assert identity(found, "ServiceRequest") == [(("identifier:PLAC",), ("identifier:FILL",))]
    assert invalid(found) == []


def test_a_medication_order() -> None:
    found = mapped(
        "ORM^O01", PID, PV1, "ORC|NW|M-1^KIS|||||||20261122101500|||5551^Muster^Max",
        "RXO|C03CA01^Furosemid^ATC|40||mg^^UCUM||^morgens nüchtern", "RXR|PO^peroral^HL70162", "NTE|1||Mit Wasser",
        "ORC|NW|A-2^KIS", "OBR|1|A-2^KIS||TH2^Röntgen^L",
    )  # fmt: skip
    medication, order = only(found, "MedicationRequest"), only(found, "ServiceRequest")
    (dosage,) = medication["dosageInstruction"]
    assert (medication["status"], medication["intent"]) == ("active", "original-order")
    assert medication["medicationCodeableConcept"]["coding"][0]["code"] == "C03CA01"
    assert dosage["doseAndRate"][0]["doseQuantity"]["code"] == "mg"
    assert dosage["route"]["coding"][0]["code"] == "PO"
    assert dosage["additionalInstruction"] == [{"text": "morgens nüchtern"}]
    assert medication["note"] == [{"text": "Mit Wasser"}]
    assert [item["value"] for item in order["identifier"]] == ["A-2"]
    assert invalid(found) == []


def test_an_observation_in_an_admission() -> None:
    found = mapped("ADT^A01", PID, PV1, "OBX|1|NM|29463-7^Körpergewicht^LN||72.5|kg^^UCUM|||||F|||202611220900")
    weight = only(found, "Observation")
    assert weight["valueQuantity"]["code"] == "kg"
    assert identity(found, "Observation") == [
        (("subject", "encounter", "code", "effectiveDateTime", "effectivePeriod", "extension.extension.valueString"),)
    ]
    assert invalid(found) == []


def test_a_site_changes_one_of_several_blocks_of_a_name(tmp_path: Path) -> None:
    (tmp_path / "labor.yaml").write_text(
        "maps:\n  OBX:\n    DiagnosticReport:\n      - {from: OBX-5, to: presentedForm, drop: true}\n"
        "    Observation:\n      - {from: OBX-15, to: category, as: CodeableConcept}\n",
        "utf-8",
    )
    site = sites.read(tmp_path / "labor.yaml")
    text = obx(1, "NM", LEUKOCYTES, "5") + "|LAB"
    data = "".join(
        f"{line}\r" for line in (header("ORU^R01"), PID, ORC, OBR, text, obx(2, "ED", "PDF", "^a^pdf^Base64^QQ=="))
    )
    message = site.parse(data.encode())
    found = engine.map_message(message, site.library, site.scope(message))
    report, result = only(found, "DiagnosticReport"), only(found, "Observation")
    assert report["result"] == [{"reference": f"Observation/{result['id']}"}]
    assert result["category"][0]["text"] == "LAB"
    assert len(site.library.segments["OBX"].blocks) == len(bundled().segments["OBX"].blocks)


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="needs ../shared/data/hl7v2")
def test_the_samples_of_others() -> None:
    """LinuxForHealth's and HL7's messages: none breaks the mapping, and what is not refused is valid."""
    told: list[str] = []
    count = 0
    for path in sorted([*SAMPLES.rglob("*.hl7"), *SAMPLES.rglob("Message*.txt")]):
        data = path.read_bytes().lstrip(b"\r\n ")
        kind = data[:400].split(data[3:4])[8].split(b"^")[0] if data.startswith(b"MSH") else b""
        if kind in (b"ORU", b"ORM", b"OML", b"MDM", b"SIU", b"DFT"):
            count += 1
            found = through(data)
            assert found.has_map, path.name
            told += [f"{path.name}: {fault}" for fault in invalid(found) if found.fatal is None]
    assert told == []
    assert count > 45
