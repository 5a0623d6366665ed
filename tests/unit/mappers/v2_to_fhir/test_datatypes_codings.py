"""Codes: coding systems, tables, ICD-10-GM and OPS."""

from typing import Any

import pytest

from mappers import fhir_names
from mappers.v2_to_fhir.datatypes import classifications, code_systems
from mappers.v2_to_fhir.reading import Unusable
from tests.unit.mappers.v2_to_fhir.values import SCOPE, Json, converted, left

LOCAL = "https://fhir-gateway.org/CodeSystem/hl7v2"
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
ICD = fhir_names.ICD_10_GM
OPS = "http://fhir.de/CodeSystem/bfarm/ops"


@pytest.mark.parametrize(
    ("name", "system", "version"),
    [
        ("LN", "http://loinc.org", None), ("SCT", "http://snomed.info/sct", None), ("UCUM", fhir_names.UCUM, None),
        ("I10-2005", ICD, "2005"), ("I10-GM-2026", ICD, "2026"), ("I10", ICD, None), ("ICD-10-GM-2024", ICD, "2024"),
        ("ICD10GM2026", ICD, "2026"), ("I10G2026", ICD, "2026"), ("icd_10_gm", ICD, None),
        ("O301-2005", OPS, "2005"), ("OPS-2026", OPS, "2026"), ("OPS", OPS, None),
        ("ATC", fhir_names.ATC, None), ("PZN", "http://fhir.de/CodeSystem/ifa/pzn", None),
        ("EBM", fhir_names.EBM, None), ("GOÄ", fhir_names.GOAE, None),
        ("HL70005", "http://terminology.hl7.org/CodeSystem/v2-0005", None),
        ("GSG0001", f"{LOCAL}/GSG0001", None), ("L", "https://klinik.example/codes", None),
        ("99ORB", f"{LOCAL}/KLINIK/99ORB", None), ("I10C", f"{LOCAL}/KLINIK/I10C", None),
        ("Größen & Maße", f"{LOCAL}/KLINIK/Gr%C3%B6%C3%9Fen%20%26%20Ma%C3%9Fe", None),
        ("2.16.840.1.113883.6.1", "http://loinc.org", None), ("1.2.276.0.76.5.409", "urn:oid:1.2.276.0.76.5.409", None),
        ("http://klinik.example/cs", "http://klinik.example/cs", None),
    ],
)  # fmt: skip
def test_coding_systems(name: str, system: str, version: str | None) -> None:
    assert code_systems.named(name, SCOPE) == (system, version)


def test_code() -> None:
    assert converted("code", "f^weiblich^HL70001", table="sex") == "female"
    assert converted("code", "^^^M", table="sex") == "male"
    assert converted("code", "I", table="class") == "IMP"
    assert converted("code", "^x", table="sex") is None
    with pytest.raises(Unusable, match="no row in table sex for this code"):
        converted("code", "W", table="sex")


def test_boolean() -> None:
    assert [converted("boolean", raw) for raw in ("Y", "j", "N", '""')] == [True, True, False, None]
    with pytest.raises(Unusable):
        converted("boolean", "vielleicht")


@pytest.mark.parametrize(
    ("raw", "options", "expected"),
    [
        ("718-7^Hämoglobin^LN", {}, {"system": "http://loinc.org", "code": "718-7", "display": "Hämoglobin"}),
        ("I", {"table": "class"}, {"system": ACT, "code": "IMP", "display": "inpatient encounter"}),
        ("X", {"system": "urn:x"}, {"system": "urn:x", "code": "X"}),
        ("^nur Text", {}, {"display": "nur Text"}),
        ("^^LN", {}, None),
    ],
)
def test_coding(raw: str, options: dict[str, str], expected: object) -> None:
    assert converted("Coding", raw, **options) == expected


def test_a_coding_of_a_table_needs_a_row() -> None:
    with pytest.raises(Unusable, match="no row"):
        converted("Coding", "Z", table="class")


@pytest.mark.parametrize(
    ("raw", "options", "expected"),
    [
        ("^Blinddarmentzündung", {}, {"text": "Blinddarmentzündung"}),
        ("^^^^^^^^wie gesprochen", {}, {"text": "wie gesprochen"}),
        ("^^LN", {}, None),
        (
            "718-7^Hb^LN^HB^Hämoglobin^99LAB^2.77^1^Blutfarbstoff",
            {},
            {
                "coding": [
                    {"system": "http://loinc.org", "version": "2.77", "code": "718-7", "display": "Hb"},
                    {"system": f"{LOCAL}/KLINIK/99LAB", "version": "1", "code": "HB", "display": "Hämoglobin"},
                ],
                "text": "Blutfarbstoff",
            },
        ),
        ("PENICILLIN", {}, {"coding": [{"code": "PENICILLIN"}], "text": "PENICILLIN"}),
        ("Penicillin und Verwandte", {}, {"text": "Penicillin und Verwandte"}),
        ("1001", {"system": "urn:x"}, {"coding": [{"system": "urn:x", "code": "1001"}]}),
        ("Müller & Söhne^^", {"text": "true"}, {"text": "Müller & Söhne"}),
        ("T-1234^Lunge^SNM", {}, {"coding": [{"system": f"{LOCAL}/KLINIK/SNM", "code": "T-1234", "display": "Lunge"}],
                                  "text": "Lunge"}),
    ],
)  # fmt: skip
def test_codeable_concept(raw: str, options: dict[str, str], expected: object) -> None:
    assert converted("CodeableConcept", raw, **options) == expected


def test_a_table_stands_in_front_of_the_senders_coding_or_in_its_place() -> None:
    ours = {"system": ACT, "code": "IMP", "display": "inpatient encounter"}
    theirs = {"system": "https://klinik.example/codes", "code": "I", "display": "stationär"}
    both = converted("CodeableConcept", "I^stationär^L", table="class")
    assert both == {"coding": [ours, theirs], "text": "stationär"}
    assert converted("CodeableConcept", "I^stationär^L", table="class", keep="false")["coding"] == [ours]
    unknown = converted("CodeableConcept", "Q^Sonstiges^L", table="class", keep="false")
    assert unknown["coding"] == [{**theirs, "code": "Q", "display": "Sonstiges"}]
    assert len(converted("CodeableConcept", f"IMP^x^{ACT}^I", table="class")["coding"]) == 2


# ---- ICD-10-GM


def signs(extensions: tuple[Json, ...]) -> str:
    return "".join(extension["valueCoding"]["code"] for extension in extensions)


@pytest.mark.parametrize(
    ("text", "code", "expected"),
    [
        ("N26 L V", "N26", "VL"), ("N26 V L", "N26", "VL"), ("I10.90G", "I10.90", "G"), ("E11.90+", "E11.90", "†"),
        ("G63.2*", "G63.2", "*"), ("G63.2 * V L", "G63.2", "VL*"), ("B95.6!", "B95.6", "!"), ("S52.5 R", "S52.5", "R"),
        ("S5250 R", "S52.50", "R"), ("E119", "E11.9", ""), ("i10.90 g", "I10.90", "G"), ("M17.9;B;G", "M17.9", "GB"),
        ("U07.1!G", "U07.1", "G!"), ("J45", "J45", ""), ("E10.30†", "E10.30", "†"), ("Z96.6 Z", "Z96.6", "Z"),
    ],
)  # fmt: skip
def test_a_diagnosis_and_its_signs(text: str, code: str, expected: str) -> None:
    found = classifications.diagnosis(text)
    assert found is not None
    assert (found.code, signs(found.extensions)) == (code, expected)


@pytest.mark.parametrize(
    "text",
    [
        "E11.-", "Blinddarm", "N26 G V", "N26 L R", "E11.40+ G63.2*", "5-470", "I10.900", "I10 X", "A", "", "I1",
        "C50-G", "J45.0+*", "٣26",
    ],
)  # fmt: skip
def test_what_is_no_diagnosis(text: str) -> None:
    assert classifications.diagnosis(text) is None


def test_icd10gm_carries_the_german_extensions() -> None:
    coding = {
        "extension": [
            {
                "url": fhir_names.DIAGNOSESICHERHEIT,
                "valueCoding": {
                    "system": fhir_names.DIAGNOSESICHERHEIT_CODES,
                    "code": "V",
                    "display": "Verdachtsdiagnose",
                },
            },
            {
                "url": fhir_names.SEITENLOKALISATION,
                "valueCoding": {"system": fhir_names.SEITENLOKALISATION_CODES, "code": "L", "display": "links"},
            },
        ],
        "system": ICD,
        "version": "2005",
        "code": "N26",
        "display": "Schrumpfniere",
    }
    expected = {"coding": [coding], "text": "Schrumpfniere"}
    assert converted("icd10gm", "N26 L V^Schrumpfniere^I10-2005") == expected
    assert converted("CodeableConcept", "N26 L V^Schrumpfniere^I10-2005") == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("I10.90^Hypertonie", {"coding": [{"system": ICD, "code": "I10.90", "display": "Hypertonie"}],
                               "text": "Hypertonie"}),
        ("I10.90^^I10^^^^GM-2026", {"coding": [{"system": ICD, "version": "2026", "code": "I10.90"}]}),
        ("I10.90^^I10-2026^^^^neu", {"coding": [{"system": ICD, "version": "2026", "code": "I10.90"}]}),
        ("^Blinddarmentzündung", {"text": "Blinddarmentzündung"}),
        ("Blinddarmentzündung akut", {"text": "Blinddarmentzündung akut"}),
        ("E11.-^Diabetes^I10-2026", {"coding": [{"system": f"{LOCAL}/KLINIK/I10-2026", "code": "E11.-",
                                                 "display": "Diabetes"}], "text": "Diabetes"}),
        ("73211009^Diabetes^SCT", {"coding": [{"system": "http://snomed.info/sct", "code": "73211009",
                                               "display": "Diabetes"}], "text": "Diabetes"}),
    ],
)  # fmt: skip
def test_icd10gm(raw: str, expected: object) -> None:
    assert converted("icd10gm", raw) == expected


def test_a_version_that_is_no_year_is_left() -> None:
    assert left("icd10gm", "I10.90^^I10^^^^neu") == ["ZZZ-1.7"]


# ---- OPS


@pytest.mark.parametrize(
    ("text", "code", "side"),
    [
        ("5-470.0", "5-470.0", ""), ("5-470.0 R", "5-470.0", "R"), ("5-470:L", "5-470", "L"),
        ("5-820.00R", "5-820.00", "R"), ("5-787.1r", "5-787.1r", ""), ("8-98F.0", "8-98f.0", ""),
        ("5-820.0X B", "5-820.0x", "B"), ("1-100", "1-100", ""),
    ],
)  # fmt: skip
def test_a_procedure(text: str, code: str, side: str) -> None:
    found = classifications.procedure(text)
    assert found is not None
    assert (found.code, signs(found.extensions)) == (code, side)


@pytest.mark.parametrize("text", ["5-470.0R", "54700", "5-47", "7-100", "Appendektomie", "5-820.00RL", "5-820.000"])
def test_what_is_no_procedure(text: str) -> None:
    assert classifications.procedure(text) is None


def test_ops() -> None:
    found: Any = converted("ops", "5-470.0^Appendektomie^O301-2005")
    assert found["coding"] == [{"system": OPS, "version": "2005", "code": "5-470.0", "display": "Appendektomie"}]
    assert converted("ops", "54700^^O301-2005") == {
        "coding": [{"system": f"{LOCAL}/KLINIK/O301-2005", "code": "54700"}], "text": "54700",
    }  # fmt: skip
