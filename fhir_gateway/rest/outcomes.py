"""What an interaction answers when it does not do what it was asked: an OperationOutcome with the fault's FHIRPath.

https://hl7.org/fhir/R4/operationoutcome.html
"""

from __future__ import annotations

from dataclasses import dataclass

from fhir_gateway.store import codec
from profiles import base


@dataclass(frozen=True, slots=True)
class Issue:
    """One issue. `code` is from the IssueType code system, `expression` a FHIRPath."""

    code: str
    text: str
    expression: str | None = None
    severity: str = "error"


def issue(fault: base.Fault) -> Issue:
    """A fault of the check as an issue."""
    return Issue(fault.code, fault.text, fault.expression, fault.severity)


class Refused(Exception):
    """An interaction ends with this HTTP status and these issues; nothing of it is kept as a resource."""

    def __init__(self, status: int, *issues: Issue, **headers: str) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.issues = issues
        self.headers = headers

    @property
    def resource(self) -> codec.Resource:
        """The OperationOutcome."""
        return outcome(*self.issues)


def outcome(*issues: Issue) -> codec.Resource:
    """An OperationOutcome resource."""
    return {
        "resourceType": "OperationOutcome",
        "issue": [
            {
                "severity": issue.severity,
                "code": issue.code,
                "diagnostics": issue.text,
                **({"expression": [issue.expression]} if issue.expression else {}),
            }
            for issue in issues
        ],
    }


def bad_request(text: str, expression: str | None = None, *, code: str = "invalid") -> Refused:
    """400: the request itself is wrong."""
    return Refused(400, Issue(code, text, expression))


def not_supported(resource_type: str) -> Refused:
    """404: this server has no such resource type."""
    return Refused(404, Issue("not-supported", f"The resource type {resource_type[:64]} is not supported."))


def not_found(resource_type: str, resource_id: str) -> Refused:
    """404: nothing with this id."""
    return Refused(404, Issue("not-found", f"There is no {resource_type}/{resource_id[:64]}."))


def not_allowed(text: str, **headers: str) -> Refused:
    """405: the type exists, this interaction does not."""
    return Refused(405, Issue("not-supported", text), **headers)


def rule(text: str, expression: str, *, code: str = "business-rule") -> Refused:
    """422: well-formed, but against a rule of this server."""
    return Refused(422, Issue(code, text, expression))


def conflict(text: str) -> Refused:
    """409: somebody else was faster."""
    return Refused(409, Issue("conflict", text))
