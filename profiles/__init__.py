"""What a hospital's FHIR must look like: packages, packs and validation."""
