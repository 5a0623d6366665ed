"""From the shape of an answer to the grammar that a model decodes under: one llguidance Lark text.

Whitespace is compact, so each value has one layout. An object of `$defs/beleg` becomes one alternative for each
segment: its number, and a quote that is a run of words of that segment, escaped as JSON. Tokens are not forced: the
model says each token itself, and only those that the grammar does not allow are taken from it.
"""

from __future__ import annotations

import json
import re
from typing import Any

from pipeline.engines import base, shapes
from pipeline.engines.shapes import Schema, Shape

_HEAD = '%llguidance {"no_forcing":true}\n'
_COMPACT = {"whitespace_flexible": False}

#: Blanks; or a word, then the marks behind it, so that a quote can end before them. A number stays whole.
_CHUNK = re.compile(r"\s+|\S+?(?=[.,;:!?…)\]\"“”»«]*(?:\s|$))|[.,;:!?…)\]\"“”»«]+(?=\s|$)")
#: A quote does not begin with a blank, escaped or not, nor with a mark.
_FIRST = r'([^\s\\.,;:!?…)]|\\["\\u])'
#: A character of a JSON string as it is written.
_WRITTEN = r"(\\u[0-9a-f]{4}|\\[^u]|[^\\])"

_Part = tuple[bool, str]  # whether it is literal, and the text or the rule's name


def lark(shape: Shape) -> str:
    """The grammar of a shape that is bounded. Raises base.Failure where a quote is wanted and no segment has words."""
    return _Grammar(shape).text()


def chunks(text: str) -> list[str]:
    """A segment's words, marks and blanks: what a quote is put together from, one after another."""
    return _CHUNK.findall(text)


def written(text: str) -> bytes:
    """A text as it stands between the quotation marks of a JSON string."""
    return _json(text)[1:-1].encode()


def quotable(shape: Shape) -> dict[int, str]:
    """The segments that a quote may be taken from: those that the schema names and that hold a word."""
    if not shape.segments:
        return {}
    named = shape.json_schema["$defs"][shapes.CITE]["properties"]["segment"]["enum"]
    return {number: text for number in named if re.search(r"\w", text := shape.segments.get(number, ""))}


class _Grammar:
    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._defs: dict[str, Schema] = shape.json_schema.get("$defs", {})
        self._names: dict[str, str] = {}  # a rule's body and its name
        self._of_defs: dict[str, str] = {}
        self._lines: list[str] = []

    def text(self) -> str:
        start = self._rule(self._node(self._shape.json_schema))
        return f"{_HEAD}start: {start}\n" + "\n".join(self._lines) + "\n"

    def _rule(self, parts: list[_Part]) -> str:
        """The name of the rule with these parts; equal rules are one."""
        if len(parts) == 1 and not parts[0][0]:
            return parts[0][1]
        return self._named("r", " ".join(_quoted(text) if is_literal else text for is_literal, text in _joined(parts)))

    def _named(self, letter: str, body: str) -> str:
        name = self._names.get(body)
        if name is None:
            name = self._names[body] = f"{letter}{len(self._names)}"
            self._lines.append(f"{name}: {body}")
        return name

    def _node(self, node: Schema) -> list[_Part]:
        if "$ref" in node:
            return [(False, self._reference(str(node["$ref"]).removeprefix("#/$defs/")))]
        if node["type"] == "object":
            return self._object(node["properties"])
        if node["type"] == "array":
            return self._array(node)
        return [(False, self._leaf(node))]

    def _reference(self, name: str) -> str:
        if name not in self._of_defs:
            node = self._defs[name]
            is_cite = name == shapes.CITE and bool(self._shape.segments)
            self._of_defs[name] = self._cites(node) if is_cite else self._rule(self._node(node))
        return self._of_defs[name]

    def _object(self, properties: dict[str, Schema], known: dict[str, list[_Part]] | None = None) -> list[_Part]:
        parts: list[_Part] = [(True, "{")]
        for at, (name, value) in enumerate(properties.items()):
            parts.append((True, ("," if at else "") + _json(name) + ":"))
            parts += (known or {}).get(name) or self._node(value)
        return [*parts, (True, "}")]

    def _array(self, node: Schema) -> list[_Part]:
        fewest, most = node.get("minItems", 0), node["maxItems"]
        if most == 0:
            return [(True, "[]")]
        item = self._rule(self._node(node["items"]))
        more = f' ("," {item}){{{max(0, fewest - 1)},{most - 1}}}' if most > 1 else ""
        items = f"({item}{more})?" if fewest == 0 else f"{item}{more}"
        return [(True, "["), (False, items), (True, "]")]

    def _leaf(self, node: Schema) -> str:
        bare = {key: value for key, value in node.items() if key not in {"title", "description", "$defs"}}
        return self._named("j", "%json " + _json({**bare, "x-guidance": _COMPACT}))

    def _cites(self, node: Schema) -> str:
        """One alternative for each segment."""
        properties: dict[str, Schema] = node["properties"]
        longest = properties["zitat"]["maxLength"]
        alternatives = [
            self._rule(
                self._object(properties, {"segment": [(True, str(number))], "zitat": self._quote(text, longest)})
            )
            for number, text in quotable(self._shape).items()
        ]
        if not alternatives:
            raise base.Failure("refused", "The answer must quote a segment, but no segment holds a word.")
        return self._named("c", " | ".join(alternatives))

    def _quote(self, text: str, longest: int) -> list[_Part]:
        """A string that is a run of the segment's words. Its length is counted only where it could be too long."""
        run = "%regex " + _json({"substring_chunks": [written(chunk).decode() for chunk in chunks(text)]})
        any_run = self._named("S", run)
        bounds = [any_run, f"/{_FIRST}(?s:.)*/"]
        if len(text) > longest:
            bounds.append(f"/{_WRITTEN}{{1,{longest}}}/")
        return [(True, '"'), (False, self._named("Q", " & ".join(bounds))), (True, '"')]


def _joined(parts: list[_Part]) -> list[_Part]:
    """Literals that follow each other as one."""
    joined: list[_Part] = []
    for is_literal, text in parts:
        if is_literal and joined and joined[-1][0]:
            joined[-1] = (True, joined[-1][1] + text)
        else:
            joined.append((is_literal, text))
    return joined


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _quoted(literal: str) -> str:
    return _json(literal)
