"""`pipeline.grounding.summary` and `plain`: a summary says what the note says, in words that a patient knows."""

import functools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import results, segments
from pipeline.evaluation import cases
from pipeline.grounding import plain, readability, summary
from pipeline.stages import read_document, scribe, summarise
from terminology import tables

BUNDLED = {case.name: case for case in cases.bundled()}

TALK = """Arzt: Guten Tag, was führt Sie zu mir?
Patient: Ich hab seit drei Tagen Husten. Und Kopfweh hab ich auch.
Arzt: Haben Sie Fieber?
Patient: Nein, kein Fieber.
Arzt: Sind Sie gegen etwas allergisch?
Patient: Gegen Penicillin bin ich allergisch.
Arzt: Ich messe den Blutdruck, 148 zu 92.
Arzt: Sie haben eine akute Bronchitis und eine Hypertonie.
Arzt: Es besteht der Verdacht auf eine Pneumonie.
Arzt: Ein Asthma ist es nicht.
Arzt: Nehmen Sie Ramipril 5 mg, eine Tablette morgens.
Arzt: Das Ibuprofen setzen wir ab.
Arzt: In zwei Wochen kommen Sie wieder zur Kontrolle.
Arzt: Wir machen heute noch ein Röntgen der Lunge.
Arzt: Wenn Sie Brustschmerzen bekommen, rufen Sie sofort die 112.
Patient: Danke, mein Bruder hatte einen Schlaganfall.
Arzt: Nehmen Sie Paracetamol 500 bei Bedarf, höchstens dreimal am Tag.
Arzt: Das linke Bein lagern Sie bitte hoch, das rechte dürfen Sie belasten.
Arzt: Autofahren dürfen Sie eine Woche nicht."""

#: Section, text, polarity and the segment that each statement rests on.
NOTED: tuple[tuple[results.Section, str, results.Polarity, int], ...] = (
    ("S", "Husten seit drei Tagen.", "affirmed", 2),
    ("S", "Kopfweh.", "affirmed", 2),
    ("S", "Kein Fieber.", "negated", 4),
    ("S", "Gegen Penicillin allergisch.", "affirmed", 6),
    ("O", "Blutdruck 148/92 mmHg.", "affirmed", 7),
    ("A", "Akute Bronchitis und Hypertonie.", "affirmed", 8),
    ("A", "Verdacht auf Pneumonie.", "uncertain", 9),
    ("A", "Asthma ist es nicht.", "negated", 10),
    ("P", "Ramipril 5 mg, eine Tablette morgens.", "affirmed", 11),
    ("P", "Ibuprofen setzen wir ab.", "affirmed", 12),
    ("P", "In zwei Wochen wieder zur Kontrolle.", "affirmed", 13),
    ("P", "Heute noch Röntgen der Lunge.", "affirmed", 14),
    ("P", "Wenn Sie Brustschmerzen bekommen, rufen Sie sofort die 112.", "affirmed", 15),
    ("P", "Paracetamol 500 bei Bedarf, höchstens dreimal am Tag.", "affirmed", 17),
    ("P", "Das linke Bein hochlagern, das rechte belasten.", "affirmed", 18),
    ("P", "Eine Woche nicht Auto fahren.", "negated", 19),
)


@pytest.fixture(scope="module")
def transcript(talk: Callable[[str], segments.Transcript]) -> segments.Transcript:
    """The talk of this page."""
    return talk(TALK)


@functools.cache
def noted() -> results.Note:
    """Its note."""
    return results.Note(
        statements=tuple(
            results.Statement(
                id=f"s{number}", section=section, text=text, polarity=says, evidence=(results.Evidence(segment=cited),)
            )
            for number, (section, text, says, cited) in enumerate(NOTED, start=1)
        )
    )


def sentence(text: str, *cited: int) -> results.Statement:
    """A sentence of a summary with the segments it cites."""
    evidence = tuple(results.Evidence(segment=number) for number in cited)
    return results.Statement(id="p1", section="P", text=text, polarity="affirmed", evidence=evidence)


def fault(text: str, cited: tuple[int, ...], transcript: segments.Transcript) -> str | None:
    """The check that refuses a sentence; None when it holds."""
    kept, rejected = summary.sound([sentence(text, *cited)], noted(), transcript)
    assert len(kept) + len(rejected) == 1
    return rejected[0].check if rejected else None


@pytest.mark.parametrize(
    ("text", "cited"),
    [
        ("Sie haben seit drei Tagen Husten.", (2,)),
        ("Sie haben Husten, aber kein Fieber.", (2, 4)),
        ("Gegen Penicillin sind Sie allergisch.", (6,)),
        ("Wir haben bei Ihnen einen Blutdruck von 148/92 mmHg gemessen.", (7,)),
        ("Sie haben Bluthochdruck.", (8,)),
        ("Sie haben eine Entzündung der Atemwege.", (8,)),
        ("Noch nicht sicher ist: Lungenentzündung.", (9,)),
        ("Es besteht der Verdacht auf eine Lungenentzündung.", (9,)),
        ("Nehmen Sie Ramipril 5 mg, eine Tablette morgens.", (11,)),
        ("Nehmen Sie Delix 5 mg, eine Tablette morgens.", (11,)),
        ("Bitte kommen Sie zur Kontrolle: in zwei Wochen.", (13,)),
        ("Als Nächstes ist geplant: ein Röntgenbild.", (14,)),
        ("Wichtig: Wenn Sie Brustschmerzen bekommen, rufen Sie sofort die 112.", (15,)),
        ("Rufen Sie sofort die 112, wenn Sie Brustschmerzen bekommen.", (15,)),
        ("Rufen Sie bei Brustschmerzen sofort die 112.", (15,)),
        ("Wir vermuten eine Lungenentzündung.", (9,)),
        ("Der Verdacht auf eine Lungenentzündung ist noch nicht geklärt.", (9,)),
        ("Nehmen Sie jeden Morgen eine Tablette Ramipril 5 mg.", (11,)),
        ("Nehmen Sie kein Ibuprofen mehr.", (12,)),
        ("Ibuprofen nehmen Sie bitte nicht mehr.", (12,)),
        ("Nehmen Sie Paracetamol 500 bei Bedarf, höchstens dreimal am Tag.", (17,)),
        ("Legen Sie das linke Bein hoch.", (18,)),
        ("Belasten Sie das rechte Bein.", (18,)),
        ("Fahren Sie eine Woche lang nicht Auto.", (19,)),
        ("Sie haben seit drei Tagen Husten und auch Kopfschmerzen.", (2,)),
        ("Wir wünschen Ihnen gute Besserung.", ()),
        ("Im Notfall rufen Sie bitte die 112 an!", ()),
    ],
)
def test_what_the_note_says_may_be_said(text: str, cited: tuple[int, ...], transcript: segments.Transcript) -> None:
    assert fault(text, cited, transcript) is None


@pytest.mark.parametrize(
    ("text", "cited", "check"),
    [
        ("", (), "evidence"),
        ("Sie haben Husten.", (), "evidence"),
        ("Trinken Sie viel Tee.", (), "evidence"),
        ("Sie haben Husten.", (99,), "evidence"),
        ("Bitte nehmen Sie Ihre Medikamente.", (11,), "empty"),
        ("Sie haben eine Hypertonie.", (8,), "jargon"),
        ("Sie haben keine Rippenserienfraktur.", (8,), "jargon"),
        ("Sie haben seit 30 Tagen Husten.", (2,), "number"),
        ("Nehmen Sie Ramipril 50 mg, eine Tablette morgens.", (11,), "number"),
        ("Nehmen Sie Amlodipin 5 mg, eine Tablette morgens.", (11,), "drug"),
        ("Nehmen Sie Ibuprofen weiter.", (12,), "drug"),
        ("Nehmen Sie Ramipril 92 mg.", (7, 11), "dose"),
        ("Nehmen Sie Ramipril 5 mg, morgens und abends.", (11,), "frequency"),
        ("Sie sind gegen Ibuprofen allergisch.", (6, 12), "allergy"),
        ("Wir haben bei Ihnen einen Blutdruck von 112/92 mmHg gemessen.", (7, 15), "vital"),
        ("Bitte kommen Sie zur Kontrolle: in drei Tagen.", (13,), "appointment"),
        ("Bitte kommen Sie zur Kontrolle: in zwei Tagen.", (13,), "appointment"),
        ("Bitte kommen Sie zur Kontrolle: am Montag.", (13,), "appointment"),
        ("Sie haben Bauchschmerzen.", (2,), "complaint"),
        ("Sie haben Fieber.", (4,), "contradiction"),
        ("Sie haben keinen Husten.", (2,), "contradiction"),
        ("Sie haben Brustschmerzen.", (15,), "contradiction"),
        ("Sie haben Diabetes.", (8,), "diagnosis"),
        ("Sie haben einen Schlaganfall.", (16,), "diagnosis"),
        ("Sie haben Asthma.", (10,), "contradiction"),
        ("Sie haben keinen Bluthochdruck.", (8,), "contradiction"),
        ("Sie haben eine Lungenentzündung.", (9,), "certainty"),
        ("Sie haben seit drei Tagen Husten.", (8,), "date"),
        ("Sie haben Husten vom vielen Wandern im Gebirge.", (2,), "foreign-word"),
        ("Sie dürfen Auto fahren.", (19,), "contradiction"),
        ("Kommen Sie in zwei Wochen nicht wieder.", (13,), "contradiction"),
        ("Rufen Sie bei Brustschmerzen nicht die 112.", (15,), "contradiction"),
        ("Bei Brustschmerzen warten Sie bitte ab.", (15,), "contradiction"),
        ("Belasten Sie das linke Bein.", (18,), "side"),
        ("Nehmen Sie Ramipril 5 mg bei Bedarf.", (11, 17), "frequency"),
        ("Nehmen Sie Paracetamol 500 dreimal am Tag.", (17,), "frequency"),
        ("Ihr Blutdruck war 148 zu 92 und damit gut.", (7,), "finding"),
        ("Kopfweh haben Sie seit drei Tagen.", (2,), "duration"),
        ("Nehmen Sie kein Ramipril mehr.", (11,), "drug"),
        ("Nehmen Sie kein Paracetamol mehr.", (12, 17), "drug"),
    ],
)
def test_what_the_note_does_not_say_falls(
    text: str, cited: tuple[int, ...], check: str, transcript: segments.Transcript
) -> None:
    assert fault(text, cited, transcript) == check


def test_a_refusal_tells_what_and_why(transcript: segments.Transcript) -> None:
    _kept, (refused,) = summary.sound([sentence("Nehmen Sie Amlodipin.", 11)], noted(), transcript)
    assert (refused.stage, refused.proposal, refused.harm) == ("summarise", "Nehmen Sie Amlodipin.", "critical")
    assert refused.reason == "Ein Medikament steht nicht in der Notiz."
    assert refused.evidence == (results.Evidence(segment=11),)


def test_a_medical_word_that_the_patient_used_may_stay(talk: Callable[[str], segments.Transcript]) -> None:
    said = talk("Arzt: Was führt Sie zu mir?\nPatient: Ich hab doch die Hypertonie.\nArzt: Die Hypertonie ist stabil.")
    note = results.Note(
        statements=(
            results.Statement(
                id="s1", section="A", text="Hypertonie.", polarity="affirmed", evidence=(results.Evidence(segment=3),)
            ),
        )
    )
    assert summary.sound([sentence("Sie haben eine Hypertonie.", 3)], note, said)[1] == []


def test_a_medical_word_in_brackets_explains_the_plain_one() -> None:
    assert plain.jargon("dauerhafte Verengung der Atemwege (COPD)") == []
    assert [hit.term for hit in plain.jargon("Eine Herzinsuffizienz und Hämatome")] == ["herzinsuffizienz", "hämatom"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Hypertonie", "Bluthochdruck"),
        ("Akute Bronchitis", "Akute Entzündung der Atemwege"),
        ("Hexenschuss", "Hexenschuss"),
        ("Tibiafraktur", "Tibiafraktur"),
    ],
)
def test_the_plain_words_for_a_name(name: str, told: str) -> None:
    assert plain.words_for(name) == told


GOOD = (
    sentence("Sie haben seit drei Tagen Husten.", 2),
    sentence("Nehmen Sie Ramipril 5 mg, eine Tablette morgens.", 11),
    sentence("Bitte kommen Sie zur Kontrolle: in zwei Wochen.", 13),
    sentence("Wir wünschen Ihnen gute Besserung."),
    sentence("Bei Fragen rufen Sie uns bitte an."),
    sentence("Alles Gute!"),
)


def checked(
    transcript: segments.Transcript, *sentences: results.Statement, flesch: float = summary.READABLE
) -> tuple[results.PatientSummary | None, list[str | None]]:
    """A summary of these sentences through the gate: what is accepted, and which checks refused the rest."""
    proposed = results.PatientSummary(sentences=sentences, notice="Entwurf")
    accepted, rejected = summary.check(proposed, noted(), transcript, flesch=flesch)
    return accepted, [item.check for item in rejected]


def test_three_to_five_sentences_pass_numbered_anew(transcript: segments.Transcript) -> None:
    accepted, rejected = checked(transcript, *GOOD[:3])
    assert accepted is not None and rejected == []
    assert [s.id for s in accepted.sentences] == ["p1", "p2", "p3"]
    assert accepted.notice == "Entwurf"


def test_the_sixth_sentence_falls(transcript: segments.Transcript) -> None:
    accepted, rejected = checked(transcript, *GOOD)
    assert accepted is not None and len(accepted.sentences) == 5
    assert rejected == ["length"]


def test_a_refused_sentence_is_left_out(transcript: segments.Transcript) -> None:
    accepted, rejected = checked(transcript, *GOOD[:3], sentence("Sie haben Fieber.", 4))
    assert accepted is not None and [s.text for s in accepted.sentences] == [s.text for s in GOOD[:3]]
    assert rejected == ["contradiction"]


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_sentences_fall_as_a_whole(count: int, transcript: segments.Transcript) -> None:
    assert checked(transcript, *GOOD[:count]) == (None, ["length"])


def test_where_no_sentence_holds_there_is_nothing_more_to_refuse(transcript: segments.Transcript) -> None:
    assert checked(transcript) == (None, [])


def test_a_text_that_is_hard_to_read_falls_as_a_whole(transcript: segments.Transcript) -> None:
    assert checked(transcript, *GOOD[:3], flesch=99.0) == (None, ["readability"])


@pytest.mark.parametrize("name", sorted(BUNDLED))
def test_the_rules_summary_of_every_case_passes(name: str) -> None:
    case = BUNDLED[name]
    said = read_document.run(case.consultation)
    note = scribe.run(case.consultation, said)
    made = summarise.run(case.consultation, said, note)
    accepted, rejected = summary.check(made, note, said)
    assert accepted is not None and rejected == ()
    assert accepted.sentences == made.sentences
    assert readability.flesch_amstad(" ".join(s.text for s in made.sentences)) >= summary.READABLE


def test_closing_phrases_make_a_readable_summary(transcript: segments.Transcript) -> None:
    first = (plain.nothing(), *plain.closings()[:2])
    assert readability.flesch_amstad(" ".join(first)) >= summary.READABLE
    assert all(fault(phrase, (), transcript) is None for phrase in (plain.nothing(), *plain.closings()))


def test_no_plain_word_is_jargon_itself() -> None:
    hard = [row["plain"] for row in tables.rows("german/jargon") if plain.jargon(row["plain"])]
    assert hard == []


def test_every_step_names_a_kind_of_action() -> None:
    kinds = {row["kind"] for row in tables.rows("german/actions")}
    rows = [row for row in tables.rows("german/summary_phrases") if row["kind"] == "step"]
    assert rows and all(row["action"] in kinds for row in rows)


@given(st.text(), st.lists(st.integers(0, 20), max_size=3))
def test_any_text_gets_an_answer(text: str, cited: list[int]) -> None:
    said = segments.Transcript(
        segments=(segments.Segment(number=1, source="s", speaker="doctor", text="Husten.", start=0, end=7),)
    )
    proposed = results.PatientSummary(sentences=(sentence(text, *cited),) * 3, notice="")
    accepted, rejected = summary.check(proposed, noted(), said)
    assert accepted is not None or rejected
