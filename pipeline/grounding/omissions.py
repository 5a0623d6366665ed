"""What must not be missing in a note: allergies, drugs, doses, red flags, measured values, states and illnesses.

What such a fact is, and when two of them are the same, says `pipeline.grounding.critical`.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from pipeline import results, segments
from pipeline.clinical import Clinical
from pipeline.grounding import critical, spoken
from terminology import labs


class Critical(Clinical):
    """A critical fact that was said. `segment` is the number of the first segment that says it, `label` German."""

    kind: critical.Kind
    segment: int
    label: str
    is_denied: bool = False

    @property
    def is_denied_warning(self) -> bool:
        """Whether it is a red flag that was said not to be there: no harm comes of leaving that out."""
        return self.kind == "red_flag" and self.is_denied


def missing(
    note: results.Note, reference: results.Note, transcript: segments.Transcript
) -> tuple[results.Statement, ...]:
    """The statements of the rules engine's note that carry a critical fact which `note` does not carry.

    Each comes as it stands in `reference`, marked `is_added`, in its order there. As few as carry all the facts that
    are missing: a statement whose facts another one carries too is left out.
    """
    carried = critical.offered(note)
    needed = {fact for statement in reference.statements for fact in critical.told(statement)}
    needed |= {fact for _number, fact in spoken.told(transcript)}
    lacking = {fact for fact in needed if not critical.is_carried(fact, carried)}
    candidates = {
        index: frozenset(fact for fact in lacking if critical.is_carried(fact, own))
        for index, own in enumerate(critical.offers(statement) for statement in reference.statements)
    }
    chosen: list[int] = []
    while lacking:
        best = max(candidates, key=lambda index: (len(candidates[index] & lacking), -index), default=None)
        if best is None or not candidates[best] & lacking:
            break
        chosen.append(best)
        lacking -= candidates.pop(best)
    return tuple(reference.statements[index].model_copy(update={"is_added": True}) for index in sorted(chosen))


def completed(note: results.Note, reference: results.Note, transcript: segments.Transcript) -> results.Note:
    """`note` with what it left out, each section in the order of the talk, the ids s1 to sn anew, `rejected` kept.

    The order matters: of two statements about a drug the later one decides whether it is taken (`situation.taken`).
    """
    together = (*note.statements, *missing(note, reference, transcript))
    ordered = [s for section in results.SECTIONS for s in _as_told([s for s in together if s.section == section])]
    renumbered = tuple(s.model_copy(update={"id": f"s{number}"}) for number, s in enumerate(ordered, start=1))
    return note.model_copy(update={"statements": renumbered})


def _as_told(statements: Iterable[results.Statement]) -> list[results.Statement]:
    """Statements by where the talk says them first; one that rests on the record alone stays behind its neighbour."""
    placed: list[tuple[tuple[int, int], results.Statement]] = []
    for statement in statements:
        told = [(item.segment, item.start or 0) for item in statement.evidence if item.segment is not None]
        before = placed[-1][0] if placed else (0, 0)
        placed.append((min(told, default=before), statement))
    return [statement for _place, statement in sorted(placed, key=lambda pair: pair[0])]


def uncarried(note: results.Note, transcript: segments.Transcript) -> tuple[Critical, ...]:
    """The critical facts of the segments that no statement of the note carries, in the order of the talk.

    A drug that is only named, without a dose, is not missing where the note says that it is not borne.
    """
    carried = critical.offered(note)
    told = spoken.told(transcript)
    dosed = {fact.about for _number, fact in told if fact.kind in ("dose", "frequency")}
    named = {fact.about for fact in carried if fact.kind == "allergy" and fact.value == "yes"} - dosed
    return tuple(
        _critical(number, fact)
        for number, fact in told
        if not critical.is_carried(fact, carried) and not (fact.kind == "drug" and fact.about in named)
    )


def said(transcript: segments.Transcript) -> tuple[Critical, ...]:
    """Every critical fact of the segments, each once: what `uncarried` is measured against."""
    return tuple(_critical(number, fact) for number, fact in spoken.told(transcript))


#: Of what is looked for in the talk; diagnoses and illnesses are told by statements.
_LABELS: dict[critical.Kind, str] = {
    "allergy": "Allergie",
    "reaction": "Reaktion",
    "drug": "Medikament",
    "dose": "Dosis",
    "frequency": "Einnahmen am Tag",
    "red_flag": "Warnzeichen",
    "vital": "Messwert",
    "lab": "Laborwert",
    "state": "Zustand",
}
_VALUES = {"yes": "", "no": " (verneint)", "was": " (früher)", "if": " (Rat für den Fall)", "maybe": " (möglich)"}


def _critical(number: int, fact: critical.Fact) -> Critical:
    analyte = labs.analytes().get(fact.about)
    about = analyte.name if analyte else {critical.PRESSURE: "Blutdruck", "": "irgendeine"}.get(fact.about, fact.about)
    amount = f"{Decimal(fact.value):.2g}" if fact.kind == "frequency" else fact.value
    value = _VALUES.get(fact.value, f" {amount.replace('.', ',')}")
    label = f"{_LABELS[fact.kind]}: {about}{value}"
    return Critical(kind=fact.kind, segment=number, label=label, is_denied=fact.value == "no")
