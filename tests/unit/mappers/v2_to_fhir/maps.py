"""Messages through the bundled rules, for the tests of the maps."""

from __future__ import annotations

import functools
from typing import Any

from mappers import er7
from mappers.v2_to_fhir import engine, library, scope
from profiles import base
from tests.support import SHARED

Json = dict[str, Any]

PID = "PID|1||4711^^^KIS^PI||Beispiel^Berta||19580412|F"
PV1 = "PV1|1|I|ST3^12^1" + "|" * 16 + "F2026001^^^KIS^VN"
SAMPLES = SHARED / "data" / "hl7v2"


def header(event: str, control: str = "1", charset: str = "UNICODE UTF-8") -> str:
    """An MSH of an invented hospital."""
    return f"MSH|^~\\&|KIS|KLINIK|GATEWAY|KLINIK|20261122101500||{event}|{control}|P|2.5|||AL|NE|DEU|{charset}"


def mapped(event: str, *segments: str, charset: str = "UNICODE UTF-8", codec: str = "utf-8") -> engine.Mapped:
    """The message of these segments, mapped; nothing in it may be invalid."""
    data = "".join(f"{segment}\r" for segment in (header(event, charset=charset), *segments)).encode(codec)
    return through(data)


def through(data: bytes) -> engine.Mapped:
    """A message mapped by the bundled rules."""
    message = er7.parse(data)
    site = scope.Scope(message.text("MSH-3"), message.text("MSH-4"), bundled().tables)
    return engine.map_message(message, bundled(), site)


@functools.cache
def bundled() -> library.Library:
    """The rules as they ship."""
    return library.bundled()


def resources(found: engine.Mapped, *types: str) -> list[Json]:
    """The resources with references as `Type/number`, in the order of the message."""
    places = {draft.reference: f"{draft.type}/{draft.number}" for draft in found.drafts}

    def resolved(node: Any) -> Any:
        if isinstance(node, dict):
            return {name: resolved(item) for name, item in node.items()}
        if isinstance(node, list):
            return [resolved(item) for item in node]
        return places.get(node, node) if isinstance(node, str) else node

    return [
        {**resolved(draft.resource), "id": str(draft.number)}
        for draft in found.drafts
        if draft.type != "Movement" and (not types or draft.type in types)
    ]


def only(found: engine.Mapped, resource_type: str) -> Json:
    """The one resource of a type."""
    (resource,) = resources(found, resource_type)
    return resource


def identity(found: engine.Mapped, resource_type: str) -> list[tuple[tuple[str, ...], ...]]:
    """How the resources of a type are found again."""
    return [draft.identity for draft in found.drafts if draft.type == resource_type]


def not_mapped(found: engine.Mapped) -> set[str]:
    """The places that no rule took."""
    return {line.path for line in found.unmapped}


def invalid(found: engine.Mapped) -> list[str]:
    """What is no FHIR of the resources, once `movements` has given an encounter its status."""
    faults: list[str] = []
    for resource in resources(found):
        if resource["resourceType"] == "Encounter":
            resource.setdefault("status", "unknown")
        faults += [f"{fault.expression}: {fault.text}" for fault in base.faults(resource) if fault.severity == "error"]
    return faults
