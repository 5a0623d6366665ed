"""What a resource is found by: the values of an element as each kind of search parameter sees them.

https://hl7.org/fhir/R4/search.html: token, reference, date, string, quantity, number and uri. Times are microseconds
since 1970 (UTC); a date stands for the whole range of time that its precision leaves open.
"""

from __future__ import annotations

import calendar
import datetime as dt
import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

MAX_VALUE = 256  # bytes of an indexed value in UTF-8
END_OF_TIME = 253_402_300_799_999_999  # 9999-12-31T23:59:59.999999Z
START_OF_TIME = -62_135_596_800_000_000  # 0001-01-01
UNBOUNDED = 1e300  # a quantity without an upper limit
_GREATEST = Decimal("1e300")  # the same as a number that is compared with

#: The parts of a HumanName and of an Address that a string parameter on the whole searches.
_STRING_PARTS = ("text", "family", "given", "prefix", "suffix", "line", "city", "district", "state", "postalCode",
                 "country")  # fmt: skip


def key(text: str) -> str:
    """A value as the index compares it: a long one by its beginning and its digest, so that no two are one."""
    if len(text) <= MAX_VALUE // 4:
        return text
    encoded = text.encode("utf-8", "replace")
    return text if len(encoded) <= MAX_VALUE else text[:48] + hashlib.sha256(encoded).hexdigest()


def _beginning(text: str) -> str:
    """As much of a text as the index holds: what it is searched by is its beginning."""
    if len(text) <= MAX_VALUE // 4:
        return text
    return text.encode("utf-8", "replace")[:MAX_VALUE].decode("utf-8", "ignore")


def at(resource: Any, path: str) -> Iterator[Any]:
    """Every value at a dotted path of JSON names, arrays walked through."""
    name, _, rest = path.partition(".")
    value = resource.get(name) if isinstance(resource, dict) else None
    if value is None:
        return
    for item in value if isinstance(value, list) else (value,):
        if rest:
            yield from at(item, rest)
        else:
            yield item


def tokens(node: Any) -> list[tuple[str, str]]:
    """(system, code) of a Coding, CodeableConcept, Identifier, ContactPoint, code, id or boolean."""
    if isinstance(node, str):
        return [("", key(node))]
    if isinstance(node, dict):
        found = []
        for coding in _objects(node["coding"]) if "coding" in node else (node,):
            code, system = coding.get("code", coding.get("value")), coding.get("system")
            if isinstance(code, str):
                found.append((key(system) if isinstance(system, str) else "", key(code)))
        return found
    if isinstance(node, bool):
        return [("", "true" if node else "false")]
    return [("", key(str(node)))] if isinstance(node, int | Decimal) else []


def token_texts(node: Any) -> Iterator[str]:
    """The words beside a code, for the modifier :text: CodeableConcept.text, Coding.display, Identifier.type.text."""
    if not isinstance(node, dict):
        return
    kind = node.get("type")
    of_type = kind.get("text") if isinstance(kind, dict) else None
    displays = (coding.get("display") for coding in _objects(node.get("coding")))
    for text in (node.get("text"), node.get("display"), of_type, *displays):
        if isinstance(text, str):
            yield folded(text)


def _objects(value: Any) -> Iterable[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


_VERSION = re.compile(r"/_history/[^/]+$")
_LITERAL = re.compile(
    r"(?:(?P<base>[A-Za-z][A-Za-z0-9+.\-]*://.+)/)?(?P<type>[A-Z][A-Za-z]+)/(?P<id>[A-Za-z0-9\-.]{1,64})"
)
_LOOPBACK = re.compile(r"http://(?:127\.0\.0\.1|localhost|\[::1\])(?::(\d+))?/fhir", re.IGNORECASE)

#: The addresses whose Type/id are ours: this server's, and the record system's, whose ids it keeps.
_own_bases: frozenset[str] = frozenset()
_own_port = 0  # on this machine; 0: whatever port


def know_bases(*bases: str | None, port: int = 0) -> None:
    """Say once, at the start of the process, under which addresses the resources of this store are known."""
    global _own_bases, _own_port
    _own_bases = frozenset(base.rstrip("/") for base in bases if base)
    _own_port = port


def own_bases() -> frozenset[str]:
    """The addresses under which the resources of this store are known, but for this machine's own."""
    return _own_bases


def split_reference(reference: str) -> tuple[str, str]:
    """("Patient", "7") of `Patient/7` and of its absolute and versioned forms under an address that is ours.

    ("", text) of anything else: the same Type/id on another server is another resource (R4 references.html#literal).
    """
    literal = _LITERAL.fullmatch(_VERSION.sub("", reference))
    if literal is None or not _is_own(literal["base"]):
        return "", key(reference)
    return literal["type"], literal["id"]


def _is_own(base: str | None) -> bool:
    if base is None or base in _own_bases:
        return True
    here = _LOOPBACK.fullmatch(base)
    return here is not None and _own_port in (0, int(here[1] or 80))


def last_steps(url: str) -> str:
    """`Patient/7` of any URL that ends so, versioned or not, else ""."""
    literal = _LITERAL.fullmatch(_VERSION.sub("", url))
    return f"{literal['type']}/{literal['id']}" if literal else ""


def references(node: Any) -> list[tuple[str, str]]:
    """(type, id) of a Reference; ("", url) of one that leads elsewhere, and of a canonical."""
    if isinstance(node, dict):
        node = node.get("reference")
    return [split_reference(node)] if isinstance(node, str) else []


def dates(node: Any) -> Iterator[tuple[int, int]]:
    """First and last microsecond of a date, dateTime, instant, Period or Timing."""
    if isinstance(node, str):
        bounds = date_bounds(node)
        if bounds:
            yield bounds
    elif isinstance(node, dict):
        if isinstance(node.get("event"), list):
            for event in node["event"]:
                yield from dates(event)
        repeat = node.get("repeat")
        if isinstance(repeat, dict) and "boundsPeriod" in repeat:
            yield from dates(repeat["boundsPeriod"])
        start, end = date_bounds(str(node.get("start", ""))), date_bounds(str(node.get("end", "")))
        if start or end:
            yield start[0] if start else START_OF_TIME, end[1] if end else END_OF_TIME


_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d:\d\d)?)?)?)?\Z", re.ASCII
)


def date_bounds(text: str) -> tuple[int, int] | None:
    """The first and last microsecond that a FHIR date, dateTime or instant covers; None when it is none of them."""
    match = _DATE.match(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        first = dt.datetime(
            int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), min(int(second or 0), 59),
            int((fraction or "0")[:6].ljust(6, "0")), tzinfo=_zone(zone),
        )  # fmt: skip
    except ValueError:
        return None
    low = (first - _EPOCH) // dt.timedelta(microseconds=1)
    if month is None:
        days = 366 if calendar.isleap(int(year)) else 365
        span = days * 86_400_000_000
    elif day is None:
        span = calendar.monthrange(int(year), int(month))[1] * 86_400_000_000
    elif hour is None:
        span = 86_400_000_000
    elif second is None:
        span = 60_000_000
    elif fraction is None:
        span = 1_000_000
    else:
        span = 10 ** max(0, 6 - len(fraction))
    return low, low + span - 1


def _zone(text: str | None) -> dt.timezone:
    if text is None or text == "Z":
        return dt.UTC
    sign = -1 if text[0] == "-" else 1
    return dt.timezone(sign * dt.timedelta(hours=int(text[1:3]), minutes=int(text[4:6])))


def folded(text: str) -> str:
    """Case, accents and repeated white space folded away, for string search (R4 search.html#string)."""
    if text.isascii():
        return " ".join(text.lower().split())[:MAX_VALUE]
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(char for char in decomposed if not unicodedata.combining(char))
    return _beginning(" ".join(plain.split()))


def strings(node: Any) -> Iterator[tuple[str, str]]:
    """(folded, as written) of a string, HumanName, Address or Annotation."""
    if isinstance(node, str):
        yield folded(node), key(node)
    elif isinstance(node, dict):
        for name in _STRING_PARTS:
            value = node.get(name)
            for text in value if isinstance(value, list) else (value,):
                if isinstance(text, str):
                    yield folded(text), key(text)


def uris(node: Any) -> Iterator[tuple[str, str]]:
    """("", uri): a uri is kept as a token without system."""
    if isinstance(node, str):
        yield "", key(node)


def quantities(node: Any) -> Iterator[tuple[str, str, str, float, float]]:
    """(system, code, unit, low, high) of a Quantity, Age, Duration, Money or Range."""
    if not isinstance(node, dict):
        return
    low, high = node.get("low"), node.get("high")
    if isinstance(low, dict) or isinstance(high, dict):
        named = low if isinstance(low, dict) else high
        assert isinstance(named, dict)
        yield *_unit(named), _limit(low, -UNBOUNDED), _limit(high, UNBOUNDED)
        return
    value = _number(node.get("value"))
    if value is not None:
        comparator = str(node.get("comparator", ""))
        yield (
            *_unit(node),
            -UNBOUNDED if comparator.startswith("<") else value,
            UNBOUNDED if comparator.startswith(">") else value,
        )


def numbers(node: Any) -> Iterator[tuple[str, str, str, float, float]]:
    """("", "", "", value, value): a number is kept as a quantity without unit."""
    value = _number(node)
    if value is not None:
        yield "", "", "", value, value


def _unit(node: dict[str, Any]) -> tuple[str, str, str]:
    code = node.get("code", node.get("currency"))
    return tuple(  # type: ignore[return-value]
        key(value) if isinstance(value, str) else "" for value in (node.get("system"), code, node.get("unit"))
    )


def _limit(node: Any, otherwise: float) -> float:
    value = _number(node.get("value")) if isinstance(node, dict) else None
    return otherwise if value is None else value


def _number(node: Any) -> float | None:
    if isinstance(node, bool) or not isinstance(node, int | Decimal):
        return None
    return float(max(-_GREATEST, min(_GREATEST, node)))
