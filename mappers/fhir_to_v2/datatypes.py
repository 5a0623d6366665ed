"""FHIR datatypes as HL7 v2.5 datatypes (chapter 2A), each a value for `er7.segment`."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Mapping
from typing import Any, Final

from mappers import er7, fhir_names

Json = dict[str, Any]
Components = tuple[er7.ComponentValue, ...]

#: Who assigned our identifiers (table 0363). It never changes, whatever MSH-3 is configured to say.
NAMESPACE: Final = fhir_names.RESULT_NAMESPACE

#: The coding system of our own codes (table 0396: 99zzz is local).
OWN_CODES: Final = "99FHIRGW"

_NAME_USES: Final = {"official": "L", "maiden": "M", "nickname": "N", "usual": "D", "anonymous": "S"}
#: Identifier types of Germany that table 0203 of 2.5 does not have yet, as it calls them: a doctor's number.
_DOCTOR_NUMBERS: Final = {"LANR": "DN", "ZANR": "DN"}
_UNKNOWN_NAME: Final[Components] = (None, None, None, None, None, None, "U")


def moment(at: dt.datetime, zone: zoneinfo.ZoneInfo) -> str:
    """TS of a point in time: local time to the second, with its offset from UTC."""
    return at.astimezone(zone).strftime("%Y%m%d%H%M%S%z")


def time(value: object, zone: zoneinfo.ZoneInfo) -> str | None:
    """TS of a FHIR date, dateTime or instant, as precise as it is; None for one that the calendar does not have."""
    if not isinstance(value, str):
        return None
    if "T" not in value:
        return value.replace("-", "")
    try:
        return moment(dt.datetime.fromisoformat(value), zone)
    except (ValueError, OverflowError):
        return None


def own_id(resource: Json) -> str:
    """The stable id of a result: the value of its identifier, else its id."""
    identifiers = resource.get("identifier", [])
    first = identifiers if isinstance(identifiers, dict) else next(iter(identifiers), {})
    return str(first.get("value") or resource["id"])


def entity(value: str) -> Components:
    """EI of one of our identifiers."""
    return (value, NAMESPACE)


def coded(coding: Json, system: str, text: str | None = None) -> Components:
    """CE of a Coding; `system` is the v2 name of its code system (table 0396)."""
    return (coding.get("code"), text or coding.get("display"), system)


def authority(identifier: Json) -> tuple[er7.Part, ...]:
    """HD of who assigned an identifier."""
    system = str(identifier.get("system") or "")
    name = identifier.get("assigner", {}).get("display")
    for prefix, kind in (("urn:oid:", "ISO"), ("urn:uuid:", "UUID")):
        if system.startswith(prefix):
            return (name, system.removeprefix(prefix), kind)
    return (name, system, "URI") if system else (name,)


def patient_id(identifier: Json) -> Components:
    """CX of an Identifier."""
    return (identifier.get("value"), None, None, authority(identifier), _type_of(identifier))


def _type_of(identifier: Json) -> str | None:
    return next((coding.get("code") for coding in identifier.get("type", {}).get("coding", [])), None)


def _names(name: Json) -> Components:
    """Family name, given name, further given names, suffix, prefix: so XPN starts, and XCN after its id."""
    given: list[str] = name.get("given", [])
    first, further = (given[0] if given else None), " ".join(given[1:])
    suffix, prefix = " ".join(name.get("suffix", [])), " ".join(name.get("prefix", []))
    return (name.get("family") or name.get("text"), first, further, suffix, prefix)


def patient_names(names: list[Json]) -> list[er7.RepetitionValue]:
    """XPN of each HumanName; a name that is not known is said to be unknown (table 0200, U)."""
    return [(*_names(name), None, _NAME_USES.get(name.get("use", "official"))) for name in names] or [_UNKNOWN_NAME]


def person(reference: str, display: str | None, practitioners: Mapping[str, Json]) -> Components:
    """XCN of who a reference points to: the hospital's own identifier and the name where the Practitioner is known,
    else the resource's id.
    """
    practitioner = practitioners.get(reference, {})
    name = next(iter(practitioner.get("name", [])), {"text": display})
    identifier = next((found for found in practitioner.get("identifier", []) if found.get("value")), None)
    if identifier is None:
        return (reference.rpartition("/")[2], *_names(name), None, None, NAMESPACE)
    kind = _type_of(identifier) or ""
    kind = _DOCTOR_NUMBERS.get(kind, kind)
    return (identifier["value"], *_names(name), None, None, authority(identifier), None, None, None, kind)


def signature(signer: Components, at: str | None) -> Components:
    """PPN: an XCN with the time of the act as component 15."""
    return (*signer, *(None for _ in range(14 - len(signer))), at)
