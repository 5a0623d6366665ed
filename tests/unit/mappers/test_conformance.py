"""`mappers.conformance`: nothing to say of what we send, much of what is missing or odd, never a value."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import hl7apy
import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.exceptions import HL7apyException
from hl7apy.parser import parse_message
from hl7apy.validation import Validator
from hypothesis import given
from hypothesis import strategies as st

from mappers import conformance, er7, message_structure
from tests.support import SHARED

SAMPLES = SHARED / "data" / "hl7v2"
VERSIONS = sorted(hl7apy.SUPPORTED_LIBRARIES)
SECRET = "Geheimrath"

Fields = Mapping[int, er7.FieldValue]
NOW = "20261101120000"
PID: Fields = {
    1: "1", 3: [("4711", None, None, ("KIS", "1.2.276.0.76", "ISO"), "PI"), ("X110411319", None, None, "GKV", "NII")],
    5: [(("Müller", None, "Müller"), "Änne", None, None, "Dr.", None, "L"), (("Groß",), *[None] * 5, "M")],
    7: "195002", 8: "F", 11: [(("Falkenstr. 10", "Falkenstr.", "10"), None, "Köln", None, "50667", "DEU", "H")],
}  # fmt: skip
PV1: Fields = {1: "1", 2: "I", 3: ("CH1", "202", "1"), 19: ("F-1", None, None, "KIS", "VN"), 44: NOW}
LETTER = "Sehr geehrte Kollegin,\nwir berichten über …"
OBX: Fields = {1: "1", 2: "FT", 3: ("11488-4", "Arztbrief", "LN"), 5: LETTER, 11: "P"}
SENT: dict[str, list[tuple[str, Fields]]] = {
    "MDM_T02": [
        ("EVN", {2: NOW}), ("PID", PID), ("PV1", PV1),
        ("TXA", {1: "1", 2: "DS", 3: "FT", 4: NOW, 12: "urn-1", 17: "IN", 19: "AV"}), ("OBX", OBX),
    ],
    "BAR_P12": [
        ("EVN", {2: NOW}), ("PID", PID), ("PV1", PV1),
        ("DG1", {1: "1", 3: ("I10.90", None, "I10-2026"), 5: NOW, 6: "BD", 15: "1", 20: ("d-1", "GW"), 21: "A"}),
        ("PR1", {1: "1", 3: ("5-470.0", None, "O301-2026"), 5: NOW}),
        ("ZBE", {1: [("1", "KIS"), ("2", "KIS")], 2: NOW, 4: "REFERENCE"}),
    ],
    "DFT_P03": [
        ("EVN", {2: NOW}), ("PID", PID), ("PV1", PV1),
        ("FT1", {1: "1", 4: "20261101", 6: "CG", 7: ("03000", "Versichertenpauschale", "EBM"), 10: "1"}),
        ("FT1", {1: "2", 4: "20261101", 6: "CG", 7: ("03230", None, "EBM"), 10: "2", 11: (("12.74", "EUR"),)}),
    ],
    "ORU_R01": [
        ("PID", PID), ("PV1", PV1), ("OBR", {1: "1", 4: ("AMTS", "Arzneimittelprüfung", "GW"), 7: NOW, 25: "P"}),
        ("OBX", {**OBX, 2: "TX"}), ("NTE", {1: "1", 3: "Hinweis"}), ("OBX", {**OBX, 1: "2", 2: "NM", 5: "-12.5"}),
    ],
    "ACK": [("MSA", {1: "AE", 2: "7"}), ("ERR", {2: ("PID", "1", "3"), 3: ("101", "fehlt", "HL70357"), 4: "E"})],
}  # fmt: skip
EVENTS = {"ACK": ("ACK", "A01", "ACK")} | {name: (name[:3], name[4:], name) for name in SENT if "_" in name}


def header(name: str, version: str = "2.5", **changed: er7.FieldValue) -> tuple[str, Fields]:
    """The MSH of a message of this structure."""
    fields: dict[int, er7.FieldValue] = {
        3: "GATEWAY", 4: "PRAXIS", 7: NOW, 9: EVENTS.get(name, (name[:3], name[4:], name)), 10: "7", 11: "P",
        12: (version, ("DEU", None, "HL70399")), 15: "AL", 16: "NE", 17: "DEU", 18: "UNICODE UTF-8",
    }  # fmt: skip
    return "MSH", fields | {int(number[1:]): value for number, value in changed.items()}


def built(*segments: tuple[str, Fields]) -> er7.Message:
    """A message of these segments, through bytes and back."""
    context = er7.Context(er7.STANDARD, "utf-8")
    message = er7.Message([er7.segment(name, fields, context) for name, fields in segments], context)
    return er7.parse(message.encode())


def said(*segments: tuple[str, Fields]) -> list[str]:
    """What is said of a message of these segments."""
    return conformance.warnings(built(*segments))


def accepts(message: er7.Message) -> bool:
    """Whether hl7apy's own Validator, which stops at the first error, has nothing against it."""
    text = str(message).replace("\rZBE", "\r\rZBE").split("\r\r")[0]  # it knows no Z segments
    try:
        parsed = parse_message(text, validation_level=VALIDATION_LEVEL.TOLERANT, find_groups=True)
        return bool(Validator.validate(parsed))
    except HL7apyException:
        return False


# ---- what we send


@pytest.mark.parametrize("name", SENT)
def test_nothing_is_said_of_what_we_send(name: str) -> None:
    message = built(header(name), *SENT[name])
    assert conformance.warnings(message) == []
    assert accepts(message)


def required() -> Iterator[tuple[str, int, int]]:
    """Structure, number of the segment and of the field of every required field of what we send."""
    for name, segments in SENT.items():
        for index, (segment, fields) in enumerate([header(name), *segments]):
            for number in fields:
                if f"{segment}-{number}" in REQUIRED:
                    yield name, index, number


REQUIRED = {
    "MSH-7", "MSH-10", "MSH-11", "EVN-2", "PID-3", "PID-5", "PV1-2", "TXA-1", "TXA-2", "TXA-12", "TXA-17", "OBX-3",
    "OBX-11", "DG1-1", "DG1-6", "PR1-1", "PR1-3", "PR1-5", "FT1-4", "FT1-6", "FT1-7", "OBR-4", "MSA-1", "MSA-2",
    "ERR-3", "ERR-4",
}  # fmt: skip


@pytest.mark.parametrize(("name", "index", "number"), list(required()))
def test_a_required_field_that_is_empty(name: str, index: int, number: int) -> None:
    segments = [header(name), *SENT[name]]
    segment, fields = segments[index]
    segments[index] = (segment, {n: value for n, value in fields.items() if n != number})
    [sentence] = said(*segments)
    assert sentence.startswith(f"{segment}-{number}: ")
    assert "is required by HL7 2.5, but empty" in sentence
    assert not accepts(built(*segments))


@pytest.mark.parametrize(
    ("name", "segment"),
    [
        ("MDM_T02", "EVN"), ("MDM_T02", "PID"), ("MDM_T02", "PV1"), ("MDM_T02", "TXA"), ("MDM_T02", "OBX"),
        ("BAR_P12", "EVN"), ("BAR_P12", "PID"), ("BAR_P12", "PV1"), ("DFT_P03", "EVN"), ("DFT_P03", "PID"),
        ("DFT_P03", "FT1"), ("ORU_R01", "OBR"), ("ACK", "MSA"),
    ],
)  # fmt: skip
def test_a_required_segment_that_is_missing(name: str, segment: str) -> None:
    segments = [header(name), *(sent for sent in SENT[name] if sent[0] != segment)]
    assert said(*segments) == [f"{segment}: required by {name}, but missing."]


# ---- structure


def names(structure: str, *segments: str, version: str = "2.5", declared: str | None = None) -> list[str]:
    """What is said of a message of these segments as to structure alone."""
    event = (structure[:3], structure[4:7], declared)
    sentences = said(header(structure, version, _9=event), *((segment, {}) for segment in segments))
    return [text for text in sentences if "HL7 " not in text]


@pytest.mark.parametrize(
    ("structure", "segments", "expected"),
    [
        ("ADT_A01", "EVN PID NK1 PV1 OBX AL1 DG1 PR1 ROL PR1 IN1 IN2 IN1 ZBE", []),
        ("ADT_A01", "EVN PID ROL PV1 ROL ZBE ZZZ", []),
        ("ADT_A04", "EVN PID PV1", []),
        ("ADT_A40", "EVN PID MRG PID MRG PV1", []),
        ("ADT_A40", "EVN PID PID MRG", ["MRG: required by ADT_A39, but missing."]),
        ("ADT_A12", "EVN PID PV1", []),
        ("ADT_A02", "EVN PID PV1 DG1", ["DG1: ADT_A02 does not have this segment."]),
        ("ADT_A01", "EVN PV1 PID", ["PID: ADT_A01 does not have it at this place, or not so often."]),
        ("ADT_A01", "EVN PID PID PV1", ["PID: ADT_A01 does not have it at this place, or not so often."]),
        ("ADT_A01", "", [f"{name}: required by ADT_A01, but missing." for name in ("EVN", "PID", "PV1")]),
        ("MDM_T08", "EVN PID PV1 ORC OBR TXA OBX NTE OBX", []),
        ("MDM_T08", "EVN PID PV1 ORC TXA OBX", ["OBR: required by MDM_T02, but missing."]),
        ("ORU_R01", "PID OBR OBX NTE OBX OBR NTE OBX SPM OBX PID PV1 OBR DSC", []),
        ("ORU_R01", "PID OBX OBX", ["OBR: required by ORU_R01, but missing."]),
        ("ORM_O01", "PID PV1 ORC OBR NTE OBX ORC RXO ORC", []),
        ("ORM_O01", "PID ORC OBR RQD", ["ORC: required by ORM_O01, but missing."]),
        ("ORM_O01", "PID ORC OBR PID", ["PID: ORM_O01 does not have it at this place, or not so often."]),
        ("ADT_A01", "EVN PID PV1 PR1 AL1", ["AL1: ADT_A01 does not have it at this place, or not so often."]),
        ("ORU_R01", "PID OBX OBX PID OBX", ["OBR: required by ORU_R01, but missing 2 times."]),
        ("ORM_O01", "PID ORC NTE", ["OBR or RQD or RQ1 or RXO or ODS or ODT: required by ORM_O01, but missing."]),
        ("DFT_P03", "EVN PID PV1 DG1", ["FT1: required by DFT_P03, but missing."]),
        ("SIU_S14", "SCH PID RGS AIS", []),
        ("SIU_S12", "SCH RGS AIS RGS AIG", []),
    ],
)
def test_structures(structure: str, segments: str, expected: list[str]) -> None:
    assert names(structure, *segments.split()) == expected


def test_the_structure_of_an_event() -> None:
    assert names("ADT_A08", "EVN", "PID", declared="ADT_A01") == ["PV1: required by ADT_A01, but missing."]
    assert said(header("ADT_A01", _9=("ADT", "A08", "ADT_A08")), ("EVN", {2: NOW}), ("PID", PID), ("PV1", PV1)) == [
        "MSH-9.3: not the structure of this event in HL7 2.5, which is ADT_A01."
    ]
    assert said(header("ADT_A01", _9=("ADT", "A03", "ADT_A01")), ("EVN", {2: NOW}), ("PID", PID), ("PV1", PV1)) == [
        "MSH-9.3: not the structure of this event in HL7 2.5, which is ADT_A03."
    ]
    assert said(header("ACK", _9="ACK"), *SENT["ACK"]) == []
    assert said(header("ACK", _9=("ZXX", SECRET)), ("PID", PID)) == [
        "MSH-9: an event whose structure is not known; only fields were checked."
    ]
    assert said(header("ACK", _9=("ZXX", "Z01", SECRET)), ("PID", {1: "1"})) == [
        "MSH-9.3: no structure of HL7 2.5.",
        "MSH-9: an event whose structure is not known; only fields were checked.",
        "PID-3: patient identifier list is required by HL7 2.5, but empty.",
        "PID-5: patient name is required by HL7 2.5, but empty.",
    ]


def test_lines_that_are_no_segments() -> None:
    segments = [header("MDM_T02"), *SENT["MDM_T02"]]
    message = er7.parse(built(*segments).encode() + f"{SECRET}\rANN|1\rPIDX|1\rPRT|1|x\rpid|1\r".encode())
    assert conformance.warnings(message) == [
        "Message: a line that is no segment of HL7 (a line break that is not escaped?).",
        "PRT: HL7 2.5 does not have this segment.",
    ]
    assert "PRT: HL7 2.5 does not have this segment." in said(header("ADT_A01", _9="ZXX"), ("PRT", {}))


# ---- versions


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("2.9", ["MSH-12: HL7 2.9 is not known here; checked as 2.8.2."]),
        ("2.5.2", ["MSH-12: HL7 2.5.2 is not known here; checked as 2.5.1."]),
        ("1.9", ["MSH-12: HL7 1.9 is not known here; checked as 2.1."]),
        ("", ["MSH-12: is empty; checked as 2.5.", "MSH-12: version id is required by HL7 2.5, but empty."]),
        (SECRET, ["MSH-12: names no version of HL7; checked as 2.5."]),
        ("2.10", ["MSH-12: names no version of HL7; checked as 2.5."]),
    ],
)
def test_versions_that_are_not_known(version: str, expected: list[str]) -> None:
    sentences = said(header("ACK", _12=version, _9=("ACK", None, "ACK")), ("MSA", {1: "AA", 2: "7"}))
    assert [text for text in sentences if text.startswith("MSH-12")] == expected


@pytest.mark.parametrize("version", VERSIONS)
def test_every_structure_and_segment_of_every_version_can_be_used(version: str) -> None:
    library: Any = hl7apy.load_library(version)
    for name in library.MESSAGES:
        structure = message_structure.load(version, name)
        walk = message_structure.Walk(structure)
        missing = walk.end()
        assert not set(missing) - structure.segments or any(" or " in segment for segment in missing)
        for segment in missing if name != "SUR_P09" else ():
            assert walk.place(segment.partition(" or ")[0]) == (), (name, segment)
        assert walk.end() == () or name == "SUR_P09", name
    context = er7.Context(er7.STANDARD)
    full = "|".join(["x^x&x~x"] * 120)
    everything = [
        er7.segment("MSH", {12: version}),
        *(er7.Segment(f"{name}|{full}", context) for name in library.SEGMENTS),
    ]
    assert conformance.warnings(er7.Message(everything, context))


# ---- fields


@pytest.mark.parametrize(
    ("segment", "fields", "expected"),
    [
        ("PID", {7: "19500229"}, ["PID-7.1: no valid DTM."]),
        ("PID", {7: "01.05.1950"}, ["PID-7.1: no valid DTM."]),
        ("PID", {7: "195013"}, ["PID-7.1: no valid DTM."]),
        ("PID", {7: "20240229235959.1234+0100"}, []),
        ("PID", {7: "20240229246000"}, ["PID-7.1: no valid DTM."]),
        ("PID", {7: "²⁰²⁴0101"}, ["PID-7.1: no valid DTM."]),
        ("PID", {7: er7.NULL, 8: er7.Raw(er7.NULL)}, ["PID-7.1: no valid DTM."]),
        ("PID", {7: er7.Raw(er7.NULL)}, []),
        ("PID", {1: "A"}, ["PID-1: no valid SI."]),
        ("PID", {24: "Ja"}, ["PID-24: a code that HL7 table 0136 does not have."]),
        ("PID", {7: ["1950", "1951", "1952"]}, ["PID-7: 3 repetitions, HL7 2.5 allows 1."]),
        ("PID", {50: "x", 60: "x"}, ["PID: fields after PID-39, the last of HL7 2.5."]),
        ("PID", {11: (("S", "S", "1", "x"),)}, ["PID-11.1: more components than the 3 of SAD in HL7 2.5."]),
        ("PID", {11: er7.Raw("^^^^^^^^^^^^^^^^^^^^")}, []),
        ("PID", {19: ("1", "2")}, ["PID-19: is divided, but ST has no components (a delimiter that is not escaped?)."]),
        ("PV1", {2: ("I", "stationär", "X"), 36: ("011", "regulär")}, []),
        ("DG1", {1: "1", 6: "A", 15: "2"}, []),
        ("IN1", {1: "1", 2: "GKV", 3: "1", 15: ("1", "Mitglied", "GSG0012")}, []),
        ("IN1", {1: "1", 2: "GKV", 3: "1", 12: "20261301"}, ["IN1-12: no valid DT."]),
        ("OBX", {2: "NM", 5: "5,5"}, ["OBX-5: no valid NM."]),
        ("OBX", {2: "NM", 5: ".5"}, []),
        (
            "OBX",
            {2: "TX", 5: ("a", "b")},
            ["OBX-5: is divided, but TX has no components (a delimiter that is not escaped?)."],
        ),
        ("OBX", {2: "CWE", 5: ("a", "b", "c")}, []),
        ("OBX", {2: "ED", 5: (None, "application", "pdf", "Base64", "JVBERi0=")}, []),
        ("OBX", {2: "SN", 5: (">", "fünf")}, ["OBX-5.2: no valid NM."]),
        ("OBX", {2: "TS", 5: "heute"}, ["OBX-5.1: no valid DTM."]),
        ("OBX", {2: "TM", 5: "1260"}, ["OBX-5: no valid TM."]),
        ("OBX", {5: "a"}, ["OBX-2: a datatype is required where OBX-5 has a value."]),
        ("OBX", {2: SECRET, 5: "a"}, ["OBX-2: no datatype of HL7 2.5."]),
        ("ZBE", {1: "x", 2: "y", 99: "z"}, []),
    ],
)
def test_fields(segment: str, fields: Fields, expected: list[str]) -> None:
    filled = {"PID": PID, "PV1": PV1, "OBX": {1: "1", 3: "x", 11: "F"}}.get(segment, {}) | dict(fields)
    sentences = said(header("ADT_A01", _9="ZXX"), (segment, filled))
    assert sentences[1:] == expected


def test_components_that_a_version_requires_or_has_withdrawn() -> None:
    def of(version: str, segment: str, fields: Fields) -> list[str]:
        sentences = said(header("ADT_A01", version, _9="ZXX"), (segment, fields))
        return [text for text in sentences if text.startswith(segment)]

    assert of("2.7", "PID", {3: (None, "1"), 5: (None, "Änne")}) == [
        "PID-3.1: id number is required by HL7 2.7, but empty.",
        "PID-3.5: identifier type code is required by HL7 2.7, but empty.",
    ]
    assert of("2.6", "PID", {3: "1", 5: "x", 13: "0221 1"}) == ["PID-13.1: HL7 2.6 does not have this component."]
    assert of("2.6", "DG1", {1: "1", 3: "I10.90", 6: "A", 8: "x"}) == ["DG1-8: HL7 2.6 does not have this field."]
    assert of("2.7", "PID", {3: (*"1234", "PI"), 5: "x", 9: ("x", "y")}) == ["PID-9: HL7 2.7 does not have this field."]
    assert of("2.3", "PID", {3: "1", 5: "x", 7: "gestern"}) == ["PID-7.1: no valid DTM."]


def test_a_sentence_is_said_once_with_the_segments_that_it_is_about() -> None:
    good, bad = {1: "1", 2: "NM", 3: "x", 5: "1", 11: "F"}, {1: "1", 2: "NM", 3: "x", 5: "eins", 11: "F"}
    rows = [("OBX", fields) for fields in (good, bad, bad, good, bad, bad)]
    assert said(header("ORU_R01"), ("OBR", {4: "x"}), *rows) == ["OBX-5: no valid NM (OBX number 2, 3, 5 and 1 more)."]


def test_own_delimiters() -> None:
    lines = ["MSH$:*!%$A$B$$$20261101$$ACK$7$P$2.5", "MSA$AA$7^8|9&10"]
    assert conformance.warnings(er7.parse("\r".join(lines).encode())) == []
    lines[1] = "MSA$AA$7:8"
    assert conformance.warnings(er7.parse("\r".join(lines).encode())) == [
        "MSA-2: is divided, but ST has no components (a delimiter that is not escaped?)."
    ]
    assert conformance.warnings(er7.parse(b"MSH|^|A|B|||20261101||ACK|7|P|2.5\rMSA|AA|7~8&9")) == []


def test_a_batch_header_is_no_message() -> None:
    assert "MSH: required by ADT_A01" not in "".join(conformance.warnings(er7.parse(b"BHS|^~\\&|KIS\rBTS|1")))


# ---- any message


SEGMENT_NAMES = sorted(hl7apy.load_library("2.5").SEGMENTS)
VALUE = st.text('|^~\\&"0129.AZ\r\n', max_size=12)


@given(
    st.sampled_from([*VERSIONS, "2.9", "", "x"]),
    st.sampled_from(["ADT^A01", "ORU^R01^ORU_R01", "ORM^O01", "MDM^T02", "ACK", "", "^", "VXU^V04^VXU_V04", "QBP^Q11"]),
    st.lists(st.tuples(st.sampled_from(SEGMENT_NAMES) | VALUE, st.lists(VALUE, max_size=12)), max_size=12),
)
def test_nothing_raises_and_no_value_is_said(version: str, event: str, rows: list[tuple[str, list[str]]]) -> None:
    lines = [f"MSH|^~\\&|A|B|||{SECRET}|{SECRET}|{event}|{SECRET}||{version}"]
    lines += [f"{name}|{SECRET}{f'|{SECRET}'.join(values)}" for name, values in rows]
    lines += [
        f"{SECRET}|1",
        SECRET,
        f"OBX|1|{SECRET}|x||{SECRET}^{SECRET}",
        f"PID|{SECRET}^{SECRET}~{SECRET}||{SECRET}",
    ]
    try:
        message = er7.parse("\r".join(lines).encode())
    except er7.Malformed:
        return
    sentences = conformance.warnings(message)
    assert all(SECRET not in sentence and sentence.endswith(".") for sentence in sentences)
    assert len(sentences) == len(set(sentences)) <= conformance.MOST_WARNINGS + 3


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("OBX|1|NM|x||1||||||F\r" * 3_000, "Only the first 1000 of 3001 segments were checked."),
        ("PID|1||1||x||" + "a^b^c~" * 200_000 + "\r", "PID-7: 200001 repetitions"),
        ("PID|" + "1|" * 500_000 + "\r", "PID: more than 200 fields; they were not checked."),
        (
            ("PID" + "|1" * 190 + "\r") * 1000,
            "PID: fields after PID-39, the last of HL7 2.5 (PID number 1, 2, 3 and ",
        ),
        ("PID|1||" + "^" * 1_000_000 + "1\r", "PID-3: more components than the 10 of CX in HL7 2.5."),
        ("PID|1||" + ("1^2^3^4&5&6^7~" * 900 + "|") * 30 + "\r", "Only the first 40000 values were checked."),
        ("OBX|1|ED|x||^application^pdf^Base64^" + "A" * 5_000_000 + "||||||F\r", "OBR: required"),
        ("PV1|1\rPID|1\r" * 20_000, "PID"),
        ("Zeile\r" * 50_000, "Message: a line"),
    ],
    ids=range(9),
)
def test_a_huge_message_is_checked_in_a_moment(body: str, expected: str) -> None:
    message = er7.parse(f"MSH|^~\\&|A|B|||{NOW}||ORU^R01|7|P|2.5\r{body}".encode())
    conformance.warnings(built(header("ORU_R01"), *SENT["ORU_R01"]))
    begun = time.process_time()
    sentences = conformance.warnings(message)
    assert time.process_time() - begun < 5  # 0.3 s on a free machine
    assert any(expected in sentence for sentence in sentences)


def test_there_is_an_end_to_the_warnings() -> None:
    rows = [(name, {90: "x"}) for name in SEGMENT_NAMES if name not in ("MSH", "ANYHL7SEGMENT") and len(name) == 3]
    sentences = said(header("ACK"), *rows)
    assert len(sentences) == conformance.MOST_WARNINGS + 1
    assert sentences[-1].startswith("There are ")


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="needs ../shared")
def test_the_report_on_real_messages_is_short() -> None:
    numbers = []
    for path in sorted(SAMPLES.rglob("*.hl7")):
        for data in er7.messages(path.read_bytes()):
            numbers.append(len(conformance.warnings(er7.parse(data))))
    assert len(numbers) > 250
    assert sum(numbers) / len(numbers) < 5
    assert max(numbers) < 40
