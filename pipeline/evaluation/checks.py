"""The checks of the gate as a report tells them: which are about grounding, and the reason of each by stage."""

from __future__ import annotations

from typing import Final

from pipeline.engines import options
from pipeline.grounding import faults

#: Checks of form: what fails one of them may well be true.
FORM: Final = frozenset({"length", "characters", "no-content", "empty", "repeated", "jargon", "readability"})

#: What the gate of the summary (`pipeline.grounding.summary`) says otherwise than that of the note, or alone says.
_SUMMARY: Final = {
    "allergy": "Eine Allergie steht so nicht in der Notiz.",
    "appointment": "Ein Termin oder Zeitraum steht nicht in der Notiz.",
    "certainty": "Eine Diagnose ist in der Notiz nicht sicher.",
    "complaint": "Eine Beschwerde steht nicht in der Notiz.",
    "contradiction": "Die Notiz sagt das Gegenteil.",
    "diagnosis": "Eine Diagnose steht nicht in der Notiz.",
    "dose": "Eine Dosis steht so nicht in der Notiz.",
    "drug": "Ein Medikament steht so nicht in der Notiz.",
    "empty": "Der Satz sagt nichts aus der Notiz.",
    "evidence": "Der Satz hat keinen Beleg.",
    "frequency": "Eine Einnahme steht so nicht in der Notiz.",
    "jargon": "Ein Fachwort, das Patienten nicht verstehen.",
    "lab": "Ein Laborwert steht so nicht in der Notiz.",
    "length": "Die Zusammenfassung ist zu lang oder zu kurz.",
    "number": "Eine Zahl steht nicht in der Notiz.",
    "readability": "Die Zusammenfassung ist schwer zu lesen.",
    "repeated": "Die Zusammenfassung sagt das schon.",
    "vital": "Ein Messwert steht so nicht in der Notiz.",
}


def reason(stage: options.Served, check: str) -> str:
    """Why a check of a stage refuses, in German; empty for one that is not known."""
    if stage == "summarise" and check in _SUMMARY:
        return _SUMMARY[check]
    return faults.CHECKS[check].reason if check in faults.CHECKS else ""
