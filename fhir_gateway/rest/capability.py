"""capabilities: generated from the route table and the search parameters that serve the requests, so it cannot lie.

https://hl7.org/fhir/R4/capabilitystatement.html
"""

from __future__ import annotations

import functools

import fhir_gateway
from fhir_gateway.rest import formats, types
from fhir_gateway.rest.ask import Answer, Ask
from fhir_gateway.rest.routes import Table
from fhir_gateway.search import parameters
from fhir_gateway.store import codec

RELEASED = "2026-11-21"

#: The interactions of the table that R4 lists with a resource type, and those it lists with the server.
_OF_TYPE = ("read", "vread", "update", "patch", "delete", "history-instance", "history-type", "create", "search-type")
_OF_SYSTEM = ("transaction", "batch", "search-system", "history-system")
_WRITING = frozenset({"create", "update", "patch", "delete"})

_DEFINITIONS = {
    "validate": "http://hl7.org/fhir/OperationDefinition/Resource-validate",
    "document": "http://hl7.org/fhir/OperationDefinition/Composition-document",
    "process": "https://fhir-gateway.org/OperationDefinition/process",
    "release": "https://fhir-gateway.org/OperationDefinition/release",
}

#: Parameters that are columns of the store and not rows of the registry.
_COLUMNS = ({"name": "_id", "type": "token"}, {"name": "_lastUpdated", "type": "date"})


def capabilities(ask: Ask) -> Answer:
    """GET metadata (R4 http.html#capabilities)."""
    return Answer(200, resource=statement(ask.table, ask.base))


@functools.lru_cache(maxsize=8)
def statement(table: Table, base: str) -> codec.Resource:
    """The CapabilityStatement of this server under this address."""
    names = {route.name for route in table.routes} | {"batch"}
    return {
        "resourceType": "CapabilityStatement",
        "url": f"{base}/metadata",
        "version": fhir_gateway.__version__,
        "name": "FhirGateway",
        "status": "active",
        "date": RELEASED,
        "kind": "instance",
        "software": {"name": "fhir-gateway", "version": fhir_gateway.__version__},
        "implementation": {"description": "fhir-gateway", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "application/fhir+xml", "json", "xml"],
        "patchFormat": [
            formats.JSON_PATCH,
            "application/fhir+json",
            "application/fhir+xml",
            *sorted(formats.MERGE_PATCHES),
        ],
        "rest": [
            {
                "mode": "server",
                "resource": [_resource(table, resource_type) for resource_type in sorted(types.SUPPORTED)],
                "interaction": [{"code": code} for code in _OF_SYSTEM if code in names],
                "searchParam": [*_COLUMNS, *({"name": p.name, "type": p.kind} for p in parameters.of_every_type())],
            }
        ],
    }


def _resource(table: Table, resource_type: str) -> codec.Resource:
    is_read_only = resource_type in types.READ_ONLY
    offered = {route.name for route in table.routes if route.path.startswith("{type}")}
    known = parameters.of_type(resource_type)
    includes = [f"{resource_type}:{name}" for name, found in known.items() if found.kind == "reference"]
    operations = _operations(table, resource_type)
    return {
        "type": resource_type,
        "interaction": [
            {"code": code} for code in _OF_TYPE if code in offered and not (is_read_only and code in _WRITING)
        ],
        "versioning": "versioned-update",
        "readHistory": True,
        "updateCreate": not is_read_only,
        "conditionalCreate": not is_read_only,
        "conditionalRead": "full-support",
        "conditionalUpdate": not is_read_only,
        "conditionalDelete": "not-supported" if is_read_only else "single",
        "referencePolicy": ["literal", "logical"],
        **({"searchInclude": ["*", *includes]} if includes else {}),
        **({"searchRevInclude": reverse} if (reverse := _reverse(resource_type)) else {}),
        "searchParam": [*_COLUMNS, *({"name": name, "type": found.kind} for name, found in known.items())],
        "operation": [{"name": name, "definition": _DEFINITIONS[name]} for name in operations],
    }


def _operations(table: Table, resource_type: str) -> list[str]:
    found = {
        route.name: None
        for route in table.routes
        if "$" in route.path and route.path.split("/")[0] in ("{type}", resource_type)
    }
    return list(found)


@functools.cache
def _reverse(resource_type: str) -> list[str]:
    return [
        f"{source}:{name}"
        for source in sorted(types.SUPPORTED)
        for name, found in parameters.of_type(source).items()
        if found.kind == "reference" and (not found.targets or resource_type in found.targets)
    ]
