"""Codes by a model: it chooses among those that come into question, the catalogue and the rules decide."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pipeline import consultation, facts, results, segments
from pipeline.engines import shapes
from pipeline.engines.serving import Judged, Question
from pipeline.grounding import faults
from pipeline.stages import code
from pipeline.stages.by_model import talk
from terminology.german import polarity
from terminology.icd10gm import catalogue

_MOST = 12  # diagnoses


def question(documented: consultation.Consultation, note: results.Note) -> Question | None:
    """The assessment and the codes of the categories that it names; None where it names no diagnosis."""
    statements = note.section("A")
    candidates = _choices(statements, code.year_of(documented))
    if not candidates:
        return None
    told = [f"({s.id}) {s.text}" for s in statements]
    listed = [f"{found.code} {found.title}" for found in candidates]
    diagnosis = shapes.obj(
        aussage=shapes.one_of(*(s.id for s in statements)), kode=shapes.one_of(*(found.code for found in candidates))
    )
    return Question(
        user="\n".join(["Aussagen:", *told, "", "Kodes:", *listed]),
        shape=shapes.Shape(json_schema=shapes.obj(diagnosen=shapes.array(diagnosis, _MOST))),
    )


def _choices(statements: Iterable[results.Statement], year: int) -> list[catalogue.Code]:
    named = {term.code[:3] for statement in statements for term in catalogue.find(statement.text)}
    return [found for found in catalogue.codes().values() if found.code[:3] in named and found.is_valid_in(year)]


def judge(
    value: dict[str, Any],
    documented: consultation.Consultation,
    transcript: segments.Transcript,
    note: results.Note,
) -> Judged[results.Coding]:
    """The rules engine's coding with the proposals that note and catalogue carry."""
    hospital = documented.encounter.setting == "hospital"
    by_id = {statement.id: statement for statement in note.section("A")}
    by_rule = {(candidate.statement, candidate.code) for candidate in code.assessed(documented, note, hospital)}
    sure = [s.text for s in (*note.section("A"), *note.section("O")) if s.polarity == "affirmed"]
    told = _stems(" ".join(facts.affirmed(text) for text in sure if not polarity.is_uncertain(text)))
    candidates: list[code.Candidate] = []
    rejected: list[results.Rejected] = []
    for item in value["diagnosen"]:
        statement, name = by_id[item["aussage"]], item["kode"]
        found = _candidate(statement, name, hospital)
        if isinstance(found, code.Candidate) and (statement.id, name) not in by_rule and not _is_told(name, told):
            found = faults.CHECKS["specificity"]
        if isinstance(found, faults.Fault):
            rejected.append(talk.refused("code", f"{name}: {statement.text}", found, statement.evidence))
        else:
            candidates.append(found)
    if rejected and not candidates:
        return Judged(None, tuple(rejected), "Deine Kodes passen nicht zu den Aussagen.")
    return Judged(code.run(documented, transcript, note, candidates), tuple(rejected))


def _candidate(statement: results.Statement, name: str, hospital: bool) -> code.Candidate | faults.Fault:
    """The code by the term of its category in the statement, with the certainty and the side that the rules read there.

    A fault where the statement names no such diagnosis, denies it, or tells it of somebody else.
    """
    terms = [term for term in catalogue.find(statement.text) if term.code[:3] == name[:3]]
    if not terms:
        return faults.CHECKS["diagnosis"]
    for term in terms:
        clause = code.clause_of(statement.text, term)
        certainty = code.certainty_of(statement, clause, term)
        is_none = certainty is None or facts.is_only_feared(statement.text)
        if is_none or (hospital and certainty in ("A", "Z")):
            continue
        return code.Candidate(
            code=name,
            certainty=None if hospital else certainty,
            side=code.side_of(name, clause, statement.text),
            statement=statement.id,
            reason=f"„{term.text}“ in der Beurteilung.",
            evidence=statement.evidence,
            is_symptom=term.kind == "symptom",
        )
    return faults.CHECKS["negation"]


_TITLE_WORD = re.compile(r"[A-Za-zÄÖÜäöüß]{4,}")
#: Words of titles that say nothing about the patient.
_OPEN_WORDS = frozenset(["nicht", "näher", "bezeichnet", "bezeichnete", "sonstige", "ohne", "angabe", "oder", "durch"])
#: What only the rules may decide: figures, stages, and what a title excludes.
_FOR_RULES = re.compile(r"\d|\b[IVX]+\b|\bohne\b|\bals entgleist\b", re.IGNORECASE)


def _stems(text: str) -> frozenset[str]:
    return frozenset(w.lower()[:5] for w in _TITLE_WORD.findall(text) if w.lower() not in _OPEN_WORDS)


def _is_told(name: str, told: frozenset[str]) -> bool:
    """Whether the words by which a title differs from those of its category stand in `told`, and mean no other code."""
    siblings = {found.code: _stems(found.title) for found in catalogue.codes().values() if found.code[:3] == name[:3]}
    if _FOR_RULES.search(catalogue.codes()[name].title):
        return False
    common = frozenset.intersection(*siblings.values())
    own = siblings.pop(name) - common
    return bool(own) and own <= told and own not in [other - common for other in siblings.values()]
