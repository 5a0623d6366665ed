"""All result resources of a run, deep-checked by fhir.resources before they leave this floor."""

from __future__ import annotations

from collections.abc import Iterable

import fhir.resources.R4B
import pydantic

from mappers.results_to_fhir import claim, composition, condition, detected_issue, links, provenance
from pipeline import results

#: Fields that say when something was written. A repeat of the same content keeps the first time.
VOLATILE = {
    "Composition": ("date",),
    "Condition": ("recordedDate",),
    "DetectedIssue": ("identifiedDateTime",),
    "Claim": ("created",),
    "Provenance": ("recorded",),
}


class NotValid(Exception):
    """A mapper made a resource that is not valid FHIR. This is a fault of the gateway; nothing was written."""


def reference(resource: links.Json) -> str:
    """Type/id."""
    return f"{resource['resourceType']}/{resource['id']}"


def build(
    surroundings: links.Links,
    *,
    note: results.Note,
    summary: results.PatientSummary | None,
    coding: results.Coding,
    check: results.SafetyCheck,
    billing: results.Billing | None,
) -> list[links.Json]:
    """The resources of a run in the order in which they refer to one another; the Conditions by rank.

    Raises NotValid, and condition.NoPrimary.
    """
    conditions = _conditions(surroundings, coding.diagnoses)
    issues = [detected_issue.build(surroundings, warning, check.drugs) for warning in check.warnings]
    if check.gaps:
        issues.append(detected_issue.not_checked(surroundings, check))
    claims = [claim.build(surroundings, billing, coding.diagnoses)] if billing else []
    documented = composition.note(surroundings, note, map(reference, conditions), map(reference, issues))
    summaries = [composition.summary(surroundings, summary)] if summary else []
    others = [reference(resource) for resource in (*conditions, *issues, *claims)]
    made = [
        *conditions,
        *issues,
        *claims,
        documented,
        *summaries,
        provenance.build(surroundings, reference(documented), note.statements, others),
        *(provenance.build(surroundings, reference(resource), _evidenced(summary), ()) for resource in summaries),
    ]
    deep_check(made)
    return made


def _conditions(surroundings: links.Links, diagnoses: tuple[results.CodedDiagnosis, ...]) -> list[links.Json]:
    """One Condition for a code and side, which is what its id is made of: the one that stands first."""
    made = [condition.build(surroundings, diagnosis, diagnoses) for diagnosis in diagnoses]
    first = {resource["id"]: resource for resource in reversed(made)}
    return [resource for resource in made if first[resource["id"]] is resource]


def _evidenced(summary: results.PatientSummary | None) -> list[results.Statement]:
    """The sentences that rest on something; "nothing was said" rests on nothing."""
    return [sentence for sentence in summary.sentences if sentence.evidence] if summary else []


def deep_check(resources: Iterable[links.Json]) -> None:
    """Build each resource as fhir.resources' R4B model; NotValid names the type and the places, never the content."""
    for resource in resources:
        model = fhir.resources.R4B.get_fhir_model_class(resource["resourceType"])
        try:
            model.model_validate(resource)
        except pydantic.ValidationError as error:
            places = sorted(
                {".".join(str(part) for part in fault["loc"]) for fault in error.errors(include_input=False)}
            )
            raise NotValid(f"{resource['resourceType']}: {', '.join(places)}") from None
