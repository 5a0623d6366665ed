"""The text of a narrative: XHTML to lines, word for word."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Final

_BLOCKS: Final = frozenset(
    {"address", "blockquote", "caption", "dd", "div", "dl", "dt", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol",
     "p", "pre", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul"}
)  # fmt: skip
_SPACE: Final = re.compile("[ \t\r\n\f]+")  # what XHTML collapses; a no-break space is none of it


def lines(div: str) -> list[str]:
    """The lines that a reader of the `div` sees; items of a list begin with "- ", indented by the depth of the list."""
    reader = _Reader()
    reader.feed(div)
    reader.close()
    reader.end_line()
    return reader.lines


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.lines: list[str] = []
        self._line: list[str] = []
        self._prefix = ""
        self._depth = 0

    def end_line(self) -> None:
        """Finish the line that is being read, if it says anything."""
        text = _SPACE.sub(" ", "".join(self._line)).strip(" ")
        if text:
            self.lines.append(f"{self._prefix}{text}")
            self._prefix = " " * len(self._prefix)
        self._line.clear()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A block or a line break ends the line before it."""
        if tag in _BLOCKS or tag == "br":
            self.end_line()
        if tag in ("ul", "ol"):
            self._depth += 1
        if tag == "li":
            self._prefix = f"{'  ' * max(self._depth - 1, 0)}- "

    def handle_endtag(self, tag: str) -> None:
        """The end of a block ends its last line."""
        if tag in _BLOCKS:
            self.end_line()
        if tag in ("ul", "ol"):
            self._depth = max(self._depth - 1, 0)
        if tag in ("li", "ul", "ol"):
            self._prefix = ""

    def handle_data(self, data: str) -> None:
        """Text belongs to the line that is being read."""
        self._line.append(data)
