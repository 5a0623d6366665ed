"""`pipeline.evaluation.running`: what is asked of whom, what is written of it, and how a broken run goes on."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.engines import base, options
from pipeline.evaluation import comparison, figures, files, records, running
from pipeline.evaluation.recording import Task
from tests.unit.pipeline.evaluation.conftest import CASES, header, measure
from tests.unit.pipeline.evaluation.stub import Stub

NOTE = records.Plan(stages=("scribe",))


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """Ctrl-C interrupts, also where a shell has started the tests in the background and so without it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def of(measured: files.Measured, model: str, stage: str = "scribe") -> list[records.Record]:
    return [record for record in measured.records if record.model == model and record.stage == stage]


def test_every_stage_of_every_model_on_every_case_at_every_level(measured: files.Measured) -> None:
    keys = {record.key for record in measured.records}
    assert len(keys) == len(measured.records)
    for model in ("copies", "invents <b>", options.RULES):
        assert {key[1:] for key in keys if key[0] == model} == {
            (stage, case.name, 1, level) for stage in records.STAGES for case in CASES for level in (1, 3)
        }
    assert not any(key[0] == "absent" for key in keys)


def test_a_model_that_cannot_be_used_is_told_and_the_others_are_measured(measured: files.Measured) -> None:
    assert measured.candidates["absent"].fault == "The file absent.gguf is not there."
    identity = measured.candidates["copies"].identity
    assert identity is not None and identity.model == "stub-1"


def test_one_stage_alone_is_served_by_the_model(tmp_path: Path) -> None:
    stub = Stub()
    measure(tmp_path / "a.jsonl", stub, plan=records.Plan(stages=("summarise",)))
    assert {request.stage for request in stub.asked} == {"summarise"}
    assert not stub.is_running


def test_what_the_gate_refuses_is_counted_by_harm_and_check(tmp_path: Path) -> None:
    found = measure(tmp_path / "a.jsonl", Stub("copies"), Stub("invents", invents=1), plan=NOTE)
    honest = sum(r.refused.get("critical/drug", 0) for r in of(found, "copies"))
    invented = of(found, "invents")
    assert honest == 0
    assert all(r.refused["critical/drug"] > 0 for r in invented)
    assert all(sum(r.refused.values()) <= r.proposed for r in invented)
    assert {r.served for r in invented} == {"rules"} and {a.outcome for r in invented for a in r.answers} == {
        "ungrounded"
    }


def test_the_proposals_of_both_answers_are_counted(tmp_path: Path) -> None:
    stub = Stub("invents", invents=1)
    found = measure(tmp_path / "a.jsonl", stub, plan=NOTE)
    for record, case in zip(of(found, "invents"), CASES, strict=True):
        asked = [request for request in stub.asked if record.case == case.name]
        assert len(record.answers) == 2 and [a.is_second for a in record.answers] == [False, True]
        assert record.proposed > 0 and record.proposed % 2 == 0 and asked


def test_the_rules_engines_own_refusals_do_not_count_for_a_model_it_stands_in_for(tmp_path: Path) -> None:
    stub = Stub("loops", loops=1)
    found = measure(tmp_path / "a.jsonl", stub, plan=records.Plan(stages=("scribe", "summarise")))
    for record in (*of(found, "loops"), *of(found, "loops", "summarise")):
        assert record.proposed == 0 and record.refused == {} and not record.is_own
        assert [answer.outcome for answer in record.answers] == ["loop", "loop"]


def test_what_was_thought_in_answers_that_failed_is_taxed(tmp_path: Path) -> None:
    found = measure(tmp_path / "a.jsonl", Stub("loops", loops=1), plan=NOTE)
    tax = figures.BY_NAME["thinking"].of(of(found, "loops"))
    assert tax is not None and tax.value == 0.4


def test_the_rules_engine_gives_the_same_records_again_but_for_the_times(tmp_path: Path) -> None:
    plan = records.Plan(repeat=2, concurrency=(1, 3))
    first, second = (measure(tmp_path / f"{name}.jsonl", plan=plan) for name in ("a", "b"))
    told = [[record.model_dump_json(exclude={"times"}) for record in found.records] for found in (first, second)]
    assert told[0] == told[1]
    for stage in records.STAGES:
        for case in CASES:
            results = {r.result for r in first.records if (r.stage, r.case) == (stage, case.name)}
            assert len(results) == 1


def test_as_many_at_once_as_the_level_says(tmp_path: Path) -> None:
    for level in (1, 2):
        stub = Stub(seconds=0.05)
        measure(tmp_path / f"{level}.jsonl", stub, plan=records.Plan(stages=("summarise",), concurrency=(level,)))
        assert stub.most_at_work == level


def test_the_slots_of_the_model_are_kept(tmp_path: Path) -> None:
    stub = Stub(seconds=0.02, parallel=1)
    measure(tmp_path / "a.jsonl", stub, plan=records.Plan(concurrency=(2,)))
    assert stub.most_at_work == 1


def _texts(path: Path) -> str:
    return path.read_text("utf-8")


def test_no_word_of_a_consultation_stands_in_the_file_unless_it_is_asked_for(tmp_path: Path) -> None:
    without, having = tmp_path / "without.jsonl", tmp_path / "with.jsonl"
    measure(without, Stub(invents=2), judge=Stub("judge"))
    found = measure(having, Stub(invents=2), keep_texts=True)
    assert "Metoprolol 95" in _texts(having) and "Metoprolol" not in _texts(without)
    told = _texts(without).lower()
    for case in CASES:
        for sentence in re.split(r"[.?!\n]", case.transcript):
            if len(sentence.split()) > 2:
                assert sentence.strip().lower() not in told
    assert all(record.texts is not None for record in found.records)
    assert without.stat().st_mode & 0o077 == 0


def test_a_broken_run_goes_on_where_it_broke_off(tmp_path: Path) -> None:
    whole = measure(tmp_path / "whole.jsonl", Stub())
    path = tmp_path / "broken.jsonl"

    def stop(task: Task) -> None:
        if task.stage == "code" and task.model == "stub":
            signal.raise_signal(signal.SIGINT)  # Ctrl-C

    with pytest.raises(KeyboardInterrupt):
        measure(path, Stub(), progress=stop)
    begun = files.read(path)
    assert 0 < len(begun.records) < len(whole.records)
    with path.open("ab") as file:
        file.write(b'{"kind":"record","mod')  # the machine went down while a line was written
    stub = Stub()
    found = measure(path, stub, resume=True)
    assert len(files.read(path).records) == len(path.read_bytes().splitlines()) - 2  # none was made twice
    assert {record.key for record in found.records} == {record.key for record in whole.records}
    told = [
        {record.key: record.model_dump_json(exclude={"times"}) for record in each.records} for each in (whole, found)
    ]
    assert told[0] == told[1]
    assert "scribe" not in {request.stage for request in stub.asked}


def test_a_finished_run_loads_no_model_again(tmp_path: Path) -> None:
    measure(tmp_path / "a.jsonl", Stub(), plan=NOTE)
    stub = Stub(refuses_to_start="It must not be started.")
    found = measure(tmp_path / "a.jsonl", stub, plan=NOTE, resume=True)
    assert found.candidates["stub"].fault is None and not stub.asked


def test_another_model_of_the_same_name_is_refused(tmp_path: Path) -> None:
    def stop(task: Task) -> None:
        if task.model == "stub":
            signal.raise_signal(signal.SIGINT)  # Ctrl-C

    with pytest.raises(KeyboardInterrupt):
        measure(tmp_path / "a.jsonl", Stub(), progress=stop)
    with pytest.raises(files.NotUsable, match="another model stub"):
        measure(tmp_path / "a.jsonl", Stub(version="2"), resume=True)


@pytest.mark.parametrize("state", ["down", "disabled"])
def test_a_server_that_is_not_there_is_not_measured_until_it_is(tmp_path: Path, state: str) -> None:
    path, heard = tmp_path / "a.jsonl", list[Task]()
    away = Stub(state=state, reason="The server is not there.", fails="unavailable")
    found = measure(path, away, plan=NOTE, progress=heard.append)
    assert found.candidates["stub"] == records.Candidate(name="stub", fault="The server is not there.")
    assert not of(found, "stub") and not away.asked and not away.is_running
    assert len(heard) == 2 * len(CASES)
    again = measure(path, Stub(), plan=NOTE, resume=True)
    assert again.candidates["stub"].fault is None and len(of(again, "stub")) == len(CASES)


def test_a_server_that_went_away_is_asked_again(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    away = measure(path, Stub(fails="unavailable"), plan=NOTE)
    assert {record.served for record in of(away, "stub")} == {"rules"}
    stub = Stub()
    again = measure(path, stub, plan=NOTE, resume=True)
    assert {record.served for record in of(again, "stub")} == {"model"} and len(stub.asked) == len(CASES)


def test_a_model_that_is_still_loading_is_told_of_with_its_first_answer(tmp_path: Path) -> None:
    class Loading(Stub):
        def _answer(self, request: base.Request) -> base.Answer:
            self.state = "available"
            return super()._answer(request)

    found = measure(tmp_path / "a.jsonl", Loading(state="unknown"), plan=NOTE)
    assert found.candidates["stub"].identity is not None and len(of(found, "stub")) == len(CASES)
    never = measure(tmp_path / "b.jsonl", Stub(state="unknown", reason="It says nothing.", fails="timeout"), plan=NOTE)
    assert never.candidates["stub"] == records.Candidate(name="stub", fault="It says nothing.")


def test_a_model_that_changes_while_it_is_measured_is_told_and_the_next_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    changing = Stub("changing", changes_after=1)
    found = measure(path, changing, Stub("next"), plan=records.Plan(stages=("bill", "code")))
    told = found.candidates["changing"]
    assert told.identity is not None and told.identity.model == "stub-1"
    assert told.fault is not None and "another model" in told.fault
    assert len([record for record in found.records if record.model == "changing"]) == 1
    assert len([record for record in found.records if record.model == "next"]) == 2 * len(CASES)


def test_a_reason_names_no_file_and_no_address(tmp_path: Path) -> None:
    class Elsewhere(Stub):
        async def start(self) -> None:
            raise base.NotUsable(
                "The file /srv/dr-beispiel/klein.gguf is not there; 192.0.2.17 and 2001:db8::17:1 are no addresses."
            )

    path, stub = tmp_path / "a.jsonl", Elsewhere()
    with files.Writer.begin(path, header(NOTE)) as writer:
        named = running.Candidate("stub", lambda: (stub, 30.0), {"/srv/dr-beispiel/klein.gguf": "models.stub.file"})
        asyncio.run(running.Measurement(plan=NOTE, cases=CASES, candidates=(named,), writer=writer).run())
    assert files.read(path).candidates["stub"].fault == (
        "The file models.stub.file is not there; its address and its address are no addresses."
    )


@pytest.mark.parametrize(
    ("called", "told"),
    [
        ("/home/dr-beispiel/klein.gguf", "klein.gguf"),
        (r"C:\Praxis\klein.gguf", "klein.gguf"),
        ("maker/klein", "maker/klein"),
    ],
)
def test_a_model_that_a_server_calls_by_its_path_is_told_by_its_name(tmp_path: Path, called: str, told: str) -> None:
    class Called(Stub):
        @property
        def identity(self) -> base.Identity:
            return base.Identity(name=self.name, engine="stub", model=called)

    found = measure(tmp_path / "a.jsonl", Called(), plan=records.Plan(stages=("code",)))
    identity = found.candidates["stub"].identity
    assert identity is not None and identity.model == told
    assert len(of(found, "stub", "code")) == len(CASES)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_disk_that_is_full_ends_it_with_one_sentence() -> None:
    path = Path("/dev/full")
    writer = files.Writer(path, path.open("wb"), None)
    measurement = running.Measurement(plan=NOTE, cases=CASES, candidates=(), writer=writer)
    with pytest.raises(files.NotUsable, match="cannot be written on"), writer:
        asyncio.run(measurement.run())


def test_a_summary_that_no_patient_can_read_shows(tmp_path: Path) -> None:
    class Learned(Stub):
        def _summarise(self, request: base.Request) -> dict[str, Any]:
            value = super()._summarise(request)
            long = "Differentialdiagnostische Kontrolluntersuchungen empfohlen."
            return {"saetze": [{**item, "text": long} for item in value["saetze"]]}

    plan = records.Plan(stages=("summarise",))
    found = measure(tmp_path / "a.jsonl", Learned("learned"), plan=plan)
    refused = of(found, "learned", "summarise")
    assert {record.served for record in refused} == {"rules"}
    assert all(record.measures["summary.readability"] < 0 for record in refused)
    (column,) = [c for c in comparison.compare([found]).columns if c.model == "learned"]
    assert [sentence for sentence in column.failures if "reading ease" in sentence]


def test_an_engine_is_closed_when_the_run_ends_early(tmp_path: Path) -> None:
    stub, judge = Stub(), Stub("judge")

    def stop(task: Task) -> None:
        if task.model == "stub":
            assert stub.is_running and judge.is_running
            signal.raise_signal(signal.SIGINT)  # Ctrl-C

    with pytest.raises(KeyboardInterrupt):
        measure(tmp_path / "a.jsonl", stub, judge=judge, progress=stop)
    assert not stub.is_running and not judge.is_running


def test_the_size_is_that_of_the_records(tmp_path: Path) -> None:
    heard: list[Task] = []
    plan = records.Plan(stages=("code", "bill"), repeat=2)
    stubs = (Stub("one"), Stub("two", refuses_to_start="Not there."))
    found = measure(tmp_path / "a.jsonl", *stubs, plan=plan, progress=heard.append)
    assert len(heard) == len({task.key for task in heard}) == 2 * 2 * 2 * 3
    assert len(found.records) == 2 * 2 * 2 * 2


def test_the_judge_is_asked_about_the_first_notes_and_changes_no_grade(
    measured: files.Measured, tmp_path: Path
) -> None:
    judged = [record for record in measured.records if record.judged is not None]
    assert {(r.stage, r.repeat, r.concurrency) for r in judged} == {("scribe", 1, 1)}
    assert {r.model for r in judged} == {"copies", "invents <b>", options.RULES}
    own = {r.case: r.measures["note.statements"] for r in judged if r.model == "copies" and r.is_own}
    for record in judged:
        counts = record.judged.model_dump() if record.judged else {}
        if record.model == "copies":
            asked = sum(counts.values())
            assert own[record.case] <= asked <= own[record.case] + sum(record.refused.values())
    plain = measure(tmp_path / "a.jsonl", Stub("copies"), plan=NOTE)
    for record in of(plain, "copies"):
        (same,) = [r for r in of(measured, "copies") if r.case == record.case and r.concurrency == 1]
        assert (same.measures, same.refused, same.result) == (record.measures, record.refused, record.result)


def test_what_the_rules_engine_wrote_for_a_model_is_not_judged_as_the_models(tmp_path: Path) -> None:
    found = measure(tmp_path / "a.jsonl", Stub("loops", loops=1), plan=NOTE, judge=Stub("judge"))
    assert {record.judged for record in of(found, "loops")} == {records.Judgement()}
    assert all(record.judged != records.Judgement() for record in of(found, options.RULES))


def test_a_task_has_the_key_of_its_record() -> None:
    task = Task("m", "scribe", CASES[0], 2, 3)
    assert task.key == ("m", "scribe", CASES[0].name, 2, 3)
