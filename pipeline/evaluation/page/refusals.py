"""What the gate refused, by harm and by check, and what a judge thinks of the gate."""

from __future__ import annotations

from pipeline.evaluation import comparison, shares
from pipeline.evaluation.page import charts, markup
from pipeline.evaluation.page.markup import Markup, heading, legend, table, tag
from pipeline.grounding import faults

_HARMS = ("critical", "major", "minor")


def _harm(name: str) -> str:
    return name.partition("/")[0]


def _per_hundred(count: int, proposed: int) -> float:
    return 100 * count / proposed if proposed else 0.0


def section(compared: comparison.Comparison) -> Markup:
    """Bars by harm and the table by check; nothing where nothing was refused."""
    most = max((_per_hundred(sum(c.refused().values()), c.proposed) for c in compared.columns), default=0.0)
    if not most:
        return Markup()
    head = [heading("model"), heading(""), heading("of 100 proposals", is_number=True)]
    return markup.section(
        "What the gate refused",
        "How much each model wanted to write that the talk does not carry, over all of its answers and stages. Nothing "
        "of it reaches the chart. Critical: a treatment decision could have rested on it. Major: it misleads. Minor: "
        "wording.",
        legend({harm: harm for harm in _HARMS}),
        table(head, [_bar(column, most) for column in compared.columns if column.proposed]),
        tag("h3", "By check, of 100 proposals", class_="apart"),
        _by_check(compared),
        is_long=True,
    )


def _bar(column: comparison.Column, most: float) -> Markup:
    by_harm = dict.fromkeys(_HARMS, 0)
    for name, count in column.refused().items():
        by_harm[_harm(name)] += count
    parts = [
        charts.Part(_per_hundred(count, column.proposed), harm, f"{harm}: {count} of {column.proposed}")
        for harm, count in by_harm.items()
    ]
    told = ", ".join(f"{count} {harm}" for harm, count in by_harm.items() if count) or "nothing"
    share = f"{_per_hundred(sum(by_harm.values()), column.proposed):.1f}"
    counts = tag("span", f"{told} of {column.proposed:,}", class_="count")
    drawn = charts.bar(parts, most, f"{column.label}: {told} refused of {column.proposed}")
    return tag(
        "tr",
        tag("th", column.label, scope="row"),
        tag("td", drawn, class_="wide"),
        tag("td", share, counts, class_="number"),
    )


def _by_check(compared: comparison.Comparison) -> Markup:
    columns = [column for column in compared.columns if column.proposed]
    totals: dict[str, int] = {}
    for column in columns:
        for name, count in column.refused().items():
            totals[name] = totals.get(name, 0) + count
    most = max(_per_hundred(count, c.proposed) for c in columns for count in c.refused().values())
    order = sorted(totals, key=lambda name: (_HARMS.index(_harm(name)), -totals[name], name))
    rows = []
    for name in order:
        check = name.partition("/")[2]
        reason = faults.CHECKS[check].reason if check in faults.CHECKS else ""
        cells = [_heat(_per_hundred(c.refused().get(name, 0), c.proposed), most, _harm(name)) for c in columns]
        about = tag("th", tag("code", check), " ", tag("span", reason, class_="soft", lang="de"), scope="row")
        rows.append(tag("tr", about, tag("td", _harm(name)), *cells))
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
        "Another model was asked of each statement, kept or refused, whether the cited words carry it. It changes no "
        "grade: look at the statements of which the two say different things.",
        table([heading("model"), *(heading(title, is_number=True) for title in titles)], rows),
    )
