"""Conditions against ISiKDiagnose 4.0.3 and MII Diagnose 2026, R4 itself, and two validators that nobody here wrote."""

from __future__ import annotations

import functools
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mappers.results_to_fhir import released
from pipeline import results
from profiles import base, package, validation
from tests import support
from tests.unit.mappers.fhir_to_v2 import helpers
from tests.unit.mappers.results_to_fhir import coded
from tests.unit.mappers.results_to_fhir.coded import HOSPITAL, PRACTICE, Json

PACKAGES = support.SHARED / "data" / "profiles"
PEERS = os.environ.get("FHIR_PEERS")
published = pytest.mark.skipif(not PACKAGES.is_dir(), reason="the published packages of ../shared are not here")

KEY_TABLES = "gematik.kbv.sfhir.cs.vs-1.8.0"
NEEDED = (
    "hl7.fhir.r4.core-4.0.1-subset",
    "de.basisprofil.r4-1.5.4",
    "de.gematik.isik-basismodul-4.0.3",
    "de.medizininformatikinitiative.kerndatensatz.base-2026.0.0",
    KEY_TABLES,
)
PROFILES = (
    "https://gematik.de/fhir/isik/StructureDefinition/ISiKDiagnose|4.0.3",
    "https://www.medizininformatik-initiative.de/fhir/core/modul-diagnose/StructureDefinition/Diagnose|2026.0.0",
)
SETTINGS = pytest.mark.parametrize(
    ("diagnoses", "hospital"), [(PRACTICE, False), (HOSPITAL, True)], ids=["practice", "hospital"]
)

#: What a certainty wants of the statuses (icd-4 to icd-7) holds with the release: a draft confirms and refutes nothing.
DRAFT_WARNINGS = {"A": "icd-4", "G": "icd-5", "Z": "icd-7"}


@functools.cache
def installed() -> validation.Profiles:
    return validation.Profiles([package.load(PACKAGES / name) for name in NEEDED])


def told(condition: Json, severity: str) -> list[str]:
    """What R4 and both profiles say against a Condition; that they do not know our evidence extension is left out."""
    found = [*base.faults(condition), *(fault for url in PROFILES for fault in installed().faults(condition, url))]
    return [
        f"{fault.expression}: {fault.text}"
        for fault in found
        if fault.severity == severity
        and not ((fault.severity, fault.code) == ("warning", "extension") and ".evidence[0].detail" in fault.expression)
    ]


def final(draft: Json) -> Json:
    after = released.result(draft)
    assert after is not None
    return after


@published
@pytest.mark.parametrize("is_final", [False, True], ids=["draft", "released"])
@SETTINGS
def test_both_profiles_take_every_form(
    diagnoses: tuple[results.CodedDiagnosis, ...], hospital: bool, is_final: bool
) -> None:
    drafts = coded.conditions(diagnoses, hospital=hospital)
    assert len(drafts) == len(diagnoses)
    for one, draft in zip(diagnoses, drafts, strict=True):
        condition = final(draft) if is_final else draft
        assert told(condition, "error") == []
        expected = DRAFT_WARNINGS.get(one.certainty or "") if not is_final else None
        warnings = told(condition, "warning")
        assert len(warnings) == (len(PROFILES) if expected else 0), (one.code, warnings)
        assert all(expected in warning for warning in warnings if expected)


@published
@pytest.mark.parametrize("case", ["diabetes-follow-up", "disc-herniation", "erysipelas", "heart-failure-ward"])
def test_both_profiles_take_what_the_coder_makes_of_a_consultation(case: str) -> None:
    drafts = helpers.made(case, "Condition")
    assert drafts
    for draft in drafts:
        assert told(draft, "error") == []
        assert told(final(draft), "error") == []
        assert told(final(draft), "warning") == []


@published
@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda c: c.pop("recordedDate"), "recordedDate"),
        (lambda c: c["code"]["coding"][0].pop("version"), "version"),
        (lambda c: c["extension"].append(c["extension"][0]), "extension"),
        (lambda c: c["extension"][0].update(valueReference={"reference": "Patient/p1"}), "extension"),
        (lambda c: c["code"]["coding"][0]["extension"][-1]["valueCoding"].update(code="+"), "extension"),
        (lambda c: c.update(abatementDateTime="2026"), "Condition"),
    ],
)
def test_the_profiles_refuse_what_is_not_so(change: Any, fault: str) -> None:
    star = json.loads(json.dumps(coded.conditions(PRACTICE)[1]))
    change(star)
    assert any(fault in error for error in told(star, "error"))


@published
def test_the_displays_are_those_of_the_key_tables() -> None:
    tables = [*PACKAGES.glob(f"{KEY_TABLES}/KBV_CS_SFHIR_ICD_*.json"),
              *PACKAGES.glob("de.basisprofil.r4-1.5.4/CodeSystem-icd-10-gm-mehrfach*.json")]  # fmt: skip
    names = {
        (table["url"], concept["code"]): concept["display"]
        for table in (json.loads(path.read_text("utf-8-sig")) for path in tables)
        for concept in table["concept"]
    }
    codings = [
        extension["valueCoding"]
        for one in coded.conditions(PRACTICE)
        for extension in one["code"]["coding"][0]["extension"]
    ]
    assert {coding["code"] for coding in codings} == set("GVAZLRB*†!")
    for coding in codings:
        assert names[(coding["system"], coding["code"])] == coding["display"]


@pytest.mark.skipif(PEERS is None, reason="needs the Node peers in FHIR_PEERS")
def test_two_foreign_validators_find_no_fault(tmp_path: Path) -> None:
    drafts = [*coded.conditions(PRACTICE), *coded.conditions(HOSPITAL, hospital=True)]
    entries = [{"resource": one} for draft in drafts for one in (draft, final(draft))]
    path = tmp_path / "conditions.json"
    path.write_bytes(support.encode({"resourceType": "Bundle", "type": "collection", "entry": entries}))
    checked = subprocess.run(
        ["node", "validate.mjs", str(path)], cwd=PEERS, capture_output=True, text=True, timeout=200, check=False
    )
    assert (checked.returncode, checked.stdout) == (0, ""), checked.stdout[:5000] + checked.stderr[:2000]
