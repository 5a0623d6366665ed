"""How much memory may be taken now, on this machine and in this container."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.engines import base

_NO_LIMIT = 2**60  # version 1 of cgroups writes a number near 2^63 where there is none


def available(root: Path = Path("/")) -> int:
    """Bytes that may be taken now: what Linux calls MemAvailable, or less where a control group (v1, v2) has less left.

    Elsewhere three quarters of the physical memory, as the rest of the system is not known. `root` is for tests.
    """
    try:
        lines = (root / "proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
            raise base.NotUsable("The free memory of this system cannot be told: set memory_megabytes.") from None
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * 3 // 4
    free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    return max(0, min([free, *_left_in_groups(root)]))


def _left_in_groups(root: Path) -> list[int]:
    """Bytes left in the control group of this process and in those above it."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _number, controllers, path = line.split(":", 2)
        if not controllers:
            mount, limit, taken, idle = "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            mount, limit, taken = "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
            idle = "total_inactive_file"
        else:
            continue
        inner = Path(path.lstrip("/"))
        for group in (inner, *inner.parents):  # in a container the path may be the host's: then only the root is there
            found += _left(root / mount / group, limit, taken, idle)
    return found


def _left(group: Path, limit: str, taken: str, idle: str) -> list[int]:
    """Bytes below the limit, counting as free the file pages that can be given up; nothing where there is no limit."""
    try:
        most = (group / limit).read_text().strip()
        now = int((group / taken).read_text())
        pages = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except OSError:
        return []
    if most == "max" or int(most) > _NO_LIMIT:
        return []
    return [int(most) - now + int(pages.get(idle, 0))]
