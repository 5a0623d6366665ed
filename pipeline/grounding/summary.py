"""The gate of the patient summary: grounded like the note, never against it, in plain German, three to five sentences.

A sentence must hold twice: its evidence carries it in the talk (`gate.fault`), and the note says it too. What plain
German brings along claims nothing: framing phrases, and the plain word in the place of the medical one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from pipeline import results, segments
from pipeline.grounding import agreement, appointments, critical, gate, plain, quotes, readability
from pipeline.grounding.noted import Content, Noted, illnesses
from terminology.drugs import catalogue as drugs
from terminology.german import numbers, polarity, sentences
from terminology.icd10gm import specificity, wording

#: The least reading ease (Flesch–Amstad) of a summary: below 50 a German text counts as hard to read ("schwer").
#: Source: T. Amstad, Wie verständlich sind unsere Zeitungen?, Dissertation, Zürich 1978.
READABLE = 50.0
FEWEST = 3  # sentences
MOST = 5


def check(
    summary: results.PatientSummary,
    note: results.Note,
    transcript: segments.Transcript,
    *,
    fewest: int = FEWEST,
    most: int = MOST,
    flesch: float = READABLE,
) -> tuple[results.PatientSummary | None, tuple[results.Rejected, ...]]:
    """The summary without what was refused, and the refusals; None for a summary that falls as a whole.

    It falls where fewer than `fewest` sentences hold, or where those that hold are harder to read than `flesch`
    (Flesch–Amstad). What comes after the `most`-th sentence is refused. The ids of what holds are p1 to pn anew.
    """
    kept, rejected = sound(summary.sentences, note, transcript, most=most)
    text = " ".join(sentence.text for sentence in kept)
    if not kept:
        return None, tuple(rejected)
    if _length(text) < fewest:
        return None, (*rejected, _refused(text, "length", "minor", f"Weniger als {fewest} Sätze sind belegt."))
    ease = readability.flesch_amstad(text)
    if ease < flesch:
        reason = f"Die Zusammenfassung ist schwer zu lesen: {ease:.0f} Punkte, verlangt sind {flesch:.0f}."
        return None, (*rejected, _refused(text, "readability", "minor", reason))
    return summary.model_copy(update={"sentences": numbered(kept), "rejected": ()}), tuple(rejected)


def sound(
    proposed: Iterable[results.Statement], note: results.Note, transcript: segments.Transcript, *, most: int = MOST
) -> tuple[list[results.Statement], list[results.Rejected]]:
    """The sentences that hold, `most` of them at most, and the others with the reason why each was refused.

    Of two that say the same, in the same words or in others, the first stays.
    """
    noted = Noted.of(note, transcript)
    kept: list[results.Statement] = []
    rejected: list[results.Rejected] = []
    told: set[Content] = set()
    count = 0
    for sentence in proposed:
        fault = _fault(sentence, noted, transcript)
        spans = sentences.split(sentence.text)
        length = len(spans)
        contents = {noted.content(span.text) for span in spans}
        if fault is None and (contents & told or len(contents) < length):
            fault = _Fault("repeated", "minor", "Die Zusammenfassung sagt das schon.")
        if fault is None and count + length > most:
            fault = _Fault("length", "minor", f"Die Zusammenfassung hat mehr als {most} Sätze.")
        if fault is None:
            kept.append(sentence)
            told |= contents
            count += length
        else:
            rejected.append(_refused(sentence.text, *fault, evidence=sentence.evidence))
    return kept, rejected


def too_hard(sentence: results.Statement) -> results.Rejected:
    """The refusal of a sentence that makes a summary too hard to read."""
    return _refused(sentence.text, "readability", "minor", "Der Satz ist schwer zu lesen.", sentence.evidence)


def numbered(kept: Iterable[results.Statement]) -> tuple[results.Statement, ...]:
    """The sentences with the ids p1 to pn."""
    return tuple(s.model_copy(update={"id": f"p{number}"}) for number, s in enumerate(kept, start=1))


class _Fault(NamedTuple):
    """Why a sentence falls: the check's name, how bad it would have been, and the reason in German."""

    check: str
    harm: results.Harm
    reason: str


def _refused(
    text: str, check: str, harm: results.Harm, reason: str, evidence: tuple[results.Evidence, ...] = ()
) -> results.Rejected:
    return results.Rejected(stage="summarise", proposal=text, reason=reason, evidence=evidence, check=check, harm=harm)


def _length(text: str) -> int:
    return len(sentences.split(text))


def _fault(sentence: results.Statement, noted: Noted, transcript: segments.Transcript) -> _Fault | None:
    """Why a sentence must not stand in the summary; None when it may."""
    if not sentence.evidence:
        fixed = {plain.bare(phrase) for phrase in (plain.nothing(), *plain.closings())}
        spans = sentences.split(sentence.text)
        is_fixed = all(plain.bare(span.text) in fixed for span in spans)
        return None if spans and is_fixed else _Fault("evidence", "major", "Der Satz hat keinen Beleg.")
    hits = plain.jargon(sentence.text)
    hit = next((hit for hit in hits if hit.term not in noted.own_jargon), None)
    if hit is not None:
        return _Fault("jargon", "minor", f"Fachwort „{hit.term}“; verständlicher wäre „{hit.plain}“.")
    claim, has_step = plain.claim(sentence.text, noted.steps)
    if not has_step and not plain.has_content(claim) and not any(appointments.find(claim)):
        return _Fault("empty", "minor", "Der Satz sagt nichts aus der Notiz.")
    return _against_note(sentence.text, claim, noted) or _against_talk(sentence, claim, transcript)


# Against the note.

_HEDGED = re.compile(
    r"\b(?:noch (?:nicht|un)(?: sicher|klar| geklärt| bestätigt)|vermut\w*|vielleicht|kann sein|verdacht)\b",
    re.IGNORECASE,
)
_COMES_AGAIN = re.compile(r"\b(?:kommen sie|kontroll\w*|termin\w*|vorstell\w*|wiedersehen)\b", re.IGNORECASE)
_AGAIN = re.compile(
    r"kontroll|termin|wieder|vorstell|sehen|komm|meld|überw|klinik|notaufnahme|labor|blutabnahme", re.IGNORECASE
)


def _against_note(sentence: str, claim: str, noted: Noted) -> _Fault | None:
    worded = plain.in_words_of(claim, noted.text)
    for find in (_foreign_number, _foreign_drug, _foreign_fact, _foreign_time):
        fault = find(worded, noted)
        if fault is not None:
            return fault
    if _COMES_AGAIN.search(sentence) and not any(_AGAIN.search(order) for order in noted.plan):
        return _Fault("appointment", "major", "Ein Termin steht nicht in der Notiz.")
    named = plain.in_words_of(sentence, noted.text)
    for own, part in zip(sentence.split(";"), named.split(";"), strict=False):
        fault = _wrong_diagnosis(part, noted, is_hedged=_is_hedged(own)) or _wrong_complaint(part, noted)
        if fault is not None:
            return fault
    check = agreement.fault(worded, noted.statements)
    return _DISAGREEMENTS[check] if check is not None else None


_DISAGREEMENTS: dict[agreement.Check, _Fault] = {
    "contradiction": _Fault("contradiction", "critical", "Die Notiz sagt das Gegenteil."),
    "frequency": _Fault("frequency", "critical", "Wann oder wie oft, steht in der Notiz anders."),
    "side": _Fault("side", "critical", "Die Notiz sagt das von der anderen Seite."),
    "duration": _Fault("duration", "major", "Die Notiz sagt diese Zeit von etwas anderem."),
    "finding": _Fault("finding", "major", "Die Notiz bewertet das nicht so."),
}


def _is_hedged(text: str) -> bool:
    return _HEDGED.search(text) is not None or polarity.is_uncertain(text)


def _foreign_number(claim: str, noted: Noted) -> _Fault | None:
    said = numbers.values(claim)
    if said and said - noted.numbers:
        return _Fault("number", "critical", "Eine Zahl steht nicht in der Notiz.")
    return None


def _foreign_drug(claim: str, noted: Noted) -> _Fault | None:
    said = {name for mention in drugs.find(claim) for name in mention.names}
    if said and said - noted.drugs:
        return _Fault("drug", "critical", "Ein Medikament steht nicht in der Notiz.")
    return None


_FACT_REASONS: dict[critical.Kind, str] = {
    "allergy": "Eine Allergie steht so nicht in der Notiz.",
    "drug": "Die Notiz sagt über ein Medikament etwas anderes.",
    "dose": "Eine Dosis steht so nicht in der Notiz.",
    "frequency": "Eine Einnahme steht so nicht in der Notiz.",
    "vital": "Ein Messwert steht so nicht in der Notiz.",
    "lab": "Ein Laborwert steht so nicht in der Notiz.",
}


def _foreign_fact(claim: str, noted: Noted) -> _Fault | None:
    for fact in critical.treated_and_measured(claim):
        reason = _FACT_REASONS.get(fact.kind)
        if reason is not None and not critical.is_carried(fact, noted.facts(fact)):
            return _Fault(fact.kind, "critical", reason)
    return None


def _wrong_diagnosis(part: str, noted: Noted, *, is_hedged: bool) -> _Fault | None:
    for term, is_denied in illnesses(part):
        said = {says for other, says in noted.diagnoses if _is_same(term, other)}
        if not said:
            return _Fault("diagnosis", "critical", "Eine Diagnose steht nicht in der Notiz.")
        allowed = {"negated"} if is_denied else {"affirmed", "historical"} | ({"uncertain"} if is_hedged else set())
        if not said & allowed:
            if said == {"uncertain"} and not is_denied:
                return _Fault("certainty", "major", "Eine Diagnose ist in der Notiz nicht sicher.")
            return _Fault("contradiction", "critical", "Die Notiz sagt über eine Diagnose das Gegenteil.")
    return None


def _is_same(term: wording.Term, noted: wording.Term) -> bool:
    """Whether a term says no more than what is noted: the same illness, or a shorter name of it."""
    code, other = term.code, noted.code
    return (
        code[:3] == other[:3]
        or specificity.is_same_illness(code, other)
        or specificity.is_same_illness(other, code)
        or term.text.lower() in noted.text.lower()
    )


_ALLOWED = {"yes": {"yes", "was"}, "was": {"yes", "was"}, "no": {"no"}, "if": {"yes", "was", "no", "if"}}


def _wrong_complaint(part: str, noted: Noted) -> _Fault | None:
    for concept, value in critical.manners(_condition_first(part), None):
        said = noted.manners.get(concept)
        if said is None:
            return _Fault("complaint", "major", "Eine Beschwerde steht nicht in der Notiz.")
        if not said & _ALLOWED[value]:
            return _Fault("contradiction", "critical", "Die Notiz sagt über eine Beschwerde das Gegenteil.")
    return None


_CONDITION = re.compile(r"(?<!\w)bei (?:\w+ ){0,2}?[A-ZÄÖÜ]\w+")


def _condition_first(part: str) -> str:
    """Advice with its condition in front: "Rufen Sie bei Husten die 112" -> "bei Husten Rufen Sie die 112"."""
    match = _CONDITION.search(part) if agreement.is_advice(part) else None
    return f"{match[0]} {part[: match.start()]}{part[match.end() :]}" if match else part


def _foreign_time(claim: str, noted: Noted) -> _Fault | None:
    if appointments.are_known(claim, noted.times):
        return None
    return _Fault("appointment", "major", "Ein Termin oder Zeitraum steht nicht in der Notiz.")


# Against the talk.


def _against_talk(sentence: results.Statement, claim: str, transcript: segments.Transcript) -> _Fault | None:
    said = _cited(sentence.evidence, transcript)
    if not appointments.are_known(claim, frozenset(appointments.find(said))):
        return _Fault("date", "major", "Ein Termin oder Zeitraum steht nicht im Beleg.")
    worded = plain.in_words_of(claim, said)
    for own, part in zip(sentence.text.split(";"), worded.split(";"), strict=False):
        if not plain.has_content(part):
            continue
        part = _stopped(part, said)
        says: results.Polarity = "affirmed"
        if all(polarity.is_negated(clause.text) for clause in sentences.clauses(part)):
            says = "negated"
        elif _is_hedged(own):
            says = "uncertain"
        claimed = sentence.model_copy(update={"text": part.strip(" ,:"), "polarity": says})
        fault = gate.fault(claimed, transcript, is_of_note=False)
        if fault is not None and fault.check != "no-content":  # a day or a step alone: held against the note above
            return _Fault(fault.check, fault.harm, fault.reason)
    return None


def _cited(evidence: Iterable[results.Evidence], transcript: segments.Transcript) -> str:
    numbers_cited = (item.segment for item in evidence if item.segment is not None)
    texts = (transcript.segments[n - 1].text for n in numbers_cited if 1 <= n <= len(transcript.segments))
    return " ".join(quotes.repaired(text) for text in texts)


_NO_MORE = re.compile(r"\b(?:kein\w*|nicht|mehr|weiter|nehmen|einnehmen|sie|bitte|ab sofort|jetzt)\b", re.IGNORECASE)


def _stopped(part: str, said: str) -> str:
    """A part in which each clause that denies a drug says that it is stopped, where that was said of it:
    "kein Ibuprofen mehr" -> "Ibuprofen absetzen".
    """
    found: list[str] = []
    for clause in sentences.clauses(part):
        names = {name for mention in drugs.find(clause.text) for name in mention.names}
        is_off = bool(names) and polarity.is_negated(clause.text) and names <= _stopped_drugs(said)
        found.append(f"{_NO_MORE.sub(' ', clause.text).strip(' .')} absetzen" if is_off else clause.text)
    return ", ".join(found)


def _stopped_drugs(said: str) -> frozenset[str]:
    told = critical.treated_and_measured(said)
    return frozenset(fact.about for fact in told if fact.kind == "drug" and fact.value == "no")
