"""Relatives: what one of them has, takes or had is said of the family, never of the patient."""

from __future__ import annotations

import re
from typing import NamedTuple

from pipeline import results
from pipeline.grounding import drugs, findings, persons, reading
from terminology.german import concepts, polarity, vocabulary

_WIFE = re.compile(r"\bfrau (?=[a-zäöüß])")
#: What the patient did with a relative, got or heard from one: no illness of theirs.
_OBJECT = re.compile(
    r"\b(?:mit|von|vom|für|zu|zur|zum|durch|wegen|nach|angesteckt (?:bei|an|mit))\s+"
    r"(?:(?:der|dem|den|die|das|seine[rmn]?|ihre[rmn]?|ihr|sein|meine[rmn]?|eine[rmn]?)\s+)?$",
    re.IGNORECASE,
)
_BEARS = re.compile(
    r"\b(?:hat|hatte|haben|hatten|nimmt|nahm|nehmen|leidet|litt|bekam|bekommt|kriegt|starb|gestorben|verstorben|"
    r"erkrankt\w*|operiert|ist|war)\b",
    re.IGNORECASE,
)
#: What nobody in the family has is not said of the patient: "Darmkrebs in der Familie: nein".
_OF_ALL = re.compile(r"\bin (?:der|seiner|ihrer) familie\b", re.IGNORECASE)
_CLAUSE = re.compile(r"[,;:.]\s")


class _Named(NamedTuple):
    """A relative that a statement names: the word in lower case and the clause that it stands in."""

    word: str
    clause: str


def fault(statement: results.Statement, said: reading.Said) -> str | None:
    """ "person" when a statement that is not said of the family tells what a relative has; else None."""
    if statement.polarity == "family":
        return None
    named = [one for clause in _CLAUSE.split(statement.text) for one in _named(clause)]
    if not named:
        return None
    own = [_is_said_of_family(one.word, said) for one in named]
    told = [one.clause for one, is_own in zip(named, own, strict=True) if is_own]
    if statement.polarity == "negated":
        told = [clause for clause in told if not _OF_ALL.search(clause)]
    if statement.section == "S" and all(concepts.kin(one.word) is None for one in named):
        told = [clause for clause in told if drugs.mentions(clause)]  # whom the patient met: "Kollegin hat Tuberkulose"
    if any(_is_clinical(clause) for clause in told) or (all(own) and told and _bears(statement.text)):
        return "person"
    return None


def _named(clause: str) -> list[_Named]:
    """The relatives of a clause that may be the ones who have what it says."""
    if persons.acts(clause):
        return []
    found = [
        _Named(match[0].lower(), clause)
        for match in reading.WORD.finditer(clause)
        if concepts.kin(match[0].lower()) is not None and not _OBJECT.search(clause[: match.start()])
    ]
    if found:
        return found
    if _WIFE.search(f"{clause.lower()} x") and polarity.is_about_family(f"meine {clause}"):
        return [_Named("frau", clause)]
    hit = next(iter(vocabulary.lexicon("relatives").find(clause)), None)
    if hit is None or _OBJECT.search(clause[: hit.start]) or not _BEARS.search(clause) or not _is_clinical(clause):
        return []
    return [_Named(hit.text.split()[-1].lower(), clause)]


def _bears(text: str) -> bool:
    """Whether somebody has something in a text."""
    return _BEARS.search(text) is not None or _is_clinical(text)


def _is_clinical(clause: str) -> bool:
    return bool(findings.terms(clause)) or bool(drugs.mentions(clause)) or findings.is_allergy(clause)


def _is_said_of_family(word: str, said: reading.Said) -> bool:
    """Whether every clause that names this relative tells what the family has."""
    kin = concepts.kin(word)
    places = [
        clause
        for clause in said.clauses
        if any(other == word or (kin is not None and concepts.kin(other) == kin) for _start, other in clause.words)
    ]
    return bool(places) and all(_tells_of_others(clause, is_kin=kin is not None) for clause in places)


def _tells_of_others(clause: reading.Clause, *, is_kin: bool) -> bool:
    return clause.is_family or (not is_kin and polarity.is_about_family(clause.text))
