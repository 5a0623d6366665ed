"""`pipeline.evaluation.measures`: the numbers of one result, and `checks`: what the gate's checks are about."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from pipeline import documenting, results, segments
from pipeline.evaluation import asking, cases, checks, measures
from pipeline.grounding import faults, omissions, summary
from tests.unit.pipeline.evaluation.conftest import CASES


@pytest.fixture(scope="module")
def by_rules() -> documenting.Documented:
    return asking.by_rules(CASES[0], documenting.Options())


def said(*texts: str) -> segments.Transcript:
    return segments.Transcript(
        segments=tuple(
            segments.Segment(number=number, source="d", speaker="patient", text=text, start=0, end=len(text))
            for number, text in enumerate(texts, start=1)
        )
    )


def test_a_red_flag_that_was_denied_is_no_critical_fact_left_out(by_rules: documenting.Documented) -> None:
    transcript = said("Ich nehme Ramipril 5 mg.", "Brustschmerzen habe ich keine.")
    facts = omissions.said(transcript)
    denied = [fact for fact in facts if fact.is_denied_warning]
    assert denied and len(denied) < len(facts)
    silent = dataclasses.replace(by_rules, transcript=transcript, note=results.Note(statements=()))
    numbers = measures.of("scribe", CASES[0], silent).numbers
    assert numbers["note.critical"] == numbers["note.omitted"] == len(facts) - len(denied)


def test_a_warning_that_names_two_forbidden_drugs_is_one_false_alarm(by_rules: documenting.Documented) -> None:
    warning = results.PrescribingWarning(
        rule="r", kind="interaction", severity="high", drugs=("Ibuprofen", "Ramipril"), about=None,
        explanation="e", management="m", source="s", evidence=(),
    )  # fmt: skip
    forbidden = cases.Warnings(forbidden_drugs=("Ibuprofen", "Ramipril"))
    case = CASES[0].model_copy(update={"gold": CASES[0].gold.model_copy(update={"warnings": forbidden})})
    other = warning.model_copy(update={"drugs": ("Metformin",)})
    check = by_rules.check.model_copy(update={"warnings": (warning, other)})
    numbers = measures.of("check", case, dataclasses.replace(by_rules, check=check)).numbers
    assert (numbers["check.alarms"], numbers["check.warnings"]) == (1, 2)


def test_the_reading_ease_is_that_of_what_was_proposed() -> None:
    easy, hard = "Sie haben Husten. Der Hals tut weh.", "Laryngopharyngoskopische Kontrolluntersuchung empfohlen."
    numbers = {"summary.words": 5, "summary.readability": 99.0}
    one = measures.with_ease_of(numbers, [easy])["summary.readability"]
    both = measures.with_ease_of(numbers, [easy, hard])["summary.readability"]
    assert both < one
    assert measures.with_ease_of(numbers, []) == {"summary.words": 5}


def test_every_check_has_a_reason() -> None:
    assert checks.reason("scribe", "drug") == faults.CHECKS["drug"].reason
    assert checks.reason("summarise", "drug").endswith("in der Notiz.")
    assert checks.reason("summarise", "negation") == faults.CHECKS["negation"].reason
    assert checks.reason("scribe", "jargon") == checks.reason("code", "surprise") == ""
    source = Path(summary.__file__).read_text("utf-8")
    named = set(re.findall(r'_(?:Fault|refused)\((?:text, |sentence\.text, )?"([\w-]+)"', source))
    named |= set(summary._FACT_REASONS)
    assert {"jargon", "empty", "readability", "vital", "allergy", "complaint"} <= named
    assert all(checks.reason("summarise", check) for check in named)


def test_what_is_about_form_exists() -> None:
    assert all(checks.reason("summarise", check) for check in checks.FORM)
