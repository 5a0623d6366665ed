"""How the answers ended, and what happens under load."""

from __future__ import annotations

import functools

from pipeline.evaluation import comparison, figures, shares
from pipeline.evaluation.page import charts
from pipeline.evaluation.page.markup import Markup, heading, legend, section, table, tag

_COLOURS = 8
#: How an answer ended, by the class that colours it.
_ENDS = {
    "used": "used at once",
    "second": "used at the second try",
    "ungrounded": "too little of it grounded",
    "invalid": "no JSON of the schema",
    "loop": "repeated itself",
    "truncated": "without an end",
    "timeout": "too late",
    "unavailable": "no answer",
}


def answers(compared: comparison.Comparison) -> Markup:
    """A bar a model; nothing where no model was asked."""
    rows = [row for column in compared.columns if (row := _row(column)) is not None]
    if not rows:
        return Markup()
    return section(
        "How the answers ended",
        "Every answer of the model. After a faulty one it is asked once more with the fault named; then the rules "
        "engine stands in.",
        legend(_ENDS),
        table([heading("model"), heading(""), heading("answers", is_number=True)], rows),
    )


def _row(column: comparison.Column) -> Markup | None:
    ends = dict.fromkeys(_ENDS, 0)
    for answer in (answer for record in column.measured for answer in record.answers):
        end = "second" if answer.outcome == "used" and answer.is_second else answer.outcome
        ends[end if end in ends else "unavailable"] += 1
    total = sum(ends.values())
    if not total:
        return None
    told = ", ".join(f"{number} {_ENDS[end]}" for end, number in ends.items() if number)
    parts = [charts.Part(number, end, f"{_ENDS[end]}: {number} of {total}") for end, number in ends.items()]
    return tag(
        "tr",
        tag("th", column.label, scope="row"),
        tag(
            "td", charts.bar(parts, total, f"{column.label}: {told}"), tag("span", told, class_="count"), class_="wide"
        ),
        tag("td", f"{total:,}", class_="number"),
    )


def load(compared: comparison.Comparison) -> Markup:
    """A small chart for each figure of speed; nothing where one level alone was measured."""
    if len(compared.levels) < 2:
        return Markup()
    drawn = []
    for figure in (figure for figure in figures.FIGURES if figure.group == "speed"):
        given = []
        for number, column in enumerate(compared.measured):
            found = [
                (level, value.value) for level in column.levels if (value := column.value(figure, level)) is not None
            ]
            if found:
                given.append(charts.Line(column.label, _kind(number), found))
        if given:
            written = functools.partial(_written, figure)
            drawn.append(charts.lines(given, compared.levels, figure.title, written))
    colours = {_kind(number): column.label for number, column in enumerate(compared.measured)}
    return section(
        "Under load",
        "Several consultations at once, as with several doctors. Their time includes the wait for a slot.",
        legend(colours),
        tag("div", *drawn, class_="multiples"),
    )


def _kind(number: int) -> str:
    """The colour of a model's line, and how it is drawn where the colours begin anew."""
    return f"c{number % _COLOURS} turn{number // _COLOURS}"


def _written(figure: figures.Figure, value: float) -> str:
    return figures.text(figure, shares.Value(value, None, 0))
