"""The numbered pieces of what was said, which every statement rests on."""

from __future__ import annotations

from typing import Literal

from pipeline.clinical import Clinical

Speaker = Literal["doctor", "patient", "relative", "nurse", "unknown"]


class Segment(Clinical):
    """One utterance.

    `number` counts from 1 over all sources of the encounter. `start` and `end` are character offsets of `text` in the
    source's decoded text; `start_ms` and `end_ms` are milliseconds of its recording where the source gives them.
    `confidence` is the recogniser's, 0 to 1. `speaker_inferred` is true when no label named the speaker.
    """

    number: int
    source: str
    speaker: Speaker
    text: str
    start: int
    end: int
    start_ms: int | None = None
    end_ms: int | None = None
    confidence: float | None = None
    speaker_inferred: bool = False


class Transcript(Clinical):
    """All segments of an encounter, in order, and why a source could not be read."""

    segments: tuple[Segment, ...]
    unread: tuple[str, ...] = ()

    @property
    def length(self) -> int:
        """Characters of the transcript from its first to its last word, speaker labels among them."""
        ends: dict[str, tuple[int, int]] = {}
        for segment in self.segments:
            first, _last = ends.get(segment.source, (segment.start, 0))
            ends[segment.source] = (first, segment.end)
        return sum(last - first for first, last in ends.values())

    def segment(self, number: int) -> Segment:
        """The segment with this number; KeyError when there is none."""
        if not 1 <= number <= len(self.segments):
            raise KeyError(number)
        return self.segments[number - 1]
