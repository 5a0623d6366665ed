"""What only German profiles have: official sex, kind of insurance, Versichertenart. de.basisprofil.r4 1.5.4."""

from __future__ import annotations

from typing import Final

from mappers.v2_to_fhir.datatypes import codings, texts
from mappers.v2_to_fhir.reading import Unusable, Value
from mappers.v2_to_fhir.scope import Json, Scope

GENDER: Final = "http://fhir.de/StructureDefinition/gender-amtlich-de"
GENDER_CODES: Final = "http://fhir.de/CodeSystem/gender-amtlich-de"
INSURANCES: Final = "http://fhir.de/CodeSystem/versicherungsart-de-basis"
INSURED: Final = "http://fhir.de/StructureDefinition/gkv/versichertenart"
INSURED_CODES: Final = "https://fhir.kbv.de/CodeSystem/KBV_CS_SFHIR_KBV_VERSICHERTENSTATUS"

_GENDERS: Final = {"D": "divers", "X": "unbestimmt"}
_INSURANCES: Final = {
    "GKV": "gesetzliche Krankenversicherung",
    "PKV": "private Krankenversicherung",
    "BG": "Berufsgenossenschaft",
    "SEL": "Selbstzahler",
    "SOZ": "Sozialamt",
    "GPV": "gesetzliche Pflegeversicherung",
    "PPV": "private Pflegeversicherung",
    "BEI": "Beihilfe",
}
#: First digit of the status on the card; cards before the eGK and GSG0012 fill it up with zeros (1000).
_INSURED: Final = {"1": "Mitglieder", "3": "Familienangehoerige", "5": "Rentner"}


def sex_extension(value: Value, _scope: Scope) -> Json | None:
    """The extension of Patient.gender `other` for PID-8 D (divers) or X (unbestimmt); None for every other."""
    code = value[1].raw.strip().upper()
    if code not in _GENDERS:
        return None
    texts.token(value[1])
    return {"url": GENDER, "valueCoding": {"system": GENDER_CODES, "code": code, "display": _GENDERS[code]}}


def coverage_type(value: Value, scope: Scope) -> Json | None:
    """Coverage.type (IN1-2): GKV, PKV, BG, SEL … of versicherungsart-de-basis; else the sender's own concept."""
    code = value[1].raw.strip().upper()
    if code not in _INSURANCES:
        return codings.codeable_concept(value, scope)
    texts.token(value[1])
    return {"coding": [{"system": INSURANCES, "code": code, "display": _INSURANCES[code]}]}


def insured_status(value: Value, _scope: Scope) -> Json | None:
    """The extension Versichertenart of a Coverage (IN1-15): 1, 3 or 5, also as 1000. Unusable for another status."""
    sent = texts.token(value[1])
    if not sent:
        return None
    code = sent[0] if sent[1:] in ("", "000") else ""
    if code not in _INSURED:
        raise Unusable("it is none of 1 (member), 3 (family) and 5 (pensioner)")
    return {"url": INSURED, "valueCoding": {"system": INSURED_CODES, "code": code, "display": _INSURED[code]}}
