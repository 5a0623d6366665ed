"""A value of an invented message, and what a conversion makes and leaves of it."""

from __future__ import annotations

from typing import Any

from mappers import er7
from mappers.v2_to_fhir import datatypes
from mappers.v2_to_fhir.reading import Reading, Value
from mappers.v2_to_fhir.scope import Scope, Table

Json = dict[str, Any]

TABLES = {
    "sex": Table("sex", "test", None, {"F": "female", "M": "male"}),
    "class": Table(
        "class", "test", "http://terminology.hl7.org/CodeSystem/v3-ActCode",
        {"I": {"code": "IMP", "display": "inpatient encounter"}, "O": "AMB"},
    ),
}  # fmt: skip
SYSTEMS = {"KIS-9": "https://klinik.example/pid", "L": "https://klinik.example/codes"}
SCOPE = Scope("KIS", "KLINIK", TABLES, SYSTEMS)

HEADER = "MSH|^~\\&|KIS|KLINIK|FHIR-GATEWAY|HAUS|20260610090000||ADT^A08|A1|P|2.5|||AL|NE|DEU|UNICODE UTF-8"


def scope(**options: Any) -> Scope:
    """The scope of a rule with these options."""
    return Scope("KIS", "KLINIK", TABLES, SYSTEMS, options=options)


def of(segment: str, field: int, repetition: int = 0) -> Value:
    """A repetition (from 0) of a field of a segment."""
    message = er7.parse(f"{HEADER}\r{segment}\r".encode())
    return Reading(message).values(1, field)[repetition]


def converted(name: str, raw: str, **options: Any) -> Any:
    """What the datatype makes of a field with this text."""
    assert datatypes.problems(name, options) == []
    return datatypes.TYPES[name](of(f"ZZZ|{raw}", 1), scope(**options))


def observed(kind: str, raw: str, unit: str = "", name: str = "observation") -> Any:
    """What the datatype makes of an OBX-5 with this OBX-2 and OBX-6."""
    return datatypes.TYPES[name](of(f"OBX|1|{kind}|718-7^Hämoglobin^LN||{raw}|{unit}", 5), SCOPE)


def left(name: str, raw: str, **options: Any) -> list[str]:
    """The places of the field that the datatype does not carry over."""
    value = of(f"ZZZ|{raw}", 1)
    reading = value._reading
    datatypes.TYPES[name](value, scope(**options))
    return [reading.path(leaf) for leaf, _raw in reading.leaves() if leaf[0] == 1 and leaf not in reading.pending]
