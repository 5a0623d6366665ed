"""`pipeline.documenting`: every stage by its models and, where none is of use, by the rules. Nothing is lost."""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any, get_args

import pytest

from pipeline import consultation, documenting, results
from pipeline.engines import base, options, serving
from pipeline.evaluation import cases
from pipeline.stages import bill, check, code, read_document, scribe, summarise
from pipeline.stages.by_model import scribe as scribe_by_model
from terminology import labs
from terminology.icd10gm import wording
from tests import scripted_model

Visit = Callable[..., consultation.Consultation]

BUNDLED = cases.bundled()
DEFAULT = documenting.Options()
STAGES: tuple[options.Served, ...] = get_args(options.Served)
each_case = pytest.mark.parametrize("case", BUNDLED, ids=lambda case: case.name)


def everything(
    documented: consultation.Consultation,
    stages: dict[str, Sequence[scripted_model.Engine]] | None = None,
    options: documenting.Options = DEFAULT,
) -> documenting.Documented:
    setting = serving.Setting(scripted_model.serving(stages or {}))
    return asyncio.run(documenting.everything(setting, documented, options))


def all_by(engine: scripted_model.Engine) -> dict[str, Sequence[scripted_model.Engine]]:
    return {stage: [engine] for stage in STAGES}


def rejected(made: documenting.Documented) -> list[results.Rejected]:
    billed = made.billing.refused if made.billing else ()
    return [*made.note.rejected, *made.summary.rejected, *made.coding.rejected, *made.check.rejected, *billed]


def warnings(made: documenting.Documented) -> set[tuple[str, frozenset[str]]]:
    return {(warning.rule, frozenset(warning.drugs)) for warning in made.check.warnings}


def works(made: documenting.Documented) -> dict[str, results.Work]:
    found = {
        "scribe": made.note.work,
        "summarise": made.summary.work,
        "code": made.coding.work,
        "check": made.check.work,
    }
    return {**found, **({"bill": made.billing.work} if made.billing else {})}


_BY_RULES: dict[str, documenting.Documented] = {}


def by_rules(case: cases.Case) -> documenting.Documented:
    if case.name not in _BY_RULES:
        _BY_RULES[case.name] = everything(case.consultation)
    return _BY_RULES[case.name]


# --- the rules alone -------------------------------------------------------------------------------------------------


@each_case
def test_the_rules_alone_are_the_stages_by_hand(case: cases.Case) -> None:
    documented = case.consultation
    transcript = read_document.run(documented)
    note = scribe.run(documented, transcript)
    coding = code.run(documented, transcript, note)
    made = by_rules(case)
    assert made == documenting.Documented(
        transcript,
        note,
        summarise.run(documented, transcript, note),
        coding,
        check.run(documented, transcript, note),
        bill.run(documented, transcript, note, coding, None),
    )
    assert all(work == results.Work() for work in works(made).values())


@pytest.mark.parametrize("kind", get_args(base.Kind))
def test_models_that_fail_leave_the_rules_and_call_a_human(kind: base.Kind) -> None:
    case = cases.named("hypertension")
    engine = scripted_model.Engine(lambda _request: base.Failure(kind, "Ours."))
    made, alone = everything(case.consultation, all_by(engine)), by_rules(case)
    done = works(made)
    assert done.keys() >= {"scribe", "summarise", "check"}
    asked = {request.stage for request in engine.requests}
    assert asked == set(STAGES)
    for stage, work in done.items():
        assert work.needs_human and work.model is None, stage
        assert [a.outcome for a in work.attempts] == [kind] * (2 if kind in base.MENDABLE else 1)
    bare = {"work": results.Work()}
    assert made.note.model_copy(update=bare) == alone.note
    assert made.summary.model_copy(update=bare) == alone.summary
    assert made.coding.model_copy(update=bare) == alone.coding
    assert made.check.model_copy(update=bare) == alone.check
    assert made.billing is not None and made.billing.model_copy(update=bare) == alone.billing


def test_a_program_error_in_one_stage_is_an_error_of_all() -> None:
    def script(request: base.Request) -> Any:
        if request.stage == "check":
            raise ZeroDivisionError
        return base.Failure("unavailable", "Ours.")

    with pytest.raises(ZeroDivisionError):
        everything(cases.named("hypertension").consultation, all_by(scripted_model.Engine(script)))


def test_without_a_schedule_no_model_is_asked_for_the_bill(visit: Visit) -> None:
    engine = scripted_model.Engine(lambda _request: base.Failure("unavailable", "Ours."))
    text = "Patient: Ich habe seit drei Tagen Husten.\nArzt: Ich schreibe jetzt ein EKG, Sinusrhythmus.\n"
    for documented in (visit(text, insurance=None), visit(text, setting="hospital")):
        assert everything(documented, {"bill": [engine]}).billing is None and engine.requests == []
    assumed = documenting.Options(insurance_when_unknown="PKV")
    made = everything(visit(text, insurance=None), {"bill": [engine]}, assumed)
    assert made.billing is not None and made.billing.assumed and len(engine.requests) == 1


def test_the_readability_is_the_one_that_was_set(visit: Visit) -> None:
    case = cases.named("hypertension")

    def script(request: base.Request) -> Any:
        names = request.shape.json_schema["properties"]["saetze"]["items"]["properties"]["aussagen"]["items"]["enum"]
        note = {statement.id: statement for statement in by_rules(case).note.statements}
        told = [name for name in names if note[name].polarity == "affirmed" and note[name].section == "S"][:5]
        return {"saetze": [{"aussagen": [name], "text": note[name].text.ljust(10)} for name in told]}

    hard = everything(
        case.consultation, {"summarise": [scripted_model.Engine(script)]}, documenting.Options(readability=100)
    )
    assert hard.summary.work.needs_human and hard.summary.sentences == by_rules(case).summary.sentences
    assert hard.summary.rejected


# --- a perfect model -------------------------------------------------------------------------------------------------


def perfect(case: cases.Case, *, backwards: bool = False) -> Callable[[base.Request], Any]:
    """Says what the rules engine's note says, as far as the schema lets it, and nothing in the later stages."""
    _documented, transcript, note = scripted_model.worked(case)

    def script(request: base.Request) -> Any:
        if request.stage != "scribe":
            return {"stellen": []} if request.stage in ("check", "bill") else {"diagnosen": []}
        most = request.shape.json_schema["properties"]["stellen"]["maxItems"]
        said = scripted_model.sayable(note)
        while len(said) > most:  # every section keeps its share
            del said[:: max(2, len(said) // max(1, len(said) - most))]
        return scripted_model.noted(said[::-1] if backwards else said, transcript)

    return script


@each_case
def test_a_perfect_model_is_used_and_nothing_is_lost(case: cases.Case) -> None:
    engine = scripted_model.Engine(perfect(case))
    made, alone = (
        everything(case.consultation, {s: [engine] for s in ("scribe", "code", "check", "bill")}),
        by_rules(case),
    )
    assert made.note.work.model and not any(work.needs_human for work in works(made).values())
    assert warnings(alone) <= warnings(made)
    assert {drug.ingredients for drug in alone.check.drugs} <= {drug.ingredients for drug in made.check.drugs}


@each_case
def test_the_order_in_which_a_model_says_it_takes_no_warning_away(case: cases.Case) -> None:
    """A stop that was said before a prescription stays before it, though a model says it behind."""
    engine = scripted_model.Engine(perfect(case, backwards=True))
    made, alone = everything(case.consultation, {"scribe": [engine]}), by_rules(case)
    assert made.note.work.model is not None
    assert warnings(alone) <= warnings(made)


def test_a_stop_before_a_prescription_stays_before_it(visit: Visit) -> None:
    text = """Arzt: Was nehmen Sie ein?
Patient: Ich nehme Marcumar, drei Milligramm abends.
Arzt: Ibuprofen haben wir im Januar abgesetzt.
Arzt: Jetzt verschreibe ich Ihnen wieder Ibuprofen 600 mg dreimal am Tag.
"""
    items = (
        ("S", "Nimmt Marcumar, drei Milligramm abends.", 2, "Ich nehme Marcumar, drei Milligramm abends"),
        ("P", "Ibuprofen 600 mg dreimal am Tag.", 4, "Ibuprofen 600 mg dreimal am Tag"),
        ("P", "Ibuprofen im Januar abgesetzt.", 3, "Ibuprofen haben wir im Januar abgesetzt"),
    )
    answer = {
        "stellen": [
            {"belege": [{"segment": number, "zitat": quote}], "abschnitt": section, "art": "bejaht", "text": said}
            for section, said, number, quote in items
        ]
    }
    alone = everything(visit(text))
    assert ("nsaid-anticoagulant", frozenset({"Ibuprofen", "Phenprocoumon"})) in warnings(alone)
    made = everything(visit(text), {"scribe": [scripted_model.Engine(lambda _request: answer)]})
    assert made.note.work.model is not None and warnings(alone) <= warnings(made)


@pytest.mark.parametrize(
    "said, text",
    [
        ("Meine Mutter nimmt Marcumar abends.", "Mutter nimmt Marcumar abends."),
        ("Mein Vater hat Asthma.", "Vater hat Asthma."),
        ("Meine Schwester hat eine Penicillinallergie.", "Schwester hat eine Penicillinallergie."),
        ("Mein Vater hatte Prostatakrebs.", "Vater hatte Prostatakrebs."),
    ],
)
@pytest.mark.parametrize("section", results.SECTIONS)
def test_what_a_relative_has_is_nothing_of_the_patient(visit: Visit, said: str, text: str, section: str) -> None:
    """A model says of a relative's illness that it is so: no drug, no warning and no code comes of it."""
    talk = f"""Patient: Ich habe seit drei Tagen Husten und Fieber. {said}
Arzt: Ich verschreibe Ihnen Amoxicillin 1000 mg dreimal täglich und Propranolol 40 mg morgens.
Arzt: Das ist eine akute Bronchitis.
"""
    stellen = [
        {"belege": [{"segment": number, "zitat": quote}], "abschnitt": where, "art": "bejaht", "text": words}
        for number, quote, where, words in (
            (1, "Ich habe seit drei Tagen Husten", "S", "Seit drei Tagen Husten."),
            (2, "Amoxicillin 1000 mg dreimal täglich", "P", "Amoxicillin 1000 mg dreimal täglich."),
            (3, "Das ist eine akute Bronchitis", "A", "Akute Bronchitis."),
            (1, said.rstrip("."), section, text),
        )
    ]
    engine = scripted_model.Engine(lambda _request: {"stellen": stellen})
    alone, made = everything(visit(talk)), everything(visit(talk), {"scribe": [engine]})
    assert made.note.work.model is not None
    assert {d.code for d in made.coding.diagnoses} <= {d.code for d in alone.coding.diagnoses}
    assert {d.ingredients for d in made.check.drugs} <= {d.ingredients for d in alone.check.drugs}
    assert warnings(made) <= warnings(alone)


# --- a random model --------------------------------------------------------------------------------------------------


def erratic(case: cases.Case, chance: random.Random) -> Callable[[base.Request], Any]:
    """Says anything within the schema; as a scribe most of it is true, so that its answers are of use."""
    _documented, transcript, note = scripted_model.worked(case)
    words = " ".join([*(s.text for s in transcript.segments), *(s.text for s in note.statements)]).split()

    def script(request: base.Request) -> Any:
        value = scripted_model.random_value(request.shape, chance, words)
        if request.stage == "scribe":
            most = request.shape.json_schema["properties"]["stellen"]["maxItems"]
            true = scripted_model.noted(scripted_model.sayable(note), transcript)["stellen"]
            kept = sorted(chance.sample(range(len(true)), min(len(true), most * 3 // 4)))
            value["stellen"] = ([true[number] for number in kept] + value["stellen"])[:most]
            chance.shuffle(value["stellen"])
        return value

    return script


def _said(made: documenting.Documented) -> set[str]:
    """Every text of a result that a model could have worded."""
    return {s.text for s in made.note.statements} | {s.text for s in made.summary.sentences}


@pytest.mark.parametrize("seed", range(42))
def test_whatever_a_model_says_within_the_schema_nothing_false_comes_of_it(seed: int) -> None:
    """Each case twice with five stages of one erratic model: more than two hundred answers."""
    case = BUNDLED[seed % len(BUNDLED)]
    engine = scripted_model.Engine(erratic(case, random.Random(seed)))
    made, alone = everything(case.consultation, all_by(engine)), by_rules(case)

    fallen = {fell.proposal for fell in rejected(made) if fell.check not in (None, "repeated", "contradiction")}
    own = _said(alone)
    assert fallen & _said(made) <= own
    assert warnings(alone) <= warnings(made)
    by_hand = code.run(case.consultation, made.transcript, made.note)
    assert {d.code[:3] for d in by_hand.diagnoses} <= {d.code[:3] for d in made.coding.diagnoses}
    named = {statement.id for statement in made.note.statements}
    assert all(diagnosis.statement in named for diagnosis in made.coding.diagnoses)
    for statement in made.note.statements:
        assert statement.evidence and all(item.segment or item.record for item in statement.evidence)
    for work in works(made).values():
        assert work.attempts == () or work.needs_human or work.model


@each_case
def test_a_diagnosis_that_a_scribe_leaves_out_is_not_lost(case: cases.Case) -> None:
    """The rules engine adds what is critical, and a diagnosis that was made is."""
    documented, transcript, note = scripted_model.worked(case)
    coding = code.run(documented, transcript, note)
    for statement in [s for s in note.section("A") if s.id in {d.statement for d in coding.diagnoses}][:3]:
        said = [s for s in scripted_model.sayable(note) if s is not statement]
        made = scribe_by_model.judge(scripted_model.noted(said, transcript), documented, transcript)
        assert made.result is not None
        found = code.run(documented, transcript, made.result)
        assert {d.code[:3] for d in coding.diagnoses} <= {d.code[:3] for d in found.diagnoses}, statement.text


@pytest.mark.parametrize("name", ["atrial-fibrillation", "delirium-home-visit", "diabetes-follow-up", "migraine"])
def test_an_illness_or_a_value_that_a_scribe_leaves_out_takes_no_warning_away(name: str) -> None:
    documented, transcript, note = scripted_model.worked(cases.named(name))
    expected = {(w.rule, frozenset(w.drugs)) for w in check.run(documented, transcript, note).warnings}
    said = scripted_model.sayable(note)
    for left_out in said:
        if not (wording.find(left_out.text) or labs.find(left_out.text)) or left_out.section not in ("A", "O"):
            continue
        answer = scripted_model.noted([s for s in said if s is not left_out], transcript)
        made = scribe_by_model.judge(answer, documented, transcript)
        assert made.result is not None
        found = check.run(documented, transcript, made.result)
        assert expected <= {(w.rule, frozenset(w.drugs)) for w in found.warnings}, left_out.text


def test_an_erratic_scribe_is_often_of_use() -> None:
    """The test above says something: most of its notes are a model's."""
    used = 0
    for case in BUNDLED[:8]:
        engine = scripted_model.Engine(erratic(case, random.Random(1)))
        used += everything(case.consultation, {"scribe": [engine]}).note.work.model is not None
    assert used >= 4
