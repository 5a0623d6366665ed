"""The resource types of this server, one a line. Their search parameters stand in `search/parameters.csv`."""

from __future__ import annotations

from typing import Final

SUPPORTED: Final = frozenset(
    {
        "Account",
        "AllergyIntolerance",
        "Appointment",
        "AuditEvent",
        "Binary",
        "Bundle",
        "CarePlan",
        "CareTeam",
        "ChargeItem",
        "Claim",
        "ClaimResponse",
        "Communication",
        "Composition",
        "Condition",
        "Consent",
        "Coverage",
        "DetectedIssue",
        "Device",
        "DiagnosticReport",
        "DocumentReference",
        "Encounter",
        "Endpoint",
        "EpisodeOfCare",
        "FamilyMemberHistory",
        "Flag",
        "Goal",
        "Group",
        "HealthcareService",
        "Immunization",
        "List",
        "Location",
        "Media",
        "Medication",
        "MedicationAdministration",
        "MedicationDispense",
        "MedicationRequest",
        "MedicationStatement",
        "MessageHeader",
        "Observation",
        "OperationOutcome",
        "Organization",
        "Patient",
        "Practitioner",
        "PractitionerRole",
        "Procedure",
        "Provenance",
        "Questionnaire",
        "QuestionnaireResponse",
        "RelatedPerson",
        "RiskAssessment",
        "ServiceRequest",
        "Specimen",
        "Subscription",
        "Task",
    }
)

#: Types that only the gateway writes: what happened cannot be told otherwise afterwards.
READ_ONLY: Final = frozenset({"AuditEvent"})
