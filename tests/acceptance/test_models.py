"""Model servers behind a whole gateway: what lies gets nothing into the chart, and the run still ends."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from pipeline import prompts
from pipeline.stages import read_document, scribe
from tests import hostile_model, says, scripted_model, support
from tests.hostile_model import Exchange, Hostile
from tests.support import Gateway, Json

CASE = "cystitis"
STAGES = ("scribe", "summarise", "code", "check", "bill")
CHAINS = "".join(f'{stage} = ["boese", "rules"]\n' for stage in STAGES)
CONFIG = """[models.boese]
engine = "openai"
url = "{url}"
parallel = 2
seconds = 4
read_seconds = 2

[stages]
{chains}"""

#: What a lying model says of whatever it was told. Each holds a word that nobody said in the case.
LIES = (
    ("S", "bejaht", "Die Patientin ist 97 Jahre alt."),
    ("S", "bejaht", "Bekannte Allergie gegen Penicillin."),
    ("S", "bejaht", "Nimmt Marcumar 3 mg täglich."),
    ("O", "bejaht", "Blutdruck 219 zu 134."),
    ("O", "bejaht", "Druckschmerz am linken Sprunggelenk."),
    ("A", "bejaht", "Splenohepatorexie gesichert."),
    ("A", "bejaht", "Verdacht auf Lungenembolie."),
    ("P", "bejaht", "Methotrexat 15 mg täglich."),
    ("P", "bejaht", "Kontrolle in 17 Wochen."),
)
LIE_WORDS = re.compile(
    r"97 Jahre|Penicillin|Marcumar|219 zu|219/|Sprunggelenk|Splenohepat|Lungenembol|Methotrexat|17 Wochen|Quecksilber",
    re.I,
)


@dataclass(frozen=True)
class Served:
    """A gateway whose every stage asks a hostile server first."""

    gateway: Gateway
    server: Hostile

    def document(self, script: hostile_model.Script) -> tuple[Json, list[Json]]:
        """One consultation while the server does this: its Task and its results."""
        self.server.script = script
        encounter = self.gateway.posted(support.case_bundle(CASE))["Encounter"]
        task = self.gateway.ended(encounter)
        return task, self.gateway.outputs(task)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with hostile_model.running() as server:
        config = CONFIG.format(url=server.url, chains=CHAINS)
        with support.running(tmp_path_factory.mktemp("models") / "data", config) as gateway:
            yield Served(gateway, server)


@pytest.fixture(scope="module")
def by_rules(tmp_path_factory: pytest.TempPathFactory) -> list[Json]:
    """What the rules engine alone makes of the case."""
    with support.running(tmp_path_factory.mktemp("rules") / "data") as gateway:
        task = gateway.ended(gateway.posted(support.case_bundle(CASE))["Encounter"])
        return gateway.outputs(task)


def stage_of(exchange: Exchange) -> str:
    return next(stage for stage in STAGES if exchange.request.system.startswith(prompts.load(stage).text[:200]))


def segments_of(exchange: Exchange) -> list[tuple[int, str]]:
    return [(int(n), said) for n, said in re.findall(r"^\[(\d+)\] [^:]+: (.+)$", exchange.request.prompt, re.MULTILINE)]


def choices(node: Any, name: str) -> list[str]:
    """The choices of the first property of this name anywhere in a schema."""
    if isinstance(node, dict):
        if name in node.get("properties", {}):
            found: list[str] = node["properties"][name].get("enum") or node["properties"][name]["items"]["enum"]
            return found
        return next((found for part in node.values() if (found := choices(part, name))), [])
    return []


def lying(exchange: Exchange) -> None:
    """Valid JSON of the schema with genuine quotes, and nothing in it is true."""
    stage, schema = stage_of(exchange), exchange.request.schema
    cited = [[{"segment": number, "zitat": " ".join(said.split()[:3])}] for number, said in segments_of(exchange)]
    value: Json
    if stage == "scribe":
        places = [
            {"belege": cited[at % len(cited)], "abschnitt": section, "art": kind, "text": text}
            for at, (section, kind, text) in enumerate(LIES)
        ]
        value = {"stellen": places}
    elif stage == "summarise":
        name = choices(schema, "aussagen")[0]
        texts = ("Sie sind allergisch gegen Penicillin.", "Nehmen Sie Marcumar 3 mg.", "Sie haben eine Lungenembolie.")
        value = {"saetze": [{"aussagen": [name], "text": text} for text in texts]}
    elif stage == "code":
        value = {
            "diagnosen": [{"aussage": choices(schema, "aussage")[0], "kode": k} for k in choices(schema, "kode")[-3:]]
        }
    elif stage == "check":
        kinds = choices(schema, "was")
        value = {"stellen": [{"belege": cite, "was": kinds[at % len(kinds)]} for at, cite in enumerate(cited)]}
    else:
        services = choices(schema, "leistung")
        value = {
            "stellen": [
                {"belege": cite, "leistung": services[at % len(services)]} for at, cite in enumerate(cited[:16])
            ]
        }
    says.answer(value)(exchange)


def told(task: Json) -> str:
    """What the Task says in words."""
    return json.dumps(task, ensure_ascii=False, default=str)


def kinds(output: Json) -> list[str]:
    """The codes of an output: its kind, its stage, the check and the harm."""
    return [coding["code"] for coding in output["type"]["coding"]]


def refused(task: Json) -> list[tuple[str, str | None, str]]:
    """The stage, the harm and the text of each proposal that the Task tells as refused."""
    found = []
    for output in task["output"]:
        kind, stage, *rest = [*kinds(output), None]
        if kind == "refused":
            harm = next((code for code in rest if code in ("critical", "major", "minor")), None)
            found.append((str(stage), harm, output["valueString"].rpartition(" – ")[0]))
    return found


def content(resources: list[Json]) -> list[str]:
    """What results say, without ids, times and authors."""
    found = []
    for resource in resources:
        kept = {
            k: v for k, v in resource.items() if k in ("resourceType", "section", "code", "item", "detail", "severity")
        }
        text = json.dumps(kept, ensure_ascii=False, default=str, sort_keys=True)
        found.append(re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", text))
    return sorted(found)


def test_a_liar_gets_nothing_into_the_chart(served: Served, by_rules: list[Json]) -> None:
    task, outputs = served.document(lying)
    assert task["status"] == "completed", served.gateway.log_text()[-3000:]
    written = [r for r in outputs if r["resourceType"] != "Task"]
    assert {r["resourceType"] for r in written} >= {"Composition", "Condition", "Claim", "Provenance"}
    for resource in written:
        found = LIE_WORDS.search(json.dumps(resource.get("section", resource), ensure_ascii=False, default=str))
        assert found is None, (resource["resourceType"], found)
    codes = {r["code"]["coding"][0]["code"] for r in by_rules if r["resourceType"] == "Condition"}
    assert {r["code"]["coding"][0]["code"] for r in written if r["resourceType"] == "Condition"} == codes
    assert "Bitte prüfen: Kein Modell hat für die Notiz" in told(task)
    assert ("scribe", "critical", "Bekannte Allergie gegen Penicillin.") in set(refused(task))
    unserved = [output["valueCode"] for output in task["output"] if "needs-human" in kinds(output)]
    assert {"scribe", "code"} <= set(unserved)


def test_a_grounded_note_is_the_model_s_and_says_so(served: Served) -> None:
    documented = support.case(CASE).consultation
    transcript = read_document.run(documented)
    by_rules = scribe.run(documented, transcript).statements
    left_out = next(s for s in by_rules if "Fosfomycin" in s.text)
    note = scripted_model.noted([s for s in by_rules if s is not left_out], transcript)

    def writes_the_note(exchange: Exchange) -> None:
        (says.answer(note) if stage_of(exchange) == "scribe" else hostile_model.valid)(exchange)

    task, outputs = served.document(writes_the_note)
    assert task["status"] == "completed"
    assert "Kein Modell hat für die Notiz" not in told(task)
    composition = next(r for r in outputs if r["resourceType"] == "Composition" and len(r["section"]) == 4)
    narrative = "".join(section["text"]["div"] for section in composition["section"])
    assert all(html.escape(s.text, quote=False) in narrative for s in by_rules)
    added = re.findall(r'class="\w+ added" title="Segment [\d, ]+; ergänzt vom Regelwerk">([^<]+)<', narrative)
    assert added == [left_out.text]
    assert "Vom Regelwerk ergänzt, weil das Modell es ausgelassen hat: 1" in told(task)
    device = served.gateway.get(composition["author"][0]["reference"])
    versions = {v["type"]["coding"][0]["code"]: v["value"] for v in device["version"]}
    assert versions["model-scribe"] == f"boese ({served.server.persona.model}) remote"
    assert versions["prompt-scribe"] == prompts.load("scribe").digest


BROKEN: dict[str, hostile_model.Behaviour] = {
    "half JSON": says.text('{"stellen":[{"belege":[{"segment":1,"zi'),
    "extra JSON": says.text('{"stellen":[]} {"stellen":[]}'),
    "no JSON": says.text("Gerne! Die Patientin ist 97 Jahre alt."),
    "an error page": says.status(200, b"<html>Wartung</html>", "text/html"),
    "the schema ignored": says.answer({"note": "Marcumar"}),
    "cut in the middle": says.cut('{"stellen":['),
    "a server error": says.status(500),
    "endless text": says.endless(lambda number: f" Wort{number}"),
    "a loop": says.endless(lambda _number: "Marcumar. "),
    "a slow drip": says.drips(),
    "silence": says.stalls,
}


@pytest.mark.parametrize("kind", sorted(BROKEN))
def test_a_broken_server_changes_nothing(served: Served, by_rules: list[Json], kind: str) -> None:
    task, outputs = served.document(BROKEN[kind])
    assert task["status"] == "completed", served.gateway.log_text()[-3000:]
    assert "Bitte prüfen: Kein Modell hat für die Notiz eine brauchbare Antwort gegeben" in told(task)
    assert content(outputs) == content(by_rules)


def test_a_shadow_tells_what_would_be_different_and_writes_nothing(served: Served) -> None:
    task, _outputs = served.document(hostile_model.valid)
    run = task["id"]
    before = served.gateway.rows("SELECT count(*) FROM resource_version WHERE type <> 'AuditEvent'")
    arguments = ("--config", served.gateway.config, "--data", served.gateway.data)
    same = support.command("runs", "replay", run, "--shadow", "--model", "rules", *arguments)
    assert same.returncode == 0, same.stderr
    assert run in same.stdout and "Nothing differs; " in same.stdout
    documented = support.case(CASE).consultation
    transcript = read_document.run(documented)
    by_rules = scribe.run(documented, transcript).statements
    renamed = [s.model_copy(update={"text": f"{s.text.rstrip('.')}!"}) for s in by_rules]

    def rewords(exchange: Exchange) -> None:
        answer = says.answer(scripted_model.noted(renamed, transcript))
        (answer if stage_of(exchange) == "scribe" else hostile_model.valid)(exchange)

    served.server.script = rewords
    other = support.command("runs", "replay", "--shadow", "--model", "boese", "--limit", "1", *arguments)
    assert other.returncode == 0, other.stderr
    assert run in other.stdout and other.stdout != same.stdout
    assert served.gateway.rows("SELECT count(*) FROM resource_version WHERE type <> 'AuditEvent'") == before
    unknown = support.command("runs", "replay", "--shadow", "--model", "gibtsnicht", *arguments)
    assert unknown.returncode == 2 and "boese" in unknown.stderr
    for unread in (("--shadow", "--from", "scribe"), ("--shadow", "--limit", "2"), ("--limit", "2")):
        refused = support.command("runs", "replay", run, *unread, *arguments)
        assert refused.returncode == 2 and "--limit" in refused.stderr


def test_a_run_shows_what_became_of_each_question(served: Served) -> None:
    task, _outputs = served.document(says.text("Gerne!"))
    shown = support.command(
        "runs", "show", task["id"], "--config", served.gateway.config, "--data", served.gateway.data
    )
    assert shown.returncode == 0, shown.stderr
    lines = [line for line in shown.stdout.splitlines() if line.startswith("    boese")]
    assert lines and all("  invalid" in line and " tokens  " in line for line in lines)
    assert any("(second question)" in line for line in lines)


def test_check_models_tells_of_the_server(served: Served) -> None:
    told = support.command("check", "models", "--config", served.gateway.config)
    assert told.returncode == 0, told.stdout + told.stderr
    assert re.search(
        r"^boese  http://127.0.0.1:\d+/v1  available: The schema canary passed.", told.stdout, re.MULTILINE
    )
