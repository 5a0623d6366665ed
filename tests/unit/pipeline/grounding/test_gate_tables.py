"""The gate on invented talks: what was changed falls by the check that is meant for it, what was reworded passes."""

import csv
from pathlib import Path

import pytest

from pipeline import results, segments
from pipeline.grounding import faults, gate

SPEAKERS: dict[str, segments.Speaker] = {"P": "patient", "D": "doctor", "R": "relative", "N": "nurse"}


def rows(name: str) -> list[dict[str, str]]:
    """The rows of the tables in the folder of this name."""
    found: list[dict[str, str]] = []
    for path in sorted((Path(__file__).parent / name).glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            found += csv.DictReader(file, delimiter="|")
    return found


def talk(said: str) -> segments.Transcript:
    """Segments from "D: question // P: answer"."""
    turns = [turn.split(": ", 1) for turn in said.split(" // ")]
    return segments.Transcript(
        segments=tuple(
            segments.Segment(number=n, source="d", speaker=SPEAKERS[who], text=text, start=0, end=len(text))
            for n, (who, text) in enumerate(turns, start=1)
        )
    )


def statement(row: dict[str, str], transcript: segments.Transcript) -> results.Statement:
    """The statement of a row, citing the whole talk."""
    return results.Statement.model_validate(
        {
            "id": "s1",
            "section": row["section"],
            "text": row["statement"],
            "polarity": row["polarity"],
            "evidence": tuple(
                results.Evidence(segment=s.number, start=0, end=len(s.text)) for s in transcript.segments
            ),
        }
    )


@pytest.mark.parametrize("row", rows("refused"), ids=lambda row: f"{row['check']}: {row['statement']}")
def test_what_was_changed_is_refused(row: dict[str, str]) -> None:
    heard = talk(row["said"])
    fault = gate.fault(statement(row, heard), heard)
    assert fault is not None
    assert fault == faults.CHECKS[row["check"]]


@pytest.mark.parametrize("row", rows("carried"), ids=lambda row: row["statement"])
def test_what_was_reworded_passes(row: dict[str, str]) -> None:
    heard = talk(row["said"])
    assert gate.fault(statement(row, heard), heard) is None


def test_every_check_of_one_statement_is_tried() -> None:
    tried = {row["check"] for row in rows("refused")}
    elsewhere = {"length", "characters", "evidence", "quote", "repeated", "contradiction", "specificity", "service"}
    assert set(faults.CHECKS) - tried <= elsewhere


def test_the_tables_are_as_large_as_they_claim() -> None:
    assert len(rows("refused")) >= 120
    assert len(rows("carried")) >= 80
