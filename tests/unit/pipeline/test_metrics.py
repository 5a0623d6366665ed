"""`pipeline.evaluation.metrics`: recall, polarity, fabrication and length on a note made by hand."""

from collections.abc import Mapping

import pytest

from pipeline import results, segments
from pipeline.evaluation import cases, metrics

SAID = "Ich habe seit drei Tagen Husten, aber kein Fieber."
TRANSCRIPT = segments.Transcript(
    segments=(segments.Segment(number=1, source="d", speaker="patient", text=SAID, start=0, end=len(SAID)),)
)


MIGRAINE = cases.named("migraine")


def case(*facts: Mapping[str, object], fabricated: tuple[str, ...] = ()) -> cases.Case:
    """A case with these gold facts."""
    gold = cases.Gold.model_validate({"facts": facts, "fabricated": fabricated})
    return MIGRAINE.model_copy(update={"gold": gold})


def statement(number: int, text: str, polarity: results.Polarity, section: results.Section = "S") -> results.Statement:
    """A statement on the one segment."""
    evidence = (results.Evidence(segment=1, start=0, end=len(SAID)),)
    return results.Statement(id=f"s{number}", section=section, text=text, polarity=polarity, evidence=evidence)


COUGH = {"section": "S", "all": [["husten"], ["drei tag", "3 tag"]], "polarity": "affirmed"}
FEVER = {"section": "S", "all": [["fieber"]], "polarity": "negated"}


def score(given: cases.Case, *statements: results.Statement) -> metrics.NoteScore:
    """The figures of a note of these statements."""
    return metrics.note_score(given, TRANSCRIPT, results.Note(statements=statements))


def test_a_perfect_note() -> None:
    found = score(
        case(COUGH, FEVER), statement(1, "Husten seit drei Tagen.", "affirmed"), statement(2, "Kein Fieber.", "negated")
    )
    assert found.recall == 1.0 and found.missed == () and found.wrong_polarity == 0 and found.fabricated == ()
    assert (found.statements, found.sections) == (2, 1)
    assert found.found["S"] == found.expected["S"] == 2


def test_what_is_missing_lowers_the_recall() -> None:
    found = score(case(COUGH, FEVER), statement(1, "Husten seit drei Tagen.", "affirmed"))
    assert found.recall == 0.5 and len(found.missed) == 1 and "fieber" in found.missed[0]


def test_the_wrong_polarity_is_no_hit() -> None:
    found = score(case(FEVER), statement(1, "Fieber.", "affirmed"))
    assert found.recall == 0.0 and found.wrong_polarity == 1


def test_the_wrong_section_is_no_hit_and_is_told() -> None:
    found = score(case(COUGH), statement(1, "Husten seit drei Tagen.", "affirmed", "A"))
    assert found.recall == 0.0 and "A" in found.missed[0]


def test_every_group_must_stand_in_one_statement() -> None:
    found = score(case(COUGH), statement(1, "Husten.", "affirmed"), statement(2, "Seit drei Tagen.", "affirmed"))
    assert found.recall == 0.0


def test_no_gold_fact_no_loss() -> None:
    assert score(case(), statement(1, "Husten.", "affirmed")).recall == 1.0


@pytest.mark.parametrize(
    ("text", "planted", "count"),
    [
        ("Husten seit 9 Tagen.", (), 1),
        ("Husten.", ("husten",), 1),
        ("Husten.", ("durchfall",), 0),
        ("Durchfall.", ("durchfall",), 2),
    ],
)
def test_fabrications(text: str, planted: tuple[str, ...], count: int) -> None:
    found = metrics.fabrications(
        case(fabricated=planted), TRANSCRIPT, results.Note(statements=(statement(1, text, "affirmed"),))
    )
    assert len(found) == count
    assert all(fault.startswith("s1") for fault in found)
