"""How models are configured: `[models.NAME]` and `[stages]` of `gateway.toml`."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Seconds = Annotated[float, Field(gt=0)]

#: The stages that a model may serve.
Served = Literal["scribe", "summarise", "code", "check", "bill"]
RULES = "rules"


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Llama(_Options):
    """A GGUF file that a child process of the gateway loads. Needs the extra `llama`."""

    engine: Literal["llama"] = Field(description="A model that the gateway loads itself.")
    file: Path = Field(description="The GGUF file.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the file, compared before it is loaded.")
    context: int = Field(8192, ge=512, description="Tokens of prompt and answer together, for each of `parallel`.")
    parallel: int = Field(2, ge=1, le=64, description="Requests that are decoded together.")
    threads: int | None = Field(None, ge=1, description="Threads. Default: the machine's cores less one.")
    batch: int = Field(512, ge=32, description="Tokens that are computed in one step.")
    kv: Literal["f16", "q8_0"] = Field("f16", description="Precision of the KV cache.")
    gpu_layers: int = Field(0, ge=0, description="Layers on the accelerator, where llama-cpp-python was built for one.")
    exact: bool = Field(False, description="One request at a time, so that a repeat gives the same text to the bit.")
    keep_alive_seconds: float = Field(
        0.0, ge=0, description="Unload a model that was idle for so long. 0: it stays loaded."
    )
    memory_megabytes: int | None = Field(
        None, gt=0, description="Memory that the model may take. Default: what the machine has free at the start."
    )
    seconds: Seconds = Field(180.0, description="How long one answer may take once it has a slot.")
    max_tokens: int = Field(2048, ge=16, description="Tokens after which an answer is brought to its end.")


class OpenAI(_Options):
    """A model server that speaks `/v1/chat/completions`: llama.cpp server, LM Studio, vLLM and their like."""

    engine: Literal["openai"] = Field(description="A model server.")
    url: str = Field(pattern=r"^https?://", description="Base address, e.g. http://127.0.0.1:8000/v1.")
    model: str | None = Field(None, description="Name of the model. Default: the only one that the server lists.")
    parallel: int = Field(2, ge=1, le=256, description="Requests at once: the slots that the server gives us.")
    key_file: Path | None = Field(None, description="File with the key that is sent as bearer token.")
    ca: Path | None = Field(None, description="Authorities (PEM) of its certificate. Default: the system's.")
    networks: tuple[str, ...] = Field(
        (),
        description="Networks of the house beside the private ones, e.g. 192.0.2.0/24: the server must stand in one.",
    )
    connect_seconds: Seconds = Field(5.0, description="How long a connection may take to be made.")
    read_seconds: Seconds = Field(60.0, description="How long the server may be silent.")
    seconds: Seconds = Field(180.0, description="How long one answer may take once it has a slot.")
    max_tokens: int = Field(4096, ge=16, description="Tokens of an answer at most.")
    context: int | None = Field(None, ge=512, description="Tokens of prompt and answer. Default: what the server says.")

    @field_validator("networks")
    @classmethod
    def _are_networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            ip_network(network)  # its ValueError says what is wrong
        return networks


Model = Annotated[Llama | OpenAI, Field(discriminator="engine")]

Chain = tuple[str, ...]


class Stages(_Options):
    """Which models serve a stage, the first before the next. A chain ends in `rules`."""

    scribe: Chain = Field((RULES,), description="Writes the note.")
    summarise: Chain = Field((RULES,), description="Writes the summary for the patient.")
    code: Chain = Field((RULES,), description="Proposes ICD-10-GM codes.")
    check: Chain = Field((RULES,), description="Looks for drugs and allergies that the prescribing check must know of.")
    bill: Chain = Field((RULES,), description="Proposes documented services.")

    def chain(self, stage: str) -> Chain:
        """The names of a stage's models in their order, without `rules`."""
        chain: Chain = getattr(self, stage)
        return chain[:-1]

    @property
    def models(self) -> frozenset[str]:
        """All models that serve a stage."""
        return frozenset(name for stage in type(self).model_fields for name in self.chain(stage))
