"""Addresses and telephone numbers: XAD, XTN. HL7 v2.5 chapter 2.A; FHIR R4 Address, ContactPoint.

German use: de.basisprofil.r4 address-de-basis 1.5.4 and the German HL7 v2.5 profile (wiki.hl7.de: V25dt:XAD, XTN).
"""

from __future__ import annotations

import re
from typing import Final

from mappers.v2_to_fhir.datatypes import options, texts, times
from mappers.v2_to_fhir.reading import Value
from mappers.v2_to_fhir.scope import Json, Scope

_PART: Final = "http://hl7.org/fhir/StructureDefinition/iso21090-ADXP-"
BIRTH_PLACE: Final = "http://hl7.org/fhir/StructureDefinition/patient-birthPlace"

#: HL7 table 0190 to FHIR. Source: HL7 v2-to-FHIR, AddressType[Use] and [Type]. The others are left unread.
_ADDRESS_USES: Final = {"H": "home", "B": "work", "O": "work", "C": "temp", "BA": "old", "BI": "billing"}
_ADDRESS_TYPES: Final = {"M": "postal", "SH": "postal"}
#: Places where nobody can be reached: of birth, of origin, the home at birth.
_NO_ADDRESS: Final = frozenset({"BDL", "N", "F", "BR"})
_BIRTH_PLACES: Final = frozenset({"BDL", "N"})

#: Germany as senders write it. Every other country stays as it was sent.
_GERMANY: Final = frozenset({"D", "DE", "DEU"})

#: HL7 table 0202 and 0201 to FHIR. Source: HL7 v2-to-FHIR, TelecommunicationEquipmentType and -UseCode.
_SYSTEMS: Final = {
    "PH": "phone", "CP": "phone", "FX": "fax", "BP": "pager",
    "MD": "other", "SAT": "other", "TDD": "other", "TTY": "other",
    "INTERNET": "email", "X.400": "email", "NET": "email",
}  # fmt: skip
_TELECOM_USES: Final = {"PRN": "home", "WPN": "work", "PRS": "mobile"}
_GERMAN_TRUNK: Final = "49"
_RANK = re.compile(r"[1-9][0-9]?")
_COUNTRY = re.compile(r"\s*\+?[0-9]{1,5}\s*")


def address(value: Value, scope: Scope) -> Json | None:
    """An Address. A place of birth or origin (BDL, N, F, BR) is none: it is left unread, for another rule to take."""
    return None if _kind(value[7]) in _NO_ADDRESS else _address(value, scope)


def birth_place(value: Value, scope: Scope) -> Json | None:
    """The extension patient-birthPlace of an address of the type BDL or N; None for every other."""
    if _kind(value[7]) not in _BIRTH_PLACES:
        return None
    found = _address(value, scope)
    if found is None:
        return None
    texts.token(value[7])
    return {"url": BIRTH_PLACE, "valueAddress": found}


def _kind(value: Value) -> str:
    return value.raw.strip().upper()


def _address(value: Value, scope: Scope) -> Json | None:
    lines = [line for line in (_street(value[1]), _addition(value[2])) if line is not None]
    country = texts.words(value[6])
    found: Json = {
        "line": [line for line, _extensions in lines],
        "_line": [{"extension": extensions} if extensions else None for _line, extensions in lines],
        "city": texts.words(value[3]),
        "district": texts.words(value[9]),
        "state": texts.words(value[4]),
        "postalCode": texts.words(value[5]),
        "country": "DE" if country.upper() in _GERMANY else country,
    }
    if not any(found["_line"]):
        del found["_line"]
    found = {name: part for name, part in found.items() if part}
    if not found:
        return None
    kind = _kind(value[7])
    for name, table in (("use", _ADDRESS_USES), ("type", _ADDRESS_TYPES)):
        if kind in table:
            texts.token(value[7])
            found[name] = table[kind]
    period = times.validity(value[13], value[14], scope) or times.validity(value[12][1], value[12][2], scope)
    return {**found, "period": period} if period else found


def _street(value: Value) -> tuple[str, list[Json]] | None:
    """SAD: the street line, with street and house number as extensions where they were sent apart."""
    line, street, house = (texts.words(value[number]) for number in (1, 2, 3))
    if not line:
        line = " ".join(part for part in (street, house) if part)
    elif house and not re.search(rf"(?<![0-9]){re.escape(house)}(?![0-9])", line):
        line = f"{line} {house}"
    parts = (("streetName", street), ("houseNumber", house))
    extensions = [{"url": _PART + name, "valueString": said} for name, said in parts if said]
    return (line, extensions) if line else None


def _addition(value: Value) -> tuple[str, list[Json]] | None:
    said = texts.words(value)
    return (said, [{"url": f"{_PART}additionalLocator", "valueString": said}]) if said else None


# ---- telecommunication


def contact_point(value: Value, scope: Scope) -> Json | None:
    """A ContactPoint. `use` is its use where XTN.2 says none.

    A number without a type of equipment is a telephone's; what holds an "@" is an e-mail address wherever it stands.
    """
    equipment = value[3].raw.strip().upper()
    system = _SYSTEMS.get(equipment, "other" if equipment else "phone")
    mail = next((part for part in (value[4], value[1], value[12]) if "@" in part.raw), value[4])
    has_number = any(part and "@" not in part.raw for part in (value[12], value[1], value[7]))
    if mail and (system == "email" or ("@" in mail.raw and not has_number)):
        said = texts.words(mail)
        means = "url" if said.startswith(("http://", "https://")) else "email"
    else:
        said, means = _number(value), "other" if system == "email" else system
    if not said:
        return None
    if equipment and means == system:
        texts.token(value[3])
    found: Json = {"system": means, "value": said}
    use = "mobile" if equipment == "CP" and means == system else _telecom_use(value[2], scope)
    if use:
        found["use"] = use
    rank = value[18].raw.strip()
    if _RANK.fullmatch(rank):
        texts.token(value[18])
        found["rank"] = int(rank)
    period = times.validity(value[13], value[14], scope)
    return {**found, "period": period} if period else found


def _telecom_use(value: Value, scope: Scope) -> str | None:
    sent = value.raw.strip().upper()
    if sent in _TELECOM_USES or sent == "NET":
        texts.token(value)
    return options.word(scope, "use") if sent in ("", "NET") else _TELECOM_USES.get(sent)


def _number(value: Value) -> str:
    """The number as it was written (XTN.12, XTN.1), or put together of its parts where they say more.

    Country and area code are sent without a leading 0 (German profile): 49, 40 and 7654321 are +49 40 7654321, 40 and
    7654321 alone 040 7654321. An extension follows a hyphen (DIN 5008).
    """
    written = value[12] or value[1]
    country = texts.words(value[5]) if value[7] and _COUNTRY.fullmatch(value[5].raw) else ""
    area, number, extension = (texts.words(value[n]) if value[7] else "" for n in (6, 7, 8))
    if not number:
        said, extension = texts.words(written), value[8].raw.strip()
        return f"{said}-{texts.words(value[8])}" if said and not _ends(said, extension) else said
    country = country.lstrip("+").removeprefix("00")
    if written and _ends(written.raw, area.lstrip("0") + number + extension):
        said = texts.words(written)
        if not country or said.startswith((f"+{country}", f"00{country}")):
            return said
    if country:
        area = f"+{country} {area.removeprefix('0') if country == _GERMAN_TRUNK else area}".rstrip()
    elif area and not area.startswith(("0", "+")):
        area = f"0{area}"
    return " ".join(part for part in (area, number) if part) + (f"-{extension}" if extension else "")


def _ends(text: str, digits: str) -> bool:
    """Whether a number has these digits at its end, whatever stands between them."""
    return re.sub(r"\D", "", text).endswith(re.sub(r"\D", "", digits))
