"""The record system's own FHIR server: reading the context from it, writing the results to it."""
