"""`terminology.drugs.rules`: the table as values, and what it refuses."""

from decimal import Decimal

import pytest

from terminology import tables
from terminology.drugs import rules

ROW = {
    "id": "probe", "kind": "drug-lab", "severity": "high", "drug": "Metformin|class:nsaid",
    "with_drug": "", "condition": "", "lab": "eGFR<30", "age": ">=65", "sex_or_state": "", "unless": "",
    "dose_over_mg_per_day": "", "explanation_de": "e", "management_de": "m", "source": "s",
}  # fmt: skip


def read(monkeypatch: pytest.MonkeyPatch, **changes: str) -> rules.Rule:
    """One rule from one row."""
    monkeypatch.setattr(
        tables, "rows", lambda name, real=tables.rows: ({**ROW, **changes},) if name == "drugs/rules" else real(name)
    )
    rules.all_rules.cache_clear()
    try:
        return rules.all_rules()[0]
    finally:
        rules.all_rules.cache_clear()


def test_a_row_becomes_a_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = read(monkeypatch, with_drug="class:arb|Ramipril & Torasemid", dose_over_mg_per_day="20")
    assert rule.drug == ("Metformin", "class:nsaid")
    assert rule.with_drugs == (("class:arb", "Ramipril"), ("Torasemid",))
    assert rule.dose_over == Decimal(20)
    (lab,) = rule.labs
    assert lab.key == "egfr" and lab.holds(Decimal("29.9")) and not lab.holds(Decimal(30))
    (age,) = rule.ages
    assert age.key == "" and age.holds(65) and not age.holds(64)


@pytest.mark.parametrize(
    "changes", [{"lab": "eGFR"}, {"lab": "Fenster<30"}, {"age": "65"}, {"severity": "terrible"}, {"lab": "eGFR=30"}]
)
def test_a_row_that_cannot_be_read_is_an_error(monkeypatch: pytest.MonkeyPatch, changes: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="not a"):
        read(monkeypatch, **changes)


def test_allergies_by_class_and_group() -> None:
    assert {"penicillin", "amoxicillin"} <= rules.allergy_names("penicillin")
    assert "ibuprofen" not in rules.allergy_names("penicillin")
    with pytest.raises(ValueError, match="nothing"):
        rules.allergy_names("nothing")
