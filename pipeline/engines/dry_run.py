"""What llama.cpp itself says that a model's context takes, without allocating it.

For architectures whose memory no formula here tells: sliding windows, recurrent and hybrid layers, mixtures of experts.
The model is loaded with `no_alloc`, so that only the vocabulary takes memory, and a context is made; llama.cpp writes
its sizes to its log. It runs in a child process (`python -m pipeline.engines.dry_run`), as a damaged file may crash it.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.engines import base, core_dumps

_SECONDS = 60.0
_MIB = 2**20

#: Lines of the log, e.g. `llama_kv_cache: size =  224.00 MiB ( 8192 cells, …`, `CPU compute buffer size = 66.50 MiB`.
_LINES = {
    "kv": r"llama_(?:kv_cache|memory_recurrent)\w*: size =\s*([\d.]+) MiB",
    "buffers": r"compute buffer size =\s*([\d.]+) MiB",
    "output": r"output buffer size =\s*([\d.]+) MiB",
}


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of the cache of all sequences, of the compute buffers and of the output buffer."""

    kv: int
    buffers: int
    output: int


def is_possible() -> bool:
    """Whether llama-cpp-python is installed."""
    return importlib.util.find_spec("llama_cpp") is not None


def sizes(file: Path, *, cells: int, sequences: int, batch: int, kv: str) -> Sizes:
    """Ask llama.cpp in a child process. Raises base.NotUsable where it cannot make such a context."""
    wanted = {"file": str(file), "cells": cells, "sequences": sequences, "batch": batch, "kv": kv}
    command = [sys.executable, "-m", "pipeline.engines.dry_run", json.dumps(wanted)]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "GGML_NO_BACKTRACE": "1"}
    try:
        done = subprocess.run(command, env=env, capture_output=True, timeout=_SECONDS, check=False)
        return Sizes(**json.loads(done.stdout))
    except subprocess.TimeoutExpired:
        raise base.NotUsable(f"llama.cpp did not say within {_SECONDS:.0f} seconds what {file.name} takes.") from None
    except ValueError:
        raise base.NotUsable(f"llama.cpp cannot make a context for {file.name}, or does not know its kind.") from None


def _main(wanted: dict[str, Any]) -> None:
    """The child: the sizes as JSON, or nothing."""
    core_dumps.forbid()
    import llama_cpp

    said: list[str] = []
    listen: Any = llama_cpp.llama_log_callback(lambda _level, text, _data: said.append(text.decode(errors="replace")))
    llama_cpp.llama_log_set(listen, ctypes.c_void_p(0))
    model = llama_cpp.llama_model_default_params()
    model.no_alloc, model.load_mode, model.n_gpu_layers = True, llama_cpp.LLAMA_LOAD_MODE_NONE, 0
    loaded = llama_cpp.llama_model_load_from_file(wanted["file"].encode(), model)
    context = llama_cpp.llama_context_default_params()
    context.n_ctx, context.n_seq_max, context.kv_unified = wanted["cells"], wanted["sequences"], True
    context.n_batch, context.n_ubatch = wanted["batch"], min(wanted["batch"], 512)
    if wanted["kv"] == "q8_0":
        context.type_k = context.type_v = llama_cpp.GGML_TYPE_Q8_0
        context.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED
    if loaded and llama_cpp.llama_init_from_model(loaded, context):
        log = "".join(said)
        found = {name: sum(map(float, re.findall(line, log))) for name, line in _LINES.items()}
        sys.stdout.write(json.dumps({name: round(size * _MIB) for name, size in found.items()}))
        sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))
