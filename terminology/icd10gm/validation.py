"""Whether a code may stand: in the year, in the setting, for the sex and the age. Reasons are German sentences.

Source: BfArM, ICD-10-GM, Metadaten TXT (CSV), fields 2, 13, 14 and 20 to 27; ICD-10-GM knows at most two places after
the point. A Muss-Fehler refuses a code, a Kann-Fehler is told beside it.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass

from terminology.icd10gm import edition

#: The sex of a documented patient (`pipeline.consultation.Sex`) as the metadata write it; any other says nothing.
SEXES: Mapping[str, edition.Sex] = {"female": "W", "male": "M"}

_FORM = re.compile(r"[A-Z]\d\d(?:\.\d{1,2})?")
_MANY = 8  # subdivisions that a reason names at most


@dataclass(frozen=True, slots=True)
class Lived:
    """A patient's age: completed years and completed days of life; `days` None: not known."""

    years: int
    days: int | None

    @classmethod
    def on(cls, day: dt.date, born: dt.date) -> Lived:
        """The age on a day."""
        had_birthday = (day.month, day.day) >= (born.month, born.day)
        return cls(day.year - born.year - (0 if had_birthday else 1), (day - born).days)

    def count(self, unit: str) -> int | None:
        """The age in a limit's unit; None where it is not known."""
        return self.days if unit == "days" else self.years


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a code is refused, or None, and what has to be told beside one that stands.

    `is_judged`: False where the edition holds a choice of codes, and this one, which may well exist, is not among them.
    """

    fault: str | None = None
    warnings: tuple[str, ...] = ()
    is_judged: bool = True


def validate(
    held: edition.Edition,
    name: str,
    *,
    is_practice: bool,
    sex: edition.Sex = "",
    lived: Lived | None = None,
    has_primary: bool = True,
) -> Verdict:
    """The verdict on one code. `sex` empty and `lived` None: not known. `has_primary`: beside a primary code."""
    code = held.codes.get(name)
    if code is None:
        return _missing(held, name)
    fault = _place(held, code, is_practice=is_practice, has_primary=has_primary)
    if fault is not None:
        return Verdict(fault)
    warnings: list[str] = []
    for error, told in ((code.sex_error, _sex(code, sex)), (code.age_error, _age(code, lived))):
        if told is not None and error == "M":
            return Verdict(told)
        if told is not None:
            warnings.append(told)
    if code.is_rare:
        warnings.append("In Mitteleuropa sehr seltene Krankheit; bitte prüfen.")
    if not code.is_used:
        warnings.append("Der Kode ist in diesem Jahr nicht mit Inhalt belegt.")
    if code.is_notifiable:
        warnings.append("Arztmeldepflicht nach dem Infektionsschutzgesetz prüfen.")
    return Verdict(None, tuple(warnings))


def _missing(held: edition.Edition, name: str) -> Verdict:
    """The verdict on a name that the edition does not hold."""
    if not _FORM.fullmatch(name):
        return Verdict(f"{name} hat keine Form der ICD-10-GM (höchstens zwei Stellen nach dem Punkt).")
    below = _below(held, name)
    if below:
        return Verdict(f"{name} ist {held.year} unterteilt; kodiert wird endständig: {below}.")
    return Verdict(f"Der Katalog {held.year} führt {name} nicht.", is_judged=held.is_complete)


def _place(held: edition.Edition, code: edition.Code, *, is_practice: bool, has_primary: bool) -> str | None:
    if not code.is_terminal:
        return f"{code.code} ist {held.year} unterteilt; kodiert wird endständig: {_below(held, code.code)}."
    use = code.practice if is_practice else code.hospital
    if use == "V":
        return f"{code.code} ist nach § {'295' if is_practice else '301'} SGB V nicht zur Verschlüsselung zugelassen."
    if use != "P" and not has_primary:
        return "Stern- und Ausrufezeichenkodes brauchen einen Primärkode."
    return None


def _below(held: edition.Edition, name: str) -> str:
    found = [code.code for code in held.codes.values() if code.is_terminal and code.code.startswith(name)]
    return f"{', '.join(found[:_MANY])}{' …' if len(found) > _MANY else ''}"


def _sex(code: edition.Code, sex: edition.Sex) -> str | None:
    return "Der Kode gilt für das andere Geschlecht." if code.sex and sex and code.sex != sex else None


def _age(code: edition.Code, lived: Lived | None) -> str | None:
    if lived is None:
        return None
    least, most = code.age_from, code.age_to
    since = lived.count(least.unit) if least is not None else None
    until = lived.count(most.unit) if most is not None else None
    is_too_young = least is not None and since is not None and since < least.count
    is_too_old = most is not None and until is not None and until >= most.count
    return "Der Kode gilt nicht für dieses Alter." if is_too_young or is_too_old else None
