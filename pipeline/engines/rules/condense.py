"""From many drafts to a note: repeats folded, denials put together, and no longer than a note may be."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from pipeline import results

#: A note is at most this share of what was said, in characters. Source: the aim of the product (at most 60 %).
LENGTH_SHARE = 0.595
#: A short talk is short anyway: below this many characters nothing is left out for length.
SHORT_NOTE = 500


@dataclass(frozen=True, slots=True)
class Draft:
    """A statement before it has its id. When the note grows too long, `short` takes the place of `text`, and then
    `worth` decides what stays; what `is_vital` always stays, as it was said.
    """

    order: int
    section: results.Section
    text: str
    polarity: results.Polarity
    evidence: tuple[results.Evidence, ...]
    worth: float
    short: str = ""
    is_vital: bool = False


_KEY = re.compile(r"[A-Za-zÄÖÜäöüß]{3,}|\d+(?:[.,]\d+)?")


@functools.lru_cache(maxsize=4096)
def _words(text: str) -> frozenset[str]:
    return frozenset(word.lower()[:7] for word in _KEY.findall(text))


def without_repeats(drafts: Iterable[Draft]) -> list[Draft]:
    """A statement whose words all stand in another of the same section and polarity is folded into that one."""
    kept: list[Draft] = []
    for draft in drafts:
        words = _words(draft.text)
        for index, other in enumerate(kept):
            if other.section != draft.section or other.polarity != draft.polarity:
                continue
            others = _words(other.text)
            if words <= others:
                kept[index] = replace(other, evidence=_merged(other.evidence, draft.evidence))
                break
            if others < words and len(draft.text) <= 2 * len(other.text):
                kept[index] = replace(draft, order=other.order, evidence=_merged(other.evidence, draft.evidence))
                break
        else:
            kept.append(draft)
    return kept


_DENIAL = re.compile(r"(?P<topic>[^:]{3,90}): nein\.")
_DENIALS = 4  # denied complaints in one statement at most


def denials_together(drafts: list[Draft]) -> list[Draft]:
    """Complaints that were asked for and denied one after the other stand in one statement."""
    kept: list[Draft] = []
    count = 0
    for draft in drafts:
        match = _DENIAL.fullmatch(draft.text)
        before = kept[-1] if kept else None
        if match is None or draft.polarity != "negated":
            kept.append(draft)
            count = 0
        elif before is None or count in (0, _DENIALS) or before.section != draft.section:
            text = f"Verneint: {match['topic']}."
            kept.append(replace(draft, text=text, short=text))
            count = 1
        else:
            text = f"{before.text.rstrip('.')}; {match['topic']}."
            kept[-1] = replace(
                before,
                text=text,
                short=text,
                worth=before.worth + draft.worth,
                evidence=_merged(before.evidence, draft.evidence),
            )
            count += 1
    return kept


def _merged(left: tuple[results.Evidence, ...], right: tuple[results.Evidence, ...]) -> tuple[results.Evidence, ...]:
    return tuple(dict.fromkeys((*left, *right)))


def within_length(drafts: list[Draft], spoken: int) -> list[Draft]:
    """The most valuable statements that fit; each section keeps at least its best one."""
    limit = max(SHORT_NOTE, int(spoken * LENGTH_SHARE))
    total = sum(len(draft.text) + 1 for draft in drafts)
    kept = {draft.order: draft for draft in drafts}
    for draft in sorted(drafts, key=lambda draft: len(draft.short) - len(draft.text)):
        if total <= limit or len(draft.short) >= len(draft.text):
            break
        if not draft.is_vital:
            kept[draft.order] = replace(draft, text=draft.short)
            total -= len(draft.text) - len(draft.short)
    for draft in sorted(kept.values(), key=lambda draft: draft.worth / (len(draft.text) + 15)):
        if total <= limit:
            break
        if not draft.is_vital and sum(1 for other in kept.values() if other.section == draft.section) > 1:
            del kept[draft.order]
            total -= len(draft.text) + 1
    return list(kept.values())


def forget() -> None:
    """Drop what is remembered of the texts of earlier runs."""
    _words.cache_clear()
