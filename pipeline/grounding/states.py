"""States that every treatment must heed: pregnancy, nursing, implants, dialysis, the wish not to be revived.

The states and the words for them are the tables `german/states` and `german/state_terms`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline import facts, results
from pipeline.grounding import complaints
from pipeline.grounding.fact import Fact
from terminology import tables
from terminology.german import polarity, sentences, vocabulary

#: What may come, or come about: "wenn Sie schwanger sind", "solange" is now.
_ONLY_THOUGHT = re.compile(
    r"\b(?:wenn|falls|würden?|wäre\w*|hätten?|sollten?|sobald|statt|anstatt|bevor|damit|"
    r"bei (?:einer |eventueller )?schwangerschaft)\b",
    re.IGNORECASE,
)
_MAYBE = re.compile(r"\b(?:vielleicht|könnten?|evtl|eventuell|womöglich)\b", re.IGNORECASE)


def read(text: str, whole: results.Polarity | None = None) -> Iterator[Fact]:
    """The states that a text affirms, each with yes or maybe; what is denied, over or only thought of is none.

    `whole` is the polarity of all of the text, None where each clause speaks for itself. A wish against a treatment
    ("keine Wiederbelebung") is what the denial of the treatment tells.
    """
    if whole == "family" or not _lexicon().find_all(text):
        return
    if complaints.is_advice(text) or facts.is_only_feared(text):
        return
    for clause in sentences.clauses(text):
        hits = _lexicon().find_all(clause.text)
        if not hits or _ONLY_THOUGHT.search(clause.text):
            continue
        for hit in hits:
            value = _value(hit, clause.text, text, whole)
            if value is not None:
                yield Fact("state", hit.row["state"], value)


def _value(hit: vocabulary.Hit, clause: str, text: str, whole: results.Polarity | None) -> str | None:
    """yes, maybe, or None where the clause does not tell the state."""
    state = _states()[hit.row["state"]]
    if state.over.search(clause) or (whole == "historical" and not state.stays):
        return None
    own = " " * len(hit.text) if polarity.is_negated(hit.row["term"]) else hit.text
    rest = f"{clause[: hit.start]}{own}{clause[hit.end :]}"
    is_denied = polarity.is_negated(rest) or (whole == "negated" and (own == hit.text or text.rstrip().endswith("?")))
    if is_denied != (hit.row["holds"] == "denied"):
        return None
    is_unsure = whole == "uncertain" or polarity.is_uncertain(clause) or _MAYBE.search(clause)
    return "maybe" if is_unsure else "yes"


@functools.cache
def _lexicon() -> vocabulary.Lexicon:
    return vocabulary.lexicon("state_terms")


@dataclass(frozen=True, slots=True)
class _State:
    """`over`: the words that tell that it is over, or not yet there. `stays`: what was once so is so for life."""

    over: re.Pattern[str]
    stays: bool


@functools.cache
def _states() -> dict[str, _State]:
    return {
        row["state"]: _State(re.compile(row["over"], re.IGNORECASE), row["stays"] == "J")
        for row in tables.rows("german/states")
    }
