"""Which year's ICD-10-GM counts for an encounter: an imported edition, else the starter catalogue."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path

from terminology.icd10gm import edition, installed, starter

_imported: installed.Store | None = None
_only: edition.Edition | None = None


def use(path: Path | None) -> None:
    """Read imported editions from this file from now on (None: the starter catalogue alone).

    Raises installed.NotUsable where the data folder may not be entered.
    """
    global _imported
    imported = installed.Store(path) if path is not None else None
    _imported = imported if imported is not None and imported.exists() else None
    _edition.cache_clear()
    years.cache_clear()


@functools.cache
def years() -> tuple[int, ...]:
    """The years that there is an edition of, in order."""
    return tuple(
        sorted({*starter.YEARS, *((found.year for found in _imported.editions()) if _imported is not None else ())})
    )


def year_of(year: int) -> int:
    """The catalogue year for an encounter's year: its own, else the last one before, else the first one."""
    return max((known for known in years() if known <= year), default=years()[0])


def edition_of(year: int) -> edition.Edition:
    """The edition that counts for an encounter's year."""
    return _only if _only is not None else _edition(year_of(year))


@contextlib.contextmanager
def only(held: edition.Edition) -> Iterator[None]:
    """Inside, this edition counts for every year: to measure with a catalogue that is not imported. Not for threads."""
    global _only
    _only = held
    try:
        yield
    finally:
        _only = None


@functools.cache
def _edition(year: int) -> edition.Edition:
    imported = _imported.load(year) if _imported is not None else None
    return imported if imported is not None else starter.load(year)


def code(name: str, year: int) -> edition.Code | None:
    """The terminal code in the edition that counts for a year; None where it holds none of this name."""
    return edition_of(year).terminal(name)


def known(name: str) -> edition.Code | None:
    """The terminal code of the newest edition that holds it: a record may carry codes of earlier years."""
    for year in reversed(years()):
        found = _edition(year).terminal(name)
        if found is not None:
            return found
    return None
