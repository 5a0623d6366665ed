"""GGUF files that tests and benchmarks build: no weights can be had where this is tested, and none are committed.

Each file is a whole model of the architecture `llama` with a tokenizer, written with `gguf` and `numpy` alone, and
loads in every runtime. The weights are random, or laid so that the model says one text (`canned`).

| builder | shape | file | for |
|---|---|---|---|
| `random_model` | 2 layers of width 64, heads of 32 (2 for queries, 1 for keys) | 0.5 MB | the worst opponent |
| `random_model`, 32,000 tokens | the same | 18 MB | what a grammar costs in the worst case |
| `canned` | width = tokens, one layer with one head of 32, all zeros | 0.5-15 MB | a chosen answer, to the byte |
| `mid` | 14 x 1024 (F16), 28 x 1024 (Q8_0), 28 x 1536 (Q4_0), 32,000 tokens | 350-400 MB | throughput |

The output is not tied to the embeddings, else a random model repeats its last token. Heads of 32 and more let a q8_0 KV
cache be used, whose blocks are 32. Tokens that are no whole character (`tiny_vocabularies`) have an output row of
zeros, so that who looks for the largest logit never takes them.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import gguf
import numpy as np

from tests import tiny_vocabularies

Quantisation = Literal["F32", "F16", "Q8_0", "Q4_0"]

#: ChatML as Jinja; both the full engines and the recognisers of runtimes without one know it.
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)

_FILE_TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q8_0": 7}
_ROOT = Path(__file__).parents[1]
_SAYS = 30.0  # logit of the token that a canned model says next; all others are 0

Array = np.ndarray[Any, Any]


# --- weights ------------------------------------------------------------------------------------------------------


class Weights:
    """Random tensors in one quantisation. Blocks are random bytes with a fixed scale: no quantiser is needed."""

    def __init__(self, writer: gguf.GGUFWriter, quantisation: Quantisation, seed: int) -> None:
        self._writer = writer
        self._kind = gguf.GGMLQuantizationType[quantisation]
        self._random = np.random.default_rng(seed)

    def add(self, name: str, rows: int, columns: int, mute: Sequence[int] = ()) -> None:
        """A matrix with a spread of 1/sqrt(columns); the rows of `mute` are zeros."""
        made = self._blocks(rows, columns) if self._is_quantised else self._floats(rows, columns)
        made[list(mute)] = 0  # a scale of zero in a block
        self._writer.add_tensor(name, made, raw_dtype=self._kind)

    @property
    def _is_quantised(self) -> bool:
        return self._kind in {gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.Q4_0}

    def _floats(self, rows: int, columns: int) -> Array:
        kind = np.float16 if self._kind == gguf.GGMLQuantizationType.F16 else np.float32
        return (self._random.standard_normal((rows, columns), np.float32) / np.sqrt(columns)).astype(kind)

    def _blocks(self, rows: int, columns: int) -> Array:
        """Blocks of 32 numbers: an fp16 scale, then bytes (spread 73.9) or nibbles less eight (spread 4.6)."""
        size, spread = (34, 73.9) if self._kind == gguf.GGMLQuantizationType.Q8_0 else (18, 4.6)
        made = self._random.integers(0, 256, (rows, columns // 32, size), np.uint8)
        made[..., :2] = np.frombuffer(np.float16(1 / np.sqrt(columns) / spread).tobytes(), np.uint8)
        return made.reshape(rows, -1)


def _shape(
    writer: gguf.GGUFWriter, *, layers: int, width: int, heads: int, head: int, inner: int, context: int
) -> None:
    writer.add_context_length(context)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(max(1, heads // 2))
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_layer_norm_rms_eps(1e-5)


@contextlib.contextmanager
def _file(path: Path) -> Iterator[gguf.GGUFWriter]:
    writer = gguf.GGUFWriter(path, "llama")
    yield writer
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def random_model(
    path: Path,
    *,
    layers: int = 2,
    width: int = 64,
    head: int = 32,
    vocabulary: tiny_vocabularies.Vocabulary = "bytes",
    quantisation: Quantisation = "F32",
    context: int = 4096,
    seed: int = 0,
    template: str | None = CHATML,
    spm: bool = False,
) -> Path:
    """A model with random weights; the same arguments make the same file.

    `width` is a multiple of `head` (32 or more), `context` the one it claims to be trained on. `vocabulary` is `bytes`,
    `characters` (those of German text, each one token) or a number of tokens. `spm`: SentencePiece with byte fallback.
    """
    with _file(path) as writer:
        writer.add_file_type(_FILE_TYPES[quantisation])
        writer.add_name(path.stem)
        inner, mute = 2 * width, list[int]()
        _shape(writer, layers=layers, width=width, heads=width // head, head=head, inner=inner, context=context)
        if spm:
            size, mute = tiny_vocabularies.write_spm(writer, vocabulary != "bytes")
        else:
            tokens = tiny_vocabularies.tokens(vocabulary)
            tiny_vocabularies.write_bpe(writer, tokens)
            size, mute = len(tokens.texts), tokens.mute
        if template is not None:
            writer.add_chat_template(template)
        writer.add_vocab_size(size)
        weights, shared = Weights(writer, quantisation, seed), head * max(1, width // head // 2)
        weights.add("token_embd.weight", size, width)
        for at in range(layers):
            block = f"blk.{at}"
            writer.add_tensor(f"{block}.attn_norm.weight", np.ones(width, np.float32))
            weights.add(f"{block}.attn_q.weight", width, width)
            weights.add(f"{block}.attn_k.weight", shared, width)
            weights.add(f"{block}.attn_v.weight", shared, width)
            weights.add(f"{block}.attn_output.weight", width, width)
            writer.add_tensor(f"{block}.ffn_norm.weight", np.ones(width, np.float32))
            weights.add(f"{block}.ffn_gate.weight", inner, width)
            weights.add(f"{block}.ffn_up.weight", inner, width)
            weights.add(f"{block}.ffn_down.weight", width, inner)
        writer.add_tensor("output_norm.weight", np.ones(width, np.float32))
        weights.add("output.weight", size, width, mute if vocabulary != "bytes" else ())
    return path


def mid(path: Path, quantisation: Literal["F16", "Q8_0", "Q4_0"], *, vocabulary: int = 32_000, seed: int = 0) -> Path:
    """A random model large enough that its weights do not stay in a processor's cache: see the table above."""
    layers, width = {"F16": (14, 1024), "Q8_0": (28, 1024), "Q4_0": (28, 1536)}[quantisation]
    return random_model(
        path, layers=layers, width=width, head=64, vocabulary=vocabulary, quantisation=quantisation, seed=seed,
        context=32_768,
    )  # fmt: skip


# --- a model that says one text -------------------------------------------------------------------------------------


def _pieces(answer: str) -> list[str]:
    """The text in parts of two characters and more, none of them twice, so that each part has one successor."""
    parts: list[str] = []
    at = 0
    while at < len(answer):
        end = at + 2
        while answer[at:end] in parts and end < len(answer):
            end += 1
        parts.append(answer[at:end])
        at = end
    while len(parts) > 1 and (len(parts[-1]) < 2 or parts[-1] in parts[:-1]):
        last = parts.pop()
        parts[-1] += last
    return parts


def canned(
    path: Path, answer: str, *, context: int = 4096, template: str = CHATML, again: bool = False, after: str = "\n"
) -> Path:
    """A model that says `answer`, to the byte, whatever it is asked, and then ends; with `again` it begins anew.

    A bigram table: each token's embedding is a one of its own, attention and feed-forward are zeros, the last norm
    undoes the scaling (1/sqrt(width)), and the output's row of the next token has its weight in the column of the
    present one. The answer is cut into tokens of two and more characters that no merge makes, so no prompt contains
    them; the chain begins at the prompt's last token, the "\\n" behind `<|im_start|>assistant`, or at another character
    named by `after`. A grammar must leave the tokens as they are: forced bytes that are cut into tokens anew
    break the chain (llguidance: `no_forcing`). The answer must have two characters at least.
    """
    tokens = tiny_vocabularies.Tokens()
    tokens.merge(*tiny_vocabularies.ALPHABET[:2])
    chain = [
        tiny_vocabularies.ALPHABET.index(tiny_vocabularies.written(after)),
        *(tokens.add(tiny_vocabularies.written(piece)) for piece in _pieces(answer)),
    ]
    chain.append(chain[1] if again else tokens.texts.index(tiny_vocabularies.END))
    size = len(tokens.texts)
    output = np.zeros((size, size), np.float16)
    for present, following in itertools.pairwise(chain):
        output[following, present] = _SAYS
    with _file(path) as writer:
        writer.add_file_type(_FILE_TYPES["F16"])
        writer.add_name(path.stem)
        _shape(writer, layers=1, width=size, heads=1, head=32, inner=32, context=context)
        tiny_vocabularies.write_bpe(writer, tokens)
        writer.add_chat_template(template)
        writer.add_vocab_size(size)
        writer.add_tensor("token_embd.weight", np.eye(size, dtype=np.float16))
        for norm in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.0.{norm}.weight", np.ones(size, np.float32))
        for into in ("attn_q", "attn_k", "attn_v", "ffn_gate", "ffn_up"):
            writer.add_tensor(f"blk.0.{into}.weight", np.zeros((32, size), np.float16))
        for out in ("attn_output", "ffn_down"):
            writer.add_tensor(f"blk.0.{out}.weight", np.zeros((size, 32), np.float16))
        writer.add_tensor("output_norm.weight", np.full(size, 1 / np.sqrt(size), np.float32))
        writer.add_tensor("output.weight", output)
    return path


# --- a genuine server -----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def served(
    path: Path, *, parallel: int = 2, context: int = 4096, key: str | None = None, threads: int = 1
) -> Iterator[str]:
    """xllamacpp's llama.cpp server on a port of 127.0.0.1 in a child process; gives `http://127.0.0.1:PORT`.

    Its OpenAI routes are `/v1/chat/completions` and `/v1/models`; further `/health` and `/props`. `context` is for each
    of `parallel`. `key`: every route but `/health` wants it as bearer token. Nothing of a prompt is kept in RAM beyond
    the slots. Standard error is the caller's.
    """
    env = os.environ | {"HF_HUB_OFFLINE": "1", "GGML_NO_BACKTRACE": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    told = {"path": str(path.resolve()), "parallel": parallel, "context": context, "key": key, "threads": threads}
    command = [sys.executable, "-m", "tests.tiny_models", json.dumps(told)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, cwd=_ROOT, text=True
    ) as child:
        assert child.stdin is not None and child.stdout is not None
        try:
            address = child.stdout.readline().strip()
            assert address, "The server did not start; its output is above."
            yield address
        finally:
            child.stdin.close()
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()


def _serve(path: str, parallel: int, context: int, key: str | None, threads: int) -> None:
    """The child: load, say the address, and stay until the parent closes the pipe or dies."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = path
    params.n_parallel, params.n_ctx = parallel, parallel * context
    params.n_predict = context
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.hostnames, params.port = ["127.0.0.1"], 0
    params.api_keys = [key] if key else []
    params.cache_ram_mib, params.offline, params.ui = 0, True, False
    params.warmup, params.fit_params, params.verbosity = False, False, -1
    server = xllamacpp.Server(params)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    sys.stdin.read()
    os._exit(0)  # the server's own end may wait for connections that are held open


if __name__ == "__main__":
    _serve(**json.loads(sys.argv[1]))
