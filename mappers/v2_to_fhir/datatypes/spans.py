"""A time that lasts, in two fields side by side: NK1-8 and 9, IN1-12 and 13, GT1-13 and 14, ROL-5 and 6."""

from __future__ import annotations

import contextlib

from mappers.v2_to_fhir.datatypes import times
from mappers.v2_to_fhir.reading import Unusable, Value
from mappers.v2_to_fhir.scope import Json, Scope
from profiles import primitives


def span(value: Value, scope: Scope) -> Json | None:
    """A Period from this field to the next one. What is no time is left unread, and an end before the start (per-1)."""
    found: dict[str, str] = {}
    for name, field in (("start", value), ("end", value.beside(value.at[1] + 1))):
        with contextlib.suppress(Unusable):
            said = times.moment(field[1].raw.strip()).date_time(scope)
            if primitives.in_order(found.get("start"), said):
                times.date_time(field, scope)
                found[name] = said
    return found or None
