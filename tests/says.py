"""What a hostile model server says: behaviours for `hostile_model.running`, each made by a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests import hostile_model


def text(
    said: str, *, chunks: int = 4, finish: str | None = "stop", usage: hostile_model.Json | None = None
) -> hostile_model.Behaviour:
    """Say a text in so many events."""

    def behave(exchange: hostile_model.Exchange) -> None:
        size = max(1, -(-len(said) // chunks))
        exchange.begin()
        exchange.event({"role": "assistant", "content": None})
        for at in range(0, len(said), size):
            exchange.event({"content": said[at : at + size]})
        exchange.end(finish, usage)

    return behave


def answer(value: Any, **how: Any) -> hostile_model.Behaviour:
    """Say a value as JSON."""
    return text(hostile_model.compact(value), **how)


def made(value: Callable[[hostile_model.Request], Any], *twists: Callable[[Any], Any]) -> hostile_model.Behaviour:
    """Say a value that is made from the request and then made false by each of `twists`."""

    def behave(exchange: hostile_model.Exchange) -> None:
        said = value(exchange.request)
        for twist in twists:
            said = twist(said)
        answer(said)(exchange)

    return behave


def events(*datas: bytes, content_type: str = "text/event-stream", **headers: str) -> hostile_model.Behaviour:
    """A stream of these bytes, each sent by itself, and its regular end."""

    def behave(exchange: hostile_model.Exchange) -> None:
        exchange.begin(content_type, **headers)
        for data in datas:
            exchange.send(data)
        exchange.raw(b"0\r\n\r\n")

    return behave


def deltas(*parts: tuple[hostile_model.Json | None, str | None]) -> hostile_model.Behaviour:
    """A stream of these deltas with their finish reasons, then `[DONE]`."""

    def behave(exchange: hostile_model.Exchange) -> None:
        exchange.begin()
        for delta, finish in parts:
            exchange.event(delta, finish)
        exchange.send(b"data: [DONE]\n\n")
        exchange.raw(b"0\r\n\r\n")

    return behave


def thinks(
    thought: str, said: str, field: str | None = None, usage: hostile_model.Json | None = None
) -> hostile_model.Behaviour:
    """Think first: in a field of its own, or between tags in the text."""

    def behave(exchange: hostile_model.Exchange) -> None:
        exchange.begin()
        exchange.event({field: thought} if field else {"content": f"<think>{thought}</think>\n"})
        exchange.event({"content": said})
        exchange.end(usage=usage)

    return behave


def raw(*pieces: bytes) -> hostile_model.Behaviour:
    """Bytes as they are, then the connection ends."""

    def behave(exchange: hostile_model.Exchange) -> None:
        for piece in pieces:
            exchange.raw(piece)
        exchange.close()

    return behave


def status(
    code: int, body: bytes = b'{"error":{}}', content_type: str = "application/json", **headers: str
) -> hostile_model.Behaviour:
    """A response with this status."""
    return lambda exchange: exchange.status(code, body, content_type, **headers)


def cut(said: str = "") -> hostile_model.Behaviour:
    """End the connection: before the status line, or in the middle of the answer after `said`."""

    def behave(exchange: hostile_model.Exchange) -> None:
        if said:
            exchange.begin()
            exchange.event({"content": said})
        exchange.close()

    return behave


def endless(piece: Callable[[int], str], field: str = "content") -> hostile_model.Behaviour:
    """Say pieces until the client hangs up."""

    def behave(exchange: hostile_model.Exchange) -> None:
        exchange.begin()
        for number in range(1_000_000):
            exchange.event({field: piece(number)})

    return behave


def drips(seconds: float = 0.02) -> hostile_model.Behaviour:
    """Say a blank now and then until the client hangs up."""

    def behave(exchange: hostile_model.Exchange) -> None:
        exchange.begin()
        exchange.event({"content": '{"'})
        while True:
            exchange.event({"content": " "})
            exchange.pause(seconds)

    return behave


def silent(exchange: hostile_model.Exchange) -> None:
    """Say nothing."""
    exchange.until_hung_up()


def stalls(exchange: hostile_model.Exchange) -> None:
    """Begin a stream and say nothing more."""
    exchange.begin()
    exchange.event({"role": "assistant"})
    exchange.until_hung_up()
