"""How good the codes of a case are, beside its reference codes. `docs/evaluation.md` tells each figure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline import results
from pipeline.evaluation import cases
from terminology.icd10gm import catalogue, validation


@dataclass(frozen=True, slots=True)
class CodingScore:
    """One case. `jaccard`: groups of `codes.must` that were met, by these groups and all other codes that were proposed
    and are not in `codes.may` (1 where nothing was expected and nothing proposed). `categories`: groups met to the
    third character. `illegal`: codes that the year's catalogue does not hold or not for this setting, sex and age.
    """

    jaccard: float
    groups: int
    categories: int
    certain: int
    certain_right: int
    sided: int
    sided_right: int
    forbidden: tuple[str, ...]
    illegal: tuple[str, ...]
    unfounded: tuple[str, ...]


def score(case: cases.Case, coding: results.Coding) -> CodingScore:
    """The codes of a case measured by its reference codes."""
    gold = case.gold.codes
    by_code = {diagnosis.code: diagnosis for diagnosis in coding.diagnoses}
    met = [group for group in gold.must if by_code.keys() & set(group)]
    listed = {name for group in gold.must for name in group} | set(gold.may)
    extra = [name for name in by_code if name not in listed]
    all_of_them = len(gold.must) + len(extra)
    certain = [name for name in gold.certainty if name in by_code]
    sided = [name for name in gold.side if name in by_code]
    starts = {name[:3] for name in by_code}
    return CodingScore(
        jaccard=len(met) / all_of_them if all_of_them else 1.0,
        groups=len(gold.must),
        categories=sum(any(name[:3] in starts for name in group) for group in gold.must),
        certain=len(certain),
        certain_right=sum(by_code[name].certainty == gold.certainty[name] for name in certain),
        sided=len(sided),
        sided_right=sum(by_code[name].side == gold.side[name] for name in sided),
        forbidden=tuple(name for name in by_code if name in gold.forbidden),
        illegal=tuple(name for name, diagnosis in by_code.items() if _is_illegal(case, diagnosis)),
        unfounded=tuple(name for name, diagnosis in by_code.items() if not diagnosis.evidence),
    )


def _is_illegal(case: cases.Case, diagnosis: results.CodedDiagnosis) -> bool:
    patient, day = case.consultation.patient, case.consultation.day
    born = patient.birth_date
    verdict = validation.validate(
        catalogue.edition_of(diagnosis.year),
        diagnosis.code,
        is_practice=case.consultation.encounter.setting == "practice",
        sex=validation.SEXES.get(patient.sex or "", ""),
        lived=validation.Lived.on(day, born) if born is not None and day is not None else None,
    )
    return verdict.fault is not None


def lines(scores: Iterable[CodingScore]) -> list[str]:
    """The figures over all cases, a line each."""
    scores = list(scores)
    groups, categories = sum(s.groups for s in scores), sum(s.categories for s in scores)
    jaccard = sum(s.jaccard for s in scores) / len(scores) if scores else 0.0
    return [
        f"  Jaccard                 {jaccard:.3f}",
        f"  category recall         {categories / groups:.1%} ({categories} of {groups})"
        if groups
        else "  none expected",
        f"  certainty right         {sum(s.certain_right for s in scores)} of {sum(s.certain for s in scores)}",
        f"  side right              {sum(s.sided_right for s in scores)} of {sum(s.sided for s in scores)}",
        f"  forbidden codes         {_named(name for s in scores for name in s.forbidden)}",
        f"  illegal codes           {_named(name for s in scores for name in s.illegal)}",
        f"  codes without evidence  {_named(name for s in scores for name in s.unfounded)}",
    ]


def _named(names: Iterable[str]) -> str:
    found = sorted(names)
    return f"{len(found)} ({', '.join(found)})" if found else "0"
