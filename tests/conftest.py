"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import support


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[support.Gateway]:
    """One gateway process for all tests of a module, with a data folder of its own."""
    with support.running(tmp_path_factory.mktemp("gateway") / "data") as started:
        yield started
