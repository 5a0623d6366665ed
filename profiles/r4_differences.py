"""The types of FHIR R4 (4.0.1) as plain tables: the R4B (4.3.0) model metadata of fhir.resources with R4's differences.

`definition` compiles the table of one type at its first use.  On top of the metadata stand three kinds of rows:
elements that R4B added or dropped, reference targets that R4B widened, and required bindings that the metadata lacks or
shortens (it takes its codes from the one-line summary of an element, which ends in "+" where not all fit, and has none
of a code list that the summary does not spell out).
Sources: https://hl7.org/fhir/R4/resourcelist.html, https://hl7.org/fhir/R4/datatypes.html, the page of each resource.
`tests/unit/profiles/test_base_against_r4.py` holds the result against R4's own StructureDefinitions.
"""

import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from fhir.resources.R4B import get_fhir_model_class

from profiles import invariants, invariants_types, primitives
from profiles.invariants_rules import Invariant


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# R4 resource types that R4B lacks or has rebuilt: https://hl7.org/fhir/R4B/history.html
NOT_IN_R4B: Final = _words(
    """EffectEvidenceSynthesis Evidence EvidenceVariable MedicinalProduct MedicinalProductAuthorization
    MedicinalProductContraindication MedicinalProductIndication MedicinalProductIngredient
    MedicinalProductInteraction MedicinalProductManufactured MedicinalProductPackaged
    MedicinalProductPharmaceutical MedicinalProductUndesirableEffect RiskEvidenceSynthesis SubstanceNucleicAcid
    SubstancePolymer SubstanceProtein SubstanceReferenceInformation SubstanceSourceMaterial
    SubstanceSpecification"""
)
# https://hl7.org/fhir/R4/valueset-resource-types.html without the abstract Resource and DomainResource.
RESOURCE_TYPES: Final = NOT_IN_R4B | _words(
    """Account ActivityDefinition AdverseEvent AllergyIntolerance Appointment AppointmentResponse AuditEvent Basic
    Binary BiologicallyDerivedProduct BodyStructure Bundle CapabilityStatement CarePlan CareTeam CatalogEntry
    ChargeItem ChargeItemDefinition Claim ClaimResponse ClinicalImpression CodeSystem Communication
    CommunicationRequest CompartmentDefinition Composition ConceptMap Condition Consent Contract Coverage
    CoverageEligibilityRequest CoverageEligibilityResponse DetectedIssue Device DeviceDefinition DeviceMetric
    DeviceRequest DeviceUseStatement DiagnosticReport DocumentManifest DocumentReference Encounter Endpoint
    EnrollmentRequest EnrollmentResponse EpisodeOfCare EventDefinition ExampleScenario ExplanationOfBenefit
    FamilyMemberHistory Flag Goal GraphDefinition Group GuidanceResponse HealthcareService ImagingStudy
    Immunization ImmunizationEvaluation ImmunizationRecommendation ImplementationGuide InsurancePlan Invoice
    Library Linkage List Location Measure MeasureReport Media Medication MedicationAdministration
    MedicationDispense MedicationKnowledge MedicationRequest MedicationStatement MessageDefinition MessageHeader
    MolecularSequence NamingSystem NutritionOrder Observation ObservationDefinition OperationDefinition
    OperationOutcome Organization OrganizationAffiliation Parameters Patient PaymentNotice PaymentReconciliation
    Person PlanDefinition Practitioner PractitionerRole Procedure Provenance Questionnaire QuestionnaireResponse
    RelatedPerson RequestGroup ResearchDefinition ResearchElementDefinition ResearchStudy ResearchSubject
    RiskAssessment Schedule SearchParameter ServiceRequest Slot Specimen SpecimenDefinition StructureDefinition
    StructureMap Subscription Substance SupplyDelivery SupplyRequest Task TerminologyCapabilities TestReport
    TestScript ValueSet VerificationResult VisionPrescription"""
)
_RESOURCE_CODES = RESOURCE_TYPES | {"Resource", "DomainResource"}
# https://hl7.org/fhir/R4/valueset-defined-types.html: the data types.
_DEFINED_TYPES = _RESOURCE_CODES | _words(
    """Address Age Annotation Attachment BackboneElement CodeableConcept Coding ContactDetail ContactPoint
    Contributor Count DataRequirement Distance Dosage Duration Element ElementDefinition Expression Extension
    HumanName Identifier MarketingStatus Meta Money MoneyQuantity Narrative ParameterDefinition Period
    Population ProdCharacteristic ProductShelfLife Quantity Range Ratio Reference RelatedArtifact SampledData
    Signature SimpleQuantity SubstanceAmount Timing TriggerDefinition UsageContext base64Binary boolean
    canonical code date dateTime decimal id instant integer markdown oid positiveInt string time unsignedInt uri
    url uuid xhtml"""
)
_ALL_TYPES = _DEFINED_TYPES | {"Any", "Type"}

TYPE_NAMES: Final = _DEFINED_TYPES

# Model class -> JSON names of R4B that R4 has not.
REMOVED: Final[Mapping[str, frozenset[str]]] = {
    "ActivityDefinition": _words("subjectCanonical"),
    "ElementDefinition": _words(
        """defaultValueCodeableReference defaultValueRatioRange fixedCodeableReference fixedRatioRange
        patternCodeableReference patternRatioRange"""
    ),
    "ElementDefinitionExample": _words("valueCodeableReference valueRatioRange"),
    "Extension": _words("valueCodeableReference valueRatioRange"),
    "PlanDefinition": _words("subjectCanonical"),
    "PlanDefinitionAction": _words("subjectCanonical"),
}

# Model class -> (JSON name, choice, type) of R4 that R4B has not; all of them are 0..1 choice members of type Meta.
ADDED: Final[Mapping[str, tuple[tuple[str, str, str], ...]]] = {
    "ElementDefinition": (
        ("defaultValueMeta", "defaultValue", "Meta"),
        ("fixedMeta", "fixed", "Meta"),
        ("patternMeta", "pattern", "Meta"),
    ),
    "ElementDefinitionExample": (("valueMeta", "value", "Meta"),),
    "Extension": (("valueMeta", "value", "Meta"),),
}

# (model class, JSON name) that R4 requires and R4B does not.
REQUIRED: Final = frozenset({("MarketingStatus", "country"), ("MarketingStatus", "dateRange")})

# (model class, JSON name) -> R4's reference targets where R4B has others.
TARGETS: Final[Mapping[tuple[str, str], frozenset[str]]] = {
    ("ActivityDefinition", "productReference"): _words("Medication Substance"),
    ("DiagnosticReport", "subject"): _words("Device Group Location Patient"),
    ("GroupMember", "entity"): _words("Device Group Medication Patient Practitioner PractitionerRole Substance"),
    ("Observation", "subject"): _words("Device Group Location Patient"),
}

# (model class, JSON name) -> targets beside R4's that HL7's own example of the type uses: a warning, no error.
# https://hl7.org/fhir/R4/medicationrequest0301.html and https://hl7.org/fhir/R4/observation-example-clinical-gender.html
TOLERATED: Final[Mapping[tuple[str, str], frozenset[str]]] = {
    ("MedicationRequestDispenseRequest", "performer"): _words("Practitioner"),
    ("Observation", "performer"): _words("Encounter"),
}

_OBSERVATION_STATUS = _words("registered preliminary final amended corrected cancelled entered-in-error unknown")
_ENCOUNTER_STATUS = _words("planned arrived triaged in-progress onleave finished cancelled entered-in-error unknown")
_COMPARATOR = _words("< <= >= >")
_FHIR_VERSION = _words(
    """0.01 0.05 0.06 0.11 0.0.80 0.0.81 0.0.82 0.4.0 0.5.0 1.0.0 1.0.1 1.0.2 1.1.0 1.4.0 1.6.0 1.8.0 3.0.0 3.0.1
    3.3.0 3.5.0 4.0.0 4.0.1"""
)

# (model class, JSON name) of a code -> the whole required ValueSet; None: the metadata's codes are no required binding.
CODES: Final[Mapping[tuple[str, str], frozenset[str] | None]] = {
    ("ActivityDefinition", "kind"): _words(
        """Appointment AppointmentResponse CarePlan Claim CommunicationRequest Contract DeviceRequest
        EnrollmentRequest ImmunizationRecommendation MedicationRequest NutritionOrder ServiceRequest
        SupplyRequest Task VisionPrescription"""
    ),
    ("Age", "comparator"): _COMPARATOR,
    ("AuditEvent", "action"): _words("C R U D E"),
    ("AuditEvent", "outcome"): _words("0 4 8 12"),
    ("AuditEventAgentNetwork", "type"): _words("1 2 3 4 5"),
    ("CapabilityStatement", "fhirVersion"): _FHIR_VERSION,
    ("CapabilityStatement", "format"): None,  # mime types, no list
    ("CapabilityStatementRestResource", "type"): _RESOURCE_CODES,
    ("CompartmentDefinitionResource", "code"): _RESOURCE_CODES,
    ("Composition", "confidentiality"): _words("U L M N R V"),
    ("Count", "comparator"): _COMPARATOR,
    ("DataRequirement", "type"): _ALL_TYPES,
    ("DetectedIssue", "status"): _OBSERVATION_STATUS,
    ("DeviceUdiCarrier", "entryType"): _words("barcode rfid manual card self-reported unknown"),
    ("DeviceUseStatement", "status"): _words("active completed entered-in-error intended stopped on-hold"),
    ("DiagnosticReport", "status"): _OBSERVATION_STATUS | {"partial", "appended"},
    ("Distance", "comparator"): _COMPARATOR,
    ("Duration", "comparator"): _COMPARATOR,
    ("Encounter", "status"): _ENCOUNTER_STATUS,
    ("EncounterStatusHistory", "status"): _ENCOUNTER_STATUS,
    ("ExampleScenarioInstance", "resourceType"): _RESOURCE_CODES,
    ("Expression", "language"): None,  # extensible in R4
    ("GraphDefinition", "start"): _RESOURCE_CODES,
    ("GraphDefinitionLinkTarget", "type"): _RESOURCE_CODES,
    ("ImplementationGuide", "fhirVersion"): _FHIR_VERSION,
    ("ImplementationGuideDefinitionResource", "fhirVersion"): _FHIR_VERSION,
    ("ImplementationGuideGlobal", "type"): _RESOURCE_CODES,
    ("MessageDefinitionFocus", "code"): _RESOURCE_CODES,
    ("Observation", "status"): _OBSERVATION_STATUS,
    ("OperationDefinition", "resource"): _RESOURCE_CODES,
    ("OperationDefinitionParameter", "type"): _ALL_TYPES,
    ("OperationOutcomeIssue", "code"): _words(
        """invalid structure required value invariant security login unknown expired forbidden suppressed
        processing not-supported duplicate multiple-matches not-found deleted too-long code-invalid
        extension too-costly business-rule conflict transient lock-error no-store exception timeout
        incomplete throttled informational"""
    ),
    ("ParameterDefinition", "type"): _ALL_TYPES,
    ("Quantity", "comparator"): _COMPARATOR,
    ("Questionnaire", "subjectType"): _RESOURCE_CODES,
    ("QuestionnaireItem", "type"): _words(
        """group display boolean decimal integer date dateTime time string text url choice open-choice
        attachment reference quantity"""
    ),
    ("RiskAssessment", "status"): _OBSERVATION_STATUS,
    ("SearchParameter", "base"): _RESOURCE_CODES,
    ("SearchParameter", "target"): _RESOURCE_CODES,
    ("StructureDefinition", "fhirVersion"): _FHIR_VERSION,
    ("StructureMapGroupRuleTarget", "transform"): _words(
        "create copy truncate escape cast append translate reference dateOp uuid pointer evaluate cc c qty id cp"
    ),
    ("SupplyRequest", "status"): _words("draft active suspended cancelled completed entered-in-error unknown"),
    ("Task", "status"): _words(
        """draft requested received accepted rejected ready cancelled in-progress on-hold failed completed
        entered-in-error"""
    ),
    ("TestScriptSetupActionAssert", "resource"): _DEFINED_TYPES,
    ("TestScriptSetupActionOperation", "resource"): _DEFINED_TYPES,
    ("TimingRepeat", "when"): _words(
        """MORN MORN.early MORN.late NOON AFT AFT.early AFT.late EVE EVE.early EVE.late NIGHT PHS HS WAKE C CM
        CD CV AC ACM ACD ACV PC PCM PCD PCV"""
    ),
}

# (model class, JSON name) of a code whose required ValueSet is another standard without a list in R4 -> its syntax.
SYNTAX: Final[Mapping[tuple[str, str], primitives.Check]] = {
    ("Attachment", "contentType"): primitives.MIME_TYPE,
    ("Binary", "contentType"): primitives.MIME_TYPE,
    ("Endpoint", "payloadMimeType"): primitives.MIME_TYPE,
    ("Money", "currency"): primitives.CURRENCY,
    ("Signature", "sigFormat"): primitives.MIME_TYPE,
    ("Signature", "targetFormat"): primitives.MIME_TYPE,
    ("SubscriptionChannel", "payload"): primitives.MIME_TYPE,
}


def _concepts(system: str, codes: str) -> frozenset[tuple[object, object]]:
    return frozenset((f"http://terminology.hl7.org/CodeSystem/{system}", code) for code in codes.split())


# (model class, JSON name) of a CodeableConcept with a required binding -> its (system, code) pairs.
CONCEPTS: Final[Mapping[tuple[str, str], frozenset[tuple[object, object]]]] = {
    ("AdverseEvent", "outcome"): _concepts(
        "adverse-event-outcome", "resolved recovering ongoing resolvedWithSequelae fatal unknown"
    ),
    ("AdverseEvent", "severity"): _concepts("adverse-event-severity", "mild moderate severe"),
    ("AllergyIntolerance", "clinicalStatus"): _concepts("allergyintolerance-clinical", "active inactive resolved"),
    ("AllergyIntolerance", "verificationStatus"): _concepts(
        "allergyintolerance-verification", "unconfirmed confirmed refuted entered-in-error"
    ),
    ("Condition", "clinicalStatus"): _concepts(
        "condition-clinical", "active recurrence relapse inactive remission resolved"
    ),
    ("Condition", "verificationStatus"): _concepts(
        "condition-ver-status", "unconfirmed provisional differential confirmed refuted entered-in-error"
    ),
    ("InsurancePlanPlanSpecificCostBenefitCost", "applicability"): _concepts(
        "applicability", "in-network out-of-network other"
    ),
    ("Measure", "improvementNotation"): _concepts("measure-improvement-notation", "increase decrease"),
    ("MeasureReport", "improvementNotation"): _concepts("measure-improvement-notation", "increase decrease"),
    ("SupplyDelivery", "type"): _concepts("supply-item-type", "medication device"),
}


@dataclass(frozen=True, slots=True)
class Element:
    """One JSON name of a type: https://hl7.org/fhir/R4/elementdefinition.html cut down to what the base check needs."""

    name: str
    label: str
    """The name in a FHIRPath: the stem of a choice, else the name."""
    type: str
    """R4 type, `Resource`, or the model class of a backbone element (`EncounterParticipant`)."""
    many: bool
    required: bool
    check: primitives.Check | None
    """The primitive's check; None for complex types."""
    codes: frozenset[object] | None
    """The whole required ValueSet of a code."""
    concepts: frozenset[tuple[object, object]] | None
    """The (system, code) pairs of a CodeableConcept's required ValueSet."""
    targets: frozenset[str]
    """Resource types that a Reference may point to; empty for any."""
    tolerated: frozenset[str] = frozenset()
    """Resource types beside them that are worth a warning only."""
    simple: bool = False
    """Whether a Quantity is a SimpleQuantity, without a comparator."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A choice element value[x]: https://hl7.org/fhir/R4/formats.html#choice."""

    label: str
    names: frozenset[str]
    """JSON names of its members, those with an underscore among them."""
    required: bool


@dataclass(frozen=True, slots=True)
class Definition:
    """What an object of one type may and must hold."""

    name: str
    elements: Mapping[str, Element]
    siblings: Mapping[str, Element]
    """`_birthDate` -> the element `birthDate`: https://hl7.org/fhir/R4/json.html#primitive."""
    required: tuple[tuple[str, str], ...]
    """(name, its sibling's name) of each element with min 1; a choice stands in `choices`."""
    choices: tuple[Choice, ...]
    invariants: tuple[Invariant, ...]
    resource: bool
    """Whether the type is a resource, whose name stands in resourceType."""
    element: bool
    """Whether its id is the id of an element, unique in the resource; R4 itself repeats those of ElementDefinition."""


_PRIMITIVE_CLASSES: Final = {"UuidVersion": "uuid", "bool": "boolean"}
_R4_NAMES: Final = {name.lower(): name for name in primitives.CHECKS}


@cache
def definition(name: str) -> Definition:
    """The table of one type, by the name that fhir.resources gives its class (`Encounter`, `EncounterParticipant`)."""
    elements: dict[str, Element] = {}
    members: dict[str, list[str]] = {}
    needed: set[str] = set()
    removed = REMOVED.get(name, frozenset())
    for key, field in get_fhir_model_class(name).model_fields.items():
        alias = field.alias or key
        extra = typing.cast(dict[str, Any], field.json_schema_extra or {})
        if extra.get("element_property") and alias not in removed:
            stem = extra.get("one_of_many")
            element = _element(name, alias, field.annotation, field.metadata, extra, field.is_required())
            elements[alias] = element
            if stem is not None:
                members.setdefault(stem, []).append(alias)
                needed.update([stem] if extra.get("one_of_many_required") else ())
    for alias, stem, type_name in ADDED.get(name, ()):
        elements[alias] = Element(alias, stem, type_name, False, False, None, None, None, frozenset())
        members[stem].append(alias)
    return Definition(
        name=name,
        elements=elements,
        siblings={f"_{alias}": element for alias, element in elements.items() if _extensible(name, element)},
        required=tuple((alias, f"_{alias}") for alias, element in elements.items() if element.required),
        choices=tuple(
            Choice(stem, frozenset(names) | {f"_{alias}" for alias in names}, stem in needed)
            for stem, names in members.items()
        ),
        invariants=invariants.TABLE.get(name, ()),
        resource=name in RESOURCE_TYPES,
        element=name not in RESOURCE_TYPES and name != "ElementDefinition",
    )


# Primitives that are bare values in R4 and have no extensions, like every `id`.
_BARE: Final = frozenset({("Extension", "url"), ("Narrative", "div")})


def _extensible(owner: str, element: Element) -> bool:
    return element.check is not None and element.name != "id" and (owner, element.name) not in _BARE


def _element(
    owner: str, alias: str, annotation: object, metadata: list[Any], extra: Mapping[str, Any], must: bool
) -> Element:
    many, type_name = _type(annotation, metadata)
    key = (owner, alias)
    codes = extra.get("enum_values")
    targets = TARGETS.get(key, frozenset[str](extra.get("enum_reference_types", ())))
    return Element(
        name=alias,
        label=extra.get("one_of_many", alias),
        type=type_name,
        many=many,
        required=must or bool(extra.get("element_required")) or key in REQUIRED,
        check=_check(owner, alias, type_name),
        codes=CODES.get(key, frozenset[object](codes) if codes else None),
        concepts=CONCEPTS.get(key),
        targets=frozenset() if "Resource" in targets else targets,
        tolerated=TOLERATED.get(key, frozenset()),
        simple=key in invariants_types.SIMPLE,
    )


def _check(owner: str, alias: str, type_name: str) -> primitives.Check | None:
    if alias == "id" and owner not in RESOURCE_TYPES:
        return primitives.ELEMENT_ID
    return SYNTAX.get((owner, alias)) or primitives.CHECKS.get(type_name)


def _type(annotation: object, metadata: list[Any]) -> tuple[bool, str]:
    """Whether a model field is a list, and its R4 type (`Optional[List[Annotated[str, Code()]]]` -> True, `code`)."""
    origin = typing.get_origin(annotation)
    inner = typing.get_args(annotation)
    if origin is typing.Annotated:
        return False, _primitive(type(inner[-1]).__name__)
    if origin is list:
        return True, _type(inner[0], metadata)[1]
    if origin in (typing.Union, types.UnionType):
        return _type(next(item for item in inner if item is not types.NoneType), metadata)
    name = getattr(annotation, "__name__", "")
    if hasattr(annotation, "get_model_klass"):
        return False, name.removesuffix("Type")
    return False, _primitive(type(metadata[-1]).__name__ if metadata else name)


def _primitive(name: str) -> str:
    return _R4_NAMES[_PRIMITIVE_CLASSES.get(name, name).lower()]
