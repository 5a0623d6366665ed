"""docs/evaluation.md held against the harness: its tables say what the code does, and its commands run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fhir_gateway import cli
from pipeline.evaluation import cases, figures, limits

PAGE = Path(__file__).parents[4] / "docs" / "evaluation.md"
TEXT = PAGE.read_text("utf-8")
CASE = Path(cases.__file__).parent / "cases" / "hypothyroidism-phone.yaml"


def rows(heading: str) -> list[tuple[str, ...]]:
    """The cells of the last table below a heading."""
    (section,) = re.findall(rf"^### {heading}\n(.*?)(?=^#|\Z)", TEXT, re.MULTILINE | re.DOTALL)
    body = re.findall(r"^\|[-:|]+\|\n((?:\|.*\n)+)", section, re.MULTILINE)[-1]
    return [tuple(cell.strip() for cell in row.split("|")[1:-1]) for row in body.splitlines()]


def test_every_figure_is_explained_as_it_is() -> None:
    assert rows("The figures") == [(figures.GROUPS[f.group], f.title, f.meaning) for f in figures.FIGURES]


def test_every_limit_is_told_as_it_is() -> None:
    told = [(figures.BY_NAME[limit.figure].title, f"{limit.kind} {limit.bound}", limit.why) for limit in limits.LIMITS]
    assert rows("Who is disqualified") == told


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with what the commands name: one case, a configuration, two measurements."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my-cases").mkdir()
    (tmp_path / "my-cases" / CASE.name).write_bytes(CASE.read_bytes())
    (tmp_path / "gateway.toml").write_text(
        f'[models.absent]\nengine = "llama"\nfile = "absent.gguf"\nsha256 = "{"0" * 64}"\n', "utf-8"
    )
    return tmp_path


COMMANDS = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
    if line.startswith("fhir-gateway ")
]


def test_the_page_has_its_commands() -> None:
    assert len(COMMANDS) >= 6


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_runs(command: str, folder: Path) -> None:
    words = shlex.split(command)[1:]
    few = ["--cases", "my-cases"]
    if "--models" in words and "--cases" not in words:
        words += few  # the bundled cases at three levels would take minutes
    runner = CliRunner()
    for name in [word for word in words if word.endswith(".jsonl") and "compare" in words]:
        made = runner.invoke(cli.application, ["evaluate", *few, "--stages", "scribe", "--out", name])
        assert made.exit_code == 0, made.output
    done = runner.invoke(cli.application, words)
    is_absent = "--models" in words
    assert done.exit_code == (1 if is_absent else 0), done.output
    assert done.output
    if "--html" in words:
        assert (folder / "report.html").read_text("utf-8").startswith("<!doctype html>")
    if is_absent:
        assert "absent: disqualified" in done.output and (folder / "monday.jsonl").exists()
