"""`pipeline.clinical`: what holds patient data cannot be printed by accident."""

import datetime as dt
import logging
import traceback

import pydantic
import pytest

from pipeline import clinical, consultation, results, segments

SECRET = "Geheimnis4711"

EVIDENCE = results.Evidence(record=SECRET)
VALUES: list[clinical.Clinical] = [
    consultation.Patient(birth_date=dt.date(1958, 12, 3), sex="female"),
    consultation.Encounter(id=SECRET),
    consultation.Medication(id="1", text=SECRET),
    consultation.Consultation(encounter=consultation.Encounter(id=SECRET)),
    consultation.Source(id="1", kind="transcript", content_type="text/plain", content=SECRET.encode()),
    segments.Segment(number=1, source="1", speaker="patient", text=SECRET, start=0, end=5),
    segments.Transcript(segments=()),
    EVIDENCE,
    results.Statement(id="s1", section="S", text=SECRET, polarity="affirmed", evidence=(EVIDENCE,)),
    results.Rejected(stage="scribe", proposal=SECRET, reason=SECRET),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_no_text_form_shows_the_content(value: clinical.Clinical) -> None:
    forms = [
        repr(value),
        str(value),
        f"{value}",
        f"{value!r}",
        f"{value:>80}",
        f"{value}",
        "{} {!r}".format(value, value),  # noqa: UP032
        repr([value]),
    ]
    forms.append(str({"value": value}))
    for form in forms:
        assert SECRET not in form and "1958" not in form
        assert "content withheld" in form


def test_an_exception_that_carries_a_value_hides_it() -> None:
    try:
        raise ValueError(VALUES[8])
    except ValueError as error:
        assert SECRET not in "".join(traceback.format_exception(error))


def test_a_log_line_hides_it(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("probe").warning("value %s %r", VALUES[8], VALUES[5])
    assert SECRET not in caplog.text


def test_a_validation_error_hides_its_input() -> None:
    with pytest.raises(pydantic.ValidationError) as raised:
        consultation.Medication.model_validate({"id": "1", "text": [SECRET]})
    assert SECRET not in str(raised.value) and SECRET not in repr(raised.value)


def test_values_are_frozen_and_take_no_unknown_field() -> None:
    with pytest.raises(pydantic.ValidationError):
        VALUES[1].id = "other"  # type: ignore[attr-defined]
    with pytest.raises(pydantic.ValidationError):
        consultation.Patient.model_validate({"shoe_size": 43})


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_json_round_trip(value: clinical.Clinical) -> None:
    assert type(value).model_validate_json(value.model_dump_json()) == value


def test_a_refusal_shows_its_reason() -> None:
    refusal = clinical.StageRefused("Es gibt keinen Text.")
    assert refusal.reason == str(refusal) == "Es gibt keinen Text."
