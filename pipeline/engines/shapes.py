"""The shape of an answer: a JSON schema that bounds its size, so that an answer always comes to an end.

Supported are exactly: `object` (every property required, nothing else allowed), `array` with `maxItems`, `string` with
`maxLength`, `enum` or `const`, `integer` with `minimum` and `maximum`, `boolean`, and `$ref` into `$defs`. Everything
else is refused before anything is asked: a keyword that a runtime silently ignores would let free text through.
"""

from __future__ import annotations

import functools
import json
from typing import Any

import jsonschema
from pydantic import Field

from pipeline.clinical import Clinical

Schema = dict[str, Any]

#: A character of a JSON string takes six bytes at most: `\u001f`.
_BYTES_A_CHARACTER = 6
_DEFS = "#/$defs/"
_ANNOTATIONS = frozenset({"description", "title"})
_KEYWORDS = {
    "object": frozenset({"type", "properties", "required", "additionalProperties"}),
    "array": frozenset({"type", "items", "minItems", "maxItems"}),
    "string": frozenset({"type", "minLength", "maxLength", "enum", "const"}),
    "integer": frozenset({"type", "minimum", "maximum", "enum", "const"}),
    "boolean": frozenset({"type"}),
}

#: The name in `$defs` of an object that cites a segment and quotes it: `{"segment": …, "zitat": …}`.
CITE = "beleg"


class NotBounded(Exception):
    """A schema uses what is not supported or bounds no size. The text says where, as a JSON pointer."""


class NotValid(Exception):
    """A text is no JSON of the schema. `fault` says in German what is wrong, without a word of the text."""

    def __init__(self, fault: str) -> None:
        super().__init__(fault)
        self.fault = fault


class Shape(Clinical):
    """A bounded schema, and the segments that an answer may quote.

    `segments` maps a segment's number to its text. Where the engine can, it lets each object of `$defs/beleg` quote
    nothing but a run of words of the segment that it names; elsewhere the gate compares afterwards.
    """

    json_schema: Schema
    segments: dict[int, str] = Field(default={})

    @property
    def max_bytes(self) -> int:
        """The UTF-8 bytes of the largest answer in compact form. Raises NotBounded."""
        return _max_bytes(self.json_schema, self.json_schema.get("$defs", {}), "#")


def _refuse(where: str, why: str) -> NotBounded:
    return NotBounded(f"{where}: {why}")


def _max_bytes(node: object, defs: dict[str, Schema], where: str) -> int:
    if not isinstance(node, dict):
        raise _refuse(where, "is no schema with a type")
    if "$ref" in node:
        return _of_reference(node, defs, where)
    kind = node.get("type")
    if not isinstance(kind, str) or kind not in _KEYWORDS:
        raise _refuse(where, f"the type {kind!r} is not supported")
    unknown = node.keys() - _KEYWORDS[kind] - _ANNOTATIONS - ({"$defs"} if where == "#" else set())
    if unknown:
        raise _refuse(where, f"{', '.join(sorted(unknown))} is not supported for {kind}")
    if "const" in node or "enum" in node:
        return _of_choices(node, where)
    return _SIZES[kind](node, defs, where)


def _of_reference(node: Schema, defs: dict[str, Schema], where: str) -> int:
    target = node["$ref"]
    name = target.removeprefix(_DEFS) if isinstance(target, str) and target.startswith(_DEFS) else None
    if name not in defs or node.keys() != {"$ref"}:
        raise _refuse(where, "a reference stands alone and leads into $defs")
    others = {other: schema for other, schema in defs.items() if other != name}  # a circle has no size
    return _max_bytes(defs[name], others, f"{_DEFS}{name}")


def _bounds(node: Schema, low: str, high: str, where: str) -> int:
    """The upper of two counts, of which the lower may be missing."""
    least, most = node.get(low, 0), node.get(high)
    if type(least) is not int or type(most) is not int or not 0 <= least <= most:
        raise _refuse(where, f"{high} must be a number that is no smaller than {low}")
    return most


def _of_choices(node: Schema, where: str) -> int:
    choices = [node["const"]] if "const" in node else node["enum"]
    wanted: type = {"string": str, "integer": int}.get(node["type"], object)
    if not choices or not all(type(choice) is wanted for choice in choices):
        raise _refuse(where, f"the choices are none, or not all of them {node['type']}s")
    return max(len(_compact(choice).encode()) for choice in choices)


def _of_object(node: Schema, defs: dict[str, Schema], where: str) -> int:
    properties = node.get("properties", {})
    if node.get("additionalProperties") is not False:
        raise _refuse(where, "additionalProperties must be false")
    if list(node.get("required", [])) != list(properties):
        raise _refuse(where, "every property must be required, in the order of the properties")
    sizes = (
        len(_compact(name).encode()) + 1 + _max_bytes(value, defs, f"{where}/properties/{name}")
        for name, value in properties.items()
    )
    return 2 + sum(sizes) + max(0, len(properties) - 1)


def _of_array(node: Schema, defs: dict[str, Schema], where: str) -> int:
    most = _bounds(node, "minItems", "maxItems", where)
    return 2 + most * _max_bytes(node.get("items"), defs, f"{where}/items") + max(0, most - 1)


def _of_string(node: Schema, _defs: dict[str, Schema], where: str) -> int:
    return 2 + _bounds(node, "minLength", "maxLength", where) * _BYTES_A_CHARACTER


def _of_integer(node: Schema, _defs: dict[str, Schema], where: str) -> int:
    low, high = node.get("minimum"), node.get("maximum")
    if type(low) is not int or type(high) is not int or low > high:
        raise _refuse(where, "an integer needs a minimum and a maximum that is no smaller")
    return max(len(str(low)), len(str(high)))


def _of_boolean(_node: Schema, _defs: dict[str, Schema], _where: str) -> int:
    return len("false")


_SIZES = {
    "object": _of_object, "array": _of_array, "string": _of_string, "integer": _of_integer, "boolean": _of_boolean
}  # fmt: skip


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def parse(text: str, shape: Shape) -> Any:
    """The value of an answer. JSON is never repaired: raises NotValid for anything but one value of the schema.

    Doubled keys, numbers that are no integers, half characters, and text around the value are faults.
    """
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_refused, parse_float=_refused)
        _compact(value).encode()  # a lone surrogate is no text
    except (ValueError, RecursionError):
        raise NotValid("Die Antwort ist kein gültiges JSON.") from None
    error = next(_validator(_compact(shape.json_schema)).iter_errors(value), None)
    if error is not None:
        where = "/".join(str(part) for part in error.absolute_schema_path if isinstance(part, str))
        raise NotValid(f"Die Antwort entspricht nicht dem Schema ({where}).")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key is doubled")
    return value


def _refused(_number: str) -> Any:
    raise ValueError("no integer")


@functools.lru_cache(maxsize=64)
def _validator(schema: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads(schema))


# --- the parts that schemas are made of ---------------------------------------------------------------------------


def obj(**properties: Schema) -> Schema:
    """An object with exactly these properties."""
    return {
        "type": "object", "properties": properties, "required": list(properties), "additionalProperties": False
    }  # fmt: skip


def array(items: Schema, most: int, fewest: int = 0) -> Schema:
    """A list of `fewest` to `most` items."""
    return {"type": "array", "items": items, "minItems": fewest, "maxItems": most}


def string(most: int, fewest: int = 1) -> Schema:
    """A text of `fewest` to `most` characters."""
    return {"type": "string", "minLength": fewest, "maxLength": most}


def one_of(*choices: str) -> Schema:
    """One of these words."""
    return {"type": "string", "enum": list(choices)}


def cite(segments: dict[int, str], longest: int = 300) -> Schema:
    """The object that stands as `$defs/beleg`: a segment's number and a quote of it."""
    return obj(segment={"type": "integer", "enum": sorted(segments)}, zitat=string(longest))


CITED: Schema = {"$ref": f"#/$defs/{CITE}"}
