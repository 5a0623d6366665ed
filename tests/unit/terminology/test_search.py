"""`terminology.search`: an index of any texts, its ranking, and that no text can break it."""

import contextlib
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from terminology import search
from terminology.search import vocabulary

ROWS = (
    search.Row("I50.9", "Herzinsuffizienz, nicht näher bezeichnet"),
    search.Row("I50.1", "Linksherzinsuffizienz"),
    search.Row("N18.9", "Chronische Niereninsuffizienz"),
    search.Row("M17.9", "Gonarthrose, nicht näher bezeichnet"),
    search.Row("M17.0", "Primäre Gonarthrose, beidseitig"),
    search.Row("M16.9", "Koxarthrose"),
    search.Row("E87.6", "Hypokaliämie"),
    search.Row("G43.0", "Migräne ohne Aura"),
    search.Row("G43.1", "Migräne mit Aura"),
    search.Row("E11.9", "Diabetes mellitus, Typ 2"),
    search.Row("E10.9", "Diabetes mellitus, Typ 1"),
    search.Row("C61", "Bösartige Neubildung der Prostata"),
    search.Row("K40.9", "Leistenhernie"),
    search.Row("S72.0", "Schenkelhalsfraktur"),
    search.Row("J18.9", "Pneumonie, nicht näher bezeichnet"),
    search.Row("J18.9", "lungenentzündung"),
    search.Row("I48.9", "vhf"),
    search.Row("I48.9", "vorhofflimmern"),
    search.Row("A", "Gelenk"),
    search.Row("B", "Insuffizienz"),
    search.Row("C", "Arthrose"),
)
INDEX = search.Index.build(ROWS)


def keys(text: str) -> list[str]:
    return [hit.key for hit in INDEX.search(text)]


def first(text: str) -> tuple[str, str]:
    """The key of the best hit, and how it was found."""
    hit = INDEX.search(text)[0]
    return hit.key, hit.how


@pytest.mark.parametrize(
    ("text", "key", "how"),
    [
        ("vhf", "I48.9", "exact"),
        ("VHF", "I48.9", "exact"),
        ("Lungenentzündungen", "J18.9", "stem"),
        ("Herzinsuffizienz", "I50.9", "stem"),
        ("Coxarthrose", "M16.9", "exact"),
        ("Insuffizienz des Herzens", "I50.9", "compound"),
        ("Arthrose des Knies", "M17.9", "compound"),
        ("Herzinsufizienz", "I50.9", "corrected"),
        ("Vorhoflimmern", "I48.9", "corrected"),
        ("Prostatakarzinom", "C61", "same"),
        ("Schenkelhalsbruch", "S72.0", "same"),
        ("Migräne mit Aura", "G43.1", "exact"),
        ("Migräne ohne Aura", "G43.0", "exact"),
        ("Diabetes Typ II", "E11.9", "stem"),
        ("Gonarthrose beidseits", "M17.0", "stem"),
        ("Gonarthrose rechts", "M17.9", "stem"),
        ("chronische Pneumonie", "J18.9", "partial"),
    ],
)
def test_what_is_found_first_and_how(text: str, key: str, how: str) -> None:
    assert first(text) == (key, how)


def test_the_very_text_scores_one_and_the_rest_less() -> None:
    hits = INDEX.search("Koxarthrose")
    assert hits[0] == search.Hit("M16.9", "Koxarthrose", 1.0, "exact")
    assert all(hit.score < 1 for hit in hits[1:])
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_all_words_stand_before_some() -> None:
    hits = INDEX.search("chronische Niereninsuffizienz")
    assert hits[0].key == "N18.9"
    assert {hit.how for hit in hits[1:]} <= {"partial"}


def test_what_a_text_denies_is_not_found_as_affirmed() -> None:
    assert keys("Aura")[:1] == ["G43.1"]
    assert "G43.0" not in keys("Aura")


@pytest.mark.parametrize("text", ["kein Diabetes", "ohne Aura", "nicht"])
def test_what_is_only_denied_finds_nothing(text: str) -> None:
    assert keys(text) == []


@pytest.mark.parametrize(("one", "other"), [("hypokaliaem", "hyperkaliaem"), ("intrakraniell", "extrakraniell")])
def test_a_spelling_is_never_corrected_to_the_opposite(one: str, other: str) -> None:
    assert vocabulary.are_opposites(one, other) and vocabulary.are_opposites(other, one)
    assert vocabulary.Vocabulary({one: 1}, 1).nearest(other) == ()
    assert not vocabulary.are_opposites(one, one)
    assert keys("Hyperkaliämie") == []
    assert keys("Hypokalämie") == ["E87.6"]


def test_an_unfinished_word_is_not_found() -> None:
    assert keys("Herzinsuffi") == []
    assert keys("Herzinsuffizienz")[0] == "I50.9"


def test_weight_and_key_decide_between_equals() -> None:
    rows = [search.Row("b", "Husten"), search.Row("c", "Husten", 0.9), search.Row("a", "Husten")]
    assert [hit.key for hit in search.Index.build(rows).search("Husten")] == ["a", "b", "c"]
    assert [hit.key for hit in search.Index.build(reversed(rows)).search("Husten")] == ["a", "b", "c"]


def test_a_key_is_found_once_and_limit_is_kept() -> None:
    rows = [search.Row(f"k{number:02}", f"Husten {number}") for number in range(40)] + [search.Row("k00", "Husten")]
    hits = search.Index.build(rows).search("Husten", 7)
    assert len(hits) == 7 and len({hit.key for hit in hits}) == 7
    assert hits[0] == search.Hit("k00", "Husten", 1.0, "exact")
    assert search.Index.build(rows).search("Husten", 0) == ()


ASKED = ("Herzinsufizienz", "Arthrose des Knies", "vhf", "VHF", "Diabetes", "Migräne ohne Aura", "Schenkelhalsbruch",
         "Lungenentzündungen", "chronische Pneumonie", "Insuffizienz des Herzens", "Husten")  # fmt: skip


def test_an_image_finds_what_its_index_found() -> None:
    opened = search.Index.open(INDEX.image())
    for text in ASKED:
        assert opened.search(text) == INDEX.search(text)


@pytest.mark.parametrize("number", [0, 1, 10, len(ROWS)])
def test_rows_beside_an_image_are_found_as_if_they_were_in_it(number: int) -> None:
    opened = search.Index.open(search.Index.build(ROWS[:number]).image(), ROWS[number:])
    words = [text for text in ASKED if text != "Insuffizienz des Herzens"]  # its compound lies in the image
    for text in words:
        assert [hit.key for hit in opened.search(text)] == keys(text)
        assert opened.search(text)[:1] == INDEX.search(text)[:1]
    assert INDEX.search("Husten") == ()


def test_an_image_is_not_changed_by_what_was_opened_from_it() -> None:
    image = INDEX.image()
    assert search.Index.open(image, [search.Row("R05", "Husten")]).search("Husten")[0].key == "R05"
    assert search.Index.open(image).search("Husten") == ()


def other_database() -> bytes:
    with contextlib.closing(sqlite3.connect(":memory:")) as other:
        other.execute("CREATE TABLE mine (a)")
        other.commit()
        return other.serialize()


@pytest.mark.parametrize("image", [b"kein Index" * 1000, other_database(), b"\0" * 9000])
def test_what_is_no_image_is_refused(image: bytes) -> None:
    with pytest.raises(sqlite3.DatabaseError):
        search.Index.open(image, ROWS)


def test_a_key_can_be_weighed() -> None:
    rows = [search.Row("a", "Husten"), search.Row("b", "Husten", 0.99)]
    index = search.Index.build(rows)
    assert [hit.key for hit in index.search("Husten")] == ["a", "b"]
    hits = index.search("Husten", weigh=lambda key: 0.9 if key == "a" else 1.0)
    assert [(hit.key, hit.score) for hit in hits] == [("b", 0.99), ("a", 0.9)]


def test_progress_is_told() -> None:
    told: list[tuple[str, int, int]] = []
    search.Index.build(ROWS, lambda *what: told.append(what))
    assert [(what, done, done == total) for what, done, total in told] == [
        ("reading texts", 0, False), ("reading texts", len(ROWS), True),
        ("splitting words", 0, False), ("splitting words", told[-1][2], True),
    ]  # fmt: skip


def test_an_empty_index_finds_nothing() -> None:
    assert search.Index.build([]).search("Husten") == ()


def test_many_threads_find_the_same() -> None:
    asked = ["Herzinsufizienz", "Arthrose des Knies", "vhf", "Diabetes Typ 2", "Aura"] * 20
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(INDEX.search, asked))
    assert found == [INDEX.search(text) for text in asked]


@pytest.mark.parametrize(
    "text",
    ['"', "'", "*", "a*", "NEAR(herz niere)", "herz AND", "OR", "NOT herz", "words:herz", "-herz", "herz^2", "{herz}",
     "herz\x00niere", "'; DROP TABLE search_text; --", "~aura", "(((", "\ud800", "𝕳erz", "٣", "ß" * 300],
)  # fmt: skip
def test_no_syntax_of_the_index_can_be_asked_for(text: str) -> None:
    assert isinstance(INDEX.search(text), tuple)
    assert first("vhf") == ("I48.9", "exact")


MIXED = st.lists(
    st.sampled_from(sorted({word for row in ROWS for word in row.text.split()} | {"ohne", "mit", "AND", "*", "("})),
    max_size=9,
).map(" ".join)


@given(st.one_of(st.text(max_size=250), MIXED))
@example("rechts")
@example("ohne links")
def test_any_text_finds_something_or_nothing(text: str) -> None:
    hits = INDEX.search(text, 5)
    assert len(hits) <= 5
    assert all(0 < hit.score <= 1 and search.Row(hit.key, hit.text) in ROWS for hit in hits)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert hits == INDEX.search(text, 5)
