"""It fits or it does not start: what the configured GGUF models take in memory, against what there is.

For a dense transformer, from the file's header, in bytes:

    weights = the tensors' bytes
    KV      = sum over layers of n_kv_heads x (d_key x bpe + d_value x bpe) x parallel x context rounded up to 256
              (bpe: bytes an element, f16 2, q8_0 34/32); equal to what llama.cpp logs
    buffers = ubatch x (4 x max(4 width + 3 inner, vocabulary + 5 width) + 2 x cells) + 1 MiB: activations of a layer or
              of the head in F32, and the attention mask in F16. Held against llama.cpp's own figures for 276 settings
              (width 64-4096, inner 1-5.4 widths, vocabulary 267-128,000, 512-262,144 cells): never below, at most
              77 MiB above
    output  = sequences x vocabulary x 4
    process = 64 MiB + 1 KiB for each token of the vocabulary: interpreter, libraries, both tokenizers

The processes measured at their work took 7 to 11 % less, nearly all of it logits that are allocated for each token of a
ubatch and never written (ubatch x vocabulary x 4).

A model counts as a dense transformer only where all its metadata keys are known to change nothing of this. Every other
one (sliding windows, recurrent and hybrid layers, experts, latent attention) is measured by llama.cpp's own dry run.

These are the sizes that `pipeline.engines.llama` asks for: it must load with `llama_model_params.load_mode = 0`
(LLAMA_LOAD_MODE_NONE), else Q4_0 and its like, which are repacked for the processor, are in memory twice; its context
has `n_ctx = parallel x context`, `kv_unified`, an `n_ubatch` of at most 512, flash attention (auto or on), and `exact`
means one sequence.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.engines import base, dry_run, free_memory, gguf_file, options

MIB = 2**20

_UBATCH = 512
#: Sequences that keep role prompts, beside those that answer: `pipeline.engines.llama.batching.KEPT_PREFIXES`.
PREFIXES = 6
_CELLS = 256  # llama.cpp rounds a context up to so many tokens
_LEAST_CONTEXT, _MOST_PARALLEL = 512, 64  # as in options.Llama
_BYTES = {"f16": (1, 2), "q8_0": (32, 34)}  # elements and bytes of a block
_MOST_LAYERS = 1024

#: Keys behind the architecture's name that leave the formula as it is; `rope.…` too.
_PLAIN = frozenset({
    "context_length", "embedding_length", "block_count", "feed_forward_length", "vocab_size", "use_parallel_residual",
    "tensor_data_layout", "logit_scale", "embedding_scale", "residual_scale", "final_logit_softcapping",
    "attention.head_count", "attention.head_count_kv", "attention.key_length", "attention.value_length",
    "attention.layer_norm_epsilon", "attention.layer_norm_rms_epsilon", "attention.scale", "attention.clamp_kqv",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Needs:
    """What a model takes, in bytes, and what its file is. `on_accelerator` is the part of the total that lies there.

    `is_measured`: by llama.cpp's dry run, not by the formula.
    """

    architecture: str
    quantisation: str
    parameters: int
    trained_context: int
    weights: int
    kv: int
    buffers: int
    output: int
    process: int
    on_accelerator: int
    is_measured: bool

    @property
    def total(self) -> int:
        """All of it, each part rounded up to whole MiB, so that a printed sum is right."""
        return sum(-(-part // MIB) * MIB for part in (self.weights, self.kv, self.buffers, self.output, self.process))


@dataclass(frozen=True, slots=True)
class Fit:
    """A configured model against the memory that is left for it, `available` bytes. `text` says so to a person.

    Without `needs` its file cannot be read.
    """

    name: str
    options: options.Llama
    needs: Needs | None
    available: int
    fits: bool
    text: str


def needed(model: options.Llama) -> Needs:
    """What a model takes with its configuration. Raises base.NotUsable for a file that is none, cut off or unknown."""
    return _needs(_header(model), model)


def of(models: Mapping[str, options.Model], available: int | None = None) -> list[Fit]:
    """All models of a configuration, loaded beside each other, in its order: a later one has what the others leave.

    `available` bytes; by default what the machine has. A model that does not fit leaves all to the next.
    """
    ours = {name: model for name, model in models.items() if isinstance(model, options.Llama)}
    if not ours:
        return []
    left = free_memory.available() if available is None else available
    found = []
    for name, model in ours.items():
        found.append(_fit(name, model, left))
        needs = found[-1].needs
        if found[-1].fits and needs is not None:
            left -= needs.total - _elsewhere(model, needs)
    return found


def require(models: Mapping[str, options.Model]) -> None:
    """Raises base.NotUsable, with the arithmetic, for the first model that does not fit."""
    for fit in of(models):
        if not fit.fits:
            raise base.NotUsable(fit.text)


def would_fit(model: options.Llama, available: int) -> str:
    """The largest context, the largest `parallel` and the KV precision that would fit, as a sentence."""
    header = _header(model)
    if not _is_dense(header):
        return "Lower context or parallel; how far, only trying tells for this architecture."

    def takes(**changed: object) -> int:
        return _needs(header, model.model_copy(update=changed)).total

    trained = header.number(f"{header.architecture}.context_length", 0)
    contexts = range(_LEAST_CONTEXT, max(trained, model.context) + 1, _CELLS)
    parallels = range(1, _MOST_PARALLEL + 1)
    context = bisect.bisect_right(contexts, available, key=lambda tokens: takes(context=tokens))
    parallel = 0 if model.exact else bisect.bisect_right(parallels, available, key=lambda count: takes(parallel=count))
    found = [f"context = {contexts[context - 1]}"] * (context > 0) + [f"parallel = {parallel}"] * (parallel > 0)
    if model.kv == "f16" and takes(kv="q8_0") <= available:
        found.append('kv = "q8_0"')
    if found:
        return f"It fits with {' or '.join([', '.join(found[:-1]), found[-1]] if found[1:] else found)}."
    least = takes(context=_LEAST_CONTEXT, parallel=1, kv="q8_0")
    return (
        f"It fits with no context: {_mib(least)} MiB are the least; take a smaller model or a coarser quantisation."
        if least > available
        else f'It fits with context = {_LEAST_CONTEXT}, parallel = 1 and kv = "q8_0" together.'
    )


def table(fits: Sequence[Fit]) -> str:
    """The arithmetic for a person: a row for each model, in MiB, then their sum and a sentence for each."""
    head = ["model", "file", "parallel x context", "weights", "KV", "buffers", "output", "process", "total", "free", ""]
    rows = [head, *(_row(fit) for fit in fits)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(head))]
    lines = [
        "  ".join(
            cell.ljust(width) if at < 3 or not cell[:1].isdigit() else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    taken = sum(fit.needs.total for fit in fits if fit.needs is not None)
    return "\n".join([*lines, f"together {_mib(taken)} MiB", "", *(fit.text for fit in fits)])


# --- what a model takes -------------------------------------------------------------------------------------------


def _header(model: options.Llama) -> gguf_file.Header:
    try:
        header = gguf_file.read(model.file)
        if not header.architecture:
            raise gguf_file.NotReadable("does not name its architecture")
        if header.number("split.count", 0) > 1:
            raise gguf_file.NotReadable("is a part of a model only; join the parts with llama-gguf-split --merge")
    except gguf_file.NotReadable as fault:
        raise base.NotUsable(f"The model file {model.file} {fault}.") from None
    return header


def _is_dense(header: gguf_file.Header) -> bool:
    prefix = f"{header.architecture}."
    keys = (key.removeprefix(prefix) for key, value in header.values.items() if key.startswith(prefix) and value)
    return all(key in _PLAIN or key.startswith("rope.") for key in keys)


def _needs(header: gguf_file.Header, model: options.Llama) -> Needs:
    try:
        shape = _Shape(header)
    except gguf_file.NotReadable as fault:
        raise base.NotUsable(f"The model file {model.file} {fault}.") from None
    parallel = 1 if model.exact else model.parallel
    sequences = 1 if model.exact else parallel + PREFIXES
    cells = parallel * -(-model.context // _CELLS) * _CELLS
    batch = max(model.batch, 2 * parallel)
    is_dense = _is_dense(header)
    if is_dense:
        sizes = shape.sizes(cells=cells, sequences=sequences, ubatch=min(batch, _UBATCH, cells), kv=model.kv)
    elif dry_run.is_possible():
        sizes = dry_run.sizes(model.file, cells=cells, sequences=sequences, batch=batch, kv=model.kv)
    else:
        raise base.NotUsable(
            f"What {model.file} takes only llama.cpp can tell, as its architecture is {header.architecture}: "
            "it needs the extra llama: pip install 'fhir-gateway[llama]'."
        )
    weights = sum(tensor.size for tensor in header.tensors.values())
    offloaded = min(model.gpu_layers, shape.layers + 1)
    return Needs(
        architecture=header.architecture,
        quantisation=header.quantisation,
        parameters=sum(tensor.elements for tensor in header.tensors.values()),
        trained_context=shape.trained_context,
        weights=weights,
        kv=sizes.kv,
        buffers=sizes.buffers,
        output=sizes.output,
        process=64 * MIB + 1024 * shape.vocabulary,
        on_accelerator=(weights + sizes.kv) * offloaded // (shape.layers + 1),
        is_measured=not is_dense,
    )


class _Shape:
    """The numbers of a header that the formula takes. Raises gguf_file.NotReadable where one makes no sense."""

    def __init__(self, header: gguf_file.Header) -> None:
        prefix = f"{header.architecture}."
        self.layers = header.number(f"{prefix}block_count", 0)
        self.width = header.number(f"{prefix}embedding_length", 0)
        self.trained_context = header.number(f"{prefix}context_length", 0)
        if not 0 < self.layers <= _MOST_LAYERS or not self.width:
            raise gguf_file.NotReadable("does not say how many layers it has, or how wide they are")
        heads = header.numbers(f"{prefix}attention.head_count", self.layers, 0)
        shared = header.numbers(f"{prefix}attention.head_count_kv", self.layers, -1)
        self._kv_heads = sum(own if few == -1 else few for own, few in zip(heads, shared, strict=True))
        each = self.width // max(1, *heads)
        self._key = header.number(f"{prefix}attention.key_length", each)
        self._value = header.number(f"{prefix}attention.value_length", each)
        self._inner = max(header.numbers(f"{prefix}feed_forward_length", self.layers, 0))
        self._widest = max(self.width, max(heads) * self._key)
        embedding = header.tensors.get("token_embd.weight")
        self.vocabulary = max(embedding.dimensions) if embedding is not None else 0

    def sizes(self, *, cells: int, sequences: int, ubatch: int, kv: str) -> dry_run.Sizes:
        block, size = _BYTES[kv]
        layer, head = 4 * self._widest + 3 * self._inner, self.vocabulary + 5 * self._widest
        return dry_run.Sizes(
            kv=self._kv_heads * (self._key + self._value) * cells * size // block,
            buffers=ubatch * (4 * max(layer, head) + 2 * cells) + MIB,
            output=sequences * self.vocabulary * 4,
        )


# --- verdicts -----------------------------------------------------------------------------------------------------


def _fit(name: str, model: options.Llama, left: int) -> Fit:
    try:
        needs = needed(model)
    except base.NotUsable as fault:
        return Fit(name, model, None, left, False, f"models.{name}: {fault}")
    available = left
    if model.memory_megabytes is not None:
        available = min(left + _elsewhere(model, needs), model.memory_megabytes * MIB)
    fits = needs.total <= available
    return Fit(name, model, needs, available, fits, _sentence(name, model, needs, available, fits))


def _elsewhere(model: options.Llama, needs: Needs) -> int:
    """Bytes that another memory than the machine's holds. Only who set a limit can know that there is so much."""
    return 0 if model.memory_megabytes is None else needs.on_accelerator


def _sentence(name: str, model: options.Llama, needs: Needs, available: int, fits: bool) -> str:
    notes = ""
    if 0 < needs.trained_context < model.context:
        notes += f" Its context is longer than the {needs.trained_context:,} tokens that the model was trained on."
    if needs.on_accelerator and model.memory_megabytes is None:
        notes += " The accelerator's memory is not measured: set memory_megabytes to what it and the machine may give."
    if fits:
        return f"models.{name} fits.{notes}"
    parallel = 1 if model.exact else model.parallel
    return (
        f"models.{name} does not fit: weights {_mib(needs.weights)} + KV cache of {parallel} x {model.context:,} "
        f"tokens {_mib(needs.kv)} + buffers {_mib(needs.buffers)} + output {_mib(needs.output)} + process "
        f"{_mib(needs.process)} = {_mib(needs.total)} MiB, and {available // MIB:,} MiB are free for it. "
        f"{would_fit(model, available)}{notes}"
    )


def _row(fit: Fit) -> list[str]:
    needs, model = fit.needs, fit.options
    verdict = "fits" if fit.fits else "DOES NOT FIT" if needs else "NOT USABLE"
    shape = f"{1 if model.exact else model.parallel} x {model.context:,} {model.kv}"
    if needs is None:
        return [fit.name, "", shape, *[""] * 6, f"{fit.available // MIB:,}", verdict]
    parts = (needs.weights, needs.kv, needs.buffers, needs.output, needs.process, needs.total)
    file = f"{needs.architecture} {needs.quantisation} {needs.parameters / 1e9:.2f}B"
    return [
        fit.name,
        file,
        shape,
        *map(_mib, parts),
        f"{fit.available // MIB:,}",
        verdict + " (dry run)" * needs.is_measured,
    ]


def _mib(size: int) -> str:
    """Whole MiB, rounded up."""
    return f"{-(-size // MIB):,}"
