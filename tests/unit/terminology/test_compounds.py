"""`terminology.german.compounds` and `stems`: what a compound is made of, and when two words are the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminology.german import compounds, stems

KNOWN = {
    stems.stem(word) for word in ("gelenk", "arthrose", "insuffizienz", "druese", "unterfunktion", "vorfall", "unter")
}
SPLITTER = compounds.Splitter(KNOWN, {"unter"})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Carcinom", "Karzinom"),
        ("Coxarthrose", "Koxarthrose"),
        ("Cystitis", "Zystitis"),
        ("Caecum", "Zäkum"),
        ("Ödem", "Oedem"),
        ("Fuß", "Fuss"),
        ("Photophobie", "Fotofobie"),
        ("Z. n.", "z n"),
        ("Sjögren", "Sjo\u0308gren"),
        ("Barré", "Barre"),
    ],
)
def test_one_word_in_two_spellings(one: str, other: str) -> None:
    assert stems.fold(one) == stems.fold(other)


@pytest.mark.parametrize(("one", "other"), [("Cholera", "Kolera"), ("Hypotonie", "Hypertonie"), ("B12", "B6")])
def test_different_words_stay_different(one: str, other: str) -> None:
    assert stems.stem(stems.fold(one)) != stems.stem(stems.fold(other))


@pytest.mark.parametrize(
    "forms",
    [
        "Herz Herzens Herzen",
        "Kniegelenk Kniegelenks Kniegelenkes Kniegelenke",
        "akut akute akuten akuter akutes akutem",
        "chronisch chronische chronischer",
        "Arthrose Arthrosen",
        "Hypertonie Hypertonien hypertonisch",
        "Schulter Schultern",
        "Krebs Krebses",
        "Ohr Ohren Ohres",
    ],
)
def test_forms_of_one_word_have_one_stem(forms: str) -> None:
    assert len({stems.stem(stems.fold(form)) for form in forms.split()}) == 1


@pytest.mark.parametrize("word", ["ulkus", "status", "sepsis", "leber", "e11", "b12", "2"])
def test_what_is_no_ending_stays(word: str) -> None:
    assert stems.stem(word) == word


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("kniegelenksarthrosen", ("kni", "gelenk", "arthros")),
        ("herzinsuffizienz", ("herz", "insuffizienz")),
        ("schilddruesenunterfunktion", ("schild", "drues", "unterfunktion")),
        ("gonarthrose", ("kni", "arthros")),
        ("koxarthrose", ("hueft", "arthros")),
        ("insuffizienz", ("insuffizienz",)),
        ("wortlos", ("wortlos",)),
        ("untervorfall", ("untervorfall",)),
        ("b12", ("b12",)),
    ],
)
def test_parts(word: str, parts: tuple[str, ...]) -> None:
    assert SPLITTER.split(word) == parts


def test_a_first_part_is_learned_from_two_words_or_one_of_the_table() -> None:
    known = {"fraktur", "pfanne", "wirbel"}
    assert compounds.learned({"lendenwirbel", "lendenpfanne"}, known) == {"lend"}
    assert compounds.learned({"lendenwirbel"}, known) == set()
    assert compounds.learned({"schenkelhalsfraktur"}, known) == {stems.stem("schenkelhals")}


@given(st.text(max_size=80))
def test_any_text_is_folded_and_split(text: str) -> None:
    folded = stems.fold(text)
    assert folded == stems.fold(folded)
    for word in folded.split():
        assert word.isascii() and word.isalnum() and word == word.lower()
        parts = SPLITTER.split(word)
        assert parts and all(parts)
        assert SPLITTER.split(word) == parts
