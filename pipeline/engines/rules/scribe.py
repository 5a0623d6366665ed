"""The scribe: from utterances to neutral statements. It records what was said and judges nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from pipeline import consultation, results, segments
from pipeline.engines.rules import dialogue, features, sections
from terminology import labs
from terminology.german import neutral, numbers, polarity, sentences, vocabulary

#: A note is at most this share of what was said, in characters. Source: the aim of the product (at most 60 %).
LENGTH_SHARE = 0.57
#: A short talk is short anyway: below this many characters nothing is left out for length.
SHORT_NOTE = 500


@dataclass(frozen=True, slots=True)
class _Draft:
    """A statement before it has its id. `worth` decides what stays when the note grows too long."""

    order: int
    section: results.Section
    text: str
    polarity: results.Polarity
    evidence: tuple[results.Evidence, ...]
    worth: float


def propose(documented: consultation.Consultation, transcript: segments.Transcript) -> tuple[results.Statement, ...]:
    """The statements of the note, in the order of the talk, by section."""
    drafts = list(_drafts(documented, transcript))
    drafts = _without_repeats(drafts)
    drafts = _within_length(drafts, transcript.length)
    ordered = sorted(drafts, key=lambda draft: (results.SECTIONS.index(draft.section), draft.order))
    return tuple(
        results.Statement(
            id=f"s{number}",
            section=draft.section,
            text=draft.text,
            polarity=draft.polarity,
            evidence=draft.evidence,
        )
        for number, draft in enumerate(ordered, start=1)
    )


def _drafts(documented: consultation.Consultation, transcript: segments.Transcript) -> Iterator[_Draft]:
    phase = sections.Phase()
    female = documented.patient.sex == "female" if documented.patient.sex else None
    order = 0
    last: _Draft | None = None
    for utterance in dialogue.utterances(transcript):
        for draft in _of_utterance(utterance, phase, female):
            order += 1
            joined = _joined(last, draft, utterance)
            if joined is not None:
                last = joined
                yield replace(joined, order=order)
            else:
                last = draft
                yield replace(draft, order=order)


_FRAGMENT = re.compile(
    r"^(?:seit|vor|ungefähr|etwa|circa|so|immer|nur|meistens|manchmal|eher|morgens|abends|nachts|links|rechts|beidseits)\b",
    re.IGNORECASE,
)


def _joined(last: _Draft | None, draft: _Draft, utterance: dialogue.Utterance) -> _Draft | None:
    """A fragment that says when or where of what was said just before goes to it."""
    found = features.of(draft.text)
    is_fragment = (
        utterance.follows and not utterance.question and _FRAGMENT.match(draft.text) and len(draft.text.split()) <= 6
    )
    if (
        last is None
        or not is_fragment
        or found.symptoms
        or found.drugs
        or found.diagnoses
        or last.section != draft.section
    ):
        return None
    text = f"{last.text.rstrip('.')}, {draft.text[:1].lower()}{draft.text[1:]}"
    return replace(last, text=text, evidence=(*last.evidence, *draft.evidence))


def _of_utterance(utterance: dialogue.Utterance, phase: sections.Phase, female: bool | None) -> Iterator[_Draft]:
    if utterance.is_question or (not utterance.question and _is_empty_talk(utterance.text)):
        return
    doctor = utterance.speaker in ("doctor", "nurse")
    if utterance.question:
        text = _with_question(utterance, doctor=doctor)
        found = features.of(f"{utterance.question} {utterance.text}")
        section = "S" if not doctor else phase.section(utterance.speaker, text, found)
        says = _answer_polarity(utterance)
        yield _draft(section, text, says, utterance, found, female, worth=found.weight + 2)
        return
    for part in _parts(utterance.text):
        found = features.of(part)
        if not found.clinical and not (found.has_time and found.has_number and doctor):
            continue
        section = phase.section(utterance.speaker, part, found)
        worded = neutral.wording(part, doctor=doctor)
        if _is_orphan(worded, found):
            continue
        says = _polarity(part, section, utterance.speaker)
        yield _draft(section, worded, says, utterance, found, female, worth=_worth(found, section, doctor=doctor))


def _is_empty_talk(text: str) -> bool:
    return vocabulary.is_small_talk(text)


def _with_question(utterance: dialogue.Utterance, *, doctor: bool) -> str:
    answer = neutral.wording(utterance.text, doctor=doctor) if utterance.text else ""
    if utterance.text.lower().startswith("ja") and not answer.lower().startswith("ja"):
        answer = f"ja, {answer}".rstrip(" ,")
    if utterance.is_negative and not polarity.is_negated(answer):
        answer = f"nein, {answer}".rstrip(" ,")
    return f"{utterance.question}: {answer[:1].lower()}{answer[1:]}" if answer else f"{utterance.question}: nein"


def _answer_polarity(utterance: dialogue.Utterance) -> results.Polarity:
    if utterance.is_negative:
        return "negated"
    if utterance.text.lower().startswith("ja"):
        if polarity.is_about_family(f"{utterance.question} {utterance.text}"):
            return "family"
        return "negated" if polarity.is_negated(utterance.question) else "affirmed"
    said = polarity.of(utterance.text)
    if said == "affirmed" and polarity.is_about_family(f"{utterance.question} {utterance.text}"):
        return "family"
    return said if said != "uncertain" else "affirmed"


def _parts(text: str) -> list[str]:
    """A sentence cut where its polarity changes; a piece that says nothing by itself stays with its neighbour."""
    if _CONDITION.match(text):
        return [text]
    pieces: list[str] = []
    for span in sentences.clauses(text):
        light = features.of(span.text).clinical == 0
        if pieces and (light or features.of(pieces[-1]).clinical == 0):
            pieces[-1] = f"{pieces[-1]}, {span.text}"
        else:
            pieces.append(span.text)
    marked = list(zip(pieces, _polarities(pieces, text), strict=True))
    groups: list[tuple[str, results.Polarity]] = []
    for piece, says in marked:
        if groups and groups[-1][1] == says:
            groups[-1] = (f"{groups[-1][0]}, {piece}", says)
        else:
            groups.append((piece, says))
    return [piece for piece, _says in groups]


_CONDITION = re.compile(
    r"^(?:und |aber |also )*(?:wenn|falls|sollte|sollten|sobald|bei (?:fieber|verschlechterung|zunahme|auftreten))\b",
    re.IGNORECASE,
)
_CONTRAST = re.compile(r"\b(?:aber|nur|dafür|sondern|jedoch|allerdings)\b", re.IGNORECASE)
_NEGATING_START = re.compile(r"^(?:und |aber |sonst |auch |bisher )*(?:kein\w*|ohne|weder)\b", re.IGNORECASE)


def _polarities(pieces: list[str], text: str) -> list[results.Polarity]:
    """The polarity of each piece; "keine Übelkeit, Erbrechen oder Durchfall" negates to the end of the list."""
    found: list[results.Polarity] = []
    for index, piece in enumerate(pieces):
        says = polarity.of(piece)
        goes_on = index > 0 and found[index - 1] == "negated" and _NEGATING_START.match(pieces[0]) is not None
        is_list = (
            len(piece.split()) <= 5 and " oder " in f" {', '.join(pieces[index:])} " and not _CONTRAST.search(piece)
        )
        found.append("negated" if says == "affirmed" and goes_on and is_list else says)
    return found


def _polarity(text: str, section: results.Section, speaker: segments.Speaker) -> results.Polarity:
    if _CONDITION.match(text):
        return "affirmed"
    says = polarity.of(text)
    if says == "uncertain" and section in ("S", "P"):
        return "negated" if polarity.is_negated(text) else "affirmed"
    if says == "family" and (speaker == "relative" or section != "S"):
        return "negated" if polarity.is_negated(text) else "affirmed"
    if says == "historical" and section in ("P", "O"):
        return "affirmed"
    return says


def _is_orphan(worded: str, found: features.Features) -> bool:
    return len(re.findall(r"[A-Za-zÄÖÜäöüß]{3,}", worded)) < 1 or (len(worded) < 4 and not found.values)


def _worth(found: features.Features, section: results.Section, *, doctor: bool) -> float:
    worth = float(found.weight)
    if found.drugs or found.values:
        worth += 4
    if section in ("O", "A"):
        worth += 2
    if section == "P" and found.action_hits:
        worth += 2
    return worth


def _draft(
    section: results.Section,
    text: str,
    says: results.Polarity,
    utterance: dialogue.Utterance,
    found: features.Features,
    female: bool | None,
    *,
    worth: float,
) -> _Draft:
    written = neutral.sentence(_with_units(numbers.in_figures(text), female=female))
    return _Draft(0, section, written, says, utterance.evidence, worth)


_FLAG_WORDS = {"low": "erniedrigt", "normal": "im Referenzbereich", "high": "erhöht"}
_PRESSURE = re.compile(r"\b(\d{2,3}/\d{2,3})\b(?!\s*(?:mmHg|\d|mg|/))")


def _with_units(text: str, *, female: bool | None) -> str:
    """Values with their unit where none was said, laboratory values with how they lie to the reference range."""
    for value in reversed(labs.find(text, female=female)):
        if value.analyte.key.startswith("bp_"):
            continue
        tail = (
            ""
            if value.has_unit or not value.analyte.unit or not labs.is_plausible(value.analyte, value.value)
            else f" {value.analyte.unit}"
        )
        if value.flag is not None and not value.analyte.is_vital:
            tail += f" ({_FLAG_WORDS[value.flag]})"
        end = value.unit_end if value.has_unit else value.end
        text = f"{text[:end]}{tail}{text[end:]}"
    if re.search(r"blutdruck|\brr\b|druck", text, re.IGNORECASE) or _PRESSURE.search(text):
        text = _PRESSURE.sub(_pressure, text)
    return text


def _pressure(match: re.Match[str]) -> str:
    upper, lower = (int(part) for part in match[1].split("/"))
    return f"{match[1]} mmHg" if 60 <= upper <= 280 and 30 <= lower <= 160 and lower < upper else match[0]


_KEY = re.compile(r"[A-Za-zÄÖÜäöüß]{3,}|\d+(?:[.,]\d+)?")


def _words(text: str) -> frozenset[str]:
    return frozenset(word.lower()[:7] for word in _KEY.findall(text))


def _without_repeats(drafts: Iterable[_Draft]) -> list[_Draft]:
    """A statement whose words all stand in another of the same section and polarity is folded into that one."""
    kept: list[_Draft] = []
    for draft in drafts:
        words = _words(draft.text)
        for index, other in enumerate(kept):
            if other.section != draft.section or other.polarity != draft.polarity:
                continue
            others = _words(other.text)
            if words <= others:
                kept[index] = replace(other, evidence=_merged(other.evidence, draft.evidence))
                break
            if others < words and len(draft.text) <= 2 * len(other.text):
                kept[index] = replace(draft, order=other.order, evidence=_merged(other.evidence, draft.evidence))
                break
        else:
            kept.append(draft)
    return kept


def _merged(left: tuple[results.Evidence, ...], right: tuple[results.Evidence, ...]) -> tuple[results.Evidence, ...]:
    return tuple(dict.fromkeys((*left, *right)))


def _within_length(drafts: list[_Draft], spoken: int) -> list[_Draft]:
    """The most valuable statements that fit; each section keeps at least its best one."""
    limit = max(SHORT_NOTE, int(spoken * LENGTH_SHARE))
    total = sum(len(draft.text) + 1 for draft in drafts)
    kept = list(drafts)
    for draft in sorted(drafts, key=lambda draft: draft.worth / (len(draft.text) + 25)):
        if total <= limit:
            break
        if sum(1 for other in kept if other.section == draft.section) > 1:
            kept.remove(draft)
            total -= len(draft.text) + 1
    return kept
