"""A second opinion on the gate: another model is asked, statement by statement, whether the cited words carry it.

It grades nothing. Where gate and judge differ is where a person should look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Literal

from pipeline import prompts, results, segments
from pipeline.engines import base, models, shapes
from pipeline.evaluation import checks, records
from pipeline.stages.by_model import talk

PROMPT = "judge"
_SHAPE = shapes.Shape(json_schema=shapes.obj(urteil=shapes.one_of("ja", "nein", "unklar")))
_POLARITIES: dict[results.Polarity, str] = {
    "affirmed": "bejaht",
    "negated": "verneint",
    "uncertain": "unsicher",
    "historical": "früher",
    "family": "Familie",
}

#: Refusals that are not about what the cited words carry.
_NOT_ASKED = checks.FORM | {"contradiction"}

Verdict = Literal["ja", "nein", "unklar"]


async def compare(
    judge: models.Loaded,
    own: Iterable[results.Statement],
    refused: Iterable[results.Rejected],
    transcript: segments.Transcript,
) -> records.Judgement:
    """Ask the judge about the model's own statements and all that the gate refused for want of grounding, and count.

    What cites no segment that there is is left out.
    """
    kept = [(_asked(s.text, s.evidence, transcript, s.polarity), True) for s in own]
    fallen = [
        (_asked(r.proposal, r.evidence, transcript, r.polarity), False) for r in refused if r.check not in _NOT_ASKED
    ]
    questions = [(user, is_kept) for user, is_kept in (*kept, *fallen) if user is not None]
    verdicts = await asyncio.gather(*(_verdict(judge, user) for user, _is_kept in questions))
    counted = dict.fromkeys(records.Judgement.model_fields, 0)
    for (_user, is_kept), verdict in zip(questions, verdicts, strict=True):
        counted[_kind(is_kept, verdict)] += 1
    return records.Judgement(**counted)


def _kind(is_kept: bool, verdict: Verdict | None) -> str:
    if verdict is None:
        return "failed"
    if verdict == "unklar":
        return "unclear"
    if is_kept:
        return "both_yes" if verdict == "ja" else "only_gate"
    return "both_no" if verdict == "nein" else "only_judge"


def _asked(
    text: str, evidence: Iterable[results.Evidence], transcript: segments.Transcript, polarity: results.Polarity | None
) -> str | None:
    """The question about one statement; None where it cites no segment that there is."""
    wanted = {place.segment for place in evidence}
    cited = tuple(segment for segment in transcript.segments if segment.number in wanted)
    if not cited:
        return None
    kind = f" ({_POLARITIES[polarity]})" if polarity else ""
    return f"Abschnitte:\n{talk.lines(segments.Transcript(segments=cited))}\n\nAussage{kind}: {text}"


async def _verdict(judge: models.Loaded, user: str) -> Verdict | None:
    request = base.Request(
        stage=PROMPT, system=prompts.load(PROMPT).text, user=user, shape=_SHAPE, seconds=judge.seconds
    )
    try:
        answer = await judge.answer(request)
    except base.Failure:
        return None
    verdict: Verdict = answer.value["urteil"]
    return verdict


def agreement(judged: Iterable[records.Judgement]) -> tuple[float, float | None, int] | None:
    """The share of agreement, Cohen's kappa and the number of statements; None where nothing was decided.

    Both are over the statements that the judge decided; "unklar" and failed questions are left out. Kappa is None where
    gate or judge said the same of every statement: chance cannot be told from agreement there.
    """
    found = list(judged)
    yes, no = sum(one.both_yes for one in found), sum(one.both_no for one in found)
    only_gate, only_judge = sum(one.only_gate for one in found), sum(one.only_judge for one in found)
    count = yes + no + only_gate + only_judge
    if not count:
        return None
    share = (yes + no) / count
    gate_yes, judge_yes = (yes + only_gate) / count, (yes + only_judge) / count
    by_chance = gate_yes * judge_yes + (1 - gate_yes) * (1 - judge_yes)
    is_told_apart = 0 < gate_yes < 1 and 0 < judge_yes < 1
    return share, (share - by_chance) / (1 - by_chance) if is_told_apart else None, count
