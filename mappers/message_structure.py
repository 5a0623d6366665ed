"""The structures of HL7 v2 messages: which segments they have, which are required, and in which order. From hl7apy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import hl7apy

_ANY_NUMBER: Final = 1_000_000  # of repetitions

#: HL7 v2.5 table 0354: the events of the structures that are not named after their only event.
_EVENTS: Final = {
    "ADT_A01": "A01 A04 A08 A13", "ADT_A05": "A05 A14 A28 A31", "ADT_A06": "A06 A07", "ADT_A09": "A09 A10 A11",
    "ADT_A21": "A21 A22 A23 A25 A26 A27 A29 A32 A33", "ADT_A30": "A30 A34 A35 A36 A46 A47 A48 A49",
    "ADT_A39": "A39 A40 A41 A42", "ADT_A43": "A43 A44", "ADT_A50": "A50 A51", "ADT_A52": "A52 A53",
    "ADT_A54": "A54 A55", "ADT_A61": "A61 A62", "MDM_T01": "T01 T03 T05 T07 T09 T11", "MDM_T02": "T02 T04 T06 T08 T10",
    "SIU_S12": "S12 S13 S14 S15 S16 S17 S18 S19 S20 S21 S22 S23 S24 S26", "PPR_PC1": "PC1 PC2 PC3",
    "PGL_PC6": "PC6 PC7 PC8", "PPP_PCB": "PCB PCC PCD", "RDE_O11": "O11 O25", "QBP_Q21": "Q21 Q22 Q23 Q24 Q25",
}  # fmt: skip
_STRUCTURES: Final = {f"{name[:4]}{event}": name for name, events in _EVENTS.items() for event in events.split()}


def of_event(version: str, kind: str, event: str) -> str | None:
    """The name of the structure of MSH-9.1 and MSH-9.2, such as ADT_A01 of ADT and A04; None for one not known."""
    exact = "ACK" if kind == "ACK" else f"{kind}_{event}"
    return next((name for name in (_STRUCTURES.get(exact, exact), exact) if exists(version, name)), None)


def exists(version: str, name: str) -> bool:
    """Whether this version has a structure of this name."""
    return name in hl7apy.load_library(version).MESSAGES


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """A structure, a group in it, or a segment, which has no children."""

    name: str
    most: int
    required: tuple[str, ...]  # the segments that cannot be missing where this can stand; none where it is optional
    segments: frozenset[str]  # all that may stand in it
    is_choice: bool = False  # of one of the children
    children: tuple[Group, ...] = ()


@lru_cache(maxsize=128)
def load(version: str, name: str) -> Group:
    """The structure of this name, which the version has."""
    return _group(name, hl7apy.load_library(version).MESSAGES[name], (1, 1))


def _group(name: str, row: Any, cardinality: tuple[int, int]) -> Group:
    least, most = cardinality
    is_choice = row[0] == "choice"
    children = tuple(
        _group(child, inner, times) if level == "GRP" else _segment(child, times)
        for child, inner, times, level in row[1]
    )
    required = tuple(name for child in children for name in child.required)
    if is_choice and required:
        required = (" or ".join(required),)
    return Group(
        name,
        most if most > 0 else _ANY_NUMBER,
        required if least else (),
        frozenset().union(*(child.segments for child in children)),
        is_choice,
        children,
    )


def _segment(name: str, cardinality: tuple[int, int]) -> Group:
    least, most = cardinality
    is_named = len(name) == 3  # and not "any segment"
    return Group(
        name,
        most if most > 0 else _ANY_NUMBER,
        (name,) if least and is_named else (),
        frozenset({name} if is_named else ()),
    )


#: The numbers of the children on a way down, and the required segments before its end.
Way = tuple[tuple[int, ...], tuple[str, ...]]


@lru_cache(maxsize=4096)
def _way(group: Group, name: str) -> Way | None:
    """The way down to a segment that passes over the fewest required ones; None when the group does not have it."""
    if not group.children:
        return ((), ()) if group.name == name else None
    ways: list[Way] = []
    before: list[str] = []
    for number, child in enumerate(group.children):
        way = _way(child, name) if name in child.segments else None
        if way is not None:
            ways.append(((number, *way[0]), (*before, *way[1])))
        if not group.is_choice:
            before += child.required
    return min(ways, key=lambda way: len(way[1]), default=None)


@dataclass(slots=True)
class _Stand:
    """A group that the walk is in: the number of the child that it is at, and how often that one has been there."""

    group: Group
    at: int = -1
    times: int = 0


class Walk:
    """The way of a message's segments through their structure, without looking ahead: only SUR_P09 would need that."""

    def __init__(self, structure: Group) -> None:
        self._stands = [_Stand(structure)]  # from the outside in

    def place(self, name: str) -> tuple[str, ...] | None:
        """Go on to the next place of a segment, the nearest of those that pass over the fewest required segments.

        These are returned; None when the structure has no such place any more.
        """
        best: tuple[int, _Stand, Way] | None = None
        left: tuple[str, ...] = ()  # of the groups that are left on the way out
        for depth, stand in reversed(list(enumerate(self._stands))):
            group, before = stand.group, left
            last = stand.at + 1 if group.is_choice else len(group.children)
            for number in range(max(stand.at, 0), last):
                child = group.children[number]
                times = stand.times + 1 if number == stand.at else 1
                way = _way(child, name) if times <= child.most and name in child.segments else None
                if way is not None:
                    passed = (*before, *way[1])
                    if best is None or len(passed) < len(best[2][1]):
                        best = (depth, _Stand(group, number, times), (way[0], passed))
                if number != stand.at:
                    before += child.required
            left = before
        if best is None:
            return None
        depth, stand, (down, passed) = best
        self._stands[depth:] = [stand]
        for number in down:
            group = self._stands[-1].group.children[self._stands[-1].at]
            self._stands.append(_Stand(group, number, 1))
        return passed

    def end(self) -> tuple[str, ...]:
        """The required segments that have not come."""
        rest = [stand.group.children[stand.at + 1 :] for stand in self._stands if not stand.group.is_choice]
        return tuple(name for children in rest for child in children for name in child.required)
