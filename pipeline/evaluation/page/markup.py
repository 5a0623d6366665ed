"""HTML and SVG put together by functions: every text is escaped, for only a `Markup` is taken as it stands."""

from __future__ import annotations

from html import escape


class Markup(str):
    """A text that is markup already."""


def tag(name: str, *children: str, **attributes: str | float | None) -> Markup:
    """An element. An attribute's trailing underscore falls away (`class_`), other underscores become hyphens.

    Numbers are written with two decimals at most; an attribute that is None or empty is left out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_text(value))}"'
        for key, value in attributes.items()
        if value is not None and value != ""
    )
    if name in ("rect", "line", "circle", "path", "polyline") and not children:
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{join(children)}</{name}>")


def join(children: tuple[str, ...] | list[str]) -> Markup:
    """The children one after the other."""
    return Markup("".join(child if isinstance(child, Markup) else escape(child) for child in children))


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")


def table(head: list[Markup], rows: list[Markup]) -> Markup:
    """A table that scrolls where the page is too narrow for it."""
    return tag("div", tag("table", tag("thead", tag("tr", *head)), tag("tbody", *rows)), class_="scroll")


def heading(text: str, *, is_number: bool = False) -> Markup:
    """The head of a column."""
    return tag("th", text, scope="col", class_="number" if is_number else None)


def section(title: str, explained: str, *body: Markup, is_long: bool = False) -> Markup:
    """A part of the page with its heading and a sentence on what is seen."""
    return tag(
        "section", tag("h2", title), tag("p", explained, class_="explain"), *body, class_="long" if is_long else None
    )


def legend(kinds: dict[str, str]) -> Markup:
    """What the colours mean: a class by its words."""
    return tag(
        "ul",
        *(
            tag("li", tag("svg", tag("rect", class_=kind, width=14, height=14), viewBox="0 0 14 14"), words)
            for kind, words in kinds.items()
        ),
        class_="legend",
    )


def facts(told: dict[str, str]) -> Markup:
    """A list of names with what they mean."""
    return tag(
        "dl", *(tag(k, t) for pair in told.items() for k, t in zip(("dt", "dd"), pair, strict=True)), class_="facts"
    )


def count(number: int, noun: str) -> str:
    """A number with its noun, plural where it is one."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
