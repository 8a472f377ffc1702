"""The plots of docs/learning.md: from what bench/results holds to SVG."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from bench.learn.law import share_held, training_of
from bench.learn.plots.svg import Axis, Bar, Series, bar_chart, line_chart
from bench.learn.plots.words import Words
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
    """Whole answers at the end of runs with rank 256 and rate 1e-3; a dot is a run, the lines are the law of recall."""
    runs = [point for point in grid["points"] if point["settings"]["rank"] == 256 and point["settings"]["rate"] == 1e-3]
    law = Law(**grid["laws"]["recall"]["coefficients"])
    series = []
    for colour, size in enumerate(sorted({point["products"] for point in runs})):
        of_size = [point for point in runs if point["products"] == size]
        training = training_of(of_size[0])
        line = [(at, whole_share(replace(training, exposures=at), law=law)) for at in np.linspace(4, 20, 81).tolist()]
        dots = [(point["settings"]["exposures"], point["after"]["seen"]["whole"]) for point in of_size]
        is_real = of_size[0]["settings"]["catalogue"] == "real"
        label = words("{} real lines" if is_real else "{} products", words.number(size))
        series.append(Series(label=label, colour=colour, dots=dots, line=line))
    ticks = tuple(range(4, 21, 2))
    x = Axis(label=words("exposures (lines: the law)"), ticks=ticks, texts=tuple(map(str, ticks)))
    title = words("Whole descriptions that come back, rank 256")
    return line_chart(title, series, x=x, y=_shares(words("whole")))


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
