"""`terminology.german.literals`: a pattern never matches a text without one of its words."""

import functools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation import cases
from terminology import tables
from terminology.german import literals


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        (r"fieber", {"fieber"}),
        (r"\bfieber\w*\b", {"fieber"}),
        (r"(?:husten|schnupfen)", {"husten", "schnupfen"}),
        (r"ich habe (?:husten|schnupfen)", {"ich habe "}),
        (r"a(?:fieber)+b", {"fieber"}),
        (r"schmerz(?:en|t)?", {"schmerz"}),
    ],
)
def test_words_that_must_stand(pattern: str, words: set[str]) -> None:
    assert literals.required(pattern) == frozenset(words)


@pytest.mark.parametrize("pattern", [r"\d+", r"ab", r"(?:fieber)?", r"(?:fieber|\d)", r".*", r"[abc]{5}", r""])
def test_unknown_where_nothing_must_stand(pattern: str) -> None:
    assert literals.required(pattern) is None


def patterns() -> list[str]:
    """Every regular expression of the word lists, in lower case as the lexicons take them."""
    names = ["symptoms", "findings", "body_parts", "actions", "assessment_cues", "relatives"]
    rows = [row for name in names for row in tables.rows(f"german/{name}")]
    return [next(iter(row.values())) for row in rows if row["is_regex"] == "J"]


def test_lower_case_does_not_change_what_a_pattern_means() -> None:
    """The lexicon takes the words of the lowered pattern: an anchor such as a capital A would turn into a letter."""
    assert [pattern for pattern in patterns() if re.search(r"\\[AZNU]|\(\?P", pattern)] == []


@functools.cache
def lines() -> tuple[str, ...]:
    """The lines of the bundled transcripts in lower case."""
    return tuple(line for case in cases.bundled() for line in case.transcript.lower().splitlines())


@given(st.sampled_from(patterns()), st.data())
def test_no_match_without_a_required_word(pattern: str, data: st.DataObject) -> None:
    words = literals.required(pattern.lower())
    text = data.draw(st.sampled_from(lines()))
    for match in re.finditer(pattern, text, re.IGNORECASE):
        assert words is None or any(word in match.group() for word in words)


@given(st.from_regex(r"[a-z]{1,4}(\|[a-z]{1,4}){0,2}", fullmatch=True), st.text(alphabet="abcxyz", max_size=8))
def test_alternatives(pattern: str, text: str) -> None:
    words = literals.required(pattern)
    if re.search(pattern, text) and words is not None:
        assert any(word in text for word in words)
