"""Reading an answer from a stream of events: cut anywhere, bounded everywhere, refused as soon as it is of no use."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from pipeline.engines import base
from pipeline.engines.openai import stream

LIMITS = stream.Limits(answer=400, thoughts=400)
DONE = b"data: [DONE]\n\n"


def event(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return f"data: {json.dumps({'model': 'm', 'choices': choices} | more, ensure_ascii=False)}\n\n".encode()


def says(*pieces: str, finish: str | None = "stop") -> bytes:
    return b"".join(event({"content": piece}) for piece in pieces) + event({}, finish) + DONE


def read(*chunks: bytes, stamp: stream.Stamp = stream.Stamp()) -> stream.Said:  # noqa: B008
    async def pieces() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    return asyncio.run(stream.read(pieces(), LIMITS, stamp, time.monotonic()))


def failure(*chunks: bytes, stamp: stream.Stamp = stream.Stamp()) -> base.Failure:  # noqa: B008
    with pytest.raises(base.Failure) as raised:
        read(*chunks, stamp=stamp)
    return raised.value


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 10_000])
def test_an_answer_cut_anywhere(end: bytes, size: int) -> None:
    data = says('{"a":"Übel', "keit 😀", '"}').replace(b"\n", end)
    assert read(*cut(data, size)).text == '{"a":"Übelkeit 😀"}'


def test_comments_other_fields_and_data_without_a_blank() -> None:
    data = b": a comment\n\nid: 7\nevent: message\nretry: 5\n" + says("ja").replace(b"data: ", b"data:")
    assert read(data).text == "ja"


def test_data_over_several_lines() -> None:
    data = b'data: {"choices": [{"delta":\ndata: {"content": "ja"}, "finish_reason": "stop"}]}\n\n'
    assert read(data + DONE).text == "ja"


def test_a_stream_may_end_without_done_once_there_is_a_reason() -> None:
    assert read(event({"content": "ja"}), event({}, "stop").rstrip()).text == "ja"


def test_what_follows_done_is_not_read() -> None:
    assert read(says("ja") + b"data: rubbish\n\n").text == "ja"


def test_a_character_of_two_escapes_in_two_events() -> None:
    data = b"".join(
        b'data: {"choices":[{"delta":{"content":"' + half + b'"}}]}\n\n' for half in (b"\\ud83d", b"\\ude00")
    )
    assert read(data + event({}, "stop") + DONE).text == "😀"


def test_half_a_character_is_refused() -> None:
    assert failure(b'data: {"choices":[{"delta":{"content":"\\ud83d"},"finish_reason":"stop"}]}\n\n').kind == "invalid"


@pytest.mark.parametrize(
    "data",
    [
        b"data: {\n\n",
        b"data: 7\n\n",
        b'data: {"choices": 7}\n\n',
        b"data: {}\n\n",
        b'data: {"choices": [7]}\n\n',
        b'data: {"choices": [{"delta": 7}]}\n\n',
        b'data: {"choices": [{"delta": {"content": 7}}]}\n\n',
        b'data: {"choices": [{"message": {"content": "ja"}}]}\n\n',
        b'data: {"choices": [{"delta": {}, "finish_reason": 7}]}\n\n',
        b'data: {"choices": [{"delta": {"content": "\xff"}}]}\n\n',
        b"data: " + b"[" * 100_000 + b"\n\n",
        b'data: {"error": {"message": "no", "type": "server_error"}}\n\n',
        b'data: {"error": "no"}\n\n',
        b'error: {"message": "no"}\n\n',
    ],
)
def test_a_broken_stream_is_the_servers_fault(data: bytes) -> None:
    assert failure(data).kind == "unavailable"


@pytest.mark.parametrize(
    "data", [b"data: " + b"x" * 2_000_000, b"x" * 2_000_000, b"data: xxxxxxxx\n" * 200_000, b"data:\n" * 2_000_000]
)
def test_an_event_without_end_is_not_kept(data: bytes) -> None:
    assert failure(*cut(data, 65_536)).kind == "unavailable"


def test_an_error_inside_the_stream_counts_what_was_decoded() -> None:
    data = b'data: {"error": {"type": "exceed_context_size_error"}}\n\n'
    found = failure(event({"content": "a"}), event({"content": "b"}), data)
    assert (found.kind, found.tokens) == ("refused", 2)


@pytest.mark.parametrize(
    ("finish", "kind"),
    [("length", "truncated"), ("content_filter", "refused"), ("tool_calls", "invalid"), ("function_call", "invalid"),
     (None, "truncated"), ("abort", "truncated")],
)  # fmt: skip
def test_only_stop_ends_an_answer(finish: str | None, kind: base.Kind) -> None:
    assert failure(says("{}", finish=finish)).kind == kind


@pytest.mark.parametrize("reasons", [("length", "stop"), ("stop", "length"), ("content_filter", "stop")])
def test_an_answer_does_not_end_for_two_reasons(reasons: tuple[str, str]) -> None:
    ends = [event({}, reason) for reason in reasons]
    assert failure(event({"content": "{}"}), *ends, DONE).kind == "invalid"
    assert read(event({"content": "{}"}), event({}, "stop"), event({}, "stop"), DONE).text == "{}"


def test_an_answer_that_breaks_off() -> None:
    assert failure(event({"content": "{}"})).kind == "truncated"
    assert failure().kind == "truncated"


@pytest.mark.parametrize("pieces", [(), ("",), ("  \n",)])
def test_an_empty_answer(pieces: Sequence[str]) -> None:
    assert failure(says(*pieces)).kind == "empty"


@pytest.mark.parametrize("delta", [{"tool_calls": [{"index": 0}]}, {"function_call": {"name": "x"}}])
def test_tools_that_nobody_offered(delta: dict[str, Any]) -> None:
    assert failure(event(delta)).kind == "invalid"


def test_several_answers() -> None:
    two = b'data: {"choices": [{"index": 0, "delta": {}}, {"index": 1, "delta": {}}]}\n\n'
    second = b'data: {"choices": [{"index": 1, "delta": {"content": "x"}}]}\n\n'
    assert failure(two).kind == failure(second).kind == "invalid"


def test_what_comes_after_the_end_is_a_fault() -> None:
    assert failure(event({"content": "{}"}), event({}, "stop"), event({"content": "{}"})).kind == "invalid"


def test_choices_may_be_empty_and_usage_may_stand_alone() -> None:
    usage = b'data: {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4}}\n\ndata: {"usage": {}}\n\n'
    said = read(event({"content": "ja"}) + event({}, "stop") + usage.split(b"\n\n")[0] + b"\n\n" + DONE)
    assert (said.usage.prompt, said.tokens) == (9, 4)


@pytest.mark.parametrize("count", [-1, 1e9, True, "4", None, 2**40])
def test_counts_that_are_none_are_estimated(count: Any) -> None:
    usage = f'data: {{"choices": [], "usage": {{"completion_tokens": {json.dumps(count)}}}}}\n\n'.encode()
    assert read(event({"content": "a"}), event({"content": "b"}), event({}, "stop"), usage).tokens == 2


# --- bounds -------------------------------------------------------------------------------------------------------


def endless(field: str, first: str = "") -> list[bytes]:
    return [event({field: first})] + [event({field: f"{number:x} w{number * 7919:x} "}) for number in range(1000)]


def test_a_text_without_end_is_cut() -> None:
    found = failure(*endless("content", "{"))
    assert found.kind == "truncated"
    assert 10 < found.tokens < 400


def test_thoughts_without_end_are_cut() -> None:
    for field in stream.THOUGHTS:
        found = failure(*endless(field))
        assert found.kind == "truncated"
        assert 0 < found.thinking_tokens == found.tokens
    found = failure(*endless("content", "<think>"))
    assert (found.kind, found.tokens > 50) == ("truncated", True)
    assert found.thinking_tokens == found.tokens


def test_what_was_thought_in_vain_is_told() -> None:
    usage = {"completion_tokens": 40, "completion_tokens_details": {"reasoning_tokens": 30}}
    found = failure(event({"reasoning": "Hm."}), event({"content": "{"}, usage=usage), event({}, "length"))
    assert (found.kind, found.tokens, found.thinking_tokens) == ("truncated", 40, 30)
    assert failure(event({"content": "{}"}, "length")).thinking_tokens == 0


@pytest.mark.parametrize("field", ["content", *stream.THOUGHTS])
def test_a_loop_is_cut(field: str) -> None:
    found = failure(*[event({field: "ab "}) for _ in range(100)])
    assert found.kind == "loop"
    assert found.tokens < 100


# --- thoughts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", stream.THOUGHTS)
def test_thoughts_in_a_field_of_their_own(field: str) -> None:
    said = read(event({field: "Hm, hm, hm."}), says("{}"))
    assert (said.text, said.thoughts, said.thought_characters) == ("{}", field, 11)
    assert 0 < said.thinking_tokens <= said.tokens


@pytest.mark.parametrize("before", ["<think>Hm.</think>\n", "\n<THINKING>Hm.</THINKING>", "Hm.</think>"])
def test_thoughts_between_tags(before: str) -> None:
    said = read(says(before, "{}"))
    assert (said.text, said.thoughts) == ("{}", stream.TAGS)
    assert said.thinking_tokens > 0


def test_no_thoughts_cost_nothing() -> None:
    said = read(says("{}"))
    assert (said.thoughts, said.thinking_tokens) == (None, 0)


def test_the_servers_count_of_thoughts_wins() -> None:
    usage = {"completion_tokens": 10, "completion_tokens_details": {"reasoning_tokens": 7}}
    said = read(event({"reasoning": "Hm."}), event({"content": "{}"}, usage=usage), event({}, "stop"))
    assert (said.tokens, said.thinking_tokens) == (10, 7)


@pytest.mark.parametrize("data", [says("<think>Hm."), says("<think>Hm.</think>"), event({"reasoning": "Hm."}) + says()])
def test_thoughts_without_an_answer(data: bytes) -> None:
    assert failure(data).kind == "empty"


# --- who answers --------------------------------------------------------------------------------------------------


def test_the_stamp_is_taken_from_the_answer() -> None:
    said = read(event({"content": "ja"}, system_fingerprint="f"), says(""))
    assert said.stamp == stream.Stamp("m", "f")


@pytest.mark.parametrize("stamp", [stream.Stamp("other", None), stream.Stamp("m", "g"), stream.Stamp(None, "g")])
def test_another_model_is_thrown_away_at_once(stamp: stream.Stamp) -> None:
    first = event({"content": "ja"}, system_fingerprint="f")
    assert isinstance(failure(first, b"data: rubbish\n\n", stamp=stamp), stream.Changed)


def test_a_model_that_changes_within_an_answer() -> None:
    assert isinstance(failure(event({"content": "ja"}), event({}, "stop", model="other")), stream.Changed)


def test_no_failure_quotes_the_answer() -> None:
    for data in (says("GEHEIM", finish="length"), event({"content": "GEHEIM"}), says("<think>GEHEIM"),
                 b'data: {"error": {"message": "GEHEIM", "type": "GEHEIM"}}\n\n', b"data: GEHEIM\n\n"):  # fmt: skip
        assert "GEHEIM" not in failure(data).text
    assert "GEHEIM" not in repr(read(says("GEHEIM")))
