"""The invariants of R4's Bundle: https://hl7.org/fhir/R4/bundle.html."""

import re
from collections.abc import Mapping
from typing import Final

from profiles import invariants_rules as rules
from profiles.invariants_rules import Invariant, Object, Test

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:/*[^\s/]\S*")
_RESTFUL = re.compile(r"https?://\S+/([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})")


def _full_url(entry: Object) -> bool:
    url = rules.text(entry, "fullUrl")
    return url is None or _ABSOLUTE.fullmatch(url) is not None


def _own_url(entry: Object) -> bool:
    """A URL that looks RESTful ends with the type and the id of the resource."""
    match = _RESTFUL.fullmatch(rules.text(entry, "fullUrl") or "")
    resource = rules.member(entry, "resource")
    if match is None or "id" not in resource:
        return True
    return (match[1], match[2]) == (rules.text(resource, "resourceType"), rules.text(resource, "id"))


def _unversioned(entry: Object) -> bool:
    return "/_history/" not in (rules.text(entry, "fullUrl") or "")


def _distinct(bundle: Object) -> bool:
    if bundle.get("type") == "history":
        return True
    seen = [
        (url, rules.text(rules.member(rules.member(entry, "resource"), "meta"), "versionId"))
        for entry in rules.members(bundle, "entry")
        if (url := rules.text(entry, "fullUrl")) is not None
    ]
    return len(seen) == len(set(seen))


def _begins_with(resource_type: str, *, kind: str) -> Test:
    def test(bundle: Object) -> bool:
        if bundle.get("type") != kind:
            return True
        first = next(iter(rules.members(bundle, "entry")), {})
        return rules.member(first, "resource").get("resourceType") == resource_type

    return test


def _identified(bundle: Object) -> bool:
    identifier = rules.member(bundle, "identifier")
    return bundle.get("type") != "document" or (rules.has(identifier, "system") and rules.has(identifier, "value"))


def _entries(name: str, kinds: str) -> Test:
    """Each entry has the element in a Bundle of these types, and none in another."""
    wanted = kinds.split()

    def test(bundle: Object) -> bool:
        kind = rules.text(bundle, "type")
        return kind is None or all((name in entry) == (kind in wanted) for entry in rules.members(bundle, "entry"))

    return test


BUNDLE: Final[Mapping[str, tuple[Invariant, ...]]] = {
    "Bundle": (
        Invariant(
            "bdl-1",
            "error",
            lambda bundle: not rules.has(bundle, "total") or bundle.get("type") in ("searchset", "history"),
            "must not have a total unless it is a searchset or a history",
        ),
        Invariant(
            "bdl-2",
            "error",
            lambda bundle: (
                bundle.get("type") == "searchset"
                or not any("search" in entry for entry in rules.members(bundle, "entry"))
            ),
            "must not have entries with search unless it is a searchset",
        ),
        Invariant(
            "bdl-3",
            "error",
            _entries("request", "batch transaction history"),
            "must have a request in each entry of a batch, transaction or history, and in no other",
        ),
        Invariant(
            "bdl-4",
            "error",
            _entries("response", "batch-response transaction-response history"),
            "must have a response in each entry of a batch-response, transaction-response or history, and in no other",
        ),
        Invariant("bdl-7", "error", _distinct, "must not have a fullUrl twice, but for versions of one resource"),
        Invariant("bdl-9", "error", _identified, "must have an identifier with system and value as a document"),
        Invariant(
            "bdl-10",
            "error",
            lambda bundle: bundle.get("type") != "document" or "timestamp" in bundle,
            "must have a timestamp as a document",
        ),
        Invariant(
            "bdl-11",
            "error",
            _begins_with("Composition", kind="document"),
            "must begin with a Composition as a document",
        ),
        Invariant(
            "bdl-12",
            "error",
            _begins_with("MessageHeader", kind="message"),
            "must begin with a MessageHeader as a message",
        ),
    ),
    "BundleEntry": (
        Invariant(
            "bdl-5",
            "error",
            lambda entry: "resource" in entry or "request" in entry or "response" in entry,
            "must have a resource unless it has a request or a response",
        ),
        Invariant("bdl-8", "error", _unversioned, "must not have the URL of a version as fullUrl"),
        Invariant("", "error", _full_url, "must be an absolute URL", "fullUrl"),
        # An error by the text of Bundle.entry.fullUrl; HL7's own document examples have an entry that breaks it.
        Invariant("", "warning", _own_url, "should end with the type and the id of the resource", "fullUrl"),
    ),
}
