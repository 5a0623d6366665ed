"""Where a Subscription is delivered to, and with which headers. Only configured hosts are ever addressed.

https://hl7.org/fhir/R4/subscription.html#safety lets a server "maintain a whitelist of acceptable servers". The check
and the request read an address with the same parser, so that they cannot understand it differently.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from fhir_gateway.store import codec

#: What is wrong, where (FHIRPath), and the IssueType.
Fault = tuple[str, str, str]

#: MIME types of the payload. https://hl7.org/fhir/R4/subscription-definitions.html#Subscription.channel.payload
PAYLOADS = ("application/fhir+json", "application/json", "application/fhir+xml")

_AT = "Subscription.channel"
_DEFAULT_PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", re.ASCII)
_VALUE = re.compile(r"[\x20-\x7e]*", re.ASCII)

#: Headers that belong to the connection (RFC 9110, 7.6.1) or to the message itself.
_NOT_THE_CLIENTS = frozenset(
    {
        "connection", "content-encoding", "content-length", "content-type", "expect", "host", "keep-alive",
        "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding",
        "upgrade",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Channel:
    """The channel of a Subscription without faults. Its headers may hold secrets and are never printed."""

    endpoint: httpx.URL = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    payload: str | None


def of(subscription: codec.Resource) -> Channel:
    """The channel of a Subscription that `faults` has nothing against."""
    channel = subscription["channel"]
    headers = tuple(_header(line) for line in channel.get("header", []))
    return Channel(httpx.URL(channel["endpoint"]), headers, channel.get("payload"))


def faults(subscription: codec.Resource, hosts: Sequence[str]) -> Iterator[Fault]:
    """What stands against delivering over this channel; `hosts` are the configured ones."""
    channel = subscription.get("channel")
    if not isinstance(channel, dict):
        yield "A Subscription has a channel.", _AT, "required"
        return
    if channel.get("type") != "rest-hook":
        yield "The only channel here is rest-hook.", f"{_AT}.type", "not-supported"
        return
    payload = channel.get("payload")
    if payload is not None and payload not in PAYLOADS:
        yield f"The payload is {', '.join(PAYLOADS)} or absent.", f"{_AT}.payload", "not-supported"
    yield from _of_endpoint(channel.get("endpoint"), hosts, has_payload=payload is not None)
    for number, line in enumerate(channel.get("header", [])):
        text = _against_header(line)
        if text:
            yield text, f"{_AT}.header[{number}]", "value"


def _of_endpoint(endpoint: Any, hosts: Sequence[str], *, has_payload: bool) -> Iterator[Fault]:
    where = f"{_AT}.endpoint"
    if not isinstance(endpoint, str):
        yield "A rest-hook needs an endpoint.", where, "required"
        return
    try:
        url = httpx.URL(endpoint)
    except httpx.InvalidURL:
        yield "The endpoint is no URL.", where, "value"
        return
    if url.scheme not in _DEFAULT_PORTS or not url.raw_host:
        yield "The endpoint is an absolute http or https URL.", where, "value"
    elif url.userinfo or "#" in endpoint:
        yield "The endpoint has no user name, password or fragment; a secret belongs into a header.", where, "value"
    elif has_payload and "?" in endpoint:
        yield "An endpoint with a payload is a FHIR service base and has no query.", where, "value"
    elif not is_configured(url, hosts):
        yield "Subscriptions are delivered only to the hosts in subscriptions.hosts.", where, "business-rule"


def is_configured(url: httpx.URL, hosts: Sequence[str]) -> bool:
    """Whether one of the hosts (`host`: with any port; `host:port`) is where this URL leads."""
    port = _DEFAULT_PORTS.get(url.scheme) if url.port is None else url.port
    return any(host == url.raw_host and wanted in (None, port) for host, wanted in map(address, hosts))


def address(text: str) -> tuple[bytes, int | None]:
    """Host and port of `host`, `host:port`, `::1` or `[::1]:port`; a text that is none of them has the host b""."""
    for candidate in (text, f"[{text}]"):
        try:
            url = httpx.URL(f"//{candidate}")
        except httpx.InvalidURL:
            continue
        if url.netloc and not url.userinfo and (url.path, url.query, url.fragment) == ("/", b"", ""):
            return url.raw_host, url.port
    return b"", None


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name, value.strip()


def _against_header(line: Any) -> str | None:
    """What is wrong with a header, without repeating it: it may be a secret."""
    name, value = _header(line) if isinstance(line, str) and ":" in line else ("", "")
    if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
        return "A header has the form 'Name: value' in printable ASCII."
    if name.lower() in _NOT_THE_CLIENTS:
        return f"The header {name} is set by the gateway or belongs to the connection."
    return None
