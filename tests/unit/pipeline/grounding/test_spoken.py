"""`pipeline.grounding.spoken`: which critical facts a talk tells, by sentences and by questions with answers."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import results, segments
from pipeline.grounding import allergies, answers, complaints, critical, omissions, states
from terminology import tables

SPEAKERS: dict[str, segments.Speaker] = {"P": "patient", "D": "doctor", "R": "relative", "N": "nurse"}


def spoken(said: str) -> segments.Transcript:
    """The talk of turns that are written `P: … // D: …`."""
    turns = [turn.split(": ", 1) for turn in said.split(" // ")]
    return segments.Transcript(
        segments=tuple(
            segments.Segment(number=n, source="d", speaker=SPEAKERS[who], text=text, start=0, end=len(text))
            for n, (who, text) in enumerate(turns, start=1)
        )
    )


def labels(said: str) -> set[str]:
    """The labels of the critical facts that are told."""
    return {item.label for item in omissions.said(spoken(said))}


@pytest.mark.parametrize(
    ("said", "label"),
    [
        ("P: Ich bin schwanger, zwölfte Woche.", "Zustand: Schwangerschaft"),
        ("D: Sind Sie schwanger? // P: Ja, im fünften Monat.", "Zustand: Schwangerschaft"),
        ("D: Könnten Sie schwanger sein? // P: Ja, ich bin überfällig.", "Zustand: Schwangerschaft (möglich)"),
        ("P: Vielleicht bin ich schwanger.", "Zustand: Schwangerschaft (möglich)"),
        ("P: Der Schwangerschaftstest war positiv.", "Zustand: Schwangerschaft"),
        ("D: Solange Sie schwanger sind, nehmen wir Paracetamol.", "Zustand: Schwangerschaft"),
        ("P: Ich stille meinen Kleinen noch voll.", "Zustand: Stillzeit"),
        ("D: Stillen Sie noch? // P: Ja, voll.", "Zustand: Stillzeit"),
        ("P: Vor drei Jahren hab ich einen Schrittmacher gekriegt.", "Zustand: Herzschrittmacher"),
        ("D: Haben Sie einen Schrittmacher oder Defi? // P: Ja, seit 2019 einen Defi.", "Zustand: ICD"),
        ("P: Ich trag einen implantierten Defibrillator.", "Zustand: ICD"),
        ("P: Ich geh dreimal die Woche zur Dialyse.", "Zustand: Dialyse"),
        ("P: Ich hab nur noch eine Niere.", "Zustand: Einzelniere"),
        ("P: Mir haben sie 2018 die linke Niere rausgenommen.", "Zustand: Einzelniere"),
        ("P: Die rechte Niere hab ich meinem Bruder gespendet.", "Zustand: Einzelniere"),
        ("P: Früher war ich an der Dialyse, jetzt bin ich transplantiert.", "Zustand: Organtransplantation"),
        ("P: Ich bin HIV-positiv.", "Zustand: HIV-Infektion"),
        ("P: Die Milz ist mir nach dem Unfall rausgenommen worden.", "Zustand: Milz entfernt"),
        ("D: Wir machen keine Wiederbelebung, das steht in der Verfügung.", "Zustand: keine Wiederbelebung"),
        ("D: Möchten Sie wiederbelebt werden? // P: Nein, auf keinen Fall.", "Zustand: keine Wiederbelebung"),
        ("D: Die Patientin lehnt eine Reanimation ab.", "Zustand: keine Wiederbelebung"),
        ("D: Eine künstliche Beatmung will er nicht.", "Zustand: keine Intubation"),
        ("D: Haben Sie eine Patientenverfügung? // P: Ja, daheim.", "Zustand: Patientenverfügung"),
        ("R: Er hat einen Schrittmacher.", "Zustand: Herzschrittmacher"),
        ("R: Mein Mann nimmt Marcumar.", "Medikament: Phenprocoumon"),
        ("D: Allergien? // P: Nur gegen Penicillin.", "Allergie: Penicillin"),
        ("D: Allergien? // P: Nein, nur gegen Penicillin.", "Allergie: Penicillin"),
        ("D: Und Allergien. // P: Ja. Penicillin und Pollen.", "Allergie: Pollen"),
        ("D: Vertragen Sie irgendein Medikament nicht? // P: Penicillin.", "Allergie: Penicillin"),
        ("D: Vertragen Sie irgendein Medikament nicht? // P: Ja, Cotrim.", "Allergie: Trimethoprim"),
        ("D: Vertragen Sie alle Medikamente? // P: Nein, Ibuprofen nicht.", "Allergie: Ibuprofen"),
        ("D: Vertragen Sie Penicillin? // P: Nein.", "Allergie: Penicillin"),
        ("D: Gegen Penicillin sind Sie nicht allergisch? // P: Doch.", "Allergie: Penicillin"),
        ("D: Sind Sie allergisch? // P: Auf Amoxicillin, glaub ich.", "Allergie: Amoxicillin"),
        ("P: Latex vertrag ich nicht.", "Allergie: Latex"),
        ("P: Penicillin kann ich nicht nehmen, da bin ich allergisch.", "Allergie: Penicillin"),
        ("P: Ich darf kein Aspirin, sonst krieg ich Asthma.", "Allergie: Acetylsalicylsäure"),
        ("P: Auf Novalgin bin ich mal umgekippt.", "Allergie: Metamizol"),
        ("P: Nach dem Kontrastmittel hab ich keine Luft mehr gekriegt.", "Allergie: Kontrastmittel"),
        ("P: Wespenstich, da war ich mal auf Intensiv.", "Allergie: Wespe"),
        ("P: Wenn ich Ibuprofen nehme, krieg ich Ausschlag.", "Allergie: Ibuprofen"),
        ("D: Keine Allergien außer Penicillin.", "Allergie: Penicillin"),
        ("P: Ich bin gegen Penicillin allergisch und nehme Ramipril.", "Medikament: Ramipril"),
        ("D: Wegen der Penicillinallergie geben wir Clindamycin.", "Medikament: Clindamycin"),
        ("D: Suizidgedanken haben Sie keine, oder? // P: Doch, manchmal.", "Warnzeichen: suizidgedanken"),
        ("D: Denken Sie daran, sich das Leben zu nehmen? // P: Manchmal schon.", "Warnzeichen: suizidgedanken"),
        ("D: Wollen Sie manchmal nicht mehr leben? // P: Manchmal, ja.", "Warnzeichen: suizidgedanken"),
        ("P: Ich möcht am liebsten nicht mehr aufwachen.", "Warnzeichen: suizidgedanken"),
        ("P: Ich will nicht mehr leben und hab Luftnot.", "Warnzeichen: atemnot"),
        ("P: Ich hab Tabletten gesammelt.", "Warnzeichen: suizidgedanken"),
        ("D: Luftnot haben Sie nicht? // P: Doch, beim Treppensteigen.", "Warnzeichen: atemnot"),
        ("D: Luftnot haben Sie keine? // P: Nein.", "Warnzeichen: atemnot (verneint)"),
        ("D: Luftnot haben Sie keine? // P: Ja, keine.", "Warnzeichen: atemnot (verneint)"),
        ("P: Ich spür untenrum nichts mehr und kann das Wasser nicht halten.", "Warnzeichen: inkontinenz"),
        ("P: Ich spür untenrum nichts mehr und kann das Wasser nicht halten.", "Warnzeichen: reithose"),
        ("R: Die Kleine trinkt nichts mehr und ist ganz schlapp.", "Warnzeichen: trinkschwäche"),
        ("R: Das Kind ist blau angelaufen.", "Warnzeichen: zyanose"),
        ("P: Ich kann auf einmal nicht mehr richtig reden.", "Warnzeichen: sprachstörung"),
        ("P: Da schwillt mir der Hals zu.", "Warnzeichen: anaphylaxie"),
        ("P: Der Stuhl ist nicht schwarz.", "Warnzeichen: teerstuhl (verneint)"),
        ("P: Ich krieg nicht schlecht Luft.", "Warnzeichen: atemnot (verneint)"),
        ("P: Hab keine Luftnot und bin auch nicht bewusstlos geworden.", "Warnzeichen: ohnmacht (verneint)"),
        ("P: Ich kann den Arm nicht mehr heben, aber Schmerzen hab ich keine.", "Warnzeichen: lähmung"),
        ("D: ST-Hebungen in V2 bis V4.", "Warnzeichen: st-hebung"),
        ("D: Keine ST-Hebungen.", "Warnzeichen: st-hebung (verneint)"),
        ("D: Troponin positiv.", "Warnzeichen: troponin erhöht"),
        ("D: Troponin negativ.", "Warnzeichen: troponin erhöht (verneint)"),
        ("D: GCS zwölf.", "Messwert: GCS 12"),
        ("D: GCS drei von fünfzehn.", "Messwert: GCS 3"),
        ("D: Hb sieben.", "Laborwert: Hämoglobin 7"),
        ("D: INR liegt bei zwei.", "Laborwert: INR 2"),
        ("D: Nehmen Sie Marcumar? // P: Mhm.", "Medikament: Phenprocoumon"),
        ("P: MTX fünfzehn Milligramm jeden Montag.", "Einnahmen am Tag: Methotrexat 0,14"),
    ],
)
def test_what_was_said_is_found(said: str, label: str) -> None:
    assert label in labels(said)


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ("D: Sind Sie schwanger? // P: Nein.", "Schwangerschaft"),
        ("P: Ich bin nicht mehr schwanger.", "Schwangerschaft"),
        ("P: Ich war letztes Jahr schwanger.", "Schwangerschaft"),
        ("P: Wir wollen schwanger werden.", "Schwangerschaft"),
        ("P: Meine Schwester ist schwanger.", "Schwangerschaft"),
        ("P: Der Schwangerschaftstest war negativ.", "Schwangerschaft"),
        ("P: Ich hab Angst, dass ich schwanger bin.", "Schwangerschaft"),
        ("D: Falls Sie schwanger sind, dürfen Sie das nicht nehmen.", "Schwangerschaft"),
        ("P: In der ersten Schwangerschaft hatte ich hohen Blutdruck.", "Schwangerschaft"),
        ("D: Stillen Sie noch? // P: Nein, abgestillt.", "Stillzeit"),
        ("D: Die Blutung stillen wir mit Druck.", "Stillzeit"),
        ("P: Ich hab keinen Herzschrittmacher.", "Herzschrittmacher"),
        ("P: Der Schrittmacher wurde wieder rausgenommen.", "Herzschrittmacher"),
        ("D: Ich kodiere das nach ICD-10.", "ICD"),
        ("P: Ich will nicht an die Dialyse.", "Dialyse"),
        ("P: Mein Mann ist an der Dialyse.", "Dialyse"),
        ("P: Ich warte auf eine Nierentransplantation.", "Organtransplantation"),
        ("P: Beide Nieren sind in Ordnung.", "Einzelniere"),
        ("D: Der HIV-Test war negativ.", "HIV"),
        ("D: Wir machen noch einen HIV-Test.", "HIV"),
        ("D: Möchten Sie wiederbelebt werden? // P: Ja, natürlich.", "Wiederbelebung"),
        ("D: Er musste nicht reanimiert werden.", "Wiederbelebung"),
        ("P: Eine Patientenverfügung hab ich noch keine.", "Patientenverfügung"),
        ("D: Allergien? // P: Penicillin.", "Medikament"),
        ("D: Allergien? // P: Keine. Ich nehm Ramipril.", "Allergie: Ramipril"),
        ("D: Haben Sie Allergien? // P: Nein, aber ich nehme Bisoprolol.", "Allergie: Bisoprolol"),
        ("D: Sind Sie gegen etwas allergisch? // P: Nein, Penicillin hab ich oft gehabt.", "Penicillin"),
        ("D: Vertragen Sie Penicillin? // P: Ja.", "Penicillin"),
        ("D: Vertragen Sie das Ramipril gut? // P: Ja, sehr gut.", "Allergie"),
        ("D: Gegen Penicillin sind Sie nicht allergisch? // P: Nein.", "Allergie: Penicillin$"),
        ("D: Unverträglichkeiten? // P: Nein. // D: Und Medikamente? // P: Bisoprolol.", "Allergie: Bisoprolol"),
        ("P: Ich nehm Ibuprofen, davon krieg ich keine Magenschmerzen.", "Allergie"),
        ("P: Wespenstich am Fuß, ist dick geschwollen.", "Allergie"),
        ("P: Penicillin kann ich nicht nehmen, da bin ich allergisch.", "verneint"),
        ("P: Mei Mann hat des Marcumar.", "Medikament"),
        ("D: Wollen Sie manchmal nicht mehr leben? // P: Doch, leben will ich.", "suizid"),
        ("P: Tabletten hab ich keine gesammelt.", "suizidgedanken$"),
        ("P: Ich kann mit ihm nicht mehr richtig reden.", "sprachstörung"),
        ("P: Mein Finger ist blau angelaufen.", "zyanose"),
        ("R: Die Kleine trinkt gut.", "trinkschwäche"),
        ("P: Ich hab keine Luftnot, keine Brustschmerzen und keinen Husten.", "(atemnot|brustschmerz)$"),
        ("D: Troponin im Normbereich.", "troponin"),
        ("D: GCS alle vier Stunden.", "GCS"),
        ("D: Zucker drei Wochen lang zu hoch.", "Glukose"),
        ("D: INR Ziel zwei bis drei.", "INR"),
    ],
)
def test_what_was_not_said_is_not_found(said: str, wrong: str) -> None:
    assert [label for label in labels(said) if re.search(wrong, label)] == []


@pytest.mark.parametrize(
    ("said", "text", "says"),
    [
        ("P: Ich bin schwanger.", "Schwangerschaft in der 12. Woche.", "affirmed"),
        ("D: Könnten Sie schwanger sein? // P: Ja.", "Schwangerschaft möglich.", "uncertain"),
        ("D: Könnten Sie schwanger sein? // P: Ja.", "Ist schwanger.", "affirmed"),
        ("P: Ich hab einen Defi drin.", "ICD-Träger.", "affirmed"),
        ("P: Mir fehlt eine Niere, die linke Niere ist raus.", "Zustand nach Nephrektomie links.", "historical"),
        ("P: Ich will keine Reanimation.", "DNR.", "affirmed"),
        ("P: Ich will keine Reanimation.", "Reanimation wird abgelehnt.", "affirmed"),
        ("P: Ich will keine Reanimation.", "Reanimation.", "negated"),
        ("D: Allergien? // P: Penicillin.", "Penicillinallergie.", "affirmed"),
        ("D: Allergien? // P: Penicillin.", "Verträgt Penicillin nicht.", "negated"),
        ("D: Allergien? // P: Nur Latex.", "Keine Allergien außer Latex.", "negated"),
        ("P: Ich möcht nicht mehr aufwachen.", "Möchte nicht mehr aufwachen.", "negated"),
        ("D: Suizidgedanken keine? // P: Doch.", "Suizidgedanken haben keine: doch, manchmal.", "affirmed"),
        ("D: GCS zwölf.", "GCS 12 Punkte.", "affirmed"),
        ("D: Hb sieben.", "Hb 7 g/dl (erniedrigt).", "affirmed"),
    ],
)
def test_what_the_note_says_in_its_words_is_carried(said: str, text: str, says: results.Polarity) -> None:
    statement = results.Statement(id="s1", section="S", text=text, polarity=says, evidence=())
    assert omissions.uncarried(results.Note(statements=(statement,)), spoken(said)) == ()


@pytest.mark.parametrize(
    ("said", "text", "says"),
    [
        ("P: Ich bin schwanger.", "Schwanger.", "negated"),
        ("P: Ich bin schwanger.", "War schwanger.", "historical"),
        ("P: Ich bin schwanger.", "Schwester ist schwanger.", "family"),
        ("P: Ich bin schwanger.", "Schwangerschaft möglich.", "uncertain"),
        ("P: Ich hab einen Schrittmacher.", "Kein Schrittmacher.", "negated"),
        ("P: Ich will keine Reanimation.", "Reanimation gewünscht.", "affirmed"),
        ("P: Ich will keine Reanimation.", "Patientenverfügung liegt vor.", "affirmed"),
        ("D: Allergien? // P: Penicillin.", "Nimmt Penicillin.", "affirmed"),
        ("D: Allergien? // P: Penicillin.", "Keine Allergie gegen Penicillin.", "negated"),
        ("D: Allergien? // P: Penicillin.", "Penicillin.", "affirmed"),
        ("D: Vertragen Sie Penicillin? // P: Nein.", "Verneint: Penicillin nicht vertragen.", "negated"),
        ("P: Ich möcht nicht mehr aufwachen.", "Verneint: nicht mehr aufwachen wollen.", "negated"),
        ("P: Latex vertrag ich nicht.", "Allergisch gegen Pflaster.", "affirmed"),
        ("D: GCS zwölf.", "GCS 14.", "affirmed"),
        ("D: INR vier.", "INR 5.", "affirmed"),
    ],
)
def test_what_the_note_turns_is_missing(said: str, text: str, says: results.Polarity) -> None:
    statement = results.Statement(id="s1", section="S", text=text, polarity=says, evidence=())
    assert omissions.uncarried(results.Note(statements=(statement,)), spoken(said))


def test_a_state_that_the_rules_wrote_is_added_to_a_note_without_it() -> None:
    whole = results.Statement(id="s1", section="S", text="Herzschrittmacher.", polarity="affirmed", evidence=())
    own = results.Statement(id="s1", section="S", text="Müde.", polarity="affirmed", evidence=())
    made = omissions.missing(
        results.Note(statements=(own,)), results.Note(statements=(whole,)), spoken("P: Ich hab einen Schrittmacher.")
    )
    assert [(statement.text, statement.is_added) for statement in made] == [("Herzschrittmacher.", True)]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("Ja.", "yes"),
        ("Na ja, manchmal.", "some"),
        ("Ach, doch.", "against"),
        ("Nee, gar nicht.", "no"),
        ("Manchmal schon.", "some"),
        ("Keine.", "no"),
        ("Jahrelang.", None),
        ("Neinsagen kann ich nicht.", None),
    ],
)
def test_how_an_answer_begins(answer: str, kind: str | None) -> None:
    assert answers.kind(answer) == kind


def test_the_tables_belong_together() -> None:
    named = {row["state"] for row in tables.rows("german/states")}
    assert {row["state"] for row in tables.rows("german/state_terms")} == named
    assert {row["holds"] for row in tables.rows("german/state_terms")} <= {"affirmed", "denied"}
    assert {row["says"] for row in tables.rows("german/answers")} == {"no", "yes", "against", "some"}
    for row in tables.rows("german/states"):
        assert re.compile(row["over"]).fullmatch("") is None


@given(st.text(), st.sampled_from(["affirmed", "negated", "uncertain", "historical", None]))
def test_any_text_is_read(text: str, says: results.Polarity | None) -> None:
    found = [*critical.read(text, says), *states.read(text, says), *allergies.read(text, says)]
    assert all(fact.value for fact in found)
    assert {value for _concept, value in complaints.manners(text, says)} <= {"yes", "no", "was", "if"}
    assert omissions.said(spoken(f"P: {text}")) is not None
