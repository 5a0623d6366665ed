"""`pipeline.engines.shapes`: what bounds a schema, what is refused, and what is no answer."""

import asyncio
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engines import shapes
from tests import scripted_model

BOOLEAN: shapes.Schema = {"type": "boolean"}


def compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def shape(schema: shapes.Schema) -> shapes.Shape:
    return shapes.Shape(json_schema=schema)


def of(name: str, inner: shapes.Schema) -> shapes.Schema:
    return shapes.obj(**{name: inner})


# --- the bound -------------------------------------------------------------------------------------------------------

_NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/~"), min_size=1, max_size=6)


def _array(items: shapes.Schema, bounds: tuple[int, int]) -> shapes.Schema:
    return shapes.array(items, max(bounds), min(bounds))


_LEAVES = st.one_of(
    st.just(BOOLEAN),
    st.tuples(st.integers(0, 12), st.integers(0, 12)).map(lambda pair: shapes.string(max(pair), min(pair))),
    st.lists(_NAMES, min_size=1, max_size=4).map(lambda names: shapes.one_of(*names)),
    _NAMES.map(lambda name: {"type": "string", "const": name}),
    st.tuples(st.integers(-(10**20), 10**20), st.integers(-(10**20), 10**20)).map(
        lambda pair: {"type": "integer", "minimum": min(pair), "maximum": max(pair)}
    ),
    st.lists(st.integers(-999, 10**9), min_size=1, max_size=4).map(lambda n: {"type": "integer", "enum": n}),
    st.just({"$ref": "#/$defs/teil"}),
)
_NODES = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.dictionaries(_NAMES, inner, max_size=4).map(lambda parts: shapes.obj(**parts)),
        st.builds(_array, inner, st.tuples(st.integers(0, 4), st.integers(0, 4))),
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(node=_NODES, seed=st.integers(0, 2**32))
def test_no_value_of_a_schema_is_larger_than_its_bound(node: shapes.Schema, seed: int) -> None:
    asked = shape({**of("w", node), "$defs": {"teil": shapes.obj(a=shapes.string(3, 0), b=BOOLEAN)}})
    value = scripted_model.random_value(asked, random.Random(seed))
    text = compact(value)
    assert len(text.encode()) <= asked.max_bytes
    assert shapes.parse(text, asked) == value


def test_the_bound_is_reached() -> None:
    widest = {
        "a": shapes.string(4),
        "b": {"type": "integer", "minimum": -100, "maximum": 20},
        "c": shapes.array(BOOLEAN, 3),
        "d": shapes.one_of("Ä", "ab"),
    }
    value = {"a": "\u001f" * 4, "b": -100, "c": [False] * 3, "d": "ab"}
    assert len(compact(value).encode()) == shape(shapes.obj(**widest)).max_bytes


@pytest.mark.parametrize("characters", ["\u001f", '"\\', "😀", "\u2028", "\ufeff", "ß"])
def test_a_character_takes_six_bytes_at_most(characters: str) -> None:
    asked = shape(of("a", shapes.string(10)))
    value = {"a": (characters * 10)[:10]}
    assert len(compact(value).encode()) <= asked.max_bytes
    assert shapes.parse(compact(value), asked) == value


# --- what is refused before anything is asked ------------------------------------------------------------------------

_UNSUPPORTED: dict[str, shapes.Schema] = {
    "number": {"type": "number", "minimum": 0, "maximum": 1},
    "null": {"type": "null"},
    "no type": {"maxLength": 3},
    "any of": {"anyOf": [BOOLEAN]},
    "any of beside": {"type": "boolean", "anyOf": [BOOLEAN]},
    "pattern": {"type": "string", "maxLength": 3, "pattern": "a*"},
    "pattern beside enum": {"type": "string", "enum": ["a"], "pattern": "a*"},
    "format": {"type": "string", "maxLength": 30, "format": "date"},
    "unique": {"type": "array", "items": BOOLEAN, "maxItems": 2, "uniqueItems": True},
    "prefix items": {"type": "array", "items": BOOLEAN, "maxItems": 2, "prefixItems": [BOOLEAN]},
    "multiple": {"type": "integer", "minimum": 0, "maximum": 9, "multipleOf": 2},
    "exclusive": {"type": "integer", "exclusiveMinimum": 0, "minimum": 0, "maximum": 9},
    "pattern properties": {**shapes.obj(a=BOOLEAN), "patternProperties": {"x": BOOLEAN}},
    "defs inside": {**shapes.obj(a=BOOLEAN), "$defs": {"b": BOOLEAN}},
    "open object": {"type": "object", "properties": {"a": BOOLEAN}, "required": ["a"]},
    "optional property": {"type": "object", "properties": {"a": BOOLEAN}, "additionalProperties": False},
    "no length": {"type": "string"},
    "no items": {"type": "array", "maxItems": 3},
    "no most": {"type": "array", "items": BOOLEAN},
    "more than most": {"type": "array", "items": BOOLEAN, "minItems": 3, "maxItems": 2},
    "no maximum": {"type": "integer", "minimum": 0},
    "crossed": {"type": "integer", "minimum": 3, "maximum": 2},
    "crossed length": {"type": "string", "minLength": 3, "maxLength": 2},
    "no choice": {"type": "string", "enum": []},
    "foreign choice": {"type": "string", "enum": ["a", 1]},
    "boolean as integer": {"type": "integer", "enum": [True]},
    "boolean choice": {"type": "boolean", "enum": [True]},
    "foreign const": {"type": "integer", "const": "1"},
    "lost reference": {"$ref": "#/$defs/nothing"},
    "recursion": {"$ref": "#/$defs/kreis"},
    "long recursion": {"$ref": "#/$defs/hin"},
    "keyword beside a reference": {"$ref": "#/$defs/teil", "maxLength": 3},
    "unknown beside a reference": {"$ref": "#/$defs/teil", "unevaluatedProperties": False},
    "reference that is no pointer": {"$ref": "teil"},
    "several types": {"type": ["string", "null"], "maxLength": 3},
    "true as a schema": {"type": "array", "items": True, "maxItems": 2},
    "true as a length": {"type": "string", "maxLength": True},
    "negative length": {"type": "array", "items": BOOLEAN, "minItems": -2, "maxItems": -1},
    "length of another type": {"type": "string", "maxLength": 3, "minLength": "1"},
}
_DEFS: dict[str, shapes.Schema] = {
    "teil": shapes.string(500),
    "kreis": shapes.obj(a={"$ref": "#/$defs/kreis"}),
    "hin": shapes.array({"$ref": "#/$defs/her"}, 2),
    "her": shapes.obj(a={"$ref": "#/$defs/hin"}),
}


@pytest.mark.parametrize("name", _UNSUPPORTED)
@pytest.mark.parametrize("where", ["property", "item", "definition"])
def test_what_bounds_nothing_is_refused_with_its_place(name: str, where: str) -> None:
    bad = _UNSUPPORTED[name]
    schemas = {
        "property": {**of("hier", bad), "$defs": _DEFS},
        "item": {**of("hier", shapes.array(bad, 2)), "$defs": _DEFS},
        "definition": {**of("hier", {"$ref": "#/$defs/hier"}), "$defs": {**_DEFS, "hier": bad}},
    }
    with pytest.raises(shapes.NotBounded, match=r"^#/.*: "):
        shape(schemas[where]).max_bytes  # noqa: B018 - the bound is computed


def test_the_place_is_a_pointer() -> None:
    inner = shapes.obj(b=shapes.array({"type": "number"}, 2))
    with pytest.raises(shapes.NotBounded, match=r"^#/properties/a/items/properties/b/items: the type 'number'"):
        shape(of("a", shapes.array(inner, 2))).max_bytes  # noqa: B018


def test_a_definition_may_be_used_twice() -> None:
    twice = {**shapes.obj(a={"$ref": "#/$defs/t"}, b={"$ref": "#/$defs/t"}), "$defs": {"t": BOOLEAN}}
    assert shape(twice).max_bytes == len('{"a":false,"b":false}')


def test_titles_and_descriptions_bound_nothing_and_are_allowed() -> None:
    assert shape(of("a", {**BOOLEAN, "title": "Ja", "description": "oder nein"})).max_bytes == len('{"a":false}')


# --- answers ---------------------------------------------------------------------------------------------------------

TEXT = shape(of("a", shapes.string(20, 0)))
DIGIT = shape(of("n", {"type": "integer", "minimum": 0, "maximum": 9}))
CHOICE = shape(of("n", {"type": "integer", "enum": [0, 1]}))
FIXED = shape(of("n", {"type": "string", "const": "ja"}))
FLAG = shape(of("n", BOOLEAN))


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "null",
        "[]",
        '"a"',
        '{"a":"x"',
    ],
)
def test_what_is_not_one_object_is_no_answer(text: str) -> None:
    with pytest.raises(shapes.NotValid):
        shapes.parse(text, TEXT)


@pytest.mark.parametrize(
    "text",
    [
        '{"a":"x"}{"a":"x"}',
        '{"a":"x"} Hier ist die Notiz.',
        'Gern: {"a":"x"}',
        '```json\n{"a":"x"}\n```',
        '\ufeff{"a":"x"}',
        '{"a":"x",}',
        '{"a":"x","a":"x"}',
        '{"a":"x","b":"x"}',
        "{}",
        "{'a':'x'}",
        '{"a":"x" // gut\n}',
        '{"a":"\x01"}',
        '{"a":NaN}',
        '{"a":Infinity}',
        '{"a":-Infinity}',
        '{"a":"zu lang zu lang zu lang"}',
        '{"a":1}',
        '{"a":null}',
        '{"a":"\\x41"}',
    ],
)
def test_json_is_never_repaired(text: str) -> None:
    with pytest.raises(shapes.NotValid) as refused:
        shapes.parse(text, TEXT)
    assert "lang" not in refused.value.fault and "Hier" not in refused.value.fault


@pytest.mark.parametrize("depth", [50, 300, 900, 980, 995, 1100, 5000, 100_000])
@pytest.mark.parametrize("opened", ['{"a":', "[", '{"a":{"a":'])
def test_depth_is_no_error_of_ours(depth: int, opened: str) -> None:
    closing = "".join({"{": "}", "[": "]"}[char] for char in reversed(opened) if char in "{[")
    for text in (opened * depth, opened * depth + '"x"' + closing * depth):
        with pytest.raises(shapes.NotValid):
            shapes.parse(text, TEXT)


def test_depth_is_no_error_of_ours_in_a_thread() -> None:
    async def parsed() -> None:
        for depth in range(900, 1000, 3):
            with pytest.raises(shapes.NotValid):
                await asyncio.to_thread(shapes.parse, '{"a":' + "[" * depth + "]" * depth + "}", TEXT)

    asyncio.run(parsed())


@pytest.mark.parametrize(
    "number", ["9" * 5000, "-" + "9" * 5000, "1e400", "-1e400", "1e-400", "0.5", "10", "-1", "01", "+1"]
)
def test_a_number_out_of_bounds_is_no_answer(number: str) -> None:
    for asked in (DIGIT, CHOICE):
        with pytest.raises(shapes.NotValid):
            shapes.parse(f'{{"n":{number}}}', asked)


@pytest.mark.parametrize("said", ["true", "false", '"1"', "null", "[1]", "{}"])
def test_an_integer_is_nothing_else(said: str) -> None:
    for asked in (DIGIT, CHOICE):
        with pytest.raises(shapes.NotValid):
            shapes.parse(f'{{"n":{said}}}', asked)


@pytest.mark.parametrize("said", ["1.0", "1e0", "10e-1", "0.0", "-0.0"])
def test_an_integer_is_written_as_one(said: str) -> None:
    """The value holds no floating-point numbers: a segment's number is an integer or the answer is none."""
    for asked in (DIGIT, CHOICE):
        with pytest.raises(shapes.NotValid):
            shapes.parse(f'{{"n":{said}}}', asked)


@pytest.mark.parametrize("said", ["0", "1", '"true"', "null"])
def test_a_boolean_is_nothing_else(said: str) -> None:
    with pytest.raises(shapes.NotValid):
        shapes.parse(f'{{"n":{said}}}', FLAG)
    assert shapes.parse('{"n":true}', FLAG) == {"n": True}


def test_a_const_is_said_as_it_is() -> None:
    assert shapes.parse('{"n":"ja"}', FIXED) == {"n": "ja"}
    assert shapes.parse('{"n":"j\\u0061"}', FIXED) == {"n": "ja"}
    for other in ('"Ja"', '"ja "', "true", '["ja"]'):
        with pytest.raises(shapes.NotValid):
            shapes.parse(f'{{"n":{other}}}', FIXED)


@pytest.mark.parametrize("escape", ["\\ud800", "\\udc00", "\\udc00\\ud800", "a\\ud83d", "\\ude00b"])
def test_half_a_character_is_no_answer(escape: str) -> None:
    """A lone surrogate can be neither stored nor sent: it has no UTF-8."""
    with pytest.raises(shapes.NotValid):
        shapes.parse(f'{{"a":"{escape}"}}', TEXT)


def test_a_whole_pair_is_one_character() -> None:
    assert shapes.parse('{"a":"\\ud83d\\ude00"}', TEXT) == {"a": "😀"}


@settings(max_examples=300, deadline=None)
@given(
    st.text(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    ).map(json.dumps)
)
def test_any_text_is_an_answer_or_not_valid(text: str) -> None:
    try:
        value: Any = shapes.parse(text, TEXT)
    except shapes.NotValid as refused:
        assert text not in refused.fault or len(text) < 20
    else:
        assert list(value) == ["a"] and isinstance(value["a"], str) and len(value["a"]) <= 20
        value["a"].encode()


def test_a_fault_quotes_no_word_of_the_answer() -> None:
    asked = shape(of("a", shapes.one_of("x")))
    with pytest.raises(shapes.NotValid) as refused:
        shapes.parse('{"a":"Frau Meier hat HIV"}', asked)
    assert refused.value.__cause__ is None and refused.value.__context__ is None
    assert "Meier" not in str(refused.value) and "enum" in refused.value.fault
    with pytest.raises(shapes.NotValid) as unread:
        shapes.parse('{"Frau Meier hat HIV', asked)
    assert unread.value.__suppress_context__ and "Meier" not in str(unread.value)


def test_the_parts() -> None:
    cite = shapes.cite({3: "c", 1: "a"}, 40)
    assert cite["properties"]["segment"] == {"type": "integer", "enum": [1, 3]}
    asked = shape({**of("b", shapes.CITED), "$defs": {shapes.CITE: cite}})
    assert shapes.parse('{"b":{"segment":3,"zitat":"c"}}', asked) == {"b": {"segment": 3, "zitat": "c"}}
    for wrong in (
        '{"segment":2,"zitat":"c"}',
        '{"segment":3,"zitat":""}',
        '{"zitat":"c"}',
        '{"segment":3.0,"zitat":"c"}',
    ):
        with pytest.raises(shapes.NotValid):
            shapes.parse(f'{{"b":{wrong}}}', asked)
