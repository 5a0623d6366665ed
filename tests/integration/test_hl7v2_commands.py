"""The commands `messages` and `map`, as an engineer types them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fhir_gateway import cli
from fhir_gateway.messages import mapping, outgoing, reception
from fhir_gateway.store import database
from tests.integration.hospital import Hospital, message, pid

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """A command: its exit code, what it prints, and what it says of an error."""

    def command(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["fhir-gateway", *map(str, arguments)])
        capsys.readouterr()  # what was logged before
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return command


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with a database."""
    (tmp_path / "data").mkdir()
    database.migrate(database.sqlite_url(tmp_path / "data" / "gateway.sqlite"))
    return tmp_path / "data"


@pytest.fixture
def hospital(data: Path) -> Iterator[Hospital]:
    """What runs on it."""
    opened = Hospital(database.sqlite_url(data / "gateway.sqlite"))
    yield opened
    opened.close()


GOOD, BAD = message("ADT^A31", pid(name="Müller^Änne"), "ZXX|7"), message("ADT^A31", "PID|1", "ZXX|7")


# ---- messages


def test_messages_are_listed_by_state(run: Run, hospital: Hospital, data: Path) -> None:
    hospital.takes(GOOD, BAD)
    code, listed, _error = run("messages", "list", "--data", data)
    newest, oldest = listed.splitlines()
    assert code == 0
    assert newest.split()[2:5] == ["failed", "default", "ADT^A31"]
    assert newest.endswith("not mapped  Patient: There is no identifier.")
    assert oldest.split()[2] == "mapped"
    assert run("messages", "list", "--state", "failed", "--data", data)[1].splitlines() == [newest]
    assert run("messages", "list", "--limit", "1", "--data", data)[1].splitlines() == [newest]
    assert run("messages", "list", "--state", "lost", "--data", data) == (
        2, "", "There is no state lost. The states are received, mapped, failed, no-map, refused.\n",
    )  # fmt: skip
    assert "Müller" not in listed


def test_a_message_is_shown_with_where_each_value_went(run: Run, hospital: Hospital, data: Path) -> None:
    hospital.takes(GOOD)
    code, shown, _error = run("messages", "show", hospital.id_of(GOOD), "--data", data)
    assert code == 0
    lines = {line.split()[0]: line for line in shown.splitlines() if line}
    assert lines["state"].endswith("mapped")
    assert lines["PID-5.1"].endswith("Patient.name")
    assert lines["PID-1"].endswith("left out: number of the segment")
    assert lines["ZXX-1"].endswith("not mapped")
    code, _shown, error = run("messages", "show", "nix", "--data", data)
    assert (code, error) == (
        2,
        "There is no message with this id. `fhir-gateway messages list` shows the known ones.\n",
    )


@pytest.mark.parametrize("body", [b"Hallo", b"", b"MSH|^~\\&|KIS|HAUS\r"])
def test_a_message_that_was_refused_is_shown_with_its_reason(
    run: Run, hospital: Hospital, data: Path, body: bytes
) -> None:
    async def work(door: reception.Reception, _mapper: mapping.Mapper) -> None:
        await door.receive(body, channel="test")

    hospital.run(work)
    (kept,) = hospital.messages()
    code, shown, _error = run("messages", "show", kept.id, "--data", data)
    assert code == 0
    assert "state      refused" in shown
    assert str(kept.reason) in shown
    assert run("messages", "replay", kept.id, "--data", data)[0] == 2


def test_messages_are_mapped_again(run: Run, hospital: Hospital, data: Path) -> None:
    hospital.takes(GOOD, BAD)
    assert run("messages", "replay", "--data", data)[0] == 2
    assert run("messages", "replay", "nix", "--data", data)[0] == 2
    assert run("messages", "replay", hospital.id_of(GOOD), "--state", "failed", "--data", data)[0] == 2
    assert run("messages", "replay", "--state", "refused", "--data", data)[0] == 2
    assert run("messages", "replay", "--state", "failed", "--data", data)[1] == "1 message is mapped again.\n"
    assert [one.state for one in hospital.messages()] == ["mapped", "received"]
    assert run("messages", "replay", hospital.id_of(GOOD), "--data", data)[1] == "1 message is mapped again.\n"
    assert hospital.takes(GOOD, BAD) == [("mapped", None), ("failed", "Patient: There is no identifier.")]


def test_what_was_not_mapped_is_counted(run: Run, hospital: Hospital, data: Path) -> None:
    hospital.takes(GOOD, BAD)
    (line,) = run("messages", "not-mapped", "--data", data)[1].splitlines()
    assert line.split() == ["default", "ADT^A31", "ZXX-1", "2"]
    assert run("messages", "not-mapped", "--site", "nix", "--data", data)[1] == ""


def test_outgoing_messages_are_listed_and_dead_ones_sent_again(run: Run, hospital: Hospital, data: Path) -> None:
    for number, fault in (("a1", None), ("b1", "Not conformant: PV1")):
        hospital.store.submit(
            lambda unit, number=number, fault=fault: outgoing.add(
                unit, control=number, destination="kis", patient="p", encounter="e", event="MDM^T02", body=b"MSH|",
                fault=fault,
            )
        ).result()  # fmt: skip
    second, first = run("messages", "outgoing", "--data", data)[1].splitlines()
    assert first.split()[0] == "a1"
    assert first.endswith("kis  MDM^T02   waiting  0 tries")
    assert second.endswith("dead     0 tries  Not conformant: PV1")
    assert run("messages", "outgoing", "--state", "dead", "--data", data)[1].splitlines() == [second]
    assert run("messages", "outgoing", "--state", "lost", "--data", data)[0] == 2
    assert run("messages", "send-again", "a1", "--data", data)[:2] == (2, "")
    assert run("messages", "send-again", "nix", "--data", data)[0] == 2
    assert run("messages", "send-again", "b1", "--data", data)[:2] == (0, "b1 is sent again.\n")
    assert run("messages", "outgoing", "--state", "dead", "--data", data)[1] == ""


# ---- map


@pytest.fixture
def sites(tmp_path: Path) -> Path:
    """A site with a golden message."""
    folder = tmp_path / "sites"
    (folder / "kis").mkdir(parents=True)
    (folder / "kis.yaml").write_text(
        "match: [{application: KIS}]\nmaps: {ZXX: {source: here, left_out: {ZXX-1: no use}}}\n"
    )
    (folder / "kis" / "person.hl7").write_bytes(GOOD)
    return folder


def test_a_file_is_explained_by_the_rules_of_its_sender(run: Run, sites: Path, tmp_path: Path) -> None:
    file = tmp_path / "m.hl7"
    file.write_bytes(GOOD.replace(b"\r", b"\n"))
    assert any(
        line.split()[0] == "ZXX-1" and line.endswith("not mapped")
        for line in run("map", "explain", file)[1].splitlines()
    )
    for more in ((), ("--site", "kis")):
        code, told, _error = run("map", "explain", file, "--sites", sites, *more)
        assert code == 0
        assert told.startswith("ADT^A31 by the maps of the site kis\n")
        assert "left out: no use" in told
        assert " values, 0 not mapped" in told
    assert run("map", "explain", file, "--sites", sites, "--site", "default")[1].startswith(
        "ADT^A31 by the maps of the site default"
    )


def test_a_batch_is_explained_message_by_message(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "batch.hl7"
    file.write_bytes(b"BHS|^~\\&\r" + GOOD + BAD + b"BTS|2\r")
    told = run("map", "explain", file)[1]
    assert told.count(" by the maps of the site default") == 2
    assert "Patient: There is no identifier. (nothing is stored)" in told


def test_what_cannot_be_explained_is_said_in_a_sentence(run: Run, sites: Path, tmp_path: Path) -> None:
    file = tmp_path / "m.hl7"
    file.write_bytes(b"Hallo")
    for arguments in (
        (file,),
        (tmp_path / "nix.hl7",),
        (sites / "kis" / "person.hl7", "--site", "nix", "--sites", sites),
        (tmp_path,),
    ):
        code, out, error = run("map", "explain", *arguments)
        assert (code, out, error.count("\n")) == (2, "", 1), arguments


def test_golden_messages_are_compared_and_accepted(run: Run, sites: Path) -> None:
    code, told, _error = run("map", "test", "--sites", sites)
    assert (code, told.splitlines()[-1]) == (1, "1 golden messages, 1 different")
    assert run("map", "test", "kis", "--sites", sites, "--accept")[0] in (0, 1)
    assert run("map", "test", "kis", "--sites", sites)[:2] == (0, "1 golden messages, 0 different\n")
    (sites / "kis.yaml").write_text("match: [{application: KIS}]\n")
    code, told, _error = run("map", "test", "--sites", sites)
    assert code == 1
    assert any(line.startswith("+") and '"ZXX-1"' in line for line in told.splitlines())
    assert run("map", "test", "nix", "--sites", sites)[0] == 2


def test_the_golden_messages_that_ship_are_tested_without_a_folder(run: Run) -> None:
    code, told, _error = run("map", "test")
    assert (code, told.splitlines()[-1].endswith("golden messages, 0 different")) == (0, True)


def test_a_broken_site_is_said_with_file_line_and_reason(run: Run, sites: Path) -> None:
    (sites / "kis.yaml").write_text(
        "match: [{application: KIS}]\nmaps:\n  PID:\n    Patient:\n      - {from: PID-8, to: sex}\n"
    )
    code, out, error = run("map", "test", "--sites", sites)
    assert (code, out) == (2, "")
    assert error.startswith("kis.yaml:5: Patient has no element sex")
