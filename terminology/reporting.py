"""How long work tells how far it is."""

from __future__ import annotations

from collections.abc import Callable

#: What is going on, how much is done, and of how much (0: not known).
Progress = Callable[[str, int, int], None]


def quiet(_what: str, _done: int, _total: int) -> None:
    """Progress that nobody looks at."""
