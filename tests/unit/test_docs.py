"""The documentation held against the code: settings, commands, JSON, links, names, and the steps with curl."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import types
import typing
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer.main
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from fhir_gateway import cli, server, settings
from fhir_gateway.rest import document, patch, router
from fhir_gateway.rest import types as resource_types
from fhir_gateway.search import includes, pages, parameters, query, values
from mappers import fhir_names
from mappers.results_to_fhir import released
from pipeline import flow
from pipeline.engines import options
from pipeline.evaluation import cases
from pipeline.grounding import faults
from profiles import base
from terminology import tables

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
START_SECONDS = 60
SCRIPT_SECONDS = 120

_FENCE = re.compile(r"(?P<run><!-- run -->\n)?^```(?P<language>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    language: str
    body: str
    is_run: bool


def blocks(page: Path) -> list[Block]:
    return [
        Block(match["language"], match["body"], match["run"] is not None)
        for match in _FENCE.finditer(page.read_text("utf-8"))
    ]


def here_documents(page: Path, end: str) -> list[str]:
    """What the commands of a page write into files: the text up to a line `end`."""
    pattern = re.compile(rf"<<'?{end}'?.*?\n(.*?)^{end}$", re.MULTILINE | re.DOTALL)
    return [body for block in blocks(page) for body in pattern.findall(block.body)]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return _FENCE.sub("", page.read_text("utf-8"))


def of_page(page: Path) -> str:
    return str(page.relative_to(ROOT))


def tables_below(page: Path, heading: str) -> list[list[list[str]]]:
    """The cells of the tables below a heading, up to the next heading, without the first row of each."""
    (text,) = re.findall(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", prose(page), re.MULTILINE | re.DOTALL)
    found = re.findall(r"^\|.*\n\|[-:|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    return [
        [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in body.splitlines()] for body in found
    ]


# --- docs/configuration.md ---------------------------------------------------------------------------------------


def _section(annotation: Any) -> type[BaseModel]:
    """The model behind `Section` or `Section | None`."""
    candidates = typing.get_args(annotation) or (annotation,)
    return next(found for found in candidates if isinstance(found, type) and issubclass(found, BaseModel))


def keys() -> dict[str, FieldInfo]:
    """Every key of the settings as `section.key`; of a section whose tables have names as `section.tables.NAME.key`."""
    found: dict[str, FieldInfo] = {}
    for section, outer in settings.Settings.model_fields.items():
        if section == "models":
            for model in (options.Llama, options.OpenAI):
                found |= {f"models.{model.__name__.upper()}.{key}": field for key, field in model.model_fields.items()}
            continue
        for name, field in _section(outer.annotation).model_fields.items():
            found[f"{section}.{name}"] = field
            inner = _named_tables(field.annotation)
            if inner is not None:
                found |= {f"{section}.{name}.NAME.{key}": within for key, within in inner.model_fields.items()}
    return found


def _named_tables(annotation: Any) -> type[BaseModel] | None:
    """The model behind `dict[str, Section]`."""
    is_table = typing.get_origin(annotation) is dict
    inner = typing.get_args(annotation)[1] if is_table else None
    return inner if isinstance(inner, type) and issubclass(inner, BaseModel) else None


def _type(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return _type(next(argument for argument in arguments if argument is not type(None)))
    if origin is typing.Literal:
        return " or ".join(f'`"{argument}"`' for argument in arguments)
    if origin is tuple:
        return "list of strings"
    if origin is dict:
        return "table of strings" if arguments[1] is str else "tables"
    return {str: "string", int: "integer", float: "number", bool: "boolean", Path: "path"}[annotation]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default is None:
        return "none"
    if isinstance(field.default, tuple | dict):
        return f"`{json.dumps(field.default)}`"
    return f"`{json.dumps(field.default, default=str)}`"


def documented_keys() -> dict[str, tuple[str, str, str]]:
    rows = re.findall(
        r"^\| `([a-z0-9]+\.(?:LLAMA\.|OPENAI\.)?[a-z0-9_]+(?:\.NAME\.[a-z_]+)?)` \| (.+?) \| (.+?) \| (.+?) \|$",
        (ROOT / "docs" / "configuration.md").read_text("utf-8"),
        re.MULTILINE,
    )
    assert len(rows) == len({row[0] for row in rows}), "a key stands twice in docs/configuration.md"
    return {key: (kind, default, meaning.replace(r"\|", "|")) for key, kind, default, meaning in rows}


def test_every_key_is_documented_and_no_other() -> None:
    assert set(documented_keys()) == set(keys())


@pytest.mark.parametrize("key", sorted(keys()))
def test_a_key_is_documented_as_it_is(key: str) -> None:
    field = keys()[key]
    kind, default, meaning = documented_keys()[key]
    assert kind == _type(field.annotation)
    assert default == _default(field)
    assert field.description and meaning.startswith(field.description)


def test_the_example_configurations_are_accepted(tmp_path: Path) -> None:
    examples = [block.body for page in PAGES for block in blocks(page) if block.language == "toml"]
    examples += [body for page in PAGES for body in here_documents(page, "TOML")]
    assert len(examples) >= 4
    for number, example in enumerate(examples):
        path = tmp_path / f"{number}.toml"
        path.write_text(example, "utf-8")
        settings.load(path)


# --- docs/fhir-endpoint.md ---------------------------------------------------------------------------------------

ENDPOINT = ROOT / "docs" / "fhir-endpoint.md"


def test_every_interaction_is_documented_and_no_other() -> None:
    told = [(names.split(",")[0], request) for names, request, _answers in tables_below(ENDPOINT, "Interactions")[0]]
    served = [
        (route.name, f"`{route.method} {route.path.translate({ord('{'): '[', ord('}'): ']'}) or '[base]'}`")
        for route in router.TABLE.routes
    ]
    assert sorted(told) == sorted(served)


def test_every_resource_type_is_documented_and_no_other() -> None:
    (groups,) = tables_below(ENDPOINT, "Resource types")
    told = [name for _group, names in groups for name in re.findall(r"`(\w+)`", names)]
    assert sorted(told) == sorted(resource_types.SUPPORTED)


def test_every_kind_of_search_parameter_is_documented_and_no_other() -> None:
    kinds, _controls = tables_below(ENDPOINT, "Search")
    assert sorted(row[0].strip("`") for row in kinds) == sorted(typing.get_args(parameters.Kind))


@pytest.mark.parametrize("row", tables_below(ENDPOINT, "Limits")[0], ids=lambda row: row[0])
def test_a_limit_has_its_default(row: list[str]) -> None:
    assert row[1] == _default(keys()[row[0].strip("`")])


def test_the_fixed_limits_are_right() -> None:
    text = prose(ENDPOINT)
    for limit in (
        f"{base.MAX_DEPTH} objects within each other",
        f"{query.MAX_COUNT:,} results a page",
        f"{server.MAX_HEAD // 1024} KiB",
        f"Up to {base.MAX_FAULTS} errors",
        f"first {values.MAX_VALUE} bytes",
        f"up to {includes.ROUNDS} rounds. At most {includes.LIMIT:,} resources",
        f"matches at most {pages.FEW:,} |",
        f"up to {pages.COUNTED:,}, else",
        f"at most {document.MAX_RESOURCES:,} resources, as a document",
        f"at most {patch.MAX_OPERATIONS:,} operations",
    ):
        assert limit in text


# --- commands ----------------------------------------------------------------------------------------------------


def commands(page: Path) -> list[list[str]]:
    """Every `fhir-gateway …` of a page, in blocks and in inline code, as words."""
    lines = [line.strip() for block in blocks(page) if block.language == "sh" for line in block.body.splitlines()]
    inline = re.findall(r"`((?:\.venv/bin/)?fhir-gateway(?: [^`]+)?)`", prose(page))
    found = [line for line in (*lines, *inline) if re.match(r"(?:\.venv/bin/)?fhir-gateway(?: |$)", line)]
    return [_of_one_command(shlex.split(line, comments=True))[1:] for line in found]


def _of_one_command(words: list[str]) -> list[str]:
    """The words up to what belongs to the shell."""
    end = next((number for number, word in enumerate(words) if word in ("|", "||", "&&", "2>&1")), len(words))
    return words[:end]


@pytest.mark.parametrize("page", PAGES, ids=of_page)
def test_every_command_exists(page: Path) -> None:
    for words in commands(page):
        command: Any = typer.main.get_command(cli.application)
        words = list(words)
        while words and hasattr(command, "commands") and not words[0].startswith("-"):
            assert words[0] in command.commands, f"there is no command {words[0]}"
            command = command.commands[words.pop(0)]
        options = {name: parameter for parameter in command.params for name in parameter.opts if name.startswith("-")}
        arguments = sum(1 for parameter in command.params if not any(o.startswith("-") for o in parameter.opts))
        takes_many = any(parameter.nargs == -1 for parameter in command.params)
        while words:
            word = words.pop(0)
            if word.startswith("-"):
                name, _, value = word.partition("=")
                assert name in options or name == "--help", f"there is no option {name}"
                if name in options and not getattr(options[name], "is_flag", False) and not value:
                    assert words, f"{name} has no value"
                    words.pop(0)
            else:
                arguments -= 1
                assert takes_many or arguments >= 0, f"{word} is one argument too many"


@pytest.mark.parametrize("page", PAGES, ids=of_page)
def test_every_make_target_exists(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"`make ([a-z]+)", page.read_text("utf-8")):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"there is no target {target}"


# --- JSON, links, names -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=of_page)
def test_every_json_parses(page: Path) -> None:
    for block in blocks(page):
        if block.language == "json":
            json.loads(block.body)
    for body in here_documents(page, "JSON"):
        json.loads(body)


def anchors(page: Path) -> set[str]:
    """The anchors that a renderer makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=of_page)
def test_every_relative_link_resolves(page: Path) -> None:
    for match in _LINK.finditer(prose(page)):
        target, _, anchor = match["target"].partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), f"{target} does not exist"
        if anchor:
            assert anchor in anchors(path), f"{target} has no heading {anchor}"


def test_our_own_names_are_explained() -> None:
    text = (ROOT / "docs" / "fhir-output.md").read_text("utf-8")
    own = [
        value
        for value in (*vars(fhir_names).values(), released.RELEASED_TAG["system"])
        if isinstance(value, str) and value.startswith(f"{fhir_names.BASE}/")
    ]
    assert own
    assert [name for name in own if f"`{name}`" not in text] == []


def test_every_stage_is_explained() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    assert [stage for stage in flow.STAGES if f"| `{stage}` |" not in text] == []


def test_every_check_of_the_gate_is_explained() -> None:
    (told,) = tables_below(ROOT / "docs" / "models.md", "The gate")
    assert told == [[f"`{fault.check}`", fault.harm, fault.reason] for fault in faults.CHECKS.values()]


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(entry for name in extras if name != "all" for entry in extras[name])]
    names = {re.split(r"[=<>\[;]", entry, maxsplit=1)[0] for entry in wanted}
    text = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
    assert set(re.findall(r"^\| `([\w.-]+)` \|", text, re.MULTILINE)) == names


def test_the_sizes_of_the_tables_are_right() -> None:
    text = (ROOT / "docs" / "limits.md").read_text("utf-8")
    told = re.findall(r"\(`([\w/]+)\.csv`\) \| about ([\d,]+) \|", text)
    assert told
    for name, size in told:
        assert int(size.replace(",", "")) == pytest.approx(len(tables.rows(name)), rel=0.1), name


def test_the_glossary_is_long_enough_and_says_nothing_twice() -> None:
    sections = (ROOT / "docs" / "glossary.md").read_text("utf-8").split("\n## ")
    words = [re.findall(r"^\| (?!word |---)([^|]+?) \|", section, re.MULTILINE) for section in sections]
    assert sum(map(len, words)) >= 70
    assert [word for section in words for word in set(section) if section.count(word) > 1] == []


def test_the_example_case_is_a_case(tmp_path: Path) -> None:
    (example,) = [block.body for block in blocks(ROOT / "docs" / "evaluation.md") if block.language == "yaml"]
    (tmp_path / "example.yaml").write_text(example, "utf-8")
    (case,) = cases.read(tmp_path)
    assert [word for word in case.gold.fabricated if word in case.transcript.lower()] == []


# --- the steps with curl ------------------------------------------------------------------------------------------


@contextmanager
def gateway(folder: Path) -> Iterator[str]:
    """A gateway process on a free port; its FHIR base address."""
    log = folder / "gateway.log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "fhir_gateway", "serve", "--port", "0", "--mllp-port", "0",
             "--data", str(folder / "data")],
            stderr=stderr,
        )  # fmt: skip
    try:
        yield _listening(process, log)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listening(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        for line in log.read_text("utf-8").splitlines():
            if '"event": "listening"' in line and '"url"' in line and line.endswith("}"):
                return str(json.loads(line)["url"])
        time.sleep(0.1)
    pytest.fail(f"the gateway did not start: {log.read_text('utf-8')[-2000:]}")


def run_steps(page: str, base: str, folder: Path) -> str:
    """Do the marked blocks of a page as one shell session; what they print."""
    steps = [block.body for block in blocks(ROOT / page) if block.is_run]
    assert steps, f"{page} has no marked block"
    done = subprocess.run(
        ["sh", "-eu", "-c", "\n".join(steps)],
        cwd=folder,
        env={**os.environ, "BASE": base},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=SCRIPT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def read(base: str, query: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{base}/{query}", timeout=10) as answer:
        return [entry["resource"] for entry in json.loads(answer.read())["entry"]]


needs_shell = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in ("sh", "curl", "base64", "python3")),
    reason="the documented steps need sh, curl, base64 and python3",
)


@needs_shell
def test_the_first_request_of_the_readme(tmp_path: Path) -> None:
    with gateway(tmp_path) as base:
        told = run_steps("README.md", base, tmp_path)
        (task,) = read(base, "Task?encounter=Encounter/e-1")
    assert task["status"] == "completed"
    assert "Husten und Schnupfen" in told


@needs_shell
def test_the_tutorial(tmp_path: Path) -> None:
    with gateway(tmp_path) as base:
        told = run_steps("docs/tutorial.md", base, tmp_path)
        (note,) = read(base, "Composition?encounter=Encounter/besuch-1&type=11506-3")
        conditions = read(base, "Condition?encounter=Encounter/besuch-1")
        issues = read(base, "DetectedIssue?patient=Patient/muster")
        claims = read(base, "Claim?encounter=Encounter/besuch-1")
    assert note["status"] == "final"
    assert note["attester"][0]["party"] == {"reference": "Practitioner/dr-beispiel"}
    assert "160/90 mmHg" in told
    assert [c["code"]["coding"][0]["code"] for c in conditions] == ["M17.9"]
    assert {i["implicated"][0]["display"] for i in issues if "implicated" in i} == {"Ibuprofen", "Metformin"}
    assert [item["productOrService"]["coding"][0]["code"] for item in claims[0]["item"]] == ["03000"]
    assert claims[0]["status"] == "active"


@needs_shell
def test_the_requests_of_the_endpoint_page(tmp_path: Path) -> None:
    with gateway(tmp_path) as address:
        told = run_steps("docs/fhir-endpoint.md", address, tmp_path)
        (patient,) = read(address, "Patient")
        history = read(address, f"Patient/{patient['id']}/_history")
    assert '"family":"Beispiel"' in told.split("\n")[0]
    assert told.split("\n")[0].endswith("}200")
    assert told.count('"status":"201 Created"') == 2
    assert "1 [('match', 'Observation'), ('include', 'Encounter')]" in told
    assert "['PATCH', 'POST']" in told
    assert patient["name"] == [{"family": "Muster", "given": ["Kim"]}]
    assert patient["gender"] == "female"
    assert [version["meta"]["versionId"] for version in history] == ["3", "2", "1"]
    assert '"expression":["Patient.gender"]' in told
