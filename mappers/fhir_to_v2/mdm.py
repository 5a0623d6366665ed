"""A Composition as MDM: a document with its text. HL7 v2.5 chapter 9; HL7 Deutschland, MDM-Nachrichten.

T02 brings a document, T08 changes it (the release does), T10 replaces another one, T11 takes one back.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from typing import Final, Literal

from mappers import er7
from mappers.fhir_to_v2 import datatypes, header, narrative, standing, writing
from mappers.fhir_to_v2.datatypes import Json

Event = Literal["T02", "T08", "T10", "T11"]

#: TXA-17, table 0271: pre-authenticated (signed by nobody), or legally authenticated, as the release's Provenance says.
_COMPLETION: Final = {"draft": "PA", "released": "LA", "withdrawn": "PA"}

#: TXA-19, table 0273: not available for patient care, available, deleted.
_AVAILABILITY: Final = {"draft": "UN", "released": "AV", "withdrawn": "CA"}

#: TXA-18, table 0272, by Composition.confidentiality: very restricted, restricted, and usual control for all others.
_CONFIDENTIALITY: Final = {"V": "V", "R": "R"}


def message(
    route: header.Route,
    visit: header.Visit,
    composition: Json,
    *,
    event: Event,
    control_id: str,
    at: dt.datetime,
    parent: str | None = None,
) -> er7.Message:
    """The document. `parent` is the identifier of the document that a T10 replaces.

    TXA-17 comes from the Composition alone: LA only where a clinician has released it.
    """
    structure = "MDM_T01" if event == "T11" else "MDM_T02"

    def body(writer: writing.Writer) -> Iterator[er7.Segment]:
        yield _txa(writer, route, visit, composition, event, at, parent)
        if event != "T11":
            yield from _observations(writer, route, composition)

    return header.compose(route, visit, ("MDM", event, structure), control_id, at, body)


def _txa(
    writer: writing.Writer,
    route: header.Route,
    visit: header.Visit,
    composition: Json,
    event: Event,
    at: dt.datetime,
    parent: str | None,
) -> er7.Segment:
    identifier = datatypes.own_id(composition)
    stands = standing.of(composition) if event != "T11" else "withdrawn"
    written = datatypes.time(composition.get("date"), route.zone)
    return writer.segment(
        "TXA",
        {
            1: "1",
            2: datatypes.coded(_type(composition), "LN"),  # an IS until 2.6, but sent as CWE, as it is since 2.7
            3: "FT",
            4: datatypes.time(visit.encounter.get("period", {}).get("start"), route.zone),
            5: _provider(visit),
            6: written,
            7: written,
            8: datatypes.moment(at, route.zone) if event == "T08" else None,
            9: [visit.person(author.get("reference", ""), author.get("display")) for author in composition["author"]],
            12: datatypes.entity(identifier),
            13: datatypes.entity(parent) if parent else None,
            16: f"{_file_name(composition)}-{identifier}.txt",
            17: _COMPLETION[stands],
            18: _CONFIDENTIALITY.get(composition.get("confidentiality", ""), "U"),
            19: _AVAILABILITY[stands],
            22: _authenticator(visit, route, composition) if stands == "released" else None,
        },
    )


def _type(composition: Json) -> Json:
    coding: Json = next(iter(composition["type"].get("coding", [])), {"code": composition["type"].get("text")})
    return coding


def _provider(visit: header.Visit) -> er7.FieldValue:
    """The encounter's first Practitioner."""
    people = (participant.get("individual", {}) for participant in visit.encounter.get("participant", []))
    found = next((person for person in people if person.get("reference", "").startswith("Practitioner/")), None)
    return visit.person(found["reference"], found.get("display")) if found else None


def _authenticator(visit: header.Visit, route: header.Route, composition: Json) -> er7.FieldValue:
    attester = composition["attester"][0]
    signer = visit.person(attester["party"]["reference"], attester["party"].get("display"))
    return datatypes.signature(signer, datatypes.time(attester.get("time"), route.zone))


_UNFIT: Final = re.compile(r"[^A-Za-z0-9]+")


def _file_name(composition: Json) -> str:
    """The title as part of a file name, the same before and after the release."""
    title = str(composition.get("title") or "Dokument").removesuffix(" (Entwurf)")
    return _UNFIT.sub("-", title).strip("-") or "Dokument"


def _observations(writer: writing.Writer, route: header.Route, composition: Json) -> Iterator[er7.Segment]:
    """One OBX with formatted text for each section, in their order."""
    status = "F" if standing.of(composition) == "released" else "P"
    written = datatypes.time(composition.get("date"), route.zone)
    texts = [(_heading(composition, section), _text(section)) for section in _sections(composition)]
    if status == "P":
        name, text = texts[0]
        texts[0] = (name, f"{standing.NOTICE}\n{text}")
    for number, (name, text) in enumerate(texts, start=1):
        values: dict[int, er7.FieldValue] = {1: str(number), 2: "FT", 3: name, 4: str(number), 5: text, 11: status}
        yield writer.segment("OBX", {**values, 14: written})


def _sections(parent: Json) -> list[Json]:
    """All sections in the order in which they are read; the document itself where it has none."""
    found: list[Json] = []
    for section in parent.get("section", []):
        found += [section, *(_sections(section) if section.get("section") else [])]
    return found or [parent]


def _heading(composition: Json, section: Json) -> datatypes.Components:
    """OBX-3: the section's LOINC code with its German title; the document's where the section has no code."""
    coding = next(iter(section.get("code", {}).get("coding", [])), None) or _type(composition)
    return datatypes.coded(coding, "LN", section.get("title"))


def _text(section: Json) -> str:
    """Title and text: a receiver that joins the OBX to one document keeps the sections apart."""
    body = narrative.lines(section.get("text", {}).get("div", ""))
    return "\n".join([f"{section.get('title', '')}:", *body] if section.get("title") else body)
