"""The official R4 examples through a real gateway: accepted, served without loss, in JSON and in XML."""

from __future__ import annotations

from pathlib import Path

import pytest

from fhir_gateway.rest import types
from profiles import xml
from tests import support
from tests.support import Gateway, Json

EXAMPLES = sorted((support.SHARED / "data" / "fhir_r4_examples").glob("*.json"))
pytestmark = pytest.mark.skipif(not EXAMPLES, reason="needs ../shared/data/fhir_r4_examples")
AS_JSON, AS_XML = {"Accept": "application/fhir+json"}, {"Accept": "application/fhir+xml"}


def content(resource: Json) -> bytes:
    """The resource without what the server writes, in one order."""
    meta = {k: v for k, v in resource.get("meta", {}).items() if k not in ("versionId", "lastUpdated")}
    rest = {name: value for name, value in resource.items() if name != "meta"}
    return support.encode(dict(sorted({**rest, **({"meta": meta} if meta else {})}.items())))


def test_all_of_them_are_here() -> None:
    assert len(EXAMPLES) == 327
    assert {path.name.split("-")[0] for path in EXAMPLES} <= types.SUPPORTED


@pytest.mark.parametrize("resource_type", sorted({path.name.split("-")[0] for path in EXAMPLES}))
def test_examples_are_accepted_and_come_back(gateway: Gateway, resource_type: str) -> None:
    for path in (found for found in EXAMPLES if found.name.startswith(f"{resource_type}-")):
        _round_trip(gateway, path)


def _round_trip(gateway: Gateway, path: Path) -> None:
    body = path.read_bytes()
    sent: Json = support._decoder.decode(body)
    address = f"{sent['resourceType']}/{sent['id']}"
    answer = gateway.http.put(address, content=body, headers=support.FHIR_JSON)
    assert answer.status_code == 201, (path.name, answer.text)
    assert content(support.decode(gateway.http.get(address, headers=AS_JSON))) == content(sent), path.name
    in_xml = gateway.http.get(address, headers=AS_XML)
    assert in_xml.status_code == 200, (path.name, in_xml.text)
    again = gateway.http.put(address, content=in_xml.content, headers={"Content-Type": "application/fhir+xml"})
    assert (again.status_code, again.headers["etag"]) == (200, 'W/"1"'), (path.name, again.text)
    assert xml.decode(in_xml.content)["id"] == sent["id"]
