"""What every message begins with: MSH, EVN, PID and PV1, and the ZBE of the German profiles.

Patient, visit, delimiters and character set are those of the message that the encounter was received with, so that the
hospital recognises its own identifiers.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from mappers import er7
from mappers.fhir_to_v2 import characters, datatypes, writing
from mappers.fhir_to_v2.datatypes import Json


class Nobody(Exception):
    """The encounter names no patient by which a message could be sent: it needs a subject, or a received PID-3."""


class Empty(Exception):
    """There is nothing to send: an HL7 v2 message of this kind needs one result at least."""


@dataclass(frozen=True, slots=True)
class Route:
    """Who sends to whom: MSH-3 to MSH-6, the processing id, the version and the acknowledgements that are asked for."""

    application: str
    facility: str
    receiving_application: str
    receiving_facility: str
    processing: str = "P"
    version: str = "2.5"
    country: str = "DEU"
    accept: str = "AL"
    answer: str = "NE"
    timezone: str = "Europe/Berlin"

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        """The zone that all times are written in."""
        return zoneinfo.ZoneInfo(self.timezone)


@dataclass(frozen=True, slots=True)
class Visit:
    """What the encounter is known by. `received` is the last HL7 v2 message of the encounter, where there was one;
    `practitioners` are FHIR Practitioners by their references, for names and the hospital's own numbers.
    """

    patient: Json | None
    encounter: Json
    received: er7.Message | None = None
    practitioners: Mapping[str, Json] = field(default_factory=dict)

    def person(self, reference: str, display: str | None = None) -> datatypes.Components:
        """XCN of a Practitioner or Device."""
        return datatypes.person(reference, display, self.practitioners)


Body = Callable[[writing.Writer], Iterable[er7.Segment]]


def compose(
    route: Route, visit: Visit, kind: tuple[str, str, str], control_id: str, at: dt.datetime, body: Body
) -> er7.Message:
    """The whole message. `kind` is MSH-9. It is UTF-8 where the received character set lacks a character of it."""
    *better, widest = writing.contexts(visit.received)
    for context in better:
        message = _written(context, route, visit, kind, control_id, at, body)
        if _is_encodable(message):
            return message
    return _written(widest, route, visit, kind, control_id, at, body)


def _is_encodable(message: er7.Message) -> bool:
    try:
        message.encode()
    except er7.Unencodable:
        return False
    return True


def _written(
    context: er7.Context, route: Route, visit: Visit, kind: tuple[str, str, str], control_id: str, at: dt.datetime,
    body: Body,
) -> er7.Message:  # fmt: skip
    writer = writing.Writer(context, visit.received.context if visit.received is not None else None)
    sent = datatypes.moment(at, route.zone)
    begin = [_msh(writer, route, visit, kind, control_id, sent)]
    if kind[0] != "ORU":  # the structure ORU_R01 has no EVN
        begin.append(writer.segment("EVN", {2: sent}))
    begin += [_pid(writer, visit), _pv1(writer, visit)]
    return er7.Message([*begin, *body(writer)], context)


def _msh(
    writer: writing.Writer, route: Route, visit: Visit, kind: tuple[str, str, str], control_id: str, sent: str
) -> er7.Segment:
    country = (route.country, None, "HL70399") if route.country else None
    return writer.segment(
        "MSH",
        {
            3: route.application,
            4: route.facility,
            5: route.receiving_application,
            6: route.receiving_facility,
            7: sent,
            9: kind,
            10: control_id,
            11: route.processing,
            12: (route.version, country),
            15: route.accept,
            16: route.answer,
            17: route.country,
            18: _character_set(writer.context.codec, visit.received),
        },
    )


def _character_set(codec: str, received: er7.Message | None) -> str | None:
    """MSH-18: as it was received where that is true, else the standard's name of the character set."""
    declared = received.text("MSH-18") if received is not None else ""
    return declared if declared and er7.codec_named(declared) == codec else characters.name(codec)


_PID_TAKEN: Final = (2, 3, 4, 5, 7, 8, 18)  # identifiers, name, birth date, sex, account: what tells who it is
_PV1_TAKEN: Final = (2, 3, 19, 44, 50)  # class, place, visit numbers, admission


def _pid(writer: writing.Writer, visit: Visit) -> er7.Segment:
    taken = _taken(writer, visit, "PID", _PID_TAKEN)
    patient = visit.patient or {}
    values = {**_patient(patient), **taken, 1: "1"}
    if not values.get(3):
        values[3] = _patient_id(visit)
    return writer.segment("PID", values)


def _taken(writer: writing.Writer, visit: Visit, name: str, numbers: Iterable[int]) -> dict[int, er7.FieldValue]:
    segment = visit.received.first(name) if visit.received is not None else None
    if segment is None:
        return {}
    values = {number: writer.taken(segment.field(number)) for number in numbers}
    return {number: value for number, value in values.items() if value}


_SEXES: Final = {"female": "F", "male": "M", "other": "O", "unknown": "U"}


def _patient(patient: Json) -> dict[int, er7.FieldValue]:
    return {
        3: [
            datatypes.patient_id(identifier) for identifier in patient.get("identifier", []) if identifier.get("value")
        ],
        5: datatypes.patient_names(patient.get("name", [])),
        7: patient.get("birthDate", "").replace("-", ""),
        8: _SEXES.get(patient.get("gender", "")),
    }


def _patient_id(visit: Visit) -> er7.FieldValue:
    """The patient's logical id: all that is known of a patient without an identifier."""
    subject = visit.encounter.get("subject", {})
    logical = (visit.patient or {}).get("id") or subject.get("reference", "").rpartition("/")[2]
    if logical:
        return (logical, None, None, datatypes.NAMESPACE, "PI")
    if subject.get("identifier", {}).get("value"):
        return datatypes.patient_id(subject["identifier"])
    raise Nobody


#: Encounter.class (v3-ActCode) in table 0004. What is not here is not known.
_CLASSES: Final = {
    "IMP": "I", "ACUTE": "I", "NONAC": "I", "SS": "I", "EMER": "E", "PRENC": "P", "OBSENC": "O",
    "AMB": "O", "HH": "O", "VR": "O", "FLD": "O",
}  # fmt: skip


def _pv1(writer: writing.Writer, visit: Visit) -> er7.Segment:
    made: dict[int, er7.FieldValue] = {
        2: _CLASSES.get(visit.encounter.get("class", {}).get("code", ""), "U"),
        19: _visit_number(visit.encounter),
    }
    return writer.segment("PV1", {**made, **_taken(writer, visit, "PV1", _PV1_TAKEN), 1: "1"})


def _visit_number(encounter: Json) -> er7.FieldValue:
    """The encounter's visit number (type VN), else its first identifier, else its logical id."""
    identifiers = [identifier for identifier in encounter.get("identifier", []) if identifier.get("value")]
    numbers = [identifier for identifier in identifiers if datatypes.patient_id(identifier)[4] == "VN"]
    for identifier in (*numbers, *identifiers):
        return (*datatypes.patient_id(identifier)[:4], "VN")
    return (encounter["id"], None, None, datatypes.NAMESPACE, "VN") if encounter.get("id") else None


def movement(writer: writing.Writer, visit: Visit) -> list[er7.Segment]:
    """ZBE: a reference to the movement that was received last (HL7 Deutschland, Diagnosenübermittlung; after PV1).

    There is none where no movement was received, or where the last thing received took it back.
    """
    zbe = visit.received.first("ZBE") if visit.received is not None else None
    if zbe is None or not zbe.field(1).text or zbe.field(4).text == "DELETE":
        return []
    return [writer.segment("ZBE", {1: writer.taken(zbe.field(1)), 2: writer.taken(zbe.field(2)), 4: "REFERENCE"})]
