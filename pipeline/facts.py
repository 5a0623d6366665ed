"""What note and record say together: measured values with their day, and the diagnoses behind the words."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from pipeline import consultation, results
from terminology import labs
from terminology.drugs import catalogue as drugs
from terminology.german import polarity, sentences
from terminology.icd10gm import wording


@dataclass(frozen=True, slots=True)
class Measured:
    """The newest value of an analyte. `at` is None for a value whose day is not known."""

    analyte: labs.Analyte
    value: Decimal
    at: dt.date | None
    evidence: results.Evidence

    @property
    def told(self) -> str:
        """Name and value as a German reads them: "eGFR 27,5"."""
        return f"{self.analyte.name} {str(self.value).replace('.', ',')}"


#: A danger that is spoken of is no illness, nor is what would have to happen first.
_FEARED = re.compile(
    r"\bangst\b|befürcht|\bsorge|internet|gelesen|google|risiko|gefahr|\bschütz|\bschutz\b|verhinder|vorbeug|\bdroht|\briskier|^(?:wenn|falls|sollte)\b",
    re.IGNORECASE,
)


_REACTED = re.compile(
    r"allerg|unverträglich|vertrag|vertrug|reagiert|kriegt|bekommen|gehabt|quaddel|ausschlag", re.IGNORECASE
)
_FROM = re.compile(r"\b(?:auf|nach|von|vom|durch|gegen|unter|mit)\s+(?:\w+\s+)?$", re.IGNORECASE)


def is_reaction(text: str) -> bool:
    """Whether a statement tells how a drug was borne, not what is now: "auf Novalgin hab ich Ausschlag"."""
    return _REACTED.search(text) is not None and any(_FROM.search(text[: m.start]) for m in drugs.find(text))


_NO = r"(?:nicht|ned|net|nich|nimmer|schlecht|kein\w*)"
_NOT_BORNE = re.compile(rf"\bvertr[aäu]g\w*\b.{{0,30}}\b{_NO}\b|\b{_NO}\b.{{0,30}}\bvertr[aäu]g", re.IGNORECASE)


def is_not_borne(text: str) -> bool:
    """Whether a denial states an intolerance: "Penicillin vertrage ich nicht"."""
    return any(_NOT_BORNE.search(clause.text) for clause in sentences.clauses(text))


def is_only_feared(text: str) -> bool:
    """Whether a statement speaks of what could happen, not of what is."""
    return _FEARED.search(text) is not None


def affirmed(text: str) -> str:
    """The clauses of a text that deny nothing and speak of nobody else."""
    spans = (span.text for sentence in sentences.split(text) for span in sentences.clauses(sentence.text))
    return ", ".join(s for s in spans if not polarity.is_negated(s) and not polarity.is_about_family(s))


def measured(documented: consultation.Consultation, note: results.Note) -> dict[str, Measured]:
    """The newest value of each analyte by key: what was said today counts as today's."""
    newest: dict[str, Measured] = {}
    for observation in documented.record.observations:
        analyte = labs.by_name(observation.name)
        if analyte is not None and labs.is_own_unit(analyte, observation.unit):
            evidence = results.Evidence(record=observation.id)
            _keep(newest, Measured(analyte, observation.value, observation.at, evidence))
    for statement in note.statements:
        if statement.section == "P" or statement.polarity in ("family", "historical"):
            continue
        for value in labs.find(statement.text):
            if labs.is_plausible(value.analyte, value.value):
                _keep(newest, Measured(value.analyte, value.value, documented.day, statement.evidence[-1]))
    return newest


def _keep(newest: dict[str, Measured], found: Measured) -> None:
    known = newest.get(found.analyte.key)
    if known is None or known.at is None or (found.at is not None and found.at >= known.at):
        newest[found.analyte.key] = found


def terms(
    note: results.Note, sections: tuple[results.Section, ...]
) -> Iterator[tuple[results.Statement, wording.Term]]:
    """The diagnosis terms of these sections with the statement each stands in."""
    for statement in note.statements:
        if statement.section in sections:
            for term in wording.find(statement.text):
                yield statement, term
