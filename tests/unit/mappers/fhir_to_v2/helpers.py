"""Real results of bundled cases, and an invented visit to send them for."""

from __future__ import annotations

import copy
import datetime as dt
import functools
from typing import Any

from mappers import er7
from mappers.fhir_to_v2 import header
from mappers.results_to_fhir import bundle, links
from pipeline.evaluation import cases
from pipeline.stages import bill, check, code, read_document, scribe, summarise

Json = dict[str, Any]

AT = dt.datetime(2026, 6, 10, 7, 31, tzinfo=dt.UTC)
ROUTE = header.Route("FHIR-GATEWAY", "HAUS", "KIS", "ADT")
SIGNER = "Practitioner/a1"

ADMISSION = (
    "MSH|^~\\&|KIS|ADT|FHIR-GATEWAY|HAUS|20260610090000||ADT^A04^ADT_A01|A1|P|2.5^DEU&&HL70399|||AL|NE|DEU|8859/1\r"
    "EVN||20260610090000\r"
    "PID|1|S-77|654318^^^Weiden-Klinik^PI~A123456780^^^GKV^NI||Schäfer&von&Schäfer^Ernst^^^Dr.^^L~Müller^^^^^^M||19570816"
    "|M|||Amselgasse 12^^Karlsruhe^^76131\r"
    "PV1|1|O|CHI^202^2^CH^^N||||||||||||||||543216^^^Weiden-Klinik^VN|||||||||||||||||||||||||202606100900\r"
    "ZBE|567678^KIS|202606100900||INSERT\r"
)

PATIENT: Json = {
    "resourceType": "Patient",
    "id": "p1",
    "identifier": [{"type": {"coding": [{"code": "MR"}]}, "system": "urn:oid:1.2.276.0.76.3", "value": "4711"}],
    "name": [{"use": "official", "family": "Muster", "given": ["Kim", "Änne", "Jo"], "prefix": ["Dr."]}],
    "gender": "female",
    "birthDate": "1958-03-01",
}
ENCOUNTER: Json = {
    "resourceType": "Encounter",
    "id": "e1",
    "identifier": [
        {"system": "urn:test", "value": "other"},
        {
            "type": {"coding": [{"code": "VN"}]},
            "system": "https://haus.example/fall",
            "assigner": {"display": "HAUS"},
            "value": "F-9",
        },
    ],
    "class": {"code": "IMP"},
    "subject": {"reference": "Patient/p1"},
    "period": {"start": "2026-06-10T09:00:00+02:00"},
    "participant": [{"individual": {"reference": SIGNER}}],
}
PRACTITIONER: Json = {
    "resourceType": "Practitioner",
    "id": "a1",
    "identifier": [{"type": {"coding": [{"code": "LANR"}]}, "system": "urn:oid:1.2.276.0.76.4.16", "value": "840601"}],
    "name": [{"family": "Beispiel", "given": ["Änne"], "prefix": ["Dr. med."]}],
}


@functools.cache
def _made(case: str) -> list[Json]:
    documented = cases.named(case).consultation
    transcript = read_document.run(documented)
    note = scribe.run(documented, transcript)
    coding = code.run(documented, transcript, note)
    surroundings = links.Links(
        run="r1", encounter="Encounter/e1", patient="Patient/p1", recorded="2026-06-10T07:30:00.123456Z",
        sources=tuple(source.id for source in documented.sources), sources_key="k", device="Device/d1",
        transcript=transcript, provider=SIGNER,
    )  # fmt: skip
    return bundle.build(
        surroundings,
        note=note,
        summary=summarise.run(documented, transcript, note),
        coding=coding,
        check=check.run(documented, transcript, note),
        billing=bill.run(documented, transcript, note, coding, None),
    )


def made(case: str, resource_type: str) -> list[Json]:
    """The resources of a type that the pipeline and the mappers make of a bundled case."""
    return [copy.deepcopy(found) for found in _made(case) if found["resourceType"] == resource_type]


def visit(received: str | None = ADMISSION, codec: str = "latin-1") -> header.Visit:
    """A visit that was received with this message, or by FHIR."""
    message = er7.parse(received.encode(codec)) if received is not None else None
    return header.Visit(PATIENT, ENCOUNTER, message, {SIGNER: PRACTITIONER})


def read(message: er7.Message) -> er7.Message:
    """The message as the receiver reads it from its bytes; nothing in it is odd."""
    received = er7.parse(message.encode())
    assert received.notes == ()
    assert [segment.raw for segment in received.segments] == [segment.raw for segment in message.segments]
    return received


def names(message: er7.Message) -> list[str]:
    """The segments by their names."""
    return [segment.name for segment in message.segments]
