"""Documented services, found by a model: it points at places, the tables and rules of the schedules decide."""

from __future__ import annotations

from typing import Any

from pipeline import consultation, results, segments
from pipeline.engines import shapes
from pipeline.engines.serving import Judged, Question
from pipeline.grounding import faults
from pipeline.stages import bill
from pipeline.stages.by_model import talk
from terminology.billing import catalogue
from terminology.german import vocabulary

_MOST = 16  # places


def question(transcript: segments.Transcript) -> Question | None:
    """The talk and the services, and places as the answer; None where nothing was said."""
    if not talk.texts(transcript):
        return None
    services = catalogue.services()
    listed = [f"{service.key}: {service.title}" for service in services]
    item = shapes.obj(leistung=shapes.one_of(*(service.key for service in services)))
    return Question(
        user="\n".join(["Leistungen:", *listed, "", "Gespräch:", talk.lines(transcript)]),
        shape=talk.shape(transcript, item, _MOST),
    )


def judge(
    value: dict[str, Any],
    documented: consultation.Consultation,
    transcript: segments.Transcript,
    note: results.Note,
    coding: results.Coding,
    insurance_when_unknown: consultation.Insurance | None,
) -> Judged[results.Billing]:
    """The proposal for what the note documents and what was found besides."""
    found, rejected = talk.places("bill", value["stellen"], "leistung", transcript, lambda _service: "O", _foreign)
    if rejected and not found:
        return Judged(None, tuple(rejected), "Deine Stellen dokumentieren nicht, was du über sie sagst.")
    return Judged(bill.run(documented, transcript, note, coding, insurance_when_unknown, found), tuple(rejected))


def _foreign(service: str, statement: results.Statement, transcript: segments.Transcript) -> faults.Fault | None:
    """Why a place does not document the service."""
    speaker = transcript.segment(statement.evidence[0].segment or 0).speaker
    if speaker in ("patient", "relative") or vocabulary.lexicon("relatives").find(statement.text):
        return faults.CHECKS["person"]
    is_named = any(found.key == service for found in catalogue.services_in(statement.text))
    return None if is_named and statement.polarity == "affirmed" else faults.CHECKS["service"]
