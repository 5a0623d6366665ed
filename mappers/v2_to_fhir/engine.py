"""Following the rules: one message in, drafts of resources out, with what went where and what was left.

A message is walked segment by segment. Each segment's blocks make or fill drafts; a draft refers to another by its
number, which the store replaces by an id. The mapping reads no clock and no store: the same message gives the same.
"""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from mappers import er7
from mappers.v2_to_fhir import datatypes, reading, rules, scope
from mappers.v2_to_fhir.library import Library
from mappers.v2_to_fhir.reading import Leaf, Unusable, Value

Json = dict[str, Any]

#: Segments about the message itself: what they make is not what the message is about.
_HEAD: Final = frozenset({"MSH", "SFT", "UAC", "EVN"})

#: What may stand between a segment and the one that it belongs with: `before` looks past it.
_BETWEEN: Final = ("NTE", "PRT", "TQ1", "TQ2")

#: A reference from one draft to another: `draft:3`.
DRAFT: Final = "draft:"


@dataclass(frozen=True, slots=True)
class Fault:
    """What could not be mapped, and why. Never holds the value."""

    path: str
    text: str
    is_fatal: bool = False

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"


@dataclass(slots=True)
class Draft:
    """A resource in the making. `nulls` are the elements that the sender wants deleted, `defaults` those of the
    resource that hold only where the stored one has none.
    """

    number: int
    name: str
    resource: Json
    identity: tuple[tuple[str, ...], ...] = ()
    required: tuple[str, ...] = ()
    nulls: set[str] = field(default_factory=set)
    defaults: set[str] = field(default_factory=set)
    filled_by: set[str] = field(default_factory=set)
    labels: dict[tuple[str, str], int] = field(default_factory=dict)

    @property
    def type(self) -> str:
        """Its resource type, or `Movement`."""
        name: str = self.resource["resourceType"]
        return name

    @property
    def reference(self) -> str:
        """How other drafts of the message refer to it."""
        return f"{DRAFT}{self.number}"


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


@dataclass(slots=True)
class Mapped:
    """What a message says in FHIR. `event` is its type and trigger event; `at` when its sender made it (EVN-2 or MSH-7,
    a FHIR dateTime; None when that cannot be read); `has_map` whether there is a map for it.
    """

    event: str
    at: str | None
    has_map: bool
    drafts: list[Draft]
    faults: list[Fault]
    lines: list[Line]

    @property
    def unmapped(self) -> list[Line]:
        """The values that no rule took."""
        return [line for line in self.lines if not line.is_mapped]

    @property
    def fatal(self) -> Fault | None:
        """The first reason why nothing of this message may be stored; None when it may."""
        return next((fault for fault in self.faults if fault.is_fatal), None)


def without_repetition(path: str) -> str:
    """A place whichever repetition it is in: `PID-3.4` for `PID-3[2].4`."""
    return re.sub(r"\[\d+\]", "", path)


def map_message(message: er7.Message, library: Library, site: scope.Scope) -> Mapped:
    """Map one message with the rules of its sender."""
    walk = _Walk(message, library, site)
    found = library.message(message.structure)
    if found is not None:
        walk.run(found)
    lines = list(walk.told(found))
    drafts = [draft for draft in walk.drafts if len(draft.resource) > 1]
    return Mapped(message.structure, walk.made(), found is not None, drafts, walk.faults, lines)


class _Walk:
    """One way through a message."""

    def __init__(self, message: er7.Message, library: Library, site: scope.Scope) -> None:
        self.reading = reading.Reading(message)
        self.message = message
        self.library = library
        self.scope = site
        self.drafts: list[Draft] = []
        self.faults: list[Fault] = []
        self.heading: dict[str, Draft] = {}  # what the whole message shares
        self.latest: dict[str, Draft] = self.heading
        self.after = ""  # the last segment that was no comment
        self.later: list[tuple[Draft, rules.Rule, dict[str, Draft]]] = []  # references to what comes further on
        self.groups: list[int] = []  # which patient's part of the message each segment is in; 0 for its head
        self.places: dict[str, list[int]] = {}  # where the segments of a name are

    def run(self, found: rules.MessageMap) -> None:
        """All segments in their order."""
        if not self.message.is_decoded:
            text = "; ".join(self.message.notes) + " Set the sender's charset in its site file."
            self.faults.append(Fault("MSH-18", text, is_fatal=True))
            return
        self._survey(found)
        read: set[int] = set()
        for index, segment in enumerate(self.message.segments):
            wanted = self.library.segment(found, segment.name)
            if wanted is not None and index not in read:
                if wanted.opens_group:
                    self.latest = dict(self.heading)
                others = self._going_on(index, wanted.text)
                for block in wanted.blocks:
                    self._block(index, segment.name, block)
                if others:
                    self.reading.follow(index, others)
                    read.update(others)
                if not self.groups[index]:
                    self.heading = self.latest
            if segment.name != "NTE":
                self.after = segment.name
        self._refer_later()
        for name in found.required:
            if not any(draft.name == name for draft in self.drafts):
                self.faults.append(Fault(found.name, f"The message makes no {name}.", is_fatal=True))
        for draft in self.drafts:
            for path in draft.required:
                if not draft.resource.get(path.split(".")[0]):
                    self.faults.append(Fault(draft.name, f"There is no {path}.", is_fatal=True))

    def _survey(self, found: rules.MessageMap) -> None:
        group = 0
        for index, segment in enumerate(self.message.segments):
            wanted = self.library.segment(found, segment.name)
            group += wanted is not None and wanted.opens_group
            self.groups.append(group)
            self.places.setdefault(segment.name, []).append(index)

    def _going_on(self, index: int, text: rules.Text | None) -> list[int]:
        """The segments in which this one's text goes on."""
        if text is None or not all(self._holds(clause, index) for clause in text.when):
            return []
        segments = self.message.segments
        others: list[int] = []
        for other in range(index + 1, len(segments)):
            if segments[other].name != segments[index].name or any(
                segments[other].field(path.field).raw != segments[index].field(path.field).raw for path in text.same
            ):
                break
            others.append(other)
        self.reading.texts[index, text.field.field] = [index, *others]
        return others

    def _block(self, index: int, segment: str, block: rules.Block) -> None:
        if not all(self._holds(clause, index) for clause in block.when):
            return
        draft = self.latest.get(block.name)
        is_new = draft is None or block.draft == "each" or (block.draft == "join" and segment in draft.filled_by)
        if is_new:
            if block.draft == "current":
                return
            draft = Draft(
                len(self.drafts), block.name, {"resourceType": block.resource}, block.identity, block.required
            )
            self.drafts.append(draft)
            self.latest[block.name] = draft
        assert draft is not None
        draft.filled_by.add(segment)
        draft.identity = draft.identity or block.identity
        for rule in block.rules:
            if all(self._holds(clause, index) for clause in rule.when):
                self._rule(index, draft, rule)

    def made(self) -> str | None:
        """When the sender made the message, or recorded what it tells of."""
        for index, segment in enumerate(self.message.segments):
            number = {"MSH": 7, "EVN": 2}.get(segment.name)
            for value in self.reading.values(index, number) if number else ():
                try:
                    found = datatypes.TYPES["dateTime"](value, self.scope)
                except Unusable:
                    found = None
                self.reading.leave()
                if isinstance(found, str):
                    return found
        return None

    # ---- conditions

    def _holds(self, clause: rules.Clause, index: int) -> bool:
        found = self._said(clause, index)
        if clause.operator == "valued":
            holds = bool(found) and found != er7.NULL
        elif clause.operator == "~":
            assert clause.pattern is not None
            holds = clause.pattern.search(found) is not None
        else:
            holds = found in clause.values
        return holds != clause.negated

    def _said(self, clause: rules.Clause, index: int) -> str:
        subject = clause.subject
        if subject == "event":
            return self.message.text("MSH-9.2")
        if subject == "type":
            return self.message.text("MSH-9.1")
        if subject == "after":
            return self.after
        if subject == "before":
            following = self.message.segments[index + 1 :]
            return next((segment.name for segment in following if segment.name not in _BETWEEN), "")
        if subject == "draft":
            return next((value for value in clause.values if value in self.latest), "")
        assert not isinstance(subject, str)
        value = next((value for source in subject for value in self._values(index, source)), None)
        if value is None:
            return ""
        if clause.operator == "valued":
            return value.raw
        text = value.text
        self.reading.leave()
        return text

    # ---- rules

    def _values(self, index: int, wanted: rules.Source) -> list[Value]:
        """The values at a path: of this segment, or of the nearest of another name."""
        if self.message.segments[index].name != wanted.segment:
            nearest = self._nearest(index, wanted.segment)
            if nearest is None:
                return []
            index = nearest
        found = self.reading.values(index, wanted.field)
        if wanted.component:
            found = [value[wanted.component] for value in found]
            if wanted.subcomponent:
                found = [value[wanted.subcomponent] for value in found]
            found = [value for value in found if value]
        return found

    def _nearest(self, index: int, name: str) -> int | None:
        """Which segment of another name is meant: the last before this one, else the next after it, of the same
        patient; else that of the message's head.
        """
        group, places = self.groups[index], self.places.get(name, [])
        mine = [place for place in places if not group or self.groups[place] == group]
        near = [place for place in mine if place < index][-1:] or mine[:1]
        return next(iter(near or [place for place in places if not self.groups[place]]), None)

    def _rule(self, index: int, draft: Draft, rule: rules.Rule) -> None:
        if rule.default and rule.target and rule.target[0].name in draft.resource.keys() - draft.defaults:
            return
        if rule.refer is not None:
            self._refer(index, draft, rule)
        elif not rule.sources:
            if rule.value is not None:
                self._put(index, draft, rule, copy.deepcopy(rule.value))  # a message must not change the rules
            elif rule.target:
                draft.nulls.add(rule.target[0].name)
        else:
            for source in rule.sources:
                found = self._values(index, source)
                if found:
                    for value in found:
                        self._convert(index, draft, rule, value)
                    break

    def _convert(self, index: int, draft: Draft, rule: rules.Rule, value: Value) -> None:
        where = f"{draft.name}.{rule.to}"
        if value.is_null:
            if rule.target:
                draft.nulls.add(rule.target[0].name)
            self.reading.pending.append(value.at)
            self.reading.take(f"{where} (deleted)")
            return
        options = dataclasses.replace(self.scope, options=rule.options) if rule.options else self.scope
        try:
            converted = datatypes.TYPES[rule.kind](value, options)
        except Unusable as error:
            self.reading.leave()
            self.faults.append(Fault(self.reading.path(value.at), str(error), is_fatal=rule.essential))
            return
        if converted is None or converted in ("", [], {}):
            self.reading.leave()
        elif self._put(index, draft, rule, converted):
            self.reading.take(where)
        else:
            self.reading.leave()
            self.faults.append(Fault(self.reading.path(value.at), f"{where} has a value already"))

    def _refer(self, index: int, draft: Draft, rule: rules.Rule) -> None:
        assert rule.refer is not None
        other = self.latest.get(rule.refer)
        if rule.refer == "*" or other is None:
            self.later.append((draft, rule, self.latest))
        elif other is not draft:
            self._put(index, draft, rule, {"reference": other.reference})

    def _refer_later(self) -> None:
        for draft, rule, latest in self.later:
            if rule.refer == "*":
                others = [other for other in self.drafts if other.filled_by - _HEAD and len(other.resource) > 1]
            else:
                others = [latest[rule.refer]] if rule.refer in latest else []
                if latest is self.heading:  # the head of a message speaks of all its patients
                    others = others or [other for other in self.drafts if other.name == rule.refer]
            for other in others:
                if other is not draft and other.type != rules.MOVEMENT:
                    self._put(0, draft, rule, {"reference": other.reference})

    def _put(self, index: int, draft: Draft, rule: rules.Rule, value: Any) -> bool:
        """Put a value at the rule's target; False when the place is taken."""
        if not rule.target:
            taken = [name for name, item in value.items() if draft.resource.get(name, item) != item]
            draft.resource.update({name: item for name, item in value.items() if name not in taken})
            return not taken
        *parents, last = rule.target
        self._mind_defaults(draft, rule)
        holder = draft.resource
        path = ""
        for step in parents:
            holder, path = self._inside(draft, holder, step, path, index)
        for name, constant in rule.beside.items():
            if name not in holder:
                holder[name] = copy.deepcopy(constant)
        if last.is_list:
            items = holder.setdefault(last.name, [])
            for item in value if isinstance(value, list) else [value]:
                if item not in items:
                    items.append(item)
            return True
        if last.name in holder:
            return bool(holder[last.name] == value)
        holder[last.name] = value
        return True

    def _mind_defaults(self, draft: Draft, rule: rules.Rule) -> None:
        """A default gives way to what the message says."""
        name = rule.target[0].name
        if rule.default:
            draft.defaults.add(name)
        elif name in draft.defaults:
            draft.defaults.discard(name)
            del draft.resource[name]
            draft.labels = {
                key: number for key, number in draft.labels.items() if key[0].partition("[")[0].split(".")[1] != name
            }

    def _inside(self, draft: Draft, holder: Json, step: rules.Step, path: str, index: int) -> tuple[Json, str]:
        """The object at a step, made where there is none. Each value makes a new item of a list that has no label."""
        path = f"{path}.{step.name}"
        if not step.is_list:
            inner: Json = holder.setdefault(step.name, {})
            return inner, path
        items: list[Json] = holder.setdefault(step.name, [])
        if step.label is None:
            items.append({})
            return items[-1], f"{path}[{len(items) - 1}]"
        label = step.label.replace("{segment}", str(index))
        number = draft.labels.setdefault((path, label), len(items))
        if number == len(items):
            items.append({})
        return items[number], f"{path}[{number}]"

    # ---- the report

    def told(self, found: rules.MessageMap | None) -> Iterator[Line]:
        """Every value of the message, and where it went."""
        reasons: dict[int, dict[rules.Source, str]] = {}
        for leaf, raw in self.reading.leaves():
            index = leaf[0]
            if index not in reasons:
                wanted = self.library.segment(found, self.message.segments[index].name) if found else None
                reasons[index] = dict(wanted.left_out) if wanted else {}
            yield Line(
                self.reading.path(leaf),
                raw,
                tuple(self.reading.went.get(leaf, ())),
                _left_out(leaf, self.message, reasons[index]),
            )


def _left_out(leaf: Leaf, message: er7.Message, reasons: dict[rules.Source, str]) -> str | None:
    name = message.segments[leaf[0]].name
    _index, number, _repetition, component, subcomponent = leaf
    for source in (
        rules.Source(name, number, component, subcomponent),
        rules.Source(name, number, component),
        rules.Source(name, number),
    ):
        if source in reasons:
            return reasons[source]
    return None
