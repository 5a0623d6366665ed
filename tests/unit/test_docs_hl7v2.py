"""The pages on HL7 v2 held against the code: what they run, what it prints, events, keys, tables, conversions."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from fhir_gateway import metrics, settings
from fhir_gateway.messages import outgoing, over_http, register
from mappers import er7
from mappers.fhir_to_v2 import header, standing
from mappers.v2_to_fhir import datatypes, library, reading, rules, scope, sites
from mappers.v2_to_fhir.datatypes import options
from tests import support
from tests.unit import test_docs as documentation

ROOT = documentation.ROOT
FEEDS = ROOT / "docs" / "hl7v2.md"
MAPPING = ROOT / "docs" / "mapping.md"
KIS_PORT = "2580"  # of the destination in the walk of FEEDS
SCRIPT_SECONDS = 300

_PRINTS = re.compile(r"<!-- prints -->\n```text\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_RUN = re.compile(r"<!-- run -->\n```sh\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_SERVE = re.compile(r"^\.venv/bin/fhir-gateway serve (?P<options>.*)$", re.MULTILINE)
_CODE = re.compile(r"`([^`]+)`")

needs_shell = documentation.needs_shell


def table(page: Path, heading: str, number: int = 0) -> list[list[str]]:
    """The rows of a table below a heading, with vertical bars as they are meant."""
    rows = documentation.tables_below(page, heading)[number]
    return [[cell.replace(r"\|", "|") for cell in row] for row in rows]


def codes(text: str) -> list[str]:
    """What stands between back-ticks."""
    return _CODE.findall(text)


def first_codes(page: Path, heading: str, number: int = 0) -> list[str]:
    """What stands between back-ticks in the first column of a table."""
    return [code for row in table(page, heading, number) for code in codes(row[0])]


# --- the steps ----------------------------------------------------------------------------------------------------


class Shell:
    """The marked blocks of a page as one shell session in a folder that has the command of the page."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.environment = environment
        self.printed = ""
        command = folder / ".venv" / "bin" / "fhir-gateway"
        command.parent.mkdir(parents=True, exist_ok=True)
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m fhir_gateway "$@"\n', "utf-8")
        command.chmod(0o755)

    def run(self, steps: str) -> None:
        """Do them; what they leave running ends with them."""
        with subprocess.Popen(
            ["sh", "-eu", "-c", steps],
            cwd=self.folder, env={**support.environment(), "PYTHONPATH": str(ROOT), **self.environment},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        ) as process:  # fmt: skip
            try:
                output, _ = process.communicate(timeout=SCRIPT_SECONDS)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        told = output.decode("utf-8")
        self.printed += told
        assert process.returncode == 0, told[-3000:]


def steps(text: str) -> str:
    """The marked blocks of a text."""
    return "\n".join(match["body"] for match in _RUN.finditer(text))


def promised(text: str) -> list[str]:
    """The lines that a text says are printed."""
    return [line for match in _PRINTS.finditer(text) for line in match["body"].splitlines()]


def assert_printed(printed: str, lines: list[str]) -> None:
    """Each line was printed, in their order; `…` stands for anything, and blanks for any number of them."""
    assert lines
    at = 0
    said = printed.splitlines()
    for line in lines:
        parts = [r"\s+".join(re.escape(word) for word in part.split(" ") if word) for part in line.split("…")]
        pattern = re.compile(r"\s*" + ".*".join(rf"\s*{part}\s*" for part in parts))
        found = next((number for number in range(at, len(said)) if pattern.fullmatch(said[number])), None)
        assert found is not None, f"not printed: {line}\n{printed[-4000:]}"
        at = found + 1


@contextlib.contextmanager
def served(folder: Path, arguments: list[str]) -> Iterator[dict[str, str]]:
    """The gateway of a page on free ports; the addresses that the page exports."""
    port, mllp_port = support.free_port(), support.free_port()
    log = folder / "gateway.log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "fhir_gateway", "serve", *arguments,
             "--port", str(port), "--mllp-port", str(mllp_port)],
            cwd=folder, env={**support.environment(), "PYTHONPATH": str(ROOT)}, stderr=stderr,
        )  # fmt: skip
    try:
        documentation._listening(process, log)
        yield {"BASE": f"http://127.0.0.1:{port}/fhir", "MLLP": str(mllp_port)}
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@needs_shell
def test_the_walk_from_a_message_to_a_released_note(tmp_path: Path) -> None:
    text = FEEDS.read_text("utf-8").replace(KIS_PORT, str(support.free_port()))
    start = _SERVE.search(text)
    assert start is not None
    before, after = text[: start.start()], text[start.end() :]
    shell = Shell(tmp_path)
    shell.run(steps(before))
    with served(tmp_path, start["options"].split()) as addresses:
        shell.environment = addresses
        shell.run(steps(after))
    assert_printed(shell.printed, promised(text))
    arrived = (tmp_path / "arrived.hl7").read_text("utf-8")
    assert sorted(re.findall(r"^MSH.*\|([A-Z]{3}\^[A-Z]\d\d)\^", arrived, re.MULTILINE)) == [
        "BAR^P12", "DFT^P03", "MDM^T08",
    ]  # fmt: skip
    assert standing.NOTICE not in arrived


@needs_shell
def test_the_worked_example_of_the_mapping(tmp_path: Path) -> None:
    text = MAPPING.read_text("utf-8")
    shell = Shell(tmp_path)
    shell.run(steps(text))
    assert_printed(shell.printed, promised(text))


def test_the_example_of_a_site_over_our_rules_is_one(tmp_path: Path) -> None:
    (example,) = [block.body for block in documentation.blocks(MAPPING) if block.language == "yaml"]
    (tmp_path / "nordklinik.yaml").write_text(example, "utf-8")
    site = sites.read(tmp_path / "nordklinik.yaml")
    ours = library.bundled().segments
    patient = next(block for block in site.library.segments["PID"].blocks if block.name == "Patient")
    assert {str(source) for rule in patient.rules for source in rule.sources} >= {"PID-3", "PID-31"}
    assert "PID-4" not in {str(source) for rule in patient.rules for source in rule.sources}
    assert next(rule for rule in patient.rules if rule.to == "gender").options["table"] == "nord-geschlecht"
    assert len(site.library.segments["NK1"].blocks[0].rules) == 2 < len(ours["NK1"].blocks[0].rules)
    assert site.library.tables["language"].row("TÜR") == "tr"
    assert site.library.tables["language"].row("TUR") == "tr"


def test_the_bundled_example_has_as_many_golden_messages_as_the_page_says() -> None:
    (told,) = re.findall(r"with (\d+) golden messages", documentation.prose(MAPPING))
    assert len(list((library.FOLDER / "sites" / "beispielklinik").glob("*.hl7"))) == int(told)


# --- docs/hl7v2.md ------------------------------------------------------------------------------------------------


def test_every_event_is_documented_and_no_other() -> None:
    assert sorted(first_codes(FEEDS, "Events")) == sorted(library.bundled().messages)


def test_every_segment_is_documented_with_what_it_becomes() -> None:
    made: dict[str, set[str]] = {}
    for found in library.bundled().segments.values():
        made.setdefault(found.segment, set()).update(block.resource for block in found.blocks)
    rows = {code: row for row in table(FEEDS, "Segments") for code in codes(row[0])}
    assert sorted(rows) == sorted({*made, "ZBE"})
    for segment, resources in made.items():
        assert resources - {rules.MOVEMENT} <= set(codes(rows[segment][1])), segment
    for row in table(FEEDS, "Segments"):
        together = {resource for segment in codes(row[0]) for resource in made.get(segment, ())}
        assert set(codes(row[1])) <= together, row[0]


@pytest.mark.parametrize("row", table(FEEDS, "Limits"), ids=lambda row: row[0])
def test_a_limit_has_its_default(row: list[str]) -> None:
    assert row[1] == documentation._default(documentation.keys()[row[0].strip("`")])


def test_every_state_of_a_message_is_documented() -> None:
    assert first_codes(FEEDS, "What is kept") == list(register.STATES)
    text = documentation.prose(FEEDS)
    assert [state for state in outgoing.STATES if f"`{state}`" not in text and state != "waiting"] == []


def test_every_content_type_of_http_is_documented() -> None:
    text = documentation.prose(FEEDS)
    assert [media_type for media_type in over_http.MEDIA_TYPES if f"`{media_type}`" not in text] == []


def test_every_kind_of_result_is_documented() -> None:
    kinds = set(settings.Result.__args__)  # type: ignore[attr-defined]  # a Literal
    assert set(first_codes(FEEDS, "Which message when")) == kinds
    by_default = set(settings.Destination.model_fields["drafts"].default)
    assert by_default == kinds - {"diagnoses", "billing"}
    assert "By default these are note, summary and warnings" in documentation.prose(FEEDS)


def test_what_identifies_patient_and_visit_is_documented() -> None:
    patient, visit = (", ".join(map(str, taken)) for taken in (header._PID_TAKEN, header._PV1_TAKEN))
    assert f"(PID-{patient}; PV1-{visit})" in documentation.prose(FEEDS)


def test_every_metric_is_documented_and_no_other() -> None:
    families = metrics.Metrics().registry.collect()
    ours = {f"{family.name}{'_total' if family.type == 'counter' else ''}" for family in families}
    assert set(first_codes(FEEDS, "Watching", 1)) == {name for name in ours if name.startswith("fhir_gateway_hl7v2")}


def test_every_line_of_the_log_exists() -> None:
    sources = [
        path.read_text("utf-8")
        for folder in ("messages", "mllp")
        for path in (ROOT / "fhir_gateway" / folder).glob("*.py")
    ]
    lines = first_codes(FEEDS, "Watching")
    assert lines
    assert [line for line in lines if not any(f'"{line}"' in source for source in sources)] == []


def test_the_named_character_sets_are_known() -> None:
    (line,) = re.findall(r"^- Names of HL7 table 0211 are known .*$", documentation.prose(FEEDS), re.MULTILINE)
    names = codes(line)
    assert len(names) > 5
    assert [name for name in names if er7.codec_named(name) is None] == []


# --- docs/mapping.md: the keys ------------------------------------------------------------------------------------

#: A heading of the page, the number of its table, and a site with a key that means nothing at that place.
PLACES = {
    "Sites": "nonsense: x\n",
    "Whose message it is": "match:\n  - {nonsense: x}\n",
    "Rule files": "maps:\n  ZNK: {nonsense: x}\n",
    "Blocks": "maps:\n  ZNK: {source: x, blocks: [{nonsense: x}]}\n",
    "Rules": "maps:\n  ZNK: {source: x, blocks: [{resource: Patient, draft: current, rules: [{nonsense: x}]}]}\n",
    "Texts": "maps:\n  ZNK: {source: x, text: {nonsense: x}}\n",
    "Message files": "messages:\n  ADT_Z: {nonsense: x}\n",
    "Tables": "tables:\n  znk: {rows: {}, nonsense: x}\n",
}


def refusal(folder: Path, text: str) -> str:
    path = folder / "nordklinik.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(rules.Broken) as refused:
        sites.read(path)
    return str(refused.value)


@pytest.mark.parametrize("heading", PLACES)
def test_every_key_is_documented_and_no_other(heading: str, tmp_path: Path) -> None:
    allowed = refusal(tmp_path, PLACES[heading]).partition("there are ")[2].split(", ")
    assert sorted(first_codes(MAPPING, heading)) == sorted(allowed)


def test_what_a_site_says_of_acknowledgements_is_documented(tmp_path: Path) -> None:
    allowed = refusal(tmp_path, "acknowledge: {nonsense: x}\n").partition("there are ")[2].split(", ")
    told = [code.split(": ") for code in first_codes(FEEDS, "Answers", 2)]
    assert sorted({key for key, _value in told}) == sorted(allowed)
    for key, value in told:
        (tmp_path / "nordklinik.yaml").write_text(f"acknowledge: {{{key}: {value}}}\n", "utf-8")
        site = sites.read(tmp_path / "nordklinik.yaml")
        assert value in (site.mode, site.after)
    assert len(told) == len(sites.Mode.__args__) + len(sites.After.__args__)  # type: ignore[attr-defined]


def test_every_way_to_draft_is_documented() -> None:
    (row,) = [row for row in table(MAPPING, "Blocks") if row[0] == "`draft`"]
    assert set(rules.Mode.__args__) <= set(codes(row[2]))  # type: ignore[attr-defined]


def test_every_element_of_a_movement_is_documented_and_no_other() -> None:
    assert sorted(first_codes(MAPPING, "Movements")) == sorted(rules._MOVEMENT_ELEMENTS)


def test_every_word_of_a_condition_is_documented() -> None:
    parts = [part for row in table(MAPPING, "Rules", 1) for part in codes(row[0])]
    assert parts  # the forms of a target
    conditions = first_codes(MAPPING, "Conditions")
    for condition in conditions:
        rules.condition(condition)
    assert {part.split(" ")[0] for part in conditions} >= set(rules._WORDS)


def test_every_form_of_a_target_is_one() -> None:
    of = {"birthDate": "Patient", "name": "Patient", "code.text": "Condition", "_birthDate.extension": "Patient"}
    for form in first_codes(MAPPING, "Rules", 1):
        rules.target(of.get(form, "Encounter"), form.strip('"'))


def test_every_table_is_documented_and_no_other() -> None:
    told = [name for row in table(MAPPING, "Tables", 1) for name in codes(row[1])]
    assert sorted(told) == sorted(library.bundled().tables)


# --- docs/mapping.md: the conversions -----------------------------------------------------------------------------

EXAMPLE = re.compile(r"`(?P<raw>[^`]+)` → `(?P<expected>[^`]+)`(?: with (?P<options>.+))?")
CONVERSIONS = {row[0].strip("`"): row for row in table(MAPPING, "Conversions")}


def test_every_conversion_is_documented_and_no_other() -> None:
    assert sorted(CONVERSIONS) == sorted(datatypes.TYPES)


@pytest.mark.parametrize("name", sorted(CONVERSIONS))
def test_the_options_of_a_conversion_are_documented(name: str) -> None:
    datatype = datatypes.DATATYPES[name]
    told = CONVERSIONS[name][3]
    assert set(codes(told)) == datatype.options
    assert {option for option in datatype.options if f"`{option}` (needed)" in told} == datatype.needs


def test_every_option_is_documented_with_what_it_may_be() -> None:
    rows = {row[0].strip("`"): row[1] for row in table(MAPPING, "Conversions", 1)}
    assert sorted(rows) == sorted(options.FORMS)
    for name, told in rows.items():
        assert all(options.FORMS[name].fullmatch(value) for value in codes(told)), name


@pytest.mark.parametrize("name", sorted(name for name, row in CONVERSIONS.items() if row[4]))
def test_the_example_of_a_conversion_is_right(name: str) -> None:
    example = EXAMPLE.fullmatch(CONVERSIONS[name][4])
    assert example is not None
    given = dict(option.split(": ") for option in codes(example["options"] or ""))
    assert datatypes.problems(name, given) == []
    message = er7.parse(f"MSH|^~\\&|KIS|NORDKLINIK\rZNK|{example['raw']}\r".encode(), "UNICODE UTF-8")
    (value, *_) = reading.Reading(message).values(1, 1)
    sender = scope.Scope("KIS", "NORDKLINIK", library.bundled().tables, options=given)
    made = datatypes.TYPES[name](value, sender)
    assert holds(made, json.loads(example["expected"], parse_float=Decimal)), made


def holds(made: Any, expected: Any) -> bool:
    """Whether all that is expected is there; what is made may say more."""
    if isinstance(expected, dict):
        return isinstance(made, dict) and all(name in made and holds(made[name], expected[name]) for name in expected)
    if isinstance(expected, list):
        return isinstance(made, list) and all(any(holds(item, one) for item in made) for one in expected)
    return bool(made == expected) and isinstance(made, bool) == isinstance(expected, bool)
