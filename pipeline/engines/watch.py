"""A watch on an answer while it is decoded: what goes round is ended before it has used up its budget."""

from __future__ import annotations

_LONGEST = 600  # characters of what is repeated
_TIMES = 4  # that it must come one after another
_SHORT, _SHORT_TIMES = 8, 24  # so few characters, or less, must come so often
_LEAST = 192  # characters that a loop must have filled; fewer only where it is a short one
_WINDOW = _LONGEST * _TIMES  # characters at the end that are looked at
_EVERY = 64  # characters between two looks


class Watch:
    """Feed it the text as it comes; it says when the model has begun to loop."""

    def __init__(self) -> None:
        self._tail = ""
        self._new = 0

    def feed(self, piece: str) -> str | None:
        """What goes round: `characters` or `words`; None while all is well."""
        self._tail = (self._tail + piece)[-_WINDOW - len(piece) :]
        self._new += len(piece)
        if self._new < _EVERY:
            return None
        self._new = 0
        found = repetition(self._tail)
        self._tail = self._tail[-_WINDOW:]
        return found


def repetition(text: str) -> str | None:
    """What the end of a text repeats exactly, one time after another: `characters` or `words`; None when nothing."""
    backwards = text[::-1]
    borders = [0] * (len(backwards) + 1)
    border = 0
    for length in range(1, len(backwards)):
        while border and backwards[length] != backwards[border]:
            border = borders[border]
        if backwards[length] == backwards[border]:
            border += 1
        borders[length + 1] = border
        period = length + 1 - border
        if length + 1 >= _needed(period):
            return "characters" if period <= _SHORT else "words"
    return None


def _needed(period: int) -> int:
    """How many characters a repetition with this period must fill to be a loop."""
    return _SHORT_TIMES * period if period <= _SHORT else max(_LEAST, _TIMES * period)
