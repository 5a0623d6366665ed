"""Resources in the making, and how a value is put at its place in one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from mappers.v2_to_fhir import plans
from mappers.v2_to_fhir.scope import Json

#: A reference from one draft to another: `draft:3`.
DRAFT: Final = "draft:"

_LONG: Final = 32  # items; a list with fewer is looked through


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
    #: What is in a long list of references, by the id of the list.
    _references: dict[int, set[str]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def type(self) -> str:
        """Its resource type, or `Movement`."""
        name: str = self.resource["resourceType"]
        return name

    @property
    def reference(self) -> str:
        """How other drafts of the message refer to it."""
        return f"{DRAFT}{self.number}"

    def put(self, rule: plans.Rule, value: Any, segment: int) -> bool:
        """Put a value of the segment of this number at the rule's target; False when the place is taken.

        The value is the draft's from then on.
        """
        last = rule.last
        if last is None:
            taken = [name for name, item in value.items() if self.resource.get(name, item) != item]
            self.resource.update({name: item for name, item in value.items() if name not in taken})
            return not taken
        if rule.default or self.defaults:
            self._mind_defaults(rule)
        holder = self._holder(rule, segment) if rule.parents else self.resource
        for name, constant in rule.beside:
            if name not in holder:
                holder[name] = plans.own(constant)
        if last.is_list:
            items = holder.setdefault(last.name, [])
            for item in value if isinstance(value, list) else [value]:
                if not self._has(items, item):
                    items.append(item)
            return True
        if last.name in holder:
            return bool(holder[last.name] == value)
        holder[last.name] = value
        return True

    def _has(self, items: list[Any], item: Any) -> bool:
        """Whether an item is in a list. Where there are thousands of references, none is compared with all others."""
        if len(items) < _LONG or not isinstance(item, dict) or item.keys() != {"reference"}:
            return item in items
        known = self._references.get(id(items))
        if known is None:
            known = {one["reference"] for one in items if isinstance(one, dict) and one.keys() == {"reference"}}
            self._references[id(items)] = known
        is_new = item["reference"] not in known
        known.add(item["reference"])
        return not is_new

    def _mind_defaults(self, rule: plans.Rule) -> None:
        """A default gives way to what the message says."""
        if rule.default:
            self.defaults.add(rule.element)
        elif rule.element in self.defaults:
            self.defaults.discard(rule.element)
            del self.resource[rule.element]
            self._references.clear()
            self.labels = {
                key: number
                for key, number in self.labels.items()
                if key[0].partition("[")[0].split(".")[1] != rule.element
            }

    def _holder(self, rule: plans.Rule, segment: int) -> Json:
        """What the last element of the target is in, made where there is none.

        Each value makes a new item of a list that has no label.
        """
        holder, path = self.resource, ""
        for step in rule.parents:
            path = f"{path}.{step.name}"
            if not step.is_list:
                holder = holder.setdefault(step.name, {})
                continue
            items: list[Json] = holder.setdefault(step.name, [])
            number = len(items)
            if step.label is not None:
                label = step.label.replace("{segment}", str(segment))
                number = self.labels.setdefault((path, label), number)
            if number == len(items):
                items.append({})
            holder, path = items[number], f"{path}[{number}]"
        return holder
