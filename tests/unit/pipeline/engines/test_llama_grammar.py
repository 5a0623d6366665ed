"""Which answers a grammar lets through, and that whatever a model does under it is an answer."""

from __future__ import annotations

import json
import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engines import base, shapes
from pipeline.engines.llama import grammar
from pipeline.engines.shapes import Shape

np = pytest.importorskip("numpy", reason="needs the extra llama")
llguidance = pytest.importorskip("llguidance", reason="needs the extra llama")
closing = pytest.importorskip("pipeline.engines.llama.closing", reason="needs the extra llama")
decoder = pytest.importorskip("pipeline.engines.llama.decoder", reason="needs the extra llama")

END = 256
MERGED = [b'"}', b'"}]', b'","', b"},{", b'":', b"en", "ü".encode(), b'{"', b'"]}', b" d", b"\\n", b'\\"', b"]}"]
PIECES = [bytes([byte]) for byte in range(256)] + [b"\xff[256]"] + MERGED


class _Vocabulary:
    """Bytes, and some tokens of several."""

    eos_token_id = END
    bos_token_id = None
    tokens = PIECES
    special_token_ids = (END,)

    def __call__(self, text: bytes | str) -> list[int]:
        return list(text if isinstance(text, bytes) else text.encode())


TOKENIZER = llguidance.LLTokenizer(llguidance.TokenizerWrapper(_Vocabulary()), n_vocab=len(PIECES))
TOKENS = decoder.Tokens(len(PIECES), frozenset({END}), PIECES.__getitem__, closing.Ranks(lambda: PIECES))

SEGMENTS = {
    1: 'Ich habe "Übelkeit", seit 1,5 Tagen; RR 140/90 mmHg.',
    2: " \n",
    3: "Zeile eins\nZeile\tzwei \\ mit 😀.",
    4: " ".join(f"wörtlich{number}" for number in range(60)),
}


def _note(segments: dict[int, str], longest: int = 100) -> Shape:
    place = shapes.obj(
        belege=shapes.array(shapes.CITED, 2, 1), art=shapes.one_of("bejaht", "ver„neint“"), text=shapes.string(30, 3)
    )
    schema = shapes.obj(stellen=shapes.array(place, 6, 2))
    return Shape(json_schema={**schema, "$defs": {shapes.CITE: shapes.cite(segments, longest)}}, segments=segments)


NOTE = _note(SEGMENTS)
SHAPES = {
    "note": NOTE,
    "flat": Shape(
        json_schema=shapes.obj(
            **{'n"ä': shapes.string(20, 5)},
            year={"type": "integer", "minimum": 1900, "maximum": 2100},
            ja={"type": "boolean"},
            fest={"type": "string", "const": 'so "und" so'},
        )
    ),
    "codes": Shape(
        json_schema=shapes.array(shapes.one_of(*(f"{c}{n:02}.{n % 9}" for c in "ABC" for n in range(99))), 9, 2)
    ),
    "number": Shape(json_schema={"type": "integer", "minimum": -50, "maximum": 3000}),
    "deep": Shape(json_schema=shapes.obj(a=shapes.array(shapes.array(shapes.obj(b=shapes.string(9, 0)), 3, 1), 3, 3))),
    "nothing": Shape(json_schema=shapes.obj(a=shapes.array(shapes.string(9), 0), b=shapes.obj())),
    "defs": Shape(json_schema={**shapes.array({"$ref": "#/$defs/x"}, 3), "$defs": {"x": {"type": "boolean"}}}),
}


def _accepts(shape: Shape, value: Any) -> bool:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    matcher = llguidance.LLMatcher(TOKENIZER, grammar.lark(shape), log_level=0)
    tokens = list(text.encode())
    return matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()


def _place(segment: int, quote: str) -> dict[str, Any]:
    place = {"belege": [{"segment": segment, "zitat": quote}], "art": "bejaht", "text": "Satz"}
    return {"stellen": [place, place]}


@pytest.mark.parametrize("name", SHAPES)
def test_each_grammar_is_valid_and_without_a_warning(name: str) -> None:
    assert llguidance.LLMatcher.validate_grammar_with_warnings(grammar.lark(SHAPES[name]), TOKENIZER) == (False, [])


@pytest.mark.parametrize(
    ("segment", "quote"),
    [
        (1, 'habe "Übelkeit"'), (1, 'habe "Übelkeit", seit'), (1, "1,5 Tagen"), (1, "140/90"), (1, "mmHg."),
        (1, "mmHg"), (3, "eins\nZeile\tzwei"), (3, "\\ mit"), (3, "😀"), (4, "wörtlich7 wörtlich8"),
    ],
)  # fmt: skip
def test_a_run_of_words_of_the_segment_can_be_quoted(segment: int, quote: str) -> None:
    assert quote in SEGMENTS[segment]
    assert _accepts(NOTE, _place(segment, quote))


@pytest.mark.parametrize(
    ("segment", "quote"),
    [
        (1, ""), (1, " "), (1, "\n"), (1, "Zeile eins"), (1, "Ich seit"), (1, "5 Tagen"), (1, "40/90"), (1, "140"),
        (1, "Übel"), (1, "ich habe"), (1, "Übelkeit \n"), (1, ", seit"), (2, " "), (2, "x"), (3, "zwei \\\\ mit"),
        (4, " ".join(f"wörtlich{number}" for number in range(20))), (5, "Ich"), (12, "Ich"),
    ],
)  # fmt: skip
def test_nothing_else_can_be_quoted(segment: int, quote: str) -> None:
    assert not _accepts(NOTE, _place(segment, quote))


@settings(deadline=None, max_examples=60)
@given(st.text(alphabet=string.ascii_letters + ' \n\t"\\.,äß😀/0123\u2028\x7f', min_size=1, max_size=60), st.data())
def test_the_words_of_any_segment_can_be_quoted_and_make_it_up_again(text: str, data: st.DataObject) -> None:
    chunks = grammar.chunks(text)
    assert "".join(chunks) == text
    shape = _note({7: text}, 300)
    words = [at for at, chunk in enumerate(chunks) if chunk[0].isalnum()]
    if not words:
        with pytest.raises(base.Failure) if not grammar.quotable(shape) else _nothing():
            grammar.lark(shape)
        return
    first = data.draw(st.sampled_from(words))
    last = data.draw(st.integers(first, len(chunks) - 1))
    quote = "".join(chunks[first : last + 1])
    assert _accepts(shape, _place(7, quote))
    assert not _accepts(shape, _place(7, f"{quote}Q"))


class _nothing:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


@pytest.mark.parametrize(
    "text",
    [
        '{"stellen": []}', '{"stellen":[]}', "{}", '{"stellen":[],"x":1}', "[]", "",
        '{"n\\"ä":"abcde","year":1899,"ja":true,"fest":"so \\"und\\" so"}',
        '{"n\\"ä":"abcd","year":1999,"ja":true,"fest":"so \\"und\\" so"}',
        '{"year":1999,"n\\"ä":"abcde","ja":true,"fest":"so \\"und\\" so"}',
        '{"n\\"ä":"abcde","year":1999,"ja":null,"fest":"so \\"und\\" so"}',
    ],
)  # fmt: skip
def test_what_is_no_answer_is_not_let_through(text: str) -> None:
    assert not _accepts(NOTE, text)
    assert not _accepts(SHAPES["flat"], text)


def test_an_answer_is_let_through() -> None:
    assert _accepts(SHAPES["flat"], '{"n\\"ä":"abcde","year":1999,"ja":true,"fest":"so \\"und\\" so"}')
    assert _accepts(SHAPES["deep"], {"a": [[{"b": ""}], [{"b": "x"}, {"b": "y"}], [{"b": "123456789"}]]})
    assert not _accepts(SHAPES["deep"], {"a": [[{"b": ""}], [{"b": "x"}]]})
    assert _accepts(SHAPES["nothing"], {"a": [], "b": {}})


def test_a_note_without_a_word_to_quote_is_refused() -> None:
    with pytest.raises(base.Failure) as raised:
        grammar.lark(_note({1: " ", 2: "\n"}))
    assert raised.value.kind == "refused"


def test_without_segments_a_cite_is_an_object_like_others() -> None:
    shape = NOTE.model_copy(update={"segments": {}})
    assert _accepts(shape, _place(1, "irgendetwas"))
    assert not _accepts(shape, _place(9, "irgendetwas"))


def _decode(shape: Shape, random: np.random.Generator, budget: int, spread: float) -> decoder.Decoder:
    matcher = llguidance.LLMatcher(TOKENIZER, grammar.lark(shape), log_level=0)
    most = min(shape.max_bytes + 2, budget + closing.most_bytes(shape))
    made = decoder.Decoder(matcher, TOKENS, budget=budget, most=most)
    likes = random.standard_normal(TOKENS.size).astype(np.float32) * spread
    while not made.is_done:
        made.feed(likes + random.standard_normal(TOKENS.size).astype(np.float32))
    return made


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("budget", [100_000, 16, 3])
def test_whatever_a_model_says_is_an_answer_in_time(name: str, budget: int) -> None:
    random = np.random.default_rng(budget)
    for spread in (0.0, 1.0, 3.0) * 4:
        try:
            made = _decode(SHAPES[name], random, budget, spread)
        except base.Failure as failure:
            assert failure.kind == "loop"
            continue
        value = shapes.parse(made.text, SHAPES[name])
        if made.closed_at is None:
            assert made.count <= budget
        else:
            assert made.closed_at >= 0 and made.count > budget
        for place in value["stellen"] if name == "note" else ():
            for cited in place["belege"]:
                assert cited["zitat"].strip() and cited["zitat"] in SEGMENTS[cited["segment"]]
                assert len(cited["zitat"]) <= 100


def test_equal_logits_are_decided_the_same_way() -> None:
    def text() -> str:
        matcher = llguidance.LLMatcher(TOKENIZER, grammar.lark(SHAPES["deep"]), log_level=0)
        made = decoder.Decoder(matcher, TOKENS, budget=1000, most=1000)
        while not made.is_done:
            made.feed(np.zeros(TOKENS.size, np.float32))
        return made.text

    assert text() == text()


def test_a_model_that_computes_no_numbers_fails() -> None:
    matcher = llguidance.LLMatcher(TOKENIZER, grammar.lark(SHAPES["flat"]), log_level=0)
    made = decoder.Decoder(matcher, TOKENS, budget=1000, most=1000)
    with pytest.raises(base.Failure) as raised:
        made.feed(np.full(TOKENS.size, np.nan, np.float32))
    assert raised.value.kind == "unavailable"


def test_a_repetition_is_a_failure_with_what_it_cost() -> None:
    shape = Shape(json_schema=shapes.string(2000))
    matcher = llguidance.LLMatcher(TOKENIZER, grammar.lark(shape), log_level=0)
    made = decoder.Decoder(matcher, TOKENS, budget=10_000, most=10_000)
    logits = np.zeros(TOKENS.size, np.float32)
    logits[ord("a")] = 1.0
    with pytest.raises(base.Failure) as raised:
        while not made.is_done:
            made.feed(logits)
    assert raised.value.kind == "loop"
    assert 20 < raised.value.tokens < 400
