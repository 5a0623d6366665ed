"""Quotes: whether a run of words stands in a segment, and whether the speaker let it stand."""

from __future__ import annotations

import difflib
import functools
import re
from dataclasses import dataclass
from typing import Literal

from pipeline import results, segments
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
    nothing but what the speaker took back.
    """
    found: dict[int, Cited] = {}
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
        text = repaired(segment.text)
        if item.segment in found and quoted not in found[item.segment].quoted:
            quoted = f"{found[item.segment].quoted} {quoted}"
        found[item.segment] = Cited(text, segment.speaker, quoted)
    return tuple(found[number] for number in sorted(found)) or "evidence"


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
    spans = [span for span in _sentences(text) if span.start < end and span.end > start]
    return repaired(text[spans[0].start : spans[-1].end]) if spans else ""


@functools.lru_cache(maxsize=4096)
def _sentences(text: str) -> tuple[sentences.Span, ...]:
    return tuple(sentences.split(text))


@functools.lru_cache(maxsize=4096)
def repaired(text: str) -> str:
    """A segment's text without what the speaker took back."""
    return repair.repair(text)


@functools.lru_cache(maxsize=4096)
def _taken_back(text: str) -> tuple[tuple[int, int], ...]:
    """The places of the words of `text` that the speaker took back."""
    words = list(_WORD.finditer(text))
    kept = _WORD.findall(repaired(text))
    if len(words) == len(kept):
        return ()
    matcher = difflib.SequenceMatcher(
        a=[word[0].lower() for word in words], b=[word.lower() for word in kept], autojunk=False
    )
    gone: list[tuple[int, int]] = []
    for operation, first, last, _, _ in matcher.get_opcodes():
        if operation in ("delete", "replace"):
            gone += [(word.start(), word.end()) for word in words[first:last]]
    return tuple(gone)


@functools.lru_cache(maxsize=4096)
def _stands(text: str, start: int, end: int) -> bool:
    """Whether at least one word between `start` and `end` was let stand."""
    gone = _taken_back(text)
    if not gone:
        return any(char.isalnum() for char in text[start:end])
    return any((word.start() + start, word.end() + start) not in gone for word in _WORD.finditer(text[start:end]))


def forget() -> None:
    """Drop what is remembered of the texts of earlier runs."""
    for cache in (repaired, _sentences, _taken_back, _stands):
        cache.cache_clear()
