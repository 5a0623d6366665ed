"""What was asked: units of meaning, each with the ways in which a text may say it."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from terminology.search import analysis, vocabulary

Way = Literal["own", "same", "corrected"]

_FACTOR: dict[Way, float] = {"own": 1.0, "same": 0.96, "corrected": 0.93}
_MOST_UNITS = 12  # of one query; further ones are not read
_SHORTEST_TAIL = 4  # letters of each side of a compound with a misspelt part


#: The parts of a folded word.
Split = Callable[[str], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Option:
    """One way to say a unit: the parts that a text must hold."""

    parts: tuple[str, ...]
    how: Way = "own"

    @property
    def factor(self) -> float:
        """What the score is multiplied by."""
        return _FACTOR[self.how]

    def share(self, held: frozenset[str]) -> float:
        """How much of it a text holds: 0 to 1; a half at most where something lacks."""
        number = sum(part in held for part in self.parts)
        return 1.0 if number == len(self.parts) else 0.5 * number / len(self.parts)

    def used(self, held: frozenset[str]) -> set[str]:
        """The parts of the text that say it."""
        return {part for part in self.parts if part in held}

    def expression(self) -> str:
        """In the query language of FTS5; parts hold nothing but a to z, 0 to 9 and the mark of denial."""
        return "(" + " AND ".join(f'"{part}"' for part in self.parts) + ")"


@dataclass(frozen=True, slots=True)
class Unit:
    """Something that a text should say in one of several ways. `weight`: how much it tells; `is_aside`: a side."""

    options: tuple[Option, ...]
    weight: float
    is_aside: bool = False

    def best(self, held: frozenset[str]) -> tuple[float, Option]:
        """How much of it a text holds at best, and in which way."""
        return max(((option.share(held), option) for option in self.options), key=lambda found: found[0])

    def expression(self) -> str:
        """In the query language of FTS5."""
        return "(" + " OR ".join(option.expression() for option in self.options) + ")"


@dataclass(frozen=True, slots=True)
class Query:
    """All units, and the stems as they were asked for. `weight`: of all that was asked, known to the index or not."""

    units: tuple[Unit, ...]
    stems: frozenset[str]
    weight: float

    def expressions(self) -> Iterator[str]:
        """Expressions of FTS5 that ask for less and less: all units, all but one, the two that tell most, one."""
        ranked = sorted((unit for unit in self.units if not unit.is_aside), key=lambda unit: -unit.weight)
        asked = [unit.expression() for unit in ranked]
        if asked:
            yield " AND ".join(asked)
        if len(asked) > 2:
            yield " OR ".join(f"({' AND '.join(some)})" for some in itertools.combinations(asked, len(asked) - 1))
        if len(asked) > 3:
            yield " AND ".join(asked[:2])
        if len(asked) > 1:
            yield from asked[:2]


def read(text: str, known: vocabulary.Vocabulary, split: Split, *, is_doubtful: bool = False) -> Query:
    """The query that a text is; one that affirms nothing asks for nothing.

    `is_doubtful`: a compound that no text holds may be a misspelt one.
    """
    return _Reader(known, split, is_doubtful=is_doubtful).query(text)


class _Reader:
    def __init__(self, known: vocabulary.Vocabulary, split: Split, *, is_doubtful: bool) -> None:
        self._known = known
        self._split = split
        self._is_doubtful = is_doubtful

    def query(self, text: str) -> Query:
        words = analysis.words(text)
        if all(word.is_denied for word in words):
            return Query((), frozenset(), 0.0)
        if all(word.is_aside for word in words):
            words = [word._replace(is_aside=False) for word in words]
        units: dict[Unit, None] = {}
        unknown = 0.0
        for word in words:
            made = self._units(word)
            units.update(dict.fromkeys(dataclasses.replace(unit, is_aside=word.is_aside) for unit in made))
            if not made and not word.is_denied and not word.is_aside:
                unknown += self._known.rarity(word.text)
        found = tuple(units)[:_MOST_UNITS]
        weight = unknown + sum(unit.weight for unit in found if not unit.is_aside)
        return Query(found, frozenset(word.stem for word in words if not (word.is_denied or word.is_aside)), weight)

    def _units(self, word: analysis.Word) -> list[Unit]:
        parts = self._split(word.text)
        if word.is_denied:
            return [
                self._unit((Option((analysis.NOT + part,)),)) for part in parts if analysis.NOT + part in self._known
            ]
        if others := self._same(word.stem):
            return [self._unit((*self._own(parts), *others))]
        if self._is_doubtful and word.stem not in self._known and (options := self._near(word.text)):
            return [self._unit((*options, *self._own(parts)))]
        ways = [(*self._own((part,)), *self._same(part)) for part in parts]
        if all(ways):
            return [self._unit(options) for options in ways]
        return self._corrected(word)

    def _unit(self, options: tuple[Option, ...]) -> Unit:
        """A unit with the weight of its first option, which is the one that was said."""
        return Unit(options, sum(self._known.rarity(part) for part in options[0].parts))

    def _own(self, parts: tuple[str, ...], how: Way = "own") -> tuple[Option, ...]:
        return (Option(parts, how),) if all(part in self._known for part in parts) else ()

    def _same(self, stem: str, how: Way = "same") -> tuple[Option, ...]:
        """The other ways to say a word, as far as the index holds their parts."""
        others = analysis.same_words().get(stem, ())
        found = (tuple(part for word in words for part in self._split(word)) for words in others)
        return tuple(option for parts in found for option in self._own(parts, how))

    def _corrected(self, word: analysis.Word) -> list[Unit]:
        """A word that is not known: the nearest that are, by itself or as the last part of a compound."""
        if options := self._near(word.text):
            return [self._unit(options)]
        for end in range(len(word.text) - _SHORTEST_TAIL, _SHORTEST_TAIL - 1, -1):
            head = self._split(word.text[:end])
            if all(part in self._known for part in head) and (options := self._near(word.text[end:])):
                heads = [self._unit((*self._own((part,)), *self._same(part))) for part in head]
                return [*heads, self._unit(options)]
        return []

    def _near(self, text: str) -> tuple[Option, ...]:
        near = self._known.nearest(text)
        options = [option for found in near for option in self._own(self._split(found), "corrected")]
        options += [option for found in near for option in self._same(found, "corrected")]
        return tuple(options)
