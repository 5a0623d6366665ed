"""The rules from a term's default code to the code that is meant: cues, values, time, partners, what covers what."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from terminology import tables


@dataclass(frozen=True, slots=True)
class Refinement:
    """When the default code is `base` and the cue stands in the evidence, `code` is meant."""

    base: str
    cue: re.Pattern[str]
    code: str
    note: str


@functools.cache
def _refinements() -> dict[str, tuple[Refinement, ...]]:
    by_base: dict[str, tuple[Refinement, ...]] = {}
    for row in tables.rows("icd10gm/refinements"):
        found = Refinement(row["base_code"], re.compile(row["cue"], re.IGNORECASE), row["code"], row["note"])
        by_base[found.base] = (*by_base.get(found.base, ()), found)
    return by_base


def refine(base: str, evidence: str, affirmed: str) -> Refinement | None:
    """The first refinement of `base` whose cue stands in the evidence; None when the default code stays.

    `affirmed` is the part of the evidence that denies nothing: a cue that names no denial itself must stand there.
    """
    for found in _refinements().get(base, ()):
        if has_cue(found.cue, evidence if _NAMES_A_DENIAL.search(found.cue.pattern) else affirmed):
            return found
    return None


_NAMES_A_DENIAL = re.compile(r"nicht|ohne|kein|\(\?!", re.IGNORECASE)


def has_cue(cue: re.Pattern[str], evidence: str) -> bool:
    """Whether a cue stands in the evidence. One that opens with a look-ahead over everything is tried once only."""
    return (cue.match if cue.pattern.startswith("(?s)(?=") else cue.search)(evidence) is not None


@functools.cache
def _symptoms_of() -> tuple[tuple[str, str], ...]:
    return tuple((row["symptom_prefix"], row["diagnosis_prefix"]) for row in tables.rows("icd10gm/symptom_of"))


def is_symptom_of(symptom: str, diagnosis: str) -> bool:
    """Whether `symptom` is not coded beside `diagnosis`."""
    return symptom != diagnosis and any(
        symptom.startswith(left) and diagnosis.startswith(right) for left, right in _symptoms_of()
    )


@functools.cache
def partners() -> dict[str, tuple[str, ...]]:
    """Star and exclamation codes that a primary code needs."""
    found: dict[str, tuple[str, ...]] = {}
    for row in tables.rows("icd10gm/partners"):
        if row["required"] == "J":
            found[row["code"]] = (*found.get(row["code"], ()), row["partner"])
    return found


@functools.cache
def _by_value() -> dict[tuple[str, str], tuple[tuple[Decimal, Decimal | None, str], ...]]:
    found: dict[tuple[str, str], tuple[tuple[Decimal, Decimal | None, str], ...]] = {}
    for row in tables.rows("icd10gm/by_value"):
        key = (row["base_code"], row["analyte"])
        high = Decimal(row["high"]) if row["high"] else None
        found[key] = (*found.get(key, ()), (Decimal(row["low"]), high, row["code"]))
    return found


def by_value(base: str, analyte: str, value: Decimal) -> str | None:
    """The code that a measured value decides, e.g. N18.4 for N18.9 with an eGFR of 27; None when it decides none."""
    for low, high, name in _by_value().get((base, analyte), ()):
        if value >= low and (high is None or value < high):
            return name
    return None


def has_side(name: str) -> bool:
    """Whether a side is given with this code."""
    return name.startswith(tuple(row["prefix"] for row in tables.rows("icd10gm/sided")))


@functools.cache
def _sites() -> tuple[tuple[str, re.Pattern[str]], ...]:
    rows = tables.rows("icd10gm/sites")
    return tuple((row["prefix"], re.compile(row["words"], re.IGNORECASE)) for row in rows)


def is_at(name: str, text: str) -> bool:
    """Whether a text speaks of the place of the body that a code is of."""
    return any(name.startswith(prefix) and words.search(text) is not None for prefix, words in _sites())


def at_rest(name: str) -> str:
    """The code of an illness without the flare that it once had: E11.90 for E11.91, J44.91 for J44.11."""
    for row in tables.rows("icd10gm/at_rest"):
        if name.startswith(row["flare"]):
            return f"{row['at_rest']}{name[len(row['flare']) :]}"
    return name


def is_same_illness(unspecific: str, specific: str) -> bool:
    """Whether `specific`, as the record has it, is what an unspecific code stands for: E11.90 for E14.90.

    An illness that the record calls remitted is not the one that is named today.
    """
    if any(row["code"] == specific for row in tables.rows("icd10gm/in_remission")):
        return False
    if unspecific[5:] == "9" and unspecific[:5] == specific[:5]:
        return True
    if unspecific[:3] == specific[:3]:
        return unspecific.endswith((".9", ".90", ".99", ".8", ".88"))
    return any(
        unspecific.startswith(row["unspecific"]) and specific.startswith(tuple(row["specific"].split("|")))
        for row in tables.rows("icd10gm/same_illness")
    )


def is_about(name: str, text: str) -> bool:
    """Whether a text uses the common word of an illness that becomes an old one in time: "Infarkt" of a NSTEMI."""
    lowered = text.lower()
    return any(
        row["cue"] in lowered
        for row in tables.rows("icd10gm/old_after")
        if row["cue"] and name.startswith(row["acute_prefix"])
    )


def old_after(name: str, days: int) -> str | None:
    """The code of an illness that is over since `days`: I25.20 for an I21.x of six weeks ago; None when it is not."""
    for row in tables.rows("icd10gm/old_after"):
        in_time = days >= int(row["days_from"]) and (not row["days_to"] or days <= int(row["days_to"]))
        if name.startswith(row["acute_prefix"]) and in_time:
            return row["code"]
    return None


@functools.cache
def _treatments() -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((row["atc"], tuple(row["codes"].split("|"))) for row in tables.rows("icd10gm/treated_by"))


def is_treated_by(name: str, atc: str) -> bool:
    """Whether a drug of this ATC code is a usual treatment of the illness."""
    return any(atc.startswith(prefix) and name.startswith(codes) for prefix, codes in _treatments())


@functools.cache
def _watched() -> dict[str, tuple[str, ...]]:
    return {row["analyte"]: tuple(row["codes"].split("|")) for row in tables.rows("icd10gm/watched_by")}


def is_watched_by(name: str, analyte: str) -> bool:
    """Whether a value of this analyte follows the illness."""
    return name.startswith(_watched().get(analyte, ("-",)))


@functools.cache
def _lab_findings() -> dict[tuple[str, str], tuple[str, tuple[str, ...]]]:
    return {
        (row["analyte"], row["flag"]): (row["code"], tuple(filter(None, row["unless"].split("|"))))
        for row in tables.rows("icd10gm/lab_findings")
    }


def of_value(analyte: str, flag: str, beside: Iterable[str]) -> str | None:
    """The disorder that a low or high value means once it is treated; None where there is none or `beside` names it."""
    name, unless = _lab_findings().get((analyte, flag), (None, ()))
    return None if name is None or any(code.startswith((name, *unless)) for code in beside) else name


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two codes that do not stand together: `code` falls beside `beside` (both prefixes)."""

    code: str
    beside: str
    reason: str


@functools.cache
def _contradictions() -> tuple[Contradiction, ...]:
    return tuple(
        Contradiction(row["code"], row["beside"], row["reason"]) for row in tables.rows("icd10gm/contradictions")
    )


def contradiction(name: str, beside: str) -> Contradiction | None:
    """The rule by which the first code falls beside the second; None where both may stand."""
    if name == beside:
        return None
    return next(
        (rule for rule in _contradictions() if name.startswith(rule.code) and beside.startswith(rule.beside)), None
    )


@functools.cache
def _possible_partners() -> frozenset[tuple[str, str]]:
    return frozenset((row["code"], row["partner"]) for row in tables.rows("icd10gm/partners"))


def may_stand_with(primary: str, partner: str) -> bool:
    """Whether a star or exclamation code is known to stand with this primary code."""
    return (primary, partner) in _possible_partners()


def is_state(name: str) -> bool:
    """Whether a code tells a state that lasts or is over (an implant, an amputation), not why somebody came today."""
    return name.startswith(tuple(row["prefix"] for row in tables.rows("icd10gm/states")))


def missing(name: str) -> str | None:
    """What the documentation would have to say for a code more specific than this one; None where no row tells it."""
    return next((row["missing"] for row in tables.rows("icd10gm/missing") if name.startswith(row["prefix"])), None)


@dataclass(frozen=True, slots=True)
class Combination:
    """Two codes (prefixes) that mean `combined` together; `keeps`: the second stays beside it."""

    code: str
    beside: str
    combined: str
    keeps: bool
    source: str


@functools.cache
def combinations() -> tuple[Combination, ...]:
    """The codes that stand for two others. What follows `code` is carried over to a `combined` of the same length."""
    return tuple(
        Combination(row["code"], row["beside"], row["combined"], row["keeps"] == "J", row["source"])
        for row in tables.rows("icd10gm/combinations")
    )


@functools.cache
def _in_pregnancy() -> tuple[Combination, ...]:
    return tuple(
        Combination(row["code"], "", row["obstetric"], row["keeps"] == "J", row["source"])
        for row in tables.rows("icd10gm/in_pregnancy")
    )


def in_pregnancy(name: str) -> Combination | None:
    """The code of chapter XV that an illness has in pregnancy; `keeps`: the illness stays beside it."""
    return next((rule for rule in _in_pregnancy() if name.startswith(rule.code)), None)
