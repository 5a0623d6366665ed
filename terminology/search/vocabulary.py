"""The words of an index, and the nearest of them to a word that it does not hold."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator, Mapping

from rapidfuzz import process
from rapidfuzz.distance import OSA

from terminology import tables
from terminology.german import stems

#: Letters of a word as it sounds, and how many wrong, missing, extra or exchanged ones it may have.
_TOLERANCE = ((4, 0), (7, 1), (60, 2))
#: What is written in several ways for one sound, in the order in which it is replaced.
_SOUNDS = (("ae", "a"), ("oe", "o"), ("ue", "u"), ("ch", "k"), ("th", "t"), ("rh", "r"), ("y", "i"), ("tz", "z"))
_TWICE = re.compile(r"(.)\1")
_SHORTEST = 5  # letters of a word, as it sounds, that another is corrected to
_NEAREST = 3  # words that come into question for one
_NEAR = 12  # words that are looked at for them


@functools.cache
def _opposites() -> tuple[tuple[str, str], ...]:
    return tuple((stems.fold(row["one"]), stems.fold(row["other"])) for row in tables.rows("german/opposite_parts"))


def are_opposites(one: str, other: str) -> bool:
    """Whether two words differ in a part that turns the meaning round: hypokaliaem and hyperkaliaem."""
    for left, right in _opposites():
        for here, there in ((one, other), (other, one)):
            if left in here and right in there and here.replace(left, right, 1) != here and left not in there:
                return True
    return False


def sound(word: str) -> str:
    """A folded word with one letter for a sound, whatever its spelling: "rhytmus", "rythmus" -> "ritmus"."""
    for spelled, one in _SOUNDS:
        word = word.replace(spelled, one)
    return _TWICE.sub(r"\1", word)


class Vocabulary:
    """Words with the number of texts that hold them. Reading is safe from several threads."""

    def __init__(self, counts: Mapping[str, int], texts: int) -> None:
        self._counts = counts
        self._texts = max(1, texts)
        self._by_sound: dict[str, list[str]] = {}
        self._by_start: dict[str, dict[int, list[str]]] = {}
        for word in counts:
            if word.isalpha():
                sounding = sound(word)
                same = self._by_sound.setdefault(sounding, [])
                same.append(word)
                if len(same) == 1 and len(sounding) >= _SHORTEST:
                    self._by_start.setdefault(sounding[0], {}).setdefault(len(sounding), []).append(sounding)

    def __contains__(self, word: object) -> bool:
        return word in self._counts

    def __iter__(self) -> Iterator[str]:
        return iter(self._counts)

    def __len__(self) -> int:
        return len(self._counts)

    def rarity(self, word: str) -> float:
        """How much a word tells: 1 for one in every text, more the rarer it is."""
        return 1 + math.log(self._texts / self._counts.get(word, 1)) if word in self._counts else 1.0

    def nearest(self, text: str) -> tuple[str, ...]:
        """The stems nearest to a folded word, the nearest and commonest first; none when none is near enough."""
        if not text.isalpha():
            return ()
        sounds = tuple(dict.fromkeys((sound(text), sound(stems.stem(text)))))
        starts = "".join(sorted({sounding[0] for sounding in sounds}))
        return self._near(text, sounds, starts) or self._near(text, sounds, "".join(sorted(self._by_start)), 1)

    def _near(self, text: str, sounds: tuple[str, ...], starts: str, most: int = 2) -> tuple[str, ...]:
        near: dict[str, float] = {}
        for sounding in sounds:
            allowed = min(most, next((errors for letters, errors in _TOLERANCE if len(sounding) <= letters), 0))
            found = self._within(sounding, allowed, starts) if allowed else [(sounding, 0.0)]
            for choice, distance in found:
                for word in self._by_sound.get(choice, ()):
                    if not are_opposites(text, word):
                        near[word] = min(distance, near.get(word, distance))
        least = min(near.values(), default=0)
        ranked = sorted((choice for choice, distance in near.items() if distance == least), key=self._commonest)
        return tuple(ranked[:_NEAREST])

    def _within(self, sounding: str, allowed: int, starts: str) -> list[tuple[str, float]]:
        """The nearest sounds that begin so, each with its distance."""
        choices = [
            choice
            for start in starts
            for length in range(len(sounding) - allowed, len(sounding) + allowed + 1)
            for choice in self._by_start.get(start, {}).get(length, ())
        ]
        found = process.extract(
            sounding, choices, scorer=OSA.distance, processor=None, score_cutoff=allowed, limit=_NEAR
        )
        return [(choice, distance) for choice, distance, _place in found]

    def _commonest(self, word: str) -> tuple[int, str]:
        return (-self._counts[word], word)
