"""`fhir_gateway.evaluation_command`: options, one sentence for what is wrong, and the whole way to the table."""

from __future__ import annotations

import dataclasses
import io
import socket
from pathlib import Path

import pytest
from rich.console import Console

from fhir_gateway import errors, evaluation_command
from fhir_gateway.evaluation_command import Wanted
from pipeline.evaluation import cases, comparison, files, report
from tests.unit.pipeline.evaluation import made

CASE = Path(cases.__file__).parent / "cases" / "hypothyroidism-phone.yaml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "cases"
    found.mkdir()
    (found / CASE.name).write_bytes(CASE.read_bytes())
    return found


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=160)


def shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_without_options_it_is_the_table_of_the_rules_engine(folder: Path) -> None:
    assert not Wanted().is_measurement and not Wanted(cases=folder).is_measurement
    for wanted in (Wanted(models=folder), Wanted(out=folder), Wanted(resume=True), Wanted(repeat=1), Wanted(stages="")):
        assert wanted.is_measurement
    told = evaluation_command.table(folder, details=True)
    assert told == report.text(folder, details=True)
    assert told.startswith("Rules engine.") and "fact recall" in told


def test_the_rules_engine_alone_is_measured_and_compared(folder: Path, tmp_path: Path, console: Console) -> None:
    path = tmp_path / "a.jsonl"
    wanted = Wanted(cases=folder, stages="bill,scribe,bill", repeat=2, concurrency="3, 1", out=path)
    assert evaluation_command.measure(wanted, console) == 0
    header = files.read(path).header
    assert header.plan.model_dump() == {"stages": ("scribe", "bill"), "repeat": 2, "concurrency": (1, 3)}
    assert "recall of gold facts" in shown(console) and "time of a consultation, 3 at once" in shown(console)
    page = tmp_path / "a.html"
    evaluation_command.compare([path], page, console)
    assert "rules" in page.read_text("utf-8")


def test_a_server_that_is_down_is_disqualified_and_not_the_end(folder: Path, tmp_path: Path, console: Console) -> None:
    with socket.socket() as taken:  # bound and not listening: every connection is refused
        taken.bind(("127.0.0.1", 0))
        config = tmp_path / "gateway.toml"
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        config.write_text(f'[models.down]\nengine = "openai"\nurl = "{url}"\n', "utf-8")
        path = tmp_path / "a.jsonl"
        wanted = Wanted(models=config, cases=folder, stages="scribe", out=path)
        assert evaluation_command.measure(wanted, console) == 1
        assert evaluation_command.measure(dataclasses.replace(wanted, resume=True), console) == 1
    found = files.read(path)
    assert {record.model for record in found.records} == {"rules"}
    down = found.candidates["down"]
    assert down.fault and down.identity is None
    assert "down: disqualified" in shown(console) and "keeps every limit" not in shown(console)
    assert url not in path.read_text("utf-8") and "127.0.0.1" not in path.read_text("utf-8")


def test_a_missing_file_is_named_by_its_key(folder: Path, tmp_path: Path, console: Console) -> None:
    secret = tmp_path / "praxis-dr-beispiel" / "klein.gguf"
    config = tmp_path / "gateway.toml"
    config.write_text(f'[models.klein]\nengine = "llama"\nfile = "{secret}"\nsha256 = "{"0" * 64}"\n', "utf-8")
    path, page = tmp_path / "a.jsonl", tmp_path / "a.html"
    assert evaluation_command.measure(Wanted(models=config, cases=folder, stages="code", out=path), console) == 1
    evaluation_command.compare([path], page, console)
    for told in (path.read_text("utf-8"), page.read_text("utf-8")):
        assert "beispiel" not in told and "klein.gguf" not in told
    assert files.read(path).candidates["klein"].fault


def test_files_without_a_shared_case_are_one_sentence(folder: Path, tmp_path: Path, console: Console) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "andere.yaml").write_text(
        CASE.read_text("utf-8").replace("name: hypothyroidism-phone", "name: andere"), "utf-8"
    )
    for name, given in (("a", folder), ("b", other)):
        evaluation_command.measure(Wanted(cases=given, stages="code", out=tmp_path / f"{name}.jsonl"), console)
    with pytest.raises(errors.ConfigurationError, match="share no case"):
        evaluation_command.compare([tmp_path / "a.jsonl", tmp_path / "b.jsonl"], None, console)


def test_the_table_tells_what_was_refused_by_stage_harm_and_check(console: Console) -> None:
    given = (
        made.record(refused={"critical/dose": 1, "major/time": 2}),
        made.record("summarise", refused={"minor/jargon": 4}),
    )
    evaluation_command.show(comparison.compare([made.measured("one", *given)]), console)
    told = [line.split() for line in shown(console).splitlines()]
    assert ["dose", "(critical)", "10.0"] in told and ["time", "(major)", "20.0"] in told
    assert ["jargon", "(minor)", "40.0"] in told


def test_who_was_not_measured_is_told_so(console: Console) -> None:
    unasked = made.record(model="unasked", served="rules", answers=(), measures=made.MEASURES["scribe"])
    evaluation_command.show(comparison.compare([made.measured("one", made.record(), unasked)]), console)
    assert "unasked: not measured" in shown(console) and "m: keeps every limit" in shown(console)


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (Wanted(stages="scribe,write"), "no stage write"),
        (Wanted(stages=" , "), "no stage in --stages"),
        (Wanted(concurrency="0"), "--concurrency takes numbers from 1 to 256"),
        (Wanted(concurrency="1;3"), "--concurrency takes"),
        (Wanted(judge="nobody"), "no [models.nobody]"),
        (Wanted(models=Path("gateway.toml"), judge="here", stages="code,bill"), "name the stage scribe too"),
        (Wanted(models=Path("none.toml")), "none.toml cannot be read"),
        (Wanted(cases=Path("none")), "none holds no case"),
    ],
)
def test_wrong_options_are_one_sentence(
    wanted: Wanted, told: str, tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("gateway.toml").write_text('[models.here]\nengine = "openai"\nurl = "http://127.0.0.1:9/v1"\n', "utf-8")
    with pytest.raises(errors.ConfigurationError) as error:
        evaluation_command.measure(wanted, console)
    assert told in error.value.message and error.value.message.endswith(".")


def test_a_file_that_is_there_is_not_written_over(folder: Path, tmp_path: Path, console: Console) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("precious", "utf-8")
    for resume in (False, True):
        with pytest.raises(errors.ConfigurationError):
            evaluation_command.measure(Wanted(cases=folder, out=path, resume=resume), console)
    assert path.read_text("utf-8") == "precious"


def test_a_finished_measurement_is_shown_again(folder: Path, tmp_path: Path, console: Console) -> None:
    wanted = Wanted(cases=folder, stages="code", out=tmp_path / "a.jsonl")
    evaluation_command.measure(wanted, console)
    before = (tmp_path / "a.jsonl").read_bytes()
    again = Wanted(cases=folder, stages="code", out=tmp_path / "a.jsonl", resume=True)
    assert evaluation_command.measure(again, console) == 0
    assert (tmp_path / "a.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("a: [", "it is no YAML"),
        ("name: x", "the key 'title' is missing"),
        ("[]", "cannot be read as a case"),
        (CASE.read_text("utf-8").replace("setting: practice", "setting: ship"), "setting"),
        (CASE.read_text("utf-8").replace("gold:", "gold:\n  surprise: Frau Beispiel"), "gold"),
    ],
)
def test_a_file_that_is_no_case_is_one_sentence(content: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(content, "utf-8")
    with pytest.raises(errors.ConfigurationError) as error:
        evaluation_command.read_cases(tmp_path)
    assert "bad.yaml" in error.value.message and "Frau Beispiel" not in error.value.message
    assert told in error.value.message or "surprise" in error.value.message


def test_two_cases_of_one_name_are_refused(folder: Path) -> None:
    (folder / "copy.yaml").write_bytes(CASE.read_bytes())
    with pytest.raises(errors.ConfigurationError, match="has the name"):
        evaluation_command.read_cases(folder)
