"""Reading the events of an answer while they come, within bounds, and ending it as soon as it is of no use.

The stream is server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from pipeline.engines import base, thinking, watch

_LONGEST_EVENT = 1_048_576  # bytes
_DONE = b"[DONE]"
_LINE_END = re.compile(rb"\r\n|\n|\r")

#: Where servers put thoughts: llama.cpp, LM Studio, SGLang and older vLLM in the first, vLLM since 0.11 in the second.
THOUGHTS = ("reasoning_content", "reasoning")
TAGS = "tags"

#: What an answer's end means that is not `stop`.
_ENDS: dict[str | None, tuple[base.Kind, str]] = {
    "length": ("truncated", "The answer did not come to its end within its tokens."),
    "content_filter": ("refused", "The server's filter ended the answer."),
    "tool_calls": ("invalid", "The model called a tool that nobody offered."),
    "function_call": ("invalid", "The model called a tool that nobody offered."),
    None: ("truncated", "The answer broke off."),
}

#: What an error inside the stream means, by its type.
_ERRORS: dict[str, base.Kind] = {"exceed_context_size_error": "refused", "invalid_request_error": "refused"}


class Changed(base.Failure):
    """Another model answers than the one that passed the canary: the answer is thrown away."""

    def __init__(self) -> None:
        super().__init__("unavailable", "Another model answered than the one that passed the canary.")


@dataclass(frozen=True, slots=True)
class Stamp:
    """Who an answer says it is from; None where it does not say."""

    model: str | None = None
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """The characters of an answer and of thoughts, after which it is cut."""

    answer: int
    thoughts: int


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, as the server counted them, or estimated where it did not."""

    prompt: int | None = None
    answer: int | None = None
    shared: int | None = None
    thoughts: int | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Said:
    """A finished answer. `thoughts` says where they stood, None where there were none; times are of time.monotonic."""

    text: str
    thoughts: str | None
    thought_characters: int
    usage: Usage
    stamp: Stamp
    begun: float
    first: float
    ended: float
    pieces: int

    @property
    def tokens(self) -> int:
        """All tokens that were decoded, thoughts among them."""
        return self.usage.answer if self.usage.answer is not None else _estimate(self)

    @property
    def thinking_tokens(self) -> int:
        """The tokens of the thoughts; where the server does not count them, their share of the characters."""
        if self.usage.thoughts is not None:
            return min(self.usage.thoughts, self.tokens)
        everything = self.thought_characters + len(self.text)
        return round(self.tokens * self.thought_characters / everything) if everything else 0


def _estimate(said: Said) -> int:
    return max(said.pieces, (said.thought_characters + len(said.text)) // 4)


async def read(chunks: AsyncIterator[bytes], limits: Limits, stamp: Stamp, begun: float) -> Said:
    """The answer. `stamp` is whom it must be from. Raises base.Failure as soon as it can be of no use."""
    frames, reading = _Frames(), _Reading(limits, stamp, begun)
    async for chunk in chunks:
        for data in frames.feed(chunk):
            if data == _DONE:
                return reading.end()
            reading.take(_event(data))
    for data in frames.end():
        if data != _DONE:
            reading.take(_event(data))
    return reading.end()


# --- the framing --------------------------------------------------------------------------------------------------


def _broken(text: str) -> base.Failure:
    return base.Failure("unavailable", f"The model server's stream is broken: {text}.")


class _Frames:
    """Bytes, cut anywhere, into the data of events."""

    def __init__(self) -> None:
        self._rest = bytearray()  # of a line that has no end yet
        self._data: list[bytes] = []
        self._held = 0  # bytes of `_data`, with a line's end for each

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of the events that are whole now."""
        had_return = self._rest.endswith(b"\r")
        self._rest += chunk
        if len(self._rest) > _LONGEST_EVENT + len(chunk):
            raise _broken("an event has no end")
        if not had_return and _LINE_END.search(chunk) is None:
            return []
        held = b"\r" if self._rest.endswith(b"\r") else b""  # the line feed may be the next byte
        *lines, rest = _LINE_END.split(bytes(self._rest.removesuffix(held)))
        self._rest = bytearray(rest + held)
        return [data for line in lines if (data := self._line(line)) is not None]

    def end(self) -> list[bytes]:
        """The data of a last event that no empty line ends."""
        self._line(bytes(self._rest.removesuffix(b"\r")))
        return [b"\n".join(self._data)] if self._data else []

    def _line(self, line: bytes) -> bytes | None:
        name, _, value = line.partition(b":")
        if not line and self._data:
            data, self._data, self._held = b"\n".join(self._data), [], 0
            return data
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
            self._held += len(self._data[-1]) + 1
            if self._held > _LONGEST_EVENT:
                raise _broken("an event has no end")
        elif name == b"error":  # llama.cpp before 2025
            raise base.Failure("unavailable", "The model server ended the answer with an error.")
        return None


def _event(data: bytes) -> dict[str, Any]:
    try:
        event = json.loads(data.decode())
    except UnicodeDecodeError:
        raise _broken("bytes that are no UTF-8") from None
    except (ValueError, RecursionError):
        raise _broken("an event that is no JSON") from None
    if not isinstance(event, dict):
        raise _broken("an event that is no object")
    return event


# --- the answer ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Reading:
    limits: Limits
    stamp: Stamp
    begun: float
    first: float | None = None
    text: list[str] = field(default_factory=list)
    length: int = 0
    thought: int = 0
    thoughts: str | None = None
    pieces: int = 0
    finish: str | None = None
    usage: Usage = field(default_factory=Usage)
    watches: tuple[watch.Watch, watch.Watch] = field(default_factory=lambda: (watch.Watch(), watch.Watch()))

    def take(self, event: dict[str, Any]) -> None:
        """One event more."""
        if event.get("error"):
            raise self._error(event["error"])
        self._compare(event)
        usage = event.get("usage")
        if isinstance(usage, dict):
            self.usage = _usage(usage)
        choices = event.get("choices")
        if choices is None and usage is not None:
            return
        if not isinstance(choices, list):
            raise _broken("an event without choices")
        if len(choices) > 1:
            raise self._failure("invalid", "The server gave several answers where one was asked for.")
        for choice in choices:
            self._choice(choice)

    def _choice(self, choice: object) -> None:
        delta = choice.get("delta", {}) if isinstance(choice, dict) else None
        if not isinstance(choice, dict) or not isinstance(delta, dict) or "message" in choice:
            raise _broken("a choice that is no part of an answer")
        if choice.get("index", 0) != 0:
            raise self._failure("invalid", "The server gave several answers where one was asked for.")
        if delta.get("tool_calls") or delta.get("function_call"):
            raise self._failure(*_ENDS["tool_calls"])
        for name in THOUGHTS:
            if piece := self._piece(delta, name):
                self._think(piece, name)
        if piece := self._piece(delta, "content"):
            self._say(piece)
        finish = choice.get("finish_reason")
        if finish is not None:
            if not isinstance(finish, str):
                raise _broken("an end that is no word")
            if self.finish not in (None, finish):
                raise self._failure("invalid", "The server ended the answer twice, for two reasons.")
            self.finish = finish

    def _piece(self, delta: dict[str, Any], name: str) -> str:
        piece = delta.get(name) or ""
        if not isinstance(piece, str):
            raise _broken("a text that is no text")
        if piece:
            if self.finish is not None:
                raise self._failure("invalid", "The server went on after the end of the answer.")
            self.first = self.first or time.monotonic()
            self.pieces += 1
        return piece

    def _think(self, piece: str, name: str) -> None:
        self.thoughts = name
        self.thought += len(piece)
        self._watch(1, piece)
        if self.thought > self.limits.thoughts:
            raise self._failure("truncated", "The model thought for too long.")

    def _say(self, piece: str) -> None:
        self.text.append(piece)
        self.length += len(piece)
        self._watch(0, piece)
        is_json = "".join(self.text[:8]).lstrip()[:1] in ("{", "[")
        if self.length > self.limits.answer + (0 if is_json else self.limits.thoughts):
            raise self._failure("truncated", "The answer is longer than its schema allows and was cut.")

    def _watch(self, number: int, piece: str) -> None:
        repeated = self.watches[number].feed(piece)
        if repeated is not None:
            raise self._failure("loop", f"The model repeated itself ({repeated}) and was cut.")

    def _compare(self, event: dict[str, Any]) -> None:
        told = Stamp(_word(event.get("model")), _word(event.get("system_fingerprint")))
        for name in ("model", "fingerprint"):
            now, before = getattr(told, name), getattr(self.stamp, name)
            if None not in (now, before) and now != before:
                raise Changed
        self.stamp = Stamp(self.stamp.model or told.model, self.stamp.fingerprint or told.fingerprint)

    def _error(self, error: object) -> base.Failure:
        kind = _ERRORS.get(str(error.get("type")), "unavailable") if isinstance(error, dict) else "unavailable"
        return self._failure(kind, "The model server ended the answer with an error.")

    def _failure(self, kind: base.Kind, text: str) -> base.Failure:
        thought = self.thought + thinking.split("".join(self.text)).thought
        everything = self.thought + self.length
        counted = self.usage.answer
        tokens = counted if counted is not None else max(self.pieces, everything // 4)
        told = self.usage.thoughts
        thoughts = told if told is not None else round(tokens * thought / everything) if everything else 0
        return base.Failure(kind, text, tokens=tokens, thinking_tokens=min(thoughts, tokens))

    def end(self) -> Said:
        """The whole answer, its thoughts taken off."""
        if self.finish != "stop":
            raise self._failure(*_ENDS.get(self.finish, ("truncated", "The answer ended for an unknown reason.")))
        split = thinking.split(_joined(self.text))
        if not split.text.strip():
            text = "The model thought and gave no answer." if self.thought or split.thought else "The answer is empty."
            raise self._failure("empty", text)
        ended = time.monotonic()
        return Said(
            text=split.text,
            thoughts=self.thoughts or (TAGS if split.thought else None),
            thought_characters=self.thought + split.thought,
            usage=self.usage,
            stamp=self.stamp,
            begun=self.begun,
            first=self.first or ended,
            ended=ended,
            pieces=self.pieces,
        )


def _joined(pieces: list[str]) -> str:
    """The text; a character beyond U+FFFF may have come as two escapes in two events."""
    text = "".join(pieces).encode("utf-16", "surrogatepass")
    try:
        return text.decode("utf-16")
    except UnicodeDecodeError:
        raise base.Failure("invalid", "The answer holds half a character.") from None


def _word(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _usage(usage: dict[str, Any]) -> Usage:
    return Usage(
        prompt=_count(usage, "prompt_tokens"),
        answer=_count(usage, "completion_tokens"),
        shared=_count(usage.get("prompt_tokens_details"), "cached_tokens"),
        thoughts=_count(usage.get("completion_tokens_details"), "reasoning_tokens"),
    )


def _count(where: object, name: str) -> int | None:
    count = where.get(name) if isinstance(where, dict) else None
    return count if type(count) is int and 0 <= count < 2**31 else None
