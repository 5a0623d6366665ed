"""From speech to the neutral wording of a note: no fillers, no "ich", figures and unit symbols. Nothing is added but
what the table `german/performatives` puts in the place of a doctor's "ich schreibe Sie krank".
"""

from __future__ import annotations

import functools
import re

from terminology import tables
from terminology.german import numbers

_LEAD_IN = re.compile(
    r"^(?:(?:und|also|ja|jo|joa|na ja|naja|na|nun|tja|genau|okay|ok|gut|so|aber|weil|ach|oh|mhm|hm|stimmt|richtig|alles klar|"
    r"verstehe|dann|halt|ne|gell|wissen sie|schauen sie|sehen sie|hören sie|passen sie auf|das heißt|das ist wichtig|ganz wichtig|"
    r"übrigens|jedenfalls|außerdem|wir machen (?:es|das) so|ich (?:glaube|denke|finde|meine)(?: halt| schon)?|sagen wir|prima|schön|"
    r"perfekt|super|prima|bitte|nee)[,.]?\s+)+",
    re.IGNORECASE,
)
_PARTICLES = re.compile(
    r"(?<=\s)(?:halt|(?<!von )eben|(?-i:mal)(?! (?:\d|ein|zwei|drei|vier|fünf|sechs|sieben|acht|neun|zehn|elf|zwölf|\w+zehn|\w+zig)\b)|denn|eigentlich|irgendwie|sozusagen|quasi|gell|fei|einfach|(?-i:grad)|wohl|so(?= ein| was| richtig| (?:\w+er|\w+e|\w+en) )"
    r"|ja(?! \w*,)|doch(?! nicht)|nämlich|übrigens|sag ich mal|sag ich jetzt mal|ehrlich gesagt|wie gesagt|oder so|und so|bitte|ganz(?= normal))(?=[\s,.])",
    re.IGNORECASE,
)
_FIRST_PERSON = (
    (re.compile(r"\b(?:tu|tue) ich\b", re.IGNORECASE), ""),
    (re.compile(r"\b(?:ich (?:habe?|hab's|hab)|(?:habe?|hab) ich)\b(?! (?:zu|noch zu)\b)", re.IGNORECASE), ""),
    (re.compile(r"\b(?:ich bin|bin ich)\b", re.IGNORECASE), ""),
    (re.compile(r"\b(?:mir ist|ist mir|mir wird|mir war|war mir)\b", re.IGNORECASE), ""),
    (re.compile(r"\b(?:mir|mich)\b\s?", re.IGNORECASE), ""),
    (
        re.compile(
            r"\b(?:meine[nmrs]?|mein)\b\s?(?!(?:e[nmrs]? )?(?:mann|frau|mutter|vater|schwester|bruder|sohn|tochter|oma|opa|tante|onkel|freund|chef|kolleg|papa|mama|eltern|großmutter|großvater))",
            re.IGNORECASE,
        ),
        "",
    ),
)
_DOCTOR = (
    (re.compile(r"\b(?:ihnen|wir machen|ich mach(?:e)?)\b\s?", re.IGNORECASE), ""),
    (re.compile(r"\bIhre[nmrs]?\b\s?"), ""),
    (re.compile(r"\bIhr\b\s?"), ""),
)
_SPACES = re.compile(r"\s+")
_LOOSE = re.compile(r"\s+([,.;:!?])")
_REPEATED_COMMA = re.compile(r"(?:,\s*){2,}")
_STUTTER = re.compile(r"\b(\w+(?: \w+){0,2}),? \1\b", re.IGNORECASE)


@functools.cache
def _fillers() -> re.Pattern[str]:
    words = [row["filler"] for row in tables.rows("german/fillers") if len(row["filler"]) > 1]
    alternatives = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    return re.compile(rf"(?<![\wäöüß-])(?:{alternatives})(?![\wäöüß-]),?", re.IGNORECASE)


@functools.cache
def _performatives() -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple(
        (re.compile(row["pattern"], re.IGNORECASE), row["replacement"]) for row in tables.rows("german/performatives")
    )


@functools.cache
def _verbs() -> dict[str, str]:
    return {row["first_person"]: row["third_person"] for row in tables.rows("german/verbs")}


_ICH_VERB = re.compile(r"\bich (\w+)\b|\b(\w+) ich\b", re.IGNORECASE)


def wording(text: str, *, doctor: bool) -> str:
    """`text` as a note says it; the speaker decides whose "ich" it is."""
    text = without_fillers(text)
    text = _LEAD_IN.sub("", text)
    text = _PARTICLES.sub("", text)
    if doctor:
        for pattern, replacement in _performatives():
            text = pattern.sub(replacement, text)
        rules: tuple[tuple[re.Pattern[str], str], ...] = _DOCTOR
    else:
        rules = _FIRST_PERSON
    for pattern, replacement in rules:
        text = pattern.sub(replacement, text)
    if not doctor:
        text = _ICH_VERB.sub(_third_person, text)
    text = numbers.in_figures(_tidy(text))
    return _tidy(text)


_COUPLE = re.compile(
    r"(?<=\w) (?:ist|sind)(?= \w)(?! (?:es|er|sie|das|die|der|da|weg|zu|aus|an|auf|los|passiert|so|mir|nicht (?:mehr )?(?:gut|schön))\b)",
    re.IGNORECASE,
)
_PADDING = re.compile(
    r"(?<=\s)(?:jetzt|hier|natürlich|wirklich|da|also|auch(?! nicht)|schon|so|dann|ja|doch(?! nicht)|gleich(?= noch)|ziemlich|richtig(?! \w*(?:gestellt|eingenommen)))(?= \w)",
    re.IGNORECASE,
)


#: Nouns before which "ein" is a number.
_COUNTED = (
    r"Tablette|Kapsel|Tag|Woche|Stunde|Monat|Jahr|Minute|Mal|Hub|Hübe|Stück|Glas|Bier|Flasche|Liter|Packung|Schachtel|Päckchen|Zigarette|Tasse|"
    r"Ampulle|Spritze|Beutel|Messlöffel|Löffel|Sprühstoß|Dosis|Viertel|Drittel|Punkt|Zentimeter|Kilo|Kind|Bruder|Schwester|Gefäß|Scheibe|Einheit|Tropfen|"
    r"Prozent|Milligramm|Mikrogramm|Gramm|Milliliter|Deziliter|Meter|Grad|Ampullen|Pflaster|Zäpfchen"
)
_INDEFINITE = re.compile(rf"\b[Ee]ine?[nmrs]? (?!(?:\w+ )?(?:{_COUNTED}))(?=(?:[a-zäöüß-]+e[nrsm]? ){{0,2}}[A-ZÄÖÜ])")


def telegram(text: str) -> str:
    """`text` as findings are written: without opening articles, without "ist" and "sind"."""
    text = _PADDING.sub("", text)
    text = re.sub(r"(^|[,;:] |\bund )(?:[Dd]er|[Dd]ie|[Dd]as) (?=(?:\w+e[nrs]? )?[A-ZÄÖÜ])", r"\1", text)
    return _tidy(_INDEFINITE.sub("", _COUPLE.sub("", text)))


def without_fillers(text: str) -> str:
    """`text` without hesitations and stutters."""
    text = _fillers().sub(" ", text)
    return _STUTTER.sub(_once, _tidy(text))


def _once(match: re.Match[str]) -> str:
    """A stutter said once; repeated numbers ("eins eins zwei") are no stutter."""
    words = match[1].split()
    is_number = any(word[0].isdigit() or numbers.value(word) is not None for word in words)
    return match[0] if is_number else match[1]


def _third_person(match: re.Match[str]) -> str:
    verb = match[1] or match[2]
    third = _verbs().get(verb.lower())
    return third if third is not None else match[0].replace("ich ", "").replace(" ich", "")


def _tidy(text: str) -> str:
    text = _SPACES.sub(" ", text)
    text = _LOOSE.sub(r"\1", text)
    text = _REPEATED_COMMA.sub(", ", text)
    return text.strip(" ,;:-–")


def sentence(text: str) -> str:
    """`text` with a capital first letter and a full stop."""
    text = text.strip(" ,;:-–")
    text = re.sub(r"[ ,;:]+([.!?])$", r"\1", text)
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
