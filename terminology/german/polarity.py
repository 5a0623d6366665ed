"""Whether a clause says that something is so, is not so, may be so, was so, or is so of somebody else."""

from __future__ import annotations

import functools
import re
from typing import Literal

from terminology.german import vocabulary

Polarity = Literal["affirmed", "negated", "uncertain", "historical", "family"]

_NEGATION = re.compile(
    r"\b(?:kein(?:e[nmrs]?|s|erlei)?|koa(?:n|ne|ns)?|koi(?:n|ne|ns)?|nimmer|(?<=[a-zäöüß] )nein|(?<=[a-zäöüß] )nee|nicht|ned|net|nich|nix|nichts|nie(?:mals)?|nirgend\w*|ohne|weder|"
    r"vernein\w*|schließ\w* (?:ich |wir )?(?:das |damit )?aus|negativ|unwahrscheinlich|ausgeschlossen|entf(?:ällt|allen))\b",
    re.IGNORECASE,
)
#: Words with "nicht" that negate nothing, or state a complaint.
_NOT_NEGATING = re.compile(
    r"\bnicht (?:nur|so|mehr so|ganz|immer|ausgeschlossen|auszuschließen|gut|richtig|besonders|unbedingt|besser|wundern|vergessen|"
    r"auslassen|schlafen|durchschlafen|einschlafen|konzentrieren|bewegen|laufen|gehen|auftreten|heben|schlucken|atmen|"
    r"durchatmen|sitzen|liegen|stehen|arbeiten|halten|steroidal\w*|raucher\w*)\b"
    r"|\b(?:keine|kaum) luft\b|\bkeine? (?:kraft|lust|appetit|energie|antrieb|ruhe|ahnung|frage|wunder|problem)\b|\bkeinen (?:appetit|antrieb|hunger)\b"
    r"|\bgeht (?:das |so |es )*(?:gar )?nicht\b|\bob (?:.{0,40})nicht\b|\bkommt nicht von\b|\bnicht wahr\b|\boder nicht\b|\bnichts? (?:anderes|weiter)\b"
    r"|\b(?:mehr|weiter|sonst) nichts?\b|\bmehr wird das nicht\b|\bnie (?:eine|einen|was)? ?(?:vergessen|ausgelassen|verpasst)\b"
    r"|\bohne (?:befund|dass|was|sauerstoff|o2|brille|belastung|gehhilfe|begleitung|rezept|probleme|pause|anlass|grund|unterbrechung|hilfe)\b|\bnoch nicht\b|\bnicht wieder\b|\bnie(?:mals)? (?:richtig|wieder so)\b",
    re.IGNORECASE,
)
_UNCERTAIN = re.compile(
    r"\b(?:verdacht|verdächtig|v\. ?a\b|möglich(?:erweise)?|eventuell|vermutlich|wahrscheinlich|womöglich|könnte[n]?|fraglich|unklar|"
    r"am ehesten|a\. ?e\b|denkbar|nicht (?:ganz )?(?:sicher|ausgeschlossen|auszuschließen)|spricht (?:eher |am ehesten )?für|"
    r"hinweis(?:e)? auf|differen[tz]ialdiagnos\w*|weiß (?:ich )?nicht|schwer zu sagen)\b",
    re.IGNORECASE,
)
_HISTORICAL = re.compile(
    r"\b(?:zustand nach|z\. ?n\b|früher(?:e[rnms]?)?|damals|seinerzeit|ehemalig\w*|ehemals|als kind|als jugendliche[r]?|in der kindheit|"
    r"als junge[rn]? \w+|vor (?:\w+ )?(?:\w+|\d+) jahren|vor (?:einem|\d+) jahr|vor jahren|(?:vor)?letzte?[nrms]? (?:jahr|sommer|winter|herbst|frühjahr|frühling)|voriges jahr|vorigen (?:sommer|winter|herbst)|(?:19|20)[0-2]\d|"
    r"seit (?:\w+|\d+) jahren nicht mehr|da war ich (?:noch )?(?:\w+|\d+)|als ich (?:noch )?(?:\w+|\d+) war|ein jahr nach|aufgehört|mal gehabt|(?:schon )?(?:ein)?mal operiert|in der vergangenheit|vorgeschichte)\b",
    re.IGNORECASE,
)
_OWN = re.compile(r"\b(?:ich|mir|mich|mein(?:e[nmrs]?)? (?:kopf|bauch|bein|arm|knie|rücken|herz))\b", re.IGNORECASE)


def of(clause: str) -> Polarity:
    """The polarity of one clause, from its own words alone."""
    if is_about_family(clause):
        return "family"
    if is_negated(clause):
        return "negated"
    if _UNCERTAIN.search(clause):
        return "uncertain"
    if _HISTORICAL.search(clause):
        return "historical"
    return "affirmed"


def is_negated(clause: str) -> bool:
    """Whether a negation stands in the clause that is not part of a phrase which negates nothing."""
    return _NEGATION.search(_NOT_NEGATING.sub(" ", clause)) is not None


def is_uncertain(clause: str) -> bool:
    """Whether the clause is hedged."""
    return _UNCERTAIN.search(clause) is not None


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
