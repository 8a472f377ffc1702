"""The form of a run's JSON files."""

from pathlib import Path
from typing import Any

import msgspec

from contract import storage


def write_json(path: Path, document: Any) -> None:
    """Writes a file that appears whole or not at all."""
    storage.write_bytes(str(path), msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")
