"""$validate: what the base check and the installed profiles say of a resource, without storing it.

https://hl7.org/fhir/R4/resource-operation-validate.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from fhir_gateway.rest import interactions, outcomes, types
from fhir_gateway.rest.ask import Answer, Ask
from fhir_gateway.search import values
from fhir_gateway.store import codec, resources
from profiles import base, validation

#: The profiles of R4 itself, one a type.
_CORE = "http://hl7.org/fhir/StructureDefinition/"

_MODES = ("create", "update", "delete", "profile")


def of_type(ask: Ask) -> Answer:
    """POST [type]/$validate with the resource itself or with Parameters (resource, mode, profile)."""
    parameters = _Parameters(ask)
    if parameters.resource is None:
        raise outcomes.bad_request("There is no resource to validate.", "Parameters.parameter", code="required")
    return _told(_issues(ask, parameters, parameters.resource))


def of_instance(connection: sa.Connection, ask: Ask) -> Answer:
    """GET and POST [type]/[id]/$validate: the stored resource, or the one that is sent as its next version."""
    parameters = _Parameters(ask)
    stored = interactions.there(ask, resources.read(connection, ask.type, ask.id))
    if parameters.mode == "delete" and stored.is_own:
        text = "The gateway wrote this itself; no client deletes it."
        return _told([outcomes.Issue("business-rule", text, ask.type)])
    resource = stored.resource if parameters.resource is None else parameters.resource
    issues = list(_issues(ask, parameters, resource))
    if parameters.resource is not None and resource.get("id") != ask.id:
        text = "The id of the body is not the id of the address."
        issues.append(outcomes.Issue("invalid", text, f"{ask.type}.id"))
    return _told(issues)


class _Parameters:
    """What is asked for, in the address or in a Parameters resource."""

    def __init__(self, ask: Ask) -> None:
        self.resource: codec.Resource | None = None
        self.profiles: list[str] = []
        self.mode: str | None = None
        for name, value in ask.pairs:
            self._take(name, value)
        body = ask.body
        if isinstance(body, dict) and body.get("resourceType") == "Parameters":
            for parameter in values.at(body, "parameter"):
                if isinstance(parameter, dict):
                    self._take(str(parameter.get("name")), _value(parameter))
        elif body is not None:
            self.resource = body
        if self.mode is not None and self.mode not in _MODES:
            raise outcomes.bad_request(f"mode is {', '.join(_MODES)}.", "Parameters.parameter", code="value")

    def _take(self, name: str, value: Any) -> None:
        if name == "resource" and isinstance(value, dict):
            self.resource = value
        elif name == "profile" and isinstance(value, str):
            self.profiles.append(value)
        elif name == "mode" and isinstance(value, str):
            self.mode = value
        elif name not in ("_format", "_pretty"):
            text = f"$validate takes resource, profile and mode, not {name[:64]}."
            raise outcomes.bad_request(text, "Parameters.parameter", code="not-supported")


def _value(parameter: codec.Resource) -> Any:
    if "resource" in parameter:
        return parameter["resource"]
    return next((value for name, value in parameter.items() if name.startswith("value")), None)


def _issues(ask: Ask, parameters: _Parameters, resource: Any) -> Iterator[outcomes.Issue]:
    """Every fault of the base check, and where it is R4 at all, of the profiles that are asked for or claimed."""
    found = base.faults(resource)
    yield from map(outcomes.issue, found)
    if not isinstance(resource, dict) or any(fault.severity == "error" for fault in found):
        return
    resource_type = resource["resourceType"]
    if resource_type != ask.type:
        text = f"The resource is a {resource_type}, the address says {ask.type}."
        yield outcomes.Issue("invalid", text, resource_type)
    if resource_type in types.READ_ONLY and parameters.mode in ("create", "update", "delete"):
        yield outcomes.Issue("business-rule", f"Only the gateway itself writes {resource_type}.", resource_type)
    yield from _profiled(ask.gateway.profiles, resource, parameters.profiles)


def _profiled(installed: validation.Profiles, resource: codec.Resource, asked: list[str]) -> Iterator[outcomes.Issue]:
    """What the profiles say that are asked for, or that the resource claims in meta.profile."""
    at = resource["resourceType"]
    claimed, unknown = installed.claimed(resource)
    core = f"{_CORE}{at}"
    unknown = tuple(profile for profile in unknown if profile.partition("|")[0] != core)
    for profile in dict.fromkeys([*asked, *claimed]):
        if profile.partition("|")[0] in (core, f"{_CORE}Resource", f"{_CORE}DomainResource"):
            continue  # the base check is the check against it
        try:
            faults = installed.faults(resource, profile, at=at)
        except validation.UnknownProfile:
            text = "The profile that is asked for is not installed here; nothing was checked against it."
            yield outcomes.Issue("not-found", text, at)
            continue
        yield from map(outcomes.issue, faults)
    if unknown:
        text = f"{len(unknown)} of the profiles that the resource claims are not installed here."
        yield outcomes.Issue("informational", text, f"{at}.meta.profile", "information")


def _told(issues: Any) -> Answer:
    found = list(issues) or [outcomes.Issue("informational", "No fault was found.", severity="information")]
    return Answer(200, resource=outcomes.outcome(*found))
