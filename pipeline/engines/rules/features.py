"""What a piece of speech holds: complaints, findings, drugs, values, plans, and how sure it sounds."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from terminology import labs
from terminology.drugs import catalogue as drugs
from terminology.german import numbers, polarity, vocabulary
from terminology.icd10gm import wording

_TIME = re.compile(
    r"\b(?:seit|vor|heute|gestern|vorgestern|morgen|übermorgen|nächste[nrs]?|letzte[nrs]?|(?:in|für|nach|alle|bis) (?:\w+ )?(?:\w+|\d+) "
    r"(?:tag|woche|monat|jahr|stunde|minute)\w*|\d+ (?:tag|woche|monat|jahr|stunde|minute)\w*|montag\w*|dienstag\w*|mittwoch\w*|"
    r"donnerstag\w*|freitag\w*|samstag\w*|sonntag\w*|plötzlich|ständig|nachts|morgens|abends|mittags|tagsüber|täglich)\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d")
_SOCIAL = re.compile(
    r"\b(?:rauch\w*|zigarette\w*|pack\w* ?(?:jahr|year)\w*|alkohol|bier\w*|wein|rotwein|schnaps|arbeit\w*|beruf\w*|büro|schicht\w*|rente\w*|rentner\w*|"
    r"verheiratet|geschieden|verwitwet|witwe\w*|allein|wohn\w*|pflege\w*|sport\w*|job|chef|kinder|kita|kindergarten|schule|studier\w*|"
    r"stress|drogen|cannabis|reise\w*|urlaub|haustier\w*|katze|hund|fahrer\w*|lehrer\w*|verkäufer\w*|handwerk\w*|baustelle|"
    r"operier\w*|krankenhaus|klinik|unfall|gewicht|impf\w*|geimpft|schwanger\w*|periode|regel|stuhl\w*|urin|wasserlassen|schlaf\w*|appetit|"
    r"tablette\w*|medikament\w*|pille|spritze\w*|tropfen|salbe\w*|allergi\w*|vertrag\w*|unverträglich\w*)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Features:
    """Counts and hits of one piece of text."""

    symptoms: int
    findings: int
    body_parts: int
    diagnoses: tuple[wording.Term, ...]
    drugs: tuple[drugs.Mention, ...]
    values: tuple[labs.Value, ...]
    analytes: int
    actions: frozenset[str]
    action_hits: int
    cues: frozenset[str]
    has_time: bool
    has_number: bool
    is_social: bool
    has_relative: bool

    @property
    def clinical(self) -> int:
        """How much of it belongs into a note; 0 for chatter."""
        return (
            2 * (self.symptoms + len(self.diagnoses) + len(self.drugs) + len(self.values))
            + 2 * self.findings + self.body_parts + self.analytes + self.action_hits + len(self.cues) + 2 * self.is_social
        )  # fmt: skip

    @property
    def weight(self) -> int:
        """Like `clinical`, with times and numbers, which matter beside something clinical."""
        return self.clinical + self.has_time + self.has_number


@functools.lru_cache(maxsize=8192)
def of(text: str) -> Features:
    """The features of `text`, whose numbers may still be words."""
    figures = numbers.in_figures(text)
    actions = vocabulary.lexicon("actions").find(figures)
    return Features(
        symptoms=len(vocabulary.lexicon("symptoms").find(text)),
        findings=len(vocabulary.lexicon("findings").find(figures)),
        body_parts=len(vocabulary.lexicon("body_parts").find(text)),
        diagnoses=tuple(wording.find(text)),
        drugs=tuple(drugs.find(text)),
        values=tuple(labs.find(figures)),
        analytes=len(labs.mentions(text)),
        actions=frozenset(hit.row["kind"] for hit in actions),
        action_hits=len(actions),
        cues=frozenset(hit.row["certainty"] for hit in vocabulary.lexicon("assessment_cues").find(text)),
        has_time=_TIME.search(text) is not None,
        has_number=_NUMBER.search(figures) is not None,
        is_social=_SOCIAL.search(text) is not None,
        has_relative=polarity.is_about_family(text),
    )


def forget() -> None:
    """Drop what is remembered of the texts of earlier runs."""
    of.cache_clear()
