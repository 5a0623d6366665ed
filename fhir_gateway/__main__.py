"""`python -m fhir_gateway`."""

from __future__ import annotations

from fhir_gateway import cli

cli.main()
