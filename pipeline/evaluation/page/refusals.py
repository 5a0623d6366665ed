"""What the gate refused, by harm and by check, and what a judge thinks of the gate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from pipeline import results
from pipeline.engines import options
from pipeline.evaluation import checks, comparison, figures, records, shares
from pipeline.evaluation.page import charts, markup
from pipeline.evaluation.page.markup import Markup, heading, legend, table, tag

_HARMS: tuple[results.Harm, ...] = get_args(results.Harm)


def _per_hundred(count: int, proposed: int) -> float:
    return 100 * count / proposed if proposed else 0.0


def section(compared: comparison.Comparison) -> Markup:
    """For each stage bars by harm and the table by check; nothing where nothing was refused."""
    parts = [part for stage in records.STAGES for part in _of_stage(compared, stage)]
    if not parts:
        return Markup()
    return markup.section(
        "What the gate refused",
        "How much each model wanted to write that the talk does not carry, over all of its answers. Nothing of it "
        "reaches the chart. Critical: a treatment decision could have rested on it. Major: it misleads. Minor: "
        "wording.",
        legend({harm: harm for harm in _HARMS}),
        *parts,
        is_long=True,
    )


def _of_stage(compared: comparison.Comparison, stage: options.Served) -> list[Markup]:
    columns = [column for column in compared.columns if column.proposed(stage)]
    most = max((_per_hundred(sum(c.refused(stage).values()), c.proposed(stage)) for c in columns), default=0.0)
    if not most:
        return []
    title = figures.GROUPS[stage]
    head = [heading("model"), heading(""), heading("of 100 proposals", is_number=True)]
    return [
        tag("h3", title, class_="apart"),
        table(head, [_bar(column, stage, most) for column in columns]),
        tag("h3", f"{title}, by check, of 100 proposals", class_="apart"),
        _by_check(compared, stage, columns),
    ]


def _bar(column: comparison.Column, stage: options.Served, most: float) -> Markup:
    proposed, by_harm = column.proposed(stage), dict.fromkeys(_HARMS, 0)
    for name, count in column.refused(stage).items():
        by_harm[_harm(name)] += count
    parts = [
        charts.Part(_per_hundred(count, proposed), harm, f"{harm}: {count} of {proposed}")
        for harm, count in by_harm.items()
    ]
    told = ", ".join(f"{count} {harm}" for harm, count in by_harm.items() if count) or "nothing"
    share = f"{_per_hundred(sum(by_harm.values()), proposed):.1f}"
    counts = tag("span", f"{told} of {proposed:,}", class_="count")
    drawn = charts.bar(parts, most, f"{column.label}, {figures.GROUPS[stage]}: {told} refused of {proposed}")
    return tag(
        "tr",
        tag("th", column.label, scope="row"),
        tag("td", drawn, class_="wide"),
        tag("td", share, counts, class_="number"),
    )


def _harm(name: str) -> results.Harm:
    return next(harm for harm in _HARMS if harm == name.partition("/")[0])


def _by_check(compared: comparison.Comparison, stage: options.Served, columns: Sequence[comparison.Column]) -> Markup:
    names = compared.refusals(stage)
    most = max(column.of_hundred(stage, name) for column in columns for name in names)
    rows = []
    for name in names:
        check = name.partition("/")[2]
        cells = [_heat(column.of_hundred(stage, name), most, _harm(name)) for column in columns]
        why = tag("span", checks.reason(stage, check), class_="soft", lang="de")
        rows.append(tag("tr", tag("th", tag("code", check), " ", why, scope="row"), tag("td", _harm(name)), *cells))
    heads = [heading(column.label, is_number=True) for column in columns]
    return table([heading("check"), heading("harm"), *heads], rows)


def _heat(share: float, most: float, harm: str) -> Markup:
    """A cell that is the darker the more was refused."""
    if not share:
        return tag("td", "·", class_="number soft")
    tint = f"background: color-mix(in srgb, var(--{harm}) {10 + 55 * share / most:.0f}%, transparent)"
    return tag("td", f"{share:.1f}", class_="number", style=tint)


_COUNTS = {
    "both_yes": "both carry it",
    "both_no": "neither does",
    "only_gate": "the gate alone",
    "only_judge": "the judge alone",
    "unclear": "judge unsure",
    "failed": "no answer",
}


def judge(compared: comparison.Comparison) -> Markup:
    """How often gate and judge say the same; nothing without a judge."""
    rows = []
    for column in compared.columns:
        found = [record.judged for record in column.measured if record.judged is not None]
        if found:
            agreed = shares.agreement(column.measured)
            told = [f"{sum(getattr(one, name) for one in found)}" for name in _COUNTS]
            told += [
                f"{agreed[0]:.1%}" if agreed else "–",
                f"{agreed[1]:.2f}" if agreed and agreed[1] is not None else "–",
            ]
            cells = [tag("td", text, class_="number") for text in told]
            rows.append(tag("tr", tag("th", column.label, scope="row"), *cells))
    if not rows:
        return Markup()
    titles = (*_COUNTS.values(), "agreement", "Cohen's kappa")
    return markup.section(
        "Gate and judge",
        "Another model was asked of each statement of the model, kept or refused, whether the cited words carry it. It "
        "changes no grade: look at the statements of which the two say different things.",
        table([heading("model"), *(heading(title, is_number=True) for title in titles)], rows),
    )
