"""A hostile model server over real sockets: nothing false in form comes through, nothing goes elsewhere."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.engines import base, house
from pipeline.engines.openai import engine, wire
from tests import falsehoods, hostile_model, says
from tests.integration import model_server
from tests.unit.mllp.helpers import Certificates

LONG = says.text("{" + " " * 20 + '"text":"' + "Ein langer Satz. " * 8, finish=None)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "PAUSES", (0.01, 0.02))


@pytest.fixture
def server() -> Iterator[hostile_model.Hostile]:
    with hostile_model.running(says.answer(model_server.HONEST)) as running:
        yield running


# --- hostile answers ----------------------------------------------------------------------------------------------

RAW_OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        (says.text("Gern! " + hostile_model.compact(model_server.HONEST)), "invalid"),
        (says.text(hostile_model.compact(model_server.HONEST) * 2), "invalid"),
        (says.text(hostile_model.compact(model_server.HONEST) + " Gern geschehen."), "invalid"),
        (says.text("```json\n" + hostile_model.compact(model_server.HONEST) + "\n```"), "invalid"),
        (says.text(hostile_model.compact(model_server.HONEST)[:-5]), "invalid"),
        (says.text(hostile_model.compact(model_server.HONEST)[:-5], finish="length"), "truncated"),
        (says.text('{"text":"a","text":"b","belege":[]}'), "invalid"),
        (says.text('{"text":"a","belege":[{"segment":' + "9" * 5000 + ',"zitat":"a"}]}'), "loop"),
        (says.text('{"text":"a","belege":[{"segment":' + str(7**1500) + ',"zitat":"a"}]}'), "invalid"),
        (says.text('{"text":"a","belege":[{"segment":1e999,"zitat":"a"}]}'), "invalid"),
        (says.text('{"text":"a","belege":[{"segment":NaN,"zitat":"a"}]}'), "invalid"),
        (says.answer(falsehoods.wrong_segments(model_server.HONEST)), "invalid"),
        (says.answer(model_server.HONEST | {"noch": 1}), "invalid"),
        (says.text("[" * 500), "loop"),
        (says.answer(model_server.HONEST, finish=None), "truncated"),
        (says.answer(model_server.HONEST, finish="content_filter"), "refused"),
        (says.deltas(({"tool_calls": [{"index": 0, "function": {"name": "x"}}]}, "tool_calls")), "invalid"),
        (says.text(""), "empty"),
        (says.deltas((None, None)), "truncated"),
        (says.endless(lambda _number: "Tag "), "loop"),
        (says.endless(lambda _number: "Hm. ", "reasoning_content"), "loop"),
        (says.endless(lambda number: f"{number * 7919} "), "truncated"),
        (says.endless(lambda number: f"{number * 7919} ", "reasoning"), "truncated"),
        (says.thinks("Endlos.", ""), "empty"),
        (says.status(200, b"<html>Fehler</html>", "text/html"), "unavailable"),
        (says.status(200, b'{"choices":[{"message":{"content":"{}"},"finish_reason":"stop"}]}'), "unavailable"),
        (says.events(b"data: {}\n\n", content_type="application/json"), "unavailable"),
        (says.events(gzip.compress(b" " * 10_000_000), content_encoding="gzip"), "unavailable"),
        (says.events(b'data: {"choices":[{"delta":{"content":"\xc3"}}]}\n\n'), "unavailable"),
        (says.events(b'data: {"error":{"message":"x","type":"server_error"}}\n\n'), "unavailable"),
        (says.status(500), "unavailable"),
        (says.status(503), "unavailable"),
        (says.status(400), "refused"),
        (says.status(413), "refused"),
        (says.status(401), "disabled"),
        (says.status(404), "disabled"),
        (says.cut(), "unavailable"),
        (says.cut('{"text":'), "unavailable"),
        (says.raw(b"nonsense\r\n\r\n"), "unavailable"),
        (says.raw(b"HTTP/1.1 200 OK\r\n", *[b"X-%d: %s\r\n" % (n, b"y" * 1000) for n in range(500)]), "unavailable"),
        (says.raw(RAW_OK + b"Content-Length: 9999\r\n\r\ndata: "), "unavailable"),
        (says.raw(RAW_OK + b"Transfer-Encoding: chunked\r\n\r\nzzz\r\n"), "unavailable"),
        (says.raw(RAW_OK + b"\r\n", *[b"x" * 65_536] * 20), "unavailable"),
    ],
)  # fmt: skip
def test_a_hostile_answer_is_a_failure(
    server: hostile_model.Hostile, behaviour: hostile_model.Behaviour, kind: base.Kind
) -> None:
    server.script = behaviour
    found = model_server.failing(server.url)
    assert found.kind == kind
    assert found.text.endswith((".", ")."))
    for word in ("Übelkeit", "Was wurde gesagt", "Gern", "Endlos", "Fehler"):
        assert word not in found.text


@pytest.mark.parametrize(
    "twist",
    [falsehoods.changed_ages, falsehoods.swapped_drugs, falsehoods.flipped_negations, falsehoods.invented_words],
)
def test_a_falsehood_of_the_right_shape_is_left_to_the_gate(
    server: hostile_model.Hostile, twist: Callable[[Any], Any]
) -> None:
    said = {"text": "48-jährig, Ramipril, keine Allergie", "belege": []}
    server.script = says.made(lambda _request: said, twist)
    found = model_server.answer(server.url)
    assert found.value != said
    assert found.value.keys() == said.keys()


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", None])
def test_thoughts_are_counted_and_stripped(server: hostile_model.Hostile, field: str | None) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 100}
    server.script = says.thinks(
        "Der Patient klagt über etwas. " * 2, hostile_model.compact(model_server.HONEST), field, usage
    )
    found = model_server.answer(server.url)
    assert found.value == model_server.HONEST
    assert 20 < found.thinking_tokens < found.tokens == 100


def test_a_model_that_thinks_gets_tokens_for_it(server: hostile_model.Hostile) -> None:
    def canary(exchange: hostile_model.Exchange) -> None:
        value = hostile_model.value_of(exchange.request.schema)
        says.thinks("Hm.", hostile_model.compact(value), "reasoning_content")(exchange)

    server.canary = canary

    async def scenario(made: engine.Engine) -> str | None:
        await made.answer(model_server.request())
        return made.report.thoughts

    assert model_server.run(server.url, scenario, max_tokens=100_000) == "reasoning_content"
    assert server.asked[-1].json["max_tokens"] == 2 * model_server.SHAPE.max_bytes + 256 + 2048


def test_an_answer_that_is_cut_ends_the_connection_at_once(server: hostile_model.Hostile) -> None:
    server.script = [says.endless(lambda _number: "Tag "), says.answer(model_server.HONEST)]

    async def scenario(made: engine.Engine) -> None:
        assert (await model_server.failure(made)).kind == "loop"
        while not server.hung_up:
            await asyncio.sleep(0.01)
        assert (await made.answer(model_server.request())).value == model_server.HONEST

    model_server.run(server.url, scenario)


# --- time ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("behaviour", [says.drips(), says.stalls, says.silent])
def test_the_deadline_ends_a_slow_answer(server: hostile_model.Hostile, behaviour: hostile_model.Behaviour) -> None:
    server.script = behaviour

    async def scenario(made: engine.Engine) -> None:
        assert (await model_server.failure(made, seconds=1.0)).kind == "timeout"
        while not server.hung_up:
            await asyncio.sleep(0.01)

    model_server.run(server.url, scenario)


@pytest.mark.parametrize("behaviour", [says.stalls, says.silent])
def test_a_server_that_is_silent_too_long(server: hostile_model.Hostile, behaviour: hostile_model.Behaviour) -> None:
    server.script = behaviour
    assert model_server.failing(server.url, read_seconds=0.3).kind == "timeout"


def test_a_cancelled_request_ends_its_connection(server: hostile_model.Hostile) -> None:
    server.script = [says.stalls, says.answer(model_server.HONEST)]

    async def scenario(made: engine.Engine) -> None:
        asked = asyncio.create_task(made.answer(model_server.request()))
        while not server.asked:
            await asyncio.sleep(0.01)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        while not server.hung_up:
            await asyncio.sleep(0.01)
        assert (await made.answer(model_server.request())).value == model_server.HONEST

    model_server.run(server.url, scenario)


def test_never_more_connections_than_slots(server: hostile_model.Hostile) -> None:
    async def scenario(made: engine.Engine) -> None:
        answers = await asyncio.gather(*(made.answer(model_server.request(f"Frage {number}")) for number in range(9)))
        assert all(found.value == model_server.HONEST for found in answers)

    model_server.run(server.url, scenario, parallel=2)
    assert server.most <= 2
    assert len(server.asked) == 9


# --- what is sent again -------------------------------------------------------------------------------------------


def put_off(times: int, **headers: str) -> list[hostile_model.Behaviour]:
    return [says.status(503, **headers)] * times + [says.answer(model_server.HONEST)]


def test_what_nobody_answered_is_sent_again(server: hostile_model.Hostile) -> None:
    server.script = [says.cut(), says.cut(), says.answer(model_server.HONEST)]
    assert model_server.answer(server.url).value == model_server.HONEST
    assert len(server.asked) == 3


def test_what_was_put_off_is_sent_again(server: hostile_model.Hostile) -> None:
    server.script = [says.status(503), says.status(429, Retry_After="0"), says.answer(model_server.HONEST)]
    assert model_server.answer(server.url).value == model_server.HONEST
    assert len(server.asked) == 3


def test_what_nobody_answered_is_sent_again_only_once_the_canary_has_passed(server: hostile_model.Hostile) -> None:
    server.script = [says.cut(), says.answer(model_server.HONEST)]
    model_server.answer(server.url)
    assert [sent.is_canary for sent in server.requests if sent.method == "POST"] == [True, False, True, False]


def test_what_was_put_off_goes_over_the_same_connection(server: hostile_model.Hostile) -> None:
    server.script = put_off(2)

    async def scenario(made: engine.Engine) -> None:
        connections = server.connections
        assert (await made.answer(model_server.request())).value == model_server.HONEST
        assert server.connections == connections

    model_server.run(server.url, scenario)
    assert [sent.is_canary for sent in server.requests if sent.method == "POST"] == [True, False, False, False]


def test_what_was_put_off_is_told_to_nobody_who_did_not_pass_the_canary(server: hostile_model.Hostile) -> None:
    """The server ends the connection; who comes to its place ignores the schema."""

    def restarted(exchange: hostile_model.Exchange) -> None:
        exchange.server.canary = says.text("Sonnig.")
        exchange.status(503, b"{}", Connection="close")
        exchange.close()

    server.script = [restarted, says.answer(model_server.HONEST)]
    assert model_server.failing(server.url).kind == "disabled"
    assert len(server.asked) == 1


def test_a_request_that_waited_goes_over_no_new_connection(
    server: hostile_model.Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at the server and the request its connection ends, and another server may be there."""
    monkeypatch.setattr(engine, "_RESTART_SECONDS", 0.0)
    genuine = engine.Engine._ready
    dropped = []

    async def dropping(*how: Any) -> Any:
        able = await genuine(*how)
        if len(dropped) < 1:
            dropped.append(True)
            await asyncio.to_thread(server.drop)
            await asyncio.sleep(0.05)
        return able

    async def scenario(made: engine.Engine) -> None:
        monkeypatch.setattr(engine.Engine, "_ready", dropping)
        assert (await made.answer(model_server.request())).value == model_server.HONEST

    model_server.run(server.url, scenario)
    assert [sent.is_canary for sent in server.requests if sent.method == "POST"] == [True, True, False]


def test_no_pause_goes_beyond_the_deadline(server: hostile_model.Hostile) -> None:
    server.script = [says.status(503, Retry_After="3600"), says.answer(model_server.HONEST)]
    assert model_server.failing(server.url).kind == "unavailable"
    assert len(server.asked) == 1


@pytest.mark.parametrize("behaviour", [says.cut('{"text":'), says.status(500), says.status(400), says.text("x"), LONG])
def test_what_was_answered_is_not_sent_again(server: hostile_model.Hostile, behaviour: hostile_model.Behaviour) -> None:
    server.script = [behaviour, says.answer(model_server.HONEST)]
    model_server.failing(server.url)
    assert len(server.asked) == 1


# --- nothing goes elsewhere ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(server: hostile_model.Hostile, status: int) -> None:
    with hostile_model.elsewhere() as (port, was_contacted):
        to = f"http://127.0.0.1:{port}/v1/chat/completions"
        server.script = says.status(status, Location=to)
        assert model_server.failing(server.url).kind == "disabled"
        server.canary = says.status(status, Location=to)
        assert model_server.failing(server.url).kind == "disabled"
        server.persona = hostile_model.Persona(pages={"/v1/models": (status, {})})
        assert model_server.failing(server.url).kind == "disabled"
        assert not was_contacted()


def test_a_name_that_leads_elsewhere_when_it_counts(
    server: hostile_model.Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name was looked up and was in the house; the connection is made by another look-up."""

    async def none(*_how: object) -> None:
        return None

    monkeypatch.setattr(house, "stranger", none)
    monkeypatch.setattr(house, "is_inside", lambda address, _networks: address != "127.0.0.1")
    found = model_server.failing(server.url)
    assert (found.kind, found.text.startswith("127.0.0.1 is no address of the house")) == ("disabled", True)
    assert server.requests == []


@pytest.mark.parametrize("behaviour", [says.cut(), says.status(503, Connection="close")])
def test_a_name_that_leads_elsewhere_when_a_request_is_sent_again(
    server: hostile_model.Hostile, monkeypatch: pytest.MonkeyPatch, behaviour: hostile_model.Behaviour
) -> None:
    async def none(*_how: object) -> None:
        return None

    def leading_elsewhere(exchange: hostile_model.Exchange) -> None:
        monkeypatch.setattr(house, "stranger", none)
        monkeypatch.setattr(house, "is_inside", lambda *_how: False)
        behaviour(exchange)
        exchange.close()

    server.script = [leading_elsewhere, says.answer(model_server.HONEST)]
    assert model_server.failing(server.url).kind == "disabled"
    assert len(server.asked) == 1
    assert server.requests[-1].prompt == server.asked[0].prompt


def test_no_proxy_of_the_environment_is_used(server: hostile_model.Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    with hostile_model.elsewhere() as (port, was_contacted):
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
            monkeypatch.setenv(name.lower(), f"http://127.0.0.1:{port}")
        assert model_server.answer(server.url).value == model_server.HONEST
        assert not was_contacted()


def test_the_key_is_read_for_every_request(server: hostile_model.Hostile, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("first\n", "ascii")

    async def scenario(made: engine.Engine) -> None:
        await made.answer(model_server.request())
        key.write_text("second\n", "ascii")
        await made.answer(model_server.request())
        key.unlink()
        assert (await model_server.failure(made)).kind == "disabled"

    model_server.run(server.url, scenario, key_file=key)
    assert [sent.headers["authorization"] for sent in server.asked] == ["Bearer first", "Bearer second"]
    assert all("authorization" in sent.headers for sent in server.requests)


def test_a_refused_key_disables_with_the_reason(server: hostile_model.Hostile) -> None:
    server.persona = hostile_model.Persona(pages={"/v1/models": (401, {})})
    assert "check key_file" in model_server.failing(server.url).text
    assert not server.canaries


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Of this module."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.mark.parametrize(
    ("name", "ca", "is_trusted"),
    [("server", "ca", True), ("server", "other_ca", False), ("server", None, False), ("elsewhere", "ca", False)],
)
def test_tls_with_authorities_of_ones_own(
    certificates: Certificates, name: str, ca: str | None, is_trusted: bool
) -> None:
    files = certificates.pem(name), certificates.key(name)
    with hostile_model.running(says.answer(model_server.HONEST), certificate=files) as server:
        trust = {"ca": certificates.pem(ca)} if ca else {}
        if is_trusted:
            assert model_server.answer(server.url, **trust).value == model_server.HONEST
            return
        found = model_server.failing(server.url, **trust)
        assert (found.kind, "certificate is not trusted" in found.text) == ("disabled", True)
        assert not server.requests
