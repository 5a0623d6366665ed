"""The header of a GGUF file: its metadata, and the kinds and sizes of its tensors. No weight is read.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little-endian.

Not by `gguf.GGUFReader`: it trusts every length, so that a file whose array claims 2^62 entries keeps it busy for ever,
and it makes an object of numpy for each token (2 s for 32,000). Here no length is believed beyond `_LONGEST`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

Value = int | float | bool | str | tuple[int | float | bool, ...]

_LONGEST = 64 * 2**20  # bytes of a header: the largest vocabularies take a fourth of it
_MOST = 100_000  # entries of the metadata, and tensors
_MOST_DIMENSIONS = 4
_KEPT_ARRAY = 1024  # numbers of an array that is kept, e.g. one for each layer
_KEPT_TEXT = 65_536  # bytes of a text that is kept

_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9

#: Name, elements and bytes of a block, by the number of the tensor's kind (`enum ggml_type`).
_KINDS: Mapping[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 40), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17), 40: ("NVFP4", 64, 36), 41: ("Q1_0", 128, 18),
}  # fmt: skip

#: What most tensors of a file are, by `general.file_type` (`enum llama_ftype`).
_FILE_TYPES: Mapping[int, str] = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M",
    13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS",
    21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S",
    29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4_MOE", 39: "NVFP4",
    40: "Q1_0",
}  # fmt: skip


class NotReadable(Exception):
    """The file is none of GGUF that can be used. The text is a clause that says why, e.g. `is truncated`."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor's kind, its dimensions (the innermost first) and its size in bytes."""

    kind: str
    dimensions: tuple[int, ...]
    size: int

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.dimensions)


@dataclass(frozen=True, slots=True)
class Header:
    """Metadata by key, without long texts and arrays, and tensors by name."""

    values: Mapping[str, Value]
    tensors: Mapping[str, Tensor]

    @property
    def architecture(self) -> str:
        """E.g. `llama`: the prefix of the keys that tell the model's shape."""
        return str(self.values.get("general.architecture", ""))

    @property
    def quantisation(self) -> str:
        """E.g. `Q4_K_M`: what the file says, or else the kind of most of its bytes."""
        named = _FILE_TYPES.get(self.number("general.file_type", -1))
        if named is not None:
            return named
        sizes: dict[str, int] = {}
        for tensor in self.tensors.values():
            sizes[tensor.kind] = sizes.get(tensor.kind, 0) + tensor.size
        return max(sizes, key=sizes.__getitem__)

    def number(self, key: str, default: int) -> int:
        """A whole number of the metadata. Raises NotReadable where it is something else or negative."""
        value = self.values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or (value < 0 and value != default):
            raise NotReadable(f"says {key} in a way that makes no sense")
        return value

    def numbers(self, key: str, count: int, default: int) -> tuple[int, ...]:
        """The same where there may be one for each of `count` layers."""
        value = self.values.get(key)
        if not isinstance(value, tuple):
            return (self.number(key, default),) * count
        whole = tuple(number for number in value if isinstance(number, int) and number >= 0)
        if len(whole) != count:
            raise NotReadable(f"says {key} in a way that makes no sense")
        return whole


def read(path: Path) -> Header:
    """The header of a file. Raises NotReadable, also for a file that is shorter than its tensors."""
    try:
        if not path.is_file():
            raise NotReadable("is no file")
        with path.open("rb") as stream:
            return _Reader(stream, path.stat().st_size).header()
    except OSError as fault:
        raise NotReadable(f"cannot be read ({fault.strerror})") from None


class _Reader:
    """Reads on from where it stands; every step is bounded by the file's size and by `_LONGEST`."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self._size = size
        self._at = 0

    def header(self) -> Header:
        if self._size < 4 or self._bytes(4) != b"GGUF":
            raise NotReadable("is no GGUF file")
        if self._number("I") not in (2, 3):
            raise NotReadable("is GGUF of a version or byte order that is not supported")
        tensors, entries = self._count(), self._count()
        values: dict[str, Value] = {}
        for _ in range(entries):
            key, value = self._text(), self._value(self._number("I"))
            if key in values:
                raise NotReadable("says the same thing twice")
            if value is not None:
                values[key] = value
        made = dict(self._tensor() for _ in range(tensors))
        if len(made) != tensors or not made:
            raise NotReadable("holds no tensors, or some of them twice")
        header = Header(values, {name: tensor for name, (tensor, _end) in made.items()})
        alignment = header.number("general.alignment", 32)
        if not alignment or alignment & (alignment - 1):
            raise NotReadable("says general.alignment in a way that makes no sense")
        wanted = -(-self._at // alignment) * alignment + max(end for _tensor, end in made.values())
        if wanted > self._size:
            raise NotReadable(f"is truncated: it has {self._size:,} bytes of {wanted:,}")
        return header

    def _bytes(self, count: int) -> bytes:
        self._go(count)
        return self._stream.read(count)

    def _go(self, count: int) -> None:
        """Raises NotReadable where so many bytes are not there."""
        self._at += count
        if self._at > self._size:
            raise NotReadable("is truncated or damaged")
        if self._at > _LONGEST:
            raise NotReadable(f"has no header within its first {_LONGEST // 2**20} MiB")

    def _skip(self, count: int) -> None:
        self._go(count)
        self._stream.seek(count, 1)

    def _number(self, kind: str) -> int:
        (value,) = struct.unpack(f"<{kind}", self._bytes(struct.calcsize(f"<{kind}")))
        return int(value)

    def _count(self) -> int:
        count = self._number("Q")
        if count > _MOST:
            raise NotReadable(f"has more than {_MOST:,} tensors or entries")
        return count

    def _text(self) -> str:
        length = self._number("Q")
        if length > _KEPT_TEXT:
            self._skip(length)
            return ""
        return self._bytes(length).decode(errors="replace")

    def _value(self, kind: int) -> Value | None:
        """None: it is of no use here and was skipped."""
        if kind == _STRING:
            return self._text()
        if kind == _ARRAY:
            return self._array(self._number("I"), self._number("Q"))
        if kind not in _NUMBERS:
            raise NotReadable("is damaged: it has metadata of an unknown kind")
        (value,) = struct.unpack(f"<{_NUMBERS[kind]}", self._bytes(struct.calcsize(f"<{_NUMBERS[kind]}")))
        return value if isinstance(value, int | float) else None

    def _array(self, kind: int, count: int) -> Value | None:
        if kind == _STRING:
            for _ in range(count):  # each takes eight bytes at least, so the end of the file ends it
                self._skip(self._number("Q"))
            return None
        if kind not in _NUMBERS:
            raise NotReadable("is damaged: it has an array of an unknown kind")
        size = struct.calcsize(f"<{_NUMBERS[kind]}")
        if count > _KEPT_ARRAY:
            self._skip(size * count)
            return None
        return struct.unpack(f"<{count}{_NUMBERS[kind]}", self._bytes(size * count))

    def _tensor(self) -> tuple[str, tuple[Tensor, int]]:
        """A tensor by its name, and where it ends behind the header."""
        name, count = self._text(), self._number("I")
        if not 1 <= count <= _MOST_DIMENSIONS:
            raise NotReadable("is damaged: it has a tensor of an impossible shape")
        dimensions = tuple(self._number("Q") for _ in range(count))
        kind, offset = self._number("I"), self._number("Q")
        if kind not in _KINDS:
            raise NotReadable(f"has tensors of the kind {kind}, which is not known here")
        label, block, size = _KINDS[kind]
        elements = math.prod(dimensions)
        if not elements or dimensions[0] % block:
            raise NotReadable("is damaged: it has a tensor of an impossible shape")
        taken = elements // block * size
        return name, (Tensor(label, dimensions, taken), offset + taken)
