"""From the note's assessment to ICD-10-GM codes. The catalogue of the encounter's year decides what may leave."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from pipeline import consultation, facts, results, segments
from terminology.german import numbers, polarity, sentences
from terminology.icd10gm import catalogue

_EXCLUDED = re.compile(r"\b(?:ausgeschlossen|schließ\w* .{0,40}\baus|ausschließen)\b", re.IGNORECASE)
_TO_EXCLUDE = re.compile(r"\bausschluss\b", re.IGNORECASE)
_STATUS_POST = re.compile(r"\b(?:zustand nach|z\. ?n\.)", re.IGNORECASE)
_LEFT, _RIGHT, _BOTH = (
    re.compile(p, re.IGNORECASE)
    for p in (r"\blink(?:s|e[rsnm]?)\b", r"\brecht(?:s|e[rsnm]?)\b", r"\bbeid(?:seits|seitig|e[rn]?)\b")
)
_SEEN = re.compile(
    r"\b(?:ekg|röntgen\w*|mrt|ct|sono\w*|ultraschall|labor|urin\w*|histolog\w*|abstrich)\b", re.IGNORECASE
)
_STAGES = {"eins": 1, "zwei": 2, "drei": 3, "vier": 4, "fünf": 5}
_STAGE_WORD = re.compile(r"\b(stadium|grad|gold|nyha) (eins|zwei|drei|vier|fünf)\b", re.IGNORECASE)
_SYMPTOM_LIMIT = 3  # symptom codes at most where nobody named a diagnosis


@dataclass(frozen=True, slots=True)
class Candidate:
    """A code that comes into question for a statement, before the catalogue and the rules decide."""

    code: str
    certainty: results.Certainty | None
    side: results.Side | None
    statement: str
    reason: str
    evidence: tuple[results.Evidence, ...]
    is_symptom: bool = False


def run(
    documented: consultation.Consultation,
    transcript: segments.Transcript,
    note: results.Note,
    proposed: Iterable[Candidate] = (),
) -> results.Coding:
    """The codes of the encounter by rank, and what the catalogue or a rule refused.

    `proposed` stand before what the rules find; catalogue and rules decide on them all the same.
    """
    year = year_of(documented)
    hospital = documented.encounter.setting == "hospital"
    found = [*proposed, *assessed(documented, note, hospital)]
    found += _from_record(documented, note, {candidate.code[:3] for candidate in found})
    if not any(not candidate.is_symptom for candidate in found):
        found += _symptoms(note, hospital)
    return _decided(_with_partners(_unique(found)), documented, year, hospital)


def year_of(documented: consultation.Consultation) -> int:
    """The catalogue year of the encounter; the newest where its day is not known."""
    return catalogue.year_of((documented.day or dt.date(catalogue.YEARS[-1], 1, 1)).year)


def _stages_in_figures(text: str) -> str:
    """ "Stadium drei" as "Stadium 3"."""
    return _STAGE_WORD.sub(lambda match: f"{match[1]} {_STAGES[match[2].lower()]}", text)


def assessed(documented: consultation.Consultation, note: results.Note, hospital: bool) -> list[Candidate]:
    """The diagnoses that assessment and findings name, each with its most specific code."""
    evidence_text = " ".join(s.text for s in (*note.section("A"), *note.section("O")) if s.polarity == "affirmed")
    evidence_text = _stages_in_figures(evidence_text)
    values = facts.measured(documented, note)
    found = []
    for statement, term in facts.terms(note, ("A", "O")):
        clause = clause_of(statement.text, term)
        certainty = certainty_of(statement, clause, term)
        if facts.is_only_feared(statement.text) or (statement.section == "O" and term.code[0] in "STZ"):
            continue
        if certainty is None or (
            statement.section == "O"
            and (certainty != "G" or not _SEEN.search(statement.text) or term.kind == "symptom")
        ):
            continue
        if hospital and certainty in ("A", "Z"):
            continue
        said_of_it = " ".join(s.text for s in note.statements if term.text[-5:].lower() in s.text.lower())
        code, note_text = _specific(
            term.code,
            f"{_stages_in_figures(statement.text)} {evidence_text}",
            said_of_it,
            documented,
            values,
        )
        found.append(
            Candidate(
                code=code,
                certainty=None if hospital else certainty,
                side=side_of(code, clause, statement.text),
                statement=statement.id,
                reason=f"„{term.text}“ in der {'Beurteilung' if statement.section == 'A' else 'Befundung'}{note_text}.",
                evidence=statement.evidence,
                is_symptom=term.kind == "symptom",
            )
        )
    return found


def clause_of(text: str, term: catalogue.Term) -> str:
    """The clause of a text that a term stands in."""
    return next((s.text for s in sentences.clauses(text) if s.start <= term.start < s.end), text)


def certainty_of(statement: results.Statement, clause: str, term: catalogue.Term) -> results.Certainty | None:
    """G, V, A or Z of a named diagnosis; None when it is not the patient's or was denied."""
    if statement.polarity == "family" or polarity.is_about_family(clause):
        return None
    if _EXCLUDED.search(statement.text) and statement.polarity == "negated":
        return "A" if term.kind != "symptom" else None
    if statement.polarity == "negated" or polarity.is_negated(clause):
        return None
    if _TO_EXCLUDE.search(clause):
        return "V"
    if statement.polarity == "uncertain" or polarity.is_uncertain(clause):
        return "V"
    if statement.polarity == "historical" or _STATUS_POST.search(clause):
        return "G" if term.code.startswith("Z") or term.code.startswith("I25") else "Z"
    return "G"


def _of_known(code: str, known: str) -> str:
    """The record's code; where today's code says more after the dot, with that: E14.72 and E11.90 make E11.72."""
    more_specific = f"{known[:3]}{code[3:]}"
    if code[:3] != known[:3] and code[3:] not in ("", ".9", ".90", ".91") and more_specific in catalogue.codes():
        return more_specific
    return known


_AGO = re.compile(
    r"(?:\b(?P<n1>\w+|\d+) (?P<u1>tage|wochen|monate|jahre)n? (?:seit|nach|her)\b|\bvor (?P<n2>\w+|\d+) (?P<u2>tage|woche|monat|jahr)\w*)",
    re.IGNORECASE,
)
_DAYS = {"tag": 1, "woc": 7, "mon": 30, "jah": 365}


def _days_ago(text: str) -> int | None:
    """How many days ago something was, as a statement says it."""
    match = _AGO.search(text)
    if match is None:
        return None
    count, unit = match["n1"] or match["n2"], (match["u1"] or match["u2"]).lower()
    number = int(count) if count.isdigit() else 1 if count.lower().startswith("ein") else numbers.value(count)
    return number * _DAYS[unit[:3]] if number is not None else None


def _specific(
    code: str,
    evidence: str,
    documented_text: str,
    documented: consultation.Consultation,
    values: dict[str, facts.Measured],
) -> tuple[str, str]:
    """The most specific code that the evidence carries, with the words that say why."""
    told = []
    affirmed = facts.affirmed(evidence)
    for _round in range(3):
        refined = catalogue.refine(code, evidence, affirmed)
        if refined is None or refined.code == code:
            break
        code = refined.code
        if refined.note:
            told.append(refined.note)
    known = next(
        (c.code for c in documented.record.conditions if c.code and catalogue.is_same_illness(code, c.code)), None
    )
    if known is not None:
        code = _of_known(code, known)
        told.append("wie in der Akte geführt")
    for key, measured in values.items():
        decided = catalogue.by_value(code, key, measured.value) or (
            catalogue.by_value("N18.9", key, measured.value) if known and code.startswith("N18.") else None
        )
        if decided is not None and decided != code:
            code = decided
            told.append(f"{measured.analyte.name} {str(measured.value).replace('.', ',')}")
    days = _days_ago(documented_text)
    older = catalogue.old_after(code, days) if days is not None else None
    if older is not None:
        code = older
        told.append(f"seit {days} Tagen")
    return code, f" ({'; '.join(told)})" if told else ""


def side_of(code: str, clause: str, text: str) -> results.Side | None:
    """The side that the clause names, else the text; None where the code has none or two are named."""
    if not catalogue.has_side(code):
        return None
    for where in (clause, text):
        left, right, both = (pattern.search(where) is not None for pattern in (_LEFT, _RIGHT, _BOTH))
        if both or (left and right):
            return "B" if both or where is clause else None
        if left or right:
            return "L" if left else "R"
    return None


def _from_record(documented: consultation.Consultation, note: results.Note, assessed: set[str]) -> list[Candidate]:
    """Known chronic illnesses that today's talk was about are coded again, as German practice does each quarter."""
    found = []
    hospital = documented.encounter.setting == "hospital"
    for condition in documented.record.conditions:
        code = catalogue.codes().get(condition.code or "")
        if code is None or not code.is_chronic or code.code[:3] in assessed:
            continue
        for statement, term in facts.terms(note, ("A", "P")):
            if term.code[:3] == code.code[:3] and statement.polarity in ("affirmed", "uncertain"):
                found.append(
                    Candidate(
                        code=code.code,
                        certainty=None if hospital else "G",
                        side=None,
                        statement=statement.id,
                        reason=f"Bekannte Diagnose, heute behandelt: „{term.text}“.",
                        evidence=(*statement.evidence, results.Evidence(record=condition.id)),
                    )
                )
                break
    return found


def _symptoms(note: results.Note, hospital: bool) -> list[Candidate]:
    """Where no diagnosis was named, the complaints themselves are coded."""
    found: list[Candidate] = []
    for statement, term in facts.terms(note, ("A", "S")):
        if (
            statement.polarity == "affirmed"
            and not facts.is_reaction(statement.text)
            and not polarity.is_negated(clause_of(statement.text, term))
            and term.code not in {c.code for c in found}
        ):
            reason = f"Keine Diagnose genannt; Beschwerde „{term.text}“."
            certainty: results.Certainty | None = None if hospital else "G"
            found.append(
                Candidate(term.code, certainty, None, statement.id, reason, statement.evidence, is_symptom=True)
            )
    return found[:_SYMPTOM_LIMIT]


_ORDER = {"G": 0, None: 0, "Z": 1, "V": 2, "A": 3}


def _unique(candidates: Iterable[Candidate]) -> list[Candidate]:
    """One candidate a code and side; the surer one leads. An unspecific code yields to a specific one of its category."""
    best: dict[tuple[str, results.Side | None], Candidate] = {}
    for candidate in candidates:
        key = (candidate.code, candidate.side)
        known = best.get(key) or best.get((candidate.code, None))
        if known is None:
            best[key] = candidate
        else:
            surer = candidate if _ORDER[candidate.certainty] < _ORDER[known.certainty] else known
            merged = replace(
                surer,
                side=surer.side or candidate.side or known.side,
                evidence=tuple(dict.fromkeys((*known.evidence, *candidate.evidence))),
            )
            best[(known.code, known.side)] = merged
    found = list(best.values())
    return [
        candidate
        for candidate in found
        if not any(
            other is not candidate and other.code[:3] == candidate.code[:3]
            and candidate.code.rstrip("09").endswith(".") and not other.code.rstrip("09").endswith(".")
            for other in found
        )
    ]  # fmt: skip


def _with_partners(candidates: list[Candidate]) -> list[Candidate]:
    """Star codes that a primary code needs stand behind it."""
    result: list[Candidate] = []
    for candidate in candidates:
        result.append(candidate)
        for partner in catalogue.partners().get(candidate.code, ()):
            if not any(other.code == partner for other in candidates):
                result.append(replace(candidate, code=partner, reason=f"Zusatzkode zu {candidate.code}."))
    return result


def _decided(
    candidates: list[Candidate], documented: consultation.Consultation, year: int, hospital: bool
) -> results.Coding:
    """The candidates that the year's catalogue and the rules let through, ranked."""
    accepted: list[results.CodedDiagnosis] = []
    rejected: list[results.Rejected] = []
    primaries = [c.code for c in candidates if (k := catalogue.code(c.code, year)) is not None and k.kind == "P"]
    for candidate in candidates:
        reason = _fault(candidate, candidates, documented, year, primaries)
        if reason is not None:
            proposal = f"{candidate.code} {candidate.reason}"
            rejected.append(
                results.Rejected(stage="code", proposal=proposal, reason=reason, evidence=candidate.evidence)
            )
            continue
        code = catalogue.codes()[candidate.code]
        accepted.append(
            results.CodedDiagnosis(
                code=code.code,
                title=code.title,
                year=year,
                certainty=None if hospital else candidate.certainty,
                side=candidate.side,
                mark={"O": "*", "Z": "!"}.get(code.kind),
                rank=len(accepted) + 1,
                statement=candidate.statement,
                reason=candidate.reason,
                remark=_remark(code),
                evidence=candidate.evidence,
            )
        )
    return results.Coding(diagnoses=tuple(accepted), rejected=tuple(rejected))


def _fault(
    candidate: Candidate,
    candidates: list[Candidate],
    documented: consultation.Consultation,
    year: int,
    primaries: list[str],
) -> str | None:
    code = catalogue.code(candidate.code, year)
    if code is None:
        return f"Der Katalog {year} führt diesen Kode nicht."
    if code.kind != "P" and not primaries:
        return "Stern- und Ausrufezeichenkodes brauchen einen Primärkode."
    sex = {"female": "W", "male": "M"}.get(documented.patient.sex or "")
    if code.sex and sex and code.sex != sex:
        return "Der Kode gilt für das andere Geschlecht."
    age = documented.patient.age_on(documented.day) if documented.day else None
    if age is not None and (
        (code.age_min is not None and age < code.age_min) or (code.age_max is not None and age > code.age_max)
    ):
        return "Der Kode gilt nicht für dieses Alter."
    covering = next(
        (
            other.code
            for other in candidates
            if other.certainty in ("G", "V", None)
            and other.code != candidate.code
            and catalogue.is_symptom_of(candidate.code, other.code)
        ),
        None,
    )
    if covering is not None:
        return f"Symptom von {covering}; es wird neben der Diagnose nicht kodiert."
    return None


def _remark(code: catalogue.Code) -> str | None:
    if "nicht näher bezeichnet" in code.title:
        return "Die Dokumentation lässt keinen genaueren Kode zu."
    return None
