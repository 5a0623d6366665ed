"""A code that comes into question, before the catalogue and the rules decide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline import results

#: Where a candidate comes from. `assessed`: a diagnosis named by the doctor. `model`: chosen by a model. `record`: a
#: known illness treated today. `visit`: the reason of the visit. `complaint`: where no diagnosis explains it.
#: `partner`: the star or exclamation code of another one.
Origin = Literal["assessed", "model", "record", "visit", "complaint", "partner"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One code for one statement. `runner_up`: the code that would have stood without what decided.

    `primary`: for a star or exclamation code, the code it stands beside. `since`: the day, month or year of onset as
    ISO 8601 text. `is_as_known`: the record alone made it specific. `partner_side`: the side of the star code
    that it needs. `remarks`: what the documentation leaves open.
    """

    code: str
    certainty: results.Certainty | None
    side: results.Side | None
    statement: str
    reason: str
    evidence: tuple[results.Evidence, ...]
    origin: Origin = "assessed"
    is_symptom: bool = False
    runner_up: str | None = None
    primary: str | None = None
    since: str | None = None
    is_as_known: bool = False
    partner_side: results.Side | None = None
    remarks: tuple[str, ...] = ()
