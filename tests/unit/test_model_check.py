"""`check models` and the start: a model that cannot be used is one sentence and exit code 2."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from fhir_gateway import model_check, settings
from pipeline.engines.llama import child
from tests import support

CONFIG = """[server]
port = 0
mllp_port = 0
[models.klein]
engine = "llama"
file = "{file}"
sha256 = "{sha256}"
context = 512
parallel = 1
[stages]
scribe = ["klein", "rules"]
"""


def configured(tmp_path: Path, file: Path, sha256: str) -> Path:
    config = tmp_path / "gateway.toml"
    config.write_text(CONFIG.format(file=file, sha256=sha256), "utf-8")
    return config


@pytest.fixture
def file(tmp_path: Path) -> Path:
    pytest.importorskip("gguf", reason="needs the extra llama")
    from tests import tiny_models

    return tiny_models.random_model(tmp_path / "klein.gguf")


def test_a_model_that_can_be_loaded(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "missing", list)
    config = configured(tmp_path, file, hashlib.sha256(file.read_bytes()).hexdigest())
    told, is_good = model_check.text(settings.load(config))
    assert is_good and told.endswith("models.klein fits.")


def test_another_file_than_the_recorded_one(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "missing", list)
    told, is_good = model_check.text(settings.load(configured(tmp_path, file, "0" * 64)))
    assert not is_good
    assert f"The file {file} of the model klein has the SHA-256 " in told.splitlines()[-1]


def test_an_extra_that_is_missing(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "missing", lambda: ["llguidance"])
    config = configured(tmp_path, file, hashlib.sha256(file.read_bytes()).hexdigest())
    told, is_good = model_check.text(settings.load(config))
    assert not is_good
    assert "needs the extra llama, of which llguidance is not installed" in told.splitlines()[-1]


def test_a_start_that_fails_says_why_in_one_sentence_and_shows_no_traceback(tmp_path: Path) -> None:
    config = configured(tmp_path, tmp_path / "none.gguf", "0" * 64)
    done = support.command("serve", "--config", config, "--data", tmp_path / "data")
    *logged, told = done.stderr.splitlines()
    assert (done.returncode, told) == (2, f"models.klein: The model file {tmp_path / 'none.gguf'} is no file.")
    assert "Traceback" not in done.stderr
    assert all(json.loads(line)["event"] for line in logged)
