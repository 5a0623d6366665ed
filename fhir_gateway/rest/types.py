"""The resource types this server knows, and what a client may do with each."""

from __future__ import annotations

from typing import Final

#: Types that a record system sends.
RECEIVED: Final = frozenset(
    {
        "AllergyIntolerance",
        "Condition",
        "Coverage",
        "DocumentReference",
        "Encounter",
        "Media",
        "Medication",
        "MedicationRequest",
        "MedicationStatement",
        "Observation",
        "Organization",
        "Patient",
        "Practitioner",
        "PractitionerRole",
    }
)

#: Types that only the gateway writes.
PRODUCED: Final = frozenset({"AuditEvent", "Claim", "Composition", "DetectedIssue", "Device", "Provenance", "Task"})

SUPPORTED: Final = RECEIVED | PRODUCED
