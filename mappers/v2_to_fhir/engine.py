"""Following the rules: one message in, drafts of resources out, with what went where and what was left.

A message is walked segment by segment. Each segment's blocks make or fill drafts; a draft refers to another by its
number, which the store replaces by an id. The mapping reads no clock and no store: the same message gives the same.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Sequence
from typing import Final

from mappers import er7
from mappers.v2_to_fhir import datatypes, plans, rules, scope
from mappers.v2_to_fhir.drafts import DRAFT, Draft
from mappers.v2_to_fhir.library import Library
from mappers.v2_to_fhir.reading import Reading, Unusable, Value
from mappers.v2_to_fhir.report import Fault, Line, Mapped, without_repetition

__all__ = ["DRAFT", "Draft", "Fault", "Line", "Mapped", "map_message", "without_repetition"]

#: Segments about the message itself: what they make is not what the message is about.
_HEAD: Final = frozenset({"MSH", "SFT", "UAC", "EVN"})

#: What may stand between a segment and the one that it belongs with: `before` looks past it.
_BETWEEN: Final = ("NTE", "PRT", "TQ1", "TQ2")


def map_message(message: er7.Message, library: Library, site: scope.Scope) -> Mapped:
    """Map one message with the rules of its sender."""
    event = message.structure
    found = library.message(event)
    walk = _Walk(message, library, found, site)
    if found is not None:
        walk.run(found)
    drafts = [draft for draft in walk.drafts if len(draft.resource) > 1]
    mapped = Mapped(event, walk.made(), found is not None, drafts, walk.faults, walk.reading, walk.plans)
    walk.reading.close()
    return mapped


class _Walk:
    """One way through a message."""

    def __init__(
        self, message: er7.Message, library: Library, found: rules.MessageMap | None, site: scope.Scope
    ) -> None:
        self.reading = Reading(message)
        self.message = message
        self.type = message.text("MSH-9.1")
        self.event = message.text("MSH-9.2")
        self.scope = site
        self.parts_of_scope = {part.name: getattr(site, part.name) for part in dataclasses.fields(site)}
        self.scopes: dict[int, scope.Scope] = {}  # of the rules with options, by their ids
        self.names = [segment.name for segment in message.segments]
        self.plans = _plans(library, found, self.names)
        self.drafts: list[Draft] = []
        self.faults: list[Fault] = []
        self.heading: dict[str, Draft] = {}  # what the whole message shares
        self.latest: dict[str, Draft] = self.heading
        self.after = ""  # the last segment that was no comment
        self.later: list[tuple[Draft, plans.Rule, str, dict[str, Draft]]] = []  # references to what comes further on
        self.groups: list[int] = []  # which patient's part of the message each segment is in; 0 for its head
        self.places: dict[str, list[int]] = {}  # where the segments of a name are

    def run(self, found: rules.MessageMap) -> None:
        """All segments in their order."""
        if not self.message.is_decoded:
            text = "; ".join(self.message.notes) + " Set the sender's charset in its site file."
            self.faults.append(Fault("MSH-18", text, is_fatal=True))
            return
        self._survey()
        read: set[int] = set()
        for index, (name, plan) in enumerate(zip(self.names, self.plans, strict=True)):
            if plan is not None and index not in read:
                read.update(self._segment(index, plan))
            if name != "NTE":
                self.after = name
        self._refer_later()
        for name in found.required:
            if not any(draft.name == name for draft in self.drafts):
                self.faults.append(Fault(found.name, f"The message makes no {name}.", is_fatal=True))
        for draft in self.drafts:
            for path in draft.required:
                if not draft.resource.get(path.split(".")[0]):
                    self.faults.append(Fault(draft.name, f"There is no {path}.", is_fatal=True))

    def _survey(self) -> None:
        group = 0
        for index, (name, plan) in enumerate(zip(self.names, self.plans, strict=True)):
            group += plan is not None and plan.opens_group
            self.groups.append(group)
            self.places.setdefault(name, []).append(index)

    def _segment(self, index: int, plan: plans.Segment) -> list[int]:
        """Follow a segment's rules; the segments that were read with it."""
        if plan.opens_group:
            self.latest = dict(self.heading)
        others = self._going_on(index, plan)
        for block in plan.blocks:
            self._block(index, block)
        if others:
            self.reading.follow(index, others)
        if not self.groups[index]:
            self.heading = self.latest
        return others

    def _going_on(self, index: int, plan: plans.Segment) -> list[int]:
        """The segments in which this one's text goes on."""
        text = plan.text
        if text is None or not (plan.text_holds is None or plan.text_holds(self, index)):
            return []
        segments = self.message.segments
        same = [(path.field, segments[index].field(path.field).raw) for path in text.same]
        others: list[int] = []
        for other in range(index + 1, len(segments)):
            if self.names[other] != self.names[index] or any(
                segments[other].field(number).raw != raw for number, raw in same
            ):
                break
            others.append(other)
        self.reading.join([index, *others], text.field.field)
        return others

    def _block(self, index: int, plan: plans.Block) -> None:
        if plan.holds is not None and not plan.holds(self, index):
            return
        block, segment = plan.block, self.names[index]
        draft = self.latest.get(block.name)
        if draft is None or block.draft == "each" or (block.draft == "join" and segment in draft.filled_by):
            if block.draft == "current":
                return
            draft = Draft(
                len(self.drafts), block.name, {"resourceType": block.resource}, block.identity, block.required
            )
            self.drafts.append(draft)
            self.latest[block.name] = draft
        draft.filled_by.add(segment)
        draft.identity = draft.identity or block.identity
        raws = self.reading.raws[index]
        sent = len(raws)
        for rule in plan.rules:
            if not rule.needs or (rule.needs < sent and raws[rule.needs]):
                self._rule(index, draft, rule)

    def made(self) -> str | None:
        """When the sender made the message, or recorded what it tells of."""
        for index, name in enumerate(self.names):
            number = {"MSH": 7, "EVN": 2}.get(name)
            for value in self.reading.values(index, number) if number else ():
                try:
                    found = datatypes.TYPES["dateTime"](value, self.scope)
                except Unusable:
                    found = None
                self.reading.leave()
                if isinstance(found, str):
                    return found
        return None

    # ---- what rules look up

    def before(self, index: int) -> str:
        """The name of the next segment that is one of its own."""
        following = range(index + 1, len(self.names))
        return next((self.names[other] for other in following if self.names[other] not in _BETWEEN), "")

    def nearest(self, index: int, name: str) -> int | None:
        """Which segment of another name is meant: the last before this one, else the next after it, of the same
        patient; else that of the message's head.
        """
        places = self.places.get(name)
        if places is None:
            return None
        group, later = self.groups[index], bisect.bisect(places, index)
        for place in (later - 1, later):
            if 0 <= place < len(places) and (not group or self.groups[places[place]] == group):
                return places[place]
        return places[0] if not self.groups[places[0]] else None

    # ---- rules

    def _rule(self, index: int, draft: Draft, plan: plans.Rule) -> None:
        values: Sequence[Value] = ()
        if plan.values is not None:
            values = plan.values(self, index)
            if not values:
                return
        if plan.holds is not None and not plan.holds(self, index):
            return
        if plan.default and plan.element in draft.resource and plan.element not in draft.defaults:
            return
        rule = plan.rule
        if plan.values is not None:
            for value in values:
                self._convert(index, draft, plan, value)
        elif rule.refer is not None:
            self._refer(index, draft, plan, rule.refer)
        elif rule.value is not None:
            draft.put(plan, plans.own(rule.value), index)
        elif plan.element:
            draft.nulls.add(plan.element)

    def _convert(self, index: int, draft: Draft, plan: plans.Rule, value: Value) -> None:
        if value.is_null:
            if plan.deletes:
                draft.nulls.add(plan.element)
                self.reading.pending.append(value.at)
                self.reading.take(f"{plan.where} (deleted)")
            return
        try:
            converted = plan.convert(value, self._scope(plan.rule))
        except Unusable as error:
            self.reading.leave()
            self.faults.append(Fault(self.reading.path(value.at), str(error), is_fatal=plan.rule.essential))
            return
        if converted is None or converted in ("", [], {}):
            self.reading.leave()
        elif draft.put(plan, converted, index):
            self.reading.take(plan.where)
        else:
            self.reading.leave()
            self.faults.append(Fault(self.reading.path(value.at), f"{plan.where} has a value already"))

    def _scope(self, rule: rules.Rule) -> scope.Scope:
        if not rule.options:
            return self.scope
        found = self.scopes.get(id(rule))
        if found is None:
            found = self.scopes[id(rule)] = scope.Scope(**{**self.parts_of_scope, "options": rule.options})
        return found

    def _refer(self, index: int, draft: Draft, plan: plans.Rule, name: str) -> None:
        other = self.latest.get(name)
        if name == "*" or other is None:
            self.later.append((draft, plan, name, self.latest))
        elif other is not draft:
            draft.put(plan, _reference(other), index)

    def _refer_later(self) -> None:
        for draft, plan, name, latest in self.later:
            if name == "*":
                others = [other for other in self.drafts if other.filled_by - _HEAD and len(other.resource) > 1]
            else:
                others = [latest[name]] if name in latest else []
                if latest is self.heading:  # the head of a message speaks of all its patients
                    others = others or [other for other in self.drafts if other.name == name]
            for other in others:
                if other is not draft and other.type != rules.MOVEMENT:
                    draft.put(plan, _reference(other), 0)


def _plans(library: Library, found: rules.MessageMap | None, names: list[str]) -> list[plans.Segment | None]:
    """The plan of each segment; None for one without a map, and for all where the message has none."""
    if found is None:
        return [None] * len(names)
    given = {name: library.segment(found, name) for name in set(names)}
    planned = {name: plans.of(wanted, name) for name, wanted in given.items() if wanted is not None}
    return [planned.get(name) for name in names]


def _reference(draft: Draft) -> scope.Json:
    return {"reference": draft.reference}
