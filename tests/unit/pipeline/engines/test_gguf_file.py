"""Headers of GGUF files: what is read of a good one, and that a hostile one is refused at once."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

pytest.importorskip("gguf", reason="needs the extra llama")

import gguf

from pipeline.engines import gguf_file
from tests import tiny_models

MANY = 2**62


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def _file(path: Path, *, entries: bytes = b"", tensors: bytes = b"", counts: tuple[int, int] = (0, 0)) -> Path:
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, *counts) + entries + tensors)
    return path


def _tensor(name: str = "a", dimensions: tuple[int, ...] = (32,), kind: int = 0, offset: int = 0) -> bytes:
    shape = struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions)
    return _text(name) + shape + struct.pack("<IQ", kind, offset)


@pytest.mark.parametrize("quantisation", ["F32", "F16", "Q8_0", "Q4_0"])
def test_a_header_says_what_gguf_itself_says(tmp_path: Path, quantisation: tiny_models.Quantisation) -> None:
    path = tiny_models.random_model(tmp_path / "a.gguf", quantisation=quantisation, vocabulary="characters")
    theirs, ours = gguf.GGUFReader(path), gguf_file.read(path)
    assert {name: (tensor.kind, tensor.size) for name, tensor in ours.tensors.items()} == {
        tensor.name: (tensor.tensor_type.name, tensor.n_bytes) for tensor in theirs.tensors
    }
    assert (ours.architecture, ours.quantisation) == ("llama", quantisation)
    assert ours.values["llama.block_count"] == theirs.fields["llama.block_count"].contents()
    assert ours.values["tokenizer.chat_template"] == tiny_models.CHATML
    assert "tokenizer.ggml.tokens" not in ours.values


def test_the_kinds_are_those_of_gguf() -> None:
    sizes = gguf.constants.GGML_QUANT_SIZES
    assert {kind.value: (kind.name, *size) for kind, size in sizes.items()} == gguf_file._KINDS
    names = {kind.value: kind.name.removeprefix("MOSTLY_").removeprefix("ALL_") for kind in gguf.LlamaFileType}
    assert gguf_file._FILE_TYPES.items() <= names.items()


def test_without_a_file_type_the_most_of_the_bytes_count(tmp_path: Path) -> None:
    tensors = _tensor("a", (32,), 0) + _tensor("b", (256, 4), 14, 128)
    path = _file(tmp_path / "a.gguf", tensors=tensors, counts=(2, 0))
    path.write_bytes(path.read_bytes() + bytes(2000))
    assert gguf_file.read(path).quantisation == "Q6_K"


@pytest.mark.parametrize(
    ("entries", "tensors", "counts", "said"),
    [
        (_text("a") + struct.pack("<IIQ", 9, 0, MANY), b"", (0, 1), "truncated"),
        (_text("a") + struct.pack("<IIQ", 9, 8, MANY), b"", (0, 1), "truncated"),
        (_text("a") + struct.pack("<IIQ", 9, 9, 1), b"", (0, 1), "unknown kind"),
        (_text("a") + struct.pack("<IQ", 8, MANY), b"", (0, 1), "truncated"),
        (struct.pack("<Q", MANY), b"", (0, 1), "truncated"),
        (_text("a") + struct.pack("<I", 77), b"", (0, 1), "unknown kind"),
        (2 * (_text("a") + struct.pack("<II", 4, 1)), _tensor(), (1, 2), "twice"),
        (b"", b"", (0, MANY), "more than"),
        (b"", b"", (MANY, 0), "more than"),
        (b"", b"", (0, 0), "no tensors"),
        (b"", 2 * _tensor(), (2, 0), "twice"),
        (b"", _tensor(dimensions=(MANY, MANY, MANY, MANY)), (1, 0), "truncated"),
        (b"", _tensor(dimensions=(32,) * 5), (1, 0), "impossible"),
        (b"", _tensor(dimensions=(0,)), (1, 0), "impossible"),
        (b"", _tensor(dimensions=(31,), kind=2), (1, 0), "impossible"),
        (b"", _tensor(kind=99), (1, 0), "kind 99"),
        (b"", _tensor(offset=MANY), (1, 0), "truncated"),
        (_text("general.alignment") + struct.pack("<II", 4, 3), _tensor(), (1, 1), "general.alignment"),
    ],
)
def test_a_hostile_header_is_refused(
    tmp_path: Path, entries: bytes, tensors: bytes, counts: tuple[int, int], said: str
) -> None:
    path = _file(tmp_path / "a.gguf", entries=entries, tensors=tensors, counts=counts)
    with pytest.raises(gguf_file.NotReadable, match=said):
        gguf_file.read(path)


def test_a_header_has_an_end(tmp_path: Path) -> None:
    """Texts of no length up to the end of a large (sparse) file are not read to that end."""
    path = _file(tmp_path / "a.gguf", entries=_text("a") + struct.pack("<IIQ", 9, 8, MANY), counts=(0, 1))
    with path.open("r+b") as stream:
        stream.truncate(2**40)
    with pytest.raises(gguf_file.NotReadable, match="first 64 MiB"):
        gguf_file.read(path)


@pytest.mark.parametrize("content", [b"", b"GG", b"GGUF", b"<!doctype html>" * 99, b"GGUF\0\0\0\3" + bytes(99)])
def test_what_is_no_gguf_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(content)
    with pytest.raises(gguf_file.NotReadable):
        gguf_file.read(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.gguf", Path("/dev/null")):
        with pytest.raises(gguf_file.NotReadable, match="no file"):
            gguf_file.read(path)


def test_a_file_that_was_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole = tiny_models.random_model(tmp_path / "whole.gguf").read_bytes()
    cut = tmp_path / "cut.gguf"
    for length in [*range(0, 20_000, 501), len(whole) - 1]:
        cut.write_bytes(whole[:length])
        with pytest.raises(gguf_file.NotReadable):
            gguf_file.read(cut)
    cut.write_bytes(whole)
    assert gguf_file.read(cut).tensors


def test_damaged_bytes_are_read_or_refused(tmp_path: Path) -> None:
    """Nothing but NotReadable comes out of a file with some bytes of its header changed."""
    whole, damaged = tiny_models.random_model(tmp_path / "whole.gguf", layers=1, width=32), tmp_path / "damaged.gguf"
    refused = 0
    for seed in range(300):
        chance, content = random.Random(seed), bytearray(whole.read_bytes())
        for _ in range(chance.randint(1, 8)):
            content[chance.randrange(4, 3000 if chance.random() < 0.5 else 12_000)] = chance.randrange(256)
        damaged.write_bytes(content)
        try:
            assert gguf_file.read(damaged).quantisation
        except gguf_file.NotReadable as fault:
            assert str(fault)
            refused += 1
    assert 0 < refused < 300
