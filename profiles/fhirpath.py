"""Invariants: the FHIRPath expressions of ElementDefinition.constraint, evaluated with fhirpathpy.

Specification: https://hl7.org/fhir/R4/fhirpath.html, http://hl7.org/fhirpath/N1/, and for what an invariant is
https://hl7.org/fhir/R4/conformance-rules.html#constraints.

fhirpathpy shows a primitive and its extensions as two nodes, so that `gender = 'other'` is false as soon as `_gender`
stands beside it.  `prepared` gives a primitive its extensions as an attribute instead, as FHIRPath sees it, and the
functions here read them there.  An expression that needs what is not at hand (a resource elsewhere, a terminology) ends
in None: not evaluated, which a caller must say.
"""

import json
import re
import typing
from collections.abc import Callable, Iterator, Mapping, Set
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Any, Final, NamedTuple

from fhirpathpy import engine, parser
from fhirpathpy.engine import nodes, util

from profiles import base
from profiles.r4_differences import Definition, definition

# fhirpathpy calls itself typed, but these parts of it are not annotated.
_parse: Callable[[str], Any] = parser.parse
_evaluate: Callable[[dict[str, Any], list[Any], Any], list[Any]] = engine.do_eval
_node: Callable[..., Any] = nodes.ResourceNode.create_node
_data: Callable[[Any], Any] = util.get_data
_functions: Callable[[dict[str, Any]], dict[str, Any]] = util.process_user_invocation_table

Resolve = Callable[[object], dict[str, Any] | None]
"""The resource that a Reference or its literal points to, when it is contained or in the same Bundle."""

#: Published invariants that no resource can break, and what they mean: ISiK-enc-1, ISiK-enc-2 and mii-enc-2 compare the
#: Coding `class` with a string, which FHIRPath never finds equal.
CORRECTED: Final[Mapping[str, str]] = {
    "status = 'finished' and class = 'AMB' implies period.start.exists()": (
        "status = 'finished' and class.code = 'AMB' implies period.start.exists()"
    ),
    "status = 'finished' and class = 'IMP' implies period.start.exists() and period.end.exists()": (
        "status = 'finished' and class.code = 'IMP' implies period.start.exists() and period.end.exists()"
    ),
}


class Text(str):
    """A string, a code or a date with extensions."""

    extension: list[Any]


class Whole(int):
    """An integer with extensions."""

    extension: list[Any]


class Number(Decimal):
    """A decimal with extensions."""

    extension: list[Any]


_EXTENDED: Final[Mapping[type, type[Text] | type[Whole] | type[Number]]] = {str: Text, int: Whole, Decimal: Number}


def prepared(value: Any) -> Any:
    """The value with each primitive and its `_name` in one; the value itself where nothing is to be changed.

    A primitive without value becomes `{"extension": …}`.  Python has no boolean with attributes: one keeps its value
    and loses its extensions.
    """
    if type(value) is list:
        items = [prepared(item) if type(item) in (dict, list) else item for item in value]
        return value if all(new is old for new, old in zip(items, value, strict=True)) else items
    changed: dict[str, Any] = {}
    for name, item in value.items():
        if name.startswith("_"):
            changed[name[1:]] = _extended(value.get(name[1:]), item)
        elif type(item) in (dict, list) and f"_{name}" not in value:
            new = prepared(item)
            if new is not item:
                changed[name] = new
    if not changed:
        return value
    merged = {name: item for name, item in value.items() if not name.startswith("_")}
    merged.update((name, item) for name, item in changed.items() if item is not None)
    return merged


def _extended(value: Any, sibling: Any) -> Any:
    if isinstance(sibling, list):
        values = value if isinstance(value, list) else []
        count = max(len(values), len(sibling))
        pairs = zip(values + [None] * (count - len(values)), sibling + [None] * (count - len(sibling)), strict=True)
        return [_extended(*pair) for pair in pairs]
    extensions = sibling.get("extension") if isinstance(sibling, dict) else None
    if not isinstance(extensions, list):
        return value
    extensions = prepared(extensions)
    if value is None:
        return {"extension": extensions}
    carrier = _EXTENDED.get(type(value))
    if carrier is None:
        return value
    carried = carrier(value)
    carried.extension = extensions
    return carried


def extensions(value: object) -> list[Any]:
    """The extensions of an element of a prepared resource."""
    found = value.get("extension") if isinstance(value, dict) else getattr(value, "extension", None)
    return found if isinstance(found, list) else []


class Extension(NamedTuple):
    """An extension wherever it stands in a resource."""

    value: Any
    path: str
    is_modifier: bool


def all_extensions(value: Any, path: str) -> Iterator[Extension]:
    """The extensions of a prepared resource, of all its elements and of the resources in it."""
    name = value.get("resourceType") if isinstance(value, dict) else None
    if isinstance(name, str) and name in base.known_types():
        yield from _extensions_in(value, definition(name), path)


def _extensions_in(value: dict[str, Any], of: Definition, path: str) -> Iterator[Extension]:
    for key, held in value.items():
        element = of.elements.get(key)
        if element is None:
            continue
        is_list = isinstance(held, list)
        for index, item in enumerate(held if is_list else [held]):
            own = f"{path}.{element.label}[{index}]" if is_list else f"{path}.{element.label}"
            if element.check is not None:
                for number, extension in enumerate(extensions(item)):
                    yield Extension(extension, f"{own}.extension[{number}]", False)
            elif element.type == "Resource":
                yield from all_extensions(item, own)
            elif isinstance(item, dict):
                if element.type == "Extension":
                    yield Extension(item, own, key == "modifierExtension")
                yield from _extensions_in(item, definition(element.type), own)


_STANDARD: Final = "http://hl7.org/fhir/StructureDefinition/"
_LITERAL: Final = re.compile(
    r"(?:\S+/)?([A-Z][A-Za-z]+)(?:/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?|\?\S+)"
)


class Neighbours:
    """What the references of a resource can point to without asking a server: contained resources and its Bundle."""

    def __init__(self, top: dict[str, Any]) -> None:
        self._top = top
        self._entries: dict[str, dict[str, Any]] | None = None

    def target(self, reference: object, container: dict[str, Any]) -> tuple[dict[str, Any] | None, str]:
        """The resource that a Reference or a literal points to, if it is at hand, and its type if it can be told."""
        literal = reference.get("reference") if isinstance(reference, dict) else reference
        if isinstance(literal, str):
            found = self._find(literal, container)
            if found is not None:
                return found, str(found.get("resourceType", ""))
            named = _LITERAL.fullmatch(literal)
            if named is not None:
                return None, named[1]
        declared = reference.get("type") if isinstance(reference, dict) else None
        return None, declared.removeprefix(_STANDARD) if isinstance(declared, str) else ""

    def _find(self, literal: str, container: dict[str, Any]) -> dict[str, Any] | None:
        if literal.startswith("#"):
            held = container.get("contained")
            items = held if isinstance(held, list) else []
            return next((item for item in items if isinstance(item, dict) and item.get("id") == literal[1:]), None)
        if self._entries is None:
            self._entries = dict(self._by_url())
        return self._entries.get(literal)

    def _by_url(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """By fullUrl and by Type/id: https://hl7.org/fhir/R4/bundle.html#references."""
        entries = self._top.get("entry") if self._top.get("resourceType") == "Bundle" else None
        for entry in entries if isinstance(entries, list) else []:
            url, held = (entry.get("fullUrl"), entry.get("resource")) if isinstance(entry, dict) else (None, None)
            if isinstance(url, str) and isinstance(held, dict):
                yield "/".join(url.split("/")[-2:]), held
                yield url, held


@cache
def _model() -> dict[str, Any]:
    """fhirpathpy's tables of R4, without those of the other versions that its own loader would keep in memory."""
    folder = resources.files("fhirpathpy") / "models" / "r4"
    model = {
        file.name.removesuffix(".json"): json.loads(file.read_text("utf-8"))
        for file in folder.iterdir()
        if file.name.endswith(".json")
    }
    typing.cast(Any, nodes.TypeInfo).model = model  # `ofType` reads it there; `is` and `as` set it themselves
    return model


#: `line.all($this.extension('u').empty() or …)`, `family.extension('u').empty() or …`: nothing to break without `u`.
_OF_EXTENSION: Final = re.compile(
    r"(?:\w+\.)?(?:all\(\$this\.)?extension\('([^']+)'\)\.empty\(\) or (?!.*(?:implies|xor|not))"
)


@cache
def _needed(expression: str) -> str | None:
    """The url of the extension without which the invariant holds."""
    found = _OF_EXTENSION.match(expression)
    return found and found[1]


@cache
def _parsed(expression: str) -> Any:
    return _parse(CORRECTED.get(expression, expression))["children"][0]


def holds(
    expression: str, value: object, kind: str, *, resource: object, root: object, urls: Set[str], resolve: Resolve
) -> bool | None:
    """Whether the element meets the invariant; None where that cannot be evaluated.

    `kind` is the element's type, or for a backbone element its path (`Observation.component`); `urls` are those of all
    extensions in the resource.  As with the HL7 validator, an empty result is a broken invariant.
    """
    needed = _needed(expression)
    if needed is not None and needed not in urls:
        return True
    beyond: list[str] = []
    functions = {
        "extension": {"fn": _extension, "arity": {1: ["String"]}},
        "hasValue": {"fn": _has_value, "arity": {0: []}},
        "toString": {"fn": _to_string, "arity": {0: []}},
        "htmlChecks": {"fn": lambda found: True, "arity": {0: []}},  # the base check reads the narrative
        "resolve": {"fn": lambda found: _resolve(found, resolve, beyond), "arity": {0: []}},
        "memberOf": {"fn": lambda found, name: beyond.append("memberOf"), "arity": {1: ["String"]}},
        "conformsTo": {"fn": lambda found, name: beyond.append("conformsTo"), "arity": {1: ["String"]}},
    }
    model = _model()
    node = _node(value, kind)
    context = {
        "dataRoot": [node],
        "vars": {
            "context": node,
            "resource": _node(resource),
            "rootResource": _node(root),
            "ucum": "http://unitsofmeasure.org",
            "sct": "http://snomed.info/sct",
            "loinc": "http://loinc.org",
        },
        "model": model,
        "userInvocationTable": _functions(functions),
        "traceFn": lambda label, found: None,
    }
    try:
        result = [_data(item) for item in _evaluate(context, [node], _parsed(expression))]
    except Exception:  # noqa: BLE001  an expression of a package, on whatever was received: the library raises anything
        return None
    if len(result) == 1 and isinstance(result[0], bool):
        is_met = result[0]
    else:
        is_met = bool(result)
    return is_met or (None if beyond else False)


def _extension(values: list[Any], url: str) -> list[Any]:
    found = (item for value in values for item in extensions(value))
    return [_node(item, "Extension") for item in found if item.get("url") == url]


def _has_value(values: list[Any]) -> bool:
    return len(values) == 1 and not isinstance(values[0], dict | list)


def _to_string(values: list[Any]) -> list[str]:
    """As it was received: fhirpathpy would write a month as the first of it, with a time."""
    if len(values) != 1 or isinstance(values[0], dict | list):
        return []
    return [str(values[0]).lower() if isinstance(values[0], bool) else str(values[0])]


def _resolve(values: list[Any], resolve: Resolve, beyond: list[str]) -> list[Any]:
    found = [resolve(value) for value in values]
    if None in found:
        beyond.append("resolve")
    return [_node(item) for item in found if item is not None]
