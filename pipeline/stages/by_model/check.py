"""What the prescribing check must know of, found by a model: it points at places, the rules read them."""

from __future__ import annotations

from typing import Any

from pipeline import consultation, results, segments, situation
from pipeline.engines import shapes
from pipeline.engines.serving import Judged, Question
from pipeline.grounding import faults
from pipeline.stages import check
from pipeline.stages.by_model import talk
from terminology.drugs import catalogue as drugs
from terminology.icd10gm import wording

#: The section that a place belongs to, by what the model says that it is.
_SECTIONS: dict[str, results.Section] = {"verordnet": "P", "genommen": "S", "allergie": "S", "erkrankung": "A"}
_MOST = 24  # places


def question(transcript: segments.Transcript) -> Question | None:
    """The talk, and places of drugs, allergies and illnesses as the answer; None where nothing was said."""
    if not talk.texts(transcript):
        return None
    item = shapes.obj(was=shapes.one_of(*_SECTIONS))
    return Question(user=talk.lines(transcript), shape=talk.shape(transcript, item, _MOST))


def judge(
    value: dict[str, Any],
    documented: consultation.Consultation,
    transcript: segments.Transcript,
    note: results.Note,
) -> Judged[results.SafetyCheck]:
    """The check of what the note says and of what was found besides. A model can add to it and take nothing away."""
    found, rejected = talk.places("check", value["stellen"], "was", transcript, _SECTIONS.__getitem__, _foreign)
    if rejected and not found:
        return Judged(None, tuple(rejected), "Deine Stellen nennen nicht, was du über sie sagst.")
    more = note.model_copy(update={"statements": (*note.statements, *found)})
    by_rules = check.run(documented, transcript, note)
    return Judged(check.united(by_rules, check.run(documented, transcript, more)), tuple(rejected))


def _foreign(kind: str, statement: results.Statement, transcript: segments.Transcript) -> faults.Fault | None:
    """Why a place is not what the model says that it is."""
    if kind == "erkrankung":
        return None if wording.find(statement.text) else faults.CHECKS["diagnosis"]
    if kind == "allergie":
        return None if situation.names_allergy(statement.text) else faults.CHECKS["diagnosis"]
    speaker = transcript.segment(statement.evidence[0].segment or 0).speaker
    if not drugs.find(statement.text) or situation.names_allergy(statement.text):
        return faults.CHECKS["drug"]
    return faults.CHECKS["person"] if kind == "verordnet" and speaker in ("patient", "relative") else None
