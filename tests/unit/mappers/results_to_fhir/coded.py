"""An invented coding of one encounter, and the resources that the mappers make of it."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from mappers.results_to_fhir import bundle, links
from pipeline import results, segments
from terminology.icd10gm import catalogue

Json = dict[str, Any]

YEAR = 2026
EVIDENCE = (results.Evidence(segment=1, start=0, end=7),)
TRANSCRIPT = segments.Transcript(
    segments=(
        segments.Segment(number=1, source="DocumentReference/d1", speaker="doctor", text="Befunde.", start=6, end=14),
    )
)


def links_of(recorded: str = "2026-06-10T07:30:00.123456Z", *, hospital: bool = False) -> links.Links:
    """The surroundings of the invented encounter. `recorded` is a FHIR instant."""
    return links.Links(
        run="r1", encounter="Encounter/e1", patient="Patient/p1", recorded=recorded, sources=("DocumentReference/d1",),
        sources_key="k", device="Device/g1", transcript=TRANSCRIPT, provider="Practitioner/a1", hospital=hospital,
    )  # fmt: skip


def diagnosis(code: str, rank: int = 1, **more: Any) -> results.CodedDiagnosis:
    """A diagnosis with the catalogue's title; certain, without side, unless `more` says otherwise."""
    known = catalogue.code(code, YEAR)
    assert known is not None
    given: dict[str, Any] = {
        "code": code, "title": known.title, "year": YEAR, "certainty": "G", "rank": rank, "statement": "a-1",
        "reason": "„Befunde“ in der Beurteilung.", "evidence": EVIDENCE,
    }  # fmt: skip
    return results.CodedDiagnosis(**{**given, **more})


#: Every form that a diagnosis has in a practice, by rank; the secondary codes behind the codes that they stand with.
PRACTICE = (
    diagnosis("M51.1", 1, side="L", mark="†", since="2026-05"),
    diagnosis("G55.1", 2, side="L", mark="*", partner="M51.1"),
    diagnosis("N39.0", 3, since="2026-06-08", remark="Nicht dokumentiert: Lokalisation."),
    diagnosis("B96.2", 4, mark="!", partner="N39.0"),
    diagnosis("I48.2", 5, since="2019", runner_up="I48.1"),
    diagnosis("M17.1", 6, side="B", remark="Nicht dokumentiert: Ursache.", runner_up="M17.9"),
    diagnosis("J18.9", 7, certainty="V"),
    diagnosis("I21.9", 8, certainty="Z", since="2015"),
    diagnosis("I80.28", 9, certainty="A", side="R", since="2026-06-01"),
)
#: The same encounter in a hospital: what is over or was excluded is not coded, and nothing carries a certainty.
HOSPITAL = tuple(
    one.model_copy(update={"certainty": None}) for one in PRACTICE if one.certainty in ("G", "V") or one.since == "2015"
)


def made(diagnoses: tuple[results.CodedDiagnosis, ...], *, hospital: bool = False) -> list[Json]:
    """All resources of a run with these diagnoses and one fee."""
    fee = results.BillingItem(
        schedule="EBM", code="03000", title="Versichertenpauschale", quantity=1, points=None, factor=None,
        unit_price=Decimal("15.00"), amount=Decimal("15.00"), justification="Kontakt.", verified=True,
        evidence=EVIDENCE,
    )  # fmt: skip
    statement = results.Statement(id="a-1", section="A", text="Befunde.", polarity="affirmed", evidence=EVIDENCE)
    return bundle.build(
        links_of(hospital=hospital),
        note=results.Note(statements=(statement,)),
        summary=None,
        coding=results.Coding(diagnoses=diagnoses),
        check=results.SafetyCheck(status="none", drugs=(), warnings=(), covered="Kein Medikament."),
        billing=results.Billing(schedule="EBM", assumed=False, day=dt.date(2026, 6, 10), items=(fee,)),
    )


def conditions(diagnoses: tuple[results.CodedDiagnosis, ...], *, hospital: bool = False) -> list[Json]:
    """The Conditions among them, in their order."""
    return of_type(made(diagnoses, hospital=hospital), "Condition")


def of_type(resources: list[Json], resource_type: str) -> list[Json]:
    """The resources of one type, in their order."""
    return [resource for resource in resources if resource["resourceType"] == resource_type]


def code(condition: Json) -> str:
    """The ICD code of a Condition."""
    return str(condition["code"]["coding"][0]["code"])
