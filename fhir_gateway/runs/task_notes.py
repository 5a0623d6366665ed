"""What the Task of a run tells in words: the check's three states, what was refused, what is missing, who must look."""

from __future__ import annotations

import collections
from collections.abc import Iterator

from pipeline import consultation, results, segments
from pipeline.grounding import omissions

#: How bad a refused statement would have been in the chart.
_HARMS: dict[results.Harm, str] = {"critical": "kritisch", "major": "schwer", "minor": "leicht"}
_STAGES = {
    "scribe": "Notiz",
    "summarise": "Zusammenfassung",
    "code": "Kodierung",
    "check": "Verordnungsprüfung",
    "bill": "Abrechnung",
}
#: What happened to a question to a model.
_OUTCOMES = {
    "unavailable": "nicht erreichbar",
    "timeout": "keine Antwort in der Zeit",
    "disabled": "abgeschaltet",
    "refused": "Anfrage nicht möglich",
    "invalid": "Antwort nicht nach dem Schema",
    "truncated": "Antwort abgeschnitten",
    "loop": "Antwort wiederholt sich",
    "empty": "Antwort leer",
    "ungrounded": "Antwort nicht belegt",
}


def of(
    documented: consultation.Consultation,
    transcript: segments.Transcript,
    note: results.Note,
    summary: results.PatientSummary,
    coding: results.Coding,
    checked: results.SafetyCheck,
    billing: results.Billing | None,
) -> tuple[str, ...]:
    """German sentences, the most important first."""
    works = {"scribe": note.work, "summarise": summary.work, "code": coding.work, "check": checked.work}
    if billing is not None:
        works["bill"] = billing.work
    told = [sentence for stage, work in works.items() for sentence in _of_work(stage, work)]
    told += [_left_out(fact) for fact in omissions.uncarried(note, transcript) if not fact.is_denied_warning]
    told += [checked.covered, *checked.gaps]
    if checked.status == "none":
        told.append("Verordnungsprüfung: kein Hinweis gefunden.")
    added = sum(statement.is_added for statement in note.statements)
    if added:
        count = "1 Aussage" if added == 1 else f"{added} Aussagen"
        told.append(f"Vom Regelwerk ergänzt, weil das Modell es ausgelassen hat: {count}.")
    fallen = refused(note, summary, coding, checked, billing)
    if fallen:
        told.append(_count(fallen))
    if billing is None:
        told.append(_why_no_claim(documented))
    else:
        if billing.assumed:
            told.append(f"Versicherungsart nicht übermittelt: Abrechnung nach {billing.schedule} angenommen.")
        told += list(billing.missing)
    return tuple(told)


def refused(
    note: results.Note,
    summary: results.PatientSummary,
    coding: results.Coding,
    checked: results.SafetyCheck,
    billing: results.Billing | None,
) -> tuple[results.Rejected, ...]:
    """What did not hold, in the order of the stages; what a model proposed twice stands there once."""
    fallen = (*note.rejected, *summary.rejected, *coding.rejected, *checked.rejected)
    fallen = (*fallen, *(billing.refused if billing else ()))
    return tuple({(item.stage, item.proposal, item.reason): item for item in fallen}.values())


def _count(fallen: tuple[results.Rejected, ...]) -> str:
    graded = collections.Counter(_HARMS[item.harm] for item in fallen if item.harm)
    detail = ", ".join(f"{graded[word]} {word}" for word in _HARMS.values() if graded[word])
    count = "1 Vorschlag" if len(fallen) == 1 else f"{len(fallen)} Vorschläge"
    return f"Nicht übernommen: {count}{f' ({detail})' if detail else ''}. Jeder steht mit seinem Grund in output."


def _left_out(fact: omissions.Critical) -> str:
    where = f"Abschnitt {fact.segment} des Gesprächs"
    return f"Bitte prüfen: Gesagt, aber in keiner Aussage der Notiz: {fact.label} ({where})."


def _of_work(stage: str, work: results.Work) -> Iterator[str]:
    """Who must look: nobody's model answered, or an answer was brought to its end by force."""
    if work.needs_human:
        why = "; ".join(
            f"{attempt.model}: {_OUTCOMES.get(attempt.outcome, attempt.outcome)}" for attempt in work.attempts
        )
        yield (
            f"Bitte prüfen: Kein Modell hat für die {_STAGES[stage]} eine brauchbare Antwort gegeben ({why}). "
            "Das Ergebnis stammt vom Regelwerk."
        )
    used = next((attempt for attempt in work.attempts if attempt.outcome == "used"), None)
    if used is not None and used.is_closed:
        yield f"Bitte prüfen: Die Antwort des Modells für die {_STAGES[stage]} wurde gekürzt."


def _why_no_claim(documented: consultation.Consultation) -> str:
    if documented.encounter.setting == "hospital":
        return "Stationärer Kontakt: kein Abrechnungsvorschlag nach EBM oder GOÄ."
    if documented.day is None:
        return "Der Behandlungstag ist nicht übermittelt: kein Abrechnungsvorschlag."
    if documented.encounter.insurance is None:
        return "Versicherungsart nicht übermittelt: kein Abrechnungsvorschlag."
    return "Keine dokumentierte Leistung: kein Abrechnungsvorschlag."
