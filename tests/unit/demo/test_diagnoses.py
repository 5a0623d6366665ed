"""The page of the diagnoses: what a person reads of the Conditions."""

from __future__ import annotations

import io

from rich.console import Console

from fhir_gateway.demo import pages, reading, record_system
from pipeline import results
from tests.unit.mappers.results_to_fhir import coded
from tests.unit.mappers.results_to_fhir.coded import HOSPITAL, PRACTICE

WIDTH = 240  # no title breaks


def page(diagnoses: tuple[results.CodedDiagnosis, ...]) -> list[str]:
    """The lines below the heading, without the empty ones and their indentation."""
    console = Console(file=io.StringIO(), width=WIDTH)
    answers = record_system.Answers("", (), {}, (), {}, None, {})
    read = [reading.diagnosis(condition) for condition in coded.conditions(diagnoses)]
    pages.Pages(console, answers).diagnoses(read)
    assert isinstance(console.file, io.StringIO)
    lines = [line.strip() for line in console.file.getvalue().splitlines() if line.strip()]
    assert lines[0].startswith("DIAGNOSEN (ICD-10-GM, VORSCHLAG)")
    return lines[1:]


def numbered(lines: list[str]) -> list[str]:
    return [line for line in lines if line[0].isdigit()]


def test_certainty_side_onset_and_the_pair_stand_with_the_title() -> None:
    titles = [" ".join(line.split()) for line in numbered(page(PRACTICE))]
    assert titles[0].endswith("M51.1† G Lumbale und sonstige Bandscheibenschäden mit Radikulopathie "
                              "(gesichert, links, seit 05.2026)")  # fmt: skip
    assert titles[1].endswith("(gesichert, links, zu M51.1†)")
    assert titles[2].endswith("(gesichert, seit 08.06.2026)")
    assert titles[3].startswith("4. B96.2! G")
    assert titles[3].endswith("(gesichert, zu N39.0)")
    assert titles[4].endswith("Vorhofflimmern, permanent (gesichert, seit 2019)")
    assert titles[5].endswith("(gesichert, beiderseits)")
    assert titles[6].endswith("(Verdacht)")
    assert titles[7].endswith("(Zustand nach, seit 2015)")
    assert titles[8].endswith("(ausgeschlossen, rechts)")


def test_an_in_patient_has_no_certainty() -> None:
    lines = page(HOSPITAL)
    assert len(numbered(lines)) == len(HOSPITAL)
    assert not any("gesichert" in line or "Verdacht" in line for line in lines)
    assert [" ".join(line.split()) for line in numbered(lines) if "J18.9" in line] == [
        "7. J18.9 Pneumonie, nicht näher bezeichnet"
    ]


def test_the_reason_the_remark_and_the_runner_up_each_have_a_line() -> None:
    lines = page(PRACTICE)
    after = lines.index(next(line for line in lines if "M17.1" in line)) + 1
    assert lines[after : after + 3] == [
        "„Befunde“ in der Beurteilung. [1]",
        "Nicht dokumentiert: Ursache.",
        "Nächstliegend: M17.9 Gonarthrose, nicht näher bezeichnet.",
    ]


def test_nothing_coded() -> None:
    assert page(()) == ["Keine Diagnose vorgeschlagen."]
