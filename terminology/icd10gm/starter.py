"""The starter catalogue: the codes that practice and hospital use most, for 2025 and 2026, inside the package.

Source: BfArM, ICD-10-GM 2025 and 2026 (codes, titles and metadata, carried over row by row). Terminal codes only.
"""

from __future__ import annotations

import functools
from typing import cast

from terminology import tables
from terminology.icd10gm import edition

YEARS = (2025, 2026)


@functools.cache
def load(year: int) -> edition.Edition:
    """The starter's edition of one of `YEARS`."""
    codes = {
        row["code"]: _code(row)
        for row in tables.rows("icd10gm/codes")
        if int(row["valid_from"]) <= year and (not row["valid_to"] or year <= int(row["valid_to"]))
    }
    return edition.Edition(year, codes, (), is_complete=False)


def _code(row: tables.Row) -> edition.Code:
    name = row["code"]
    return edition.Code(
        code=name,
        title=row["title"],
        level=len(name.replace(".", "")),
        parent=edition.parent(name),
        practice=cast(edition.Use, row["p295"]),
        hospital=cast(edition.Use, row["p301"]),
        sex=cast(edition.Sex, row["sex"]),
        sex_error=cast(edition.Error, row["sex_error"]),
        age_from=edition.age(row["age_from"]),
        age_to=edition.age(row["age_to"]),
        age_error=cast(edition.Error, row["age_error"]),
        is_rare=row["rare"] == "J",
        is_used=row["used"] == "J",
        is_notifiable=row["ifsg_notifiable"] == "J",
        has_lab_exemption=row["ifsg_lab"] == "J",
    )


@functools.cache
def _chronic() -> dict[str, bool]:
    """Whether an illness lasts, by code, and by category where all codes of the starter there agree."""
    found: dict[str, bool] = {}
    for row in tables.rows("icd10gm/codes"):
        is_chronic = row["chronic"] == "J"
        found[row["code"]] = is_chronic
        found[row["code"][:3]] = is_chronic and found.get(row["code"][:3], True)
    return found


def is_chronic(name: str) -> bool:
    """Whether a code means an illness that lasts. A code that the starter does not hold goes by its category."""
    known = _chronic()
    return known.get(name, known.get(name[:3], False))
