"""`pipeline.engines.thinking`: thoughts are taken off at the beginning, and nothing else ever is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engines import thinking

JSON = '{"a":"x"}'
TAGS = ("think", "thinking", "reasoning", "thought")


@pytest.mark.parametrize("tag", [*TAGS, "THINK", "Reasoning"])
@pytest.mark.parametrize(
    "thought", ["", "\n\n", "Erst der Husten, dann {Fieber}.", '{"a":"y"}', "a < b > c", "ä" * 500]
)
def test_a_thought_is_taken_off(tag: str, thought: str) -> None:
    said = f"<{tag}>{thought}</{tag}>"
    for between in ("", "\n\n", " "):
        assert thinking.split(said + between + JSON) == thinking.Split(JSON, len(said), False)
    assert thinking.split(" \n" + said + JSON).text == JSON


@pytest.mark.parametrize("tag", TAGS)
def test_a_prompt_that_opened_the_thought(tag: str) -> None:
    assert thinking.split(f"Erst der Husten.</{tag}>\n{JSON}") == thinking.Split(JSON, len(tag) + 19, False)
    assert thinking.split(f"</{tag}>{JSON}") == thinking.Split(JSON, len(tag) + 3, False)


@pytest.mark.parametrize("text", ["<think>Erst der Husten", "<think>", "<think>Husten</thin", f"<think>{JSON}"])
def test_a_thought_without_an_end_leaves_nothing(text: str) -> None:
    assert thinking.split(text) == thinking.Split("", len(text), True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        JSON,
        '{"a":"<think>x</think>"}',
        '{"a":"</think>"}',
        '{"a":"x</THOUGHT>","b":"<reasoning>"}',
        '\n {"a":"</think>"}',
        '{"a":"</think>',
        "Ja, das Kind denkt.",
        "<thinker>a",
    ],
)
def test_without_a_thought_nothing_changes(text: str) -> None:
    assert thinking.split(text) == thinking.Split(text, 0, False)


def test_a_tag_in_the_answer_stays_behind_a_thought() -> None:
    answer = '{"a":"<think>y</think>"}'
    assert thinking.split(f"<think>x</think>{answer}").text == answer


@pytest.mark.parametrize(
    "thoughts",
    [
        "<think><think>a</think>b</think>",
        "<think>a</think><think>b</think>",
        "<think>a</think>\n<reasoning>b</reasoning>",
    ],
)
def test_several_thoughts_are_all_taken_off(thoughts: str) -> None:
    assert thinking.split(thoughts + JSON) == thinking.Split(JSON, len(thoughts), False)


@given(st.text(max_size=60))
def test_what_is_left_stood_at_the_end(text: str) -> None:
    found = thinking.split(text)
    assert text.endswith(found.text) and 0 <= found.thought <= len(text)
    assert not (found.is_open and found.text)


@given(st.text(max_size=30), st.dictionaries(st.text(max_size=4), st.text(max_size=30), max_size=3))
def test_an_object_behind_a_thought_is_whole(thought: str, value: dict[str, str]) -> None:
    text = json.dumps(value, ensure_ascii=False)
    assert thinking.split(text).text == text
    if "<" not in thought:
        assert thinking.split(f"<think>{thought}</think>{text}").text == text
