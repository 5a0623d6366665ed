"""A note as MDM: the words of the note, and never signed before somebody signed."""

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappers import er7
from mappers.fhir_to_v2 import header, mdm, standing
from mappers.results_to_fhir import released
from tests.unit.mappers.fhir_to_v2 import helpers
from tests.unit.mappers.fhir_to_v2.helpers import AT, ROUTE, SIGNER, Json

TEXT = re.compile(r"<(?:li|p)[^>]*>(.*?)</(?:li|p)>")


def note(case: str = "erysipelas", number: int = 0) -> Json:
    return helpers.made(case, "Composition")[number]


def sent(composition: Json, event: mdm.Event = "T02", parent: str | None = None) -> er7.Message:
    message = mdm.message(ROUTE, helpers.visit(), composition, event=event, control_id="G1", at=AT, parent=parent)
    return helpers.read(message)


def signed(composition: Json) -> Json:
    return released.composition(composition, SIGNER, "2026-06-10T08:00:00Z")


def text(message: er7.Message) -> str:
    return "\n".join(segment.field(5).text for segment in message.all("OBX"))


def test_a_draft() -> None:
    message = sent(note())
    assert helpers.names(message) == ["MSH", "EVN", "PID", "PV1", "TXA", *["OBX"] * 4]
    assert message.text("MSH-9.1") + message.text("MSH-9.2") + message.text("MSH-9.3") == "MDMT02MDM_T02"
    identifier = note()["identifier"]["value"]
    assert message.segments[4].raw == (
        "TXA|1|11506-3^Progress note^LN|FT|20260610090000+0200|"
        "840601^Beispiel^Änne^^^Dr. med.^^^&1.2.276.0.76.4.16&ISO^^^^DN|"
        "20260610093000+0200|20260610093000+0200||d1^fhir-gateway^^^^^^^FHIR-GATEWAY|||"
        f"{identifier}^FHIR-GATEWAY||||Verlaufsnotiz-{identifier}.txt|PA|U|UN"
    )
    headings = [tuple(c.text for c in segment.field(3).repetition(1).components) for segment in message.all("OBX")]
    assert headings == [
        ("61150-9", "Subjektiv", "LN"), ("61149-1", "Objektiv", "LN"), ("51848-0", "Beurteilung", "LN"),
        ("18776-5", "Procedere", "LN"),
    ]  # fmt: skip
    assert {segment.field(2).text for segment in message.all("OBX")} == {"FT"}
    assert {segment.field(11).text for segment in message.all("OBX")} == {"P"}
    assert text(message).startswith("ENTWURF - nicht freigegeben. Von einer KI erstellt")
    assert text(message).count("ENTWURF") == 1


@pytest.mark.parametrize("case", ["erysipelas", "delirium-home-visit", "heart-failure-ward"])
def test_every_statement_in_its_order_and_words(case: str) -> None:
    composition = note(case)
    visit = header.Visit(helpers.PATIENT, helpers.ENCOUNTER)
    message = helpers.read(mdm.message(ROUTE, visit, composition, event="T02", control_id="G1", at=AT))
    for section, segment in zip(composition["section"], message.all("OBX"), strict=True):
        statements = [html.unescape(found) for found in TEXT.findall(section["text"]["div"])]
        lines = segment.field(5).text.split("\n")
        begin = lines.index(f"{section['title']}:") + 1
        assert [line.removeprefix("- ") for line in lines[begin:]] == statements


def test_the_release_signs_and_takes_the_notice_away() -> None:
    draft, final = sent(note()), sent(signed(note()), "T08")
    txa = final.segments[4]
    assert [txa.field(n).text for n in (8, 17, 19)] == ["20260610093100+0200", "LA", "AV"]
    assert txa.field(12).raw == draft.segments[4].field(12).raw
    assert txa.field(16).raw == draft.segments[4].field(16).raw
    assert txa.field(22).repetition(1).component(1).text == "840601"
    assert txa.field(22).repetition(1).component(15).text == "20260610100000+0200"
    assert {segment.field(11).text for segment in final.all("OBX")} == {"F"}
    assert text(final) == text(draft).split("\n", 1)[1]


@pytest.mark.parametrize("change", [{}, {"status": "final"}, {"status": "amended"}, {"status": "entered-in-error"}])
def test_nothing_but_the_release_makes_it_signed(change: Json) -> None:
    attested = {"attester": [{"mode": "legal", "party": {"reference": SIGNER}}]}
    events: tuple[mdm.Event, ...] = ("T02", "T08", "T10")
    for event in events:
        message = sent({**note(), **attested, **change}, event)
        assert message.text("TXA-17") == "PA"
        assert message.text("TXA-22") == ""
        assert text(message).startswith("ENTWURF")


def test_the_summary_for_the_patient() -> None:
    message = sent(note(number=1))
    assert message.text("TXA-2") == "34133-9"
    assert message.text("TXA-16").startswith("Patientenzusammenfassung-")
    assert (message.text("OBX-3.1"), message.text("OBX-3.3")) == ("34133-9", "LN")
    assert "noch ärztlich geprüft" in text(message)
    assert "geprüft" not in text(sent(signed(note(number=1)), "T08"))


def test_a_replacement_names_its_parent() -> None:
    assert sent(note(), "T10", "old-1").segments[4].field(13).raw == "old-1^FHIR-GATEWAY"


@pytest.mark.parametrize("composition", [note(), {**note(), "status": "entered-in-error"}])
def test_a_withdrawal_has_no_content(composition: Json) -> None:
    message = sent(composition, "T11")
    assert helpers.names(message) == ["MSH", "EVN", "PID", "PV1", "TXA"]
    assert (message.text("MSH-9.3"), message.text("TXA-17"), message.text("TXA-19")) == ("MDM_T01", "PA", "CA")


def test_subsections_and_a_document_without_sections() -> None:
    inner = {"title": "Labor", "text": {"div": "<div>CRP 12</div>"}}
    message = sent({**note(), "section": [{"title": "Objektiv", "section": [inner]}]})
    assert [segment.field(5).text.split("\n")[-2:] for segment in message.all("OBX")][1] == ["Labor:", "CRP 12"]
    assert len(sent({**note(), "section": []}).all("OBX")) == 1


@given(st.lists(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1), min_size=1))
def test_any_words_are_read_as_they_are(statements: list[str]) -> None:
    composition = note()
    items = "".join(f"<li>{html.escape(statement, quote=False)}</li>" for statement in statements)
    composition["section"][3]["text"]["div"] = f"<div><ul>{items}</ul></div>"
    visit = header.Visit(helpers.PATIENT, helpers.ENCOUNTER)  # UTF-8: no stand-ins
    message = helpers.read(mdm.message(ROUTE, visit, composition, event="T02", control_id="G1", at=AT))
    assert helpers.names(message) == ["MSH", "EVN", "PID", "PV1", "TXA", *["OBX"] * 4]
    said = message.all("OBX")[3].field(5).text
    collapsed = [re.sub(" +", " ", statement).strip(" ") for statement in statements]
    assert said == "\n".join(["Procedere:", *(f"- {statement}" for statement in collapsed if statement)])


def test_a_practitioner_who_is_not_known_is_named_by_the_reference() -> None:
    visit = header.Visit(helpers.PATIENT, {**helpers.ENCOUNTER, "participant": []})
    message = mdm.message(ROUTE, visit, signed(note()), event="T08", control_id="G1", at=AT)
    assert helpers.read(message).segments[4].field(22).raw == "a1^^^^^^^^FHIR-GATEWAY^^^^^^20260610100000+0200"
    assert message.text("TXA-5") == ""


@pytest.mark.parametrize("date", ["2026-06-31T10:00:00Z", "2016-12-31T23:59:60Z", None])
def test_a_time_that_the_calendar_does_not_have_is_left_out(date: str | None) -> None:
    assert sent({**note(), "date": date}).text("TXA-6") == ""


def test_the_notice_is_one_that_8859_1_can_say() -> None:
    assert standing.NOTICE.replace("–", "-").encode("latin-1")
