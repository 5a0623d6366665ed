"""Places in a resource, as a FHIRPath Patch names them, and what can be done there.

Specification: https://hl7.org/fhir/R4/fhirpatch.html, https://hl7.org/fhir/R4/fhirpath.html, http://hl7.org/fhirpath/N1/.
A patch needs the place of an element, not its value, so the path is walked here; only the criteria of `where` go to
fhirpathpy.  A place is a `Slot`: a JSON name in an object, read and written as pairs of a value and what stands beside
it in `_name` (https://hl7.org/fhir/R4/json.html#primitive), so that both arrays of a repeating primitive stay aligned.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any, Final

import fhirpathpy

from profiles import fhirpath, r4_differences
from profiles.r4_differences import Definition, Element, definition

MAX_PATH: Final = 500  # characters
MAX_JUDGED: Final = 50_000  # elements that the `where` of a patch may look at, all together; about 50 µs each
JUDGED_PER_CRITERIA: Final = 200  # what reading other criteria costs, in elements looked at
_FORM: Final = (
    "A path is the resource type and then .name, [n], .where(…), .first(), .last(), .extension('…'), .ofType(…) or "
    ".as(…), such as Patient.contact[0].gender; a choice goes by its stem (Observation.value)."
)

Pair = tuple[Any, Any]
"""A value and its `_name` sibling; None for what is not there."""


class NoPlace(Exception):
    """The path or the name leads nowhere: 400 when no resource could have the place, 422 when this one has not."""

    def __init__(self, text: str, code: str = "invalid", status: int = 400) -> None:
        super().__init__(code)
        self.text = text
        self.code = code
        self.status = status


def _misshaped(owner: str, element: Element) -> NoPlace:
    return NoPlace(f"{owner}.{element.label} of the resource is not as R4 defines it.", "structure", 422)


@dataclass(frozen=True, slots=True)
class Slot:
    """One element of an object, whether it is there or not."""

    owner: Node
    holder: dict[str, Any]
    element: Element

    def read(self) -> list[Pair]:
        """Its values in their order; at most one where it does not repeat."""
        value = self.holder.get(self.element.name)
        sibling = None if self.element.check is None else self.holder.get(f"_{self.element.name}")
        if self.element.many:
            lists = [[] if item is None else item for item in (value, sibling)]
            if not all(isinstance(item, list) for item in lists):
                raise _misshaped(self.owner.type, self.element)
            pairs = list(zip_longest(*lists))
        else:
            pairs = [] if value is None and sibling is None else [(value, sibling)]
        if not all(self._fits(*pair) for pair in pairs):
            raise _misshaped(self.owner.type, self.element)
        return pairs

    def _fits(self, value: object, sibling: object) -> bool:
        if self.element.check is None:
            return isinstance(value, dict)
        return not isinstance(value, dict | list) and (sibling is None or isinstance(sibling, dict))

    def write(self, pairs: list[Pair]) -> None:
        """Set its values; what is empty then goes, up to the resource."""
        columns: list[list[Any]] = [[pair[0] for pair in pairs], [pair[1] for pair in pairs]]
        for name, column in zip((self.element.name, f"_{self.element.name}"), columns, strict=True):
            if any(item is not None for item in column):
                self.holder[name] = column if self.element.many else column[0]
            elif name[0] != "_" or self.element.check is not None:
                self.holder.pop(name, None)
        self.owner.settle(self.holder)


@dataclass(frozen=True, slots=True)
class Node:
    """One element that a path finds; the resource itself has no slot."""

    type: str
    value: Any
    sibling: Any = None
    slot: Slot | None = None
    index: int = 0

    @property
    def _primitive(self) -> bool:
        return self.slot is not None and self.slot.element.check is not None

    def settle(self, body: dict[str, Any]) -> None:
        """Keep the changed content of this element at its place, or drop the element when nothing is left of it."""
        if self.slot is None or (body and not self._primitive):
            return
        pairs = self.slot.read()
        if body or (self.value is not None and self._primitive):
            pairs[self.index] = (self.value, body or None)
        else:
            del pairs[self.index]
        self.slot.write(pairs)

    def slots(self, name: str) -> list[Slot]:
        """The element with this name; the members of a choice by its stem.  NoPlace where R4 has none."""
        body = self.sibling or {} if self._primitive else self.value
        found = [Slot(self, body, element) for element in self._definition().elements.values() if element.label == name]
        if not found:
            hint = "R4 has no element of this name here; a choice goes by its stem (value, not valueQuantity)."
            raise NoPlace(hint, "structure", 422)
        return found

    def _definition(self) -> Definition:
        slot = self.slot
        if slot is None or not self._primitive:
            return definition(self.type)
        if f"_{slot.element.name}" not in definition(slot.owner.type).siblings:
            raise NoPlace("The element has neither children nor extensions in R4.", "structure", 422)
        return definition("Element")

    def children(self, name: str) -> Iterator[Node]:
        """The elements with this name that are there."""
        for slot in self.slots(name):
            for index, (value, sibling) in enumerate(slot.read()):
                if value is not None or sibling is not None:
                    kind = slot.element.type
                    yield Node(resource_type(value) if kind == "Resource" else kind, value, sibling, slot, index)


def resource_type(resource: dict[str, Any]) -> str:
    """The type of a resource that there are definitions for; NoPlace for another."""
    name = resource.get("resourceType")
    if not isinstance(name, str) or name not in r4_differences.RESOURCE_TYPES - r4_differences.NOT_IN_R4B:
        raise NoPlace("The resource type has no definition here, so its elements cannot be patched.", "processing", 422)
    return name


@dataclass(frozen=True, slots=True)
class _Step:
    kind: str
    """name, index, where, first, last, extension or type."""
    text: str = ""
    number: int = 0


class Document:
    """A resource that is patched, with what its paths may still cost."""

    def __init__(self, resource: dict[str, Any]) -> None:
        self._resource = resource
        self._criteria: dict[str, Callable[[Node], bool]] = {}
        self._left = MAX_JUDGED

    def found(self, path: str) -> list[Node]:
        """The elements that the path finds, in their order."""
        return self._walk(_steps(resource_type(self._resource), path))

    def collection(self, path: str) -> Slot:
        """The list that the path names, whether it has items or not; its owner must be one element that is there."""
        steps = _steps(resource_type(self._resource), path)
        if not steps or steps[-1].kind != "name":
            raise NoPlace("The path must end in the name of a list, such as Patient.identifier.")
        owners = self._walk(steps[:-1])
        if len(owners) != 1:
            raise one_wanted(len(owners))
        slot = owners[0].slots(steps[-1].text)[0]
        if not slot.element.many:
            raise NoPlace("The element does not repeat, so it is no list.", "structure", 422)
        return slot

    def _walk(self, steps: list[_Step]) -> list[Node]:
        nodes = [Node(resource_type(self._resource), self._resource)]
        for step in steps:
            match step.kind:
                case "name":
                    nodes = [child for node in nodes for child in node.children(step.text)]
                case "index":
                    nodes = nodes[step.number : step.number + 1]
                case "first":
                    nodes = nodes[:1]
                case "last":
                    nodes = nodes[-1:]
                case "extension":
                    children = (child for node in nodes for child in node.children("extension"))
                    nodes = [child for child in children if child.value.get("url") == step.text]
                case "type":
                    nodes = [node for node in nodes if node.type == step.text]
                case _:
                    nodes = self._meeting(step.text, nodes)
        return nodes

    def _meeting(self, criteria: str, nodes: list[Node]) -> list[Node]:
        self._left -= len(nodes) + (0 if criteria in self._criteria else JUDGED_PER_CRITERIA)
        if self._left < 0:
            raise NoPlace(
                "The where() of the patch look at more elements than this server lets them.", "processing", 422
            )
        meets = self._criteria.get(criteria) or _criteria(criteria)
        self._criteria[criteria] = meets
        return [node for node in nodes if meets(node)]


def one_wanted(count: int) -> NoPlace:
    """What to raise when a path that has to find one element found `count`."""
    if count:
        return NoPlace("The path finds several elements; it has to name one.", "processing", 422)
    return NoPlace("The path finds nothing in the resource.", "not-found", 422)


_NAME: Final = re.compile(r"([A-Za-z][A-Za-z0-9]*)|`([A-Za-z][A-Za-z0-9]*)`")
_CALL: Final = re.compile(r"(where|first|last|extension|ofType|as)\s*\(")
_INDEX: Final = re.compile(r"\[\s*([0-9]{1,6})\s*\]")
_ARGUMENTS: Final = {
    "first": re.compile(r"\s*()"),
    "last": re.compile(r"\s*()"),
    "extension": re.compile(r"\s*'([^'\\]+)'\s*"),
    "ofType": re.compile(r"\s*(?:FHIR\.)?([A-Za-z][A-Za-z0-9]*)\s*"),
    "as": re.compile(r"\s*(?:FHIR\.)?([A-Za-z][A-Za-z0-9]*)\s*"),
}
_PIECE: Final = re.compile(r"'[^'\\]*'|[^'\\]")


def _steps(type_name: str, path: str) -> list[_Step]:
    """The steps of a path from the resource on; NoPlace for a form that is not supported."""
    if len(path) > MAX_PATH:
        raise NoPlace(f"A path has at most {MAX_PATH} characters.")
    path = path.strip()
    steps: list[_Step] = []
    position = 0
    while position < len(path):
        if index := _INDEX.match(path, position):
            steps.append(_Step("index", number=int(index[1])))
            position = index.end()
            continue
        if position:
            if path[position] != ".":
                raise NoPlace(_FORM)
            position += 1
        if call := _CALL.match(path, position):
            argument, position = _argument(path, call.end())
            steps.append(_call(call[1], argument))
        elif name := _NAME.match(path, position):
            steps.append(_Step("name", name[1] or name[2]))
            position = name.end()
        else:
            raise NoPlace(_FORM)
    if path.endswith(".") or not steps or steps[0].kind != "name":
        raise NoPlace(_FORM)
    first = steps[0].text
    if first in r4_differences.RESOURCE_TYPES and first != type_name:
        raise NoPlace("The path begins with another resource type than that of the resource.", "value", 422)
    return steps[1:] if first in (type_name, "Resource", "DomainResource") else steps


def _call(function: str, argument: str) -> _Step:
    if function == "where":
        return _Step("where", argument)
    fits = _ARGUMENTS[function].fullmatch(argument)
    if fits is None:
        raise NoPlace(_FORM)
    return _Step({"ofType": "type", "as": "type"}.get(function, function), fits[1])


def _argument(path: str, start: int) -> tuple[str, int]:
    """The text up to the bracket that closes the one before `start`, and the position after it."""
    depth = 1
    position = start
    while piece := _PIECE.match(path, position):
        position = piece.end()
        depth += {"(": 1, ")": -1}.get(piece[0], 0)
        if not depth:
            return path[start : position - 1], position
    raise NoPlace(_FORM)


# What criteria may hold.  Without select, repeat and descendants their cost is bound by the element that they look at;
# without trace nothing is printed; without `is` and `as` fhirpathpy's type tables, which the profile check shares, stay
# as they are.  Comments, escapes and quoted identifiers could hide a function from this check.
_FUNCTIONS: Final = frozenset(
    ["all", "contains", "count", "empty", "endsWith", "exists", "extension", "first", "last", "not"]
) | {"startsWith", "where"}
_WORDS_BEFORE_A_BRACKET: Final = _FUNCTIONS | frozenset(["and", "or", "xor", "implies", "in"])
_PLAIN: Final = re.compile(r"[A-Za-z0-9_ .,=!~<>|@:+\-$()\[\]\t\r\n']*")
_CRITERIA_FORM: Final = (
    "The criteria of where() may compare elements and literals with = != < > ~ in, join them with and, or, xor and "
    f"implies, and call {', '.join(sorted(_FUNCTIONS))}."
)


def _criteria(text: str) -> Callable[[Node], bool]:
    """Whether a node meets the criteria of a `where`; NoPlace when they cannot be evaluated."""
    bare = re.sub(r"'[^'\\]*'", "''", text)
    calls = re.findall(r"([A-Za-z_][A-Za-z0-9_]*)\s*\(", bare)
    if (
        not bare.strip()
        or not _PLAIN.fullmatch(bare)
        or not _WORDS_BEFORE_A_BRACKET.issuperset(calls)
        or re.search(r"\b(?:is|as)\b", bare)
    ):
        raise NoPlace(_CRITERIA_FORM)
    try:
        evaluate = fhirpathpy.compile(text, options={"traceFn": lambda label, nodes: None})
    except Exception:  # noqa: BLE001  the parser raises anything, among it the bare Exception
        raise NoPlace(_CRITERIA_FORM) from None

    def meets(node: Node) -> bool:
        try:
            result = evaluate(_shown(node), {})
        except Exception:  # noqa: BLE001  as above
            raise NoPlace("The criteria of where() cannot be evaluated on the elements they meet.") from None
        if len(result) > 1:
            raise NoPlace("The criteria of where() give several values instead of one.")
        return bool(result) and result[0] is not False

    return meets


def _shown(node: Node) -> Any:
    """A node as FHIRPath sees it: primitives with their extensions, choices by their stems as well."""
    value = fhirpath.prepared({"value": node.value, "_value": node.sibling} if node.sibling else {"value": node.value})
    return _stemmed(value.get("value"), node.type) if isinstance(node.value, dict) else value.get("value")


def _stemmed(value: dict[str, Any], type_name: str) -> dict[str, Any]:
    elements = definition(resource_type(value) if type_name == "Resource" else type_name).elements
    shown = dict(value)
    for name, item in value.items():
        element = elements.get(name)
        if element is not None:
            if element.check is None and isinstance(item, list):
                shown[name] = [_stemmed(inner, element.type) if isinstance(inner, dict) else inner for inner in item]
            elif element.check is None and isinstance(item, dict):
                shown[name] = _stemmed(item, element.type)
            shown[element.label] = shown[name]
    return shown


def put(slot: Slot, pair: Pair, *, instead_of: Node | None = None) -> None:
    """Append to a list, set an element that is not there, or replace one, also by another member of its choice."""
    old = None if instead_of is None else instead_of.slot
    if instead_of is None or old is None:
        slot.write([*slot.read(), pair])
    elif old.element is slot.element:
        pairs = old.read()
        pairs[instead_of.index] = pair
        old.write(pairs)
    else:
        slot.write([pair])
        replace(slot, element=old.element).write([])
