"""MDM: documents with their bytes, their states, and how they follow one another."""

import base64

import pytest

from mappers.v2_to_fhir import engine
from tests.unit.mappers.v2_to_fhir.maps import PID, PV1, Json, identity, invalid, mapped, not_mapped, only, resources

PDF = b"%PDF-1.4\n\xe2\xe3\xcf\xd3\n" + bytes(range(256)) + b"\n%%EOF\n"


def txa(
    *, number: str = "D-1^KIS", parent: str = "", completion: str = "AU", availability: str = "",
    title: str = "Entlassbrief", kind: str = "ARZTBRIEF^Arztbrief^KISDOC", presentation: str = "FT",
) -> str:  # fmt: skip
    return (
        f"TXA|1|{kind}|{presentation}|20261121|7^Prim^Paula|202611221000|||5551^Muster^Max^^^Dr.|5552^Ober^Olga||{number}|{parent}|||"
        f"brief.pdf|{completion}|R|{availability}||||||{title}"
    )


def document(event: str, *segments: str, **fields: str) -> engine.Mapped:
    return mapped(f"MDM^{event}", f"EVN|{event}|20261122101500", PID, PV1, txa(**fields), *segments)


def texts(resource: Json) -> list[str]:
    return [base64.b64decode(item["attachment"]["data"]).decode() for item in resource["content"]]


def test_a_letter() -> None:
    found = document("T02", "OBX|1|FT|BRIEF^Arztbrief^KISDOC||Sehr geehrte Kollegin,\\.br\\Frau Beispiel …||||||F")
    letter = only(found, "DocumentReference")
    assert invalid(found) == []
    assert found.faults == []
    assert letter["masterIdentifier"]["value"] == "D-1"
    assert letter["identifier"][0]["value"] == "brief.pdf"
    assert (letter["status"], letter["docStatus"]) == ("current", "final")
    assert letter["type"]["coding"][0]["code"] == "ARZTBRIEF"
    assert letter["date"] == "2026-11-22T10:00:00+01:00"
    assert letter["author"][0]["display"] == "Dr. Max Muster"
    assert letter["authenticator"]["display"] == "Olga Ober"
    assert letter["description"] == "Entlassbrief"
    assert letter["securityLabel"][0]["coding"][0]["code"] == "R"
    assert letter["context"]["period"] == {"start": "2026-11-21"}
    assert letter["context"]["encounter"][0]["reference"].startswith("Encounter/")
    assert letter["subject"]["reference"].startswith("Patient/")
    assert letter["content"] == [
        {
            "attachment": {
                "contentType": "text/plain; charset=utf-8",
                "data": base64.b64encode("Sehr geehrte Kollegin,\nFrau Beispiel …".encode()).decode(),
                "title": "Arztbrief",
            }
        }
    ]
    assert identity(found, "DocumentReference") == [(("masterIdentifier",),)]
    assert not_mapped(found) == {"TXA-5.1", "TXA-5.2", "TXA-5.3"}  # R4 has no place for who did what is documented


def test_a_letter_in_lines_is_one_attachment() -> None:
    lines = ["Anamnese:", "", "  Husten seit 3 Tagen", "Therapie: Amoxicillin 3 x 1 g"]
    found = document("T02", *(f"OBX|{n}|TX|BRIEF^Arztbrief||{line}||||||F" for n, line in enumerate(lines, 1)))
    assert texts(only(found, "DocumentReference")) == ["\n".join(lines)]
    numbered = document("T02", *(f"OBX|{n}|TX|BRIEF^Arztbrief|{n}|{line}||||||F" for n, line in enumerate(lines, 1)))
    assert texts(only(numbered, "DocumentReference")) == ["\n".join(lines)]
    repeated = document("T02", f"OBX|1|TX|BRIEF^Arztbrief||{'~'.join(lines)}||||||F")
    assert texts(only(repeated, "DocumentReference")) == ["\n".join(lines)]
    for one in (found, numbered, repeated):
        assert not any(path.startswith("OBX") for path in not_mapped(one))
        assert invalid(one) == []


def test_parts_stay_apart_and_in_order() -> None:
    found = document(
        "T02", "OBX|1|TX|ANA^Anamnese||Husten", "OBX|2|TX|ANA^Anamnese||Fieber", "OBX|3|TX|THE^Therapie||Amoxicillin",
        f"OBX|4|ED|PDF^Brief als PDF||KIS^application^pdf^Base64^{base64.b64encode(PDF).decode()}",
        "OBX|5|RP|BILD^Bild||https://pacs.klinik.example/1^^image^jpeg", "OBX|6|TX|ANA^Anamnese||Nachtrag",
    )  # fmt: skip
    content = [item["attachment"] for item in only(found, "DocumentReference")["content"]]
    assert [item["title"] for item in content] == [
        "Anamnese", "Therapie", "Brief als PDF", "Bild", "Anamnese",
    ]  # fmt: skip
    assert base64.b64decode(content[0]["data"]) == b"Husten\nFieber"
    assert base64.b64decode(content[2]["data"]) == PDF
    assert content[3] == {"contentType": "image/jpeg", "url": "https://pacs.klinik.example/1", "title": "Bild"}
    assert invalid(found) == []


@pytest.mark.parametrize("line_end", ["", "\\.br\\", "\\X0A\\", "\\X0D0A\\"])
@pytest.mark.parametrize("kind", ["application^pdf", "application/pdf^", "TEXT^PDF"])
def test_the_bytes_of_a_pdf(line_end: str, kind: str) -> None:
    encoded = base64.b64encode(PDF).decode()
    data = line_end.join(encoded[n : n + 76] for n in range(0, len(encoded), 76))
    found = document("T02", f"OBX|1|ED|PDF^Arztbrief||KIS^{kind}^Base64^{data}||||||F")
    (item,) = only(found, "DocumentReference")["content"]
    assert item["attachment"]["contentType"] == "application/pdf"
    assert base64.b64decode(item["attachment"]["data"]) == PDF
    assert invalid(found) == []


def test_text_of_another_character_set_becomes_utf_8() -> None:
    segments = [
        PID.replace("Beispiel", "Müller"),
        PV1,
        txa(title="Größe & Gewicht"),
        "OBX|1|TX|B^Brief||Größe \\XFC\\ber Maß",
    ]
    found = mapped("MDM^T02", *segments, charset="8859/1", codec="iso8859-1")
    letter = only(found, "DocumentReference")
    assert texts(letter) == ["Größe über Maß"]
    assert letter["description"] == "Größe & Gewicht"
    assert only(found, "Patient")["name"][0]["family"] == "Müller"


def test_a_part_that_cannot_be_read_is_no_document() -> None:
    found = document("T02", "OBX|1|TX|A^Text||Husten", "OBX|2|ED|PDF^Brief||KIS^application^pdf^Base64^%%%")
    assert str(found.fatal) == "OBX-5.1: its data are no base64"
    found = document("T02")
    assert str(found.fatal) == "DocumentReference: There is no content."


# ---- states


@pytest.mark.parametrize(
    ("event", "completion", "doc_status"),
    [
        ("T02", "AU", "final"), ("T02", "LA", "final"), ("T02", "DI", "preliminary"), ("T02", "DO", "preliminary"),
        ("T02", "IP", "preliminary"), ("T02", "IN", "preliminary"), ("T02", "PA", "preliminary"),
        ("T08", "AU", "amended"), ("T08", "LA", "amended"), ("T08", "", "amended"), ("T08", "PA", "preliminary"),
        ("T02", "", "final"),
    ],
)  # fmt: skip
def test_the_state_of_a_document(event: str, completion: str, doc_status: str) -> None:
    found = document(event, "OBX|1|TX|B^Brief||Text||||||F", completion=completion)
    assert only(found, "DocumentReference")["docStatus"] == doc_status
    assert invalid(found) == []


@pytest.mark.parametrize(
    ("event", "availability", "status"),
    [
        ("T02", "", "current"), ("T02", "AV", "current"), ("T02", "UN", "current"), ("T02", "OB", "superseded"),
        ("T02", "CA", "entered-in-error"), ("T11", "", "entered-in-error"), ("T11", "AV", "entered-in-error"),
    ],
)  # fmt: skip
def test_the_status_of_a_document(event: str, availability: str, status: str) -> None:
    found = document(event, *(["OBX|1|TX|B^Brief||Text"] if event == "T02" else []), availability=availability)
    letter = only(found, "DocumentReference")
    assert letter["status"] == status
    assert ("_status" in letter) == (availability in ("UN", "OB", "CA"))
    (draft,) = [draft for draft in found.drafts if draft.type == "DocumentReference"]
    assert ("status" in draft.defaults) == (event == "T02" and not availability)
    assert invalid(found) == []


@pytest.mark.parametrize(
    ("event", "code"), [("T05", "appends"), ("T06", "appends"), ("T09", "replaces"), ("T10", "replaces")]
)
def test_a_document_that_follows_another(event: str, code: str) -> None:
    segments = ["OBX|1|TX|B^Nachtrag||Histologie: kein Anhalt für Malignität."] if event in ("T06", "T10") else []
    found = document(event, *segments, number="D-2^KIS", parent="D-1^KIS")
    letter = only(found, "DocumentReference")
    (relation,) = letter["relatesTo"]
    parent = only(document("T02", "OBX|1|TX|B^Brief||Text"), "DocumentReference")["masterIdentifier"]
    assert relation == {"code": code, "target": {"type": "DocumentReference", "identifier": parent}}
    assert letter["masterIdentifier"]["value"] == "D-2"
    assert invalid(found) == []


def test_a_parent_of_an_edit_is_reported() -> None:
    found = document("T08", "OBX|1|TX|B^Brief||Text", parent="D-0^KIS")
    assert "relatesTo" not in only(found, "DocumentReference")
    assert {"TXA-13.1", "TXA-13.2"} <= not_mapped(found)


@pytest.mark.parametrize("event", ["T01", "T05", "T09", "T11"])
def test_a_notification_without_the_document(event: str) -> None:
    found = document(event, parent="D-0^KIS" if event in ("T05", "T09") else "")
    letter = only(found, "DocumentReference")
    assert letter["content"] == [{"attachment": {"title": "Entlassbrief", "contentType": "text/plain"}}]
    (draft,) = [draft for draft in found.drafts if draft.type == "DocumentReference"]
    assert "content" in draft.defaults  # what is stored of the document stays
    assert invalid(found) == []
    with_content = document(event, "OBX|1|TX|B^Brief||Doch mit Text")
    (draft,) = [draft for draft in with_content.drafts if draft.type == "DocumentReference"]
    assert "content" not in draft.defaults
    assert texts(draft.resource) == ["Doch mit Text"]
    nameless = mapped(f"MDM^{event}", PID, "TXA|1||||||||||D-1^KIS" + "|" * 5 + "AU")
    assert invalid(nameless) == []


def test_codes_of_hl7_and_of_the_sender() -> None:
    def types(kind: str) -> list[tuple[str | None, str]]:
        letter = only(document("T02", "OBX|1|TX|B^Brief||Text", kind=kind), "DocumentReference")
        return [(coding.get("system"), coding["code"]) for coding in letter["type"]["coding"]]

    assert types("DS") == [("http://terminology.hl7.org/CodeSystem/v2-0270", "DS")]
    assert types("11490-0^Entlassbrief^LN") == [("http://loinc.org", "11490-0")]
    assert types("AD010101^Entlassbrief^KDL") == [("http://dvmd.de/fhir/CodeSystem/kdl", "AD010101")]
    assert types("OP^Bericht^99KLINIK") == [("https://fhir-gateway.org/CodeSystem/hl7v2/KLINIK/99KLINIK", "OP")]


def test_a_document_of_an_order() -> None:
    found = mapped(
        "MDM^T02", PID, PV1, "ORC|RE|A-1^KIS|R-1^RIS||CM", "OBR|1|A-1^KIS|R-1^RIS|TH2^Röntgen Thorax^L", txa(),
        "OBX|1|TX|B^Befund||Kein Infiltrat.",
    )  # fmt: skip
    order = only(found, "ServiceRequest")
    assert only(found, "DocumentReference")["context"]["related"] == [{"reference": f"ServiceRequest/{order['id']}"}]
    assert order["status"] == "completed"
    assert resources(found, "DiagnosticReport", "Observation") == []
    assert invalid(found) == []
    named = mapped("MDM^T02", PID, txa().replace("D-1^KIS||||", "D-1^KIS||A-1^KIS|R-1^RIS|"), "OBX|1|TX|B^Befund||Text")
    related = only(named, "DocumentReference")["context"]["related"]
    assert [(item["type"], item["identifier"]["value"]) for item in related] == [
        ("ServiceRequest", "A-1"), ("ServiceRequest", "R-1"),
    ]  # fmt: skip
    assert "encounter" not in only(named, "DocumentReference")["context"]
    assert invalid(named) == []
