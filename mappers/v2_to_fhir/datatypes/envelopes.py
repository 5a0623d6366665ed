"""What the envelope of a message says: where it came from and when it was made. HL7 v2.5 chapter 2A.33 (HD), 2.15.9."""

from __future__ import annotations

import contextlib
import urllib.parse
from dataclasses import replace
from typing import Final

from mappers import fhir_names
from mappers.v2_to_fhir.datatypes import identifiers, references, texts, times
from mappers.v2_to_fhir.reading import Unusable, Value
from mappers.v2_to_fhir.scope import Json, Scope

_UNKNOWN: Final = {"url": fhir_names.DATA_ABSENT, "valueCode": "unknown"}

#: HD.3 to how HL7 v2-to-FHIR, HD[MessageHeader.source-endpoint] (2025-10), makes a URI of HD.2.
_SCHEMES: Final = {"ISO": "urn:oid:", "UUID": "urn:uuid:", "DNS": "urn:dns:", "URI": "", "URL": ""}


def source(value: Value, _scope: Scope) -> Json:
    """MessageHeader.source: the sending application (MSH-3), at its network address (MSH-24) where that is sent."""
    return _application(value.beside(3), value.beside(24))


def destination(value: Value, scope: Scope) -> Json:
    """MessageHeader.destination: the receiving application (MSH-5, MSH-25) and organization (MSH-23, MSH-6)."""
    found = _application(value.beside(5), value.beside(25))
    organization = value.beside(23)
    if organization:
        receiver = references.organization(organization, scope)
    else:
        receiver = references.organization(value.beside(6), replace(scope, options={"datatype": "HD"}))
    return {**found, "receiver": receiver} if receiver else found


def _application(named: Value, address: Value) -> Json:
    """Name and endpoint; R4 demands the endpoint, and HL7 v2-to-FHIR says that it is not known where it is not."""
    name, endpoint = "", None
    with contextlib.suppress(Unusable):
        name = texts.words(named[1])
        endpoint = _endpoint(address) or _endpoint(named)
    found: Json = {"name": name} if name else {}
    if endpoint:
        return {**found, "endpoint": endpoint}
    return {**found, "_endpoint": {"extension": [dict(_UNKNOWN)]}}


def _endpoint(value: Value) -> str | None:
    kind = value[3].raw.strip().upper()
    if kind not in _SCHEMES or not value[2].raw.strip():
        return None
    texts.token(value[3])
    return _SCHEMES[kind] + urllib.parse.quote(texts.token(value[2]), safe="/:?#[]@!$&'()*+,;=%~")


def entity(value: Value, scope: Scope) -> Json | None:
    """Provenance.entity: the message, by its control id (MSH-10)."""
    number = texts.words(value[1])
    if not number:
        return None
    identifier = identifiers.build(number, identifiers.Authority(), "MSGID", scope)
    return {"role": "source", "what": {"identifier": identifier}}


def recorded(value: Value, scope: Scope) -> Json | None:
    """Provenance.recorded, which R4 demands, or that it is not known: of a time that is none, or has no minutes."""
    with contextlib.suppress(Unusable):
        found = times.instant(value, scope)
        if found is not None:
            return {"recorded": found}
    return {"_recorded": {"extension": [dict(_UNKNOWN)]}}
