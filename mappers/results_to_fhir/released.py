"""A released result: final, confirmed, active, with who released it and when."""

from __future__ import annotations

import re

from mappers import fhir_names
from mappers.results_to_fhir import condition, links

RELEASED_TAG = {"system": f"{fhir_names.BASE}/CodeSystem/status", "code": "released"}


def is_released(resource: links.Json) -> bool:
    """Whether a clinician has released this result."""
    return any(label.get("code") == RELEASED_TAG["code"] for label in resource.get("meta", {}).get("tag", []))


def is_produced(resource: links.Json) -> bool:
    """Whether the gateway itself wrote this resource as a proposal: it has the security label AIAST."""
    labels = resource.get("meta", {}).get("security", [])
    return any(label.get("code") == fhir_names.AI_ASSERTED["code"] for label in labels)


def composition(draft: links.Json, practitioner: str, at: str) -> links.Json:
    """The Composition as final, attested by the practitioner."""
    final = {
        **_tagged(draft),
        "section": [_without_notice(section) for section in draft["section"]],
        "status": "final",
        "title": draft["title"].removesuffix(" (Entwurf)"),
        "attester": [{"mode": "professional", "time": at, "party": {"reference": practitioner}}],
    }
    order = ("resourceType", "id", "meta", "language", "identifier", "status", "type", "subject", "encounter", "date",
             "author", "title", "attester", "relatesTo", "section")  # fmt: skip
    return {name: final[name] for name in order if name in final}


def attester(final: links.Json) -> str:
    """The reference of who released a Composition."""
    return str(final["attester"][0]["party"]["reference"])


_NOTICE = re.compile(r'<p class="notice">.*?</p>')


def _without_notice(section: links.Json) -> links.Json:
    text = section["text"]
    return {**section, "text": {**text, "div": _NOTICE.sub("", text["div"])}}


def result(draft: links.Json) -> links.Json | None:
    """Any other result as released; None when it is not a draft any more."""
    resource_type = draft["resourceType"]
    if resource_type == "Condition":
        return condition.released(_tagged(draft)) if not is_released(draft) else None
    if resource_type == "DetectedIssue" and draft["status"] == "preliminary":
        return {**_tagged(draft), "status": "final"}
    if resource_type == "Claim" and draft["status"] == "draft":
        return {**_tagged(draft), "status": "active"}
    return None


def provenance_id(note: links.Json) -> str:
    """The id of the Provenance that was written with a Composition."""
    return links.result_id(note["encounter"]["reference"], "provenance", f"Composition/{note['id']}")


def provenance(note: links.Json, targets: list[str], practitioner: str, at: str) -> links.Json:
    """Who released what, and when."""
    return {
        "resourceType": "Provenance",
        "id": links.result_id(note["encounter"]["reference"], "release", f"Composition/{note['id']}"),
        "target": [{"reference": target} for target in targets],
        "recorded": at,
        "activity": links.concept(
            links.coding("http://terminology.hl7.org/CodeSystem/v3-DocumentCompletion", "LA", "legally authenticated")
        ),
        "agent": [
            {
                "type": links.concept(
                    links.coding(
                        "http://terminology.hl7.org/CodeSystem/provenance-participant-type",
                        "legal",
                        "Legal Authenticator",
                    )
                ),
                "who": {"reference": practitioner},
            }
        ],
    }


def _tagged(draft: links.Json) -> links.Json:
    return {**draft, "meta": {**draft.get("meta", {}), "tag": [dict(RELEASED_TAG)]}}
