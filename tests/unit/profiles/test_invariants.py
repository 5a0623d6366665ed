"""`profiles.invariants`: each rule broken and kept, and the whole table against R4's definitions."""

import functools
import json
import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiles import base, invariants, invariants_types, r4_differences
from profiles.invariants_rules import Invariant

PEERS = os.environ.get("FHIR_PEERS")
needs_peers = pytest.mark.skipif(PEERS is None, reason="needs the Node peers in FHIR_PEERS")

# The resource types whose invariants the table must hold.
SUPPORTED = frozenset(
    """Account AllergyIntolerance AuditEvent Appointment Binary Bundle CarePlan Claim ClaimResponse Communication
    Composition Condition Consent Coverage DetectedIssue Device DiagnosticReport DocumentReference Encounter Endpoint
    EpisodeOfCare Flag Goal Group HealthcareService Immunization List Location Media Medication
    MedicationAdministration MedicationDispense MedicationRequest MedicationStatement Observation OperationOutcome
    Organization Parameters Patient Practitioner PractitionerRole Procedure Provenance Questionnaire
    QuestionnaireResponse RelatedPerson RiskAssessment ServiceRequest Specimen Subscription Task""".split()  # noqa: SIM905
)

UCUM = "http://unitsofmeasure.org"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"


def concept(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": f"{TERMINOLOGY}/{system}", "code": code}]}


def quantity(value: Any, code: str = "mg", system: str = UCUM) -> dict[str, Any]:
    return {"value": value, "code": code, "system": system}


ACTIVE = concept("condition-clinical", "active")
CODE_A = {"coding": [{"system": "http://loinc.org", "code": "a"}]}
CODE_B = {"coding": [{"system": "http://loinc.org", "code": "b"}]}
ENTRY = {"resource": {"resourceType": "Patient", "id": "a"}}
COMPOSITION = {"resource": {"resourceType": "Composition"}}
HEADER = {"resource": {"resourceType": "MessageHeader"}}
URL = "http://ehr.example/fhir/Patient/a"
VERSIONS = [
    {"fullUrl": URL, "resource": {"resourceType": "Patient", "meta": {"versionId": number}}} for number in ("1", "2")
]

# type, key, objects that break the rule, objects that keep it
RULES: list[tuple[str, str, list[dict[str, Any]], list[dict[str, Any]]]] = [
    ("Age", "age-1", [{"value": 3}, quantity(0, "a"), quantity(3, "a", "http://x.example")],
     [quantity(3, "a"), {"code": "a", "value": 3}, {"_value": {}, "code": "a"}]),
    ("Age", "qty-3", [{"value": 3, "code": "a"}], [quantity(3, "a")]),
    ("AllergyIntolerance", "ait-1",
     [{}, {"verificationStatus": concept("allergyintolerance-verification", "confirmed")}],
     [{"clinicalStatus": concept("allergyintolerance-clinical", "active")},
      {"verificationStatus": concept("allergyintolerance-verification", "entered-in-error")}]),
    ("AllergyIntolerance", "ait-2",
     [{"clinicalStatus": concept("allergyintolerance-clinical", "active"),
       "verificationStatus": concept("allergyintolerance-verification", "entered-in-error")}],
     [{"clinicalStatus": concept("allergyintolerance-clinical", "active")}, {}]),
    ("Appointment", "app-2", [{"start": "x"}, {"end": "x"}], [{}, {"start": "x", "end": "x"}]),
    ("Appointment", "app-3", [{"status": "booked"}, {"status": "booked", "start": "x"}],
     [{"status": "proposed"}, {"status": "booked", "start": "x", "end": "x"}]),
    ("Appointment", "app-4", [{"status": "booked", "cancelationReason": {}}],
     [{"status": "noshow", "cancelationReason": {}}, {"status": "booked"}]),
    ("AppointmentParticipant", "app-1", [{"status": "accepted"}], [{"type": [{}]}, {"actor": {}}]),
    ("Attachment", "att-1", [{"data": "QQ=="}], [{"data": "QQ==", "contentType": "text/plain"}, {"url": "x"}]),
    ("AuditEventEntity", "sev-1", [{"name": "a", "query": "QQ=="}], [{"name": "a"}, {"query": "QQ=="}]),
    ("Bundle", "bdl-1", [{"type": "collection", "total": 1}], [{"type": "searchset", "total": 1}, {"type": "history"}]),
    ("Bundle", "bdl-2", [{"type": "collection", "entry": [{"search": {}}]}],
     [{"type": "searchset", "entry": [{"search": {}}]}]),
    ("Bundle", "bdl-3",
     [{"type": "transaction", "entry": [{"request": {}}, ENTRY]}, {"type": "document", "entry": [{"request": {}}]}],
     [{"type": "batch", "entry": [{"request": {}}]}, {"type": "document", "entry": [ENTRY]}, {"entry": [ENTRY]}]),
    ("Bundle", "bdl-4",
     [{"type": "batch-response", "entry": [ENTRY]}, {"type": "searchset", "entry": [{"response": {}}]}],
     [{"type": "history", "entry": [{"response": {}}]}, {"type": "searchset", "entry": [ENTRY]}]),
    ("Bundle", "bdl-7", [{"type": "collection", "entry": [{"fullUrl": URL}, {"fullUrl": URL}]}],
     [{"type": "history", "entry": [{"fullUrl": URL}, {"fullUrl": URL}]}, {"type": "collection", "entry": VERSIONS},
      {"type": "collection", "entry": [ENTRY, ENTRY]}]),
    ("Bundle", "bdl-9", [{"type": "document"}, {"type": "document", "identifier": {"value": "1"}}],
     [{"type": "document", "identifier": {"system": "urn:x", "value": "1"}}, {"type": "message"}]),
    ("Bundle", "bdl-10", [{"type": "document"}], [{"type": "document", "timestamp": "x"}, {"type": "message"}]),
    ("Bundle", "bdl-11", [{"type": "document"}, {"type": "document", "entry": [ENTRY, COMPOSITION]}],
     [{"type": "document", "entry": [COMPOSITION, ENTRY]}, {"type": "message"}]),
    ("Bundle", "bdl-12", [{"type": "message", "entry": [ENTRY]}], [{"type": "message", "entry": [HEADER]}, {}]),
    ("BundleEntry", "bdl-5", [{"fullUrl": URL}], [ENTRY, {"request": {}}, {"response": {}}]),
    ("BundleEntry", "bdl-8", [{"fullUrl": f"{URL}/_history/1"}], [{"fullUrl": URL}, {}]),
    ("CarePlanActivity", "cpl-3", [{"detail": {}, "reference": {}}], [{"detail": {}}, {"reference": {}}]),
    ("CompositionSection", "cmp-1", [{"title": "a"}], [{"text": {}}, {"entry": [{}]}, {"section": [{}]}]),
    ("CompositionSection", "cmp-2", [{"emptyReason": {}, "entry": [{}]}], [{"emptyReason": {}}, {"entry": [{}]}]),
    ("Condition", "con-3", [{"category": [concept("condition-category", "problem-list-item")]}],
     [{"category": [concept("condition-category", "problem-list-item")], "clinicalStatus": ACTIVE},
      {"category": [concept("condition-category", "encounter-diagnosis")]},
      {"category": [concept("condition-category", "problem-list-item")],
       "verificationStatus": concept("condition-ver-status", "entered-in-error")}]),
    ("Condition", "con-4", [{"abatementDateTime": "2024"}, {"abatementString": "x", "clinicalStatus": ACTIVE}],
     [{"abatementDateTime": "2024", "clinicalStatus": concept("condition-clinical", "remission")}, {}]),
    ("Condition", "con-5",
     [{"clinicalStatus": ACTIVE, "verificationStatus": concept("condition-ver-status", "entered-in-error")}],
     [{"clinicalStatus": ACTIVE}, {"verificationStatus": concept("condition-ver-status", "entered-in-error")}]),
    ("ConditionEvidence", "con-2", [{}], [{"code": [{}]}, {"detail": [{}]}]),
    ("ConditionStage", "con-1", [{"type": {}}], [{"summary": {}}, {"assessment": [{}]}]),
    ("Consent", "ppc-1", [{}], [{"policy": [{}]}, {"policyRule": {}}]),
    ("ContactPoint", "cpt-2", [{"value": "1"}], [{"system": "phone", "value": "1"}, {"use": "home"}]),
    ("Count", "cnt-3", [{"value": 3}, quantity(Decimal("3.5"), "1"), quantity(3, "2"), quantity(3, "1", "urn:x")],
     [quantity(3, "1"), quantity(Decimal("3.0"), "1"), quantity(Decimal("1E+400"), "1")]),
    ("Count", "qty-3", [{"value": 3, "code": "1"}], [quantity(3, "1")]),
    ("DataRequirementCodeFilter", "drq-1", [{}, {"path": "a", "searchParam": "a"}], [{"path": "a"}]),
    ("DataRequirementDateFilter", "drq-2", [{}, {"path": "a", "searchParam": "a"}], [{"searchParam": "a"}]),
    ("Distance", "dis-1", [{"value": 3}, quantity(3, "m", "urn:x")], [quantity(3, "m"), {"unit": "m"}]),
    ("Distance", "qty-3", [{"value": 3, "code": "m"}], [quantity(3, "m")]),
    ("Duration", "drt-1", [{"value": 3, "code": "h"}, {"code": "h", "system": UCUM}], [quantity(3, "h"), {"value": 3}]),
    ("Duration", "qty-3", [{"value": 3, "code": "h"}], [quantity(3, "h")]),
    ("Expression", "exp-1", [{"language": "text/cql"}], [{"expression": "a"}, {"reference": "a"}]),
    ("Extension", "ext-1", [{"url": "a"}, {"url": "a", "valueCode": "b", "extension": [{}]}],
     [{"url": "a", "valueCode": "b"}, {"url": "a", "_valueCode": {}}, {"url": "a", "extension": [{}]}]),
    ("GoalTarget", "gol-1", [{"detailString": "a"}], [{"detailString": "a", "measure": {}}, {"dueDate": "2024"}]),
    ("Group", "grp-1", [{"member": [{}]}, {"actual": False, "member": [{}]}], [{"actual": True, "member": [{}]}, {}]),
    ("ImmunizationEducation", "imm-1", [{"publicationDate": "2024"}], [{"documentType": "a"}, {"reference": "a"}]),
    ("List", "lst-1", [{"emptyReason": {}, "entry": [{}]}], [{"emptyReason": {}}, {"entry": [{}]}]),
    ("List", "lst-2", [{"mode": "working", "entry": [{"deleted": True}]}],
     [{"mode": "changes", "entry": [{"deleted": True}]}, {"mode": "working", "entry": [{}]}]),
    ("List", "lst-3", [{"mode": "changes", "entry": [{"date": "2024"}]}],
     [{"mode": "working", "entry": [{"date": "2024"}]}, {"mode": "changes", "entry": [{}]}]),
    ("MedicationAdministrationDosage", "mad-1", [{"text": "a"}],
     [{"dose": {}}, {"rateRatio": {}}, {"rateQuantity": {}}]),
    ("MedicationDispense", "mdd-1", [{"whenPrepared": "2024-02-02", "whenHandedOver": "2024-02-01"}],
     [{"whenPrepared": "2024-02-02", "whenHandedOver": "2024-02"}, {"whenPrepared": "2024"}]),
    ("Observation", "obs-6", [{"valueString": "a", "dataAbsentReason": {}}],
     [{"valueString": "a"}, {"dataAbsentReason": {}}]),
    ("Observation", "obs-7", [{"code": CODE_A, "valueString": "a", "component": [{"code": CODE_B}, {"code": CODE_A}]}],
     [{"code": CODE_A, "valueString": "a", "component": [{"code": CODE_B}]},
      {"code": CODE_A, "component": [{"code": CODE_A}]},
      {"code": {"text": "a"}, "valueString": "a", "component": [{"code": {"text": "a"}}]}]),
    ("ObservationReferenceRange", "obs-3", [{"type": {}}], [{"low": {}}, {"high": {}}, {"text": "a"}]),
    ("Organization", "org-1", [{"active": True}], [{"name": "a"}, {"identifier": [{}]}, {"_name": {}}]),
    ("Organization", "org-2", [{"address": [{"use": "work"}, {"use": "home"}]}], [{"address": [{"use": "work"}]}, {}]),
    ("Organization", "org-3", [{"telecom": [{"use": "home"}]}], [{"telecom": [{"use": "work"}]}, {}]),
    ("ParametersParameter", "inv-1",
     [{"name": "a"}, {"valueString": "a", "part": [{}]}, {"valueString": "a", "resource": {}}],
     [{"valueString": "a"}, {"_valueString": {}}, {"resource": {}}, {"part": [{}]}]),
    ("PatientContact", "pat-1", [{"gender": "female"}],
     [{"name": {}}, {"telecom": [{}]}, {"address": {}}, {"organization": {}}]),
    ("Period", "per-1", [{"start": "2024-02-02", "end": "2024-02-01"}], [{"start": "2024", "end": "2024-01"}, {}]),
    ("Quantity", "qty-3", [{"value": 1, "code": "mg"}], [quantity(1), {"value": 1, "unit": "mg"}]),
    ("Questionnaire", "que-0", [{"name": "a b"}, {"name": "abc"}], [{"name": "Anamnese_1"}, {}]),
    ("Questionnaire", "que-2", [{"item": [{"linkId": "1"}, {"linkId": "2", "item": [{"linkId": "1"}]}]}],
     [{"item": [{"linkId": "1", "item": [{"linkId": "1.1"}]}, {"linkId": "2"}]}]),
    ("QuestionnaireItem", "que-1", [{"type": "group"}, {"type": "display", "item": [{}]}],
     [{"type": "group", "item": [{}]}, {"type": "display"}, {"type": "string", "item": [{}]}]),
    ("QuestionnaireItem", "que-3", [{"type": "display", "code": [{}]}], [{"type": "string", "code": [{}]}]),
    ("QuestionnaireItem", "que-4", [{"answerOption": [{}], "answerValueSet": "a"}], [{"answerOption": [{}]}]),
    ("QuestionnaireItem", "que-5",
     [{"type": "boolean", "answerOption": [{}]}, {"type": "group", "answerValueSet": "a"}],
     [{"type": "choice", "answerOption": [{}]}, {"type": "boolean"}, {"answerOption": [{}]}]),
    ("QuestionnaireItem", "que-6", [{"type": "display", "required": False}, {"type": "display", "repeats": True}],
     [{"type": "string", "required": True}, {"type": "display"}]),
    ("QuestionnaireItem", "que-8", [{"type": "group", "initial": [{}]}, {"type": "display", "initial": [{}]}],
     [{"type": "string", "initial": [{}]}]),
    ("QuestionnaireItem", "que-9", [{"type": "display", "readOnly": True}], [{"type": "string", "readOnly": True}]),
    ("QuestionnaireItem", "que-10", [{"type": "date", "maxLength": 3}], [{"type": "text", "maxLength": 3}]),
    ("QuestionnaireItem", "que-11", [{"answerOption": [{}], "initial": [{}]}], [{"initial": [{}]}]),
    ("QuestionnaireItem", "que-12", [{"enableWhen": [{}, {}, {}]}],
     [{"enableWhen": [{}, {}, {}], "enableBehavior": "any"}, {"enableWhen": [{}]}]),
    ("QuestionnaireItem", "que-13", [{"initial": [{}, {}]}, {"initial": [{}, {}], "repeats": False}],
     [{"initial": [{}, {}], "repeats": True}, {"initial": [{}]}]),
    ("QuestionnaireItemEnableWhen", "que-7", [{"operator": "exists", "answerString": "a"}],
     [{"operator": "exists", "answerBoolean": True}, {"operator": "=", "answerString": "a"}]),
    ("QuestionnaireResponseItem", "qrs-1", [{"answer": [{}], "item": [{}]}], [{"answer": [{}]}, {"item": [{}]}]),
    ("Range", "rng-2",
     [{"low": quantity(2), "high": quantity(1)}, {"low": {"value": 2}, "high": {"value": Decimal("1.9")}}],
     [{"low": quantity(1), "high": quantity(1)}, {"low": quantity(2), "high": quantity(1, "g")}, {"low": quantity(2)}]),
    ("Ratio", "rat-1", [{}, {"numerator": {}}, {"denominator": {}}, {"numerator": {}, "extension": [{}]}],
     [{"numerator": {}, "denominator": {}}, {"extension": [{}]}]),
    ("RiskAssessmentPrediction", "ras-1",
     [{"probabilityRange": {"low": quantity(1)}}, {"probabilityRange": {"high": {}}}],
     [{"probabilityRange": {"low": quantity(1, "%"), "high": quantity(2, "%")}}, {"probabilityDecimal": 1}]),
    ("RiskAssessmentPrediction", "ras-2", [{"probabilityDecimal": Decimal("100.1")}], [{"probabilityDecimal": 100}]),
    ("ServiceRequest", "prr-1", [{"orderDetail": [{}]}], [{"orderDetail": [{}], "code": {}}, {}]),
    ("Task", "inv-1", [{"authoredOn": "2024-02-02", "lastModified": "2024-02-01"}],
     [{"authoredOn": "2024-02-02", "lastModified": "2024"}, {"lastModified": "2024"}]),
    ("TimingRepeat", "tim-1", [{"duration": 1}], [{"duration": 1, "durationUnit": "h"}, {}]),
    ("TimingRepeat", "tim-2", [{"period": 1}], [{"period": 1, "periodUnit": "h"}]),
    ("TimingRepeat", "tim-4", [{"duration": -1}], [{"duration": 0}, {"duration": Decimal("0.5")}]),
    ("TimingRepeat", "tim-5", [{"period": Decimal("-0.1")}], [{"period": 1}]),
    ("TimingRepeat", "tim-6", [{"periodMax": 2}], [{"periodMax": 2, "period": 1}]),
    ("TimingRepeat", "tim-7", [{"durationMax": 2}], [{"durationMax": 2, "duration": 1}]),
    ("TimingRepeat", "tim-8", [{"countMax": 2}], [{"countMax": 2, "count": 1}]),
    ("TimingRepeat", "tim-9", [{"offset": 5}, {"offset": 5, "when": ["PC", "CM"]}], [{"offset": 5, "when": ["PC"]}]),
    ("TimingRepeat", "tim-10", [{"timeOfDay": ["08:00:00"], "when": ["PC"]}], [{"timeOfDay": ["08:00:00"]}]),
    ("TriggerDefinition", "trd-1", [{"data": [{}], "timingDate": "2024"}], [{"data": [{}]}, {"timingDate": "2024"}]),
    ("TriggerDefinition", "trd-2", [{"condition": {}}], [{"condition": {}, "data": [{}]}]),
    ("TriggerDefinition", "trd-3", [{"type": "named-event"}, {"type": "periodic"}, {"type": "data-added"}],
     [{"type": "named-event", "name": "a"}, {"type": "periodic", "timingDate": "2024"},
      {"type": "data-added", "data": [{}]}, {}]),
]  # fmt: skip


def row(type_name: str, key: str) -> Invariant:
    (found,) = (item for item in invariants.TABLE[type_name] if item.key == key)
    return found


@pytest.mark.parametrize(
    ("type_name", "key", "broken", "kept"), RULES, ids=[f"{type_name} {key}" for type_name, key, *_ in RULES]
)
def test_rule(type_name: str, key: str, broken: list[dict[str, Any]], kept: list[dict[str, Any]]) -> None:
    test = row(type_name, key).test
    assert [value for value in broken if test(value)] == []
    assert [value for value in kept if not test(value)] == []


def test_each_rule_is_tested() -> None:
    keyed = {(name, item.key) for name, rows in invariants.TABLE.items() for item in rows if item.key}
    assert {(name, key) for name, key, *_ in RULES} == keyed


def test_each_row_is_a_sentence_on_a_type_that_exists() -> None:
    for name, rows in invariants.TABLE.items():
        definition = r4_differences.definition(name)
        assert definition.invariants == rows
        labels = {element.label for element in definition.elements.values()}
        for item in rows:
            assert item.severity in {"error", "warning"}
            assert item.words.startswith("must " if item.severity == "error" else "should ")
            assert not item.words.endswith(".")
            assert item.at == "" or item.at in labels


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ({"resourceType": "Organization", "name": "a", "address": [{"use": "home", "city": "Ulm"}]},
         ("Organization.address", "invariant", "error", "Organization.address must not be of use home (org-2).")),
        ({"resourceType": "Composition", "status": "final", "type": {"text": "a"}, "date": "2024", "title": "a",
          "author": [{"display": "a"}], "section": [{"title": "a"}]},
         ("Composition.section[0]", "invariant", "error",
          "Composition.section[0] must have a text, entries or sections (cmp-1).")),
        ({"resourceType": "Condition", "subject": {"display": "a"},
          "category": [concept("condition-category", "problem-list-item")]},
         ("Condition", "invariant", "warning",
          "Condition should have a clinicalStatus as a problem-list-item, unless its verificationStatus is "
          "entered-in-error (con-3).")),
        ({"resourceType": "Basic", "code": {"text": "a"}, "extension": [
            {"url": "http://x.example", "valueRange": {"low": {"value": 1, "comparator": "<"}}}]},
         ("Basic.extension[0].value.low.comparator", "invariant", "error",
          "Basic.extension[0].value.low.comparator is not allowed in a SimpleQuantity (sqty-1).")),
        ({"resourceType": "Bundle", "type": "collection", "entry": [ENTRY | {"fullUrl": "Patient/a"}]},
         ("Bundle.entry[0].fullUrl", "invalid", "error", "Bundle.entry[0].fullUrl must be an absolute URL.")),
        ({"resourceType": "Bundle", "type": "collection", "entry": [ENTRY | {"fullUrl": f"{URL}2"}]},
         ("Bundle.entry[0].fullUrl", "invalid", "warning",
          "Bundle.entry[0].fullUrl should end with the type and the id of the resource.")),
    ],
    ids=["org-2", "cmp-1", "con-3", "sqty-1", "fullUrl", "fullUrl of another"],
)  # fmt: skip
def test_fault(resource: dict[str, Any], expected: tuple[str, str, str, str]) -> None:
    (fault,) = base.faults(resource)
    assert (fault.expression, fault.code, fault.severity, fault.text) == expected


NAMES = sorted({name for rows in RULES for value in rows[2] + rows[3] for name in value})
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals() | st.floats() | st.text() | st.sampled_from(
        ["document", "message", "transaction", "display", "group", "exists", "2024", "entered-in-error", URL]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.text(), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6))
@settings(max_examples=300, deadline=None)
def test_no_test_raises(value: dict[str, Any]) -> None:
    for rows in invariants.TABLE.values():
        for item in rows:
            assert item.test(value) in {True, False}


@functools.cache
def _structures() -> dict[str, dict[str, Any]]:
    assert PEERS is not None
    folder = Path(PEERS) / "node_modules" / "@medplum" / "definitions" / "dist" / "fhir" / "r4"
    found: dict[str, dict[str, Any]] = {}
    for name in ("profiles-resources.json", "profiles-types.json"):
        for entry in json.loads((folder / name).read_text("utf-8"))["entry"]:
            structure = entry["resource"]
            if structure["resourceType"] == "StructureDefinition" and structure.get("derivation") != "constraint":
                found[structure["name"]] = structure
    return found


def _children(structure: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    children: dict[str, list[dict[str, Any]]] = {}
    for element in structure["snapshot"]["element"][1:]:
        children.setdefault(element["path"].rpartition(".")[0], []).append(element)
    return children


def _places(path: str, name: str, children: dict[str, list[dict[str, Any]]]) -> Iterator[tuple[str, str]]:
    """Each path of a snapshot that has children, with the model class that holds them."""
    yield path, name
    elements = r4_differences.definition(name).elements
    for element in children[path]:
        if element["path"] in children:
            yield from _places(element["path"], elements[element["path"].rpartition(".")[2]].type, children)


def _needed() -> set[str]:
    """The supported resource types and all data types that they hold."""
    needed: set[str] = set()
    waiting = list(SUPPORTED)
    while waiting:
        name = waiting.pop()
        if name in needed or name not in _structures() or _structures()[name].get("abstract"):
            continue
        needed.add(name)
        for element in _structures()[name]["snapshot"]["element"]:
            waiting.extend(item["code"] for item in element.get("type", ()))
    return {name for name in needed if _structures()[name]["kind"] in {"resource", "complex-type"}}


def _published() -> dict[tuple[str, str, str], str]:
    """(model class, child that the rule sits on, key) -> severity, of the needed types and of every resource."""
    found: dict[tuple[str, str, str], str] = {}
    for name in [*sorted(_needed()), "DomainResource", "Resource"]:
        structure = _structures()[name]
        children = _children(structure)
        places = {name: name} if structure.get("abstract") else dict(_places(name, name, children))
        for element in structure["snapshot"]["element"]:
            parent, _, child = element["path"].rpartition(".")
            for constraint in element.get("constraint", ()):
                on = element["path"] in places
                where = places[element["path"]] if on else places[parent]
                label = "" if on else child.removesuffix("[x]")
                found[where, label, constraint["key"]] = constraint["severity"]
    return found


@needs_peers
def test_no_constraint_is_forgotten() -> None:
    """Each constraint of R4 is in the table with its severity, is judged elsewhere or is left out for a reason."""
    published = _published()
    beside = invariants.ELSEWHERE.keys() | invariants.LEFT_OUT.keys()
    inherited = {"ext-1", "qty-3"} | {item.key for rows in invariants_types.TYPES.values() for item in rows}
    missing = {
        place: severity
        for place, severity in published.items()
        if place[2] not in beside
        and not any(
            (item.at, item.key, item.severity) == (place[1], place[2], severity)
            for item in invariants.TABLE.get(place[0], ())
        )
        # A snapshot repeats a data type's own rules where an element has the type.
        and not (place[2] in inherited and place[1])
    }
    assert missing == {}
    keyed = {(name, item.at, item.key) for name, rows in invariants.TABLE.items() for item in rows if item.key}
    assert keyed - published.keys() == set()


@needs_peers
def test_what_is_left_out_exists() -> None:
    keys = {key for _, _, key in _published()} | {"sqty-1"}
    assert (invariants.ELSEWHERE.keys() | invariants.LEFT_OUT.keys()) - keys == set()


@needs_peers
def test_simple_quantities() -> None:
    simple: set[tuple[str, str]] = set()
    for name in _needed():
        children = _children(_structures()[name])
        for path, model in _places(name, name, children):
            for element in children[path]:
                for item in element.get("type", ()):
                    if any(url.endswith("/SimpleQuantity") for url in item.get("profile", ())):
                        child = element["path"].rpartition(".")[2].replace("[x]", item["code"])
                        simple.add((model, child))
    assert simple == invariants_types.SIMPLE
