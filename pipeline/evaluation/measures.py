"""The numbers of one result: what each stage is measured by. `figures.FIGURES` says what is made of them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from pipeline import documenting, results
from pipeline.engines import options
from pipeline.evaluation import cases, metrics, records
from pipeline.grounding import omissions, readability


class Measured(NamedTuple):
    """The numbers of a result, and what was missed in the words of the case's gold annotations."""

    numbers: records.Numbers
    missed: tuple[str, ...]


def of(stage: options.Served, case: cases.Case, made: documenting.Documented) -> Measured:
    """The numbers of the part of `made` that the stage wrote; for the note also of what the rules made of it."""
    return _MEASURED[stage](case, made)


def _note(case: cases.Case, made: documenting.Documented) -> Measured:
    note, transcript = made.note, made.transcript
    own = note.model_copy(update={"statements": tuple(s for s in note.statements if not s.is_added)})
    score = metrics.note_score(case, transcript, own)
    in_chart = metrics.note_score(case, transcript, note)
    due = [section for section in results.SECTIONS if score.expected[section]]
    numbers: records.Numbers = {
        "note.statements": len(own.statements),
        "note.added": len(note.statements) - len(own.statements),
        "note.planted": _planted(case, own.statements),
        "note.sections": sum(1 for section in due if own.section(section)),
        "note.sections_due": len(due),
        "note.critical": _critical(omissions.said(transcript)),
        "note.omitted": _critical(omissions.uncarried(own, transcript)),
        "note.wrong_polarity": score.wrong_polarity,
        "note.characters": score.length,
        "note.spoken": score.spoken,
        "note.facts": sum(score.expected.values()),
        "note.found": sum(score.found.values()),
        "note.found_in_chart": sum(in_chart.found.values()),
    }
    for section in results.SECTIONS:
        numbers[f"note.facts_{section}"] = score.expected[section]
        numbers[f"note.found_{section}"] = score.found[section]
    after = [_coding(case, made), _check(case, made), _billing(case, made)]
    return Measured(numbers | {k: v for part in after for k, v in part.numbers.items()}, score.missed)


def _planted(case: cases.Case, statements: Iterable[results.Statement]) -> int:
    """Statements with a word that the case marks as never said."""
    return sum(1 for s in statements if metrics.planted(case, s))


def _critical(facts: Iterable[omissions.Critical]) -> int:
    """How many of the facts do harm where they are left out: a red flag that was denied does none."""
    return sum(1 for fact in facts if not fact.is_denied_warning)


def _summary(case: cases.Case, made: documenting.Documented) -> Measured:
    sentences = made.summary.sentences
    text = " ".join(sentence.text for sentence in sentences)
    return Measured(
        {
            "summary.sentences": len(sentences),
            "summary.words": len(readability.words(text)),
            "summary.planted": _planted(case, sentences),
            _EASE: _ease(text),
        },
        (),
    )


_EASE = "summary.readability"


def _ease(text: str) -> float:
    """The reading ease (Flesch–Amstad)."""
    return round(readability.flesch_amstad(text), 1)


def with_ease_of(numbers: records.Numbers, proposed: Sequence[str]) -> records.Numbers:
    """The numbers of a summary with the mean reading ease of all that were proposed for it; without any, with none."""
    kept = {name: number for name, number in numbers.items() if name != _EASE}
    return kept | ({_EASE: statistics.fmean(_ease(text) for text in proposed)} if proposed else {})


def _coding(case: cases.Case, made: documenting.Documented) -> Measured:
    score = metrics.code_score(case, made.coding)
    gold = case.gold.codes
    listed = {code for group in gold.must for code in group} | set(gold.may) | set(gold.forbidden)
    by_code = {diagnosis.code: diagnosis for diagnosis in made.coding.diagnoses}
    certain = [code for code in gold.certainty if code in by_code]
    sided = [code for code in gold.side if code in by_code]
    return Measured(
        {
            "code.expected": score.expected,
            "code.found": score.found,
            "code.forbidden": len(score.forbidden),
            "code.proposed": len(made.coding.diagnoses),
            "code.unlisted": len(set(by_code) - listed),
            "code.certainty": len(certain),
            "code.certainty_right": sum(by_code[code].certainty == gold.certainty[code] for code in certain),
            "code.side": len(sided),
            "code.side_right": sum(by_code[code].side == gold.side[code] for code in sided),
        },
        score.missed,
    )


def _check(case: cases.Case, made: documenting.Documented) -> Measured:
    score = metrics.warning_score(case, made.check)
    forbidden = set(case.gold.warnings.forbidden_drugs)
    return Measured(
        {
            "check.expected": score.expected,
            "check.found": score.found,
            "check.alarms": sum(1 for warning in made.check.warnings if forbidden & set(warning.drugs)),
            "check.warnings": len(made.check.warnings),
        },
        score.missed,
    )


def _billing(case: cases.Case, made: documenting.Documented) -> Measured:
    score = metrics.billing_score(case, made.billing)
    listed = {*case.gold.billing.must, *case.gold.billing.may, *case.gold.billing.must_not}
    proposed = {item.code for item in made.billing.items} if made.billing else set()
    return Measured(
        {
            "bill.expected": score.expected,
            "bill.found": score.found,
            "bill.forbidden": len(score.forbidden),
            "bill.proposed": len(proposed),
            "bill.unlisted": len(proposed - listed),
        },
        score.missed,
    )


_MEASURED: dict[options.Served, Callable[[cases.Case, documenting.Documented], Measured]] = {
    "scribe": _note, "summarise": _summary, "code": _coding, "check": _check, "bill": _billing
}  # fmt: skip
