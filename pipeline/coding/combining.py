"""What several candidates mean together: one combined code, one diabetes with all its complications, pregnancy.

Source: ICD-10-GM Systematisches Verzeichnis, notes at E10-E14 (fourth and fifth character), chapter XV, and the
tables `icd10gm/combinations` and `icd10gm/in_pregnancy`.
"""

from __future__ import annotations

from dataclasses import replace

from pipeline import facts, results
from pipeline.coding import candidate
from terminology.icd10gm import edition, specificity

_TYPES = ("E10", "E11", "E12", "E13", "E14")
_COMPLICATIONS = "23456"  # fourth character: kidney, eye, nerves, vessels, other
_DERAILED = "135"  # fifth character: "als entgleist bezeichnet"
_FOOT = "45"  # fifth character of the fourth character 7: with foot syndrome

Candidates = list[candidate.Candidate]


def _is_sure(one: candidate.Candidate) -> bool:
    return one.certainty in ("G", None)


def pairs(found: Candidates, held: edition.Edition) -> Candidates:
    """The candidates with one code for two that mean it together."""
    for rule in specificity.combinations():
        one = next((c for c in found if _is_sure(c) and c.code.startswith(rule.code)), None)
        other = next((c for c in found if _is_sure(c) and c is not one and c.code.startswith(rule.beside)), None)
        if one is None or other is None:
            continue
        name = f"{rule.combined}{one.code[len(rule.code) :]}" if len(rule.combined) == len(rule.code) else rule.combined
        code = held.resolve(name)
        if code is None:
            continue
        both = replace(
            one,
            code=code.code,
            runner_up=one.code,
            reason=f"{one.reason} Zusammen mit {other.code}: {rule.source}.",
            evidence=tuple(dict.fromkeys((*one.evidence, *other.evidence))),
        )
        found = [both if c is one else c for c in found if rule.keeps or c is not other]
    return found


def diabetes(found: Candidates, note: results.Note, held: edition.Edition) -> Candidates:
    """One code for one diabetes: its type once known, several complications as such, whether derailed."""
    texts = {statement.id: statement.text for statement in note.statements}
    ours = [one for one in found if one.code.startswith(_TYPES) and _is_sure(one) and one.origin != "record"]
    typed = next((one.code[:3] for one in ours if not one.code.startswith("E14")), None)
    if typed is None or any(one.code[:3] not in (typed, "E14") for one in ours):
        typed = "E14" if all(one.code.startswith("E14") for one in ours) else None
    if typed is None or len(ours) < 2:
        return found
    fourths = {one.code[4] for one in ours if one.code[4] in _COMPLICATIONS}
    is_derailed = any(one.code[5] in _DERAILED or _tells_derailment(typed, texts[one.statement]) for one in ours)
    has_foot = any(one.code[4] == "7" and one.code[5] in _FOOT for one in ours)
    if len(fourths) > 1 or any(one.code[4] == "7" for one in ours):
        digits = f"7{(4 if has_foot else 2) + is_derailed}"
    else:
        digits = f"{next(iter(fourths), ours[0].code[4])}{int(is_derailed)}"
    name = f"{typed}.{digits}"
    if held.terminal(name) is None:
        return found
    first = ours[0]
    merged = replace(
        first,
        code=name,
        runner_up=first.code if first.code != name else first.runner_up,
        reason=" ".join(dict.fromkeys(one.reason for one in ours)),
        evidence=tuple(dict.fromkeys(item for one in ours for item in one.evidence)),
    )
    stars = [
        replace(
            one,
            code=star,
            reason=f"Zusatzkode zu {name}.",
            origin="partner",
            side=one.partner_side,
            primary=name,
            runner_up=None,
        )
        for one in ours
        for star in specificity.partners().get(one.code, ())
        if not any(other.code == star for other in found)
    ]
    rest = [merged if one is first else one for one in found if one is first or one not in ours]
    at = rest.index(merged) + 1
    return [*rest[:at], *stars, *rest[at:]]


def _tells_derailment(typed: str, text: str) -> bool:
    refined = specificity.refine(f"{typed}.90", text, facts.affirmed(text))
    return refined is not None and refined.code[5] in _DERAILED


def pregnancy(found: Candidates, held: edition.Edition) -> Candidates:
    """The candidates of a pregnant patient, with the codes of chapter XV."""
    result: Candidates = []
    for one in found:
        rule = specificity.in_pregnancy(one.code)
        if rule is None or not _is_sure(one) or held.terminal(rule.combined) is None:
            result.append(one)
            continue
        if not any(other.code == rule.combined for other in result):
            told = f"{one.reason} In der Schwangerschaft: {rule.source}."
            result.append(replace(one, code=rule.combined, side=None, reason=told, runner_up=one.code))
        if rule.keeps:
            result.append(one)
    return result
