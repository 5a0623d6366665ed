"""`pipeline.evaluation.judge` asks about what was kept and what fell, and `machine` sees the child processes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline import prompts, results, segments
from pipeline.engines import base, models, options, shapes
from pipeline.evaluation import judge, machine, records
from pipeline.grounding import gate
from tests.unit.pipeline.evaluation.stub import Stub

TRANSCRIPT = segments.Transcript(
    segments=tuple(
        segments.Segment(number=number, source="d", speaker="patient", text=text, start=0, end=len(text))
        for number, text in enumerate(("Ich huste seit drei Tagen.", "Fieber habe ich keines."), start=1)
    )
)
FIRST = (results.Evidence(segment=1, start=0, end=10),)


class Decided(Stub):
    """A judge that decides by the last word of the statement, and says nothing about the word `Schweigen`."""

    def _judge(self, request: base.Request) -> dict[str, Any]:
        word = request.user.split()[-1]
        if word == "Schweigen":
            raise base.Failure("timeout", "It took too long.")
        return {"urteil": word}


def statement(text: str) -> results.Statement:
    return results.Statement(id="s1", section="S", text=text, polarity="negated", evidence=FIRST)


def refused(
    text: str,
    evidence: tuple[results.Evidence, ...] = FIRST,
    check: str = "drug",
    polarity: results.Polarity | None = None,
) -> results.Rejected:
    return results.Rejected(
        stage="scribe", proposal=text, reason="r", evidence=evidence, check=check, harm="critical", polarity=polarity
    )


def asked(kept: list[str], fallen: list[results.Rejected]) -> tuple[records.Judgement, Decided]:
    stub = Decided("judge", is_running=True)
    loaded = models.Models({"judge": (stub, 5.0)}, options.Stages()).loaded["judge"]
    return asyncio.run(judge.compare(loaded, [statement(text) for text in kept], fallen, TRANSCRIPT)), stub


def test_every_verdict_is_counted_with_the_gates() -> None:
    found, _stub = asked(
        ["a ja", "b ja", "c nein", "d unklar", "e Schweigen"], [refused("f nein"), refused("g ja"), refused("h unklar")]
    )
    assert found == records.Judgement(both_yes=2, only_gate=1, both_no=1, only_judge=1, unclear=2, failed=1)


def test_what_cites_no_segment_is_not_asked_about() -> None:
    found, stub = asked([], [refused("a ja", ()), refused("b ja", (results.Evidence(segment=99),))])
    assert found == records.Judgement() and stub.asked == []


def test_the_judge_sees_the_cited_segment_alone_and_the_polarity() -> None:
    _found, stub = asked(["a ja"], [])
    (request,) = stub.asked
    assert "Ich huste seit drei Tagen." in request.user and "Fieber" not in request.user
    assert "Aussage (verneint): a ja" in request.user
    assert request.system == prompts.load("judge").text
    assert request.shape.max_bytes < 100
    assert shapes.parse('{"urteil":"unklar"}', request.shape) == {"urteil": "unklar"}


@pytest.mark.parametrize("check", ["repeated", "length", "no-content", "characters", "contradiction"])
def test_what_is_not_about_the_cited_words_is_not_asked(check: str) -> None:
    found, stub = asked([], [refused("a ja", check=check), refused("b nein", check="negation")])
    assert found == records.Judgement(both_no=1) and len(stub.asked) == 1


def test_a_refused_statement_is_asked_about_as_it_was_claimed() -> None:
    denied = statement("Der Patient hustet.")
    (fell,) = gate.check([denied], TRANSCRIPT).rejected
    assert (fell.check, fell.polarity) == ("negation", "negated")
    _found, stub = asked([], [fell.model_copy(update={"proposal": "a nein"})])
    assert "Aussage (verneint): a nein" in stub.asked[0].user


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")
def test_the_memory_of_a_child_process_is_seen_and_gone_with_it() -> None:
    before = machine.children_megabytes() or 0
    code = "import sys; held = b'x' * (60 << 20); print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stdout.readline() == b"ready\n"
        during = machine.children_megabytes()
        others = machine.children()
        assert child.pid in others and machine.children_megabytes(others) is None
        assert machine.children_megabytes(others - {child.pid}) == during or len(others) > 1
        child.communicate()
    assert during is not None and during >= before + 60
    assert (machine.children_megabytes() or 0) < during


def test_the_machine_is_described() -> None:
    described = machine.describe()
    assert described.cores >= 1 and described.processor
