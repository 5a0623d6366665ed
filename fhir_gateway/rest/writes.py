"""The one way a client's resource takes into the store, and what follows from it in the same commit."""

from __future__ import annotations

import re
from typing import Any

from fhir_gateway import errors
from fhir_gateway.rest import literals, outcomes, rules, types
from fhir_gateway.rest.ask import Ask
from fhir_gateway.runs import trigger
from fhir_gateway.security import audit
from fhir_gateway.store import codec, database, resources
from fhir_gateway.subscriptions import rules as subscription_rules
from profiles import base, validation

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


def checked(ask: Ask) -> Ask:
    """The request with a resource that passed the base check; 400 with every fault and its FHIRPath when it did not."""
    resource = ask.body
    at = ask.expression
    resource_type = resource.get("resourceType") if isinstance(resource, dict) else None
    if not isinstance(resource_type, str):
        raise outcomes.bad_request("There is no resourceType.", at, code="structure")
    if resource_type != ask.type:
        raise outcomes.bad_request(f"The body is a {resource_type[:64]}, the address says {ask.type}.", at)
    if resource_type in types.READ_ONLY:
        issue = outcomes.Issue("not-supported", f"Only the gateway itself writes {resource_type}.", at)
        raise outcomes.Refused(405, issue, Allow="GET, HEAD")
    check(ask, resource, at)
    return ask


def _check_profiles(installed: validation.Profiles, resource: codec.Resource, at: str) -> None:
    """Refuse a resource that breaks an installed profile which it claims (`profiles.enforce`)."""
    claimed, _unknown = installed.claimed(resource)
    faults = [fault for profile in claimed for fault in installed.faults(resource, profile, at=at)]
    if any(fault.severity == "error" for fault in faults):
        raise outcomes.Refused(422, *map(outcomes.issue, faults))


def check(ask: Ask, resource: Any, at: str) -> None:
    """Refuse a resource that is no R4 (400, every fault), and where it is enforced one against its profile (422)."""
    faults = base.faults(resource, at=at)
    if any(fault.severity == "error" for fault in faults):
        raise outcomes.Refused(400, *map(outcomes.issue, faults))
    if ask.gateway.settings.profiles.enforce:
        _check_profiles(ask.gateway.profiles, resource, at)


def with_id_of_address(ask: Ask) -> Ask:
    """The request of an update, whose body has the id of its address."""
    ask = checked(ask)
    at = f"{ask.expression}.id"
    if ask.body.get("id") != ask.id:
        raise outcomes.bad_request("The id of the body is not the id of the address.", at)
    if not _ID.fullmatch(ask.id):
        raise outcomes.bad_request("An id has 1 to 64 letters, digits, '-' and '.'.", at)
    return ask


def put(
    unit: database.Unit,
    ask: Ask,
    resource: codec.Resource,
    *,
    if_version: int | None = None,
    is_new: bool = False,
    method: str = "PUT",
) -> resources.Stored:
    """Store a checked resource as its next version. 412 when it is not at `if_version`, 409 when another was faster."""
    at = ask.at or resource["resourceType"]
    rules.check(unit.connection, resource, at, is_new=is_new)
    _no_conditions(resource, at)
    if resource["resourceType"] == "Subscription":
        _acceptable(ask, resource, at)
    try:
        return resources.put(unit, resource, received=ask.key, if_version=if_version, is_new=is_new, method=method)
    except errors.VersionConflict as error:
        raise _conflict(ask, error, at) from None


def _no_conditions(resource: codec.Resource, at: str) -> None:
    """A conditional reference means something only in a transaction, which has written it out (R4 http.html#trules)."""
    for expression, reference in literals.of(resource, at):
        if literals.CONDITIONAL.fullmatch(reference):
            raise outcomes.bad_request("A conditional reference is allowed in a transaction only.", expression)


def delete(
    unit: database.Unit, ask: Ask, resource_type: str, resource_id: str, if_version: int | None = None
) -> resources.Stored | None:
    """Store a deletion; None where there was nothing to delete."""
    at = ask.at or resource_type
    current = resources.present(unit.connection, resource_type, resource_id)
    if current is not None:
        rules.may_be_deleted(unit.connection, current, at)
    try:
        return resources.delete(unit, resource_type, resource_id, received=ask.key, if_version=if_version)
    except errors.VersionConflict as error:
        raise _conflict(ask, error, at) from None


def _conflict(ask: Ask, error: errors.VersionConflict, at: str) -> outcomes.Refused:
    """412 where the client named a version, 409 where another was just faster."""
    status = 409 if ask.headers.get("if-match") is None else 412
    return outcomes.Refused(status, outcomes.Issue("conflict", error.message, at))


def _acceptable(ask: Ask, resource: codec.Resource, at: str) -> None:
    faults = subscription_rules.check(resource, ask.gateway.settings.subscriptions)
    if faults:
        raise outcomes.Refused(
            422,
            *(
                outcomes.Issue(code, text, expression.replace("Subscription", at, 1))
                for text, expression, code in faults
            ),
        )


def settle(unit: database.Unit, ask: Ask) -> None:
    """What follows from the client's new versions: the audit row, and the runs that they start."""
    brought = [version for version in unit.written if not version.is_own]
    if brought:
        audit.wrote(unit, ask.gateway.device, brought)
        trigger.stored(unit, ask.gateway, [version for version in brought if version.body is not None])
