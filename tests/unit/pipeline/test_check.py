"""`pipeline.stages.check`: each kind of rule fires, and stays silent in its near miss. Not checked is not safe."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal

import pytest

from pipeline import consultation, results, segments
from pipeline.stages import check, scribe

Note = Callable[..., results.Note]
Visit = Callable[..., consultation.Consultation]
NOTHING = segments.Transcript(segments=())


def takes(*drugs: str) -> tuple[consultation.Medication, ...]:
    """Drugs of the record."""
    return tuple(consultation.Medication(id=f"m{number}", text=drug) for number, drug in enumerate(drugs, start=1))


def measured(name: str, value: str, at: dt.date | None) -> consultation.Observation:
    """A value of the record."""
    return consultation.Observation(id="o1", name=name, value=Decimal(value), at=at)


def has(*codes: str) -> tuple[consultation.Condition, ...]:
    """Diagnoses of the record."""
    return tuple(consultation.Condition(id=f"c{n}", text=code, code=code) for n, code in enumerate(codes, start=1))


def allergic(*texts: str) -> tuple[consultation.Allergy, ...]:
    """Allergies of the record."""
    return tuple(consultation.Allergy(id=f"a{n}", text=text) for n, text in enumerate(texts, start=1))


def fired(safety: results.SafetyCheck, kind: str, *drugs: str) -> bool:
    """Whether a warning of this kind names these drugs."""
    return any(warning.kind == kind and set(drugs) <= set(warning.drugs) for warning in safety.warnings)


RECENT = dt.date(2026, 4, 1)


@pytest.mark.parametrize(
    ("value", "severity"), [("27", "contraindicated"), ("29.9", "contraindicated"), ("30", "moderate"), ("62", None)]
)
def test_metformin_by_egfr(note: Note, visit: Visit, value: str, severity: str | None) -> None:
    record = consultation.Record(medications=takes("Metformin 500 mg"), observations=(measured("eGFR", value, RECENT),))
    safety = check.run(visit(record=record), NOTHING, note())
    assert [warning.severity for warning in safety.warnings if "Metformin" in warning.drugs] == (
        [severity] if severity else []
    )
    assert safety.status == ("found" if severity else "none")
    for warning in safety.warnings:
        assert warning.source and warning.management and warning.explanation
        assert {item.record for item in warning.evidence} == {"m1", "o1"}


@pytest.mark.parametrize(("said", "fires"), [("eGFR 27 ml/min.", True), ("eGFR 62 ml/min.", False)])
def test_todays_value_counts_before_the_records(note: Note, visit: Visit, said: str, fires: bool) -> None:
    old = measured("eGFR", "27" if not fires else "62", RECENT)
    record = consultation.Record(medications=takes("Metformin 500 mg"), observations=(old,))
    assert fired(check.run(visit(record=record), NOTHING, note(("O", said))), "drug-lab", "Metformin") is fires


@pytest.mark.parametrize(
    ("plan", "fires"),
    [
        ("Ibuprofen 600 mg dreimal täglich verordnet.", True),
        ("Diclofenac 75 mg verordnet.", True),
        ("Diclofenac-Gel auf das Knie auftragen.", False),
        ("Paracetamol 500 mg verordnet.", False),
    ],
)
def test_drug_drug(note: Note, visit: Visit, plan: str, fires: bool) -> None:
    record = consultation.Record(medications=takes("Apixaban 5 mg"))
    safety = check.run(visit(record=record), NOTHING, note(("P", plan)))
    assert fired(safety, "drug-drug", "Apixaban") is fires
    assert {drug.status for drug in safety.drugs if "Apixaban" in drug.ingredients} == {"continued"}


@pytest.mark.parametrize(
    ("allergy", "plan", "fires"),
    [
        ("Penicillin", "Amoxicillin 1000 mg verordnet.", True),
        ("Penicillinallergie", "Amoxicillin 1000 mg verordnet.", True),
        ("Penicillin", "Clindamycin 600 mg verordnet.", False),
        ("Pollen", "Amoxicillin 1000 mg verordnet.", False),
        ("Lokalanästhetika", "Lidocain 100 mg verordnet.", True),
    ],
)
def test_allergy(note: Note, visit: Visit, allergy: str, plan: str, fires: bool) -> None:
    safety = check.run(visit(record=consultation.Record(allergies=allergic(allergy))), NOTHING, note(("P", plan)))
    assert any(warning.kind == "allergy" for warning in safety.warnings) is fires


def test_an_allergy_told_today_counts(note: Note, visit: Visit) -> None:
    given = note(("S", "Penicillinallergie mit Ausschlag."), ("P", "Amoxicillin 1000 mg verordnet."))
    assert any(warning.kind == "allergy" for warning in check.run(visit(), NOTHING, given).warnings)
    denied = note(("S", "Keine Penicillinallergie.", "negated"), ("P", "Amoxicillin 1000 mg verordnet."))
    assert not any(warning.kind == "allergy" for warning in check.run(visit(), NOTHING, denied).warnings)


@pytest.mark.parametrize(
    ("drugs", "codes", "fires"),
    [
        (("ASS 100",), ("I48.0",), True),
        (("ASS 100", "Apixaban 5 mg"), ("I48.0",), False),
        (("ASS 100",), ("I10.90",), False),
    ],
)
def test_omission(note: Note, visit: Visit, drugs: tuple[str, ...], codes: tuple[str, ...], fires: bool) -> None:
    record = consultation.Record(medications=takes(*drugs), conditions=has(*codes))
    safety = check.run(visit(record=record), NOTHING, note())
    assert any(warning.rule == "ass-alone-atrial-fibrillation" for warning in safety.warnings) is fires


@pytest.mark.parametrize(
    ("drugs", "fires"), [(("Ramipril 5", "Enalapril 5"), True), (("Ramipril 5", "Ramipril 2,5"), False)]
)
def test_duplicate(note: Note, visit: Visit, drugs: tuple[str, ...], fires: bool) -> None:
    safety = check.run(visit(record=consultation.Record(medications=takes(*drugs))), NOTHING, note())
    assert any(warning.kind == "duplicate" for warning in safety.warnings) is fires


@pytest.mark.parametrize(
    ("plan", "fires"),
    [
        ("Ibuprofen 800 mg viermal täglich.", True),
        ("Ibuprofen 800 mg dreimal täglich.", False),
        ("Ibuprofen 800 mg.", False),
        ("Paracetamol 1 g fünfmal täglich.", True),
        ("Paracetamol 1 g viermal täglich.", False),
    ],
)
def test_dose(note: Note, visit: Visit, plan: str, fires: bool) -> None:
    safety = check.run(visit(born=1990), NOTHING, note(("P", plan)))
    assert any(warning.kind == "dose" for warning in safety.warnings) is fires


@pytest.mark.parametrize(
    ("born", "fires"), [(1961, True), (1962, False), (None, False)]
)  # the visit is in May, the birthday in March
def test_age(note: Note, visit: Visit, born: int | None, fires: bool) -> None:
    record = consultation.Record(medications=takes("Lorazepam 1 mg"))
    assert fired(check.run(visit(born=born, record=record), NOTHING, note()), "age", "Lorazepam") is fires


@pytest.mark.parametrize(("pregnant", "fires"), [(True, True), (False, False), (None, False)])
def test_pregnancy(note: Note, visit: Visit, pregnant: bool | None, fires: bool) -> None:
    record = consultation.Record(medications=takes("Ramipril 5 mg"))
    given = visit(born=1994, sex="female", pregnant=pregnant, record=record)
    assert fired(check.run(given, NOTHING, note()), "pregnancy", "Ramipril") is fires


@pytest.mark.parametrize(
    ("born", "sex", "fires"),
    [(1994, "female", True), (1994, "male", False), (1960, "female", False), (None, "female", False)],
)
def test_women_who_may_become_pregnant(
    note: Note, visit: Visit, born: int | None, sex: consultation.Sex, fires: bool
) -> None:
    record = consultation.Record(medications=takes("Valproinsäure 500 mg"))
    assert (
        fired(check.run(visit(born=born, sex=sex, record=record), NOTHING, note()), "pregnancy", "Valproinsäure")
        is fires
    )


@pytest.mark.parametrize(("code", "fires"), [("I50.13", True), ("I10.90", False)])
def test_drug_disease(note: Note, visit: Visit, code: str, fires: bool) -> None:
    record = consultation.Record(conditions=has(code))
    safety = check.run(visit(record=record), NOTHING, note(("P", "Ibuprofen 400 mg verordnet.")))
    assert any(warning.kind == "drug-disease" for warning in safety.warnings) is fires


def test_a_diagnosis_named_today_counts_and_a_denied_or_foreign_one_does_not(note: Note, visit: Visit) -> None:
    plan = ("P", "Ibuprofen 400 mg verordnet.")
    for statement, fires in (
        (("A", "Herzinsuffizienz."), True),
        (("A", "Keine Herzinsuffizienz.", "negated"), False),
        (("S", "Die Mutter hat eine Herzinsuffizienz.", "family"), False),
    ):
        safety = check.run(visit(), NOTHING, note(statement, plan))
        assert any(warning.kind == "drug-disease" for warning in safety.warnings) is fires


@pytest.mark.parametrize(
    "plan",
    [
        ("P", "Metformin wird abgesetzt."),
        ("P", "Metformin absetzen."),
        ("P", "Metformin pausieren."),
        ("P", "Kein Metformin mehr.", "negated"),
    ],
)
def test_a_stopped_drug_is_not_held_against_anything(note: Note, visit: Visit, plan: tuple[str, ...]) -> None:
    record = consultation.Record(medications=takes("Metformin 500 mg"), observations=(measured("eGFR", "27", RECENT),))
    safety = check.run(visit(record=record), NOTHING, note(plan))
    assert safety.warnings == () and safety.drugs == ()


@pytest.mark.parametrize(
    ("section", "text", "polarity"),
    [
        ("S", "Die Mutter nimmt Apixaban.", "family"),
        ("P", "Kein Apixaban.", "negated"),
        ("S", "Früher Apixaban.", "historical"),
    ],
)
def test_what_the_patient_does_not_take_is_not_checked_against(
    note: Note, visit: Visit, section: str, text: str, polarity: str
) -> None:
    safety = check.run(visit(), NOTHING, note((section, text, polarity), ("P", "Ibuprofen 400 mg verordnet.")))
    assert not fired(safety, "drug-drug", "Apixaban")


@pytest.mark.parametrize("record", ["Metformin 500 mg", "Metformin 1000 mg"])
def test_a_missing_value_is_a_gap(note: Note, visit: Visit, record: str) -> None:
    safety = check.run(visit(record=consultation.Record(medications=takes(record))), NOTHING, note())
    assert any("GFR" in gap and "Metformin" in gap for gap in safety.gaps)
    assert safety.status == "not-checked"


@pytest.mark.parametrize(("at", "gap"), [(dt.date(2025, 5, 11), True), (dt.date(2025, 5, 12), False)])
def test_a_value_older_than_a_year_decides_nothing(note: Note, visit: Visit, at: dt.date, gap: bool) -> None:
    record = consultation.Record(medications=takes("Metformin 500 mg"), observations=(measured("eGFR", "27", at),))
    safety = check.run(visit(record=record), NOTHING, note())
    assert any("älter" in text for text in safety.gaps) is gap
    assert fired(safety, "drug-lab", "Metformin") is not gap


def test_an_unknown_drug_is_a_gap(note: Note, visit: Visit) -> None:
    safety = check.run(visit(record=consultation.Record(medications=takes("Wunderol forte"))), NOTHING, note())
    assert safety.status == "not-checked"
    assert any("Wunderol forte" in gap for gap in safety.gaps)
    assert "0 von 1" in safety.covered


def test_a_drug_is_known_by_its_code_alone(note: Note, visit: Visit) -> None:
    item = consultation.Medication(id="m1", text="Hausmarke", atc="M01AE01")
    safety = check.run(visit(record=consultation.Record(medications=(item,))), NOTHING, note())
    assert [drug.ingredients for drug in safety.drugs] == [("Ibuprofen",)]


def test_a_finding_and_a_gap_may_stand_together(note: Note, visit: Visit) -> None:
    record = consultation.Record(medications=takes("Apixaban 5 mg", "Wunderol forte"))
    safety = check.run(visit(record=record), NOTHING, note(("P", "Ibuprofen 400 mg verordnet.")))
    assert safety.status == "found" and safety.gaps


def test_no_drug_no_finding(note: Note, visit: Visit) -> None:
    safety = check.run(visit(), NOTHING, note(("A", "Herzinsuffizienz.")))
    assert (safety.status, safety.warnings, safety.gaps, safety.drugs) == ("none", (), (), ())
    assert "kein Medikament" in safety.covered


def test_one_hazard_is_told_once_the_worst_first(note: Note, visit: Visit) -> None:
    record = consultation.Record(
        medications=takes("Metformin 500 mg", "Apixaban 5 mg"), observations=(measured("eGFR", "27", RECENT),)
    )
    safety = check.run(visit(record=record), NOTHING, note(("P", "Ibuprofen 400 mg verordnet.")))
    keys = [(frozenset(warning.drugs), warning.kind == "allergy") for warning in safety.warnings]
    assert len(set(keys)) == len(keys)
    order = ["contraindicated", "high", "moderate", "low"]
    ranks = [order.index(warning.severity) for warning in safety.warnings]
    assert ranks == sorted(ranks) and ranks[0] == 0


@pytest.mark.parametrize(
    "plan",
    ["Apixaban 5 mg statt Phenprocoumon.", "Statt Phenprocoumon nehmen Sie Apixaban 5 mg.", "Apixaban statt Marcumar."],
)
def test_instead_of_stops_the_drug_that_follows(note: Note, visit: Visit, plan: str) -> None:
    record = consultation.Record(medications=takes("Phenprocoumon 3 mg"))
    safety = check.run(visit(record=record), NOTHING, note(("P", plan)))
    assert [drug.ingredients for drug in safety.drugs] == [("Apixaban",)]


@pytest.mark.parametrize(
    "plan",
    [
        "Ibuprofen 400 mg, nicht mehr als dreimal täglich.",
        "Ibuprofen 400 mg nicht auf nüchternen Magen einnehmen.",
        "Ibuprofen 400 mg nicht länger als 5 Tage.",
    ],
)
def test_how_not_to_take_a_drug_does_not_stop_it(note: Note, visit: Visit, plan: str) -> None:
    record = consultation.Record(medications=takes("Apixaban 5 mg"))
    assert fired(check.run(visit(record=record), NOTHING, note(("P", plan))), "drug-drug", "Ibuprofen", "Apixaban")


@pytest.mark.parametrize(
    "plan", ["Ibuprofen 400 mg dreimal täglich, dazu ein Nasenspray.", "Ibuprofen 400 mg und eine Salbe für das Knie."]
)
def test_a_spray_beside_a_tablet_does_not_make_it_topical(note: Note, visit: Visit, plan: str) -> None:
    record = consultation.Record(medications=takes("Apixaban 5 mg"))
    assert fired(check.run(visit(record=record), NOTHING, note(("P", plan))), "drug-drug", "Ibuprofen", "Apixaban")


@pytest.mark.parametrize(
    ("allergy", "plan"),
    [
        ("Pregabalin", "Pregabalin 25 mg verordnet."),
        ("Metamizol", "Novalgin 500 mg verordnet."),
        ("Kontrastmittel", "CT mit Iomeprol."),
    ],
)
def test_an_allergy_against_the_very_drug_is_found(note: Note, visit: Visit, allergy: str, plan: str) -> None:
    safety = check.run(visit(record=consultation.Record(allergies=allergic(allergy))), NOTHING, note(("P", plan)))
    assert any(warning.kind == "allergy" for warning in safety.warnings)


@pytest.mark.parametrize(("text", "atc"), [("siehe Kode", "J01CA04"), ("Wunderol", None)])
def test_no_allergy_is_passed_over_in_silence(note: Note, visit: Visit, text: str, atc: str | None) -> None:
    allergies = (consultation.Allergy(id="a1", text=text, atc=atc),)
    given = visit(born=1990, record=consultation.Record(allergies=allergies))
    safety = check.run(given, NOTHING, note(("P", "Amoxicillin 1000 mg verordnet.")))
    assert any(warning.kind == "allergy" for warning in safety.warnings) or safety.gaps


@pytest.mark.parametrize(
    ("said", "fires"),
    [
        ("Patient: Penicillin vertrage ich nicht.", True),
        ("Patient: Das Penicillin, das vertrage ich nicht.", True),
        ("Patient: Penicillin vertrag ich schlecht.", True),
        ("Arzt: Und das Penicillin, das vertragen Sie nicht, steht hier.", True),
        ("Patient: Penicillin vertrage ich gut.", False),
        ("Patient: Penicillin vertrage ich, ich nehme es nur nicht gern.", False),
        ("Patient: Meine Frau verträgt kein Penicillin.", False),
    ],
)
def test_what_is_not_borne_is_an_allergy_for_the_check(
    visit: Visit, talk: Callable[[str], segments.Transcript], said: str, fires: bool
) -> None:
    heard = talk(f"{said}\nArzt: Ich verschreibe Ihnen Amoxicillin 1000 Milligramm, dreimal täglich.")
    noted = scribe.run(visit(), heard)
    assert fired(check.run(visit(), heard, noted), "allergy", "Amoxicillin") is fires
