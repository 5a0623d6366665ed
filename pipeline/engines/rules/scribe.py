"""The scribe: from utterances to neutral statements. It records what was said and judges nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from pipeline import consultation, results, segments
from pipeline.engines.rules import condense, dialogue, features, sections
from terminology import labs
from terminology.german import neutral, numbers, polarity, sentences, vocabulary


def propose(documented: consultation.Consultation, transcript: segments.Transcript) -> tuple[results.Statement, ...]:
    """The statements of the note, in the order of the talk, by section."""
    drafts = list(_drafts(documented, transcript))
    drafts = condense.denials_together(condense.without_repeats(drafts))
    added = _addenda(transcript)
    drafts = [replace(draft, is_vital=True) if added & _segments_of(draft) else draft for draft in drafts]
    drafts = condense.within_length(drafts, transcript.length)
    if not any(features.of(draft.text).clinical for draft in drafts):
        return ()
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


def _addenda(transcript: segments.Transcript) -> frozenset[int]:
    """The segments of short sources after the first: what was sent later, by itself, is meant to be in the note."""
    spoken: dict[str, int] = {}
    for segment in transcript.segments:
        spoken[segment.source] = spoken.get(segment.source, 0) + len(segment.text)
    later = {source for source in list(spoken)[1:] if spoken[source] <= condense.SHORT_NOTE}
    return frozenset(segment.number for segment in transcript.segments if segment.source in later)


def _segments_of(draft: condense.Draft) -> frozenset[int]:
    return frozenset(item.segment for item in draft.evidence if item.segment is not None)


def _drafts(documented: consultation.Consultation, transcript: segments.Transcript) -> Iterator[condense.Draft]:
    phase = sections.Phase()
    female = documented.patient.sex == "female" if documented.patient.sex else None
    order = 0
    last: condense.Draft | None = None
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


def _joined(last: condense.Draft | None, draft: condense.Draft, utterance: dialogue.Utterance) -> condense.Draft | None:
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
    return replace(last, text=text, short=text, evidence=(*last.evidence, *draft.evidence))


def _of_utterance(
    utterance: dialogue.Utterance, phase: sections.Phase, female: bool | None
) -> Iterator[condense.Draft]:
    if utterance.is_question or (not utterance.question and _is_empty_talk(utterance.text)):
        return
    doctor = utterance.speaker in ("doctor", "nurse")
    if utterance.question:
        text = _with_question(utterance, doctor=doctor)
        if not text:
            return
        found = features.of(f"{utterance.question} {utterance.text}")
        section = "S" if not doctor else phase.section(utterance.speaker, text, found, is_answer=True)
        says = _answer_polarity(utterance)
        yield _draft(
            section,
            text,
            says,
            utterance,
            found,
            female,
            worth=_worth(found, section, says, len(text.split()), is_answer=True),
        )
        return
    for part in _parts(utterance.text):
        found = features.of(part)
        if _UNREAL.match(part) or not _is_worth_noting(part, found, doctor=doctor, examining=phase.is_examining):
            continue
        section = phase.section(utterance.speaker, part, found, turn=utterance.evidence[-1].segment)
        if doctor and _CONDITION.match(part) and (section != "A" or _SAFETY_NET.search(part)):
            section = "P"
        if doctor and not (found.values or found.drugs) and vocabulary.is_procedural(part):
            continue
        worded = neutral.telegram(neutral.wording(part, doctor=doctor))
        if _is_orphan(worded, found):
            continue
        says = _polarity(part, section, utterance.speaker)
        short = worded if section == "O" else neutral.telegram(neutral.wording(_without_asides(part), doctor=doctor))
        yield _draft(
            section,
            worded,
            says,
            utterance,
            found,
            female,
            worth=_worth(found, section, says, len(_PLAIN_WORD.findall(part))),
            short=short,
        )


#: What would be so if things were otherwise: "ein Bechterew ist es nicht, da wäre der Rücken morgens steif".
_UNREAL = re.compile(
    r"^(?:und |aber |denn )?(?:da|dann) (?:wäre|wären|hätte|hätten)\b(?! (?:ich|wir|noch))", re.IGNORECASE
)
_DICTATED = 8  # words of a finding at most, where nothing in it is in our tables
_PLAIN_WORD = re.compile(r"[A-Za-zÄÖÜäöüß]{4,}")
_FELL_ILL = re.compile(
    r"\b(?:hatte|gehabt|bekommen|gekriegt|gestorben|erkrankt|dement|krank|hat (?:das|es|des) auch|auch (?:so|das))\b",
    re.IGNORECASE,
)
_COMMENT = re.compile(
    r"^(?:das (?:kenn\w*|weiß|glaub\w*|stimmt|klingt|hör\w*|freut|dachte|beruhigt|wollte|versteh\w*|wäre|wär|mach\w*) |da bin ich|ich (?:weiß|wollte|dachte|glaub|hoff)|"
    r"(?:war|wäre?) ja|schön|gott sei dank|na |ach|oje|alles klar|das (?:ist|war) (?:gut|schön|prima|wichtig|ja)|keine sorge|wie gesagt|verstehe|danke)",
    re.IGNORECASE,
)


def _is_worth_noting(part: str, found: features.Features, *, doctor: bool, examining: bool) -> bool:
    """Whether there is something to note: anything clinical; of a patient, and of a doctor who is dictating findings,
    also what our tables do not know.
    """
    if found.clinical:
        return True
    if doctor:
        dictated = examining and _NOUN.search(part) is not None and (found.has_number or len(part.split()) <= _DICTATED)
        return (
            (found.has_time and found.has_number)
            or sections.is_plan(part)
            or (dictated and _COMMENT.match(part) is None)
        )
    return len(_PLAIN_WORD.findall(part)) >= 3 and _COMMENT.match(part) is None


def _without_asides(part: str) -> str:
    """A part without the clauses in which there is nothing to note."""
    if _CONDITION.match(part):
        return part
    kept = [span.text for span in sentences.clauses(part) if features.of(span.text).weight or _NOUN.search(span.text)]
    return ", ".join(kept) or part


def _is_empty_talk(text: str) -> bool:
    return vocabulary.is_small_talk(text)


def _with_question(utterance: dialogue.Utterance, *, doctor: bool) -> str:
    """The question with its answer; empty where nothing but fillers was answered."""
    answer = neutral.wording(utterance.text, doctor=doctor) if utterance.text else ""
    if utterance.text.lower().startswith("ja") and not answer.lower().startswith("ja"):
        answer = f"ja, {answer}".rstrip(" ,")
    if utterance.is_negative and not polarity.is_negated(answer):
        answer = f"nein, {answer}".rstrip(" ,")
    answer = neutral.telegram(answer)
    if polarity.is_negated(utterance.question) and (utterance.is_negative or answer.lower() == "ja"):
        rest = re.sub(r"^(?:nein|ja)\b[, ]*", "", answer, flags=re.IGNORECASE)
        return f"{utterance.question}, {rest}" if rest else utterance.question
    if not answer:
        return ""
    if utterance.question.endswith("?"):
        return f"{utterance.question} {answer[:1].upper()}{answer[1:]}"
    return f"{utterance.question}: {_inside(answer)}"


_OPENING_WORD = re.compile(
    r"(?:ja|nein|nee|nur|seit|so|in|im|am|an|auf|bis|vor|nach|immer|manchmal|ungefähr|etwa|meistens|eher|kaum|gar|auch|noch|schon|heute|gestern|"
    r"der|die|das|ein|eine|einen|es|er|sie|nicht|nichts|kein\w*|mit|bei|wenn|weil|ab|alle|jede\w*|ganz|sehr|weder|oft|selten|nie|zu|vom|zum|zur|beides?|"
    r"links|rechts|ständig|nachts|morgens|abends|mittags|letzte\w*|vorgestern|ohne)\b",
    re.IGNORECASE,
)


def _inside(answer: str) -> str:
    """An answer as it stands after a colon: an opening function word loses its capital, a noun keeps it."""
    return f"{answer[:1].lower()}{answer[1:]}" if _OPENING_WORD.match(answer) else answer


def _answer_polarity(utterance: dialogue.Utterance) -> results.Polarity:
    if utterance.is_negative:
        return "historical" if polarity.is_historical(utterance.text) or "aufgehört" in utterance.text else "negated"
    if utterance.text.lower().startswith("ja"):
        rest = utterance.text[2:].strip(" ,.")
        if len(rest.split()) > 2 and features.of(rest).weight:
            return _polarity(rest, "S", utterance.speaker)
        if polarity.is_about_family(f"{utterance.question} {utterance.text}"):
            return "family"
        return "negated" if polarity.is_negated(utterance.question) else "affirmed"
    said = polarity.of(utterance.text)
    if said == "negated" and re.search(r"\bnicht mehr\b|aufgehört", utterance.text):
        return "historical"
    if said == "affirmed" and polarity.is_about_family(f"{utterance.question} {utterance.text}"):
        return "family"
    return said if said != "uncertain" else "affirmed"


def _parts(text: str) -> list[str]:
    """A sentence cut where its polarity changes; a piece that says nothing by itself stays with its neighbour."""
    if _CONDITION.match(text):
        return [text]
    pieces: list[str] = []
    for span in sentences.clauses(text):
        if pieces and _belongs_to(pieces[-1], span.text):
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


_NOUN = re.compile(r"\b[A-ZÄÖÜ][a-zäöüß]{3,}")


#: A clause that denies what stands before it: "ein Kaudasyndrom, das haben Sie nicht".
_TAKES_BACK = re.compile(
    r"^(?:aber )?(?:das|dies|den|die|so was|sowas|davon) (?:haben|hast|hat|ist|sind|war|liegt|sehe|spricht|kann|habe|hab|vertr[aä]g\w*|"
    r"nehm\w*|nimmt|brauch\w*|dürfen|darf|sollen|soll) .{0,40}\b(?:nicht|nix|nichts|kein\w*)\b",
    re.IGNORECASE,
)


def _belongs_to(before: str, piece: str) -> bool:
    """Whether a piece cannot stand by itself: nothing clinical in it, and no noun that is said to be otherwise."""
    if _TAKES_BACK.match(piece):
        return True
    light, light_before = (features.of(text).clinical == 0 for text in (piece, before))
    if not light and not light_before:
        return False
    differs = polarity.is_negated(piece) != polarity.is_negated(before)
    is_whole = len(piece.split()) >= 3 or _NEGATING_START.match(piece) is not None
    return not (differs and is_whole and len(before.split()) >= 2)


_CONDITION = re.compile(
    r"^(?:und |aber |also )*(?:wenn|falls|sollte|sollten|sobald|bei (?:fieber|verschlechterung|zunahme|auftreten))\b",
    re.IGNORECASE,
)
_SAFETY_NET = re.compile(r"\b(?:112|sofort|kommen|melden|rufen|anrufen|gleich|notaufnahme|notdienst)\b", re.IGNORECASE)
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


#: A relative who speaks of others than the patient: "sein Bruder hat Asthma, ich selbst hab Heuschnupfen".
_OF_OTHERS = re.compile(
    r"\b(?:sein|ihr)(?:e|en|em|er)? (?:\w+ )?(?:bruder|schwester|vater|papa|mutter|mama|oma|opa|großvater|großmutter|onkel|tante)\b|"
    r"\b(?:ich|i) (?:selbst|selber)\b|\b(?:hab|habe|hatte) (?:ich|i) (?:selbst|selber)\b|\bbei mir (?:selbst|selber)\b",
    re.IGNORECASE,
)


def _polarity(text: str, section: results.Section, speaker: segments.Speaker) -> results.Polarity:
    if _CONDITION.match(text):
        return "affirmed"
    says = polarity.of(text)
    is_examined = section == "O" and polarity.is_to_exclude(text)  # "das will ich ausschließen, also ein Ultraschall"
    if says == "uncertain" and (section in ("S", "P") or is_examined):
        return "negated" if polarity.is_negated(text) else "affirmed"
    if speaker == "relative" and _OF_OTHERS.search(text):
        return "family"
    found = features.of(text)
    is_illness = bool(found.symptoms or found.diagnoses or found.drugs) or _FELL_ILL.search(text) is not None
    if says == "family" and (speaker == "relative" or section != "S" or not is_illness):
        return "negated" if polarity.is_negated(text) else "affirmed"
    if says == "historical" and section in ("P", "O"):
        return "affirmed"
    return says


def _is_orphan(worded: str, found: features.Features) -> bool:
    return len(re.findall(r"[A-Za-zÄÖÜäöüß]{3,}", worded)) < 1 or (len(worded) < 4 and not found.values)


def _worth(
    found: features.Features, section: results.Section, says: results.Polarity, words: int, *, is_answer: bool = False
) -> float:
    """How much a reader would miss a statement: the expected number of things it tells, by what it holds.

    The weights are the mean counts of gold facts by feature over the bundled cases, rounded (docs/evaluation.md).
    """
    dosed = bool(found.drugs) and found.has_number
    told = 0.2 if found.clinical else 0.04 * min(words, 5)
    worth = {
        "S": told + 0.35 * min(found.clinical // 2, 2) + 0.3 * is_answer + 0.3 * (says == "negated") + 0.5 * dosed
        + 0.3 * (found.has_time and found.has_number) + 0.4 * (says == "family"),
        "O": 0.25 + 0.4 * min(found.findings, 3) + 0.7 * min(len(found.values), 3) + 0.2 * found.has_number,
        "A": 0.2 + 0.7 * min(len(found.diagnoses), 2) + 0.1 * len(found.cues),
        "P": 0.35 + 0.3 * min(found.action_hits, 2) + 0.35 * found.has_time + 0.2 * found.has_number + 0.7 * dosed
        - 0.3 * (says == "negated"),
    }  # fmt: skip
    return worth[section]


def _draft(
    section: results.Section,
    text: str,
    says: results.Polarity,
    utterance: dialogue.Utterance,
    found: features.Features,
    female: bool | None,
    *,
    worth: float,
    short: str = "",
) -> condense.Draft:
    written = _written(text, female=female)
    return condense.Draft(
        0,
        section,
        written,
        says,
        utterance.evidence,
        worth,
        _written(short, female=female) if short else written,
        _is_vital(section, text, found),
    )


_ALLERGY = re.compile(r"allerg|unverträglich", re.IGNORECASE)


def _is_vital(section: results.Section, text: str, found: features.Features) -> bool:
    """What no limit of length takes out of a note: an order or a judgement about a drug, and every allergy."""
    return _ALLERGY.search(text) is not None or (section in ("A", "P") and bool(found.drugs))


def _written(text: str, *, female: bool | None) -> str:
    return neutral.sentence(_with_units(numbers.in_figures(text), female=female))


_FLAG_WORDS = {"low": "erniedrigt", "normal": "normal", "high": "erhöht"}
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
