"""The two formats of PATCH: JSON Patch and FHIRPath Patch, on a decoded resource.

https://hl7.org/fhir/R4/http.html#patch, RFC 6902 (JSON Patch), RFC 6901 (JSON Pointer) and
https://hl7.org/fhir/R4/fhirpatch.html.  A patch is applied whole or not at all, to a copy.  Whether its result is valid
R4 is for the base check to say; here it is only made sure that the resource keeps its type and its id, that nothing
empty is left behind (https://hl7.org/fhir/R4/json.html: no empty arrays, no empty objects), and that a small patch
cannot make a large resource.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import jsonpatch
import jsonpointer

from fhir_gateway.rest import fhirpath_patch as places
from fhir_gateway.store.codec import Resource
from profiles.r4_differences import Element, definition

MAX_OPERATIONS: Final = 1000
MAX_DEPTH: Final = 200  # arrays and objects within each other; the base check allows 60 objects
MAX_COPIED: Final = 1_000_000  # values and characters that the `copy` operations of a patch may add, all together


class CannotPatch(Exception):
    """The patch was not applied: correct it as `text` says (status 400), or patch what the resource holds (422)."""

    def __init__(self, text: str, code: str, expression: str | None, status: int) -> None:
        super().__init__(code)
        self.text = text
        self.code = code
        """IssueType: https://hl7.org/fhir/R4/valueset-issue-type.html."""
        self.expression = expression
        """The place in the patch (`[2]`, `Parameters.parameter[2]`), or the FHIRPath of what a patch may not change."""
        self.status = status


def _malformed(text: str, expression: str | None, code: str = "invalid") -> CannotPatch:
    return CannotPatch(text, code, expression, 400)


def _inapplicable(text: str, expression: str | None, code: str = "processing") -> CannotPatch:
    return CannotPatch(text, code, expression, 422)


def json_patch(resource: Resource, operations: object) -> Resource:
    """The resource after a JSON Patch; raises CannotPatch, and leaves the given resource as it is."""
    if not isinstance(operations, list):
        raise _malformed("A JSON Patch is an array of operations.", None, "structure")
    _check_size(operations, len(operations))
    try:
        patched: object = copy.deepcopy(resource)
        copied = 0
        for number, operation in enumerate(operations):
            _check_operation(operation, f"[{number}]")
            if operation["op"] == "copy":
                copied += _size(patched, operation["from"], MAX_COPIED - copied)
                if copied > MAX_COPIED:
                    raise _inapplicable("The patch copies more than this server lets it.", f"[{number}]")
            patched = _apply(patched, operation, f"[{number}]")
        if not isinstance(patched, dict):
            raise _inapplicable("The patch would leave something else than a JSON object.", None, "structure")
        _check_depth(patched)
        _prune(patched)
    except RecursionError:
        raise _inapplicable("The resource is nested too deeply to be patched.", None, "structure") from None
    return same_identity(resource, patched)


_MEMBERS: Final = {
    "add": ("path", "value"),
    "remove": ("path",),
    "replace": ("path", "value"),
    "move": ("from", "path"),
    "copy": ("from", "path"),
    "test": ("path", "value"),
}


def _check_operation(operation: object, place: str) -> None:
    """RFC 6902, section 4: the members each operation has to have; others are ignored."""
    if not isinstance(operation, dict):
        raise _malformed("An operation is a JSON object.", place, "structure")
    name = operation.get("op")
    if not isinstance(name, str) or name not in _MEMBERS:
        raise _malformed("op must be add, remove, replace, move, copy or test.", place, "value")
    for member in _MEMBERS[name]:
        if member not in operation:
            raise _malformed(f"The operation {name} needs the member {member}.", place, "structure")
        if member != "value":
            try:
                jsonpointer.JsonPointer(operation[member])
            except (jsonpointer.JsonPointerException, TypeError):
                hint = f"{member} must be a JSON Pointer, such as /name/0/family (RFC 6901)."
                raise _malformed(hint, place, "value") from None


def _apply(document: object, operation: dict[str, Any], place: str) -> object:
    try:
        return jsonpatch.apply_patch(document, [operation], in_place=True)
    except jsonpatch.JsonPatchTestFailed:
        raise _inapplicable("The resource does not hold what the operation tests for.", place, "conflict") from None
    except jsonpatch.JsonPatchPathNotFound:
        raise _inapplicable("The resource has nothing at this place.", place, "not-found") from None
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException):
        hint = "The operation does not fit the resource: nothing to hold it, an index beyond the array, or no index."
        raise _inapplicable(hint, place) from None


def _size(document: object, pointer: str, limit: int) -> int:
    """How much a pointer points to, in values and characters, counted up to a little over the limit; 0 for nothing."""
    level: list[object] = [jsonpointer.resolve_pointer(document, pointer, None)]
    size = 0
    while level and size <= limit:
        item = level.pop()
        size += 1 + (len(item) if isinstance(item, str) else 0)
        if isinstance(item, dict):
            size += sum(map(len, item))
        level.extend(_within(item))
    return size


def _prune(value: Any, *, sibling: bool = False) -> None:
    """Remove empty arrays and objects; in a `_name` array null takes their place, so that it stays aligned."""
    if isinstance(value, dict):
        for name, item in list(value.items()):
            if isinstance(item, dict | list):
                _prune(item, sibling=name.startswith("_"))
                if not item:
                    del value[name]
        return
    emptied = False
    for item in value:
        if isinstance(item, dict | list):
            _prune(item)
            emptied = emptied or not item
    if emptied and sibling:
        value[:] = [item or None for item in value]
        if not any(value):
            value.clear()
    elif all(isinstance(item, dict | list) for item in value):
        value[:] = [item for item in value if item]


def fhirpath_patch(resource: Resource, parameters: Resource) -> Resource:
    """The resource after a FHIRPath Patch; raises CannotPatch, and leaves the given resource as it is."""
    entries = parameters.get("parameter", [])
    if parameters.get("resourceType") != "Parameters" or not isinstance(entries, list):
        raise _malformed("A FHIRPath Patch is a Parameters resource.", "Parameters", "structure")
    _check_size(entries, len(entries))
    try:
        patched = copy.deepcopy(resource)
        document = places.Document(patched)
        for number, entry in enumerate(entries):
            place = f"Parameters.parameter[{number}]"
            operation = _operation(entry, place)
            try:
                _OPERATIONS[operation.type](document, operation)
            except places.NoPlace as error:
                raise CannotPatch(error.text, error.code, place, error.status) from None
        _check_depth(patched)
    except RecursionError:
        raise _inapplicable("The resource is nested too deeply to be patched.", None, "structure") from None
    return same_identity(resource, patched)


@dataclass(frozen=True, slots=True)
class _Value:
    """The value part of an operation."""

    type: str | None
    """R4 type, `Resource`, or None when `parts` build the object."""
    pair: places.Pair
    parts: tuple[tuple[str, _Value], ...] = ()


@dataclass(frozen=True, slots=True)
class _Operation:
    """One operation with the parts that its type takes; what another type takes keeps its default."""

    type: str
    path: str
    name: str = ""
    value: _Value = _Value(None, (None, None))
    index: int = 0
    source: int = 0
    destination: int = 0


_PARTS: Final = {
    "add": ("path", "name", "value"),
    "insert": ("path", "index", "value"),
    "delete": ("path",),
    "replace": ("path", "value"),
    "move": ("path", "source", "destination"),
}
_TEXTS: Final = {"type": ("valueCode", "valueString"), "path": ("valueString",), "name": ("valueString",)}
_NUMBERS: Final = ("valueInteger", "valueUnsignedInt", "valuePositiveInt")


def _operation(entry: object, place: str) -> _Operation:
    """An operation parameter; malformed when a part is missing, unknown, given twice or of the wrong type."""
    parts: dict[str, dict[str, Any]] = {}
    if not isinstance(entry, dict) or entry.get("name") != "operation" or entry.keys() != {"name", "part"}:
        raise _malformed("Each parameter must be named operation and hold parts.", place, "structure")
    for part in _list(entry["part"], place):
        name = part.get("name")
        if not isinstance(name, str) or name in parts:
            raise _malformed("Each part of an operation has a name, and none is there twice.", place, "structure")
        parts[name] = part
    kind = _part(parts, "type", place) if "type" in parts else None
    if kind not in _PARTS:
        raise _malformed("The part type must be add, insert, delete, replace or move.", place, "value")
    if parts.keys() != {"type", *_PARTS[kind]}:
        hint = f"The operation {kind} has these parts and no others: type, {', '.join(_PARTS[kind])}."
        raise _malformed(hint, place, "structure")
    return _Operation(**{name: _part(parts, name, place) for name in parts})


def _part(parts: dict[str, dict[str, Any]], name: str, place: str) -> Any:
    part = parts[name]
    if name == "value":
        return _value(part, place)
    wanted = _TEXTS.get(name, _NUMBERS)
    for key in wanted:
        item = part.get(key)
        if part.keys() == {"name", key} and (isinstance(item, str) if name in _TEXTS else _is_index(item)):
            return item
    raise _malformed(f"The part {name} must hold a {' or '.join(wanted)} and nothing else.", place, "value")


def _is_index(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _list(value: object, place: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not value or not all(isinstance(item, dict) for item in value):
        raise _malformed("part must be an array of objects that is not empty.", place, "structure")
    return value


def _value(part: dict[str, Any], place: str) -> _Value:
    """A value: value[x] with its extensions, a resource, or parts that are elements of an anonymous type."""
    keys = part.keys() - {"name"}
    if keys == {"part"}:
        inner = _list(part["part"], place)
        if not all(isinstance(item.get("name"), str) for item in inner):
            raise _malformed("Each part of a value is named as the element it fills.", place, "structure")
        return _Value(None, (None, None), tuple((item["name"], _value(item, place)) for item in inner))
    name = min(keys, key=len, default="").removeprefix("_")
    element = definition("ParametersParameter").elements.get(name)
    if element is None or name == "part" or not (name == "resource" or element.label == "value"):
        raise _malformed("A value holds one value[x] of R4, a resource, or parts.", place, "structure")
    if keys <= {name} if element.check is None else keys <= {name, f"_{name}"}:
        value, sibling = copy.deepcopy((part.get(name), part.get(f"_{name}")))
        if element.check is None and isinstance(value, dict) and value:
            return _Value(element.type, (value, None))
        is_plain = not isinstance(value, dict | list) and (
            sibling is None or bool(isinstance(sibling, dict) and sibling)
        )
        if element.check is not None and is_plain and (value, sibling) != (None, None):
            return _Value(element.type, (value, sibling))
    raise _malformed("A value must be JSON of the type that its name says, and not empty.", place, "structure")


# "The type of the value must be correct for the place": a subtype or a type of the same form is; the base check then
# holds the content against the element's own type.
_ALIKE: Final = (
    frozenset(["base64Binary", "canonical", "code", "id", "markdown", "oid", "string", "uri", "url", "uuid", "xhtml"]),
    frozenset(["date", "dateTime", "instant"]),
    frozenset(["decimal", "integer", "positiveInt", "unsignedInt"]),
    frozenset(["Age", "Count", "Distance", "Duration", "MoneyQuantity", "Quantity", "SimpleQuantity"]),
)


def _fits(value: _Value, element: Element) -> bool:
    if value.type is None:
        return element.check is None and element.type != "Resource"
    return value.type == element.type or any({value.type, element.type} <= alike for alike in _ALIKE)


def _chosen(slots: list[places.Slot], value: _Value) -> tuple[places.Slot, places.Pair]:
    """The slot that takes the value, the member of a choice by the value's type, and the JSON it takes."""
    if len(slots) == 1:
        taking = [slot for slot in slots if _fits(value, slot.element)]
    else:
        taking = [slot for slot in slots if slot.element.type == value.type]
    if not taking:
        raise places.NoPlace("R4 allows no value of this type for the element.", "value", 422)
    slot = taking[0]
    if value.type is not None:
        return slot, value.pair
    built = places.Node(slot.element.type, {})
    for name, inner in value.parts:
        _set(built, name, inner)
    return slot, (built.value, None)


def _set(node: places.Node, name: str, value: _Value) -> None:
    slots = node.slots(name)
    if not slots[0].element.many and any(slot.read() for slot in slots):
        raise places.NoPlace("The element is already there and does not repeat; use replace.", "conflict", 422)
    places.put(*_chosen(slots, value))


def _one(nodes: list[places.Node]) -> places.Node:
    if len(nodes) != 1:
        raise places.one_wanted(len(nodes))
    return nodes[0]


def _part_of(node: places.Node) -> places.Slot:
    if node.slot is None:
        raise places.NoPlace("The resource itself can be neither deleted nor replaced by a patch.", "processing", 422)
    return node.slot


def _add(document: places.Document, operation: _Operation) -> None:
    _set(_one(document.found(operation.path)), operation.name, operation.value)


def _insert(document: places.Document, operation: _Operation) -> None:
    slot = document.collection(operation.path)
    pairs = slot.read()
    if operation.index > len(pairs):
        raise places.NoPlace("The index is beyond the end of the list.", "processing", 422)
    pairs.insert(operation.index, _chosen([slot], operation.value)[1])
    slot.write(pairs)


def _delete(document: places.Document, operation: _Operation) -> None:
    """R4: "Path of the element to delete (if found)", "Only a single element can be deleted"."""
    nodes = document.found(operation.path)
    if nodes:
        node = _one(nodes)
        slot = _part_of(node)
        pairs = slot.read()
        del pairs[node.index]
        slot.write(pairs)


def _replace(document: places.Document, operation: _Operation) -> None:
    node = _one(document.found(operation.path))
    old = _part_of(node)
    places.put(*_chosen(old.owner.slots(old.element.label), operation.value), instead_of=node)


def _move(document: places.Document, operation: _Operation) -> None:
    slot = document.collection(operation.path)
    pairs = slot.read()
    if max(operation.source, operation.destination) >= len(pairs):
        raise places.NoPlace("source and destination must be indexes of items of the list.", "processing", 422)
    pairs.insert(operation.destination, pairs.pop(operation.source))
    slot.write(pairs)


_OPERATIONS: Final = {"add": _add, "insert": _insert, "delete": _delete, "replace": _replace, "move": _move}


def _within(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def is_deep(value: object) -> bool:
    """Whether arrays and objects stand within each other more than MAX_DEPTH levels deep."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [item for outer in level for item in _within(outer) if isinstance(item, dict | list)]
        if not level:
            return False
    return True


def _check_size(patch: object, operations: int) -> None:
    if operations > MAX_OPERATIONS:
        raise _malformed(f"A patch has at most {MAX_OPERATIONS} operations.", None)
    if is_deep(patch):
        raise _malformed("The patch is nested too deeply.", None, "structure")


def _check_depth(patched: object) -> None:
    if is_deep(patched):
        raise _inapplicable("The patch would nest the resource too deeply.", None, "structure")


def same_identity(before: Resource, after: Resource) -> Resource:
    """The patched resource, if it still is the one that it was."""
    for name, expression in (("resourceType", "Resource"), ("id", "Resource.id")):
        old, new = before.get(name), after.get(name)
        if (name in before) != (name in after) or type(old) is not type(new) or old != new:
            raise _inapplicable(f"A patch may not change the {name} of a resource.", expression, "invalid")
    return after
