"""Critical facts of a text: allergies, drugs, doses, red flags, measured values, states and illnesses, as they are
compared.

A fact is compared by what it means, not by its words: a brand is its ingredients, "zwei Komma fünf" is 2.5, "Luftnot"
is "Atemnot", "Zuckerkrankheit" is E14; and "keine Luftnot" is another fact than "Luftnot".
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal

from pipeline import facts, results
from pipeline.grounding import allergies, complaints, states, treatment
from pipeline.grounding.complaints import manners as manners
from pipeline.grounding.complaints import red_flags as red_flags
from pipeline.grounding.fact import PRESSURE as PRESSURE
from pipeline.grounding.fact import Fact as Fact
from pipeline.grounding.fact import Kind as Kind
from terminology.drugs import rules
from terminology.german import numbers, polarity, sentences
from terminology.icd10gm import specificity, wording


def told(statement: results.Statement) -> frozenset[Fact]:
    """The critical facts that a statement tells, judged by its own polarity, section and words."""
    return frozenset((*read(statement.text, statement.polarity), *_illnesses(statement)))


def offered(note: results.Note) -> frozenset[Fact]:
    """What a note carries, in every form in which it may be asked for by `is_carried`."""
    return frozenset(fact for statement in note.statements for fact in offers(statement))


def is_carried(fact: Fact, carried: frozenset[Fact]) -> bool:
    """Whether a fact stands among what is `offered`, with the same number and the same polarity."""
    if fact in carried:
        return True
    if fact.kind == "dose":
        number, _space, unit = fact.value.partition(" ")
        others = (_in_milligrams(number, unit), number) if unit else (f"{number}{_BARE}",)
        return any(fact._replace(value=other) in carried for other in others)
    if fact.kind == "diagnosis":
        return any(
            other.kind == "diagnosis" and other.value == fact.value and _is_same_illness(fact.about, other.about)
            for other in carried
        )
    if fact.kind == "state":
        return fact.value == "maybe" and fact._replace(value="yes") in carried
    return fact.kind == "drug" and fact.value in _OFF and any(fact._replace(value=off) in carried for off in _OFF)


def _is_same_illness(told: str, carried: str) -> bool:
    """Whether a code says what is told: the same subcategory, or a surer name where the told one is unspecific."""
    return told[:5] == carried[:5] or specificity.is_same_illness(told, carried)


_OFF = ("no", "was")  # a drug that is not taken, or not any more
_BARE = "?"  # marks the number of a dose whose unit others may leave out: "ASS 100"


def offers(statement: results.Statement) -> frozenset[Fact]:
    """A statement's facts, its doses also in milligrams and as the number alone, and every complaint as a reaction."""
    ways = in_every_form(told(statement))
    if statement.polarity not in ("negated", "family"):
        ways.update(Fact("reaction", concept, "yes") for concept in complaints.concepts(statement.text))
    return frozenset(ways)


def in_every_form(told: Iterable[Fact]) -> set[Fact]:
    """These facts, doses also in milligrams and as the number alone."""
    ways: set[Fact] = set()
    for fact in told:
        number, _space, unit = fact.value.partition(" ")
        ways.add(fact)
        if fact.kind == "dose" and unit:
            ways |= {fact._replace(value=_in_milligrams(number, unit)), fact._replace(value=f"{number}{_BARE}")}
    return ways


_MILLIGRAMS = {"mg": Decimal(1), "g": Decimal(1000), "µg": Decimal("0.001"), "mcg": Decimal("0.001")}


def _in_milligrams(number: str, unit: str) -> str:
    factor = _MILLIGRAMS.get(unit)
    return f"{number} {unit}" if factor is None else f"{treatment.plain(Decimal(number) * factor)} mg"


def read(text: str, whole: results.Polarity | None = None, *, is_own: bool = False) -> Iterator[Fact]:
    """The critical facts of a text; `whole` is the polarity of all of it, None where each clause speaks for itself.

    `is_own`: it is known to tell of the patient, whoever it names. What a text says of illnesses depends on the section
    that it stands in: see `told`.
    """
    if is_own or not _is_about_family(text, whole):
        yield from besides_treatment(text, whole)
        yield from _treated_and_measured(text, whole)


def _is_about_family(text: str, whole: results.Polarity | None) -> bool:
    return whole == "family" or (whole is None and polarity.is_about_family(text))


def besides_treatment(text: str, whole: results.Polarity | None = None) -> Iterator[Fact]:
    """The red flags of a text and the states that it affirms."""
    known = red_flags()
    yield from (Fact("red_flag", concept, value) for concept, value in manners(text, whole) if concept in known)
    yield from states.read(text, whole)


def treated_and_measured(text: str, whole: results.Polarity | None = None) -> Iterator[Fact]:
    """The critical facts of a text that are no red flags and no states: allergies, drugs and measured values."""
    if not _is_about_family(text, whole):
        yield from _treated_and_measured(text, whole)


def _treated_and_measured(text: str, whole: results.Polarity | None) -> Iterator[Fact]:
    figures = numbers.in_figures(text)
    if allergies.is_about(text):
        yield from allergies.read(text, whole)
        for clause in allergies.taken(text):
            yield from treatment.medication(numbers.in_figures(clause), whole)
    else:
        yield from treatment.medication(figures, whole)
    if whole != "negated" and not complaints.is_advice(text):
        yield from treatment.values(figures)


# Illnesses: what the assessment names, and what the prescribing check asks for wherever it stands.

_EXCLUDED = re.compile(r"(?<!zum )(?<!zur )\bausschluss\b|\bschließ\w* .{0,40}\baus\b|ausschließen", re.IGNORECASE)
_TO_EXCLUDE = re.compile(r"\bzu[mr] ausschluss\b", re.IGNORECASE)


def _illnesses(statement: results.Statement) -> Iterator[Fact]:
    """The diagnoses of an assessment with their certainty; of all but the plan the illnesses that a drug may harm."""
    if statement.section == "P" or statement.polarity == "family" or facts.is_only_feared(statement.text):
        return
    for term in wording.find(statement.text):
        clause = next((s.text for s in sentences.clauses(statement.text) if s.start <= term.start < s.end), "")
        if polarity.is_about_family(clause):
            continue
        value = _certainty(clause or statement.text, statement.polarity)
        if statement.section == "A":
            yield Fact("diagnosis", term.code, value)
        if value in ("yes", "was") and term.kind != "symptom":
            yield from (Fact("illness", asked, "yes") for asked in _asked_for() if term.code.startswith(asked))


def _certainty(clause: str, whole: results.Polarity) -> str:
    if whole == "negated" or _EXCLUDED.search(clause) or polarity.is_negated(clause):
        return "no"
    if whole == "uncertain" or _TO_EXCLUDE.search(clause) or polarity.is_uncertain(clause):
        return "maybe"
    return "was" if whole == "historical" else "yes"


@functools.cache
def _asked_for() -> frozenset[str]:
    """The beginnings of ICD codes for which a prescribing rule holds or is silent."""
    named = {name for rule in rules.all_rules() for name in (*rule.conditions, *rule.unless)}
    return frozenset(name for name in named if re.match(r"[A-Z]\d", name))
