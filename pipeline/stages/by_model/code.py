"""Codes by a model: it chooses among those that come into question, the catalogue and the rules decide."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pipeline import consultation, facts, results, segments
from pipeline.coding import candidate, gathering, mention, sides
from pipeline.engines import shapes
from pipeline.engines.serving import Judged, Question
from pipeline.grounding import faults
from pipeline.stages import code
from pipeline.stages.by_model import talk
from terminology.german import polarity
from terminology.icd10gm import catalogue, edition, finding, wording

_MOST = 12  # diagnoses
_MOST_CODES = 400  # to choose from
_NEAR_CODES = 5  # that the search offers for a clause which names no known term
_ALIKE = 0.6  # how near a clause must come to a code that is offered for it (0 to 1)
_SURE = 0.8  # how near a clause must come to a code that is chosen for it (0 to 1)


def question(documented: consultation.Consultation, note: results.Note) -> Question | None:
    """The assessment and the codes that the search offers for it; None where there is none."""
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


def _choices(statements: Iterable[results.Statement], year: int) -> list[edition.Code]:
    """What the search offers for each statement: the codes of the categories it names, else the nearest ones."""
    held = catalogue.edition_of(year)
    named = {term.code[:3] for statement in statements for term in wording.find(statement.text)}
    near = {hit.code for s in statements for _term, hit in _offered(s.text, held)}
    return [
        found for found in held.codes.values() if found.is_terminal and (found.code[:3] in named or found.code in near)
    ][:_MOST_CODES]


def _offered(text: str, held: edition.Edition) -> list[tuple[wording.Term, finding.Found]]:
    """The illnesses that a text without a known term comes near to by all of its words."""
    return [
        (term, hit)
        for term, hit in gathering.offered(text, held, _NEAR_CODES)
        if hit.how != "partial" and hit.score >= _ALIKE and hit.code[0] not in "UVWXYZ"
    ]


def judge(
    value: dict[str, Any],
    documented: consultation.Consultation,
    transcript: segments.Transcript,
    note: results.Note,
) -> Judged[results.Coding]:
    """The rules engine's coding with the proposals that note and catalogue carry."""
    held = catalogue.edition_of(code.year_of(documented))
    by_id = {statement.id: statement for statement in note.section("A")}
    by_rule = {(one.statement, one.code) for one in gathering.assessed(documented, transcript, note, held)}
    sure = [s.text for s in (*note.section("A"), *note.section("O")) if s.polarity == "affirmed"]
    told = _stems(" ".join(facts.affirmed(text) for text in sure if not polarity.is_uncertain(text)))
    candidates: list[candidate.Candidate] = []
    rejected: list[results.Rejected] = []
    for item in value["diagnosen"]:
        statement, name = by_id[item["aussage"]], item["kode"]
        found = _candidate(statement, name, held)
        if (
            isinstance(found, candidate.Candidate)
            and (statement.id, name) not in by_rule
            and not _is_near(statement.text, name, held)
            and not _is_told(held.codes, name, told)
        ):
            found = faults.CHECKS["specificity"]
        if isinstance(found, faults.Fault):
            rejected.append(talk.refused("code", f"{name}: {statement.text}", found, statement.evidence))
        else:
            candidates.append(found)
    if rejected and not candidates:
        return Judged(None, tuple(rejected), "Deine Kodes passen nicht zu den Aussagen.")
    return Judged(code.run(documented, transcript, note, candidates), tuple(rejected))


def _candidate(statement: results.Statement, name: str, held: edition.Edition) -> candidate.Candidate | faults.Fault:
    """The code by the term of its category in the statement, with the certainty and the side that the rules read there.

    A fault where the statement names no such diagnosis, denies it, or tells it of somebody else.
    """
    terms = [term for term in wording.find(statement.text) if term.code[:3] == name[:3]]
    terms += [term for term, hit in _offered(statement.text, held) if hit.code == name]
    if not terms:
        return faults.CHECKS["diagnosis"]
    for term in terms:
        certainty = mention.certainty_of(statement, term)
        if certainty is None or facts.is_only_feared(statement.text):
            continue
        return candidate.Candidate(
            code=name,
            certainty=certainty,
            side=sides.of_term(name, statement.text, term.start, term.end),
            statement=statement.id,
            reason=f"„{term.text}“ in der Beurteilung.",
            evidence=statement.evidence,
            origin="model",
            is_symptom=term.kind == "symptom",
        )
    return faults.CHECKS["negation"]


def _is_near(text: str, name: str, held: edition.Edition) -> bool:
    """Whether the search takes a clause of the text for this code."""
    return any(hit.code == name and hit.score >= _SURE for _term, hit in _offered(text, held))


_TITLE_WORD = re.compile(r"[A-Za-zÄÖÜäöüß]{4,}")
#: Words of titles that say nothing about the patient.
_OPEN_WORDS = frozenset(["nicht", "näher", "bezeichnet", "bezeichnete", "sonstige", "ohne", "angabe", "oder", "durch"])
#: What only the rules may decide: figures, stages, and what a title excludes.
_FOR_RULES = re.compile(r"\d|\b[IVX]+\b|\bohne\b|\bals entgleist\b", re.IGNORECASE)


def _stems(text: str) -> frozenset[str]:
    return frozenset(w.lower()[:5] for w in _TITLE_WORD.findall(text) if w.lower() not in _OPEN_WORDS)


def _is_told(codes: Mapping[str, edition.Code], name: str, told: frozenset[str]) -> bool:
    """Whether the words by which a title differs from those of its category stand in `told`, and mean no other code."""
    siblings = {found.code: _stems(found.title) for found in codes.values() if found.code[:3] == name[:3]}
    if _FOR_RULES.search(codes[name].title):
        return False
    common = frozenset.intersection(*siblings.values())
    own = siblings.pop(name) - common
    return bool(own) and own <= told and own not in [other - common for other in siblings.values()]
