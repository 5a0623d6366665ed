"""An access as an AuditEvent. https://hl7.org/fhir/R4/auditevent.html"""

from __future__ import annotations

from collections.abc import Sequence

from mappers.results_to_fhir import links


def build(
    *,
    identifier: str,
    interaction: str,
    action: str,
    recorded: str,
    entities: Sequence[str],
    device: str,
    agent: str | None = None,
) -> links.Json:
    """One AuditEvent. `action` is C, R, U, D or E; `agent` a Practitioner's reference when one asked for it."""
    agents: list[links.Json] = [{"who": {"reference": agent}, "requestor": True}] if agent else []
    agents.append({"who": {"reference": device, "display": "fhir-gateway"}, "requestor": not agents})
    return {
        "resourceType": "AuditEvent",
        "id": identifier,
        "type": links.coding("http://terminology.hl7.org/CodeSystem/audit-event-type", "rest"),
        "subtype": [links.coding("http://hl7.org/fhir/restful-interaction", interaction)],
        "action": action,
        "recorded": recorded,
        "outcome": "0",
        "agent": agents,
        "source": {"observer": {"reference": device, "display": "fhir-gateway"}},
        **({"entity": [{"what": {"reference": entity}} for entity in entities]} if entities else {}),
    }
