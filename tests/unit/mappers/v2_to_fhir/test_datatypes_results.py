"""Observation values, reference ranges and attachments."""

import base64
from decimal import Decimal
from typing import Any

import pytest

from mappers.v2_to_fhir import datatypes
from mappers.v2_to_fhir.reading import Unusable
from tests.unit.mappers.v2_to_fhir.values import SCOPE, observed, of

PDF = base64.b64encode(b"%PDF-1.7 Entlassungsbrief \xe4\x00\xff").decode()


@pytest.mark.parametrize(
    ("kind", "raw", "unit", "expected"),
    [
        ("NM", "5.60", "mmol/l", {"valueQuantity": {"value": Decimal("5.60"), "unit": "mmol/l"}}),
        ("NM", "5,6", "mmol/L^^UCUM", {"valueQuantity": {"value": Decimal("5.6"), "unit": "mmol/L", "code": "mmol/L",
                                                         "system": "http://unitsofmeasure.org"}}),
        ("NM", "6,2", "10^9/l", {"valueQuantity": {"value": Decimal("6.2"), "unit": "10^9/l"}}),
        ("NM", "6.2", "x10^3/µl^^UCUM", {"valueQuantity": {"value": Decimal("6.2"), "unit": "x10^3/µl"}}),
        ("NM", "6.2", "10\\S\\9/l", {"valueQuantity": {"value": Decimal("6.2"), "unit": "10^9/l"}}),
        ("NM", ">100", "U/l", {"valueQuantity": {"value": Decimal(100), "comparator": ">", "unit": "U/l"}}),
        ("NM", "<= 0,5", "", {"valueQuantity": {"value": Decimal("0.5"), "comparator": "<="}}),
        ("NM", "neg", "U/l", {"valueString": "neg"}),
        ("NM", "10-15", "/GF", {"valueString": "10-15 /GF"}),
        ("NM", "1,234", "U/l", {"valueString": "1,234 U/l"}),
        ("NM", "5 mg/dl", "mg/dl", {"valueString": "5 mg/dl"}),
        ("SN", ">^100", "U/l", {"valueQuantity": {"value": Decimal(100), "comparator": ">", "unit": "U/l"}}),
        ("SN", "^1^:^128", "", {"valueRatio": {"numerator": {"value": Decimal(1)},
                                               "denominator": {"value": Decimal(128)}}}),
        ("SN", "^3^-^5", "mm", {"valueRange": {"low": {"value": Decimal(3), "unit": "mm"},
                                               "high": {"value": Decimal(5), "unit": "mm"}}}),
        ("SN", "^5^-^3", "mm", {"valueString": "5 - 3 mm"}),
        ("SN", "<0,10", "U/l", {"valueQuantity": {"value": Decimal("0.10"), "comparator": "<", "unit": "U/l"}}),
        ("SN", "^2^+", "", {"valueString": "2 +"}),
        ("SN", "<>^5", "", {"valueString": "<> 5"}),
        ("ST", "5.6", "mmol/l", {"valueQuantity": {"value": Decimal("5.6"), "unit": "mmol/l"}}),
        ("ST", "5.6", "", {"valueString": "5.6"}),
        ("ST", "hämolytisch", "mmol/l", {"valueString": "hämolytisch"}),
        ("ST", "^&", "", {"valueString": "^&"}),
        ("TX", "Befund:~unauffällig~~Ende", "", {"valueString": "Befund:\nunauffällig\n\nEnde"}),
        ("FT", "Größe\\.br\\normal", "", {"valueString": "Größe\nnormal"}),
        ("CWE", "POS^positiv^L", "", {"valueCodeableConcept": {"coding": [
            {"system": "https://klinik.example/codes", "code": "POS", "display": "positiv"}], "text": "positiv"}}),
        ("CE", "^E. coli~^Klebsiella", "", {"valueString": "E. coli\nKlebsiella"}),
        ("IS", "POS", "", {"valueCodeableConcept": {"coding": [{"code": "POS"}], "text": "POS"}}),
        ("DT", "20260102", "", {"valueDateTime": "2026-01-02"}),
        ("TS", "202601021530", "", {"valueDateTime": "2026-01-02T15:30:00+01:00"}),
        ("DTM", "022604011645", "", {"valueString": "022604011645"}),
        ("TM", "1530", "", {"valueTime": "15:30:00"}),
        ("DR", "20260101^20260102", "", {"valuePeriod": {"start": "2026-01-01", "end": "2026-01-02"}}),
        ("NR", "3^5", "mm", {"valueRange": {"low": {"value": Decimal(3), "unit": "mm"},
                                            "high": {"value": Decimal(5), "unit": "mm"}}}),
        ("SI", "0", "", {"valueInteger": 0}),
        ("CQ", "5^mg", "", {"valueQuantity": {"value": Decimal(5), "unit": "mg"}}),
        ("NA", "1^2^3", "", {"valueString": "1^2^3"}),
        ("", "5.6", "mmol/l", {"valueString": "5.6 mmol/l"}),
        ("NM", "5~6", "mm", {"valueString": "5\n6"}),
        ("NM", "   ", "mm", None),
    ],
)  # fmt: skip
def test_observation(kind: str, raw: str, unit: str, expected: object) -> None:
    assert observed(kind, raw, unit) == expected


def test_an_observation_is_made_once() -> None:
    assert datatypes.TYPES["observation"](of("OBX|1|TX|x||a~b", 5, 1), SCOPE) is None


def test_a_document_is_no_observation() -> None:
    with pytest.raises(Unusable, match="document"):
        observed("ED", f"^application^pdf^Base64^{PDF}")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("3.5-5.0", {"low": Decimal("3.5"), "high": Decimal("5.0")}),
        ("3,5 - 5,0", {"low": Decimal("3.5"), "high": Decimal("5.0")}),
        ("3 bis 5", {"low": Decimal(3), "high": Decimal(5)}),
        ("-2--1", {"low": Decimal(-2), "high": Decimal(-1)}),
        ("<5", {"high": Decimal(5)}),
        (">= 60", {"low": Decimal(60)}),
        ("5-3", {}), ("negativ", {}), ("1,234-2,345", {}), ("m: 3-5, w: 2-4", {}), ("5", {}),
    ],
)  # fmt: skip
def test_reference_range(raw: str, expected: dict[str, Decimal]) -> None:
    found: Any = datatypes.TYPES["reference_range"](of(f"OBX|1|NM|x||5|g/dl|{raw}", 7), SCOPE)
    assert found == {**{name: {"value": value, "unit": "g/dl"} for name, value in expected.items()}, "text": raw}


# ---- attachments


def attached(kind: str, raw: str) -> Any:
    return observed(kind, raw, name="Attachment")


@pytest.mark.parametrize(
    ("raw", "content_type"),
    [
        (f"^application^pdf^Base64^{PDF}", "application/pdf"),
        (f"^TEXT^PDF^Base64^{PDF}", "application/pdf"),
        (f"^AP^PDF^Base64^{PDF}", "application/pdf"),
        (f"^multipart^PDF^Base64^{PDF}", "application/pdf"),
        (f"^PDF^^base64^{PDF}", "application/pdf"),
        (f"^text/plain^^Base64^{PDF}", "text/plain"),
        (f"^^application/pdf^Base64^{PDF}", "application/pdf"),
        (f"^image^tiff^Base64^{PDF}", "image/tiff"),
        (f"^text^xml^Base64^{PDF}", "application/xml"),
        (f"^text^html^Base64^{PDF}", "text/html"),
        (f"^application^pdf^Hex^{base64.b64decode(PDF).hex()}", "application/pdf"),
        (f"^application^pdf^Base64^{PDF[:8]}\\.br\\{PDF[8:]}", "application/pdf"),
    ],
)
def test_the_bytes_are_those_that_were_sent(raw: str, content_type: str) -> None:
    assert attached("ED", raw) == {"contentType": content_type, "data": PDF, "title": "Hämoglobin"}


@pytest.mark.parametrize(
    "raw",
    [
        f"^application^pdf^Base64^{PDF[:-1]}", f"^application^pdf^Base64^{PDF}ä", f"^application^pdf^A^{PDF}",
        f"^application^pdf^^{PDF}", f"^^^Base64^{PDF}", "^application^pdf^Hex^xyz", f"^QUATSCH^^Base64^{PDF}",
        f"^application^pdf^Base64^{PDF[:10]}={PDF[10:]}",
    ],
)  # fmt: skip
def test_a_letter_that_cannot_be_whole_is_none(raw: str) -> None:
    with pytest.raises(Unusable):
        attached("ED", raw)


def test_text_is_utf8() -> None:
    text = {"contentType": "text/plain; charset=utf-8", "title": "Hämoglobin"}
    assert attached("ED", "^TEXT^^A^Größe") == {**text, "data": base64.b64encode("Größe".encode()).decode()}
    found = attached("FT", "Sehr geehrte Frau Kollegin,~~\\.br\\Größe normal")
    assert found["contentType"] == "text/plain; charset=utf-8"
    assert base64.b64decode(found["data"]).decode() == "Sehr geehrte Frau Kollegin,\n\nGröße normal"
    assert attached("ED", "^text^html^A^<p>Größe</p>")["contentType"] == "text/html; charset=utf-8"
    assert attached("ED", "^application^pdf^Base64") is None


def test_pointers() -> None:
    url = "https://pacs.example/brief?id=1&x=2"
    expected = {"contentType": "application/pdf", "url": url, "title": "Hämoglobin"}
    assert attached("RP", f"{url}^KIS^application^pdf") == expected
    assert attached("RP", f"{url}")["url"] == url
    for address in ("file://c/brief.pdf", "\\\\server\\brief.pdf", "javascript:alert(1)", "https://x y"):
        with pytest.raises(Unusable):
            attached("RP", address)
