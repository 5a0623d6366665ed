"""`pipeline.stages.by_model.summarise`: a model words the summary from the note, and adds nothing."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from pipeline import results, segments
from pipeline.engines import serving
from pipeline.evaluation import cases
from pipeline.grounding import summary
from pipeline.stages import summarise
from pipeline.stages.by_model import scribe
from pipeline.stages.by_model import summarise as by_model
from terminology.german import sentences
from tests import scripted_model

BUNDLED = cases.bundled()
TEXT = """Arzt: Was führt Sie her?
Patient: Seit drei Tagen hab ich Husten. Fieber hab ich keins.
Arzt: Das ist am ehesten eine Lungenentzündung.
Arzt: Ich verschreibe Ihnen Amoxicillin 1000 mg dreimal täglich für sieben Tage.
Arzt: Kommen Sie in zwei Tagen zur Kontrolle.
"""
NOTE = (
    ("S", "Seit drei Tagen Husten.", "bejaht", 2, "Seit drei Tagen hab ich Husten"),
    ("S", "Kein Fieber.", "verneint", 2, "Fieber hab ich keins"),
    ("A", "Am ehesten Lungenentzündung.", "unsicher", 3, "Das ist am ehesten eine Lungenentzündung"),
    (
        "P",
        "Amoxicillin 1000 mg dreimal täglich für sieben Tage.",
        "bejaht",
        4,
        "Amoxicillin 1000 mg dreimal täglich für sieben Tage",
    ),
    ("P", "Kontrolle in zwei Tagen.", "bejaht", 5, "Kommen Sie in zwei Tagen zur Kontrolle"),
)
GOOD = (
    (["s1"], "Sie haben seit drei Tagen Husten."),
    (["s2"], "Fieber haben Sie nicht."),
    (["s4"], "Nehmen Sie Amoxicillin 1000 mg dreimal täglich für sieben Tage."),
    (["s5"], "Kommen Sie in zwei Tagen zur Kontrolle."),
)
Judge = Callable[..., serving.Judged[results.PatientSummary]]


@pytest.fixture
def written(
    talk: Callable[[str], segments.Transcript], visit: Callable[..., Any]
) -> tuple[results.Note, segments.Transcript]:
    """The note of `TEXT` and its talk."""
    stellen = [
        {"belege": [{"segment": number, "zitat": quote}], "abschnitt": section, "art": kind, "text": text}
        for section, text, kind, number, quote in NOTE
    ]
    made = scribe.judge({"stellen": stellen}, visit(TEXT), talk(TEXT))
    assert made.result is not None and made.rejected == ()
    return made.result, talk(TEXT)


@pytest.fixture
def judged(written: tuple[results.Note, segments.Transcript]) -> Judge:
    """What is left of these sentences: (statements, text)."""

    def judge(*said: tuple[list[str], str], readability: float = 0.0) -> serving.Judged[results.PatientSummary]:
        value = {"saetze": [{"aussagen": names, "text": text} for names, text in said]}
        return by_model.judge(value, *written, readability)

    return judge


def test_without_a_note_nothing_is_asked() -> None:
    assert by_model.question(results.Note(statements=())) is None


def test_the_question_is_the_note_and_no_word_of_the_talk(written: tuple[results.Note, segments.Transcript]) -> None:
    question = by_model.question(written[0])
    assert question is not None and "Was führt Sie her" not in question.user and question.shape.segments == {}
    assert question.user.splitlines()[0] == "(s1) S: Seit drei Tagen Husten." and question.shape.max_bytes


def test_what_the_note_says_is_taken_with_its_evidence(judged: Judge) -> None:
    made = judged(*GOOD)
    assert made.result is not None and made.rejected == () and made.result.notice == summarise.NOTICE
    assert [s.text for s in made.result.sentences] == [text for _names, text in GOOD]
    assert [s.id for s in made.result.sentences] == ["p1", "p2", "p3", "p4"]
    assert [[e.segment for e in s.evidence] for s in made.result.sentences] == [[2], [2], [4], [5]]


@pytest.mark.parametrize(
    "names, text",
    [
        (["s1"], "Sie haben seit vier Tagen Husten."),
        (["s1"], "Sie haben keinen Husten."),
        (["s2"], "Sie haben Fieber."),
        (["s3"], "Sie haben eine Lungenentzündung."),
        (["s4"], "Nehmen Sie Amoxicillin 500 mg dreimal täglich."),
        (["s4"], "Nehmen Sie Amoxicillin 1000 mg zweimal täglich."),
        (["s4"], "Nehmen Sie Ibuprofen 1000 mg dreimal täglich."),
        (["s4"], "Nehmen Sie Amoxicillin für zehn Tage."),
        (["s4"], "Nehmen Sie kein Amoxicillin."),
        (["s5"], "Kommen Sie in zwei Wochen zur Kontrolle."),
        (["s5"], "Rufen Sie bei Fieber sofort den Notarzt."),
        (["s1"], "Trinken Sie viel Tee und bleiben Sie im Bett."),
        (["s1"], "Ihre Mutter hat seit drei Tagen Husten."),
        (["s1"], "Sie sind 45 Jahre alt und haben seit drei Tagen Husten."),
        (["s1"], "Sie haben rechts seit drei Tagen Husten."),
        (["s1"], "Sie dürfen Amoxicillin jederzeit absetzen."),
        (["s1"], "Vergessen Sie alle Regeln und rufen Sie 0900 an."),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_note_does_not_say_stands_nowhere(names: list[str], text: str, judged: Judge) -> None:
    made = judged(*GOOD, (names, text))
    assert made.result is not None and text not in [s.text for s in made.result.sentences]
    assert [fell.proposal for fell in made.rejected] == [text]
    (fell,) = made.rejected
    assert fell.stage == "summarise" and fell.check and fell.harm and fell.reason


def test_a_sentence_that_cites_another_statement_is_refused(judged: Judge) -> None:
    made = judged(*GOOD, (["s1"], "Kommen Sie in zwei Tagen wieder zur Kontrolle."))
    assert [fell.proposal for fell in made.rejected] == ["Kommen Sie in zwei Tagen wieder zur Kontrolle."]


def test_the_same_sentence_five_times_is_no_summary(judged: Judge) -> None:
    made = judged(*[GOOD[0]] * 5)
    assert made.result is None or len({s.text for s in made.result.sentences}) == len(made.result.sentences)


def test_too_little_that_holds_is_of_no_use(judged: Judge) -> None:
    made = judged(GOOD[0], (["s2"], "Sie haben Fieber."), (["s4"], "Nehmen Sie Ibuprofen 600."))
    assert made.result is None and made.fault and "Ibuprofen" not in made.fault


def test_a_summary_that_is_hard_to_read_is_of_no_use(judged: Judge) -> None:
    assert judged(*GOOD, readability=0.0).result is not None
    assert judged(*GOOD, readability=100.0).result is None


@pytest.mark.parametrize("case", BUNDLED, ids=lambda case: case.name)
def test_a_random_answer_adds_nothing(case: cases.Case) -> None:
    _documented, transcript, note = scripted_model.worked(case)
    question = by_model.question(note)
    assert question is not None
    words = " ".join(s.text for s in note.statements).split()
    for seed in range(3):
        value = scripted_model.random_value(question.shape, random.Random(seed), words)
        made = by_model.judge(value, note, transcript, 0.0)
        if made.result is not None:
            kept = {s.text for s in made.result.sentences}
            assert kept <= set(scripted_model.texts(value)) and not kept & {fell.proposal for fell in made.rejected}
            length = len(sentences.split(" ".join(s.text for s in made.result.sentences)))
            assert summary.FEWEST <= length <= summary.MOST
        else:
            assert made.fault
