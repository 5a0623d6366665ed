"""Search parameters: where each finds its values in a resource, and the index rows they make.

R4 names and expressions: https://hl7.org/fhir/R4/searchparameter-registry.html. A path is dotted, arrays are walked
through, `[x]` stands for a choice element of the given types.
"""

from __future__ import annotations

import calendar
import datetime as dt
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import sqlalchemy as sa

from fhir_gateway.store import codec, schema

Kind = Literal["token", "reference", "date", "string"]

MAX_VALUE = 256  # characters of an indexed value
END_OF_TIME = 253_402_300_799_999_999  # 9999-12-31T23:59:59.999999Z in microseconds
START_OF_TIME = -62_135_596_800_000_000  # 0001-01-01


@dataclass(frozen=True, slots=True)
class Parameter:
    """One search parameter of one type. `target` narrows a reference parameter to one target type."""

    name: str
    kind: Kind
    paths: tuple[str, ...]
    target: str | None = None


def _token(name: str, *paths: str) -> Parameter:
    return Parameter(name, "token", paths or (name,))


def _reference(name: str, *paths: str, target: str | None = None) -> Parameter:
    return Parameter(name, "reference", paths or (name,), target)


def _date(name: str, *paths: str) -> Parameter:
    return Parameter(name, "date", paths or (name,))


def _string(name: str, *paths: str) -> Parameter:
    return Parameter(name, "string", paths or (name,))


_IDENTIFIER = _token("identifier")
_SUBJECT = (_reference("subject"), _reference("patient", "subject", target="Patient"))
_PATIENT = (_reference("patient"),)

PARAMETERS: dict[str, tuple[Parameter, ...]] = {
    "AllergyIntolerance": (_IDENTIFIER, *_PATIENT, _token("code", "code", "reaction.substance"),
                           _token("clinical-status", "clinicalStatus"),
                           _token("verification-status", "verificationStatus"), _date("date", "recordedDate")),
    "AuditEvent": (_date("date", "recorded"), _token("type"), _token("action"), _token("outcome"),
                   _reference("entity", "entity.what"), _reference("agent", "agent.who")),
    "Claim": (_IDENTIFIER, *_PATIENT, _reference("encounter", "item.encounter"), _token("status"), _token("use"),
              _date("created"), _reference("provider")),
    "Composition": (_IDENTIFIER, *_SUBJECT, _reference("encounter"), _token("status"), _token("type"), _date("date"),
                    _token("category"), _reference("author"), _string("title"),
                    _reference("related-ref", "relatesTo.targetReference")),
    "Condition": (_IDENTIFIER, *_SUBJECT, _reference("encounter"), _token("code"), _token("category"),
                  _token("clinical-status", "clinicalStatus"), _token("verification-status", "verificationStatus"),
                  _date("recorded-date", "recordedDate"), _date("onset-date", "onsetDateTime", "onsetPeriod")),
    "Coverage": (_IDENTIFIER, _reference("beneficiary"), _reference("patient", "beneficiary"), _token("status"),
                 _token("type"), _reference("payor")),
    "DetectedIssue": (_IDENTIFIER, *_PATIENT, _token("code"),
                      _date("identified", "identifiedDateTime", "identifiedPeriod"),
                      _reference("implicated"), _reference("author"), _token("status"), _token("severity")),
    "Device": (_IDENTIFIER, _token("status"), _token("type"), _string("device-name", "deviceName.name")),
    "DocumentReference": (_token("identifier", "masterIdentifier", "identifier"), *_SUBJECT,
                          _reference("encounter", "context.encounter"), _token("status"), _token("type"),
                          _token("category"), _date("date"), _token("contenttype", "content.attachment.contentType"),
                          _reference("author")),
    "Encounter": (_IDENTIFIER, *_SUBJECT, _token("status"), _token("class"), _token("type"), _date("date", "period"),
                  _reference("participant", "participant.individual"),
                  _reference("service-provider", "serviceProvider")),
    "Media": (_IDENTIFIER, *_SUBJECT, _reference("encounter"), _token("status"), _token("type"),
              _date("created", "createdDateTime", "createdPeriod")),
    "MedicationRequest": (_IDENTIFIER, *_SUBJECT, _reference("encounter"), _token("status"), _token("intent"),
                          _token("code", "medicationCodeableConcept"), _date("authoredon", "authoredOn")),
    "MedicationStatement": (_IDENTIFIER, *_SUBJECT, _reference("context"), _token("status"),
                            _token("code", "medicationCodeableConcept"),
                            _date("effective", "effectiveDateTime", "effectivePeriod")),
    "Observation": (_IDENTIFIER, *_SUBJECT, _reference("encounter"), _token("status"), _token("code"),
                    _token("category"), _date("date", "effectiveDateTime", "effectivePeriod", "effectiveInstant")),
    "Organization": (_IDENTIFIER, _string("name", "name", "alias"), _token("active"), _token("type")),
    "Patient": (_IDENTIFIER, _string("name"), _string("family", "name.family"), _string("given", "name.given"),
                _date("birthdate", "birthDate"), _token("gender"), _token("active")),
    "Practitioner": (_IDENTIFIER, _string("name"), _string("family", "name.family"), _string("given", "name.given"),
                     _token("active")),
    "Provenance": (_reference("target"), _reference("entity", "entity.what"), _reference("agent", "agent.who"),
                   _date("recorded")),
    "RiskAssessment": (_IDENTIFIER, *_SUBJECT, _reference("encounter"), _date("date", "occurrenceDateTime")),
    "Task": (_IDENTIFIER, _reference("focus"), _reference("encounter"), _reference("patient", "for", target="Patient"),
             _reference("subject", "for"), _token("status"), _token("business-status", "businessStatus"),
             _token("code"),
             _date("modified", "lastModified"), _date("authored-on", "authoredOn")),
}  # fmt: skip


def parameter(resource_type: str, name: str) -> Parameter | None:
    """The parameter with this name, or None."""
    return next((found for found in PARAMETERS.get(resource_type, ()) if found.name == name), None)


def add(connection: sa.Connection, rk: int, resource: codec.Resource) -> None:
    """Write the index rows of a resource that is now current."""
    rows: dict[Kind, list[dict[str, Any]]] = {"token": [], "reference": [], "date": [], "string": []}
    for found in PARAMETERS.get(resource["resourceType"], ()):
        unique = {tuple(value.items()): value for value in _values(found, resource)}
        rows[found.kind] += [{"rk": rk, "parameter": found.name, **value} for value in unique.values()]
    for kind, table in (
        ("token", schema.index_token),
        ("reference", schema.index_reference),
        ("date", schema.index_date),
        ("string", schema.index_string),
    ):
        if rows[kind]:  # type: ignore[index]
            connection.execute(table.insert(), rows[kind])  # type: ignore[index]


def remove(connection: sa.Connection, rk: int) -> None:
    """Drop the index rows of a version that is not current any more."""
    for table in schema.INDEX_TABLES:
        connection.execute(table.delete().where(table.c.rk == rk))


def walk(value: Any, path: str) -> Iterator[Any]:
    """Every value at a dotted path, arrays walked through."""
    nodes: list[Any] = [value]
    for step in path.split("."):
        nodes = [
            inner
            for node in nodes
            if isinstance(node, dict) and step in node
            for inner in (node[step] if isinstance(node[step], list) else [node[step]])
        ]
    yield from nodes


def _values(found: Parameter, resource: codec.Resource) -> Iterator[dict[str, Any]]:
    extract = {"token": _tokens, "reference": _references, "date": _dates, "string": _strings}[found.kind]
    for path in found.paths:
        for node in walk(resource, path):
            for value in extract(node):
                if found.target is None or value.get("target_type") == found.target:
                    yield value


def _tokens(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        codings: Iterable[Any] = node["coding"] if isinstance(node.get("coding"), list) else [node]
        for coding in codings:
            code = coding.get("code", coding.get("value"))
            if isinstance(code, str):
                yield {"system": str(coding.get("system", ""))[:MAX_VALUE], "code": code[:MAX_VALUE]}
    elif isinstance(node, bool):
        yield {"system": "", "code": "true" if node else "false"}
    elif isinstance(node, str | int | Decimal):
        yield {"system": "", "code": str(node)[:MAX_VALUE]}


def split_reference(reference: str) -> tuple[str, str]:
    """("Patient", "7") of `Patient/7`, of its absolute form and of its versioned form; ("", text) of anything else."""
    parts = re.sub(r"/_history/[^/]+$", "", reference).rsplit("/", 2)
    if len(parts) >= 2 and re.fullmatch(r"[A-Z][A-Za-z]+", parts[-2]):
        return parts[-2], parts[-1][:MAX_VALUE]
    return "", reference[:MAX_VALUE]


def _references(node: Any) -> Iterator[dict[str, Any]]:
    reference = node.get("reference") if isinstance(node, dict) else None
    if isinstance(reference, str):
        target_type, target_id = split_reference(reference)
        yield {"target_type": target_type, "target_id": target_id}


def _dates(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, str):
        bounds = date_bounds(node)
        if bounds:
            yield {"low": bounds[0], "high": bounds[1]}
    elif isinstance(node, dict):
        start = date_bounds(str(node.get("start", "")))
        end = date_bounds(str(node.get("end", "")))
        if start or end:
            yield {"low": start[0] if start else START_OF_TIME, "high": end[1] if end else END_OF_TIME}


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


def plain(text: str) -> str:
    """Case and accents folded away, for string search (R4 search.html#string)."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in decomposed if not unicodedata.combining(char))[:MAX_VALUE]


def _strings(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, str):
        yield {"value": plain(node)}
    elif isinstance(node, dict):
        for name in ("text", "family", "given", "prefix", "suffix", "line", "city", "postalCode", "country"):
            for value in walk(node, name):
                yield {"value": plain(str(value))}
