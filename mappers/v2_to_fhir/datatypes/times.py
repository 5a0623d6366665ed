"""Dates and times: DT, DTM, TS, TM, DR. HL7 v2.5 chapter 2.A; FHIR R4 date, dateTime, time.

Precision is kept: `202601` is 2026-01. Only where FHIR has no such precision, missing minutes and seconds are 00. A
month or day `00` is not known (German insurance data write 19500000 for a year of birth) and is left out. A time
without an offset is the scope's time zone's; of an hour that comes twice in autumn it is the first (summer time); an
hour that there is not in spring is Unusable, as are years before 1900 and after 2199: they are fillers (00000000,
11111111, 99991231).
"""

from __future__ import annotations

import contextlib
import datetime
import re
from dataclasses import dataclass, replace
from typing import Any, Final

from mappers.v2_to_fhir.datatypes import texts
from mappers.v2_to_fhir.reading import Unusable, Value
from mappers.v2_to_fhir.scope import Json, Scope
from profiles import primitives

_FIRST_YEAR: Final = 1900
_LAST_YEAR: Final = 2199
_DTM = re.compile(
    r"([0-9]{4})(?:([0-9]{2})(?:([0-9]{2})(?:([0-9]{2})(?:([0-9]{2})(?:([0-9]{2})(\.[0-9]{1,9})?)?)?)?)?)?([+-][0-9]{4})?"
)
_TM = re.compile(r"([0-9]{2})(?:([0-9]{2})(?:([0-9]{2})(\.[0-9]{1,9})?)?)?")
_OFFSET = re.compile(r"[+-](?:0[0-9]|1[0-3])[0-5][0-9]|[+-]1400")

#: TS.2 and how many of year, month, day, hour, minute, second it leaves (HL7 v2.5 table 0529).
_DEGREES: Final = {"Y": 1, "L": 2, "D": 3, "H": 4, "M": 5, "S": 6}

BIRTH_TIME: Final = "http://hl7.org/fhir/StructureDefinition/patient-birthTime"


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time as far as it was said: two digits each, None for what was not."""

    year: str
    month: str | None = None
    day: str | None = None
    hour: str | None = None
    minute: str | None = None
    second: str | None = None
    fraction: str = ""
    offset: str | None = None

    @property
    def date(self) -> str:
        """A FHIR date, the day as it was written."""
        return "-".join(part for part in (self.year, self.month, self.day) if part)

    @property
    def clock(self) -> str:
        """A FHIR time."""
        return f"{self.hour}:{self.minute or '00'}:{self.second or '00'}{self.fraction}"

    def date_time(self, scope: Scope) -> str:
        """A FHIR dateTime. Unusable for an hour that the time zone does not have."""
        return self.date if self.hour is None else f"{self.date}T{self.clock}{self._zone(scope)}"

    def _zone(self, scope: Scope) -> str:
        if self.offset is not None:
            return f"{self.offset[:3]}:{self.offset[3:]}"
        naive = datetime.datetime.fromisoformat(f"{self.date}T{self.hour}:{self.minute or '00'}:{self.second or '00'}")
        local = naive.replace(tzinfo=scope.timezone)
        back = local.astimezone(datetime.UTC).astimezone(scope.timezone)
        offset = local.utcoffset()
        if back.replace(tzinfo=None) != naive or offset is None:
            raise Unusable("there is no such hour in this time zone: the clock was put forward")
        if offset % datetime.timedelta(minutes=1):
            raise Unusable("the time zone had an offset of odd seconds then, which FHIR cannot say")
        return local.isoformat()[19:25]


def moment(raw: str, degree: str = "") -> Moment:
    """The point in time that a DTM (with TS.2 as `degree`) says. Unusable when it says none."""
    found = _DTM.fullmatch(raw)
    if found is None:
        raise Unusable("it is no time as HL7 writes it (YYYYMMDDHHMMSS)")
    said = Moment(found[1], found[2], found[3], found[4], found[5], found[6], found[7] or "", found[8])
    said = _cut(said, _DEGREES.get(degree, 6))
    if not _FIRST_YEAR <= int(said.year) <= _LAST_YEAR:
        raise Unusable(f"the year is not between {_FIRST_YEAR} and {_LAST_YEAR}")
    if said.month == "00" or said.day == "00":
        if any(part and part.strip("0") for part in (said.hour, said.minute, said.second)) or (
            said.month == "00" and (said.day or "00") != "00"
        ):
            raise Unusable("a part of it is 00, but not all that follows")
        said = Moment(said.year, None if said.month == "00" else said.month)
    _in_calendar(said)
    return said


def _cut(said: Moment, parts: int) -> Moment:
    later: dict[str, Any] = dict.fromkeys(("month", "day", "hour", "minute", "second")[parts - 1 :])
    return replace(said, **later, fraction=said.fraction if parts == 6 else "")


def _in_calendar(said: Moment) -> None:
    try:
        datetime.date(int(said.year), int(said.month or 1), int(said.day or 1))
        datetime.time(int(said.hour or 0), int(said.minute or 0), int(said.second or 0))
    except ValueError:
        raise Unusable("there is no such day or time of day") from None
    if said.offset is not None and _OFFSET.fullmatch(said.offset) is None:
        raise Unusable("there is no such offset from UTC")


def _is_said(value: Value) -> bool:
    return bool(value[1].raw.strip()) and not value[1].is_null


def _seen(value: Value) -> Moment:
    """The moment of a DTM or TS. It is not taken yet."""
    return moment(value[1].raw.strip(), value[2].raw)


def _taken(value: Value) -> None:
    texts.words(value[1])
    if value[2].raw in _DEGREES:
        texts.words(value[2])


def _read(value: Value) -> Moment:
    said = _seen(value)
    _taken(value)
    return said


def validity(start: Value, end: Value, scope: Scope) -> Json | None:
    """The Period inside an identifier, a name or an address. What cannot be used of it is left unread."""
    found: dict[str, str] = {}
    for name, value in (("start", start), ("end", end)):
        with contextlib.suppress(Unusable):
            found[name] = _seen(value).date_time(scope)
    if not found or not primitives.in_order(found.get("start"), found.get("end")):
        return None
    for name, value in (("start", start), ("end", end)):
        if name in found:
            _taken(value)
    return found


# ---- conversions


def date(value: Value, _scope: Scope) -> str | None:
    """A date; of a DTM its day as it was written."""
    return _read(value).date if _is_said(value) else None


def date_time(value: Value, scope: Scope) -> str | None:
    """A dateTime, which may be a date."""
    return _read(value).date_time(scope) if _is_said(value) else None


def instant(value: Value, scope: Scope) -> str | None:
    """An instant. Unusable without hour and minute."""
    if not _is_said(value):
        return None
    said = _read(value)
    if said.minute is None:
        raise Unusable("an instant needs hour and minute")
    return said.date_time(scope)


def time(value: Value, _scope: Scope) -> str | None:
    """A time of day (TM). Unusable with an offset, which a FHIR time cannot have."""
    if not _is_said(value):
        return None
    found = _TM.fullmatch(texts.words(value[1]))
    if found is None:
        raise Unusable("it is no time of day as HL7 writes it (HHMMSS)")
    said = replace(Moment("2000"), hour=found[1], minute=found[2], second=found[3], fraction=found[4] or "")
    _in_calendar(said)
    return said.clock


def period(value: Value, scope: Scope) -> Json | None:
    """A Period (DR). Unusable when it ends before it starts."""
    found = {"start": date_time(value[1], scope), "end": date_time(value[2], scope)}
    if not primitives.in_order(found["start"], found["end"]):
        raise Unusable("it ends before it starts")
    return {name: at for name, at in found.items() if at} or None


def birth_time(value: Value, scope: Scope) -> Json | None:
    """The extension of Patient.birthDate with the time of birth; None without one.

    00:00:00 counts as none: senders fill a date up with zeros far more often than a child is born on the stroke.
    """
    if not _is_said(value):
        return None
    said = _seen(value)
    if said.hour is None or not said.clock.strip("0:."):
        return None
    return {"url": BIRTH_TIME, "valueDateTime": _read(value).date_time(scope)}
