"""What goes into the pipeline: one encounter with its patient facts, its record and its sources."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Literal

from pipeline.clinical import Clinical

Sex = Literal["female", "male", "other", "unknown"]
Setting = Literal["practice", "hospital"]
Insurance = Literal["GKV", "PKV"]
Contact = Literal["in_person", "phone", "video", "home"]


class Patient(Clinical):
    """Facts about the patient. A fact that the record does not hold is None: it is never guessed."""

    birth_date: dt.date | None = None
    sex: Sex | None = None
    pregnant: bool | None = None

    def age_on(self, day: dt.date) -> int | None:
        """Completed years on `day`; None when the birth date is not known."""
        if self.birth_date is None:
            return None
        had_birthday = (day.month, day.day) >= (self.birth_date.month, self.birth_date.day)
        return day.year - self.birth_date.year - (0 if had_birthday else 1)


class Encounter(Clinical):
    """The contact itself. `start` and `end` carry their time zone; `id` is the record system's own."""

    id: str
    start: dt.datetime | None = None
    end: dt.datetime | None = None
    setting: Setting = "practice"
    contact: Contact = "in_person"
    insurance: Insurance | None = None

    @property
    def minutes(self) -> int | None:
        """Whole minutes from start to end; None when one of the two is missing."""
        if self.start is None or self.end is None:
            return None
        return int((self.end - self.start).total_seconds() // 60)


class Medication(Clinical):
    """A drug in the record: `text` as the record names it, `dosage` in its words, `atc` when coded."""

    id: str
    text: str
    atc: str | None = None
    dosage: str | None = None


class Allergy(Clinical):
    """An allergy in the record that has not been refuted."""

    id: str
    text: str
    atc: str | None = None
    reaction: str | None = None


class Condition(Clinical):
    """A known diagnosis in the record; `code` is ICD-10-GM when coded."""

    id: str
    text: str
    code: str | None = None


class Observation(Clinical):
    """A measured value in the record; `unit` as the record gives it."""

    id: str
    name: str
    value: Decimal
    unit: str | None = None
    loinc: str | None = None
    at: dt.date | None = None


class Record(Clinical):
    """What the record system already holds about the patient."""

    medications: tuple[Medication, ...] = ()
    allergies: tuple[Allergy, ...] = ()
    conditions: tuple[Condition, ...] = ()
    observations: tuple[Observation, ...] = ()


class Source(Clinical):
    """One thing the encounter was documented with. `id` is its reference in the record system.

    `content` holds the bytes; `charset` is what the sender declared, None when it declared nothing.
    `missing` says in words why there is no content (no data, a URL that cannot be read).
    """

    id: str
    kind: Literal["transcript", "recording", "document"]
    content_type: str
    content: bytes | None = None
    charset: str | None = None
    missing: str | None = None


class Consultation(Clinical):
    """One encounter, ready for the stages."""

    patient: Patient = Patient()
    encounter: Encounter
    record: Record = Record()
    sources: tuple[Source, ...] = ()

    @property
    def day(self) -> dt.date | None:
        """The encounter's calendar day in its own time zone; it chooses catalogue years and billing quarters."""
        return self.encounter.start.date() if self.encounter.start else None
