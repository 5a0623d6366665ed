"""Codes: CWE, CNE, CE, ID, IS. HL7 v2.5 chapter 2.A; FHIR R4 code, Coding, CodeableConcept, boolean."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final, NamedTuple

from mappers import fhir_names
from mappers.v2_to_fhir.datatypes import classifications, code_systems, options, texts
from mappers.v2_to_fhir.reading import Unusable, Value
from mappers.v2_to_fhir.scope import Json, Scope, Table

_YEAR = re.compile(r"(?:19|20)[0-9]{2}")
_SNOMED_CODE = re.compile(r"[1-9][0-9]{5,17}")
_TRUTHS: Final = {"Y": True, "J": True, "N": False}  # HL7 table 0136, and German "J"


class Triple(NamedTuple):
    """Code, text, coding system and its version: a CWE has three of them."""

    code: Value
    text: Value
    system: Value
    version: Value


def triples(value: Value) -> list[Triple]:
    """Those that have a code or a text."""
    places = ((1, 2, 3, 7), (4, 5, 6, 8), (10, 11, 12, 13))
    found = [Triple(*(value[number] for number in place)) for place in places]
    return [triple for triple in found if triple.code or triple.text]


def of_triple(triple: Triple, scope: Scope, default: str | None = None) -> Json | None:
    """The Coding that the sender means; None without a code. `default` is the system of a code that names none."""
    code = texts.token(triple.code)
    if not code:
        return None
    name = texts.token(triple.system)
    system, version = code_systems.named(name, scope) if name else (default, None)
    display = texts.words(triple.text)
    extensions: tuple[Json, ...] = ()
    if system in (fhir_names.ICD_10_GM, code_systems.OPS):
        is_diagnosis = system == fhir_names.ICD_10_GM
        classified = classifications.diagnosis(code) if is_diagnosis else classifications.procedure(code)
        if classified is None:
            system, version = code_systems.local(name, scope) if name else None, None
        else:
            code, extensions = classified.code, classified.extensions
            version = version or _year(triple.version)
    elif system == code_systems.SNOMED_CT and not _SNOMED_CODE.fullmatch(code):
        system = code_systems.local(name, scope) if name else None
    else:
        version = texts.words(triple.version) or version
    coding: Json = {"extension": list(extensions), "system": system, "version": version, "code": code}
    return {key: part for key, part in {**coding, "display": display}.items() if part}


def _year(version: Value) -> str | None:
    """The catalogue year of ICD-10-GM or OPS. A version that is none is left unread."""
    found = _YEAR.search(version.raw)
    if found is not None:
        texts.words(version)
    return found[0] if found else None


def _is_ours(coding: Json) -> bool:
    """Whether nobody but the sender can know what the code means."""
    return "display" not in coding and coding.get("system", code_systems.LOCAL).startswith(code_systems.LOCAL)


def _table(scope: Scope) -> Table | None:
    name = options.word(scope, "table")
    return scope.tables[name] if name else None


def _row(table: Table, sent: str) -> Json:
    coding = table.coding(sent)
    if coding is None or not coding.get("code"):
        raise Unusable(f"no row in table {table.name} for this code")
    return coding


# ---- conversions


def code(value: Value, scope: Scope) -> str | None:
    """The code that the table (`table`) has for the first component, or for the fourth where there is no first.

    Unusable when the table has no row.
    """
    found = coding(value, scope)
    return str(found["code"]) if found else None


def boolean(value: Value, _scope: Scope) -> bool | None:
    """Y or N of HL7 table 0136, J for Y. Unusable otherwise."""
    sent = texts.token(value[1]).upper()
    if sent and sent not in _TRUTHS:
        raise Unusable("it is neither Y (J) nor N")
    return _TRUTHS.get(sent)


def coding(value: Value, scope: Scope) -> Json | None:
    """A Coding: the table's (`table`; Unusable without a row), else the sender's first one with `system` as default."""
    table = _table(scope)
    if table is not None:
        sent = texts.token(value[1]) or texts.token(value[4])
        return _row(table, sent) if sent else None
    for triple in triples(value)[:1]:
        found = of_triple(triple, scope, options.word(scope, "system"))
        said = texts.words(triple.text)
        return found or ({"display": said} if said else None)
    return None


def codeable_concept(value: Value, scope: Scope) -> Json | None:
    """A CodeableConcept of all codings that were sent. Its text is the original text, else the first text.

    `table` puts the table's coding of the first code in front; with `keep: false` it stands in the place of the
    sender's. A code that the table does not have stays the sender's. `system` is the system of a code that names none.
    `text: true` is for fields of free text (ST): all of it is the text.
    """
    if options.flag(scope, "text", default=False):
        said = texts.lines(value)
        return {"text": said} if said else None
    sent = triples(value)
    codings: list[Json] = []
    table = _table(scope)
    ours = table.coding(texts.token(sent[0].code)) if table is not None and sent else None
    if ours is None or options.flag(scope, "keep", default=True):
        codings = [found for triple in sent if (found := of_triple(triple, scope, options.word(scope, "system")))]
    if ours is not None:
        same = (ours.get("system"), ours.get("code"))
        codings = [ours, *(found for found in codings if (found.get("system"), found.get("code")) != same)]
    text = texts.words(value[9]) or next((said for triple in sent if (said := texts.words(triple.text))), "")
    if not text and codings and all(_is_ours(found) for found in codings):
        text = codings[0]["code"]
        codings = [] if " " in text and "system" not in codings[0] else codings
    concept = {"coding": codings, "text": text}
    return {key: part for key, part in concept.items() if part} or None


def icd10gm(value: Value, scope: Scope) -> Json | None:
    """A diagnosis (DG1-3): a CodeableConcept whose codes are ICD-10-GM where the sender names no other system.

    Diagnosesicherheit, Seitenlokalisation and Mehrfachcodierungs-Kennzeichen behind the code become the German
    extensions, the year of `I10-2026` (or CWE.7) the version. What does not look like a code of ICD-10 stays the
    sender's own coding.
    """
    return codeable_concept(value, _with_system(scope, fhir_names.ICD_10_GM))


def ops(value: Value, scope: Scope) -> Json | None:
    """A procedure (PR1-3): the same with OPS, whose codes have a side only."""
    return codeable_concept(value, _with_system(scope, code_systems.OPS))


def _with_system(scope: Scope, system: str) -> Scope:
    return replace(scope, options={"system": system, **scope.options})
