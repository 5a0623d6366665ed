"""Messages of an invented hospital, mapped and stored as the service stores them, for the tests of ADT and BAR."""

from __future__ import annotations

import copy
from functools import lru_cache
from typing import Any

from mappers import er7
from mappers.v2_to_fhir import engine, library, movements, sites
from profiles import base

Json = dict[str, Any]


@lru_cache(maxsize=1)
def site() -> sites.Site:
    return sites.Site("default", library.bundled())


def line(name: str, fields: dict[int, str]) -> str:
    """A segment by the numbers of its fields."""
    values = [fields.get(number, "") for number in range(1, max(fields) + 1)]
    return "|".join([name, *values])


def msh(event: str, at: str = "20260302091500") -> str:
    return (
        f"MSH|^~\\&|KIS^1.2.276.0.76.3.1.99^ISO|NORDKLINIK|GATEWAY|NORDKLINIK|{at}||{event}|M-1001|P|2.5^DEU&&HL70399"
        "|||AL|NE|DEU|UNICODE UTF-8|||2.16.840.1.113883.2.6.9.38^^2.16.840.1.113883.2.6.9.38^ISO"
    )


PID = line("PID", {1: "1", 3: "P-4711^^^NORDKLINIK^PI", 5: "Muster^Erika^^^^^L", 7: "19610504", 8: "F"})


def pv1(**fields: str) -> str:
    """PV1 of an inpatient on ward ST3; `n45="…"` is PV1-45."""
    usual = {2: "I", 3: "ST3^312^2^CHI^^N", 19: "F-17^^^NORDKLINIK^VN", 44: "20260302090000"}
    return line("PV1", {**usual, **{int(name[1:]): value for name, value in fields.items()}})


def zbe(number: str, start: str, action: str = "INSERT", **fields: str) -> str:
    return line("ZBE", {1: f"{number}^KIS", 2: start, 4: action, **{int(n[1:]): v for n, v in fields.items()}})


def mapped(*segments: str) -> engine.Mapped:
    message = er7.parse("\r".join(segments).encode() + b"\r")
    return engine.map_message(message, site().library, site().scope(message))


def stored(found: engine.Mapped) -> dict[str, list[Json]]:
    """The resources by the names of their drafts, as they are stored: references followed, histories told, FHIR."""
    types = {draft.reference: draft.type for draft in found.drafts}
    resources: dict[str, list[Json]] = {}
    for draft in found.drafts:
        if draft.type == "Movement":
            continue
        resource = _followed(copy.deepcopy(draft.resource), types)
        if draft.type == "Encounter":
            resource |= movements.history(entries(found, draft), None)
        faults = [fault for fault in base.faults(resource) if fault.severity == "error"]
        assert faults == [], (draft.name, faults)
        resources.setdefault(draft.name, []).append(resource)
    return resources


def _followed(value: Any, types: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_followed(item, types) for item in value]
    if not isinstance(value, dict):
        return value
    reference = value.get("reference")
    if isinstance(reference, str) and reference.startswith(engine.DRAFT):
        value["reference"] = f"{types[reference]}/{reference.removeprefix(engine.DRAFT)}"
    return {name: _followed(item, types) for name, item in value.items()}


def entries(found: engine.Mapped, encounter: engine.Draft) -> list[movements.Entry]:
    return [
        movements.entry(draft.resource, found.at or "")
        for draft in found.drafts
        if draft.type == "Movement" and draft.resource["encounter"] == {"reference": encounter.reference}
    ]


def told(*messages: tuple[str, ...]) -> Json:
    """The history that several messages about one encounter tell."""
    found: list[movements.Entry] = []
    for segments in messages:
        one = mapped(*segments)
        encounter = next(draft for draft in one.drafts if draft.type == "Encounter")
        found += entries(one, encounter)
    history = movements.history(found, None)
    assert movements.history(found[::-1], None) == history
    return history


def unmapped(found: engine.Mapped) -> list[str]:
    return [found_line.path for found_line in found.unmapped]


def codes(concept: Json) -> list[str]:
    return [coding["code"] for coding in concept["coding"]]


A01 = (msh("ADT^A01", "20260302091500"), PID, pv1(), zbe("1", "20260302090000"))
A02 = (
    msh("ADT^A02", "20260303110000"),
    PID,
    pv1(n3="ITS^1^4", n6="ST3^312^2^CHI^^N"),
    zbe("2", "20260303104500"),
)
A03 = (
    msh("ADT^A03", "20260309120000"),
    PID,
    pv1(n3="ITS^1^4", n36="011", n45="20260309113000"),
    zbe("3", "20260309113000"),
)
