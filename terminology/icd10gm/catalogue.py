"""The starter catalogue: which codes a year holds, and which German terms mean which code.

Source: BfArM, ICD-10-GM 2025 and 2026 (codes and titles, carried over row by row); terms and rules are our own.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from terminology import tables
from terminology.german import vocabulary

Kind = Literal["P", "O", "Z"]

YEARS = (2025, 2026)  # the years that the starter catalogue was checked for


@dataclass(frozen=True, slots=True)
class Code:
    """One terminal code. `kind`: P may stand alone, O is a star code, Z an exclamation code (both need a primary)."""

    code: str
    title: str
    kind: Kind
    sex: str
    age_min: int | None
    age_max: int | None
    is_chronic: bool
    valid_from: int
    valid_to: int | None

    def is_valid_in(self, year: int) -> bool:
        """Whether the year's catalogue holds it."""
        return self.valid_from <= year and (self.valid_to is None or year <= self.valid_to)


@dataclass(frozen=True, slots=True)
class Term:
    """A term found in a text, with the code that it means when nothing more is said."""

    start: int
    end: int
    text: str
    code: str
    kind: str


@dataclass(frozen=True, slots=True)
class Refinement:
    """When the default code is `base` and the cue stands in the evidence, `code` is meant."""

    base: str
    cue: re.Pattern[str]
    code: str
    note: str


def year_of(year: int) -> int:
    """The catalogue year for an encounter's year: its own, or the nearest that we have."""
    return min(max(year, YEARS[0]), YEARS[-1])


@functools.cache
def codes() -> dict[str, Code]:
    """All codes of all years."""
    return {
        row["code"]: Code(
            code=row["code"],
            title=row["title"].replace("\xa0", " "),
            kind=_kind(row["kind"]),
            sex=row["sex"],
            age_min=int(row["age_min_years"]) if row["age_min_years"] else None,
            age_max=int(row["age_max_years"]) if row["age_max_years"] else None,
            is_chronic=row["chronic"] == "J",
            valid_from=int(row["valid_from"]),
            valid_to=int(row["valid_to"]) if row["valid_to"] else None,
        )
        for row in tables.rows("icd10gm/codes")
    }


def _kind(text: str) -> Kind:
    return "O" if text == "O" else "Z" if text == "Z" else "P"


def code(name: str, year: int) -> Code | None:
    """The code in the year's catalogue; None when the year does not hold it."""
    found = codes().get(name)
    return found if found is not None and found.is_valid_in(year) else None


@functools.cache
def _lexicon() -> vocabulary.Lexicon:
    rows = [*tables.rows("icd10gm/terms")]
    known = {row["term"] for row in rows}
    for row in tables.rows("icd10gm/terms"):
        for inflected in _inflections(row["term"]):
            if inflected not in known:
                known.add(inflected)
                rows.append({**row, "term": inflected})
    return vocabulary.Lexicon(rows, "term", whole_words=True)


_ADJECTIVE = re.compile(r"^(\w+(?:isch|ig|lich|iv|är|al|ell|ös|ibel|ent|ant|iert|t))e ")


def _inflections(term: str) -> list[str]:
    """Forms of a term in speech: "akute bronchitis" -> "akuten bronchitis", "rippenfraktur" -> "rippenfrakturen"."""
    forms = []
    match = _ADJECTIVE.match(term)
    for stem in (match[1],) if match else ():
        rest = term[match.end() :] if match else ""
        forms += [f"{stem}{ending} {rest}" for ending in ("en", "er", "es", "em")]
    if re.search(r"[a-zäöüß]{5}$", term) and " " not in term:
        if term.endswith("e"):
            forms.append(f"{term}n")
        elif term.endswith(("ung", "ur", "ion", "heit", "keit", "enz")):
            forms.append(f"{term}en")
        elif term.endswith(
            ("schmerz", "bruch", "infekt", "vorfall", "riss", "infarkt", "anfall", "abszess", "prolaps")
        ):
            forms += [f"{term}s", f"{term}es", f"{term}e", f"{term}en"]
    return forms


def find(text: str) -> list[Term]:
    """The diagnoses, symptoms and states that `text` names, in its order."""
    return [Term(hit.start, hit.end, hit.text, hit.row["code"], hit.row["kind"]) for hit in _lexicon().find(text)]


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
        if _has_cue(found.cue, evidence if _NAMES_A_DENIAL.search(found.cue.pattern) else affirmed):
            return found
    return None


_NAMES_A_DENIAL = re.compile(r"nicht|ohne|kein|\(\?!", re.IGNORECASE)


def _has_cue(cue: re.Pattern[str], evidence: str) -> bool:
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


def is_same_illness(unspecific: str, specific: str) -> bool:
    """Whether `specific`, as the record has it, is what an unspecific code stands for: E11.90 for E14.90."""
    if unspecific[:3] == specific[:3]:
        return unspecific.endswith((".9", ".90", ".99", ".8", ".88"))
    return any(
        unspecific.startswith(row["unspecific"]) and specific.startswith(tuple(row["specific"].split("|")))
        for row in tables.rows("icd10gm/same_illness")
    )


def old_after(name: str, days: int) -> str | None:
    """The code of an illness that is over since `days`: I25.20 for an I21.x of six weeks ago; None when it is not."""
    for row in tables.rows("icd10gm/old_after"):
        in_time = days >= int(row["days_from"]) and (not row["days_to"] or days <= int(row["days_to"]))
        if name.startswith(row["acute_prefix"]) and in_time:
            return row["code"]
    return None
