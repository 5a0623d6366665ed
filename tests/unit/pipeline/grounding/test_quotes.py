"""`pipeline.grounding.quotes`: a quote is a run of whole words, and one that the speaker let stand."""

import pytest

from pipeline import results, segments
from pipeline.grounding import gate, quotes

SAID = "Der Blutdruck ist hundertfünfzig, nein, hundertsechzig zu neunzig. Ich nehme Ramipril 5 mg."


@pytest.mark.parametrize(
    ("quote", "found"),
    [
        ("Ramipril 5 mg", True), ("Ramipril 5 mg.", True), ("ramipril 5 mg", False), ("Ramipril  5 mg", False),
        ("amipril 5", False), ("Ramipril 5 m", False), ("", False), (".", False), (", ", False), (SAID, True),
        ("neunzig. Ich", True), ("5", True), ("Ibuprofen", False),
    ],
)  # fmt: skip
def test_a_quote_is_a_verbatim_run_of_whole_words(quote: str, found: bool) -> None:
    place = quotes.locate(SAID, quote)
    assert (place is not None) == found
    if place is not None:
        assert SAID[place[0] : place[1]] == quote


def test_a_quote_is_found_at_its_first_whole_place() -> None:
    assert quotes.locate("Knieschmerz im Knie", "Knie") == (15, 19)


def fault_of(text: str, start: int | None, end: int | None, *, number: int = 1) -> str | None:
    """The check that a statement fails which quotes this place of `SAID`."""
    transcript = segments.Transcript(
        segments=(segments.Segment(number=1, source="d", speaker="doctor", text=SAID, start=0, end=len(SAID)),)
    )
    evidence = (results.Evidence(segment=number, start=start, end=end),)
    found = gate.fault(
        results.Statement(id="s1", section="O", text=text, polarity="affirmed", evidence=evidence), transcript
    )
    return found.check if found else None


def test_what_the_quote_does_not_touch_is_not_carried() -> None:
    start, end = quotes.locate(SAID, "Ramipril 5 mg") or (0, 0)
    assert fault_of("Ramipril 5 mg.", start, end) is None
    assert fault_of("Blutdruck 160/90 mmHg.", start, end) == "quote"
    assert fault_of("Blutdruck 160/90 mmHg.", *(quotes.locate(SAID, "zu neunzig") or (0, 0))) is None


def test_what_was_taken_back_cannot_be_quoted() -> None:
    assert fault_of("Blutdruck 160/90 mmHg.", *(quotes.locate(SAID, "hundertfünfzig") or (0, 0))) == "quote"
    assert fault_of("Blutdruck 160/90 mmHg.", *(quotes.locate(SAID, "hundertsechzig") or (0, 0))) is None


@pytest.mark.parametrize(("start", "end"), [(-1, 4), (4, 4), (9, 2), (0, 10_000), (0, None), (None, 5)])
def test_a_place_outside_the_segment_is_no_quote(start: int | None, end: int | None) -> None:
    assert fault_of("Blutdruck 160/90 mmHg.", start, end) == "quote"


@pytest.mark.parametrize("number", [0, -1, 2, 999_999])
def test_a_segment_that_is_not_there_is_no_evidence(number: int) -> None:
    assert fault_of("Blutdruck 160/90 mmHg.", 0, 5, number=number) == "evidence"


def cited(*turns: tuple[segments.Speaker, str], numbers: tuple[int, ...]) -> list[str] | str:
    """The texts of these segments of a talk as they are cited."""
    transcript = segments.Transcript(
        segments=tuple(
            segments.Segment(number=n, source="d", speaker=speaker, text=text, start=0, end=len(text))
            for n, (speaker, text) in enumerate(turns, start=1)
        )
    )
    evidence = tuple(results.Evidence(segment=number) for number in numbers)
    statement = results.Statement(id="s1", section="P", text="-", polarity="affirmed", evidence=evidence)
    found = quotes.cited(statement, transcript)
    return found if isinstance(found, str) else [item.text for item in found]


ORDERED: tuple[tuple[segments.Speaker, str], ...] = (
    ("doctor", "Morphin zehn Milligramm."),
    ("nurse", "10 Milligramm?"),
    ("doctor", "Ach nein, fünf. Und Sauerstoff."),
)


@pytest.mark.parametrize(
    ("numbers", "texts"),
    [
        ((1, 2, 3), ["Morphin fünf Milligramm. Und Sauerstoff.", "", ""]),
        ((1, 3), ["Morphin fünf Milligramm. Und Sauerstoff.", ""]),
        ((1,), ["Morphin Milligramm."]),
        ((3,), ["fünf. Und Sauerstoff."]),
        ((2,), "quote"),
    ],
)
def test_what_a_later_turn_takes_back_is_gone(numbers: tuple[int, ...], texts: list[str] | str) -> None:
    assert cited(*ORDERED, numbers=numbers) == texts


def test_a_chain_of_corrections_leaves_the_last() -> None:
    turns: tuple[tuple[segments.Speaker, str], ...] = (
        ORDERED[0],
        ("doctor", "Halt, fünf."),
        ("doctor", "Ach nein, drei."),
    )
    assert cited(*turns, numbers=(1, 2, 3))[0] == "Morphin drei Milligramm."
    assert "zehn" not in str(cited(*turns, numbers=(1, 2))) and "fünf" not in str(cited(*turns, numbers=(1, 2)))


def test_an_answer_takes_nothing_back() -> None:
    turns: tuple[tuple[segments.Speaker, str], ...] = (
        ("patient", "Seit drei Tagen hab ich Husten."),
        ("doctor", "Haben Sie Fieber?"),
        ("patient", "Nein, vor zwei Tagen."),
    )
    assert cited(*turns, numbers=(1,)) == ["Seit drei Tagen hab ich Husten."]


def test_a_quote_before_the_correction_is_read_as_corrected() -> None:
    said = "Morphin zehn. Halt, fünf Milligramm. Danach Ruhe."
    transcript = segments.Transcript(
        segments=(segments.Segment(number=1, source="d", speaker="doctor", text=said, start=0, end=len(said)),)
    )
    evidence = (results.Evidence(segment=1, start=0, end=7),)
    statement = results.Statement(id="s1", section="P", text="-", polarity="affirmed", evidence=evidence)
    found = quotes.cited(statement, transcript)
    assert not isinstance(found, str)
    assert [item.quoted for item in found] == ["Morphin fünf Milligramm."]
