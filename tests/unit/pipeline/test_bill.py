"""`pipeline.stages.bill`: what was documented finds its items, and the rules decide."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from pipeline import consultation, results, segments
from pipeline.stages import bill
from terminology.billing import catalogue

Note = Callable[..., results.Note]
Visit = Callable[..., consultation.Consultation]
NOTHING = segments.Transcript(segments=())
NO_CODES = results.Coding(diagnoses=())
SHORT = (("S", "Husten seit drei Tagen."), ("O", "Lunge frei."), ("A", "Akute Bronchitis."))


def billed(
    visit: consultation.Consultation, note: results.Note, assume: consultation.Insurance | None = None
) -> results.Billing:
    """The proposal, which must exist."""
    found = bill.run(visit, NOTHING, note, NO_CODES, assume)
    assert found is not None
    return found


def codes(found: results.Billing) -> set[str]:
    """The proposed items."""
    return {item.code for item in found.items}


@pytest.mark.parametrize(
    ("born", "points"),
    [
        (2024, "225"),
        (2022, "142"),
        (2008, "114"),
        (2009, "142"),
        (1990, "114"),
        (1972, "148"),
        (1952, "148"),
        (1951, "200"),
    ],
)
def test_the_flat_fee_follows_the_age(note: Note, visit: Visit, born: int, points: str) -> None:
    (item,) = [item for item in billed(visit(born=born), note(*SHORT)).items if item.code == "03000"]
    assert item.points == Decimal(points)
    assert item.amount == (Decimal(points) * Decimal("0.127404")).quantize(Decimal("0.01"), rounding="ROUND_HALF_UP")
    assert item.evidence and item.justification


def test_without_the_age_there_is_no_variant_and_the_gap_is_named(note: Note, visit: Visit) -> None:
    found = billed(visit(born=None), note(*SHORT))
    assert "03000" not in codes(found)
    assert any("03000" in text and "Alter" in text for text in found.missing)


def test_an_item_without_a_value_on_the_day_is_named_as_missing(note: Note, visit: Visit) -> None:
    found = billed(visit(year=2025, contact="phone"), note(*SHORT))
    assert "01435" in codes(found) or any("01435" in text for text in found.missing)


@pytest.mark.parametrize(("insurance", "schedule"), [("GKV", "EBM"), ("PKV", "GOÄ")])
def test_the_insurance_decides_the_schedule(
    note: Note, visit: Visit, insurance: consultation.Insurance, schedule: str
) -> None:
    found = billed(visit(insurance=insurance), note(*SHORT))
    assert found.schedule == schedule and not found.assumed
    assert {item.schedule for item in found.items} == {schedule}


def test_an_unknown_insurance_proposes_nothing_or_what_was_configured(note: Note, visit: Visit) -> None:
    assert bill.run(visit(insurance=None), NOTHING, note(*SHORT), NO_CODES, None) is None
    assumed = billed(visit(insurance=None), note(*SHORT), "PKV")
    assert assumed.assumed and assumed.schedule == "GOÄ"
    assert not billed(visit(insurance="GKV"), note(*SHORT), "PKV").assumed


def test_nothing_for_in_patients_without_a_day_or_without_a_note(note: Note, visit: Visit) -> None:
    assert bill.run(visit(setting="hospital"), NOTHING, note(*SHORT), NO_CODES, None) is None
    assert bill.run(visit(), NOTHING, note(), NO_CODES, None) is None
    undated = consultation.Consultation(encounter=consultation.Encounter(id="e", insurance="GKV"))
    assert bill.run(undated, NOTHING, note(*SHORT), NO_CODES, None) is None


def test_private_contact_and_examination(note: Note, visit: Visit) -> None:
    found = billed(visit(insurance="PKV"), note(*SHORT))
    assert {"1", "5"} <= codes(found)
    one = next(item for item in found.items if item.code == "1")
    assert (one.factor, one.amount, one.quantity) == (Decimal("2.3"), Decimal("10.72"), 1)


def test_no_examination_on_the_phone_or_without_a_finding(note: Note, visit: Visit) -> None:
    assert "5" not in codes(billed(visit(insurance="PKV", contact="phone"), note(*SHORT)))
    assert "5" not in codes(billed(visit(insurance="PKV"), note(("S", "Husten."))))


def test_contacts(note: Note, visit: Visit) -> None:
    phone = codes(billed(visit(contact="phone"), note(*SHORT)))
    assert "03000" not in phone
    home = codes(billed(visit(contact="home"), note(*SHORT)))
    assert "01410" in home


def test_a_documented_service_finds_its_item(note: Note, visit: Visit) -> None:
    done = billed(visit(insurance="PKV"), note(*SHORT, ("O", "EKG geschrieben: Sinusrhythmus.")))
    assert "651" in codes(done)
    planned = billed(visit(insurance="PKV"), note(*SHORT, ("P", "EKG nächste Woche geplant.")))
    assert "651" not in codes(planned)


@pytest.mark.parametrize(
    ("minutes", "proposed", "missing"),
    [("", False, True), (", 15 Minuten", False, False), (", 25 Minuten", True, False)],
)
def test_missing_minutes_are_named_and_block(
    note: Note, visit: Visit, minutes: str, proposed: bool, missing: bool
) -> None:
    # GOÄ 849 needs 20 minutes
    said = ("P", f"Psychosomatisches Gespräch, verbale Intervention{minutes}.")
    found = billed(visit(insurance="PKV"), note(("S", "Schlafstörung."), said))
    assert ("849" in codes(found)) is proposed
    assert any("849" in text and "Dauer" in text for text in found.missing) is missing
    assert any(fallen.proposal == "GOÄ 849" for fallen in found.refused) is not proposed


@pytest.mark.parametrize("insurance", ["GKV", "PKV"])
def test_amounts_are_decimals_to_the_cent(note: Note, visit: Visit, insurance: consultation.Insurance) -> None:
    given = note(*SHORT, ("O", "EKG geschrieben: Sinusrhythmus."), ("O", "Blutentnahme heute erfolgt."))
    found = billed(visit(insurance=insurance), given)
    assert found.items
    for item in found.items:
        assert isinstance(item.amount, Decimal) and item.amount.as_tuple().exponent == -2
        assert item.amount >= item.unit_price * item.quantity > 0
    assert found.total == sum((item.amount for item in found.items), Decimal("0.00"))


@pytest.mark.parametrize("insurance", ["GKV", "PKV"])
def test_no_item_stands_beside_one_that_excludes_it(
    note: Note, visit: Visit, insurance: consultation.Insurance
) -> None:
    given = note(
        *SHORT,
        ("O", "EKG geschrieben: Sinusrhythmus."),
        (
            "O",
            "Ganzkörperstatus erhoben, Herz, Lunge, Abdomen, Nervensystem und Bewegungsapparat vollständig untersucht.",
        ),
        ("O", "Sonographie des Abdomens durchgeführt: unauffällig."),
        ("P", "Eingehende Beratung, 25 Minuten."),
        ("P", "Krankschreibung bis Freitag."),
    )
    found = billed(visit(insurance=insurance, contact="home"), given)
    present = codes(found)
    schedule: catalogue.Schedule = "EBM" if insurance == "GKV" else "GOÄ"
    for code in present:
        for rule in catalogue.rules(schedule).get(code, ()):
            if rule.rule == "excludes_same_session":
                assert not (present - {code}) & set(rule.values), code


def test_a_denied_service_is_not_billed(note: Note, visit: Visit) -> None:
    found = billed(visit(insurance="PKV"), note(*SHORT, ("O", "Kein EKG geschrieben.", "negated")))
    assert "651" not in codes(found)
