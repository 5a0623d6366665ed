"""How the figures are made: shares, means and rates over the records of one model."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pipeline import results
from pipeline.evaluation import checks, judge, records

Records = Sequence[records.Record]


@dataclass(frozen=True, slots=True)
class Value:
    """A figure. `part` of `whole` where it is a share; a mean, median or rate stands alone over `whole` records."""

    value: float
    part: float | None
    whole: float


Of = Callable[[Records], Value | None]


def _share(part: float, whole: float) -> Value | None:
    return Value(part / whole, part, whole) if whole else None


def _of_stage(given: Records, stage: str, *, own: bool = True) -> list[records.Record]:
    return [r for r in given if r.stage == stage and (r.is_own or not own)]


def ratio(stage: str, part: str, whole: str, *, own: bool = True) -> Of:
    """The sum of one number by the sum of another over the records of a stage."""

    def of(given: Records) -> Value | None:
        chosen = _of_stage(given, stage, own=own)
        return _share(sum(r.measures[part] for r in chosen), sum(r.measures[whole] for r in chosen))

    return of


def mean(stage: str, name: str, *, own: bool = True) -> Of:
    """The mean of one number over the records of a stage that have it."""

    def of(given: Records) -> Value | None:
        numbers = [r.measures[name] for r in _of_stage(given, stage, own=own) if name in r.measures]
        return Value(statistics.fmean(numbers), None, len(numbers)) if numbers else None

    return of


def refused(stage: str, *harms: results.Harm) -> Of:
    """The share of what was proposed that the gate refused, of any harm or of these."""

    def of(given: Records) -> Value | None:
        chosen = _of_stage(given, stage, own=False)
        fallen = sum(
            min(r.proposed, sum(n for name, n in r.refused.items() if not harms or name.split("/")[0] in harms))
            for r in chosen
        )
        return _share(fallen, sum(r.proposed for r in chosen))

    return of


def fidelity(stage: str) -> Of:
    """The share of what was proposed that the gate did not refuse for want of grounding."""

    def of(given: Records) -> Value | None:
        chosen = _of_stage(given, stage, own=False)
        proposed = sum(r.proposed for r in chosen)
        fallen = sum(
            min(r.proposed, sum(n for name, n in r.refused.items() if name.split("/")[1] not in checks.FORM))
            for r in chosen
        )
        return _share(proposed - fallen, proposed)

    return of


def outcome(*outcomes: str, first: bool = False) -> Of:
    """The share of answers that ended so; of first answers only where `first`."""

    def of(given: Records) -> Value | None:
        answers = [a for r in given for a in r.answers if not (first and a.is_second)]
        return _share(sum(a.outcome in outcomes for a in answers), len(answers))

    return of


def asked(given: Iterable[records.Record]) -> list[records.Record]:
    """The records for which a model was asked."""
    return [r for r in given if r.answers]


def served(stage: str) -> Of:
    """The share of a stage's questions to the model that ended with its result."""
    return lambda given: used([r for r in given if r.stage == stage])


def used(given: Records) -> Value | None:
    """Of what a model was asked: the share whose result is the model's."""
    return _share(sum(r.served == "model" for r in asked(given)), len(asked(given)))


def first_used(given: Records) -> Value | None:
    """Of what a model was asked: the share whose first answer was used."""
    return _share(sum(r.is_first_used for r in asked(given)), len(asked(given)))


def closed(given: Records) -> Value | None:
    """The share of answers that the closing mode ended."""
    answers = [a for r in given for a in r.answers]
    return _share(sum(a.is_closed for a in answers), len(answers))


def truncated(given: Records) -> Value | None:
    """The share of answers that did not come to their end by themselves."""
    answers = [a for r in given for a in r.answers]
    return _share(sum(a.outcome == "truncated" or a.is_closed for a in answers), len(answers))


def thinking(given: Records) -> Value | None:
    """The share of tokens that were thinking."""
    answers = [a for r in given for a in r.answers]
    return _share(sum(a.thinking_tokens for a in answers), sum(a.tokens for a in answers))


def same(given: Records) -> Value | None:
    """Of what was asked several times: the share that always gave the same result."""
    found: dict[tuple[str, str], list[str]] = {}
    for r in given:
        found.setdefault((r.stage, r.case), []).append(r.result)
    several = [each for each in found.values() if len(each) > 1]
    return _share(sum(len(set(each)) == 1 for each in several), len(several))


def prefill(given: Records) -> Value | None:
    """Tokens of prompts a second, without those that were shared."""
    tokens = sum(a.prompt_tokens - a.shared_tokens for r in given for a in r.answers)
    return _rate(tokens, sum(t.prefill_seconds for r in given for t in r.times.answers), len(asked(given)))


def decode(given: Records) -> Value | None:
    """Tokens of an answer a second."""
    timed = [(a, t) for r in given for a, t in zip(r.answers, r.times.answers, strict=True) if t.decode_seconds > 0]
    return _rate(sum(a.tokens for a, _t in timed), sum(t.decode_seconds for _a, t in timed), len(timed))


def _rate(amount: float, seconds: float, count: int) -> Value | None:
    return Value(amount / seconds, None, count) if seconds > 0 and amount > 0 else None


def wall(given: Records) -> Value | None:
    """The median over the consultations: note, then the slowest of summary, codes and check, then fees."""
    found: dict[tuple[str, int, int], dict[str, float]] = {}
    for r in given:
        found.setdefault((r.case, r.repeat, r.concurrency), {})[r.stage] = r.times.wall_seconds
    most = max((len(stages) for stages in found.values()), default=0)
    walls = [
        stages.get("scribe", 0.0)
        + max((stages.get(name, 0.0) for name in ("summarise", "code", "check")), default=0.0)
        + stages.get("bill", 0.0)
        for stages in found.values()
        if len(stages) == most
    ]
    return Value(statistics.median(walls), None, len(walls)) if walls else None


def per_minute(given: Records) -> Value | None:
    """How many were done, by the time in which at least one was in work."""
    busy, until = 0.0, -math.inf
    for begun, wall in sorted((r.times.begun, r.times.wall_seconds) for r in given):
        busy += max(0.0, begun + wall - max(begun, until))
        until = max(until, begun + wall)
    return Value(60 * len(given) / busy, None, len(given)) if busy > 0 else None


def memory(given: Records) -> Value | None:
    """The largest resident memory of the child processes, in MiB."""
    peaks = [r.times.children_megabytes for r in given if r.times.children_megabytes is not None]
    return Value(max(peaks), None, len(peaks)) if peaks else None


def agreement(given: Records) -> tuple[float, float | None, int] | None:
    """Gate and judge: see `judge.agreement`."""
    return judge.agreement(r.judged for r in given if r.judged is not None)


def agreement_share(given: Records) -> Value | None:
    """The share of statements of which gate and judge say the same."""
    found = agreement(given)
    return Value(found[0], None, found[2]) if found else None


def kappa(given: Records) -> Value | None:
    """Cohen's kappa of gate and judge."""
    found = agreement(given)
    return Value(found[1], None, found[2]) if found and found[1] is not None else None
