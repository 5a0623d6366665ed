"""`pipeline.stages.summarise`: three to five plain sentences that say only what the note says."""

import functools
from collections.abc import Callable

import pytest

from pipeline import consultation, results, segments
from pipeline.evaluation import cases
from pipeline.grounding import plain
from pipeline.stages import read_document, scribe, summarise
from terminology.drugs import catalogue as drugs
from terminology.german import numbers

Note = Callable[..., results.Note]
Visit = Callable[..., consultation.Consultation]


BUNDLED = {case.name: case for case in cases.bundled()}


@functools.cache
def summarised(name: str) -> tuple[results.Note, results.PatientSummary]:
    """Note and summary of a bundled case."""
    case = BUNDLED[name]
    transcript = read_document.run(case.consultation)
    note = scribe.run(case.consultation, transcript)
    return note, summarise.run(case.consultation, transcript, note)


@pytest.mark.parametrize("name", sorted(BUNDLED))
def test_nothing_stands_in_it_that_is_not_in_the_note(name: str) -> None:
    note, summary = summarised(name)
    assert 3 <= len(summary.sentences) <= 5
    noted = " ".join(statement.text for statement in note.statements)
    evidence = {item for statement in note.statements for item in statement.evidence}
    for sentence in summary.sentences:
        assert numbers.values(sentence.text) <= numbers.values(noted)
        named = {drug for mention in drugs.find(sentence.text) for drug in mention.names}
        assert named <= {drug for mention in drugs.find(noted) for drug in mention.names}
        assert set(sentence.evidence) <= evidence
        assert sentence.text[0].isupper() and sentence.text.endswith((".", "!", "?"))
    assert len({sentence.id for sentence in summary.sentences}) == len(summary.sentences)
    assert "Entwurf" in summary.notice
    assert all("Entwurf" not in sentence.text for sentence in summary.sentences)


FULL = (
    ("S", "Husten seit drei Tagen."),
    ("S", "Kein Fieber.", "negated"),
    ("A", "Akute Bronchitis."),
    ("P", "Ibuprofen 400 mg bei Bedarf."),
    ("P", "Kontrolle in 2 Wochen."),
)


def said(note: results.Note) -> segments.Transcript:
    """A talk in which every statement of the note was said as it stands there."""
    texts = [statement.text for statement in note.statements]
    return segments.Transcript(
        segments=tuple(
            segments.Segment(number=number, source="t", speaker="doctor", text=text, start=0, end=len(text))
            for number, text in enumerate(texts, start=1)
        )
    )


def text_of(visit: Visit, note: results.Note) -> str:
    """The summary as one text."""
    return " ".join(sentence.text for sentence in summarise.run(visit(), said(note), note).sentences)


def test_what_was_said_is_in_it(note: Note, visit: Visit) -> None:
    text = text_of(visit, note(*FULL))
    for word in ("Husten", "Atemwege", "Ibuprofen 400 mg", "in 2 Wochen"):
        assert word in text


def test_what_was_denied_is_not_told_as_a_complaint(note: Note, visit: Visit) -> None:
    assert "Fieber" not in text_of(visit, note(*FULL))


def test_an_uncertain_diagnosis_is_told_as_uncertain(note: Note, visit: Visit) -> None:
    text = text_of(visit, note(("A", "Verdacht auf Pneumonie.", "uncertain")))
    assert "nicht sicher" in text


@pytest.mark.parametrize("polarity", ["negated", "family"])
def test_no_diagnosis_that_was_denied_or_is_somebody_elses(note: Note, visit: Visit, polarity: str) -> None:
    assert "Diagnose" not in text_of(visit, note(("A", "Migräne.", polarity)))


def test_no_drug_that_was_refused(note: Note, visit: Visit) -> None:
    assert "Ibuprofen" not in text_of(visit, note(("P", "Kein Ibuprofen.", "negated")))


@pytest.mark.parametrize("parts", [(), (("S", "Husten."),), FULL])
def test_three_to_five_sentences(note: Note, visit: Visit, parts: tuple[tuple[str, ...], ...]) -> None:
    made = note(*parts)
    assert 3 <= len(summarise.run(visit(), said(made), made).sentences) <= 5


def test_what_the_gate_refuses_is_left_out_and_kept_for_review(note: Note, visit: Visit) -> None:
    summary = summarise.run(visit(), segments.Transcript(segments=()), note(*FULL))
    assert [sentence.text for sentence in summary.sentences] == [plain.nothing(), *plain.closings()[:2]]
    assert all(sentence.evidence == () for sentence in summary.sentences)
    assert {refused.check for refused in summary.rejected} <= {"evidence", "date"} and summary.rejected


def test_it_is_in_words_that_a_patient_knows(note: Note, visit: Visit) -> None:
    text = text_of(visit, note(("S", "Husten."), ("A", "Hypertonie und Klavikulafraktur.")))
    assert "Bluthochdruck und gebrochenes Schlüsselbein" in text


def test_the_same_note_gives_the_same_summary(note: Note, visit: Visit) -> None:
    assert text_of(visit, note(*FULL)) == text_of(visit, note(*FULL))


@pytest.mark.parametrize(
    "plan",
    [
        "Wenn Sie Fieber bekommen, nicht das Ibuprofen nehmen.",
        "Statt Ibuprofen lieber etwas anderes.",
        "Wenn es nicht besser ist, Ibuprofen 400 mg.",
        "Ibuprofen lassen wir weg.",
        "Keine Schmerztabletten wegen dem Ibuprofen.",
        "Ibuprofen erhöhen wir auf 600, nein, wir senken es auf 200 mg.",
    ],
)
def test_only_an_unconditional_order_is_told_as_one(note: Note, visit: Visit, plan: str) -> None:
    assert "Ibuprofen" not in text_of(visit, note(("P", plan)))


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        ("Röntgen Thorax heute noch.", "ein Röntgenbild."),
        ("Dann machen wir ein MRT der Lendenwirbelsäule.", "eine Aufnahme in der Röhre (MRT)."),
    ],
)
def test_imaging_is_told_as_it_was_ordered(note: Note, visit: Visit, plan: str, told: str) -> None:
    assert told in text_of(visit, note(("P", plan)))


def test_a_reaction_to_a_drug_is_no_complaint(note: Note, visit: Visit) -> None:
    assert "Ausschlag" not in text_of(visit, note(("S", "Auf Novalgin hab ich Ausschlag gekriegt.")))


def test_the_answer_to_a_reason_is_told(talk: Callable[[str], segments.Transcript], visit: Visit) -> None:
    heard = talk("Arzt: Wegen Ihrer Allergie bekommen Sie Clindamycin, 600 Milligramm, dreimal täglich.")
    made = summarise.run(visit(), heard, scribe.run(visit(), heard))
    assert any("Clindamycin, 600 mg" in sentence.text for sentence in made.sentences)
