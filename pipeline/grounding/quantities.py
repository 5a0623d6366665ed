"""Numbers, units, ages, dates, durations and doses: each must have been said, of the same thing, with the same unit.

Values are compared exactly after conversion (1 g = 1000 mg, 14 Tage = 2 Wochen); nothing is rounded, and a range is
carried by the same range alone. A unit that was not said is added only where it is beyond doubt: the analyte's own
(`labs`), or a drug's whose strengths have no other (`german/implied_units`).
"""

from __future__ import annotations

import functools
import re

from pipeline import results
from pipeline.grounding import ages, binding, carriers, order, owners, reading
from terminology import labs, tables
from terminology.drugs import catalogue
from terminology.german import concepts, dayplan
from terminology.german import quantities as said_quantities
from terminology.german.quantities import Quantity

_SENTENCE_END = re.compile(r"[.!?]\s|;")
_SENTENCE = 200  # characters that a sentence reaches from a number
_WORST_FIRST = ("drug", "age", "dose", "unit", "number", "duration", "date")


def fault(statement: results.Statement, said: reading.Said) -> str | None:
    """The name of the check that a quantity of the statement fails; None when all of them were said."""
    turned = order.fault(statement, said)
    claimed = said_quantities.find(statement.text)
    given = said_quantities.find(said.text)
    mentions = owners.mentions_of(statement.text)
    fallen: set[str | None] = {turned}
    if binding.is_other_rhythm(statement.text, said.text):
        fallen.add("dose" if mentions else "duration")
    if claimed:
        fallen.add(owners.swapped(statement, said, claimed, given))
    for claim in claimed:
        drug = owners.owner(claim, mentions, said_quantities.prepared(statement.text))
        if not _is_carried(claim, given, statement, said, drug):
            fallen.add(_name(claim, given, drug, is_about_drug=bool(mentions)))
    if any(claim.role == "since" and _is_over(claim, given, statement, said) for claim in claimed):
        fallen.add("duration")
    moved = binding.moved(statement.text, said) if claimed and not fallen - {None} else None
    if moved is not None:
        fallen.add("dose" if mentions and moved.kind not in ("date", "mark") else _name_of_kind(moved))
    return next((name for name in _WORST_FIRST if name in fallen), None)


def _is_over(claim: Quantity, given: tuple[Quantity, ...], statement: results.Statement, said: reading.Said) -> bool:
    """Whether a statement lets last what ended then: "vor fünf Jahren aufgehört" is not "seit fünf Jahren", unless it
    says itself that something is no more.
    """
    same = [other for other in given if (other.unit, other.values) == (claim.unit, claim.values)]
    if not same or any(other.role != "ago" for other in same):
        return False
    written = statement.text.lower()
    if statement.polarity == "negated" or reading.denies(written) or any(word in written for word in _words("ended")):
        return False
    told = said_quantities.prepared(said.text)
    for other in same:
        before = _SENTENCE_END.split(told[max(0, other.start - _SENTENCE) : other.start])[-1]
        after = _SENTENCE_END.split(told[other.end : other.end + _SENTENCE])[0]
        words = {word.lower() for word in reading.WORD.findall(f"{before} {after}")}
        if not words & _words("over") or words & _words("begin"):
            return False
    return True


@functools.cache
def _words(meaning: str) -> frozenset[str]:
    return frozenset(row["word"] for row in tables.rows("german/time_words") if row["meaning"] == meaning)


def _name_of_kind(claim: Quantity) -> str:
    """Which check a quantity fails that is of something else."""
    if claim.is_time:
        return "duration"
    if claim.kind in ("date", "mark", "clock") or (claim.kind == "bare" and binding.is_year(claim)):
        return "date"
    return "number"


def _name(claim: Quantity, given: tuple[Quantity, ...], drug: catalogue.Mention | None, *, is_about_drug: bool) -> str:
    """Which check a quantity fails that was not said."""
    if claim.kind == "age":
        return "age"
    if claim.kind in ("date", "clock") or (
        claim.kind == "mark" and not (is_about_drug and claim.unit in owners.DAYTIMES)
    ):
        return "date"
    if claim.is_time:
        return "dose" if claim.role == "every" and is_about_drug else "duration"
    if claim.kind in ("scheme", "mark") or (claim.kind == "times" and is_about_drug):
        return "dose"
    if not carriers.alike(claim, given) or any(_is_limit_lost(claim, other) for other in given):
        return "dose" if drug is not None or is_about_drug else "number"
    if claim.kind == "measure" and any(set(claim.said) & set(other.said) for other in given):
        return "unit"
    return "dose" if drug is not None and claim.kind in ("bare", "measure", "range") else "number"


def _is_limit_lost(claim: Quantity, other: Quantity) -> bool:
    """Whether the number was said, but as another limit or reckoned by something else."""
    return claim.said == other.said and (claim.bound, claim.per) != (other.bound, other.per)


def _is_carried(
    claim: Quantity,
    given: tuple[Quantity, ...],
    statement: results.Statement,
    said: reading.Said,
    drug: catalogue.Mention | None,
) -> bool:
    if claim.kind == "age":
        return ages.is_carried(claim, said, of_family=statement.polarity == "family")
    if carriers.carries(claim, given, said):
        return True
    text, told = said_quantities.prepared(statement.text), said_quantities.prepared(said.text)
    if claim.is_time and ages.is_at_age(claim, text, told):
        return True
    return claim.kind in ("measure", "range") and _has_implied_unit(claim, given, statement, said, drug)


def _has_implied_unit(
    claim: Quantity,
    given: tuple[Quantity, ...],
    statement: results.Statement,
    said: reading.Said,
    drug: catalogue.Mention | None,
) -> bool:
    """Whether the number was said without a unit, and the unit that the statement gives it goes without saying."""
    given = carriers.alike(claim, given)
    if not any(other.kind in ("bare", "range") and not other.unit and other.said == claim.said for other in given):
        return False
    written = said_quantities.prepared(statement.text)[claim.start : claim.end]
    unit = re.sub(r"^[\d.,\s–-]+", "", written)
    if drug is not None:
        implied = {concepts.implied_units().get(name, "") for name in drug.names}
        return implied == {unit}
    named = [labs.by_name(hit.text) for hit in (*labs.mentions(statement.text), *labs.mentions(said.text))]
    return any(analyte is not None and labs.is_own_unit(analyte, unit) and analyte.unit for analyte in named)


def forget() -> None:
    """Drop what is remembered of the texts of earlier runs."""
    said_quantities.forget()
    for module in (binding, carriers, dayplan, order):
        module.forget()
