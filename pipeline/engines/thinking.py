"""What a model says to itself between think tags: counted as the tax it is, and stripped."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TAG = re.compile(r"<(/?)(?:think|thinking|reasoning|thought)>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Split:
    """An answer without its thoughts, and the characters that the thoughts took. `is_open`: they never ended."""

    text: str
    thought: int
    is_open: bool


def split(text: str) -> Split:
    """Take the thoughts at the beginning off a text. Where the prompt opened them, only the closing tag is there."""
    start = text.lstrip()
    first = _TAG.search(start)
    if first is None or start.startswith("{") or (first.start() > 0 and not first[1]):
        return Split(text, 0, False)
    at, depth = 0, int(first.start() > 0 or bool(first[1]))
    for tag in _TAG.finditer(start):
        if depth == 0 and start[at : tag.start()].strip():
            break
        depth += -1 if tag[1] else 1
        at = tag.end()
    if depth > 0:
        return Split("", len(start), True)
    return Split(start[at:].lstrip(), at, False)
