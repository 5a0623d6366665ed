"""What a stage asks of a model, and what it gets: an answer that satisfies a schema, or a typed failure."""

from __future__ import annotations

from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from pipeline.clinical import Clinical
from pipeline.engines.shapes import Shape

#: Why there is no answer. `unavailable`: no connection, a server error, a process that died. `timeout`: the deadline
#: passed. `disabled`: the canary failed, so nothing is asked. `refused`: the request cannot be served, e.g. a prompt
#: that is longer than the context. `invalid`: the answer is no JSON of the schema. `truncated`: it did not come to its
#: end. `loop`: it repeats itself. `empty`: nothing was said.
Kind = Literal["unavailable", "timeout", "disabled", "refused", "invalid", "truncated", "loop", "empty"]

#: Failures that the model can mend when it is told of its fault.
MENDABLE: frozenset[Kind] = frozenset({"invalid", "truncated", "loop", "empty"})

#: How the sequences were decoded. Texts of `batched` may differ in a bit from those of `single`; `remote` is a server.
Mode = Literal["single", "batched", "remote"]


class Failure(Exception):
    """A model gave no usable answer. The text is one English sentence of ours; it never quotes prompt or answer.

    `tokens` counts what was decoded in vain, as far as it is known; `thinking_tokens` are among them.
    """

    def __init__(self, kind: Kind, text: str, *, tokens: int = 0, thinking_tokens: int = 0) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text
        self.tokens = tokens
        self.thinking_tokens = thinking_tokens


class Request(Clinical):
    """One question to a model.

    `system` is the role's fixed prompt, the same for all patients, so that its KV cache can be shared. `user` is the
    encounter's part. `seconds` counts from the moment the request has a slot. `fault` names, in German, what was wrong
    with the model's first answer. A smaller `priority` goes first.
    """

    stage: str
    system: str
    user: str
    shape: Shape
    seconds: float
    priority: int = 0
    fault: str | None = None

    @property
    def told(self) -> str:
        """The encounter's part with what was wrong with the first answer."""
        return self.user if self.fault is None else f"{self.user}\n\n{self.fault} Antworte noch einmal nach dem Schema."


class Answer(Clinical):
    """A parsed answer that satisfies the schema, and what it cost.

    `value` is what JSON holds: objects with string keys, lists, strings, integers, booleans. `is_closed` marks an
    answer whose budget was spent: what was not complete then is left out of `value`. Times are seconds;
    `thinking_tokens` are among `tokens` and were stripped.
    """

    value: Any
    prompt_tokens: int
    tokens: int
    thinking_tokens: int = 0
    shared_tokens: int = 0
    prefill_seconds: float
    decode_seconds: float
    finish: str = "stop"
    is_closed: bool = False
    mode: Mode


class Identity(BaseModel):
    """Which model answers: the author of the results. `sha256` and `quantisation` where the file is ours."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    engine: str
    model: str
    sha256: str | None = None
    quantisation: str | None = None

    def text(self) -> str:
        """One line for an audit row: name, model, quantisation, the first 12 digits of the hash."""
        parts = [self.name, f"({self.model})", self.quantisation, self.sha256 and f"sha256:{self.sha256[:12]}"]
        return " ".join(part for part in parts if part)


class Engine(Protocol):
    """A loaded model or a model server. `parallel` is how many requests it works on at once."""

    parallel: int

    @property
    def identity(self) -> Identity:
        """The model as it is now; a server's may change."""
        ...

    async def start(self) -> None:
        """Make it ready. Raises NotUsable where it never can be; a server that is down may come later."""
        ...

    async def answer(self, request: Request) -> Answer:
        """The answer; raises Failure. A cancelled call frees its sequence or connection at once."""
        ...

    async def close(self) -> None:
        """End what belongs to it."""
        ...


class NotUsable(Exception):
    """A configured model cannot be used: its extra or file is missing, its hash differs, it does not fit.

    The text is one sentence for the person who configured it.
    """
