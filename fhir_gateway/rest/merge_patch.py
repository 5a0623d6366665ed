"""JSON Merge Patch (RFC 7386). R4 does not have it, but clients send it as plain JSON (fhirpy)."""

from __future__ import annotations

from typing import Any

from fhir_gateway.rest import patch
from fhir_gateway.store import codec


def merge_patch(resource: codec.Resource, changes: codec.Resource) -> codec.Resource:
    """What is null goes, what is an object is merged, what is anything else takes the old one's place.

    Raises CannotPatch for a change of the type or the id, and for a patch that is nested too deeply.
    """
    if patch.is_deep(changes):
        raise patch.CannotPatch("The patch is nested too deeply.", "structure", None, 400)
    merged: codec.Resource = _merged(resource, changes)
    return patch.same_identity(resource, merged)


def _merged(old: Any, new: Any) -> Any:
    if not isinstance(new, dict):
        return new
    kept = old if isinstance(old, dict) else {}
    merged = {name: _merged(kept.get(name), new[name]) if name in new else kept[name] for name in {**kept, **new}}
    return {name: value for name, value in merged.items() if value is not None}
