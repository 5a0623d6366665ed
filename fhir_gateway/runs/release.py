"""The release of a draft by a clinician: the only way anything becomes final."""

from __future__ import annotations

from fhir_gateway import errors
from fhir_gateway.store import codec, database, resources, search
from mappers.results_to_fhir import released


class NotReleasable(errors.GatewayError):
    """Only a preliminary Composition that is the newest draft of its encounter can be released."""


def release(unit: database.Unit, composition: codec.Resource, practitioner: str, at: str) -> list[resources.Stored]:
    """Make a draft and the results of its run final; says who and when on each.

    A second release by the same person changes nothing; one by another is refused.
    """
    if composition["status"] == "final":
        if released.attester(composition) != practitioner:
            raise NotReleasable
        return []
    if composition["status"] != "preliminary":
        raise NotReleasable
    versions = [resources.put(unit, released.composition(composition, practitioner, at))]
    for resource in _belonging(unit, composition):
        final = (
            released.composition(resource, practitioner, at)
            if resource["resourceType"] == "Composition"
            else released.result(resource)
        )
        if final is not None:
            versions.append(resources.put(unit, final))
    resources.put(unit, released.provenance(composition, [f"{v.type}/{v.id}" for v in versions], practitioner, at))
    return versions


def _belonging(unit: database.Unit, composition: codec.Resource) -> list[codec.Resource]:
    """What the Provenance of the Composition's run names beside it, and the summary for the patient."""
    stored = resources.present(unit.connection, "Provenance", released.provenance_id(composition))
    if stored is None or not stored.is_own:
        return []
    own = f"Composition/{composition['id']}"
    references = dict.fromkeys(t["reference"] for t in stored.resource["target"] if t["reference"] != own)
    encounter = composition["encounter"]["reference"].split("/")
    for summary in search.by_reference(unit.connection, "Composition", "encounter", *encounter):
        is_ours = summary.is_own and released.is_produced(summary.resource)
        if is_ours and summary.id != composition["id"] and summary.resource["status"] == "preliminary":
            references[f"Composition/{summary.id}"] = None
    found = (resources.present(unit.connection, *reference.split("/")) for reference in references)
    return [version.resource for version in found if version is not None and version.is_own]
