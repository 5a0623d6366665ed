"""What the prescribing check looks at: the drugs from now on, the illnesses, the allergies, as note and record say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from pipeline import consultation, facts, results
from terminology.drugs import catalogue as drugs
from terminology.drugs import doses, orders, rules
from terminology.german import polarity, sentences

Status = Literal["prescribed", "continued", "stopped"]

_GOES_ON = re.compile(r"\b(?:weiter\w*|wie bisher|bleibt|bleiben|unverändert|fortf\w*|beibehalten)\b", re.IGNORECASE)
_TOPICAL = re.compile(
    r"\b(?:gel|emulgel|salbe|creme|lotion|pflaster|nasenspray|nasentropfen|augentropfen|ohrentropfen|augensalbe|spray|inhal\w*|hub|hübe|sprühst\w*|lutsch\w*|"
    r"schaum|einreib\w*|auftragen|vaginal\w*|umschlag\w*|spül\w*)\b",
    re.IGNORECASE,
)
_MILLIGRAMS = re.compile(r"\d\s*(?:mg|g)\b", re.IGNORECASE)
_NEAR = 12  # characters around a drug's name in which a form word belongs to it
_TOPICAL_ROUTES = frozenset({"topical", "nasal", "ophthalmic", "inhaled"})
_ALLERGY = re.compile(r"allerg|unverträglich|ausschlag|anaphyla", re.IGNORECASE)
_TAKEN = re.compile(
    r"nimm|nehm|nahm|genommen|einnahm|tablette|kapsel|morgens|mittags|abends|nachts|täglich|am tag|die woche|\d|tropfen|spray|spritz|pille|plan|"
    r"bei bedarf|medikament|dosis|hub|hübe|verschrieben|bekomm|krieg|gegeben",
    re.IGNORECASE,
)
#: Allergens that no drug is made of: such an allergy is no gap of the check.
_NO_DRUG = re.compile(
    r"poll|gräser|birke|hasel|hausstaub|milbe|katze|hund|pferd|tierhaar|latex|nuss|nickel|pflaster|biene|wespe|insekt|soja|milch|laktose|gluten|"
    r"\bei\b|hühnerei|fisch|krebs|obst|apfel|schimmel|duftstoff|chrom|heuschnupfen",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Taken:
    """A drug with what the talk says of it. `dose` is its text for the dose parser."""

    mention: drugs.Mention
    status: Status
    dose: str
    is_topical: bool
    record: str | None
    evidence: tuple[results.Evidence, ...]


@dataclass(frozen=True, slots=True)
class Allergy:
    """An allergy as it is told, lower case, with the ingredients that it names."""

    told: str
    ingredients: frozenset[str]
    evidence: tuple[results.Evidence, ...]


def taken(documented: consultation.Consultation, note: results.Note) -> tuple[list[Taken], list[str]]:
    """What the patient takes from now on, one entry a set of ingredients, and record entries nobody can resolve."""
    found: dict[tuple[str, ...], Taken] = {}
    unknown: list[str] = []
    for item in documented.record.medications:
        mentions = drugs.find(item.text) or ([_of_atc(item)] if item.atc in drugs.by_atc() else [])
        if not mentions:
            unknown.append(item.text)
        for mention in mentions:
            evidence = (results.Evidence(record=item.id),)
            dose = f"{item.text} {item.dosage or ''}"
            topical = _is_topical(mention, item.text)
            found[mention.names] = Taken(mention, "continued", dose, topical, item.id, evidence)
    for statement in note.statements:
        for mention, words in _mentions(statement.text):
            said = _status(statement, mention, words)
            if said is None:
                continue
            known = found.get(mention.names)
            topical = _is_topical(mention, statement.text)
            new = Taken(mention, said, words, topical, known.record if known else None, statement.evidence)
            if known is not None and said == "continued":
                dose = words if doses.has_frequency(words) else known.dose
                new = replace(new, status=known.status, evidence=(*known.evidence, *statement.evidence), dose=dose)
            found[mention.names] = new
    return [drug for drug in found.values() if drug.status != "stopped"], unknown


def _of_atc(item: consultation.Medication) -> drugs.Mention:
    return drugs.Mention(0, len(item.text), item.text, (drugs.by_atc()[item.atc or ""],))


def _mentions(text: str) -> Iterator[tuple[drugs.Mention, str]]:
    """Each drug of a statement with the words that belong to it, up to the next drug."""
    mentions = drugs.find(text)
    for index, mention in enumerate(mentions):
        begin = 0 if index == 0 else mention.start
        end = mentions[index + 1].start if index + 1 < len(mentions) else len(text)
        yield mention, text[begin:end]


def _status(statement: results.Statement, mention: drugs.Mention, words: str) -> Status | None:
    """What a statement says of a drug; None when it says nothing about taking it now."""
    if statement.polarity == "family":
        return None
    is_dosed = _MILLIGRAMS.search(words) is not None and doses.has_frequency(words)
    if statement.section == "P" or (statement.section == "A" and is_dosed):
        if _is_stopped(statement, mention, words):
            return "stopped"
        return "continued" if _GOES_ON.search(statement.text) else "prescribed"
    is_told = _TAKEN.search(words) is not None and not names_allergy(statement.text)
    if statement.section == "S" and statement.polarity in ("affirmed", "uncertain") and is_told:
        return "stopped" if orders.stops(words) else "continued"
    return None


def _is_stopped(statement: results.Statement, mention: drugs.Mention, words: str) -> bool:
    if orders.is_replaced(statement.text[: mention.start]) or orders.stops(words):
        return True
    if statement.text.startswith("Verneint:") or statement.text.endswith(": nein."):
        return True
    clause = next(
        (s.text for s in sentences.clauses(statement.text) if s.start <= mention.start < s.end), statement.text
    )
    return polarity.is_negated(orders.without_manner(clause))


def _is_topical(mention: drugs.Mention, text: str) -> bool:
    """Whether a drug is given where it acts: by its usual route, or by a form word right beside its name."""
    if all(ingredient.route in _TOPICAL_ROUTES for ingredient in mention.ingredients):
        return True
    near = text[max(0, mention.start - _NEAR) : mention.end + _NEAR]
    return _TOPICAL.search(near) is not None and _MILLIGRAMS.search(near) is None


def conditions(documented: consultation.Consultation, note: results.Note) -> dict[str, tuple[results.Evidence, ...]]:
    """Known and named diagnoses by code."""
    found: dict[str, tuple[results.Evidence, ...]] = {}
    for condition in documented.record.conditions:
        if condition.code:
            found.setdefault(condition.code, (results.Evidence(record=condition.id),))
    for statement, term in facts.terms(note, ("S", "O", "A")):
        clauses = sentences.clauses(statement.text)
        clause = next((s.text for s in clauses if s.start <= term.start < s.end), statement.text)
        is_so = statement.polarity in ("affirmed", "historical") and not polarity.is_negated(clause)
        if is_so and term.kind != "symptom" and not facts.is_only_feared(statement.text):
            found.setdefault(term.code, statement.evidence)
    return found


def names_allergy(text: str) -> bool:
    """Whether a text speaks of an allergy, or of how a drug was borne."""
    return _ALLERGY.search(text) is not None or facts.is_not_borne(text)


def allergies(documented: consultation.Consultation, note: results.Note) -> tuple[list[Allergy], list[str]]:
    """The allergies of record and talk, and those of the record that mean no drug we know."""
    found: list[Allergy] = []
    unknown: list[str] = []
    for item in documented.record.allergies:
        coded = drugs.by_atc().get(item.atc or "")
        told = f"{item.text} {coded.name if coded else ''}".strip()
        names = frozenset(name for mention in drugs.find(told) for name in mention.names)
        found.append(Allergy(told.lower(), names, (results.Evidence(record=item.id),)))
        if not names and not rules.names_allergy_group(told) and not _NO_DRUG.search(told):
            unknown.append(item.text)
    for statement in note.statements:
        is_told = statement.polarity in ("affirmed", "historical") and _ALLERGY.search(statement.text) is not None
        is_not_borne = statement.polarity != "family" and facts.is_not_borne(statement.text)
        if is_told or is_not_borne:
            mentions = () if statement.section == "P" else drugs.find(statement.text)
            names = frozenset(name for mention in mentions for name in mention.names)
            found.append(Allergy(statement.text.lower(), names, statement.evidence))
    return found, unknown
