"""`terminology.german.vocabulary`: exact places, the longest term, and no hit lost to the prefilter."""

import functools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation import cases
from terminology import tables
from terminology.german import vocabulary

LEXICONS = ["symptoms", "findings", "body_parts", "actions", "assessment_cues", "relatives"]


@functools.cache
def transcripts() -> tuple[str, ...]:
    """The bundled transcripts."""
    return tuple(case.transcript for case in cases.bundled())


@functools.cache
def compiled(name: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    """Every term of a lexicon as a plain regular expression."""
    column = next(iter(tables.rows(f"german/{name}")[0]))
    return tuple(
        (
            re.compile(row[column] if row["is_regex"] == "J" else re.escape(row[column].lower()), re.IGNORECASE),
            row[column],
        )
        for row in tables.rows(f"german/{name}")
    )


def places(name: str, text: str) -> set[tuple[int, int]]:
    """Where plain search finds any term: the longest at each place, from left to right."""
    lowered = "".join(char.lower() if len(char.lower()) == 1 else char for char in text)
    found: dict[int, int] = {}
    for pattern, _term in compiled(name):
        for match in pattern.finditer(lowered):
            if match.end() > match.start():
                found[match.start()] = max(match.end(), found.get(match.start(), 0))
    chosen: set[tuple[int, int]] = set()
    last = 0
    for start, end in sorted(found.items()):
        if start >= last:
            chosen.add((start, end))
            last = end
    return chosen


@pytest.mark.parametrize("name", LEXICONS)
def test_the_prefilter_loses_nothing_in_the_bundled_transcripts(name: str) -> None:
    for text in transcripts()[:6]:
        for line in text.splitlines():
            assert {(hit.start, hit.end) for hit in vocabulary.lexicon(name).find(line)} == places(name, line), line


@given(st.data())
def test_the_prefilter_loses_nothing_in_random_slices(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(transcripts()))
    start = data.draw(st.integers(0, len(text)))
    piece = text[start : start + data.draw(st.integers(0, 60))]
    name = data.draw(st.sampled_from(LEXICONS))
    assert {(hit.start, hit.end) for hit in vocabulary.lexicon(name).find(piece)} == places(name, piece)


@given(st.sampled_from(LEXICONS), st.text(max_size=60))
def test_hits_are_exact_ordered_and_apart(name: str, noise: str) -> None:
    text = f"{noise} Fieber, Husten und Bauchschmerzen {noise} Knie {noise} nicht ausgeschlossen, meine Mutter {noise}"
    last = 0
    for hit in vocabulary.lexicon(name).find(text):
        assert text[hit.start : hit.end] == hit.text
        assert last <= hit.start < hit.end
        last = hit.end


def test_the_longest_term_wins() -> None:
    lexicon = vocabulary.Lexicon([{"t": "bauch"}, {"t": "bauchschmerz"}, {"t": "schmerz"}], "t")
    assert [hit.text for hit in lexicon.find("Bauchschmerzen und Bauch")] == ["Bauchschmerz", "Bauch"]


def test_whole_words_only_where_wanted() -> None:
    rows = [{"t": "ass"}, {"t": "hb"}]
    whole = vocabulary.Lexicon(rows, "t", whole_words=True)
    assert whole.find("Wasser lassen, Halbzeit, HbA1c") == []
    assert [hit.text for hit in whole.find("ASS 100, Hb: 13")] == ["ASS", "Hb"]
    assert [hit.text for hit in vocabulary.Lexicon(rows, "t").find("Wasser")] == ["ass"]


def test_letters_whose_lower_case_is_longer_keep_the_places() -> None:
    lexicon = vocabulary.Lexicon([{"t": "fieber"}], "t")
    text = "İİİ Fieber"
    (hit,) = lexicon.find(text)
    assert text[hit.start : hit.end] == "Fieber"


def test_an_empty_table_finds_nothing() -> None:
    assert vocabulary.Lexicon([], "t").find("Fieber") == []


@pytest.mark.parametrize("sentence", ["Guten Morgen!", "Danke, auf Wiedersehen.", "Tschüss.", "Schönen Tag noch."])
def test_small_talk(sentence: str) -> None:
    assert vocabulary.is_small_talk(sentence)


@pytest.mark.parametrize("sentence", ["Ich habe Husten.", "Guten Morgen, ich habe Fieber.", "Blutdruck 140/90.", ""])
def test_no_small_talk(sentence: str) -> None:
    assert not vocabulary.is_small_talk(sentence)
