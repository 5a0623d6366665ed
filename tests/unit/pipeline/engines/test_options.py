"""`pipeline.engines.options`: how models and stages are configured, and what is no configuration."""

from pathlib import Path
from typing import Any, get_args

import pydantic
import pytest

from pipeline import prompts
from pipeline.engines import options

MODEL: pydantic.TypeAdapter[options.Model] = pydantic.TypeAdapter(options.Model)
LLAMA: dict[str, Any] = {"engine": "llama", "file": "/m/a.gguf", "sha256": "0a" * 32}
SERVER: dict[str, Any] = {"engine": "openai", "url": "http://127.0.0.1:8000/v1"}


def test_the_engine_decides_what_is_asked_for() -> None:
    llama, server = MODEL.validate_python(LLAMA), MODEL.validate_python(SERVER)
    assert isinstance(llama, options.Llama) and llama.file == Path("/m/a.gguf")
    assert isinstance(server, options.OpenAI) and server.model is None
    for model in (llama, server):
        assert model.parallel >= 1 and model.seconds > 0 and model.max_tokens > 0


@pytest.mark.parametrize(
    "wrong",
    [
        {**LLAMA, "engine": "vllm"},
        {**LLAMA, "url": "http://127.0.0.1"},
        {**LLAMA, "temperature": 0.7},
        {**LLAMA, "sha256": "0A" * 32},
        {**LLAMA, "sha256": "0a" * 31},
        {**LLAMA, "sha256": "0a" * 32 + "\n"},
        {**LLAMA, "parallel": 0},
        {**LLAMA, "context": 100},
        {**LLAMA, "seconds": 0},
        {**LLAMA, "seconds": float("nan")},
        {**LLAMA, "kv": "q4_0"},
        {**LLAMA, "threads": 0},
        {**LLAMA, "memory_megabytes": 0},
        {"engine": "llama", "file": "/m/a.gguf"},
        {"engine": "openai"},
        {**SERVER, "url": "file:///etc/passwd"},
        {**SERVER, "url": "127.0.0.1:8000"},
        {**SERVER, "file": "/m/a.gguf"},
        {**SERVER, "parallel": 0},
        {**SERVER, "read_seconds": 0},
        {"url": "http://127.0.0.1"},
    ],
    ids=lambda wrong: str(sorted(set(wrong.items()) ^ set(LLAMA.items()), key=str))[:60],
)
def test_what_is_no_configuration(wrong: dict[str, Any]) -> None:
    with pytest.raises(pydantic.ValidationError):
        MODEL.validate_python(wrong)


def test_every_option_says_what_it_does() -> None:
    for kind in (options.Llama, options.OpenAI, options.Stages):
        for name, field in kind.model_fields.items():
            assert name == "engine" or (field.description and field.description.endswith(".")), name


def test_stages_serve_themselves_by_rules() -> None:
    stages = options.Stages()
    assert stages.models == frozenset()
    assert tuple(options.Stages.model_fields) == get_args(options.Served)
    assert all(stages.chain(stage) == () for stage in get_args(options.Served))


def test_a_chain_and_all_its_models() -> None:
    stages = options.Stages(scribe=("a", "b", "rules"), code=("b", "rules"))
    assert stages.chain("scribe") == ("a", "b") and stages.chain("code") == ("b",) and stages.chain("bill") == ()
    assert stages.models == {"a", "b"}


def test_a_stage_that_there_is_not() -> None:
    with pytest.raises(pydantic.ValidationError):
        options.Stages.model_validate({"transcribe": ["a", "rules"]})


def test_every_served_stage_has_its_prompt() -> None:
    for stage in get_args(options.Served):
        assert prompts.load(stage).name == stage
