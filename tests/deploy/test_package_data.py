"""A wheel holds every file of the packages: what is not Python has to be named in pyproject.toml."""

import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_tracked_file_of_the_packages_is_installed() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    packages = [pattern.removesuffix("*") for pattern in setuptools["packages"]["find"]["include"]]
    patterns = [
        f"{package.replace('.', '/')}/{pattern}"
        for package, found in setuptools["package-data"].items()
        for pattern in found
    ]
    listed = subprocess.run(["git", "ls-files", *packages], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [name for name in listed.splitlines() if not name.endswith(".py")]

    assert len(files) > 10
    assert [name for name in files if not any(fnmatch(name, pattern) for pattern in patterns)] == []
    folders = {str(Path(name).parent) for name in listed.splitlines() if name.endswith(".py")}
    assert [folder for folder in sorted(folders) if not (ROOT / folder / "__init__.py").exists()] == []
