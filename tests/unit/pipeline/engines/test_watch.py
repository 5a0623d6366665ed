"""`pipeline.engines.watch`: loops are ended soon, honest answers never, and watching costs little."""

import json
import random
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.engines import watch
from pipeline.evaluation import cases
from tests import scripted_model

BUNDLED = cases.bundled()
ENOUGH = 3000  # characters within which any loop of up to 300 characters must be seen

BEFORE = (
    '{"stellen":[{"belege":[{"segment":1,"zitat":"Seit drei Tagen Husten"}],"abschnitt":"S","art":"bejaht","text":"'
)


def fed(text: str, size: int = 5) -> tuple[str | None, int]:
    """What a watch says of a text that comes in pieces, and after how many characters."""
    watching = watch.Watch()
    for at in range(0, len(text), size):
        found = watching.feed(text[at : at + size])
        if found is not None:
            return found, at + size
    return None, len(text)


@pytest.mark.parametrize("loop", ["a", "ha", "0 ", "\n", "\r \n", " ", "nein, ", "😀", ". . . ", '"},{"', "Husten, "])
@pytest.mark.parametrize("size", [1, 5, 64, 1000])
def test_characters_that_repeat(loop: str, size: int) -> None:
    found, after = fed(BEFORE + loop * 2000, size)
    assert found in ("characters", "words") and after <= len(BEFORE) + 16 * 24 + 64 + size


@pytest.mark.parametrize("separator", ["\n", "\\n"])
def test_lines_that_repeat(separator: str) -> None:
    line = "----------- * ---------- * -----------"
    found, after = fed(BEFORE + separator.join([line] * 40))
    assert found is not None and after <= len(BEFORE) + 6 * len(line) + 128


@pytest.mark.parametrize("between", ["", "Und dann. ", "Sonst nichts Neues, das Kind trinkt gut und spielt. "])
def test_words_that_repeat(between: str) -> None:
    sentence = "Der Patient hat seit drei Tagen Husten und etwas Fieber. "
    turns = [sentence + between * (turn % 3) for turn in range(40)]
    found, after = fed(BEFORE + "".join(turns))
    assert found is not None and after <= ENOUGH


@pytest.mark.parametrize("number", range(3))
def test_a_statement_that_comes_again_and_again(number: int) -> None:
    item = {
        "belege": [{"segment": 2, "zitat": "Nehmen Sie dreimal am Tag"}],
        "abschnitt": "P",
        "art": "bejaht",
        "text": ("Ja.", "Ibuprofen 400 mg dreimal am Tag.", "Kontrolle in einer Woche, bei Fieber früher.")[number],
    }
    found, after = fed(json.dumps({"stellen": [item] * 60}, ensure_ascii=False, separators=(",", ":")))
    assert found is not None and after <= 12 * len(json.dumps(item))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text("abcdefghilmnorstuäöü", min_size=1, max_size=9), min_size=1, max_size=30))
def test_any_words_that_go_round(words: list[str]) -> None:
    found, after = fed(" ".join(words * 200)[: ENOUGH * 2])
    assert found is not None and after <= ENOUGH


@settings(max_examples=100, deadline=None)
@example("abcdefghijklmnopqrstuvwxyz0123456789")
@example("-- = ++ / ** ~~ ## && ")
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
def test_any_text_that_goes_round(loop: str) -> None:
    """Whatever goes round, a word of forty letters or a row of signs, is seen before the budget is spent."""
    assert fed((loop * ENOUGH)[: 2 * ENOUGH])[0] is not None


def test_what_was_well_before_is_no_shield() -> None:
    honest = json.dumps({"stellen": [f"Aussage {n}: {n * 7} mg" for n in range(200)]})
    assert fed(honest)[0] is None
    assert fed(honest + "Ja. " * 200)[0] is not None


def test_nothing_and_little_is_no_loop() -> None:
    assert watch.repetition("") is None
    assert watch.Watch().feed("") is None
    assert fed("Husten. " * 5)[0] is None


def counted(number: int, text: str = "Der Patient hat Husten.") -> str:
    """A statement of which only the number of its segment changes."""
    cited = {"segment": number, "zitat": "ja"}
    item = {"belege": [cited], "abschnitt": "S", "art": "bejaht", "text": text}
    return json.dumps(item, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize("size", [1, 5, 64, 1000])
def test_a_statement_of_which_only_the_number_changes(size: int) -> None:
    answer = '{"stellen":[' + ",".join(counted(number) for number in range(60)) + "]}"
    found, after = fed(answer, size)
    assert found == "numbers" and after <= 16 * len(counted(10)) + size
    found, _ = fed('{"stellen":[' + ",".join(counted(3, f"Husten seit {n} Tagen.") for n in range(60)) + "]}", size)
    assert found == "numbers"


@pytest.mark.parametrize("separator", ["\n", "\\n", " "])
def test_lines_with_running_numbers(separator: str) -> None:
    text = separator.join(f"{number}. Der Patient hat Husten und Fieber." for number in range(200))
    found, after = fed(text)
    assert found is not None and after <= 1200


def test_a_sentence_that_comes_again_among_others() -> None:
    chance = random.Random(3)
    others = ["".join(chance.choices("abcdefghijkl", k=9)) for _ in range(300)]
    lines = "\n".join(f"Der Patient hat {n} Tage Husten.\n{other} {other}" for n, other in enumerate(others))
    assert fed(lines)[0] == "lines"


@pytest.mark.parametrize("mark", [" ", "-", "_", ".", "=", ". ", "- "])
def test_what_forms_are_drawn_with_is_no_loop_and_without_end_it_is_one(mark: str) -> None:
    assert fed(f'"Name: {mark * (200 // len(mark))} geboren am')[0] is None
    found, after = fed(BEFORE + mark * 2000)
    assert found is not None and after <= len(BEFORE) + 400


# --- honest answers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", BUNDLED, ids=lambda case: case.name)
def test_an_honest_note_is_no_loop(case: cases.Case) -> None:
    _consultation, transcript, note = scripted_model.worked(case)
    answer = scripted_model.noted(note.statements, transcript)
    assert fed(json.dumps(answer, ensure_ascii=False, separators=(",", ":")))[0] is None
    assert fed(json.dumps(answer, ensure_ascii=False))[0] is None


@pytest.mark.parametrize("case", BUNDLED, ids=lambda case: case.name)
def test_an_honest_note_with_line_breaks_is_no_loop(case: cases.Case) -> None:
    """A server may lay its JSON out: the same short lines come once a statement."""
    _consultation, transcript, note = scripted_model.worked(case)
    answer = scripted_model.noted(note.statements, transcript)
    assert fed(json.dumps(answer, ensure_ascii=False, indent=2), 50)[0] is None


@pytest.mark.parametrize("case", BUNDLED, ids=lambda case: case.name)
def test_an_honest_note_of_whole_segments_is_no_loop(case: cases.Case) -> None:
    """A model that quotes all of a short segment for each of its statements is long-winded, and does not loop."""
    _consultation, transcript, note = scripted_model.worked(case)
    answer = scripted_model.noted(note.statements, transcript)
    for item in answer["stellen"]:
        for cite in item["belege"]:
            whole = transcript.segment(cite["segment"]).text
            cite["zitat"] = whole if len(whole) <= 240 else cite["zitat"]
    assert fed(json.dumps(answer, ensure_ascii=False, separators=(",", ":")), 50)[0] is None


def test_one_sentence_that_carries_many_statements_is_no_loop() -> None:
    quote = "Sie nehmen weiter Ramipril 5, Bisoprolol 2,5, ASS 100, Simvastatin 40, Torasemid 10 und Metformin 1000."
    drugs = ("Ramipril 5", "Bisoprolol 2,5", "ASS 100", "Simvastatin 40", "Torasemid 10", "Metformin 1000")
    answer = {
        "stellen": [
            {"belege": [{"segment": 9, "zitat": quote}], "abschnitt": "P", "art": "bejaht", "text": f"{drug} weiter."}
            for drug in drugs
        ]
    }
    assert fed(json.dumps(answer, ensure_ascii=False, separators=(",", ":")))[0] is None


@pytest.mark.parametrize("indent", [None, 2])
def test_honest_codes_and_places_are_no_loop(indent: int | None) -> None:
    codes = {"diagnosen": [{"aussage": f"s{n % 3 + 11}", "kode": f"E11.{n}{n % 2}"} for n in range(12)]}
    places = {
        "stellen": [
            {"belege": [{"segment": 14, "zitat": f"{drug} {5 * n} mg"}], "was": "genommen"}
            for n, drug in enumerate(
                ("Ramipril", "Torasemid", "Bisoprolol", "ASS", "Metformin", "Simvastatin", "Eplerenon")
            )
        ]
    }
    sentences = {
        "saetze": [
            {"aussagen": ["s1", "s2", "s3", "s4", "s5", "s6"], "text": f"Sie haben uns von {what} berichtet."}
            for what in ("Husten", "Fieber", "Schnupfen", "Müdigkeit", "Kopfweh")
        ]
    }
    for answer in (codes, places, sentences):
        assert fed(json.dumps(answer, ensure_ascii=False, indent=indent))[0] is None


def test_a_series_of_measured_values_is_no_loop() -> None:
    """The profile of a day: words are the same, numbers are not."""
    values = [(hour, 90 + 13 * hour % 70) for hour in range(6, 22, 2)]
    items = [
        {
            "belege": [{"segment": 7, "zitat": f"um {hour} Uhr {value}"}],
            "abschnitt": "O",
            "art": "bejaht",
            "text": f"Blutzucker um {hour} Uhr {value} mg/dl.",
        }
        for hour, value in values
    ]
    assert len(items) == 8
    assert fed(json.dumps({"stellen": items}, ensure_ascii=False, separators=(",", ":")))[0] is None


def test_questions_that_are_answered_with_yes_are_no_loop() -> None:
    signs = ("Husten", "Fieber", "Schnupfen", "Übelkeit", "Schwindel", "Atemnot", "Durst", "Juckreiz", "Müdigkeit")
    items = [
        {
            "belege": [{"segment": n, "zitat": f"Haben Sie {sign}"}, {"segment": n + 1, "zitat": "Ja"}],
            "abschnitt": "S",
            "art": "bejaht",
            "text": f"{sign}.",
        }
        for n, sign in enumerate(signs * 2)
    ]
    assert fed(json.dumps({"stellen": items}, ensure_ascii=False, separators=(",", ":")))[0] is None


def test_numbers_and_codes_alone_are_no_loop() -> None:
    assert fed(json.dumps(list(range(1000, 1300)), separators=(",", ":")))[0] is None
    codes = [{"aussage": f"s{number}", "kode": f"E{number}.{number % 10}"} for number in range(10, 40)]
    assert fed(json.dumps({"diagnosen": codes}, separators=(",", ":")))[0] is None
    assert fed(json.dumps({"saetze": [{"aussagen": [f"s{number}" for number in range(60)]}]}))[0] is None


# --- cost ------------------------------------------------------------------------------------------------------------


class _Counted:
    """Counts the characters that the watch's patterns and slices look at."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.characters = 0
        genuine = watch.repetition

        def counted(text: str) -> str | None:
            self.characters += len(text)
            return genuine(text)

        monkeypatch.setattr(watch, "repetition", counted)


def _honest(length: int) -> str:
    chance = random.Random(7)
    words = (" ".join("".join(chance.choices("abcdefghijkl", k=6)) for _ in range(length // 7)))[:length]
    assert re.search(r"\w", words)
    return words


def test_the_cost_grows_with_the_text_and_not_with_its_square(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that is four times as long costs about four times as much to watch, not sixteen times."""
    looked = []
    for length in (5_000, 20_000):
        with monkeypatch.context() as patch:
            counted = _Counted(patch)
            assert fed(_honest(length))[0] is None
            looked.append(counted.characters)
    assert looked[1] <= 6 * max(looked[0], 5_000)
