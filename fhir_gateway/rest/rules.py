"""Rules about a write that need the store: whose encounter it is, and who may change a result."""

from __future__ import annotations

import sqlalchemy as sa

from fhir_gateway.rest import outcomes, subset
from fhir_gateway.runs import encounters, register
from fhir_gateway.store import codec, resources
from mappers.results_to_fhir import released

#: Types that a run documents an encounter from. The rest of the record is read by its patient, never by its encounter.
_SOURCES = frozenset({"DocumentReference", "Media"})

#: Types of which the gateway writes new versions of a client's own resource.
_SHARED = frozenset({"Subscription"})


def check(connection: sa.Connection, resource: codec.Resource, at: str, *, is_new: bool = False) -> None:
    """Refuse a write that crosses patients or touches the gateway's own results. `at` is the resource's FHIRPath.

    `is_new` says that the id has just been made, so that nothing can stand there.
    """
    if released.is_produced(resource):
        raise outcomes.rule(
            "The label AIAST marks what this gateway proposes; a client cannot set it.", f"{at}.meta.security"
        )
    tags = resource.get("meta", {}).get("tag", [])
    if any(tag.get("code") == "SUBSETTED" and tag.get("system") == subset.SUBSETTED["system"] for tag in tags):
        raise outcomes.rule(
            "The tag SUBSETTED says that elements were left out; stored, the rest would be lost.", f"{at}.meta.tag"
        )
    if not is_new:
        current = resources.present(connection, resource["resourceType"], resource["id"])
        if current is not None:
            is_the_clients(current, at)
            if current.type == "Encounter":
                _keeps_its_patient(connection, resource, current.resource, at)
    if released.is_released(resource):
        raise outcomes.rule("The tag released says that $release made this final; no client sets it.", f"{at}.meta.tag")
    for expression, encounter_id in encounters.named(resource, at) if resource["resourceType"] in _SOURCES else ():
        encounter = resources.present(connection, "Encounter", encounter_id)
        if encounter is not None:
            _same_patient(resource, encounter.resource, expression)


def is_the_clients(current: resources.Stored, at: str) -> None:
    """Refuse what would change or remove a resource that the gateway itself wrote."""
    if current.is_own and current.type not in _SHARED:
        text = "The gateway wrote this itself; no client changes it, and only Composition/[id]/$release makes it final."
        raise outcomes.rule(text, at)


def may_be_deleted(connection: sa.Connection, current: resources.Stored, at: str) -> None:
    """Refuse the deletion of a result, and of an encounter that results have been written for."""
    is_the_clients(current, at)
    if current.type == "Encounter" and register.has_runs(connection, current.id):
        raise outcomes.Refused(
            409,
            outcomes.Issue("conflict", "There are documents and proposals for this encounter; it stays.", at),
        )


def _keeps_its_patient(connection: sa.Connection, resource: codec.Resource, current: codec.Resource, at: str) -> None:
    """What was heard and proposed in an encounter stays with the patient of whom it was said."""
    before, after = encounters.subject(current), encounters.subject(resource)
    if before and before != after and register.has_runs(connection, resource["id"]):
        raise outcomes.rule(
            "There are documents and proposals for this encounter; it cannot go to another patient.", f"{at}.subject"
        )


def _same_patient(resource: codec.Resource, encounter: codec.Resource, expression: str) -> None:
    mine, theirs = encounters.subject(resource), encounters.subject(encounter)
    if mine and theirs and mine != theirs:
        raise outcomes.rule("The encounter belongs to another patient than this resource.", expression)
