"""From the pipeline's results to FHIR R4 resources, shaped as DESIGN.md section 5 says."""
