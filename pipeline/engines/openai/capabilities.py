"""What a model server can do and who it says it is: facts in tables, found by asking, never a branch for a product.

Sources: llama.cpp tools/server/README.md; https://docs.vllm.ai/en/latest/features/structured_outputs/ and
/reasoning_outputs/; https://lmstudio.ai/docs/developer/openai-compat/structured-output. A `grammar` that begins with
`%llguidance` is not among the ways: it ends the process of a llama.cpp server that was built without it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.engines import base
from pipeline.engines.openai import stream
from pipeline.engines.shapes import Schema

_SCHEMA = "<schema>"  # stands for the schema in a form
_SEED = 1

#: How a schema is asked for, the first way that passes the canary is taken. `json_schema` is OpenAI's own and known to
#: all; `json_object` with a schema is llama.cpp's; `structured_outputs` is vLLM's since 0.12.
FORMS: Mapping[str, dict[str, Any]] = {
    "json_schema": {
        "response_format": {
            "type": "json_schema", "json_schema": {"name": "antwort", "strict": True, "schema": _SCHEMA}
        }
    },
    "json_object": {"response_format": {"type": "json_object", "schema": _SCHEMA}},
    "structured_outputs": {"structured_outputs": {"json": _SCHEMA}},
}  # fmt: skip

#: Fields that a server need not know. `chat_template_kwargs` switches thoughts off in the templates of llama.cpp and
#: vLLM (Qwen: enable_thinking, DeepSeek: thinking), `reasoning_effort` in what LM Studio and newer servers map to it.
FIELDS: Mapping[str, Any] = {
    "seed": _SEED,
    "stream_options": {"include_usage": True},
    "chat_template_kwargs": {"enable_thinking": False, "thinking": False},
    "reasoning_effort": "none",
}

#: Which of them are sent: most servers ignore what they do not know, strict ones refuse it, so fewer are tried next.
SETS: tuple[tuple[str, ...], ...] = (
    ("seed", "stream_options", "chat_template_kwargs", "reasoning_effort"),
    ("seed", "stream_options", "chat_template_kwargs"),
    ("seed", "stream_options"),
    ("seed",),
    (),
)

MODELS = "/v1/models"

#: Pages that tell of the server; which of them exist is found once.
PAGES = ("/props", "/version", "/api/v0/models")

#: A server by what it writes as the owner of its models.
_SERVERS = {"llamacpp": "llama.cpp", "vllm": "vLLM", "organization_owner": "LM Studio"}

#: Where a fact stands: the page and the way in it; in a list of models, in the entry of ours. The first found counts.
_FACTS: Mapping[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "owner": ((MODELS, ("owned_by",)),),
    "context": (
        ("/props", ("default_generation_settings", "n_ctx")),  # of one slot
        (MODELS, ("max_model_len",)),
        ("/api/v0/models", ("loaded_context_length",)),
    ),
    "slots": (("/props", ("total_slots",)),),
    "build": (("/props", ("build_info",)), ("/version", ("version",))),
    "process": (("/props", ("media_marker",)),),  # llama.cpp since 2026: random for each start
}

#: What makes it another model when it differs.
_IDENTITY: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("/props", ("model_path",)),
    ("/props", ("model_ftype",)),
    ("/props", ("chat_template",)),
    (MODELS, ("root",)),
    (MODELS, ("meta", "n_params")),
    (MODELS, ("meta", "size")),
    ("/api/v0/models", ("quantization",)),
)


@dataclass(frozen=True, slots=True)
class Told:
    """What the server's pages say: two that are equal are the same model in the same server.

    `context` is in tokens, `process` is new with every start of the server, `digest` is of all else that makes it
    another model. `pages` are those that exist.
    """

    model: str | None
    owner: str | None = None
    context: int | None = None
    slots: int | None = None
    build: str | None = None
    process: str | None = None
    digest: str = ""
    pages: tuple[str, ...] = ()

    @property
    def server(self) -> str:
        """The product, as far as it can be told."""
        return _SERVERS.get(self.owner or "", "unknown")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The record of an endpoint that passed the canary.

    `form` and `fields` are what is sent; `thoughts` says where the model's thoughts came although they were switched
    off, None where none came; `counts` whether the server counts tokens; `stamp` whom its answers are from.
    """

    told: Told
    form: str
    fields: tuple[str, ...]
    thoughts: str | None
    counts: bool
    stamp: stream.Stamp


def told(pages: Mapping[str, Any], wanted: str | None) -> Told:
    """What pages say of the model that is wanted, or of the only one. Raises base.Failure where there is none."""
    listing = pages.get(MODELS)
    entries = _entries(listing)
    entry = _chosen(entries, wanted) if listing is not None else {}
    name = wanted or entry.get("id")
    if not isinstance(name, str):
        raise base.Failure("disabled", "The server lists no models; name one as model.")

    def fact(where: tuple[tuple[str, tuple[str, ...]], ...]) -> Any:
        found = (_at(_of_model(pages.get(page), entry, name), way) for page, way in where)
        return next((value for value in found if value is not None), None)

    identity = [fact((place,)) for place in _IDENTITY]
    return Told(
        model=name,
        owner=_word(fact(_FACTS["owner"])),
        context=_number(fact(_FACTS["context"])),
        slots=_number(fact(_FACTS["slots"])),
        build=_word(fact(_FACTS["build"])),
        process=_word(fact(_FACTS["process"])),
        digest=hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest(),
        pages=tuple(page for page in PAGES if _of_model(pages.get(page), entry, name)),
    )


def body(
    model: str | None, form: str, fields: tuple[str, ...], schema: Schema, messages: list[dict[str, str]], tokens: int
) -> dict[str, Any]:
    """A request in this form with these fields."""
    return {
        "model": model,
        "messages": messages,
        "stream": True,
        "temperature": 0,
        "max_tokens": tokens,
        **{name: FIELDS[name] for name in fields},
        **_filled(FORMS[form], schema),
    }


def _filled(form: Any, schema: Schema) -> Any:
    if isinstance(form, dict):
        return {name: _filled(value, schema) for name, value in form.items()}
    return schema if form == _SCHEMA else form


def _entries(page: Any) -> list[dict[str, Any]]:
    data = page.get("data") if isinstance(page, dict) else None
    return [entry for entry in data if isinstance(entry, dict)] if isinstance(data, list) else []


def _chosen(entries: list[dict[str, Any]], wanted: str | None) -> dict[str, Any]:
    if wanted is None:
        if len(entries) != 1:
            raise base.Failure("disabled", f"The server lists {len(entries)} models; name one as model.")
        return entries[0]
    for entry in entries:
        aliases = entry.get("aliases")
        if entry.get("id") == wanted or (isinstance(aliases, list) and wanted in aliases):
            return entry
    raise base.Failure("disabled", "The server does not list the model that is configured; check model.")


def _of_model(page: Any, entry: dict[str, Any], name: str) -> dict[str, Any]:
    """A page, or its entry of the model where it is a list; of the list that the entry is from, the entry."""
    if not isinstance(page, dict):
        return {}
    if "data" not in page:
        return page if not page.get("error") else {}
    names = {name, entry.get("id")}
    return next((found for found in _entries(page) if found.get("id") in names), {})


def _at(value: Any, way: tuple[str, ...]) -> Any:
    for name in way:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _word(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: object) -> int | None:
    return value if type(value) is int and value > 0 else None
