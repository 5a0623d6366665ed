"""The data tables: CSV files in the package, each row with its source, read once and held in memory."""

from __future__ import annotations

import csv
import functools
import hashlib
import importlib.resources
from importlib.resources.abc import Traversable

Row = dict[str, str]


def _folder() -> Traversable:
    return importlib.resources.files("terminology") / "data"


@functools.cache
def rows(name: str) -> tuple[Row, ...]:
    """The rows of `data/NAME.csv` as they stand there; every value is text, an empty cell the empty text."""
    text = _folder().joinpath(f"{name}.csv").read_text("utf-8")
    return tuple(csv.DictReader(text.splitlines()))


@functools.cache
def digest() -> str:
    """The first 16 hex digits of the SHA-256 over all tables: the version of what we know."""
    total = hashlib.sha256()
    for path in sorted(_files(_folder()), key=lambda found: found[0]):
        total.update(path[0].encode())
        total.update(path[1].read_bytes())
    return total.hexdigest()[:16]


def _files(folder: Traversable, prefix: str = "") -> list[tuple[str, Traversable]]:
    found: list[tuple[str, Traversable]] = []
    for entry in folder.iterdir():
        name = f"{prefix}{entry.name}"
        if entry.is_dir():
            found += _files(entry, f"{name}/")
        elif entry.name.endswith(".csv"):
            found.append((name, entry))
    return found
