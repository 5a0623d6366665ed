"""Billing proposals: documented services find items, rules decide. No rule prefers an item for its price."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline import consultation, results, segments
from terminology.billing import catalogue

_MINUTES = re.compile(r"\b(\d{1,3})\s*(?:min\b|minuten?)", re.IGNORECASE)
_TALK = re.compile(r"gespräch|beratung|besprochen|unterhalten|beraten|geredet|zeit genommen", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Proposal:
    item: catalogue.Item
    why: str
    evidence: tuple[results.Evidence, ...]


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the rules ask for. `minutes` is the documented duration of the talk; None when it was not said."""

    contact: consultation.Contact
    age: int | None
    sex: str | None
    minutes: int | None
    diagnoses: tuple[str, ...]


def run(
    documented: consultation.Consultation,
    transcript: segments.Transcript,
    note: results.Note,
    coding: results.Coding,
    insurance_when_unknown: consultation.Insurance | None,
    documents: Iterable[results.Statement] = (),
) -> results.Billing | None:
    """The proposal for the encounter; None for in-patients, without a day, or where the schedule is not known.

    `documents` are statements that document a service besides the note's.
    """
    insurance = documented.encounter.insurance or insurance_when_unknown
    day = documented.day
    if insurance is None or day is None or documented.encounter.setting == "hospital" or not note.statements:
        return None
    schedule: catalogue.Schedule = "EBM" if insurance == "GKV" else "GOÄ"
    known = _Facts(
        contact=documented.encounter.contact,
        age=documented.patient.age_on(day),
        sex=documented.patient.sex,
        minutes=_talk_minutes(note),
        diagnoses=(*(d.code for d in coding.diagnoses), *(c.code for c in documented.record.conditions if c.code)),
    )
    missing: list[str] = []
    proposals = _proposals(schedule, documented, note, tuple(documents), known, missing)
    accepted, refused = _decided(schedule, proposals, known, missing)
    return results.Billing(
        schedule=schedule,
        assumed=documented.encounter.insurance is None,
        day=day,
        items=tuple(_billing_item(proposal, warnings) for proposal, warnings in accepted),
        refused=tuple(refused),
        missing=tuple(dict.fromkeys(missing)),
    )


def _talk_minutes(note: results.Note) -> int | None:
    """The duration that the note gives for the talk."""
    found = [
        int(match[1])
        for statement in note.statements
        if _TALK.search(statement.text)
        for match in _MINUTES.finditer(statement.text)
    ]
    return max(found, default=None)


def _proposals(
    schedule: catalogue.Schedule,
    documented: consultation.Consultation,
    note: results.Note,
    documents: tuple[results.Statement, ...],
    known: _Facts,
    missing: list[str],
) -> list[_Proposal]:
    day = documented.day
    assert day is not None
    wanted: dict[str, tuple[str, tuple[results.Evidence, ...]]] = {}
    ebm, goae = catalogue.contacts()[_contact(known)]
    first = note.statements[0]
    for code in ebm if schedule == "EBM" else goae:
        wanted[code] = ("Kontakt in diesem Behandlungsfall.", first.evidence)
    for statement in (*note.statements, *documents):
        if statement.section in ("O", "P", "A") and statement.polarity == "affirmed":
            for service in catalogue.services_in(statement.text):
                for code in service.ebm if schedule == "EBM" else service.goae:
                    wanted.setdefault(code, (f"{service.title}: „{statement.text}“", statement.evidence))
    examined = [s for s in note.section("O") if s.polarity in ("affirmed", "negated")]
    if schedule == "GOÄ" and known.contact != "phone" and examined and not {"5", "6", "7", "8"} & wanted.keys():
        wanted["5"] = ("Symptombezogene Untersuchung dokumentiert.", examined[0].evidence)
    proposals = []
    for code, (why, evidence) in wanted.items():
        item = catalogue.item(schedule, code, day, known.age)
        if item is not None:
            proposals.append(_Proposal(item, why, evidence))
        elif schedule == "EBM" and known.age is None and catalogue.has_age_variants(code):
            missing.append(f"{code}: das Alter ist nicht bekannt, die Altersvariante kann nicht gewählt werden.")
        else:
            missing.append(f"{code}: für diesen Tag ist kein Wert hinterlegt.")
    return proposals


def _contact(known: _Facts) -> str:
    return known.contact if known.contact in catalogue.contacts() else "in_person"


def _decided(
    schedule: catalogue.Schedule, proposals: list[_Proposal], known: _Facts, missing: list[str]
) -> tuple[list[tuple[_Proposal, list[str]]], list[results.Rejected]]:
    """What the rules let through with their warnings, and what they refused. Rules are asked until nothing changes."""
    remaining = list(proposals)
    refused: list[results.Rejected] = []
    while True:
        codes = {proposal.item.code for proposal in remaining}
        for proposal in remaining:
            blocking = next(
                (text for text, blocks in _objections(schedule, proposal, codes, known, missing) if blocks), None
            )
            if blocking is not None:
                remaining.remove(proposal)
                refused.append(_refusal(proposal, blocking))
                break
        else:
            break
    codes = {proposal.item.code for proposal in remaining}
    return [
        (proposal, [text for text, blocks in _objections(schedule, proposal, codes, known, missing) if not blocks])
        for proposal in remaining
    ], refused


def _refusal(proposal: _Proposal, reason: str) -> results.Rejected:
    return results.Rejected(
        stage="bill",
        proposal=f"{proposal.item.schedule} {proposal.item.code}",
        reason=reason,
        evidence=proposal.evidence,
    )


def _objections(
    schedule: catalogue.Schedule, proposal: _Proposal, codes: set[str], known: _Facts, missing: list[str]
) -> list[tuple[str, bool]]:
    """What each rule has against an item: the words, and whether it blocks (verified) or warns."""
    found = []
    for rule in catalogue.rules(schedule).get(proposal.item.code, ()):
        text = _objection(rule, codes, known, missing)
        if text is not None:
            found.append((text, rule.is_verified or rule.rule in _ALWAYS_BLOCKS))
    return found


#: Rules that protect against a wrong fee even where their row is not verified yet.
_ALWAYS_BLOCKS = frozenset(
    {
        "excludes_same_session",
        "requires_contact",
        "requires_diagnosis",
        "min_minutes",
        "requires_item",
        "only_alone_or_with",
    }
)


def _objection(rule: catalogue.Rule, codes: set[str], known: _Facts, missing: list[str]) -> str | None:
    others = codes - {rule.code}
    if rule.rule in ("excludes_same_session", "excludes_same_case"):
        beside = sorted(others & set(rule.values))
        return f"Nicht neben {', '.join(beside)}." if beside else None
    if rule.rule == "requires_contact":
        return None if known.contact in rule.values else f"Braucht einen Kontakt: {rule.value}."
    if rule.rule == "requires_item":
        return None if others & set(rule.values) else f"Nur zusammen mit {rule.value.replace('|', ' oder ')}."
    if rule.rule == "only_alone_or_with":
        foreign = sorted(others - set(rule.values))
        return f"Nicht neben {', '.join(foreign)}." if foreign else None
    if rule.rule == "requires_diagnosis":
        return (
            None
            if any(code.startswith(rule.values) for code in known.diagnoses)
            else "Die nötige Diagnose ist nicht dokumentiert."
        )
    if rule.rule == "min_minutes":
        return _too_short(rule, known, missing)
    if rule.rule in ("min_age", "max_age") and known.age is not None:
        fits = known.age >= int(rule.value) if rule.rule == "min_age" else known.age <= int(rule.value)
        return None if fits else "Nicht für dieses Alter."
    if rule.rule == "sex" and known.sex in ("female", "male"):
        return (
            None
            if rule.value in (known.sex, {"female": "W", "male": "M"}[known.sex])
            else "Nicht für dieses Geschlecht."
        )
    return None


def _too_short(rule: catalogue.Rule, known: _Facts, missing: list[str]) -> str | None:
    if known.minutes is None:
        missing.append(f"{rule.code}: Dauer nicht dokumentiert (mindestens {rule.value} Minuten).")
        return "Dauer nicht dokumentiert."
    return None if known.minutes >= int(rule.value) else f"Braucht mindestens {rule.value} Minuten."


def _billing_item(proposal: _Proposal, warnings: list[str]) -> results.BillingItem:
    item = proposal.item
    justification = " ".join((proposal.why, *(f"Hinweis: {warning}" for warning in warnings)))
    return results.BillingItem(
        schedule=item.schedule,
        code=item.code,
        title=item.title,
        quantity=1,
        points=item.points,
        factor=item.factor,
        unit_price=item.single,
        amount=item.price,
        justification=justification,
        verified=item.is_verified,
        evidence=proposal.evidence,
    )
