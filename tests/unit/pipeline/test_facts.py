"""`pipeline.facts`: the newest value of each analyte."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal

import pytest

from pipeline import consultation, facts, results

Note = Callable[..., results.Note]
Visit = Callable[..., consultation.Consultation]


def observed(name: str, value: str, at: dt.date | None, number: int = 1) -> consultation.Observation:
    """A value of the record."""
    return consultation.Observation(id=f"o{number}", name=name, value=Decimal(value), at=at)


def newest(visit: Visit, note: results.Note, *observations: consultation.Observation) -> facts.Measured | None:
    """What counts as the eGFR."""
    record = consultation.Record(observations=observations)
    return facts.measured(visit(record=record), note).get("egfr")


def test_the_newest_of_the_record(note: Note, visit: Visit) -> None:
    old, new = observed("eGFR", "50", dt.date(2025, 1, 1), 1), observed("eGFR", "34", dt.date(2026, 1, 1), 2)
    for order in ((old, new), (new, old)):
        found = newest(visit, note(), *order)
        assert found is not None and found.value == 34 and found.evidence.record == "o2"


def test_todays_value_leads(note: Note, visit: Visit) -> None:
    found = newest(visit, note(("O", "eGFR 27 ml/min.")), observed("eGFR", "34", dt.date(2026, 1, 1)))
    assert found is not None and found.value == 27 and found.evidence.segment == 1


@pytest.mark.parametrize(
    ("section", "text", "polarity"),
    [
        ("P", "eGFR über 60 anstreben.", "affirmed"),
        ("S", "eGFR 27 beim Vater.", "family"),
        ("S", "eGFR 27.", "historical"),
    ],
)
def test_goals_and_other_peoples_values_do_not_count(
    note: Note, visit: Visit, section: str, text: str, polarity: str
) -> None:
    assert newest(visit, note((section, text, polarity))) is None


def test_a_name_that_means_no_analyte_is_left_out(note: Note, visit: Visit) -> None:
    assert newest(visit, note(), observed("Schuhgröße", "43", None)) is None


def test_terms_come_with_their_statement(note: Note) -> None:
    given = note(("A", "Akute Bronchitis."), ("P", "Kontrolle der Migräne."))
    assert [(statement.section, term.code) for statement, term in facts.terms(given, ("A",))] == [("A", "J20.9")]


def test_a_value_of_the_record_in_another_unit_is_not_taken_as_it_stands(note: Note, visit: Visit) -> None:
    creatinine = consultation.Observation(id="o1", name="Kreatinin", value=Decimal(110), unit="µmol/l")
    found = facts.measured(visit(record=consultation.Record(observations=(creatinine,))), note()).get("creatinine")
    assert found is None or found.value < 2
