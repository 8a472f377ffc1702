"""Where compiled code is kept, and whether it is ready: one folder for each machine, version and set of rules."""

import hashlib
import importlib.metadata
import os
import platform
import sys
from functools import cache
from pathlib import Path
from typing import Final

LOADS_COMPILED: Final = "VITRINE_LOADS_COMPILED"  # the variable that tells a parent of workers to load the code

_RULES: Final = Path(__file__).parents[1]
_DONE: Final = "done"  # the file that says that all code is there

_ready: set[bool] = set()  # holds True once the code was found


def is_ready() -> bool:
    """Whether numba is installed and has compiled all code, by `python -m contract.text.compiled`, on this machine."""
    if not _ready:
        folder = cache_folder()
        if folder is None or not (folder / _DONE).exists():
            return False
        use(folder)
        _ready.add(True)
    return True


def use(folder: Path) -> None:
    """Lets numba keep its code there. It looks at this variable when it is imported."""
    os.environ["NUMBA_CACHE_DIR"] = str(folder)


def mark_ready(folder: Path) -> None:
    """Says that all code is there."""
    (folder / _DONE).touch()


@cache
def cache_folder() -> Path | None:
    """The folder of this machine's code; None where numba is not installed or the rules cannot be read from files."""
    try:
        versions = [importlib.metadata.version(name) for name in ("numba", "llvmlite", "numpy", "ftfy")]
        rules = [path.read_bytes() for path in sorted(_RULES.rglob("*.py"))]
    except (importlib.metadata.PackageNotFoundError, OSError):
        return None
    if not rules:  # the code was sent to a cluster's worker in a zip file
        return None
    identity = hashlib.sha256("\n".join([*versions, sys.version, str(_RULES), _processor()]).encode() + b"".join(rules))
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "vitrine" / f"cleaning-{identity.hexdigest()[:16]}"


def _processor() -> str:
    """Code for one processor may not run on another, and a home may be shared."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() + platform.machine()
    return "\n".join(
        sorted({line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))})
    )
