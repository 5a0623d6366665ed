"""Self-corrections: "hundertfünfzig, nein, hundertsechzig zu neunzig", "rechts, Quatsch, links".

What the speaker took back is gone from the repaired text. Where it is not clear what was taken back, the text stays as
it was said: a doubt is shown, never guessed away.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from terminology.german import numbers

_FILLER = r"(?:ähm?|öhm?|hm+|ach|also|jetzt)"
_WORD = (
    r"(?:nein|nee|nö|quatsch|moment(?: mal)?|korrektur|falsch|entschuldigung|pardon|verzeihung|sorry|ich meine?|vielmehr|"
    r"naa?(?=,)|besser gesagt|stopp|blödsinn|schmarrn|schmarren|unsinn|stimmt (?:ja )?(?:gar )?nicht|halt nein|oder nein|nicht doch|"
    r"ich korrigiere(?: mich)?|ich hab mich versprochen|versprochen|beziehungsweise nein|warten sie|was sag ich)"
)
#: A correction inside a sentence: something said, the marker between commas, something said again.
_MARKER = re.compile(
    rf"\s*[,.–-]\s*(?:{_FILLER},?\s+)*{_WORD}(?:,?\s+(?:{_FILLER}|{_WORD}))*\s*[,.:–-]?\s+", re.IGNORECASE
)

_SIDE = r"(?:links?\w*|rechts?\w*|rechte[rnms]?|linke[rnms]?|beidseits|beidseitig\w*|beide[rn]?)"
_FREQUENCY = r"(?:(?:ein|zwei|drei|vier|fünf|sechs|acht)mal|\d+\s?[x×])"
_TIME = (
    r"(?:montag|dienstag|mittwoch|donnerstag|freitag|samstag|sonntag|januar|februar|märz|april|mai|juni|juli|august|"
    r"september|oktober|november|dezember|gestern|vorgestern|heute|morgens?|mittags?|abends?|nachts?)\w*"
)
_ORDINAL = (
    r"(?:erst|zweit|dritt|viert|fünft|sechst|siebt|acht|neunt|zehnt|elft|zwölft|\w+(?:zehnt|zigst|ßigst))e[nrms]?"
)
_NUMBER = r"(?:\d+(?:[.,]\d+)?|\w+)"


@dataclass(frozen=True, slots=True)
class _Element:
    kind: str
    start: int
    end: int


def repair(text: str) -> str:
    """`text` without what its speaker took back."""
    text = " ".join(text.split())
    position = 0
    while match := _MARKER.search(text, position):
        start = _sentence_start(text, match.start())
        repaired = _apply(text[start : match.start()], text[match.end() :])
        if repaired is None:
            position = match.end()
        else:
            text = text[:start] + repaired
            position = start
    return text


def _sentence_start(text: str, position: int) -> int:
    ends = [match.end() for match in re.finditer(r"[.!?]\s+", text[:position])]
    return ends[-1] if ends else 0


def _apply(left: str, right: str) -> str | None:
    """The repaired sentence from what stood before and after the marker; None when nothing fits."""
    if not left.strip():
        return None
    for attempt in (_not_but, _same_kind, _took_all_back, _same_opening):
        repaired = attempt(left, right)
        if repaired is not None:
            return repaired
    return None


_NOT_BUT = re.compile(r"nicht (?P<old>[^,.;]{2,40}), sondern (?P<new>.+)", re.IGNORECASE | re.DOTALL)


def _not_but(left: str, right: str) -> str | None:
    """ "beim Aufstehen, nein, nicht beim Aufstehen, sondern beim Bücken"."""
    match = _NOT_BUT.match(right)
    if match and left.lower().rstrip(" ,").endswith(match["old"].lower().strip()):
        return left.rstrip(" ,")[: -len(match["old"].strip())] + match["new"]
    return None


_RETRACTION = re.compile(
    r"(?:das|es) (?:war|ist|waren|sind) (?:(?:ja|doch|gar) )?(?:nicht |(?:meine?|der|die|das|mein) )", re.IGNORECASE
)


def _took_all_back(left: str, right: str) -> str | None:
    """ "Einmal war er unter achtzig, nein, das war meine Frau"."""
    return right[:1].upper() + right[1:] if _RETRACTION.match(right) else None


_OPENINGS = re.compile(
    r"(der|die|das|den|dem|ein|eine|einen|im|in|am|an|auf|vom|von|über|unter|beim|bei|mit|seit|zum|zur|wegen)\b",
    re.IGNORECASE,
)


def _same_opening(left: str, right: str) -> str | None:
    """ "der Hubschrauber, nein, der Krankenwagen": the new phrase opens with the old one's word."""
    opening = _OPENINGS.match(right)
    if opening is None:
        return None
    places = list(re.finditer(rf"\b{opening[1]}\b", left, re.IGNORECASE))
    if places and len(left[places[-1].start() :].split()) <= 4:
        return left[: places[-1].start()] + right
    return None


def _elements(text: str) -> list[_Element]:
    found: list[_Element] = []
    for match in re.finditer(rf"\b{_NUMBER}\s+(?:zu|auf)\s+{_NUMBER}|\b\d+/\d+", text, re.IGNORECASE):
        parts = re.split(r"\s+(?:zu|auf)\s+|/", match.group(), flags=re.IGNORECASE)
        if all(_is_number(part) for part in parts):
            found.append(_Element("number", match.start(), match.end()))
    for kind, pattern in (("side", _SIDE), ("frequency", _FREQUENCY), ("time", _TIME), ("ordinal", _ORDINAL)):
        found += [_Element(kind, m.start(), m.end()) for m in re.finditer(rf"\b{pattern}\b", text, re.IGNORECASE)]
    for match in re.finditer(rf"\b{_NUMBER}(?:\s+[Kk]omma\s+{_NUMBER})?", text):
        first = match.group().split()[0]
        if _is_number(first) and not any(e.start <= match.start() < e.end for e in found):
            found.append(_Element("number", match.start(), match.end()))
    return sorted(found, key=lambda element: element.start)


def _is_number(word: str) -> bool:
    return word[:1].isdigit() or numbers.value(word) is not None or numbers.halves(word) is not None


#: Words that say nothing of their own before a corrected element; any other ("wir senken es auf") changes the sentence.
_LINK = re.compile(
    r"(?:es|er|sie|das|die|der|den|dem|des|ein|eine|einen|einem|waren?|war|wars|war's|ist|sind|sinds|sind's|doch|eher|nur|so|etwa|ungefähr|circa|"
    r"auf|bei|mit|in|im|am|an|um|von|vom|zu|zum|zur|seit|vor|nach|für|über|unter|ab|bis|dann|schon|genau|ja|halt|nochmal|meine|meinte|mein|ich|wohl|"
    r"hier|da|dort|natürlich|richtig|also|jetzt|heißt|gewesen|auch|gegen|täglich),?",
    re.IGNORECASE,
)
_LEAD_WORDS = 4  # words between the marker and the corrected element


def _same_kind(left: str, right: str) -> str | None:
    """The first number, side, day or frequency after the marker takes the place of the last one before it."""
    clause = re.split(r"[.;!?]\s", right, maxsplit=1)[0]
    new = next((e for e in _elements(clause) if len(clause[: e.start].split()) <= _LEAD_WORDS), None)
    if new is None:
        return None
    candidates = [e for e in _elements(left) if e.kind == new.kind]
    if not candidates or len(left[candidates[-1].end :].split()) > 3:
        return None
    old = candidates[-1]
    lead = clause[: new.start].split()
    spoken = {word.strip(",.").lower() for word in left.split()}
    if any(word.strip(",").lower() not in spoken and not _LINK.fullmatch(word) for word in lead):
        return None
    before = left[: old.start].rstrip().split()
    if lead and before[-len(lead) :] and [w.lower() for w in before[-len(lead) :]] == [w.lower() for w in lead]:
        return left[: old.start] + right[new.start :]
    if lead and before and before[-1].lower() == lead[-1].lower():
        return left[: old.start] + right[new.start :]
    if lead and not _repeats(lead, left):
        return left[: old.start] + right[new.start :]
    return _cut_at(left, old, lead) + right


def _repeats(lead: list[str], left: str) -> bool:
    return bool({word.lower().strip(",") for word in lead} & set(left.lower().split()))


def _cut_at(left: str, old: _Element, lead: list[str]) -> str:
    if not lead:
        return left[: old.start]
    places = list(re.finditer(rf"\b{re.escape(lead[0])}\b", left[: old.start], re.IGNORECASE))
    return left[: places[-1].start()] if places else left[: old.start]
