"""`pipeline.engines.rules.dialogue`: questions folded into their answers."""

from collections.abc import Callable

import pytest

from pipeline import segments
from pipeline.engines.rules import dialogue

Talk = Callable[[str], segments.Transcript]


def answers(talk: Talk, question: str, answer: str) -> list[dialogue.Utterance]:
    """What becomes of one question and its answer."""
    transcript = talk(f"Ärztin: {question}\nPatient: {answer}\nÄrztin: Das ist gut, dann machen wir es so.")
    return [found for found in dialogue.utterances(transcript) if found.speaker == "patient"]


@pytest.mark.parametrize("answer", ["Nein.", "Nee.", "Nein, gar nicht.", "Nö, eigentlich nicht.", "Auch nicht."])
def test_a_plain_no_denies_what_was_asked(talk: Talk, answer: str) -> None:
    (found,) = answers(talk, "Haben Sie Fieber?", answer)
    assert "Fieber" in found.question
    assert found.is_negative
    assert [item.segment for item in found.evidence] == [1, 2]


@pytest.mark.parametrize("answer", ["Ja.", "Ja, schon.", "Ja, leider."])
def test_a_plain_yes_confirms_what_was_asked(talk: Talk, answer: str) -> None:
    (found,) = answers(talk, "Haben Sie Fieber?", answer)
    assert "Fieber" in found.question
    assert not found.is_negative
    assert found.text.startswith("ja")


def test_a_no_with_something_else_denies_and_tells(talk: Talk) -> None:
    denied, told = answers(talk, "Haben Sie Fieber?", "Nein, nur Husten.")
    assert "Fieber" in denied.question and denied.is_negative
    assert "Husten" in told.text and not told.is_negative


def test_an_answer_that_says_all_stands_alone(talk: Talk) -> None:
    found = answers(talk, "Haben Sie Fieber?", "Ja, seit gestern habe ich hohes Fieber.")
    assert len(found) == 1 and "hohes Fieber" in found[0].text


def test_a_short_answer_keeps_its_question(talk: Talk) -> None:
    (found,) = answers(talk, "Seit wann haben Sie den Husten?", "Drei Tage.")
    assert "Husten" in found.question and "Drei Tage" in found.text


def test_a_self_correction_in_the_next_sentence_is_applied(talk: Talk) -> None:
    found = list(dialogue.utterances(talk("Ärztin: Der Blutdruck ist 150 zu 90. Nein, 160 zu 90.")))
    assert not any("150" in utterance.text for utterance in found)
    assert any("160" in utterance.text for utterance in found)


def test_questions_of_the_patient_are_no_statements(talk: Talk) -> None:
    (found, *_rest) = dialogue.utterances(talk("Patient: Ist das gefährlich?\nÄrztin: Nein, das ist nicht schlimm."))
    assert not found.is_question or found.speaker == "patient"


def test_evidence_lies_inside_its_segment(talk: Talk) -> None:
    transcript = talk("Ärztin: Guten Tag. Haben Sie Husten?\nPatient: Ja. Seit drei Tagen.\nÄrztin: Ich höre Sie ab.")
    for utterance in dialogue.utterances(transcript):
        for item in utterance.evidence:
            assert item.segment is not None and item.start is not None and item.end is not None
            assert 0 <= item.start < item.end <= len(transcript.segment(item.segment).text)
