"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fhir_gateway.store import database
from tests import support


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A migrated SQLite file."""
    found = database.sqlite_url(tmp_path / "gateway.sqlite")
    database.migrate(found)
    return found


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[support.Gateway]:
    """One gateway process for all tests of a module, with a data folder of its own."""
    with support.running(tmp_path_factory.mktemp("gateway") / "data") as started:
        yield started
