"""What is measured on a note: fabrication, recall, completeness, length. Each figure is explained where it is made."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pipeline import results, segments
from pipeline.evaluation import cases
from pipeline.grounding import gate


@dataclass(frozen=True, slots=True)
class NoteScore:
    """The figures of one note. `missed` and `fabricated` name what to look at."""

    statements: int
    fabricated: tuple[str, ...]
    found: dict[results.Section, int]
    expected: dict[results.Section, int]
    wrong_polarity: int
    sections: int
    length: int
    spoken: int
    missed: tuple[str, ...] = field(default=(), repr=False)

    @property
    def recall(self) -> float:
        """The share of gold facts found, polarity agreeing; 1.0 where none is expected."""
        total = sum(self.expected.values())
        return sum(self.found.values()) / total if total else 1.0


def note_score(case: cases.Case, transcript: segments.Transcript, note: results.Note) -> NoteScore:
    """Compare a note with the gold facts of its case."""
    found = dict.fromkeys(results.SECTIONS, 0)
    expected = dict.fromkeys(results.SECTIONS, 0)
    missed: list[str] = []
    wrong = 0
    for fact in case.gold.facts:
        section = fact.section[0]
        expected[section] += 1
        holding = [s for s in note.statements if s.section in fact.section and _says(s, fact)]
        if any(s.polarity == fact.polarity for s in holding):
            found[section] += 1
        else:
            wrong += bool(holding)
            kind = f"polarity {holding[0].polarity}" if holding else _elsewhere(note, fact)
            missed.append(
                f"{'/'.join(fact.section)} {' + '.join(group[0] for group in fact.all)} ({fact.polarity}): {kind}"
            )
    return NoteScore(
        statements=len(note.statements),
        fabricated=tuple(fabrications(case, transcript, note)),
        found=found,
        expected=expected,
        wrong_polarity=wrong,
        sections=sum(1 for section in results.SECTIONS if note.section(section)),
        length=sum(len(s.text) for s in note.statements),
        spoken=transcript.length,
        missed=tuple(missed),
    )


def _says(statement: results.Statement, fact: cases.Fact) -> bool:
    text = statement.text.lower()
    return all(any(word in text for word in group) for group in fact.all)


def _elsewhere(note: results.Note, fact: cases.Fact) -> str:
    other = next((s for s in note.statements if _says(s, fact)), None)
    return f"stands in {other.section}" if other else "missing"


def fabrications(case: cases.Case, transcript: segments.Transcript, note: results.Note) -> list[str]:
    """Statements that their evidence does not carry (number, drug, side, word, polarity), or with a planted word."""
    faults = [f"{s.id}: {reason}" for s in note.statements if (reason := gate.fault(s, transcript)) is not None]
    faults += [f"{s.id}: {word}" for s in note.statements for word in planted(case, s)]
    return faults


def planted(case: cases.Case, statement: results.Statement) -> list[str]:
    """The words of a statement that the case marks as never said."""
    text = statement.text.lower()
    return [word for word in case.gold.fabricated if re.search(rf"\b{re.escape(word.lower())}", text)]


@dataclass(frozen=True, slots=True)
class SetScore:
    """Hits and misses of the codes, warnings or fees of one case."""

    expected: int
    found: int
    forbidden: tuple[str, ...]
    missed: tuple[str, ...]


def code_score(case: cases.Case, coding: results.Coding) -> SetScore:
    """Reference codes found (any of the alternatives), and forbidden ones proposed."""
    proposed = {diagnosis.code for diagnosis in coding.diagnoses}
    missed = [group for group in case.gold.codes.must if not proposed & set(group)]
    return SetScore(
        expected=len(case.gold.codes.must),
        found=len(case.gold.codes.must) - len(missed),
        forbidden=tuple(sorted(proposed & set(case.gold.codes.forbidden))),
        missed=tuple("/".join(group) for group in missed),
    )


def warning_score(case: cases.Case, check: results.SafetyCheck) -> SetScore:
    """Hidden prescribing errors found (all of the expected drugs in one warning), and false alarms by drug."""
    missed = [
        expected
        for expected in case.gold.warnings.must
        if not any(set(expected.drugs) <= set(warning.drugs) for warning in check.warnings)
    ]
    alarms = {drug for warning in check.warnings for drug in warning.drugs} & set(case.gold.warnings.forbidden_drugs)
    return SetScore(
        expected=len(case.gold.warnings.must),
        found=len(case.gold.warnings.must) - len(missed),
        forbidden=tuple(sorted(alarms)),
        missed=tuple("+".join(expected.drugs) for expected in missed),
    )


def billing_score(case: cases.Case, billing: results.Billing | None) -> SetScore:
    """Items that must be proposed and are, and items that must not and are."""
    proposed = {item.code for item in billing.items} if billing else set()
    missed = [code for code in case.gold.billing.must if code not in proposed]
    return SetScore(
        expected=len(case.gold.billing.must),
        found=len(case.gold.billing.must) - len(missed),
        forbidden=tuple(sorted(proposed & set(case.gold.billing.must_not))),
        missed=tuple(missed),
    )
