"""`terminology.german.repair`: what a speaker took back is gone; a "nein" that takes nothing back stays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminology.german import repair

CORRECTIONS = [
    ("Blutdruck hundertfünfzig, nein, hundertsechzig zu neunzig.", "hundertfünfzig", "hundertsechzig zu neunzig"),
    ("Der Blutdruck war 150 zu 90, nein, 160 zu 95.", "150", "160 zu 95"),
    ("Der Schmerz sitzt rechts, Quatsch, links.", "rechts", "links"),
    ("Das linke, nein, das rechte Knie tut weh.", "linke", "rechte Knie"),
    ("Das LDL ist 69, nein, 96.", "69", "96"),
    ("Seit drei Tagen, nein, seit vier Tagen.", "drei", "vier Tagen"),
    ("Seit Montag, nein, seit Dienstag habe ich Fieber.", "Montag", "Dienstag habe ich Fieber"),
    ("Ich nehme zweimal, nein, dreimal täglich eine Tablette.", "zweimal", "dreimal täglich"),
    ("Puls 78, Entschuldigung, 87.", "78", "87"),
    ("Wir geben 50, Korrektur, 25 Milligramm.", "50", "25 Milligramm"),
    ("Die Temperatur war 38,2, ich meine 39,2.", "38,2", "39,2"),
    ("Sie nehmen 5, Verzeihung, 10 Milligramm.", " 5", "10 Milligramm"),
    ("Das war im März, nein, im April.", "März", "April"),
    ("Das war gestern, nein, vorgestern.", " gestern", "vorgestern"),
    ("Das Kreatinin ist zwei Komma fünf, nein, eins Komma fünf.", "zwei Komma", "eins Komma fünf"),
    ("Ich wiege 94, Moment, 96 Kilo.", "94", "96 Kilo"),
    ("Das Ödem ist am linken, pardon, am rechten Bein.", "linken", "rechten Bein"),
    ("Das sind 20, Quatsch, 30 Tropfen.", "20", "30 Tropfen"),
    ("Da kam der Hubschrauber, nein, der Krankenwagen.", "Hubschrauber", "der Krankenwagen"),
    ("Es sticht beim Aufstehen, nein, nicht beim Aufstehen, sondern beim Bücken.", "Aufstehen", "beim Bücken"),
    ("Ich nehme 40, besser gesagt, 20 Milligramm.", "40", "20 Milligramm"),
    ("Der Wert liegt bei 7,6, falsch, bei 7,4.", "7,6", "7,4"),
    ("Morgens, nein, abends nehme ich die Tablette.", "Morgens", "abends nehme ich die Tablette"),
    ("Vor fünf, äh, nein, vor sechs Jahren wurde ich operiert.", "fünf", "sechs Jahren"),
    ("Die vierte, nein, die fünfte Zehe ist rot.", "vierte", "fünfte Zehe"),
    ("Das eGFR ist 72, ach, Unsinn, 27.", "72", "27"),
    ("Einmal war er unter achtzig, nein, das war meine Frau.", "achtzig", "meine Frau"),
    ("Ich habe 3, ich korrigiere mich, 4 Kinder.", " 3", "4 Kinder"),
    ("Morphin zehn. Halt, fünf Milligramm.", "zehn", "Morphin fünf Milligramm."),
    ("Morphin zehn! Halt! Fünf!", "zehn", "Morphin Fünf!"),
    ("Morphin zehn Milligramm. Ach nein, fünf.", "zehn", "Morphin fünf Milligramm."),
    ("Ich nehm zehn Milligramm Ramipril. Ach nein, fünf Milligramm.", "zehn", "fünf Milligramm Ramipril"),
    ("Amoxicillin. Ach Quatsch, Cefuroxim fünfhundert.", "Amoxicillin", "Cefuroxim fünfhundert."),
    ("Wir setzen Ramipril ab, nein, Bisoprolol.", "Ramipril", "Wir setzen Bisoprolol ab."),
    ("Ramipril fünf, nein, Bisoprolol.", "fünf", "Bisoprolol."),
    ("Das linke Knie, ach ne, das rechte.", "linke", "Das rechte Knie."),
    ("Gestern, ach was, vorgestern bin ich gefallen.", "Gestern", "vorgestern bin ich gefallen"),
    ("Rechts tut es weh, mei na, links.", "Rechts", "links tut es weh"),
    ("Seit zwei nein drei Tagen.", "zwei", "Seit drei Tagen."),
]


@pytest.mark.parametrize(("said", "gone", "stays"), CORRECTIONS)
def test_what_was_taken_back_is_gone(said: str, gone: str, stays: str) -> None:
    repaired = repair.repair(said)
    assert gone not in repaired
    assert stays in repaired


NO_CORRECTIONS = [
    "Nein, Fieber hatte ich nicht.",
    "Nein, seit drei Tagen.",
    "Nein.",
    "Haben Sie Fieber? Nein, 37 Grad.",
    "Ich sagte nein, weil ich müde war.",
    "Da sage ich nein zu der Operation.",
    "Kein Fieber, nein, auch kein Husten.",
    "Erbrechen hatte ich, nein, Durchfall gar nicht.",
    "Der Hausarzt meinte nein.",
    "Links tut es weh, rechts nicht.",
    "Der Blutdruck war 150 zu 90, der Puls 80.",
    "Moment, ich schaue nach.",
    "Ich weiß nicht, ob ja oder nein.",
    "Rauchen Sie? Nein, nie geraucht.",
    "Das war nicht einfach, nein, wirklich nicht.",
    "Es tut weh, aber nein, ich nehme nichts.",
    "Entschuldigung, wie bitte?",
    "Die Schmerzen sind halt da, fünf Tage schon.",
    "Schmerzen halt, fünf Tage.",
    "Seit zwei Tagen halt, drei vielleicht.",
    "Das sind zehn, ne, fünf davon rot.",
    "Ach was, das sind nur zwei.",
    "Links tut's weh, nein, rechts auch.",
    "Ich nehme Ramipril. Nein, Bisoprolol nehm ich nicht.",
    "Kein Ibuprofen, nein, Paracetamol.",
    "Zehn? Nein, fünf.",
    "Puls 70. Moment, ich messe nochmal.",
]


@pytest.mark.parametrize("said", NO_CORRECTIONS)
def test_a_no_that_corrects_nothing_stays(said: str) -> None:
    assert repair.repair(said) == said


@pytest.mark.parametrize(("said", "gone", "stays"), CORRECTIONS)
def test_repairing_twice_changes_nothing(said: str, gone: str, stays: str) -> None:
    once = repair.repair(said)
    assert repair.repair(once) == once


@pytest.mark.parametrize("said", ["Blutdruck 150, nein, 160 zu 90. Das Bein ist links, nein, rechts geschwollen."])
def test_several_corrections_in_one_text(said: str) -> None:
    assert repair.repair(said) == "Blutdruck 160 zu 90. Das Bein ist rechts geschwollen."


@pytest.mark.parametrize("said", ["Seit 3, nein, seit 4, nein, seit 5 Tagen."])
def test_a_correction_of_a_correction(said: str) -> None:
    assert repair.repair(said) == "Seit 5 Tagen."


@pytest.mark.parametrize(
    "said",
    [
        "Das L-Thyroxin erhöhen wir auf hundert, nein, wir senken es auf fünfundsiebzig Mikrogramm.",
        "Metoprolol erhöhen wir auf hundert, nein, senken auf fünfzig.",
        "Bisoprolol von fünf auf zweieinhalb, nein, lassen wir bei fünf.",
    ],
)
def test_a_correction_that_changes_what_is_done_stays_as_it_was_said(said: str) -> None:
    assert repair.repair(said) == said


def test_half_doses_and_the_bavarian_no_are_repaired() -> None:
    assert repair.repair("Ramipril zweieinhalb, äh nein, fünf Milligramm.") == "Ramipril fünf Milligramm."
    assert repair.repair("in der linken, na, in der rechten Schulter") == "in der rechten Schulter"
    assert repair.repair("vor zwei, na ja, drei Jahren") == "vor zwei, na ja, drei Jahren"


@pytest.mark.parametrize(
    ("said", "gone"),
    [
        ("Seit 3, nein, seit 4, nein, seit 5 Tagen.", ["3, nein, seit 4, nein, seit"]),
        ("Das  linke Knie,\nach ne, das rechte.", ["linke", "ach ne, das"]),
        ("Nein, Fieber hatte ich nicht.", []),
    ],
)
def test_the_places_of_what_is_gone(said: str, gone: list[str]) -> None:
    assert [said[start:end] for start, end in repair.repaired(said).gone] == gone


@pytest.mark.parametrize(
    ("said", "how"),
    [
        ("Halt, fünf.", "marker"), ("Ach nein, fünf.", "marker"), ("Quatsch, links.", "marker"),
        ("Nein, fünf.", "answer"), ("Nee.", "answer"), ("Halt dich fest.", ""), ("Fünf.", ""),
        ("Ne, das nicht.", ""), ("", ""),
    ],
)  # fmt: skip
def test_how_a_turn_opens(said: str, how: str) -> None:
    assert repair.opens(said) == how


STAMMERED = [
    "fünf, nein, zehn, nein, ",
    "links, nein, rechts, ",
    "nein ",
    "halt, ",
    "Ramipril, nein, Bisoprolol, ",
    "äh, ",
]


@pytest.mark.parametrize("said", STAMMERED)
def test_twice_the_text_is_no_more_than_twice_the_work(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[int] = []
    change = repair._change

    def counted(left: str, right: str, *, is_bare: bool) -> object:
        looked_at.append(len(left) + len(right))
        return change(left, right, is_bare=is_bare)

    monkeypatch.setattr(repair, "_change", counted)
    work: list[int] = []
    for length in (1200, 2400):
        looked_at.clear()
        repair.repaired((said * length)[:length])
        work.append(sum(looked_at))
    assert work[1] <= 2.5 * work[0] + 4 * repair.REACH


@pytest.mark.parametrize("said", STAMMERED)
def test_a_long_stammer_comes_to_an_end(said: str) -> None:
    assert len(repair.repair((said * 20_000)[:20_000])) <= 20_000


WORDS = st.lists(
    st.sampled_from(
        [
            "nein",
            "ja",
            "links",
            "rechts",
            "150",
            "zu",
            "90",
            "Quatsch",
            "das",
            "der",
            "zwei",
            "Fieber",
            ",",
            ".",
            "?",
            "äh",
        ]
    ),
    max_size=25,
)


@given(WORDS | st.lists(st.text(max_size=12), max_size=6))
def test_any_text_is_taken_and_never_grows(words: list[str]) -> None:
    text = " ".join(words)
    assert len(repair.repair(text)) <= len(text)
    gone = repair.repaired(text).gone
    assert all(0 <= start < end <= len(text) for start, end in gone)
    assert list(gone) == sorted(gone)
