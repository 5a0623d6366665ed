"""The figures by which models are compared, one row each: how it is made of the records, and which way is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline.evaluation import shares

Group = Literal["scribe", "summarise", "code", "check", "bill", "answers", "speed"]
Unit = Literal["%", "", "s", "tok/s", "/min", "MiB"]

#: The groups in the order of the report, with their headings.
GROUPS: dict[Group, str] = {
    "scribe": "Note",
    "summarise": "Summary for the patient",
    "code": "Diagnosis codes",
    "check": "Prescribing check",
    "bill": "Billing",
    "answers": "Form of the answers",
    "speed": "Speed",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the comparison. `of` gets the records of one model (of one level, where it is speed)."""

    name: str
    group: Group
    title: str
    unit: Unit
    better: Literal["more", "less", ""]
    meaning: str
    of: shares.Of


def text(figure: Figure, value: shares.Value | None) -> str:
    """A figure as a person reads it."""
    if value is None:
        return "–"
    if figure.unit == "%":
        return f"{value.value:.1%}"
    digits = 0 if value.value >= 100 or figure.unit == "MiB" else 1 if value.value >= 10 else 2
    return f"{value.value:,.{digits}f}{' ' if figure.unit else ''}{figure.unit}"


FIGURES: tuple[Figure, ...] = (
    Figure("notes-served", "scribe", "notes by the model", "%", "more",
           "notes that are the model's, by those that it was asked for: in the others the rules engine stood in",
           shares.served("scribe")),
    Figure("refused", "scribe", "refused by the gate", "%", "less",
           "proposed statements that the gate refused, in all answers of the model, by proposed statements",
           shares.refused("scribe")),
    Figure("refused-critical", "scribe", "refused, of critical harm", "%", "less",
           "those of them on which a treatment decision could have rested", shares.refused("scribe", "critical")),
    Figure("refused-major", "scribe", "refused, of major harm", "%", "less",
           "those of them that would have misled", shares.refused("scribe", "major")),
    Figure("refused-minor", "scribe", "refused, of minor harm", "%", "less",
           "those of them that are a matter of wording", shares.refused("scribe", "minor")),
    Figure("planted", "scribe", "fabricated, past the gate", "%", "less",
           "statements of the note with a word of the case's `fabricated`, by statements of the note",
           shares.ratio("scribe", "note.planted", "note.statements")),
    Figure("omitted", "scribe", "critical facts left out", "%", "less",
           "critical facts that were said (allergy, drug, dose, red flag, vital sign; not the red flags that were "
           "denied) and that no statement of the model's carries, before the rules engine added them",
           shares.ratio("scribe", "note.omitted", "note.critical")),
    Figure("added", "scribe", "added by the rules engine", "%", "less",
           "statements that the rules engine added for what was left out, by the model's statements",
           shares.ratio("scribe", "note.added", "note.statements")),
    Figure("recall", "scribe", "recall of gold facts", "%", "more",
           "gold facts found in the model's own statements, by gold facts",
           shares.ratio("scribe", "note.found", "note.facts")),
    Figure("recall-S", "scribe", "recall in section S", "%", "more",
           "gold facts of this section found in the model's own statements",
           shares.ratio("scribe", "note.found_S", "note.facts_S")),
    Figure("recall-O", "scribe", "recall in section O", "%", "more",
           "gold facts of this section found in the model's own statements",
           shares.ratio("scribe", "note.found_O", "note.facts_O")),
    Figure("recall-A", "scribe", "recall in section A", "%", "more",
           "gold facts of this section found in the model's own statements",
           shares.ratio("scribe", "note.found_A", "note.facts_A")),
    Figure("recall-P", "scribe", "recall in section P", "%", "more",
           "gold facts of this section found in the model's own statements",
           shares.ratio("scribe", "note.found_P", "note.facts_P")),
    Figure("wrong-polarity", "scribe", "wrong polarity", "%", "less",
           "gold facts that the model's statements say with another polarity, by gold facts",
           shares.ratio("scribe", "note.wrong_polarity", "note.facts")),
    Figure("recall-in-chart", "scribe", "recall in the chart", "%", "more",
           "the same of what would be written: with what was added, and with the rules engine's note where the "
           "model's was of no use", shares.ratio("scribe", "note.found_in_chart", "note.facts", own=False)),
    Figure("completeness", "scribe", "sections filled", "%", "more",
           "sections with a statement of the model's, by sections with a gold fact",
           shares.ratio("scribe", "note.sections", "note.sections_due")),
    Figure("length", "scribe", "length of the note", "%", "",
           "characters of the model's statements by characters spoken",
           shares.ratio("scribe", "note.characters", "note.spoken")),
    Figure("codes-from-note", "scribe", "codes found from the note", "%", "more",
           "reference codes that the rules engine finds from this note",
           shares.ratio("scribe", "code.found", "code.expected", own=False)),
    Figure("warnings-from-note", "scribe", "prescribing errors found from it", "%", "more",
           "hidden prescribing errors that the rules engine finds with this note",
           shares.ratio("scribe", "check.found", "check.expected", own=False)),
    Figure("summaries-served", "summarise", "summaries by the model", "%", "more",
           "summaries that are the model's, by those that it was asked for",
           shares.served("summarise")),
    Figure("summary-refused", "summarise", "refused by the gate", "%", "less",
           "proposed sentences that the gate refused, also for their form (jargon, repeated, too many), by proposed "
           "sentences; a summary that is refused as a whole counts as one more", shares.refused("summarise")),
    Figure("summary-refused-critical", "summarise", "refused, of critical harm", "%", "less",
           "those of them on which a treatment decision could have rested", shares.refused("summarise", "critical")),
    Figure("fidelity", "summarise", "fidelity", "%", "more",
           "proposed sentences that note and talk carry: all but those that the gate refused for something else than "
           "their form", shares.fidelity("summarise")),
    Figure("summary-planted", "summarise", "fabricated, past the gate", "%", "less",
           "sentences with a word of the case's `fabricated`, by sentences",
           shares.ratio("summarise", "summary.planted", "summary.sentences")),
    Figure("readability", "summarise", "reading ease (Flesch–Amstad)", "", "more",
           "mean over the proposed summaries, also those that the gate refused; above 70 is easy, below 30 is for "
           "academics", shares.mean("summarise", "summary.readability", own=False)),
    Figure("sentences", "summarise", "sentences", "", "",
           "mean over the summaries", shares.mean("summarise", "summary.sentences")),
    Figure("words", "summarise", "words", "", "",
           "mean over the summaries", shares.mean("summarise", "summary.words")),
    Figure("codings-served", "code", "codings by the model", "%", "more",
           "codings that are the model's, by those that it was asked for",
           shares.served("code")),
    Figure("codes", "code", "reference codes found", "%", "more",
           "groups of `codes.must` of which one code was proposed, by the groups",
           shares.ratio("code", "code.found", "code.expected")),
    Figure("codes-forbidden", "code", "codes that must not be", "%", "less",
           "proposed codes that stand in `codes.forbidden`, by proposed codes",
           shares.ratio("code", "code.forbidden", "code.proposed")),
    Figure("codes-unlisted", "code", "codes on no list", "%", "",
           "proposed codes that the case neither expects nor allows nor forbids: look at them",
           shares.ratio("code", "code.unlisted", "code.proposed")),
    Figure("certainty", "code", "right certainty (G, V, A, Z)", "%", "more",
           "codes with the certainty of `codes.certainty`, by codes found that stand there",
           shares.ratio("code", "code.certainty_right", "code.certainty")),
    Figure("side", "code", "right side", "%", "more",
           "codes with the side of `codes.side`, by codes found that stand there",
           shares.ratio("code", "code.side_right", "code.side")),
    Figure("codes-refused", "code", "choices refused", "%", "less",
           "chosen codes that the gate refused, by chosen codes", shares.refused("code")),
    Figure("checks-served", "check", "checks with the model", "%", "more",
           "checks to which the model's places were added, by those that it was asked for",
           shares.served("check")),
    Figure("errors", "check", "prescribing errors found", "%", "more",
           "entries of `warnings.must` for which one warning names all drugs, by the entries",
           shares.ratio("check", "check.found", "check.expected")),
    Figure("alarms", "check", "false alarms", "%", "less",
           "warnings that name a drug of `warnings.forbidden_drugs`, by warnings",
           shares.ratio("check", "check.alarms", "check.warnings")),
    Figure("places-refused", "check", "places refused", "%", "less",
           "cited places that the gate refused, by cited places", shares.refused("check")),
    Figure("billings-served", "bill", "proposals with the model", "%", "more",
           "proposals for which the model's places were taken, by those that it was asked for",
           shares.served("bill")),
    Figure("items", "bill", "billing items found", "%", "more",
           "items of `billing.must` that were proposed, by the items",
           shares.ratio("bill", "bill.found", "bill.expected")),
    Figure("items-forbidden", "bill", "items that must not be", "%", "less",
           "proposed items that stand in `billing.must_not`, by proposed items",
           shares.ratio("bill", "bill.forbidden", "bill.proposed")),
    Figure("items-unlisted", "bill", "items on no list", "%", "",
           "proposed items that the case neither expects nor allows nor forbids: look at them",
           shares.ratio("bill", "bill.unlisted", "bill.proposed")),
    Figure("services-refused", "bill", "places refused", "%", "less",
           "cited places that the gate refused, by cited places", shares.refused("bill")),
    Figure("used", "answers", "stages served by the model", "%", "more",
           "questions of a stage that ended with an answer of the model, at once or at the second try", shares.used),
    Figure("first-used", "answers", "first answer used", "%", "more",
           "questions of a stage whose first answer was used", shares.first_used),
    Figure("invalid", "answers", "schema failures", "%", "less",
           "first answers that were no JSON of the schema", shares.outcome("invalid", first=True)),
    Figure("ungrounded", "answers", "ungrounded answers", "%", "less",
           "answers of which the gate left too little", shares.outcome("ungrounded")),
    Figure("loops", "answers", "loops", "%", "less",
           "answers that were ended because they repeated themselves", shares.outcome("loop")),
    Figure("truncated", "answers", "truncated", "%", "less",
           "answers that did not come to their end, or only because their budget was spent and they were closed",
           shares.truncated),
    Figure("closed", "answers", "brought to an end", "%", "less",
           "those of them that were closed validly", shares.closed),
    Figure("timeouts", "answers", "timeouts", "%", "less",
           "answers that did not come in time", shares.outcome("timeout")),
    Figure("unavailable", "answers", "no answer", "%", "less",
           "questions that the model could not be asked, or that it left empty",
           shares.outcome("unavailable", "disabled", "refused", "empty")),
    Figure("thinking", "answers", "thinking tax", "%", "less",
           "tokens spent in thinking, by all tokens of the answers", shares.thinking),
    Figure("same", "answers", "same result again", "%", "more",
           "questions that were asked several times (`--repeat`, `--concurrency`) and always gave the same result",
           shares.same),
    Figure("agreement", "answers", "judge agrees with the gate", "%", "",
           "statements of which gate and judge said the same, by those that the judge decided",
           shares.agreement_share),
    Figure("kappa", "answers", "Cohen's kappa", "", "",
           "the agreement beyond chance: 1 is full, 0 is none", shares.kappa),
    Figure("success", "speed", "first answer used under load", "%", "more",
           "as above, at this level", shares.first_used),
    Figure("wall", "speed", "time of a consultation", "s", "less",
           "median of: note, then the slowest of summary, codes and check, then fees, as far as they were measured, "
           "with the wait for a slot", shares.wall),
    Figure("answers-per-minute", "speed", "stages a minute", "/min", "more",
           "stages that were done, by the time in which at least one was in work", shares.per_minute),
    Figure("prefill", "speed", "reading the prompt", "tok/s", "more",
           "tokens of the prompts that were not shared with the request before, by the time for them", shares.prefill),
    Figure("decode", "speed", "writing the answer", "tok/s", "more",
           "tokens of the answers by the time for them, of one answer", shares.decode),
    Figure("memory", "speed", "memory of the child process", "MiB", "less",
           "largest resident memory of the model's own process up to then; none for a model server, whose memory is "
           "not ours to see",
           shares.memory),
)  # fmt: skip

BY_NAME: dict[str, Figure] = {figure.name: figure for figure in FIGURES}
