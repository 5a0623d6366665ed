"""What a drug's doses and an analyte's values are: the numbers said of it, and of nothing else."""

from __future__ import annotations

import bisect
import itertools
import re
from decimal import Decimal

from pipeline import results
from pipeline.grounding import carriers, drugs, reading
from terminology import labs
from terminology.drugs import catalogue
from terminology.german import contexts
from terminology.german import quantities as said_quantities
from terminology.german.quantities import Quantity

DAYTIMES = frozenset({"morgens", "vormittags", "mittags", "nachmittags", "abends", "nachts"})
_STRENGTH_GAP = 14  # characters between a drug's name and the bare number of its strength
_BREAK = re.compile(r"[,;:]|[.!?](?=\s)|\b(?:und|sowie|plus|dann|dazu|statt|anstatt|oder|mit)\b", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?]\s")
_EACH = re.compile(r"\b(?:je|jeweils|beide|beides|alle)\b", re.IGNORECASE)
_BEFORE_NOW = re.compile(
    r"\b(?:bisher|zuvor|vorher|früher|bislang|derzeit|aktuell|noch|von|statt|anstatt)\b", re.IGNORECASE
)
#: Words by which a statement says itself that a value is not the last one.
_WAS = re.compile(
    r"\b(?:war|waren|lag|lagen|bisher|zuvor|vorher|früher\w*|bislang|initial\w*|anfangs|zunächst|damals|gestern|von|statt|"
    r"anstatt|ehemals|vorbestehend\w*|aufnahme\w*)\b",
    re.IGNORECASE,
)
_YEARS = (1900, 2100)
_CONDITION = re.compile(r"\b(?:bei|wenn|falls|sobald|sofern)\b[^.;?!]*$", re.IGNORECASE)
_SENTENCE = 200  # characters that a sentence reaches from a dose
_CONDITION_GAP = 45  # characters before a limit in which the word stands that makes it a condition


def mentions_of(text: str) -> tuple[catalogue.Mention, ...]:
    """The drugs of a text, at their places in `said_quantities.prepared(text)`."""
    return drugs.mentions(said_quantities.prepared(text))


def owner(quantity: Quantity, mentions: tuple[catalogue.Mention, ...], text: str) -> catalogue.Mention | None:
    """The drug that a quantity belongs to: the one before it, or the one after it when a comma or "und" stands between
    the quantity and the drug before.
    """
    before = next((mention for mention in reversed(mentions) if mention.start <= quantity.start), None)
    after = next((mention for mention in mentions if mention.start >= quantity.end), None)
    if before is None:
        is_near = after is not None and _SENTENCE_END.search(text, quantity.end, after.start) is None
        return after if is_near else None
    if after is None:
        return before
    breaks = list(_BREAK.finditer(text, before.end, after.start))
    return before if not breaks or quantity.start < breaks[-1].start() else after


def is_strength(quantity: Quantity) -> bool:
    """Whether a quantity may be how much of a drug is taken."""
    return quantity.kind in ("bare", "measure", "range") and not quantity.is_time and quantity.unit not in ("%", "mmHg")


def swapped(
    statement: results.Statement, said: reading.Said, claimed: tuple[Quantity, ...], given: tuple[Quantity, ...]
) -> str | None:
    """The check that fails when each quantity was said, but of another drug or another analyte, or is replaced."""
    mentions, spoken = mentions_of(statement.text), mentions_of(said.text)
    if mentions and spoken:
        text, told = said_quantities.prepared(statement.text), said_quantities.prepared(said.text)
        owners = [(owner(other, spoken, told), other) for other in given]
        for claim in claimed:
            drug = owner(claim, mentions, text)
            if drug is None:
                continue
            own = tuple(other for named, other in owners if named is not None and set(named.names) & set(drug.names))
            is_only = all(set(mention.names) & set(drug.names) for mention in spoken)
            if _is_of_other_drug(claim, drug, own, given, said, is_only=is_only):
                return "dose"
            if is_strength(claim) and _is_replaced(claim, own, statement, _BEFORE_NOW):
                return "dose"
            if not _has_condition(claim, own, claimed, told):
                return "dose"
    elif any(_is_replaced(claim, given, statement, _WAS) for claim in claimed):
        return "number"
    return "number" if _is_of_other_analyte(statement.text, said.text) else None


def _is_of_other_drug(
    claim: Quantity,
    drug: catalogue.Mention,
    own: tuple[Quantity, ...],
    given: tuple[Quantity, ...],
    said: reading.Said,
    *,
    is_only: bool,
) -> bool:
    if is_strength(claim):
        if is_only and (claim.kind != "bare" or claim.start - drug.end > _STRENGTH_GAP):
            return False
        strengths = tuple(other for other in (given if is_only else own) if is_strength(other))
        is_said = any(claim.said == other.said or claim.values == other.values for other in strengths)
        return not is_said and _EACH.search(said.text) is None
    if claim.kind not in ("times", "scheme", "mark") or is_only:
        return False
    same = tuple(other for other in own if other.kind == claim.kind and _is_alike(other, claim))
    return bool(same) and not carriers.carries(claim, same, said)


def _is_alike(one: Quantity, other: Quantity) -> bool:
    return one.kind != "mark" or ((one.unit in DAYTIMES) == (other.unit in DAYTIMES))


def _is_replaced(
    claim: Quantity, own: tuple[Quantity, ...], statement: results.Statement, was: re.Pattern[str]
) -> bool:
    """Whether a statement gives as the last value the one that was changed, or turns a change round: after "von 5 auf
    10 mg" it is no longer 5 mg, and was not reduced from 10.
    """
    if claim.kind not in ("bare", "measure", "pair", "range") or _is_year(claim) or claim.is_time:
        return False
    same = [other for other in own if other.said == claim.said and other.kind in ("bare", "measure", "pair", "range")]
    if claim.is_old:
        return bool(same) and not any(other.is_old for other in same) and any(other.is_old for other in own)
    if statement.polarity == "historical" or was.search(statement.text):
        return False
    return bool(same) and all(other.is_old for other in same)


def _is_year(quantity: Quantity) -> bool:
    return quantity.kind == "bare" and _YEARS[0] <= quantity.said[0] <= _YEARS[1]


def _has_condition(claim: Quantity, own: tuple[Quantity, ...], claimed: tuple[Quantity, ...], told: str) -> bool:
    """Whether a dose that was ordered for a value above or below a limit is claimed with that limit."""
    if not is_strength(claim):
        return True
    limits = {(other.said, other.bound) for other in claimed if other.bound}
    doses = [other for other in own if other.said == claim.said and is_strength(other)]
    conditions = [other for other in own if _is_condition(other, told)]
    starts = [other.start for other in conditions]
    return not doses or any(limits >= _needed(dose, conditions, starts, told) for dose in doses)


def _needed(
    dose: Quantity, conditions: list[Quantity], starts: list[int], told: str
) -> set[tuple[tuple[Decimal, ...], contexts.Bound]]:
    """The limits that the dose's own sentence makes a condition: "bei Werten über 200"."""
    first = bisect.bisect_left(starts, dose.start - _SENTENCE)
    last = bisect.bisect_right(starts, dose.end + _SENTENCE)
    return {
        (other.said, other.bound)
        for other in conditions[first:last]
        if other is not dose and not _SENTENCE_END.search(told, min(dose.end, other.end), max(dose.start, other.start))
    }


def _is_condition(quantity: Quantity, told: str) -> bool:
    if quantity.bound not in ("above", "below", "least") or quantity.is_time:
        return False
    return _CONDITION.search(told[max(0, quantity.start - _CONDITION_GAP) : quantity.start]) is not None


def _is_of_other_analyte(text: str, told: str) -> bool:
    claimed = labs.find(said_quantities.prepared(text))
    if not claimed:
        return False
    given: dict[str, set[Decimal]] = {}
    for value in labs.find(said_quantities.prepared(told)):
        given.setdefault(value.analyte.key, set()).add(value.value)
    told_values = said_quantities.find(told)
    renewed = {now.said[0] for old, now in itertools.pairwise(told_values) if old.is_old and now.said}
    return any(
        value.value not in given[value.analyte.key] | renewed
        if value.analyte.key in given
        else any(value.value in others for others in given.values())
        for value in claimed
    )
