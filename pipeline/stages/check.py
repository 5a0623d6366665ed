"""The prescribing check: what was prescribed or goes on, held against the rules and the record. Three honest states."""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from pipeline import consultation, facts, results, segments, situation
from terminology import labs
from terminology.drugs import catalogue as drugs
from terminology.drugs import doses, rules
from terminology.icd10gm import catalogue as icd10gm

#: Days after which a laboratory value is too old to decide on a drug. Source: KDIGO CKD 2024 (monitoring at least yearly).
_LAB_DAYS = 365

_SEVERITY_ORDER: dict[str, int] = {"contraindicated": 0, "high": 1, "moderate": 2, "low": 3}


@dataclass(frozen=True, slots=True)
class _Situation:
    """Everything a rule may ask for."""

    taken: tuple[situation.Taken, ...]
    conditions: dict[str, tuple[results.Evidence, ...]]
    allergies: tuple[situation.Allergy, ...]
    values: dict[str, facts.Measured]
    age: int | None
    patient: consultation.Patient
    day: dt.date | None


def run(
    documented: consultation.Consultation, transcript: segments.Transcript, note: results.Note
) -> results.SafetyCheck:
    """The findings for what the patient takes after this encounter, and what could not be checked."""
    taken, unknown = situation.taken(documented, note)
    allergies, unknown_allergies = situation.allergies(documented, note)
    known = _Situation(
        taken=tuple(taken),
        conditions=situation.conditions(documented, note),
        allergies=tuple(allergies),
        values=facts.measured(documented, note),
        age=documented.patient.age_on(documented.day) if documented.day else None,
        patient=documented.patient,
        day=documented.day,
    )
    gaps = [f"„{text}“: {_UNKNOWN}" for text in unknown]
    gaps += [f"Allergie „{text}“: keinem Wirkstoff zuzuordnen." for text in unknown_allergies]
    warnings = _folded([*_findings(known, gaps), *_own_allergies(known)])
    checked = [
        results.CheckedDrug(
            text=drug.mention.text,
            ingredients=drug.mention.names,
            atc=tuple(ingredient.atc for ingredient in drug.mention.ingredients),
            status="prescribed" if drug.status == "prescribed" else "continued",
            record=drug.record,
            evidence=drug.evidence,
        )
        for drug in known.taken
    ]
    return _checked(checked, warnings, gaps)


_UNKNOWN = "Wirkstoff nicht bekannt."


def _checked(
    drugs_seen: Iterable[results.CheckedDrug], warnings: Iterable[results.PrescribingWarning], gaps: Iterable[str]
) -> results.SafetyCheck:
    """The check with its state and what it covered."""
    checked, found, unique = tuple(drugs_seen), tuple(warnings), tuple(dict.fromkeys(gaps))
    total = len(checked) + sum(gap.endswith(_UNKNOWN) for gap in unique)
    status: Literal["found", "none", "not-checked"] = "found" if found else "not-checked" if unique else "none"
    covered = (
        f"Verordnungsprüfung: {len(checked)} von {total} Medikamenten geprüft."
        if total
        else "Verordnungsprüfung: kein Medikament genannt."
    )
    return results.SafetyCheck(status=status, drugs=checked, warnings=found, covered=covered, gaps=unique)


def united(known: results.SafetyCheck, more: results.SafetyCheck) -> results.SafetyCheck:
    """`known` with what `more` has besides: nothing that was found is lost, whatever `more` makes of the rest."""
    has = {frozenset(drug.ingredients) for drug in known.drugs}
    others = [drug for drug in more.drugs if frozenset(drug.ingredients) not in has]
    told = {(frozenset(warning.drugs), warning.kind == "allergy"): warning for warning in known.warnings}
    worse = [warning for warning in more.warnings if _is_news(warning, told)]
    ordered = sorted((*known.warnings, *worse), key=lambda finding: (_SEVERITY_ORDER[finding.severity], finding.drugs))
    return _checked((*known.drugs, *others), ordered, (*known.gaps, *more.gaps))


def _is_news(
    warning: results.PrescribingWarning, told: Mapping[tuple[frozenset[str], bool], results.PrescribingWarning]
) -> bool:
    known = told.get((frozenset(warning.drugs), warning.kind == "allergy"))
    return known is None or _SEVERITY_ORDER[warning.severity] < _SEVERITY_ORDER[known.severity]


def _findings(known: _Situation, gaps: list[str]) -> Iterator[results.PrescribingWarning]:
    for rule in rules.all_rules():
        for drug in known.taken:
            acts = not drug.is_topical or rule.kind == "allergy"
            if acts and _matches(drug.mention, rule.drug):
                yield from _apply(rule, drug, known, gaps)


def _matches(mention: drugs.Mention, names: Iterable[str]) -> bool:
    return any(name[6:] in mention.classes if name.startswith("class:") else name in mention.names for name in names)


def _apply(
    rule: rules.Rule, drug: situation.Taken, known: _Situation, gaps: list[str]
) -> Iterator[results.PrescribingWarning]:
    """The findings of a rule for a drug, one for each other drug that it is about. A missing value is a gap."""
    partners = [
        [
            other
            for other in known.taken
            if other is not drug
            and not other.is_topical
            and _matches(other.mention, group)
            and not set(other.mention.names) & set(drug.mention.names)
        ]
        for group in rule.with_drugs
    ]
    for others in itertools.product(*partners):
        evidence = [*drug.evidence, *(item for other in others for item in other.evidence)]
        about: list[str] = []
        if not all(holds(rule, drug, known, evidence, about) for holds in _HOLDS):
            continue
        if _is_silenced(rule, drug, known) or not _labs_hold(rule, drug, known, evidence, about, gaps):
            continue
        involved = [_named(drug.mention, rule.drug)]
        involved += [_named(other.mention, group) for other, group in zip(others, rule.with_drugs, strict=True)]
        yield results.PrescribingWarning(
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


def _own_allergies(known: _Situation) -> Iterator[results.PrescribingWarning]:
    """A drug that the patient is said to be allergic to by its own name, whatever the rules hold."""
    for drug in known.taken:
        for allergy in known.allergies:
            for name in sorted(allergy.ingredients & set(drug.mention.names)):
                yield results.PrescribingWarning(
                    rule="allergy-same-ingredient",
                    kind="allergy",
                    severity="contraindicated",
                    drugs=(name,),
                    about=f"Allergie: {name}",
                    explanation=f"Eine Allergie oder Unverträglichkeit gegen {name} ist dokumentiert.",
                    management="Nicht geben und einen Wirkstoff aus einer anderen Gruppe wählen.",
                    source="Fachinformation, Abschnitt 4.3 (Überempfindlichkeit gegen den Wirkstoff)",
                    evidence=tuple(dict.fromkeys((*drug.evidence, *allergy.evidence))),
                )


def _named(mention: drugs.Mention, names: Iterable[str]) -> str:
    """The ingredient of a combination that the rule means."""
    for ingredient in mention.ingredients:
        if any(n[6:] in ingredient.classes if n.startswith("class:") else n == ingredient.name for n in names):
            return ingredient.name
    return mention.names[0]


def _condition_holds(
    rule: rules.Rule, _drug: situation.Taken, known: _Situation, evidence: list[results.Evidence], about: list[str]
) -> bool:
    if not rule.conditions:
        return True
    for wanted in rule.conditions:
        if wanted.startswith("allergy:"):
            names = rules.allergy_names(wanted[8:])
            for allergy in known.allergies:
                name = next((n for n in sorted(names) if re.search(rf"\b{re.escape(n)}", allergy.told)), None)
                if name is not None:
                    evidence += allergy.evidence
                    about.append(f"Allergie: {name[:1].upper()}{name[1:]}")
                    return True
        for code, source in known.conditions.items():
            if code.startswith(wanted):
                evidence += source
                about.append(_title(code))
                return True
    return False


def _title(code: str) -> str:
    known = icd10gm.known(code)
    return f"{known.title} ({code})" if known else code


_STATE = re.compile(r"(female|male)&(\d+)-(\d+)")


def _state_holds(
    rule: rules.Rule, _drug: situation.Taken, known: _Situation, _evidence: list[results.Evidence], about: list[str]
) -> bool:
    if not rule.state:
        return True
    if rule.state == "pregnant":
        if known.patient.pregnant or any(code.startswith(("O", "Z33", "Z34", "Z35")) for code in known.conditions):
            about.append("Schwangerschaft")
            return True
        return False
    match = _STATE.fullmatch(rule.state)
    if match is None:
        return rule.state == known.patient.sex
    return known.patient.sex == match[1] and known.age is not None and int(match[2]) <= known.age <= int(match[3])


def _age_holds(
    rule: rules.Rule, _drug: situation.Taken, known: _Situation, _evidence: list[results.Evidence], about: list[str]
) -> bool:
    if not rule.ages:
        return True
    if known.age is None or not all(comparison.holds(known.age) for comparison in rule.ages):
        return False
    about.append(f"Alter {known.age}")
    return True


def _dose_holds(
    rule: rules.Rule, drug: situation.Taken, _known: _Situation, _evidence: list[results.Evidence], about: list[str]
) -> bool:
    if rule.dose_over is None:
        return True
    daily = doses.parse(drug.dose).daily_mg
    if daily is None or daily <= rule.dose_over:
        return False
    about.append(f"{_figure(daily)} mg/Tag")
    return True


_HOLDS = (_condition_holds, _state_holds, _age_holds, _dose_holds)


def _figure(value: Decimal) -> str:
    return f"{value.normalize():f}".replace(".", ",")


def _labs_hold(
    rule: rules.Rule,
    drug: situation.Taken,
    known: _Situation,
    evidence: list[results.Evidence],
    about: list[str],
    gaps: list[str],
) -> bool:
    for comparison in rule.labs:
        measured = known.values.get(comparison.key)
        if measured is None or _is_too_old(measured, known.day):
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


def _is_silenced(rule: rules.Rule, drug: situation.Taken, known: _Situation) -> bool:
    others = [other for other in known.taken if other is not drug]
    return any(_matches(other.mention, rule.unless) for other in others) or any(
        code.startswith(tuple(rule.unless)) for code in known.conditions if rule.unless
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
