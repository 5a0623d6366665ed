"""What is written of a measurement: who was measured on what, and one record for each question to a stage.

A record holds numbers, names of checks and ids. Texts of the consultation stand in it only where they were asked for.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict

from pipeline.clinical import Clinical
from pipeline.engines import base, options

#: The version of the file format; a file of another one is not read.
FORMAT = 1
STAGES: tuple[options.Served, ...] = get_args(options.Served)

Numbers = dict[str, int | float]


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Machine(_Line):
    """Where it was measured. `memory_megabytes` is what the machine has, None where it does not say."""

    processor: str
    cores: int
    memory_megabytes: int | None = None
    system: str
    python: str


class Plan(_Line):
    """What is measured: every stage of every model on every case, `repeat` times at each level of concurrency."""

    stages: tuple[options.Served, ...] = STAGES
    repeat: int = 1
    concurrency: tuple[int, ...] = (1,)


class Header(_Line):
    """The first line: all that two measurements must share for their figures to be comparable.

    `rules` and `tables` are digests of the code and of the tables behind the rules engine, `prompts` the digest of each
    stage's prompt, `cases` that of each case, `models` that of each model's section in the configuration.
    """

    kind: Literal["header"] = "header"
    format: int = FORMAT
    begun: str
    gateway: str
    rules: str
    tables: str
    prompts: dict[str, str]
    cases: dict[str, str]
    models: dict[str, str]
    judge: str | None = None
    readability: float
    plan: Plan
    has_texts: bool
    machine: Machine

    def difference(self, other: Header) -> str | None:
        """The name of the first part, but the time, in which another header differs; None where none does."""
        mine, others = self.model_dump(exclude={"begun"}), other.model_dump(exclude={"begun"})
        return next((name for name in mine if mine[name] != others[name]), None)


class Candidate(_Line):
    """A model that was measured: who it says that it is, and the sentence why it cannot be used, if it cannot.

    One that could be used before keeps the identity that it had then.
    """

    kind: Literal["model"] = "model"
    name: str
    identity: base.Identity | None = None
    fault: str | None = None


class Answer(_Line):
    """One answer of a model, as `results.Attempt` keeps it, without its times."""

    outcome: str
    mode: str | None = None
    is_second: bool
    is_closed: bool
    prompt_tokens: int
    shared_tokens: int
    tokens: int
    thinking_tokens: int


class AnswerTimes(_Line):
    """The times of one answer, in seconds."""

    prefill_seconds: float
    decode_seconds: float
    wall_seconds: float


class Times(_Line):
    """What differs from run to run. `begun` is a Unix time in seconds.

    `children_megabytes`: the largest resident memory so far of the model's child processes.
    """

    begun: float
    wall_seconds: float
    answers: tuple[AnswerTimes, ...] = ()
    children_megabytes: int | None = None


class Judgement(_Line):
    """How often gate and judge said the same of a statement: `both_no` is refused by the gate and denied by the judge.

    `unclear` are answers "unklar", `failed` are questions without an answer.
    """

    both_yes: int = 0
    both_no: int = 0
    only_gate: int = 0
    only_judge: int = 0
    unclear: int = 0
    failed: int = 0


class Refusal(Clinical):
    """A proposal that the gate refused, in its words."""

    check: str
    harm: str
    text: str


class Texts(Clinical):
    """The words behind the numbers, where they were asked for: a patient's, if the cases are real."""

    result: tuple[str, ...]
    refused: tuple[Refusal, ...]
    missed: tuple[str, ...]


class Record(Clinical):
    """One stage of one case by one model, once.

    `served` tells whose result it is: the model's, or the rules engine's that stood in for it (or was measured).
    `proposed` counts what the model wanted to write, in all of its answers; `refused` what the gate let fall of it, by
    `harm/check`. `measures` are what `figures` are made of. `result` is a digest: equal results have equal ones.
    """

    kind: Literal["record"] = "record"
    model: str
    stage: options.Served
    case: str
    repeat: int
    concurrency: int
    served: Literal["model", "rules"]
    proposed: int
    refused: dict[str, int]
    measures: Numbers
    answers: tuple[Answer, ...] = ()
    result: str
    judged: Judgement | None = None
    texts: Texts | None = None
    times: Times

    @property
    def key(self) -> tuple[Any, ...]:
        """What makes it one of its kind."""
        return (self.model, self.stage, self.case, self.repeat, self.concurrency)

    @property
    def is_done(self) -> bool:
        """Whether it need not be asked again: a model that was not there may be another time."""
        return not self.answers or self.answers[-1].outcome not in ("unavailable", "disabled")

    @property
    def is_own(self) -> bool:
        """Whether the result is the measured model's own, and not that of the rules engine in its place."""
        return self.served == "model" or self.model == options.RULES

    @property
    def is_first_used(self) -> bool:
        """Whether the model's first answer was used."""
        return any(answer.outcome == "used" and not answer.is_second for answer in self.answers)
