"""The machine and the versions of packages that a benchmark reports beside its figures.

python -m bench.machine PACKAGE ...     prints the versions that this interpreter has, as JSON
"""

import json
import os
import platform
import re
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench.figures import GB


def machine(**more: Any) -> dict[str, Any]:
    """The machine that the figures are measured on, and whatever else is given."""
    models = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "cpu": models[0] if models else platform.machine(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GB, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        **more,
    }


def versions(packages: Sequence[str]) -> dict[str, str]:
    """The version of each of these packages, or "not installed"."""
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


if __name__ == "__main__":
    print(json.dumps(versions(sys.argv[1:])))
