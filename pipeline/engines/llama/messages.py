"""What goes over the pipe between the gateway and the process that owns a model: frames of JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from pipeline.clinical import Clinical
from pipeline.engines import base
from pipeline.engines.shapes import Shape

#: Bytes of a frame's length, big-endian, before its JSON.
HEAD = 4


class Load(Clinical):
    """The first message: which file, and how. `context` is tokens for each of `parallel`."""

    kind: Literal["load"] = "load"
    file: Path
    context: int
    parallel: int
    threads: int
    batch: int
    kv: Literal["f16", "q8_0"]
    gpu_layers: int
    exact: bool


class Ask(Clinical):
    """A request; `tokens` is the budget after which its answer is brought to an end."""

    kind: Literal["ask"] = "ask"
    id: int
    system: str
    user: str
    shape: Shape
    tokens: int
    priority: int


class Cancel(Clinical):
    """Nobody waits for this answer any more."""

    kind: Literal["cancel"] = "cancel"
    id: int


class Ready(Clinical):
    """The model is loaded. `quantisation` as llama.cpp names it, e.g. `Q4_0`; sizes in tokens."""

    kind: Literal["ready"] = "ready"
    name: str
    quantisation: str
    trained_context: int
    vocabulary: int


class Unusable(Clinical):
    """The model cannot be loaded; `why` is a sentence of ours. The child ends itself."""

    kind: Literal["unusable"] = "unusable"
    why: str


class Answered(Clinical):
    """The text of an answer and what it cost: tokens and seconds. `closed_at`: see decoder.Decoder."""

    kind: Literal["answered"] = "answered"
    id: int
    text: str
    prompt_tokens: int
    shared_tokens: int
    tokens: int
    prefill_seconds: float
    decode_seconds: float
    closed_at: int | None


class Failed(Clinical):
    """A request without an answer; `text` is a sentence of ours."""

    kind: Literal["failed"] = "failed"
    id: int
    why: base.Kind
    text: str
    tokens: int = 0


class Gone(Clinical):
    """A cancelled request has given its sequence back."""

    kind: Literal["gone"] = "gone"
    id: int


Order = Annotated[Load | Ask | Cancel, Field(discriminator="kind")]
Report = Annotated[Ready | Unusable | Answered | Failed | Gone, Field(discriminator="kind")]

ORDERS: TypeAdapter[Load | Ask | Cancel] = TypeAdapter(Order)
REPORTS: TypeAdapter[Ready | Unusable | Answered | Failed | Gone] = TypeAdapter(Report)


def frame(message: Clinical) -> bytes:
    """A message as it goes over the pipe."""
    body = message.model_dump_json().encode()
    return len(body).to_bytes(HEAD, "big") + body
