"""Diagnoses as BAR^P12, as the German profile writes them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappers import er7, fhir_names
from mappers.fhir_to_v2 import bar, header
from mappers.results_to_fhir import released
from tests.unit.mappers.fhir_to_v2 import helpers
from tests.unit.mappers.fhir_to_v2.helpers import AT, ROUTE, SIGNER, Json

MARK = " (Entwurf, nicht freigegeben)"


def sent(conditions: list[Json], visit: header.Visit | None = None, **more: Any) -> er7.Message:
    message = bar.message(ROUTE, visit or helpers.visit(), conditions, control_id="G1", at=AT, **more)
    return helpers.read(message)


def codes(message: er7.Message) -> list[str]:
    return [segment.field(3).text for segment in message.all("DG1")]


def fields(message: er7.Message, number: int) -> list[str]:
    return [segment.field(number).text for segment in message.all("DG1")]


def condition(code: str, **extensions: str) -> Json:
    urls = {"mark": fhir_names.MEHRFACHCODIERUNG, "side": fhir_names.SEITENLOKALISATION,
            "certainty": fhir_names.DIAGNOSESICHERHEIT}  # fmt: skip
    made = helpers.made("erysipelas", "Condition")[0]
    coded = [{"url": urls[name], "valueCoding": {"code": value}} for name, value in extensions.items()]
    made["code"] = {"coding": [{"system": fhir_names.ICD_10_GM, "version": "2026", "code": code, "extension": coded}],
                    "text": "Schrumpfniere"}  # fmt: skip
    return made


def test_a_draft() -> None:
    conditions = helpers.made("erysipelas", "Condition")
    message = sent(conditions)
    assert codes(message) == ["A46 L G", "B35.3 G", "I80.3 A"]
    assert message.all("DG1")[0].raw == (
        f"DG1|1||A46 L G^Erysipel [Wundrose]{MARK}^I10-2026||20260610093000+0200|BD|||||||||2|||||"
        f"{conditions[0]['id']}^FHIR-GATEWAY|A"
    )


def test_in_patients_have_no_certainty() -> None:
    assert "I48.2" in codes(sent(helpers.made("heart-failure-ward", "Condition")))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (condition("N26", side="L", certainty="V"), "N26 L V"),
        (condition("A17.0", mark="†", certainty="G"), "A17.0+ G"),
        (condition("G63.2", mark="*", certainty="G"), "G63.2* G"),
        (condition("U69.11", mark="!"), "U69.11!"),
        (condition("I10.90"), "I10.90"),
    ],
)
def test_the_code_with_its_suffixes(given: Json, expected: str) -> None:
    assert sent([given]).all("DG1")[0].field(3).raw == f"{expected}^Schrumpfniere{MARK}^I10-2026"


def test_a_released_diagnosis_names_who_answers_for_it() -> None:
    conditions = helpers.made("erysipelas", "Condition")
    final = [released.result(draft) or {} for draft in conditions[:2]]
    message = sent([*final, conditions[2]], known=[conditions[0]["id"]], released_by=SIGNER)
    assert fields(message, 21) == ["U", "A", "A"]
    assert fields(message, 16) == ["840601", "840601", ""]
    assert [MARK in segment.field(3).repetition(1).component(2).text for segment in message.all("DG1")] == [
        False, False, True,
    ]  # fmt: skip
    assert fields(sent(final), 16) == ["", ""]


def test_a_diagnosis_that_is_taken_back() -> None:
    first, second, third = helpers.made("erysipelas", "Condition")
    third["verificationStatus"] = {"coding": [{"code": "entered-in-error"}]}
    message = sent([third, first], withdrawn=[second])
    assert [(s.field(20).text, s.field(21).text) for s in message.all("DG1")] == [
        (first["id"], "A"), (third["id"], "D"), (second["id"], "D"),
    ]  # fmt: skip
    assert fields(message, 1) == ["1", "2", "3"]
    assert fields(sent([], withdrawn=[second]), 21) == ["D"]


def test_nobody_but_the_encounter_names_a_main_diagnosis() -> None:
    conditions = helpers.made("erysipelas", "Condition")
    assert fields(sent(conditions), 15) == ["2", "3", "4"]
    ranked = [{"condition": {"reference": f"Condition/{conditions[1]['id']}"}, "rank": 1}]
    visit = header.Visit(helpers.PATIENT, {**helpers.ENCOUNTER, "diagnosis": ranked})
    assert fields(sent(conditions, visit), 15) == ["2", "1", "3"]


def test_empty() -> None:
    with pytest.raises(header.Empty):
        sent([])


@given(st.text(), st.text())
def test_no_title_is_a_delimiter(title: str, code: str) -> None:
    given = condition(code)
    given["code"]["coding"][0]["display"] = title
    message = bar.message(ROUTE, helpers.visit(), [given], control_id="G1", at=AT)
    received = er7.parse(message.encode())
    assert helpers.names(received) == ["MSH", "EVN", "PID", "PV1", "ZBE", "DG1"]
    assert [component.raw for component in received.segments[5].field(3).repetition(1).components][2:] == ["I10-2026"]
    assert received.text("DG1-21") == "A"
