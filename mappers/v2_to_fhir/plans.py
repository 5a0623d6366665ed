"""Rules made ready to be followed: what is the same for every message is worked out once for each map of a segment.

The rules themselves are not touched, and nothing of a message is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from mappers.er7 import Leaf
from mappers.v2_to_fhir import datatypes, lookups, rules

_KEPT: Final = 1024  # plans: ours, and those of the segments that some hundred sites have other rules for


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: what it reads and when, how that is converted, and where it is put.

    `needs` is the field of the segment without which it does nothing; 0 where there is no such field. `values` is None
    for a rule that reads nothing, `holds` for one without a condition, `last` for one whose target is the resource.
    """

    rule: rules.Rule
    needs: int
    values: lookups.Values | None
    holds: lookups.Holds | None
    convert: datatypes.Convert
    where: str  # for people: `Patient.name`
    element: str  # the first one of the target; "" for the resource
    parents: tuple[rules.Step, ...]
    last: rules.Step | None
    beside: tuple[tuple[str, Any], ...]
    default: bool
    deletes: bool  # whether `""` deletes the element: only where no other field has a part in it


@dataclass(frozen=True, slots=True)
class Block:
    """The rules of a segment for one resource."""

    block: rules.Block
    holds: lookups.Holds | None
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Segment:
    """The rules of one kind of segment, and whether its field `text` is a text of many lines."""

    opens_group: bool
    blocks: tuple[Block, ...]
    text: rules.Text | None
    text_holds: lookups.Holds | None
    left_out: Mapping[int, Mapping[tuple[int, int], str]]  # by field: component and subcomponent, 0 for all of it

    def reason(self, leaf: Leaf) -> str | None:
        """Why a value goes nowhere on purpose; None where no rule says so."""
        _index, number, _repetition, component, subcomponent = leaf
        reasons = self.left_out.get(number)
        if reasons is None:
            return None
        places = ((component, subcomponent), (component, 0), (0, 0))
        return next((reasons[place] for place in places if place in reasons), None)


def of(given: rules.SegmentMap, segment: str) -> Segment:
    """How these rules are followed for the segments of a name."""
    return _planned(_Same(given), segment)


class _Same:
    """A map of a segment, which is the same as another only when it is that one: it is too big to be compared."""

    __slots__ = ("given",)

    def __init__(self, given: rules.SegmentMap) -> None:
        self.given = given

    def __hash__(self) -> int:
        return id(self.given)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.given is self.given


@lru_cache(maxsize=_KEPT)
def _planned(key: _Same, segment: str) -> Segment:
    given = key.given
    left_out: dict[int, dict[tuple[int, int], str]] = {}
    for source, reason in given.left_out.items():
        if source.segment == segment:
            left_out.setdefault(source.field, {})[source.component, source.subcomponent] = reason
    text = given.text.field.field if given.text is not None else 0
    return Segment(
        given.opens_group,
        tuple(_block(block, segment, text) for block in given.blocks),
        given.text,
        lookups.condition(given.text.when, segment) if given.text is not None else None,
        left_out,
    )


def _block(block: rules.Block, segment: str, text: int) -> Block:
    fields: dict[str, set[tuple[str, int]]] = {}
    for rule in block.rules:
        if rule.target:
            fields.setdefault(rule.target[0].name, set()).update((one.segment, one.field) for one in rule.sources)
    followed = tuple(
        _rule(rule, block.name, segment, text, is_alone=bool(rule.target) and len(fields[rule.target[0].name]) == 1)
        for rule in block.rules
    )
    return Block(block, lookups.condition(block.when, segment), followed)


def _rule(rule: rules.Rule, draft: str, segment: str, text: int, *, is_alone: bool) -> Rule:
    *parents, last = rule.target or (None,)
    return Rule(
        rule,
        _needs(rule, segment, text),
        lookups.values(rule.sources, segment) if rule.sources else None,
        lookups.condition(rule.when, segment),
        datatypes.TYPES[rule.kind],
        f"{draft}.{rule.to}",
        rule.target[0].name if rule.target else "",
        tuple(step for step in parents if step is not None),
        last,
        tuple(rule.beside.items()),
        rule.default,
        is_alone and len(rule.target) == 1 and rule.target[0].name != "extension",
    )


def _needs(rule: rules.Rule, segment: str, text: int) -> int:
    """Never the field `text`: its first line may be empty."""
    fields = {source.field if source.segment == segment else 0 for source in rule.sources}
    return fields.pop() if len(fields) == 1 and text not in fields else 0


def own(constant: Any) -> Any:
    """A constant of a rule for one resource alone: what becomes of it there must not change the rule."""
    if isinstance(constant, dict):
        return {name: own(item) for name, item in constant.items()}
    if isinstance(constant, list):
        return [own(item) for item in constant]
    return constant
