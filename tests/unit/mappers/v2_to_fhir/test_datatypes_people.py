"""Identifiers, names, addresses, telephone numbers, and who and where."""

from typing import Any

import pytest

from mappers.v2_to_fhir.datatypes import identifiers
from tests.unit.mappers.v2_to_fhir.values import converted, left

ASSIGNERS = "https://fhir-gateway.org/NamingSystem/hl7v2"
V2_0203 = "http://terminology.hl7.org/CodeSystem/v2-0203"
KVNR = "http://fhir.de/sid/gkv/kvid-10"
EXT = "http://hl7.org/fhir/StructureDefinition/"


def types(identifier: Any) -> list[str]:
    return [coding["code"] for coding in identifier.get("type", {}).get("coding", [])]


@pytest.mark.parametrize(
    ("raw", "system", "kinds"),
    [
        ("654318^^^Weiden-Klinik^PI", f"{ASSIGNERS}/KLINIK/Weiden-Klinik", ["PI"]),
        ("654318^^^KIS-9^MR", "https://klinik.example/pid", ["MR"]),
        ("654318", f"{ASSIGNERS}/KLINIK/KIS", []),
        ("654318^^^&1.2.276.0.76.3.1&ISO^PI", "urn:oid:1.2.276.0.76.3.1", ["PI"]),
        ("654318^^^&www.praxis.example&DNS^PI", f"{ASSIGNERS}/KLINIK/www.praxis.example", ["PI"]),
        ("654318^^^&kein oid&ISO^PI", f"{ASSIGNERS}/KLINIK/kein%20oid", ["PI"]),
        ("654318^^^&1.2.03&ISO^PI", f"{ASSIGNERS}/KLINIK/1.2.03", ["PI"]),
        ("A000500015^^^GKV^NI", KVNR, ["KVZ10", "NI"]),
        ("A000500015^^^^KVZ10", KVNR, ["KVZ10"]),
        ("A000500015^^^&1.2.276.0.76.4.8&ISO", KVNR, ["KVZ10"]),
        ("A000500016^^^GKV^NI", f"{ASSIGNERS}/KLINIK/GKV", ["NI"]),  # check digit
        ("A000500015^^^Weiden-Klinik^PI", f"{ASSIGNERS}/KLINIK/Weiden-Klinik", ["PI"]),
        ("109905003^^^^NII", "http://fhir.de/sid/arge-ik/iknr", ["XX", "NII"]),
        ("10990500^^^^NII", f"{ASSIGNERS}/KLINIK/KIS/NII", ["NII"]),
        ("31234^^^^NIIP", "http://fhir.de/sid/kbv/vknr", ["NIIP"]),
        ("123456789^^^^LANR", "https://fhir.kbv.de/NamingSystem/KBV_NS_Base_ANR", ["LANR"]),
        ("123456789^^^^BSNR", "https://fhir.kbv.de/NamingSystem/KBV_NS_Base_BSNR", ["BSNR"]),
    ],
)
def test_identifier(raw: str, system: str, kinds: list[str]) -> None:
    found = converted("Identifier", raw)
    assert (found["system"], found["value"], types(found)) == (system, raw.split("^")[0], kinds)


def test_check_digit_of_the_insurance_number() -> None:
    assert all(identifiers._is_kvnr(number) for number in ("A000500015", "A123456780"))
    assert not identifiers._is_kvnr("A123456789")


def test_identifier_with_period_and_assigner() -> None:
    assert converted("Identifier", "77^1^M10^Weiden-Klinik^FALL^^20200101^99991231") == {
        "type": {"text": "FALL"},
        "system": f"{ASSIGNERS}/KLINIK/Weiden-Klinik",
        "value": "77",
        "period": {"start": "2020-01-01"},
        "assigner": {"display": "Weiden-Klinik"},
    }
    assert left("Identifier", "77^1^M10^Weiden-Klinik^FALL^&x^20200101^99991231") == [
        "ZZZ-1.2", "ZZZ-1.3", "ZZZ-1.6.2", "ZZZ-1.8",
    ]  # fmt: skip


def test_type_and_system_of_a_rule() -> None:
    found = converted("Identifier", "77", type="VN", system="https://klinik.example/fall")
    assert (found["system"], types(found)) == ("https://klinik.example/fall", ["VN"])
    assert types(converted("Identifier", "77^^^^AN", type="VN")) == ["AN"]
    entity = converted("EI", "4711^KIS-9", type="FILL")
    assert entity == {
        "type": {"coding": [{"system": V2_0203, "code": "FILL"}]},
        "system": "https://klinik.example/pid",
        "value": "4711",
    }
    assert converted("EI", "^KIS") is None


# ---- names


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Muster^Erika^^^^^L", {"use": "official", "text": "Erika Muster", "family": "Muster", "given": ["Erika"]}),
        (
            "van Beethoven&van&Beethoven^Ludwig^^^^^L^A^^^G",
            {
                "use": "official",
                "text": "Ludwig van Beethoven",
                "family": "van Beethoven",
                "_family": {
                    "extension": [
                        {"url": f"{EXT}humanname-own-prefix", "valueString": "van"},
                        {"url": f"{EXT}humanname-own-name", "valueString": "Beethoven"},
                    ]
                },
                "given": ["Ludwig"],
            },
        ),
        (
            "Dudeck^Joachim^W.^^Prof. Dr.^^L^^^^^20200101^^Dr.med.",
            {
                "use": "official",
                "text": "Prof. Dr. Joachim W. Dudeck, Dr.med.",
                "family": "Dudeck",
                "given": ["Joachim", "W."],
                "prefix": ["Prof. Dr."],
                "_prefix": [{"extension": [{"url": f"{EXT}iso21090-EN-qualifier", "valueCode": "AC"}]}],
                "suffix": ["Dr.med."],
                "period": {"start": "2020-01-01"},
            },
        ),
        ("Groß^^^^^^B", {"use": "maiden", "text": "Groß", "family": "Groß"}),
        ("Groß^^^^^^M", {"use": "maiden", "text": "Groß", "family": "Groß"}),
        ("Muster^Max^^^Herr", {"text": "Herr Max Muster", "family": "Muster", "given": ["Max"], "prefix": ["Herr"]}),
        (
            "&von&Rüden",
            {
                "text": "von Rüden",
                "family": "von Rüden",
                "_family": {
                    "extension": [
                        {"url": f"{EXT}humanname-own-prefix", "valueString": "von"},
                        {"url": f"{EXT}humanname-own-name", "valueString": "Rüden"},
                    ]
                },
            },
        ),
        ("^^^^^^L", None),
    ],
)
def test_human_name(raw: str, expected: object) -> None:
    assert converted("HumanName", raw) == expected


def test_a_degree_of_a_doctor_stands_before_the_name() -> None:
    assert converted("HumanName", "Muster^Erika^^^^Dr. med.")["prefix"] == ["Dr. med."]
    assert converted("HumanName", "Muster^Erika^^^^MD")["suffix"] == ["MD"]


def test_an_unknown_kind_of_name_is_left() -> None:
    assert left("HumanName", "Muster^Erika^^^^^P") == ["ZZZ-1.7"]


def test_person() -> None:
    assert converted("person", "4711^Muster^Erika^^^Dr.") == "Dr. Erika Muster"
    assert converted("person", "Muster^Erika", datatype="XPN") == "Erika Muster"
    assert converted("person", "4711") is None
    assert left("person", "4711^Muster") == ["ZZZ-1.1"]


# ---- addresses and telephone numbers


def test_address() -> None:
    assert converted("Address", "Falkenstr. 10&Falkenstr.&10^Hinterhaus^Köln^DE-NW^50823^DEU^H^^^^^^20200101") == {
        "use": "home",
        "line": ["Falkenstr. 10", "Hinterhaus"],
        "_line": [
            {
                "extension": [
                    {"url": f"{EXT}iso21090-ADXP-streetName", "valueString": "Falkenstr."},
                    {"url": f"{EXT}iso21090-ADXP-houseNumber", "valueString": "10"},
                ]
            },
            {"extension": [{"url": f"{EXT}iso21090-ADXP-additionalLocator", "valueString": "Hinterhaus"}]},
        ],
        "city": "Köln",
        "state": "DE-NW",
        "postalCode": "50823",
        "country": "DE",
        "period": {"start": "2020-01-01"},
    }


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Amselgasse 12^^Karlsruhe^^76131", {"line": ["Amselgasse 12"], "city": "Karlsruhe", "postalCode": "76131"}),
        ("^^Graz^^8010^AUT^M", {"type": "postal", "city": "Graz", "postalCode": "8010", "country": "AUT"}),
        ("^^^^^D", {"country": "DE"}),
        ("^^^XA-DE-BW", {"state": "XA-DE-BW"}),
        ("^^Mönchengladbach^^^^BDL", None),
        ("^^^^^^H", None),
    ],
)
def test_addresses(raw: str, expected: object) -> None:
    assert converted("Address", raw) == expected


@pytest.mark.parametrize(
    ("raw", "line"), [("Falkenstr.&Falkenstr.&10", "Falkenstr. 10"), ("&Falkenstr.&10 a", "Falkenstr. 10 a")]
)
def test_the_house_number_is_not_lost(raw: str, line: str) -> None:
    assert converted("Address", raw)["line"] == [line]


def test_a_place_of_birth_is_no_address() -> None:
    assert left("Address", "^^Mönchengladbach^^^^BDL") == ["ZZZ-1.3", "ZZZ-1.7"]
    assert converted("birth_place", "^^Mönchengladbach^^^^BDL") == {
        "url": f"{EXT}patient-birthPlace", "valueAddress": {"city": "Mönchengladbach"},
    }  # fmt: skip
    assert converted("birth_place", "^^Köln^^^^H") is None


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("^PRN^PH^^49^40^7654321^^^^^040/7654321", {"system": "phone", "value": "+49 40 7654321", "use": "home"}),
        ("^PRN^FX^^49^40^7654322^^^^^+49 (40) 7654322", {"system": "fax", "value": "+49 (40) 7654322", "use": "home"}),
        ("^WPN^PH^^^^^4321^^^^4321", {"system": "phone", "value": "4321", "use": "work"}),
        ("^NET^Internet^Alfons.Meier@xy-domain.de", {"system": "email", "value": "Alfons.Meier@xy-domain.de"}),
        ("^PRN^PH^^^911^1234567", {"system": "phone", "value": "0911 1234567", "use": "home"}),
        ("^PRN^PH^^0049^0911^1234^56", {"system": "phone", "value": "+49 911 1234-56", "use": "home"}),
        ("^PRS^CP^^43^0664^1234567", {"system": "phone", "value": "+43 0664 1234567", "use": "mobile"}),
        ("^PRN^^^PH^555^666666", {"system": "phone", "value": "0555 666666", "use": "home"}),
        ("0911/12345-678", {"system": "phone", "value": "0911/12345-678"}),
        ("0911/12345^WPN^PH^^^^^678", {"system": "phone", "value": "0911/12345-678", "use": "work"}),
        ("erika@klinik.example", {"system": "email", "value": "erika@klinik.example"}),
        ("0911 1^PRN^PH^erika@klinik.example", {"system": "phone", "value": "0911 1", "use": "home"}),
        ("^^Internet^https://klinik.example", {"system": "url", "value": "https://klinik.example"}),
        ("0911 1^^XX", {"system": "other", "value": "0911 1"}),
        ("0911 1^^BP^^^^^^^^^^20200101^^^^^2", {"system": "pager", "value": "0911 1", "rank": 2,
                                                 "period": {"start": "2020-01-01"}}),
        ("^PRN^PH", None),
    ],
)  # fmt: skip
def test_contact_point(raw: str, expected: object) -> None:
    assert converted("ContactPoint", raw) == expected


def test_the_use_of_a_field() -> None:
    assert converted("ContactPoint", "0911 1", use="home")["use"] == "home"
    assert converted("ContactPoint", "0911 1^WPN", use="home")["use"] == "work"
    assert "use" not in converted("ContactPoint", "0911 1^EMR", use="home")


def test_what_a_number_leaves() -> None:
    assert left("ContactPoint", "^PRN^PH^^49^40^7654321^^Mutter^^^040/7654321") == ["ZZZ-1.9"]
    assert left("ContactPoint", "0911 1^PRN^PH^erika@klinik.example") == ["ZZZ-1.4"]


# ---- references


def test_practitioner() -> None:
    assert converted("practitioner", "4711^Muster^Erika^^^Dr.^^^Weiden-Klinik^L^^^DN") == {
        "type": "Practitioner",
        "identifier": {
            "type": {"coding": [{"system": V2_0203, "code": "DN"}]},
            "system": f"{ASSIGNERS}/KLINIK/Weiden-Klinik",
            "value": "4711",
        },
        "display": "Dr. Erika Muster",
    }
    assert converted("practitioner", "^Muster^Erika") == {"type": "Practitioner", "display": "Erika Muster"}
    assert converted("practitioner", "123456789^^^^^^^^^^^^LANR")["identifier"]["system"].endswith("KBV_NS_Base_ANR")
    assert converted("practitioner", "^^^^^^^^Weiden-Klinik") is None


def test_organization() -> None:
    assert converted("organization", "Praxis Müller & Partner^^123456789^^^^BSNR") == {
        "type": "Organization",
        "identifier": {
            "type": {"coding": [{"system": V2_0203, "code": "BSNR"}]},
            "system": "https://fhir.kbv.de/NamingSystem/KBV_NS_Base_BSNR",
            "value": "123456789",
        },
        "display": "Praxis Müller & Partner",
    }
    assert converted("organization", "Chirurgie") == {"type": "Organization", "display": "Chirurgie"}
    assert converted("organization", "109905003^^^^NII", datatype="CX")["identifier"]["value"] == "109905003"
    assert converted("organization", "KLINIK&x^1.2.276.0.76^ISO", datatype="HD") == {
        "type": "Organization",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": "urn:oid:1.2.276.0.76"},
        "display": "KLINIK&x",
    }
    assert converted("organization", "^^", datatype="HD") is None


@pytest.mark.parametrize(
    ("raw", "display", "value"),
    [
        ("ST1^12^2", "Station ST1, Zimmer 12, Bett 2", "ST1^12^2"),
        ("CHI^202^1^IN^^N^A^4", "Station CHI, Zimmer 202, Bett 1, Gebäude A, Ebene 4", "CHI^202^1^IN^^^A^4"),
        ("Station 3 & 4", "Station 3", "Station 3"),
        ("Ambulanz^^^KLINIK^^C", "Ambulanz", "Ambulanz^^^KLINIK"),
        ("^^^KLINIK", "KLINIK", "^^^KLINIK"),
    ],
)
def test_location(raw: str, display: str, value: str) -> None:
    found = converted("location", raw)
    assert found == {
        "type": "Location", "identifier": {"system": f"{ASSIGNERS}/KLINIK/PL", "value": value}, "display": display,
    }  # fmt: skip


def test_a_location_that_is_only_described() -> None:
    assert converted("location", "^^^^^^^^Küche") == {"type": "Location", "display": "Küche"}
    assert converted("location", "^^^^^C") is None
