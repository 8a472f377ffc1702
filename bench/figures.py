"""Units, the spread of figures over runs, and the folder of the results."""

import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

GB: Final = 1e9
MB: Final = 1e6
RESULTS: Final = Path(__file__).parent / "results"


def spread(values: Iterable[float]) -> dict[str, float]:
    """Median, least and most of these figures."""
    values = list(values)
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def rounded(value: Any) -> Any:
    """The same document with five significant digits."""
    if isinstance(value, Mapping):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(each) for each in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value
