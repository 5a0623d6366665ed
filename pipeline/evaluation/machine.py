"""The machine that is measured on, and the memory of the models that it runs in child processes."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from pipeline.evaluation import records


def describe() -> records.Machine:
    """This machine, without its name."""
    return records.Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_megabytes=_memory(),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown")


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    except (ValueError, OSError):
        return None


def children_megabytes(without: frozenset[int] = frozenset()) -> int | None:
    """The largest resident memory so far (VmHWM) of the child processes together, in MiB; None where there are none.

    The processes with the ids `without` do not count.
    It is read from /proc, so other systems than Linux have no figure, and neither has a model server's own memory.
    Weights that are mapped from the file count as soon as they were touched.
    """
    peaks = [peak for child in children() - without if (peak := _peak_kib(child)) is not None]
    return sum(peaks) // 1024 if peaks else None


def children() -> frozenset[int]:
    """The ids of the processes below this one."""
    below: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = status.read_text("utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # the process ended meanwhile
        below.setdefault(int(words[1]), []).append(int(status.parent.name))
    found: set[int] = set()
    waiting = [os.getpid()]
    while waiting:
        new = set(below.get(waiting.pop(), ())) - found
        found |= new
        waiting += new
    return frozenset(found)


def _peak_kib(process: int) -> int | None:
    try:
        status = Path(f"/proc/{process}/status").read_text("utf-8")
    except OSError:
        return None  # the process ended meanwhile
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")), None)
