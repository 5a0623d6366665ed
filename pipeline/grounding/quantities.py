"""Numbers, units, ages, dates, durations and doses: each must have been said, of the same thing, with the same unit.

Values are compared exactly after conversion (1 g = 1000 mg, 14 Tage = 2 Wochen); nothing is rounded, and a range is
carried by the same range alone. A unit that was not said is added only where it is beyond doubt: the analyte's own
(`labs`), or a drug's whose strengths have no other (`german/implied_units`).
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Iterable
from decimal import Decimal

from pipeline import results
from pipeline.grounding import drugs, reading
from terminology import labs
from terminology.drugs import catalogue
from terminology.german import concepts
from terminology.german import quantities as said_quantities
from terminology.german.quantities import Quantity

_WORST_FIRST = ("age", "dose", "unit", "number", "duration", "date")
_DAYTIMES = frozenset({"morgens", "vormittags", "mittags", "nachmittags", "abends", "nachts"})
_OTHER_DAYS = frozenset({"gestern", "vorgestern", "übermorgen"})
_STEM = 5  # letters by which a word is found again
_TIME_WORDS = frozenset({"tagen", "woche", "monat", "jahre", "stund", "minut"})
_PART = re.compile(r"[,;:]\s|[.!?]\s|\b(?:und|aber)\b", re.IGNORECASE)
_STRENGTH_GAP = 14  # characters between a drug's name and the bare number of its strength
_BREAK = re.compile(r"[,;:]|[.!?](?=\s)|\b(?:und|sowie|plus|dann|dazu|statt|anstatt|oder|mit)\b", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?]\s")
_EACH = re.compile(r"\b(?:je|jeweils|beide|beides|alle)\b", re.IGNORECASE)
_BEFORE_NOW = re.compile(
    r"\b(?:bisher|zuvor|vorher|früher|bislang|derzeit|aktuell|noch|von|statt|anstatt)\b", re.IGNORECASE
)
_AGE_ASKED = re.compile(r"\b(?:alt|alter|jahrgang|lebensjahr)\b", re.IGNORECASE)
_IS_AGED = (
    r"\b(?:bin|ist|sind|bist|war|werde|wird|wurde|geworden|alter(?:\s+von)?:?|mit|schon|erst|jetzt)\s+"
    r"(?:(?:jetzt|schon|erst|gerade|ja|auch|etwa|inzwischen|mittlerweile|ich|er|sie)\s+){0,3}"
)
_NOT_MEASURED = (
    r"(?!\s*[,./\d]*\d)(?:\s+jahren?\b)?"
    r"(?!\s+\w*(?:uhr|mg|kilo|kg|prozent|grad|tag|woch|monat|stund|zu|schläge|zentimeter|cm|tropfen|tablette))"
)
_PER_DAY = re.compile(r"\b(?:tag|täglich|tgl)\b", re.IGNORECASE)


def fault(statement: results.Statement, said: reading.Said) -> str | None:
    """The name of the check that a quantity of the statement fails; None when all of them were said."""
    claimed = said_quantities.find(statement.text)
    if not claimed:
        return None
    given = said_quantities.find(said.text)
    mentions = _mentions(statement.text)
    fallen: set[str | None] = {_swapped(statement, said, claimed, given)}
    for claim in claimed:
        drug = _owner(claim, mentions, said_quantities.prepared(statement.text))
        if not _is_carried(claim, given, statement, said, drug):
            fallen.add(_name(claim, given, drug, is_about_drug=bool(mentions)))
    return next((name for name in _WORST_FIRST if name in fallen), None)


def _name(claim: Quantity, given: tuple[Quantity, ...], drug: catalogue.Mention | None, *, is_about_drug: bool) -> str:
    """Which check a quantity fails that was not said."""
    if claim.kind == "age":
        return "age"
    if claim.kind in ("date", "clock") or (claim.kind == "mark" and not (is_about_drug and claim.unit in _DAYTIMES)):
        return "date"
    if claim.is_time:
        return "dose" if claim.role == "every" and is_about_drug else "duration"
    if claim.kind in ("scheme", "mark") or (claim.kind == "times" and is_about_drug):
        return "dose"
    if claim.kind == "measure" and any(set(claim.said) & set(other.said) for other in given):
        return "unit"
    return "dose" if drug is not None and claim.kind in ("bare", "measure", "range") else "number"


def _is_carried(
    claim: Quantity,
    given: tuple[Quantity, ...],
    statement: results.Statement,
    said: reading.Said,
    drug: catalogue.Mention | None,
) -> bool:
    if _CARRIERS[claim.kind](claim, given, said):
        return True
    return claim.kind in ("measure", "range") and _has_implied_unit(claim, given, statement, said, drug)


def _bare(claim: Quantity, given: tuple[Quantity, ...], _said: reading.Said) -> bool:
    return any(claim.said[0] in other.said for other in given if other.kind not in ("range", "date", "scheme")) or any(
        claim.said[0] == other.said[0] for other in given if other.kind == "date"
    )


def _measure(claim: Quantity, given: tuple[Quantity, ...], _said: reading.Said) -> bool:
    for other in given:
        if other.kind == "measure" and (other.unit, other.values) == (claim.unit, claim.values):
            if not claim.is_time or _agree(claim.role, other.role):
                return True
        elif other.kind == "age" and claim.unit == "Monat" and claim.role == "" and other.said == claim.said:
            return True
    return False


def _agree(one: str, other: str) -> bool:
    """Whether two spans of time can say the same: "vor drei Tagen" and "drei Tage", not "in" and "seit"."""
    return one == other or ("every" not in (one, other) and "" in (one, other))


def _range(claim: Quantity, given: tuple[Quantity, ...], _said: reading.Said) -> bool:
    return any(
        other.kind == "range"
        and (other.unit, other.values) == (claim.unit, claim.values)
        and _agree(claim.role, other.role)
        for other in given
    )


def _pair(claim: Quantity, given: tuple[Quantity, ...], _said: reading.Said) -> bool:
    if any(other.kind == "pair" and other.said == claim.said for other in given):
        return True
    figures = [other.said[0] for other in given if other.kind in ("bare", "measure")]
    return any((upper, lower) == claim.said for upper, lower in itertools.pairwise(figures))


def _date(claim: Quantity, given: tuple[Quantity, ...], _said: reading.Said) -> bool:
    return any(
        other.kind == "date" and other.values[:2] == claim.values[:2] and claim.values[2:] in ((), other.values[2:])
        for other in given
    )


def _mark(claim: Quantity, given: tuple[Quantity, ...], said: reading.Said) -> bool:
    marks = {other.unit for other in given if other.kind == "mark"}
    if claim.unit in marks or (claim.unit == "morgens" and "morgen" in said.words):
        return True
    if claim.unit == "heute":
        return not marks & _OTHER_DAYS
    return any(other.kind == "date" and _month(other) == claim.unit for other in given)


def _month(date: Quantity) -> str:
    return said_quantities.month(int(date.values[1])) if 1 <= date.values[1] <= 12 else ""


def _clock(claim: Quantity, given: tuple[Quantity, ...], _said: reading.Said) -> bool:
    if any(other.kind == "clock" and other.values == claim.values for other in given):
        return True
    return claim.values[1] == 0 and any(other.kind == "bare" and other.said == claim.said[:1] for other in given)


def _scheme(claim: Quantity, given: tuple[Quantity, ...], _said: reading.Said) -> bool:
    return any(other.kind == "scheme" and _whole_day(other) == _whole_day(claim) for other in given)


def _whole_day(scheme: Quantity) -> tuple[Decimal, ...]:
    return (*scheme.values, Decimal(0)) if len(scheme.values) == 3 else scheme.values


def _times(claim: Quantity, given: tuple[Quantity, ...], said: reading.Said) -> bool:
    for other in given:
        if other.kind == "times" and other.said == claim.said:
            spoken_per = other.unit or ("Tag" if _PER_DAY.search(said.text) else "")
            if claim.unit in ("", spoken_per):
                return True
    return False


def _ordinal(claim: Quantity, given: tuple[Quantity, ...], _said: reading.Said) -> bool:
    return any(
        other.said and other.said[0] == claim.said[0] for other in given if other.kind not in ("range", "scheme")
    )


def _code(claim: Quantity, given: tuple[Quantity, ...], said: reading.Said) -> bool:
    if any(other.kind == "code" and other.unit == claim.unit for other in given):
        return True
    named = labs.by_name(claim.unit)
    return named is not None and any(labs.by_name(hit.text) == named for hit in labs.mentions(said.text))


def _age(claim: Quantity, given: tuple[Quantity, ...], said: reading.Said) -> bool:
    years = claim.said[0]
    if any(other.kind == "age" and other.said[0] == years for other in given):
        return True
    text = said_quantities.prepared(said.text)
    if re.search(rf"{_IS_AGED}{years}\b{_NOT_MEASURED}", text, re.IGNORECASE):
        return True
    asked = _AGE_ASKED.search(text) is not None
    return any(
        other.said == claim.said and other.role == "" and (other.unit == "Monat" or (asked and other.kind == "bare"))
        for other in given
        if other.kind in ("bare", "measure")
    )


_CARRIERS: dict[said_quantities.Kind, Callable[[Quantity, tuple[Quantity, ...], reading.Said], bool]] = {
    "bare": _bare, "measure": _measure, "range": _range, "pair": _pair, "date": _date, "mark": _mark, "clock": _clock,
    "scheme": _scheme, "times": _times, "ordinal": _ordinal, "code": _code, "age": _age,
}  # fmt: skip


def _has_implied_unit(
    claim: Quantity,
    given: Iterable[Quantity],
    statement: results.Statement,
    said: reading.Said,
    drug: catalogue.Mention | None,
) -> bool:
    """Whether the number was said without a unit, and the unit that the statement gives it goes without saying."""
    if not any(other.kind in ("bare", "range") and not other.unit and other.said == claim.said for other in given):
        return False
    written = said_quantities.prepared(statement.text)[claim.start : claim.end]
    unit = re.sub(r"^[\d.,\s–-]+", "", written)
    if drug is not None:
        implied = {concepts.implied_units().get(name, "") for name in drug.names}
        return implied == {unit}
    named = [labs.by_name(hit.text) for hit in (*labs.mentions(statement.text), *labs.mentions(said.text))]
    return any(analyte is not None and labs.is_own_unit(analyte, unit) and analyte.unit for analyte in named)


def _mentions(text: str) -> tuple[catalogue.Mention, ...]:
    """The drugs of a text, at their places in `said_quantities.prepared(text)`."""
    return drugs.mentions(said_quantities.prepared(text))


def _owner(quantity: Quantity, mentions: tuple[catalogue.Mention, ...], text: str) -> catalogue.Mention | None:
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


def _is_strength(quantity: Quantity) -> bool:
    return quantity.kind in ("bare", "measure", "range") and not quantity.is_time and quantity.unit not in ("%", "mmHg")


def _swapped(
    statement: results.Statement, said: reading.Said, claimed: tuple[Quantity, ...], given: tuple[Quantity, ...]
) -> str | None:
    """The check that fails when each quantity was said, but of another drug or another analyte, or is replaced."""
    mentions, spoken = _mentions(statement.text), _mentions(said.text)
    if mentions and spoken:
        text, told = said_quantities.prepared(statement.text), said_quantities.prepared(said.text)
        owners = [(_owner(other, spoken, told), other) for other in given]
        for claim in claimed:
            drug = _owner(claim, mentions, text)
            if drug is not None and _is_of_other_drug(claim, drug, owners, said, spoken):
                return "dose"
            if drug is not None and _is_replaced(claim, drug, owners, statement):
                return "dose"
    if _is_of_other_analyte(statement.text, said.text):
        return "number"
    return "duration" if _is_of_other_complaint(statement.text, said.text, given) else None


def _is_of_other_drug(
    claim: Quantity,
    drug: catalogue.Mention,
    owners: list[tuple[catalogue.Mention | None, Quantity]],
    said: reading.Said,
    spoken: tuple[catalogue.Mention, ...],
) -> bool:
    own = tuple(other for owner, other in owners if owner is not None and set(owner.names) & set(drug.names))
    is_only = all(set(mention.names) & set(drug.names) for mention in spoken)
    if _is_strength(claim):
        strengths = tuple(other for other in own if _is_strength(other))
        if is_only and claim.kind != "bare":
            return False
        if is_only and claim.start - drug.end > _STRENGTH_GAP:
            return False
        if is_only:
            strengths = tuple(other for _owner, other in owners if _is_strength(other))
        is_said = any(claim.said == other.said or claim.values == other.values for other in strengths)
        return not is_said and _EACH.search(said.text) is None
    if claim.kind not in ("times", "scheme", "mark") or is_only:
        return False
    same = tuple(other for other in own if other.kind == claim.kind and _is_alike(other, claim))
    return bool(same) and not _CARRIERS[claim.kind](claim, same, said)


def _is_alike(one: Quantity, other: Quantity) -> bool:
    return one.kind != "mark" or ((one.unit in _DAYTIMES) == (other.unit in _DAYTIMES))


def _is_replaced(
    claim: Quantity,
    drug: catalogue.Mention,
    owners: list[tuple[catalogue.Mention | None, Quantity]],
    statement: results.Statement,
) -> bool:
    """Whether a plan gives the dose that it was changed from: "von 5 auf 10 mg" is no order for 5 mg."""
    if statement.section != "P" or claim.is_old or _BEFORE_NOW.search(statement.text) or not _is_strength(claim):
        return False
    same = [
        other
        for owner, other in owners
        if owner is not None and set(owner.names) & set(drug.names) and other.said == claim.said and _is_strength(other)
    ]
    return bool(same) and all(other.is_old for other in same)


def _is_of_other_analyte(text: str, told: str) -> bool:
    claimed = labs.find(said_quantities.prepared(text))
    if not claimed:
        return False
    given: dict[str, set[Decimal]] = {}
    for value in labs.find(said_quantities.prepared(told)):
        given.setdefault(value.analyte.key, set()).add(value.value)
    return any(
        value.value not in given[value.analyte.key]
        if value.analyte.key in given
        else any(value.value in others for others in given.values())
        for value in claimed
    )


def _is_of_other_complaint(text: str, told: str, given: tuple[Quantity, ...]) -> bool:
    """Whether the one span of time of a part of the statement was said of something else: "Husten seit drei Tagen,
    Fieber seit zwei Wochen" is no fever for three days.
    """
    if len({other.values for other in given if other.is_time}) < 2:
        return False
    parts = _timed(told)
    claims = _timed(text)
    if len(claims) == 1:
        claims = ((text.lower(), claims[0][1]),)
    return any(_is_moved(part, spans, parts) for part, spans in claims if len(spans) == 1)


@functools.lru_cache(maxsize=4096)
def _timed(text: str) -> tuple[tuple[str, tuple[tuple[Decimal, ...], ...]], ...]:
    """The parts of a text that hold a span of time, in lower case, each with the values of its spans."""
    parts = ((part, said_quantities.find(part)) for part in _PART.split(said_quantities.prepared(text)))
    timed = ((part.lower(), tuple(other.values for other in found if other.is_time)) for part, found in parts)
    return tuple((part, spans) for part, spans in timed if spans)


def _is_moved(
    text: str,
    spans: tuple[tuple[Decimal, ...], ...],
    parts: tuple[tuple[str, tuple[tuple[Decimal, ...], ...]], ...],
) -> bool:
    words = {word.lower()[:_STEM] for word in reading.WORD.findall(text) if word.lower() not in concepts.form_words()}
    words = {word for word in words if len(word) == _STEM and word not in _TIME_WORDS}
    dated = [(sum(word in part for word in words), spans[0] in others) for part, others in parts]
    best = max((shared for shared, _is_same in dated), default=0)
    return best > 0 and not any(is_same for shared, is_same in dated if shared == best)


def forget() -> None:
    """Drop what is remembered of the texts of earlier runs."""
    said_quantities.forget()
    _timed.cache_clear()
