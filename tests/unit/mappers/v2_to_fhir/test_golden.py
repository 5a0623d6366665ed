"""Golden messages: what differs is shown line by line, and what is accepted is what is expected from then on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mappers.v2_to_fhir import golden, library, sites
from tests.unit.mappers.v2_to_fhir import maps

SITE = sites.Site("default", library.bundled())


def message(*segments: str) -> bytes:
    """An ADT^A31 as it lies in a file."""
    return "".join(f"{segment}\n" for segment in (maps.header("ADT^A31"), maps.PID, *segments)).encode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one golden message, accepted."""
    (tmp_path / "person.hl7").write_bytes(message("ZXX|1"))
    (accepted,) = golden.compare(tmp_path, SITE, accept=True)
    assert accepted.name == "person"
    return tmp_path


def test_what_was_accepted_is_the_same(folder: Path) -> None:
    assert [one.is_same for one in golden.compare(folder, SITE)] == [True]
    expected = json.loads((folder / "person.json").read_text("utf-8"))
    assert (expected["event"], expected["not mapped"]) == ("ADT^A31", ["ZXX-1"])
    patient = next(one for one in expected["resources"] if one["resourceType"] == "Patient")
    assert patient["draft"].startswith("draft:")


def test_a_difference_is_shown_line_by_line(folder: Path) -> None:
    path = folder / "person.json"
    path.write_text(path.read_text("utf-8").replace("Berta", "Bertha"), "utf-8")
    before = path.read_text("utf-8")
    (found,) = golden.compare(folder, SITE)
    lines = [line.strip() for line in found.differences]
    assert lines[:2] == ["--- person: expected", "+++ person: now"]
    assert any(line.startswith("-") and "Bertha" in line for line in lines)
    assert any(line.startswith("+") and "Berta" in line for line in lines)
    assert path.read_text("utf-8") == before


def test_a_message_without_expectation_differs_in_all_lines(folder: Path) -> None:
    (folder / "person.json").unlink()
    (found,) = golden.compare(folder, SITE)
    assert not found.is_same
    assert not (folder / "person.json").exists()


def test_a_file_that_is_no_message_is_told_and_others_go_on(folder: Path) -> None:
    (folder / "anders.hl7").write_bytes(b"Hallo")
    first, second = golden.compare(folder, SITE)
    assert (first.name, first.differences) == ("anders", ("is no message: There is no MSH segment at the beginning.",))
    assert second.is_same


def test_the_site_decides_what_a_message_becomes(folder: Path) -> None:
    (folder / "kis.yaml").write_text(
        "maps: {PID: {Patient: [{from: PID-8, to: gender, table: administrative-gender, drop: true}]}}\n"
    )
    (found,) = golden.compare(folder, sites.read(folder / "kis.yaml"))
    assert any(line.startswith("-") and '"gender"' in line for line in found.differences)
    assert any(line.startswith("+") and "PID-8" in line for line in found.differences)


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_line_ends_of_an_editor_are_no_difference(folder: Path, end: str) -> None:
    path = folder / "person.hl7"
    path.write_bytes(path.read_bytes().replace(b"\n", end.encode()))
    assert [one.is_same for one in golden.compare(folder, SITE)] == [True]


def test_what_a_message_deletes_and_what_failed_is_told() -> None:
    found = golden.told(golden.become(message().replace(b"||19580412|F", b'||gestern|F||||||||""'), SITE))
    document = json.loads(found)
    assert list(document["deleted"].values()) == [["maritalStatus"]]
    assert {fault.split(":")[0] for fault in document["faults"]} == {"PID-7"}
    assert "gestern" not in json.dumps(document["faults"])


def test_the_golden_messages_that_ship_are_as_expected() -> None:
    folder = library.FOLDER / "sites"
    found = list(golden.compare(folder / "beispielklinik", sites.read(folder / "beispielklinik.yaml")))
    assert len(found) >= 20
    assert [line for one in found for line in one.differences] == []
