"""What a conversion knows besides its value: code tables, identifier systems and the time zone of the sender."""

from __future__ import annotations

import urllib.parse
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mappers import fhir_names

Json = dict[str, Any]

#: Identifier systems that we make up for an assigner that no site file names.
ASSIGNERS: Final = "https://fhir-gateway.org/NamingSystem/hl7v2"
BERLIN: Final = zoneinfo.ZoneInfo("Europe/Berlin")


@dataclass(frozen=True, slots=True)
class Table:
    """A code table: what a sender's code is in FHIR. A row is a code, or a Coding without its system."""

    name: str
    source: str
    system: str | None
    rows: Mapping[str, Any]

    def row(self, code: str) -> Any | None:
        """The row of a code, in upper or lower case; None when there is none."""
        return self.rows.get(code, self.rows.get(code.upper()))

    def coding(self, code: str) -> Json | None:
        """The row as a Coding with its system; None when there is none."""
        row = self.row(code)
        if row is None:
            return None
        coding: Json = dict(row) if isinstance(row, Mapping) else {"code": str(row)}
        return {"system": self.system, **coding} if self.system and "system" not in coding else coding


@dataclass(frozen=True, slots=True)
class Scope:
    """One sender's. `options` are those of the rule at work (`with:`)."""

    application: str
    facility: str
    tables: Mapping[str, Table]
    systems: Mapping[str, str] = field(default_factory=dict)
    timezone: zoneinfo.ZoneInfo = BERLIN
    options: Mapping[str, Any] = field(default_factory=dict)

    def assigner(self, namespace: str, universal: str, universal_type: str, kind: str = "") -> str:
        """The identifier system of an assigning authority (HD): the site's word for it, else its OID, UUID or URI.

        A name alone is the sender's facility's own, and no name at all the sending application's: two hospitals that
        both say "KIS" do not share their patients.
        """
        if namespace == fhir_names.RESULT_NAMESPACE:  # a result of ours comes back
            return fhir_names.RESULT_IDS
        for key in (f"{namespace}|{kind}", namespace, universal, f"|{kind}"):
            if key.strip("|") and key in self.systems:
                return self.systems[key]
        if universal:
            known = _universal(universal, universal_type.upper())
            if known is not None:
                return known
            namespace = namespace or universal
        if not namespace and "" in self.systems:
            return self.systems[""]
        parts = (
            [self.facility or "-", namespace] if namespace else [self.facility or "-", self.application or "-", kind]
        )
        return "/".join([ASSIGNERS, *(urllib.parse.quote(part, safe="") for part in parts if part)])


def _universal(universal: str, kind: str) -> str | None:
    if kind in ("ISO", "OID") or (not kind and universal.replace(".", "").isdigit() and "." in universal):
        return f"urn:oid:{universal}"
    if kind in ("UUID", "GUID"):
        return f"urn:uuid:{universal.lower()}"
    if kind in ("URI", "URL") or universal.startswith(("http://", "https://", "urn:")):
        return universal
    return None
