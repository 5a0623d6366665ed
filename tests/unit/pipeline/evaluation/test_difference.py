"""`pipeline.evaluation.difference`: what another configuration adds, loses and changes for a patient."""

from __future__ import annotations

import asyncio
import dataclasses
from decimal import Decimal
from typing import Any

import pytest

from pipeline import documenting, results
from pipeline.engines import models, options, serving
from pipeline.evaluation import asking, difference
from tests.unit.pipeline.evaluation.conftest import CASES
from tests.unit.pipeline.evaluation.stub import Stub


@pytest.fixture(scope="module")
def made() -> documenting.Documented:
    found = asking.by_rules(CASES[0], documenting.Options())
    assert found.coding.diagnoses and found.billing is not None and found.billing.items
    return found


def changes(before: documenting.Documented, after: documenting.Documented) -> list[tuple[str, str]]:
    return [(change.kind, change.how) for change in difference.difference(before, after).changes]


def with_note(made: documenting.Documented, *statements: results.Statement) -> documenting.Documented:
    return dataclasses.replace(made, note=made.note.model_copy(update={"statements": statements}))


def with_code(made: documenting.Documented, *codes: results.CodedDiagnosis) -> documenting.Documented:
    return dataclasses.replace(made, coding=made.coding.model_copy(update={"diagnoses": codes}))


def with_fees(made: documenting.Documented, *items: results.BillingItem) -> documenting.Documented:
    assert made.billing is not None
    return dataclasses.replace(made, billing=made.billing.model_copy(update={"items": items}))


def with_warnings(made: documenting.Documented, *warnings: results.PrescribingWarning) -> documenting.Documented:
    return dataclasses.replace(made, check=made.check.model_copy(update={"warnings": warnings}))


def warning(**more: Any) -> results.PrescribingWarning:
    given = {
        "rule": "r1", "kind": "interaction", "severity": "high", "drugs": ("Ibuprofen", "Ramipril"), "about": None,
        "explanation": "Beides zusammen schadet der Niere.", "management": "Anderes Mittel erwägen.", "source": "s",
        "evidence": (),
    }  # fmt: skip
    return results.PrescribingWarning.model_validate({**given, **more})


def test_the_same_twice_differs_in_nothing(made: documenting.Documented) -> None:
    found = difference.difference(made, made)
    assert found.changes == ()
    assert found.same["statement"] == len(made.note.statements) and found.same["code"] == len(made.coding.diagnoses)
    assert difference.text(found).startswith("Nothing differs; ")


def test_ids_and_order_do_not_count(made: documenting.Documented) -> None:
    turned = [s.model_copy(update={"id": f"x{n}"}) for n, s in enumerate(reversed(made.note.statements))]
    assert changes(made, with_note(made, *turned)) == []


def test_a_statement_comes_and_goes(made: documenting.Documented) -> None:
    rest = made.note.statements[1:]
    assert changes(made, with_note(made, *rest)) == [("statement", "lost")]
    assert changes(with_note(made, *rest), made) == [("statement", "added")]


def test_another_wording_on_the_same_evidence_is_a_change(made: documenting.Documented) -> None:
    first, *rest = made.note.statements
    worded = first.model_copy(update={"text": f"{first.text} Heute."})
    (change,) = difference.difference(made, with_note(made, worded, *rest)).changes
    assert (change.kind, change.how) == ("statement", "changed")
    assert change.before == f"{first.section}: {first.text}" and "Heute." in (change.after or "")


def test_a_flipped_negation_is_a_change(made: documenting.Documented) -> None:
    first, *rest = made.note.statements
    flipped = first.model_copy(update={"polarity": "negated"})
    (change,) = difference.difference(made, with_note(made, flipped, *rest)).changes
    assert change.how == "changed" and (change.after or "").endswith("[denied]")


def test_the_same_words_on_other_evidence_are_the_same_to_the_reader(made: documenting.Documented) -> None:
    first, *rest = made.note.statements
    elsewhere = first.model_copy(update={"evidence": (results.Evidence(segment=99),)})
    assert changes(made, with_note(made, elsewhere, *rest)) == []


def test_something_else_on_the_same_evidence_is_lost_and_added(made: documenting.Documented) -> None:
    first, *rest = made.note.statements
    other = first.model_copy(update={"text": "Xyz."})
    assert sorted(changes(made, with_note(made, other, *rest))) == [("statement", "added"), ("statement", "lost")]


@pytest.mark.parametrize("change", [{"certainty": "V"}, {"side": "B"}, {"code": "{category}.98"}])
def test_a_code_of_the_same_category_is_a_change(made: documenting.Documented, change: dict[str, str]) -> None:
    first, *rest = made.coding.diagnoses
    update = {key: value.replace("{category}", first.code[:3]) for key, value in change.items()}
    assert changes(made, with_code(made, first.model_copy(update=update), *rest)) == [("code", "changed")]


def test_a_code_of_another_category_is_lost_and_added(made: documenting.Documented) -> None:
    first, *rest = made.coding.diagnoses
    other = first.model_copy(update={"code": "Z99.9"})
    assert sorted(changes(made, with_code(made, other, *rest))) == [("code", "added"), ("code", "lost")]


def test_warnings(made: documenting.Documented) -> None:
    one = with_warnings(made, warning())
    assert changes(made, one)[-1] == ("warning", "added") or not made.check.warnings
    assert changes(one, with_warnings(made, warning(severity="low"))) == [("warning", "changed")]
    assert changes(one, with_warnings(made, warning(drugs=("Ramipril", "Ibuprofen")))) == []
    assert sorted(changes(one, with_warnings(made, warning(drugs=("Metformin",))))) == [
        ("warning", "added"), ("warning", "lost")
    ]  # fmt: skip


def test_fees(made: documenting.Documented) -> None:
    assert made.billing is not None
    first, *rest = made.billing.items
    dearer = first.model_copy(update={"amount": first.amount + Decimal("1.00")})
    assert changes(made, with_fees(made, dearer, *rest)) == [("fee", "changed")]
    assert changes(made, with_fees(made, *rest)) == [("fee", "lost")]
    without = dataclasses.replace(made, billing=None)
    assert set(changes(without, made)) == {("fee", "added")}


def test_two_of_the_same_are_two(made: documenting.Documented) -> None:
    first, *rest = made.note.statements
    twice = with_note(made, first, first.model_copy(update={"id": "s99"}), *rest)
    assert changes(twice, made) == [("statement", "lost")]
    assert changes(made, twice) == [("statement", "added")]


def test_the_table_for_a_person(made: documenting.Documented) -> None:
    first, second, *rest = made.note.statements
    after = with_note(made, second.model_copy(update={"text": f"{second.text} Heute."}), *rest)
    told = difference.text(difference.difference(made, after)).splitlines()
    assert told[0].split() == ["same", "added", "lost", "changed"]
    assert told[1].split() == ["Note", str(len(rest)), "0", "1", "1"]
    assert f"  - {first.section}: {first.text}" in told
    assert any(line.startswith("    now: ") and line.endswith("Heute.") for line in told)


def test_patient_text_does_not_come_out_by_accident(made: documenting.Documented) -> None:
    found = difference.difference(made, with_note(made))
    assert made.note.statements[0].text not in f"{found!r} {found} {found.changes[0]!r}"


def test_where_the_model_never_answered_it_is_told(made: documenting.Documented) -> None:
    down = Stub("down", fails="unavailable", is_running=True)
    stages = options.Stages.model_validate(dict.fromkeys(options.Stages.model_fields, ("down", options.RULES)))
    setting = serving.Setting(models.Models({"down": (down, 30.0)}, stages))
    after = asyncio.run(documenting.everything(setting, CASES[0].consultation))
    told = difference.report(made, after).splitlines()
    assert told[:5] == [
        f"The rules engine stood in for the model at the {part}: It does not answer. (unavailable)"
        for part in ("note", "summary", "diagnosis codes", "prescribing check", "billing")
    ]
    assert told[5].startswith("Nothing differs; ")


def test_where_the_model_served_nothing_is_told_of_the_rules(made: documenting.Documented) -> None:
    first = results.Attempt(model="m", outcome="ungrounded", text="Was das Modell erfährt.")
    used = results.Attempt(model="m", outcome="used", is_second=True)
    after = dataclasses.replace(
        made,
        note=made.note.model_copy(update={"work": results.Work(attempts=(first, used))}),
        coding=made.coding.model_copy(update={"work": results.Work(attempts=(first, first))}),
    )
    assert difference.stood_in(after) == (
        "The rules engine stood in for the model at the diagnosis codes: the gate refused too much of its answer.",
    )
    assert difference.stood_in(dataclasses.replace(made, billing=None)) == ()


@pytest.mark.parametrize(
    ("change", "how"),
    [
        ({"status": "not-checked"}, "changed"),
        ({"covered": "Geprüft: nichts."}, "changed"),
        ({"gaps": ("Lücke.",)}, "added"),
    ],
)
def test_another_extent_of_the_check_is_a_difference(
    made: documenting.Documented, change: dict[str, Any], how: str
) -> None:
    known = made.check.model_copy(update={"status": "none", "gaps": ()})
    before = dataclasses.replace(made, check=known)
    after = dataclasses.replace(made, check=known.model_copy(update=change))
    assert changes(before, after) == [("checked", how)]
    assert "Extent of the check" in difference.report(before, after)
