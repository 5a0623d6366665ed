"""The invariants of R4's resources: https://hl7.org/fhir/R4/resourcelist.html, the constraints on each type's page."""

import re
from collections.abc import Mapping
from typing import Final

from profiles import invariants_rules as rules
from profiles import primitives
from profiles.invariants_rules import Invariant, Object, Test

_UCUM: Final = "http://unitsofmeasure.org"
_CODES: Final = "http://terminology.hl7.org/CodeSystem"


def _allergy_in_error(value: Object) -> bool:
    return rules.coded(value, "verificationStatus", f"{_CODES}/allergyintolerance-verification", "entered-in-error")


def _appointed(value: Object) -> bool:
    return (rules.has(value, "start") and rules.has(value, "end")) or value.get("status") in (
        "proposed",
        "cancelled",
        "waitlist",
    )


def _cancelled(value: Object) -> bool:
    return "cancelationReason" not in value or value.get("status") in ("noshow", "cancelled")


def _condition_in_error(value: Object) -> bool:
    return rules.coded(value, "verificationStatus", f"{_CODES}/condition-ver-status", "entered-in-error")


def _problem(value: Object) -> bool:
    """The published expression compares a CodeableConcept with a code, so only the words can be meant."""
    listed = rules.coded(value, "category", f"{_CODES}/condition-category", "problem-list-item")
    return not listed or "clinicalStatus" in value or _condition_in_error(value)


def _abated(value: Object) -> bool:
    ended = rules.coded(value, "clinicalStatus", f"{_CODES}/condition-clinical", "inactive", "remission", "resolved")
    return ended or not rules.has_choice(value, "abatement")


def _handed_over(value: Object) -> bool:
    return primitives.in_order(value.get("whenPrepared"), value.get("whenHandedOver"))


def _codings(value: Object) -> set[tuple[object, ...]]:
    names = ("system", "version", "code", "display")
    return {
        (*(rules.text(coding, name) for name in names), coding.get("userSelected") is True)
        for coding in rules.members(rules.member(value, "code"), "coding")
    }


def _components(value: Object) -> bool:
    if "component" not in value or not rules.has_choice(value, "value"):
        return True
    codings = _codings(value)
    return all(codings.isdisjoint(_codings(part)) for part in rules.members(value, "component"))


def _parameter(value: Object) -> bool:
    return [rules.has_choice(value, "value"), "resource" in value, "part" in value].count(True) == 1


def _percentages(value: Object) -> bool:
    bounds = rules.member(value, "probabilityRange")
    return all(
        rules.member(bounds, name).get("code") == "%" and rules.member(bounds, name).get("system") == _UCUM
        for name in ("low", "high")
        if name in bounds
    )


def _probability(value: Object) -> bool:
    percent = rules.number(value, "probabilityDecimal")
    return percent is None or percent <= 100


def _changed(value: Object) -> bool:
    return primitives.in_order(value.get("authoredOn"), value.get("lastModified"))


def _link_ids(value: Object) -> bool:
    seen: list[str] = []
    waiting = [value]
    while waiting:
        for item in rules.members(waiting.pop(), "item"):
            waiting.append(item)
            seen.extend([link] if (link := rules.text(item, "linkId")) is not None else ())
    return len(seen) == len(set(seen))


def _machine_name(value: Object) -> bool:
    name = rules.text(value, "name")
    return name is None or re.fullmatch(r"[A-Z][A-Za-z0-9_]{0,254}", name) is not None


def _nested(value: Object) -> bool:
    kind = value.get("type")
    return "item" in value if kind == "group" else kind != "display" or "item" not in value


def _not_of(types: str, *names: str) -> Test:
    """An item of one of these types has none of the elements."""
    kinds, without = types.split(), rules.keys(*names)
    return lambda value: value.get("type") not in kinds or without.isdisjoint(value)


def _only_of(types: str, *names: str) -> Test:
    """Only an item of one of these types has the elements; an item without a type is left to its cardinality."""
    kinds, without = types.split(), rules.keys(*names)
    return lambda value: rules.text(value, "type") is None or value["type"] in kinds or without.isdisjoint(value)


_ITEM: Final = (
    Invariant("que-1", "error", _nested, "must have nested items as a group, and none as a display item"),
    Invariant("que-3", "error", _not_of("display", "code"), "must not have a code as a display item"),
    Invariant(
        "que-4",
        "error",
        rules.not_both("answerOption", "answerValueSet"),
        "must not have both answerOption and answerValueSet",
    ),
    Invariant(
        "que-5",
        "error",
        _only_of(
            "choice open-choice decimal integer date dateTime time string quantity", "answerOption", "answerValueSet"
        ),
        "must not have answerOption or answerValueSet as an item of this type",
    ),
    Invariant(
        "que-6", "error", _not_of("display", "required", "repeats"), "must not be required or repeat as a display item"
    ),
    Invariant(
        "que-8",
        "error",
        _not_of("group display", "initial"),
        "must not have an initial value as a group or display item",
    ),
    Invariant("que-9", "error", _not_of("display", "readOnly"), "must not be readOnly as a display item"),
    Invariant(
        "que-10",
        "error",
        _only_of("boolean decimal integer string text url open-choice", "maxLength"),
        "must not have a maxLength as an item of this type",
    ),
    Invariant(
        "que-11", "error", rules.not_both("answerOption", "initial"), "must not have both answerOption and initial"
    ),
    # The words say more than one, the published expression more than two.
    Invariant(
        "que-12",
        "error",
        lambda value: len(rules.members(value, "enableWhen")) <= 2 or rules.has(value, "enableBehavior"),
        "must have the enableBehavior of its enableWhen",
    ),
    Invariant(
        "que-13",
        "error",
        lambda value: len(rules.members(value, "initial")) <= 1 or value.get("repeats") is True,
        "must not have several initial values unless it repeats",
    ),
)

RESOURCES: Final[Mapping[str, tuple[Invariant, ...]]] = {
    "AllergyIntolerance": (
        Invariant(
            "ait-1",
            "error",
            lambda value: "clinicalStatus" in value or _allergy_in_error(value),
            "must have a clinicalStatus unless its verificationStatus is entered-in-error",
        ),
        Invariant(
            "ait-2",
            "error",
            lambda value: "clinicalStatus" not in value or not _allergy_in_error(value),
            "must not have a clinicalStatus when its verificationStatus is entered-in-error",
        ),
    ),
    "Appointment": (
        Invariant(
            "app-2",
            "error",
            lambda value: rules.has(value, "start") == rules.has(value, "end"),
            "must have both start and end, or neither",
        ),
        Invariant(
            "app-3", "error", _appointed, "must have start and end unless it is proposed, cancelled or on a waitlist"
        ),
        Invariant("app-4", "error", _cancelled, "must not have a cancelationReason unless it is cancelled or a noshow"),
    ),
    "AppointmentParticipant": (
        Invariant("app-1", "error", rules.any_of("type", "actor"), "must have a type or an actor"),
    ),
    "AuditEventEntity": (
        Invariant("sev-1", "error", rules.not_both("name", "query"), "must not have both a name and a query"),
    ),
    "CarePlanActivity": (
        Invariant(
            "cpl-3", "error", rules.not_both("detail", "reference"), "must not have both a detail and a reference"
        ),
    ),
    "CompositionSection": (
        Invariant("cmp-1", "error", rules.any_of("text", "entry", "section"), "must have a text, entries or sections"),
        Invariant(
            "cmp-2", "error", rules.not_both("emptyReason", "entry"), "must not have an emptyReason beside entries"
        ),
    ),
    "Condition": (
        Invariant(
            "con-3",
            "warning",
            _problem,
            "should have a clinicalStatus as a problem-list-item, unless its verificationStatus is entered-in-error",
        ),
        Invariant(
            "con-4", "error", _abated, "must have the clinicalStatus inactive, resolved or remission when it has abated"
        ),
        Invariant(
            "con-5",
            "error",
            lambda value: "clinicalStatus" not in value or not _condition_in_error(value),
            "must not have a clinicalStatus when its verificationStatus is entered-in-error",
        ),
    ),
    "ConditionEvidence": (Invariant("con-2", "error", rules.any_of("code", "detail"), "must have a code or details"),),
    "ConditionStage": (
        Invariant("con-1", "error", rules.any_of("summary", "assessment"), "must have a summary or an assessment"),
    ),
    "GoalTarget": (
        Invariant(
            "gol-1",
            "error",
            lambda value: not rules.has_choice(value, "detail") or "measure" in value,
            "must have the measure of its detail",
        ),
    ),
    "Consent": (
        Invariant("ppc-1", "error", rules.any_of("policy", "policyRule"), "must have a policy or a policyRule"),
    ),
    "Group": (
        Invariant(
            "grp-1",
            "error",
            lambda value: "member" not in value or value.get("actual") is True,
            "must not have members unless it is actual",
        ),
    ),
    "ImmunizationEducation": (
        Invariant(
            "imm-1", "error", rules.any_of("documentType", "reference"), "must have a documentType or a reference"
        ),
    ),
    "List": (
        Invariant(
            "lst-1", "error", rules.not_both("emptyReason", "entry"), "must not have an emptyReason beside entries"
        ),
        Invariant(
            "lst-2",
            "error",
            lambda value: (
                value.get("mode") == "changes"
                or not any(rules.has(item, "deleted") for item in rules.members(value, "entry"))
            ),
            "must not have deleted entries unless its mode is changes",
        ),
        Invariant(
            "lst-3",
            "error",
            lambda value: (
                value.get("mode") == "working"
                or not any(rules.has(item, "date") for item in rules.members(value, "entry"))
            ),
            "must not have dates of entries unless its mode is working",
        ),
    ),
    "MedicationAdministrationDosage": (
        Invariant("mad-1", "error", rules.any_of("dose", "rateRatio", "rateQuantity"), "must have a dose or a rate"),
    ),
    "MedicationDispense": (Invariant("mdd-1", "error", _handed_over, "must not be handed over before it is prepared"),),
    "Observation": (
        Invariant(
            "obs-6",
            "error",
            lambda value: "dataAbsentReason" not in value or not rules.has_choice(value, "value"),
            "must not have both a value and a dataAbsentReason",
        ),
        Invariant("obs-7", "error", _components, "must not have a value when a component has its code"),
    ),
    "ObservationReferenceRange": (
        Invariant("obs-3", "error", rules.any_of("low", "high", "text"), "must have a low, a high or a text"),
    ),
    "Organization": (
        Invariant("org-1", "error", rules.any_of("identifier", "name"), "must have a name or an identifier"),
        Invariant("org-2", "error", rules.none_with("address", "use", "home"), "must not be of use home", "address"),
        Invariant("org-3", "error", rules.none_with("telecom", "use", "home"), "must not be of use home", "telecom"),
    ),
    "ParametersParameter": (
        Invariant("inv-1", "error", _parameter, "must have one and only one of value[x], resource and part"),
    ),
    "PatientContact": (
        Invariant(
            "pat-1",
            "error",
            rules.any_of("name", "telecom", "address", "organization"),
            "must have a name, telecom, address or organization",
        ),
    ),
    "Questionnaire": (
        Invariant("que-0", "warning", _machine_name, "should have a name of letters, digits and underscores"),
        Invariant("que-2", "error", _link_ids, "must not have a linkId twice"),
    ),
    "QuestionnaireItem": _ITEM,
    "QuestionnaireItemEnableWhen": (
        Invariant(
            "que-7",
            "error",
            lambda value: value.get("operator") != "exists" or rules.has(value, "answerBoolean"),
            "must have a boolean answer with the operator exists",
        ),
    ),
    "QuestionnaireResponseItem": (
        Invariant("qrs-1", "error", rules.not_both("answer", "item"), "must not have both answers and items"),
    ),
    "RiskAssessmentPrediction": (
        Invariant("ras-1", "error", _percentages, "must be between percentages", "probability"),
        Invariant("ras-2", "error", _probability, "must not have a probability over 100"),
    ),
    "ServiceRequest": (
        Invariant("prr-1", "error", rules.needs("orderDetail", "code"), "must have the code of its orderDetail"),
    ),
    "Task": (Invariant("inv-1", "error", _changed, "must not be modified before it was authored"),),
}
