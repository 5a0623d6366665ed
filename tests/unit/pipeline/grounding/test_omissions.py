"""`pipeline.grounding.omissions` and `critical`: what must not be missing is found, and nothing else is added."""

import functools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import results, segments
from pipeline.evaluation import cases
from pipeline.grounding import critical, omissions
from pipeline.stages import read_document, scribe

Note = Callable[..., results.Note]
Talk = Callable[[str], segments.Transcript]

BUNDLED = {case.name: case for case in cases.bundled()}
SILENT = segments.Transcript(segments=())
NOTHING = results.Note(statements=())


@functools.cache
def read(name: str) -> tuple[segments.Transcript, results.Note]:
    """Transcript and rules note of a bundled case."""
    case = BUNDLED[name]
    transcript = read_document.run(case.consultation)
    return transcript, scribe.run(case.consultation, transcript)


def added(note: results.Note, reference: results.Note) -> list[str]:
    """The texts that are added where the talk itself holds nothing more."""
    return [statement.text for statement in omissions.missing(note, reference, SILENT)]


@pytest.mark.parametrize(
    ("told", "carries"),
    [
        (("S", "Nimmt Ibuprofen."), ("S", "Nimmt Dolormin.")),
        (("P", "Ramipril 5 mg morgens."), ("P", "Ramipril, fünf Milligramm, am Morgen.")),
        (("P", "L-Thyroxin 75."), ("P", "L-Thyroxin 75 µg.")),
        (("P", "Paracetamol 1 g."), ("P", "Paracetamol 1000 mg.")),
        (("S", "Luftnot in Ruhe."), ("S", "Atemnot.")),
        (("S", "Verneint: Brustschmerzen.", "negated"), ("S", "Kein Druck auf der Brust.", "negated")),
        (("S", "Allergisch gegen Penicillin."), ("S", "Penicillinallergie gegen Penicillin.")),
        (("O", "Blutdruck 148/92 mmHg."), ("O", "RR 148/92.")),
        (("O", "Temperatur 38,9 °C."), ("S", "Gestern 38,9.")),
        (("S", "Amlodipin abgesetzt."), ("S", "Amlodipin früher genommen.", "historical")),
        (("S", "Husten seit drei Tagen."), ("S", "Müde.")),
        (("S", "Mutter hatte Brustschmerzen.", "family"), ("S", "Müde.")),
    ],
)
def test_what_is_carried_in_other_words_is_not_added(
    note: Note, told: tuple[str, ...], carries: tuple[str, ...]
) -> None:
    assert added(note(carries), note(told)) == []


@pytest.mark.parametrize(
    ("told", "carries"),
    [
        (("S", "Nimmt Ibuprofen."), ("S", "Nimmt Paracetamol.")),
        (("P", "Ramipril 10 mg morgens."), ("P", "Ramipril morgens.")),
        (("P", "Ramipril 10 mg."), ("P", "Ramipril 5 mg.")),
        (("P", "Ibuprofen dreimal täglich."), ("P", "Ibuprofen.")),
        (("P", "Amlodipin wird abgesetzt."), ("P", "Amlodipin.")),
        (("P", "Paracetamol 1 g."), ("P", "Paracetamol 1 mg.")),
        (("S", "Luftnot in Ruhe."), ("S", "Keine Luftnot.", "negated")),
        (("S", "Verneint: Brustschmerzen.", "negated"), ("S", "Brustschmerzen.")),
        (("S", "Gedanken, sich das Leben zu nehmen."), ("S", "Traurig.")),
        (("S", "Steifer Nacken."), ("S", "Kopfschmerzen.")),
        (("S", "Allergisch gegen Penicillin."), ("S", "Allergien: keine.", "negated")),
        (("S", "Allergien: keine.", "negated"), ("S", "Müde.")),
        (("S", "Auf Penicillin Ausschlag bekommen."), ("S", "Allergisch gegen Penicillin.")),
        (("O", "Blutdruck 148/92 mmHg."), ("O", "Blutdruck 148/90 mmHg.")),
        (("O", "Sauerstoffsättigung 91 %."), ("O", "Puls 91 /min.")),
        (("P", "Wenn Brustschmerzen kommen, sofort die 112 rufen."), ("S", "Brustschmerzen.")),
    ],
)
def test_what_is_missing_is_added(note: Note, told: tuple[str, ...], carries: tuple[str, ...]) -> None:
    assert added(note(carries), note(told)) == [told[1]]


def test_an_addition_is_the_rules_own_statement_marked(note: Note) -> None:
    reference = note(("S", "Luftnot in Ruhe."))
    (statement,) = omissions.missing(NOTHING, reference, SILENT)
    assert statement.is_added
    assert statement == reference.statements[0].model_copy(update={"is_added": True})


def test_one_statement_is_enough_for_a_fact(note: Note) -> None:
    reference = note(("S", "Nimmt Ramipril."), ("P", "Ramipril 10 mg morgens."))
    assert added(NOTHING, reference) == ["Ramipril 10 mg morgens."]


def test_the_completed_note_is_ordered_and_numbered(note: Note) -> None:
    refused = results.Rejected(stage="scribe", proposal="x", reason="y")
    own = note(("S", "Müde."), ("P", "Kontrolle in 2 Wochen.")).model_copy(update={"rejected": (refused,)})
    whole = omissions.completed(own, note(("S", "Luftnot."), ("O", "Puls 96 /min."), ("P", "Ramipril 5 mg.")), SILENT)
    assert [(s.id, s.section, s.text, s.is_added) for s in whole.statements] == [
        ("s1", "S", "Müde.", False),
        ("s2", "S", "Luftnot.", True),
        ("s3", "O", "Puls 96 /min.", True),
        ("s4", "P", "Kontrolle in 2 Wochen.", False),
        ("s5", "P", "Ramipril 5 mg.", True),
    ]
    assert whole.rejected == (refused,)


@pytest.mark.parametrize("name", sorted(BUNDLED))
def test_a_note_completed_once_is_complete(name: str) -> None:
    transcript, reference = read(name)
    assert omissions.missing(reference, reference, transcript) == ()
    whole = omissions.completed(NOTHING, reference, transcript)
    assert whole.statements and all(statement.is_added for statement in whole.statements)
    assert omissions.completed(whole, reference, transcript) == whole
    left = {(item.kind, item.label) for item in omissions.uncarried(whole, transcript)}
    assert left == {(item.kind, item.label) for item in omissions.uncarried(reference, transcript)}


@pytest.mark.parametrize(
    ("said", "label"),
    [
        ("Patient: Ich hab Brustschmerzen.", "Warnzeichen: brustschmerz"),
        ("Arzt: Haben Sie Luftnot?\nPatient: Nein.", "Warnzeichen: atemnot (verneint)"),
        ("Arzt: Waren Sie bewusstlos?\nPatient: Ja, ganz kurz.", "Warnzeichen: ohnmacht"),
        ("Patient: Ich nehme Ramipril fünf Milligramm morgens.", "Dosis: Ramipril 5 mg"),
        ("Patient: Ich nehme Ramipril fünf Milligramm morgens.", "Einnahmen am Tag: Ramipril 1"),
        ("Arzt: Das Amlodipin setzen wir ab.", "Medikament: Amlodipin (verneint)"),
        ("Patient: Gegen Penicillin bin ich allergisch, da krieg ich Ausschlag.", "Allergie: Penicillin"),
        ("Patient: Gegen Penicillin bin ich allergisch, da krieg ich Ausschlag.", "Reaktion: hautausschlag"),
        ("Patient: Ich bin gegen Hausstaub allergisch.", "Allergie: Hausstaub"),
        ("Arzt: Blutdruck hundertachtundvierzig zu zweiundneunzig.", "Messwert: Blutdruck 148/92"),
        ("Arzt: Puls 102, Temperatur 38,9.", "Messwert: Puls 102"),
        ("Arzt: Blutzucker 168.", "Messwert: Glukose (Gelegenheit) 168"),
        ("Arzt: Wenn Sie Brustschmerzen bekommen, rufen Sie die 112.", "Warnzeichen: brustschmerz (Rat für den Fall)"),
    ],
)
def test_a_critical_fact_that_was_said_is_found_once(talk: Talk, note: Note, said: str, label: str) -> None:
    transcript = talk(f"Arzt: Guten Tag, was führt Sie zu mir?\n{said}\nArzt: Gut, dann sehen wir mal.")
    assert [item.label for item in omissions.said(transcript)].count(label) == 1
    assert label in {item.label for item in omissions.uncarried(NOTHING, transcript)}


@pytest.mark.parametrize(
    "said",
    [
        "Arzt: Haben Sie Luftnot?",
        "Patient: Meine Mutter hatte Brustschmerzen.",
        "Arzt: Wir könnten Amlodipin dazunehmen.",
        "Arzt: Unser Ziel ist unter 140/90.",
        "Patient: Ich hab Husten und Schnupfen.",
    ],
)
def test_what_is_no_critical_fact_is_none(talk: Talk, said: str) -> None:
    transcript = talk(f"Arzt: Guten Tag, was führt Sie zu mir?\nPatient: Guten Tag.\n{said}\nPatient: Aha, so ist das.")
    assert omissions.said(transcript) == ()


def test_what_the_note_carries_is_no_omission(talk: Talk, note: Note) -> None:
    transcript = talk("Arzt: Was ist los?\nPatient: Ich hab Luftnot. Ich nehme Ramipril 5 mg.")
    whole = note(("S", "Luftnot."), ("S", "Ramipril 5 mg."))
    assert omissions.uncarried(whole, transcript) == ()
    (left,) = omissions.uncarried(note(("S", "Ramipril 5 mg.")), transcript)
    assert (left.kind, left.segment, left.label) == ("red_flag", 2, "Warnzeichen: atemnot")


def test_a_critical_fact_cannot_be_printed(talk: Talk) -> None:
    (item,) = omissions.said(talk("Arzt: Was ist los?\nPatient: Ich hab Luftnot."))
    assert "Luftnot" not in f"{item} {item!r}" and "atemnot" not in f"{item} {item!r}"


def test_every_red_flag_is_found_by_its_own_name() -> None:
    assert len(critical.red_flags()) >= 35


@given(st.text(), st.sampled_from(["affirmed", "negated", "uncertain", "historical", "family"]))
def test_any_text_is_read(text: str, says: results.Polarity) -> None:
    statement = results.Statement(id="s1", section="S", text=text, polarity=says, evidence=())
    note = results.Note(statements=(statement,))
    assert all(critical.is_carried(fact, critical.offered(note)) for fact in critical.told(statement))
    assert omissions.missing(note, note, SILENT) == ()
