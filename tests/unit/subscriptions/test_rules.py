"""What a client's Subscription may say."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_gateway.subscriptions import rules
from tests.unit.subscriptions.helpers import Json, Section, subscription

SECTION = Section(hosts=("hook.example", "kis.example:8443", "127.0.0.1:9", "[::1]:7", "fe80::1"))
GOOD = "https://hook.example/fhir"


def wrong(resource: Json, section: Section = SECTION) -> list[tuple[str, str]]:
    """FHIRPath and code of each fault."""
    return [(expression.removeprefix("Subscription."), code) for _text, expression, code in
            rules.check(resource, section)]  # fmt: skip


@pytest.mark.parametrize(
    "criteria",
    [
        "Observation",
        "Observation?",
        "Observation?code=http://loinc.org|1975-2",
        "Observation?code=http://loinc.org|1975-2&_format=json",
        "Observation?patient.name=M%C3%BCller&status:not=cancelled",
        "Patient?_has:Observation:patient:code=1975-2",
        "DiagnosticReport?category=LAB,RAD",
    ],
)
def test_criteria_that_are_searches_are_taken(criteria: str) -> None:
    assert wrong(subscription(GOOD, criteria)) == []


@pytest.mark.parametrize(
    ("criteria", "code"),
    [
        ("", "not-supported"),
        ("/Observation?code=1", "value"),
        ("https://gateway.example/fhir/Observation", "value"),
        ("Observations", "not-supported"),
        ("ImagingStudy?status=available", "not-supported"),
        ("AuditEvent", "not-supported"),
        ("Subscription?status=error", "not-supported"),
        ("Observation?colour=red", "not-supported"),
        ("Observation?code=", "invalid"),
        ("Observation?date=yesterday", "invalid"),
        ("Observation?code:above=1", "not-supported"),
        ("Observation?_include=Observation:subject", "not-supported"),
        ("Observation?_revinclude:iterate=Provenance:target", "not-supported"),
        ("Observation?_sort=date", "not-supported"),
        ("Observation?_count=1", "not-supported"),
        ("Observation?_summary=true", "not-supported"),
        ("Observation?code=%00", "value"),
        ("Observation?code=" + "a," * 201, "too-long"),
        ("Observation?code=" + "a" * 2048, "too-long"),
        ("Observation?" + "code=a&" * 21, "too-long"),
        ("Provenance?" + "&".join(["target._id=a"] * 20), "too-costly"),
    ],
)
def test_other_criteria_are_refused(criteria: str, code: str) -> None:
    assert wrong(subscription(GOOD, criteria)) == [("criteria", code)]


@pytest.mark.parametrize(
    "endpoint",
    [
        GOOD,
        "http://HOOK.example:8080/x",
        "https://kis.example:8443/fhir",
        "http://127.0.0.1:9",
        "http://[::1]:7/x",
        "http://[fe80::1]:99/x",
    ],
)
def test_a_configured_host_is_taken(endpoint: str) -> None:
    assert wrong(subscription(endpoint)) == []


@pytest.mark.parametrize(
    ("endpoint", "code"),
    [
        (None, "required"),
        ("hook.example/fhir", "value"),
        ("/fhir", "value"),
        ("ftp://hook.example/", "value"),
        ("mailto:a@hook.example", "value"),
        ("https://", "value"),
        ("http://hook.example:port/", "value"),
        ("https://hook.example.evil.example/", "business-rule"),
        ("https://evil.example/hook.example", "business-rule"),
        ("https://kis.example/fhir", "business-rule"),
        ("http://127.0.0.1/", "business-rule"),
        ("http://127.0.0.1:90/", "business-rule"),
        ("http://127.0.0.1:0/", "business-rule"),
        ("http://127.1:9/", "business-rule"),
        ("http://localhost:9/", "business-rule"),
        ("https://user:secret@hook.example/", "value"),
        ("https://hook.example@evil.example/", "value"),
        ("https://hook.example\\@evil.example/", "value"),
        ("https://evil.example\\.hook.example/", "business-rule"),
        ("https://hook.example/x#y", "value"),
        ("https://hook.example/x#", "value"),
        ("https://hook.example/x?token=1", "value"),
    ],
)
def test_any_other_endpoint_is_refused(endpoint: str | None, code: str) -> None:
    assert wrong(subscription(GOOD, endpoint=endpoint)) == [("channel.endpoint", code)]


def test_an_endpoint_without_payload_may_have_a_query() -> None:
    assert wrong(subscription("https://hook.example/x?subscription=1", payload=None)) == []


def test_without_hosts_there_is_no_subscription() -> None:
    assert wrong(subscription(GOOD), Section(hosts=())) == [("channel.endpoint", "business-rule")]
    assert wrong(subscription(GOOD), Section(hosts=("", "https://hook.example", "a@hook.example", "x/y"))) != []


@pytest.mark.parametrize("payload", ["application/fhir+json", "application/json", "application/fhir+xml", None])
def test_payloads(payload: str | None) -> None:
    assert wrong(subscription(GOOD, payload=payload)) == []


@pytest.mark.parametrize(
    ("elements", "where"),
    [
        ({"payload": "text/plain"}, "channel.payload"),
        ({"type": "websocket"}, "channel.type"),
        ({"type": "email", "endpoint": "mailto:a@hook.example"}, "channel.type"),
        ({"header": ["X-Good: 1", "no colon"]}, "channel.header[1]"),
        ({"header": ["X Bad: 1"]}, "channel.header[0]"),
        ({"header": [": 1"]}, "channel.header[0]"),
        ({"header": ["X-Split: a\r\nX-Other: b"]}, "channel.header[0]"),
        ({"header": ["X-Nul: a\x00"]}, "channel.header[0]"),
        ({"header": ["X-Umlaut: ä"]}, "channel.header[0]"),
        ({"header": ["Host: evil.example"]}, "channel.header[0]"),
        ({"header": ["content-length: 7"]}, "channel.header[0]"),
        ({"header": ["Transfer-Encoding: chunked"]}, "channel.header[0]"),
        ({"header": ["Connection: close"]}, "channel.header[0]"),
        ({"header": ["Content-Type: text/plain"]}, "channel.header[0]"),
    ],
)
def test_what_the_channel_may_not_say(elements: dict[str, Any], where: str) -> None:
    assert [found for found, _code in wrong(subscription(GOOD, **elements))] == [where]


def test_a_refused_header_is_not_repeated() -> None:
    resource = subscription(GOOD, header=["Authorization: Bearer secret\x01"])
    assert "secret" not in str(rules.check(resource, SECTION))


@pytest.mark.parametrize("status", ["active", "error"])
def test_a_client_does_not_make_it_active(status: str) -> None:
    assert wrong(subscription(GOOD, status=status)) == [("status", "business-rule")]


def test_what_is_turned_off_may_name_a_host_that_is_not_configured_any_more() -> None:
    assert wrong(subscription("https://gone.example/", status="off")) == []


def test_all_faults_are_told_at_once() -> None:
    resource = subscription("https://gone.example/", "Nothing", status="active", payload="text/plain")
    found = [where for where, _code in wrong(resource)]
    assert found == ["status", "criteria", "channel.payload", "channel.endpoint"]
