"""AuditEvents: who did what with which resource. https://hl7.org/fhir/R4/auditevent.html"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fhir_gateway.store import codec, database, resources
from mappers.results_to_fhir import audit_event

if TYPE_CHECKING:
    from fhir_gateway.app import Gateway

#: What no audit row is written for: the audit itself, and the progress that a client polls.
_UNAUDITED = ("AuditEvent/", "Task/")


def wrote(unit: database.Unit, device: str, stored: Sequence[resources.Stored]) -> None:
    """One AuditEvent for what a request changed, in the same commit."""
    changed = [version for version in stored if version.changed]
    if changed:
        action = "C" if all(version.created for version in changed) else "U"
        entities = [f"{version.type}/{version.id}" for version in changed]
        _put(
            unit,
            "transaction" if len(changed) > 1 else {"C": "create", "U": "update"}[action],
            action,
            entities,
            device,
        )


def did(unit: database.Unit, device: str, interaction: str, entities: Sequence[str], agent: str | None = None) -> None:
    """One AuditEvent for an operation such as $release; `agent` is the Practitioner who asked for it."""
    _put(unit, interaction, "E", entities, device, agent)


async def accessed(gateway: Gateway, interaction: str, entities: Sequence[str]) -> None:
    """One AuditEvent for what a request read. The reader does not wait for its commit."""
    seen = [entity for entity in entities if not entity.startswith(_UNAUDITED)]
    if seen:
        gateway.database.submit(lambda unit: _put(unit, interaction, "R", seen, gateway.device))


def _put(
    unit: database.Unit, interaction: str, action: str, entities: Sequence[str], device: str, agent: str | None = None
) -> None:
    event: codec.Resource = audit_event.build(
        identifier=str(uuid.uuid4()),
        interaction=interaction,
        action=action,
        recorded=resources.instant(unit.now),
        entities=entities,
        device=device,
        agent=agent,
    )
    resources.put(unit, event)
