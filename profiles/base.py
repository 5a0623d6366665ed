"""The base check: whether a received resource is FHIR R4 (4.0.1), before any profile is looked at.

Specification: https://hl7.org/fhir/R4/json.html (structure), https://hl7.org/fhir/R4/datatypes.html (primitives,
Period, Reference), https://hl7.org/fhir/R4/references.html, https://hl7.org/fhir/R4/extensibility.html,
https://hl7.org/fhir/R4/domainresource.html (contained resources) and https://hl7.org/fhir/R4/narrative.html.

What a type may hold comes from the tables of `r4_differences`, compiled once from the model metadata of fhir.resources.
A resource is checked as the plain dict that msgspec decoded with `float_hook=Decimal`; no model instance is built.
Paths are the element names of FHIRPath's simple subset, as OperationOutcome.issue.expression wants them: a choice goes
by its stem (`Observation.value`, not `Observation.valueQuantity`), a primitive's extension by its element
(`Patient.birthDate.extension[0]`).
"""

import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from profiles import invariants_rules, primitives, r4_differences
from profiles.r4_differences import Choice, Definition, Element, definition

MAX_DEPTH: Final = 60  # objects within objects
MAX_FAULTS: Final = 500  # errors; a resource with more tells nothing new
MAX_WARNINGS: Final = 100


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a resource, ready to become an OperationOutcome.issue (https://hl7.org/fhir/R4/operationoutcome.html)."""

    expression: str
    """FHIRPath of the element, such as `Encounter.participant[0].period.start`."""
    code: str
    """IssueType: structure, required, value, invariant, invalid, code-invalid or not-supported."""
    text: str
    """The rule that is broken, in English; holds no received value other than names of elements, types and codes."""
    severity: str = "error"
    """error or warning."""


def known_types() -> frozenset[str]:
    """The resource types that `faults` checks: all of R4 but those that R4B dropped or rebuilt."""
    return r4_differences.RESOURCE_TYPES - r4_differences.NOT_IN_R4B


def reference_targets(resource_type: str, path: str) -> frozenset[str]:
    """The resource types that the Reference at a dotted path may point to; empty where any is allowed.

    `path` is relative to the type, without indexes: `subject`, `participant.individual`; a choice goes by its stem or
    its JSON name (`medication`, `medicationReference`).  Raises LookupError for a type or a path that R4 has not.
    """
    if resource_type not in known_types():
        raise LookupError(f"{resource_type} is no resource type that the base check knows")
    name = resource_type
    targets: frozenset[str] = frozenset()
    for step in path.split("."):
        element = None if name in primitives.CHECKS else _at(definition(name), step)
        if element is None:
            raise LookupError(f"{resource_type} has no element {path}")
        name, targets = element.type, element.targets
    return targets


def alternatives(resource_type: str, name: str) -> frozenset[str]:
    """The other JSON names of the choice that `name` is one of: `deceasedBoolean` for `deceasedDateTime`."""
    found = next((choice.names for choice in definition(resource_type).choices if name in choice.names), frozenset())
    return found - {name, f"_{name}", name.removeprefix("_")}


def stem(resource_type: str, name: str) -> str:
    """The stem of the choice that a JSON name is one of: `deceased` for `deceasedDateTime`; else the name itself."""
    found = (choice.label for choice in definition(resource_type).choices if name in choice.names)
    return next(found, name)


def _at(of: Definition, step: str) -> Element | None:
    """The element with this JSON name, or the Reference of the choice with this stem."""
    chosen = of.elements.get(f"{step}Reference")
    return of.elements.get(step) or (chosen if chosen is not None and chosen.label == step else None)


def faults(resource: object, *, at: str | None = None) -> list[Fault]:
    """Check one decoded resource, whatever JSON it is; an empty list when it is clean R4.

    `at` is the FHIRPath that stands for the resource in the faults, such as `Bundle.entry[3].resource`; its own type
    without it.  Warnings (`severity`) are what R4 only asks to avoid.
    """
    walk = _Walk()
    walk.resource(resource, at, 0)
    return walk.faults


_PLAIN_NAME = re.compile(r"_?[A-Za-z][A-Za-z0-9]{0,63}")
_LITERAL = re.compile(
    r"(?:[A-Za-z][A-Za-z0-9+.\-]*://\S+/)?([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?"
)
_CONDITIONAL = re.compile(r"([A-Z][A-Za-z]+)\?\S+")  # https://hl7.org/fhir/R4/http.html#trules, conditional references
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:/*[^\s/]\S*")
_ONLY_ID: Final = "must have a value, children or an extension, not only an id (ele-1)"
_TYPE_URL: Final = "http://hl7.org/fhir/StructureDefinition/"


class _Walk:
    """One pass over a resource: the faults so far, and what must be known of the resource that it is in."""

    __slots__ = ("contained", "faults", "ids", "pointed", "warnings")

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.warnings = 0
        self.contained: Mapping[str, str] = {}
        """Type of each contained resource by its id, and of the container itself by the empty id."""
        self.pointed: set[str] = set()
        """The ids that a Reference in the container points to."""
        self.ids: set[str] = set()
        """The ids of the elements of the resource."""

    def add(self, expression: str, code: str, rule: str, severity: str = "error") -> None:
        """Warnings are counted apart, so that they never keep an error out."""
        warned = severity == "warning"
        if (self.warnings if warned else len(self.faults) - self.warnings) < (MAX_WARNINGS if warned else MAX_FAULTS):
            self.warnings += warned
            self.faults.append(Fault(expression, code, f"{expression} {rule}.", severity))

    def resource(self, value: object, path: str | None, depth: int, *, within: bool = False) -> None:
        """A resource: at the top, in a Bundle or Parameters (its own container), or contained (`within` another)."""
        checked = self._typed(value, path)
        if checked is None:
            return
        body, name = checked
        path = path or name
        outer = self.contained, self.pointed, self.ids
        self.ids = set()
        if within:
            self._contained_rules(body, path)
            self.content(body, definition(name), path, depth)
            self.ids = outer[2]
            return
        self.contained, self.pointed = _contained_types(body, name), set()
        self.content(body, definition(name), path, depth)
        if "contained" in body:
            self._contained_all(body, path)
        self.contained, self.pointed, self.ids = outer

    def _typed(self, value: object, path: str | None) -> tuple[dict[str, object], str] | None:
        """The resource and its type, when both can be checked further."""
        path = path or "Resource"
        if not _is_object(value):
            self.add(path, "structure", "must be a JSON object")
            return None
        name = value.get("resourceType")
        if not isinstance(name, str):
            self.add(path, "structure", "must name its resourceType in a JSON string")
        elif name in r4_differences.NOT_IN_R4B:
            self.add(path, "not-supported", f"is a resource of the type {name}, which this gateway does not take")
        elif name not in r4_differences.RESOURCE_TYPES:
            self.add(path, "value", "must have a resource type of FHIR R4 as resourceType")
        else:
            return value, name
        return None

    def _contained_rules(self, value: dict[str, object], path: str) -> None:
        """dom-2, dom-4, dom-5 and the id: https://hl7.org/fhir/R4/references.html#contained."""
        if "id" not in value:
            self.add(f"{path}.id", "required", "is required in a contained resource")
        if "contained" in value:
            self.add(f"{path}.contained", "invariant", "is not allowed in a contained resource (dom-2)")
        meta = value.get("meta")
        if _is_object(meta):
            for name in ("versionId", "lastUpdated", "security"):
                if name in meta or f"_{name}" in meta:
                    key = "dom-5" if name == "security" else "dom-4"
                    self.add(f"{path}.meta.{name}", "invariant", f"is not allowed in a contained resource ({key})")

    def _contained_all(self, container: dict[str, object], path: str) -> None:
        """Contained resources as a whole: ids of their own, and each in use (dom-3)."""
        seen: set[str] = set()
        pointed: set[str] | None = None
        items = container["contained"]
        for index, item in enumerate(items if _is_array(items) else ()):
            name = _text(item, "id")
            if not name:
                continue
            if name in seen:
                self.add(f"{path}.contained[{index}].id", "invalid", "must not be the id of another contained resource")
            seen.add(name)
            if name not in self.pointed:
                pointed = invariants_rules.fragments(container) if pointed is None else pointed
                if f"#{name}" not in pointed and "#" not in invariants_rules.fragments(item):
                    rule = "must be referred to from the resource that contains it (dom-3)"
                    self.add(f"{path}.contained[{index}]", "invariant", rule)

    def content(self, value: dict[str, object], of: Definition, path: str, depth: int) -> None:
        """An object of a complex type: its names, its values, its cardinalities and the rules of its type."""
        if depth > MAX_DEPTH:
            self.add(path, "structure", f"must not be nested more than {MAX_DEPTH} levels deep")
            return
        elements = of.elements
        for name, item in value.items():
            element = elements.get(name)
            if element is None:
                self._sibling(name, item, value, of, path, depth)
            elif element.many:
                self._repeated(item, element, value, path, depth)
            elif element.check is None:
                self._complex(item, element, f"{path}.{element.label}", depth)
            else:
                problem = element.check(item)
                if problem is not None:
                    self._problem(problem, item, element, f"{path}.{element.label}")
                elif element.codes is not None and item not in element.codes:
                    self._code(element, f"{path}.{element.label}")
        for name, sibling in of.required:
            if name not in value and sibling not in value:
                self.add(f"{path}.{name}", "required", "is required")
        for choice in of.choices:
            self._choice(value, choice, path)
        for invariant in of.invariants:
            if not invariant.test(value):
                at = f"{path}.{invariant.at}" if invariant.at else path
                self.add(at, "invariant" if invariant.key else "invalid", invariant.rule, invariant.severity)
        if "id" in value and of.element:
            self._element_id(value["id"], path)

    def _element_id(self, value: object, path: str) -> None:
        """https://hl7.org/fhir/R4/element.html#id: unique within the resource."""
        if isinstance(value, str):
            if value in self.ids:
                self.add(f"{path}.id", "invalid", "must not be the id of another element of the resource")
            self.ids.add(value)

    def _choice(self, value: dict[str, object], choice: Choice, path: str) -> None:
        found = choice.names.intersection(value)
        if not found:
            if choice.required:
                self.add(f"{path}.{choice.label}", "required", "is required, in one of its types")
        elif len(found) > 1 and len({name.removeprefix("_") for name in found}) > 1:
            self.add(f"{path}.{choice.label}", "structure", "must be given in one type only")

    def _complex(self, item: object, element: Element, path: str, depth: int) -> None:
        if element.type == "Resource":
            self.resource(item, path, depth + 1, within=element.name == "contained")
        elif not _is_object(item):
            self.add(path, "structure", _must_be_object(item))
        elif not item:
            self.add(path, "structure", "must not be an empty object")
        elif len(item) == 1 and "id" in item:
            self.add(path, "structure", _ONLY_ID)
        else:
            self.content(item, definition(element.type), path, depth + 1)
            if element.type == "Reference":
                self._reference(item, element, path)
            elif element.concepts is not None:
                self._concept(item, element.concepts, path)
            elif element.simple and ("comparator" in item or "_comparator" in item):
                self.add(f"{path}.comparator", "invariant", "is not allowed in a SimpleQuantity (sqty-1)")

    def _repeated(self, items: object, element: Element, owner: dict[str, object], path: str, depth: int) -> None:
        path = f"{path}.{element.label}"
        if not _is_array(items):
            self.add(path, "structure", "must be a JSON array")
        elif not items:
            self.add(path, "structure", "must not be an empty array")
        elif element.check is None:
            for index, item in enumerate(items):
                self._complex(item, element, f"{path}[{index}]", depth)
        else:
            self._primitives(items, element.check, element, owner.get(f"_{element.name}"), path)

    def _primitives(
        self, items: list[object], check: primitives.Check, element: Element, sibling: object, path: str
    ) -> None:
        for index, item in enumerate(items):
            if item is None:
                if not (_is_array(sibling) and index < len(sibling) and sibling[index] is not None):
                    self.add(f"{path}[{index}]", "structure", f"may be null only where _{element.name} has an object")
                continue
            problem = check(item)
            if problem is not None:
                self._problem(problem, item, element, f"{path}[{index}]")
            elif element.codes is not None and item not in element.codes:
                self._code(element, f"{path}[{index}]")

    def _sibling(
        self, name: str, item: object, owner: dict[str, object], of: Definition, path: str, depth: int
    ) -> None:
        """A name that is no element: resourceType, the id and extensions of a primitive, or unknown."""
        element = of.siblings.get(name)
        if element is not None:
            path = f"{path}.{element.label}"
            if element.many:
                self._extended_items(item, owner.get(element.name), element, path, depth)
            else:
                self._extended(item, path, depth, valued=element.name in owner)
        elif name != "resourceType" or not of.resource:
            if _PLAIN_NAME.fullmatch(name):
                self.add(f"{path}.{name}", "structure", f"is no element of {_r4_type(of.name)} in FHIR R4")
            else:
                self.add(path, "structure", f"holds a name that is no element of {_r4_type(of.name)} in FHIR R4")

    def _extended(self, item: object, path: str, depth: int, *, valued: bool) -> None:
        """The id and the extensions of a primitive: https://hl7.org/fhir/R4/json.html#primitive."""
        if not _is_object(item):
            self.add(path, "structure", f"has an id-and-extension part that {_must_be_object(item)}")
        elif not item:
            self.add(path, "structure", "has an id-and-extension part that must not be an empty object")
        elif not valued and "extension" not in item:
            self.add(path, "structure", _ONLY_ID)
        else:
            self.content(item, definition("Element"), path, depth + 1)

    def _extended_items(self, items: object, values: object, element: Element, path: str, depth: int) -> None:
        if not _is_array(items) or not items:
            self.add(path, "structure", f"must have a JSON array with members as _{element.name}")
            return
        held = values if _is_array(values) else []
        if held and len(held) != len(items):
            self.add(path, "structure", f"must be as long as _{element.name}, padded with null")
        for index, (item, value) in enumerate(zip_longest(items, held)):
            if item is not None:
                self._extended(item, f"{path}[{index}]", depth, valued=value is not None)
            elif value is None and not held:
                self.add(f"{path}[{index}]", "structure", "must have a value, an id or an extension")

    def _problem(self, problem: primitives.Problem, item: object, element: Element, path: str) -> None:
        self.add(path, problem.code, problem.rule, problem.severity)
        if problem.severity == "warning" and element.codes is not None and item not in element.codes:
            self._code(element, path)

    def _code(self, element: Element, path: str) -> None:
        codes = element.codes or frozenset()
        listed = f": {', '.join(sorted(map(str, codes)))}" if len(codes) <= 40 else ""
        self.add(path, "code-invalid", f"must be a code of its required ValueSet{listed}")

    def _concept(self, value: dict[str, object], concepts: frozenset[tuple[object, object]], path: str) -> None:
        """A required binding of a CodeableConcept: one coding at least is of the set, or an extension says why not."""
        coding = value.get("coding")
        pairs = [(_text(item, "system"), _text(item, "code")) for item in coding] if _is_array(coding) else []
        if "extension" not in value and concepts.isdisjoint(pairs):
            codes = ", ".join(sorted(f"{system}|{code}" for system, code in concepts))
            self.add(path, "code-invalid", f"must have a coding of its required ValueSet: {codes}")

    def _reference(self, value: dict[str, object], element: Element, path: str) -> None:
        """Literal references: https://hl7.org/fhir/R4/references.html#literal; ref-1 for contained resources."""
        declared = (_text(value, "type") or "").removeprefix(_TYPE_URL)
        if declared in r4_differences.RESOURCE_TYPES:
            self._target(declared, element, f"{path}.type")
        reference = _text(value, "reference")
        if not reference:
            return
        path = f"{path}.reference"
        target = self._literal(reference, path)
        if target is None:
            return
        self._target(target, element, path)
        if declared in r4_differences.RESOURCE_TYPES and declared != target:
            self.add(path, "invalid", f"must point to a {declared} as Reference.type says, not to a {target}")

    def _target(self, name: str, element: Element, path: str) -> None:
        if element.targets and name not in element.targets:
            allowed = ", ".join(sorted(element.targets))
            if name in element.tolerated:
                self.add(path, "invalid", f"should not point to a {name}; allowed: {allowed}", "warning")
            else:
                self.add(path, "invalid", f"must not point to a {name}; allowed: {allowed}")

    def _literal(self, reference: str, path: str) -> str | None:
        """The resource type that a literal reference names; None where it names none or is at fault."""
        if reference.startswith("#"):
            self.pointed.add(reference[1:])
            if reference[1:] not in self.contained:
                self.add(path, "invariant", "must point to a resource that is contained (ref-1)")
            return self.contained.get(reference[1:]) or None
        literal = _LITERAL.fullmatch(reference) or _CONDITIONAL.fullmatch(reference)
        if literal is not None and literal[1] in r4_differences.RESOURCE_TYPES:
            return literal[1]
        if _ABSOLUTE.fullmatch(reference) is None:
            self.add(path, "value", "must be Type/id with a resource type of R4, #id, or an absolute URL")
        elif (problem := primitives.urn(reference)) is not None:
            self.add(path, problem.code, problem.rule, problem.severity)
        return None


def _contained_types(value: dict[str, object], name: str) -> dict[str, str]:
    """The ids of the contained resources and their types, and the container with the empty id."""
    items = value.get("contained")
    if not _is_array(items):
        return {"": name}
    return {"": name} | {key: _text(item, "resourceType") or "" for item in items if (key := _text(item, "id"))}


def _is_object(value: object) -> typing.TypeGuard[dict[str, object]]:
    return isinstance(value, dict)


def _is_array(value: object) -> typing.TypeGuard[list[object]]:
    return isinstance(value, list)


def _text(value: object, name: str) -> str | None:
    """A member of an object when both are what they should be; other checks tell when they are not."""
    item = value.get(name) if _is_object(value) else None
    return item if isinstance(item, str) else None


def _must_be_object(value: object) -> str:
    return "must be a single JSON object, not an array" if isinstance(value, list) else "must be a JSON object"


def _r4_type(name: str) -> str:
    """A type's name in a sentence: a backbone element's class name means nothing to a reader of FHIR."""
    return name if name in r4_differences.TYPE_NAMES else "this part"
