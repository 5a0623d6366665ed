"""From the note to ICD-10-GM codes. The catalogue of the encounter's year decides what may leave."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from pipeline import consultation, results, segments
from pipeline.coding import candidate, combining, deciding, gathering, visits
from terminology.icd10gm import catalogue, edition, specificity, validation


def run(
    documented: consultation.Consultation,
    transcript: segments.Transcript,
    note: results.Note,
    proposed: Iterable[candidate.Candidate] = (),
) -> results.Coding:
    """The codes of the encounter by rank, and what the catalogue or a rule refused.

    `proposed` stand before what the rules find; catalogue and rules decide on them all the same.
    """
    held = catalogue.edition_of(year_of(documented))
    found = [*proposed, *gathering.assessed(documented, transcript, note, held)]
    found += visits.reasons(documented, transcript, note, held)
    found += gathering.disorders(note, found)
    found += gathering.treated(documented, note, held, found)
    if documented.encounter.setting == "hospital":
        found = deciding.for_hospital(found, is_treated=gathering.is_treated(note))
    if all(one.is_symptom or one.certainty in ("A", "Z") for one in found):
        found += gathering.complaints(note, is_practice=documented.encounter.setting == "practice")
    known = [condition.code for condition in documented.record.conditions if condition.code]
    found = combining.pairs(deciding.unique(combining.diabetes(found, note, held)), held)
    if gathering.is_pregnant(documented, note):
        found = combining.pregnancy(found, held)
    ordered = deciding.with_partners(deciding.ranked(found, known), held)
    return _decided(ordered, documented, held)


def year_of(documented: consultation.Consultation) -> int:
    """The year of the encounter; the newest that there is a catalogue of where its day is not known."""
    return (documented.day or dt.date(catalogue.years()[-1], 1, 1)).year


def _decided(
    candidates: list[candidate.Candidate], documented: consultation.Consultation, held: edition.Edition
) -> results.Coding:
    """The candidates that the year's catalogue and the rules let through."""
    accepted: list[candidate.Candidate] = []
    diagnoses: list[results.CodedDiagnosis] = []
    rejected: list[results.Rejected] = []
    for one in candidates:
        verdict = _verdict(one, candidates, accepted, documented, held)
        if verdict.fault is not None:
            proposal = f"{one.code} {one.reason}"
            rejected.append(
                results.Rejected(stage="code", proposal=proposal, reason=verdict.fault, evidence=one.evidence)
            )
            continue
        accepted.append(one)
        diagnoses.append(_diagnosis(one, held, len(accepted), verdict.warnings, documented))
    return results.Coding(diagnoses=tuple(_with_daggers(diagnoses)), rejected=tuple(rejected))


def _verdict(
    one: candidate.Candidate,
    candidates: list[candidate.Candidate],
    accepted: list[candidate.Candidate],
    documented: consultation.Consultation,
    held: edition.Edition,
) -> validation.Verdict:
    born, day = documented.patient.birth_date, documented.day
    verdict = validation.validate(
        held,
        one.code,
        is_practice=documented.encounter.setting == "practice",
        sex=validation.SEXES.get(documented.patient.sex or "", ""),
        lived=validation.Lived.on(day, born) if born is not None and day is not None else None,
        has_primary=any(other.code == one.primary for other in accepted),
    )
    if verdict.fault is not None:
        return verdict
    covering = deciding.covering(one, candidates)
    if covering is not None:
        return validation.Verdict(f"Symptom von {covering}; es wird neben der Diagnose nicht kodiert.")
    rule = deciding.contradiction(one, accepted, candidates)
    if rule is not None:
        return validation.Verdict(rule.reason)
    return verdict


def _diagnosis(
    one: candidate.Candidate,
    held: edition.Edition,
    rank: int,
    warnings: tuple[str, ...],
    documented: consultation.Consultation,
) -> results.CodedDiagnosis:
    code = held.codes[one.code]
    remarks = [*one.remarks, *warnings]
    if "nicht näher bezeichnet" in code.title:
        missing = specificity.missing(code.code)
        remarks.append(missing or "Die Dokumentation lässt keinen genaueren Kode zu.")
    if documented.day is not None and documented.day.year != held.year:
        remarks.append(f"Kodiert nach dem Katalog {held.year}; für {documented.day.year} ist keiner eingespielt.")
    return results.CodedDiagnosis(
        code=code.code,
        title=code.title,
        year=held.year,
        certainty=one.certainty,
        side=one.side,
        mark=code.mark,
        partner=one.primary if code.mark else None,
        rank=rank,
        statement=one.statement,
        reason=one.reason,
        runner_up=one.runner_up,
        since=one.since,
        remark=" ".join(remarks) or None,
        evidence=one.evidence,
    )


def _with_daggers(diagnoses: list[results.CodedDiagnosis]) -> list[results.CodedDiagnosis]:
    """The codes that a star code stands with carry the dagger."""
    starred = {one.partner for one in diagnoses if one.mark == "*"}
    return [
        one.model_copy(update={"mark": "†"}) if one.mark is None and one.code in starred else one for one in diagnoses
    ]
