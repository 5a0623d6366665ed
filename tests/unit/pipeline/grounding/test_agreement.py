"""`pipeline.grounding.agreement`: what a sentence says of a step, a drug or a complaint is in the note."""

import pytest

from pipeline import results
from pipeline.grounding import agreement

#: Section, text and polarity of what the note says.
NOTED: tuple[tuple[results.Section, str, results.Polarity], ...] = (
    ("S", "Husten seit drei Tagen.", "affirmed"),
    ("S", "Kopfweh.", "affirmed"),
    ("O", "Blutdruck 148/92 mmHg.", "affirmed"),
    ("O", "Lunge unauffällig.", "affirmed"),
    ("P", "Ramipril 5 mg, eine Tablette morgens.", "affirmed"),
    ("P", "Paracetamol 500 bei Bedarf, höchstens dreimal am Tag.", "affirmed"),
    ("P", "Ibuprofen 400 dreimal täglich, höchstens fünf Tage.", "affirmed"),
    ("P", "In zwei Wochen wieder zur Kontrolle.", "affirmed"),
    ("P", "Das linke Bein hochlagern, das rechte belasten.", "affirmed"),
    ("P", "Eine Woche nicht Auto fahren.", "negated"),
    ("P", "Höchstens zwei Liter trinken.", "affirmed"),
    ("P", "Den Verband nicht nass machen.", "negated"),
)
STATEMENTS = tuple(
    results.Statement(id=f"s{number}", section=section, text=text, polarity=says, evidence=())
    for number, (section, text, says) in enumerate(NOTED, start=1)
)


@pytest.mark.parametrize(
    ("claim", "check"),
    [
        ("Sie dürfen Auto fahren.", "contradiction"),
        ("In zwei Wochen nicht wieder zur Kontrolle.", "contradiction"),
        ("Machen Sie den Verband nass.", "contradiction"),
        ("Das linke Bein nicht hochlagern.", "contradiction"),
        ("Belasten Sie das linke Bein.", "side"),
        ("Das rechte Bein hochlagern.", "side"),
        ("Ramipril 5 mg bei Bedarf.", "frequency"),
        ("Ramipril nur bei Bedarf.", "frequency"),
        ("Ramipril 5 mg abends.", "frequency"),
        ("Ramipril 5 mg jede Nacht.", "frequency"),
        ("Paracetamol 500 dreimal am Tag.", "frequency"),
        ("Mindestens dreimal am Tag Paracetamol 500.", "frequency"),
        ("Paracetamol 500 morgens.", "frequency"),
        ("Ibuprofen 400 mindestens dreimal täglich.", "frequency"),
        ("Mindestens zwei Liter trinken.", "frequency"),
        ("Ihr Blutdruck war 148/92 und damit gut.", "finding"),
        ("Ihr Blutdruck ist normal.", "finding"),
        ("Ihr Blutdruck ist gefährlich hoch.", "finding"),
        ("Kopfweh seit drei Tagen.", "duration"),
        ("Seit drei Tagen haben Sie Kopfweh.", "duration"),
    ],
)
def test_what_the_note_says_otherwise_is_told(claim: str, check: str) -> None:
    assert agreement.fault(claim, STATEMENTS) == check


@pytest.mark.parametrize(
    "claim",
    [
        "Sie dürfen eine Woche nicht Auto fahren.",
        "In zwei Wochen wieder zur Kontrolle.",
        "Den Verband bitte nicht nass machen.",
        "Belasten Sie das rechte Bein.",
        "Das linke Bein hochlagern.",
        "Ramipril 5 mg jeden Morgen.",
        "Ramipril.",
        "Am Morgen eine Tablette Ramipril 5 mg.",
        "Paracetamol 500 bei Bedarf.",
        "Paracetamol 500 höchstens dreimal am Tag.",
        "Paracetamol 500 bei Bedarf, bis zu dreimal am Tag.",
        "Ibuprofen 400 dreimal täglich.",
        "Nicht mehr als zwei Liter trinken.",
        "Höchstens zwei Liter trinken.",
        "Ihr Blutdruck war 148/92.",
        "Die Lunge war unauffällig.",
        "Husten seit drei Tagen.",
        "Seit drei Tagen Husten und auch Kopfweh.",
        "Kopfweh.",
        "Husten und Kopfweh.",
        "",
    ],
)
def test_what_agrees_is_let_pass(claim: str) -> None:
    assert agreement.fault(claim, STATEMENTS) is None


def test_relatives_are_no_one_to_agree_with() -> None:
    told = results.Statement(
        id="s1", section="S", text="Mutter: Husten seit drei Tagen.", polarity="family", evidence=()
    )
    assert agreement.fault("Husten seit drei Tagen.", (told,)) is None


@pytest.mark.parametrize(("text", "is_one"), [("Rufen Sie die 112", True), ("Warten Sie ab", False)])
def test_advice_is_known_by_its_words(text: str, is_one: bool) -> None:
    assert agreement.is_advice(text) == is_one
