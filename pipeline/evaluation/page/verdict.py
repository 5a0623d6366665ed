"""Which model can be used: one card a model, with the reasons where it is disqualified."""

from __future__ import annotations

from pipeline.evaluation import comparison, figures
from pipeline.evaluation.page.markup import Markup, section, tag

#: The figures on a card.
_KEYS = ("recall", "refused-critical", "omitted", "notes-served", "wall", "success")


def at(level: int | None) -> str:
    """The level as a title names it."""
    return "" if level is None else f", {level} at once"


def cards(compared: comparison.Comparison) -> Markup:
    """A card for every model."""
    return section(
        "Which can be used",
        "A model is disqualified by a single limit that it does not keep. The limits are the same for all.",
        tag("div", *(_card(column) for column in compared.columns), class_="cards"),
    )


def _card(column: comparison.Column) -> Markup:
    keys = []
    for name in _KEYS:
        figure = figures.BY_NAME[name]
        value = column.value(figure)
        if value is not None:
            level = column.levels[-1] if figure.group == "speed" else None
            told = tag("dd", figures.text(figure, value))
            keys.append(tag("div", tag("dt", f"{figure.title}{at(level)}"), told))
    why = tag("ul", *(tag("li", sentence) for sentence in column.failures), class_="why")
    return tag(
        "article",
        tag(
            "div",
            tag("h3", column.label),
            tag("p", column.about, class_="about"),
            tag("span", comparison.VERDICTS[column.verdict], class_=f"pill {column.verdict}"),
        ),
        tag("div", tag("dl", *keys, class_="keys") if keys else Markup(), why if column.failures else Markup()),
        class_=f"card {column.verdict}",
    )
