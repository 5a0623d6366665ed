"""Why a statement is refused: every check of the gate by name, with its harm and its German sentence."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline import results


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one statement. `check` is a name of `CHECKS`, `harm` what it would have done in the chart:

    critical: a treatment decision can rest on it (number, drug, dose, side, diagnosis, flipped negation, wrong person);
    major: it misleads, though a reader would probably find out; minor: wording. `reason` never holds patient text.
    """

    check: str
    harm: results.Harm
    reason: str

    def __str__(self) -> str:
        return self.reason


def _table(*rows: tuple[str, results.Harm, str]) -> dict[str, Fault]:
    return {check: Fault(check, harm, reason) for check, harm, reason in rows}


#: All checks by name. A statement gets one fault: of its quantities the worst, else the first that `gate` finds.
CHECKS: dict[str, Fault] = _table(
    ("length", "minor", "Die Aussage ist zu lang."),
    ("characters", "minor", "Die Aussage enthält Zeichen, die in keinem Text stehen."),
    ("evidence", "critical", "Es ist kein Beleg angegeben."),
    ("quote", "major", "Das Zitat trägt die Aussage nicht."),
    ("no-content", "minor", "Die Aussage hat keinen Inhalt."),
    ("drug", "critical", "Ein Medikament steht nicht im Beleg."),
    ("age", "critical", "Eine Altersangabe steht nicht im Beleg."),
    ("date", "major", "Ein Datum, ein Tag oder eine Tageszeit steht nicht im Beleg."),
    ("duration", "major", "Eine Zeitdauer steht nicht im Beleg."),
    ("dose", "critical", "Eine Dosis steht so nicht im Beleg."),
    ("unit", "critical", "Eine Einheit steht nicht im Beleg."),
    ("number", "critical", "Eine Zahl steht nicht im Beleg."),
    ("side", "critical", "Eine Seite steht nicht im Beleg."),
    ("body-part", "critical", "Ein Körperteil steht nicht im Beleg."),
    ("diagnosis", "critical", "Eine Diagnose oder Allergie steht nicht im Beleg."),
    ("finding", "major", "Eine Beschwerde oder ein Befund steht nicht im Beleg."),
    ("negation", "critical", "Die Verneinung stimmt nicht mit dem Beleg überein."),
    ("question", "major", "Der Beleg ist nur eine Frage."),
    ("certainty", "major", "Die Aussage ist so sicher nicht belegt, oder sicherer belegt."),
    ("person", "critical", "Der Beleg spricht von einer anderen Person."),
    ("time", "major", "Der Beleg spricht von einer anderen Zeit."),
    (
        "condition",
        "critical",
        "Im Beleg ist das nur angenommen: eine Bedingung, ein Risiko, ein Zweck oder eine Sorge.",
    ),
    ("speaker", "major", "Beurteilung und Plan sind nicht von ärztlicher oder pflegerischer Seite belegt."),
    ("invented-word", "major", "Ein Wort gibt es nicht, und es steht nicht im Beleg."),
    ("foreign-word", "minor", "Ein Wort steht nicht im Beleg."),
    ("repeated", "minor", "Die Aussage wiederholt eine andere."),
    ("contradiction", "critical", "Die Aussage widerspricht einer anderen."),
    ("specificity", "major", "Was der Kode genauer sagt, steht nicht in der Notiz."),
    ("service", "major", "Die Leistung ist dort nicht dokumentiert."),
)
