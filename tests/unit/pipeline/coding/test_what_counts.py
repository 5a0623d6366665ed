"""`pipeline.coding.mention` and `gathering`: which words of a note are the patient's diagnosis, and how sure it is."""

import datetime as dt
from collections.abc import Callable

import pytest

from pipeline import consultation, results, segments
from pipeline.coding import mention
from pipeline.stages import code

Note = Callable[..., results.Note]
Visit = Callable[..., consultation.Consultation]
NOTHING = segments.Transcript(segments=())


def coded(visit: consultation.Consultation, note: results.Note) -> list[tuple[str, str | None]]:
    """The codes of a note with their certainty, in their order."""
    return [(found.code, found.certainty) for found in code.run(visit, NOTHING, note).diagnoses]


@pytest.mark.parametrize(
    ("text", "says", "expected"),
    [
        ("Keine Pneumonie, sondern eine akute Bronchitis.", "negated", [("J20.9", "G")]),
        ("Gicht, nicht entzündlich aktiv.", "negated", [("M10.99", "G")]),
        ("Kein Anhalt für Pneumonie, Migräne oder Gicht.", "negated", []),
        ("Pneumonie, nein.", "negated", []),
        ("Migräne ohne Aura.", "negated", [("G43.0", "G")]),
        ("Verlauf ohne Migräne.", "negated", []),
        ("Migräne, die hatte ich nie.", "negated", []),
        ("Erst dachte ich an eine Pneumonie.", "affirmed", []),
        ("Das wäre eine Pneumonie.", "affirmed", []),
        ("Pneumonie oder akute Bronchitis.", "affirmed", [("J18.9", "V"), ("J20.9", "V")]),
        ("Die Mutter hatte Brustkrebs.", "affirmed", []),
        ("Im Internet gelesen, Migräne.", "affirmed", []),
        ("Als Kind Migräne.", "historical", []),
        ("Gicht seit 2019.", "affirmed", [("M10.99", "G")]),
        ("Am ehesten Migräne.", "uncertain", [("G43.9", "V")]),
        ("Abklärung Demenz.", "affirmed", [("F03", "V")]),
        ("Mögliche Borreliose.", "affirmed", [("A69.2", "V")]),
        ("Zöliakie?", "affirmed", [("K90.0", "V")]),
        ("Gicht: nein.", "affirmed", []),
        ("Statt Pneumonie Bronchitis.", "affirmed", [("J40", "G")]),
        ("Das ist eine Bronchitis, nein, eine Pneumonie.", "affirmed", [("J18.9", "G")]),
        ("FA: KHK.", "affirmed", []),
        ("Ausgeheilte Pneumonie.", "affirmed", [("J18.9", "Z")]),
        ("Verdacht auf Gicht. Arterielle Hypertonie.", "uncertain", [("I10.90", "G"), ("M10.99", "V")]),
        ("Keine Pneumonie. Akute Bronchitis.", "negated", [("J20.9", "G")]),
        ("Verdacht auf Pneumonie, COPD bekannt.", "uncertain", [("J44.99", "G"), ("J18.9", "V")]),
        ("Hypertonie seit 2010.", "historical", [("I10.90", "G")]),
        ("Diabetes mellitus Typ 2 nicht entgleist.", "negated", [("E11.90", "G")]),
        ("Nichtalkoholische Fettleber.", "affirmed", [("K76.0", "G")]),
        ("Diabetes mellitus Typ 2. Hypertensive Nephropathie.", "affirmed", [("E11.90", "G"), ("I12.90", "G")]),
        ("Diabetes insipidus.", "affirmed", [("E23.2", "G")]),
        ("Post-Covid.", "affirmed", []),
    ],
)
def test_what_the_assessment_says(note: Note, visit: Visit, text: str, says: str, expected: list[object]) -> None:
    assert coded(visit(), note(("A", text, says))) == expected


@pytest.mark.parametrize(
    ("section", "text", "expected"),
    [
        ("P", "Die Gicht behandeln wir mit Allopurinol weiter.", ["M10.99"]),
        ("P", "Impfung gegen Grippe im Herbst.", []),
        ("P", "Wenn die Migräne wiederkommt, melden Sie sich.", []),
        ("P", "Zur Vorbeugung von Gicht viel trinken.", []),
        ("P", "Röntgen Thorax, Frage Pneumonie.", []),
        ("P", "Warnzeichen einer Meningitis erklärt.", []),
        ("P", "Notfallset für Anaphylaxie.", []),
        ("P", "Wegen der Gicht weniger Fleisch.", ["M10.99"]),
        ("O", "Im Röntgen eine Pneumonie.", ["J18.9"]),
        ("O", "Test auf Keuchhusten abgenommen.", []),
        ("S", "Ich hatte mal eine Migräne.", []),
    ],
)
def test_other_sections_name_what_was_found_or_is_treated(
    note: Note, visit: Visit, section: str, text: str, expected: list[str]
) -> None:
    assert [name for name, _certainty in coded(visit(), note((section, text)))] == expected


@pytest.mark.parametrize(("speaker", "expected"), [("Ärztin", ["H81.1"]), ("Patientin", [])])
def test_what_the_doctor_calls_by_name_among_the_complaints_counts(
    note: Note, visit: Visit, talk: Callable[..., segments.Transcript], speaker: str, expected: list[str]
) -> None:
    text = "Gutartiger Lagerungsschwindel."
    found = code.run(visit(), talk(f"{speaker}: {text}"), note(("S", text))).diagnoses
    assert [one.code for one in found if one.code.startswith("H")] == expected


def test_what_was_ruled_out_later_is_not_suspected_any_more(note: Note, visit: Visit) -> None:
    given = note(("A", "Verdacht auf Pneumonie.", "uncertain"), ("A", "Eine Pneumonie ist ausgeschlossen.", "negated"))
    assert coded(visit(), given) == [("J18.9", "A")]


def test_a_lay_word_counts_beside_the_record_or_a_doctors_word(note: Note, visit: Visit) -> None:
    sugar = ("A", "Den Zucker schauen wir uns an.")
    assert coded(visit(), note(sugar)) == []
    known = consultation.Condition(id="c1", text="Diabetes mellitus Typ 2", code="E11.90")
    assert coded(visit(record=consultation.Record(conditions=(known,))), note(sugar)) == [("E11.90", "G")]


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        ("Metformin 1000 mg weiter.", ["E11.90"]),
        ("Ramipril 5 mg weiter.", ["I10.90"]),
        ("Ibuprofen 400 mg bei Bedarf.", []),
    ],
)
def test_a_drug_of_the_plan_says_which_known_illness_was_treated(
    note: Note, visit: Visit, plan: str, expected: list[str]
) -> None:
    conditions = tuple(consultation.Condition(id=name, text=name, code=name) for name in ("E11.90", "I10.90", "J44.99"))
    found = code.run(visit(record=consultation.Record(conditions=conditions)), NOTHING, note(("P", plan))).diagnoses
    assert [one.code for one in found] == expected
    assert all(results.Evidence(record=one.code) in one.evidence for one in found)


@pytest.mark.parametrize(
    ("parts", "side"),
    [
        ([("A", "Gonarthrose."), ("O", "Erguss im rechten Knie.")], "R"),
        ([("A", "Gonarthrose rechts und Coxarthrose links.")], "R"),
        ([("A", "Gonarthrose bds.")], "B"),
        ([("A", "Gonarthrose."), ("O", "Linke Lunge frei.")], None),
        ([("A", "Gonarthrose."), ("O", "Rechtes Knie dick, linkes Knie schlank.")], None),
        ([("A", "Gonarthrose."), ("A", "Ohrenschmalzpfropf links.")], None),
    ],
)
def test_a_side_that_stands_elsewhere_counts_where_it_is_the_only_one(
    note: Note, visit: Visit, parts: list[tuple[str, ...]], side: str | None
) -> None:
    found = code.run(visit(), NOTHING, note(*parts)).diagnoses
    assert [one.side for one in found if one.code.startswith("M17")] == [side]


@pytest.mark.parametrize(
    ("text", "since"),
    [
        ("Gicht seit drei Tagen", "2026-06-12"),
        ("Gicht seit zwei Wochen", "2026-06"),
        ("Gicht seit 5 Jahren", "2021"),
        ("Gicht seit 2019", "2019"),
        ("Gicht", None),
        ("Gicht seit ewigen Zeiten", None),
    ],
)
def test_onset_is_no_finer_than_it_was_told(visit: Visit, text: str, since: str | None) -> None:
    assert mention.since(text, dt.date(2026, 6, 15)) == since


@pytest.mark.parametrize(
    ("text", "known", "expected"),
    [
        ("COPD stabil.", "J44.11", "J44.91"),
        ("Hypertonie gut eingestellt.", "I10.91", "I10.90"),
        ("Asthma stabil.", "J45.9", "J45.99"),
        ("Diabetes gut eingestellt.", "E11.91", "E11.90"),
    ],
)
def test_a_flare_of_the_record_and_a_code_of_another_year_are_not_todays(
    note: Note, visit: Visit, text: str, known: str, expected: str
) -> None:
    record = consultation.Record(conditions=(consultation.Condition(id="c1", text=known, code=known),))
    assert coded(visit(record=record), note(("A", text))) == [(expected, "G")]


def test_a_star_code_of_the_record_hangs_on_no_stranger(note: Note, visit: Visit) -> None:
    record = consultation.Record(conditions=(consultation.Condition(id="c1", text="Demenz", code="F00.9"),))
    given = note(("A", "Akute Bronchitis."), ("P", "Donepezil weiter."))
    assert coded(visit(record=record), given) == [("J20.9", "G")]


def test_a_value_is_coded_where_it_was_treated(note: Note, visit: Visit) -> None:
    assert coded(visit(), note(("O", "Kalium 2,9 mmol/l."))) == []
    assert coded(visit(), note(("O", "Kalium 2,9 mmol/l, über den Tropf aufgefüllt."))) == [("E87.6", "G")]
