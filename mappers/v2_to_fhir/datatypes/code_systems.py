"""What the names of coding systems (HL7 table 0396 and German ones) are in FHIR."""

from __future__ import annotations

import re
import urllib.parse
from typing import Final, NamedTuple

from mappers import fhir_names
from mappers.v2_to_fhir.scope import Scope
from profiles import primitives

SNOMED_CT: Final = "http://snomed.info/sct"
OPS: Final = "http://fhir.de/CodeSystem/bfarm/ops"
V2_TABLE: Final = "http://terminology.hl7.org/CodeSystem/v2-"

#: Code systems that we make up for a name that no site file knows. The German keys of §301 SGB V (GSG0001 …) are the
#: same in every hospital, everything else is the sender's facility's own.
LOCAL: Final = f"{fhir_names.BASE}/CodeSystem/hl7v2"

#: By name in capitals, "_" as "-", without blanks; by OID (https://www.hl7.org/oid).
_KNOWN: Final = {
    "LN": fhir_names.LOINC, "LOINC": fhir_names.LOINC, "2.16.840.1.113883.6.1": fhir_names.LOINC,
    "SCT": SNOMED_CT, "SNM": SNOMED_CT, "SNOMED": SNOMED_CT, "SNOMEDCT": SNOMED_CT, "SNOMED-CT": SNOMED_CT,
    "2.16.840.1.113883.6.96": SNOMED_CT,
    "UCUM": fhir_names.UCUM, "2.16.840.1.113883.6.8": fhir_names.UCUM,
    "ATC": fhir_names.ATC, "WC": fhir_names.ATC,
    "PZN": "http://fhir.de/CodeSystem/ifa/pzn",
    "ASK": "http://fhir.de/CodeSystem/ask",
    "ALPHA-ID": "http://fhir.de/CodeSystem/bfarm/alpha-id", "ALPHAID": "http://fhir.de/CodeSystem/bfarm/alpha-id",
    "KDL": "http://dvmd.de/fhir/CodeSystem/kdl",
    "EBM": fhir_names.EBM, "GOAE": fhir_names.GOAE, "GOÄ": fhir_names.GOAE,
}  # fmt: skip

_ICD_10_GM = re.compile(r"(?:ICD-?10|I-?10)(?:-?GM|-?G)?(?:-?((?:19|20)[0-9]{2}))?")
_OPS = re.compile(r"(?:O301|OPS|OPS-?301)(?:-?((?:19|20)[0-9]{2}))?")
_HL7_TABLE = re.compile(r"HL7-?([0-9]{4})")
_GSG = re.compile(r"GSG[0-9]{4}")
_OID = re.compile(r"[0-2](?:\.(?:0|[1-9][0-9]*)){3,}")


class Named(NamedTuple):
    """A code system and the version that its name says."""

    system: str
    version: str | None = None


def named(name: str, scope: Scope) -> Named:
    """The code system of this name: the site's word for it, else the known one, else one that we make up."""
    if name in scope.systems:
        return Named(scope.systems[name])
    key = name.upper().replace(" ", "").replace("_", "-")
    if key in _KNOWN:
        return Named(_KNOWN[key])
    for pattern, system in ((_ICD_10_GM, fhir_names.ICD_10_GM), (_OPS, OPS)):
        found = pattern.fullmatch(key)
        if found is not None:
            return Named(system, found[1])
    table = _HL7_TABLE.fullmatch(key)
    if table is not None:
        return Named(V2_TABLE + table[1])
    if _GSG.fullmatch(key):
        return Named(f"{LOCAL}/{key}")
    if _OID.fullmatch(key):
        return Named(f"urn:oid:{key}")
    if name.startswith(("http://", "https://", "urn:")) and primitives.CHECKS["uri"](name) is None:
        return Named(name)
    return Named(local(name, scope))


def local(name: str, scope: Scope) -> str:
    """The code system that we make up for a name of this sender's facility."""
    return "/".join([LOCAL, *(urllib.parse.quote(part, safe="") for part in (scope.facility or "-", name))])
