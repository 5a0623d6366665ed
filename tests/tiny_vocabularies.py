"""The vocabularies of the tiny models: byte-level BPE, and SentencePiece with byte fallback.

Byte-level BPE has 256 byte tokens, three specials and at least one merge. A random model over bytes writes invalid
UTF-8; therefore `characters` and a number of tokens make vocabularies of whole characters, and name as `mute` the
tokens that are none, and the specials: the builder fills their output rows with zeros. Such a model does not end by
itself; one over bytes may.
"""

from __future__ import annotations

import itertools
from typing import Literal

import gguf

Vocabulary = Literal["bytes", "characters"] | int

START, END, NOTHING = "<|im_start|>", "<|im_end|>", "<|endoftext|>"

_GERMAN = "äöüÄÖÜßéèáàâçñåæøëïÅÉÇ°µ§²³±×½¼·«»„“”‚‘’–—…€≤≥→"
_LETTERS = "etaoinshrdlucmfgpwybvkjxqzäöüß"
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6


def _letters_of_bytes() -> list[str]:
    """GPT-2's printable stand-in for each of the 256 bytes: most of Latin-1 for itself, the others from U+0100 on."""
    own = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = itertools.count(0x100)
    return [chr(byte) if byte in own else chr(next(others)) for byte in range(256)]


ALPHABET = _letters_of_bytes()


def written(text: str) -> str:
    """A text as a byte-level vocabulary holds it."""
    return "".join(ALPHABET[byte] for byte in text.encode())


class Tokens:
    """A vocabulary under way: tokens, their types, merges; `mute` are those that a random model shall not say."""

    def __init__(self) -> None:
        self.texts: list[str] = list(ALPHABET)
        self.types: list[int] = [NORMAL] * 256
        self.merges: list[str] = []
        self.mute: list[int] = []
        self._known = set(self.texts)
        for special in (START, END, NOTHING):
            self.add(special, CONTROL)

    def add(self, text: str, kind: int = NORMAL) -> int:
        self.texts.append(text)
        self.types.append(kind)
        self._known.add(text)
        return len(self.texts) - 1

    def merge(self, left: str, right: str) -> str:
        """Two tokens that are read as one, as the vocabulary writes them."""
        if left + right not in self._known:
            self.add(left + right)
            self.merges.append(f"{left} {right}")
        return left + right

    def character(self, character: str) -> str:
        """A whole character as one token, by merges of its bytes."""
        first, *others = written(character)
        for byte in others:
            first = self.merge(first, byte)
        return first


def tokens(vocabulary: Vocabulary) -> Tokens:
    """267 tokens for `bytes`, 310 for `characters`, else so many as asked for (400 at least)."""
    made = Tokens()
    if vocabulary == "bytes":
        for left, right in itertools.pairwise("ernstaldi"):
            made.merge(left, right)
        return made
    for character in _GERMAN:
        made.character(character)
    made.mute = [*range(0x20), *range(0x7F, 0x100), *(made.texts.index(special) for special in (START, END, NOTHING))]
    made.mute += [at for at, text in enumerate(made.texts) if at > 0xFF and _is_torn(text)]
    if isinstance(vocabulary, int):
        _grow(made, vocabulary)
    return made


def _is_torn(text: str) -> bool:
    """Whether a byte-level token is a part of a character only."""
    if any(character not in ALPHABET for character in text):
        return False
    try:
        bytes(ALPHABET.index(character) for character in text).decode()
    except UnicodeDecodeError:
        return True
    return False


def _grow(tokens: Tokens, size: int) -> None:
    """Syllables of two letters, then of three, and so on, until there are so many tokens."""
    letters = [tokens.character(letter) for letter in _LETTERS]
    grown = letters
    while True:
        longer = []
        for left, right in itertools.product(grown, letters):
            if len(tokens.texts) >= size:
                return
            longer.append(tokens.merge(left, right))
        grown = longer


def write_bpe(writer: gguf.GGUFWriter, tokens: Tokens) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens.texts)
    writer.add_token_types(tokens.types)
    writer.add_token_merges(tokens.merges)
    writer.add_bos_token_id(tokens.texts.index(NOTHING))
    writer.add_eos_token_id(tokens.texts.index(END))
    writer.add_add_bos_token(False)


def write_spm(writer: gguf.GGUFWriter, whole_characters: bool) -> tuple[int, list[int]]:
    """SentencePiece with byte fallback: 262 tokens, and more with whole characters. How many, and the mute ones."""
    texts = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), START, END, "▁"]
    types = [UNKNOWN, CONTROL, CONTROL, *[BYTE] * 256, CONTROL, CONTROL, NORMAL]
    if whole_characters:
        characters = [chr(code) for code in range(0x21, 0x7F)] + list(_GERMAN)
        texts += characters
        types += [NORMAL] * len(characters)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(texts)
    writer.add_token_types(types)
    writer.add_token_scores([-float(at) for at in range(len(texts))])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(texts.index(END))
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(False)
    return len(texts), [at for at, kind in enumerate(types) if kind != NORMAL]
