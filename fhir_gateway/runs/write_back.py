"""The results of a run into our own store: new ones put, equal ones left alone, stale drafts taken back."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from fhir_gateway.runs import register
from fhir_gateway.search import values
from fhir_gateway.security import audit
from fhir_gateway.store import codec, database, resources, turns
from fhir_gateway.store import search as store_search
from mappers.results_to_fhir import bundle, composition, links, released

if TYPE_CHECKING:
    from fhir_gateway.app import Gateway


class Superseded(Exception):
    """A newer run of the same encounter has been started, or the run was cancelled."""


def mapped(surroundings: links.Links, before: list[codec.Resource], **parts: Any) -> list[codec.Resource]:
    """The resources of a run; its note says which earlier notes it takes the place of."""
    own = surroundings.result_id("note", surroundings.sources_key)
    replaced = tuple(
        bundle.reference(resource)
        for resource in before
        if resource["resourceType"] == "Composition" and resource["id"] != own and _is_note(resource)
        and resource["status"] != "entered-in-error"
    )  # fmt: skip
    return bundle.build(dataclasses.replace(surroundings, replaces=replaced), **parts)


def _is_note(resource: codec.Resource) -> bool:
    return bool(resource["type"]["coding"][0] == composition.NOTE_TYPE)


def earlier(connection: sa.Connection, encounter: str) -> list[codec.Resource]:
    """What earlier runs of this encounter wrote."""
    found: list[codec.Resource] = []
    for resource_type, parameter in (("Composition", "encounter"), ("Condition", "encounter"), ("Claim", "encounter")):
        for stored in store_search.by_reference(connection, resource_type, parameter, "Encounter", encounter):
            found.append(stored.resource)
    compositions = [resource for resource in found if resource["resourceType"] == "Composition"]
    for note in compositions:
        for reference in values.at(note, "section.entry.reference"):
            if str(reference).startswith("DetectedIssue/"):
                stored_issue = resources.present(connection, *str(reference).split("/"))
                if stored_issue is not None:
                    found.append(stored_issue.resource)
    unique = {bundle.reference(resource): resource for resource in found}
    return [resource for resource in unique.values() if released.is_produced(resource)]


def for_delivery(connection: sa.Connection, run: register.Run) -> list[codec.Resource]:
    """What the record system should have of an encounter, in the order in which the resources refer to one another."""
    results_of = earlier(connection, run.encounter)
    provenances = [
        stored.resource
        for note in results_of
        if note["resourceType"] == "Composition"
        for stored in store_search.by_reference(connection, "Provenance", "target", "Composition", note["id"])
        if stored.is_own
    ]
    unique = {bundle.reference(resource): resource for resource in (*results_of, *provenances)}
    ordered = sorted(unique.values(), key=lambda resource: _DELIVERY_ORDER.index(resource["resourceType"]))
    authors = {str(name) for resource in ordered for path in _AUTHORS for name in values.at(resource, path)}
    devices = [resources.read(connection, *name.split("/")) for name in sorted(authors) if name.startswith("Device/")]
    return [*(device.resource for device in devices if device is not None), *ordered]


_AUTHORS = ("author.reference", "agent.who.reference")


_DELIVERY_ORDER = ("Condition", "DetectedIssue", "Claim", "Composition", "Provenance")


def store(unit: database.Unit, gateway: Gateway, run: register.Run, made: list[codec.Resource]) -> None:
    """Put what is new, leave what says the same, take back earlier drafts that are not said any more.

    `made` are the results with the Device that is their author.

    Raises Superseded when a newer run has been started meanwhile: what it writes must not be overwritten.
    """
    turns.take(unit, run.encounter)
    if register.is_superseded(unit.connection, run) or register.get(unit.connection, run.id).status == "cancelled":
        raise Superseded
    versions: list[resources.Stored] = []
    kept = {bundle.reference(resource) for resource in made}  # their author among them
    for resource in earlier(unit.connection, run.encounter):
        if bundle.reference(resource) not in kept:
            withdrawn = _withdrawn(resource)
            if withdrawn is not None:
                versions.append(resources.put(unit, withdrawn))
    for resource in made:
        versions.append(resources.put(unit, _with_first_times(unit.connection, resource)))
    audit.wrote(unit, gateway.device, versions)


def _withdrawn(resource: codec.Resource) -> codec.Resource | None:
    """An earlier draft taken back; None for what a clinician has released, which stays."""
    if released.is_released(resource):
        return None
    if resource["resourceType"] == "Condition":
        taken_back = {name: value for name, value in resource.items() if name != "clinicalStatus"}
        coding = {**resource["verificationStatus"]["coding"][0], "code": "entered-in-error"}
        return {**taken_back, "verificationStatus": {"coding": [coding]}}
    return {**resource, "status": "entered-in-error"}


def _with_first_times(connection: sa.Connection, resource: codec.Resource) -> codec.Resource:
    """A repeat of the same content keeps the time of its first writing, and a released result its release."""
    stored = resources.present(connection, resource["resourceType"], resource["id"])
    if stored is None or not stored.is_own:
        return resource
    old = stored.resource
    if released.is_released(old):
        return old
    again = {
        **resource,
        **{name: old[name] for name in bundle.VOLATILE.get(resource["resourceType"], ()) if name in old},
    }
    if "relatesTo" in old and "relatesTo" not in again:
        again = _in_order({**again, "relatesTo": old["relatesTo"]}, old)
    same = {k: v for k, v in again.items() if k != "meta"} == {k: v for k, v in old.items() if k != "meta"}
    return again if same else resource


def _in_order(resource: codec.Resource, like: codec.Resource) -> codec.Resource:
    return {name: resource[name] for name in (*like, *resource) if name in resource}


_KINDS = {
    "Composition": "note",
    "Condition": "condition",
    "DetectedIssue": "warning",
    "Claim": "claim",
    "Provenance": "provenance",
}


def outputs(made: list[codec.Resource]) -> dict[str, tuple[str, ...]]:
    """References by kind, as the Task lists them."""
    found: dict[str, tuple[str, ...]] = {}
    for resource in made:
        kind = _KINDS[resource["resourceType"]]
        if resource["resourceType"] == "Composition" and not _is_note(resource):
            kind = "summary"
        found[kind] = (*found.get(kind, ()), bundle.reference(resource))
    return found
