"""Models with random weights through every stage, the hardest opponent of the gate: nothing refused is in a result."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import hashlib
import importlib.util
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import consultation, documenting
from pipeline.engines import base, models, options, serving
from pipeline.engines.openai import engine as openai
from pipeline.grounding import gate
from tests import scripted_model, tiny_models

STAGES = ("scribe", "summarise", "code", "check", "bill")
CHAINS = options.Stages.model_validate(dict.fromkeys(STAGES, ("zufall", "rules")))
TALK = """Ärztin: Guten Tag, was führt Sie zu mir?
Patientin: Seit drei Tagen Husten und Fieber, 38,5. Ich nehme Ramipril 5 mg. Gegen Penicillin bin ich allergisch.
Ärztin: Die Lunge ist frei, kein Rasseln, Blutdruck 130 zu 80, CRP 12. Das ist eine akute Bronchitis.
Ärztin: Nehmen Sie Ibuprofen 400 mg dreimal täglich, und kommen Sie in einer Woche wieder.
"""
DOCUMENTED = consultation.Consultation(
    patient=consultation.Patient(birth_date=dt.date(1970, 1, 1), sex="female"),
    encounter=consultation.Encounter(id="e", start=dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC), insurance="GKV"),
    sources=(
        consultation.Source(
            id="DocumentReference/d", kind="transcript", content_type="text/plain", content=TALK.encode()
        ),
    ),
)
ANSWERS = 200
TOGETHER = 3  # consultations at once

needs_llama = pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="needs the extra llama")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model whose tokens are whole characters: its answers are text, and none of it means anything."""
    path = tmp_path_factory.mktemp("weights") / "zufall.gguf"
    return tiny_models.random_model(path, vocabulary="characters", context=16_384)


class Counted:
    """An engine that counts its answers, and lets each request differ a little: a random model repeats itself."""

    def __init__(self, engine: base.Engine) -> None:
        self._engine = engine
        self.parallel = engine.parallel
        self.answers = 0
        self.failures: Counter[base.Kind] = Counter()

    @property
    def identity(self) -> base.Identity:
        return self._engine.identity

    async def start(self) -> None:
        await self._engine.start()

    async def close(self) -> None:
        await self._engine.close()

    async def answer(self, request: base.Request) -> base.Answer:
        number = self.answers + self.failures.total()
        try:
            answer = await self._engine.answer(request.model_copy(update={"user": f"{request.user}\n({number})"}))
        except base.Failure as failure:
            self.failures[failure.kind] += 1
            raise
        self.answers += 1
        return answer


@contextlib.asynccontextmanager
async def loaded(engine: base.Engine) -> AsyncIterator[tuple[serving.Setting, Counted]]:
    counted = Counted(engine)
    made = models.Models({"zufall": (counted, 120.0)}, CHAINS)
    await made.start()
    try:
        yield serving.Setting(made), counted
    finally:
        await made.close()


def judged(by_model: documenting.Documented, by_rules: documenting.Documented) -> None:
    """Nothing refused stands in a result, what stands there is grounded, and the rules engine's safety is not less."""
    transcript = by_model.transcript
    for statement in by_model.note.statements:
        assert gate.fault(statement, transcript) is None
    rejected = [*by_model.note.rejected, *by_model.summary.rejected]
    said = {*(s.text for s in by_model.note.statements), *(s.text for s in by_model.summary.sentences)}
    assert not said & {item.proposal for item in rejected}
    written = list(scripted_model.texts(_values(by_model)))
    for item in rejected:
        assert len(item.proposal) < 12 or not any(item.proposal in text for text in written)
    assert {w.rule for w in by_model.check.warnings} >= {w.rule for w in by_rules.check.warnings}
    assert {d.code for d in by_model.coding.diagnoses} >= {d.code for d in by_rules.coding.diagnoses}


def _values(documented: documenting.Documented) -> list[Any]:
    """Everything that is written to the chart, as JSON values."""
    parts = (documented.note, documented.summary, documented.coding, documented.check, documented.billing)
    hidden = {"rejected", "refused", "work"}
    return [part.model_dump(mode="json", exclude=hidden) for part in parts if part is not None]


def many(engine: base.Engine, answers: int) -> Counted:
    """Consultations until the model has answered so often; each result is judged."""

    async def scenario() -> Counted:
        expected = await documenting.everything(serving.Setting(models.none()), DOCUMENTED)
        async with loaded(engine) as (setting, counted):
            while counted.answers < answers:
                assert counted.failures.total() <= 10 * (counted.answers + 10), "the model does not answer"
                together = [documenting.everything(setting, DOCUMENTED) for _ in range(TOGETHER)]
                for found in await asyncio.gather(*together):
                    judged(found, expected)
            return counted

    return asyncio.run(scenario())


@needs_llama
def test_200_random_answers_in_the_process(weights: Path) -> None:
    from pipeline.engines.llama import engine as llama

    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    model = options.Llama(
        engine="llama", file=weights, sha256=sha256, context=8192, parallel=TOGETHER, max_tokens=120, threads=1
    )
    counted = many(llama.Engine("zufall", model), ANSWERS)
    assert counted.answers >= ANSWERS
    assert set(counted.failures) <= {"loop", "truncated"}  # what a random model does; no answer is ever broken


def test_random_answers_of_a_genuine_server(weights: Path) -> None:
    with tiny_models.served(weights, parallel=TOGETHER, context=8192) as url:
        model = options.OpenAI(engine="openai", url=url, parallel=TOGETHER, max_tokens=2048, seconds=60.0)
        counted = many(openai.Engine("zufall", model), 40)
    assert counted.answers >= 40
