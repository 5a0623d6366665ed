"""A store whose commits are noted, and an endpoint."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fhir_gateway.store import database
from fhir_gateway.subscriptions import matching
from tests.unit.subscriptions import helpers


@pytest.fixture
def store(url: str) -> Iterator[database.Database]:
    """An open store."""
    opened = database.Database(url, before_commit=matching.Notes())
    yield opened
    opened.close()


@pytest.fixture
def endpoint() -> Iterator[helpers.Endpoint]:
    """A server that answers 200."""
    yield from helpers.endpoints()
