"""`pipeline.segments`: segments by number."""

import pytest

from pipeline import segments


def test_segments_are_found_by_their_number() -> None:
    spoken = tuple(
        segments.Segment(number=n, source="d", speaker="doctor", text="x" * n, start=0, end=n) for n in range(1, 4)
    )
    transcript = segments.Transcript(segments=spoken)
    assert [transcript.segment(number) for number in (1, 2, 3)] == list(spoken)
    for number in (0, 4, -1):
        with pytest.raises(KeyError):
            transcript.segment(number)
