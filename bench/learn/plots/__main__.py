"""Draws the plots of docs/learning.md.

python -m bench.learn.plots        # writes docs/images/*.svg
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.figures import RESULTS
from bench.learn.plots import charts
from bench.learn.plots.words import LANGUAGES, Words

IMAGES: Final = Path(__file__).parents[3] / "docs" / "images"
_OF_THE_GRID: Final = {
    "three-models": charts.three_models,
    "loss": charts.loss,
    "exposures": charts.exposures,
    "capacity": charts.capacity,
    "knobs": charts.knobs,
}


def images() -> Iterator[tuple[Path, str]]:
    """Each plot in each language: its file and its text."""
    grid = json.loads((RESULTS / "learn-h100.json").read_text())
    peers = json.loads((RESULTS / "learn-peers-h100.json").read_text())
    for language in LANGUAGES:
        ending = "svg" if language == "en" else f"{language}.svg"
        for name, draw in _OF_THE_GRID.items():
            yield IMAGES / f"{name}.{ending}", draw(grid, Words(language))
        yield IMAGES / f"seconds.{ending}", charts.seconds(peers, Words(language))


def main() -> None:
    """Writes all files."""
    IMAGES.mkdir(exist_ok=True)
    for path, text in images():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(IMAGES.parents[1]))


if __name__ == "__main__":
    main()
