"""Whether a clause says that something is so, is not so, may be so, was so, or is so of somebody else.

Source of the words: the tables `german/negation` and `german/uncertainty`. Kinds of negation: `negates`; `apart`, "außer
Penicillin vertrag ich alles"; `partial`, which denies no more than its own words, "wird nicht besser"; `idle`, which
negates nothing; `gone`, the end or lack of something. Kinds of uncertainty: `hedge`; `guess`, which hedges a doctor's
judgement and not a patient's figure; `exclude`, what has yet to be ruled out or cannot be; `idle`.
"""

from __future__ import annotations

import functools
import re
from typing import Literal

from terminology import tables
from terminology.german import vocabulary

Polarity = Literal["affirmed", "negated", "uncertain", "historical", "family"]

_HISTORICAL = re.compile(
    r"\b(?:zustand nach|z\. ?n\b|früher(?:e[rnms]?)?|damals|seinerzeit|ehemalig\w*|ehemals|als kind|als jugendliche[r]?|in der kindheit|"
    r"als junge[rn]? \w+|vor (?:\w+ )?(?:\w+|\d+) jahren|vor (?:einem|\d+) jahr|vor jahren|(?:vor)?letzte?[nrms]? (?:jahr|sommer|winter|herbst|frühjahr|frühling)|voriges jahr|vorigen (?:sommer|winter|herbst)|(?:19|20)[0-2]\d|"
    r"seit (?:\w+|\d+) jahren nicht mehr|da war ich (?:noch )?(?:\w+|\d+)|als ich (?:noch )?(?:\w+|\d+) war|ein jahr nach|aufgehört|mal gehabt|hatte (?:ich |er |sie )?(?:schon )?(?:ein)?mal|(?:schon )?(?:ein)?mal operiert|in der vergangenheit|vorgeschichte)\b",
    re.IGNORECASE,
)
_OWN = re.compile(r"\b(?:ich|mir|mich|mein(?:e[nmrs]?)? (?:kopf|bauch|bein|arm|knie|rücken|herz))\b", re.IGNORECASE)


def of(clause: str) -> Polarity:
    """The polarity of one clause, from its own words alone."""
    if is_about_family(clause):
        return "family"
    if is_negated(clause):
        return "negated"
    if is_uncertain(clause):
        return "uncertain"
    if _HISTORICAL.search(clause):
        return "historical"
    return "affirmed"


def is_negated(clause: str) -> bool:
    """Whether a negation stands in the clause that is not part of a phrase which negates nothing."""
    return _phrases("negation", "negates", "apart").search(_without_idle(clause)) is not None


def has_denial(text: str) -> bool:
    """Whether any word of a text denies something, were it only a part of a phrase, or says that something is gone."""
    return _phrases("negation", "negates", "apart", "gone").search(text) is not None


def partial(clause: str) -> tuple[int, int] | None:
    """Where a phrase stands that denies no more than its own words, as (start, end): "wird nicht besser"."""
    match = _phrases("negation", "partial").search(clause)
    return match.span() if match is not None else None


def without_partial(text: str) -> str:
    """A text without its phrases that deny no more than their own words."""
    return _phrases("negation", "partial").sub(" ", text)


def apart(clause: str) -> int | None:
    """Where what is excepted from "alles" begins: "außer Penicillin vertrag ich alles"; None where nothing is."""
    match = _phrases("negation", "apart").search(clause)
    return match.start() if match is not None else None


def is_uncertain(clause: str) -> bool:
    """Whether the clause is hedged."""
    return _phrases("uncertainty", "hedge", "exclude").search(_sure(clause)) is not None


def is_guess(clause: str) -> bool:
    """Whether the clause is hedged, or its words make a doctor's judgement a guess: "wohl", "vielleicht", "scheint"."""
    return is_uncertain(clause) or _phrases("uncertainty", "guess").search(_sure(clause)) is not None


def is_to_exclude(clause: str) -> bool:
    """Whether the clause says that something has yet to be ruled out, or cannot be."""
    return _phrases("uncertainty", "exclude").search(clause) is not None


def without_cues(clause: str) -> str:
    """A clause without the words that deny or hedge."""
    for table, kinds in (("negation", ("negates", "apart")), ("uncertainty", ("hedge", "guess", "exclude"))):
        clause = _phrases(table, *kinds).sub(" ", clause)
    return clause


def _sure(clause: str) -> str:
    return _phrases("uncertainty", "idle").sub(" ", clause)


def _without_idle(clause: str) -> str:
    for table, kind in (("uncertainty", "exclude"), ("negation", "partial"), ("negation", "idle")):
        clause = _phrases(table, kind).sub(" ", clause)
    return clause


@functools.cache
def _phrases(table: str, *kinds: str) -> re.Pattern[str]:
    patterns = (row["pattern"] for row in tables.rows(f"german/{table}") if row["kind"] in kinds)
    return re.compile(rf"\b(?:{'|'.join(patterns)})(?!\w)", re.IGNORECASE)


def is_historical(clause: str) -> bool:
    """Whether the clause speaks of the past."""
    return _HISTORICAL.search(clause) is not None


@functools.cache
def _relatives() -> vocabulary.Lexicon:
    return vocabulary.lexicon("relatives")


_AGENT = re.compile(
    r"\b(?:sagt|sagte|meint|meinte|findet|fragt|hat (?:mir|mich|gesagt|gemeint|gegeben|gefahren|gebracht|geholfen|angerufen)|bringt|hilft|"
    r"kümmert|kocht|fährt|macht|kommt|wohnt|lebt|schickt|hat's|hat es (?:gesehen|gemerkt))\b",
    re.IGNORECASE,
)


_NAMED = re.compile(r"\b(?:Frau|Herr|Herrn|Schwester) [A-ZÄÖÜ]\w+|\bim Kindergarten\b|\bdie Kita\b|\bder Kita\b")


def is_about_family(clause: str) -> bool:
    """Whether the clause tells a relative's illness (and not what a relative did or said)."""
    clause = _NAMED.sub(" ", clause)
    if not _relatives().find(clause):
        return False
    return any(
        _relatives().find(part) and _OWN.search(part) is None and _AGENT.search(part) is None
        for part in re.split(r"[,;.]\s", clause)
    )
