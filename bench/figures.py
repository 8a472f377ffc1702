"""Units, the spread of figures over runs, and the folder of the results."""

import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Final

GB: Final = 1e9
MB: Final = 1e6
RESULTS: Final = Path(__file__).parent / "results"


def spread(values: Iterable[float]) -> dict[str, float]:
    """Median, least and most of these figures."""
    values = list(values)
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}
