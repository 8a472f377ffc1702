"""Writes vitrine.ipynb and vitrine.pt-BR.ipynb from cells.toml: python notebooks/make.py

Both have the same code, so that they cannot drift apart. A test holds the files against the source, and runs the code.
"""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

_HERE: Final = Path(__file__).parent
_FILES: Final = {"en": "vitrine.ipynb", "pt": "vitrine.pt-BR.ipynb"}


def notebooks() -> dict[Path, str]:
    """The text of each notebook, without outputs."""
    cells = tomllib.loads((_HERE / "cells.toml").read_text(encoding="utf-8"))["cells"]
    return {_HERE / name: _notebook(cells, language) for language, name in _FILES.items()}


def _notebook(cells: list[Mapping[str, str]], language: str) -> str:
    document = {
        "cells": [_cell(cell, language, number) for number, cell in enumerate(cells)],
        "metadata": {
            "accelerator": "GPU",
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def _cell(cell: Mapping[str, str], language: str, number: int) -> dict[str, Any]:
    is_code = "code" in cell
    text = cell["code" if is_code else language].strip("\n")
    shared = {"id": f"cell-{number:02d}", "metadata": {}, "source": text.splitlines(keepends=True)}
    if is_code:
        return {"cell_type": "code", "execution_count": None, "outputs": [], **shared}
    return {"cell_type": "markdown", **shared}


if __name__ == "__main__":
    for path, text in notebooks().items():
        path.write_text(text, encoding="utf-8")
