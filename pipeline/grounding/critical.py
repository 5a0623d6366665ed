"""Critical facts of a text: allergies, drugs, doses, red flags, measured values and illnesses, as they are compared.

A fact is compared by what it means, not by its words: a brand is its ingredients, "zwei Komma fünf" is 2.5, "Luftnot"
is "Atemnot", "Zuckerkrankheit" is E14; and "keine Luftnot" is another fact than "Luftnot".
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Literal, NamedTuple

from pipeline import facts, results
from terminology import labs, tables
from terminology.drugs import catalogue as drugs
from terminology.drugs import doses, orders, rules
from terminology.german import numbers, polarity, sentences, vocabulary
from terminology.icd10gm import catalogue as icd10gm

Kind = Literal["allergy", "reaction", "drug", "dose", "frequency", "red_flag", "vital", "lab", "diagnosis", "illness"]

#: What the pair of a blood pressure is about; it has no key of its own in the laboratory table.
PRESSURE = "blood_pressure"


class Fact(NamedTuple):
    """A critical fact as it is compared: what it is about, and what is said of it.

    `value` is a number or, of what can be so or not so: yes, no, was (in the past), if (advice for when it comes),
    maybe (a diagnosis that is suspected). A diagnosis is about the ICD code of its term, an illness about the code of
    the prescribing rules that asks for it.
    """

    kind: Kind
    about: str
    value: str


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
    return fact.kind == "drug" and fact.value in _OFF and any(fact._replace(value=off) in carried for off in _OFF)


def _is_same_illness(told: str, carried: str) -> bool:
    """Whether a code says what is told: the same subcategory, or a surer name where the told one is unspecific."""
    return told[:5] == carried[:5] or icd10gm.is_same_illness(told, carried)


_OFF = ("no", "was")  # a drug that is not taken, or not any more
_BARE = "?"  # marks the number of a dose whose unit others may leave out: "ASS 100"


def offers(statement: results.Statement) -> frozenset[Fact]:
    """A statement's facts, its doses also in milligrams and as the number alone, and every complaint as a reaction."""
    ways = in_every_form(told(statement))
    if statement.polarity not in ("negated", "family"):
        ways.update(Fact("reaction", concept, "yes") for concept in _concepts(statement.text))
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
    return f"{number} {unit}" if factor is None else f"{_plain(Decimal(number) * factor)} mg"


def _plain(number: Decimal) -> str:
    """A number without trailing zeros: 39.0 is 39."""
    return f"{number.normalize():f}"


_ADVICE = re.compile(
    r"^(?:und |aber |also |wichtig:? )*(?:wenn|falls|sollten?|sobald|bei)\b.*\b(?:112|eins eins zwei|sofort|gleich|"
    r"kommen|melden|rufen|anrufen|wieder|notaufnahme|notdienst|notarzt)\b",
    re.IGNORECASE | re.DOTALL,
)
_ADVICE_FIRST = re.compile(
    r"\b(?:(?:kommen|rufen|melden|gehen) sie|112|notaufnahme|wiederkommen|wiedervorstellung|vorstellen)\b.*"
    r"\b(?:wenn|falls|sobald)\b",
    re.IGNORECASE | re.DOTALL,
)
_ONLY_THOUGHT = re.compile(
    r"\b(?:könnten?|würden?|wäre\w*|hätten?|wenn|falls|sollten?|sobald|statt|anstatt|oder)\b", re.IGNORECASE
)
_IS_GOAL = re.compile(r"\b(?:ziel\w*|soll\w*|wenn|falls)\b|\b(?:unter|über|ab) (?:die )?\d", re.IGNORECASE)
_ALLERGY = re.compile(r"allerg|unverträglich|anaphyla", re.IGNORECASE)


def read(text: str, whole: results.Polarity | None = None) -> Iterator[Fact]:
    """The critical facts of a text; `whole` is the polarity of all of it, None where each clause speaks for itself.

    What a text says of illnesses depends on the section that it stands in: see `told`.
    """
    if not _is_about_family(text, whole):
        known = red_flags()
        yield from (Fact("red_flag", concept, value) for concept, value in manners(text, whole) if concept in known)
        yield from treated_and_measured(text, whole)


def _is_about_family(text: str, whole: results.Polarity | None) -> bool:
    return whole == "family" or (whole is None and polarity.is_about_family(text))


def treated_and_measured(text: str, whole: results.Polarity | None = None) -> Iterator[Fact]:
    """The critical facts of a text that are no red flags: allergies, drugs and measured values."""
    if _is_about_family(text, whole):
        return
    figures = numbers.in_figures(text)
    if _ALLERGY.search(text) or facts.is_reaction(text):
        yield from _allergies(text, whole)
    else:
        yield from _medication(figures, whole)
    if whole != "negated" and not _is_advice(text) and not _IS_GOAL.search(figures):
        yield from _values(figures)


def _is_advice(text: str) -> bool:
    """Whether a text says what to do when something comes: what it names is not there yet."""
    return _ADVICE.match(text) is not None or _ADVICE_FIRST.search(text) is not None


@functools.cache
def red_flags() -> frozenset[str]:
    """The names of the red flags of the table `german/red_flags`."""
    return frozenset(row["flag"] for row in tables.rows("german/red_flags"))


def manners(text: str, whole: results.Polarity | None) -> Iterator[tuple[str, str]]:
    """Each complaint that `text` names, a red flag by its own name, with yes, no, was or if."""
    named = _concepts(text)
    if not named:
        return
    if _is_advice(text):
        for concept in named:
            yield concept, "if"
        return
    before = ""
    for clause in sentences.clauses(text):
        value = _manner(clause.text, whole)
        if whole is None and value == "yes" and before == "no" and _goes_on(clause.text, text):
            value = "no"
        before = value
        for concept in _concepts(clause.text):
            yield concept, value


def _concepts(text: str) -> frozenset[str]:
    named = {hit.row["flag"] for hit in vocabulary.lexicon("red_flags").find_all(text)}
    return frozenset(named | {hit.row["concept"] for hit in vocabulary.lexicon("symptoms").find(text)})


_LISTED = 5  # words of an item in a list at most


def _goes_on(clause: str, text: str) -> bool:
    """Whether a denial goes on in this clause: "keine Übelkeit, Erbrechen oder Durchfall"."""
    return " oder " in text and len(clause.split()) <= _LISTED


def _manner(clause: str, whole: results.Polarity | None) -> str:
    if whole == "negated" or (whole != "historical" and polarity.is_negated(clause)):
        return "no"
    if whole == "historical" or (whole is None and polarity.is_historical(clause)):
        return "was"
    return "yes"


_NAMED_AFTER = re.compile(
    r"\b(?:gegen|auf|von|nach|durch)\s+(?:\w+\s+)?([A-ZÄÖÜ]\w{3,})|(\w{4,}?)-?(?:allergi|unverträglich)\w*"
)
_GENERIC = frozenset(["medik", "tabl", "irgen", "etwas", "antib", "nahru"])
_STEM = 5  # letters by which two allergens that are no drugs are compared


def _allergies(text: str, whole: results.Polarity | None) -> Iterator[Fact]:
    value = _manner(text, whole)
    value = "no" if value == "no" and not facts.is_reaction(text) else "yes"
    named = {name for mention in drugs.find(text) for name in mention.names}
    if not named:
        words = {(match[1] or match[2]).lower()[:_STEM] for match in _NAMED_AFTER.finditer(text)}
        named = words - _GENERIC
    for about in named or ({""} if value == "no" else set()):
        yield Fact("allergy", about, value)
    if value == "yes":
        for hit in vocabulary.lexicon("symptoms").find(text):
            if hit.row["concept"] != "allergische reaktion":
                yield Fact("reaction", hit.row["concept"], "yes")


_USED_UP = re.compile(r"\b(?:weg|ausgegangen|leer)\b", re.IGNORECASE)
_INSTEAD_OF = re.compile(r"\b(?:statt|anstatt|anstelle(?: von)?)\s*(?:de[mrsn]|das)?\s*$", re.IGNORECASE)
_CONDITION = re.compile(r"^(?:und |aber |also )*(?:wenn|falls|sollten?|sobald)\b", re.IGNORECASE)
_STRENGTH = re.compile(r"(\d+(?:[.,]\d+)?)\s*(mg|µg|mcg|g|ml|%|IE|Einheiten|Hub|Hübe|Tropfen|Sprühst[oö]ße?)(?![\w/])")
#: A number right behind the name is the strength, if it counts nothing else: "ASS 100", "Ramipril fünf".
_BEHIND = re.compile(
    r"^(?:[a-zäöü]*|-\w+)[ ,-]{1,2}(?:die |das )?(\d+(?:[.,]\d+)?|[a-zäöüß]+)"
    r"(?!\s*(?:\d|x|mal|tag|woche|monat|jahr|stunde|uhr|tablette|kapsel|stück|prozent|mg|µg|mcg|g|ml|%|IE|hub|hübe|tropfen|"
    r"einheiten|sprühst|[-/,.]\d))\b",
    re.IGNORECASE,
)


def _medication(text: str, whole: results.Polarity | None) -> Iterator[Fact]:
    """Each drug of a text (numbers in figures) with what is said of it, up to the next one."""
    mentions = drugs.find(text)
    for index, mention in enumerate(mentions):
        following = mentions[index + 1].start if index + 1 < len(mentions) else len(text)
        clause = next((s.text for s in sentences.clauses(text) if s.start <= mention.start < s.end), text)
        if whole is None and _ONLY_THOUGHT.search(clause):
            continue
        words = text[0 if index == 0 else mention.start : following]
        value = _taking(text[: mention.start], clause, words, whole)
        for name in mention.names:
            yield Fact("drug", name, "if" if value == "yes" and _CONDITION.match(text) else value)
            if value == "yes":
                yield from _doses(name, text[mention.end : following], words)


def _taking(before: str, clause: str, words: str, whole: results.Polarity | None) -> str:
    if whole == "negated" or _INSTEAD_OF.search(before) or orders.stops(words) or _USED_UP.search(words):
        return "no"
    return _manner(orders.without_manner(clause), whole)


def _doses(name: str, behind: str, words: str) -> Iterator[Fact]:
    for number, unit in _STRENGTH.findall(behind):
        yield Fact("dose", name, f"{_plain(Decimal(number.replace(',', '.')))} {_UNITS.get(unit[:3].lower(), unit)}")
    match = _BEHIND.match(behind)
    if match:
        number = match[1].replace(",", ".") if match[1][0].isdigit() else numbers.value(match[1])
        if number is not None:
            yield Fact("dose", name, _plain(Decimal(number)))
    per_day = doses.parse(words).per_day
    if per_day is not None:
        yield Fact("frequency", name, _plain(per_day))


_UNITS = {"hub": "Hub", "hüb": "Hub", "spr": "Sprühstoß", "ein": "IE"}
_PRESSURE = re.compile(r"(?<![\d/])(\d{2,3})/(\d{2,3})(?![\d/]|\s*mg)")
_BARE_TEMPERATURE = re.compile(
    r"(?<![\d/.,])(3[5-9]|4[0-2])[.,](\d)(?!\d|\s*(?:%|mg|g\b|g/|kg|cm|µ|ml|mm|U|IE|nmol|pg|ng|s\b))"
)
_VITALS = frozenset({"heart_rate", "temperature", "spo2", "respiratory_rate", "weight", "glucose", "glucose_fasting"})


def _values(text: str) -> Iterator[Fact]:
    """The measured values of a text (numbers in figures); a temperature also where only its number was said."""
    for upper, lower in _PRESSURE.findall(text):
        if 60 <= int(upper) <= 280 and 30 <= int(lower) <= 160 and int(lower) < int(upper):
            yield Fact("vital", PRESSURE, f"{upper}/{lower}")
    values = labs.find(text)
    for value in values:
        key = "glucose" if value.analyte.key == "glucose_fasting" else value.analyte.key
        if labs.is_plausible(value.analyte, value.value):
            yield Fact("vital" if key in _VITALS else "lab", key, _plain(value.value))
    for match in _BARE_TEMPERATURE.finditer(text):
        if not any(value.start <= match.start() < value.end for value in values):
            yield Fact("vital", "temperature", _plain(Decimal(f"{match[1]}.{match[2]}")))


# Illnesses: what the assessment names, and what the prescribing check asks for wherever it stands.

_EXCLUDED = re.compile(r"(?<!zum )(?<!zur )\bausschluss\b|\bschließ\w* .{0,40}\baus\b|ausschließen", re.IGNORECASE)
_TO_EXCLUDE = re.compile(r"\bzu[mr] ausschluss\b", re.IGNORECASE)


def _illnesses(statement: results.Statement) -> Iterator[Fact]:
    """The diagnoses of an assessment with their certainty; of all but the plan the illnesses that a drug may harm."""
    if statement.section == "P" or statement.polarity == "family" or facts.is_only_feared(statement.text):
        return
    for term in icd10gm.find(statement.text):
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
