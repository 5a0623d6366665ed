"""The prescribing rules of `data/drugs/rules.csv`, read once into values."""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from terminology import labs, tables

Severity = Literal["contraindicated", "high", "moderate", "low"]

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_COMPARISON = re.compile(r"\s*([^<>=]*?)\s*(<=|>=|<|>)\s*(\d+(?:\.\d+)?)\s*")


@dataclass(frozen=True, slots=True)
class Comparison:
    """One comparison. `key` is a laboratory key, or empty for an age."""

    key: str
    compare: Callable[[Any, Any], bool]
    value: Decimal

    def holds(self, value: Decimal | int) -> bool:
        """Whether the comparison holds for `value`."""
        return self.compare(value, self.value)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `drug` and `unless` name ingredients, `class:…` or code prefixes; all of `with_drugs` must be there."""

    id: str
    kind: str
    severity: Severity
    drug: tuple[str, ...]
    with_drugs: tuple[tuple[str, ...], ...]
    conditions: tuple[str, ...]
    labs: tuple[Comparison, ...]
    ages: tuple[Comparison, ...]
    state: str
    unless: tuple[str, ...]
    dose_over: Decimal | None
    explanation: str
    management: str
    source: str


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split("|") if part.strip())


def _comparisons(text: str, *, of_labs: bool) -> tuple[Comparison, ...]:
    found = []
    for part in filter(None, text.split("&")):
        match = _COMPARISON.fullmatch(part)
        if match is None:
            raise ValueError(f"not a comparison: {part}")
        analyte = labs.by_name(match[1]) if of_labs else None
        if of_labs and analyte is None:
            raise ValueError(f"not a laboratory value: {match[1]}")
        found.append(Comparison(analyte.key if analyte else "", _OPERATORS[match[2]], Decimal(match[3])))
    return tuple(found)


@functools.cache
def all_rules() -> tuple[Rule, ...]:
    """Every rule, in the order of the table."""
    return tuple(
        Rule(
            id=row["id"],
            kind=row["kind"],
            severity=_severity(row["severity"]),
            drug=_names(row["drug"]),
            with_drugs=tuple(_names(group) for group in row["with_drug"].split("&") if group.strip()),
            conditions=_names(row["condition"]),
            labs=_comparisons(row["lab"], of_labs=True),
            ages=_comparisons(row["age"], of_labs=False),
            state=row["sex_or_state"],
            unless=_names(row["unless"]),
            dose_over=Decimal(row["dose_over_mg_per_day"]) if row["dose_over_mg_per_day"] else None,
            explanation=row["explanation_de"],
            management=row["management_de"],
            source=row["source"],
        )
        for row in tables.rows("drugs/rules")
    )


def _severity(text: str) -> Severity:
    if text in ("contraindicated", "high", "moderate", "low"):
        return text  # type: ignore[return-value]
    raise ValueError(f"not a severity: {text}")


def names_allergy_group(text: str) -> bool:
    """Whether an allergy is told by the name of a group."""
    lowered = text.lower()
    return any(
        re.search(rf"\b{re.escape(name)}", lowered)
        for row in tables.rows("drugs/allergy_groups")
        for name in row["names"].split("|")
        if name
    )


@functools.cache
def allergy_names(key: str) -> frozenset[str]:
    """Every name, lower case, by which an allergy of a rule's `allergy:key` is told."""
    names: set[str] = set()
    for row in tables.rows("drugs/allergy_groups"):
        if row["group"].startswith(key) or any(name.startswith(key) for name in row["classes"].split("|")):
            names.update(name for name in row["names"].split("|") if name)
    if not names:
        raise ValueError(f"no allergy group: {key}")
    return frozenset(names)
