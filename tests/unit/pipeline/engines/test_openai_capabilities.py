"""What pages say of a server, what is sent, and what a canary demands."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.engines import base, shapes
from pipeline.engines.openai import canary, capabilities, stream

LISTED = {"object": "list", "data": [{"id": "a", "owned_by": "llamacpp"}]}
PROPS = {"default_generation_settings": {"n_ctx": 4096}, "total_slots": 2, "model_path": "/a.gguf", "build_info": "b1",
         "media_marker": "p1"}  # fmt: skip


def told(pages: dict[str, Any], wanted: str | None = None) -> capabilities.Told:
    return capabilities.told(pages, wanted)


def test_a_llama_cpp_server() -> None:
    found = told({"/v1/models": LISTED, "/props": PROPS, "/version": None})
    assert (found.server, found.model, found.context, found.slots) == ("llama.cpp", "a", 4096, 2)
    assert (found.build, found.process, found.pages) == ("b1", "p1", ("/props",))


def test_vllm() -> None:
    listed = {"data": [{"id": "a", "owned_by": "vllm", "max_model_len": 8192}]}
    found = told({"/v1/models": listed, "/version": {"version": "0.12.0"}})
    assert (found.server, found.context, found.build, found.process) == ("vLLM", 8192, "0.12.0", None)


def test_lm_studio() -> None:
    """It answers pages that it does not have with 200 and an error."""
    listed = {"data": [{"id": "a", "owned_by": "organization_owner"}, {"id": "b", "owned_by": "organization_owner"}]}
    own = {"data": [{"id": "b", "loaded_context_length": 2048}, {"id": "a", "loaded_context_length": 1024}]}
    pages = {"/v1/models": listed, "/props": {"error": "Unexpected endpoint"}, "/api/v0/models": own}
    found = told(pages, "a")
    assert (found.server, found.context, found.pages) == ("LM Studio", 1024, ("/api/v0/models",))


@pytest.mark.parametrize("listed", [{"data": []}, {"data": [{"id": "a"}, {"id": "b"}]}, {}, [], 7, {"data": [7]}, None])
def test_a_model_must_be_named_where_not_exactly_one_is_listed(listed: Any) -> None:
    with pytest.raises(base.Failure, match="name one as model") as raised:
        told({"/v1/models": listed})
    assert raised.value.kind == "disabled"


def test_a_configured_model_must_be_listed() -> None:
    with pytest.raises(base.Failure, match="does not list the model"):
        told({"/v1/models": LISTED}, "b")
    assert told({"/v1/models": {"data": [{"id": "a", "aliases": ["b"]}]}}, "b").model == "b"
    assert told({"/v1/models": None}, "b").model == "b"


@pytest.mark.parametrize(
    "change",
    [
        {"model_path": "/b.gguf"},
        {"media_marker": "p2"},
        {"build_info": "b2"},
        {"chat_template": "x"},
        {"total_slots": 1},
    ],
)
def test_another_model_build_or_process_is_told_from_the_first(change: dict[str, Any]) -> None:
    first = told({"/v1/models": LISTED, "/props": PROPS})
    assert told({"/v1/models": LISTED, "/props": PROPS | {"is_sleeping": True}}) == first
    assert told({"/v1/models": LISTED, "/props": PROPS | change}) != first


@pytest.mark.parametrize(
    "rubbish", [7, "x", [], {"default_generation_settings": 7}, {"total_slots": "x"}, {"data": {}}]
)
def test_rubbish_on_a_page_tells_nothing(rubbish: Any) -> None:
    found = told({"/v1/models": LISTED, "/props": rubbish})
    assert (found.context, found.slots, found.process) == (None, None, None)


@pytest.mark.parametrize("form", capabilities.FORMS)
def test_each_form_carries_the_whole_schema(form: str) -> None:
    schema = canary.shape().json_schema
    sent = capabilities.body("a", form, capabilities.SETS[0], schema, [], 100)
    assert json.dumps(schema) in json.dumps(sent)
    assert "<schema>" not in json.dumps(sent)
    assert (sent["temperature"], sent["seed"], sent["stream"], sent["max_tokens"]) == (0, 1, True, 100)
    assert sent["chat_template_kwargs"]["enable_thinking"] is False


def test_fewer_fields_are_sent_to_a_strict_server() -> None:
    sizes = [len(fields) for fields in capabilities.SETS]
    assert sizes == sorted(sizes, reverse=True)
    sent = capabilities.body("a", "json_schema", (), {}, [], 100)
    assert not capabilities.FIELDS.keys() & sent.keys()


# --- the canary ---------------------------------------------------------------------------------------------------


def test_each_canary_is_new_and_stands_nowhere_in_the_prompt() -> None:
    words = {canary.shape().json_schema["properties"]["wort"]["enum"][0] for _ in range(50)}
    assert len(words) == 50
    assert not any(word in canary.SYSTEM + canary.USER for word in words)
    assert canary.shape().max_bytes < 120


@pytest.mark.parametrize(
    "text",
    ["Morgen wird es sonnig.", "{}", '{"wort":"sonnig","belege":[{"segment":1}]}', '{"wort": "schön", "belege": []}',
     "[]", "null", ""],
)  # fmt: skip
def test_free_text_does_not_pass(text: str) -> None:
    with pytest.raises(shapes.NotValid):
        shapes.parse(text, canary.shape())


def test_a_constrained_answer_passes_and_that_of_another_canary_does_not() -> None:
    first, second = canary.shape(), canary.shape()
    word, number = first.json_schema["properties"]["wort"]["enum"][0], first.json_schema["$defs"]["beleg"]
    value = {"wort": word, "belege": [{"segment": number["properties"]["segment"]["enum"][0]}]}
    assert shapes.parse(f" {json.dumps(value)}\n", first) == value
    with pytest.raises(shapes.NotValid):
        shapes.parse(json.dumps(value), second)


def test_capabilities_are_a_record() -> None:
    able = capabilities.Capabilities(told({"/v1/models": LISTED}), "json_schema", (), None, True, stream.Stamp())
    with pytest.raises(AttributeError):
        able.form = "other"  # type: ignore[misc]
