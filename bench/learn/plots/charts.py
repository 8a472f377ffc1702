"""The plots of docs/learning.md: from what bench/results holds to SVG."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from bench.learn.law import share_held, training_of
from bench.learn.plots.svg import Axis, Bar, Series, bar_chart, line_chart
from bench.learn.plots.words import Words
from trainer.muon import RATE_OF_UP
from trainer.recipes.advice import rate_of_recipe
from trainer.recipes.expectation import Law, whole_share

_VOCABULARY: Final = 49_152
_KNOBS: Final = {
    "r64 2e-3 8k x10 beta2 .99": "rank 64, rate 2e-3",
    "r128 2e-3 8k x10 beta2 .99": "rank 128",
    "r256 2e-3 8k x10": "rank 256",
    "r256 1e-3 8k x10": "rank 256, rate 1e-3",
    "r512 1e-3 8k x10": "rank 512, rate 1e-3",
    "r64 2e-3 8k x10 beta2 .99 ratio 4": "rank 64, B learns 4 times faster",
    "r256 2e-3 8k x10 ratio 4": "rank 256, B learns 4 times faster",
    "r64 2e-3 4k x10 beta2 .99": "rank 64, half the tokens a step",
    "r256 2e-3 4k x10": "rank 256, half the tokens a step",
    "r128 2e-3 8k x10 late": "rank 128, rate falls only at the end",
    "r128 2e-3 8k x10 rest 2": "rank 128, records rest once right",
    "r128 2e-3 8k x10 sure .95/.1": "rank 128, sure tokens count a tenth",
}
_EXPOSURES: Final[tuple[tuple[str, int, str], ...]] = (
    ("muon", 1_000, "Muon"),
    ("muon", 4_000, "Muon"),
    ("muon", 8_000, "Muon"),
    ("adamw", 4_000, "AdamW"),
)
_NAMES: Final = {"trl": "TRL", "unsloth": "Unsloth"}
OURS: Final = "4,000 products"
_SHARES: Final = (0.0, 0.25, 0.5, 0.75, 1.0)

Document = Mapping[str, Any]


def three_models(grid: Document, words: Words) -> str:
    """The loss of chance, of the base, of style and of memory, on 4,000 products."""
    memory = _point(grid, "recipe n4000 r256 1e-3 8k x15")
    losses = {
        "chance: each token alike": math.log(_VOCABULARY),
        "the base before training": memory["before"]["unseen"]["loss"],
        "style: the best on unseen texts": grid["laws"]["best_unseen_loss"]["4000"],
        "memory: 15 exposures, seen texts": memory["after"]["seen"]["loss"],
    }
    bars = [
        Bar(label=words(name), value=loss, text=words.number(loss, digits=3 if loss < 0.01 else 2), colour=colour)
        for colour, (name, loss) in zip((5, 5, 1, 0), losses.items(), strict=True)
    ]
    title = words("Three models and their loss on a description")
    return bar_chart(title, bars, most=11, label=words("loss, nats a token"))


def loss(grid: Document, words: Words) -> str:
    """Loss of seen and unseen texts while 20,000 products are trained; the first marks, of the base, are left out."""
    curve = _point(grid, "20,000 r256 1e-3 8k x12")["curve"]
    series = []
    for colour, (kind, name) in enumerate((("seen", "texts seen"), ("unseen", "texts unseen"))):
        points = [(mark["exposures"], mark[kind]["loss"]) for mark in curve]
        series.append(Series(label=words(name), colour=colour, dots=points, line=points))
    x = Axis(label=words("exposures"), ticks=(0, 2, 4, 6, 8, 10, 12), texts=("0", "2", "4", "6", "8", "10", "12"))
    heights = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)
    texts = tuple(words.number(each, digits=2) for each in heights)
    y = Axis(label=words("loss, nats a token"), ticks=heights, texts=texts)
    return line_chart(words("20,000 products: first the style, then the memory"), series, x=x, y=y)


def exposures(grid: Document, words: Words) -> str:
    """Whole answers at the end of runs with rank 256, by both optimizers; a dot is a run, the lines are the law."""
    series = []
    for colour, (optimizer, size, name) in enumerate(_EXPOSURES):
        runs = [point for point in grid["points"] if _is_by_the_rule(point, optimizer=optimizer, size=size)]
        law, first = Law(**grid["laws"]["recall"][optimizer]["coefficients"]), training_of(runs[0])
        changed = [replace(first, exposures=at) for at in np.linspace(4, 16, 61).tolist()]
        line = [(each.exposures, whole_share(replace(each, rate=rate_of_recipe(each)), law=law)) for each in changed]
        dots = [(point["settings"]["exposures"], point["after"]["seen"]["whole"]) for point in runs]
        label = f"{words('{} products', words.number(size))}, {name}"
        series.append(Series(label=label, colour=colour, dots=dots, line=line))
    ticks = tuple(range(4, 17, 2))
    x = Axis(label=words("exposures (lines: the law)"), ticks=ticks, texts=tuple(map(str, ticks)))
    title = words("Whole descriptions that come back, rank 256")
    return line_chart(title, series, x=x, y=_shares(words("whole")))


def _is_by_the_rule(point: Document, *, optimizer: str, size: int) -> bool:
    """Whether a run in one wording has about the rate that the recipe to remember would take."""
    settings = point["settings"]
    is_alike = settings["optimizer"] == optimizer and point["products"] == size and settings["catalogue"] == "synth"
    if not is_alike or settings["rank"] != 256 or settings["tokens_per_step"] != 8_192 or len(settings["wordings"]) > 1:
        return False
    if settings["rate_ratio"] != (RATE_OF_UP if optimizer == "muon" else 1):
        return False
    return 0.8 < settings["rate"] / rate_of_recipe(training_of(point)) < 1.25


def seconds(peers: Document, words: Words) -> str:
    """Recall against seconds of training: each program's run that reached 90 % first, or else came nearest."""
    runs = {"Vitrine": [run for run in peers["ours"] if run["name"] == OURS]}
    runs |= {_NAMES[peer["library"]]: peer["finals"] for peer in peers["peers"]}
    series = []
    for colour, (name, found) in enumerate(runs.items()):
        points = [
            (point["train_s"], point["seen"]["first_32"]) for point in soonest(found)["curve"] if point["train_s"]
        ]
        series.append(Series(label=name, colour=colour, dots=points, line=points))
    ticks = (5, 10, 20, 50, 100, 200, 500)
    x = Axis(label=words("seconds of training"), ticks=ticks, texts=tuple(map(str, ticks)), is_log=True)
    title = words("First 32 tokens that come back, 4,000 products, one H100")
    return line_chart(title, series, x=x, y=_shares(words("first 32")))


def soonest(runs: Sequence[Document]) -> Document:
    """The run that reached 90 % of the first 32 tokens first; where none did, the one that recalled most."""
    return min(runs, key=lambda run: (run["s_to_90"] or math.inf, -run["after"]["seen"]["first_32"]))


def capacity(grid: Document, words: Words) -> str:
    """The law of capacity and its points: rank against the share of a catalogue's bits that an adapter holds."""
    law = grid["laws"]["capacity"]
    ticks = (1, 2, 4, 8, 16, 32, 64)
    series = []
    for colour, size in enumerate(sorted({point["records"] for point in law["points"]})):
        points = [point for point in law["points"] if point["records"] == size]
        a_rank = points[0]["parameters"] / points[0]["rank"]
        ranks = np.geomspace(1, 64, 60)
        rows = {
            "parameters": ranks * a_rank,
            "need_bits": np.full_like(ranks, points[0]["need_bits"]),
            "steps": np.full_like(ranks, points[0]["steps"]),
        }
        line = list(zip(ranks.tolist(), share_held(law["coefficients"], rows).tolist(), strict=True))
        dots = [(point["rank"], point["share"]) for point in points]
        label = words("{} products", words.number(size))
        series.append(Series(label=label, colour=colour, dots=dots, line=line))
    x = Axis(label=words("rank (line: the law)"), ticks=ticks, texts=tuple(map(str, ticks)), is_log=True)
    title = words("What an adapter holds after 30 exposures")
    return line_chart(title, series, x=x, y=_shares(words("share held")))


def knobs(grid: Document, words: Words) -> str:
    """Whole answers of 4,000 products after 10 exposures, 8,192 tokens a step: one knob turned at a time."""
    bars = []
    for name, label in _KNOBS.items():
        share = _point(grid, name)["after"]["seen"]["whole"]
        bars.append(Bar(label=words(label), value=share, text=words.share(share)))
    title = words("Which knob: 4,000 products, 10 exposures")
    return bar_chart(title, bars, most=1, label=words("whole descriptions"))


def _shares(label: str) -> Axis:
    return Axis(label=label, ticks=_SHARES, texts=tuple(f"{100 * each:.0f} %" for each in _SHARES))


def _point(grid: Document, name: str) -> Mapping[str, Any]:
    """The point of this name; a grid has each name once."""
    found: Sequence[Mapping[str, Any]] = [point for point in grid["points"] if point["settings"]["name"] == name]
    if len(found) != 1:
        raise ValueError(f"{len(found)} points named {name!r}, expected 1")
    return found[0]
