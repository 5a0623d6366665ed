"""What starts a run: a transcript or a recording whose encounter is known. Decided inside the commit that stores it."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from fhir_gateway.runs import encounters, register
from fhir_gateway.search import values
from fhir_gateway.store import codec, database, resources, search, turns
from mappers import fhir_names

if TYPE_CHECKING:
    from fhir_gateway.app import Gateway

QUEUE = "documents"
WORKFLOW = "document-encounter"
DELIVERY = "deliver-again"

#: Content types that a stage of this version can say something about, also when that is a clear refusal.
_TRIGGERING = ("text/plain", "audio/", "video/")


def stored(unit: database.Unit, gateway: Gateway, versions: Iterable[resources.Stored]) -> None:
    """Start the runs that these new versions call for: one for each encounter, whatever number of sources came."""
    arrived: dict[str, list[str]] = {}
    known: list[str] = []
    for version in versions:
        if version.type == "Encounter":
            known.append(version.id)
        elif version.type in ("DocumentReference", "Media") and is_source(version.resource, gateway):
            for encounter in encounters.ids(version.resource):
                arrived.setdefault(encounter, []).append(f"{version.type}/{version.id}")
    for encounter, sources in arrived.items():
        start(unit, gateway, encounter, tuple(sources))
    for encounter in known:
        for run in register.waiting_for(unit.connection, encounter):
            register.change(unit, run.id, status="queued", patient=_patient(unit.connection, encounter))
            enqueue(unit, gateway, run.id, run.id)


def start(unit: database.Unit, gateway: Gateway, encounter: str, new_sources: tuple[str, ...]) -> register.Run:
    """A run over all sources of the encounter, in the order of their arrival: what was said later is read later.

    Its Task's focus is the first new one. It waits when nobody knows the encounter.
    """
    turns.take(unit, encounter)
    sources = sources_of(unit.connection, encounter, gateway)
    exists = resources.present(unit.connection, "Encounter", encounter)
    is_known = exists is not None or gateway.settings.ehr is not None
    run = register.create(
        unit,
        encounter,
        tuple(sources) or new_sources,
        new_sources[0],
        _patient(unit.connection, encounter),
        "queued" if is_known else "waiting",
    )
    if is_known:
        enqueue(unit, gateway, run.id, run.id)
    unit.after_commit.append(functools.partial(gateway.in_flight.end_older, encounter, run.number))
    return run


def deliver_again(unit: database.Unit, gateway: Gateway, encounter: str) -> None:
    """Queue the delivery of what changed after the newest run of an encounter, where somebody receives it."""
    run = register.newest_completed(unit.connection, encounter)
    if gateway.settings.has_receivers and run is not None:
        gateway.engine.enqueue_in_transaction(
            unit.connection,
            {"workflow_name": DELIVERY, "queue_name": QUEUE, "workflow_id": f"{run.id}.release.{unit.now}"},
            run.id,
        )


def enqueue(unit: database.Unit, gateway: Gateway, run_id: str, workflow_id: str) -> None:
    """Put the workflow into the engine's queue, in the same transaction."""
    gateway.engine.enqueue_in_transaction(
        unit.connection, {"workflow_name": WORKFLOW, "queue_name": QUEUE, "workflow_id": workflow_id}, run_id
    )


def sources_of(connection: sa.Connection, encounter: str, gateway: Gateway) -> list[str]:
    """All current sources of an encounter in the order of their arrival."""
    found = [
        stored
        for resource_type in ("DocumentReference", "Media")
        for stored in search.by_reference(connection, resource_type, "encounter", "Encounter", encounter)
        if is_source(stored.resource, gateway)
    ]
    return [stored.reference for stored in sorted(found, key=lambda stored: resources.arrived(connection, stored))]


def is_source(resource: codec.Resource, gateway: Gateway) -> bool:
    """Whether this resource is something that an encounter is documented from."""
    if resource["resourceType"] == "Media":
        attachments, is_valid = [resource.get("content", {})], resource.get("status") == "completed"
    else:
        attachments = list(values.at(resource, "content.attachment"))
        is_valid = resource.get("status") == "current" and resource.get("docStatus") != "entered-in-error"
        is_valid = is_valid and _is_configured_type(resource, gateway.settings.runs.document_types)
        is_valid = is_valid and not _is_ours(resource)
    return is_valid and any(_triggers(attachment) for attachment in attachments)


def _is_ours(resource: codec.Resource) -> bool:
    """Whether it is a note of ours that a record system sends around: documenting it again would have no end."""
    systems = (*values.at(resource, "masterIdentifier.system"), *values.at(resource, "identifier.system"))
    return fhir_names.RESULT_IDS in systems


def _triggers(attachment: Any) -> bool:
    """What is only announced (a title, and neither data nor url) may be a document one day; it is none yet."""
    content_type = str(attachment.get("contentType", "text/plain")).lower()
    is_empty = "data" not in attachment and "url" not in attachment
    is_announced = is_empty and ("title" in attachment or "extension" in attachment)
    return content_type.startswith(_TRIGGERING) and not is_announced


def _is_configured_type(resource: codec.Resource, wanted: tuple[str, ...]) -> bool:
    codings = values.at(resource, "type.coding")
    return not wanted or any(f"{c.get('system', '')}|{c.get('code', '')}" in wanted for c in codings)


def _patient(connection: sa.Connection, encounter: str) -> str | None:
    known = resources.present(connection, "Encounter", encounter)
    if known is None:
        return None
    reference: str | None = known.resource.get("subject", {}).get("reference")
    return reference
