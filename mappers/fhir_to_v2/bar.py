"""Conditions as BAR^P12: diagnoses for the record. HL7 v2.5 chapter 6; HL7 Deutschland, Segment DG1 and
Diagnosenübermittlung.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from mappers import er7, fhir_names
from mappers.fhir_to_v2 import datatypes, header, standing, writing
from mappers.fhir_to_v2.datatypes import Json

#: How record systems write the marks of ICD-10-GM in a code (CGM M1, Erläuterung ICD-Kennzeichnung); ISO 8859 has no †.
_MARKS: Final = {"†": "+", "*": "*", "!": "!"}

#: DG1-6, a diagnosis of the treatment; ED and AD are those of the referral and the admission (HL7 Deutschland, DG1).
_TREATMENT: Final = "BD"


def message(
    route: header.Route,
    visit: header.Visit,
    conditions: Sequence[Json],
    *,
    withdrawn: Sequence[Json] = (),
    known: Collection[str] = (),
    released_by: str | None = None,
    control_id: str,
    at: dt.datetime,
) -> er7.Message:
    """All diagnoses of an encounter in the order given, then those taken back; Empty where there are none.

    DG1-21 is D for a diagnosis that is taken back, U for one whose identifier is in `known` (the receiver has it
    already), else A. `released_by` is the reference of who released the diagnoses.
    """
    current = [condition for condition in conditions if standing.of(condition) != "withdrawn"]
    gone = [*(condition for condition in conditions if standing.of(condition) == "withdrawn"), *withdrawn]
    if not current and not gone:
        raise header.Empty
    ranks = _ranks(visit.encounter, [*current, *gone])

    def body(writer: writing.Writer) -> Iterator[er7.Segment]:
        yield from header.movement(writer, visit)
        for number, condition in enumerate((*current, *gone), start=1):
            is_released = standing.of(condition) == "released"
            yield writer.segment(
                "DG1",
                {
                    1: str(number),
                    3: code(condition, marked=True),
                    5: datatypes.time(condition.get("recordedDate"), route.zone),
                    6: _TREATMENT,
                    15: str(ranks[number - 1]),
                    16: visit.person(released_by) if released_by and is_released else None,
                    20: datatypes.entity(datatypes.own_id(condition)),
                    21: _action(condition, number > len(current), known),
                },
            )

    return header.compose(route, visit, ("BAR", "P12", "BAR_P12"), control_id, at, body)


def code(condition: Json, *, marked: bool = False) -> datatypes.Components:
    """DG1-3: the code with its mark, side and certainty, e.g. `N26 L V`; the title; `I10-` and the catalogue's year.

    `marked` writes at the title of a draft that it is one.
    """
    codings: list[Json] = condition["code"]["coding"]
    icd = next((coding for coding in codings if coding.get("system") == fhir_names.ICD_10_GM), {})
    extensions = {extension["url"]: extension["valueCoding"]["code"] for extension in icd.get("extension", [])}
    mark = _MARKS.get(extensions.get(fhir_names.MEHRFACHCODIERUNG, ""), "")
    parts = (
        f"{icd.get('code', '')}{mark}",
        extensions.get(fhir_names.SEITENLOKALISATION),
        extensions.get(fhir_names.DIAGNOSESICHERHEIT),
    )
    title = str(icd.get("display") or condition["code"].get("text") or "")
    year = f"I10-{icd['version']}" if icd.get("version") else None
    return (" ".join(part for part in parts if part), standing.marked(title, condition) if marked else title, year)


def _action(condition: Json, is_gone: bool, known: Collection[str]) -> str:
    if is_gone:
        return "D"
    return "U" if datatypes.own_id(condition) in known else "A"


def _ranks(encounter: Json, conditions: Sequence[Json]) -> list[int]:
    """DG1-15 of each: the rank that the Encounter gives it, else 2 and more in their order.

    1 says Hauptdiagnose. Which one that is decides the coder at the end of the stay (DKR D002), not we.
    """
    given = {
        entry["condition"].get("reference"): entry["rank"]
        for entry in encounter.get("diagnosis", [])
        if entry.get("rank") and "condition" in entry
    }
    ranks: list[int] = []
    following = max((2, *(rank + 1 for rank in given.values())))
    for condition in conditions:
        rank = given.get(f"Condition/{condition['id']}")
        if rank is None:
            rank, following = following, following + 1
        ranks.append(rank)
    return ranks
