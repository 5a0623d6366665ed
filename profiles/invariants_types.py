"""The invariants of R4's data types: https://hl7.org/fhir/R4/datatypes.html and https://hl7.org/fhir/R4/metadatatypes.html."""

from collections.abc import Mapping
from typing import Final

from profiles import invariants_rules as rules
from profiles import primitives
from profiles.invariants_rules import Invariant, Object

_UCUM: Final = "http://unitsofmeasure.org"


def _in_ucum(value: Object) -> bool:
    return not rules.has(value, "system") or value.get("system") == _UCUM


def _age(value: Object) -> bool:
    years = rules.number(value, "value")
    return _distance(value) and (years is None or years > 0)


def _count(value: Object) -> bool:
    """The published expression wants no decimal point either; the words ask for a whole number only."""
    count = rules.number(value, "value")
    coded = value.get("code") == "1" if rules.has(value, "code") else not rules.has(value, "value")
    return coded and _in_ucum(value) and (count is None or count == count.to_integral_value())


def _distance(value: Object) -> bool:
    return (rules.has(value, "code") or not rules.has(value, "value")) and _in_ucum(value)


def _duration(value: Object) -> bool:
    return not rules.has(value, "code") or (value.get("system") == _UCUM and rules.has(value, "value"))


def _extension(value: Object) -> bool:
    return rules.has_choice(value, "value") != ("extension" in value)


def _period(value: Object) -> bool:
    return primitives.in_order(value.get("start"), value.get("end"))


def _quantity(value: Object) -> bool:
    return ("code" not in value and "_code" not in value) or "system" in value or "_system" in value


def _range(value: Object) -> bool:
    """Only numbers of one unit are compared: others would need a table of units."""
    low, high = rules.member(value, "low"), rules.member(value, "high")
    smaller, greater = rules.number(low, "value"), rules.number(high, "value")
    if smaller is None or greater is None or smaller <= greater:
        return True
    return any(rules.text(low, name) != rules.text(high, name) for name in ("system", "code", "unit"))


def _ratio(value: Object) -> bool:
    given = "numerator" in value
    return given == ("denominator" in value) and (given or "extension" in value)


def _offset(value: Object) -> bool:
    when = value.get("when")
    meals = isinstance(when, list) and any(item in ("C", "CM", "CD", "CV") for item in when)
    return not rules.has(value, "offset") or (rules.has(value, "when") and not meals)


def _trigger(value: Object) -> bool:
    kind = rules.text(value, "type") or ""
    return (
        (kind != "named-event" or rules.has(value, "name"))
        and (kind != "periodic" or rules.has_choice(value, "timing"))
        and (not kind.startswith("data-") or "data" in value)
    )


_CODED_UNIT = Invariant("qty-3", "error", _quantity, "must have the system of its code")

TYPES: Final[Mapping[str, tuple[Invariant, ...]]] = {
    "Age": (Invariant("age-1", "error", _age, "must be a positive number with a UCUM code of a time"), _CODED_UNIT),
    "Attachment": (
        Invariant("att-1", "error", rules.needs("data", "contentType"), "must have the contentType of its data"),
    ),
    "ContactPoint": (Invariant("cpt-2", "error", rules.needs("value", "system"), "must have the system of its value"),),
    "Count": (Invariant("cnt-3", "error", _count, "must be a whole number with the UCUM code 1"), _CODED_UNIT),
    "DataRequirementCodeFilter": (
        Invariant("drq-1", "error", rules.one_of("path", "searchParam"), "must have either a path or a searchParam"),
    ),
    "DataRequirementDateFilter": (
        Invariant("drq-2", "error", rules.one_of("path", "searchParam"), "must have either a path or a searchParam"),
    ),
    "Distance": (Invariant("dis-1", "error", _distance, "must have a UCUM code of a length"), _CODED_UNIT),
    "Duration": (Invariant("drt-1", "error", _duration, "must have a value in UCUM with its code"), _CODED_UNIT),
    "Expression": (
        Invariant("exp-1", "error", rules.any_of("expression", "reference"), "must have an expression or a reference"),
    ),
    "Extension": (
        Invariant("ext-1", "error", _extension, "must have either a value[x] or nested extensions, and not both"),
    ),
    "Period": (Invariant("per-1", "error", _period, "must not end before it starts"),),
    "Quantity": (_CODED_UNIT,),
    "Range": (Invariant("rng-2", "error", _range, "must not have a low that is greater than its high"),),
    "Ratio": (Invariant("rat-1", "error", _ratio, "must have numerator and denominator, or neither and an extension"),),
    "TimingRepeat": (
        Invariant(
            "tim-1", "error", rules.needs("duration", "durationUnit"), "must have the durationUnit of its duration"
        ),
        Invariant("tim-2", "error", rules.needs("period", "periodUnit"), "must have the periodUnit of its period"),
        Invariant("tim-4", "error", rules.not_negative("duration"), "must not have a negative duration"),
        Invariant("tim-5", "error", rules.not_negative("period"), "must not have a negative period"),
        Invariant("tim-6", "error", rules.needs("periodMax", "period"), "must have a period with its periodMax"),
        Invariant(
            "tim-7", "error", rules.needs("durationMax", "duration"), "must have a duration with its durationMax"
        ),
        Invariant("tim-8", "error", rules.needs("countMax", "count"), "must have a count with its countMax"),
        Invariant("tim-9", "error", _offset, "must have a when, and not C, CM, CD or CV, with its offset"),
        Invariant("tim-10", "error", rules.not_both("timeOfDay", "when"), "must not have both timeOfDay and when"),
    ),
    "TriggerDefinition": (
        Invariant(
            "trd-1",
            "error",
            lambda value: "data" not in value or not rules.has_choice(value, "timing"),
            "must not have both timing and data",
        ),
        Invariant("trd-2", "error", rules.needs("condition", "data"), "must have the data of its condition"),
        Invariant("trd-3", "error", _trigger, "must have a name, a timing or data, as its type asks"),
    ),
}

# (model class, JSON name) of each Quantity that R4 restricts to SimpleQuantity, in the supported types.
# https://hl7.org/fhir/R4/datatypes.html#SimpleQuantity
SIMPLE: Final = frozenset(
    (owner, name)
    for owner, names in {
        "CarePlanActivityDetail": "dailyAmount quantity",
        "ClaimItem": "quantity",
        "ClaimItemDetail": "quantity",
        "ClaimItemDetailSubDetail": "quantity",
        "ClaimResponseAddItem": "quantity",
        "ClaimResponseAddItemDetail": "quantity",
        "ClaimResponseAddItemDetailSubDetail": "quantity",
        "CoverageCostToBeneficiary": "valueQuantity",
        "Dosage": "maxDosePerAdministration maxDosePerLifetime",
        "DosageDoseAndRate": "doseQuantity rateQuantity",
        "Immunization": "doseQuantity",
        "MedicationAdministrationDosage": "dose rateQuantity",
        "MedicationDispense": "daysSupply quantity",
        "MedicationRequestDispenseRequest": "quantity",
        "MedicationRequestDispenseRequestInitialFill": "quantity",
        "ObservationReferenceRange": "high low",
        "Range": "high low",
        "SampledData": "origin",
        "SpecimenCollection": "quantity",
        "SpecimenContainer": "capacity specimenQuantity",
    }.items()
    for name in names.split()
)
