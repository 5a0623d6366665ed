"""`pipeline.evaluation.figures`: every figure reckoned by hand, and nothing where nothing was measured."""

from __future__ import annotations

from typing import ClassVar

import pytest

from pipeline.evaluation import figures, files, judge, records, shares
from tests.unit.pipeline.evaluation import made


def value(name: str, *given: records.Record) -> float | None:
    found = figures.BY_NAME[name].of(given)
    return None if found is None else found.value


def changed(**numbers: float) -> records.Numbers:
    return {**made.MEASURES["scribe"], **{f"note.{name}": number for name, number in numbers.items()}}


def test_names_are_unique_and_groups_are_whole() -> None:
    assert len(figures.BY_NAME) == len(figures.FIGURES)
    groups = [figure.group for figure in figures.FIGURES]
    assert list(dict.fromkeys(groups)) == list(figures.GROUPS)


@pytest.mark.parametrize("figure", figures.FIGURES, ids=lambda figure: figure.name)
def test_without_records_there_is_no_figure(figure: figures.Figure) -> None:
    assert figure.of(()) is None
    assert figures.text(figure, None) == "–"


def test_shares_are_over_sums_and_not_means_of_shares() -> None:
    short, long = made.record(), made.record(case="b", measures=changed(facts=90, found=0))
    assert value("recall", short, long) == 8 / 100


def test_refusals_are_counted_over_all_answers_and_by_harm() -> None:
    given = made.record(refused={"critical/dose": 2, "minor/foreign-word": 3}), made.record(case="b", served="rules")
    assert value("refused", *given) == 5 / 20
    assert value("refused-critical", *given) == 2 / 20
    assert value("summary-refused", *given) is None


def test_the_note_of_the_rules_engine_is_not_the_models() -> None:
    own = made.record(measures=changed(found=2, found_in_chart=3))
    stood_in = made.record(case="b", served="rules", measures=changed(found=10, found_in_chart=10))
    assert value("recall", own, stood_in) == 2 / 10
    assert value("recall-in-chart", own, stood_in) == 13 / 20
    assert value("notes-served", own, stood_in) == 1 / 2
    assert value("recall", stood_in) is None
    assert value("recall", made.record(model="rules", served="rules", answers=())) == 8 / 10


def test_the_answers() -> None:
    given = (
        made.record(answers=(made.answer("invalid"), made.answer(is_second=True))),
        made.record(case="b", answers=(made.answer(thinking_tokens=50, is_closed=True),)),
        made.record(case="c", answers=(made.answer("loop"), made.answer("truncated", is_second=True)), served="rules"),
        made.record(case="d", answers=(made.answer("timeout"),), served="rules"),
        made.record(case="e", answers=(), served="rules"),  # there was nothing to ask
    )
    assert value("used", *given) == 2 / 4
    assert value("first-used", *given) == value("success", *given) == 1 / 4
    assert value("invalid", *given) == 1 / 4
    assert value("loops", *given) == value("timeouts", *given) == 1 / 6
    assert (value("truncated", *given), value("closed", *given)) == (2 / 6, 1 / 6)
    assert value("thinking", *given) == 50 / 600


def test_thinking_in_vain_is_taxed_too() -> None:
    failed = made.answer("loop", tokens=300, thinking_tokens=200)
    assert value("thinking", made.record(answers=(failed, made.answer(is_second=True)))) == 200 / 400


def test_what_is_refused_for_its_form_may_be_true() -> None:
    given = made.record(
        "summarise", refused={"minor/jargon": 2, "minor/length": 1, "critical/drug": 1, "major/date": 1}
    )
    assert (value("summary-refused", given), value("fidelity", given)) == (5 / 10, 8 / 10)
    assert value("summary-refused-critical", given) == 1 / 10


def test_a_summary_that_was_refused_is_read_too() -> None:
    hard = made.record(
        "summarise", "b", served="rules", measures={**made.MEASURES["summarise"], "summary.readability": 15.0}
    )
    silent = {k: v for k, v in made.MEASURES["summarise"].items() if k != "summary.readability"}
    unanswered = made.record("summarise", "c", served="rules", measures=silent)
    assert value("readability", made.record("summarise"), hard, unanswered) == 40.0
    assert value("readability", unanswered) is None


def test_refusals_of_each_harm() -> None:
    given = made.record(refused={"critical/dose": 1, "major/time": 2, "minor/foreign-word": 3})
    assert [value(f"refused-{harm}", given) for harm in ("critical", "major", "minor")] == [0.1, 0.2, 0.3]


def test_a_second_answer_that_is_no_json_is_no_first_one() -> None:
    given = made.record(answers=(made.answer("ungrounded"), made.answer("invalid", is_second=True)), served="rules")
    assert value("invalid", given) == 0 and value("ungrounded", given) == 1 / 2


def test_speed() -> None:
    given = [made.record(), made.record(case="b")]
    assert value("prefill", *given) == (300 - 100) / 2.0
    assert value("decode", *given) == 100 / 4.0


def test_the_time_of_a_consultation_is_that_of_the_longest_way_through_the_stages() -> None:
    walls = {"scribe": 10.0, "summarise": 3.0, "code": 5.0, "check": 1.0, "bill": 2.0}
    whole = [made.record(stage, wall=wall) for stage, wall in walls.items()]
    assert value("wall", *whole) == 17.0
    slow = [made.record(stage, "b", wall=3 * wall) for stage, wall in walls.items()]
    half_done = made.record("scribe", "c", wall=0.1)
    assert value("wall", *whole, *slow, half_done) == (17 + 51) / 2
    assert value("wall", made.record("code", wall=4.0)) == 4.0


def test_the_throughput_is_what_was_done_in_the_time_at_work() -> None:
    # Nine at eight at once: eight in the first 6 s, and the ninth alone.
    nine = [made.record(case=str(n), concurrency=8, begun=0.0 if n < 8 else 6.0, wall=6.0) for n in range(9)]
    assert value("answers-per-minute", *nine) == 9 * 60 / 12
    # Broken off and gone on with a day later: the night does not count.
    late = [made.record(case="late", begun=86400.0, wall=3.0)]
    assert value("answers-per-minute", *nine, *late) == 10 * 60 / 15


def test_the_same_result_again() -> None:
    again = [made.record(repeat=2), made.record(repeat=1)]
    other = [made.record(case="b", repeat=1), made.record(case="b", repeat=2, result="x")]
    assert value("same", *again, *other, made.record(case="c")) == 1 / 2
    assert value("same", made.record()) is None


def test_agreement_and_kappa() -> None:
    # The table of Cohen 1960 as it is usually reckoned: 20 both yes, 15 both no, 5 and 10 apart.
    judged = records.Judgement(both_yes=20, both_no=15, only_gate=5, only_judge=10, unclear=3, failed=1)
    found = judge.agreement([judged])
    assert found is not None
    share, kappa, count = found
    assert (share, count) == (0.7, 50)
    assert kappa == pytest.approx(0.4)
    assert value("agreement", made.record(judged=judged)) == 0.7


def test_kappa_needs_two_that_have_said_both() -> None:
    found = judge.agreement([records.Judgement(both_yes=20, only_gate=3)])
    assert found is not None and found[1] is None
    assert judge.agreement([records.Judgement(unclear=4, failed=1)]) is None


@pytest.mark.parametrize(
    ("name", "number", "told"),
    [("recall", 0.8361, "83.6%"), ("wall", 0.5, "0.50 s"), ("wall", 12.34, "12.3 s"), ("decode", 1234.5, "1,234 tok/s"),
     ("memory", 4312.0, "4,312 MiB"), ("kappa", 0.41, "0.41")],
)  # fmt: skip
def test_a_figure_as_a_person_reads_it(name: str, number: float, told: str) -> None:
    assert figures.text(figures.BY_NAME[name], shares.Value(number, None, 1)) == told


def test_every_number_of_a_record_is_used_by_a_figure(measured: files.Measured) -> None:
    class Read(dict[str, int | float]):
        seen: ClassVar[set[str]] = set()

        def __getitem__(self, name: str) -> int | float:
            self.seen.add(name)
            return super().__getitem__(name)

    given = [r.model_copy(update={"measures": Read(r.measures)}) for r in measured.records if r.model == "rules"]
    for figure in figures.FIGURES:
        figure.of(given)
    assert {name for record in given for name in record.measures} == Read.seen
