"""hl7apy, which knows the structures of 2.5, has no objection to what we send."""

from __future__ import annotations

import pytest

from mappers import conformance
from mappers.fhir_to_v2 import bar, dft, mdm, oru
from mappers.results_to_fhir import released
from tests.unit.mappers.fhir_to_v2 import helpers
from tests.unit.mappers.fhir_to_v2.helpers import AT, ROUTE, SIGNER


@pytest.mark.parametrize("received", [helpers.ADMISSION, None])
@pytest.mark.parametrize("case", ["erysipelas", "delirium-home-visit", "sinusitis"])
def test_every_message_fits_its_structure(case: str, received: str | None) -> None:
    visit = helpers.visit(received)
    note, summary = helpers.made(case, "Composition")
    conditions, issues = helpers.made(case, "Condition"), helpers.made(case, "DetectedIssue")
    final = released.composition(note, SIGNER, "2026-06-10T08:00:00Z")
    messages = [
        mdm.message(ROUTE, visit, note, event="T02", control_id="1", at=AT),
        mdm.message(ROUTE, visit, final, event="T08", control_id="2", at=AT),
        mdm.message(ROUTE, visit, summary, event="T10", control_id="3", at=AT, parent="old"),
        mdm.message(ROUTE, visit, note, event="T11", control_id="4", at=AT),
        bar.message(ROUTE, visit, conditions, withdrawn=conditions[:1], control_id="5", at=AT),
        dft.message(ROUTE, visit, helpers.made(case, "Claim")[0], conditions, control_id="6", at=AT),
        *([oru.message(ROUTE, visit, issues, control_id="7", at=AT)] if issues else []),
    ]
    said = {f"{message.structure}: {warning}" for message in messages for warning in conformance.warnings(message)}
    # Table 0359 says "2 and higher", of which hl7apy makes a code.
    assert {warning for warning in said if "DG1-15: a code" not in warning} == set()
