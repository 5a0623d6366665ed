"""`pipeline.grounding.gate`: for each reason a statement that is refused, and one beside it that passes."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import results, segments
from pipeline.grounding import gate

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
    evidence = tuple(
        results.Evidence(segment=n, start=0, end=len(SAID[n - 1]) if n <= len(SAID) else 5) for n in numbers
    )
    return results.Statement(id="s1", section=section, text=text, polarity=polarity, evidence=evidence)


@pytest.mark.parametrize(
    ("refused", "accepted", "reason"),
    [
        (statement("Seit 4 Tagen Husten.", 1), statement("Seit 3 Tagen Husten.", 1), "Zahl"),
        (statement("Ibuprofen 600.", 1), statement("Ibuprofen 400.", 1), "Zahl"),
        (statement("Blutdruck 170/90 mmHg.", 2), statement("Blutdruck 160/90 mmHg.", 2), "Zahl"),
        (statement("Blutdruck 150.", 2), statement("Blutdruck 160.", 2), "Zahl"),
        (statement("Nimmt Diclofenac 400.", 1), statement("Nimmt Ibuprofen 400.", 1), "Medikament"),
        (statement("Nimmt Voltaren.", 1), statement("Nimmt Ibuprofen.", 1), "Medikament"),
        (statement("Rechtes Knie.", 1), statement("Linkes Knie.", 1), "Seite rechts"),
        (statement("Links.", 4), statement("Links.", 5), "Seite links"),
        (statement("Rechts.", 5), statement("Links.", 5), "Seite rechts"),
        (statement("Husten und Durchfall.", 1), statement("Husten.", 1), "Wort"),
        (statement("Puls regelmäßig.", 4, polarity="negated"), statement("Puls regelmäßig.", 4), "verneint nicht"),
        (statement("Puls nie regelmäßig.", 4), statement("Puls regelmäßig.", 4), "verneint"),
        (
            statement("Puls regelmäßig.", 4, polarity="uncertain"),
            statement("Wahrscheinlich Bronchitis.", 3, polarity="uncertain"),
            "nicht unsicher",
        ),
        (statement("Husten."), statement("Husten.", 1), "kein Beleg"),
        (statement("Husten.", 99), statement("Husten.", 1), "kein Beleg"),
        (
            statement("Übelkeit: nein.", 6, polarity="negated"),
            statement("Übelkeit: nein.", 6, 7, polarity="negated"),
            "verneint",
        ),
    ],
)  # fmt: skip
def test_each_reason(refused: results.Statement, accepted: results.Statement, reason: str) -> None:
    fault = gate.fault(refused, TRANSCRIPT)
    assert gate.fault(accepted, TRANSCRIPT) is None
    assert fault is not None and reason in fault


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
    assert fallen.reason and "Durchfall" not in fallen.reason


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
