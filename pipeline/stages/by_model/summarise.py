"""The summary for the patient by a model: from the note's statements, never from the talk."""

from __future__ import annotations

from typing import Any

from pipeline import results, segments
from pipeline.engines import shapes
from pipeline.engines.serving import Judged, Question
from pipeline.grounding import summary
from pipeline.stages import summarise

_TEXT = 220  # characters of a sentence at most
_MOST_CITED = 6  # statements that a sentence rests on


def question(note: results.Note) -> Question | None:
    """The note's statements, and three to five sentences as the answer; None without any statement."""
    if not note.statements:
        return None
    lines = "\n".join(f"({s.id}) {s.section}: {s.text}" for s in note.statements)
    sentence = shapes.obj(
        aussagen=shapes.array(shapes.one_of(*(s.id for s in note.statements)), _MOST_CITED, 1),
        text=shapes.string(_TEXT, 10),
    )
    return Question(
        user=lines,
        shape=shapes.Shape(json_schema=shapes.obj(saetze=shapes.array(sentence, summary.MOST, summary.FEWEST))),
    )


def judge(
    value: dict[str, Any], note: results.Note, transcript: segments.Transcript, readability: float
) -> Judged[results.PatientSummary]:
    """The sentences that the note carries, as far as they make a summary that a patient can read."""
    by_id = {statement.id: statement for statement in note.statements}
    proposed = results.PatientSummary(
        sentences=tuple(
            results.Statement(
                id=f"p{number}",
                section="P",
                text=item["text"],
                polarity="affirmed",
                evidence=tuple(dict.fromkeys(e for name in item["aussagen"] for e in by_id[name].evidence)),
            )
            for number, item in enumerate(value["saetze"], start=1)
        ),
        notice=summarise.NOTICE,
    )
    accepted, rejected = summary.check(proposed, note, transcript, flesch=readability)
    fault = "" if accepted else "Deine erste Zusammenfassung sagt etwas anderes als die Notiz oder ist schwer zu lesen."
    return Judged(accepted, rejected, fault)
