"""Records made by hand, for figures that can be reckoned on paper."""

from __future__ import annotations

from typing import Any

from pipeline.evaluation import files, records

MACHINE = records.Machine(processor="p", cores=2, memory_megabytes=1024, system="s", python="3.11")


def answer(outcome: str = "used", *, is_second: bool = False, **more: Any) -> records.Answer:
    """An answer of 100 tokens to a prompt of 300, 100 of them shared."""
    given = {
        "is_closed": False,
        "prompt_tokens": 300,
        "shared_tokens": 100,
        "tokens": 100,
        "thinking_tokens": 0,
        **more,
    }
    return records.Answer.model_validate({"outcome": outcome, "is_second": is_second, "mode": "single", **given})


def record(stage: str = "scribe", case: str = "a", **more: Any) -> records.Record:
    """A record of the model `m`, served by it in `wall` seconds from `begun` on.

    Each answer takes 2 s to read and 4 s to write.
    """
    answers = more.pop("answers", (answer(),))
    begun, wall = more.pop("begun", 0.0), more.pop("wall", 6.0)
    times = records.AnswerTimes(prefill_seconds=2.0, decode_seconds=4.0, wall_seconds=6.0)
    given = {
        "model": "m",
        "stage": stage,
        "case": case,
        "repeat": 1,
        "concurrency": 1,
        "served": "model",
        "proposed": 10,
        "refused": {},
        "measures": MEASURES[stage],
        "answers": answers,
        "result": "r",
        "times": records.Times(begun=begun, wall_seconds=wall, answers=tuple(times for _ in answers)),
        **more,
    }
    return records.Record.model_validate(given)


MEASURES: dict[str, records.Numbers] = {
    "scribe": {
        "note.statements": 10, "note.added": 2, "note.planted": 0, "note.sections": 3, "note.sections_due": 4,
        "note.critical": 8, "note.omitted": 1, "note.wrong_polarity": 0, "note.characters": 50, "note.spoken": 100,
        "note.facts": 10, "note.found": 8, "note.found_in_chart": 9, "note.facts_S": 4, "note.found_S": 3,
        "note.facts_O": 3, "note.found_O": 3, "note.facts_A": 1, "note.found_A": 1, "note.facts_P": 2,
        "note.found_P": 1, "code.expected": 2, "code.found": 1, "check.expected": 1, "check.found": 1,
    },
    "summarise": {
        "summary.sentences": 4, "summary.words": 40, "summary.planted": 0,
        "summary.readability": 65.0,
    },
    "code": {
        "code.expected": 2, "code.found": 1, "code.forbidden": 0, "code.proposed": 2, "code.unlisted": 0,
        "code.certainty": 1, "code.certainty_right": 1, "code.side": 0, "code.side_right": 0,
    },
    "check": {"check.expected": 2, "check.found": 1, "check.alarms": 0, "check.warnings": 1},
    "bill": {
        "bill.expected": 2, "bill.found": 2, "bill.forbidden": 0, "bill.proposed": 2, "bill.unlisted": 0
    },
}  # fmt: skip


def header(*given: str, **more: Any) -> records.Header:
    """A header of cases with these names."""
    plan = more.pop("plan", records.Plan(stages=("scribe",)))
    return records.Header.model_validate(
        {
            "begun": "2026-01-01T00:00:00+00:00", "gateway": "0", "rules": "r", "tables": "t", "prompts": {},
            "cases": {name: f"digest of {name}" for name in given or ("a",)}, "models": {}, "readability": 60.0,
            "plan": plan, "has_texts": False, "machine": MACHINE, **more,
        }
    )  # fmt: skip


def measured(
    name: str, *given: records.Record, head: records.Header | None = None, faults: dict[str, str] | None = None
) -> files.Measured:
    """A file that was read."""
    candidates = {model: records.Candidate(name=model, fault=fault) for model, fault in (faults or {}).items()}
    return files.Measured(name, head or header(), candidates, given)
