"""The prescribing check: what was prescribed or goes on, held against the rules and the record. Three honest states."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from pipeline import consultation, facts, results, segments
from terminology import labs
from terminology.drugs import catalogue as drugs
from terminology.drugs import doses, rules
from terminology.german import polarity, sentences
from terminology.icd10gm import catalogue as icd10gm

_STOPPED = re.compile(
    r"\b(?:abgesetzt|absetzen|setzen .{0,40}\bab|lassen .{0,40}\bweg|weglassen|pausier\w*|streichen|gestrichen|nicht mehr|stopp\w*|beenden|statt)\b",
    re.IGNORECASE,
)
_GOES_ON = re.compile(r"\b(?:weiter\w*|wie bisher|bleibt|bleiben|unverändert|fortf\w*|beibehalten)\b", re.IGNORECASE)
_TAKEN = re.compile(
    r"nimm|nehm|nahm|genommen|einnahm|tablette|kapsel|morgens|mittags|abends|nachts|täglich|am tag|die woche|\d|tropfen|spray|spritz|pille|plan|"
    r"bei bedarf|medikament|dosis|hub|hübe|verschrieben|bekomm|krieg|gegeben",
    re.IGNORECASE,
)
_TOPICAL = re.compile(
    r"\b(?:gel|emulgel|salbe|creme|lotion|pflaster|nasenspray|nasentropfen|augentropfen|ohrentropfen|augensalbe|spray|inhal\w*|hub|hübe|sprühst\w*|lutsch\w*|"
    r"schaum|einreib\w*|auftragen|zäpfchen vaginal|vaginal\w*|umschlag\w*|spül\w*)\b",
    re.IGNORECASE,
)
_TOPICAL_ROUTES = frozenset({"topical", "nasal", "ophthalmic", "inhaled"})
_ALLERGY = re.compile(r"allerg|unverträglich|vertr[aä]g\w* .{0,30}nicht|ausschlag|anaphyla", re.IGNORECASE)

#: Days after which a laboratory value is too old to decide on a drug. Source: KDIGO CKD 2024 (monitoring at least yearly).
_LAB_DAYS = 365

_SEVERITY_ORDER: dict[str, int] = {"contraindicated": 0, "high": 1, "moderate": 2, "low": 3}

Status = Literal["prescribed", "continued", "stopped"]


@dataclass(frozen=True, slots=True)
class _Taken:
    """A drug with what the talk says of it. `dose` is its text for the dose parser."""

    mention: drugs.Mention
    status: Status
    dose: str
    is_topical: bool
    record: str | None
    evidence: tuple[results.Evidence, ...]


@dataclass(frozen=True, slots=True)
class _Situation:
    """Everything a rule may ask for."""

    taken: tuple[_Taken, ...]
    conditions: dict[str, tuple[results.Evidence, ...]]
    allergies: tuple[tuple[str, tuple[results.Evidence, ...]], ...]
    values: dict[str, facts.Measured]
    age: int | None
    patient: consultation.Patient
    day: dt.date | None


def run(
    documented: consultation.Consultation, transcript: segments.Transcript, note: results.Note
) -> results.SafetyCheck:
    """The findings for what the patient takes after this encounter, and what could not be checked."""
    taken, unknown = _taken(documented, note)
    situation = _Situation(
        taken=tuple(taken),
        conditions=_conditions(documented, note),
        allergies=tuple(_allergies(documented, note)),
        values=facts.measured(documented, note),
        age=documented.patient.age_on(documented.day) if documented.day else None,
        patient=documented.patient,
        day=documented.day,
    )
    gaps: list[str] = [f"„{text}“: Wirkstoff nicht bekannt." for text in unknown]
    warnings = _folded(_findings(situation, gaps))
    checked = [
        results.CheckedDrug(
            text=drug.mention.text,
            ingredients=drug.mention.names,
            atc=tuple(ingredient.atc for ingredient in drug.mention.ingredients),
            status="prescribed" if drug.status == "prescribed" else "continued",
            record=drug.record,
            evidence=drug.evidence,
        )
        for drug in situation.taken
    ]
    total = len(checked) + len(unknown)
    unique_gaps = tuple(dict.fromkeys(gaps))
    status: Literal["found", "none", "not-checked"] = "found" if warnings else "not-checked" if unique_gaps else "none"
    covered = (
        f"Verordnungsprüfung: {len(checked)} von {total} Medikamenten geprüft."
        if total
        else "Verordnungsprüfung: kein Medikament genannt."
    )
    return results.SafetyCheck(
        status=status, drugs=tuple(checked), warnings=tuple(warnings), covered=covered, gaps=unique_gaps
    )


def _taken(documented: consultation.Consultation, note: results.Note) -> tuple[list[_Taken], list[str]]:
    """What the patient takes from now on, one entry a set of ingredients, and record entries nobody can resolve."""
    found: dict[tuple[str, ...], _Taken] = {}
    unknown: list[str] = []
    for item in documented.record.medications:
        mentions = drugs.find(item.text) or ([_of_atc(item)] if item.atc in drugs.by_atc() else [])
        if not mentions:
            unknown.append(item.text)
        for mention in mentions:
            evidence = (results.Evidence(record=item.id),)
            dose = f"{item.text} {item.dosage or ''}"
            found[mention.names] = _Taken(
                mention, "continued", dose, _is_topical(mention, item.text), item.id, evidence
            )
    for statement in note.statements:
        for mention, words in _mentions(statement.text):
            said = _status(statement, words)
            if said is None:
                continue
            known = found.get(mention.names)
            new = _Taken(
                mention, said, words, _is_topical(mention, words), known.record if known else None, statement.evidence
            )
            if known is not None and said == "continued":
                new = replace(
                    new,
                    status=known.status,
                    evidence=(*known.evidence, *statement.evidence),
                    dose=words if doses.has_frequency(words) else known.dose,
                )
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


def _status(statement: results.Statement, words: str) -> Status | None:
    """What a statement says of a drug; None when it says nothing about taking it now."""
    if statement.polarity == "family":
        return None
    if statement.section == "P":
        if statement.polarity == "negated" or _STOPPED.search(words) or polarity.is_negated(words.split(",")[0]):
            return "stopped"
        return "continued" if _GOES_ON.search(statement.text) else "prescribed"
    is_taken = _TAKEN.search(words) is not None and not _ALLERGY.search(statement.text)
    if statement.section == "S" and statement.polarity == "affirmed" and is_taken:
        return "stopped" if _STOPPED.search(words) else "continued"
    return None


def _is_topical(mention: drugs.Mention, words: str) -> bool:
    return all(i.route in _TOPICAL_ROUTES for i in mention.ingredients) or _TOPICAL.search(words) is not None


def _conditions(documented: consultation.Consultation, note: results.Note) -> dict[str, tuple[results.Evidence, ...]]:
    """Known and named diagnoses by code."""
    found: dict[str, tuple[results.Evidence, ...]] = {}
    for condition in documented.record.conditions:
        if condition.code:
            found.setdefault(condition.code, (results.Evidence(record=condition.id),))
    for statement, term in facts.terms(note, ("S", "O", "A")):
        clause = next(
            (s.text for s in sentences.clauses(statement.text) if s.start <= term.start < s.end), statement.text
        )
        if (
            statement.polarity in ("affirmed", "historical")
            and not polarity.is_negated(clause)
            and term.kind != "symptom"
        ):
            found.setdefault(term.code, statement.evidence)
    return found


def _allergies(
    documented: consultation.Consultation, note: results.Note
) -> Iterator[tuple[str, tuple[results.Evidence, ...]]]:
    for allergy in documented.record.allergies:
        yield allergy.text.lower(), (results.Evidence(record=allergy.id),)
    for statement in note.statements:
        if (
            statement.section in ("S", "A", "P", "O")
            and statement.polarity in ("affirmed", "historical")
            and _ALLERGY.search(statement.text)
        ):
            yield statement.text.lower(), statement.evidence


def _findings(situation: _Situation, gaps: list[str]) -> Iterator[results.PrescribingWarning]:
    for rule in rules.all_rules():
        for drug in situation.taken:
            if not drug.is_topical and _matches(drug.mention, rule.drug):
                finding = _apply(rule, drug, situation, gaps)
                if finding is not None:
                    yield finding


def _matches(mention: drugs.Mention, names: Iterable[str]) -> bool:
    return any(name[6:] in mention.classes if name.startswith("class:") else name in mention.names for name in names)


def _apply(rule: rules.Rule, drug: _Taken, situation: _Situation, gaps: list[str]) -> results.PrescribingWarning | None:
    """The finding of a rule for a drug; None when one of its conditions does not hold. A missing value is a gap."""
    evidence = list(drug.evidence)
    involved = [_named(drug.mention, rule.drug)]
    for group in rule.with_drugs:
        other = next(
            (
                d
                for d in situation.taken
                if d is not drug
                and not d.is_topical
                and _matches(d.mention, group)
                and not set(d.mention.names) & set(drug.mention.names)
            ),
            None,
        )
        if other is None:
            return None
        involved.append(_named(other.mention, group))
        evidence += other.evidence
    about: list[str] = []
    for holds in (_condition_holds, _state_holds, _age_holds, _dose_holds):
        if not holds(rule, drug, situation, evidence, about):
            return None
    if _is_silenced(rule, drug, situation) or not _labs_hold(rule, drug, situation, evidence, about, gaps):
        return None
    return results.PrescribingWarning(
        rule=rule.id,
        kind=rule.kind,
        severity=rule.severity,
        drugs=tuple(dict.fromkeys(involved)),
        about=", ".join(about) or None,
        explanation=rule.explanation,
        management=rule.management,
        source=rule.source,
        evidence=tuple(dict.fromkeys(evidence)),
    )


def _named(mention: drugs.Mention, names: Iterable[str]) -> str:
    """The ingredient of a combination that the rule means."""
    for ingredient in mention.ingredients:
        if any(n[6:] in ingredient.classes if n.startswith("class:") else n == ingredient.name for n in names):
            return ingredient.name
    return mention.names[0]


def _condition_holds(
    rule: rules.Rule, _drug: _Taken, situation: _Situation, evidence: list[results.Evidence], about: list[str]
) -> bool:
    if not rule.conditions:
        return True
    for wanted in rule.conditions:
        if wanted.startswith("allergy:"):
            names = rules.allergy_names(wanted[8:])
            for told, source in situation.allergies:
                name = next((n for n in names if re.search(rf"\b{re.escape(n)}", told)), None)
                if name is not None:
                    evidence += source
                    about.append(f"Allergie: {name[:1].upper()}{name[1:]}")
                    return True
        for code, source in situation.conditions.items():
            if code.startswith(wanted):
                evidence += source
                about.append(_title(code))
                return True
    return False


def _title(code: str) -> str:
    known = icd10gm.codes().get(code)
    return f"{known.title} ({code})" if known else code


_STATE = re.compile(r"(female|male)&(\d+)-(\d+)")


def _state_holds(
    rule: rules.Rule, _drug: _Taken, situation: _Situation, _evidence: list[results.Evidence], about: list[str]
) -> bool:
    if not rule.state:
        return True
    if rule.state == "pregnant":
        if situation.patient.pregnant or any(
            code.startswith(("O", "Z33", "Z34", "Z35")) for code in situation.conditions
        ):
            about.append("Schwangerschaft")
            return True
        return False
    match = _STATE.fullmatch(rule.state)
    if match is None:
        return rule.state == situation.patient.sex
    return (
        situation.patient.sex == match[1]
        and situation.age is not None
        and int(match[2]) <= situation.age <= int(match[3])
    )


def _age_holds(
    rule: rules.Rule, _drug: _Taken, situation: _Situation, _evidence: list[results.Evidence], about: list[str]
) -> bool:
    if not rule.ages:
        return True
    if situation.age is None or not all(comparison.holds(situation.age) for comparison in rule.ages):
        return False
    about.append(f"Alter {situation.age}")
    return True


def _dose_holds(
    rule: rules.Rule, drug: _Taken, _situation: _Situation, _evidence: list[results.Evidence], about: list[str]
) -> bool:
    if rule.dose_over is None:
        return True
    daily = doses.parse(drug.dose).daily_mg
    if daily is None or daily <= rule.dose_over:
        return False
    about.append(f"{_figure(daily)} mg/Tag")
    return True


def _figure(value: Decimal) -> str:
    return f"{value.normalize():f}".replace(".", ",")


def _labs_hold(
    rule: rules.Rule,
    drug: _Taken,
    situation: _Situation,
    evidence: list[results.Evidence],
    about: list[str],
    gaps: list[str],
) -> bool:
    for comparison in rule.labs:
        measured = situation.values.get(comparison.key)
        if measured is None or _is_too_old(measured, situation.day):
            if (
                (rule.severity == "contraindicated" or comparison.key == "egfr")
                and rule.severity in ("contraindicated", "high")
                and len(rule.labs) == 1
                and not rule.with_drugs
                and not rule.conditions
            ):
                what = "fehlt" if measured is None else "ist älter als ein Jahr"
                gaps.append(f"{_analyte_name(comparison.key)} {what} ({_named(drug.mention, rule.drug)}).")
            return False
        if not comparison.holds(measured.value):
            return False
        evidence.append(measured.evidence)
        about.append(f"{measured.analyte.name} {_figure(measured.value)}")
    return True


def _analyte_name(key: str) -> str:

    return labs.analytes()[key].name


def _is_too_old(measured: facts.Measured, day: dt.date | None) -> bool:
    return measured.at is not None and day is not None and (day - measured.at).days > _LAB_DAYS


def _is_silenced(rule: rules.Rule, drug: _Taken, situation: _Situation) -> bool:
    others = [other for other in situation.taken if other is not drug]
    return any(_matches(other.mention, rule.unless) for other in others) or any(
        code.startswith(tuple(rule.unless)) for code in situation.conditions if rule.unless
    )


def _folded(findings: Iterable[results.PrescribingWarning]) -> list[results.PrescribingWarning]:
    """One finding for one hazard: of several for the same drugs the most serious, the most serious first."""
    best: dict[tuple[frozenset[str], bool], results.PrescribingWarning] = {}
    for finding in findings:
        key = (frozenset(finding.drugs), finding.kind == "allergy")
        known = best.get(key)
        if known is None or _SEVERITY_ORDER[finding.severity] < _SEVERITY_ORDER[known.severity]:
            best[key] = finding
    return sorted(best.values(), key=lambda finding: (_SEVERITY_ORDER[finding.severity], finding.drugs))
