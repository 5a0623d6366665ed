"""`pipeline.evaluation.page`: it stands alone, says what the figures say, and takes no text for markup."""

from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser

import pytest

from pipeline.evaluation import checks, comparison, figures, files, page, records
from pipeline.evaluation.page import charts
from pipeline.evaluation.page.markup import Markup, tag
from tests.unit.pipeline.evaluation import made

VOID = {"meta"}


class Reader(HTMLParser):
    """Checks that every element is closed in its place, and keeps what a person reads."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def html(measured: files.Measured) -> str:
    return page.html(comparison.compare([measured]))


def test_it_loads_nothing(html: str) -> None:
    reader = read(html)
    assert not [tag for tag, _attributes in reader.seen if tag in ("script", "link", "img", "iframe", "object", "base")]
    assert not [
        name for _tag, attributes in reader.seen for name in attributes
        if name in ("src", "href", "srcset", "action") or name.startswith("on")
    ]  # fmt: skip
    assert "http://" not in html and "https://" not in html and "url(" not in html and "@import" not in html
    assert "default-src 'none'" in html


def test_a_label_is_no_markup(html: str) -> None:
    assert "invents &lt;b&gt;" in html and "invents <b>" not in html
    assert not [tag for tag, attributes in read(html).seen if tag == "b" and attributes]


def test_every_model_and_case_and_figure_stands_in_it(html: str, measured: files.Measured) -> None:
    told = " ".join(read(html).words)
    compared = comparison.compare([measured])
    for column in compared.columns:
        assert column.label in told
        for sentence in column.failures:
            assert sentence in told
    for case in compared.cases:
        assert case in told
    for figure, level in compared.rows():
        assert figure.title in told
        for column in compared.measured:
            assert figures.text(figure, column.value(figure, level)) in told
    for heading in ("Which can be used", "Quality against speed", "What the gate refused", "How the answers ended",
                    "Under load", "Case by case", "Every figure", "Gate and judge", "How it was measured"):  # fmt: skip
        assert heading in told


def test_every_chart_has_words_for_those_who_do_not_see_it(html: str) -> None:
    drawn = [attributes for tag, attributes in read(html).seen if tag == "svg" and attributes.get("role") == "img"]
    assert drawn and all(attributes["aria-label"] for attributes in drawn)
    assert any("copies" in (attributes["aria-label"] or "") for attributes in drawn)


def test_light_dark_and_print_are_provided(html: str) -> None:
    assert "prefers-color-scheme: dark" in html and "@media print" in html
    used = set(re.findall(r"var\((--[\w-]+)\)", html))
    light, _, dark = html.partition("prefers-color-scheme: dark")
    for block in (light, dark):
        assert used <= set(re.findall(r"(--[\w-]+):", block))


def test_umlauts_are_kept() -> None:
    given = made.measured("Größe", made.record(case="Übelkeit"), head=made.header("Übelkeit"))
    assert "Übelkeit" in page.html(comparison.compare([given]))


@pytest.mark.parametrize(
    "given",
    [
        (),
        (made.record(model="rules", served="rules", answers=()),),
        (made.record("bill"),),
        (made.record("summarise", refused={"minor/jargon": 1}),),
        (made.record(answers=(made.answer("disabled"),), served="rules", proposed=0),),
        (made.record(wall=0.0), made.record(concurrency=8, wall=500.0)),
    ],
)
def test_little_is_measured(given: tuple[records.Record, ...]) -> None:
    read(page.html(comparison.compare([made.measured("one", *given)])))


def test_markup() -> None:
    assert tag("p", "a < b", Markup("<i>c</i>"), class_="x", lang=None) == '<p class="x">a &lt; b<i>c</i></p>'
    assert tag("rect", x=1.0, y=0.126, aria_label='"') == '<rect x="1" y="0.13" aria-label="&quot;"/>'


def test_a_stacked_bar_is_as_long_as_its_parts() -> None:
    drawn = charts.bar(
        [charts.Part(1, "a", "one"), charts.Part(0, "b", "none"), charts.Part(3, "c", "three")], 8, "bar"
    )
    found = re.findall(r'class="(\w)" x="([\d.]+)" width="([\d.]+)"', drawn)
    assert [(kind, float(x), float(width)) for kind, x, width in found] == [("a", 0, 12.5), ("c", 12.5, 37.5)]


def test_labels_of_a_scatter_do_not_stand_on_each_other() -> None:
    points = [charts.Point(1.0, 0.8, f"model number {number}", "good") for number in range(5)]
    heights = re.findall(r'class="label" x="[\d.]+" y="([\d.]+)"', charts.scatter(points, "x", "y"))
    ordered = sorted(float(height) for height in heights)
    assert len(ordered) == 5 and all(b - a >= 12 for a, b in itertools.pairwise(ordered))


def test_nine_models_have_nine_entries_in_the_legend() -> None:
    given = [made.record(model=f"model{n}", concurrency=level) for n in range(9) for level in (1, 8)]
    html = page.html(comparison.compare([made.measured("one", *given)]))
    _, _, load = html.partition("<h2>Under load</h2>")
    legend, _, _ = load.partition("</ul>")
    entries = re.findall(r'<rect class="(c\d turn\d)".*?</svg>(model\d)', legend)
    assert [name for _kind, name in entries] == [f"model{n}" for n in range(9)]
    assert len({kind for kind, _name in entries}) == 9


def test_what_was_refused_stands_by_stage_with_its_reason() -> None:
    given = (
        made.record(refused={"critical/drug": 1}),
        made.record("summarise", refused={"minor/jargon": 1, "critical/drug": 2}),
    )
    told = " ".join(read(page.html(comparison.compare([made.measured("one", *given)]))).words)
    assert "Note, by check" in told and "Summary for the patient, by check" in told
    assert "Diagnosis codes, by check" not in told
    for stage in ("scribe", "summarise"):
        assert checks.reason(stage, "drug") in told
    assert checks.reason("summarise", "jargon") in told


def test_a_model_that_was_not_measured_has_no_green_card() -> None:
    unasked = made.record(model="unasked", served="rules", answers=(), measures=made.MEASURES["scribe"])
    html = page.html(comparison.compare([made.measured("one", unasked)]))
    assert "not measured" in html and 'class="card open"' in html and 'class="card good"' not in html
