"""Warnings as ORU^R01, and what was not checked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappers import er7
from mappers.fhir_to_v2 import header, oru
from mappers.results_to_fhir import released
from tests.unit.mappers.fhir_to_v2 import helpers
from tests.unit.mappers.fhir_to_v2.helpers import AT, ROUTE, Json


def issues(case: str = "delirium-home-visit") -> list[Json]:
    return helpers.made(case, "DetectedIssue")


def sent(given: list[Json]) -> er7.Message:
    return helpers.read(oru.message(ROUTE, helpers.visit(), given, control_id="G1", at=AT))


def final(draft: Json) -> Json:
    result = released.result(draft)
    assert result is not None
    return result


def lines(segment: er7.Segment) -> list[str]:
    return [repetition.whole for repetition in segment.field(5).repetitions]


def test_a_draft() -> None:
    message = sent(issues())
    assert helpers.names(message) == ["MSH", "PID", "PV1", "OBR", *["OBX"] * 12]
    assert message.text("MSH-9.3") == "ORU_R01"
    assert message.segments[3].raw == (
        "OBR|1||e1-prescribing-check^FHIR-GATEWAY|prescribing-check^Prüfung der Arzneimitteltherapie^99FHIRGW|||"
        "20260610093000+0200|||||||||||||||20260610093100+0200|||P"
    )
    found, drugs = message.all("OBX")[:2]
    assert found.field(3).raw == "drug-drug^Wechselwirkung^99FHIRGW^DRG^Drug Interaction Alert^ACTCODE"
    notice, headline, detail, management, places = lines(found)
    assert notice.startswith("ENTWURF")
    assert headline == "Citalopram, Haloperidol (kontraindiziert)"
    assert detail == issues()[0]["detail"].replace("’", "'")
    assert "Quelle: " in detail
    assert management.startswith("Maßnahme: ")
    assert places == "Beleg: Gespräch, Segment 35, 52; Akte"
    assert [found.field(n).raw for n in (1, 2, 4, 8, 11, 18)] == [
        "1", "TX", issues()[0]["id"][:8], "AA", "P", "d1^FHIR-GATEWAY",
    ]  # fmt: skip
    assert [drugs.field(n).raw for n in (2, 4, 5)] == ["CE", found.field(4).raw, "^Citalopram~^Haloperidol"]


def test_severity_is_a_flag_and_nothing_is_normal() -> None:
    flags = [s.field(8).text for s in sent(issues()).all("OBX") if s.field(2).text == "TX"]
    assert flags == ["AA", "AA", "AA", "AA", "A", "A"]


def test_a_drug_that_was_only_said_has_its_atc_code() -> None:
    contained = [issue for case in ("migraine", "low-back-pain", "polytrauma") for issue in issues(case)]
    coded = [s.field(5).raw for s in sent(contained).all("OBX") if s.field(2).text == "CE"]
    assert any(raw.endswith("^ATC") for raw in coded)


def test_what_was_not_checked_is_told() -> None:
    message = sent(issues("sinusitis"))
    (segment,) = message.all("OBX")
    assert segment.field(3).raw == "not-checked^Nicht geprüft^99FHIRGW"
    assert segment.field(8).text == "A"
    assert "eGFR (CKD-EPI) fehlt (Ibuprofen)." in lines(segment)[-1]


def test_the_release_makes_the_same_finding_final() -> None:
    draft, released_ = sent(issues()), sent([final(issue) for issue in issues()])
    assert [s.field(4).raw for s in draft.all("OBX")] == [s.field(4).raw for s in released_.all("OBX")]
    assert {s.field(11).text for s in released_.all("OBX")} == {"F"}
    assert released_.text("OBR-25") == "F"
    assert "ENTWURF" not in str(released_)


def test_what_is_taken_back_is_deleted() -> None:
    first, second, *_ = issues()
    message = sent([final(first), {**second, "status": "entered-in-error"}])
    assert [s.field(11).text for s in message.all("OBX")] == ["F", "F", "D", "D"]
    assert message.text("OBR-25") == "C"


def test_an_issue_of_which_little_is_known() -> None:
    (segment,) = sent([{"resourceType": "DetectedIssue", "id": "i1", "status": "preliminary"}]).all("OBX")
    assert segment.field(3).raw == "detected-issue^Warnung^99FHIRGW"
    assert (segment.field(8).text, segment.field(11).text) == ("A", "P")


def test_empty() -> None:
    with pytest.raises(header.Empty):
        sent([])


@given(st.text(), st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])))
def test_no_text_makes_a_segment_or_a_line(headline: str, detail: str) -> None:
    issue = issues()[0]
    issue["code"]["text"], issue["detail"] = headline, detail
    visit = header.Visit(helpers.PATIENT, helpers.ENCOUNTER)
    message = er7.parse(oru.message(ROUTE, visit, [issue], control_id="G1", at=AT).encode())
    assert helpers.names(message) == ["MSH", "PID", "PV1", "OBR", "OBX", "OBX"]
    assert detail in ["", *lines(message.all("OBX")[0])]
