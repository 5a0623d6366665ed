"""Codes of ICD-10-GM and OPS as German systems write them, with the signs behind them taken off.

Sources: ICD-10-GM and OPS, BfArM, "Anleitung zur Verschlüsselung" (†, *, !; Zusatzkennzeichen G V A Z and R L B);
fhir.de CodingICD10GM and CodingOPS 1.5.4; the German HL7 v2.5 profile, segments DG1 and PR1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from mappers import fhir_names
from mappers.v2_to_fhir.scope import Json

_CERTAINTIES: Final = {
    "G": "gesicherte Diagnose",
    "V": "Verdachtsdiagnose",
    "A": "ausgeschlossene Diagnose",
    "Z": "(symptomloser) Zustand nach der betreffenden Diagnose",
}
_SIDES: Final = {"R": "rechts", "L": "links", "B": "beiderseits"}
_MARKS: Final = {"+": "†", "†": "†", "*": "*", "!": "!"}

_DIAGNOSIS = re.compile(r"([A-Z][0-9]{2})(?:\.?([0-9]{1,2}))?((?:[ ,;:/]*[A-Z+†*!])*)")
_PROCEDURE = re.compile(r"([135689]-[0-9][0-9a-z]{2})(?:\.([0-9a-z]{1,2}))?(?:[ ,;:/]+([RLBrlb]))?", re.ASCII)
_PROCEDURE_SIDE = re.compile(r"([135689]-[0-9][0-9a-z]{2}\.[0-9a-z]{2})([RLB])", re.ASCII)


@dataclass(frozen=True, slots=True)
class Classified:
    """A code, with dot, and the extensions of its Coding."""

    code: str
    extensions: tuple[Json, ...] = ()


def diagnosis(text: str) -> Classified | None:
    """An ICD-10-GM code with certainty, side and mark behind it in any order; None for what does not look like one.

    `N26 L V`, `I10.90G`, `E11.90+`, `G63.2*`, `S5250 R`. Two signs of one kind (`G V`) are no code, nor is a code that
    is not finished (`E11.-`).
    """
    found = _DIAGNOSIS.fullmatch(text.strip().upper())
    if found is None:
        return None
    signs = [sign for sign in found[3] if sign not in " ,;:/"]
    extensions: list[Json] = []
    for kind, names in (("certainty", _CERTAINTIES), ("side", _SIDES), ("mark", _MARKS)):
        own = [sign for sign in signs if sign in names]
        if len(own) > 1:
            return None
        signs = [sign for sign in signs if sign not in names]
        extensions += [_extension(kind, sign) for sign in own]
    code = f"{found[1]}.{found[2]}" if found[2] else found[1]
    return None if signs else Classified(code, tuple(extensions))


def procedure(text: str) -> Classified | None:
    """An OPS code with a side behind it; None for what does not look like one.

    The side stands apart (`5-470.0 R`) or as a capital behind six places (`5-820.00R`): the letter of `5-470.0R` may as
    well be the sixth place.
    """
    found = _PROCEDURE_SIDE.fullmatch(text.strip()) or _PROCEDURE.fullmatch(_lowered(text.strip()))
    if found is None:
        return None
    if found.re is _PROCEDURE_SIDE:
        return Classified(found[1], (_extension("side", found[2]),))
    code = f"{found[1]}.{found[2]}" if found[2] else found[1]
    return Classified(code, (_extension("side", found[3].upper()),) if found[3] else ())


def _lowered(text: str) -> str:
    """OPS writes its letters small; senders with capitals mean the same, unless the letter could be a side."""
    return text if re.fullmatch(r"[0-9]-[0-9A-Z]{3}\.[0-9A-Z][RLB]", text) else text.lower()


def _extension(kind: str, sign: str) -> Json:
    if kind == "certainty":
        return _coded(fhir_names.DIAGNOSESICHERHEIT, fhir_names.DIAGNOSESICHERHEIT_CODES, sign, _CERTAINTIES[sign])
    if kind == "side":
        return _coded(fhir_names.SEITENLOKALISATION, fhir_names.SEITENLOKALISATION_CODES, sign, _SIDES[sign])
    return _coded(fhir_names.MEHRFACHCODIERUNG, fhir_names.MEHRFACHCODIERUNG_CODES, _MARKS[sign], None)


def _coded(url: str, system: str, code: str, display: str | None) -> Json:
    coding: Json = {"system": system, "code": code}
    return {"url": url, "valueCoding": {**coding, "display": display} if display else coding}
