"""When an appointment is: TQ (SCH-11), or a start with its duration beside it (AIS, AIG, AIL, AIP).

HL7 v2.5 chapter 2A.81 (TQ.3: S, M, H, D or W and a number), 10.6; FHIR R4 Appointment, whose start and end stand
together (app-2) and are instants. A duration whose unit nobody names is in minutes, as scheduling systems count.
"""

from __future__ import annotations

import datetime
import re
from fractions import Fraction
from typing import Final

from mappers.v2_to_fhir.datatypes import numbers, texts, times
from mappers.v2_to_fhir.reading import Unusable, Value
from mappers.v2_to_fhir.scope import Json, Scope
from profiles import primitives

_TQ_DURATION = re.compile(r"([SMHDW]?)([0-9]{1,6})")

#: Minutes of a unit: the letters of TQ.3, ISO+ and UCUM codes, and what senders write.
_MINUTES: Final = {
    **dict.fromkeys(("S", "SEC", "SECOND", "SECONDS", "SEK"), Fraction(1, 60)),
    **dict.fromkeys(("", "M", "MIN", "MINUTE", "MINUTES", "MINUTEN"), Fraction(1)),
    **dict.fromkeys(("H", "HR", "HOUR", "HOURS", "STD", "STUNDE", "STUNDEN"), Fraction(60)),
    **dict.fromkeys(("D", "DAY", "DAYS", "TAG", "TAGE"), Fraction(24 * 60)),
    **dict.fromkeys(("W", "WK", "WEEK", "WEEKS"), Fraction(7 * 24 * 60)),
}


def slot(value: Value, scope: Scope) -> Json | None:
    """`start`, `end` and `minutesDuration` of an Appointment; the duration is in the fields `duration` and `unit`.

    `datatype: TQ` where start and end are TQ.4 and TQ.5. None with a start alone, which R4 does not hold;
    `datatype: Period` makes a Period, which may be open. Unusable when it ends before it starts.
    """
    kind = scope.options.get("datatype")
    start = times.instant(value[4][1] if kind == "TQ" else value, scope)
    if start is None:
        return None
    end = times.instant(value[5][1], scope) if kind == "TQ" else None
    minutes = _beside(value, scope) or (_of_tq(value[3]) if kind == "TQ" else None)
    if end is None and minutes:
        after = datetime.datetime.fromisoformat(start) + datetime.timedelta(seconds=float(minutes * 60))
        end = after.isoformat()
    if not primitives.in_order(start, end):
        raise Unusable("it ends before it starts")
    if kind == "Period":
        return {"start": start, "end": end} if end else {"start": start}
    if end is None:
        return None
    found: Json = {"start": start, "end": end}
    if minutes and minutes.denominator == 1:
        found["minutesDuration"] = int(minutes)
    return found


def _of_tq(value: Value) -> Fraction | None:
    found = _TQ_DURATION.fullmatch(value[1].raw.strip().upper())
    if found is None or not int(found[2]):
        return None
    texts.token(value)
    return _MINUTES[found[1]] * int(found[2])


def _beside(value: Value, scope: Scope) -> Fraction | None:
    """The duration in its own field; None with a unit that is not known, and then it is left unread."""
    said = value.beside(int(scope.options["duration"]))
    if not said:
        return None
    unit = value.beside(int(scope.options["unit"]))
    name = unit[1].raw.strip().upper() or unit[2].raw.strip().upper()
    if name not in _MINUTES:
        return None
    texts.token(unit[1] or unit[2])
    number = numbers.number(texts.token(said[1]))
    return _MINUTES[name] * Fraction(number) if number > 0 else None
