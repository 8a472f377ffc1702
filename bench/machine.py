"""The machine that a benchmark runs on, and how busy it is."""

import os
import platform
import re
from pathlib import Path
from typing import Any

from bench.prepare.report import GB


def busy_s() -> float:
    """CPU time that all cores of this machine have spent so far on anything, other guests of its host included."""
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def machine(cores: int) -> dict[str, Any]:
    """What the figures were measured on."""
    models = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": cores,
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GB, 1),
        "memory_is": "proportional set size of the whole process tree",
        "kernel": platform.release(),
        "python": platform.python_version(),
    }
