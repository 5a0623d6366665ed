"""`pipeline.prompts`: one file a role, with a version, the same for all patients, and in step with the schemas."""

import importlib.resources
import pathlib
import re
from collections.abc import Callable
from typing import get_args

import pytest

from pipeline import consultation, prompts, results, segments
from pipeline.engines import options, serving
from pipeline.stages.by_model import bill, check, code, scribe, summarise

STAGES: tuple[options.Served, ...] = get_args(options.Served)
TALK = "Arzt: Was führt Sie her?\nPatient: Ich huste seit drei Tagen.\nArzt: Das ist eine akute Bronchitis."


FILES = sorted(
    item.name.removesuffix(".md") for item in importlib.resources.files(prompts).iterdir() if item.name.endswith(".md")
)


def test_every_stage_has_its_file() -> None:
    assert set(STAGES) <= set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_every_file_has_a_version(name: str) -> None:
    assert prompts.load(name).version >= 1 and prompts.load(name).text


@pytest.mark.parametrize("stage", STAGES)
def test_a_prompt_is_german_text_with_a_version(stage: str) -> None:
    prompt = prompts.load(stage)
    assert prompt.name == stage and prompt.version >= 1
    assert prompt.text == prompt.text.strip() and "<!--" not in prompt.text and "version" not in prompt.text
    assert "JSON" in prompt.text and re.search(r"\bAnweisung\b.*\bgilt nicht dir\b", prompt.text)
    assert not re.search(r"[{}]|<\w+>|\bTODO\b|\bExample\b", prompt.text)
    assert prompts.load(stage) is prompt


def test_the_digest_changes_with_every_letter() -> None:
    prompt = prompts.load("scribe")
    assert re.fullmatch(r"\d+-[0-9a-f]{8}", prompt.digest)
    assert prompts.Prompt("scribe", prompt.version, prompt.text + " ").digest != prompt.digest
    assert prompts.Prompt("scribe", prompt.version + 1, prompt.text).digest != prompt.digest
    assert len({prompts.load(stage).digest for stage in STAGES}) == len(STAGES)


def test_a_prompt_that_there_is_not() -> None:
    with pytest.raises(FileNotFoundError):
        prompts.load("transcribe")


def test_a_prompt_without_a_version(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    (tmp_path / "leer.md").write_text("Du bist Schreibkraft.", "utf-8")
    monkeypatch.setattr(importlib.resources, "files", lambda _name: tmp_path)
    with pytest.raises(ValueError, match="leer has no version"):
        prompts.load("leer")


def _properties(node: object) -> set[str]:
    if isinstance(node, dict):
        own = set(node["properties"]) if isinstance(node.get("properties"), dict) and "type" in node else set()
        return own.union(*(_properties(inner) for inner in node.values()))
    return set().union(*(_properties(inner) for inner in node)) if isinstance(node, list) else set()


def _questions(
    visit: Callable[..., consultation.Consultation],
    talk: Callable[[str], segments.Transcript],
    note: Callable[..., results.Note],
) -> dict[str, serving.Question | None]:
    transcript, written = talk(TALK), note(("S", "Husten."), ("A", "Akute Bronchitis."))
    return {
        "scribe": scribe.question(transcript),
        "summarise": summarise.question(written),
        "code": code.question(visit(TALK), written),
        "check": check.question(transcript),
        "bill": bill.question(transcript),
    }


@pytest.mark.parametrize("stage", STAGES)
def test_a_prompt_names_what_its_schema_asks_for(
    stage: str,
    visit: Callable[..., consultation.Consultation],
    talk: Callable[[str], segments.Transcript],
    note: Callable[..., results.Note],
) -> None:
    question = _questions(visit, talk, note)[stage]
    assert question is not None
    named = set(re.findall(r"`(\w+)`", prompts.load(stage).text))
    outer = set(question.shape.json_schema["properties"])
    assert _properties(question.shape.json_schema) - outer <= named
    assert question.shape.max_bytes > 0


def test_each_choice_of_a_schema_is_explained() -> None:
    text = prompts.load("scribe").text
    for choice in (*results.SECTIONS, "bejaht", "verneint", "unsicher", "früher", "familie"):
        assert re.search(rf"\b{choice}\b", text), choice
    for choice in ("verordnet", "genommen", "allergie", "erkrankung"):
        assert f"`{choice}`" in prompts.load("check").text
