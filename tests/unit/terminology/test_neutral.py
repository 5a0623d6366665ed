"""`terminology.german.neutral`: fillers and the first person go, what was said stays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminology.german import neutral, numbers


@pytest.mark.parametrize(
    ("said", "gone", "stays"),
    [
        ("Ja, also ich hab halt seit drei Tagen Husten", ["ich", "halt", "also", "hab"], ["drei Tagen", "Husten"]),
        ("Ähm, mir ist irgendwie schwindlig", ["ähm", "mir", "irgendwie"], ["schwindlig"]),
        ("Mein Knie tut weh", ["mein "], ["Knie tut weh"]),
        ("Ich nehme jeden Tag Ramipril", ["ich"], ["Ramipril", "jeden Tag"]),
        ("Na ja, ich bin müde, ehrlich gesagt", ["na ja", "ich", "ehrlich gesagt"], ["müde"]),
        ("das das Knie ist dick", ["das das"], ["Knie ist dick"]),
    ],
)
def test_the_patients_words(said: str, gone: list[str], stays: list[str]) -> None:
    worded = neutral.wording(said, doctor=False)
    assert all(f" {word.strip()} " not in f" {worded.lower()} " for word in gone)
    assert all(word in worded for word in stays)


@pytest.mark.parametrize(
    ("said", "gone", "stays"),
    [
        ("Ich schreibe Sie bis Freitag krank", ["ich", "sie"], ["Krankschreibung", "bis Freitag"]),
        ("Ich verschreibe Ihnen Ibuprofen 400 Milligramm", ["ihnen"], ["Ibuprofen", "400 mg"]),
        ("Ihr Blutdruck ist hundertvierzig zu neunzig", ["ihr"], ["Blutdruck", "140/90"]),
    ],
)
def test_the_doctors_words(said: str, gone: list[str], stays: list[str]) -> None:
    worded = neutral.wording(said, doctor=True)
    assert all(f" {word} " not in f" {worded.lower()} " for word in gone)
    assert all(word in worded for word in stays)


@pytest.mark.parametrize("said", ["Meine Mutter hatte Brustkrebs", "Mein Vater ist am Herzinfarkt gestorben"])
def test_a_relative_stays_a_relative(said: str) -> None:
    assert said.split()[1] in neutral.wording(said, doctor=False)


@pytest.mark.parametrize("said", ["Fieber habe ich nicht", "Ich habe keine Schmerzen", "Nie geraucht"])
def test_negations_stay(said: str) -> None:
    negation = next(word for word in ("nicht", "keine", "Nie") if word in said.split())
    assert negation.lower() in neutral.wording(said, doctor=False).lower()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("husten seit gestern", "Husten seit gestern."), ("Puls 80.", "Puls 80."), (" , kein Fieber – ", "Kein Fieber.")],
)
def test_sentence(text: str, expected: str) -> None:
    assert neutral.sentence(text) == expected


WORDS = ["ich", "habe", "mir", "ist", "halt", "ähm", "Husten", "nicht", "kein", "160 zu 90", "zwei", "fünf"]
WORDS += ["mein", "Vater", "seit", "drei", "Tagen", ",", ".", "Ihnen", "Ibuprofen", "400", "Milligramm", "links"]


@given(st.lists(st.sampled_from(WORDS), max_size=20).map(" ".join), st.booleans())
def test_no_number_is_added(text: str, doctor: bool) -> None:
    assert numbers.values(neutral.wording(text, doctor=doctor)) <= numbers.values(text) | numbers.values(
        neutral.without_fillers(text)
    )


@given(st.text(max_size=80), st.booleans())
def test_any_text_is_taken(text: str, doctor: bool) -> None:
    assert isinstance(neutral.wording(text, doctor=doctor), str)
    assert neutral.sentence(text).endswith((".", "!", "?"))


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("Nehmen Sie eine Creme.", "Nehmen Sie Creme."),
        ("Creme, ein Prozent, dünn auftragen.", "Creme, ein Prozent, dünn auftragen."),
        ("Ein Gramm Novalgin dreimal täglich.", "Ein Gramm Novalgin dreimal täglich."),
        ("Lorazepam, ein Milligramm zur Nacht.", "Lorazepam, ein Milligramm zur Nacht."),
        ("Davon eine Tablette und einen Hub.", "Davon eine Tablette und einen Hub."),
    ],
)
def test_an_article_goes_and_a_number_stays(said: str, written: str) -> None:
    assert neutral.telegram(said) == written
