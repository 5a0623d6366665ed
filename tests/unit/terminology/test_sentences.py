"""`terminology.german.sentences`: sentences and clauses with their places."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminology.german import sentences

PIECES = [*'abc ABC 123 .,;:!?…–-"»“\n\r\täöüß', " und kein ", " z. B. ", " Dr. ", " 3. Mai ", "4,8", ". ", ", aber "]
SPOKEN = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)


def texts(spans: list[sentences.Span]) -> list[str]:
    """The spans' texts alone."""
    return [span.text for span in spans]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Guten Tag. Was führt Sie her?", ["Guten Tag.", "Was führt Sie her?"]),
        ("Schmerzmittel, z. B. Ibuprofen, meiden.", ["Schmerzmittel, z. B. Ibuprofen, meiden."]),
        ("Das war Dr. Muster. Er kam spät.", ["Das war Dr. Muster.", "Er kam spät."]),
        ("Er nimmt ca. 5 Tabletten.", ["Er nimmt ca. 5 Tabletten."]),
        ("Z. n. Appendektomie. Sonst gesund.", ["Z. n. Appendektomie.", "Sonst gesund."]),
        ("V. a. Pneumonie. Röntgen folgt.", ["V. a. Pneumonie.", "Röntgen folgt."]),
        ("Am 3. Mai kam er. Dann ging er.", ["Am 3. Mai kam er.", "Dann ging er."]),
        ("Die 4. Rippe schmerzt.", ["Die 4. Rippe schmerzt."]),
        ("Am 3. Tag kam Fieber.", ["Am 3. Tag kam Fieber."]),
        ("Temperatur 38.5 gemessen. Puls 80.", ["Temperatur 38.5 gemessen.", "Puls 80."]),
        ("Kalium 4,8. Das passt.", ["Kalium 4,8.", "Das passt."]),
        ("HbA1c liegt bei 7. Das ist gut.", ["HbA1c liegt bei 7.", "Das ist gut."]),
        ("Ach so … Dann gut!", ["Ach so …", "Dann gut!"]),
        ("Wirklich?! Ja.", ["Wirklich?!", "Ja."]),
        ("Er sagte: „Gut.“ Dann ging er.", ["Er sagte: „Gut.“", "Dann ging er."]),
        ("erste Zeile\nzweite Zeile", ["erste Zeile", "zweite Zeile"]),
        ("erste Zeile\r\nzweite Zeile", ["erste Zeile", "zweite Zeile"]),
        ("ohne Punkt", ["ohne Punkt"]),
        ("Blut bds. untersucht. Fertig.", ["Blut bds. untersucht.", "Fertig."]),
        ("...", []),
        ("", []),
    ],
)
def test_split(text: str, expected: list[str]) -> None:
    assert texts(sentences.split(text)) == expected


@given(SPOKEN | st.text())
def test_sentences_cut_the_text_exactly(text: str) -> None:
    last = 0
    for span in sentences.split(text):
        assert text[span.start : span.end] == span.text == span.text.strip()
        assert last <= span.start < span.end
        last = span.end


@given(SPOKEN)
def test_sentences_lose_no_letter_and_no_figure(text: str) -> None:
    kept = "".join(texts(sentences.split(text)))
    assert [char for char in kept if char.isalnum()] == [char for char in text if char.isalnum()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Husten, aber kein Fieber", ["Husten", "aber kein Fieber"]),
        ("Husten aber kein Fieber", ["Husten", "aber kein Fieber"]),
        ("Husten und kein Fieber", ["Husten", "kein Fieber"]),
        ("Kalium 4,8 und Natrium 140", ["Kalium 4,8 und Natrium 140"]),
        ("Übelkeit und Erbrechen", ["Übelkeit und Erbrechen"]),
        ("Herz frei; Lunge frei", ["Herz frei", "Lunge frei"]),
        ("Herz frei – Lunge frei", ["Herz frei", "Lunge frei"]),
        ("HNO-Arzt", ["HNO-Arzt"]),
        ("", []),
    ],
)
def test_clauses(text: str, expected: list[str]) -> None:
    assert texts(sentences.clauses(text)) == expected


@given(SPOKEN | st.text())
def test_clauses_cut_the_text_exactly(text: str) -> None:
    last = 0
    for span in sentences.clauses(text):
        assert text[span.start : span.end] == span.text
        assert last <= span.start < span.end
        last = span.end
