"""`pipeline.evaluation.cases`: the bundled consultations with their gold annotations."""

from pathlib import Path

import pydantic
import pytest

from pipeline import results
from pipeline.evaluation import cases
from terminology.icd10gm import catalogue

BUNDLED = cases.bundled()


def test_names_are_unique_and_found() -> None:
    assert len({case.name for case in BUNDLED}) == len(BUNDLED) >= 20
    assert cases.named(BUNDLED[0].name) == BUNDLED[0]
    with pytest.raises(KeyError):
        cases.named("nothing")


@pytest.mark.parametrize("case", BUNDLED, ids=lambda case: case.name)
def test_a_case_is_whole(case: cases.Case) -> None:
    assert case.title and case.about and case.transcript.strip()
    assert case.consultation.sources[0].content == case.transcript.encode()
    assert case.consultation.day is not None and case.consultation.encounter.minutes is not None
    assert case.gold.facts and {s for fact in case.gold.facts for s in fact.section} <= set(results.SECTIONS)
    lowered = case.transcript.lower()
    assert [word for word in case.gold.fabricated if word.lower() in lowered.split()] == []
    for group in case.gold.codes.must:
        assert any(catalogue.known(name) for name in group), group
        assert not set(group) & set(case.gold.codes.forbidden)
    assert not set(case.gold.billing.must) & set(case.gold.billing.must_not)


def test_cases_of_another_folder(tmp_path: Path) -> None:
    assert cases.read(tmp_path) == ()
    folder = Path(cases.__file__).parent / "cases"
    (tmp_path / "b.yaml").write_bytes((folder / "migraine.yaml").read_bytes())
    (read,) = cases.read(tmp_path)
    assert read in BUNDLED


def test_an_unknown_field_is_an_error() -> None:
    with pytest.raises(pydantic.ValidationError):
        cases.Gold.model_validate({"facts": [], "surprise": 1})
