"""From words to a documented encounter: stages, engines, grounding and evaluation. Knows no FHIR and no HTTP server."""
