"""The comparison as one HTML page that stands alone: no script, no font, no picture from anywhere."""

from __future__ import annotations

import importlib.resources
import string

from pipeline.engines import options
from pipeline.evaluation import comparison
from pipeline.evaluation.page import by_figure, quality, refusals, running, verdict
from pipeline.evaluation.page.markup import count, join, tag


def html(compared: comparison.Comparison) -> str:
    """The whole page."""
    parts = importlib.resources.files(__name__)
    models = [column for column in compared.columns if column.model != options.RULES]
    failed = sum(bool(column.failures) for column in models)
    sections = (
        verdict.cards(compared),
        quality.against_speed(compared),
        refusals.section(compared),
        running.answers(compared),
        running.load(compared),
        quality.case_by_case(compared),
        by_figure.section(compared),
        refusals.judge(compared),
        by_figure.provenance(compared),
    )
    lead = (
        f"{count(len(models), 'model')} on {count(len(compared.cases), 'consultation')} with gold annotations; "
        f"{failed or 'none'} of them {'is' if failed < 2 else 'are'} disqualified. Each stage was served by one model "
        "alone; the rules engine is the reference."
    )
    notes = tag("div", tag("ul", *(tag("li", note) for note in compared.notes)), class_="notes", role="note")
    return string.Template(parts.joinpath("frame.html").read_text("utf-8")).substitute(
        title="Comparison of local models",
        style=parts.joinpath("style.css").read_text("utf-8"),
        lead=join([lead]),
        notes=notes if compared.notes else "",
        sections="\n".join(section for section in sections if section),
    )
