"""Why a patient was admitted and discharged, by the keys of § 301 SGB V.

Source: § 301 SGB V, data exchange, keys 1 (Aufnahmegrund) and 5 (Entlassungsgrund), as the extensions Aufnahmegrund and
Entlassungsgrund of de.basisprofil.r4 1.5.4 take them apart.
"""

from __future__ import annotations

import re
from typing import Final

from mappers.v2_to_fhir.datatypes import texts
from mappers.v2_to_fhir.reading import Value
from mappers.v2_to_fhir.scope import Json, Scope

_EXTENSION: Final = "http://fhir.de/StructureDefinition/"
_CODES: Final = "http://fhir.de/CodeSystem/dkgev/"

_ADMISSION = re.compile("(0[1-9]|1[0-2])([0-9])([0-9])")
_DISCHARGE = re.compile("([0-2][0-9])([0-9])")


def admission_reason(value: Value, _scope: Scope) -> Json | None:
    """The extension Aufnahmegrund of a key of four digits (PV2-3, `0101`); None for everything else."""
    return _taken_apart(value, _ADMISSION, "Aufnahmegrund", ("ErsteUndZweiteStelle", "DritteStelle", "VierteStelle"))


def discharge_reason(value: Value, _scope: Scope) -> Json | None:
    """The extension Entlassungsgrund of a key of three digits (PV1-36, `011`); None for everything else."""
    return _taken_apart(value, _DISCHARGE, "Entlassungsgrund", ("ErsteUndZweiteStelle", "DritteStelle"))


def _taken_apart(value: Value, form: re.Pattern[str], name: str, places: tuple[str, ...]) -> Json | None:
    found = form.fullmatch(value[1].raw.strip())
    if found is None:
        return None
    texts.token(value[1])
    parts = [
        {"url": place, "valueCoding": {"system": f"{_CODES}{name}{place}", "code": code}}
        for place, code in zip(places, found.groups(), strict=True)
    ]
    return {"url": _EXTENSION + name, "extension": parts}
