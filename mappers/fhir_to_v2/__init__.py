"""Results as HL7 v2.5 messages for a hospital that takes no FHIR: MDM, BAR, DFT and ORU. One module a message."""
