"""Fee items by date, the services that justify them, and the rules between them."""

from __future__ import annotations

import datetime as dt
import functools
import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

from terminology import tables
from terminology.german import vocabulary

Schedule = Literal["EBM", "GOÄ"]

#: § 5 GOÄ: the point value in cents.
GOAE_CENT_PER_POINT = Decimal("5.82873")
_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Item:
    """One fee item in the version of a day. `single` is EUR at factor 1, `price` EUR at the factor `factor` (GOÄ)."""

    schedule: Schedule
    code: str
    title: str
    points: Decimal | None
    factor: Decimal | None
    single: Decimal
    price: Decimal
    is_verified: bool
    source: str


@dataclass(frozen=True, slots=True)
class Service:
    """A service that a note can document, with the items that it justifies."""

    key: str
    title: str
    cue: re.Pattern[str]
    not_cue: re.Pattern[str] | None
    ebm: tuple[str, ...]
    goae: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a schedule. `is_verified` rules block, the others warn."""

    code: str
    rule: str
    value: str
    is_verified: bool
    source: str

    @property
    def values(self) -> tuple[str, ...]:
        """The rule's value as a list."""
        return tuple(part for part in self.value.split("|") if part)


def _round(amount: Decimal) -> Decimal:
    return amount.quantize(_CENT, rounding=ROUND_HALF_UP)


@functools.cache
def _ebm() -> dict[str, tuple[tables.Row, ...]]:
    found: dict[str, tuple[tables.Row, ...]] = {}
    for row in tables.rows("billing/ebm"):
        found[row["code"]] = (*found.get(row["code"], ()), row)
    return found


@functools.cache
def _goae() -> dict[str, tables.Row]:
    return {row["code"]: row for row in tables.rows("billing/goae")}


def cent_per_point(day: dt.date) -> Decimal:
    """The Orientierungswert that holds on `day`, in cents."""
    rows = [row for row in tables.rows("billing/ebm_point_values") if dt.date.fromisoformat(row["valid_from"]) <= day]
    newest = max(rows or tables.rows("billing/ebm_point_values")[:1], key=lambda row: row["valid_from"])
    return Decimal(newest["cent_per_point"])


def ebm_item(code: str, day: dt.date, age: int | None) -> Item | None:
    """The EBM item on `day`, in its variant for the age; None when there is none, or its value is not known.

    An item with age variants needs the age: without it there is None, never a guess.
    """
    for row in _ebm().get(code, ()):
        low, high = row["age_min_years"], row["age_max_years"]
        if (low or high) and age is None:
            continue
        if (low and age is not None and age < int(low)) or (high and age is not None and age > int(high)):
            continue
        if row["valid_from"] > day.isoformat() or (row["valid_to"] and row["valid_to"] < day.isoformat()):
            continue
        if row["set_by"] != "physician" or not (row["points"] or row["eur_fixed"]):
            continue
        points = Decimal(row["points"]) if row["points"] else None
        price = _round(points * cent_per_point(day) / 100) if points is not None else Decimal(row["eur_fixed"])
        return Item("EBM", code, row["title"], points, None, price, price, row["status"] == "verified", row["source"])
    return None


def has_age_variants(code: str) -> bool:
    """Whether the value of an EBM item depends on the age."""
    return any(row["age_min_years"] or row["age_max_years"] for row in _ebm().get(code, ()))


def goae_item(code: str) -> Item | None:
    """The GOÄ item at its threshold factor (§ 5 GOÄ); None when there is none."""
    row = _goae().get(code)
    if row is None or not row["points"]:
        return None
    points, factor = Decimal(row["points"]), Decimal(row["threshold_factor"])
    single = _round(points * GOAE_CENT_PER_POINT / 100)
    price = _round(points * GOAE_CENT_PER_POINT / 100 * factor)
    return Item("GOÄ", code, row["title"], points, factor, single, price, row["status"] == "verified", row["source"])


def item(schedule: Schedule, code: str, day: dt.date, age: int | None) -> Item | None:
    """An item of either schedule."""
    return ebm_item(code, day, age) if schedule == "EBM" else goae_item(code)


@functools.cache
def _pieces() -> dict[str, str]:
    try:
        return {row["name"]: row["pattern"] for row in tables.rows("billing/not_done")}
    except FileNotFoundError:
        return {}


@functools.cache
def services() -> tuple[Service, ...]:
    """All services."""
    return tuple(
        Service(
            key=row["service"],
            title=row["title_de"],
            cue=re.compile(row["cue"], re.IGNORECASE),
            not_cue=re.compile(_expanded(row["not_cue"]), re.IGNORECASE) if row["not_cue"] else None,
            ebm=tuple(filter(None, row["ebm"].split("|"))),
            goae=tuple(filter(None, row["goae"].split("|"))),
        )
        for row in tables.rows("billing/services")
    )


@functools.cache
def _service_cues() -> vocabulary.Lexicon:
    rows = [{"cue": service.cue.pattern, "is_regex": "J", "service": service.key} for service in services()]
    return vocabulary.Lexicon(rows, "cue")


def services_in(text: str) -> list[Service]:
    """The services that a statement documents as done, in the order of the table."""
    cued = {hit.row["service"] for hit in _service_cues().find_all(text)}
    return [
        service
        for service in services()
        if service.key in cued and not (service.not_cue and service.not_cue.search(text))
    ]


def _expanded(pattern: str) -> str:
    return re.sub(r"\{([a-z_]+)\}", lambda match: f"(?:{_pieces()[match[1]]})", pattern)


@functools.cache
def contacts() -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """EBM and GOÄ base items by kind of contact."""
    return {
        row["contact"]: (tuple(filter(None, row["ebm"].split("|"))), tuple(filter(None, row["goae"].split("|"))))
        for row in tables.rows("billing/contacts")
    }


@functools.cache
def rules(schedule: Schedule) -> dict[str, tuple[Rule, ...]]:
    """The rules of a schedule by the item that they bind."""
    wanted = "EBM" if schedule == "EBM" else "GOAE"
    found: dict[str, tuple[Rule, ...]] = {}
    for row in tables.rows("billing/rules"):
        if row["schedule"] == wanted:
            rule = Rule(row["code"], row["rule"], row["value"], row["status"] == "verified", row["source"])
            found[rule.code] = (*found.get(rule.code, ()), rule)
    return found
