"""What a message became: drafts of resources, what could not be mapped, and where each of its values went."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from mappers.er7 import Leaf
from mappers.v2_to_fhir import plans
from mappers.v2_to_fhir.drafts import Draft
from mappers.v2_to_fhir.reading import Reading

_REPETITION: Final = re.compile(r"\[\d+\]")


@dataclass(frozen=True, slots=True)
class Fault:
    """What could not be mapped, and why. Never holds the value."""

    path: str
    text: str
    is_fatal: bool = False

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"


@dataclass(frozen=True, slots=True)
class Line:
    """One value of a message: its place, what it says, and where it went."""

    path: str
    raw: str
    went: tuple[str, ...]
    left_out: str | None

    @property
    def is_mapped(self) -> bool:
        """Whether a rule took it, or a rule says why not."""
        return bool(self.went) or self.left_out is not None


@dataclass
class Mapped:
    """What a message says in FHIR. `event` is its type and trigger event; `at` when its sender made it (EVN-2 or MSH-7,
    a FHIR dateTime; None when that cannot be read); `has_map` whether there is a map for it.

    Where each value went is told when it is asked for.
    """

    event: str
    at: str | None
    has_map: bool
    drafts: list[Draft]
    faults: list[Fault]
    reading: Reading = field(repr=False, compare=False)
    followed: Sequence[plans.Segment | None] = field(repr=False, compare=False)  # for each segment of the message

    @cached_property
    def lines(self) -> list[Line]:
        """Every value of the message."""
        went = self.reading.went
        return [
            Line(self.reading.path(leaf), raw, tuple(went.get(leaf, ())), self._reason(leaf))
            for leaf, raw in self.reading.leaves()
        ]

    @cached_property
    def unmapped(self) -> list[Line]:
        """The values that no rule took."""
        went = self.reading.went
        return [
            Line(self.reading.path(leaf), raw, (), None)
            for leaf, raw in self.reading.leaves()
            if leaf not in went and self._reason(leaf) is None
        ]

    @property
    def fatal(self) -> Fault | None:
        """The first reason why nothing of this message may be stored; None when it may."""
        return next((fault for fault in self.faults if fault.is_fatal), None)

    def _reason(self, leaf: Leaf) -> str | None:
        plan = self.followed[leaf[0]]
        return None if plan is None else plan.reason(leaf)


def without_repetition(path: str) -> str:
    """A place whichever repetition it is in: `PID-3.4` for `PID-3[2].4`."""
    return _REPETITION.sub("", path)
