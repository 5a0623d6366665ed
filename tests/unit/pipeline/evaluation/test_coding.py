"""`pipeline.evaluation.coding`: the figures of a coding beside the reference codes."""

from __future__ import annotations

import pytest

from pipeline import results
from pipeline.evaluation import cases, coding

CASE = cases.named("copd-exacerbation")  # must: J44.11, F17.2; may: I10.90


def diagnosis(name: str, **changes: object) -> results.CodedDiagnosis:
    """A coded diagnosis with evidence."""
    given = {
        "code": name, "title": "", "year": 2026, "certainty": "G", "rank": 1, "statement": "s1", "reason": "",
        "evidence": (results.Evidence(segment=1),), **changes,
    }  # fmt: skip
    return results.CodedDiagnosis.model_validate(given)


def scored(*diagnoses: results.CodedDiagnosis) -> coding.CodingScore:
    """The score of these diagnoses."""
    return coding.score(CASE, results.Coding(diagnoses=diagnoses))


@pytest.mark.parametrize(
    ("names", "jaccard", "categories"),
    [
        (("J44.11", "F17.2"), 1.0, 2),
        (("J44.11", "F17.2", "I10.90"), 1.0, 2),
        (("J44.11",), 1 / 2, 1),
        (("J44.12", "F17.2"), 1 / 3, 2),
        (("J44.11", "F17.2", "M54.5", "K29.7"), 2 / 4, 2),
        ((), 0.0, 0),
    ],
)
def test_jaccard_and_category_recall(names: tuple[str, ...], jaccard: float, categories: int) -> None:
    found = scored(*map(diagnosis, names))
    assert found.jaccard == pytest.approx(jaccard) and (found.categories, found.groups) == (categories, 2)


def test_what_must_not_be_is_named() -> None:
    found = scored(
        diagnosis("R05"),
        diagnosis("I10"),
        diagnosis("O80"),
        diagnosis("F17.2", evidence=()),
        diagnosis("J44.11", certainty="V"),
    )
    assert found.forbidden == ("R05",)
    assert found.illegal == ("I10",)
    assert found.unfounded == ("F17.2",)
    assert (found.certain_right, found.certain) == (1, 2)


def test_nothing_expected_and_nothing_proposed_is_whole() -> None:
    gold = CASE.gold.model_copy(update={"codes": cases.Codes()})
    case = CASE.model_copy(update={"gold": gold})
    assert coding.score(case, results.Coding(diagnoses=())).jaccard == 1.0
    assert coding.score(case, results.Coding(diagnoses=(diagnosis("R05"),))).jaccard == 0.0


def test_the_lines_name_every_figure() -> None:
    told = "\n".join(coding.lines([scored(diagnosis("J44.11"), diagnosis("R05"))]))
    for figure in (
        "Jaccard                 0.333",
        "category recall         50.0% (1 of 2)",
        "forbidden codes         1 (R05)",
    ):
        assert figure in told
