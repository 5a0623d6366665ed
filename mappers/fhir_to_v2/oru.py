"""DetectedIssues as ORU^R01: the prescribing check and what it did not cover. HL7 v2.5 chapter 7."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Final

from mappers import er7, fhir_names
from mappers.fhir_to_v2 import datatypes, header, standing, writing
from mappers.fhir_to_v2.datatypes import Json

#: OBR-4 and the code of the drugs' OBX: our own.
_CHECK: Final[datatypes.Components] = ("prescribing-check", "Prüfung der Arzneimitteltherapie", datatypes.OWN_CODES)
_DRUGS: Final[datatypes.Components] = ("implicated-drug", "Beteiligtes Arzneimittel", datatypes.OWN_CODES)

#: OBX-3.2 of each kind of a finding.
_KINDS: Final = {
    "age": "Arzneimittel und Alter",
    "allergy": "Allergie",
    "dose": "Dosierung",
    "drug-disease": "Arzneimittel und Erkrankung",
    "drug-drug": "Wechselwirkung",
    "drug-lab": "Arzneimittel und Laborwert",
    "duplicate": "Doppelverordnung",
    "omission": "Fehlendes Arzneimittel",
    "pregnancy": "Arzneimittel und Schwangerschaft",
    "not-checked": "Nicht geprüft",
}

#: OBX-8, table 0078, by severity; never N: a low warning is a warning, and not checked is not safe.
_FLAGS: Final = {"high": "AA", "moderate": "A", "low": "A"}
_FLAG_WITHOUT_SEVERITY: Final = "A"

#: OBX-11, table 0085, and OBR-25, table 0123.
_STATUS: Final = {"draft": "P", "released": "F", "withdrawn": "D"}
_REPORT_STATUS: Final = {"draft": "P", "released": "F", "withdrawn": "C"}


def message(
    route: header.Route, visit: header.Visit, issues: Sequence[Json], *, control_id: str, at: dt.datetime
) -> er7.Message:
    """The findings of an encounter as one report; Empty where there are none.

    OBX-4 is stable: a later message with the same one confirms (F) or takes back (D) the finding.
    """
    if not issues:
        raise header.Empty

    def body(writer: writing.Writer) -> Iterator[er7.Segment]:
        yield _report(writer, route, visit, issues, at)
        number = 0
        for issue in issues:
            for values in _observations(issue):
                number += 1
                found_at = datatypes.time(issue.get("identifiedDateTime"), route.zone)
                yield writer.segment("OBX", {1: str(number), **values, **_about(issue), 14: found_at})

    return header.compose(route, visit, ("ORU", "R01", "ORU_R01"), control_id, at, body)


def _report(
    writer: writing.Writer, route: header.Route, visit: header.Visit, issues: Sequence[Json], at: dt.datetime
) -> er7.Segment:
    stands = {standing.of(issue) for issue in issues}
    times = [issue["identifiedDateTime"] for issue in issues if issue.get("identifiedDateTime")]
    overall = next(which for which in ("draft", "withdrawn", "released") if which in stands)
    return writer.segment(
        "OBR",
        {
            1: "1",
            3: datatypes.entity(f"{visit.encounter['id']}-{_CHECK[0]}"),
            4: _CHECK,
            7: datatypes.time(max(times, default=None), route.zone),
            22: datatypes.moment(at, route.zone),
            25: _REPORT_STATUS[overall],
        },
    )


def _observations(issue: Json) -> Iterator[dict[int, er7.FieldValue]]:
    """The finding as text, a line a repetition, and its drugs as codes."""
    lines: list[er7.RepetitionValue] = [*_lines(issue)]
    yield {2: "TX", 3: _kind(issue), 5: lines, 8: _FLAGS.get(issue.get("severity", ""), _FLAG_WITHOUT_SEVERITY)}
    drugs: list[er7.RepetitionValue] = [*_drugs(issue)]
    if drugs:
        yield {2: "CE", 3: _DRUGS, 5: drugs}


def _about(issue: Json) -> dict[int, er7.FieldValue]:
    """Which finding an OBX belongs to, where it stands, and the Device that made it."""
    author = issue.get("author", {}).get("reference", "").rpartition("/")[2]
    return {
        4: datatypes.own_id(issue)[:8],  # OBX-4 has room for 20 characters
        11: _STATUS[standing.of(issue)],
        18: datatypes.entity(author) if author else None,
    }


def _kind(issue: Json) -> datatypes.Components:
    codings = {coding.get("system"): coding for coding in issue.get("code", {}).get("coding", [])}
    own = codings.get(fhir_names.ISSUE_CODES, {}).get("code", "detected-issue")
    standard = codings.get(fhir_names.ACT_CODE)
    named = (own, _KINDS.get(own, "Warnung"), datatypes.OWN_CODES)
    return (*named, *datatypes.coded(standard, "ACTCODE")) if standard else named


def _lines(issue: Json) -> Iterator[str]:
    if standing.of(issue) == "draft":
        yield standing.NOTICE
    headline = issue.get("code", {}).get("text", "")
    if headline:
        yield headline
    reasons = [code.get("text") for evidence in issue.get("evidence", []) for code in evidence.get("code", [])]
    yield from (f"Anlass: {reason}" for reason in reasons if reason and reason not in headline)
    if issue.get("detail"):
        yield issue["detail"]
    for mitigation in issue.get("mitigation", []):
        yield f"Maßnahme: {mitigation['action']['text']}"
    places = _places(issue)
    if places:
        yield f"Beleg: {places}"


def _places(issue: Json) -> str:
    """The segments of the conversation and the record that a finding rests on."""
    details = [detail for evidence in issue.get("evidence", []) for detail in evidence.get("detail", [])]
    parts = [part for detail in details for place in detail.get("extension", []) for part in place["extension"]]
    segments = sorted({part["valuePositiveInt"] for part in parts if part["url"] == "segment"})
    said = [f"Gespräch, Segment {', '.join(str(number) for number in segments)}"] if segments else []
    return "; ".join([*said, *(["Akte"] if any(part["url"] == "record" for part in parts) else [])])


def _drugs(issue: Json) -> Iterator[datatypes.Components]:
    """CE of each drug: ATC codes where the finding contains the drug, else its name."""
    contained = {f"#{resource['id']}": resource for resource in issue.get("contained", [])}
    for implicated in issue.get("implicated", []):
        medication = contained.get(implicated.get("reference", ""), {}).get("medicationCodeableConcept", {})
        codings = [coding for coding in medication.get("coding", []) if coding.get("system") == fhir_names.ATC]
        yield from [datatypes.coded(coding, "ATC") for coding in codings] or [(None, implicated.get("display"))]
