"""Builders for the stages' tests: a note, a talk, a consultation, each from a few words."""

import datetime as dt
from collections.abc import Callable

import pytest
from hypothesis import settings

from pipeline import consultation, results, segments
from pipeline.stages import read_document

# The first example reads the tables, which takes longer than all that follow.
settings.register_profile("tables", deadline=None)
settings.load_profile("tables")

BERLIN = dt.timezone(dt.timedelta(hours=2))


def _note(*parts: tuple[str, ...]) -> results.Note:
    order = sorted(parts, key=lambda part: "SOAP".index(part[0]))
    return results.Note(
        statements=tuple(
            results.Statement.model_validate(
                {
                    "id": f"s{number}",
                    "section": part[0],
                    "text": part[1],
                    "polarity": part[2] if len(part) > 2 else "affirmed",
                    "evidence": (results.Evidence(segment=number, start=0, end=len(part[1])),),
                }
            )
            for number, part in enumerate(order, start=1)
        )
    )


def _talk(text: str) -> segments.Transcript:
    return read_document.run(_visit(text))


def _visit(
    text: str = "",
    *,
    year: int = 2026,
    born: int | None = 1958,
    sex: consultation.Sex | None = None,
    pregnant: bool | None = None,
    setting: consultation.Setting = "practice",
    contact: consultation.Contact = "in_person",
    insurance: consultation.Insurance | None = "GKV",
    record: consultation.Record | None = None,
) -> consultation.Consultation:
    source = consultation.Source(
        id="DocumentReference/1", kind="transcript", content_type="text/plain", content=text.encode()
    )
    return consultation.Consultation(
        patient=consultation.Patient(birth_date=dt.date(born, 3, 1) if born else None, sex=sex, pregnant=pregnant),
        encounter=consultation.Encounter(
            id="e1",
            start=dt.datetime(year, 5, 12, 9, 0, tzinfo=BERLIN),
            end=dt.datetime(year, 5, 12, 9, 20, tzinfo=BERLIN),
            setting=setting,
            contact=contact,
            insurance=insurance,
        ),
        record=record or consultation.Record(),
        sources=(source,),
    )


@pytest.fixture(scope="session")
def note() -> Callable[..., results.Note]:
    """A note from (section, text) or (section, text, polarity), each statement with a segment of its own."""
    return _note


@pytest.fixture(scope="session")
def talk() -> Callable[[str], segments.Transcript]:
    """The segments of a transcript."""
    return _talk


@pytest.fixture(scope="session")
def visit() -> Callable[..., consultation.Consultation]:
    """A consultation on 12 May at nine, with the text as its transcript."""
    return _visit
