"""What another configuration changes for a patient: statements, codes, warnings and fees that came, went or changed.

Where its models were asked in vain, the rules engine stood in for them: `stood_in` tells so.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, Protocol, TypeVar

from pipeline import results
from pipeline.clinical import Clinical

Kind = Literal["statement", "sentence", "code", "warning", "checked", "fee"]
How = Literal["added", "lost", "changed"]

KINDS: dict[Kind, str] = {
    "statement": "Note",
    "sentence": "Summary for the patient",
    "code": "Diagnosis codes",
    "warning": "Prescribing warnings",
    "checked": "Extent of the check",
    "fee": "Billing items",
}
_SIGNS: dict[How, str] = {"added": "+", "lost": "-", "changed": "~"}


class Documented(Protocol):
    """The results of one consultation, as `documenting.Documented` holds them."""

    @property
    def note(self) -> results.Note: ...
    @property
    def summary(self) -> results.PatientSummary: ...
    @property
    def coding(self) -> results.Coding: ...
    @property
    def check(self) -> results.SafetyCheck: ...
    @property
    def billing(self) -> results.Billing | None: ...


class Change(Clinical):
    """One difference. `before` and `after` are texts for a person; None on the side where there is nothing."""

    kind: Kind
    how: How
    before: str | None
    after: str | None


class Difference(Clinical):
    """All differences, in the order of the kinds, and how many results of each kind stayed as they were."""

    changes: tuple[Change, ...]
    same: dict[Kind, int]

    def count(self, kind: Kind, how: How) -> int:
        """How many of a kind were added, lost or changed."""
        return sum(change.kind == kind and change.how == how for change in self.changes)


Item = TypeVar("Item")


def difference(before: Documented, after: Documented) -> Difference:
    """What differs in `after`. Ids, evidence positions, ranks and reasons do not count; what a clinician reads does.

    A statement is changed where another wording, section or polarity rests on the same segments; a code where certainty
    or side differ or another code of its category stands for the same diagnosis; a warning where severity or advice
    differ; the extent of the check where its status, what it covered or its gaps differ; a fee where quantity, factor
    or amount differ.
    """
    found = (
        _compared("statement", before.note.statements, after.note.statements, _statement, _alike_statements),
        _compared("sentence", before.summary.sentences, after.summary.sentences, _sentence, _alike_sentences),
        _compared("code", before.coding.diagnoses, after.coding.diagnoses, _code, _alike_codes),
        _compared("warning", before.check.warnings, after.check.warnings, _warning, _alike_warnings),
        _compared("checked", _extent(before.check), _extent(after.check), str, _alike_extents),
        _compared("fee", _items(before.billing), _items(after.billing), _fee, _alike_fees),
    )
    return Difference(
        changes=tuple(change for changes, _same in found for change in changes),
        same={kind: same for kind, (_changes, same) in zip(KINDS, found, strict=True)},
    )


def _items(billing: results.Billing | None) -> tuple[results.BillingItem, ...]:
    return billing.items if billing else ()


def _extent(check: results.SafetyCheck) -> tuple[str, ...]:
    return (f"{check.status}: {check.covered}", *(f"{_GAP}{gap}" for gap in check.gaps))


def stood_in(after: Documented) -> tuple[str, ...]:
    """One sentence for each stage whose models were asked in vain, with the reason of the last answer."""
    works = {
        "note": after.note.work,
        "summary": after.summary.work,
        "diagnosis codes": after.coding.work,
        "prescribing check": after.check.work,
        "billing": after.billing.work if after.billing else results.Work(),
    }
    return tuple(
        f"The rules engine stood in for the model at the {part}: {_why(work.attempts[-1])}"
        for part, work in works.items()
        if work.needs_human
    )


def _why(last: results.Attempt) -> str:
    if last.outcome == "ungrounded":
        return "the gate refused too much of its answer."
    return f"{last.text} ({last.outcome})"


def _compared(
    kind: Kind,
    before: Sequence[Item],
    after: Sequence[Item],
    told: Callable[[Item], str],
    likeness: Callable[[Item, Item], float],
) -> tuple[list[Change], int]:
    """The changes, those of `before` in their order and then what was added; and how many are the same."""
    left, came = list(before), list(after)
    same = 0
    for item in before:
        twin = next((other for other in came if told(other) == told(item)), None)
        if twin is not None:
            _drop(left, item)
            _drop(came, twin)
            same += 1
    rated = sorted(
        ((likeness(one, other), -i, -j) for i, one in enumerate(left) for j, other in enumerate(came)), reverse=True
    )
    partner: dict[int, int] = {}
    for score, i, j in rated:
        if score > 0 and -i not in partner and -j not in partner.values():
            partner[-i] = -j
    changes = []
    for i, item in enumerate(left):
        if i in partner:
            changes.append(Change(kind=kind, how="changed", before=told(item), after=told(came[partner[i]])))
        else:
            changes.append(Change(kind=kind, how="lost", before=told(item), after=None))
    changes += [
        Change(kind=kind, how="added", before=None, after=told(item))
        for j, item in enumerate(came)
        if j not in partner.values()
    ]
    return changes, same


def _drop(items: list[Item], item: Item) -> None:
    del items[next(n for n, other in enumerate(items) if other is item)]


def report(before: Documented, after: Documented) -> str:
    """What a person must know of `after`: where the rules engine stood in for its models, and the differences."""
    return "\n".join((*stood_in(after), text(difference(before, after))))


def text(found: Difference) -> str:
    """The differences for a person: a line of counts and then the changes of every kind that has some."""
    if not found.changes:
        return f"Nothing differs; {sum(found.same.values())} results are the same."
    lines = [f"{'':<26}{'same':>6}{'added':>7}{'lost':>6}{'changed':>9}"]
    for kind, title in KINDS.items():
        added, lost, changed = (found.count(kind, how) for how in _SIGNS)
        lines.append(f"{title:<26}{found.same[kind]:>6}{added:>7}{lost:>6}{changed:>9}")
    for kind, title in KINDS.items():
        changes = [change for change in found.changes if change.kind == kind]
        if changes:
            lines += ["", title, *(line for change in changes for line in _lines(change))]
    return "\n".join(lines)


def _lines(change: Change) -> Iterable[str]:
    first = change.before if change.before is not None else change.after
    yield f"  {_SIGNS[change.how]} {first}"
    if change.how == "changed":
        yield f"    now: {change.after}"


# --- what a clinician reads of each kind, and what is the same thing in other words -------------------------------

_POLARITIES = {
    "affirmed": "", "negated": " [denied]", "uncertain": " [uncertain]", "historical": " [past]", "family": " [family]"
}  # fmt: skip
_ALIKE = 0.45  # of the letters that two texts must share to be wordings of one thing


def _segments(evidence: Iterable[results.Evidence]) -> set[int | str]:
    return {place.segment if place.segment is not None else f"record {place.record}" for place in evidence}


def _share_evidence(one: Iterable[results.Evidence], other: Iterable[results.Evidence]) -> bool:
    return bool(_segments(one) & _segments(other))


def _wording(one: str, other: str) -> float:
    share = difflib.SequenceMatcher(None, one.lower(), other.lower(), autojunk=False).ratio()
    return share if share >= _ALIKE else 0.0


def _statement(item: results.Statement) -> str:
    return f"{item.section}: {item.text}{_POLARITIES[item.polarity]}"


def _alike_statements(one: results.Statement, other: results.Statement) -> float:
    return _wording(one.text, other.text) if _share_evidence(one.evidence, other.evidence) else 0.0


def _sentence(item: results.Statement) -> str:
    return item.text


def _alike_sentences(one: results.Statement, other: results.Statement) -> float:
    return _wording(one.text, other.text)


def _code(item: results.CodedDiagnosis) -> str:
    shown = " ".join(part for part in (item.code, item.certainty, item.side) if part)
    return f"{shown} {item.title}"


def _alike_codes(one: results.CodedDiagnosis, other: results.CodedDiagnosis) -> float:
    if one.code == other.code:
        return 2.0
    return 1.0 if one.code[:3] == other.code[:3] else 0.0


def _warning(item: results.PrescribingWarning) -> str:
    return f"{item.severity}: {' + '.join(sorted(item.drugs))}, {item.explanation} {item.management}"


def _alike_warnings(one: results.PrescribingWarning, other: results.PrescribingWarning) -> float:
    if set(one.drugs) != set(other.drugs) or one.about != other.about:
        return 0.0
    return 2.0 if one.rule == other.rule else 1.0 if one.kind == other.kind else 0.0


_GAP = "not checked: "


def _alike_extents(one: str, other: str) -> float:
    """The one status is like the other whatever they say; of gaps each stands for itself."""
    return float(not one.startswith(_GAP) and not other.startswith(_GAP))


def _fee(item: results.BillingItem) -> str:
    factor = f", factor {item.factor}" if item.factor is not None else ""
    return f"{item.schedule} {item.code} {item.title}: {item.quantity}{factor}, {item.amount} EUR"


def _alike_fees(one: results.BillingItem, other: results.BillingItem) -> float:
    return float((one.schedule, one.code) == (other.schedule, other.code))
