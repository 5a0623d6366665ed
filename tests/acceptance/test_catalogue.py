"""An imported catalogue behind a whole gateway: what only it holds is coded, and a damaged one stops the start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from terminology.icd10gm import installed, starter
from tests import support
from tests.support import Gateway, Json

CSV = support.SHARED / "data" / "icd10gm" / "icd10gm_2025_codes.csv"
ONLY_IN_FULL = ("L44.1", "Lichen nitidus")
TRANSCRIPT = """Arzt: Guten Tag, was führt Sie zu mir?
Patient: Ich habe seit zwei Wochen Beschwerden.
Arzt: Die Diagnose ist: {title}.
"""
SYSTEM = "http://fhir.de/CodeSystem/bfarm/icd-10-gm"


def consultation(title: str) -> Json:
    """A consultation of 2025 in which the doctor names one diagnosis."""
    bundle = support.case_bundle("cystitis", text=TRANSCRIPT.format(title=title))
    support.resource(bundle, "Encounter")["period"] = {
        "start": "2025-03-11T09:00:00+01:00", "end": "2025-03-11T09:10:00+01:00"
    }  # fmt: skip
    return bundle


def coded(gateway: Gateway, title: str) -> set[tuple[str, str]]:
    """Code and year of each Condition."""
    encounter = gateway.posted(consultation(title))["Encounter"]
    task = gateway.ended(encounter)
    assert task["status"] == "completed", task
    found = [result["code"]["coding"] for result in gateway.outputs(task) if result["resourceType"] == "Condition"]
    return {(one["code"], one["version"]) for codings in found for one in codings if one["system"] == SYSTEM}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the complete 2025."""
    if not CSV.exists():
        pytest.skip("needs ../shared/data/icd10gm")
    data = tmp_path_factory.mktemp("catalogue") / "data"
    done = support.command("terminology", "import", CSV, "--data", data)
    assert done.returncode == 0, done.stderr
    return data


@pytest.fixture(scope="module")
def full(filled: Path) -> Iterator[Gateway]:
    with support.running(filled) as gateway:
        yield gateway


def test_what_only_the_whole_catalogue_holds_is_coded(full: Gateway) -> None:
    code, title = ONLY_IN_FULL
    assert code not in starter.load(2025).codes
    assert (code, "2025") in coded(full, title)


def test_the_starter_does_not_make_it_up(tmp_path: Path) -> None:
    code, title = ONLY_IN_FULL
    with support.running(tmp_path / "data") as gateway:
        assert code not in {name for name, _year in coded(gateway, title)}


@pytest.mark.parametrize("role", ["all", "api"])
def test_a_damaged_catalogue_stops_the_start(tmp_path: Path, role: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / installed.FILE).write_bytes(b"kaputt" * 5000)
    done = support.command("serve", "--port", "0", "--mllp-port", "0", "--role", role, "--data", data)
    told = [line for line in done.stderr.splitlines() if installed.FILE in line]
    assert done.returncode == 2, done.stderr
    assert len(told) == 1 and "delete it and import again" in told[0]
    assert "Traceback" not in done.stderr and "listening" not in done.stderr
    checked = support.command("check", "--data", data)
    assert (checked.returncode, checked.stderr.strip()) == (2, told[0])
