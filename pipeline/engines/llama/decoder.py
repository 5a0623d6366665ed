"""One answer under way: greedy under its grammar, watched for loops, and closed when its budget is spent."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Collection
from dataclasses import dataclass

import llguidance
import numpy as np
from numpy.typing import NDArray

from pipeline.engines import base, watch
from pipeline.engines.llama import closing


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a decoder must know of a vocabulary: each token's bytes, those that end a text, and how they are closed."""

    size: int
    ends: Collection[int]
    piece: Callable[[int], bytes]
    ranks: closing.Ranks


class Decoder:
    """Feed it the logits of the next token until `is_done`.

    `budget` is the tokens after which the closing mode begins, `most` those that an answer has at most. `closed_at` is
    the character from which on the text is the closing mode's, None where the model came to the end by itself.
    """

    def __init__(self, matcher: llguidance.LLMatcher, tokens: Tokens, *, budget: int, most: int) -> None:
        self._matcher = matcher
        self._tokens = tokens
        self._budget = budget
        self._most = most
        self._mask: NDArray[np.int32] = np.zeros((tokens.size + 31) // 32, np.int32)
        self._position = closing.Position()
        self._decoded = codecs.getincrementaldecoder("utf-8")()
        self._watch = watch.Watch()
        self._text: list[str] = []
        self.count = 0
        self.is_done = False
        self.closed_at: int | None = None

    @property
    def text(self) -> str:
        """The answer so far."""
        return "".join(self._text)

    def feed(self, logits: NDArray[np.float32]) -> int:
        """The next token; of no use when `is_done`. Raises base.Failure: `loop`, `truncated`, `invalid`."""
        is_closing = self.count >= self._budget
        token = self._choose(logits, is_closing)
        if token in self._tokens.ends:
            self.is_done = True
            return token
        if is_closing and self.closed_at is None:
            self.closed_at = len(self.text)
        self.count += 1
        self._take(self._tokens.piece(token))
        self.is_done = self._matcher.is_stopped()
        if self._matcher.is_error():
            raise self._failure("invalid", "The grammar of the answer is too complex to be held.")
        if not self.is_done and self.count >= self._most:
            raise self._failure("truncated", "The answer did not come to its end.")
        return token

    def _choose(self, logits: NDArray[np.float32], is_closing: bool) -> int:
        """A token that the grammar allows, already taken by it."""
        best = int(logits.argmax())
        if not np.isfinite(logits[best]):
            raise self._failure("unavailable", "The model computes no numbers; its file may be damaged.")
        if not is_closing and self._tokens.piece(best) and self._matcher.try_consume_tokens([best]) == 1:
            return best
        token = self._masked(logits, is_closing)
        if not self._matcher.consume_token(token):
            raise self._failure("invalid", "The grammar of the answer is too complex to be held.")
        return token

    def _masked(self, logits: NDArray[np.float32], is_closing: bool) -> int:
        self._matcher.unsafe_compute_mask_ptr(self._mask.ctypes.data, self._mask.nbytes)
        bits = np.unpackbits(self._mask.view(np.uint8), count=self._tokens.size, bitorder="little")
        allowed = np.flatnonzero(bits)
        if not len(allowed):
            raise self._failure("invalid", "The grammar of the answer allows nothing more.")
        if not is_closing:
            return int(allowed[logits[allowed].argmax()])
        if self._matcher.is_accepting():
            return next(token for token in self._tokens.ends if bits[token])
        return self._tokens.ranks.choose(allowed, logits, self._position)

    def _take(self, piece: bytes) -> None:
        self._position.feed(piece)
        try:
            text = self._decoded.decode(piece)
        except UnicodeDecodeError:
            raise self._failure("invalid", "The answer is no UTF-8.") from None
        self._text.append(text)
        if self._watch.feed(text) is not None:
            raise self._failure("loop", "The answer repeats itself.")

    def _failure(self, kind: base.Kind, text: str) -> base.Failure:
        return base.Failure(kind, text, tokens=self.count)
