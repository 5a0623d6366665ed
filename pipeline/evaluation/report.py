"""The figures of all cases as a table for a person."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pipeline import results
from pipeline.evaluation import cases, coding, metrics
from pipeline.stages import bill, check, code, read_document, scribe
from terminology.icd10gm import catalogue, edition, finding


@dataclass(frozen=True, slots=True)
class CaseScore:
    """Everything measured on one case."""

    name: str
    note: metrics.NoteScore
    codes: metrics.SetScore
    coding: coding.CodingScore
    warnings: metrics.SetScore
    billing: metrics.SetScore
    rejected: int


def score(case: cases.Case) -> CaseScore:
    """Run the stages on one case and measure them."""
    documented = case.consultation
    transcript = read_document.run(documented)
    note = scribe.run(documented, transcript)
    coded = code.run(documented, transcript, note)
    checked = check.run(documented, transcript, note)
    billing = bill.run(documented, transcript, note, coded, None)
    return CaseScore(
        name=case.name,
        note=metrics.note_score(case, transcript, note),
        codes=metrics.code_score(case, coded),
        coding=coding.score(case, coded),
        warnings=metrics.warning_score(case, checked),
        billing=metrics.billing_score(case, billing),
        rejected=len(note.rejected),
    )


def text(folder: Path | None = None, *, details: bool = False, held: edition.Edition | None = None) -> str:
    """The report over the bundled cases, or over those of a folder. Raises cases.NotACase.

    `held`: a catalogue by which the codes are measured a second time, whatever the year of a case.
    """
    measured = cases.read(folder) if folder else cases.bundled()
    scores = [score(case) for case in measured]
    lines = [
        "Rules engine. Recall: gold facts found in their section with the right polarity. Length: note / transcript.",
        "",
    ]
    lines.append(f"{'case':<30}{'recall':>7}{'S':>7}{'O':>7}{'A':>7}{'P':>7}{'fabr.':>7}{'length':>8}{'refused':>9}")
    lines += [_row(found) for found in scores]
    lines += ["", *_totals(scores)]
    lines += ["", "Codes by the catalogue of each case's year", *coding.lines(s.coding for s in scores)]
    if held is not None:
        lines += ["", f"Codes by the given catalogue of {held.year} ({len(held.codes):,} codes)"]
        lines += coding.lines(_coded_by(held, measured))
    if details:
        lines += ["", *_details(scores)]
    return "\n".join(lines)


def _coded_by(held: edition.Edition, measured: Iterable[cases.Case]) -> list[coding.CodingScore]:
    with catalogue.only(held):
        finding.forget()
        try:
            return [score(case).coding for case in measured]
        finally:
            finding.forget()


def _row(found: CaseScore) -> str:
    note = found.note
    sections = "".join(f"{note.found[s]:>4}/{note.expected[s]:<2}" for s in results.SECTIONS)
    return (
        f"{found.name:<30}{note.recall:>7.0%}{sections}{len(note.fabricated):>7}"
        f"{note.length / note.spoken if note.spoken else 0:>8.0%}{found.rejected:>9}"
    )


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%} ({part} of {whole})" if whole else "none expected"


def _totals(scores: Iterable[CaseScore]) -> list[str]:
    scores = list(scores)
    notes = [found.note for found in scores]
    found_facts = sum(sum(n.found.values()) for n in notes)
    gold_facts = sum(sum(n.expected.values()) for n in notes)
    lines = [
        f"fabrication rate          {_share(sum(len(n.fabricated) for n in notes), sum(n.statements for n in notes))}",
        f"fact recall               {_share(found_facts, gold_facts)}",
    ]
    for section in results.SECTIONS:
        found, expected = sum(n.found[section] for n in notes), sum(n.expected[section] for n in notes)
        lines.append(f"  section {section}               {_share(found, expected)}")
    lines.append(f"all four sections         {_share(sum(n.sections == 4 for n in notes), len(notes))}")
    longest = max((n.length / n.spoken for n in notes if n.spoken), default=0.0)
    lines.append(f"longest note              {longest:.0%} of its transcript")
    for name, sets in (
        ("reference codes", [s.codes for s in scores]),
        ("hidden prescribing errors", [s.warnings for s in scores]),
        ("billing items", [s.billing for s in scores]),
    ):
        lines.append(f"{name:<26}{_share(sum(s.found for s in sets), sum(s.expected for s in sets))}")
        lines.append(f"  that must not be        {sum(len(s.forbidden) for s in sets)}")
    return lines


def _details(scores: Iterable[CaseScore]) -> list[str]:
    lines: list[str] = []
    for found in scores:
        told = [f"  missed       {missed}" for missed in found.note.missed]
        told += [f"  fabricated   {fault}" for fault in found.note.fabricated]
        for name, group in (("code", found.codes), ("warning", found.warnings), ("fee", found.billing)):
            told += [f"  no {name:<10}{missed}" for missed in group.missed]
            told += [f"  wrong {name:<7}{wrong}" for wrong in group.forbidden]
        if told:
            lines += [found.name, *told]
    return lines
