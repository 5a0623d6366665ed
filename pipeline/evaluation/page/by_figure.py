"""Every figure of every model, what they mean, the limits, and how it was measured."""

from __future__ import annotations

from pipeline.evaluation import comparison, figures, files, limits
from pipeline.evaluation.page import markup, verdict
from pipeline.evaluation.page.markup import Markup, count, facts, heading, table, tag


def section(compared: comparison.Comparison) -> Markup:
    """The table of all figures."""
    rows: list[Markup] = []
    group = ""
    for figure, level in compared.rows():
        if figure.group != group:
            group = figure.group
            head = tag("th", figures.GROUPS[figure.group], colspan=len(compared.measured) + 1, scope="colgroup")
            rows.append(tag("tr", head, class_="group"))
        best = compared.best(figure, level)
        cells = [_cell(figure, column, level, column.label in best) for column in compared.measured]
        rows.append(tag("tr", tag("th", f"{figure.title}{verdict.at(level)}", scope="row"), *cells))
    heads = [heading(column.label, is_number=True) for column in compared.measured]
    bounds = limits.of(compared.sources[0].header.readability)
    meanings = {f"{figures.GROUPS[figure.group]}: {figure.title}": figure.meaning for figure in figures.FIGURES}
    return markup.section(
        "Every figure",
        "● marks the best of a row, ▲ what is beyond its limit.",
        table([heading("figure"), *heads], rows),
        tag("details", tag("summary", "What the figures mean"), facts(meanings)),
        tag("details", tag("summary", "The limits"), facts(dict(_limit(limit) for limit in bounds))),
        is_long=True,
    )


def _cell(figure: figures.Figure, column: comparison.Column, level: int | None, is_best: bool) -> Markup:
    value = column.value(figure, level)
    limit = next((limit for limit in column.bounds if limit.figure == figure.name), None)
    is_over = value is not None and limit is not None and not limit.is_kept(value)
    kind = " over" if is_over else " best" if is_best else ""
    counted = f"{value.part:,.0f} of {value.whole:,.0f}" if value is not None and value.part is not None else ""
    return tag("td", figures.text(figure, value), tag("span", counted, class_="count"), class_=f"number{kind}")


def _limit(limit: limits.Limit) -> tuple[str, str]:
    figure = figures.BY_NAME[limit.figure]
    return f"{figures.GROUPS[figure.group]}: {figure.title}", f"{limit.kind} {limit.bound}. {limit.why}"


def provenance(compared: comparison.Comparison) -> Markup:
    """The versions and the machine of each file."""
    blocks = [part for source in compared.sources for part in (tag("h3", source.name), facts(_facts(source)))]
    return markup.section("How it was measured", "Figures of speed hold for this machine.", *blocks)


def _facts(source: files.Measured) -> dict[str, str]:
    header, computer = source.header, source.header.machine
    memory = f", {computer.memory_megabytes / 1024:.0f} GiB" if computer.memory_megabytes else ""
    levels = ", ".join(map(str, header.plan.concurrency))
    return {
        "begun": header.begun,
        "gateway": f"{header.gateway}, rules {header.rules}, tables {header.tables}",
        "prompts": ", ".join(f"{stage} {digest}" for stage, digest in header.prompts.items()),
        "plan": f"{', '.join(header.plan.stages)}; {count(header.plan.repeat, 'repeat')}; {levels} at once",
        "cases": f"{len(header.cases)}: {', '.join(header.cases)}",
        "judge": header.judge or "none",
        "machine": f"{computer.processor}, {count(computer.cores, 'core')}{memory}, {computer.system}, "
        f"Python {computer.python}",
    }
