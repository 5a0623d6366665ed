"""kill -9 at random moments: what was acknowledged is finished, nothing is done twice, nothing is written twice."""

from __future__ import annotations

import random
import re
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from fhir_gateway.search import parameters
from pipeline import flow
from tests import support
from tests.support import Gateway

KILLS = 30
SMALL = ("sinusitis", "cystitis", "hypothyroidism-phone", "gastroenteritis")
LONGEST_LIFE = 1.5  # seconds from ready to the kill at most
SEED = random.SystemRandom().randrange(1_000_000)

StageTimes = dict[tuple[str, str], int]


@dataclass
class Sender:
    """A record system that posts one bundle after the other and remembers what was acknowledged."""

    gateway: Gateway
    names: list[str]
    acknowledged: list[bytes] = field(default_factory=list)
    unanswered: list[bytes] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Post until told to stop or until the connection is lost."""
        while not self.stop.is_set():
            body = support.encode(support.case_bundle(self.names[len(self.acknowledged) % len(self.names)]))
            try:
                answer = self.gateway.post("", body)
            except httpx.TransportError:
                self.unanswered.append(body)
                return
            assert answer.status_code == 200, answer.text
            self.acknowledged.append(body)
            self.stop.wait(0.4)


def stage_times(gateway: Gateway) -> StageTimes:
    """When each stage of each run was finished, in microseconds since 1970."""
    return {(run, stage): at for run, stage, at in gateway.rows("SELECT run, stage, at FROM stage_output")}


def worked(gateway: Gateway) -> int:
    """How many stages this process has finished."""
    text = httpx.get(gateway.address("/metrics"), trust_env=False).text
    counts = re.findall(r"^fhir_gateway_stage_seconds_count\{.*\} (\S+)$", text, re.MULTILINE)
    return sum(int(float(count)) for count in counts)


def all_ended(gateway: Gateway) -> bool | None:
    """Whether no run is queued or running; none may have failed."""
    assert gateway.rows("SELECT id, reason FROM run WHERE status = 'failed'") == []
    return not gateway.rows("SELECT 1 FROM run WHERE status IN ('queued', 'running') LIMIT 1") or None


def encounters(gateway: Gateway, bodies: list[bytes]) -> list[str]:
    """The encounters of these bundles. A resend gets the first answer, so posting again is how to find them."""
    answers = [gateway.post("", body) for body in bodies]
    assert {answer.status_code for answer in answers} <= {200}
    return [support.references(support.decode(answer))["Encounter"].split("/")[1] for answer in answers]


def assert_written_once(gateway: Gateway, encounter: str) -> None:
    """One completed run, each stage once, one set of results in its first version."""
    runs = gateway.rows("SELECT id, status, reason FROM run WHERE encounter = ?", encounter)
    assert [row[1:] for row in runs] == [("completed", None)], (encounter, runs)
    stages = gateway.rows("SELECT stage FROM stage_output WHERE run = ?", runs[0][0])
    assert sorted(stage for (stage,) in stages) == sorted(flow.STAGES)
    (task,) = gateway.tasks(f"Encounter/{encounter}")
    assert task["status"] == "completed"
    named = {output["valueReference"]["reference"] for output in task["output"] if "valueReference" in output}
    written = gateway.rows(
        "SELECT DISTINCT v.type, v.id, v.version FROM resource_version v JOIN index_reference i ON i.rk = v.rk"
        " WHERE i.parameter IN (?, ?, ?) AND i.target_id = ?",
        *(parameters.number(name, "encounter") for name in ("Composition", "Condition", "Claim")),
        encounter,
    )
    assert {f"{type_}/{id_}" for type_, id_, _version in written} == {
        reference for reference in named if reference.split("/")[0] in ("Composition", "Condition", "Claim")
    }
    for reference in named:
        versions = gateway.rows("SELECT version FROM resource_version WHERE type = ? AND id = ?", *reference.split("/"))
        assert versions == [(1,)], reference


@pytest.fixture
def seeded(capsys: pytest.CaptureFixture[str]) -> random.Random:
    """A source of random moments whose seed is printed, so that a failure can be repeated."""
    with capsys.disabled():
        print(f"\nseed of the kills: {SEED}")  # noqa: T201
    return random.Random(SEED)


def test_thirty_kills_lose_nothing_and_repeat_nothing(tmp_path: Path, seeded: random.Random) -> None:
    gateway = Gateway(tmp_path / "data")
    acknowledged: list[bytes] = []
    unanswered: list[bytes] = []
    before: StageTimes = {}
    try:
        for number in range(KILLS):
            gateway.spawn()
            if number % 6 == 5:  # some die while they start
                time.sleep(seeded.uniform(0.05, 1.0))
                gateway.kill()
                continue
            support.poll(lambda: gateway.is_ready() or None, "/readyz")
            sender = Sender(gateway, seeded.sample(SMALL, len(SMALL)))
            thread = threading.Thread(target=sender.run)
            thread.start()
            time.sleep(seeded.uniform(0.0, LONGEST_LIFE))
            if number % 9 == 7:  # before a stage has begun so often that its run is taken for poisonous
                sender.stop.set()
                thread.join()
                support.poll(lambda: all_ended(gateway), "the end of all runs", deadline=120)
            gateway.kill()
            sender.stop.set()
            thread.join()
            acknowledged += sender.acknowledged
            unanswered += sender.unanswered
            now = stage_times(gateway)
            assert before.items() <= now.items(), "a finished stage was repeated or lost"
            before = now
        assert len(acknowledged) >= KILLS // 2
        gateway.start()
        support.poll(lambda: all_ended(gateway), "the end of all runs", deadline=120)
        done = stage_times(gateway)
        assert before.items() <= done.items(), "a finished stage was repeated or lost"
        assert worked(gateway) == len(done) - len(before), "the last process worked on stages that were finished"
        found = encounters(gateway, acknowledged)
        assert len(set(found)) == len(acknowledged)
        for encounter in found:
            assert_written_once(gateway, encounter)
        resent = encounters(gateway, unanswered)  # kept or not before the kill: now it is there, and once
        support.poll(lambda: all_ended(gateway), "the end of all runs", deadline=120)
        assert len(set(resent) | set(found)) == len(acknowledged) + len(unanswered)
        for encounter in resent:
            assert_written_once(gateway, encounter)
        counts = gateway.rows("SELECT count(*), count(DISTINCT encounter) FROM run")
        assert counts == [(len(acknowledged) + len(unanswered),) * 2]
    finally:
        gateway.close()


def test_a_restart_works_on_nothing_that_is_finished(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "data").start()
    try:
        task = gateway.ended(gateway.posted(support.case_bundle("cystitis"))["Encounter"])
        before = stage_times(gateway)
        assert worked(gateway) == len(flow.STAGES) == len(before)
        gateway.kill()
        gateway.start()
        assert gateway.tasks(task["encounter"]["reference"]) == [task]
        again = gateway.ended(gateway.posted(support.case_bundle("cystitis"))["Encounter"])
        assert again["status"] == "completed"
        assert worked(gateway) == len(flow.STAGES)
        assert before.items() <= stage_times(gateway).items()
    finally:
        gateway.close()


@pytest.mark.parametrize("stage", ["gather", "scribe", "check", "write_back"])
def test_a_kill_after_a_stage_goes_on_with_the_next(tmp_path: Path, stage: str) -> None:
    gateway = Gateway(tmp_path / "data").start()
    try:
        references = [gateway.posted(support.case_bundle("polytrauma")) for _number in range(3)]
        support.poll(lambda: gateway.rows("SELECT 1 FROM stage_output WHERE stage = ?", stage) or None, stage)
        gateway.kill()
        before = stage_times(gateway)
        gateway.start()
        for reference in references:
            assert gateway.ended(reference["Encounter"])["status"] == "completed"
            assert_written_once(gateway, reference["Encounter"].split("/")[1])
        after = stage_times(gateway)
        assert before.items() <= after.items()
        assert worked(gateway) == len(after) - len(before)
    finally:
        gateway.close()


def test_sigterm_ends_within_ten_seconds_and_the_next_start_finishes(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "data").start()
    try:
        references = [gateway.posted(support.case_bundle("polytrauma")) for _number in range(12)]
        assert gateway.stop() < 10
        gateway.start()
        for reference in references:
            assert gateway.ended(reference["Encounter"])["status"] == "completed"
            assert_written_once(gateway, reference["Encounter"].split("/")[1])
    finally:
        gateway.close()


def test_sigterm_of_an_idle_gateway_ends_it_at_once_and_logs_no_error(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "data").start()
    try:
        assert gateway.stop() < 5
        assert '"level": "error"' not in gateway.log_text()
    finally:
        gateway.close()
