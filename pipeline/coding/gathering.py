"""The candidates of a note: diagnoses that the doctor named, known ones treated today, and complaints left over."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from pipeline import consultation, facts, results, segments
from pipeline.coding import candidate, mention, sides, specific, visits
from terminology import labs
from terminology.drugs import catalogue as drugs
from terminology.german import polarity, sentences
from terminology.icd10gm import catalogue, edition, finding, specificity, starter, wording

#: A test for an illness is no finding of it.
_TESTED = re.compile(r"test(?!.{0,40}\bpositiv)|\bsuche\b|\bfrage nach\b|\bausgeschlossen\b", re.IGNORECASE)
_SYMPTOM_LIMIT = 3  # complaints at most where nobody named a diagnosis


def assessed(
    documented: consultation.Consultation, transcript: segments.Transcript, note: results.Note, held: edition.Edition
) -> list[candidate.Candidate]:
    """The diagnoses that assessment, findings and plan name, or the doctor elsewhere, with their most specific code."""
    around = specific.known(documented, note, held)
    of_the_body = [s.text for section in ("S", "O", "A") for s in note.section(section)]
    named = [found for found in facts.terms(note, ("A", "O", "P")) if _is_named(*found)]
    named += list(_searched(note, held))
    named += [found for found in facts.terms(note, ("S",)) if _is_told_by_doctor(*found, transcript)]
    told = [(statement, term, mention.certainty_of(statement, term)) for statement, term in named]
    sure = {term.code[:3] for s, term, how in told if how in ("G", "V") and s.section != "P" and not term.needs_backing}
    sure |= {condition.code[:3] for condition in documented.record.conditions if condition.code}
    clauses = [(c.text, wording.find(c.text)) for s in note.statements for c in sentences.clauses(s.text)]
    ruled_out = {term.code[:3] for _statement, term, how in told if how == "A"}
    found = []
    for statement, term, certainty in told:
        if certainty is None or (statement.section != "A" and certainty == "A"):
            continue
        if certainty != "A" and (term.code[:3] in ruled_out or not _is_carried(statement, term, sure)):
            continue
        clause = mention.clause_of(statement.text, term)
        about = " ".join(clause for clause, terms in clauses if _speaks_of(clause, terms, term))
        decided = (
            specific.decide(term.code, mention.sentence_of(statement.text, term), about, around)
            if certainty != "A"
            else specific.Specific(term.code, (), None)
        )
        why = f" ({'; '.join(decided.why)})" if decided.why else ""
        side = sides.of_term(decided.code, statement.text, term.start, term.end)
        if side is None and certainty == "G":
            side = sides.of_place(decided.code, of_the_body)
        found.append(
            candidate.Candidate(
                code=_held(decided.code, held),
                certainty=certainty,
                side=side,
                partner_side=_side_of_partner(decided.code, statement.text, term),
                statement=statement.id,
                reason=f"„{term.text}“ in {_SECTIONS[statement.section]}{why}.",
                evidence=(*statement.evidence, *([results.Evidence(record=decided.record)] if decided.record else [])),
                is_symptom=term.kind == "symptom",
                runner_up=decided.instead_of,
                is_as_known=decided.is_as_known,
                since=mention.since(clause, documented.day),
            )
        )
    return found


def _is_told_by_doctor(statement: results.Statement, term: wording.Term, transcript: segments.Transcript) -> bool:
    """Whether the doctor names an illness as certain in a statement that stands among the complaints."""
    cited = {evidence.segment for evidence in statement.evidence}
    speakers = {segment.speaker for segment in transcript.segments if segment.number in cited}
    is_illness = term.kind in ("diagnosis", "abbreviation") and term.code[0] not in "RZ"
    if speakers != {"doctor"} or not is_illness or not _is_named(statement, term):
        return False
    return mention.certainty_of(statement, term) == "G"


def _is_carried(statement: results.Statement, term: wording.Term, sure: Collection[str]) -> bool:
    """Whether a word of everyday speech, or of the plan, stands on the record, the assessment or a treatment."""
    if term.needs_backing:
        return _is_backed(term.code, sure)
    if statement.section != "P" or _is_backed(term.code, sure):
        return True
    clause = mention.clause_of(statement.text, term)
    if _SUMMED_UP.search(statement.text) or _TREATING.search(clause):
        return True
    return _FOR_IT.search(clause[: clause.find(term.text)] if term.text in clause else clause) is not None


_SUMMED_UP = re.compile(r"\bfasse\b.*\bzusammen\b|\bdiagnosen?:", re.IGNORECASE)
_TREATING = re.compile(r"behandel|behandl|therapie", re.IGNORECASE)
_FOR_IT = re.compile(
    r"\b(?:gegen|wegen|einweisung|dmp|bei bekannte[mr]?)\b|\bfür (?:den|die|das|ihre?n?)\b", re.IGNORECASE
)


#: How near a clause must come to a title or term of the catalogue, where no term stands in it word for word (0 to 1),
#: and by which ways: the same words in another form. What was corrected or only alike is for a person to choose.
_NEAR = 0.93
_WAYS = ("exact", "stem", "compound")
_MANY_WORDS = 8
_TELLING = 5  # letters of a word that counts
_LONG_WORD = 12  # letters; a shorter word alone is too general: "Krankheit", "Herz"


def _searched(note: results.Note, held: edition.Edition) -> Iterator[tuple[results.Statement, wording.Term]]:
    """What the search finds in a clause of the assessment that holds no known term: "Insuffizienz des Herzens"."""
    for statement in note.section("A"):
        if facts.is_only_feared(statement.text):
            continue
        for term, hit in offered(statement.text, held, 1):
            is_illness = hit.is_terminal and hit.code[0] not in "RSTUVWXYZ"
            telling = [word for word in re.findall(r"\w+", term.text) if len(word) >= _TELLING]
            is_long = len(telling) > 1 or max(map(len, telling), default=0) >= _LONG_WORD
            if is_illness and is_long and hit.score >= _NEAR and hit.how in _WAYS:
                yield statement, term


def offered(text: str, held: edition.Edition, limit: int) -> Iterator[tuple[wording.Term, finding.Found]]:
    """What the search offers for the clauses of a text that holds no known term, the best first in each clause."""
    if wording.find(text):
        return
    for clause in sentences.clauses(text):
        words = polarity.without_cues(clause.text)
        if len(words.split()) <= _MANY_WORDS:
            for hit in finding.search(words, held.year, limit):
                yield wording.Term(clause.start, clause.end, words.strip(" ."), hit.code, "found"), hit


def _side_of_partner(name: str, text: str, term: wording.Term) -> results.Side | None:
    found = (sides.of_term(star, text, term.start, term.end) for star in specificity.partners().get(name, ()))
    return next((side for side in found if side is not None), None)


def _speaks_of(clause: str, terms: Iterable[wording.Term], term: wording.Term) -> bool:
    """Whether a clause names the illness of a term, by this term or by one of its own `terms`."""
    if term.text[-5:].lower() in clause.lower() or specificity.is_about(term.code, clause):
        return True
    return any(other.code[:3] == term.code[:3] for other in terms)


_SECTIONS = {"S": "den Worten des Arztes", "A": "der Beurteilung", "O": "der Befundung", "P": "der Planung"}


def _is_named(statement: results.Statement, term: wording.Term) -> bool:
    """Whether a section may name this diagnosis: findings only what was seen, the plan only what is treated."""
    if facts.is_only_feared(statement.text) or visits.is_vaccination(statement.text, term.start):
        return False
    if term.code in visits.codes() or (term.code[0] == "Z" and not specificity.is_state(term.code)):
        return False
    if statement.section == "A":
        return True
    if term.kind == "symptom" or term.code[0] in "RZ":
        return False
    if statement.section in ("S", "O"):
        return term.kind != "lay" and _TESTED.search(statement.text) is None
    return _NOT_TREATED.search(mention.clause_of(statement.text, term)) is None


_NOT_TREATED = re.compile(
    r"impf|screening|vorsorge|früherkennung|prophyla|risiko|\b(?:wenn|falls|sollte|ob|damit)\b|\b\w*(?:test|serologie)\b"
    r"|\b(?:abstrich|kontrolle) auf\b|\bzum ausschluss\b|merkblatt|aufkl[äa]r|\bfrage\b|abklär|warnzeichen|zeichen eine"
    r"|\bachten\b|\bnur bei\b|nebenwirk|vermeid|vorzubeug|\bcave\b|kontraindik|notfallset|beratung|\?",
    re.IGNORECASE,
)


def _is_backed(code: str, sure: Collection[str]) -> bool:
    """Whether what a lay word means stands in the record or was named by a doctor's word."""
    return code[:3] in sure or any(specificity.is_same_illness(code, f"{name}.9") for name in sure)


def is_pregnant(documented: consultation.Consultation, note: results.Note) -> bool:
    """Whether record or assessment say that the patient is pregnant."""
    if documented.patient.pregnant is not None:
        return documented.patient.pregnant
    return any(
        term.code.startswith(("Z33", "Z34", "Z35", "O")) and mention.certainty_of(statement, term) == "G"
        for statement, term in facts.terms(note, ("A",))
    )


def _held(name: str, held: edition.Edition) -> str:
    """The code as the year holds it: one that it has not split off yet is the code it was split from."""
    code = held.resolve(name)
    return code.code if code is not None else name


def treated(
    documented: consultation.Consultation,
    note: results.Note,
    held: edition.Edition,
    found_today: Sequence[candidate.Candidate],
) -> list[candidate.Candidate]:
    """Known chronic illnesses that the visit was about are coded again, as German practice does each quarter.

    What was assessed today (`found_today`) is not coded twice. An illness counts as treated
    where the plan or the assessment names it or a drug for it, or a value of the day watches it.
    """
    found = []
    values = facts.measured(documented, note)
    for condition in documented.record.conditions:
        code = catalogue.known(condition.code or "")
        if code is None or not starter.is_chronic(code.code):
            continue
        if any(_is_coded_by(code.code, one.code) for one in found_today):
            continue
        reason = next(_reasons(code.code, documented, note, values), None)
        if reason is None:
            continue
        statement, text = reason
        staged = [specificity.by_value(f"{code.code[:3]}.9", key, value.value) for key, value in values.items()]
        found.append(
            candidate.Candidate(
                code=_held(next(filter(None, staged), code.code), held),
                certainty="G",
                side=sides.of_place(code.code, (statement.text, condition.text)),
                statement=statement.id,
                reason=f"Bekannte Diagnose, heute behandelt: „{text}“.",
                evidence=(*statement.evidence, results.Evidence(record=condition.id)),
                origin="record",
            )
        )
    return found


def _is_coded_by(known: str, today: str) -> bool:
    return (
        known[:5] == today[:5]
        or specificity.contradiction(known, today) is not None
        or specificity.is_same_illness(today, known)
    )


def _reasons(
    code: str, documented: consultation.Consultation, note: results.Note, values: Mapping[str, facts.Measured]
) -> Iterator[tuple[results.Statement, str]]:
    for statement, term in facts.terms(note, ("A", "P", "O")):
        is_same = term.code[:3] == code[:3] or specificity.is_same_illness(term.code, code)
        if is_same and mention.certainty_of(statement, term) in ("G", "V", "Z"):
            yield statement, term.text
    for statement in note.section("P"):
        for drug in drugs.find(statement.text):
            if any(specificity.is_treated_by(code, ingredient.atc) for ingredient in drug.ingredients):
                yield statement, drug.text
    for key, value in values.items():
        if value.at == documented.day and value.evidence.segment is not None and specificity.is_watched_by(code, key):
            for statement in note.statements:
                if value.evidence in statement.evidence:
                    yield statement, value.told
    if documented.encounter.setting == "hospital":
        for statement, term in facts.terms(note, ("S",)):
            if term.code[:3] == code[:3] and mention.certainty_of(statement, term) in ("G", "Z"):
                yield statement, term.text


def disorders(note: results.Note, found_today: Sequence[candidate.Candidate]) -> list[candidate.Candidate]:
    """Values out of their range that were treated or assessed: a value alone is no diagnosis (DKR D003)."""
    found: list[candidate.Candidate] = []
    beside = [one.code for one in found_today]
    plan = " ".join(statement.text for statement in note.section("P"))
    for statement in note.statements:
        if statement.section not in ("O", "A") or statement.polarity not in ("affirmed", "negated"):
            continue
        for value in labs.find(statement.text):
            code = specificity.of_value(value.analyte.key, value.flag or "", beside) if value.flag else None
            is_treated = _TREATED.search(statement.text) or value.analyte.name.lower() in plan.lower()
            if code is None or not labs.is_plausible(value.analyte, value.value) or not is_treated:
                continue
            beside.append(code)
            reason = f"{value.analyte.name} {str(value.value).replace('.', ',')}, behandelt oder weiter abgeklärt."
            found.append(
                candidate.Candidate(
                    code=code,
                    certainty="G",
                    side=None,
                    statement=statement.id,
                    reason=reason,
                    evidence=statement.evidence,
                )
            )
    return found


_TREATED = re.compile(
    r"aufgefüllt|substitu|ersetz|ausgeglichen|infusion|tropf\b|gegeben|bekommen|abgesetzt|überweis",
    re.IGNORECASE,
)


def is_treated(note: results.Note) -> bool:
    """Whether the plan holds a treatment: a drug, or an act."""
    return any(drugs.find(s.text) or _ACT.search(s.text) for s in note.section("P") if s.polarity == "affirmed")


_ACT = re.compile(
    r"antibio|infusion|operation|operier|\blyse\b|intravenös|i\. ?v\.|sauerstoff|transfusion|punktion", re.IGNORECASE
)


def complaints(note: results.Note, *, is_practice: bool) -> list[candidate.Candidate]:
    """Where no diagnosis was named, the complaints themselves are coded."""
    found: list[candidate.Candidate] = []
    for statement, term in facts.terms(note, ("S",)):
        if (
            term.kind == "symptom"
            and mention.certainty_of(statement, term) == "G"
            and not facts.is_only_feared(statement.text)
            and not facts.is_reaction(statement.text)
            and term.code not in {c.code for c in found}
        ):
            found.append(
                candidate.Candidate(
                    code=term.code,
                    certainty="G" if is_practice else None,
                    side=None,
                    statement=statement.id,
                    reason=f"Keine Diagnose genannt; Beschwerde „{term.text}“.",
                    evidence=statement.evidence,
                    origin="complaint",
                    is_symptom=True,
                )
            )
    return found[:_SYMPTOM_LIMIT]
