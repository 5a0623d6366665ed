"""A profile's snapshot as a tree of nodes: what each element must be beyond R4 itself.

Specification: https://hl7.org/fhir/R4/elementdefinition.html, https://hl7.org/fhir/R4/profiling.html.
Elements are keyed by their id (`Patient.identifier:KVNR.system`), the children of a node by their JSON name, a choice
by its stem.  What R4 itself says and `profiles.base` checks (cardinalities, targets of references, required codes and
invariants of the standard) is left out, and with it each element that has nothing else.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from profiles import invariants, primitives, r4_differences
from profiles.r4_differences import Definition, definition

STANDARD: Final = "http://hl7.org/fhir/StructureDefinition/"
_CODES_OF_STANDARD: Final = "http://hl7.org/fhir/ValueSet/"
ABSENT: Final = object()
"""Stands for a fixed[x] or pattern[x] that is not given."""

#: Keys of R4's own invariants, which every snapshot repeats (a key is unique within one). `base` holds them; dom-r4b
#: only says that R4B knows types that R4 does not.
_OF_BASE: Final = (
    frozenset(row.key for rows in invariants.TABLE.values() for row in rows)
    | invariants.ELSEWHERE.keys()
    | invariants.LEFT_OUT.keys()
    | {"dom-r4b"}
)


@dataclass(frozen=True, slots=True)
class Type:
    """One allowed type of an element."""

    code: str
    profiles: tuple[str, ...] = ()
    """The value conforms to one of them."""
    targets: tuple[str, ...] = ()
    """For a Reference: the profiles one of which its target conforms to; empty where R4 says the same."""


@dataclass(frozen=True, slots=True)
class Binding:
    """A binding that is checked: required or extensible."""

    is_required: bool
    value_set: str


@dataclass(frozen=True, slots=True)
class Constraint:
    """An invariant: https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.constraint."""

    key: str
    severity: str
    human: str
    expression: str


@dataclass(frozen=True, slots=True)
class Discriminator:
    """How slices differ: https://hl7.org/fhir/R4/profiling.html#discriminator."""

    type: str
    path: str


@dataclass(frozen=True, slots=True)
class Slicing:
    """https://hl7.org/fhir/R4/profiling.html#slicing"""

    discriminators: tuple[Discriminator, ...]
    rules: str
    is_ordered: bool


@dataclass(slots=True, eq=False)
class Node:
    """One element of a snapshot, or one slice of it."""

    name: str
    """JSON name; of a choice its stem. Empty at the root."""
    kind: str
    """ElementDefinition.base.path: what FHIRPath takes a backbone element for."""
    slice_name: str = ""
    minimum: int = 0
    maximum: int | None = None
    is_required: bool = False
    """Whether `minimum` says more than R4 does."""
    is_missed: bool = False
    """Whether something is broken where the element is not there: it or a slice of it is required."""
    types: Mapping[str, Type] = field(default_factory=dict)
    """By type code; all that are allowed."""
    names: Mapping[str, str] | None = None
    """Of a choice: each JSON name that R4 might give it and the type of it."""
    fixed: object = ABSENT
    pattern: object = ABSENT
    bounds: tuple[object, object] = (None, None)
    """minValue and maxValue of a number."""
    max_length: int | None = None
    binding: Binding | None = None
    constraints: tuple[Constraint, ...] = ()
    slicing: Slicing | None = None
    slices: dict[str, "Node"] = field(default_factory=dict)
    children: dict[str, "Node"] = field(default_factory=dict)
    located: dict[str, list["Node"]] = field(default_factory=dict)
    """What `slicing` found at the paths of discriminators."""


def root(elements: Iterable[Mapping[str, Any]], type_name: str) -> Node:
    """The tree of a snapshot's elements. Raises LookupError or ValueError where they are no snapshot."""
    nodes: dict[str, Node] = {}
    references: list[tuple[Node, str]] = []
    restricted: set[str] = set()
    for element in elements:
        identity: str = element["id"]
        node = nodes[identity] = _node(element)
        if "contentReference" in element:
            references.append((node, element["contentReference"].rpartition("#")[2]))
        above, _, last = identity.rpartition(".")
        if not above:
            continue
        if _says_something(node, element):
            restricted.add(identity)
        if node.slice_name:
            owner = nodes[f"{above}.{last.rpartition('/')[0]}" if "/" in last else f"{above}.{last.partition(':')[0]}"]
            owner.slices[node.slice_name] = node
        else:
            nodes[above].children[node.name] = node
    for node, identity in references:
        node.children = node.children or nodes[identity].children
        node.slices = node.slices or nodes[identity].slices
    for node in nodes.values():
        node.is_missed = node.is_required or any(piece.minimum for piece in node.slices.values())
    _prune(nodes, restricted, {id(node) for node, _ in references})
    top = next(iter(nodes.values()))
    top.types = {type_name: Type(type_name)}
    return top


def _node(element: Mapping[str, Any]) -> Node:
    base = element.get("base", {})
    path: str = base.get("path", element["path"])
    last: str = element["path"].rpartition(".")[2] if "." in element["path"] else ""
    stem = last.removesuffix("[x]")
    slice_name: str = element.get("sliceName", "")
    types = {code: _type(item, code, path) for item in element.get("type", ()) if (code := _code(item))}
    maximum = None if element.get("max", "*") == "*" else int(element["max"])
    minimum: int = element.get("min", 0)
    return Node(
        name=stem,
        kind=path,
        slice_name=slice_name,
        minimum=minimum,
        maximum=maximum if slice_name or element.get("max") != base.get("max", "*") else None,
        is_required=minimum > (0 if slice_name else base.get("min", 0)),
        types=types,
        names=choice_names(stem) if last.endswith("[x]") else None,
        fixed=_valued(element, "fixed", ABSENT),
        pattern=_valued(element, "pattern", ABSENT),
        bounds=(_valued(element, "minValue", None), _valued(element, "maxValue", None)),
        max_length=element.get("maxLength"),
        binding=_binding(element.get("binding"), path, types),
        constraints=tuple(
            Constraint(item["key"], item["severity"], item.get("human", ""), item["expression"])
            for item in element.get("constraint", ())
            if "expression" in item and item["key"] not in _OF_BASE
        ),
        slicing=_slicing(element.get("slicing")),
    )


def _code(item: Mapping[str, Any]) -> str:
    """The type; of the ids and urls that FHIR types by FHIRPath's System.String, `string`."""
    code: str = item.get("code", "")
    return "string" if code.startswith("http://hl7.org/fhirpath/System.") else code


def _type(item: Mapping[str, Any], code: str, path: str) -> Type:
    profiles = tuple(name for name in item.get("profile", ()) if not _is_of_standard(name))
    targets = tuple(item.get("targetProfile", ()))
    allowed = {name.removeprefix(STANDARD).partition("|")[0] for name in targets}
    base = _base(path)
    known = (
        None if base is None else base[0].elements.get(base[1].removesuffix("[x]") + ("Reference" * ("[x]" in path)))
    )
    if "Resource" in allowed or (known is not None and allowed == known.targets):
        targets = ()
    return Type(code, profiles, targets)


def _is_of_standard(canonical: str) -> bool:
    """SimpleQuantity and MoneyQuantity: their rules (sqty-1) stand in every snapshot that uses them."""
    return canonical.partition("|")[0] in (f"{STANDARD}SimpleQuantity", f"{STANDARD}MoneyQuantity")


def _binding(item: Mapping[str, Any] | None, path: str, types: Mapping[str, Type]) -> Binding | None:
    if item is None or item.get("strength") not in ("required", "extensible") or "valueSet" not in item:
        return None
    value_set: str = item["valueSet"]
    if value_set.startswith(_CODES_OF_STANDARD):
        base = _base(path)
        element = base[0].elements.get(base[1]) if base is not None else None
        if element is not None and (element.codes is not None or element.concepts is not None):
            return None
        if set(types) == {"uri"}:
            return None  # Reference.type: the base check knows the resource types
    return Binding(item["strength"] == "required", value_set)


def _slicing(item: Mapping[str, Any] | None) -> Slicing | None:
    if item is None:
        return None
    discriminators = tuple(Discriminator(each["type"], each["path"]) for each in item.get("discriminator", ()))
    return Slicing(discriminators, item.get("rules", "open"), item.get("ordered", False))


def _valued(element: Mapping[str, Any], prefix: str, default: object) -> object:
    """fixed[x], pattern[x], minValue[x] or maxValue[x], whatever its type."""
    return next((value for name, value in element.items() if name.startswith(prefix) and name != prefix), default)


@cache
def choice_names(stem: str) -> Mapping[str, str]:
    """Each JSON name that a choice might have and the type that it stands for."""
    types = (r4_differences.TYPE_NAMES - r4_differences.RESOURCE_TYPES) | primitives.CHECKS.keys()
    return {f"{stem}{name[0].upper()}{name[1:]}": name for name in types}


@cache
def _base(path: str) -> tuple[Definition, str] | None:
    """The R4 type that has the element of ElementDefinition.base.path, and its name there."""
    first, *steps = path.split(".")
    try:
        owner = definition(first)
        for step in steps[:-1]:
            owner = definition(owner.elements[step].type)
    except (LookupError, ValueError):
        return None
    return (owner, steps[-1]) if steps else None


def _says_something(node: Node, element: Mapping[str, Any]) -> bool:
    """Whether the node alone, without slices and children, can be broken or can tell slices apart."""
    return (
        node.is_required
        or node.maximum is not None
        or node.fixed is not ABSENT
        or node.pattern is not ABSENT
        or node.bounds != (None, None)
        or node.max_length is not None
        or node.binding is not None
        or bool(node.constraints)
        or "contentReference" in element
        or any(item.profiles or item.targets for item in node.types.values())
        or _restricts_types(node, element)
    )


def _restricts_types(node: Node, element: Mapping[str, Any]) -> bool:
    if node.names is None:
        return node.name in ("resource", "contained") and "Resource" not in node.types
    base = _base(element.get("base", {}).get("path", element["path"]))
    choices = base[0].choices if base is not None else ()
    names = next((choice.names for choice in choices if choice.label == node.name), frozenset())
    return set(node.types) != {node.names.get(name) for name in names if not name.startswith("_")}


def _prune(nodes: dict[str, Node], restricted: set[str], kept: set[int]) -> None:
    """Drop the elements that say nothing, from the leaves up."""
    for identity in reversed(nodes):
        node = nodes[identity]
        if "." not in identity or identity in restricted or node.children or node.slices or id(node) in kept:
            continue
        above, _, last = identity.rpartition(".")
        if not node.slice_name:
            nodes[above].children.pop(last.removesuffix("[x]"), None)


def shown(value: Any) -> str:
    """A value of the profile in words: `system http://…, code GKV`."""
    return ", ".join(_leaves(value, ""))


def _leaves(value: Any, name: str) -> list[str]:
    if isinstance(value, dict):
        return [leaf for key, item in value.items() for leaf in _leaves(item, f"{name}.{key}" if name else key)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in _leaves(item, name)]
    return [f"{name} {value}".strip()]
