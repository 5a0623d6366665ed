"""The stages from the transcript on, each served by its models and, where none is of use, by the rules engine."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pipeline import consultation, results, segments
from pipeline.engines import serving
from pipeline.grounding import summary as summary_gate
from pipeline.stages import bill, check, code, read_document, scribe, summarise
from pipeline.stages.by_model import bill as bill_by_model
from pipeline.stages.by_model import check as check_by_model
from pipeline.stages.by_model import code as code_by_model
from pipeline.stages.by_model import scribe as scribe_by_model
from pipeline.stages.by_model import summarise as summarise_by_model


@dataclass(frozen=True, slots=True)
class Options:
    """What the stages assume: the schedule without a Coverage, and how readable a summary must be (Flesch–Amstad)."""

    insurance_when_unknown: consultation.Insurance | None = None
    readability: float = summary_gate.READABLE


@dataclass(frozen=True, slots=True)
class Documented:
    """Everything that one consultation became."""

    transcript: segments.Transcript
    note: results.Note
    summary: results.PatientSummary
    coding: results.Coding
    check: results.SafetyCheck
    billing: results.Billing | None


async def everything(
    setting: serving.Setting, documented: consultation.Consultation, options: Options = Options()
) -> Documented:
    """All stages of one consultation, those side by side that do not need one another."""
    transcript: segments.Transcript = await setting.in_thread(read_document.run, documented)
    note = await write_note(setting, documented, transcript)
    summary, coding, checked = await asyncio.gather(
        write_summary(setting, documented, transcript, note, options),
        write_codes(setting, documented, transcript, note),
        check_prescriptions(setting, documented, transcript, note),
    )
    billing = await propose_billing(setting, documented, transcript, note, coding, options)
    return Documented(transcript, note, summary, coding, checked, billing)


async def write_note(
    setting: serving.Setting, documented: consultation.Consultation, transcript: segments.Transcript
) -> results.Note:
    """The stage `scribe`."""
    served = await serving.ask(
        setting,
        "scribe",
        lambda: scribe_by_model.question(transcript),
        lambda value: scribe_by_model.judge(value, documented, transcript),
    )
    note: results.Note = served.result or await setting.in_thread(scribe.run, documented, transcript)
    own = () if served.result else note.rejected
    return note.model_copy(update={"rejected": (*served.rejected, *own), "work": served.work})


async def write_summary(
    setting: serving.Setting,
    documented: consultation.Consultation,
    transcript: segments.Transcript,
    note: results.Note,
    options: Options,
) -> results.PatientSummary:
    """The stage `summarise`."""
    served = await serving.ask(
        setting,
        "summarise",
        lambda: summarise_by_model.question(note),
        lambda value: summarise_by_model.judge(value, note, transcript, options.readability),
    )
    made: results.PatientSummary = served.result or await setting.in_thread(summarise.run, documented, transcript, note)
    own = () if served.result else made.rejected
    return made.model_copy(update={"rejected": (*served.rejected, *own), "work": served.work})


async def write_codes(
    setting: serving.Setting,
    documented: consultation.Consultation,
    transcript: segments.Transcript,
    note: results.Note,
) -> results.Coding:
    """The stage `code`."""
    served = await serving.ask(
        setting,
        "code",
        lambda: code_by_model.question(documented, note),
        lambda value: code_by_model.judge(value, documented, transcript, note),
    )
    coding: results.Coding = served.result or await setting.in_thread(code.run, documented, transcript, note)
    return coding.model_copy(update={"rejected": (*served.rejected, *coding.rejected), "work": served.work})


async def check_prescriptions(
    setting: serving.Setting,
    documented: consultation.Consultation,
    transcript: segments.Transcript,
    note: results.Note,
) -> results.SafetyCheck:
    """The stage `check`."""
    served = await serving.ask(
        setting,
        "check",
        lambda: check_by_model.question(transcript),
        lambda value: check_by_model.judge(value, documented, transcript, note),
    )
    made: results.SafetyCheck = served.result or await setting.in_thread(check.run, documented, transcript, note)
    return made.model_copy(update={"rejected": served.rejected, "work": served.work})


async def propose_billing(
    setting: serving.Setting,
    documented: consultation.Consultation,
    transcript: segments.Transcript,
    note: results.Note,
    coding: results.Coding,
    options: Options,
) -> results.Billing | None:
    """The stage `bill`; None where there is no schedule, and then no model is asked either."""
    insurance = options.insurance_when_unknown
    by_rules: results.Billing | None = await setting.in_thread(
        bill.run, documented, transcript, note, coding, insurance
    )
    if by_rules is None:
        return None
    served = await serving.ask(
        setting,
        "bill",
        lambda: bill_by_model.question(transcript),
        lambda value: bill_by_model.judge(value, documented, transcript, note, coding, insurance),
    )
    made = served.result or by_rules
    return made.model_copy(update={"refused": (*served.rejected, *made.refused), "work": served.work})
