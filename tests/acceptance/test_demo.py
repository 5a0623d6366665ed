"""`fhir-gateway demo` as its own process: what it prints, what it keeps, and with which code it ends."""

from __future__ import annotations

import dataclasses
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fhir_gateway.demo import pages, record_system, show
from pipeline import flow
from pipeline.evaluation import cases
from tests import support

Shown = tuple[dict[str, str], list[dict[str, Any]]]

HEADINGS = (
    "BEHANDLUNG",
    "VERLAUFSNOTIZ (ENTWURF)",
    "DIAGNOSEN (ICD-10-GM, VORSCHLAG)",
    "VERORDNUNGSPRÜFUNG",
    "ABRECHNUNG (VORSCHLAG)",
    "FÜR DIE PATIENTIN ODER DEN PATIENTEN (ENTWURF)",
    "NICHT ÜBERNOMMEN",
    "LAUFZEIT",
    "NACHLESEN",
)
SECTIONS = ("Subjektiv", "Objektiv", "Beurteilung", "Procedere")


def pages_of(text: str) -> dict[str, str]:
    """The printed pages by heading; what stands before the first one under the empty heading."""
    found, heading = {"": ""}, ""
    for line in text.splitlines():
        title = re.fullmatch(r"([^─]+) ─+", line)
        heading = title[1] if title else heading
        found[heading] = found.get(heading, "") + ("" if title else f"{line.rstrip()}\n")
    return found


def demo(*arguments: str | Path) -> dict[str, str]:
    """The pages of a demonstration that must succeed."""
    finished = support.command("demo", *arguments)
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    assert max(map(len, (line for line in finished.stdout.splitlines() if "http" not in line))) <= 100
    printed = pages_of(finished.stdout)
    assert tuple(printed) == ("", *HEADINGS)
    return printed


def bundle_in(path: Path) -> list[dict[str, Any]]:
    """The resources of a written collection Bundle, each with its fullUrl checked; numbers are Decimal."""
    bundle = msgspec.json.Decoder(float_hook=Decimal).decode(path.read_bytes())
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "collection")
    resources = [entry["resource"] for entry in bundle["entry"]]
    for entry, resource in zip(bundle["entry"], resources, strict=True):
        assert entry["fullUrl"].endswith(f"/fhir/{resource['resourceType']}/{resource['id']}")
    assert len({entry["fullUrl"] for entry in bundle["entry"]}) == len(resources)
    return resources


def of_type(resources: list[dict[str, Any]], resource_type: str) -> list[dict[str, Any]]:
    return [resource for resource in resources if resource["resourceType"] == resource_type]


@pytest.fixture(scope="module")
def polytrauma(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """The default consultation: its pages and the resources in its file."""
    path = tmp_path_factory.mktemp("demo") / "kept.json"
    return demo("--json", path), bundle_in(path)


def answers_of(resources: list[dict[str, Any]], *, without: str = "") -> record_system.Answers:
    """The kept resources as the demonstration had them, without the results of one kind."""
    (task,) = of_type(resources, "Task")
    by_reference = {f"{resource['resourceType']}/{resource['id']}": resource for resource in resources}
    outputs: dict[str, list[dict[str, Any]]] = {}
    for output in task["output"]:
        kind = output["type"]["coding"][0]["code"]
        if kind != without and "valueReference" in output:
            outputs.setdefault(kind, []).append(by_reference[output["valueReference"]["reference"]])
    return record_system.Answers("", (), task, (task,), outputs, None, {})


def test_the_polytrauma_consultation_is_printed_whole_and_kept(
    polytrauma: Shown,
) -> None:
    printed, resources = polytrauma

    for stage in flow.STAGES:
        assert len(re.findall(rf"^\+ .*\({stage}\) +fertig nach \d+,\d{{3}} s$", printed[""], re.MULTILINE)) == 1
    assert re.search(r"^\+ Auftrag +abgeschlossen, 9 von 9 Stufen$", printed[""], re.MULTILINE)

    note = printed["VERLAUFSNOTIZ (ENTWURF)"]
    assert [line for line in note.splitlines() if line in SECTIONS] == list(SECTIONS)
    assert re.search(r"^ *\[71\]  Blutdruck 148/86 mmHg\.$", note, re.MULTILINE)
    for mark in ("(verneint)", "(Familie)", "(früher)"):
        assert mark in note

    conditions = of_type(resources, "Condition")
    diagnoses = printed["DIAGNOSEN (ICD-10-GM, VORSCHLAG)"]
    proposed = [condition for condition in conditions if "encounter" in condition]
    assert proposed
    for condition in proposed:
        assert condition["code"]["coding"][0]["code"] in diagnoses
    assert "gesichert, links" in diagnoses
    assert "in der Beurteilung" in diagnoses

    check = printed["VERORDNUNGSPRÜFUNG"]
    assert check.index("Kontraindiziert (") < check.index("Hoch (") < check.index("\nGeprüft\n")
    assert "Amoxicillin – Allergie: Penicillin" in check
    for word in ("Warum", "Was tun", "Quelle", "Beleg"):
        assert re.search(rf"^ +{word} +\S", check, re.MULTILINE)
    assert re.search(r"Nicht geprüft\n  \w+", check)

    (claim,) = of_type(resources, "Claim")
    total = pages.euro(claim["total"]["value"])
    assert re.search(rf"Summe +{re.escape(total)}$", printed["ABRECHNUNG (VORSCHLAG)"], re.MULTILINE)
    assert "03000" in printed["ABRECHNUNG (VORSCHLAG)"]
    assert "Grund: " in printed["NICHT ÜBERNOMMEN"]
    assert "Wandzeit bis Ende der Stufe" in printed["LAUFZEIT"]

    types = {resource["resourceType"] for resource in resources}
    assert types >= {
        "Patient", "Encounter", "DocumentReference", "Task", "Composition", "Condition", "DetectedIssue", "Claim",
        "Provenance", "Device",
    }  # fmt: skip
    for resource in (*of_type(resources, "Composition"), *of_type(resources, "Provenance"), claim):
        assert f"/fhir/{resource['resourceType']}/{resource['id']}" in printed["NACHLESEN"]


def test_decimals_are_kept_as_they_were_posted(polytrauma: Shown) -> None:
    observations = of_type(polytrauma[1], "Observation")
    posted = [observation.value for observation in cases.named("polytrauma").consultation.record.observations]
    assert sorted(str(observation["valueQuantity"]["value"]) for observation in observations) == sorted(
        map(str, posted)
    )


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("", None),
        ("note", "the note with its four sections did not come back"),
        ("condition", "no Condition came back"),
        ("claim", "neither a Claim nor a reason for none came back"),
        ("summary", "the patient summary did not come back"),
    ],
)
def test_a_part_that_did_not_come_back_is_told(polytrauma: Shown, kind: str, fault: str | None) -> None:
    assert show.missing(answers_of(polytrauma[1], without=kind)) == fault


def test_a_statement_without_evidence_is_told(polytrauma: Shown) -> None:
    fault = show.missing(answers_of(polytrauma[1], without="provenance"))
    assert fault is not None
    assert fault.startswith("the statements s1, ")


def test_a_check_without_a_result_is_told(polytrauma: Shown) -> None:
    answers = answers_of(polytrauma[1])
    silent = dataclasses.replace(answers, task={**answers.task, "note": []})
    assert show.missing(silent) == "the result of the prescribing check did not come back"


def test_a_claim_whose_total_is_not_its_sum_is_told(polytrauma: Shown) -> None:
    answers = answers_of(polytrauma[1])
    (claim,) = answers.output("claim")
    wrong = {**claim, "total": {"value": claim["total"]["value"] + 1, "currency": "EUR"}}
    changed = dataclasses.replace(answers, outputs={**answers.outputs, "claim": [wrong]})
    assert show.missing(changed) == "the total of the Claim is not the sum of its items"


def test_a_privately_insured_patient_gets_goae_items_with_factor() -> None:
    billing = demo("--case", "ankle-sprain")["ABRECHNUNG (VORSCHLAG)"]
    assert "Faktor" in billing
    assert re.search(r"^  1 +Beratung.* 2,3 +\d+,\d\d EUR$", billing, re.MULTILINE)
    assert re.search(r"Summe +\d+,\d\d EUR$", billing, re.MULTILINE)


def test_an_inpatient_gets_no_claim_but_a_reason() -> None:
    printed = demo("--case", "heart-failure-ward")
    assert "stationär" in printed["BEHANDLUNG"]
    assert "kein Abrechnungsvorschlag" in printed["ABRECHNUNG (VORSCHLAG)"]
    assert "Summe" not in printed["ABRECHNUNG (VORSCHLAG)"]
    assert "gesichert" not in printed["DIAGNOSEN (ICD-10-GM, VORSCHLAG)"]


def test_an_unknown_case_is_refused_with_the_known_names() -> None:
    refused = support.command("demo", "--case", "hangnail")
    assert refused.returncode == 2
    assert refused.stdout == ""
    names = ", ".join(case.name for case in cases.bundled())
    assert refused.stderr == f'There is no bundled case "hangnail"; known are {names}.\n'


def test_a_file_that_cannot_be_written_is_told_before_anything_is_started(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "kept.json"
    refused = support.command("demo", "--json", path)
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert refused.stderr == f"The file {path} cannot be written: No such file or directory.\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_keep_leaves_the_gateway_up_until_it_is_stopped(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "fhir_gateway", "demo", "--case", "cystitis", "--keep"],
        cwd=support.ROOT, env=support.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        address = None
        for line in process.stdout:
            address = address or re.search(r"^Notiz +(http://127\.0\.0\.1:\d+/fhir/Composition/\S+)", line)
            if "läuft weiter" in line:
                break
        try:
            assert address is not None
            with urllib.request.urlopen(address[1], timeout=10) as answer:
                assert answer.status == 200
        finally:
            process.send_signal(number)
        _, complaints = process.communicate(timeout=support.DEADLINE)
    assert (process.returncode, complaints) == (0, "")
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(address[1], timeout=10)


def test_the_named_stages_are_those_of_the_flow() -> None:
    assert tuple(pages.STAGES) == flow.STAGES
