"""Names of people: XPN, and the name inside XCN. HL7 v2.5 chapter 2.A; FHIR R4 HumanName.

German use: de.basisprofil.r4 humanname-de-basis 1.5.4 and the German HL7 v2.5 profile (wiki.hl7.de, V25dt:XPN): the
family name stands whole in FN.1 and in its parts behind it. The profile has no component for a Namenszusatz (Graf), so
none is made.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from mappers.v2_to_fhir.datatypes import options, texts, times
from mappers.v2_to_fhir.reading import Value
from mappers.v2_to_fhir.scope import Json, Scope

_EXTENSION: Final = "http://hl7.org/fhir/StructureDefinition/"
_QUALIFIER: Final = f"{_EXTENSION}iso21090-EN-qualifier"

#: FN.2 to FN.5.
_FAMILY_PARTS: Final = (
    (2, "humanname-own-prefix"),
    (3, "humanname-own-name"),
    (4, "humanname-partner-prefix"),
    (5, "humanname-partner-name"),
)

#: HL7 table 0200 to FHIR name-use. Source: HL7 v2-to-FHIR, NameType; B (name at birth, German profile IN1-16), S
#: (pseudonym) and NOUSE are ours. A type that is not here (A, C, I, P …) is left unread.
_USES: Final = {
    "L": "official", "R": "official", "D": "usual", "M": "maiden", "B": "maiden", "N": "nickname", "MSK": "anonymous",
    "S": "anonymous", "TEMP": "temp", "NAV": "temp", "BAD": "old", "NOUSE": "old",
}  # fmt: skip

_ACADEMIC = re.compile(r"(?:univ\.?-?\s*)?(?:prof|dr|pd|priv|dipl|diplom|mag|doz)(?:[.\s-]|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Name:
    """A name in its parts."""

    family: str
    family_parts: tuple[Json, ...]
    given: tuple[str, ...]
    prefixes: tuple[str, ...]
    suffixes: tuple[str, ...]

    def __str__(self) -> str:
        """As one writes it: Prof. Dr. Erika von Muster, MdB."""
        named = " ".join(part for part in (*self.prefixes, *self.given, self.family) if part)
        return ", ".join(part for part in (named, *self.suffixes) if part)


def name(value: Value, first: int, *, last: int | None = None) -> Name:
    """The name whose family name (FN) is component `first`; `last` is that of a professional suffix (XPN.14)."""
    family, parts = _family(value[first])
    prefix, degree = texts.words(value[first + 4]), texts.words(value[first + 5])
    stands_before = not prefix and _ACADEMIC.match(degree) is not None
    suffixes = (
        texts.words(value[first + 3]),
        "" if stands_before else degree,
        texts.words(value[last]) if last else "",
    )
    return Name(
        family,
        parts,
        tuple(given for n in (1, 2) if (given := texts.words(value[first + n]))),
        tuple(part for part in (prefix, degree if stands_before else "") if part),
        tuple(part for part in suffixes if part),
    )


def _family(value: Value) -> tuple[str, tuple[Json, ...]]:
    family = texts.words(value[1])
    parts = {number: said for number, _name in _FAMILY_PARTS if (said := texts.words(value[number]))}
    if not family:
        own = [parts[number] for number in (2, 3) if number in parts]
        family = " ".join(own or [parts[number] for number in (4, 5) if number in parts])
    extensions = (
        {"url": _EXTENSION + called, "valueString": parts[number]}
        for number, called in _FAMILY_PARTS
        if number in parts
    )
    return family, tuple(extensions)


# ---- conversions


def human_name(value: Value, scope: Scope) -> Json | None:
    """A HumanName (XPN) with its text; an academic title carries the qualifier AC as humanname-de-basis wants it."""
    said = name(value, 1, last=14)
    if not str(said):
        return None
    found: Json = {"text": str(said)}
    use = _USES.get(value[7].raw.strip().upper())
    if use:
        texts.token(value[7])
        found["use"] = use
    if said.family:
        found["family"] = said.family
        if said.family_parts:
            found["_family"] = {"extension": list(said.family_parts)}
    if said.given:
        found["given"] = list(said.given)
    if said.prefixes:
        found["prefix"] = list(said.prefixes)
        titles = [_title(prefix) for prefix in said.prefixes]
        if any(titles):
            found["_prefix"] = titles
    if said.suffixes:
        found["suffix"] = list(said.suffixes)
    period = times.validity(value[12], value[13], scope) or times.validity(value[10][1], value[10][2], scope)
    if period:
        found["period"] = period
    return found


def _title(prefix: str) -> Json | None:
    return {"extension": [{"url": _QUALIFIER, "valueCode": "AC"}]} if _ACADEMIC.match(prefix) else None


def person(value: Value, scope: Scope) -> str | None:
    """A person's name as one writes it: of an XCN, whose id is left unread, or of an XPN with `datatype: XPN`."""
    first = 1 if options.word(scope, "datatype") == "XPN" else 2
    return str(name(value, first)) or None
