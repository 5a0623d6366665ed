"""Quotes: whether a run of words stands in a segment, and whether the speaker let it stand."""

from __future__ import annotations

import bisect
import functools
import re
import sys
from dataclasses import dataclass, replace
from typing import Literal

from pipeline import results, segments
from pipeline.grounding import corrections
from terminology.german import repair, sentences

_WORD = re.compile(r"\w+")


def locate(segment_text: str, quote: str) -> tuple[int, int] | None:
    """Where `quote` stands in the segment, as (start, end) in characters of `segment_text`; None when it does not.

    A quote is a verbatim run of whole words: case, punctuation and spaces as they are, at least one letter or digit.
    The first place counts where it stands more than once.
    """
    if not any(char.isalnum() for char in quote):
        return None
    start = segment_text.find(quote)
    while start != -1:
        end = start + len(quote)
        if _is_whole(segment_text, start, end):
            return start, end
        start = segment_text.find(quote, start + 1)
    return None


def _is_whole(text: str, start: int, end: int) -> bool:
    """Whether no word is cut at either end."""
    cuts_first = start > 0 and text[start - 1].isalnum() and text[start].isalnum()
    cuts_last = end < len(text) and text[end].isalnum() and text[end - 1].isalnum()
    return not cuts_first and not cuts_last


@dataclass(frozen=True, slots=True)
class Cited:
    """A cited segment: its text without what was taken back, who spoke, and the sentences that are quoted of it."""

    text: str
    speaker: segments.Speaker
    quoted: str


def cited(
    statement: results.Statement, transcript: segments.Transcript
) -> tuple[Cited, ...] | Literal["evidence", "quote"]:
    """The segments that a statement cites, in the order of the talk, or the check that the evidence fails: `evidence`
    when a segment is not there or the record alone is cited, `quote` when a span is no place in its segment or holds
    nothing but what the speaker took back. What a later turn takes back is gone too, whether that turn is cited or not.
    """
    found: dict[int, Cited] = {}
    groups = corrections.across(tuple((segment.speaker, segment.text) for segment in transcript.segments))
    for item in statement.evidence:
        if item.segment is None:
            continue
        try:
            segment = transcript.segment(item.segment)
        except KeyError:
            return "evidence"
        quoted = _quoted(segment.text, item)
        if quoted is None:
            return "quote"
        if item.segment in found and quoted not in found[item.segment].quoted:
            quoted = f"{found[item.segment].quoted} {quoted}"
        found[item.segment] = Cited(repaired(segment.text), segment.speaker, quoted)
    for group in dict.fromkeys(groups[number] for number in found if number in groups):
        _correct(found, group)
    if found and not any(item.text for item in found.values()):
        return "quote"
    return tuple(found[number] for number in sorted(found)) or "evidence"


def _correct(found: dict[int, Cited], group: corrections.Corrected) -> None:
    """Put what stands after a correction in the place of what was said: all of it, where all its turns are cited."""
    texts = dict(zip(group.numbers, group.apart, strict=True))
    if all(number in found for number in group.numbers):
        texts = dict.fromkeys(group.numbers, "") | {group.numbers[0]: group.together}
    for number, text in (dict.fromkeys(group.echoes, "") | texts).items():
        if number in found:
            found[number] = replace(found[number], text=text, quoted=text)


def _quoted(text: str, item: results.Evidence) -> str | None:
    """The quoted sentences without what was taken back; all of the text where no span is given."""
    if item.start is None and item.end is None:
        return repaired(text)
    if item.start is None or item.end is None or not 0 <= item.start < item.end <= len(text):
        return None
    if not _stands(text, item.start, item.end):
        return None
    return _sentences_around(text, item.start, item.end)


def _sentences_around(text: str, start: int, end: int) -> str:
    """The sentences that a place lies in, as they read in the repaired text."""
    spans = [span for span in _sentences(text) if span.start < end and span.end > start]
    if not spans:
        return ""
    begin, stop = spans[0].start, spans[-1].end
    if not _repaired(text).gone:
        return " ".join(text[begin:stop].split())
    kept = _kept(text)
    own = [place for place, at in enumerate(kept) if begin <= at < stop]
    words = [word.start() for word in _WORD.finditer(repaired(text))]
    if not own or len(words) != len(kept):
        return repaired(text)
    first, last = words[own[0]], words[own[-1]]
    return " ".join(span.text for span in _sentences(repaired(text)) if span.end > first and span.start <= last)


@functools.lru_cache(maxsize=4096)
def _sentences(text: str) -> tuple[sentences.Span, ...]:
    return tuple(sentences.split(text))


@functools.lru_cache(maxsize=4096)
def _repaired(text: str) -> repair.Repaired:
    return repair.repaired(text)


def repaired(text: str) -> str:
    """A segment's text without what the speaker took back."""
    return _repaired(text).text


@functools.lru_cache(maxsize=4096)
def _kept(text: str) -> tuple[int, ...]:
    """Where the words of `text` begin that the speaker let stand."""
    gone = _repaired(text).gone
    return tuple(word.start() for word in _WORD.finditer(text) if not _is_in(word.start(), gone))


def _is_in(place: int, gone: tuple[tuple[int, int], ...]) -> bool:
    index = bisect.bisect_right(gone, (place, sys.maxsize)) - 1
    return index >= 0 and place < gone[index][1]


@functools.lru_cache(maxsize=4096)
def _stands(text: str, start: int, end: int) -> bool:
    """Whether at least one word that `start` to `end` holds whole was let stand."""
    words = list(_WORD.finditer(text, start, end))
    gone = _repaired(text).gone
    return any(not _is_in(word.start(), gone) for word in words)


def forget() -> None:
    """Drop what is remembered of the texts of earlier runs."""
    corrections.forget()
    for cache in (_repaired, _sentences, _kept, _stands):
        cache.cache_clear()
