"""`pipeline.stages.code`: ICD-10-GM by the catalogue of the day, with certainty and side."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal

import pytest

from pipeline import consultation, results, segments
from pipeline.stages import code
from terminology.german import polarity
from terminology.icd10gm import catalogue, starter, wording

Note = Callable[..., results.Note]
Visit = Callable[..., consultation.Consultation]
NOTHING = segments.Transcript(segments=())


def coded(visit: consultation.Consultation, note: results.Note) -> dict[str, results.CodedDiagnosis]:
    """The codes of a note."""
    return {found.code: found for found in code.run(visit, NOTHING, note).diagnoses}


@pytest.mark.parametrize(
    ("text", "says", "name", "certainty"),
    [
        ("Akute Bronchitis.", "affirmed", "J20.9", "G"),
        ("Verdacht auf Pneumonie.", "uncertain", "J18.9", "V"),
        ("Am ehesten akute Bronchitis.", "uncertain", "J20.9", "V"),
        ("Eine Pneumonie ist ausgeschlossen.", "negated", "J18.9", "A"),
        ("Zustand nach Gastritis.", "historical", "K29.7", "Z"),
        ("Migräne.", "affirmed", "G43.9", "G"),
    ],
)
def test_certainty(note: Note, visit: Visit, text: str, says: str, name: str, certainty: str) -> None:
    found = coded(visit(), note(("A", text, says)))
    assert found[name].certainty == certainty
    assert found[name].title == catalogue.edition_of(2026).codes[name].title
    assert found[name].evidence and found[name].statement == "s1"


@pytest.mark.parametrize(
    ("section", "text", "says"),
    [
        ("A", "Kein Anhalt für Pneumonie.", "negated"),
        ("A", "Die Mutter hatte eine Pneumonie.", "family"),
        ("A", "Keine Pneumonie, keine Bronchitis.", "negated"),
        ("S", "Die Mutter hat Migräne.", "family"),
        ("S", "Keine Migräne.", "negated"),
    ],
)
def test_what_is_denied_or_somebody_elses_is_not_coded(
    note: Note, visit: Visit, section: str, text: str, says: str
) -> None:
    assert not any(found.certainty != "A" for found in coded(visit(), note((section, text, says))).values())


def test_a_denied_finding_is_no_excluded_diagnosis(note: Note, visit: Visit) -> None:
    assert coded(visit(), note(("A", "Kein Anhalt für Pneumonie.", "negated"))) == {}


@pytest.mark.parametrize(
    ("text", "side"),
    [
        ("Gonarthrose rechts.", "R"),
        ("Gonarthrose am linken Knie.", "L"),
        ("Gonarthrose beidseits.", "B"),
        ("Gonarthrose.", None),
    ],
)
def test_side(note: Note, visit: Visit, text: str, side: str | None) -> None:
    (found,) = coded(visit(), note(("A", text))).values()
    assert found.code.startswith("M17") and found.side == side


def test_no_side_where_the_code_has_none(note: Note, visit: Visit) -> None:
    assert coded(visit(), note(("A", "Migräne, Schmerz rechts.")))["G43.9"].side is None


@pytest.mark.parametrize(("egfr", "name"), [("27", "N18.4"), ("62", "N18.2"), ("45", "N18.3"), ("12", "N18.5")])
def test_the_egfr_decides_the_stage(note: Note, visit: Visit, egfr: str, name: str) -> None:
    given = note(("O", f"eGFR {egfr} ml/min."), ("A", "Chronische Nierenkrankheit."))
    assert name in coded(visit(), given)


def test_the_egfr_of_the_record_counts_where_today_has_none(note: Note, visit: Visit) -> None:
    observation = consultation.Observation(id="o", name="eGFR", value=Decimal(34), at=dt.date(2026, 4, 1))
    record = consultation.Record(observations=(observation,))
    found = coded(visit(record=record), note(("A", "Chronische Nierenkrankheit.")))
    assert "N18.3" in found
    newer = note(("O", "eGFR 27 ml/min."), ("A", "Chronische Nierenkrankheit."))
    assert "N18.4" in coded(visit(record=record), newer)


def test_no_symptom_beside_its_diagnosis(note: Note, visit: Visit) -> None:
    both = code.run(visit(), NOTHING, note(("S", "Husten."), ("A", "Husten bei akuter Bronchitis.")))
    assert [found.code for found in both.diagnoses] == ["J20.9"]
    alone = coded(visit(), note(("S", "Husten seit drei Tagen."), ("A", "Husten.")))
    assert "R05" in alone


def test_symptoms_where_nobody_named_a_diagnosis(note: Note, visit: Visit) -> None:
    found = coded(visit(), note(("S", "Husten."), ("S", "Kein Fieber.", "negated")))
    assert "R05" in found and not any(name.startswith("R50") for name in found)


def test_a_symptom_with_its_own_reason_stays(note: Note, visit: Visit) -> None:
    found = coded(visit(), note(("A", "Akute Bronchitis und Schwindel.")))
    assert {"J20.9"} <= found.keys()


def test_years(note: Note, visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    older, newer = starter.load(2025).codes, starter.load(2026).codes
    new = next(found for name, found in newer.items() if name.startswith("U54"))
    gone = next(found for name, found in older.items() if name not in newer)
    term = wording.Term(0, 3, "Abc", "", "diagnosis")
    for found, held in ((new, 2026), (gone, 2025)):
        here = wording.Term(term.start, term.end, term.text, found.code, term.kind)
        monkeypatch.setattr(wording, "find", lambda text, here=here: [here])
        for year in (2025, 2026):
            coding = code.run(visit(year=year), NOTHING, note(("A", "Abc.")))
            names = {diagnosis.code for diagnosis in coding.diagnoses}
            assert all(diagnosis.year == year for diagnosis in coding.diagnoses)
            if year != held:
                assert found.code not in names
                assert any(found.code in fallen.proposal and str(year) in fallen.reason for fallen in coding.rejected)
            elif not found.sex and found.age_from is None:
                assert found.code in names


def test_in_patients_have_no_certainty(note: Note, visit: Visit) -> None:
    given = note(("A", "Akute Bronchitis."), ("A", "Verdacht auf Lungenembolie.", "uncertain"))
    found = coded(visit(setting="hospital"), given)
    assert found and all(diagnosis.certainty is None for diagnosis in found.values())
    excluded = note(
        ("A", "Eine Pneumonie ist ausgeschlossen.", "negated"), ("A", "Zustand nach Migräne.", "historical")
    )
    assert not coded(visit(setting="hospital"), excluded).keys() & {"J18.9", "G43.9"}


@pytest.mark.parametrize(
    ("text", "sex", "born", "holds"),
    [
        ("Prostatakarzinom.", "male", 1950, True),
        ("Prostatakarzinom.", "female", 1950, False),
        ("Prostatakarzinom.", None, 1950, True),
        ("Endometriose.", "female", 1990, True),
        ("Endometriose.", "male", 1990, False),
    ],
)
def test_sex(note: Note, visit: Visit, text: str, sex: consultation.Sex | None, born: int, holds: bool) -> None:
    """The sex of a code is a Kann-Fehler throughout ICD-10-GM: it is told, and the code stands."""
    (diagnosis,) = code.run(visit(sex=sex, born=born), NOTHING, note(("A", text))).diagnoses
    assert ("Geschlecht" in (diagnosis.remark or "")) is not holds


@pytest.mark.parametrize(("born", "holds"), [(1958, True), (2008, True), (2009, False), (None, True)])
def test_age(note: Note, visit: Visit, monkeypatch: pytest.MonkeyPatch, born: int | None, holds: bool) -> None:
    # E66.00 is for patients of 18 years and older (BfArM, ICD-10-GM 2025, age error "M")
    monkeypatch.setattr(wording, "find", lambda text: [wording.Term(0, 3, "Abc", "E66.00", "diagnosis")])
    coding = code.run(visit(born=born), NOTHING, note(("A", "Abc.")))
    assert ("E66.00" in {diagnosis.code for diagnosis in coding.diagnoses}) is holds
    assert any("Alter" in fallen.reason for fallen in coding.rejected) is not holds


def test_ranks_are_counted_and_codes_are_unique(note: Note, visit: Visit) -> None:
    given = note(("A", "Akute Bronchitis."), ("A", "Arterielle Hypertonie."), ("A", "Nochmals akute Bronchitis."))
    found = code.run(visit(), NOTHING, given).diagnoses
    assert [diagnosis.rank for diagnosis in found] == list(range(1, len(found) + 1))
    assert len({(diagnosis.code, diagnosis.side) for diagnosis in found}) == len(found)


def test_a_star_code_stands_with_its_primary(note: Note, visit: Visit) -> None:
    found = coded(visit(), note(("A", "Diabetes mellitus Typ 2 mit diabetischer Polyneuropathie.")))
    assert found["G63.2"].mark == "*"
    assert any(name.startswith("E11") for name in found)


def test_known_chronic_illness_treated_today_is_coded(note: Note, visit: Visit) -> None:
    record = consultation.Record(
        conditions=(
            consultation.Condition(id="c1", text="Hypertonie", code="I10.90"),
            consultation.Condition(id="c2", text="COPD", code="J44.99"),
        )
    )
    found = coded(visit(record=record), note(("P", "Wegen der Hypertonie Ramipril weiter.")))
    assert set(found) == {"I10.90"}
    assert results.Evidence(record="c1") in found["I10.90"].evidence


def test_nothing_said_nothing_coded(note: Note, visit: Visit) -> None:
    assert code.run(visit(), NOTHING, note()) == results.Coding(diagnoses=())


@pytest.mark.parametrize("text", ["Thrombose schließe ich aus.", "Ausschluss Pneumonie.", "V. a. Pneumonie."])
def test_what_was_ruled_out_or_suspected_is_not_certain(note: Note, visit: Visit, text: str) -> None:
    from_words = results.Statement.model_validate(
        {"id": "s1", "section": "A", "text": text, "polarity": polarity.of(text), "evidence": ()}
    )
    coding = code.run(visit(), NOTHING, results.Note(statements=(from_words,)))
    assert "G" not in {diagnosis.certainty for diagnosis in coding.diagnoses}


def test_a_reaction_to_a_drug_is_no_symptom_of_today(note: Note, visit: Visit) -> None:
    noted = note(("S", "Auf Novalgin hab ich Ausschlag gekriegt."))
    assert code.run(visit(), segments.Transcript(segments=()), noted).diagnoses == ()
