"""What the words around a number say of it: a limit, what a span of time tells, per what it is, and whether it is old.

"höchstens 3 g" is no 3 g, "0,1 µg pro Kilo" no 0,1 µg, and the 12 of "war 12, jetzt 8" no value of today.
"""

from __future__ import annotations

import functools
import re
from typing import Literal, get_args

from terminology import tables

#: How a number is a limit: at most, at least, less than it, more than it.
Bound = Literal["", "most", "least", "below", "above"]
#: What a span of time says: how long it has lasted, how long ago, when to come, how long for, how often.
Role = Literal["", "since", "ago", "in", "for", "every"]

_NEAR = 45  # characters before a number in which the words stand that say what it is for
_NUMBER = r"\d+(?:[.,]\d+)*"

_HEDGE = r"(?:eine[mnrs]?|etwa|circa|ca\.|ungefähr|gut|knapp|so|über|fast|rund|mindestens|wenigstens|höchstens|maximal|bestimmt|schon|frühestens|spätestens|mehr\s+als|weniger\s+als|unter|bis\s+zu)"
_ABOUT = rf"(?:{_HEDGE}\s+){{0,2}}$"
_LASTED = (
    r"ging|gingen|geht\s+immer|dauerte|dauerten|dauern|dauert\s+immer|dauert\s+jeweils|hielt|hielten|anhielt|anhielten"
)
_ROLES: tuple[tuple[re.Pattern[str], Role], ...] = (
    (re.compile(rf"\bseit\s+{_ABOUT}", re.IGNORECASE), "since"),
    (re.compile(rf"\bvor\s+{_ABOUT}", re.IGNORECASE), "ago"),
    (re.compile(rf"\b(?:in|nach)\s+{_ABOUT}", re.IGNORECASE), "in"),
    (re.compile(rf"\b(?:für|über)\s+{_ABOUT}", re.IGNORECASE), "for"),
    (re.compile(r"\b(?:alle|jede|jeden)\s+$", re.IGNORECASE), "every"),
    (re.compile(rf"\b(?:{_LASTED})\b[^.,;:?!\d]{{0,20}}$", re.IGNORECASE), "for"),
)
_LASTS = re.compile(r"\s+(?:lang|gedauert|angedauert|angehalten|gegangen|anhaltend)\b", re.IGNORECASE)

_OLD_BEFORE = re.compile(
    r"\b(?:statt|anstatt|anstelle(?:\s+von)?|nicht(?:\s+mehr)?)\s+(?:den|die|der)?\s*$", re.IGNORECASE
)
_CHANGED = re.compile(rf"[^.;?!]{{0,25}}?\s+auf\s+{_NUMBER}", re.IGNORECASE)
_CHANGED_NEXT = re.compile(
    rf"\s*(?:mg|µg|g|ml|IE|Tropfen|Tabletten?)?\s+auf\s+{_NUMBER}(?!\s*(?:x|mal)\b)", re.IGNORECASE
)
_FROM = re.compile(r"\bvon\s+(?:derzeit\s+|bisher\s+)?$", re.IGNORECASE)
_EARLIER = r"(?:war|waren|lag|lagen|hatte|hatten|bisher|bislang|zuvor|vorher|davor|früher|damals|anfangs|zuerst|zunächst|gestern)"
_NOW = r"(?:jetzt|aktuell|inzwischen|mittlerweile|nun|nunmehr|heute|künftig|ab\s+(?:morgen|heute|sofort|jetzt)|neu)"
_WAS = re.compile(rf"\b{_EARLIER}\b[^.;?!]*$", re.IGNORECASE)
_IS_NOW = re.compile(rf"\b{_NOW}\b", re.IGNORECASE)
_THEN_NOW = re.compile(
    rf"[^.;?!\d]{{0,30}}\b{_NOW}\b[^.,;?!\d]{{0,25}}\d+(?:[.,]\d+)*(?!\s*(?:tag|woche|monat|jahr|stund|minut|uhr|x\b|mal\b|\d))",
    re.IGNORECASE,
)
_THEN_NOW_FIRST = re.compile(
    rf"\b{_NOW}\b[^.;?!\d]{{0,25}}{_NUMBER}[^.;?!\d]{{0,25}}\b{_EARLIER}\b[^.,;?!\d]{{0,20}}$", re.IGNORECASE
)

_PER = re.compile(
    r"(?:\s*(?:/|\b(?:pro|je|per)\b)\s*(?:kg|kilo(?:gramm)?|min(?:ute)?|h|stunde|std)\b\.?(?:\s+(?:körpergewicht|kg)\b)?){1,3}",
    re.IGNORECASE,
)
_PER_WHAT = re.compile(r"(?<![a-zäöüß])(kg|kilo|min|h|stunde|std)", re.IGNORECASE)
_PER_NAMES = {"kilo": "kg", "stunde": "h", "std": "h"}

_FILLER = r"(?:am\s+tag|pro\s+tag|täglich|in\s+der\s+woche|pro\s+woche|am|etwa|circa|ca\.|ungefähr|insgesamt|auf|von|bei|so|je|mal|die|den|dem|der|einer?|einem|zu|wert\w*)"
_SMALL = r"(?:etwa|circa|ca\.|ungefähr|einem|einen|die|den|dem|der|zum|einschließlich|nächsten|kommenden|wert\w*|von|spätestens|maximal|höchstens)"
_BEHIND_GAP = r"\s*,?\s*(?:(?:am|pro|den)\s+tag|täglich|(?:pro|die|in\s+der)\s+woche)?\s*[,–(-]?\s*"


@functools.cache
def _bounds() -> tuple[re.Pattern[str], re.Pattern[str], dict[str, Bound]]:
    """The patterns of a limit before a number and behind it, and what each of their words says."""
    meant: dict[str, Bound] = {}
    places: dict[str, list[str]] = {"apart": [], "next": [], "behind": []}
    behind_it = [{**row, "place": "behind"} for row in tables.rows("german/bounds_behind")]
    for row in (*tables.rows("german/bounds"), *behind_it):
        meant[row["words"]] = next(bound for bound in get_args(Bound) if bound == row["bound"])
        places[row["place"]].append(re.escape(row["words"]).replace(r"\ ", r"\s+"))
    apart, close, behind = ("|".join(sorted(words, key=len, reverse=True)) for words in places.values())
    before = re.compile(
        rf"(?<!\w)(?:(?P<apart>{apart})\.?\s+(?:{_FILLER}\s+){{0,3}}|(?P<close>{close})\s*(?<!\w)(?:{_SMALL}\s+){{0,2}})$",
        re.IGNORECASE,
    )
    after = re.compile(rf"{_BEHIND_GAP}(?<!\w)(?P<behind>{behind})\b(?!\.?\s+(?:\w+\.?\s+){{0,2}}\w*\d)", re.IGNORECASE)
    return before, after, meant


def bound(text: str, start: int, end: int) -> Bound:
    """How what stands at `start` to `end` is a limit; "" where it is none."""
    before, after, meant = _bounds()
    found = before.search(text[max(0, start - _NEAR) : start])
    if found is None:
        found = after.match(text[end : end + _NEAR])
    if found is None:
        return ""
    words = next(words for words in found.groups() if words is not None)
    return meant[re.sub(r"\s+", " ", words.lower())]


def per(text: str, end: int) -> frozenset[str]:
    """Per what a dose is that ends at `end`: "pro Kilo pro Minute" is kg and min."""
    tail = _PER.match(text, end)
    found = _PER_WHAT.findall(tail[0]) if tail else ()
    return frozenset(_PER_NAMES.get(what.lower(), what.lower()) for what in found)


def role(text: str, start: int, end: int) -> Role:
    """What a span of time at `start` to `end` says."""
    before = text[max(0, start - _NEAR) : start]
    found: Role = next((role for pattern, role in _ROLES if pattern.search(before)), "")
    return "for" if not found and _LASTS.match(text, end) else found


def is_old(text: str, start: int, end: int) -> bool:
    """Whether the sentence itself puts another value in the place of this one."""
    before = text[max(0, start - _NEAR) : start]
    if _OLD_BEFORE.search(before) or _CHANGED_NEXT.match(text, end):
        return True
    if _FROM.search(before) and _CHANGED.match(text, end):
        return True
    was = _WAS.search(before)
    if was is not None and not _IS_NOW.search(was[0]) and _THEN_NOW.match(text, end):
        return True
    return _THEN_NOW_FIRST.search(text[max(0, start - 2 * _NEAR) : start]) is not None
