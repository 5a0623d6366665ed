"""The registry of search parameters, from `parameters.csv`. The index, the search and the CapabilityStatement read it.

The table is the R4 registry (https://hl7.org/fhir/R4/searchparameter-registry.html) for the supported types, with its
FHIRPath expressions written as paths of JSON names: `component.valueQuantity`, several apart by ` | `, a filter as
`telecom[system=phone]`. `target` keeps the references to one type (`where(resolve() is Patient)`). A composite has its
components in `parts`, relative to its path. `system` is that of a plain code, which its value set defines. The rows of
the type `Resource` hold for every type.
"""

from __future__ import annotations

import csv
import functools
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from fhir_gateway.search import values
from profiles import base

Kind = Literal["token", "reference", "date", "string", "quantity", "number", "uri", "composite"]

_TABLE = Path(__file__).with_name("parameters.csv")
_STEP = re.compile(r"(\w+)(?:\[(\w+)=(\w+)\])?")

#: (element, the value of which member, must be what): one step of a path; without a filter the last two are empty.
Step = tuple[str, str, str]
ElementPath = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """A component of a composite parameter."""

    kind: Kind
    paths: tuple[ElementPath, ...]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One search parameter of one resource type. `key` is its number in the index tables."""

    type: str
    name: str
    kind: Kind
    text: str
    paths: tuple[ElementPath, ...]
    target: str
    parts: tuple[Part, ...]
    system: str
    key: int

    def beside(self, modifier: str) -> int:
        """The number of a second index of the same element: `text` of a token, `identifier` of a reference."""
        return _beside(self.type, self.name, modifier)

    @property
    def targets(self) -> frozenset[str]:
        """The resource types that a reference parameter may lead to; empty where any is allowed."""
        if self.target:
            return frozenset({self.target})
        found = [base.reference_targets(self.type, ".".join(step[0] for step in path)) for path in self.paths]
        return frozenset[str]() if not all(found) else frozenset[str]().union(*found)


def number(resource_type: str, name: str) -> int:
    """The number of a parameter in the index tables: the same in every version and on every machine."""
    return zlib.crc32(f"{resource_type}.{name}".encode()) >> 1


@functools.cache
def _beside(resource_type: str, name: str, modifier: str) -> int:
    return number(resource_type, f"{name}:{modifier}")


def _path(text: str) -> ElementPath:
    if text == "$this":
        return ()
    steps = [_STEP.fullmatch(step) for step in text.split(".")]
    assert all(steps), text
    return tuple((step[1], step[2] or "", step[3] or "") for step in steps if step)


def _parts(text: str) -> Iterator[Part]:
    for part in text.split():
        kind, _, paths = part.partition(":")
        yield Part(cast(Kind, kind), tuple(map(_path, paths.split("|"))))


@functools.cache
def _rows() -> dict[str, list[dict[str, str]]]:
    rows: dict[str, list[dict[str, str]]] = {}
    with _TABLE.open(encoding="utf-8", newline="") as table:
        for row in csv.DictReader(table):
            rows.setdefault(row["type"], []).append(row)
    return rows


def checksum() -> int:
    """The state of the table and of our addresses: an index made with others has to be made again."""
    bases = " ".join(sorted(values.own_bases()))
    return zlib.crc32(_TABLE.read_bytes() + bases.encode())


def of_every_type() -> list[Parameter]:
    """The parameters that hold for every type, but for `_id` and `_lastUpdated`."""
    return [parameter for name, parameter in of_type("Patient").items() if name.startswith("_")]


@functools.cache
def of_type(resource_type: str) -> dict[str, Parameter]:
    """The parameters of a type by name, those of every type among them; `_id` and `_lastUpdated` are columns."""
    rows = (*_rows()["Resource"], *_rows().get(resource_type, ()))
    return {
        row["name"]: Parameter(
            type=resource_type,
            name=row["name"],
            kind=cast(Kind, row["kind"]),
            text=row["path"],
            paths=tuple(map(_path, row["path"].split(" | "))),
            target=row["target"],
            parts=tuple(_parts(row["parts"])),
            system=row["system"],
            key=number(resource_type, row["name"]),
        )
        for row in rows
    }


def walk(node: Any, path: ElementPath) -> list[Any]:
    """Every value at a path of a resource, arrays walked through."""
    nodes = [node]
    for name, member, wanted in path:
        found: list[Any] = []
        for inner in nodes:
            value = inner.get(name) if isinstance(inner, dict) else None
            if isinstance(value, list):
                found += value
            elif value is not None:
                found.append(value)
        nodes = [item for item in found if isinstance(item, dict) and item.get(member) == wanted] if member else found
        if not nodes:
            break
    return nodes
