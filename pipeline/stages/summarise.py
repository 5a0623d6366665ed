"""The summary for the patient: three to five plain sentences made from the note's own statements."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pipeline import consultation, facts, results, segments
from pipeline.grounding import plain, readability
from pipeline.grounding import summary as gate
from terminology import labs
from terminology.drugs import catalogue as drugs
from terminology.german import vocabulary

#: What stands below a summary until a physician has released it.
NOTICE = "Diese Zusammenfassung ist ein Entwurf und wird noch ärztlich geprüft."
FEWEST_SENTENCES = gate.FEWEST
_MOST = 3  # complaints, diagnoses or steps named in one sentence

#: An order for the patient is neither conditional nor a refusal, and it is not the reason for another one.
_NO_ORDER = re.compile(
    r"\b(?:wenn|falls|sollten?|sobald|nein|nicht|nichts|nie|kein\w*|ohne|statt|stattdessen|anstatt|anstelle|sondern|weg|weglassen|ab|"
    r"abgesetzt|absetzen|stopp\w*|pausier\w*|streich\w*|gestrichen|verzicht\w*|meiden|vermeiden|beenden|ausschleichen)\b",
    re.IGNORECASE,
)
_REASON = re.compile(r"\b(?:wegen|trotz|unter|durch|gegen|neben|außer|seit|solange)\s+(?:\w+\s+){0,2}$", re.IGNORECASE)
#: The reason is an illness, and the drug is the answer to it: "wegen der Allergie Clindamycin".
_NAMED_REASON = re.compile(r"\b(?i:wegen|trotz|gegen)\s+(?:\w+\s+)?[A-ZÄÖÜ]\w{3,}\s+$")
_DOSED = re.compile(r"\d|\b\w+mal\b|\b(?:täglich|morgens|mittags|abends|nachts|bei bedarf)\b", re.IGNORECASE)
_AGAIN = re.compile(
    r"\b(?:(?:in|nach) (?:\w+|\d+) (?:tag|woche|monat)\w*|nächste[nrs]? \w+|morgen|übermorgen|am (?:montag|dienstag|mittwoch|donnerstag|freitag))\b.{0,60}"
    r"\b(?:wieder|kontrolle|kontrollieren|vorstell\w*|sehen)\b|\b(?:wieder|kontrolle|kontrollieren|vorstell\w*|sehen)\b.{0,60}"
    r"\b(?:(?:in|nach) (?:\w+|\d+) (?:tag|woche|monat)\w*|nächste[nrs]? \w+|morgen|am (?:montag|dienstag|mittwoch|donnerstag|freitag))\b",
    re.IGNORECASE,
)
_WHEN = re.compile(
    r"\b(?:(?:in|nach) (?:\w+|\d+) (?:tag|woche|monat)\w*|nächste[nrs]? \w+|(?:über)?morgen|am (?:montag|dienstag|mittwoch|donnerstag|freitag))\b",
    re.IGNORECASE,
)
_EMERGENCY = re.compile(
    r"^(?:wenn|falls|bei)\b.*\b(?:sofort|112|notaufnahme|notarzt|rettungsdienst|gleich|wieder|anrufen|rufen)\b",
    re.IGNORECASE,
)


def run(
    documented: consultation.Consultation, transcript: segments.Transcript, note: results.Note
) -> results.PatientSummary:
    """The summary of a note; it says only what the note says, and passes the gate of a summary.

    What the gate refuses is left out and stands in `rejected`; fixed closing phrases take its place where fewer than
    three sentences are left.
    """
    parts = (_complaints(note), _diagnoses(note), _medication(note), _steps(note), _follow_up(note))
    proposed = [_statement(*part) for part in parts if part is not None]
    if len(proposed) < FEWEST_SENTENCES:
        proposed += [_statement(*part) for part in (_measurements(note),) if part is not None]
    kept, rejected = gate.sound(proposed, note, transcript)
    while kept and _ease(kept) < gate.READABLE:
        hardest = min(kept, key=lambda sentence: _ease([sentence]))
        kept.remove(hardest)
        rejected.append(gate.too_hard(hardest))
    return results.PatientSummary(sentences=gate.numbered(_closed(kept)), notice=NOTICE, rejected=tuple(rejected))


def _statement(text: str, evidence: tuple[results.Evidence, ...]) -> results.Statement:
    return results.Statement(id="p0", section="P", text=text, polarity="affirmed", evidence=evidence)


def _closed(kept: list[results.Statement]) -> list[results.Statement]:
    """The sentences with closing phrases behind them where they are too few."""
    phrases = plain.closings() if kept else (plain.nothing(), *plain.closings())
    return kept + [_statement(text, ()) for text in phrases[: max(0, FEWEST_SENTENCES - len(kept))]]


def _ease(kept: list[results.Statement]) -> float:
    return readability.flesch_amstad(" ".join(sentence.text for sentence in _closed(kept)))


_Sentence = tuple[str, tuple[results.Evidence, ...]]


def _joined(words: Iterable[str]) -> str:
    listed = list(dict.fromkeys(words))[:_MOST]
    return listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} und {listed[-1]}"


def _evidence(statements: Iterable[results.Statement]) -> tuple[results.Evidence, ...]:
    return tuple(dict.fromkeys(item for statement in statements for item in statement.evidence))


def _complaints(note: results.Note) -> _Sentence | None:
    words: list[str] = []
    used: list[results.Statement] = []
    for statement in note.section("S"):
        told = statement.polarity == "affirmed" and not facts.is_reaction(statement.text)
        if told and len(words) < _MOST:
            for hit in vocabulary.lexicon("symptoms").find(statement.text):
                word = _word_at(statement.text, hit.start, hit.end)
                if word not in words and not word[:1].isdigit() and not plain.jargon(word):
                    words.append(word)
                    used.append(statement)
                    break
    return (f"Sie haben uns diese Beschwerden genannt: {_joined(words)}.", _evidence(used)) if words else None


def _word_at(text: str, start: int, end: int) -> str:
    """The whole words around a hit: the patient's own words for it."""
    while start > 0 and text[start - 1].isalpha():
        start -= 1
    while end < len(text) and text[end].isalpha():
        end += 1
    word = text[start:end].strip(" .,")
    return plain.words_for(word)


def _measurements(note: results.Note) -> _Sentence | None:
    """What was measured, where there is little else to tell."""
    found = next((s for s in note.section("O") if s.polarity == "affirmed" and labs.find(s.text)), None)
    return (f"Wir haben das gemessen: {found.text}", found.evidence) if found else None


def _diagnoses(note: results.Note) -> _Sentence | None:
    found: dict[bool, list[str]] = {True: [], False: []}
    used: list[results.Statement] = []
    for statement, term in facts.terms(note, ("A",)):
        is_said = statement.polarity in ("affirmed", "uncertain") and not facts.is_only_feared(statement.text)
        if is_said and term.kind != "symptom":
            name = plain.words_for(term.text)
            if plain.jargon(name):
                continue
            found[statement.polarity == "affirmed"].append(name[:1].upper() + name[1:] if " " not in name else name)
            used.append(statement)
    parts = []
    if found[True]:
        parts.append(f"Die Diagnose ist: {_joined(found[True])}")
    if found[False]:
        parts.append(f"{'noch nicht sicher ist' if parts else 'Noch nicht sicher ist'}: {_joined(found[False])}")
    return (f"{'; '.join(parts)}.", _evidence(used)) if parts else None


def _medication(note: results.Note) -> _Sentence | None:
    words: list[str] = []
    used: list[results.Statement] = []
    for statement in note.section("P"):
        is_order = statement.polarity == "affirmed" and not _NO_ORDER.search(statement.text)
        mentions = drugs.find(statement.text) if is_order else []
        for index, mention in enumerate(mentions):
            before = statement.text[: mention.start]
            if _REASON.search(before) and not _NAMED_REASON.search(before):
                continue
            end = mentions[index + 1].start if index + 1 < len(mentions) else len(statement.text)
            dose = re.split(
                r"[.;]|, (?:und|dann|aber|wie|bitte|sonst|solange|hören|das)\b",
                statement.text[mention.start : end],
                maxsplit=1,
            )[0]
            dose = re.sub(r"\s+(?:und|oder|mit|plus|sowie|das|die|den|auf)$", "", dose.strip(" ,.")).strip(" ,")
            words.append(dose if _DOSED.search(dose) else statement.text[mention.start : mention.end])
            used.append(statement)
    return (
        (f"Für Ihre Medikamente gilt: {'; '.join(list(dict.fromkeys(words))[:6])}.", _evidence(used)) if words else None
    )


def _steps(note: results.Note) -> _Sentence | None:
    words: list[str] = []
    used: list[results.Statement] = []
    for statement in note.section("P"):
        if statement.polarity != "affirmed" or _EMERGENCY.match(statement.text):
            continue
        for step in plain.steps(statement.text):
            if step not in words:
                words.append(step)
                used.append(statement)
    return (f"Als Nächstes ist geplant: {_joined(words)}.", _evidence(used)) if words else None


def _follow_up(note: results.Note) -> _Sentence | None:
    for statement in note.section("P"):
        match = _AGAIN.search(statement.text)
        if statement.polarity == "affirmed" and match and not _EMERGENCY.match(statement.text):
            when = _WHEN.search(match.group())
            if when:
                return f"Bitte kommen Sie zur Kontrolle: {when.group()}.", statement.evidence
    for statement in note.section("P"):
        if _EMERGENCY.match(statement.text):
            return f"Wichtig: {statement.text}", statement.evidence
    return None
