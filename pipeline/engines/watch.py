"""A watch on an answer while it is decoded: what goes round is ended before it has used up its budget.

Three ways of going round are seen: a text that comes again exactly, one time after another; the same with nothing but
its numbers changing, as in a list that counts on; and a sentence or line that comes again and again among others.
"""

from __future__ import annotations

import collections
import itertools
import re
from collections.abc import Iterator

_LONGEST = 600  # characters of what is repeated
_TIMES = 4  # that it must come one after another
_SHORT, _SHORT_TIMES = 8, 24  # so few characters, or less, must come so often
_LEAST = 192  # characters that a loop must have filled; fewer only where it is a short one
_WINDOW = _LONGEST * _TIMES  # characters at the end that are looked at
_EVERY = 64  # characters between two looks

_FILLERS = " -_.="  # what forms and tables are drawn with
_LONGEST_FILLER = 256  # characters of them that are no loop

_COUNTING_TIMES = 10  # that words must come with other numbers: a series of measured values is shorter
_COUNTING_WORDS = 4  # that are in what comes again; fewer are codes and bare numbers
_LINE_TIMES, _LINE_WORDS = 12, 5  # that a line of so many words must come among others: one quote carries fewer facts
_LONG_WINDOW = 2 * _WINDOW  # characters in which counting is looked for
_LOOKS = 8  # of which one looks for counting and lines

_NUMBER = re.compile(r"\d+")
_WORD = re.compile(r"[^\W\d_]{2,}")
_LINE_END = re.compile(r'\\n|[\n"]|[.!?] ')  # a string of JSON is a line too


class Watch:
    """Feed it the text as it comes; it says when the model has begun to loop."""

    def __init__(self) -> None:
        self._tail = ""
        self._new = 0
        self._looks = itertools.cycle(range(_LOOKS))

    def feed(self, piece: str) -> str | None:
        """What goes round: `characters`, `words`, `numbers` or `lines`; None while all is well."""
        self._tail = (self._tail + piece)[-_LONG_WINDOW - len(piece) :]
        self._new += len(piece)
        if self._new < _EVERY:
            return None
        self._new = 0
        found = repetition(self._tail[-_WINDOW - len(piece) :])
        if found is None and (len(piece) >= _EVERY or next(self._looks) == 0):
            found = counting(self._tail) or lines(self._tail[-_WINDOW:])
        self._tail = self._tail[-_LONG_WINDOW:]
        return found


def repetition(text: str) -> str | None:
    """What the end of a text repeats exactly, one time after another: `characters` or `words`; None when nothing."""
    for filled, period in _periods(text):
        if filled >= _needed(period) and (filled >= _LONGEST_FILLER or text[-period:].strip(_FILLERS)):
            return "characters" if period <= _SHORT else "words"
    return None


def counting(text: str) -> str | None:
    """`numbers` where the end of a text repeats words, one time after another, and at most numbers change."""
    masked = _NUMBER.sub("0", text)
    seen = 0
    for filled, period in _periods(masked):
        if period != seen and filled >= _COUNTING_TIMES * period:
            if len(_WORD.findall(masked[-period:])) >= _COUNTING_WORDS:
                return "numbers"
            seen = period
    return None


def lines(text: str) -> str | None:
    """`lines` where a line or sentence comes again and again in a text, whatever its numbers are."""
    found = collections.Counter(_LINE_END.split(_NUMBER.sub("0", text)))
    often = (line for line, times in found.items() if times >= _LINE_TIMES)
    return "lines" if any(len(_WORD.findall(line)) >= _LINE_WORDS for line in often) else None


def _periods(text: str) -> Iterator[tuple[int, int]]:
    """For each length of the end of a text, from two on, the shortest period with which it repeats; in linear time."""
    backwards = text[::-1]
    borders = [0] * (len(backwards) + 1)
    border = 0
    for length in range(1, len(backwards)):
        while border and backwards[length] != backwards[border]:
            border = borders[border]
        if backwards[length] == backwards[border]:
            border += 1
        borders[length + 1] = border
        yield length + 1, length + 1 - border


def _needed(period: int) -> int:
    """How many characters a repetition with this period must fill to be a loop."""
    return _SHORT_TIMES * period if period <= _SHORT else max(_LEAST, _TIMES * period)
