"""All conversions: every result is FHIR, and nothing but Unusable is raised, whatever the text."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappers import er7
from mappers.v2_to_fhir import datatypes
from mappers.v2_to_fhir.reading import Reading, Unusable
from profiles import base
from tests.unit.mappers.v2_to_fhir.values import HEADER, Json, converted, scope

IN_AN_OBSERVATION: Json = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}


def extension(kind: str) -> Callable[[Any], Json]:
    return lambda found: {"resourceType": "Patient", "extension": [{"url": "urn:x", f"value{kind}": found}]}


def observation(name: str) -> Callable[[Any], Json]:
    return lambda found: {**IN_AN_OBSERVATION, name: found}


#: A small resource around the result of each conversion.
RESOURCES: dict[str, Callable[[Any], Json]] = {
    **{name: extension(name[0].upper() + name[1:]) for name in (
        "string", "markdown", "uri", "boolean", "Coding", "CodeableConcept", "integer", "positiveInt", "unsignedInt",
        "decimal", "Quantity", "Money", "date", "dateTime", "instant", "time", "Period", "Identifier", "HumanName",
        "Address", "ContactPoint", "Attachment", "code",
    )},
    "text": extension("String"),
    "annotation": lambda found: {**IN_AN_OBSERVATION, "note": [found]},
    "icd10gm": observation("valueCodeableConcept"),
    "ops": observation("valueCodeableConcept"),
    "EI": lambda found: {"resourceType": "Patient", "identifier": [found]},
    "birth_time": lambda found: {
        "resourceType": "Patient", "birthDate": "1987-03-04", "_birthDate": {"extension": [found]},
    },
    "person": extension("String"),
    "birth_place": lambda found: {"resourceType": "Patient", "extension": [found]},
    "practitioner": lambda found: {**IN_AN_OBSERVATION, "performer": [found]},
    "organization": lambda found: {"resourceType": "Patient", "managingOrganization": found},
    "location": lambda found: {"resourceType": "Location", "partOf": found},
    "observation": lambda found: {**IN_AN_OBSERVATION, **found},
    "reference_range": lambda found: {**IN_AN_OBSERVATION, "referenceRange": [found]},
    "sex_extension": lambda found: {"resourceType": "Patient", "gender": "other", "_gender": {"extension": [found]}},
    "coverage_type": observation("valueCodeableConcept"),
    "versichertenart": lambda found: {"resourceType": "Patient", "extension": [found]},
}  # fmt: skip

#: A field as a German sender may fill it.
SAMPLES = {
    "string": "Müller", "text": "Größe\\.br\\normal", "markdown": "Größe", "uri": "https://klinik.example/ä",
    "annotation": "a~b", "code": "F", "boolean": "J", "Coding": "718-7^Hb^LN", "CodeableConcept": "718-7^Hb^LN^HB^^99X",
    "icd10gm": "G63.2* L V^Polyneuropathie^I10-2026", "ops": "5-470.0 R^Appendektomie^O301-2026", "integer": "-3",
    "positiveInt": "3", "unsignedInt": "0", "decimal": "3,50", "Quantity": "5^mg^L", "Money": "12.50&EUR^UP",
    "date": "19870304", "dateTime": "202601021530", "instant": "20260102153045", "time": "1530",
    "Period": "20260101^20260201", "birth_time": "198703041405", "Identifier": "A000500015^^^GKV^NI^^20200101",
    "EI": "4711^KIS^1.2.276.0.76^ISO", "HumanName": "von Müller&von&Müller^Erika^^^Dr.^^L", "person": "1^Muster^Erika",
    "Address": "Falkenstr. 10&Falkenstr.&10^Hinterhaus^Köln^^50823^D^H", "birth_place": "^^Köln^^^^BDL",
    "ContactPoint": "^PRN^PH^^49^40^7654321", "practitioner": "4711^Muster^Erika^^^Dr.^^^KIS^^^^LANR",
    "organization": "Chirurgie^^123456789^^^^BSNR", "location": "ST1^12^2^KLINIK", "Attachment": "Größe~normal",
    "observation": "5.6", "reference_range": "3.5-5.0", "sex_extension": "D", "coverage_type": "GKV",
    "versichertenart": "1000^Mitglied^GSG0012",
}  # fmt: skip

OPTIONS: dict[str, dict[str, str]] = {"code": {"table": "sex"}}


def check(name: str, found: object) -> None:
    resource = RESOURCES[name](found)
    sent = msgspec.json.Encoder(decimal_format="number").encode(resource)
    assert json.loads(sent)["resourceType"] == resource["resourceType"]
    assert base.faults(resource) == []


def test_the_samples_are_of_conversions() -> None:
    assert SAMPLES.keys() == RESOURCES.keys() <= datatypes.TYPES.keys() == datatypes.DATATYPES.keys()


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_fhir(name: str) -> None:
    found = converted(name, SAMPLES[name], **OPTIONS.get(name, {}))
    assert found is not None
    check(name, found)


def test_the_names_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        datatypes.TYPES["string"] = datatypes.TYPES["text"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("code", {}, ["code needs the option table"]),
        ("Coding", {"table": "sex"}, []),
        ("CodeableConcept", {"keep": "false", "text": True, "system": "http://x"}, []),
        ("CodeableConcept", {"keep": "nein"}, ["the option keep of CodeableConcept cannot be this"]),
        ("Quantity", {"unit": 6, "ucum": "mg/dL"}, []),
        ("Quantity", {"unit": "sechs"}, ["the option unit of Quantity cannot be this"]),
        ("date", {"table": "sex"}, ["date has no option table"]),
        ("datum", {}, ["there is no datatype datum"]),
    ],
)
def test_problems(name: str, options: dict[str, object], expected: list[str]) -> None:
    assert datatypes.problems(name, options) == expected


@pytest.mark.parametrize(
    ("name", "raw", "code"),
    [
        ("sex_extension", "D", "D"), ("sex_extension", "x", "X"), ("sex_extension", "O", None),
        ("sex_extension", "M", None), ("versichertenart", "1^Mitglied^GSG0012", "1"), ("versichertenart", "5000", "5"),
        ("versichertenart", "", None),
    ],
)  # fmt: skip
def test_german_extensions(name: str, raw: str, code: str | None) -> None:
    found = converted(name, raw + "^")
    assert (found and found["valueCoding"]["code"]) == code


def test_kinds_of_insurance() -> None:
    system = "http://fhir.de/CodeSystem/versicherungsart-de-basis"
    assert converted("coverage_type", "bg^Berufsgenossenschaft") == {
        "coding": [{"system": system, "code": "BG", "display": "Berufsgenossenschaft"}]
    }
    assert converted("coverage_type", "SZ^Selbstzahler") == {
        "coding": [{"code": "SZ", "display": "Selbstzahler"}], "text": "Selbstzahler",
    }  # fmt: skip
    with pytest.raises(Unusable):
        converted("versichertenart", "9")


# ---- whatever the text

_PIECES = st.sampled_from(
    [
        "^", "^^", "~", "&", "\\.br\\", "\\F\\", "\\X00\\", "\\X1B\\", "\\", '""', " ", "0", "5", "1,234", "3.5", "-",
        ">", "20260102", "202603290230", "1987", "D", "Y", "GKV", "NI", "LN", "I10-2026", "O301-2026", "I10.90 G",
        "5-470.0 R", "A000500015", "109905003", "NII", "LANR", "1.2.276.0.76", "ISO", "urn:oid:1", "https://x.example/a",
        "L", "H", "BDL", "PRN", "PH", "CP", "Internet", "@", "a@b.example", "49", "911", "application", "pdf", "Base64",
        "A", "Hex", "YQ==", "Müller", "ß", "\x85", "\u2028", "EUR", ":", "mg", "UCUM", "M", "😀", "\x07", "\xa0",
    ]
)  # fmt: skip
_RAW = st.one_of(
    st.lists(_PIECES, max_size=14).map("".join),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="|\r\n\x00"), max_size=40),
)
_KINDS = st.sampled_from(
    ["NM", "SN", "ST", "TX", "CWE", "ID", "DT", "TS", "TM", "DR", "NR", "SI", "CQ", "NA", "ED", "RP", ""]
)
_CHOICES: dict[str, list[dict[str, str]]] = {
    "code": [{"table": "sex"}],
    "Coding": [{}, {"table": "class"}],
    "CodeableConcept": [{}, {"table": "class"}, {"table": "class", "keep": "false"}, {"text": "true"}],
    "Quantity": [{}, {"unit": "6"}, {"ucum": "d"}],
    "Identifier": [{}, {"type": "VN"}],
    "person": [{}, {"datatype": "XPN"}],
    "organization": [{}, {"datatype": "CX"}, {"datatype": "HD"}],
    "ContactPoint": [{}, {"use": "home"}],
}


@pytest.mark.parametrize("name", sorted(SAMPLES))
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_whatever_the_text(name: str, data: st.DataObject) -> None:
    raw, unit, kind = data.draw(_RAW), data.draw(_RAW), data.draw(_KINDS)
    options = data.draw(st.sampled_from(_CHOICES.get(name, [{}])))
    body = f"{HEADER}\rOBX|1|{kind}|x^Größe^L||{raw}|{unit}\r".encode("utf-8", "surrogatepass")
    if data.draw(st.booleans()):
        body = body.replace("ü".encode(), b"\xfc")
    reading = Reading(er7.parse(body))
    for value in reading.values(1, 5):
        for part in (value, value[1], value[4], value[1][2]):
            if part.is_null or not part:
                continue
            try:
                found = datatypes.TYPES[name](part, scope(**options))
            except Unusable as reason:
                assert len(str(reason)) < 100
            else:
                if found is not None:
                    check(name, found)
            reading.leave()
