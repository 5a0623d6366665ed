"""`pipeline.grounding.gate`: for each reason a statement that is refused, and one beside it that passes."""

import importlib
import pkgutil
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import grounding, results, segments
from pipeline.evaluation import cases
from pipeline.grounding import faults, gate
from pipeline.stages import read_document, scribe
from terminology import german

SAID = (
    "Ich habe seit drei Tagen Husten, aber kein Fieber, und nehme Ibuprofen 400 am linken Knie.",
    "Der Blutdruck ist hundertfünfzig, nein, hundertsechzig zu neunzig.",
    "Das ist wahrscheinlich eine Bronchitis.",
    "Der Puls ist regelmäßig.",
    "Das Knie, nein, die Schulter. Seit Montag, nein, seit Dienstag. Rechts, Quatsch, links.",
    "Haben Sie Übelkeit?",
    "Nein.",
)
TRANSCRIPT = segments.Transcript(
    segments=tuple(
        segments.Segment(number=number, source="d", speaker="patient", text=text, start=0, end=len(text))
        for number, text in enumerate(SAID, start=1)
    )
)


def statement(
    text: str, *numbers: int, polarity: results.Polarity = "affirmed", section: results.Section = "S"
) -> results.Statement:
    """A statement that cites these segments."""
    evidence = tuple(results.Evidence(segment=n) for n in numbers)
    return results.Statement(id="s1", section=section, text=text, polarity=polarity, evidence=evidence)


@pytest.mark.parametrize(
    ("refused", "accepted", "check"),
    [
        (statement("Seit 4 Tagen Husten.", 1), statement("Seit 3 Tagen Husten.", 1), "duration"),
        (statement("Ibuprofen 600.", 1), statement("Ibuprofen 400.", 1), "dose"),
        (statement("Blutdruck 170/90 mmHg.", 2), statement("Blutdruck 160/90 mmHg.", 2), "number"),
        (statement("Blutdruck 150.", 2), statement("Blutdruck 160.", 2), "number"),
        (statement("Nimmt Diclofenac 400.", 1), statement("Nimmt Ibuprofen 400.", 1), "drug"),
        (statement("Nimmt Voltaren.", 1), statement("Nimmt Ibuprofen.", 1), "drug"),
        (statement("Rechtes Knie.", 1), statement("Linkes Knie.", 1), "side"),
        (statement("Links.", 4), statement("Links.", 5), "side"),
        (statement("Rechts.", 5), statement("Links.", 5), "side"),
        (statement("Husten und Durchfall.", 1), statement("Husten.", 1), "finding"),
        (statement("Puls regelmäßig.", 4, polarity="negated"), statement("Puls regelmäßig.", 4), "negation"),
        (statement("Puls nie regelmäßig.", 4), statement("Puls regelmäßig.", 4), "negation"),
        (
            statement("Puls regelmäßig.", 4, polarity="uncertain"),
            statement("Wahrscheinlich Bronchitis.", 3, polarity="uncertain"),
            "certainty",
        ),
        (statement("Husten."), statement("Husten.", 1), "evidence"),
        (statement("Husten.", 99), statement("Husten.", 1), "evidence"),
        (
            statement("Übelkeit: nein.", 6, polarity="negated"),
            statement("Übelkeit: nein.", 6, 7, polarity="negated"),
            "negation",
        ),
    ],
)  # fmt: skip
def test_each_reason(refused: results.Statement, accepted: results.Statement, check: str) -> None:
    fault = gate.fault(refused, TRANSCRIPT)
    assert gate.fault(accepted, TRANSCRIPT) is None
    assert fault == faults.CHECKS[check]


def test_evidence_in_the_record_alone_carries_no_statement() -> None:
    fact = results.Statement(
        id="s1", section="S", text="Husten.", polarity="affirmed", evidence=(results.Evidence(record="Condition/1"),)
    )
    assert gate.fault(fact, TRANSCRIPT) is not None


def test_what_was_hedged_is_not_written_as_certain() -> None:
    assert gate.fault(statement("Bronchitis.", 3, section="A"), TRANSCRIPT) is not None


def test_what_was_denied_is_not_written_as_present() -> None:
    assert gate.fault(statement("Übelkeit.", 6, 7), TRANSCRIPT) is not None


def test_what_falls_is_kept_with_its_reason() -> None:
    good, bad = statement("Husten.", 1), statement("Durchfall seit 9 Tagen.", 1)
    note = gate.check([good, bad], TRANSCRIPT)
    assert note.statements == (good,)
    (fallen,) = note.rejected
    assert (fallen.stage, fallen.proposal, fallen.evidence) == ("scribe", bad.text, bad.evidence)
    assert (fallen.check, fallen.harm, fallen.reason) == ("duration", "major", str(faults.CHECKS["duration"]))
    assert "Durchfall" not in fallen.reason


@pytest.mark.parametrize("text", ["Temperatur 38,5 °C.", "eGFR 27 ml/min/1,73 m² (erniedrigt).", "Puls 80/min."])
def test_units_claim_nothing(text: str) -> None:
    heard = "Die Temperatur ist achtunddreißig fünf, die eGFR liegt bei 27 und der Puls bei 80."
    transcript = segments.Transcript(
        segments=(segments.Segment(number=1, source="d", speaker="doctor", text=heard, start=0, end=len(heard)),)
    )
    assert gate.fault(statement(text, 1), transcript) is None


@given(st.integers(0, 999), st.integers(0, 999))
def test_no_foreign_number_passes(said: int, claimed: int) -> None:
    heard = f"Der Wert liegt bei {said}."
    transcript = segments.Transcript(
        segments=(segments.Segment(number=1, source="d", speaker="doctor", text=heard, start=0, end=len(heard)),)
    )
    assert (gate.fault(statement(f"Der Wert liegt bei {claimed}.", 1), transcript) is None) == (said == claimed)


def test_an_invented_dose_of_a_known_drug_falls(talk: Callable[[str], segments.Transcript]) -> None:
    heard = talk("Arzt: Wir erhöhen das Ramipril von 5 auf 10 Milligramm, und das ist gut so.")
    assert gate.fault(statement("Ramipril 10 mg.", 1), heard) is None
    assert gate.fault(statement("Ramipril 20 mg.", 1), heard) is not None


def test_the_table_of_checks_is_whole() -> None:
    assert all(name == fault.check and fault.reason.endswith(".") for name, fault in faults.CHECKS.items())
    assert {fault.harm for fault in faults.CHECKS.values()} == {"critical", "major", "minor"}


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("Husten. " * 200, "length"),
        ("Husten\x00.", "characters"), ("Husten \ud800.", "characters"), ("Hu\u200bsten", "characters")],
)  # fmt: skip
def test_what_is_no_sentence_is_refused(text: str, check: str) -> None:
    assert gate.fault(statement(text, 1), TRANSCRIPT) == faults.CHECKS[check]


def test_a_sentence_that_is_repeated_falls() -> None:
    first, second, other = (
        statement("Husten.", 1),
        statement("Husten!", 1),
        statement("Kein Fieber.", 1, polarity="negated"),
    )
    note = gate.check([first, second, other], TRANSCRIPT, stage="model")
    assert note.statements == (first, other)
    assert [(fallen.check, fallen.stage) for fallen in note.rejected] == [("repeated", "model")]


def test_two_that_contradict_each_other_do_not_both_stay(talk: Callable[[str], segments.Transcript]) -> None:
    heard = talk("Patient: Ich habe Schwindel.\nArzt: Und sonst?\nPatient: Schwindel habe ich nicht.")
    yes = results.Statement(
        id="s1", section="S", text="Schwindel.", polarity="affirmed", evidence=(results.Evidence(segment=1),)
    )
    no = results.Statement(
        id="s2", section="S", text="Kein Schwindel.", polarity="negated", evidence=(results.Evidence(segment=3),)
    )
    note = gate.check([yes, no], heard)
    assert note.statements == (yes,)
    assert [fallen.check for fallen in note.rejected] == ["contradiction"]
    found = no.model_copy(update={"section": "O"})
    assert gate.check([yes, found], heard).statements == (yes, found)


def test_a_complaint_denied_and_a_value_measured_are_two_facts(talk: Callable[[str], segments.Transcript]) -> None:
    heard = talk("Patient: Fieber habe ich nicht.\nArzt: Die Temperatur ist 38,5.")
    denied = results.Statement(
        id="s1", section="S", text="Kein Fieber.", polarity="negated", evidence=(results.Evidence(segment=1),)
    )
    measured = results.Statement(
        id="s2", section="O", text="Temperatur 38,5 °C.", polarity="affirmed", evidence=(results.Evidence(segment=2),)
    )
    assert gate.check([denied, measured], heard).statements == (denied, measured)


def test_nothing_that_was_said_is_remembered() -> None:
    """Each bounded cache of the gate and its German is emptied: its keys are what patients said. Others are tables."""
    case = cases.named("migraine")
    scribe.run(case.consultation, read_document.run(case.consultation))
    scribe.forget()
    modules = [
        importlib.import_module(f"{package.__name__}.{found.name}")
        for package in (grounding, german)
        for found in pkgutil.iter_modules(package.__path__)
    ]
    values = [value for module in modules for value in vars(module).values()]
    bounded = [value for value in values if hasattr(value, "cache_info") and value.cache_info().maxsize is not None]
    assert len(bounded) > 20
    assert [value.__qualname__ for value in bounded if value.cache_info().currsize] == []
