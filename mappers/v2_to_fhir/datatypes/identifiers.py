"""Identifiers: CX, EI, HD. HL7 v2.5 chapter 2.A; FHIR R4 Identifier; de.basisprofil.r4 1.5.4."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from mappers.v2_to_fhir.datatypes import options, texts, times
from mappers.v2_to_fhir.reading import Value
from mappers.v2_to_fhir.scope import Json, Scope
from profiles import primitives

TYPES: Final = "http://terminology.hl7.org/CodeSystem/v2-0203"
GERMAN_TYPES: Final = "http://fhir.de/CodeSystem/identifier-type-de-basis"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: HL7 table 0203. What is not in it is a type in words only.
_TYPE_CODES: Final = _words(
    """
    ACSN AM AMA AN ANON ANC AND ANT APRN ASID BA BC BCT BR BRN BSNR CC CONM CZ CY DDS DEA DI DFN DL DN DO DP DPM
    DR EI EN ESN FI FILL GI GL GN HC JHN IND LACSN LANR LI LN LR MA MB MC MCD MCN MCR MCT MD MI MR MRT MS NBSNR
    NCT NE NH NI NII NIIP NP NPI OD PA PC PCN PE PEN PI PLAC PN PNT PPIN PPN PRC PRN PT QA RI RPH RN RR RRI RRP
    SID SL SN SNO SP SR SS TAX TN TPR U UDI UPIN USID VN VP VS WC WCN WP XX
    """
)


@dataclass(frozen=True, slots=True)
class Authority:
    """Who gave a number (HD): a name, or a universal id with its type."""

    namespace: str = ""
    universal: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class National:
    """A number that is the same in all of Germany: how senders name it (CX.5 or CX.4.1), its OID and its form."""

    names: frozenset[str]
    oid: str
    form: re.Pattern[str]
    system: str
    type: tuple[str, str]


def _national(names: str, oid: str, form: str, system: str, *, code: str, types: str = TYPES) -> National:
    return National(_words(names), oid, re.compile(form), system, (types, code))


#: Systems, types and forms: the profiles identifier-* of de.basisprofil.r4 1.5.4; OIDs: its and KBV's NamingSystems.
_NATIONAL: Final = (
    _national("KVZ10 KVNR KVID KVID10 EGK GKV PKV NI NII NH", "1.2.276.0.76.4.8", "[A-Z][0-9]{9}",
              "http://fhir.de/sid/gkv/kvid-10", code="KVZ10", types=GERMAN_TYPES),
    _national("IK IKNR ARGEIK NII", "1.2.276.0.76.4.5", "[0-9]{9}", "http://fhir.de/sid/arge-ik/iknr", code="XX"),
    _national("VKNR NIIP", "1.2.276.0.76.4.7", "[0-9]{5}", "http://fhir.de/sid/kbv/vknr", code="NIIP"),
    _national("LANR", "1.2.276.0.76.4.16", "[0-9]{9}",
              "https://fhir.kbv.de/NamingSystem/KBV_NS_Base_ANR", code="LANR"),
    _national("BSNR", "1.2.276.0.76.4.17", "[0-9]{9}",
              "https://fhir.kbv.de/NamingSystem/KBV_NS_Base_BSNR", code="BSNR"),
    _national("EFN", "", "[0-9]{15}", "http://fhir.de/sid/bundesaerztekammer/efn", code="DN"),
)  # fmt: skip
_KVNR: Final = _NATIONAL[0]


def authority(value: Value, first: int = 1) -> Authority:
    """The HD in three parts of `value` from `first` on."""
    return Authority(*(texts.words(value[first + n]) for n in range(3)))


def build(number: str, by: Authority, kind: str, scope: Scope) -> Json:
    """An Identifier: a German number by its own system and type, every other by its assigner's.

    A Krankenversichertennummer whose check digit is wrong stays the assigner's: as KVNR it could be another person's.
    """
    national = _recognised(number, by, kind)
    types = [] if national is None else [{"system": national.type[0], "code": national.type[1]}]
    if kind.upper() in _TYPE_CODES and {"system": TYPES, "code": kind.upper()} not in types:
        types.append({"system": TYPES, "code": kind.upper()})
    concept: Json = {"coding": types} if types else {"text": kind}
    identifier: Json = {"type": concept} if types or kind else {}
    identifier["system"] = system(by, kind, scope) if national is None else national.system
    identifier["value"] = number
    return identifier


def system(by: Authority, kind: str, scope: Scope) -> str:
    """The identifier system of an authority; one of its name where its universal id is no URI."""
    found = scope.assigner(by.namespace, by.universal, by.kind, kind)
    if primitives.CHECKS["uri"](found) is None:
        return found
    return scope.assigner(by.namespace or by.universal, "", "", kind)


def _recognised(number: str, by: Authority, kind: str) -> National | None:
    said = {re.sub(r"[\s_-]", "", name.upper()) for name in (kind, by.namespace) if name}
    for national in _NATIONAL:
        if (said & national.names or (by.universal and by.universal == national.oid)) and national.form.fullmatch(
            number
        ):
            return national if national is not _KVNR or _is_kvnr(number) else None
    return None


def _is_kvnr(number: str) -> bool:
    """The check digit of the Krankenversichertennummer: § 290 SGB V, annex 1 of the guideline of GKV-Spitzenverband."""
    digits = f"{ord(number[0]) - 64:02d}{number[1:9]}"
    products = (int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(digits))
    return sum(product // 10 + product % 10 for product in products) % 10 == int(number[9])


# ---- conversions


def identifier(value: Value, scope: Scope) -> Json | None:
    """An Identifier (CX): number, type (`type` where none was sent), system (or `system`), validity and assigner.

    The check digit (CX.2, CX.3) and the assigning facility (CX.6) are left unread.
    """
    number = texts.words(value[1])
    if not number:
        return None
    by = authority(value[4])
    found = build(number, by, texts.token(value[5]) or options.word(scope, "type") or "", scope)
    found["system"] = options.word(scope, "system") or found["system"]
    period = times.validity(value[7], value[8], scope)
    if period:
        found["period"] = period
    if by.namespace:
        found["assigner"] = {"display": by.namespace}
    return found


def entity_identifier(value: Value, scope: Scope) -> Json | None:
    """An Identifier (EI), with the options `type` and `system` too."""
    number = texts.words(value[1])
    if not number:
        return None
    found = build(number, authority(value, 2), options.word(scope, "type") or "", scope)
    return {**found, "system": options.word(scope, "system") or found["system"]}
