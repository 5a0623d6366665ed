"""`pipeline.stages.scribe`: a neutral note whose every statement holds against its evidence."""

import functools
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import consultation, results, segments
from pipeline.evaluation import cases
from pipeline.grounding import gate
from pipeline.stages import read_document, scribe

Talk = Callable[[str], segments.Transcript]
Visit = Callable[..., consultation.Consultation]


BUNDLED = {case.name: case for case in cases.bundled()}
NAMES = sorted(BUNDLED)


@functools.cache
def written() -> dict[str, tuple[segments.Transcript, results.Note]]:
    """Transcript and note of every bundled case."""
    found = {}
    for case in BUNDLED.values():
        transcript = read_document.run(case.consultation)
        found[case.name] = (transcript, scribe.run(case.consultation, transcript))
    return found


def holds(transcript: segments.Transcript, note: results.Note) -> None:
    """What is true of every note."""
    assert len({statement.id for statement in note.statements}) == len(note.statements)
    assert [s.section for s in note.statements] == sorted((s.section for s in note.statements), key="SOAP".index)
    for statement in note.statements:
        assert statement.text.strip() and statement.evidence
        assert gate.fault(statement, transcript) is None
        for item in statement.evidence:
            assert item.segment is not None and item.start is not None and item.end is not None
            assert 0 <= item.start < item.end <= len(transcript.segment(item.segment).text)


@pytest.mark.parametrize("name", NAMES)
def test_every_statement_of_a_bundled_case_passes_the_gate(name: str) -> None:
    transcript, note = written()[name]
    assert note.statements
    holds(transcript, note)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_input_gives_the_same_note(name: str) -> None:
    case = BUNDLED[name]
    transcript = read_document.run(case.consultation)
    assert scribe.run(case.consultation, transcript) == written()[name][1]


LINES = [line for case in BUNDLED.values() for line in case.transcript.splitlines() if ": " in line]


@settings(max_examples=40)
@given(st.lists(st.sampled_from(LINES), min_size=1, max_size=10))
def test_any_order_of_real_lines_gives_a_grounded_note(lines: list[str]) -> None:
    source = consultation.Source(
        id="d",
        kind="transcript",
        content_type="text/plain",
        content="\n".join(["Arzt: Das ist so, und ich habe es.", *lines]).encode(),
    )
    visit = consultation.Consultation(encounter=consultation.Encounter(id="e"), sources=(source,))
    transcript = read_document.run(visit)
    note = scribe.run(visit, transcript)
    holds(transcript, note)
    assert note == scribe.run(visit, transcript)


def note_of(talk: Talk, visit: Visit, text: str, sex: consultation.Sex | None = None) -> results.Note:
    """The note of a short talk."""
    return scribe.run(visit(text, sex=sex), talk(text))


def saying(note: results.Note, word: str) -> list[results.Statement]:
    """The statements with this word."""
    return [statement for statement in note.statements if word.lower() in statement.text.lower()]


@pytest.mark.parametrize(
    ("said", "denied", "affirmed"),
    [
        ("Ich habe keine Übelkeit, kein Erbrechen und keinen Durchfall.", ["Übelkeit", "Erbrechen", "Durchfall"], []),
        ("Keine Übelkeit, Erbrechen oder Durchfall.", ["Übelkeit", "Erbrechen", "Durchfall"], []),
        ("Ich habe Husten, aber kein Fieber.", ["Fieber"], ["Husten"]),
        ("Fieber habe ich nicht, aber Husten.", ["Fieber"], ["Husten"]),
        ("Ich habe Husten und Schnupfen.", [], ["Husten", "Schnupfen"]),
    ],
)
def test_polarity_of_enumerations(talk: Talk, visit: Visit, said: str, denied: list[str], affirmed: list[str]) -> None:
    note = note_of(talk, visit, f"Ärztin: Was führt Sie zu mir?\nPatient: {said}\nÄrztin: Gut, das ist so.")
    for word in denied:
        assert {statement.polarity for statement in saying(note, word)} == {"negated"}, word
    for word in affirmed:
        assert "affirmed" in {statement.polarity for statement in saying(note, word)}, word


@pytest.mark.parametrize(
    ("question", "answer", "word", "polarity"),
    [
        ("Haben Sie Fieber?", "Nein.", "Fieber", "negated"),
        ("Haben Sie Fieber?", "Ja.", "Fieber", "affirmed"),
        ("Hat jemand in der Familie Diabetes?", "Ja, meine Mutter hat Diabetes.", "Mutter", "family"),
    ],
)
def test_polarity_of_answers(talk: Talk, visit: Visit, question: str, answer: str, word: str, polarity: str) -> None:
    note = note_of(talk, visit, f"Ärztin: {question}\nPatient: {answer}\nÄrztin: Gut, das ist so.")
    assert {statement.polarity for statement in saying(note, word)} == {polarity}


@pytest.mark.parametrize(
    ("said", "written_as"),
    [
        ("Das Kalium ist 5,9.", ["5,9 mmol/l", "erhöht"]),
        ("Das Kalium ist drei Komma null.", ["3,0 mmol/l", "erniedrigt"]),
        ("Das Kalium liegt bei 4,8.", ["4,8 mmol/l"]),
        ("Blutdruck hundertsechsunddreißig zu zweiundachtzig.", ["136/82 mmHg"]),
        ("Die Temperatur ist achtunddreißig neun.", ["38,9 °C"]),
        ("Die eGFR liegt bei 27.", ["27 ml/min", "erniedrigt"]),
    ],
)
def test_units_and_flags(talk: Talk, visit: Visit, said: str, written_as: list[str]) -> None:
    note = note_of(talk, visit, f"Ärztin: Ich habe jetzt die Werte. {said}\nPatient: Ist das gut so?")
    text = " ".join(statement.text for statement in note.section("O"))
    for part in written_as:
        assert part in text
    assert ("erhöht" in text, "erniedrigt" in text) == ("erhöht" in written_as, "erniedrigt" in written_as)


def test_the_range_of_women(talk: Talk, visit: Visit) -> None:
    text = "Ärztin: Ich habe jetzt die Werte für Sie. Hämoglobin 12,5.\nPatientin: Ist das gut so?"
    assert "erniedrigt" not in note_of(talk, visit, text, "female").section("O")[0].text
    assert "erniedrigt" in note_of(talk, visit, text, "male").section("O")[0].text


@pytest.mark.parametrize(
    ("said", "gone", "stays"),
    [
        ("Blutdruck 150 zu 90, nein, 160 zu 95.", "150", "160/95"),
        ("Blutdruck 150 zu 90. Nein, 160 zu 95.", "150", "160/95"),
        ("Das LDL ist 69, nein, 96.", "69", "96"),
        ("Das Kalium ist 4,1, Entschuldigung, 5,1.", "4,1", "5,1"),
        ("Das rechte, Quatsch, das linke Knie ist geschwollen.", "rechte", "linke"),
    ],
)
def test_what_was_taken_back_is_not_written(talk: Talk, visit: Visit, said: str, gone: str, stays: str) -> None:
    note = note_of(talk, visit, f"Ärztin: Ich schaue mir das jetzt an. {said}\nPatient: Ist das gut so?")
    text = " ".join(statement.text for statement in note.statements).lower()
    assert gone not in text
    assert stays in text


def test_small_talk_is_left_out(talk: Talk, visit: Visit) -> None:
    text = "Ärztin: Guten Morgen, schönes Wetter heute.\nPatient: Ja. Ich habe Husten.\nÄrztin: Danke, auf Wiedersehen."
    note = note_of(talk, visit, text)
    assert saying(note, "Husten")
    assert not saying(note, "Wetter") and not saying(note, "Wiedersehen")


def test_the_scribe_judges_no_prescription(talk: Talk, visit: Visit) -> None:
    said = "Sie nehmen Eliquis, und ich verschreibe Ihnen Ibuprofen 600 Milligramm dreimal täglich."
    text = f"Ärztin: {said}\nPatient: Ja, das ist gut."
    note = note_of(talk, visit, text)
    assert saying(note, "Ibuprofen 600 mg")
    assert not any(
        word in statement.text for statement in note.statements for word in ("Vorsicht", "Warnung", "Blutung")
    )


@pytest.mark.parametrize(
    ("question", "answer", "word"),
    [("Haben Sie Schmerzen links?", "Nein, rechts.", "rechts"), ("Haben Sie Fieber?", "Nein, nur Husten.", "Husten")],
)
def test_what_stands_beside_a_no_is_not_denied(talk: Talk, visit: Visit, question: str, answer: str, word: str) -> None:
    note = note_of(talk, visit, f"Ärztin: {question}\nPatient: {answer}\nÄrztin: Gut, das ist so.")
    assert {statement.polarity for statement in saying(note, word)} == {"affirmed"}


ORDERS = (
    "Das Doxycyclin nehmen Sie wegen der Quaddeln, zweihundert Milligramm am ersten Tag, dann hundert Milligramm, "
    "sieben Tage lang, immer mit einem großen Glas Wasser und im Sitzen. Metformin setzen wir ab."
)
LONG_TALK = " ".join(f"Husten hatte ich auch am {day}. Mai und Fieber mit 38,{day % 10} Grad." for day in range(1, 29))


def test_no_order_about_a_drug_is_left_out_for_length(talk: Talk, visit: Visit) -> None:
    said = f"Patient: {LONG_TALK}\nArzt: {ORDERS}"
    plan = " ".join(statement.text for statement in scribe.run(visit(), talk(said)).section("P"))
    assert "Doxycyclin" in plan
    assert "Metformin" in plan


def test_an_answer_that_is_no_yes_leaves_the_question_a_question(talk: Talk, visit: Visit) -> None:
    said = "Arzt: Ist der Rücken morgens lange steif?\nPatient: Die ersten fünf Minuten."
    texts = [statement.text for statement in scribe.run(visit(), talk(said)).statements]
    assert any("steif?" in text for text in texts)


def test_what_would_be_otherwise_is_no_finding(talk: Talk, visit: Visit) -> None:
    said = "Arzt: Ein Bechterew ist es nicht, da wäre der Rücken morgens lange steif."
    assert all("steif" not in statement.text for statement in scribe.run(visit(), talk(said)).statements)


@pytest.mark.parametrize("said", ["Sein Bruder hat Asthma.", "Ich selbst hab Heuschnupfen."])
def test_what_a_relative_says_of_others_is_the_familys(talk: Talk, visit: Visit, said: str) -> None:
    noted = scribe.run(visit(), talk(f"Arzt: Was fehlt ihm?\nMutter: {said}")).statements
    assert [statement.polarity for statement in noted] == ["family"]


def test_a_short_addendum_stays_in_the_note(visit: Visit) -> None:
    def source(number: int, text: str) -> consultation.Source:
        return consultation.Source(
            id=f"DocumentReference/{number}", kind="transcript", content_type="text/plain", content=text.encode()
        )

    talked = f"Patient: {LONG_TALK}\nArzt: {ORDERS}"
    sources = (source(1, talked), source(2, "Arzt: Nachtrag, der Patient hat heute kein Fieber mehr."))
    documented = visit().model_copy(update={"sources": sources})
    noted = scribe.run(documented, read_document.run(documented)).statements
    assert any("kein Fieber mehr" in statement.text for statement in noted)


def test_no_name_and_no_greeting_stands_in_the_note(talk: Talk, visit: Visit) -> None:
    said = "Arzt: Guten Tag Herr Wolters, Sie haben angerufen wegen dem Husten?\nPatient: Ja, seit gestern."
    text = " ".join(statement.text for statement in scribe.run(visit(), talk(said)).statements)
    assert "Husten" in text
    assert "Wolters" not in text
    assert "Guten Tag" not in text
