"""The gate over generated statements: changed numbers and drugs fall, said clauses pass, nothing raises."""

import re

from hypothesis import assume, example, given
from hypothesis import strategies as st

from pipeline import results, segments
from pipeline.grounding import gate
from terminology.drugs import catalogue

DRUGS = sorted(name for name in catalogue.ingredients() if name.isalpha() and len(name) > 4)
CLAUSES = (
    "Ich habe seit drei Tagen Husten",
    "Der Blutdruck ist 130 zu 80",
    "Ramipril fünf Milligramm morgens",
    "Das linke Knie ist geschwollen",
    "Mir ist seit gestern schwindelig",
    "Ich rauche zehn Zigaretten am Tag",
    "Die Temperatur ist achtunddreißig fünf",
    "Ich nehme Metformin 1000 zweimal täglich",
    "I hob seit a Woch Kreuzweh",
    "Kommen Sie in zwei Wochen wieder",
)


def fault_of(said: str, text: str, *, section: results.Section = "S") -> str | None:
    """The check that `text` fails when all of `said` is cited."""
    transcript = segments.Transcript(
        segments=(segments.Segment(number=1, source="d", speaker="patient", text=said, start=0, end=len(said)),)
    )
    evidence = (results.Evidence(segment=1, start=0, end=len(said)),)
    statement = results.Statement(id="s1", section=section, text=text, polarity="affirmed", evidence=evidence)
    found = gate.fault(statement, transcript)
    return found.check if found else None


@given(st.lists(st.sampled_from(CLAUSES), min_size=1, max_size=4, unique=True), st.data())
def test_a_clause_as_it_was_said_passes(clauses: list[str], data: st.DataObject) -> None:
    said = ". ".join(clauses) + "."
    chosen = data.draw(st.sampled_from(clauses))
    assert fault_of(said, f"{chosen}.") is None


NUMBERED = (
    "Ramipril {} mg morgens.", "Husten seit {} Tagen.", "Blutdruck {}/85 mmHg.", "{} Jahre alt.", "Puls {}/min.",
    "Alle {} Stunden.", "Kommt in {} Wochen wieder.", "CRP {}.", "Novalgin {} Tropfen.", "Raucht {} Zigaretten.",
    "Gewicht {} kg.", "Am {}. März operiert.", "Operation L{}.", "Ibuprofen 600 {}x täglich.", "Größe {} cm.",
)  # fmt: skip


@given(st.sampled_from(NUMBERED), st.integers(1, 400), st.integers(1, 400))
@example("Operation L{}.", 4, 5)
def test_a_changed_number_falls(template: str, said: int, claimed: int) -> None:
    assume(said != claimed and 85 not in (said, claimed) and 600 not in (said, claimed))
    assert fault_of(template.format(said), template.format(said)) is None
    assert fault_of(template.format(said), template.format(claimed)) is not None


@given(st.sampled_from(DRUGS), st.sampled_from(DRUGS))
def test_another_drug_falls(said: str, claimed: str) -> None:
    one = {name for mention in catalogue.find(said) for name in mention.names}
    other = {name for mention in catalogue.find(claimed) for name in mention.names}
    assume(one and other and not other <= one)
    assert fault_of(f"Ich nehme {said} 5 mg.", f"Nimmt {claimed} 5 mg.") == "drug"
    assert fault_of(f"Ich nehme {said} 5 mg.", f"Nimmt {said} 5 mg.") is None


@given(st.text(max_size=300), st.text(max_size=120))
@example("Husten.", "\ud800\x00 Husten 5 mg")
@example("\ud800", "Husten.")
@example("Husten seit ² Tagen", "Husten seit ² Tagen ½ ٣")
@example("x", "9" * 10_000)
@example("x", "a" * 10_000)
@example("zwei " * 200, "zwei " * 190)
def test_no_text_raises(said: str, text: str) -> None:
    fault_of(said, text)


@given(st.from_regex(r"[bcdfghjklmnpqrstvwxz]{6,14}", fullmatch=True))
def test_a_word_that_nobody_knows_falls(word: str) -> None:
    assert fault_of("Ich habe seit drei Tagen Husten.", f"Husten mit {word}.") in (
        "invented-word",
        "drug",
        "foreign-word",
        "finding",  # its last letters are an analyte's name, "BNP"
    )


@given(st.sampled_from(CLAUSES), st.sampled_from(["Fieber", "Durchfall", "Atemnot", "Pneumonie", "Penicillinallergie"]))
def test_a_complaint_that_nobody_named_falls(said: str, added: str) -> None:
    assert fault_of(f"{said}.", f"{said} und {added}.") is not None
    assert re.match(r"[a-z-]+", fault_of(f"{said}.", f"{added}.") or "") is not None
