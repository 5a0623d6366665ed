"""Formats and status codes as http.html and xml.html of R4 4.0.1 say them."""

from __future__ import annotations

import uuid
import xml.etree.ElementTree as ElementTree
from decimal import Decimal

import httpx
import pytest

from tests import support
from tests.support import Gateway, Json

JSON, XML = "application/fhir+json", "application/fhir+xml"
NS = "{http://hl7.org/fhir}"
DIV = '<div xmlns="http://www.w3.org/1999/xhtml"><p>Größe &lt; 5 &amp; <b>fett</b></p></div>'
PATIENT: Json = {
    "resourceType": "Patient",
    "text": {"status": "generated", "div": DIV},
    "contained": [{"resourceType": "Organization", "id": "org", "name": "Praxis Ö"}],
    "extension": [{"url": "urn:e", "extension": [{"url": "a", "valueBoolean": True},
                                                 {"url": "b", "valueString": "1 < 2 & \"q\"\tTab"}]}],
    "active": False,
    "name": [{"family": "Müller", "given": ["Jörg", "P."],
              "_given": [None, {"extension": [{"url": "urn:x", "valueCode": "c"}]}]}],
    "birthDate": "1980-05",
    "_birthDate": {"id": "bd", "extension": [{"url": "urn:t", "valueDateTime": "1980-05-02T10:00:00+02:00"}]},
    "multipleBirthInteger": 2,
    "managingOrganization": {"reference": "#org"},
}  # fmt: skip
OBSERVATION: Json = {
    "resourceType": "Observation", "status": "final", "code": {"text": "x"},
    "valueQuantity": {"value": Decimal("1.500"), "unit": "kg"},
    "component": [{"code": {"text": "leer"}, "valueString": "Zeile 1\nZeile 2"}],
}  # fmt: skip


@pytest.fixture(scope="module")
def known(gateway: Gateway) -> Json:
    answer = gateway.post("Patient", PATIENT)
    assert answer.status_code == 201, answer.text
    return support.decode(answer)


def kind(answer: httpx.Response) -> str:
    return answer.headers["content-type"].split(";")[0]


@pytest.mark.parametrize(
    ("accept", "served"),
    [
        ("application/fhir+json", JSON), ("application/fhir+xml", XML), ("application/json", JSON),
        ("application/xml", XML), ("text/xml", XML), ("*/*", JSON), ("application/*", JSON),
        ("application/fhir+json;q=0.5, application/fhir+xml", XML), ("application/fhir+xml;q=0.1, */*;q=0.05", XML),
        ("application/fhir+xml;q=0, application/fhir+json;q=0.1", JSON),
        ("text/html, application/fhir+xml;q=0.3", XML), ("APPLICATION/FHIR+XML", XML),
        ("application/fhir+json; fhirVersion=4.0", JSON), ("application/fhir+xml; charset=utf-8", XML),
        ("text/html,application/xhtml+xml,*/*;q=0.8", JSON),
    ],
)  # fmt: skip
def test_accept_decides(gateway: Gateway, known: Json, accept: str, served: str) -> None:
    for path in (f"Patient/{known['id']}", "Patient?_count=1", "metadata", "Patient/never"):
        answer = gateway.http.get(path, headers={"Accept": accept})
        assert answer.status_code in (200, 404)
        assert kind(answer) in (served, "application/xml", "application/json", "text/xml"), path
        assert ("xml" in kind(answer)) == (served == XML), path
        assert "charset=utf-8" in answer.headers["content-type"].lower()


@pytest.mark.parametrize(
    ("value", "served"),
    [("json", JSON), ("xml", XML), ("application/fhir+json", JSON), ("application/fhir+xml", XML), ("text/xml", XML),
     ("application/json", JSON), ("application/xml", XML)],
)  # fmt: skip
def test_format_goes_before_accept(gateway: Gateway, known: Json, value: str, served: str) -> None:
    other = JSON if served == XML else XML
    for path in (f"Patient/{known['id']}", "Patient", f"Patient/{known['id']}/_history", "metadata"):
        answer = gateway.http.get(path, params={"_format": value}, headers={"Accept": other})
        assert (answer.status_code, "xml" in kind(answer)) == (200, served == XML), (path, answer.text[:200])
    answer = gateway.http.post(
        "Patient/_search", data={"_format": value, "_id": known["id"]}, headers={"Accept": other}
    )
    assert (answer.status_code, "xml" in kind(answer)) == (200, served == XML), answer.text[:200]


def test_what_is_not_spoken_is_406_and_415(gateway: Gateway, known: Json) -> None:
    url = f"Patient/{known['id']}"
    assert gateway.http.get(url, headers={"Accept": "text/turtle"}).status_code == 406
    assert gateway.http.get(url, headers={"Accept": "application/pdf, image/png"}).status_code == 406
    assert gateway.http.get(url, params={"_format": "ttl"}).status_code in (400, 406, 415)
    for type_ in ("text/plain", "application/x-www-form-urlencoded", "text/turtle"):
        answer = gateway.http.post("Patient", content=b"{}", headers={"Content-Type": type_})
        assert (answer.status_code, len(support.issues(answer))) == (415, 1), type_
    for type_ in ("application/json", "application/fhir+json; charset=utf-8", "application/fhir+json;fhirVersion=4.0"):
        answer = gateway.http.post("Patient", content=support.encode(PATIENT), headers={"Content-Type": type_})
        assert answer.status_code == 201, (type_, answer.text)
    mixed = gateway.http.post("Patient", content=support.encode(PATIENT), headers={"Content-Type": XML})
    assert mixed.status_code == 400
    patch = gateway.http.patch(url, content=b"[]", headers={"Content-Type": "text/plain"})
    assert patch.status_code == 415


def xml_of(gateway: Gateway, path: str) -> bytes:
    answer = gateway.http.get(path, headers={"Accept": XML})
    assert answer.status_code == 200, answer.text
    return answer.content


@pytest.mark.parametrize("resource", [PATIENT, OBSERVATION], ids=["Patient", "Observation"])
def test_a_resource_comes_back_through_xml_without_loss(gateway: Gateway, resource: Json) -> None:
    made = support.decode(gateway.post(resource["resourceType"], resource))
    content = xml_of(gateway, f"{resource['resourceType']}/{made['id']}")
    root = ElementTree.fromstring(content)
    assert root.tag == NS + resource["resourceType"]
    again = gateway.http.post(
        resource["resourceType"],
        content=content,
        headers={"Content-Type": XML, "Accept": JSON, "Prefer": "return=representation"},
    )
    assert again.status_code == 201, again.text
    stored = support.decode(again)
    for one in (made, stored):
        del one["id"], one["meta"]
    assert stored == made
    assert support.encode(stored) == support.encode(made)


def test_xml_has_the_order_and_the_form_of_the_schema(gateway: Gateway, known: Json) -> None:
    root = ElementTree.fromstring(xml_of(gateway, f"Patient/{known['id']}"))
    assert [child.tag.removeprefix(NS) for child in root] == [
        "id", "meta", "text", "contained", "extension", "active", "name", "birthDate", "multipleBirthInteger",
        "managingOrganization",
    ]  # fmt: skip
    assert root.find(f"{NS}birthDate").attrib == {"value": "1980-05", "id": "bd"}  # type: ignore[union-attr]
    assert root.find(f"{NS}active").attrib == {"value": "false"}  # type: ignore[union-attr]
    assert root.find(f"{NS}extension").attrib == {"url": "urn:e"}  # type: ignore[union-attr]
    assert root.find(f"{NS}contained/{NS}Organization/{NS}name") is not None
    assert root.find(f"{NS}text/{{http://www.w3.org/1999/xhtml}}div") is not None
    given = root.findall(f"{NS}name/{NS}given")
    assert [g.attrib for g in given] == [{"value": "Jörg"}, {"value": "P."}]
    assert given[1].find(f"{NS}extension/{NS}valueCode") is not None


def test_xml_bundles_and_outcomes(gateway: Gateway, known: Json) -> None:
    root = ElementTree.fromstring(xml_of(gateway, f"Patient?_id={known['id']}&name=müller"))
    assert root.tag == f"{NS}Bundle"
    assert root.find(f"{NS}entry/{NS}resource/{NS}Patient/{NS}id").attrib["value"] == known["id"]  # type: ignore[union-attr]
    answer = gateway.http.get("Patient/never", headers={"Accept": XML})
    assert (answer.status_code, ElementTree.fromstring(answer.content).tag) == (404, f"{NS}OperationOutcome")


@pytest.mark.parametrize(
    "content",
    [
        b"", b"<", b"<Patient/>", b'<Patient xmlns="urn:x"/>', b'<Nonsense xmlns="http://hl7.org/fhir"/>',
        b'<Observation xmlns="http://hl7.org/fhir"><status value="final"/></Observation>',
        b'<Patient xmlns="http://hl7.org/fhir"><nonsense value="1"/></Patient>',
        b'<Patient xmlns="http://hl7.org/fhir"><active value="yes"/></Patient>',
        b'<Patient xmlns="http://hl7.org/fhir"><active value="true" other="1"/></Patient>',
        b'<Patient xmlns="http://hl7.org/fhir"><active value="true"/><active value="true"/></Patient>',
        b'<Patient xmlns="http://hl7.org/fhir">Text<active value="true"/></Patient>',
        b'<!DOCTYPE p [<!ENTITY e "x">]><Patient xmlns="http://hl7.org/fhir"><id value="&e;"/></Patient>',
        b'<!DOCTYPE p [<!ENTITY e SYSTEM "file:///etc/passwd">]><Patient xmlns="http://hl7.org/fhir"/>',
        b"<a>" * 20000,
    ],
)  # fmt: skip
def test_bad_xml_is_400(gateway: Gateway, content: bytes) -> None:
    answer = gateway.http.post("Patient", content=content, headers={"Content-Type": XML, "Accept": JSON})
    assert answer.status_code in (400, 422), (answer.status_code, answer.text[:200])
    assert support.decode(answer)["resourceType"] == "OperationOutcome"


def test_xml_update_and_patch(gateway: Gateway) -> None:
    name = f"x{uuid.uuid4().hex}"
    body = f'<Patient xmlns="http://hl7.org/fhir"><id value="{name}"/><active value="true"/></Patient>'.encode()
    answer = gateway.http.put(f"Patient/{name}", content=body, headers={"Content-Type": XML, "Accept": XML})
    assert (answer.status_code, kind(answer)) == (201, XML)
    parameters = b"""<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="operation"/>
      <part><name value="type"/><valueCode value="replace"/></part>
      <part><name value="path"/><valueString value="Patient.active"/></part>
      <part><name value="value"/><valueBoolean value="false"/></part></parameter></Parameters>"""
    answer = gateway.http.patch(f"Patient/{name}", content=parameters, headers={"Content-Type": XML})
    assert answer.status_code == 200, answer.text
    assert gateway.get(f"Patient/{name}")["active"] is False


def test_head_answers_as_get_without_a_body(gateway: Gateway, known: Json) -> None:
    for path in (f"Patient/{known['id']}", f"Patient/{known['id']}/_history/1", "Patient?_count=1", "metadata"):
        get, head = gateway.http.get(path), gateway.http.head(path)
        assert (head.status_code, head.content) == (200, b""), path
        for name in ("content-type", "etag", "last-modified"):
            assert head.headers.get(name) == get.headers.get(name), (path, name)
    assert gateway.http.head("Patient/never").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "metadata", "GET"), ("PUT", "Patient/x/_history/1", "GET"), ("POST", "Patient/x/_history", "GET"),
        ("POST", "Patient/x", "PUT"), ("PUT", "Patient/_search", "POST"), ("PUT", "Patient/$validate", "POST"),
        ("POST", "_history", "GET"), ("TRACE", "Patient", "GET"), ("PROPFIND", "Patient/x", "GET"),
        ("PATCH", "", "POST"),
    ],
)  # fmt: skip
def test_405_names_what_is_allowed(gateway: Gateway, method: str, path: str, allowed: str) -> None:
    answer = gateway.http.request(method, path, content=b"{}", headers=support.FHIR_JSON)
    assert answer.status_code == 405, answer.text
    assert allowed in answer.headers["allow"].replace(" ", "").split(",")
    assert support.issues(answer)


@pytest.mark.parametrize(
    "path", ["Nonsense", "Nonsense/1", "patient", "Patient/x/y", "Patient/never", "nonsense", "Patient/$nonsense",
             "$nonsense", "Patient/x/$nonsense", "Patient/x/_history/1/2", "Patient//_history"],
)  # fmt: skip
def test_404_has_an_outcome(gateway: Gateway, path: str) -> None:
    answer = gateway.http.get(path)
    assert answer.status_code in (400, 404), answer.text
    assert support.issues(answer)
    assert answer.status_code == 404 or "$" in path


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"x"', b"{}", b'{"resourceType": 5}', b"\xff\xfe", b"\xef\xbb\xbf{}"]
)
def test_a_bad_body_is_400_with_an_outcome(gateway: Gateway, body: bytes) -> None:
    for method, path in (("POST", "Patient"), ("PUT", "Patient/x1"), ("POST", "")):
        answer = gateway.http.request(method, path, content=body, headers=support.FHIR_JSON)
        assert answer.status_code == 400, (method, path, answer.status_code)
        assert support.issues(answer)


@pytest.mark.parametrize("name", ["a b", "ä", "x" * 65, "a_b", "a%2Fb"])
def test_a_bad_id_is_refused(gateway: Gateway, name: str) -> None:
    answer = gateway.http.put(f"Patient/{name}", content=support.encode({"resourceType": "Patient", "id": name}),
                              headers=support.FHIR_JSON)  # fmt: skip
    assert answer.status_code in (400, 404), answer.text
    assert gateway.http.get(f"Patient/{name}").status_code in (400, 404)


def test_pretty_and_language_do_not_disturb(gateway: Gateway, known: Json) -> None:
    """http.html#parameters: _pretty is optional, but a general parameter, and asks for nothing else."""
    answer = gateway.http.get(f"Patient/{known['id']}?_pretty=true", headers={"Accept-Language": "de"})
    assert (answer.status_code, support.decode(answer)) == (200, known)
    assert gateway.http.get("Patient?_pretty=true").status_code == 200


def test_binary_comes_in_its_own_type(gateway: Gateway) -> None:
    """binary.html#rest: served in its own content type unless FHIR is asked for."""
    sent = {"resourceType": "Binary", "contentType": "text/plain", "data": "SGFsbG8="}
    made = support.decode(gateway.post("Binary", sent))
    raw = gateway.http.get(f"Binary/{made['id']}", headers={"Accept": "text/plain"})
    assert (raw.status_code, kind(raw), raw.content) == (200, "text/plain", b"Hallo")
    fhir = gateway.http.get(f"Binary/{made['id']}", headers={"Accept": JSON})
    assert support.decode(fhir)["data"] == "SGFsbG8="
    posted = gateway.http.post("Binary", content=b"Hallo", headers={"Content-Type": "text/plain"})
    assert posted.status_code == 201, posted.text
    address = posted.headers["location"].split("/fhir/")[1].split("/_history")[0]
    assert gateway.get(address)["data"] == "SGFsbG8="
