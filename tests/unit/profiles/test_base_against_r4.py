"""`profiles.base` against R4 itself: HL7's examples, StructureDefinitions and ValueSets (hl7.fhir.r4.core 4.0.1)."""

import functools
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from profiles import base, invariants_types, primitives, r4_differences

SHARED = Path(__file__).parents[4] / "shared"
EXAMPLES = SHARED / "data" / "fhir_r4_examples"
CORE = SHARED / "data" / "profiles" / "hl7.fhir.r4.core-4.0.1-subset"

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared")

# Published examples that R4's own rules speak against, each with the warning and the rule; none is refused.
WARNED_EXAMPLES = {
    "Bundle-10bb101f-a121-4264-a920-67be9cb82c74.json": (
        "Bundle.entry[2].fullUrl",
        "Bundle.entry.fullUrl shall agree with the id of the resource; the example has pat12 for pat2",
    ),
    "Bundle-3a0707d3-549e-4467-b8b8-5a2ab3800efe.json": (
        "Bundle.entry[3].fullUrl",
        "Bundle.entry.fullUrl shall agree with the id of the resource; the example has pat12 for pat2",
    ),
    "Media-1.2.840.11361907579238403408700.3.1.04.19970327150033.json": (
        "Media.text.div",
        "the narrative has an image of a PACS; txt-1 allows images and forbids only style sheets from elsewhere",
    ),
    "MedicationRequest-medrx0301.json": (
        "MedicationRequest.dispenseRequest.performer.reference",
        "dispenseRequest.performer may point to an Organization only; the example points to a Practitioner",
    ),
    "Observation-clinical-gender.json": (
        "Observation.performer[0].reference",
        "performer may not point to an Encounter; the example does",
    ),
}

# Types of the package that no supported resource holds and that fhir.resources R4B has not.
NOT_IN_R4B_TYPES = {"SubstanceAmount"}

# Required ValueSets that no list of codes can hold or that the base check leaves to the profile check.
NOT_LISTED = {
    "http://hl7.org/fhir/ValueSet/mimetypes": "all of BCP 13",
    "http://hl7.org/fhir/ValueSet/currencies": "ISO 4217, whose codes R4 does not list",
}

SYSTEM_STRING = "http://hl7.org/fhirpath/System.String"
FHIR_TYPE = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type"


def _load(pattern: str) -> list[dict[str, Any]]:
    return [json.loads(path.read_text("utf-8")) for path in sorted(CORE.glob(pattern))]


@functools.cache
def _by_url(pattern: str) -> dict[str, dict[str, Any]]:
    return {item["url"]: item for item in _load(pattern)}


def _structures() -> list[Any]:
    wanted = [
        item
        for item in _load("StructureDefinition-*.json")
        if item["kind"] in {"resource", "complex-type"} and item.get("derivation") != "constraint"
    ]
    return [pytest.param(item, id=item["name"]) for item in wanted]


def _examples() -> list[Any]:
    return [pytest.param(path, id=path.stem) for path in sorted(EXAMPLES.glob("*.json"))]


@pytest.mark.parametrize("path", _examples())
def test_example(path: Path) -> None:
    resource = msgspec.json.Decoder(float_hook=Decimal).decode(path.read_bytes())
    expected = [(WARNED_EXAMPLES[path.name][0], "warning")] if path.name in WARNED_EXAMPLES else []
    assert [(fault.expression, fault.severity) for fault in base.faults(resource)] == expected


def test_all_examples_are_here() -> None:
    assert len(_examples()) == 327


# What a snapshot says of one JSON name, in the words of `r4_differences.Element`.
Row = tuple[str, bool, bool, frozenset[str]]  # type, array, required, reference targets


def _types(element: dict[str, Any]) -> Iterator[tuple[str, frozenset[str]]]:
    """Each type of an element with its targets; `id` and `url` have their real type beside FHIRPath's string."""
    for entry in element["type"]:
        name = entry["code"]
        if name == SYSTEM_STRING:
            name = next(item["valueUrl"] for item in entry["extension"] if item["url"] == FHIR_TYPE)
            # R4.0.1 calls Resource.id a string, though it is an id (https://hl7.org/fhir/R4/resource.html#id).
            name = "id" if element["base"]["path"] == "Resource.id" else name
        targets = frozenset(url.rsplit("/", 1)[1] for url in entry.get("targetProfile", ()))
        yield name, frozenset() if "Resource" in targets else targets


def _children(structure: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The elements of a snapshot by the path of their parent."""
    children: dict[str, list[dict[str, Any]]] = {}
    for element in structure["snapshot"]["element"][1:]:
        children.setdefault(element["path"].rpartition(".")[0], []).append(element)
    return children


def _true_rows(path: str, children: dict[str, list[dict[str, Any]]]) -> dict[str, Row]:
    """JSON name -> what R4 says of it; a backbone element's type is its path."""
    rows: dict[str, Row] = {}
    for element in children[path]:
        name = element["path"].rpartition(".")[2]
        many = element["max"] != "1"
        if "contentReference" in element:
            rows[name] = (element["contentReference"].removeprefix("#"), many, element["min"] > 0, frozenset())
            continue
        for type_name, targets in _types(element):
            json_name = name.removesuffix("[x]") + type_name[0].upper() + type_name[1:] if "[x]" in name else name
            inner = element["path"] if element["path"] in children else type_name
            rows[json_name] = (inner, many, element["min"] > 0 and "[x]" not in name, targets)
    return rows


def _pairs(path: str, name: str, children: dict[str, list[dict[str, Any]]]) -> Iterator[tuple[str, str]]:
    """Each path of a snapshot that has children, with the model class that holds them."""
    yield path, name
    for element in children[path]:
        if element["path"] in children:
            ours = r4_differences.definition(name).elements[element["path"].rpartition(".")[2]]
            yield from _pairs(element["path"], ours.type, children)


def _our_rows(name: str, paths: dict[str, str]) -> dict[str, Row]:
    """JSON name -> what the table says, with the classes of backbone elements turned into paths."""
    elements = r4_differences.definition(name).elements
    return {
        alias: (paths.get(element.type, element.type), element.many, element.required, element.targets)
        for alias, element in elements.items()
    }


@pytest.mark.parametrize("structure", _structures())
def test_structure(structure: dict[str, Any]) -> None:
    """Names, types, arrays, min, targets and choices of a type and its backbone elements equal R4's snapshot."""
    name = structure["name"]
    if name in NOT_IN_R4B_TYPES:
        assert name not in base.known_types()
        return
    children = _children(structure)
    pairs = list(_pairs(name, name, children))
    paths = {model: path for path, model in pairs if path != name}
    for path, model in pairs:
        assert _our_rows(model, paths) == _true_rows(path, children), path
        stems = {
            (element["path"].rpartition(".")[2][:-3], element["min"] > 0)
            for element in children[path]
            if element["path"].endswith("[x]")
        }
        assert {(choice.label, choice.required) for choice in r4_differences.definition(model).choices} == stems, path
        # The check counts no further than none, one and many: R4 asks no more of any element of the base types.
        assert {(element["min"], element["max"]) for element in children[path]} <= {
            (0, "1"), (1, "1"), (0, "*"), (1, "*"),
        }, path  # fmt: skip


def _codes(concepts: list[dict[str, Any]]) -> Iterator[str]:
    for concept in concepts:
        abstract = any(item["code"] == "notSelectable" and item["valueBoolean"] for item in concept.get("property", ()))
        if not abstract:
            yield concept["code"]
        yield from _codes(concept.get("concept", []))


def _expand(url: str) -> frozenset[tuple[str, str]] | None:
    """The (system, code) pairs of a ValueSet; None where a filter or a missing CodeSystem stands in the way."""
    value_set = _by_url("ValueSet-*.json").get(url.split("|")[0])
    if value_set is None or value_set["compose"].get("exclude"):
        return None
    pairs: set[tuple[str, str]] = set()
    for include in value_set["compose"]["include"]:
        expanded = _include(include)
        if expanded is None:
            return None
        pairs |= expanded
    return frozenset(pairs)


def _include(include: dict[str, Any]) -> frozenset[tuple[str, str]] | None:
    if "filter" in include:
        return None
    if "valueSet" in include:
        (url,) = include["valueSet"]
        return None if "system" in include else _expand(url)
    if "concept" in include:
        return frozenset((include["system"], concept["code"]) for concept in include["concept"])
    system = _by_url("CodeSystem-*.json").get(include["system"])
    if system is None or system["content"] != "complete":
        return None
    return frozenset((include["system"], code) for code in _codes(system["concept"]))


def _bindings(structure: dict[str, Any]) -> Iterator[tuple[str, r4_differences.Element, dict[str, Any]]]:
    """Each path of a snapshot with our elements of it and its binding."""
    children = _children(structure)
    for path, model in _pairs(structure["name"], structure["name"], children):
        elements = r4_differences.definition(model).elements.values()
        for element in children[path]:
            label = element["path"].rpartition(".")[2].removesuffix("[x]")
            for ours in elements:
                if ours.label == label:
                    yield f"{path}.{ours.name}", ours, element.get("binding", {"strength": "none"})


@pytest.mark.parametrize("structure", _structures())
def test_bindings(structure: dict[str, Any]) -> None:
    """The codes of required bindings equal the expanded ValueSet; other bindings bind nothing."""
    if structure["name"] in NOT_IN_R4B_TYPES:
        return
    for path, ours, binding in _bindings(structure):
        pairs = _expand(binding["valueSet"]) if binding["strength"] == "required" else frozenset[tuple[str, str]]()
        if pairs is None:
            # No CodeSystem here to hold it against: only these may stay open, the others have codes from the metadata.
            assert ours.codes is not None or binding["valueSet"].split("|")[0] in NOT_LISTED, path
        elif ours.type == "code":
            assert (ours.codes or frozenset()) == {code for _, code in pairs}, path
        elif ours.type == "CodeableConcept":
            assert (ours.concepts or frozenset()) == pairs, path
        else:
            assert (ours.codes, ours.concepts) == (None, None), path


def test_all_types_of_r4_are_known() -> None:
    """ValueSet resource-types, less what R4B has not and the abstract types."""
    pairs = _expand("http://hl7.org/fhir/ValueSet/resource-types")
    assert pairs is not None
    assert {code for _, code in pairs} - {"Resource", "DomainResource"} == r4_differences.RESOURCE_TYPES
    for name in base.known_types():
        assert "meta" in r4_differences.definition(name).elements


def test_primitive_types_are_those_of_r4() -> None:
    names = {item["name"] for item in _load("StructureDefinition-*.json") if item["kind"] == "primitive-type"}
    assert names == primitives.CHECKS.keys()


def test_every_difference_is_of_a_type_that_exists() -> None:
    """A row of the tables that no definition reads would be dead."""
    tables = (
        r4_differences.CODES,
        r4_differences.CONCEPTS,
        r4_differences.TARGETS,
        r4_differences.TOLERATED,
        r4_differences.REQUIRED,
        r4_differences.SYNTAX,
        invariants_types.SIMPLE,
    )
    for table in tables:
        for model, name in table:
            assert name in r4_differences.definition(model).elements
