"""How an answer is brought to its end when its budget is spent: validly, and in as few tokens as can be.

The grammar stays in force; of the tokens that it allows, the one is taken that ends most. Outside a string: the end,
then brackets that close, then a quotation mark or what stands between two values, then the shortest token. Inside a
string: its end, else the shortest token, so that no end of a word is leapt over. Among equals the model chooses.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.engines import shapes
from pipeline.engines.llama import grammar
from pipeline.engines.shapes import Schema, Shape

_CHARACTER = 6  # bytes of a character in a JSON string at most
_SHORTEST = 1000  # rank from which on a token's length decides
_NUMBER, _QUOTE = "number of a segment", "quote"  # stand for types


def most_bytes(shape: Shape) -> int:
    """The bytes that the closing mode may need from anywhere inside an answer, at most."""
    places = grammar.quotable(shape)
    words = (len(grammar.written(word)) for text in places.values() for word in grammar.chunks(text))
    cited = shapes.obj(segment={"type": _NUMBER}, zitat={"type": _QUOTE}) if shape.segments else None
    sizes = {_QUOTE: 2 + max(words, default=0), _NUMBER: max((len(str(number)) for number in places), default=0)}
    return _Ending(shape.json_schema.get("$defs", {}), cited, sizes).from_within(shape.json_schema)


class _Ending:
    """Bytes that are written once the closing mode is on. `cited` stands for `$defs/beleg` where quotes are copied."""

    def __init__(self, defs: dict[str, Schema], cited: Schema | None, sizes: dict[str, int]) -> None:
        self._defs = defs if cited is None else {**defs, shapes.CITE: cited}
        self._sizes = sizes

    def whole(self, node: Schema) -> int:
        """For a value that is not begun."""
        node = self._of(node)
        if node["type"] == "object":
            return 2 + self._members(node, 0)
        if node["type"] == "array":
            return 2 + int(node.get("minItems", 0)) * (1 + self.whole(node["items"]))
        return self._leaf(node)

    def from_within(self, node: Schema) -> int:
        """For a value that is begun: what is under way in it, and what must still follow that."""
        node = self._of(node)
        if node["type"] == "object":
            values = enumerate(node["properties"].values(), 1)
            under_way = [self.from_within(value) + self._members(node, at) + 1 for at, value in values]
            return max(self.whole(node), *under_way, 0)
        if node["type"] == "array":
            others = max(0, int(node.get("minItems", 0)) - 1) * (1 + self.whole(node["items"]))
            return max(self.whole(node), self.from_within(node["items"]) + others + 1)
        return self._leaf(node)

    def _members(self, node: Schema, begin: int) -> int:
        """For the properties from one on, with their names."""
        members = list(node["properties"].items())[begin:]
        return sum(len(grammar.written(name)) + 4 + self.whole(value) for name, value in members)

    def _of(self, node: Schema) -> Schema:
        while "$ref" in node:
            node = self._defs[str(node["$ref"]).removeprefix("#/$defs/")]
        return node

    def _leaf(self, node: Schema) -> int:
        if node["type"] in self._sizes:
            return self._sizes[node["type"]]
        if "maxLength" in node and "enum" not in node and "const" not in node:
            return 2 + (int(node.get("minLength", 0)) + 1) * _CHARACTER
        bare = Shape(json_schema={key: value for key, value in node.items() if key != "$defs"})
        return bare.max_bytes


class Position:
    """Where in a JSON text we are: inside a string or not, behind a backslash or not."""

    def __init__(self) -> None:
        self.in_string = False
        self.is_escaped = False

    def feed(self, piece: bytes) -> None:
        for byte in piece:
            if self.is_escaped:
                self.is_escaped = False
            elif byte == 0x5C and self.in_string:
                self.is_escaped = True
            elif byte == 0x22:
                self.in_string = not self.in_string


class Ranks:
    """The rank of each token of a vocabulary when an answer is closed: the smallest goes first."""

    def __init__(self, pieces: Callable[[], Sequence[bytes]]) -> None:
        self._pieces = pieces

    @functools.cached_property
    def _in_string(self) -> NDArray[np.int32]:
        return np.array([_rank_in_string(piece) for piece in self._pieces()], np.int32)

    @functools.cached_property
    def _outside(self) -> NDArray[np.int32]:
        return np.array([_rank_outside(piece) for piece in self._pieces()], np.int32)

    @functools.cached_property
    def _lengths(self) -> NDArray[np.int32]:
        return np.array([_SHORTEST + len(piece) for piece in self._pieces()], np.int32)

    def choose(self, allowed: NDArray[np.intp], logits: NDArray[np.float32], position: Position) -> int:
        """One of the allowed tokens; the end of the text is none of them."""
        table = self._in_string if position.in_string else self._outside
        ranks = (self._lengths if position.is_escaped else table)[allowed]
        best = allowed[ranks == ranks.min()]
        return int(best[logits[best].argmax()])


def _rank_in_string(piece: bytes) -> int:
    if piece[:1] == b'"' and not piece.strip(b'"}]'):
        return _SHORTEST - len(piece)
    return _SHORTEST + len(piece)


def _rank_outside(piece: bytes) -> int:
    if piece and not piece.strip(b"}]"):
        return _SHORTEST // 2 - len(piece)
    if piece in {b'"', b",", b":"}:
        return _SHORTEST - 1
    return _SHORTEST + len(piece)
