"""Whether a result is a draft, released or withdrawn, and how a message says so."""

from __future__ import annotations

from typing import Any, Final, Literal

from mappers.results_to_fhir import released

Standing = Literal["draft", "released", "withdrawn"]

#: Stands above the text of a draft.
NOTICE: Final = "ENTWURF – nicht freigegeben. Von einer KI erstellt und noch nicht ärztlich geprüft."

#: Follows the name of a code in a draft, where a message has no place for a text.
MARK: Final = " (Entwurf, nicht freigegeben)"


def of(resource: dict[str, Any]) -> Standing:
    """Where a Composition, Condition, DetectedIssue or Claim stands. Only the release by a clinician ends a draft."""
    codes = [coding.get("code") for coding in resource.get("verificationStatus", {}).get("coding", [])]
    if "entered-in-error" in (resource.get("status"), *codes):
        return "withdrawn"
    return "released" if released.is_released(resource) else "draft"


def marked(text: str, resource: dict[str, Any]) -> str:
    """A text with the mark of a draft where the resource is one."""
    return f"{text}{MARK}" if of(resource) == "draft" else text
