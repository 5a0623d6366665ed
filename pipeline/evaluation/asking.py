"""Asks one stage of one case, on top of what the rules engine made of the case's other stages."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable

from pipeline import documenting, results
from pipeline.engines import options, serving
from pipeline.evaluation import cases
from pipeline.stages import bill, check, code, read_document, scribe, summarise


def by_rules(case: cases.Case, wanted: documenting.Options) -> documenting.Documented:
    """All stages by the rules engine."""
    transcript = read_document.run(case.consultation)
    note = scribe.run(case.consultation, transcript)
    made = documenting.Documented(
        transcript=transcript,
        note=note,
        summary=summarise.run(case.consultation, transcript, note),
        coding=results.Coding(diagnoses=()),
        check=results.SafetyCheck(status="none", drugs=(), warnings=(), covered=""),
        billing=None,
    )
    return after_note(case, made, wanted)


def after_note(case: cases.Case, made: documenting.Documented, wanted: documenting.Options) -> documenting.Documented:
    """What the rules engine makes of a note: codes, the prescribing check and fees."""
    given, transcript, note = case.consultation, made.transcript, made.note
    coding = code.run(given, transcript, note)
    return dataclasses.replace(
        made,
        coding=coding,
        check=check.run(given, transcript, note),
        billing=bill.run(given, transcript, note, coding, wanted.insurance_when_unknown),
    )


#: Asks a stage; the result stands in place of the rules engine's.
Ask = Callable[
    [serving.Setting, cases.Case, documenting.Documented, documenting.Options], Awaitable[documenting.Documented]
]


async def _scribe(
    setting: serving.Setting, case: cases.Case, on: documenting.Documented, _wanted: documenting.Options
) -> documenting.Documented:
    return dataclasses.replace(on, note=await documenting.write_note(setting, case.consultation, on.transcript))


async def _summarise(
    setting: serving.Setting, case: cases.Case, on: documenting.Documented, wanted: documenting.Options
) -> documenting.Documented:
    made = await documenting.write_summary(setting, case.consultation, on.transcript, on.note, wanted)
    return dataclasses.replace(on, summary=made)


async def _code(
    setting: serving.Setting, case: cases.Case, on: documenting.Documented, _wanted: documenting.Options
) -> documenting.Documented:
    made = await documenting.write_codes(setting, case.consultation, on.transcript, on.note)
    return dataclasses.replace(on, coding=made)


async def _check(
    setting: serving.Setting, case: cases.Case, on: documenting.Documented, _wanted: documenting.Options
) -> documenting.Documented:
    made = await documenting.check_prescriptions(setting, case.consultation, on.transcript, on.note)
    return dataclasses.replace(on, check=made)


async def _bill(
    setting: serving.Setting, case: cases.Case, on: documenting.Documented, wanted: documenting.Options
) -> documenting.Documented:
    made = await documenting.propose_billing(setting, case.consultation, on.transcript, on.note, on.coding, wanted)
    return dataclasses.replace(on, billing=made)


STAGES: dict[options.Served, Ask] = {
    "scribe": _scribe, "summarise": _summarise, "code": _code, "check": _check, "bill": _bill
}  # fmt: skip
