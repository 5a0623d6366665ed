"""`pipeline.grounding.readability`: syllables as Duden divides the words, and the Flesch–Amstad reading ease."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.grounding import readability

#: Words by their number of syllables. Source: Duden, Die deutsche Rechtschreibung (Worttrennung).
SYLLABLES = {
    1: "Arzt Herz Blut Knie Haut Bein Schmerz Zoo Tee Bauch Stein Wein Geist Spray dient schrien",
    2: "Husten Fieber Lunge Kaffee Seele Seen Treue Bauer Diät naiv Beere geimpft geehrt Niveau Diener liefern "
    "Verdienst Yoga Pleura täglich Röntgen keine Poet Klient Beine Route",
    3: "Tablette Patient Linie Studie Serien Ferien Medien Allergie Therapie studieren Museum Ileus Suizid Karies "
    "Steroid Protein Koffein Heroin beenden geeignet Ideen Mosaik Qualität Radius Station Aorta Theater "
    "Ernährung Bluthochdruck Vitamin aktuell verschrieben Chirurgie",
    4: "Patienten beinhalten Familie Arterie Bakterien Allergien Therapien Hygiene Petroleum Jubiläum Lidocain "
    "beeinflussen beurteilen beunruhigt Kreatinin Medikament Ibuprofen Diabetes Untersuchung Krankenkasse "
    "Ingenieur Italien Aneurysma Überweisung Blutdruckmessung",
    5: "Insuffizienz Lungenentzündung Radiologie Kardiologie Proteinurie Hämorrhoiden Opioide kooperieren",
    6: "Herzinsuffizienz Koordination Wiedereingliederung Physiotherapie Reanimation",
    8: "Schilddrüsenunterfunktion",
}


@pytest.mark.parametrize(
    ("count", "word"), [(count, word) for count, line in SYLLABLES.items() for word in line.split()]
)
def test_syllables(count: int, word: str) -> None:
    assert readability.syllables(word) == count


@pytest.mark.parametrize("word", ["168", "2,5", "124/78", "mg", "mmHg", "°C", "MRT", "COPD", "HbA1c"])
def test_figures_symbols_and_abbreviations_are_one_syllable(word: str) -> None:
    assert readability.syllables(word) == 1


def test_the_parts_of_a_hyphenated_word_are_counted() -> None:
    assert readability.syllables("Magen-Darm-Infekt") == 5
    assert readability.words("Ein Magen-Darm-Infekt.") == ["Ein", "Magen-Darm-Infekt"]


@pytest.mark.parametrize(
    ("text", "words", "units", "spoken"),
    [
        ("Der Arzt kommt.", 3, 1, 3),
        ("Der Arzt kommt. Das Kind hat Husten.", 7, 2, 8),
        ("Nehmen Sie 5 mg Ramipril.", 5, 1, 8),
        ("Für Sie gilt: Ruhe; kein Sport.", 6, 3, 7),
        ("Ihr Blutdruck war 124/78 mmHg.", 6, 1, 7),
    ],
)
def test_the_formula(text: str, words: int, units: int, spoken: int) -> None:
    assert len(readability.words(text)) == words
    assert readability.units(text) == units
    expected = 180 - words / units - 58.5 * spoken / words
    assert readability.flesch_amstad(text) == pytest.approx(expected)


def test_long_words_and_long_sentences_are_harder() -> None:
    easy = "Sie haben Husten. Sie haben auch Fieber."
    assert readability.flesch_amstad(easy) > readability.flesch_amstad("Sie haben Husten und Sie haben auch Fieber.")
    assert readability.flesch_amstad(easy) > readability.flesch_amstad(
        "Schilddrüsenunterfunktion und Herzinsuffizienz."
    )


def test_nothing_is_not_readable() -> None:
    assert readability.flesch_amstad("") == 0.0
    assert readability.flesch_amstad(" … – ") == 0.0


@given(st.text())
def test_any_text_gets_a_score(text: str) -> None:
    assert readability.flesch_amstad(text) <= 180 - 1 - 0
    assert all(readability.syllables(word) >= 1 for word in readability.words(text))
