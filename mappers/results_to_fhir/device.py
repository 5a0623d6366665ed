"""The software that made a proposal, as a Device: one for each combination of engine, rule and table versions."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from mappers import fhir_names
from mappers.results_to_fhir import links


def build(versions: Mapping[str, str]) -> links.Json:
    """A Device. `versions` names each part (gateway, engine, rules, tables, model, prompt) with its version or hash."""
    key = "|".join(f"{name}={version}" for name, version in sorted(versions.items()))
    return {
        "resourceType": "Device",
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{fhir_names.BASE}/device?{key}")),
        "status": "active",
        "deviceName": [{"name": "fhir-gateway", "type": "model-name"}],
        "type": links.concept(text="Software zur Entscheidungsunterstützung (kein Medizinprodukt)"),
        "version": [
            {"type": links.concept(links.coding(fhir_names.DEVICE_VERSIONS, name)), "value": version}
            for name, version in sorted(versions.items())
        ],
    }
