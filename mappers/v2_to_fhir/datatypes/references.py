"""Who and where, as logical References: XCN, XON, HD, CX, PL. HL7 v2.5 chapter 2.A.

A logical reference (identifier and display, no address of a resource) says what the message says: that the resource
exists anywhere is not known. https://hl7.org/fhir/R4/references.html#logical
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from mappers.v2_to_fhir.datatypes import identifiers, names, options, texts
from mappers.v2_to_fhir.reading import Value
from mappers.v2_to_fhir.scope import Json, Scope

#: What "PL" is to a scope: the name of the system of places.
_PLACES: Final = identifiers.Authority("PL")
_POINT_OF_CARE: Final = "Station"
#: PL.6 (HL7 table 0305) of a point of care that is no ward: clinic, department, home, practice, phone.
_NO_WARD: Final = frozenset("CDHOP")


def practitioner(value: Value, scope: Scope) -> Json | None:
    """A Practitioner (XCN): id (XCN.1) by its authority (XCN.9) and type (XCN.13), name as display."""
    number = texts.words(value[1])
    identifier = (
        identifiers.build(number, identifiers.authority(value[9]), texts.token(value[13]), scope) if number else None
    )
    return _reference("Practitioner", identifier, str(names.name(value, 2)))


def organization(value: Value, scope: Scope) -> Json | None:
    """An Organization, of an XON (or a name alone), or with `datatype` of a CX or an HD."""
    return _ORGANIZATIONS.get(options.word(scope, "datatype") or "XON", _of_xon)(value, scope)


def _of_xon(value: Value, scope: Scope) -> Json | None:
    number = texts.words(value[10]) or texts.words(value[3])
    identifier = (
        identifiers.build(number, identifiers.authority(value[6]), texts.token(value[7]), scope) if number else None
    )
    return _reference("Organization", identifier, texts.words(value[1]))


def _of_cx(value: Value, scope: Scope) -> Json | None:
    return _reference("Organization", identifiers.identifier(value, scope), "")


def _of_hd(value: Value, scope: Scope) -> Json | None:
    by = identifiers.authority(value)
    identifier: Json | None = None
    if by.universal:
        address = identifiers.system(identifiers.Authority("", by.universal, by.kind), "", scope)
        identifier = {"system": "urn:ietf:rfc:3986", "value": address}
    return _reference("Organization", identifier, by.namespace)


_ORGANIZATIONS: Final[Mapping[str, Callable[[Value, Scope], Json | None]]] = MappingProxyType(
    {"XON": _of_xon, "CX": _of_cx, "HD": _of_hd}
)


def location(value: Value, scope: Scope) -> Json | None:
    """A Location (PL): "Station ST1, Zimmer 12, Bett 2", and an identifier of all its parts in the standard's order.

    The identifier `ST1^12^2^KLINIK` is the sending facility's. PL.9 is the display of a place that has no parts; status
    (PL.5), type (PL.6) and the identifiers of 2.6 (PL.10, PL.11) are left unread.
    """
    parts = {number: texts.words(value[number][1]) for number in (1, 2, 3, 4, 7, 8)}
    ward = "" if value[6].raw.strip().upper() in _NO_WARD else _POINT_OF_CARE
    labels = ((1, ward), (2, "Zimmer"), (3, "Bett"), (7, "Gebäude"), (8, "Ebene"))
    display = ", ".join(_labelled(label, parts[number]) for number, label in labels if parts[number])
    key = "^".join(parts.get(number, "") for number in range(1, 9)).rstrip("^")
    if not key:
        return _reference("Location", None, texts.words(value[9]))
    identifier: Json = {"system": identifiers.system(_PLACES, "PL", scope), "value": key}
    return _reference("Location", identifier, display or parts[4])


def _labelled(label: str, text: str) -> str:
    return text if text.upper().startswith(label.upper()) else f"{label} {text}"


def _reference(kind: str, identifier: Json | None, display: str) -> Json | None:
    if identifier is None and not display:
        return None
    found: Json = {"type": kind}
    if identifier is not None:
        found["identifier"] = identifier
    return {**found, "display": display} if display else found
