"""Who speaks: by label where there is one, else inferred from how people talk in a consultation."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

from pipeline.segments import Speaker
from terminology import labs
from terminology.german import numbers, vocabulary

_ROLES: tuple[tuple[Speaker, str], ...] = (
    ("nurse", r"mfa|pflege\w*|schwester|pfleger(?:in)?|arzthelfer(?:in)?|medizinische\w* fachangestellte\w*|sprechstundenhilfe|nurse"),
    ("doctor", r"ärztin|arzt|dr\.?|doktor(?:in)?|hausarzt|hausärztin|oberarzt|oberärztin|behandler(?:in)?|therapeut(?:in)?|a|ä|prof\.?|doctor|"
               r"assistenzarzt|assistenzärztin|stationsarzt|stationsärztin|chefarzt|chefärztin|notarzt|notärztin"),
    ("patient", r"patientin|patient|pat\.?|p|kind|jugendliche[r]?|klient(?:in)?|bewohner(?:in)?|junge|mädchen"),
    ("relative", r"mutter|vater|mama|papa|tochter|sohn|ehefrau|ehemann|frau|mann|partner(?:in)?|bruder|schwester|oma|opa|großmutter|großvater|"
                 r"angehörige[r]?|begleitung|begleitperson|betreuer(?:in)?|enkel(?:in)?|schwiegertochter|schwiegersohn|eltern|freund(?:in)?|nachbar(?:in)?|"
                 r"lebensgefährt(?:e|in)|schwägerin|schwager|tante|onkel|cousin(?:e)?|nichte|neffe"),
)  # fmt: skip
_TITLES = re.compile(r"^(?:dr\.?|prof\.?)\b", re.IGNORECASE)
_UNKNOWN = re.compile(r"^(?:sprecher(?:in)?|speaker|person|unbekannt)\b", re.IGNORECASE)


def role(label: str) -> Speaker | None:
    """The role that a speaker label names; None when it is no label of a speaker."""
    text = label.strip().lower().rstrip(".")
    for speaker, pattern in _ROLES:
        if re.fullmatch(rf"(?:{pattern})(?:\s*\d+|\s+[\w.-]+)?", text):
            return speaker
    if _TITLES.match(text):
        return "doctor"
    return "unknown" if _UNKNOWN.match(text) else None


_DOCTOR = (
    (3.0, r"\b(?:verschreib|überweis|untersuch|verordne|diagnos|rezeptier)\w*"),
    (2.5, r"\b(?:haben|hatten|sind|nehmen|können|müssen|trinken|rauchen|essen|schlafen|kommen|machen|merken|spüren|waren|arbeiten|vertragen|möchten|wollen|dürfen|sollten|brauchen|legen|atmen|setzen|messen|fühlen|husten|leben) Sie\b"),
    (2.0, r"\b(?:Ihnen|Ihre?[nmrs]?)\b"),
    (1.5, r"(?<!^)(?<![.!?] )\bSie\b"),
    (2.0, r"\bich (?:höre?|taste?|messe?|schaue?|drücke?|schreibe?|gebe|überweise|empfehle|würde|verschreibe|sehe|nehme (?:ihnen|jetzt) blut)\b"),
    (1.5, r"\bwir (?:machen|nehmen|kontrollieren|erhöhen|setzen|warten|sehen uns|legen|lassen|fangen|beginnen|steigern|brauchen|prüfen|geben)\b"),
    (1.5, r"\b(?:druckschmerz|klopfschmerz|unauffällig|auskultation|vesikulär|reizlos|gerötet|seitengleich|rasselgeräusch|herztöne|lasègue|befund|isokor|abwehrspannung|ödeme)\w*"),
    (2.0, r"^(?:wie|was|wo|wann|seit wann|welche|wer|warum|wohin|woran|wie oft|wie lange|wie viel)\b.*\?$"),
    (1.0, r"\?$"),
    (0.8, r"\bwir\b(?! (?:haben|hatten|waren|sind|wollen))"),
    (0.8, r"\bbitte\b"),
    (4.0, r"\bnehm\w* (?:ich|wir) .{0,25}\bblut\b.{0,12}\bab\b"),
    (1.0, r"^(?:in|nach) (?:\w+|\d+) (?:tagen|wochen|monaten|tag|woche|monat)\b"),
    (1.5, r"^das ist (?:ein |eine |aber )?(?:niedriges|hohes|normal|eine? |harmlos|ungefährlich)"),
    (1.5, r"\b(?:sind|ist|war|waren) (?:deutlich |leicht |zweifach |dreifach |einfach |schwach )?(?:positiv|negativ|erhöht|unauffällig|im normbereich|in ordnung)\b"),
    (1.5, r"\bbrauchen wir\b|\bdafür spricht\b|\beinmalig reicht\b|\bviel trinken\b"),
    (2.5, r"\b(?:sehen wir uns|kommen Sie|gute besserung|setzen Sie sich|machen Sie sich|was führt|was kann ich)\b"),
    (2.0, r"\b(?:Sie haben|Sie nehmen|Sie bekommen|Sie sollten|Sie dürfen|Sie müssen|Sie können)\b"),
    (1.5, r"\b(?:sprechende|spricht|kein anhalt|verdacht auf|ich gehe davon aus|das ist (?:eine?|ein ganz)|handelt es sich)\b"),
)  # fmt: skip
_PATIENT = (
    (2.5, r"\b(?:ich|i) (?:hab|habe|bin|kann|nehm|nehme|war|hatte|muss|wollte|schlaf|schlafe|ess|trink|rauch|vertrag|arbeit|spür|merk|fühl|krieg|wohn|leb|denk|weiß|glaub|mach)\b"),
    (2.5, r"\b(?:hab|habe|bin|kann|nehm|nehme|war|hatte|muss|wollte|schlaf|ess|trink|krieg|denk|mach|tu) (?:ich|i)\b"),
    (2.0, r"\b(?:mir|mich|mein(?:e[nmrs]?)?)\b"),
    (1.5, r"\b(?:wenn|weil|dass|ob|da) (?:ich|i)\b"),
    (1.5, r"\bwir (?:haben|hatten|waren|sind)\b"),
    (3.0, r"\b(?:herr|frau) doktor\b"),
    (3.0, r"^(?:muss ich|kann ich|darf ich|soll ich|brauch(?:e)? ich|ist das (?:schlimm|gefährlich|ansteckend|jetzt)|und (?:die|meine) arbeit)\b"),
    (1.0, r"^(?:ja|nein|nee|nö|na ja|doch|eigentlich|gar nicht|überhaupt nicht|auch nicht|manchmal|seit|ungefähr|so |vielleicht|kaum|immer|jo|freilich)\b"),
    (2.5, r"\bist das (?:jetzt |denn |auch )*(?:die|der|was|eine?|schlimm|gefährlich|ansteckend)\b.*\?$"),
    (2.0, r"^(?:und (?:was sagt|wenn|wie lange|arbeiten|sport|das blut|die)|also doch|wirklich|heißt das|brauche? ich)\b.*\?$"),
    (1.5, r"\b(?:danke|vielen dank|alles klar|dankeschön)\b"),
)  # fmt: skip

_doctor = [
    (weight, re.compile(pattern, re.IGNORECASE if "Sie" not in pattern and "Ihn" not in pattern else 0))
    for weight, pattern in _DOCTOR
]
_patient = [(weight, re.compile(pattern, re.IGNORECASE)) for weight, pattern in _PATIENT]

_AFTER_QUESTION = 2.5  # how strongly a question hands the turn to the other
_STAY = 0.6  # how strongly a speaker goes on
_NEW_QUESTION = 0.4  # a question tends to open a turn rather than to stand in the middle of one
_TURN = 1.2  # how strongly the next line is the other's, where a line is a turn
_FIGURE = re.compile(r"\d")
_ANSWER = re.compile(
    r"^(?:ja|nein|nee|nö|doch|jo|na ja|gar nicht|überhaupt nicht|auch nicht|seit|eigentlich)\b", re.IGNORECASE
)


def infer(utterances: Sequence[str], *, whole_turns: bool = False) -> Iterator[Speaker]:
    """Doctor or patient for each utterance: the likeliest sequence of turns (Viterbi over two speakers).

    `whole_turns` tells that each utterance is all that was said until the other spoke, or nearly so.
    """
    if not utterances:
        return
    best = {"doctor": _score(utterances[0]) + 0.5, "patient": -_score(utterances[0])}
    steps: list[dict[str, str]] = []
    for previous, utterance in itertools.pairwise(utterances):
        score = _score(utterance)
        came: dict[str, str] = {}
        now: dict[str, float] = {}
        for speaker, own in (("doctor", score), ("patient", -score)):
            other = "patient" if speaker == "doctor" else "doctor"
            stay, switch = _transition(previous, utterance, whole_turns=whole_turns)
            came[speaker] = speaker if best[speaker] + stay >= best[other] + switch else other
            now[speaker] = own + max(best[speaker] + stay, best[other] + switch)
        best = now
        steps.append(came)
    speaker = max(best, key=lambda name: best[name])
    path = [speaker]
    for came in reversed(steps):
        speaker = came[speaker]
        path.append(speaker)
    for name in reversed(path):
        yield "doctor" if name == "doctor" else "patient"


def _transition(previous: str, utterance: str, *, whole_turns: bool) -> tuple[float, float]:
    if previous.rstrip().endswith("?"):
        follow_up = utterance.rstrip().endswith("?") and not _ANSWER.match(utterance)
        return (_STAY, 0.0) if follow_up else (0.0, _AFTER_QUESTION)
    if whole_turns:
        return 0.0, _TURN
    return (_STAY, _NEW_QUESTION) if utterance.rstrip().endswith("?") else (_STAY, 0.0)


def _score(utterance: str) -> float:
    """Positive for a doctor, negative for a patient."""
    doctor = sum(weight for weight, pattern in _doctor if pattern.search(utterance))
    patient = sum(weight for weight, pattern in _patient if pattern.search(utterance))
    if len(labs.mentions(utterance)) >= 2 and _FIGURE.search(numbers.in_figures(utterance)):
        doctor += 2.5
    if not patient:
        doctor += 0.7 * min(len(vocabulary.lexicon("findings").find(utterance)), 3)
        doctor += 0.5 * min(len(vocabulary.lexicon("actions").find(utterance)), 2)
    if vocabulary.is_small_talk(utterance):
        return (doctor - patient) / 2
    return doctor - patient
