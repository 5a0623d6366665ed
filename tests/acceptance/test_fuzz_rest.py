"""No input makes a 500: the OpenAPI description worked through by schemathesis, invented resources by hypothesis.

The same examples in every run. FHIR_FUZZ=10 makes ten times as many, and works through every resource type.
"""

from __future__ import annotations

import base64
import json
import os
import urllib.parse
import warnings
import zlib
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import httpx
import msgspec
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks

from fhir_gateway.rest import openapi, router, types
from fhir_gateway.search import parameters
from profiles import r4_differences as r4
from profiles import xml
from tests import support
from tests.support import Gateway, Json

TIMES = int(os.environ.get("FHIR_FUZZ", "0"))
DESCRIBED = {"System", "Patient"}  # what is worked through without FHIR_FUZZ, beside the named operations
WRITABLE = sorted(types.SUPPORTED - types.READ_ONLY - {"Subscription"})
FHIR_XML, JSON_PATCH = "application/fhir+xml", "application/json-patch+json"


def fuzz(examples: int) -> Callable[[Any], Any]:
    """So many examples, the same in every run."""
    return settings(
        max_examples=examples * max(1, TIMES), derandomize=True, database=None, deadline=None,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate, *([Phase.shrink] if TIMES else [])],
    )  # fmt: skip


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with something to find. In the end it is the same process and has met nothing unexpected."""
    with support.running(tmp_path_factory.mktemp("fuzz") / "data", "[rest]\nmax_body_megabytes = 1\n") as started:
        process = started.process
        for name in ("a", "b"):
            assert started.put({"resourceType": "Patient", "id": name, "name": [{"family": "Probe"}]}).is_success
        yield started
        assert started.is_ready()
        assert started.process is process
        assert [line for line in started.log_text().splitlines() if '"unexpected error"' in line] == []


def sound(answer: httpx.Response) -> httpx.Response:
    """Not a 5xx, and a refusal is an OperationOutcome."""
    assert answer.status_code < 500, (answer.status_code, answer.text[:500])
    if answer.status_code >= 400:
        if "xml" in answer.headers["content-type"]:
            assert b"<OperationOutcome " in answer.content, answer.text[:500]
        else:
            assert all(code and text for code, text, _expression in support.issues(answer)), answer.text[:500]
    return answer


def operations() -> list[Any]:
    """The described operations that are worked through."""
    description = openapi.description(router.TABLE)
    paths: dict[str, Json] = {
        path: {
            method: operation
            for method, operation in item.items()
            if TIMES or DESCRIBED & set(operation["tags"]) or ("$" in path and "$validate" not in path)
        }
        for path, item in description["paths"].items()
    }
    schema = schemathesis.openapi.from_dict({**description, "paths": {p: item for p, item in paths.items() if item}})
    return [found.ok() for found in schema.get_all_operations()]


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    """The connections of schemathesis."""
    with requests.Session() as opened:
        opened.trust_env = False
        yield opened


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["right", "wrong"])
@pytest.mark.parametrize("operation", operations(), ids=lambda operation: operation.label)
def test_every_operation_answers_as_described(
    gateway: Gateway, session: requests.Session, operation: Any, mode: GenerationMode
) -> None:
    @fuzz(4)
    @given(case=operation.as_strategy(generation_mode=mode))
    def answers(case: Any) -> None:
        answer = case.call(base_url=f"http://127.0.0.1:{gateway.port}", session=session)
        told = [checks.content_type_conformance] if answer.content else []
        case.validate_response(
            answer,
            checks=[not_a_server_error, checks.status_code_conformance, checks.response_schema_conformance, *told],
        )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tool's own, about a schema that has nothing wrong to offer
        answers()


def test_every_address_of_the_table_is_described(gateway: Gateway) -> None:
    described = json.loads(gateway.http.get(gateway.address("/openapi.json")).content)
    assert described == json.loads(json.dumps(openapi.description(router.TABLE)))
    patterns = {path.removeprefix("/fhir").strip("/") for path in described["paths"]}
    for route in router.TABLE.routes:
        assert route.path.replace("{type}", "Patient") in patterns


def words(text: str) -> st.SearchStrategy[str]:
    """One of the words of a text."""
    return st.sampled_from(text.split())


_numbers = st.one_of(
    st.integers(-(2**70), 2**70),
    st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-1000, max_value=1000),
    words(f"0 -0.0 1e350 -1E-350 1{'0' * 350} {'9' * 30} 0.10 1e400 12345678901234567890.1230").map(Decimal),
)
_texts = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["\x00", "\x01", "\ud800", "\ufffe", "\u202e", "%00", "😀", "a" * 3000, "urn:uuid:x", "Patient/a"]),
)
_values = st.recursive(
    st.one_of(st.none(), st.booleans(), _numbers, _texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_texts, inner, max_size=3)),
    max_leaves=8,
)

_primitives: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(), "decimal": _numbers, "code": st.sampled_from(["de", "x", "application/pdf", "a b"]),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "unsignedInt": st.integers(0, 2**31 - 1), "positiveInt": st.integers(1, 2**31 - 1),
    "date": words("2026 2026-03 2024-02-29 0001-01-01 9999-12-31"),
    "dateTime": words("2026 2026-03 0001-01-01T00:00:00+14:00 9999-12-31T23:59:60-12:00"),
    "instant": words("2026-03-04T09:00:00.123456789Z 0001-01-01T00:00:00+14:00 9999-12-31T23:59:60Z"),
    "time": words("00:00:00 23:59:60 12:00:00.5"),
    "base64Binary": st.binary(min_size=1, max_size=9).map(lambda data: base64.b64encode(data).decode()),
    "id": st.from_regex(r"[A-Za-z0-9\-.]{1,8}", fullmatch=True),
    "oid": st.just("urn:oid:1.2.3"), "uuid": st.just("urn:uuid:c757873d-ec9a-4326-a141-556f43239520"),
    "xhtml": st.just('<div xmlns="http://www.w3.org/1999/xhtml"><p>ä &amp; b</p></div>'),
}  # fmt: skip
_words = st.one_of(st.sampled_from(["a", "Käse", "http://example.org/x", "😀 b", "a,b|c$d\\e"]), _texts)


@st.composite
def _element(draw: st.DrawFn, element: r4.Element, depth: int) -> Any:
    """A value that R4 might allow for an element."""
    if element.codes:
        return draw(st.sampled_from(sorted(map(str, element.codes))))
    if element.check is not None:
        return draw(_primitives.get(element.type, _words))
    if element.type == "Reference":
        target = draw(st.sampled_from([*sorted(element.targets), "Patient"]))
        return {"reference": draw(st.sampled_from([f"{target}/a", f"http://example.org/fhir/{target}/a"]))}
    if element.type == "Resource":
        return {"resourceType": "Patient", "id": draw(st.sampled_from(["p", "q"]))}
    return draw(_object(element.type, depth - 1))


@st.composite
def _object(draw: st.DrawFn, name: str, depth: int) -> Json:
    """An object with what R4 requires of its type and something of what it allows."""
    definition = r4.definition(name)
    required = {element for element, _sibling in definition.required}
    members = {member for choice in definition.choices for member in choice.names}
    optional = [key for key in definition.elements if key not in {*required, "id", "extension", "contained", "meta"}]
    picked = draw(st.lists(st.sampled_from(optional), max_size=3, unique=True)) if optional and depth > 0 else []
    for choice in definition.choices:
        picked = [key for key in picked if key not in choice.names]
        if choice.required or draw(st.booleans()):
            picked.append(draw(st.sampled_from(sorted(choice.names & definition.elements.keys()))))
    if not picked and not required and optional:
        picked = [
            draw(st.sampled_from([key for key in optional if definition.elements[key].check or key not in members]))
        ]
    found: Json = {"resourceType": name} if definition.resource else {}
    for key in [*sorted(required), *picked]:
        element = definition.elements[key]
        if key in required or depth > 0 or element.check is not None:
            value = draw(_element(element, depth))
            found[key] = [value] if element.many else value
    return found


@st.composite
def _mutated(draw: st.DrawFn, node: Any) -> Any:
    """The same with one of its values replaced, dropped or repeated."""
    if isinstance(node, dict) and node and draw(st.integers(0, 3)):
        key = draw(st.sampled_from(sorted(node)))
        return {**node, key: draw(_mutated(node[key]))}
    if isinstance(node, list) and node and draw(st.integers(0, 3)):
        return [draw(_mutated(node[0])), *node[1:]]
    return draw(st.one_of(_values, st.just([node]), st.just({"id": node}), st.just(None)))


@st.composite
def resources(draw: st.DrawFn, kind: str | None = None) -> Json:
    """A resource of a supported type, right or with something wrong in it."""
    resource = draw(_object(kind or draw(st.sampled_from(WRITABLE)), 2))
    changed: Any = draw(_mutated(resource)) if draw(st.integers(0, 2)) == 0 else resource
    return {**changed, "resourceType": resource["resourceType"]} if isinstance(changed, dict) else resource


def wire(value: Any) -> str:
    """JSON with decimals as they are, and halves of surrogate pairs as escapes."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{wire(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(wire, value)) + "]"
    return str(value) if isinstance(value, Decimal) else json.dumps(value)


_sorted = msgspec.json.Encoder(decimal_format="number", order="sorted")


def told(resource: Json) -> bytes:
    """A resource without what the server adds to it, in one spelling."""
    meta = {name: value for name, value in resource.get("meta", {}).items() if name not in ("versionId", "lastUpdated")}
    rest = {name: value for name, value in resource.items() if name not in ("id", "meta")}
    return _sorted.encode({**rest, **({"meta": meta} if meta else {})})


def send(gateway: Gateway, method: str, path: str, value: Any, kind: str = "application/fhir+json") -> httpx.Response:
    headers = {"Content-Type": kind}
    return sound(gateway.http.request(method, path, content=wire(value).encode(), headers=headers))


def same(gateway: Gateway, resource: Json, answer: httpx.Response) -> None:
    """What was accepted reads back equal, in both formats."""
    sent = told(msgspec.json.Decoder(float_hook=Decimal).decode(wire(resource)))
    path = f"{resource['resourceType']}/{support.decode(answer)['id']}"
    assert told(gateway.get(path)) == sent
    as_xml = sound(gateway.http.get(path, headers={"Accept": FHIR_XML}))
    assert as_xml.status_code in (200, 406)
    if as_xml.status_code == 200:
        assert told(xml.decode(as_xml.content)) == sent


@pytest.mark.parametrize("kind", WRITABLE)
def test_an_invented_resource_is_refused_or_reads_back_equal(gateway: Gateway, kind: str) -> None:
    @seed(zlib.crc32(kind.encode()))
    @fuzz(3)
    @given(resource=resources(kind))
    def fits(resource: Json) -> None:
        created = send(gateway, "POST", kind, resource)
        updated = send(gateway, "PUT", f"{kind}/fuzz", {**resource, "id": "fuzz"})
        for answer in (created, updated):
            if answer.is_success:
                same(gateway, resource, answer)
        assert send(gateway, "POST", f"{kind}/$validate", resource).status_code in (200, 400)

    fits()


@fuzz(30)
@given(value=_values, path=st.sampled_from(["", "Patient", "Patient/$validate", "Composition/a/$release", "List"]))
def test_arbitrary_json_is_refused(gateway: Gateway, value: Any, path: str) -> None:
    for body in (value, {"resourceType": path.split("/")[0] or "Bundle", "type": "batch", "entry": value}):
        send(gateway, "POST", path, body)
    send(gateway, "PUT", "Patient/a", value)
    send(gateway, "PATCH", "Patient/a", value)
    send(gateway, "PATCH", "Patient/a", value, JSON_PATCH)


_urls = words(
    "Patient Patient/a Patient/fuzz Patient?name=x Patient?identifier=a|b metadata _history Patient/_history _search"
    " Patient/a/_history/1 Observation/_search Patient/$validate Composition/a/$document _async/x AuditEvent"
    " AuditEvent/x ?_type=Patient Patient?"
)
_conditions = st.dictionaries(
    words("ifMatch ifNoneExist ifNoneMatch ifModifiedSince"),
    st.one_of(words('W/"1" W/"0" identifier=a|b ?name=x * 2026-03-04T09:00:00Z'), _texts),
    max_size=1,
)


@st.composite
def _entries(draw: st.DrawFn) -> Json:
    """An entry of a Bundle whose parts may not belong together."""
    bare = st.sampled_from([{"resourceType": "Patient"}, {"resourceType": "Parameters"}])
    resource = draw(st.one_of(resources(), bare))
    method = draw(words("GET HEAD POST PUT DELETE PATCH TRACE"))
    url = draw(st.one_of(_urls, _texts, st.just(resource["resourceType"])))
    entry = {"fullUrl": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520", "resource": resource,
             "request": {"method": method, "url": url, **draw(_conditions)}}  # fmt: skip
    dropped = draw(words("none none none fullUrl resource request"))
    return {name: value for name, value in entry.items() if name != dropped}


@fuzz(60)
@given(entries=st.lists(_entries(), max_size=3), kind=words("batch transaction"))
def test_an_arbitrary_bundle_is_answered_entry_by_entry_or_refused(
    gateway: Gateway, entries: list[Json], kind: str
) -> None:
    bundle = {"resourceType": "Bundle", "type": kind, "entry": entries}
    answer = send(gateway, "POST", "", bundle if entries else {"resourceType": "Bundle", "type": kind})
    if answer.status_code == 200:
        statuses = [entry["response"]["status"] for entry in support.decode(answer).get("entry", [])]
        assert len(statuses) == len(entries)
        assert [status for status in statuses if status.startswith("5")] == []


_pointers = st.lists(
    st.one_of(words("name 0 1 - family id meta resourceType ~1 ~2 01 -1 99999999999"), st.just("")), max_size=4
).map(lambda parts: "".join(f"/{part}" for part in parts))
_places = st.one_of(_pointers, _texts)
_operations = st.fixed_dictionaries(
    {"op": words("add remove replace move copy test"), "path": _places}, optional={"from": _places, "value": _values}
)
_paths = words(
    "Patient Patient.name Patient.name[0].family Patient.name.where( name Patient.id Patient.name[99999999999999999]"
    " Patient.meta Patient.descendants() (1/0) %resource"
)


@st.composite
def _fhirpath_patches(draw: st.DrawFn) -> Json:
    parts: list[Json] = [
        {"name": "type", "valueCode": draw(words("add insert delete replace move x"))},
        {"name": "path", "valueString": draw(st.one_of(_paths, _texts))},
        {"name": "name", "valueString": draw(words("name gender id deceased x"))},
        {"name": "value", draw(words("valueString valueHumanName valueCode valueX")): draw(_values)},
        {"name": "index", "valueInteger": draw(st.integers(-1, 3))},
    ]
    picked = draw(st.lists(st.sampled_from(parts), max_size=4))
    return {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": picked}]}


@fuzz(80)
@given(json_patch=st.lists(_operations, max_size=3), fhirpath_patch=_fhirpath_patches())
def test_an_arbitrary_patch_leaves_a_good_resource(
    gateway: Gateway, json_patch: list[Json], fhirpath_patch: Json
) -> None:
    for patch, kind in ((json_patch, JSON_PATCH), (fhirpath_patch, "application/fhir+json")):
        answer = send(gateway, "PATCH", "Patient/b", patch, kind)
        assert answer.status_code in (200, 400, 415, 422)
        if answer.is_success:
            outcome = support.decode(sound(gateway.http.get("Patient/b/$validate")))
            assert {issue["severity"] for issue in outcome["issue"]} <= {"information", "warning"}


_controls = words(
    "_id _lastUpdated _count _sort _include _revinclude _summary _page _elements _total _type _format _since _has:x"
    " _has:Observation:patient:code subject:Patient.name patient.birthdate"
)
_modifiers = st.one_of(
    st.just(""), words(":exact :contains :missing :not :text :identifier :above :Patient :iterate :x")
)
_sought = words(
    r"a true 2026 ge2026-03 sa0001 eb9999-12-31T23:59:60+14:00 le2026-13 1e999 gt5.4 5.4|http://u.org|mg a|b |b a| |"
    r" a$b $ , \ \, Patient/a Patient:* * 0 -1 999999999999999999999 count http://x/y|1 % ' -_id _id,_lastUpdated"
)


@pytest.mark.parametrize("kind", ["Patient", "Observation", "Encounter", "RiskAssessment", "List"])
def test_an_arbitrary_search_is_answered_or_refused(gateway: Gateway, kind: str) -> None:
    names = st.one_of(st.sampled_from(sorted(parameters.of_type(kind))), _controls, _texts)
    pairs = st.lists(st.tuples(st.tuples(names, _modifiers).map("".join), st.one_of(_sought, _texts)), max_size=3)

    @seed(zlib.crc32(kind.encode()))
    @fuzz(40)
    @given(pairs=pairs, preference=words("handling=lenient handling=strict"), raw=st.binary(max_size=6))
    def answers(pairs: list[tuple[str, str]], preference: str, raw: bytes) -> None:
        query = urllib.parse.urlencode(pairs, errors="surrogatepass")
        headers = {"Prefer": preference, "Content-Type": "application/x-www-form-urlencoded"}
        for path in (f"{kind}?{query}", f"?_type={kind}&{query}", f"{kind}/_history?{query}"):
            sound(gateway.http.get(path, headers=headers))
        for body in (query.encode(), raw):
            sound(gateway.http.post(f"{kind}/_search", content=body, headers=headers))
        sound(gateway.http.delete(f"{kind}?{query}&_id=none"))
        sound(gateway.http.get(f"{kind}/{urllib.parse.quote(raw)}"))

    answers()


_headers = words(
    "Accept Content-Type If-Match If-None-Match If-None-Exist If-Modified-Since Prefer X-HTTP-Method-Override"
    " Accept-Encoding Content-Encoding Authorization"
)
_given = """*/*|application/fhir+xml|a/b;q=x|;|,|text/xml;q=0|json; fhirVersion=3.0|W/"1"|"1"|*|W/"99999999999"|name=x|=
|Mon, 01 Jan 100000000000 00:00:00 GMT|Mon, 01 Jan 0001 00:00:00 -0000|Thu, 31 Dec 9999 23:59:59 -2359|a=%00|é=ü|return
|return=minimal|respond-async, wait=5|application/fhir+json; charset=utf-16|multipart/form-data; boundary=x"""
_header_values = st.one_of(
    st.sampled_from(_given.split("|")),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=20),
)


@fuzz(60)
@given(headers=st.dictionaries(_headers, _header_values, min_size=1, max_size=3))
def test_arbitrary_headers_are_read_or_refused(gateway: Gateway, headers: dict[str, str]) -> None:
    raw = {name.encode(): value.strip().encode("latin-1") for name, value in headers.items()}
    patient, binary = b'{"resourceType":"Patient","id":"h"}', b'{"resourceType":"Binary","id":"h"}'
    for method, path, content in (
        ("GET", "Patient/a", None), ("GET", "Patient", None), ("GET", "metadata", None), ("POST", "Patient", patient),
        ("PUT", "Patient/h", patient), ("PATCH", "Patient/h", b"[]"), ("DELETE", "Patient/none", None),
        ("PUT", "Binary/h", binary), ("GET", "Binary/h", None), ("POST", "Patient/_search", b"_id=a"),
    ):  # fmt: skip
        sound(gateway.http.request(method, path, content=content, headers=raw))


_document = b'<Patient xmlns="http://hl7.org/fhir"><id value="x"/><name><family value="P"/></name></Patient>'
_pieces = st.sampled_from([
    b"", b"<", b">", b"&", b"&#0;", b"&#1;", b"]]>", b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>&b;",
    b"<?xml version='1.1'?>", b"\x00", b"<!--", b"<a:b/>", b" value='x'", b"<id value='1'/>", b"<" * 500, b"\xe4",
    b"<a>" * 300, b"xmlns='urn:x'", b"\xff\xfe",
])  # fmt: skip


@fuzz(100)
@given(piece=st.one_of(_pieces, st.binary(max_size=8)), start=st.integers(0, len(_document)), cut=st.integers(0, 20))
def test_arbitrary_xml_is_refused_or_reads_back(gateway: Gateway, piece: bytes, start: int, cut: int) -> None:
    headers = {"Content-Type": FHIR_XML, "Accept": FHIR_XML}
    for body in (_document[:start] + piece + _document[start + cut :], piece, piece + _document):
        answer = sound(gateway.http.put("Patient/x", content=body, headers=headers))
        assert b"root:" not in answer.content
        if answer.is_success:
            assert told(xml.decode(answer.content)) == told(xml.decode(body))
