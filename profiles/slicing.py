"""Which slice an item of a sliced element belongs to.

Specification: https://hl7.org/fhir/R4/profiling.html#slicing and #discriminator.  A discriminator names a place below
the item with FHIRPath's simple subset ($this, names, extension(url), resolve(), ofType(T)).  What the slice says there
(fixed, pattern, a required binding, the same further down or in a datatype's profile) tells whether an item is of it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Protocol

from profiles import fhirpath
from profiles.snapshot import ABSENT, STANDARD, Discriminator, Node, Slicing, Type, choice_names

_DEPTH: Final = 5  # levels below a place at which a slice may say what it holds
_STEP: Final = re.compile(r"""(\w+)(?:\(\s*['"]?([^'")]*)['"]?\s*\))?(?:\.|$)""")


@dataclass(frozen=True, slots=True)
class Item:
    """A value of an element, its type where that is not the only one, and its FHIRPath."""

    value: Any
    type: str
    path: str


def items(node: Node, value: Any, path: str) -> list[Item]:
    """The values of a child element, each with its type and its path; `path` is that of the value."""
    held: Any
    key = node.name
    if key == "extension":
        held = fhirpath.extensions(value)
    elif not isinstance(value, dict):
        held = value if key == "value" else None  # a primitive: it has its value and extensions
    elif node.names is None:
        held = value.get(key)
    else:
        key = next((name for name in value if name in node.names), "")
        held = value.get(key)
    if held is None:
        return []
    path = f"{path}.{node.name}"
    given = node.names[key] if node.names is not None else next(iter(node.types), "") if len(node.types) == 1 else ""
    if isinstance(held, list):
        return [Item(each, _type_of(each, given), f"{path}[{index}]") for index, each in enumerate(held)]
    return [Item(held, _type_of(held, given), path)]


def _type_of(value: Any, given: str) -> str:
    """The type of a value: of a resource its own."""
    own = value.get("resourceType") if isinstance(value, dict) else None
    return own if isinstance(own, str) else given


def is_of(item: Item, node: Node) -> bool:
    """Whether the value has a type that the node allows; a type that is not told is the only one."""
    return not item.type or not node.types or item.type in node.types or "Resource" in node.types


class Conformance(Protocol):
    """What telling slices apart needs of the check."""

    def root(self, canonical: str) -> Node | None:
        """The compiled profile, if it is installed."""

    def conforms(self, value: object, type_name: str, canonical: str) -> bool | None:
        """Whether the value conforms to the profile; None where that is not installed."""

    def target(self, reference: object) -> tuple[dict[str, Any] | None, str]:
        """The resource that a Reference points to, if it is at hand, and its type."""

    def contains(self, value_set: str, system: str | None, code: str) -> bool | None:
        """Whether a code is in a ValueSet; None where that is not known."""


def fits(piece: Node, slicing: Slicing | None, item: Item, by: Conformance) -> bool | None:
    """Whether the item is of this slice; None where the slice does not say how it differs."""
    discriminators = _BY_TYPE if slicing is None or not slicing.discriminators else slicing.discriminators
    is_told = False
    for discriminator in discriminators:
        fit = _fit(piece, discriminator, item, by)
        if fit is False:
            return False
        is_told = is_told or fit is True
    return is_told or None


_BY_TYPE: Final = (Discriminator("type", "$this"),)


def _fit(piece: Node, discriminator: Discriminator, item: Item, by: Conformance) -> bool | None:
    key = f"{discriminator.type} {discriminator.path}"
    nodes = piece.located.get(key)
    if nodes is None:
        nodes = _locate([piece], discriminator.path, by)
        if discriminator.type in ("value", "pattern"):
            nodes = [node for node in nodes if _matches(node, ABSENT, by, 0) is not None]
        piece.located[key] = nodes
    found = _select([(item.value, item.type)], discriminator.path, by)
    results = [_fit_at(node, discriminator.type, found, by) for node in nodes]
    told = [result for result in results if result is not None]
    return any(told) if told else None


def _fit_at(node: Node, kind: str, found: list[tuple[Any, str]], by: Conformance) -> bool | None:
    """Whether the values found at a discriminator's path are what the slice has there."""
    match kind:
        case "exists":
            return _exists(node, found)
        case "type":
            return any(type_name in node.types for _, type_name in found) if node.types else None
        case "profile":
            return _conforms(node, found, by)
        case _:
            return any(_matches(node, value, by, 0) for value, _ in found)


def _exists(node: Node, found: list[tuple[Any, str]]) -> bool | None:
    if node.maximum == 0:
        return not found
    return bool(found) if node.minimum else None


def _conforms(node: Node, found: list[tuple[Any, str]], by: Conformance) -> bool | None:
    names = [name for each in node.types.values() for name in each.profiles]
    if all(by.root(name) is None for name in names):
        return None
    return any(by.conforms(value, type_name, name) for value, type_name in found for name in names)


def _matches(node: Node, value: Any, by: Conformance, depth: int) -> bool | None:
    """Whether the value is what the node says; None where the node says nothing. No value is ABSENT."""
    if node.fixed is not ABSENT:
        return bool(value == node.fixed)
    if node.pattern is not ABSENT:
        return is_pattern(node.pattern, value)
    if node.binding is not None and node.binding.is_required:
        value_set = node.binding.value_set
        return any(by.contains(value_set, system, code) is not False for system, code in codes(value))
    if depth >= _DEPTH:
        return None
    results: list[bool] = []
    for child in node.children.values():
        held = [each for each, _ in _members(value, child.name)]
        if not held and not child.minimum and value is not ABSENT:
            continue
        for part in (child, *(each for each in child.slices.values() if each.minimum)):
            fit = [_matches(part, each, by, depth + 1) for each in held or [ABSENT]]
            if None not in fit:
                results.append(any(fit))
    for name in (name for each in node.types.values() for name in each.profiles):
        root = by.root(name)
        fit_of_root = None if root is None else _matches(root, value, by, depth + 1)
        if fit_of_root is not None:
            results.append(fit_of_root)
    return all(results) if results else None


def is_pattern(pattern: Any, value: Any) -> bool:
    """pattern[x]: all that the pattern holds stands in the value; of an array, in any member."""
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(is_pattern(part, value.get(name)) for name, part in pattern.items())
    if isinstance(pattern, list):
        return isinstance(value, list) and all(any(is_pattern(part, each) for each in value) for part in pattern)
    return bool(value == pattern) and isinstance(value, bool) == isinstance(pattern, bool)


def codes(value: Any) -> Iterator[tuple[str | None, str]]:
    """The codes of a code, Coding, CodeableConcept or Quantity, each with its system; a code has none."""
    if isinstance(value, str):
        yield None, value
    elif isinstance(value, dict):
        coding = value.get("coding")
        for item in coding if isinstance(coding, list) else [value]:
            code = item.get("code") if isinstance(item, dict) else None
            if isinstance(code, str):
                yield item.get("system") or "", code


@cache
def _steps(path: str) -> list[tuple[str, str | None]]:
    """`extension('u').value.ofType(Coding)` -> extension u, value, ofType Coding; `$this` is no step."""
    steps = [(found[1], found[2]) for found in _STEP.finditer(path.replace("$this", ""))]
    return [(name, argument) for name, argument in steps if name]


def _locate(nodes: list[Node], path: str, by: Conformance) -> list[Node]:
    """The nodes of a slice at a discriminator's path."""
    for name, argument in _steps(path):
        match name:
            case "extension" if argument is not None:
                held = [node.children["extension"] for node in nodes if "extension" in node.children]
                nodes = [each for node in held for each in node.slices.values() if argument in _url(each)]
            case "resolve":
                nodes = [node for each in nodes for node in _targets(each, by)]
            case "ofType":
                nodes = [each for node in nodes for each in (*node.slices.values(), node) if argument in each.types]
            case _:
                nodes = [child for node in nodes for child in _children(node, name, by)]
    return nodes


def _children(node: Node, name: str, by: Conformance) -> Iterator[Node]:
    """The child of this name with those slices of it that are required, here and in the profiles of the type."""
    if name == "url" and "Extension" in node.types and node.types["Extension"].profiles:
        url = node.types["Extension"].profiles[0].partition("|")[0]
        yield Node("url", "Extension.url", fixed=url)
        return
    owners = [node, *(by.root(each) for type_ in node.types.values() for each in type_.profiles)]
    for owner in owners:
        child = owner.children.get(name) if owner is not None else None
        if child is not None:
            yield child
            yield from (each for each in child.slices.values() if each.minimum)


def _url(piece: Node) -> tuple[str, ...]:
    child = piece.children.get("url")
    fixed = (str(child.fixed),) if child is not None else ()
    return fixed + tuple(name.partition("|")[0] for each in piece.types.values() for name in each.profiles)


def _targets(node: Node, by: Conformance) -> Iterator[Node]:
    for type_ in node.types.values():
        for canonical in type_.targets:
            root = by.root(canonical)
            name = canonical.removeprefix(STANDARD).partition("|")[0]
            own = {name: Type(name)} if root is None else {each: Type(each, (canonical,)) for each in root.types}
            children = root.children if root is not None else {}
            yield Node("", "", types=own, children=children)


def _select(found: list[tuple[Any, str]], path: str, by: Conformance) -> list[tuple[Any, str]]:
    """The values of an item at a discriminator's path, with their types where these are told."""
    for name, argument in _steps(path):
        match name:
            case "extension" if argument is not None:
                found = [
                    (each, "Extension")
                    for value, _ in found
                    for each in fhirpath.extensions(value)
                    if isinstance(each, dict) and each.get("url") == argument
                ]
            case "resolve":
                found = [by.target(value) for value, _ in found]
            case "ofType":
                found = [pair for pair in found if pair[1] == argument]
            case _:
                found = [pair for value, _ in found for pair in _members(value, name)]
    return found


def _members(value: Any, name: str) -> Iterator[tuple[Any, str]]:
    """The values of an element, a choice by its stem, with the type of a choice or a resource."""
    if name == "extension":
        yield from ((each, "Extension") for each in fhirpath.extensions(value))
    elif isinstance(value, dict):
        named = [(name, "")] if name in value else _chosen(value, name)
        for key, type_name in named:
            held = value[key]
            for each in held if isinstance(held, list) else [held]:
                yield each, _type_of(each, type_name)


def _chosen(value: dict[str, Any], stem: str) -> list[tuple[str, str]]:
    names = choice_names(stem)
    return [(key, names[key]) for key in value if key in names]
