"""capabilities: generated from the tables that serve the requests. https://hl7.org/fhir/R4/capabilitystatement.html"""

from __future__ import annotations

from starlette.responses import Response

import fhir_gateway
from fhir_gateway.rest import requests, types
from fhir_gateway.store import codec, search_index

_READS = ("read", "vread", "history-instance", "search-type")
_WRITES = ("create", "update")


async def capabilities(context: requests.Context) -> Response:
    """GET metadata (R4 http.html#capabilities)."""
    return requests.json_response(statement(context.base))


def statement(base: str) -> codec.Resource:
    """The CapabilityStatement of this server."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026-11-21",
        "kind": "instance",
        "software": {"name": "fhir-gateway", "version": fhir_gateway.__version__},
        "implementation": {"description": "fhir-gateway", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json"],
        "rest": [
            {
                "mode": "server",
                "resource": [_resource(resource_type) for resource_type in sorted(types.SUPPORTED)],
                "interaction": [{"code": "transaction"}, {"code": "batch"}],
            }
        ],
    }


def _resource(resource_type: str) -> codec.Resource:
    can_write = resource_type in types.RECEIVED
    parameters = [
        {"name": "_id", "type": "token"},
        {"name": "_lastUpdated", "type": "date"},
        *({"name": found.name, "type": found.kind} for found in search_index.PARAMETERS.get(resource_type, ())),
    ]
    operations = {"Encounter": "process", "Composition": "release"}
    return {
        "type": resource_type,
        "interaction": [{"code": code} for code in (*_READS, *(_WRITES if can_write else ()))],
        "versioning": "versioned-update" if can_write else "versioned",
        "readHistory": True,
        "updateCreate": can_write,
        "searchParam": parameters,
        **(
            {"operation": [{"name": name, "definition": f"https://fhir-gateway.org/OperationDefinition/{name}"}]}
            if (name := operations.get(resource_type))
            else {}
        ),
    }
