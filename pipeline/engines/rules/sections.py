"""Which of the four sections an utterance belongs to: by who says it, by what it holds, by how far the talk has come."""

from __future__ import annotations

import re

from pipeline import results, segments
from pipeline.engines.rules import features

_EXAMINING = re.compile(
    r"\b(?:ich (?:höre|hör|taste|schaue|schau|messe|drücke|drück|untersuche|klopfe|leuchte)|schaue? (?:ich|mir|wir)|untersuch\w*|"
    r"machen sie (?:sich|bitte)? ?(?:mal |bitte )?(?:frei|den)|tief (?:ein|durch)atmen|legen sie sich|stehen sie (?:mal )?auf|mund auf|"
    r"(?:im|das|beim) (?:ekg|labor|ultraschall|röntgen|sono\w*|urin\w*|schnelltest|abstrich)|gemessen|auskult\w*|zeigt|sehe ich|ich sehe|sieht man|tut das weh)\b",
    re.IGNORECASE,
)
_PLANNING = re.compile(
    r"\b(?:nehmen sie|sie nehmen|sie bekommen|bekommen sie|sollten? sie|sie sollten?|kommen sie|rufen sie|gehen sie|trinken sie|machen sie (?:einen|die|bitte weiter)|"
    r"wir (?:machen|nehmen|kontrollieren|erhöhen|setzen|warten|sehen uns|legen|lassen|fangen|beginnen|steigern|geben|schicken|impfen|bestellen|brauchen|ändern|stellen|reduzieren|senken|bleiben)|"
    r"(?:machen|kontrollieren|nehmen|lassen|sehen|setzen|legen|geben|erhöhen|brauchen|warten|bestellen|prüfen|besprechen|ändern|reduzieren) wir|"
    r"ich (?:schreib\w*|verschreib\w*|überweis\w*|gebe? (?:ihnen|dir)|empfehl\w*|würde|möchte|rate|stelle)|(?:schreib\w*|verschreib\w*|überweis\w*|gebe?|empfehl\w*) ich|"
    r"(?:nehm\w*|zapf\w*) (?:ich|wir) .{0,40}\bab|ins labor|schick\w*|brauchen sie (?:nicht|kein\w*)|bleiben sie|messen sie|achten sie|melden sie|vermeiden sie|legen sie|dürfen sie|sie dürfen|sie müssen|müssen sie|sie können|können sie|bitte nicht|weiter so|"
    r"bleibt|bleiben|bei bedarf|wenn .{3,80}(?:kommen|rufen|melden|sofort|gehen)|falls .{3,80}(?:kommen|rufen|melden|sofort)|termin|rezept|verordnung|überweisung|wieder vor\w*|zum essen|"
    r"ziel\w*|kontroll\w*|abnehmen|bestimmen|übermorgen|(?:am|bis|ab) (?:montag|dienstag|mittwoch|donnerstag|freitag)|ab (?:morgen|heute|sofort)|in (?:\w+|\d+) (?:tagen|wochen|monaten|tag|woche|monat)|nächste woche|sofort)\b",
    re.IGNORECASE,
)
_ASSESSING = re.compile(
    r"\b(?:das ist (?:ein|eine|die|der|ja|also|jetzt|ganz|keine?|kein)|das sieht (?:nach|aus)|das sind|handelt es sich|spricht (?:für|gegen|nichts|alles|das|mir)|sprechen|diagnose|verdacht|beurteil\w*|"
    r"ich gehe davon aus|ich (?:denke|glaube|vermute|halte)|passt (?:zu|gut)|am ehesten|sie haben (?:eine?n?|also|da|nur|hier|keine?n?)|haben sie nicht|zusammenfass\w*|fasse ich zusammen|"
    r"kein (?:anhalt|hinweis)|ausgeschlossen|schließ\w*|(?:gut|schlecht|unzureichend|nicht gut|ordentlich|ganz ordentlich) eingestellt|stabil|zufrieden|hat sich (?:gebessert|verschlechtert)|nicht beteiligt|(?:ist|sind|haben) (?:das|es|sie) (?:\w+ ){0,4}nicht|ist das nicht|unwahrscheinlich|risiko|sie sind (?:gesund|deutlich|ganz|nicht)|danach sieht es nicht aus|"
    r"erstens|zweitens|drittens|viertens|fünftens|sechstens|siebtens|stadium|das (?:erklärt|kommt) von|dahinter|ursache|folge)\b",
    re.IGNORECASE,
)
_RECALLING = re.compile(
    r"\b(?:sie (?:haben|hatten) (?:ja |doch |mir |gesagt|erzählt|berichtet)|sie nehmen ja|das haben sie erzählt|steht (?:hier|in der akte|im brief)|wie damals|laut (?:brief|akte)|sie sind ja|"
    r"sie waren|sie hatten|im (?:entlass|arzt)brief|bei ihnen (?:ist|sind) (?:ja |ein|eine)|vorgeschichte|bekannt)\b",
    re.IGNORECASE,
)


def is_plan(text: str) -> bool:
    """Whether a doctor arranges or advises something."""
    return _PLANNING.search(text) is not None


_REPEATING = re.compile(r"^(?:also|aha|ja|mhm|okay|gut|richtig|genau),? (?!das ist|sie haben|wir)", re.IGNORECASE)


class Phase:
    """How far the consultation has come: history, examination, assessment and plan. It only moves on."""

    def __init__(self) -> None:
        self._section: results.Section = "S"
        self._last: tuple[object, results.Section] | None = None

    def section(
        self,
        speaker: segments.Speaker,
        text: str,
        found: features.Features,
        *,
        turn: object = None,
        is_answer: bool = False,
    ) -> results.Section:
        """The section of an utterance; it may move the phase on. An answer to the patient is never history.

        `turn` names the turn it was said in: within one turn a speaker tends to go on with what she was at.
        """
        if speaker in ("patient", "relative", "unknown"):
            return "S"
        scores = self._scores(text, found)
        if speaker == "nurse":
            scores["O"] += 2
        if self._last is not None and turn is not None and self._last[0] == turn:
            scores[self._last[1]] += 0.7
        if is_answer:
            scores["S"] = -1
        section = max(scores, key=lambda name: scores[name])
        self._advance(section, scores[section])
        self._last = (turn, section)
        return section

    @property
    def is_examining(self) -> bool:
        """Whether the doctor is dictating findings."""
        return self._section == "O"

    def _advance(self, section: results.Section, score: float) -> None:
        if score >= 2 and section in ("O", "A", "P"):
            self._section = "A" if section in ("A", "P") else ("O" if self._section == "S" else self._section)

    def _scores(self, text: str, found: features.Features) -> dict[results.Section, float]:
        dosed = bool(found.drugs) and found.has_number
        planning = _PLANNING.search(text) is not None
        assessing = _ASSESSING.search(text) is not None
        scores: dict[results.Section, float] = {
            "S": 1.5 * (_RECALLING.search(text) is not None) + 1.0 * (self._section == "S" and _REPEATING.match(text) is not None),
            "O": 1.2 * min(found.findings, 3) + 1.6 * min(len(found.values), 2) + 1.2 * (_EXAMINING.search(text) is not None),
            "A": 1.3 * min(sum(d.kind in ("diagnosis", "abbreviation", "lay", "status") for d in found.diagnoses), 2)
            + 1.6 * assessing + 0.5 * len(found.cues),
            "P": 0.9 * min(found.action_hits, 3) + 1.8 * planning + 1.5 * dosed + 0.5 * bool(found.drugs),
        }  # fmt: skip
        if found.analytes >= 2 and not found.values:
            scores["P"] += 2
            scores["O"] = min(scores["O"], 1.0)
        if found.values and not planning:
            scores["P"] -= 1
        prior = {"S": {"S": 0.9, "O": 0.3}, "O": {"O": 0.9}, "A": {"A": 0.5, "P": 0.7}}[self._section]
        for name, bonus in prior.items():
            scores[name] += bonus  # type: ignore[index]
        return scores
