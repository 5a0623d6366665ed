"""The part of llama.cpp that we need: a model, its vocabulary, and one context whose sequences are decoded together."""

from __future__ import annotations

import ctypes
import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import llama_cpp
import llguidance
import llguidance.llamacpp
import numpy as np
from numpy.typing import NDArray

_SPECIAL = (
    llama_cpp.LLAMA_TOKEN_ATTR_CONTROL | llama_cpp.LLAMA_TOKEN_ATTR_USER_DEFINED | llama_cpp.LLAMA_TOKEN_ATTR_UNKNOWN
)
_TEXT_BYTES = 1024  # room for a line of metadata
_UBATCH = 512  # tokens of a graph: what llama.cpp computes at once


class NotLoaded(Exception):
    """llama.cpp cannot load the file; the text says which part failed."""


class NotDecoded(Exception):
    """llama_decode failed; the context is of no use any more."""


_say_nothing: Any = llama_cpp.llama_log_callback(lambda _level, _text, _data: None)


def silence() -> None:
    """llama.cpp writes nothing: it could quote a prompt."""
    llama_cpp.llama_log_set(_say_nothing, ctypes.c_void_p(0))


class Model:
    """A loaded GGUF file."""

    def __init__(self, file: Path, *, gpu_layers: int) -> None:
        params = llama_cpp.llama_model_default_params()
        params.n_gpu_layers = gpu_layers
        params.load_mode = llama_cpp.LLAMA_LOAD_MODE_NONE  # mapped, a repacked model would be in memory twice
        loaded = llama_cpp.llama_model_load_from_file(str(file).encode(), params)
        if not loaded:
            raise NotLoaded("llama.cpp cannot read the model's file; it is damaged or of a kind that it does not know")
        self.handle: Any = loaded
        vocabulary = llama_cpp.llama_model_get_vocab(loaded)
        assert vocabulary is not None
        self.vocabulary = Vocabulary(vocabulary)

    @property
    def template(self) -> str | None:
        """The chat template of the file."""
        source: bytes | None = llama_cpp.llama_model_chat_template(self.handle, None)
        return source.decode() if source else None

    @property
    def name(self) -> str:
        """What the file calls the model, or nothing."""
        buffer = ctypes.create_string_buffer(_TEXT_BYTES)
        length = llama_cpp.llama_model_meta_val_str(self.handle, b"general.name", buffer, _TEXT_BYTES)
        return buffer.value.decode(errors="replace") if length > 0 else ""

    @property
    def quantisation(self) -> str:
        """What most of the weights are, e.g. `Q4_0`; nothing where the file does not say."""
        name: bytes | None = llama_cpp.llama_ftype_name(llama_cpp.llama_model_ftype(self.handle))
        return name.decode().removeprefix("all ").partition(" - ")[0] if name else ""  # "all F32", "Q4_K - Medium"

    @property
    def trained_context(self) -> int:
        """Tokens that the model was trained on at once."""
        return int(llama_cpp.llama_model_n_ctx_train(self.handle))


class Vocabulary:
    """Tokens and their bytes."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self.size = int(llama_cpp.llama_vocab_n_tokens(handle))
        self.ends = [token for token in range(self.size) if llama_cpp.llama_vocab_is_eog(handle, token)]
        self._buffer = ctypes.create_string_buffer(_TEXT_BYTES)
        self._pieces: dict[int, bytes] = {}

    def piece(self, token: int) -> bytes:
        """The bytes of a token; those of a special token are its name."""
        piece = self._pieces.get(token)
        if piece is None:
            piece = self._pieces[token] = self._read(token)
        return piece

    def _read(self, token: int) -> bytes:
        length = llama_cpp.llama_token_to_piece(self._handle, token, self._buffer, _TEXT_BYTES, 0, True)
        return self._buffer.raw[: max(0, length)]

    def pieces(self) -> Sequence[bytes]:
        """All tokens' bytes."""
        return [self.piece(token) for token in range(self.size)]

    def tokens(self, text: str, is_special: bool) -> list[int]:
        """A text's tokens; `is_special`: names of special tokens count as such."""
        data = text.encode()
        room = len(data) + 2
        buffer = (llama_cpp.llama_token * room)()
        count = llama_cpp.llama_tokenize(self._handle, data, len(data), buffer, room, False, is_special)
        return list(buffer[:count])

    @property
    def bos(self) -> list[int]:
        """The token that a text must begin with, if any."""
        token = int(llama_cpp.llama_vocab_bos(self._handle))
        return [token] if token >= 0 and llama_cpp.llama_vocab_get_add_bos(self._handle) else []

    def name(self, which: Literal["bos", "eos"]) -> str:
        """The name of a special token as a template writes it."""
        token = int(getattr(llama_cpp, f"llama_vocab_{which}")(self._handle))
        return self.piece(token).decode(errors="replace") if token >= 0 else ""

    @functools.cached_property
    def marks(self) -> re.Pattern[str] | None:
        """What spells a special token, longer ones first; white space of its own is none."""
        special = (t for t in range(self.size) if llama_cpp.llama_vocab_get_attr(self._handle, t) & _SPECIAL)
        names = {self._read(token).decode(errors="replace") for token in special}
        long = sorted((name for name in names if len(name.strip()) > 1), key=len, reverse=True)
        return re.compile("|".join(map(re.escape, long))) if long else None

    def tokenizer(self) -> llguidance.LLTokenizer:
        """The same vocabulary for llguidance; it takes 2 s for 128,000 tokens."""
        return llguidance.llamacpp.lltokenizer_from_vocab(self._handle, eos_token=self.ends)


@dataclass(frozen=True, slots=True)
class Input:
    """Tokens that a sequence takes in one step, from a position on; `is_last`: logits are wanted behind the last."""

    sequence: int
    position: int
    tokens: Sequence[int]
    is_last: bool


class Context:
    """The KV cache of all sequences: `cells` tokens in all, which sequences may share."""

    def __init__(
        self, model: Model, *, cells: int, sequences: int, batch: int, threads: int, kv: Literal["f16", "q8_0"]
    ) -> None:
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = cells
        params.n_batch = batch
        params.n_ubatch = min(batch, _UBATCH)
        params.n_seq_max = sequences
        params.n_threads = params.n_threads_batch = threads
        params.kv_unified = True
        params.no_perf = True
        if kv == "q8_0":
            params.type_k = params.type_v = llama_cpp.GGML_TYPE_Q8_0
            params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED  # without it no V cache is quantised
        made = llama_cpp.llama_init_from_model(model.handle, params)
        if not made:
            raise NotLoaded("llama.cpp cannot make a context of this size; lower `context` or `parallel`")
        self._handle: Any = made
        self._memory: Any = llama_cpp.llama_get_memory(made)
        self._vocabulary = model.vocabulary.size
        self._batch = _Batch(batch)

    def decode(self, inputs: Sequence[Input]) -> list[NDArray[np.float32] | None]:
        """One step. For each input the logits behind its last token, where they are wanted; valid until the next."""
        last = self._batch.fill(inputs)
        if llama_cpp.llama_decode(self._handle, self._batch.batch) != 0:
            raise NotDecoded
        return [self._logits(at) if asked.is_last else None for at, asked in zip(last, inputs, strict=True)]

    def _logits(self, at: int) -> NDArray[np.float32]:
        pointer = llama_cpp.llama_get_logits_ith(self._handle, at)
        logits: NDArray[np.float32] = np.ctypeslib.as_array(pointer, shape=(self._vocabulary,))
        return logits

    def copy(self, source: int, target: int) -> None:
        """Let a sequence begin with all that another holds; nothing is computed."""
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, -1, -1)

    def free(self, sequence: int) -> None:
        """Forget a sequence."""
        llama_cpp.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def clear(self) -> None:
        """Forget all, so that the next sequence lies where the first one lay."""
        llama_cpp.llama_memory_clear(self._memory, True)


class _Batch:
    """A llama_batch whose arrays are numpy's."""

    def __init__(self, size: int) -> None:
        self._token: NDArray[np.int32] = np.zeros(size, np.int32)
        self._position: NDArray[np.int32] = np.zeros(size, np.int32)
        self._sequence: NDArray[np.int32] = np.zeros(size, np.int32)
        self._logits: NDArray[np.int8] = np.zeros(size, np.int8)
        self._ones: NDArray[np.int32] = np.ones(size, np.int32)
        offsets: NDArray[np.uintp] = np.arange(size, dtype=np.uintp) * np.uintp(self._sequence.itemsize)
        self._sequences: NDArray[np.uintp] = offsets + np.uintp(self._sequence.ctypes.data)
        ints = ctypes.POINTER(ctypes.c_int32)
        self.batch = llama_cpp.llama_batch(
            n_tokens=0,
            token=ctypes.cast(self._token.ctypes.data, ints),
            pos=ctypes.cast(self._position.ctypes.data, ints),
            n_seq_id=ctypes.cast(self._ones.ctypes.data, ints),
            seq_id=ctypes.cast(self._sequences.ctypes.data, ctypes.POINTER(ints)),
            logits=ctypes.cast(self._logits.ctypes.data, ctypes.POINTER(ctypes.c_int8)),
        )

    def fill(self, inputs: Sequence[Input]) -> list[int]:
        """Put the tokens in; gives the place of each input's last one."""
        at, last = 0, []
        self._logits[:] = 0
        for asked in inputs:
            end = at + len(asked.tokens)
            self._token[at:end] = asked.tokens
            self._position[at:end] = np.arange(asked.position, asked.position + len(asked.tokens))
            self._sequence[at:end] = asked.sequence
            self._logits[end - 1] = asked.is_last
            last.append(end - 1)
            at = end
        self.batch.n_tokens = at
        return last
