"""How an answer begins: the words are the table `german/answers`."""

from __future__ import annotations

import functools
import re
from typing import Literal

from terminology import tables

#: `against`: "doch" after a "nicht"; `some`: "manchmal", which affirms after a "nicht" too.
Kind = Literal["no", "yes", "against", "some"]

_OPENING = r"(?:(?:ach|na|oh|also|äh|ähm|hm|mei|gut|tja|nun|naja)[, ]+)*"


@functools.cache
def _openings() -> tuple[tuple[Kind, re.Pattern[str]], ...]:
    """The kinds with their words, first those that say more than their first word: "ja, manchmal"."""
    kinds: tuple[Kind, ...] = ("against", "some", "no", "yes")
    words = {kind: [row["pattern"] for row in tables.rows("german/answers") if row["says"] == kind] for kind in kinds}
    return tuple((kind, re.compile(rf"^{_OPENING}(?:{'|'.join(words[kind])})(?!\w)", re.IGNORECASE)) for kind in kinds)


def kind(text: str) -> Kind | None:
    """How an answer begins; None when it says neither yes nor no."""
    return next((found for found, pattern in _openings() if pattern.match(text)), None)
