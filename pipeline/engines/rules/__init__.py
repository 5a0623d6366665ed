"""The rules engine: deterministic, extractive, without weights. What it says, somebody said."""

from __future__ import annotations

from terminology import tables

VERSION = "1"


def version() -> dict[str, str]:
    """The versions that a result depends on: of the rules and of the tables."""
    return {"rules": VERSION, "tables": tables.digest()}
