"""`pipeline.evaluation.comparison` and `limits`: what is compared with what, and who is disqualified."""

from __future__ import annotations

import pytest

from pipeline.evaluation import comparison, figures, files, limits, records, shares
from pipeline.grounding import summary
from tests.unit.pipeline.evaluation import made


def compared(*given: records.Record) -> comparison.Comparison:
    return comparison.compare([made.measured("one", *given)])


def test_only_cases_with_the_same_text_and_gold_are_compared() -> None:
    old = made.header("a", "b", "c")
    new = made.header("a", "b", "d").model_copy(update={"cases": {"a": "digest of a", "b": "another", "d": "d"}})
    one = made.measured("one", made.record(case="a"), made.record(case="b"), head=old)
    two = made.measured("two", made.record(case="a"), made.record(case="d"), head=new)
    found = comparison.compare([one, two])
    assert found.cases == ("a",)
    assert [[record.case for record in column.measured] for column in found.columns] == [["a"], ["a"]]
    assert found.notes[0] == "one: 1 of its 3 cases are compared, the shared ones."


def test_a_name_in_two_files_is_told_apart_and_the_rules_engine_stands_last() -> None:
    rules = {"model": "rules", "served": "rules", "answers": ()}
    one = made.measured("one", made.record(**rules), made.record())
    two = made.measured("two", made.record(**rules), made.record(model="other"))
    assert [column.label for column in comparison.compare([one, two]).columns] == [
        "m", "other", "rules (one)", "rules (two)"
    ]  # fmt: skip


def test_what_the_files_do_not_share_is_told() -> None:
    other = made.header(machine=made.MACHINE.model_copy(update={"cores": 64}), tables="new")
    found = comparison.compare([made.measured("one", made.record()), made.measured("two", made.record(), head=other)])
    assert found.notes == ("two differs from one in: tables, machine.",)


def test_a_broken_run_is_told() -> None:
    found = comparison.compare([made.measured("one", made.record(), head=made.header("a", "b"))])
    assert found.notes == ("one: m was measured on 1 of 2 questions; go on by --resume.",)


def test_the_better_stand_first_and_who_could_not_be_measured_last() -> None:
    bad = {**made.MEASURES["scribe"], "note.found": 1}
    given = [made.record(model="bad", measures=bad), made.record(model="good")]
    found = comparison.compare([made.measured("one", *given, faults={"absent": "It is not there."})])
    assert [column.label for column in found.columns] == ["good", "bad", "absent"]
    assert found.columns[2].failures == ("It is not there.",)
    assert [column.label for column in found.measured] == ["good", "bad"]


def test_the_best_of_a_row() -> None:
    found = compared(made.record(), made.record(model="n", measures={**made.MEASURES["scribe"], "note.found": 9}))
    assert found.best(figures.BY_NAME["recall"], None) == {"n"}
    assert found.best(figures.BY_NAME["completeness"], None) == frozenset()
    assert found.best(figures.BY_NAME["length"], None) == frozenset()


def test_speed_has_a_row_for_each_level_and_the_rest_one() -> None:
    given = [made.record(concurrency=level, wall=float(level)) for level in (1, 8)]
    found = compared(*given)
    names = [(figure.name, level) for figure, level in found.rows()]
    assert ("recall", None) in names and ("wall", 1) in names and ("wall", 8) in names
    (column,) = found.columns
    wall = column.value(figures.BY_NAME["wall"])
    assert wall is not None and wall.value == 8.0


def test_a_good_model_is_not_disqualified() -> None:
    (column,) = compared(made.record(), made.record("summarise")).columns
    assert column.failures == ()


def _note(**numbers: float) -> dict[str, object]:
    return {"measures": {**made.MEASURES["scribe"], **{f"note.{name}": n for name, n in numbers.items()}}}


_INVALID = {"answers": (made.answer("invalid"), made.answer(is_second=True))}


@pytest.mark.parametrize(
    ("figure", "bad", "good"),
    [
        ("planted", _note(planted=1), _note(planted=0)),
        ("refused-critical", {"refused": {"critical/drug": 1}}, {"refused": {"minor/foreign-word": 1}}),
        ("omitted", _note(omitted=2), _note(omitted=1)),
        ("recall", _note(found=5), _note(found=6)),
        ("invalid", _INVALID, {}),
        ("success", _INVALID, {}),
        ("loops", {"answers": (made.answer("loop"),)}, {}),
        ("truncated", {"answers": (made.answer("truncated"),)}, {}),
        ("truncated", {"answers": (made.answer(is_closed=True),)}, {}),
        ("thinking", {"answers": (made.answer(thinking_tokens=51),)}, {"answers": (made.answer(thinking_tokens=50),)}),
    ],
)
def test_each_limit_both_ways(figure: str, bad: dict[str, object], good: dict[str, object]) -> None:
    title = figures.BY_NAME[figure].title
    (worse,) = compared(made.record(**bad)).columns
    (better,) = compared(made.record(**good)).columns
    assert [sentence for sentence in worse.failures if f"{title}: " in sentence]
    assert not [sentence for sentence in better.failures if f"{title}: " in sentence]


@pytest.mark.parametrize(
    ("stage", "bad", "good"),
    [
        ("summarise", {"summary.planted": 1}, {}),
        ("code", {"code.found": 0}, {"code.found": 2}),
        ("code", {"code.forbidden": 1}, {}),
        ("check", {"check.found": 1}, {}),
        ("bill", {"bill.forbidden": 1}, {}),
    ],
)
def test_the_limits_of_the_other_stages(stage: str, bad: records.Numbers, good: records.Numbers) -> None:
    kept = made.MEASURES[stage] | {"code": {"code.found": 2}, "check": {"check.found": 2}}.get(stage, {})
    (worse,) = compared(made.record(stage, measures=kept | bad)).columns
    assert len(worse.failures) == 1
    assert compared(made.record(stage, measures=kept | good)).columns[0].failures == ()


def test_a_model_that_invents_for_the_patient_is_disqualified() -> None:
    (worse,) = compared(made.record("summarise", refused={"critical/dose": 1})).columns
    (better,) = compared(made.record("summarise", refused={"minor/jargon": 5})).columns
    assert len(worse.failures) == 1 and "refused, of critical harm" in worse.failures[0]
    assert better.failures == ()


@pytest.mark.parametrize(("wanted", "is_kept"), [(summary.READABLE, True), (64.9, True), (65.1, False)])
def test_a_summary_must_be_as_readable_as_the_configuration_asks(wanted: float, is_kept: bool) -> None:
    unread = made.record("summarise", served="rules", answers=(made.answer("ungrounded"),) * 20)
    head = made.header(readability=wanted, plan=records.Plan(stages=("summarise",)))
    (column,) = comparison.compare([made.measured("one", unread, head=head)]).columns
    told = [sentence for sentence in column.failures if "reading ease" in sentence]
    assert not told if is_kept else f"at least {wanted} is needed" in told[0]


def test_a_model_that_was_not_measured_keeps_no_limit() -> None:
    unasked = made.record(model="unasked", served="rules", answers=(), measures=made.MEASURES["scribe"])
    head = made.header("a", "b")
    elsewhere = made.measured("two", made.record(case="b", model="elsewhere"), head=head)
    found = comparison.compare([made.measured("one", made.record(), unasked), elsewhere])
    assert {column.label: column.verdict for column in found.columns} == {
        "m": "good", "unasked": "open", "elsewhere": "open"
    }  # fmt: skip


def test_files_without_a_shared_case_are_refused() -> None:
    one = made.measured("one", made.record(), head=made.header("a"))
    two = made.measured("two", made.record(case="b"), head=made.header("b"))
    with pytest.raises(files.NotUsable, match="share no case"):
        comparison.compare([one, two])


def test_two_files_of_one_name_are_told_apart() -> None:
    worse = made.record(measures={**made.MEASURES["scribe"], "note.found": 7})
    found = comparison.compare([made.measured("monday", made.record()), made.measured("monday", worse)])
    assert [column.label for column in found.columns] == ["m (monday #1)", "m (monday #2)"]
    assert found.best(figures.BY_NAME["recall"], None) == {"m (monday #1)"}
    assert [source.name for source in found.sources] == ["monday #1", "monday #2"]


def test_what_was_refused_is_counted_by_stage() -> None:
    note = made.record(refused={"minor/foreign-word": 2, "critical/dose": 1})
    found = compared(note, made.record("summarise", refused={"minor/jargon": 3}, proposed=4))
    (column,) = found.columns
    assert column.refused("scribe") == {"minor/foreign-word": 2, "critical/dose": 1}
    assert column.refused("summarise") == {"minor/jargon": 3} and column.refused("code") == {}
    assert (column.proposed("scribe"), column.proposed("summarise")) == (10, 4)
    assert found.refusals("scribe") == ["critical/dose", "minor/foreign-word"]
    assert column.of_hundred("scribe", "minor/foreign-word") == 20 and column.of_hundred("bill", "x/y") == 0


def test_what_a_model_left_unanswered_is_still_open() -> None:
    gone = made.record(case="b", served="rules", answers=(made.answer("unavailable"),))
    found = comparison.compare([made.measured("one", made.record(), gone, head=made.header("a", "b"))])
    assert found.notes == ("one: m was measured on 1 of 2 questions; go on by --resume.",)


def test_the_sentence_of_a_failure() -> None:
    (column,) = compared(made.record(**_note(found=3))).columns
    (sentence,) = column.failures
    assert sentence.startswith("Note, recall of gold facts: 30.0% (3 of 10); at least 60% is needed. ")


def test_every_limit_is_on_a_figure_and_on_its_right_side() -> None:
    for limit in limits.LIMITS:
        better = figures.BY_NAME[limit.figure].better
        assert (limit.kind, better) in (("at most", "less"), ("at least", "more"))
        assert limit.is_kept(shares.Value(limit.number, None, 1))
        assert limit.why.endswith(".")
