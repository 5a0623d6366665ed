"""What a person wants to know of the answers, read out of the FHIR resources alone."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final
from xml.etree import ElementTree

from fhir_gateway.demo import record_system
from mappers import fhir_names

Json = record_system.Json

#: LOINC codes of the four sections.
SECTIONS: Final = {"61150-9": "Subjektiv", "61149-1": "Objektiv", "51848-0": "Beurteilung", "18776-5": "Procedere"}

#: Severities as DetectedIssue.code.text names them, the gravest first; FHIR's own codes know three.
SEVERITIES: Final = ("kontraindiziert", "hoch", "mittel", "gering")
_SEVERITY_CODES: Final = {"high": "hoch", "moderate": "mittel", "low": "gering"}

_SUBJECT = re.compile(rf"(?P<drugs>.*) \((?P<severity>{'|'.join(SEVERITIES)})\)")
_REFUSED = "Nicht übernommen: "
_REVIEW = ("Bitte prüfen: ", "Vom Regelwerk ergänzt")
_CHECKED = "Verordnungsprüfung: "
_NO_FINDING = "kein Hinweis gefunden."
_NO_CLAIM = "Abrechnungsvorschlag"
_NOT_CHECKED = "not-checked"


@dataclass(frozen=True, slots=True)
class Basis:
    """What something rests on: numbers of segments of the transcript, and references (Type/id) into the record."""

    segments: tuple[int, ...] = ()
    records: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence. `polarity` is the class of its element: affirmed, negated, uncertain, historical, family."""

    id: str
    text: str
    polarity: str
    basis: Basis


@dataclass(frozen=True, slots=True)
class Section:
    """A section by its LOINC code; `nothing` is what it says when it has no statement."""

    code: str
    title: str
    statements: tuple[Statement, ...]
    nothing: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One coded Condition. `primary` is the reference (Type/id) of the Condition that a secondary code stands with.

    `mark` is one of * † !, `certainty` G, V, A, Z (none for in-patients), `since` a day, month or year as FHIR writes
    it; each may be empty.
    """

    reference: str
    code: str
    mark: str
    primary: str
    certainty: str
    side: str
    since: str
    title: str
    reason: str
    remarks: tuple[str, ...]
    basis: Basis


@dataclass(frozen=True, slots=True)
class PrescribingWarning:
    """One prescribing warning."""

    drugs: str
    severity: str
    about: str
    explanation: str
    management: str
    source: str
    basis: Basis


@dataclass(frozen=True, slots=True)
class Item:
    """One billing line; amounts in EUR."""

    code: str
    title: str
    quantity: Decimal | int
    unit_price: Decimal | int
    factor: Decimal | int | None
    amount: Decimal | int
    reason: str
    basis: Basis


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the gate (stage scribe) or the rules did not let through."""

    stage: str
    proposal: str
    reason: str


@dataclass(frozen=True, slots=True)
class Told:
    """The Task's notes and refusals, sorted: what a person must look at, what the check covered and could not, what was
    refused, and the rest.
    """

    review: tuple[str, ...]
    checked: tuple[str, ...]
    gaps: tuple[str, ...]
    refusals: tuple[Refusal, ...]
    billing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StageEnd:
    """When a stage ended, in seconds since the run was received."""

    stage: str
    seconds: float


def basis(extensions: Iterable[Json]) -> Basis:
    """What our evidence extensions among these point to."""
    parts = [part for e in extensions if e["url"] == fhir_names.EVIDENCE for part in e["extension"]]
    segments = {part["valuePositiveInt"] for part in parts if part["url"] == "segment"}
    records = {part["valueReference"]["reference"]: None for part in parts if part["url"] == "record"}
    return Basis(tuple(sorted(segments)), tuple(records))


def sections(composition: Json, provenances: Iterable[Json]) -> list[Section]:
    """The sections of a Composition, each statement with the evidence that the Provenance gives its element."""
    evidence = _evidence(f"Composition/{composition['id']}", provenances)
    return [_section(section, evidence) for section in composition.get("section", [])]


def _evidence(composition: str, provenances: Iterable[Json]) -> dict[str, Basis]:
    """Element id to basis, from Provenance.target with the extension targetElement."""
    found = {}
    for target in (target for provenance in provenances for target in provenance["target"]):
        extensions = target.get("extension", [])
        if target["reference"] == composition:
            for extension in extensions:
                if extension["url"] == fhir_names.TARGET_ELEMENT:
                    found[extension["valueUri"]] = basis(extensions)
    return found


def _section(section: Json, evidence: dict[str, Basis]) -> Section:
    narrative = ElementTree.fromstring(section["text"]["div"])
    statements = tuple(
        Statement(
            element.get("id", ""),
            "".join(element.itertext()),
            element.get("class", "affirmed"),
            evidence.get(element.get("id", ""), Basis()),
        )
        for element in narrative.iter()
        if element.get("id")
    )
    code = next((coding["code"] for coding in section.get("code", {}).get("coding", [])), "")
    return Section(code, section["title"], statements, "" if statements else "".join(narrative.itertext()).strip())


def diagnosis(condition: Json) -> Diagnosis:
    """A Condition for a person."""
    coding = condition["code"]["coding"][0]
    extensions = {e["url"]: e["valueCoding"] for e in coding.get("extension", [])}
    related = (e for e in condition.get("extension", []) if e["url"] == fhir_names.CONDITION_RELATED)
    evidence = condition.get("evidence", [])
    return Diagnosis(
        reference=f"Condition/{condition['id']}",
        code=coding["code"],
        mark=extensions.get(fhir_names.MEHRFACHCODIERUNG, {}).get("code", ""),
        primary=next((extension["valueReference"]["reference"] for extension in related), ""),
        certainty=extensions.get(fhir_names.DIAGNOSESICHERHEIT, {}).get("code", ""),
        side=extensions.get(fhir_names.SEITENLOKALISATION, {}).get("display", ""),
        since=condition.get("onsetDateTime", ""),
        title=coding.get("display") or condition["code"].get("text", ""),
        reason=" ".join(code["text"] for item in evidence for code in item.get("code", [])),
        remarks=tuple(note["text"] for note in condition.get("note", [])),
        basis=_details(evidence),
    )


def warnings(issues: Iterable[Json]) -> list[PrescribingWarning]:
    """The findings among the DetectedIssues, the gravest first."""
    found = [_warning(issue) for issue in issues if not is_not_checked(issue)]
    return sorted(found, key=lambda warning: SEVERITIES.index(warning.severity))


def is_not_checked(issue: Json) -> bool:
    """Whether this DetectedIssue is no finding but the list of what could not be checked."""
    return any(coding["code"] == _NOT_CHECKED for coding in issue["code"].get("coding", []))


def _warning(issue: Json) -> PrescribingWarning:
    subject = issue["code"].get("text", "")
    matched = _SUBJECT.fullmatch(subject)
    explanation, _, source = issue.get("detail", "").rpartition(" Quelle: ")
    evidence = issue.get("evidence", [])
    return PrescribingWarning(
        drugs=matched["drugs"] if matched else subject,
        severity=matched["severity"] if matched else _SEVERITY_CODES[issue["severity"]],
        about="; ".join(code["text"] for item in evidence for code in item.get("code", [])),
        explanation=explanation or source,
        management=" ".join(mitigation["action"]["text"] for mitigation in issue.get("mitigation", [])),
        source=source if explanation else "",
        basis=_details(evidence),
    )


def _details(evidence: Iterable[Json]) -> Basis:
    return basis(e for item in evidence for detail in item.get("detail", []) for e in detail.get("extension", []))


def items(claim: Json) -> list[Item]:
    """The lines of a Claim, each with the reason that its supportingInfo gives."""
    infos = {info["sequence"]: info for info in claim.get("supportingInfo", [])}
    return [
        Item(
            code=item["productOrService"]["coding"][0]["code"],
            title=item["productOrService"].get("text", ""),
            quantity=item["quantity"]["value"],
            unit_price=item["unitPrice"]["value"],
            factor=item.get("factor"),
            amount=item["net"]["value"],
            reason=" ".join(infos[number]["valueString"] for number in item.get("informationSequence", [])),
            basis=basis(e for n in item.get("informationSequence", []) for e in infos[n].get("extension", [])),
        )
        for item in claim.get("item", [])
    ]


def told(answers: record_system.Answers) -> Told:
    """The Task's notes by what they are about. A gap is what the DetectedIssue "not checked" says too."""
    notes = [note["text"] for note in answers.task.get("note", [])]
    not_checked = " ".join(issue["detail"] for issue in answers.output("warning") if is_not_checked(issue))
    covered = [note.removeprefix(_CHECKED) for note in notes if note.startswith(_CHECKED)]
    review = tuple(note for note in notes if note.startswith(_REVIEW))
    rest = [note for note in notes if not note.startswith((_CHECKED, _REFUSED, *_REVIEW))]
    gaps = tuple(note for note in rest if note in not_checked)
    return Told(
        review=review,
        checked=tuple(_capitalised(text) for text in covered if text != _NO_FINDING),
        gaps=gaps,
        refusals=tuple(_refusals(answers.task)),
        billing=tuple(note for note in rest if note not in gaps),
    )


def _refusals(task: Json) -> Iterator[Refusal]:
    for output in task.get("output", []):
        codes = {coding["system"]: coding["code"] for coding in output["type"]["coding"]}
        if codes[fhir_names.OUTPUT_CODES] == "refused":
            proposal, _dash, reason = output["valueString"].rpartition(" – ")
            yield Refusal(codes[fhir_names.STAGE_CODES], proposal, reason)


def reason_for_no_claim(answers: record_system.Answers) -> str | None:
    """Why there is no Claim; None when nothing says so."""
    return next((note for note in told(answers).billing if _NO_CLAIM in note), None)


def stage_ends(versions: tuple[Json, ...]) -> list[StageEnd]:
    """When each stage ended, from the versions of the Task."""
    ends: dict[str, float] = {}
    for version in versions:
        stage = version.get("businessStatus", {}).get("text")
        if stage and stage not in ends:
            ends[stage] = (_instant(version["lastModified"]) - _instant(versions[0]["lastModified"])).total_seconds()
    return [StageEnd(stage, seconds) for stage, seconds in ends.items()]


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def _instant(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)
