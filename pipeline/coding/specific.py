"""Down to the code that is meant: from a term's default code by cues, values, the record and time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline import consultation, facts, results
from pipeline.coding import mention
from terminology.icd10gm import catalogue, edition, specificity

_STAGES = {"eins": 1, "zwei": 2, "drei": 3, "vier": 4, "fünf": 5}
_STAGE_WORD = re.compile(r"\b(stadium|grad|gold|nyha) (eins|zwei|drei|vier|fünf)\b", re.IGNORECASE)
#: Diabetes: another illness's complication in the same note is not its own; what is, says so or stands with it.
_BY_ITS_OWN = ("E10", "E11", "E12", "E13", "E14")
_ROUNDS = 3  # refinements on top of each other


@dataclass(frozen=True, slots=True)
class Known:
    """What decides beside the statement itself: findings and assessment of the day, values, the record."""

    held: edition.Edition
    documented: consultation.Consultation
    told: str
    affirmed: str
    values: Mapping[str, facts.Measured]


def known(documented: consultation.Consultation, note: results.Note, held: edition.Edition) -> Known:
    """What note and record tell."""
    told = " ".join(s.text for s in (*note.section("A"), *note.section("O")) if s.polarity == "affirmed")
    told = _in_figures(told)
    return Known(held, documented, told, facts.affirmed(told), facts.measured(documented, note))


@dataclass(frozen=True, slots=True)
class Specific:
    """The code that is meant, why, the code that would have stood otherwise, the record's item that it agrees
    with, and whether that alone decided."""

    code: str
    why: tuple[str, ...]
    instead_of: str | None
    record: str | None = None
    is_as_known: bool = False


def _in_figures(text: str) -> str:
    """ "Stadium drei" as "Stadium 3"."""
    return _STAGE_WORD.sub(lambda match: f"{match[1]} {_STAGES[match[2].lower()]}", text)


def decide(default: str, statement: str, about: str, around: Known) -> Specific:
    """The most specific code that the evidence carries, from a term's default code.

    `statement` is the text that names the term, `about` everything that the note says of it.
    """
    code, why, is_as_known = default, [], False
    own = _in_figures(statement)
    is_apart = default.startswith(_BY_ITS_OWN)
    evidence = own if is_apart else f"{own} {around.told}"
    affirmed = facts.affirmed(own) if is_apart else f"{facts.affirmed(own)}, {around.affirmed}"
    for _round in range(_ROUNDS):
        refined = specificity.refine(code, evidence, affirmed)
        if refined is None or refined.code == code or around.held.resolve(refined.code) is None:
            break
        code = refined.code
        if refined.note:
            why.append(refined.note)
    recorded = next(
        (
            c
            for c in around.documented.record.conditions
            if c.code and around.held.resolve(c.code) is not None and specificity.is_same_illness(code, c.code)
        ),
        None,
    )
    if recorded is not None and recorded.code is not None:
        is_as_known = code in (default, recorded.code)
        code = _of_recorded(code, specificity.at_rest(recorded.code))
        why.append("wie in der Akte geführt")
    for key, measured in around.values.items():
        by_stage = specificity.by_value("N18.9", key, measured.value) if recorded and code.startswith("N18.") else None
        decided = specificity.by_value(code, key, measured.value) or by_stage
        if decided is not None and decided != code:
            code = decided
            why.append(measured.told)
    days = mention.days_ago(about)
    older = specificity.old_after(code, days) if days is not None else None
    if older is not None:
        code = older
        why.append(f"seit {days} Tagen")
    return Specific(
        code, tuple(why), default if default != code else None, recorded.id if recorded else None, is_as_known
    )


def _of_recorded(code: str, recorded: str) -> str:
    """The record's code; where today's code says more after the dot, with that: E14.72 and E11.90 make E11.72."""
    more_specific = f"{recorded[:3]}{code[3:]}"
    says_more = code[:3] != recorded[:3] and code[3:] not in ("", ".9", ".90", ".91")
    return more_specific if says_more and catalogue.known(more_specific) is not None else recorded
