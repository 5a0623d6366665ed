"""A model server as an engine, over real sockets: what is sent, the canary, and who answers."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator

import pytest

from pipeline.engines import base, options, shapes
from pipeline.engines.openai import capabilities, engine, wire
from tests import hostile_model, says, support
from tests.integration import model_server


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "PAUSES", (0.01, 0.02))


@pytest.fixture
def server() -> Iterator[hostile_model.Hostile]:
    with hostile_model.running(says.answer(model_server.HONEST)) as running:
        yield running


# --- the honest way -----------------------------------------------------------------------------------------------


def test_an_answer(server: hostile_model.Hostile) -> None:
    server.script = says.answer(model_server.HONEST, usage={"prompt_tokens": 40, "completion_tokens": 9,
                                               "prompt_tokens_details": {"cached_tokens": 30}})  # fmt: skip
    found = model_server.answer(server.url)
    assert found.value == model_server.HONEST
    assert (found.prompt_tokens, found.tokens, found.shared_tokens, found.thinking_tokens) == (40, 9, 30, 0)
    assert (found.mode, found.finish, found.is_closed) == ("remote", "stop", False)
    assert found.prefill_seconds >= 0 <= found.decode_seconds


def test_what_is_sent(server: hostile_model.Hostile) -> None:
    model_server.run(server.url, lambda made: made.answer(model_server.request(fault="Das Alter stimmt nicht.")))
    (sent,) = server.asked
    assert sent.path == "/v1/chat/completions"
    assert sent.schema == model_server.SHAPE.json_schema
    assert sent.json["response_format"]["json_schema"]["strict"] is True
    assert (sent.json["model"], sent.json["temperature"], sent.json["seed"]) == ("boeses-modell", 0, 1)
    assert sent.json["stream"] is True
    assert sent.json["chat_template_kwargs"]["enable_thinking"] is False
    assert [message["role"] for message in sent.json["messages"]] == ["system", "user"]
    assert sent.prompt.startswith("Was wurde gesagt?\n\n")
    assert "Das Alter stimmt nicht." in sent.prompt
    assert sent.headers["accept-encoding"] == "identity"
    assert "authorization" not in sent.headers


def test_the_tokens_are_bounded_by_shape_configuration_and_context(server: hostile_model.Hostile) -> None:
    async def tokens(made: engine.Engine) -> int:
        await made.answer(model_server.request())
        return int(server.asked[-1].json["max_tokens"])

    assert model_server.run(server.url, tokens) == 2 * model_server.SHAPE.max_bytes + 256
    assert model_server.run(server.url, tokens, max_tokens=100) == 100
    assert 400 < model_server.run(server.url, tokens, context=600) < 600
    server.persona = hostile_model.llama_cpp(context=550)
    assert model_server.run(server.url, tokens) < 550


def test_a_prompt_that_leaves_no_room_is_not_sent(server: hostile_model.Hostile) -> None:
    found: base.Failure = model_server.run(
        server.url, lambda made: model_server.failure(made, user="Wort " * 2000), context=1024
    )
    assert found.kind == "refused"
    assert not server.asked


def test_a_schema_without_bounds_is_not_sent(server: hostile_model.Hostile) -> None:
    unbounded = shapes.Shape(json_schema={"type": "string"})
    asked = base.Request(stage="scribe", system="", user="", shape=unbounded, seconds=5)

    async def scenario(made: engine.Engine) -> None:
        with pytest.raises(base.Failure) as raised:
            await made.answer(asked)
        assert raised.value.kind == "refused"

    model_server.run(server.url, scenario)
    assert not server.asked


def test_what_is_told_before_the_server_was_seen() -> None:
    made = engine.Engine("klein", options.OpenAI(engine="openai", url="http://127.0.0.1:1/v1"))
    assert (made.state, made.identity.model, made.parallel) == ("unknown", "unknown", 2)
    assert made.report.has_passed is False


# --- the canary ---------------------------------------------------------------------------------------------------


def test_nothing_is_sent_before_the_canary_passed(server: hostile_model.Hostile) -> None:
    async def scenario(made: engine.Engine) -> None:
        assert made.state == "available"
        await made.answer(model_server.request())
        await made.answer(model_server.request())

    model_server.run(server.url, scenario)
    kinds = [sent.is_canary for sent in server.requests if sent.method == "POST"]
    assert kinds == [True, False, False]


@pytest.mark.parametrize(
    "canary",
    [
        says.text("Morgen wird es sonnig."),
        says.text('{"wort":"sonnig","belege":[{"segment":1}]}'),
        says.text("{}"),
        says.text(""),
        says.status(200, b"<html>Bitte anmelden</html>", "text/html"),
        says.status(200, b'{"choices":[{"message":{"content":"{}"},"finish_reason":"stop"}]}'),
        says.events(b'data: {"error":{"message":"x","type":"server_error"}}\n\n'),
        says.endless(lambda number: f"Satz {number * 7919} "),
    ],
)
def test_a_200_that_ignores_the_schema_disables_the_endpoint(
    server: hostile_model.Hostile, canary: hostile_model.Behaviour
) -> None:
    server.canary = canary

    async def scenario(made: engine.Engine) -> None:
        assert made.state == "disabled"
        assert "does not hold its model to a JSON schema" in made.reason
        for _ in range(2):
            assert (await model_server.failure(made)).kind == "disabled"

    model_server.run(server.url, scenario)
    assert not server.asked
    assert len(server.canaries) == len(capabilities.FORMS)  # each was tried once, and not again for the requests


@pytest.mark.parametrize("form", capabilities.FORMS)
def test_the_form_that_a_server_knows_is_found(server: hostile_model.Hostile, form: str) -> None:
    known = {"json_schema": lambda sent: sent["response_format"]["type"] == "json_schema",
             "json_object": lambda sent: sent["response_format"]["type"] == "json_object",
             "structured_outputs": lambda sent: bool(sent["structured_outputs"])}[form]  # fmt: skip

    def canary(exchange: hostile_model.Exchange) -> None:
        try:
            is_known = known(exchange.request.json)
        except KeyError:
            is_known = False
        (hostile_model.valid if is_known else says.text("Sonnig."))(exchange)

    server.canary = canary
    made_with: capabilities.Capabilities = model_server.run(server.url, lambda made: _capabilities(made))
    assert made_with.form == form
    assert known(server.asked[-1].json)


async def _capabilities(made: engine.Engine) -> capabilities.Capabilities | None:
    await made.answer(model_server.request())
    return made.capabilities


def test_a_strict_server_gets_only_the_fields_that_it_knows(server: hostile_model.Hostile) -> None:
    known = {"model", "messages", "stream", "temperature", "max_tokens", "response_format", "seed", "stream_options"}

    def canary(exchange: hostile_model.Exchange) -> None:
        (hostile_model.valid if exchange.request.json.keys() <= known else says.status(422))(exchange)

    server.canary = canary
    made_with: capabilities.Capabilities = model_server.run(server.url, lambda made: _capabilities(made))
    assert made_with.fields == ("seed", "stream_options")
    assert server.asked[-1].json.keys() == known


def test_a_server_that_refuses_everything_is_disabled(server: hostile_model.Hostile) -> None:
    server.canary = says.status(400)
    found = model_server.failing(server.url)
    assert (found.kind, "HTTP 400" in found.text) == ("disabled", True)
    assert len(server.canaries) == len(capabilities.FORMS) * len(capabilities.SETS)


def test_a_disabled_endpoint_is_tried_again_after_a_while(
    server: hostile_model.Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.canary = says.text("Sonnig.")

    async def scenario(made: engine.Engine) -> None:
        assert made.state == "disabled"
        server.canary = hostile_model.valid
        assert (await model_server.failure(made)).kind == "disabled"
        monkeypatch.setattr(made, "_not_before", 0.0)
        assert (await made.answer(model_server.request())).value == model_server.HONEST
        assert (made.state, made.reason) == ("available", "The schema canary passed.")

    model_server.run(server.url, scenario)


def test_the_pause_doubles_up_to_its_end(server: hostile_model.Hostile) -> None:
    server.canary = says.text("Sonnig.")

    async def scenario(made: engine.Engine) -> list[float]:
        pauses = [made._pause]
        for _ in range(5):
            made._not_before = 0.0
            await model_server.failure(made)
            pauses.append(made._pause)
        return pauses

    assert model_server.run(server.url, scenario) == [60, 120, 240, 480, 600, 600]


def test_a_disabled_endpoint_is_tried_at_once_when_it_is_another(server: hostile_model.Hostile) -> None:
    server.canary = says.text("Sonnig.")

    async def scenario(made: engine.Engine) -> None:
        assert made.state == "disabled"
        server.canary, server.persona = hostile_model.valid, hostile_model.Persona(model="besseres-modell")
        assert (await made.answer(model_server.request())).value == model_server.HONEST
        assert made.identity.model == "besseres-modell"

    model_server.run(server.url, scenario)


# --- who answers --------------------------------------------------------------------------------------------------


def other_file(persona: hostile_model.Persona) -> hostile_model.Persona:
    props = persona.pages["/props"][1] | {"model_path": "/models/other.gguf"}
    return dataclasses.replace(persona, pages=persona.pages | {"/props": (200, props)})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (hostile_model.Persona(), hostile_model.Persona(model="other")),
        (hostile_model.llama_cpp(), hostile_model.llama_cpp(process="p2")),
        (hostile_model.llama_cpp(), other_file(hostile_model.llama_cpp())),
        (hostile_model.llama_cpp(), hostile_model.vllm()),
        (hostile_model.vllm(), hostile_model.vllm(context=2048)),
    ],
    ids=["model", "process", "file", "product", "context"],
)
def test_another_identity_passes_the_canary_before_anything_is_sent(
    before: hostile_model.Persona, after: hostile_model.Persona
) -> None:
    with hostile_model.running(says.answer(model_server.HONEST), persona=before) as server:

        async def scenario(made: engine.Engine) -> None:
            await made.answer(model_server.request())
            await made.answer(model_server.request())
            assert len(server.canaries) == 1
            server.persona = after
            await made.answer(model_server.request())
            assert len(server.canaries) == 2
            assert made.identity.model == after.model
            server.persona, server.canary = before, says.text("Sonnig.")
            assert (await model_server.failure(made)).kind == "disabled"

        model_server.run(server.url, scenario)
        assert len(server.asked) == 3


def test_an_answer_from_another_model_is_thrown_away(server: hostile_model.Hostile) -> None:
    """Its pages say nothing new; only the answers do."""

    def other(exchange: hostile_model.Exchange) -> None:
        exchange.begin()
        exchange.event({"content": hostile_model.compact(model_server.HONEST)}, system_fingerprint="fp-2")
        exchange.end()

    server.script = [other, says.answer(model_server.HONEST)]

    async def scenario(made: engine.Engine) -> None:
        found = await model_server.failure(made)
        assert (found.kind, made.state) == ("unavailable", "unknown")
        await made.answer(model_server.request())
        assert len(server.canaries) == 2

    model_server.run(server.url, scenario)


def test_the_only_model_is_taken_and_a_choice_must_be_made(server: hostile_model.Hostile) -> None:
    server.persona = hostile_model.Persona(others=("zweites",))
    assert "lists 2 models" in model_server.failing(server.url).text
    assert "does not list the model" in model_server.failing(server.url, model="drittes").text
    model_server.answer(server.url, model="boeses-modell")
    assert server.asked[-1].json["model"] == "boeses-modell"


def test_after_a_reconnect_the_canary_comes_first(server: hostile_model.Hostile) -> None:
    server.script = [says.cut('{"text":'), says.answer(model_server.HONEST)]

    async def scenario(made: engine.Engine) -> None:
        assert ((await model_server.failure(made)).kind, made.state) == ("unavailable", "down")
        await made.answer(model_server.request())
        assert made.state == "available"

    model_server.run(server.url, scenario)
    assert [sent.is_canary for sent in server.requests if sent.method == "POST"] == [True, False, True, False]


def test_a_server_that_was_started_anew_passes_the_canary_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_RESTART_SECONDS", 0.0)
    with hostile_model.running(says.answer(model_server.HONEST)) as first:

        async def scenario(made: engine.Engine) -> None:
            await made.answer(model_server.request())
            await asyncio.to_thread(first.drop)
            await made.answer(model_server.request())

        model_server.run(first.url, scenario)
        assert len(first.canaries) == 2


def test_a_server_that_comes_later() -> None:
    port = support.free_port()

    async def scenario(made: engine.Engine) -> None:
        assert made.state == "down"
        assert (await model_server.failure(made)).kind == "unavailable"
        with hostile_model.running(says.answer(model_server.HONEST), port=port):
            assert (await made.answer(model_server.request())).value == model_server.HONEST
            assert made.state == "available"
        assert (await model_server.failure(made)).kind == "unavailable"
        assert made.state == "down"
        with hostile_model.running(says.answer(model_server.HONEST), port=port) as again:
            await made.answer(model_server.request())
            assert len(again.canaries) == 1

    model_server.run(f"http://127.0.0.1:{port}/v1", scenario)


def test_a_start_does_not_wait_for_ever(server: hostile_model.Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_START_SECONDS", 0.3)
    server.canary = says.stalls

    async def scenario(made: engine.Engine) -> None:
        assert made.state == "unknown"
        server.canary = hostile_model.valid
        assert (await made.answer(model_server.request())).value == model_server.HONEST

    model_server.run(server.url, scenario)


def test_a_server_that_loads_its_model(server: hostile_model.Hostile) -> None:
    server.persona = hostile_model.Persona(pages={"/v1/models": (503, {"error": {"message": "Loading model"}})})

    async def scenario(made: engine.Engine) -> None:
        assert (made.state, "busy or loads its model" in made.reason) == ("down", True)
        assert not server.canaries
        server.persona = hostile_model.Persona()
        assert (await made.answer(model_server.request())).value == model_server.HONEST

    model_server.run(server.url, scenario)


def test_a_server_without_a_list_of_models(server: hostile_model.Hostile) -> None:
    server.persona = hostile_model.Persona(pages={"/v1/models": (404, {})})
    assert "name one as model" in model_server.failing(server.url).text
    assert model_server.answer(server.url, model="eins").value == model_server.HONEST
    assert server.asked[-1].json["model"] == "eins"


def test_a_request_that_is_forbidden_disables_until_another_try(server: hostile_model.Hostile) -> None:
    server.script = [says.status(403), says.answer(model_server.HONEST)]

    async def scenario(made: engine.Engine) -> None:
        assert (await model_server.failure(made)).kind == "disabled"
        assert (made.state, "check key_file" in made.reason) == ("disabled", True)
        assert (await model_server.failure(made)).kind == "disabled"
        assert len(server.asked) == 1
        made._not_before = 0.0
        assert (await made.answer(model_server.request())).value == model_server.HONEST
        assert len(server.canaries) == 2

    model_server.run(server.url, scenario)


def test_probe(server: hostile_model.Hostile) -> None:
    server.persona = hostile_model.llama_cpp()
    configured = options.OpenAI(engine="openai", url=server.url)
    found = asyncio.run(engine.probe("klein", configured))
    assert (found.is_reachable, found.has_passed, found.reason) == (True, True, "The schema canary passed.")
    assert (found.server, found.model, found.build) == ("llama.cpp", "boeses-modell", "b9999-abc")
    assert (found.context, found.slots, found.form, found.thoughts) == (4096, 2, "json_schema", None)
    server.canary = says.text("Sonnig.")
    found = asyncio.run(engine.probe("klein", configured))
    assert (found.is_reachable, found.has_passed) == (True, False)
    assert "The answer is no JSON of the schema" in found.reason
    gone = asyncio.run(engine.probe("klein", options.OpenAI(engine="openai", url="http://127.0.0.1:1")))
    assert (gone.is_reachable, gone.has_passed, gone.state) == (False, False, "down")
