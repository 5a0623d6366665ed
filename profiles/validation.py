"""The profile check: whether a resource is what an installed profile says beyond R4 itself.

Specification: https://hl7.org/fhir/R4/profiling.html, https://hl7.org/fhir/R4/validation.html.
It follows `base.faults`: a resource that is no clean R4 gets no second word here on what `base` checks.  What could not
be checked is said: as `information` with the code not-supported.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

from profiles import base, fhirpath, package, slicing, snapshot
from profiles.base import Fault
from profiles.package import Index, Package
from profiles.slicing import Item
from profiles.snapshot import ABSENT, STANDARD, Binding, Node, Type
from profiles.valuesets import ValueSets

#: The types of a choice that a binding is about.
_CODED: Final = frozenset({"code", "Coding", "CodeableConcept", "Quantity"})


class UnknownProfile(Exception):
    """The profile is not installed; install the package that defines it, with snapshots."""

    def __init__(self, url: str) -> None:
        super().__init__(" ".join((type(self).__doc__ or "").split()))
        self.url = url


class Known(NamedTuple):
    """An installed profile of a resource type."""

    url: str
    version: str
    type: str
    title: str


class Claimed(NamedTuple):
    """The profiles that a resource claims in meta.profile, as written there."""

    known: tuple[str, ...]
    unknown: tuple[str, ...]


class Profiles:
    """The profiles of the installed packages; each is compiled when it is first needed."""

    def __init__(self, packages: Iterable[Package]) -> None:
        installed = list(packages)
        self._profiles = Index(profile for each in installed for profile in each.profiles)
        self._roots: dict[str, Node | None] = {}
        self.value_sets = ValueSets(
            (item for each in installed for item in each.value_sets),
            (item for each in installed for item in each.code_systems),
        )

    @property
    def urls(self) -> list[Known]:
        """The profiles of resource types; those of data types and extensions serve them."""
        return [
            Known(profile.url, profile.version, profile.type, profile.title)
            for profile in self._profiles
            if profile.kind == "resource" and profile.derivation == "constraint"
        ]

    def find(self, canonical: str) -> package.Profile | None:
        """The installed profile of a url, or url|version."""
        return self._profiles.find(canonical)

    def root(self, canonical: str) -> Node | None:
        """The compiled profile of a canonical; None where it is not installed."""
        if canonical not in self._roots:
            profile = self.find(canonical)
            if profile is None:
                return None  # not kept: a canonical may be one that a sender made up
            key = f"{profile.url}|{profile.version}"
            if key not in self._roots:
                self._roots[key] = snapshot.root(profile.elements(), profile.type)
            self._roots[canonical] = self._roots[key]
        return self._roots[canonical]

    def faults(self, resource: Mapping[str, Any], profile: str, *, at: str | None = None) -> list[Fault]:
        """What the resource breaks of the profile, a url or url|version. Raises UnknownProfile.

        `at` is the FHIRPath that stands for the resource, such as `Bundle.entry[3].resource`; its type without it.
        """
        found = self.find(profile)
        if found is None:
            raise UnknownProfile(profile)
        return _Check(self, fhirpath.prepared(resource)).run(found, at)

    def claimed(self, resource: Mapping[str, Any]) -> Claimed:
        """The profiles of meta.profile, those that are installed and those that are not."""
        meta = resource.get("meta")
        listed = meta.get("profile") if isinstance(meta, dict) else None
        names = [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []
        known = tuple(name for name in names if self.find(name) is not None)
        return Claimed(known, tuple(name for name in names if name not in known))


class _Check:
    """One check of one resource."""

    def __init__(self, profiles: Profiles, resource: Any) -> None:
        self.profiles = profiles
        self.top = resource
        self.faults: list[Fault] = []
        self.seen: set[tuple[str, str]] = set()
        self.title = ""
        self.resource: Any = resource
        self.container: Any = resource
        self.walked: set[tuple[int, str]] = set()
        self.conforming: dict[tuple[int, str], bool | None] = {}
        self.held: dict[tuple[int, str, int], bool | None] = {}
        self.urls: set[str] = set()
        self.neighbours = fhirpath.Neighbours(resource)

    def run(self, profile: package.Profile, at: str | None) -> list[Fault]:
        """All faults; the extensions of the whole resource among them, whether or not the profile names them."""
        name = self.top.get("resourceType")
        path = at or str(name or "Resource")
        self.title = profile.title
        if name != profile.type:
            self.add(path, "structure", f"must be a {profile.type}")
            return self.faults
        found = list(fhirpath.all_extensions(self.top, path))
        self.urls = {str(each.value.get("url")) for each in found if isinstance(each.value, dict)}
        self.profile(f"{profile.url}|{profile.version}", Item(self.top, profile.type, path))
        self.title = profile.title
        for each in found:
            self.extension(each.value, each.path, is_modifier=each.is_modifier)
        return self.faults

    def add(self, path: str, code: str, rule: str, severity: str = "error") -> None:
        """A fault, once for the same element and rule, however many profiles say the same."""
        if (path, rule) not in self.seen and len(self.faults) < base.MAX_FAULTS:
            self.seen.add((path, rule))
            self.faults.append(Fault(path, code, f"{path} {rule} (profile {self.title}).", severity))

    def not_checked(self, path: str, what: str) -> None:
        """Something that no rule could be applied to; once for the resource."""
        if ("", what) not in self.seen:
            self.seen.add(("", what))
            self.add(path, "not-supported", f"was not checked: {what}", "information")

    # What slicing asks of the check.

    def root(self, canonical: str) -> Node | None:
        """The compiled profile, if it is installed."""
        return self.profiles.root(canonical)

    def contains(self, value_set: str, system: str | None, code: str) -> bool | None:
        """Whether a code is in a ValueSet; None where that is not known."""
        return self.profiles.value_sets.contains(value_set, system, code)

    def conforms(self, value: object, type_name: str, canonical: str) -> bool | None:
        """Whether a value conforms to a profile, without keeping the faults; None where that is not installed."""
        if self.root(canonical) is None:
            return None
        key = (id(value), canonical)
        if key not in self.conforming:
            self.conforming[key] = True  # a circle of references is broken nowhere else
            kept = self.faults, self.seen, self.walked, self.title
            self.faults, self.seen, self.walked = [], set(), set()
            self.profile(canonical, Item(value, type_name, type_name))
            self.conforming[key] = all(fault.severity != "error" for fault in self.faults)
            self.faults, self.seen, self.walked, self.title = kept
        return self.conforming[key]

    def target(self, reference: object) -> tuple[dict[str, Any] | None, str]:
        """The resource that a Reference or a literal points to, if it is at hand, and its type if it can be told."""
        return self.neighbours.target(reference, self.container)

    # The walk along a profile.

    def profile(self, canonical: str, item: Item) -> None:
        """The value against a whole profile; once for each value and profile."""
        root = self.root(canonical)
        found = self.profiles.find(canonical)
        if root is None or found is None:
            self.not_checked(item.path, f"the profile {canonical} is not installed")
            return
        key = (id(item.value), f"{found.url}|{found.version}")
        if key in self.walked:
            return
        self.walked.add(key)
        kept = self.title, self.resource, self.container
        self.title = found.title
        if isinstance(item.value, dict) and "resourceType" in item.value:
            if item.type not in root.types:
                self.add(item.path, "structure", f"must be a {found.type}")
                self.title = kept[0]
                return
            contained = self.container.get("contained")
            is_contained = isinstance(contained, list) and any(each is item.value for each in contained)
            self.resource, self.container = item.value, self.container if is_contained else item.value
        self.element(root, item)
        self.title, self.resource, self.container = kept

    def element(self, node: Node, item: Item) -> None:
        """One value of an element: what the profile says of it, and its children."""
        value, path = item.value, item.path
        if node.fixed is not ABSENT and value != node.fixed:
            self.add(path, "value", f"must be {snapshot.shown(node.fixed)}")
        if node.pattern is not ABSENT and not slicing.is_pattern(node.pattern, value):
            self.add(path, "value", f"must have {snapshot.shown(node.pattern)}")
        if node.max_length is not None and isinstance(value, str) and len(value) > node.max_length:
            self.add(path, "value", f"must not be longer than {node.max_length} characters")
        if node.bounds != (None, None):
            self._bounds(node, item)
        if node.binding is not None and (node.names is None or item.type in _CODED):
            self._binding(node.binding, item)
        for constraint in node.constraints:
            self._constraint(node, constraint, item)
        type_ = node.types.get(item.type) or node.types.get("Resource")
        if type_ is not None and type_.profiles:
            self._profiles_of(type_, item)
        if type_ is not None and type_.targets and isinstance(value, dict):
            self._target(type_.targets, item)
        for child in node.children.values():
            items = slicing.items(child, value, path)
            if items or child.is_missed:
                self._values(child, items, f"{path}.{child.name}")

    def _values(self, node: Node, items: list[Item], path: str) -> None:
        """All values of an element: how many, of which types, in which slices."""
        if len(items) < node.minimum and node.is_required:
            self.add(path, "required", _at_least(node.minimum))
        if node.maximum is not None and len(items) > node.maximum:
            self.add(path, "structure", _at_most(node.maximum))
            if node.maximum == 0:
                return
        for item in items:
            if not slicing.is_of(item, node):
                self.add(item.path, "structure", f"must be of type {' or '.join(sorted(node.types))}, not {item.type}")
            else:
                self.element(node, item)
        if node.slices:
            self._slices(node, node.slicing, items, path)

    def _slices(self, node: Node, how: snapshot.Slicing | None, items: list[Item], path: str) -> None:
        """https://hl7.org/fhir/R4/profiling.html#slicing; the first slice that fits takes the item."""
        held: dict[str, list[Item]] = {name: [] for name in node.slices}
        order = list(node.slices)
        last, has_rest = 0, False
        untold: set[str] = set()
        for item in items:
            name = self._slice(node, how, item, untold)
            if name is None:
                has_rest = True
                if how is not None and how.rules == "closed":
                    self.add(item.path, "structure", f"must be one of the slices {', '.join(order)}: others are closed")
                continue
            held[name].append(item)
            if how is not None and how.rules == "openAtEnd" and has_rest:
                self.add(item.path, "structure", f"must stand before what is in no slice, as it is {name}")
            if how is not None and how.is_ordered and order.index(name) < last:
                self.add(item.path, "structure", f"must stand in the order of the slices: {', '.join(order)}")
            last = max(last, order.index(name))
        for name, piece in node.slices.items():
            found = held[name]
            if name in untold:
                continue
            if len(found) < piece.minimum:
                self.add(path, "required", f"{_at_least(piece.minimum)} as {name}")
            if piece.maximum is not None and len(found) > piece.maximum:
                self.add(path, "structure", f"{_at_most(piece.maximum)} as {name}")
            for item in found:
                if slicing.is_of(item, piece):
                    self.element(piece, item)
            if piece.slices:
                self._slices(piece, piece.slicing or how, found, path)

    def _slice(self, node: Node, how: snapshot.Slicing | None, item: Item, untold: set[str]) -> str | None:
        """The first slice that the item fits; `untold` takes those that say nothing by which an item could fit."""
        for name, piece in node.slices.items():
            fit = slicing.fits(piece, how, item, self)
            if fit:
                return name
            if fit is None:
                untold.add(name)
                self.not_checked(item.path, f"the slice {name} does not say how it differs from the others")
        return None

    def _bounds(self, node: Node, item: Item) -> None:
        for bound, word, sign in zip(node.bounds, ("less", "more"), (-1, 1), strict=True):
            if bound is None:
                continue
            if not isinstance(bound, int | Decimal) or not isinstance(item.value, int | Decimal):
                self.not_checked(item.path, f"its limit of {snapshot.shown(bound)} is no number")
            elif (item.value - bound) * sign > 0:
                self.add(item.path, "value", f"must not be {word} than {bound}")

    def _binding(self, binding: Binding, item: Item) -> None:
        """https://hl7.org/fhir/R4/terminologies.html#strength"""
        codes = list(slicing.codes(item.value))
        results = [self.contains(binding.value_set, system, code) for system, code in codes]
        if True in results:
            return
        if None in results:
            self.not_checked(
                item.path, f"the ValueSet {binding.value_set} cannot be expanded from the installed packages"
            )
        elif binding.is_required and not fhirpath.extensions(item.value):
            self.add(item.path, "code-invalid", f"must have a code of the ValueSet {binding.value_set}")
        elif results and not binding.is_required:
            rule = f"should have a code of the ValueSet {binding.value_set} unless none of it fits"
            self.add(item.path, "code-invalid", rule, "warning")

    def _constraint(self, node: Node, constraint: snapshot.Constraint, item: Item) -> None:
        kind = node.kind if item.type in ("", "BackboneElement", "Element") else item.type
        key = (id(item.value), constraint.expression, id(self.resource))
        if key not in self.held:
            self.held[key] = fhirpath.holds(
                constraint.expression,
                item.value,
                kind,
                resource=self.resource,
                root=self.container,
                urls=self.urls,
                resolve=lambda reference: self.target(reference)[0],
            )
        if self.held[key] is None:
            self.not_checked(item.path, f"the constraint {constraint.key} could not be evaluated")
        elif not self.held[key]:
            severity = "error" if constraint.severity == "error" else "warning"
            self.add(item.path, "invariant", f"breaks the constraint {constraint.key}: “{constraint.human}”", severity)

    def _profiles_of(self, type_: Type, item: Item) -> None:
        if len(type_.profiles) == 1:
            self.profile(type_.profiles[0], item)
            return
        results = [self.conforms(item.value, item.type, name) for name in type_.profiles]
        if None in results and True not in results:
            self.not_checked(item.path, f"not all of the profiles {', '.join(type_.profiles)} are installed")
        elif True not in results:
            self.add(item.path, "structure", f"must conform to one of the profiles {', '.join(type_.profiles)}")

    def _target(self, targets: tuple[str, ...], item: Item) -> None:
        """https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.type.targetProfile"""
        resource, name = self.target(item.value)
        if not name:
            return
        types = {canonical: self._type_of(canonical) for canonical in targets}
        path = f"{item.path}.reference" if "reference" in item.value else item.path
        if name not in types.values() and "" not in types.values():
            allowed = ", ".join(sorted(set(types.values())))
            self.add(path, "structure", f"must not point to a {name}; allowed: {allowed}")
        elif resource is not None:
            named = [canonical for canonical, type_name in types.items() if type_name in (name, "")]
            if any(canonical.startswith(STANDARD) and self.root(canonical) is None for canonical in named):
                return
            results = [self.conforms(resource, name, canonical) for canonical in named]
            if None in results and True not in results:
                self.not_checked(path, f"not all of the profiles {', '.join(named)} are installed")
            elif True not in results:
                self.add(path, "structure", f"must point to a resource of the profile {' or '.join(named)}")

    def _type_of(self, canonical: str) -> str:
        found = self.profiles.find(canonical)
        if found is not None:
            return found.type
        name = canonical.partition("|")[0].removeprefix(STANDARD)
        return name if canonical.startswith(STANDARD) and "/" not in name else ""

    def extension(self, item: Any, path: str, *, is_modifier: bool) -> None:
        """An unknown modifier stops the reader: https://hl7.org/fhir/R4/extensibility.html#modifierExtension."""
        url = item.get("url") if isinstance(item, dict) else None
        known = self.profiles.find(url) if isinstance(url, str) else None
        if known is not None and known.type == "Extension":
            self.profile(known.url, Item(item, "Extension", path))
        elif is_modifier:
            self.add(path, "extension", "is a modifier extension that no installed package defines")
        elif isinstance(url, str) and ":" in url:  # parts of an extension have names; its own profile knows them
            self.add(path, "extension", "is an extension that no installed package defines", "warning")


def _at_least(count: int) -> str:
    return "is required" if count == 1 else f"is required at least {count} times"


def _at_most(count: int) -> str:
    if count == 0:
        return "must not be given"
    return "must not be given more than once" if count == 1 else f"must not be given more than {count} times"
