"""Which stage needs which: the one place that knows the order of the work."""

from __future__ import annotations

from typing import Literal

Stage = Literal["gather", "read", "scribe", "summarise", "code", "check", "bill", "write_back", "deliver"]

#: Every stage with the stages whose output it reads. The order is the replay contract: it may only grow at the end.
NEEDS: dict[Stage, tuple[Stage, ...]] = {
    "gather": (),
    "read": ("gather",),
    "scribe": ("gather", "read"),
    "summarise": ("gather", "read", "scribe"),
    "code": ("gather", "read", "scribe"),
    "check": ("gather", "read", "scribe"),
    "bill": ("gather", "read", "scribe", "code"),
    "write_back": ("gather", "read", "scribe", "summarise", "code", "check", "bill"),
    "deliver": ("gather", "write_back"),
}

#: Groups of stages that run one after another; the stages inside a group run side by side.
ORDER: tuple[tuple[Stage, ...], ...] = (
    ("gather",),
    ("read",),
    ("scribe",),
    ("summarise", "code", "check"),
    ("bill",),
    ("write_back",),
    ("deliver",),
)

STAGES: tuple[Stage, ...] = tuple(stage for group in ORDER for stage in group)


def from_stage(first: Stage) -> frozenset[Stage]:
    """The stages that must run again when `first` runs again: itself and all that read its output."""
    again: set[Stage] = {first}
    for stage in STAGES:
        if any(need in again for need in NEEDS[stage]):
            again.add(stage)
    return frozenset(again)
