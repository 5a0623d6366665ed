"""The code systems, extensions and profiles whose addresses we write, each once."""

from __future__ import annotations

from typing import Final

LOINC: Final = "http://loinc.org"
ICD_10_GM: Final = "http://fhir.de/CodeSystem/bfarm/icd-10-gm"
ATC: Final = "http://fhir.de/CodeSystem/bfarm/atc"
EBM: Final = "https://fhir.kbv.de/NamingSystem/KBV_NS_Base_EBM"
GOAE: Final = "https://fhir.kbv.de/NamingSystem/KBV_NS_AW_GOAE"
UCUM: Final = "http://unitsofmeasure.org"
ACT_CODE: Final = "http://terminology.hl7.org/CodeSystem/v3-ActCode"

#: HL7 v3-ObservationValue AIAST: "artificial intelligence asserted".
AI_ASSERTED: Final = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "AIAST",
    "display": "Artificial Intelligence asserted",
}

DIAGNOSESICHERHEIT: Final = "http://fhir.de/StructureDefinition/icd-10-gm-diagnosesicherheit"
DIAGNOSESICHERHEIT_CODES: Final = "https://fhir.kbv.de/CodeSystem/KBV_CS_SFHIR_ICD_DIAGNOSESICHERHEIT"
SEITENLOKALISATION: Final = "http://fhir.de/StructureDefinition/seitenlokalisation"
SEITENLOKALISATION_CODES: Final = "https://fhir.kbv.de/CodeSystem/KBV_CS_SFHIR_ICD_SEITENLOKALISATION"
MEHRFACHCODIERUNG: Final = "http://fhir.de/StructureDefinition/icd-10-gm-mehrfachcodierungs-kennzeichen"
MEHRFACHCODIERUNG_CODES: Final = "http://fhir.de/CodeSystem/icd-10-gm-mehrfachcodierungs-kennzeichen"
CONDITION_RELATED: Final = "http://hl7.org/fhir/StructureDefinition/condition-related"

TARGET_ELEMENT: Final = "http://hl7.org/fhir/StructureDefinition/targetElement"
DATA_ABSENT: Final = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"

#: Our own. docs/fhir-output.md explains each.
BASE: Final = "https://fhir-gateway.org"
EVIDENCE: Final = f"{BASE}/StructureDefinition/evidence"
STAGE_CODES: Final = f"{BASE}/CodeSystem/stage"
TASK_CODES: Final = f"{BASE}/CodeSystem/task"
ISSUE_CODES: Final = f"{BASE}/CodeSystem/prescribing-issue"
RESULT_IDS: Final = f"{BASE}/NamingSystem/result"
RESULT_NAMESPACE: Final = "FHIR-GATEWAY"  # the same as the namespace of an HL7 v2 identifier
RUN_IDS: Final = f"{BASE}/NamingSystem/run"
SUPPORTING_INFO_CODES: Final = f"{BASE}/CodeSystem/claim-supporting-info"
OUTPUT_CODES: Final = f"{BASE}/CodeSystem/task-output"
CHECK_CODES: Final = f"{BASE}/CodeSystem/grounding-check"
HARM_CODES: Final = f"{BASE}/CodeSystem/harm"
DEVICE_VERSIONS: Final = f"{BASE}/CodeSystem/device-version"

DOCUMENT_ENCOUNTER: Final = "document-encounter"
