"""From turns to utterances: each sentence with its self-corrections applied, each short answer with its question."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pipeline import results, segments
from pipeline.engines.rules import features
from terminology.german import neutral, polarity, repair, sentences, vocabulary


@dataclass(frozen=True, slots=True)
class Utterance:
    """Something said that may become statements.

    `text` is the speaker's own wording with corrections applied. `question` is the question it answers, worded as a
    topic; it keeps its question mark where the answer says neither yes nor no, for then it is no finding.
    `is_negative` tells that the answer began with a no. `evidence` names the sentences it was made from.
    """

    speaker: segments.Speaker
    text: str
    evidence: tuple[results.Evidence, ...]
    question: str = ""
    is_negative: bool = False
    is_question: bool = False
    follows: bool = False


_SENTENCE_MARKER = re.compile(
    r"^(?:nein|nee|quatsch|moment|korrektur|falsch|entschuldigung|verzeihung|pardon|stopp|blödsinn|unsinn|ach nein)\b,?\s*(?:äh,?\s*|nein,?\s*)?"
    r"(?:(?:das (?:ist|war)|es (?:ist|war|sind)|eher|doch) )?(?P<rest>.{2,60})$",
    re.IGNORECASE,
)
_NO = re.compile(
    r"^(?:nein|nee|nö|naa?|ne|noi|nä|gar nicht|überhaupt nicht|auch nicht|nicht|nie|niemals|keine?[nrs]?|kaum|eigentlich nicht|bisher nicht|zum glück nicht|gott sei dank nicht|nix|nichts|weder)\b[,.!]?\s*",
    re.IGNORECASE,
)
_PLAIN_NO = re.compile(
    r"^(?:nein|nee|nö|naa?|ne|noi|nä)\b[,.!]?\s*(?:(?:gar nicht|überhaupt nicht|auch nicht|eigentlich nicht|nie|nein|nee|nichts|gar nichts|bisher nicht|im moment nicht|zum glück(?: nicht)?|gott sei dank(?: nicht)?)[,.!]?\s*)*",
    re.IGNORECASE,
)
#: "Schon" is no yes where a no follows: "schon lange nicht mehr".
_ENDED_LONG_AGO = r"schon(?=[^.!?]{0,40}\b(?:nicht|nimmer|nie|keine?[nrs]?)\b)"
_YES = re.compile(
    rf"^(?!{_ENDED_LONG_AGO})(?:ja|doch|jo|joa|joh|jawohl|genau|stimmt|freilich|klar|schon|leider(?: ja| schon)?|richtig|mhm|sicher|natürlich)\b[,.!]?\s*"
    rf"(?:(?!{_ENDED_LONG_AGO})(?:ja|doch|schon|genau|leider)\b[,.!]?\s*)*",
    re.IGNORECASE,
)
_WH = re.compile(
    r"^(?:und |also |aber |dann )*(?:wie|was|wo|wann|seit wann|welche\w*|wer|warum|wohin|woher|woran|wobei|womit|wie oft|wie lange|wie viel\w*|bei was)\b",
    re.IGNORECASE,
)
_AUXILIARY = r"(?:haben|hatten|sind|waren|können|konnten|müssen|möchten|dürfen|gibt|ist|war|wird|wurde|wurden|werden|hat|hatte|kann|besteht|bestehen|gab)"
_TAG = re.compile(r",?\s*\b(?:oder|gell|nicht wahr|ne|ja|oder nicht|richtig|stimmt's)\s*\?$", re.IGNORECASE)
_VERB_FIRST = re.compile(
    r"^(?:und |also |dann )?[A-ZÄÖÜa-zäöü]+(?:en|st|t) (?:sie|du|es|er|ihr|das|die|der|ihnen|dir)\b", re.IGNORECASE
)


_ECHO = 3  # words of a question that only repeats what was asked: "Das blaue?"


def utterances(transcript: segments.Transcript) -> Iterator[Utterance]:
    """Everything said, in order, questions folded into their answers."""
    asked: list[Utterance] = []
    previous: segments.Speaker | None = None
    for segment in transcript.segments:
        spoken = list(_sentences(segment))
        if segment.speaker != previous and asked and asked[-1].speaker == segment.speaker:
            asked = []
        for index, utterance in enumerate(spoken):
            if utterance.is_question:
                if asked and asked[-1].speaker != utterance.speaker:
                    if len(utterance.text.split()) <= _ECHO:
                        continue
                    asked = []
                asked.append(utterance)
            elif (
                asked
                and asked[-1].speaker != utterance.speaker
                and not (vocabulary.is_small_talk(utterance.text) and not _is_answer(utterance.text))
            ):
                yield from _answered(asked, utterance)
                asked = []
            else:
                yield replace(utterance, follows=index > 0)
        previous = segment.speaker


def _sentences(segment: segments.Segment) -> Iterator[Utterance]:
    """The sentences of one turn; one that corrects the sentence before it is joined to it."""
    spans = sentences.split(segment.text)
    index = 0
    while index < len(spans):
        start, end = spans[index].start, spans[index].end
        text = spans[index].text
        while index + 1 < len(spans) and _corrects(text, spans[index + 1].text):
            index += 1
            end = spans[index].end
            joined = f"{text.rstrip('.!?… ')}, {spans[index].text[:1].lower()}{spans[index].text[1:]}"
            text = joined
        index += 1
        repaired = repair.repair(text)
        yield Utterance(
            speaker=segment.speaker,
            text=repaired,
            evidence=(results.Evidence(segment=segment.number, start=start, end=end),),
            is_question=_is_question(repaired),
        )


def _corrects(text: str, following: str) -> bool:
    match = _SENTENCE_MARKER.match(following)
    if match is None or text.endswith("?") or _PLAIN_NO.fullmatch(text):
        return False
    return (
        repair.repair(f"{text.rstrip('.!… ')}, nein, {match['rest']}")
        != f"{text.rstrip('.!… ')}, nein, {match['rest']}"
    )


def _is_question(text: str) -> bool:
    return text.endswith("?")


def _is_answer(text: str) -> bool:
    return bool(_NO.match(text) or _YES.match(text))


_EXCLAMATION = re.compile(
    r"^(?:(?:na|also|ach|oh|hm|mhm|na ja|puh|äh|och|um gottes willen|gott bewahre|ach was|du meine güte|zum glück|gott sei dank|wissen sie)[, !.]+)+",
    re.IGNORECASE,
)
_NOTHING_BUT = re.compile(r"^(?:nichts|nix|keine?[nrs]?|nein)[,.]? (?:nur|bloß|außer) (?P<rest>.+)$", re.IGNORECASE)


_ALLERGY = re.compile(r"allerg|unverträglich|vertragen", re.IGNORECASE)


def _answered(asked: list[Utterance], answer: Utterance) -> Iterator[Utterance]:
    """The answer with the question it needs to be understood, or by itself where it says enough."""
    evidence = (*(item for question in asked for item in question.evidence), *answer.evidence)
    doctor_asked = asked[-1].speaker in ("doctor", "nurse")
    topic = _topic([question.text for question in asked], doctor=doctor_asked)
    bare = neutral.without_fillers(answer.text)
    bare = _EXCLAMATION.sub("", bare)
    plain_no, yes = _PLAIN_NO.match(bare), _YES.match(bare)
    rest = bare[plain_no.end() :] if plain_no else bare[yes.end() :] if yes else bare
    rest = rest.strip(" .,!")
    is_wh = _WH.match(asked[-1].text) is not None
    speaker = answer.speaker
    if not doctor_asked and len(rest.split()) > 3 and features.of(rest).clinical:
        yield replace(answer, text=bare if plain_no and polarity.is_negated(rest) else rest)
    elif not topic:
        yield replace(answer, text=rest or bare, follows=is_wh)
    elif plain_no:
        yield from _denied(speaker, topic, rest, evidence, answer)
    elif yes:
        yield from _confirmed(speaker, topic, rest, evidence, answer)
    elif _stands_alone(rest, topic, is_wh=is_wh):
        yield replace(answer, text=rest)
    elif match := _NOTHING_BUT.match(bare):
        yield Utterance(speaker, "", evidence, question=topic, is_negative=True)
        yield replace(answer, text=match["rest"])
    else:
        negative = _NO.match(bare) is not None or re.match(_ENDED_LONG_AGO, bare, re.IGNORECASE) is not None
        asked_for = topic if is_wh or negative else f"{topic}?"
        yield Utterance(speaker, rest, evidence, question=asked_for, is_negative=negative)


_ENDED = re.compile(
    r"\b(?:aufgehört|nicht mehr|früher|vor (?:\w+|\d+) jahren|seit (?:\w+|\d+) (?:jahren|monaten|wochen))\b",
    re.IGNORECASE,
)


_ONLY = re.compile(r"^(?:nur|aber|sondern|bloß|eher|höchstens|außer|dafür)\b", re.IGNORECASE)
_SIDE_ONLY = re.compile(r"(?:eher |nur |mehr )?(?:links|rechts|beidseits|vorne|hinten|oben|unten)", re.IGNORECASE)


def _denied(
    speaker: segments.Speaker, topic: str, rest: str, evidence: tuple[results.Evidence, ...], answer: Utterance
) -> Iterator[Utterance]:
    """A no: to what was asked, and what is said beside it stands by itself."""
    if not rest or _ENDED.search(rest):
        yield Utterance(speaker, rest, evidence, question=topic, is_negative=True)
    elif polarity.is_negated(rest):
        if _covers(rest, topic):
            yield replace(answer, text=rest)
        else:
            yield Utterance(speaker, rest, evidence, question=topic, is_negative=True)
    elif _SIDE_ONLY.fullmatch(rest):
        yield Utterance(speaker, f"nein, {rest}", evidence, question=topic)
    elif features.of(rest).symptoms or _ONLY.match(rest) or (features.of(rest).weight and len(rest.split()) > 2):
        yield Utterance(speaker, "", evidence, question=topic, is_negative=True)
        yield replace(answer, text=rest)
    else:
        yield Utterance(speaker, rest, evidence, question=topic, is_negative=True)


def _confirmed(
    speaker: segments.Speaker, topic: str, rest: str, evidence: tuple[results.Evidence, ...], answer: Utterance
) -> Iterator[Utterance]:
    if rest and _says_enough(rest) and (_covers(rest, topic) or len(rest.split()) > 8):
        yield replace(answer, text=rest)
    else:
        word = "doch" if answer.text.lower().startswith("doch") else "ja"
        yield Utterance(speaker, f"{word}, {rest}" if rest else word, evidence, question=topic)


_CONTENT = re.compile(r"[A-Za-zÄÖÜäöüß]{4,}")
_EMPTY_WORDS = frozenset(
    [
        "haben",
        "hatten",
        "sind",
        "waren",
        "können",
        "irgendwo",
        "irgendwelche",
        "irgendwas",
        "eigentlich",
        "schon",
        "noch",
        "auch",
        "denn",
        "sonst",
        "dabei",
        "davon",
        "dann",
        "wieder",
        "jetzt",
        "einen",
        "eine",
        "einer",
        "eines",
        "oder",
        "sowas",
        "etwas",
        "immer",
        "beim",
        "ihre",
        "ihnen",
        "sich",
        "nehmen",
        "gibt",
        "gehabt",
        "gerade",
        "mehr",
        "diese",
        "dieser",
        "vielleicht",
    ]
)


def _covers(rest: str, topic: str) -> bool:
    """Whether the answer names what the question asked for."""
    wanted = {word.lower()[:5] for word in _CONTENT.findall(topic) if word.lower() not in _EMPTY_WORDS}
    given = {word.lower()[:5] for word in _CONTENT.findall(rest)}
    return bool(wanted) and wanted <= given


_LONG_ANSWER = 6  # words from which an answer to "how" or "where" is taken to say what it is about


def _stands_alone(rest: str, topic: str, *, is_wh: bool) -> bool:
    """Whether an answer is understood without its question. What was asked about allergies stays beside it."""
    if _ALLERGY.search(topic) and not _ALLERGY.search(rest):
        return False
    return _says_enough(rest) and (not is_wh or len(rest.split()) > _LONG_ANSWER)


def _says_enough(rest: str) -> bool:
    """Whether the answer can be understood without its question: it names something clinical of its own."""
    found = features.of(rest)
    return (
        bool(found.symptoms or found.drugs or found.diagnoses or found.values or found.findings)
        and len(rest.split()) > 2
    )


#: Questions that only open the talk or keep it going.
_OPENERS = re.compile(
    r"\b(?:was führt|was kann ich|wie geht|was ist (?:denn )?(?:passiert|los)|was gibt|wie kann ich|womit kann|was macht|erzählen|wie war|sonst noch (?:was|fragen)|"
    r"noch (?:was|fragen)|verstanden|in ordnung\?|okay\?|alles klar|einverstanden|ist das so|wissen sie|was (?:fehlt|plagt|haben wir)|worum geht|richtig\?)",
    re.IGNORECASE,
)
_SHORT_TOPIC = 4  # words of a question that is kept although nothing in it is in our tables


def _topic(questions: list[str], *, doctor: bool) -> str:
    """What was asked, as a noun-like topic; empty when it was nothing that an answer needs."""
    worded = []
    for question in questions:
        if vocabulary.is_small_talk(question) or _OPENERS.search(question):
            continue
        topic = _worded(question)
        if topic and (features.of(question).clinical or (doctor and len(topic.split()) <= _SHORT_TOPIC)):
            worded.append(topic)
    return "; ".join(worded)


#: A greeting and the name of who is asked; neither belongs into a note.
_ADDRESS = re.compile(
    r"^(?:(?:guten (?:tag|morgen|abend)|grüß gott|grüß sie|hallo|servus|moin|willkommen)[, !.]*)*"
    r"(?:(?:herr|frau) [\w-]+[,!.]+ *)?",
    re.IGNORECASE,
)


def _worded(question: str) -> str:
    text = neutral.without_fillers(question)
    text = _TAG.sub("", text).rstrip("? ")
    text = _ADDRESS.sub("", text)
    text = re.sub(r"^(?:und|also|aber|dann|gut|okay|so|nun|ja|sagen sie|ach)[, ]+", "", text, flags=re.IGNORECASE)
    text = re.sub(
        r"\b(?:denn|eigentlich|irgendwie|vielleicht|bitte|sonst noch|irgendwelche|irgendwann|mal)\b\s?",
        "",
        text,
        flags=re.IGNORECASE,
    )
    text = re.sub(rf",? oder {_AUXILIARY} (?:sie|es|das|die|der)\b", " oder", text, flags=re.IGNORECASE)
    text = re.sub(rf"^{_AUXILIARY} (?:sie|es|er|das|du|ihr)\b\s*", "", text, flags=re.IGNORECASE)
    text = re.sub(rf"^{_AUXILIARY}\b\s*", "", text, flags=re.IGNORECASE)
    match = re.match(r"^(\w+(?:en|ern|eln)) (?:sie|du) (.+)$", text, re.IGNORECASE)
    if match:
        text = f"{match[2]} {match[1].lower()}"
    text = re.sub(r"\b(?:Sie|Ihnen|Ihre?[nmrs]?)\b\s?", "", text)
    text = neutral.wording(text, doctor=True)
    return text[:1].upper() + text[1:]
