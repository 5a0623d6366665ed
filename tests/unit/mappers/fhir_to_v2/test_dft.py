"""Billing items as DFT^P03: what each comes to, and that it is a draft."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappers import er7
from mappers.fhir_to_v2 import dft, header
from mappers.results_to_fhir import released
from tests.unit.mappers.fhir_to_v2 import helpers
from tests.unit.mappers.fhir_to_v2.helpers import AT, ROUTE, SIGNER, Json


def claim(case: str = "erysipelas") -> Json:
    return helpers.made(case, "Claim")[0]


def sent(given: Json, case: str = "erysipelas", released_by: str | None = None) -> er7.Message:
    conditions = helpers.made(case, "Condition")
    return helpers.read(
        dft.message(ROUTE, helpers.visit(), given, conditions, released_by=released_by, control_id="G1", at=AT)
    )


def test_a_draft_by_goae() -> None:
    message = sent(claim())
    assert helpers.names(message) == ["MSH", "EVN", "PID", "PV1", *["FT1", "NTE"] * 4]
    first = message.all("FT1")[3]
    own = claim()["identifier"][0]["value"]
    assert [first.field(n).raw for n in (1, 2, 3, 4, 6, 7, 10, 11, 12, 17)] == [
        "4", f"{own}-250", own, "20260610", "CG", "250^Venöse Blutentnahme (Entwurf, nicht freigegeben)^GOAE", "1",
        "4.20&EUR", "4.20&EUR", "GOAE",
    ]  # fmt: skip
    assert [repetition.text for repetition in first.field(19).repetitions] == ["A46 L G", "B35.3 G", "I80.3 A"]
    assert first.field(20).repetition(1).component(2).text == "Beispiel"
    assert first.field(24).raw == "FHIR-GATEWAY^fhir-gateway"
    assert (first.field(25).raw, first.field(26).raw) == (
        "250^Venöse Blutentnahme^GOAE", "1.8^Steigerungsfaktor 1,8^99FHIRGW",
    )  # fmt: skip
    remarks = [repetition.text for repetition in message.all("NTE")[3].field(3).repetitions]
    assert remarks[0].startswith("ENTWURF")
    assert remarks[1] == "Einfachsatz 2,33 EUR, Steigerungsfaktor 1,8."
    assert remarks[2].startswith("Venöse Blutentnahme:")


def test_ebm_has_no_factor() -> None:
    message = sent(claim("sinusitis"), "sinusitis")
    first = message.all("FT1")[0]
    assert first.field(7).repetition(1).component(3).text == "EBM"
    assert (first.field(25).raw, first.field(26).raw) == ("", "")
    assert first.field(19).raw.startswith("J01.0 L G^")
    assert not any("Einfachsatz" in segment.raw for segment in message.all("NTE"))


def test_the_release_is_seen_in_every_item() -> None:
    final = released.result(claim())
    assert final is not None
    message = sent(final, released_by=SIGNER)
    assert "ntwurf" not in str(message).lower()
    assert {segment.field(24).text for segment in message.all("FT1")} == {"840601"}
    assert {s.field(24).text for s in sent(claim(), released_by=SIGNER).all("FT1")} == {"FHIR-GATEWAY"}


def test_what_is_taken_back_is_credited_by_the_same_ids() -> None:
    charged, credited = sent(claim()), sent({**claim(), "status": "entered-in-error"})
    assert {segment.field(6).text for segment in credited.all("FT1")} == {"CD"}
    assert [s.field(2).raw for s in credited.all("FT1")] == [s.field(2).raw for s in charged.all("FT1")]


def test_quantity_and_price() -> None:
    given = claim()
    item = given["item"][0]
    given["item"] = [
        {**item, "quantity": {"value": Decimal(2)}, "net": {"value": Decimal("21.44")}},
        {**item, "quantity": {"value": Decimal(3)}, "net": {"value": Decimal("10.00")}},
    ]
    first, second = sent(given).all("FT1")
    assert [first.field(n).raw for n in (10, 11, 12)] == ["2", "21.44&EUR", "10.72&EUR"]
    assert [second.field(n).raw for n in (10, 11, 12)] == ["3", "10.00&EUR", ""]
    assert second.field(2).raw == f"{first.field(2).raw}-2"


def test_a_provider_that_is_no_person_and_a_diagnosis_that_is_not_at_hand() -> None:
    given = {**claim(), "provider": {"reference": "Organization/o1"}}
    message = helpers.read(dft.message(ROUTE, helpers.visit(), given, [], control_id="G1", at=AT))
    assert message.text("FT1-20") == ""
    assert message.segments[4].field(19).raw.startswith("A46^Erysipel")


def test_empty() -> None:
    with pytest.raises(header.Empty):
        sent(claim("depression"), "depression")


@given(st.text(), st.text())
def test_no_text_makes_a_segment(title: str, reason: str) -> None:
    given = claim()
    given["item"][0]["productOrService"]["text"] = title
    given["supportingInfo"][0]["valueString"] = reason
    message = dft.message(ROUTE, helpers.visit(), given, [], control_id="G1", at=AT)
    assert helpers.names(er7.parse(message.encode())) == ["MSH", "EVN", "PID", "PV1", *["FT1", "NTE"] * 4]
