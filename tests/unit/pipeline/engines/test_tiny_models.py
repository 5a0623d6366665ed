"""The models that tests build: they load in both runtimes, and say what they were built to say."""

from __future__ import annotations

import hashlib
import importlib.util
import random
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("gguf", reason="needs the extra llama")

from tests import tiny_models, tiny_vocabularies

needs_llama = pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="needs the extra llama")
needs_server = pytest.mark.skipif(importlib.util.find_spec("xllamacpp") is None, reason="needs xllamacpp")

ANSWER = '{"saetze":[{"text":"Patientin klagt über „Übelkeit“ – 3 × täglich, 38,5 °C.","beleg":[1,1,1,1,1,1]}]}'
ASKED = [{"role": "system", "content": "Schreibe\nmit."}, {"role": "user", "content": f"Grüße!\n{ANSWER}\n"}]


def _said(path: Path, tokens: int = 200, temperature: float = 0.0) -> tuple[str, str]:
    """What llama-cpp-python says, and why it ended."""
    import llama_cpp

    model = llama_cpp.Llama(str(path), n_ctx=1024, n_threads=1, seed=1, verbose=False)
    try:
        made: Any = model.create_chat_completion(ASKED, max_tokens=tokens, temperature=temperature)
    finally:
        model.close()
    return made["choices"][0]["message"]["content"], made["choices"][0]["finish_reason"]


def _asked(address: str, key: str | None = None, **options: object) -> httpx.Response:
    body = {"messages": ASKED, "max_tokens": 200, "temperature": 0, **options}
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.post(f"{address}/v1/chat/completions", json=body, headers=headers, timeout=60)


@needs_llama
@pytest.mark.parametrize("quantisation", ["F32", "F16", "Q8_0", "Q4_0"])
def test_a_random_model_says_whole_characters(tmp_path: Path, quantisation: tiny_models.Quantisation) -> None:
    model = tiny_models.random_model(tmp_path / "a.gguf", vocabulary="characters", quantisation=quantisation)
    text, end = _said(model, 80)
    assert "\ufffd" not in text
    assert (len(text), end) == (80, "length")  # each token is one character
    assert len(set(text)) > 1


@needs_llama
def test_a_random_model_over_bytes_says_more_than_ascii(tmp_path: Path) -> None:
    import llama_cpp

    path = tiny_models.random_model(tmp_path / "a.gguf")
    model = llama_cpp.Llama(str(path), n_ctx=512, n_threads=1, seed=1, verbose=False)
    said = b"".join(
        model.detokenize([token]) for token, _ in zip(model.generate([1], temp=1.0), range(100), strict=False)
    )
    model.close()
    assert any(byte > 0x7F for byte in said)


@needs_llama
@pytest.mark.parametrize("vocabulary", ["bytes", "characters"])
def test_a_sentencepiece_model_reads_and_writes_german(
    tmp_path: Path, vocabulary: tiny_vocabularies.Vocabulary
) -> None:
    import llama_cpp

    path = tiny_models.random_model(tmp_path / "a.gguf", spm=True, vocabulary=vocabulary)
    model = llama_cpp.Llama(str(path), n_ctx=512, n_threads=1, verbose=False)
    tokens = model.tokenize("Grüße, 5 °C".encode(), add_bos=False)
    assert model.detokenize(tokens).decode().strip() == "Grüße, 5 °C"
    assert (len(tokens) == len(" Grüße, 5 °C")) == (vocabulary == "characters")
    model.close()


def test_the_same_seed_is_the_same_file(tmp_path: Path) -> None:
    made = [tiny_models.random_model(tmp_path / f"{at}" / "a.gguf", seed=seed) for at, seed in enumerate((1, 1, 2))
            if (tmp_path / f"{at}").mkdir() is None]  # fmt: skip
    first, again, other = [hashlib.sha256(path.read_bytes()).hexdigest() for path in made]
    assert first == again
    assert first != other


@pytest.mark.parametrize(("vocabulary", "size"), [("bytes", 267), ("characters", 310), (400, 400), (5000, 5000)])
def test_a_vocabulary_has_each_token_once(vocabulary: tiny_vocabularies.Vocabulary, size: int) -> None:
    tokens = tiny_vocabularies.tokens(vocabulary)
    assert len(tokens.texts) == len(set(tokens.texts)) == len(tokens.types) == size
    assert tokens.merges
    assert all("".join(merge.split(" ")) in tokens.texts for merge in tokens.merges)


@needs_llama
def test_a_canned_model_says_its_answer(tmp_path: Path) -> None:
    path = tiny_models.canned(tmp_path / "a.gguf", ANSWER)
    assert _said(path) == (ANSWER, "stop")
    assert _said(path, temperature=1.0) == (ANSWER, "stop")


@needs_llama
def test_a_canned_model_can_begin_anew(tmp_path: Path) -> None:
    text, end = _said(tiny_models.canned(tmp_path / "a.gguf", "Satz um Satz. ", again=True), 100)
    assert (text[:42], end) == (3 * "Satz um Satz. ", "length")


@needs_llama
@pytest.mark.parametrize("seed", range(5))
def test_a_canned_model_says_any_text(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    answer = "".join(chance.choices('ab{"ä€\n 1', k=chance.randint(2, 200))).strip()
    assert _said(tiny_models.canned(tmp_path / "a.gguf", answer)) == (answer, "stop")


@needs_server
def test_a_genuine_server_says_the_same(tmp_path: Path) -> None:
    with tiny_models.served(tiny_models.canned(tmp_path / "a.gguf", ANSWER), parallel=2, context=512) as address:
        answer = _asked(address).json()
        properties = httpx.get(f"{address}/props").json()
    assert address.startswith("http://127.0.0.1:")
    assert answer["choices"][0]["message"]["content"] == ANSWER
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert (properties["total_slots"], properties["default_generation_settings"]["n_ctx"]) == (2, 512)


@needs_server
def test_a_server_wants_its_key_and_is_gone_afterwards(tmp_path: Path) -> None:
    with tiny_models.served(tiny_models.random_model(tmp_path / "a.gguf"), key="geheim") as address:
        assert _asked(address, max_tokens=5).status_code == 401
        assert _asked(address, "geheim", max_tokens=5).status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{address}/health")
