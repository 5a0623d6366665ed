"""The summary for the patient: three to five plain sentences made from the note's own statements."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

from pipeline import consultation, facts, results, segments
from terminology import labs, tables
from terminology.drugs import catalogue as drugs
from terminology.german import vocabulary

_DRAFT = "Diese Zusammenfassung ist ein Entwurf und wird noch ärztlich geprüft."
_NOTHING = "Im Gespräch wurden keine medizinischen Angaben festgehalten."
_NO_MORE = ("Mehr wurde in diesem Gespräch nicht festgehalten.", "Bei Fragen wenden Sie sich bitte an Ihre Praxis.")
_FEWEST = 3  # sentences
_MOST = 3  # complaints, diagnoses or steps named in one sentence

_STEPS = {
    "order_lab": "eine Blut- oder Laboruntersuchung",
    "order_imaging": "eine Bildgebung",
    "refer": "die Vorstellung in einer anderen Praxis oder Klinik",
    "vaccinate": "eine Impfung",
    "certificate": "eine Bescheinigung",
}
#: What a patient calls a modality that was said; "eine Bildgebung" where none was.
_IMAGING = (
    (re.compile(r"röntg", re.IGNORECASE), "eine Röntgenaufnahme"),
    (re.compile(r"\bCT\b|computertomo", re.IGNORECASE), "eine Computertomographie (CT)"),
    (re.compile(r"\b[MK]RT\b|kernspin|magnetresonanz", re.IGNORECASE), "eine Kernspintomographie (MRT)"),
    (re.compile(r"ultraschall|sono|\becho", re.IGNORECASE), "eine Ultraschalluntersuchung"),
)
#: An order for the patient is neither conditional nor a refusal, and it is not the reason for another one.
_NO_ORDER = re.compile(
    r"\b(?:wenn|falls|sollten?|sobald|nein|nicht|nichts|nie|kein\w*|ohne|statt|stattdessen|anstatt|anstelle|sondern|weg|weglassen|ab|"
    r"abgesetzt|absetzen|stopp\w*|pausier\w*|streich\w*|gestrichen|verzicht\w*|meiden|vermeiden|beenden|ausschleichen)\b",
    re.IGNORECASE,
)
_REASON = re.compile(r"\b(?:wegen|trotz|unter|durch|gegen|neben|außer|seit)\s+(?:\w+\s+){0,2}$", re.IGNORECASE)
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
    """The summary of a note; it says only what the note says."""
    parts = (_complaints(note), _diagnoses(note), _medication(note), _steps(note), _follow_up(note))
    sentences = [part for part in parts if part is not None]
    if len(sentences) < _FEWEST:
        sentences += [part for part in (_measurements(note),) if part is not None]
    sentences = sentences or [(_NOTHING, ())]
    sentences += [(text, ()) for text in _NO_MORE[: _FEWEST - len(sentences)]] if len(sentences) < _FEWEST else []
    return results.PatientSummary(
        sentences=tuple(
            results.Statement(id=f"p{number}", section="P", text=text, polarity="affirmed", evidence=evidence)
            for number, (text, evidence) in enumerate(sentences, start=1)
        ),
        notice=_DRAFT,
    )


_Sentence = tuple[str, tuple[results.Evidence, ...]]


@functools.cache
def _plain() -> dict[str, str]:
    return {row["term"].lower(): row["plain"] for row in tables.rows("german/plain_words")}


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
                plain = _word_at(statement.text, hit.start, hit.end)
                if plain not in words and not plain[:1].isdigit():
                    words.append(plain)
                    used.append(statement)
                    break
    return (f"Sie haben uns von folgenden Beschwerden berichtet: {_joined(words)}.", _evidence(used)) if words else None


def _word_at(text: str, start: int, end: int) -> str:
    """The whole words around a hit: the patient's own words for it."""
    while start > 0 and text[start - 1].isalpha():
        start -= 1
    while end < len(text) and text[end].isalpha():
        end += 1
    word = text[start:end].strip(" .,")
    return _plain().get(word.lower(), word)


def _measurements(note: results.Note) -> _Sentence | None:
    """What was measured, where there is little else to tell."""
    found = next((s for s in note.section("O") if s.polarity == "affirmed" and labs.find(s.text)), None)
    return (f"Gemessen wurde: {found.text}", found.evidence) if found else None


def _diagnoses(note: results.Note) -> _Sentence | None:
    found: dict[bool, list[str]] = {True: [], False: []}
    used: list[results.Statement] = []
    for statement, term in facts.terms(note, ("A",)):
        is_said = statement.polarity in ("affirmed", "uncertain") and not facts.is_only_feared(statement.text)
        if is_said and term.kind != "symptom":
            plain = _plain().get(term.text.lower(), term.text)
            found[statement.polarity == "affirmed"].append(plain[:1].upper() + plain[1:] if " " not in plain else plain)
            used.append(statement)
    parts = []
    if found[True]:
        parts.append(f"Besprochen wurde folgende Diagnose: {_joined(found[True])}")
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
            if _REASON.search(statement.text[: mention.start]):
                continue
            end = mentions[index + 1].start if index + 1 < len(mentions) else len(statement.text)
            dose = re.split(
                r"[.;]|, (?:und|dann|aber|wie|bitte|sonst)\b", statement.text[mention.start : end], maxsplit=1
            )[0]
            dose = re.sub(r"\s+(?:und|oder|mit|plus|sowie|das|die|den|auf)$", "", dose.strip(" ,.")).strip(" ,")
            words.append(dose if _DOSED.search(dose) else statement.text[mention.start : mention.end])
            used.append(statement)
    return (
        (f"Zu den Medikamenten wurde festgelegt: {'; '.join(list(dict.fromkeys(words))[:6])}.", _evidence(used))
        if words
        else None
    )


def _steps(note: results.Note) -> _Sentence | None:
    words: list[str] = []
    used: list[results.Statement] = []
    for statement in note.section("P"):
        if statement.polarity != "affirmed" or _EMERGENCY.match(statement.text):
            continue
        for hit in vocabulary.lexicon("actions").find(statement.text):
            step = _STEPS.get(hit.row["kind"])
            if hit.row["kind"] == "order_imaging":
                step = next((said for pattern, said in _IMAGING if pattern.search(statement.text)), step)
            if step is not None and step not in words:
                words.append(step)
                used.append(statement)
    return (f"Als nächste Schritte sind besprochen: {_joined(words)}.", _evidence(used)) if words else None


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
