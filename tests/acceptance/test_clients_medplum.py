"""MedplumClient, in Node, against a real gateway: `clients/medplum.mjs` does the work and says what did not hold."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests import support
from tests.support import Gateway

PEERS = os.environ.get("FHIR_PEERS")
pytestmark = pytest.mark.skipif(PEERS is None, reason="needs the Node peers in FHIR_PEERS")

SCRIPT = Path(__file__).parent / "clients" / "medplum.mjs"
CHECKS = re.findall(r"^  async (\w+)\(\) \{$", SCRIPT.read_text("utf-8"), re.MULTILINE)


def node(*arguments: str | Path, cwd: Path | None = None) -> str:
    """What the script prints; it must end with 0 and complain of nothing."""
    done = subprocess.run(
        ["node", *map(str, arguments)],
        cwd=cwd, capture_output=True, text=True, timeout=support.DEADLINE * 2, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def results(gateway: Gateway) -> dict[str, str | None]:
    """What each check of the script said, from one run of it."""
    lines = [json.loads(line) for line in node(SCRIPT, gateway.address("")).splitlines()]
    return {line["name"]: line["error"] for line in lines}


@pytest.mark.parametrize("check", CHECKS)
def test_medplum(results: dict[str, str | None], check: str) -> None:
    assert results[check] is None, results[check]


def test_every_check_ran(results: dict[str, Any]) -> None:
    assert list(results) == CHECKS
    assert len(CHECKS) > 20


def test_a_token(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("geheim\n", "utf-8")
    with support.running(tmp_path / "data", f"[security]\ntoken_file = '{secret}'\n") as gateway:
        assert node(SCRIPT, gateway.address(""), "falsch").strip() == "refused"
        assert node(SCRIPT, gateway.address(""), "geheim").strip() == "ok"
