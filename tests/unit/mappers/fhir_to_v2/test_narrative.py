"""XHTML to lines: nothing is lost, nothing is added but the dashes."""

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappers.fhir_to_v2 import narrative
from tests.unit.mappers.fhir_to_v2 import helpers

words = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1)


def collapsed(text: str) -> str:
    return re.sub("[ \t\r\n\f]+", " ", text).strip(" ")


@pytest.mark.parametrize(
    ("div", "expected"),
    [
        ("<div><ul><li>Husten.</li><li>Kein Fieber.</li></ul></div>", ["- Husten.", "- Kein Fieber."]),
        ("<div><p>A &amp; B &lt; 3&#160;mg</p><p/>\n<p>C</p></div>", ["A & B < 3\u00a0mg", "C"]),
        ("<div>Lunge<b> frei</b>,\n  Herz<br/>rein</div>", ["Lunge frei, Herz", "rein"]),
        ("<ul><li>A<ul><li>B</li></ul></li><li>C<p>D</p></li></ul>E", ["- A", "  - B", "- C", "  D", "E"]),
        ("<table><tr><td>Kalium</td><td>4,8</td></tr></table>", ["Kalium", "4,8"]),
        ("", []),
        ("kein XHTML < 5", ["kein XHTML < 5"]),
    ],
)
def test_lines(div: str, expected: list[str]) -> None:
    assert narrative.lines(div) == expected


@given(st.lists(words))
def test_each_statement_is_a_line_with_its_words(statements: list[str]) -> None:
    items = "".join(f'<li id="s{n}">{html.escape(text, quote=False)}</li>' for n, text in enumerate(statements))
    read = narrative.lines(f'<div xmlns="http://www.w3.org/1999/xhtml"><ul>{items}</ul></div>')
    assert read == [f"- {collapsed(text)}" for text in statements if collapsed(text)]


@pytest.mark.parametrize("case", ["erysipelas", "delirium-home-visit"])
def test_no_statement_of_a_real_note_is_lost(case: str) -> None:
    for composition in helpers.made(case, "Composition"):
        for section in composition["section"]:
            div = section["text"]["div"]
            statements = [html.unescape(found) for found in re.findall(r"<(?:li|p)[^>]*>(.*?)</(?:li|p)>", div)]
            assert [line.removeprefix("- ") for line in narrative.lines(div)] == statements
