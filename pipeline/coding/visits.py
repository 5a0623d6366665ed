"""The Z codes of the visit: why somebody came and what was done, as the note's statements say it.

Sources: ICD-10-GM chapter XXI with its inclusions; the cues stand in the table `icd10gm/visit_reasons`.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from pipeline import consultation, results, segments
from pipeline.coding import candidate, sides, vaccinations
from terminology import tables
from terminology.drugs import catalogue as drugs
from terminology.german import polarity, sentences
from terminology.icd10gm import edition, specificity, wording

_DRUG = "drug:"  # before the ATC code of a drug that the record must hold
_ADULT = 18  # years

_LATER = re.compile(
    r"\b(?:nächste[nrsm]?|kommende[nrsm]?|übernächste[nrsm]?|künftig|später|demnächst|irgendwann|bald|übermorgen)\b"
    r"|\bnachher\b|(?<!heute )(?<!gestern )\bmorgen\b|\bam (?:mon|diens|mitt|donners|frei|sams)\w*"
    r"|\b(?:im|ab) (?:herbst|winter|frühjahr|frühling|sommer|januar|februar|märz|april|mai|juni|juli|august|september"
    r"|oktober|november|dezember)\b|\bin(?: \w+)?,? (?:\w+|\d+) (?:tage|woche|monat|jahr)\w*|verschieb|verschoben"
    r"|\btermin (?:für|zur|zum)\b|\bvereinbar\w*|\bsehen wir uns\b|\bbis zu[rm]\b|\bwieder zu[rm]\b",
    re.IGNORECASE,
)
_ADVISED = re.compile(
    r"\b(?:reden|sprechen wir|besprechen wir|überleg\w*|denken|empfehl\w*|empfohlen|rate|raten|sollte\w*|könnte\w*"
    r"|können|kann man|würde?n?|würd|wäre?|vielleicht|eventuell|gehen sie|überweis\w*|lehn\w*|wenn|falls|sobald|ob"
    r"|wann)\b",
    re.IGNORECASE,
)
_PAST = re.compile(
    r"\b(?:letzte[nrsm]?|vorige[nrsm]?|vergangene[nrsm]?|gestern|damals|früher|zuletzt|bereits)\b"
    r"|\bschon (?:gemacht|gewesen|gehabt)\b|\bvor (?:\w+|\d+) (?:tage|woche|monat|jahr)\w*"
    r"|\bwar(?:en)? (?:ich|sie|er|im|letzte\w*|vor|erst|schon|(?:19|20)\d\d)\b",
    re.IGNORECASE,
)
_TODAY = re.compile(r"\b(?:heute|heutige[nrs]?|jetzt|soeben|eben)\b", re.IGNORECASE)
_HEARSAY = re.compile(r"internet|gelesen|\bliest\b|gegoogelt|\bangst\b", re.IGNORECASE)
_WITHOUT = re.compile(r"\bohne\b.*", re.IGNORECASE)
_ANSWERED_NO = re.compile(r"^verneint\b|[:?]\s*(?:nein|nee|nö)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reason:
    """One row: the cue of a reason and what must hold beside it. The first row of a reason that holds decides.

    `kind`: `visit` (why somebody came), `done` (an act of today), `state` (what the doctor names as lasting), `denial`
    (the cue is a refusal itself), `contact` (with somebody who is ill). `note_has` must stand in the note, `record_has`
    (the beginnings of codes, or of ATC codes after `drug:`) in the record. `age_from` and `age_to` in years, inclusive.
    `is_alone`: only where the note names no diagnosis. `excluded_by` must not stand in the statement, `unless` nowhere
    in the note.
    """

    name: str
    cue: re.Pattern[str]
    sections: str
    kind: str
    code: str
    note_has: re.Pattern[str] | None
    record_has: tuple[str, ...]
    age_from: int | None
    age_to: int | None
    sex: str
    setting: str
    is_alone: bool
    is_main: bool
    excluded_by: re.Pattern[str] | None
    unless: re.Pattern[str] | None
    source: str


def _pattern(text: str) -> re.Pattern[str] | None:
    return re.compile(text, re.IGNORECASE) if text else None


@functools.cache
def _reasons() -> tuple[Reason, ...]:
    return tuple(
        Reason(
            name=row["reason"],
            cue=re.compile(row["cue"], re.IGNORECASE),
            sections=row["sections"],
            kind=row["kind"],
            code=row["code"],
            note_has=_pattern(row["note_has"]),
            record_has=tuple(row["record_has"].split("|")) if row["record_has"] else (),
            age_from=int(row["age_from"]) if row["age_from"] else None,
            age_to=int(row["age_to"]) if row["age_to"] else None,
            sex=row["sex"],
            setting=row["setting"],
            is_alone=row["alone"] == "J",
            is_main=row["main"] == "J",
            excluded_by=_pattern(row["excluded_by"]),
            unless=_pattern(row["unless"]),
            source=row["source"],
        )
        for row in tables.rows("icd10gm/visit_reasons")
    )


@functools.cache
def codes() -> frozenset[str]:
    """The codes that this part decides alone: a term that means one of them is no diagnosis that was named."""
    told = {row["code"] for row in tables.rows("icd10gm/visit_reasons") if row["kind"] != "state"}
    return frozenset(told | {row["code"] for row in tables.rows("icd10gm/vaccinations") if row["code"]})


def reasons(
    documented: consultation.Consultation,
    transcript: segments.Transcript,
    note: results.Note,
    held: edition.Edition,
) -> list[candidate.Candidate]:
    """The reasons of the visit, those that it was mainly about first, and the vaccinations of today.

    The note says them; the transcript only confirms that a vaccination which the note names was given.
    """
    given = vaccinations.given(note, transcript, held)
    around = _Around.of(documented, note)
    found: dict[str, tuple[bool, candidate.Candidate]] = {}
    for reason in _reasons():
        if reason.name in found or (reason.kind == "denial" and given):
            continue
        code = held.resolve(reason.code)
        statement = around.says(reason) if code is not None and around.allows(reason) else None
        if code is None or statement is None:
            continue
        one = candidate.Candidate(
            code=code.code,
            certainty="G",
            side=sides.of_term(code.code, statement.text, 0, 0),
            statement=statement.id,
            reason=f"{_TOLD[reason.kind]}: „{statement.text}“ ({reason.source}).",
            evidence=(*statement.evidence, *around.recorded(reason)),
            origin="visit",
        )
        found[reason.name] = (reason.is_main, one)
    ordered = sorted(found.values(), key=lambda pair: not pair[0])
    main = [one for is_main, one in ordered if is_main]
    return _once([*main, *given, *(one for is_main, one in ordered if not is_main)])


_TOLD = {
    "visit": "Anlass des Besuchs",
    "done": "Heute durchgeführt",
    "state": "Vom Arzt genannt",
    "denial": "Nicht durchgeführt",
    "contact": "Anlass des Besuchs",
}


def _once(found: list[candidate.Candidate]) -> list[candidate.Candidate]:
    """One candidate a code; a screening or check-up that was not named closer falls beside one that was."""
    by_code = {one.code: one for one in reversed(found)}
    named = {code for code in by_code if code.startswith("Z12") and code != "Z12.9"}
    return [one for one in found if by_code[one.code] is one and not (one.code == "Z12.9" and named)]


@dataclass(frozen=True, slots=True)
class _Around:
    """The consultation with its note, asked whether a reason holds."""

    documented: consultation.Consultation
    note: results.Note
    told: str
    years: int | None
    names_diagnosis: bool

    @classmethod
    def of(cls, documented: consultation.Consultation, note: results.Note) -> _Around:
        told = "\n".join(s.text for s in note.statements if s.polarity != "family")
        conditions = "\n".join(condition.text for condition in documented.record.conditions)
        day = documented.day
        years = documented.patient.age_on(day) if day is not None else None
        return cls(documented, note, f"{told}\n{conditions}", years, _names_diagnosis(documented, note))

    def allows(self, reason: Reason) -> bool:
        """Whether patient, setting, record and the rest of the note let the reason hold."""
        sex = self.documented.patient.sex
        return (
            (not reason.setting or reason.setting == self.documented.encounter.setting)
            and (not reason.sex or sex in (reason.sex, None, "unknown", "other"))
            and self._is_of_age(reason)
            and not (reason.is_alone and self.names_diagnosis)
            and (not reason.record_has or bool(self.recorded(reason)))
            and (reason.note_has is None or specificity.has_cue(reason.note_has, self.told))
            and (reason.unless is None or not specificity.has_cue(reason.unless, self.told))
        )

    def _is_of_age(self, reason: Reason) -> bool:
        years = _ADULT if self.years is None else self.years
        return (reason.age_from is None or years >= reason.age_from) and (
            reason.age_to is None or years <= reason.age_to
        )

    def recorded(self, reason: Reason) -> tuple[results.Evidence, ...]:
        """The items of the record that a reason needs."""
        codes = tuple(name for name in reason.record_has if not name.startswith(_DRUG))
        atc = tuple(name.removeprefix(_DRUG) for name in reason.record_has if name.startswith(_DRUG))
        record = self.documented.record
        items = [one.id for one in record.conditions if codes and (one.code or "").startswith(codes)]
        items += [one.id for one in record.medications if atc and _is_drug(one, atc)]
        return tuple(results.Evidence(record=item) for item in items)

    def says(self, reason: Reason) -> results.Statement | None:
        """The first statement that says the reason, of today and of the patient."""
        return next(
            (s for s in self.note.statements if s.section in reason.sections and _says(s, reason)),
            None,
        )


def _is_drug(medication: consultation.Medication, atc: tuple[str, ...]) -> bool:
    if medication.atc is not None:
        return medication.atc.startswith(atc)
    return any(one.atc.startswith(atc) for drug in drugs.find(medication.text) for one in drug.ingredients)


def _names_diagnosis(documented: consultation.Consultation, note: results.Note) -> bool:
    """Whether the assessment names an illness, or a known one is treated today."""
    for statement in note.section("A"):
        if statement.polarity in ("affirmed", "uncertain"):
            for term in wording.find(statement.text):
                if term.kind != "symptom" and term.code[0] not in "RZU" and not _is_denied(statement.text, term.start):
                    return True
    given = {one.atc for s in note.section("P") for drug in drugs.find(s.text) for one in drug.ingredients}
    known = [condition.code for condition in documented.record.conditions if condition.code]
    return any(specificity.is_treated_by(code, atc) for code in known for atc in given)


def _is_denied(text: str, start: int) -> bool:
    return polarity.is_negated(_clause(text, start)) or vaccinations.is_vaccination(text, start)


def _clause(text: str, start: int) -> str:
    return next((span.text for span in sentences.clauses(text) if span.start <= start < span.end), text)


def _says(statement: results.Statement, reason: Reason) -> bool:
    text = statement.text
    is_others = (statement.polarity == "family" or vaccinations.is_about_others(text)) and reason.kind != "contact"
    if is_others or _HEARSAY.search(text) or (reason.excluded_by is not None and reason.excluded_by.search(text)):
        return False
    return any(_holds(statement, match.span(), reason.kind) for match in reason.cue.finditer(text))


def _holds(statement: results.Statement, place: tuple[int, int], kind: str) -> bool:
    """Whether what a cue names at its place is so today: not denied, past, planned, advised, asked or a relative's."""
    text = statement.text
    next_due = _NEXT_DUE.match(text)
    if kind == "visit" and next_due is not None and place[0] < next_due.end():
        return True
    around = " ".join(span.text for span in sentences.clauses(text) if span.start < place[1] and place[0] < span.end)
    if (kind != "contact" and polarity.is_about_family(around)) or text[place[1] :].strip().startswith("?"):
        return False
    if kind == "denial":
        return _PAST.search(around) is None and _LATER.search(around) is None
    if _ANSWERED_NO.search(text) or polarity.is_negated(_WITHOUT.sub("", around)):
        return False
    if kind == "state":
        return True
    if statement.section != "S" and "fällig" in around and _TODAY.search(around) is None:
        return False
    is_later = _LATER.search(text) is not None and _TODAY.search(around) is None
    return not is_later and not _ADVISED.search(around) and not _PAST.search(around)


#: The next one of its kind is due in years: so this one was today.
_NEXT_DUE = re.compile(
    r"(?:der |die |das )?nächste[rsn]? [\w -]{3,40}? (?:ist |wäre |dann |erst |wieder )*in (?:zwei|drei|2|3) jahren",
    re.IGNORECASE,
)


def is_vaccination(text: str, start: int) -> bool:
    """Whether the term that begins at `start` names what is vaccinated against, not an illness that somebody has."""
    return vaccinations.is_vaccination(text, start)
