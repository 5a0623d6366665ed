"""The genuine llama.cpp server (xllamacpp) with models that are built here, over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.engines import base, options, shapes
from pipeline.engines.openai import engine
from tests import hostile_model
from tests.integration import model_server

pytest.importorskip("xllamacpp", reason="needs the wheel of the genuine llama.cpp server")
pytest.importorskip("gguf", reason="needs gguf to build models")

from tests import tiny_models

CANNED = '{"text":"Übelkeit seit gestern","belege":[{"segment":2,"zitat":"Guten Tag."}]}'


@pytest.fixture(scope="module")
def at_random(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of a random model whose tokens are whole characters."""
    path = tmp_path_factory.mktemp("models") / "random.gguf"
    with tiny_models.served(tiny_models.random_model(path, vocabulary="characters")) as url:
        yield url


def configured(url: str, key_file: Path | None = None) -> options.OpenAI:
    return options.OpenAI(engine="openai", url=url, key_file=key_file)


async def said(made: engine.Engine, user: str) -> base.Answer | base.Failure:
    try:
        return await made.answer(model_server.request(user))
    except base.Failure as failure:
        return failure


def test_what_is_found_by_probing(at_random: str) -> None:
    found = asyncio.run(engine.probe("klein", configured(f"{at_random}/v1")))
    assert (found.has_passed, found.reason) == (True, "The schema canary passed.")
    assert (found.server, found.context, found.slots, found.form) == ("llama.cpp", 4096, 2, "json_schema")
    assert (found.model or "").endswith("random.gguf")


def test_random_answers_are_of_the_schema(at_random: str) -> None:
    """A random model may loop; that is cut. What it says else is of the schema."""

    async def scenario(made: engine.Engine) -> None:
        found = [await said(made, f"Frage {number}") for number in range(20)]
        assert {one.kind for one in found if isinstance(one, base.Failure)} <= {"loop"}
        answers = [one for one in found if isinstance(one, base.Answer)]
        assert answers
        for one in answers:
            assert shapes.parse(hostile_model.compact(one.value), model_server.SHAPE) == one.value
            assert one.prompt_tokens > 0 < one.tokens
        assert made.capabilities is not None
        assert made.capabilities.counts
        assert made.capabilities.thoughts is None

    model_server.run(at_random, scenario)


def test_the_same_question_has_the_same_answer(at_random: str) -> None:
    async def scenario(made: engine.Engine) -> None:
        first, second = [await made.answer(model_server.request()) for _ in range(2)]
        assert first.value == second.value
        assert first.shared_tokens < second.shared_tokens

    model_server.run(at_random, scenario, parallel=1)


def test_the_canary_comes_once_although_this_server_ends_its_connections(at_random: str) -> None:
    """It ends each connection after a stream; its pages tell that the process is the same."""

    async def scenario(made: engine.Engine) -> None:
        told = made.capabilities
        for number in range(4):
            await said(made, f"Frage {number}")
        assert made.capabilities is told

    model_server.run(at_random, scenario)


def test_three_at_once_on_two_slots(at_random: str) -> None:
    async def scenario(made: engine.Engine) -> None:
        found = await asyncio.gather(*(said(made, f"Zugleich {number}") for number in range(3)))
        assert all(isinstance(one, base.Answer) or one.kind == "loop" for one in found)

    model_server.run(at_random, scenario, parallel=2)


def test_a_cancelled_request_leaves_a_server_that_answers(at_random: str) -> None:
    async def scenario(made: engine.Engine) -> None:
        asked = asyncio.create_task(made.answer(model_server.request("Abbruch")))
        await asyncio.sleep(0.02)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        assert (await said(made, "Danach")).tokens > 0

    model_server.run(at_random, scenario, parallel=1)


def test_a_prompt_that_is_too_long_is_refused_by_the_server(at_random: str) -> None:
    """Each character is a token here, three times as many as are estimated."""

    async def scenario(made: engine.Engine) -> None:
        found = await model_server.failure(made, user="Wort " * 1200)
        assert (found.kind, made.state) == ("refused", "available")
        assert (await model_server.failure(made, user="Wort " * 4000)).kind == "refused"

    model_server.run(at_random, scenario)


def test_a_model_that_says_one_thing(tmp_path: Path) -> None:
    """The canary holds it to the schema, although it has only one thing to say; then it says it, to the byte."""
    with tiny_models.served(tiny_models.canned(tmp_path / "canned.gguf", CANNED)) as url:
        found = model_server.answer(url)
        assert hostile_model.compact(found.value) == CANNED


def test_a_server_that_cannot_hold_its_model_to_a_schema_is_disabled(tmp_path: Path) -> None:
    """Its grammars cannot be made for this vocabulary: 400 for two ways of asking; the third is ignored with a 200."""
    with tiny_models.served(tiny_models.random_model(tmp_path / "spm.gguf", spm=True)) as url:
        found = model_server.failing(url)
        assert found.kind == "disabled"
        assert "HTTP 400" in found.text


def test_a_key(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("geheim\n", "ascii")
    path = tiny_models.random_model(tmp_path / "random.gguf", vocabulary="characters")
    with tiny_models.served(path, key="geheim") as url:
        assert asyncio.run(engine.probe("klein", configured(url))).state == "disabled"
        assert asyncio.run(engine.probe("klein", configured(url, key))).has_passed
        key.write_text("falsch\n", "ascii")
        assert asyncio.run(engine.probe("klein", configured(url, key))).state == "disabled"


def test_a_random_model_of_bytes_gives_answers_or_failures(tmp_path: Path) -> None:
    """What is no UTF-8 becomes an error of the server or a text that is too long: never an answer."""
    with tiny_models.served(tiny_models.random_model(tmp_path / "bytes.gguf")) as url:

        async def scenario(made: engine.Engine) -> None:
            for number in range(20):
                found = await said(made, f"Frage {number}")
                if isinstance(found, base.Failure):
                    assert found.kind in {"invalid", "unavailable", "loop"}
                else:
                    assert shapes.parse(hostile_model.compact(found.value), model_server.SHAPE) == found.value

        model_server.run(url, scenario)
