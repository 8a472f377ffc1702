"""What this machine has, found without importing anything heavy."""

import os
import re
from pathlib import Path
from typing import Final

_CGROUP: Final = Path("/sys/fs/cgroup")  # of version 2; in a container its own


def count_gpus() -> int:
    """NVIDIA GPUs that a process started here would see."""
    return len(gpus())


def gpus() -> list[str]:
    """These GPUs, each as CUDA_VISIBLE_DEVICES names it."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [device.strip() for device in visible.split(",") if device.strip() not in ("", "-1")]
    num = sum(bool(re.fullmatch(r"nvidia\d+", path.name)) for path in Path("/dev").glob("nvidia*"))
    return [str(device) for device in range(num)]


def count_cores() -> int:
    """Cores that a process started here may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory_bytes() -> int:
    """Memory that a process started here can take without swapping: the machine's, at most that of its container."""
    meminfo = dict(re.findall(r"^(\w+):\s+(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE))
    free = int(meminfo["MemAvailable"]) * 1024
    try:
        most = int((_CGROUP / "memory.max").read_text())
        statistics = dict(line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())
        return max(0, min(free, most - int(statistics["anon"])))
    except (OSError, ValueError, KeyError):  # there is no such limit
        return free


def crowd_text(num_processes: int, *, gpus: int) -> str:
    """A warning where there are more processes than GPUs or, without GPUs, than cores; else an empty text."""
    available, kind, outlook = (gpus, "GPU", "fail, or to ") if gpus else (count_cores(), "core", "")
    if num_processes <= available:
        return ""
    kinds = kind if available == 1 else f"{kind}s"
    return f"{num_processes} processes share {available} {kinds}: expect them to {outlook}wait for each other"
