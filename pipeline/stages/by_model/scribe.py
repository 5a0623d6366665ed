"""The note by a model: it words and cites, the gate decides, and what must not be missing is added."""

from __future__ import annotations

from typing import Any

from pipeline import consultation, results, segments
from pipeline.engines import shapes
from pipeline.engines.serving import Judged, Question
from pipeline.grounding import faults, gate, omissions
from pipeline.stages import scribe
from pipeline.stages.by_model import talk

_POLARITIES: dict[str, results.Polarity] = {
    "bejaht": "affirmed",
    "verneint": "negated",
    "unsicher": "uncertain",
    "früher": "historical",
    "familie": "family",
}
_TEXT = 200  # characters of a statement at most
_MOST = 60  # statements
_FILLED = 2  # statements of the rules engine in a section that a model must not leave empty


def question(transcript: segments.Transcript) -> Question | None:
    """The talk, and statements as the answer; None where nothing was said."""
    if not talk.texts(transcript):
        return None
    item = shapes.obj(
        abschnitt=shapes.one_of(*results.SECTIONS), art=shapes.one_of(*_POLARITIES), text=shapes.string(_TEXT, 3)
    )
    most = min(_MOST, 4 + 2 * len(transcript.segments))
    return Question(user=talk.lines(transcript), shape=talk.shape(transcript, item, most))


def judge(
    value: dict[str, Any], documented: consultation.Consultation, transcript: segments.Transcript
) -> Judged[results.Note]:
    """The statements that hold, completed by the critical facts that they leave out.

    An answer is of no use when more of it falls than holds, or when it leaves a section empty in which the rules engine
    finds several statements.
    """
    statements: list[results.Statement] = []
    rejected: list[results.Rejected] = []
    for number, item in enumerate(value["stellen"], start=1):
        cited = talk.evidence(item["belege"], transcript)
        if isinstance(cited, faults.Fault):
            rejected.append(talk.refused("scribe", item["text"], cited))
            continue
        statements.append(
            results.Statement(
                id=f"s{number}",
                section=item["abschnitt"],
                text=item["text"],
                polarity=_POLARITIES[item["art"]],
                evidence=cited,
            )
        )
    note = gate.check(statements, transcript)
    rejected += note.rejected
    reference = scribe.run(documented, transcript)
    if not value["stellen"] and not reference.statements:
        return Judged(note)
    if len(note.statements) <= len(rejected):
        return Judged(None, tuple(rejected), "Die meisten deiner Aussagen stehen so nicht im Gespräch.")
    empty = [s for s in results.SECTIONS if not note.section(s) and len(reference.section(s)) >= _FILLED]
    if empty:
        return Judged(None, tuple(rejected), f"In deiner ersten Antwort fehlt der Abschnitt {', '.join(empty)}.")
    return Judged(omissions.completed(note, reference, transcript), tuple(rejected))
