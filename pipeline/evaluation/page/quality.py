"""How good the notes are: against the time that they take, and case by case."""

from __future__ import annotations

from pipeline.evaluation import comparison, figures, shares
from pipeline.evaluation.page import charts, verdict
from pipeline.evaluation.page.markup import Markup, heading, section, table, tag

#: What the scatter shows upwards: the first of these that was measured.
_QUALITY = ("recall", "codes", "errors", "items")


def against_speed(compared: comparison.Comparison) -> Markup:
    """The scatter; nothing where no quality was measured."""
    wall = figures.BY_NAME["wall"]
    for name in _QUALITY if compared.levels else ():
        figure, level = figures.BY_NAME[name], compared.levels[0]
        points = []
        for column in compared.columns:
            quality, time = column.value(figure), column.value(wall, level)
            if quality is not None and time is not None:
                points.append(charts.Point(time.value, quality.value, column.label, column.verdict))
        if points:
            return section(
                "Quality against speed",
                "Better is up and to the left. The scale of the time is logarithmic.",
                _legend(),
                charts.scatter(points, f"{wall.title}{verdict.at(level)}", figure.title),
            )
    return Markup()


def _legend() -> Markup:
    items = (
        tag("li", tag("svg", charts.mark(kind, 7, 7), viewBox="0 0 14 14"), words)
        for kind, words in comparison.VERDICTS.items()
        if kind != "open"  # it has no place in the picture
    )
    return tag("ul", *items, class_="legend")


def case_by_case(compared: comparison.Comparison) -> Markup:
    """One row a case: the recall of each model's note, and what was invented."""
    recall = figures.BY_NAME["recall"]
    if not any(column.value(recall) for column in compared.columns):
        return Markup()
    rows = [
        tag("tr", tag("th", case, scope="row"), *(_cell(recall, c.of_case(case)) for c in compared.measured))
        for case in compared.cases
    ]
    return section(
        "Case by case",
        "The share of gold facts in the model's own notes. Beneath it: proposals of critical harm that the gate "
        "refused, and fabrications that went past it. A dash: the model made no note of use.",
        table([heading("case"), *(heading(column.label) for column in compared.measured)], rows),
        is_long=True,
    )


def _cell(recall: figures.Figure, measured: shares.Records) -> Markup:
    notes = [record for record in measured if record.stage == "scribe"]
    value = recall.of(notes)
    critical = sum(n for record in notes for name, n in record.refused.items() if name.startswith("critical/"))
    planted = sum(int(record.measures["note.planted"]) for record in notes if record.is_own)
    flags = [f"{critical} critical refused"] if critical else []
    flags += [f"{planted} past the gate"] if planted else []
    shown = f"{value.value:.0%}" if value else "–"
    bar = charts.bar([charts.Part(value.value, "used", shown)] if value else [], 1, f"recall {shown}")
    return tag("td", tag("div", bar, tag("b", shown), class_="cell"), tag("span", ", ".join(flags), class_="flag"))
