"""Which words must stand in a text before a pattern can match: so that hundreds of patterns cost what a few do.

Python offers the parse tree of a pattern only through `re._parser`. What this module does not understand it gives up
on, and such a pattern is simply tried on every text.
"""

from __future__ import annotations

import re._constants as constants  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
from collections.abc import Iterable
from typing import Any

_SHORTEST = 3  # characters; a shorter word stands in almost every text


def required(pattern: str) -> frozenset[str] | None:
    """Words of which at least one stands in every text that `pattern` (lower case) matches; None when unknown."""
    return _of_sequence(parser.parse(pattern))


def _of_sequence(nodes: Iterable[tuple[Any, Any]]) -> frozenset[str] | None:
    best: frozenset[str] | None = None
    run = ""
    for operation, argument in [*nodes, (None, None)]:
        if operation is constants.LITERAL:
            run += chr(argument)
            continue
        if len(run) >= _SHORTEST:
            best = _better(best, frozenset({run}))
        run = ""
        best = _better(best, _of_node(operation, argument))
    return best


def _of_node(operation: Any, argument: Any) -> frozenset[str] | None:
    if operation is constants.SUBPATTERN:
        return _of_sequence(argument[3])
    if operation in (constants.MAX_REPEAT, constants.MIN_REPEAT) and argument[0] >= 1:
        return _of_sequence(argument[2])
    if operation is constants.BRANCH:
        branches = [_of_sequence(branch) for branch in argument[1]]
        if all(branch is not None for branch in branches):
            return frozenset().union(*(branch for branch in branches if branch is not None))
    return None


def _better(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    """The more selective of two: whose shortest word is longer."""
    if one is None or other is None:
        return one or other
    return one if min(map(len, one)) >= min(map(len, other)) else other
