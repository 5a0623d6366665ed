"""The FHIR R4 endpoint: one visible route table, one short function an interaction."""
