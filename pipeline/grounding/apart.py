"""Compounds of what was said apart: "Penicillinallergie", "früher war ich gegen Penicillin allergisch".

Of the word itself `standing` finds no place, so the clauses of its parts tell when and how surely it was said.
"""

from __future__ import annotations

from pipeline import results
from pipeline.grounding import places, reading
from terminology.german import polarity


def fault(statement: results.Statement, said: reading.Said) -> str | None:
    """ "time" or "certainty" when every part of a compound was said of the past, or was hedged; else None."""
    if statement.polarity != "affirmed":
        return None
    is_old = polarity.is_historical(statement.text)
    is_hedged = polarity.is_uncertain(statement.text)
    for claim in places.claims(statement.text):
        if not claim.is_clinical or reading.stands(said, claim.word):
            continue
        clauses = [said.clauses[place.clause] for place in places.of(claim, said.clauses)]
        if not is_old and clauses and all(clause.is_historical for clause in clauses):
            return "time"
        if not is_hedged and clauses and all(clause.is_uncertain for clause in clauses):
            return "certainty"
    return None
