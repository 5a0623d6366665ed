"""What models take in memory: the formula against llama.cpp's own log, and the refusal with its arithmetic."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("gguf", reason="needs the extra llama")

import gguf
import numpy as np

from pipeline.engines import base, dry_run, free_memory, memory_fit, options
from tests import tiny_models, tiny_vocabularies

needs_llama = pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="needs the extra llama")

MIB = 2**20


def _model(file: Path, **given: object) -> options.Llama:
    return options.Llama.model_validate({"engine": "llama", "file": file, "sha256": 64 * "0", **given})


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2 layers, width 64, one KV head of 32, 1,000 tokens, trained on 4,096."""
    return tiny_models.random_model(tmp_path_factory.mktemp("model") / "a.gguf", vocabulary=1000, quantisation="F16")


def _recurrent(path: Path) -> Path:
    """Mamba: no attention, one state for each sequence however long it is."""
    width, inner, state, rank, kernel = 32, 64, 16, 8, 4
    writer = gguf.GGUFWriter(path, "mamba")
    writer.add_context_length(4096)
    writer.add_embedding_length(width)
    writer.add_block_count(2)
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_ssm_conv_kernel(kernel)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(state)
    writer.add_ssm_time_step_rank(rank)
    tokens = tiny_vocabularies.tokens("bytes")
    tiny_vocabularies.write_bpe(writer, tokens)
    shapes = {"token_embd.weight": (len(tokens.texts), width), "output_norm.weight": (width,)}
    for at in range(2):
        shapes |= {
            f"blk.{at}.attn_norm.weight": (width,), f"blk.{at}.ssm_in.weight": (2 * inner, width),
            f"blk.{at}.ssm_conv1d.weight": (inner, kernel), f"blk.{at}.ssm_conv1d.bias": (inner,),
            f"blk.{at}.ssm_x.weight": (rank + 2 * state, inner), f"blk.{at}.ssm_dt.weight": (inner, rank),
            f"blk.{at}.ssm_dt.bias": (inner,), f"blk.{at}.ssm_a": (inner, state), f"blk.{at}.ssm_d": (inner,),
            f"blk.{at}.ssm_out.weight": (width, inner),
        }  # fmt: skip
    for name, shape in shapes.items():
        writer.add_tensor(name, np.ones(shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


# --- what is needed -------------------------------------------------------------------------------------------------


def test_the_cache_is_counted_by_hand(file: Path) -> None:
    needs = memory_fit.needed(_model(file, context=1000, parallel=3))
    assert needs.kv == 2 * 1 * (32 * 2 + 32 * 2) * 3 * 1024  # layers x KV heads x (key + value) x cells
    assert needs.output == (3 + memory_fit.PREFIXES) * 1000 * 4
    assert needs.weights == sum(tensor.n_bytes for tensor in gguf.GGUFReader(file).tensors)
    parts = (needs.weights, needs.kv, needs.buffers, needs.output, needs.process)
    assert needs.total == sum(-(-part // MIB) for part in parts) * MIB
    assert (needs.architecture, needs.quantisation, needs.trained_context) == ("llama", "F16", 4096)
    assert (needs.is_measured, needs.on_accelerator) == (False, 0)


def test_half_the_precision_is_34_of_64(file: Path) -> None:
    full, half = (memory_fit.needed(_model(file, kv=kv)).kv for kv in ("f16", "q8_0"))
    assert half * 64 == full * 34


def test_an_exact_model_has_one_sequence(file: Path) -> None:
    many, exact = memory_fit.needed(_model(file, parallel=8)), memory_fit.needed(_model(file, parallel=8, exact=True))
    assert many.kv == 8 * exact.kv
    assert exact.output == 1000 * 4


@needs_llama
@pytest.mark.parametrize(
    ("shape", "given"),
    [
        ({}, {"context": 512, "parallel": 1}),
        (
            {"layers": 5, "width": 256, "quantisation": "Q4_0"},
            {"context": 8192, "parallel": 8, "batch": 64, "kv": "q8_0"},
        ),
        (
            {"width": 512, "head": 64, "quantisation": "Q8_0"},
            {"context": 1000, "parallel": 3, "batch": 2048, "kv": "q8_0"},
        ),
        ({"layers": 1, "vocabulary": 20_000}, {"context": 4096, "parallel": 2}),
        ({"spm": True}, {"context": 2048, "parallel": 4, "exact": True}),
    ],
)
def test_the_formula_is_what_llama_cpp_says(tmp_path: Path, shape: dict[str, object], given: dict[str, object]) -> None:
    """KV and output to the byte that a log can tell, buffers never below and by little above."""
    model = _model(tiny_models.random_model(tmp_path / "a.gguf", **shape), **given)
    parallel = 1 if model.exact else model.parallel
    sequences = 1 if model.exact else parallel + memory_fit.PREFIXES
    cells = model.context * parallel
    said = dry_run.sizes(model.file, cells=cells, sequences=sequences, batch=model.batch, kv=model.kv)
    needs = memory_fit.needed(model)
    rounded_up = parallel * 256 * 2 * 2 * 512 if model.context % 256 else 0  # ours each, llama.cpp's together
    assert -0.01 * MIB <= needs.kv - said.kv <= 0.01 * MIB + rounded_up
    assert abs(needs.output - said.output) <= 0.01 * MIB
    assert needs.buffers >= said.buffers
    assert needs.buffers <= 1.5 * said.buffers + MIB


@needs_llama
def test_the_sequences_are_those_of_the_engine() -> None:
    from pipeline.engines.llama import batching, library

    assert batching.KEPT_PREFIXES == memory_fit.PREFIXES
    assert library._UBATCH == memory_fit._UBATCH


@needs_llama
def test_a_recurrent_model_is_measured(tmp_path: Path) -> None:
    """Its state does not grow with the context."""
    path = _recurrent(tmp_path / "a.gguf")
    short, long = (memory_fit.needed(_model(path, context=context)) for context in (512, 4096))
    assert short.is_measured
    assert short.architecture == "mamba"
    assert 0 < short.kv == long.kv
    assert short.buffers > 0


@needs_llama
def test_a_key_that_is_not_known_to_change_nothing_is_measured(tmp_path: Path, file: Path) -> None:
    """A sliding window that llama.cpp ignores for this architecture: the dry run says what the formula says."""
    content = file.read_bytes().replace(b"llama.rope.dimension_count", b"llama.attention.window_lon")
    other = tmp_path / "b.gguf"
    other.write_bytes(content)
    plain, measured = memory_fit.needed(_model(file)), memory_fit.needed(_model(other))
    assert (plain.is_measured, measured.is_measured) == (False, True)
    assert abs(plain.kv - measured.kv) <= 0.01 * MIB


def test_without_llama_cpp_such_a_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _recurrent(tmp_path / "a.gguf")
    monkeypatch.setattr(dry_run, "is_possible", lambda: False)
    with pytest.raises(base.NotUsable, match=r"mamba: it needs the extra llama: pip install 'fhir-gateway\[llama\]'"):
        memory_fit.needed(_model(path))


@needs_llama
def test_the_dry_run_refuses_what_llama_cpp_cannot_load(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(base.NotUsable, match=r"cannot make a context for a\.gguf"):
        dry_run.sizes(path, cells=512, sequences=1, batch=512, kv="f16")


def test_a_file_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(base.NotUsable, match=r"none\.gguf is no file\.$"):
        memory_fit.needed(_model(tmp_path / "none.gguf"))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [("split.count", 3, "--merge"), ("llama.block_count", 0, "layers"), ("llama.block_count", 2**32 - 1, "layers")],
)
def test_senseless_metadata_is_refused(tmp_path: Path, key: str, value: int, said: str) -> None:
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "llama")
    writer.add_uint32(key, value)
    writer.add_embedding_length(32)
    writer.add_tensor("token_embd.weight", np.zeros((10, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(base.NotUsable, match=said):
        memory_fit.needed(_model(tmp_path / "a.gguf"))


# --- a whole configuration ------------------------------------------------------------------------------------------


def test_a_model_that_does_not_fit_is_refused_with_the_arithmetic(file: Path) -> None:
    model = _model(file, context=8192, parallel=8, memory_megabytes=92)
    with pytest.raises(base.NotUsable) as refused:
        memory_fit.require({"scribe": model})
    assert str(refused.value) == (
        "models.scribe does not fit: weights 1 + KV cache of 8 x 8,192 tokens 16 + buffers 68 + output 1 + process 65 "
        "= 151 MiB, and 92 MiB are free for it. It fits with context = 2048 or parallel = 2. "
        "Its context is longer than the 4,096 tokens that the model was trained on."
    )


def test_what_would_fit_does_fit_and_a_little_more_does_not(file: Path) -> None:
    model = _model(file, context=8192, parallel=8)
    for changed in ({"context": 2048}, {"parallel": 2}):
        assert memory_fit.needed(model.model_copy(update=changed)).total <= 92 * MIB
    for changed in ({"context": 2304}, {"parallel": 3}):
        assert memory_fit.needed(model.model_copy(update=changed)).total > 92 * MIB


@pytest.mark.parametrize(
    ("given", "free", "said"),
    [
        ({"context": 65_536, "parallel": 8}, 700, 'It fits with context = 64256, parallel = 7 or kv = "q8_0".'),
        ({"context": 4096, "parallel": 60, "exact": True}, 75, "It fits with context = 3328."),
        ({}, 20, "It fits with no context: 73 MiB are the least; take a smaller model or a coarser quantisation."),
        ({"context": 65_536, "parallel": 64}, 73, 'It fits with context = 512, parallel = 1 and kv = "q8_0" together.'),
    ],
)
def test_what_would_fit(file: Path, given: dict[str, object], free: int, said: str) -> None:
    assert memory_fit.would_fit(_model(file, **given), free * MIB) == said


def test_models_stand_beside_each_other(file: Path) -> None:
    """The second has what the first leaves; one that does not fit takes nothing."""
    model, large = _model(file), _model(file, parallel=64, context=65_536)
    total = memory_fit.needed(model).total
    first, too_large, second, third = memory_fit.of(
        {"a": model, "b": large, "c": model, "d": model}, available=2 * total + 5 * MIB
    )
    assert [fit.fits for fit in (first, too_large, second, third)] == [True, False, True, False]
    assert (first.available, second.available, third.available) == (2 * total + 5 * MIB, total + 5 * MIB, 5 * MIB)
    assert [fit.fits for fit in memory_fit.of({"a": model, "d": model}, available=2 * total)] == [True, True]
    assert [fit.fits for fit in memory_fit.of({"a": model, "d": model}, available=2 * total - 1)] == [True, False]


def test_model_servers_take_nothing_here(file: Path) -> None:
    server = options.OpenAI(engine="openai", url="http://127.0.0.1:1/v1")
    assert [fit.name for fit in memory_fit.of({"far": server, "near": _model(file)})] == ["near"]
    memory_fit.require({"far": server})


def test_an_accelerator_counts_only_where_its_memory_is_told(file: Path) -> None:
    """Layers elsewhere are held against the machine unless the configuration says how much there is in all."""
    silent, told = _model(file, gpu_layers=99), _model(file, gpu_layers=99, memory_megabytes=1000)
    needs = memory_fit.needed(silent)
    assert needs.on_accelerator == needs.weights + needs.kv
    here = needs.total - needs.on_accelerator
    assert [fit.fits for fit in memory_fit.of({"a": silent}, available=here)] == [False]
    assert [fit.fits for fit in memory_fit.of({"a": told}, available=here)] == [True]
    assert [fit.fits for fit in memory_fit.of({"a": told}, available=here - 1)] == [False]
    assert "set memory_megabytes" in memory_fit.of({"a": silent}, available=here)[0].text


def test_a_table_is_for_a_person(file: Path, tmp_path: Path) -> None:
    models = {"scribe": _model(file), "coder": _model(file, memory_megabytes=30), "lost": _model(tmp_path / "none")}
    head, scribe, coder, lost, together, _empty, *sentences = memory_fit.table(memory_fit.of(models)).splitlines()
    assert head.split() == [
        "model", "file", "parallel", "x", "context", "weights", "KV", "buffers", "output", "process", "total", "free",
    ]  # fmt: skip
    assert scribe.startswith("scribe  llama F16 0.00B  2 x 8,192 f16") and scribe.endswith("fits")
    assert coder.endswith("30  DOES NOT FIT")
    assert lost.endswith("NOT USABLE")
    assert together.startswith("together ")
    assert sentences[0].startswith("models.scribe fits.")
    assert sentences[2] == f"models.lost: The model file {tmp_path}/none is no file."


# --- the memory that there is ---------------------------------------------------------------------------------------


def _tree(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


MEMORY = {"proc/meminfo": "MemTotal: 9000 kB\nMemFree: 100 kB\nMemAvailable:    8000 kB\n"}


@pytest.mark.parametrize(
    ("groups", "free"),
    [
        ({}, 8000),
        ({"proc/self/cgroup": "0::/\n"}, 8000),
        ({"proc/self/cgroup": "0::/a/b\n", "a/b": ("max", 9, 0), "a": (5_000_000, 3_000_000, 1_000_000)}, 3_000_000),
        ({"proc/self/cgroup": "0::/of/the/host\n", "": (5_000_000, 4_999_999, 0)}, 1),
        ({"proc/self/cgroup": "0::/\n", "": (5_000_000, 6_000_000, 0)}, 0),
        ({"proc/self/cgroup": "0::/\n", "": (50_000_000, 0, 0)}, 8000),
    ],
)
def test_a_control_group_has_the_last_word(tmp_path: Path, groups: dict[str, object], free: int) -> None:
    files = dict(MEMORY)
    for name, value in groups.items():
        if isinstance(value, str):
            files[name] = value
        elif isinstance(value, tuple):
            limit, taken, idle = value
            folder = f"sys/fs/cgroup/{name}"
            files |= {f"{folder}/memory.max": f"{limit}\n", f"{folder}/memory.current": f"{taken}\n",
                      f"{folder}/memory.stat": f"anon 5\ninactive_file {idle}\n"}  # fmt: skip
    assert free_memory.available(_tree(tmp_path, files)) == (8000 * 1024 if free == 8000 else free)


@pytest.mark.parametrize(("limit", "free"), [(9_223_372_036_854_771_712, 8000 * 1024), (4_000_000, 3_000_500)])
def test_the_older_control_groups_count_too(tmp_path: Path, limit: int, free: int) -> None:
    folder = "sys/fs/cgroup/memory/a"
    files = {
        "proc/self/cgroup": "12:cpu,cpuacct:/a\n4:memory:/a\n",
        f"{folder}/memory.limit_in_bytes": str(limit),
        f"{folder}/memory.usage_in_bytes": "1000000",
        f"{folder}/memory.stat": "inactive_file 1\ntotal_inactive_file 500",
    }
    assert free_memory.available(_tree(tmp_path, MEMORY | files)) == free


def test_another_system_has_three_quarters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert free_memory.available(tmp_path) == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * 3 // 4
    monkeypatch.setattr(os, "sysconf_names", {})
    with pytest.raises(base.NotUsable, match="set memory_megabytes"):
        free_memory.available(tmp_path)


def test_neither_llama_cpp_nor_numpy_is_loaded(file: Path) -> None:
    """The gateway's own process computes; native code stays in the children."""
    program = (
        "import sys; from pathlib import Path; from pipeline.engines import memory_fit, options\n"
        f"memory_fit.needed(options.Llama(engine='llama', file=Path({str(file)!r}), sha256=64 * '0'))\n"
        "sys.exit(bool({'llama_cpp', 'numpy', 'gguf'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
