"""`pipeline.coding.combining` and `deciding`: what several diagnoses mean together, pairs, order, hospital rules."""

from collections.abc import Callable

import pytest

from pipeline import consultation, results, segments
from pipeline.stages import code

Note = Callable[..., results.Note]
Visit = Callable[..., consultation.Consultation]
NOTHING = segments.Transcript(segments=())


def names(visit: consultation.Consultation, note: results.Note) -> list[str]:
    """The codes with their marks, in their order."""
    return [f"{found.code}{found.mark or ''}" for found in code.run(visit, NOTHING, note).diagnoses]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["Diabetes mellitus Typ 2.", "Diabetische Polyneuropathie."], ["E11.40†", "G63.2*"]),
        (
            ["Diabetes mellitus Typ 2.", "Diabetische Polyneuropathie.", "Diabetische Nephropathie."],
            ["E11.72†", "G63.2*", "N08.3*"],
        ),
        (
            ["Diabetes mellitus Typ 2, entgleist.", "Diabetische Polyneuropathie.", "Diabetische Retinopathie."],
            ["E11.73†", "G63.2*", "H36.0*"],
        ),
        (["Gallenblasenstein.", "Akute Cholezystitis."], ["K80.00"]),
        (["COPD.", "Pneumonie."], ["J44.09", "J18.9"]),
        (["Chronische Niereninsuffizienz Stadium 3.", "Niereninsuffizienz."], ["N18.3"]),
        (["Husten.", "Akute Bronchitis."], ["J20.9"]),
        (["Akuter Infekt der oberen Atemwege.", "Akute Bronchitis."], ["J20.9"]),
        (["Akute Bronchitis.", "Akuter Infekt der oberen Atemwege."], ["J20.9"]),
    ],
)
def test_what_stands_together(note: Note, visit: Visit, texts: list[str], expected: list[str]) -> None:
    assert names(visit(), note(*[("A", text) for text in texts])) == expected


def test_a_star_code_stands_behind_its_primary_and_names_it(note: Note, visit: Visit) -> None:
    given = note(("A", "Diabetische Polyneuropathie bei Diabetes mellitus Typ 2."), ("A", "Akute Bronchitis."))
    found = {one.code: one for one in code.run(visit(), NOTHING, given).diagnoses}
    assert found["G63.2"].partner == "E11.40" and found["E11.40"].mark == "†"
    assert found["G63.2"].rank == found["E11.40"].rank + 1


def test_in_pregnancy_the_obstetric_code_leads(note: Note, visit: Visit) -> None:
    anaemia = note(("A", "Eisenmangelanämie."))
    assert names(visit(), anaemia) == ["D50.9"]
    expecting = visit(sex="female", born=1995)
    patient = expecting.patient.model_copy(update={"pregnant": True})
    assert names(expecting.model_copy(update={"patient": patient}), anaemia) == ["O99.0", "D50.9"]


def test_in_hospital_a_suspicion_counts_and_what_is_over_does_not(note: Note, visit: Visit) -> None:
    given = note(
        ("A", "Verdacht auf Pneumonie.", "uncertain"),
        ("A", "Zustand nach Gastritis.", "historical"),
        ("P", "Ampicillin intravenös."),
    )
    (found,) = code.run(visit(setting="hospital"), NOTHING, given).diagnoses
    assert (found.code, found.certainty) == ("J18.9", None)
    assert "DKR D008" in (found.remark or "")


def test_in_hospital_an_untreated_suspicion_is_its_complaint(note: Note, visit: Visit) -> None:
    given = note(("S", "Husten."), ("A", "Verdacht auf Pneumonie.", "uncertain"), ("P", "Entlassung nach Hause."))
    assert names(visit(setting="hospital"), given) == ["R05"]


def test_the_diagnosis_of_the_visit_leads(note: Note, visit: Visit) -> None:
    known = consultation.Condition(id="c1", text="Hypertonie", code="I10.90")
    given = note(
        ("A", "Arterielle Hypertonie."), ("A", "Verdacht auf Migräne.", "uncertain"), ("A", "Akute Bronchitis.")
    )
    assert names(visit(record=consultation.Record(conditions=(known,))), given) == ["J20.9", "I10.90", "G43.9"]


def test_what_stood_next_and_what_was_missing_is_told(note: Note, visit: Visit) -> None:
    (found,) = code.run(visit(), NOTHING, note(("A", "Persistierendes Vorhofflimmern."))).diagnoses
    (open_,) = code.run(visit(), NOTHING, note(("A", "Vorhofflimmern."))).diagnoses
    assert found.code == "I48.1" and "Vorhofflimmern" in found.reason
    assert open_.code == "I48.9" and "paroxysmal" in (open_.remark or "")
