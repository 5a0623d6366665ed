"""Against a FHIR server that nobody here wrote (../shared/tools/fhir): write-back, its faults, context, validation."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.evaluation import cases
from tests import support
from tests.support import Gateway, Json

TOOLS = support.SHARED / "tools" / "fhir"
PEERS = os.environ.get("FHIR_PEERS")
pytestmark = pytest.mark.skipif(
    PEERS is None and (shutil.which("npm") is None or not TOOLS.is_dir()), reason="needs ../shared and Node"
)


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the foreign server and the validators, their packages installed."""
    if PEERS is not None:
        return Path(PEERS)
    folder = tmp_path_factory.mktemp("peers") / "fhir"
    shutil.copytree(TOOLS, folder)
    subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True, timeout=300)
    return folder


@dataclass
class Ehr:
    """The record system as a process. Requests before `seen` belong to earlier tests."""

    port: int
    seen: int = 0

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def call(self, method: str, path: str, body: object = None) -> httpx.Response:
        content = None if body is None else support.encode(body)
        headers = support.FHIR_JSON if body is not None else {}
        return httpx.request(method, f"{self.root}{path}", content=content, headers=headers, trust_env=False)

    def requests(self) -> list[Json]:
        found: list[Json] = self.call("GET", "/requests").json()
        return found[self.seen :]

    def writes(self) -> list[tuple[str, int]]:
        """Method with path, and status, of everything that wanted to write."""
        return [(f"{r['method']} {r['path']}", r["status"]) for r in self.requests() if r["method"] != "GET"]

    def fail(self, times: int, status: int) -> None:
        assert self.call("POST", "/faults", {"next": times, "status": status}).status_code == 200

    def create(self, resource: Json) -> str:
        answer = self.call("POST", f"/fhir/{resource['resourceType']}", resource)
        assert answer.status_code == 201, answer.text
        return f"{resource['resourceType']}/{answer.json()['id']}"

    def get(self, reference: str) -> Json:
        answer = self.call("GET", f"/fhir/{reference}")
        assert answer.status_code == 200, (reference, answer.text)
        found: Json = answer.json()
        return found

    def config(self, *lines: str) -> str:
        settings = [f'base_url = "{self.root}/fhir"', "backoff_seconds = 0.05", *lines]
        return "\n".join(["[ehr]", *settings, ""])


@pytest.fixture(scope="module")
def process(peers: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The record system's process: its port."""
    port, log = support.free_port(), tmp_path_factory.mktemp("ehr") / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(["node", "ehr.mjs", str(port)], cwd=peers, stdout=output, stderr=output)
    try:
        support.poll(lambda: "ready" in log.read_text() or None, "the EHR")
        yield port
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def ehr(process: int) -> Ehr:
    """The record system without faults."""
    found = Ehr(process)
    found.fail(0, 503)
    return Ehr(process, seen=len(found.requests()))


Connected = Callable[[str], contextlib.AbstractContextManager[Gateway]]


@pytest.fixture(scope="module")
def connected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connected]:
    """The gateway with this configuration; those with the same share one process."""
    started: dict[str, Gateway] = {}
    with contextlib.ExitStack() as stack:

        @contextlib.contextmanager
        def running(config: str) -> Iterator[Gateway]:
            if config not in started:
                data = tmp_path_factory.mktemp("gateway") / "data"
                started[config] = stack.enter_context(support.running(data, config))
            yield started[config]

        yield running


def done(gateway: Gateway, name: str = "sinusitis") -> Json:
    """The ended Task of a bundled case that is posted to the gateway now."""
    return gateway.ended(gateway.posted(support.case_bundle(name))["Encounter"])


def delivered(gateway: Gateway, ehr: Ehr, task: Json) -> None:
    """Every output stands in the EHR as it stands in the gateway."""
    for ours in gateway.outputs(task):
        theirs = ehr.get(f"{ours['resourceType']}/{ours['id']}")
        assert without_meta(theirs) == without_meta(json.loads(support.encode(ours)))
        assert theirs["meta"]["security"] == ours["meta"]["security"]


def without_meta(resource: Json) -> Json:
    return {name: value for name, value in resource.items() if name != "meta"}


def test_results_are_delivered_as_one_transaction(ehr: Ehr, connected: Connected) -> None:
    with connected(ehr.config()) as gateway:
        task = done(gateway)
        assert task["status"] == "completed"
        assert ehr.writes() == [("POST /fhir", 200)]
        delivered(gateway, ehr, task)
        gateway.post(f"{task['encounter']['reference']}/$process", b"")
        assert gateway.ended(task["encounter"]["reference"], runs=2)["status"] == "completed"
        assert ehr.writes() == [("POST /fhir", 200)]


def test_results_are_delivered_one_by_one_where_the_configuration_says_so(ehr: Ehr, connected: Connected) -> None:
    with connected(ehr.config("transaction = false")) as gateway:
        task = done(gateway)
        assert task["status"] == "completed"
        outputs = (output for output in task["output"] if "valueReference" in output)
        references = [output["valueReference"]["reference"] for output in outputs]
        writes = ehr.writes()
        assert [path for path, _status in writes[1:]] == [f"PUT /fhir/{reference}" for reference in references]
        assert writes[0][0].startswith("PUT /fhir/Device/")
        assert {status for _path, status in writes} <= {200, 201}
        delivered(gateway, ehr, task)


@pytest.mark.parametrize("transaction", ["true", "false"])
@pytest.mark.parametrize("status", [503, 429, 0], ids=["503", "429", "dropped connection"])
def test_a_server_that_fails_three_times_gets_it_in_the_end_and_once(
    ehr: Ehr, connected: Connected, status: int, transaction: str
) -> None:
    with connected(ehr.config(f"transaction = {transaction}")) as gateway:
        ehr.fail(3, status)
        task = done(gateway)
        assert task["status"] == "completed"
        assert [r["status"] for r in ehr.requests()].count(status) == 3
        delivered(gateway, ehr, task)
        for ours in gateway.outputs(task):
            assert ehr.get(f"{ours['resourceType']}/{ours['id']}/_history")["entry"][1:] == []


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_faults_in_the_middle_of_the_delivery_are_mended(ehr: Ehr, connected: Connected, method: str) -> None:
    config = ehr.config(f"transaction = {str(method == 'POST').lower()}", "attempts = 9")
    with connected(config) as gateway:
        encounter = gateway.posted(support.case_bundle("polytrauma"))["Encounter"]
        support.poll(
            lambda: stage(gateway, encounter) in ("scribe", "check", "code", "bill", "summarise") or None, "half"
        )
        ehr.fail(3, 503)
        task = gateway.ended(encounter)
        assert task["status"] == "completed"
        delivered(gateway, ehr, task)


def stage(gateway: Gateway, encounter: str) -> str:
    (task,) = gateway.tasks(encounter)
    return str(task.get("businessStatus", {}).get("text"))


def test_a_server_that_stays_away_makes_a_dead_letter_that_replay_mends(ehr: Ehr, connected: Connected) -> None:
    with connected(ehr.config("attempts = 2") + "[runs]\nattempts = 2\n") as gateway:
        ehr.fail(10_000, 503)
        task = done(gateway)
        assert task["status"] == "failed"
        reason = task["statusReason"]["text"]
        assert reason == "The stage gather failed 2 times: The EHR answered 503."
        ehr.fail(0, 503)
        replayed(gateway, task, "gather")
        mended = gateway.ended(task["encounter"]["reference"])
        assert (mended["status"], mended["id"]) == ("completed", task["id"])
        delivered(gateway, ehr, mended)


def replayed(gateway: Gateway, task: Json, stage: str) -> None:
    """Run `runs replay` beside the running gateway, and wait until the run has left its failed state."""
    command = support.command("runs", "replay", task["id"], "--from", stage, "--data", gateway.data)
    assert (command.returncode, command.stderr) == (0, "")
    assert command.stdout == f"Run {task['id']} is queued from {stage} on.\n"
    assert gateway.get(f"Task/{task['id']}")["status"] != "failed"


def test_a_refusal_is_a_dead_letter_with_the_servers_words_that_replay_mends(ehr: Ehr, connected: Connected) -> None:
    with connected(ehr.config()) as gateway:
        task = refused_once(gateway, ehr)
        assert task["status"] == "failed"
        assert task["statusReason"]["text"] == "The EHR answered 422: fault asked for by the test"
        assert task["businessStatus"]["text"] == "deliver"
        listed = support.command("runs", "list", "--state", "failed", "--data", gateway.data)
        assert task["id"] in listed.stdout
        assert "The EHR answered 422: fault asked for by the test" in listed.stdout
        shown = support.command("runs", "show", task["id"], "--data", gateway.data)
        assert "state      failed" in shown.stdout
        assert "fault asked for by the test" not in gateway.log_text()
        ehr.fail(0, 422)
        finished = dict(gateway.rows("SELECT stage, at FROM stage_output WHERE run = ?", task["id"]))
        replayed(gateway, task, "deliver")
        mended = gateway.ended(task["encounter"]["reference"])
        assert (mended["status"], mended["id"]) == ("completed", task["id"])
        assert "statusReason" not in mended
        delivered(gateway, ehr, mended)
        after = dict(gateway.rows("SELECT stage, at FROM stage_output WHERE run = ?", task["id"]))
        assert {name: at for name, at in after.items() if name != "deliver"} == finished


def refused_once(gateway: Gateway, ehr: Ehr) -> Json:
    """A run whose delivery meets a 422: the fault is set once the context has been gathered."""
    encounter = gateway.posted(support.case_bundle("polytrauma"))["Encounter"]
    support.poll(lambda: stage(gateway, encounter) in ("gather", "read", "scribe") or None, "the gathered context")
    ehr.fail(10_000, 422)
    return gateway.ended(encounter)


def test_the_context_comes_from_the_ehr_when_only_the_document_is_posted(ehr: Ehr, connected: Connected) -> None:
    bundle = support.case_bundle("polytrauma")
    names: dict[str, str] = {}
    for entry in bundle["entry"][:-1]:
        resource = json.loads(support.encode(entry["resource"]), object_hook=lambda node: renamed(node, names))
        names[entry["fullUrl"]] = ehr.create(resource)
    types = {reference.split("/")[0]: reference for reference in names.values()}
    source = json.loads(support.encode(bundle["entry"][-1]["resource"]), object_hook=lambda node: renamed(node, names))
    with connected(ehr.config()) as gateway:
        assert gateway.post("DocumentReference", source).status_code == 201
        task = gateway.ended(types["Encounter"])
        assert task["status"] == "completed", task
        assert task["for"]["reference"] == types["Patient"]
        outputs = gateway.outputs(task)
        claim = next(o for o in outputs if o["resourceType"] == "Claim")
        assert claim["insurance"][0]["coverage"]["reference"] == types["Coverage"]
        used = {i["reference"] for o in outputs for i in o.get("implicated", []) if not i["reference"].startswith("#")}
        assert used
        assert used <= set(names.values())
        allergy = next(
            o for o in outputs if o["resourceType"] == "DetectedIssue" and "Penicillin" in str(o["evidence"])
        )
        assert types["AllergyIntolerance"] in str(allergy["evidence"])
        delivered(gateway, ehr, task)


def renamed(node: Json, names: dict[str, str]) -> Json:
    return {**node, "reference": names[node["reference"]]} if node.get("reference") in names else node


def test_an_encounter_that_nobody_knows_ends_the_run_with_the_reason(ehr: Ehr, connected: Connected) -> None:
    with connected(ehr.config()) as gateway:
        gateway.post("DocumentReference", support.document("Encounter/nobody", "Patient/nobody", b"Guten Tag."))
        task = gateway.ended("Encounter/nobody")
        assert (task["status"], task["statusReason"]["text"]) == ("failed", "Encounter/nobody is not known.")


def test_the_token_of_the_file_goes_out_with_every_request_and_into_no_log(
    ehr: Ehr, connected: Connected, tmp_path: Path
) -> None:
    secret = tmp_path / "token"
    secret.write_text("streng-geheim\n", "utf-8")
    with connected(ehr.config(f"token_file = '{secret}'")) as gateway:
        assert done(gateway)["status"] == "completed"
        sent = [r["authorization"] for r in ehr.requests()]
        assert sent
        assert all(sent)
        assert "streng-geheim" not in gateway.log_text()


def test_two_foreign_validators_find_no_fault_in_what_all_cases_emit(
    gateway: Gateway, peers: Path, tmp_path: Path
) -> None:
    names = [case.name for case in cases.bundled()]
    posted = {name: gateway.posted(support.case_bundle(name)) for name in names}
    files: list[Path] = []
    for name in names:
        task = gateway.ended(posted[name]["Encounter"])
        practitioner: Any = posted[name]["Practitioner"]
        found = [task, *gateway.outputs(task)]
        if name in ("polytrauma", "heart-failure-ward"):
            parameter = {"name": "practitioner", "valueReference": {"reference": practitioner}}
            for note in [r for r in found if r["resourceType"] == "Composition"]:
                body = {"resourceType": "Parameters", "parameter": [parameter]}
                assert gateway.post(f"Composition/{note['id']}/$release", body).status_code == 200
            found += gateway.outputs(task)
        files.append(tmp_path / f"{name}.json")
        bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": r} for r in found]}
        files[-1].write_bytes(support.encode(bundle))
    for path in ("Device", "AuditEvent?_count=1000", "Provenance?_count=1000", "metadata"):
        files.append(tmp_path / f"{path.split('?')[0]}.json")
        files[-1].write_bytes(gateway.http.get(path).content)
    checked = subprocess.run(
        ["node", "validate.mjs", *map(str, files)], cwd=peers, capture_output=True, text=True, timeout=200, check=False
    )
    assert (checked.returncode, checked.stdout) == (0, ""), checked.stdout[:5000] + checked.stderr[:2000]
