"""`pipeline.stages.by_model.code`: a model chooses among codes, and catalogue and rules decide."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from pipeline import consultation, results, segments
from pipeline.engines import serving
from pipeline.evaluation import cases
from pipeline.stages import code
from pipeline.stages.by_model import code as by_model
from terminology.icd10gm import catalogue
from tests import scripted_model

Visit = Callable[..., consultation.Consultation]
Write = Callable[..., results.Note]

BUNDLED = cases.bundled()
NOTHING = segments.Transcript(segments=())


def codes(made: results.Coding | None) -> list[str]:
    return [diagnosis.code for diagnosis in made.diagnoses] if made else []


@pytest.fixture
def judged(visit: Visit, note: Write) -> Callable[..., tuple[results.Coding, serving.Judged[results.Coding]]]:
    """The coding of the rules alone, and with what a model proposes: (number of the statement, code)."""

    def judge(
        parts: list[tuple[str, ...]], *proposed: tuple[int, str], **about: Any
    ) -> tuple[results.Coding, serving.Judged[results.Coding]]:
        written, documented = note(*parts), visit(**about)
        said = [{"aussage": f"s{number}", "kode": name} for number, name in proposed]
        by_rules = code.run(documented, NOTHING, written)
        return by_rules, by_model.judge({"diagnosen": said}, documented, NOTHING, written)

    return judge


def test_without_a_named_diagnosis_nothing_is_asked(visit: Visit, note: Write) -> None:
    for parts in ([], [("A", "Alles gut.")], [("S", "Asthma.")]):
        assert by_model.question(visit(), note(*parts)) is None


def test_the_choices_are_codes_of_the_year_and_of_what_is_named(visit: Visit, note: Write) -> None:
    written = note(("A", "Asthma bronchiale."), ("A", "Kontrolle."))
    question = by_model.question(visit(), written)
    assert question is not None
    item = question.shape.json_schema["properties"]["diagnosen"]["items"]["properties"]
    assert item["aussage"]["enum"] == ["s1", "s2"]
    assert {name[:3] for name in item["kode"]["enum"]} == {"J45"}
    assert all(catalogue.code(name, 2026) is not None for name in item["kode"]["enum"])
    assert question.shape.max_bytes and "(s1) Asthma bronchiale." in question.user


def test_no_proposal_is_the_coding_of_the_rules(judged: Callable[..., Any]) -> None:
    by_rules, made = judged([("A", "Asthma bronchiale.")])
    assert made.result == by_rules and made.rejected == ()


def test_what_the_rules_find_too_is_proposed_once(judged: Callable[..., Any]) -> None:
    by_rules, made = judged([("A", "Asthma bronchiale.")], *[(1, "J45.99")] * 12)
    assert codes(made.result) == codes(by_rules) and made.rejected == ()


@pytest.mark.parametrize(
    "text, polarity, name",
    [
        ("Kein Asthma bronchiale.", "negated", "J45.99"),
        ("Kein Asthma bronchiale.", "affirmed", "J45.99"),
        ("Asthma bronchiale beim Vater.", "family", "J45.99"),
        ("Mein Vater hat Asthma bronchiale.", "affirmed", "J45.99"),
        ("Die Mutter hatte Brustkrebs.", "affirmed", "C50.9"),
        ("Angst vor Asthma bronchiale.", "affirmed", "J45.99"),
    ],
)
def test_what_is_denied_feared_or_of_relatives_has_no_code(
    text: str, polarity: str, name: str, judged: Callable[..., Any]
) -> None:
    _by_rules, made = judged([("A", text, polarity)], (1, name))
    assert name not in codes(made.result) and [fell.proposal for fell in made.rejected] == [f"{name}: {text}"]


def test_a_statement_that_names_another_diagnosis_carries_no_code(judged: Callable[..., Any]) -> None:
    by_rules, made = judged([("A", "Asthma bronchiale."), ("A", "Akute Bronchitis.")], (1, "J20.9"), (2, "J45.99"))
    assert made.result is None and {fell.check for fell in made.rejected} == {"diagnosis"}
    assert len(codes(by_rules)) == 2


@pytest.mark.parametrize(
    "parts, name",
    [
        ([("A", "COPD.")], "J44.11"),
        ([("A", "COPD.")], "J44.00"),
        ([("A", "Diabetes mellitus Typ 2.")], "E11.72"),
        ([("A", "Diabetes mellitus Typ 2.")], "E11.50"),
        ([("A", "Herzinsuffizienz.")], "I50.14"),
        ([("A", "Herzinsuffizienz.")], "I50.01"),
        ([("A", "Depressive Episode.")], "F32.2"),
        ([("A", "Niereninsuffizienz.")], "N18.5"),
        ([("A", "Akute Tonsillitis.")], "J03.0"),
        ([("A", "Asthma bronchiale.")], "J45.02"),
        ([("A", "Bandscheibenvorfall.")], "M51.0"),
        ([("A", "COPD."), ("A", "Keine akute Exazerbation.", "negated")], "J44.19"),
        ([("A", "COPD, keine akute Exazerbation.")], "J44.19"),
        ([("A", "COPD stabil, akute Exazerbation ausgeschlossen.")], "J44.19"),
        ([("A", "COPD."), ("A", "Eine akute Exazerbation liegt nicht vor.")], "J44.19"),
        ([("A", "Vorhofflimmern, nicht persistierend.")], "I48.1"),
        ([("A", "Vorhofflimmern."), ("A", "Kein Hinweis auf persistierendes Flimmern.")], "I48.1"),
        ([("A", "Asthma bronchiale, nicht allergisch.")], "J45.09"),
        ([("A", "Asthma bronchiale."), ("A", "Der Bruder hat ein vorwiegend allergisches Asthma.")], "J45.09"),
        ([("A", "Pneumonie."), ("A", "Kein Anhalt für Lobärpneumonie.")], "J18.1"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(part[1] for part in value),
)
def test_a_code_says_no_more_than_the_note(parts: list[tuple[str, ...]], name: str, judged: Callable[..., Any]) -> None:
    by_rules, made = judged(parts, *[(number, name) for number, part in enumerate(parts, start=1) if part[0] == "A"])
    assert name not in codes(by_rules), "the rules read more than was said"
    assert name not in codes(made.result), "the model was believed"


@pytest.mark.parametrize(
    "text, name",
    [
        ("Dermatophytose, kein Anhalt für Tinea pedis.", "B35.3"),
        ("Kandidose, keine Candida-Stomatitis.", "B37.0"),
        ("Infektiöse Mononukleose, nicht durch Gamma-Herpesviren.", "B27.0"),
        ("Virusinfektion, Coronaviren wurden ausgeschlossen.", "B34.2"),
        ("Trichomoniasis, der Bruder hat eine Trichomoniasis urogenitalis.", "A59.0"),
    ],
)
def test_a_denied_detail_makes_no_code_more_specific(text: str, name: str, judged: Callable[..., Any]) -> None:
    by_rules, made = judged([("A", text)], (1, name))
    assert name not in codes(by_rules) and name not in codes(made.result)


def test_a_code_that_the_words_carry_is_taken(judged: Callable[..., Any]) -> None:
    """Vorwiegend allergisches Asthma has its code where the note says so."""
    found = []
    for text in (
        "Vorwiegend allergisches Asthma bronchiale.",
        "Persistierendes Vorhofflimmern.",
        "COPD mit akuter Exazerbation.",
    ):
        _by_rules, made = judged([("A", text)], *[(1, c) for c in ("J45.09", "I48.1", "J44.19")])
        found += codes(made.result)
    assert {"J45.09", "I48.1", "J44.19"} & set(found)


@pytest.mark.parametrize("setting", ["practice", "hospital"])
@pytest.mark.parametrize("case", BUNDLED, ids=lambda case: case.name)
def test_no_choice_loses_a_code_of_the_rules(case: cases.Case, setting: consultation.Setting) -> None:
    """A code may give way to a more specific one of its category, to nothing else."""
    documented, transcript, written = scripted_model.worked(case)
    encounter = documented.encounter.model_copy(update={"setting": setting})
    documented = documented.model_copy(update={"encounter": encounter})
    by_rules = code.run(documented, transcript, written)
    question = by_model.question(documented, written)
    if question is None:
        return
    for seed in range(8):
        value = scripted_model.random_value(question.shape, random.Random(seed))
        made = by_model.judge(value, documented, transcript, written)
        if made.result is None:
            assert made.fault and made.rejected
            continue
        found = codes(made.result)
        assert [name for name in codes(by_rules) if name[:3] not in {other[:3] for other in found}] == []
        assert all(catalogue.code(name, made.result.diagnoses[0].year) is not None for name in found)
        fallen = {fell.proposal for fell in made.rejected}
        texts = {statement.id: statement.text for statement in written.statements}
        taken = {d["kode"] for d in value["diagnosen"] if f"{d['kode']}: {texts[d['aussage']]}" not in fallen}
        assert set(found) <= taken | set(codes(by_rules))
        assert [d.rank for d in made.result.diagnoses] == list(range(1, len(found) + 1))


@pytest.mark.parametrize("case", BUNDLED, ids=lambda case: case.name)
def test_a_perfect_model_changes_nothing(case: cases.Case) -> None:
    documented, transcript, written = scripted_model.worked(case)
    by_rules = code.run(documented, transcript, written)
    assessed = {statement.id for statement in written.section("A")}
    question = by_model.question(documented, written)
    offered = (
        question.shape.json_schema["properties"]["diagnosen"]["items"]["properties"]["kode"]["enum"] if question else []
    )
    said = [
        {"aussage": d.statement, "kode": d.code}
        for d in by_rules.diagnoses
        if d.statement in assessed and d.code in offered and d.reason.endswith("Beurteilung.")
    ]
    made = by_model.judge({"diagnosen": said}, documented, transcript, written)
    assert [fell.proposal for fell in made.rejected] == []
    assert made.result is not None and set(codes(made.result)) == set(codes(by_rules))
    assert {(d.code, d.certainty, d.side) for d in made.result.diagnoses} == {
        (d.code, d.certainty, d.side) for d in by_rules.diagnoses
    }
