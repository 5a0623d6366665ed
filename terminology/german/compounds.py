"""What a German compound is made of, by the words that a list itself uses: Kniegelenksarthrose = knie, gelenk, arthros.

Other than `terminology.german.lemmas`, which asks a general dictionary, this knows the words of medicine: a part is a
word that stands by itself somewhere in the list, or a combining form of `data/german/compound_parts.csv`.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Container, Iterable, Mapping

from terminology import tables
from terminology.german import stems

_SHORTEST = 4  # letters of a part that is not in the table
_LONGEST = 60  # letters; a longer run is no word
_SHORTEST_HEAD = 5  # letters of a last part that shows what stands before it
_HEADS = 2  # last parts, of no table, that a first part must be seen with to be taken for a word

#: What joins two parts, and what ends the last one: "Schilddrüse-n-unterfunktion", "Kniegelenk-s-arthrose-n".
_JOINTS = ("", "s", "n", "e", "en", "es", "er", "ens", "ern")
_ENDINGS = frozenset((*_JOINTS, "em", "ie", "ien", "isch", "ische", "ischer", "isches", "ischen", "ischem"))


@functools.cache
def combining() -> Mapping[str, str]:
    """Parts that count although they are short or never stand alone, with the word that they mean: kox -> huefte."""
    return {
        stems.fold(row["part"]): stems.stem(stems.fold(row["means"] or row["part"]))
        for row in tables.rows("german/compound_parts")
    }


def learned(words: Collection[str], known: Collection[str]) -> set[str]:
    """First parts that stand before two known words, or one of the table: schenkelhals, of -fraktur or -bruch.

    `words`, `known`: stems; known ones stand for themselves.
    """
    seen: dict[str, set[str]] = {}
    for word in words:
        for start in range(_SHORTEST, len(word) - _SHORTEST_HEAD + 1):
            if word[start:] in known:
                first = stems.stem(word[:start])
                if len(first) >= _SHORTEST and first not in known:
                    seen.setdefault(first, set()).add(word[start:])
    return {first for first, heads in seen.items() if len(heads) >= _HEADS or heads & combining().keys()}


class Splitter:
    """Splits words whose parts are `known`, which holds stems. `never`: stems that are no part of a compound."""

    def __init__(self, known: Iterable[str], never: Container[str] = ()) -> None:
        self._known = frozenset(
            word for word in known if len(word) >= _SHORTEST and word.isalpha() and word not in never
        ) | set(combining())
        lengths: dict[str, set[int]] = {}
        for word in self._known:
            lengths.setdefault(word[:3], set()).add(len(word))
        self._lengths = {start: tuple(sorted(found, reverse=True)) for start, found in lengths.items()}

    def split(self, word: str) -> tuple[str, ...]:
        """The stems of the parts of a folded word, as small as they go; the word's own stem where it has no parts."""
        parts = self._fewest(word)
        if not parts:
            return (combining().get(word) or stems.stem(word),)
        return tuple(small for part in parts for small in self._smaller(part))

    def _smaller(self, part: str) -> tuple[str, ...]:
        meant = combining().get(part)
        if meant is not None:
            return (meant,)
        return tuple(small for piece in self._fewest(part) for small in self._smaller(piece)) or (part,)

    def _fewest(self, word: str) -> tuple[str, ...]:
        """The fewest parts that make the word, without joints and ending; nothing where there is no way."""
        if len(word) > _LONGEST or not word.isalpha():
            return ()
        return self._behind(word, 0, {}) or ()

    def _behind(self, word: str, start: int, found: dict[int, tuple[str, ...] | None]) -> tuple[str, ...] | None:
        """The fewest parts from a place on; of several ways that with the longest first part. `found`: by place."""
        if start in found:
            return found[start]
        best: tuple[str, ...] | None = None
        for length in self._lengths.get(word[start : start + 3], ()):
            end = start + length
            part = word[start:end]
            if part not in self._known or (start == 0 and word[end:] in _ENDINGS):
                continue
            if word[end:] in _ENDINGS:
                best = (part,)
                break
            for joint in _JOINTS:
                if word.startswith(joint, end):
                    rest = self._behind(word, end + len(joint), found)
                    if rest is not None and (best is None or len(rest) + 1 < len(best)):
                        best = (part, *rest)
        found[start] = best
        return best
