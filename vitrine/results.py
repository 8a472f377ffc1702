"""What the functions return: light records, which a notebook shows as pages and tables.

Every text of a catalogue or a model is escaped; a page is shown in a frame that runs no scripts.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any, Final

from contract import storage, store_errors
from contract.manifest import Manifest
from contract.names import CARD_HTML
from trainer.evaluation.schema import Evaluation
from trainer.evaluation.sentences import headline
from trainer.runs import names
from trainer.runs.recalls import Report, report_text
from trainer.runs.settings import settings_of_run

_SHOWN_TITLES: Final = 10
_SHOWN_SOURCES: Final = 3
_SHOWN_SETTINGS: Final = ("base", "data", "recipe", "engine", "epochs", "lora_rank", "learning_rate")
_FRAME_HEIGHT: Final = 600


@dataclass(frozen=True)
class Prepared:
    """A data set, and the manifest that says what it holds."""

    path: str
    manifest: Manifest = field(repr=False)

    @property
    def dataset_id(self) -> str:
        """The same for the same records in the same order."""
        return self.manifest.dataset_id

    def __str__(self) -> str:
        rows = self.manifest.rows
        return f"{self.path}: {rows.kept:,} of {rows.input:,} records kept, data set {self.dataset_id}"

    def _repr_html_(self) -> str:
        """The data card, or a table of the counts where there is none."""
        try:
            page = storage.read_bytes(storage.join(self.path, CARD_HTML)).decode()
        except store_errors.read_errors():
            counts = {"kept": self.manifest.rows.kept, **self.manifest.rows.rejected}
            return _caption(str(self)) + _table(("", "records"), ((name, f"{n:,}") for name, n in counts.items() if n))
        return _caption(str(self)) + _frame(page)


@dataclass(frozen=True)
class Trained:
    """A run: its folder holds the adapter."""

    path: str

    @property
    def settings(self) -> Mapping[str, Any]:
        """What the run was trained with."""
        return settings_of_run(Path(self.path))

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """One record for each step: loss, rate, tokens and time. In parts, none: each part has a run of its own."""
        path = Path(self.path, names.METRICS)
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        return [step for step in map(json.loads, lines) if "loss" in step]

    def __str__(self) -> str:
        steps = self.metrics
        end = f"{len(steps):,} steps, last loss {steps[-1]['loss']:.4f}" if steps else "no steps of its own"
        return f"{self.path}: {end}"

    def _repr_html_(self) -> str:
        settings = self.settings
        rows = [(name, _plain(settings[name])) for name in _SHOWN_SETTINGS if settings.get(name) is not None]
        return _caption(str(self)) + _table(("setting", "value"), rows) + _line([step["loss"] for step in self.metrics])


@dataclass(frozen=True)
class Recalled:
    """How much of the catalogue a run gives back word for word."""

    path: str
    report: Report = field(repr=False)

    def __str__(self) -> str:
        return report_text(self.report)

    def _repr_html_(self) -> str:
        groups = (("seen", self.report.seen), ("unseen", self.report.unseen))
        rows = [
            (name, f"{of.records:,}", *(f"{each.value:.1%}" for each in (of.whole, of.first_32, of.first_8)))
            for name, of in groups
            if of
        ]
        return _table(("titles", "records", "whole text", "first 32 tokens", "first 8"), rows)


@dataclass(frozen=True)
class Answer:
    """The answer to a question, with all that `vitrine ask --json` says of it."""

    details: Mapping[str, Any] = field(repr=False)

    @property
    def text(self) -> str:
        """The answer itself."""
        return str(self.details["answer"])

    @property
    def sources(self) -> list[Mapping[str, Any]]:
        """The catalogue's records of the title, with the spans of the answer that each one's text supports."""
        return list(self.details.get("sources", ()))

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        """The answer, with a mark on what its best source supports, and the sources below it."""
        spans = max((each.get("supported", ()) for each in self.sources), key=_num_characters, default=())
        columns = ("uid", "title", "text", "data", "shard", "row")
        rows = [tuple(str(each.get(name, "")) for name in columns) for each in self.sources[:_SHOWN_SOURCES]]
        found = _table(columns, rows) if rows else ""
        if self.details.get("in_catalogue") is False:
            nearest = "; ".join(map(str, self.details.get("nearest", ())))
            found = f"<div>not in the catalogue; nearest titles: {escape(nearest) or 'none'}</div>"
        return f"<blockquote>{_marked(self.text, spans)}</blockquote>{found}"


@dataclass(frozen=True)
class Evaluated:
    """Answers of a run before and after training, beside the truth."""

    path: str
    evaluation: Evaluation = field(repr=False)

    def __str__(self) -> str:
        return f"{self.path}, {len(self.evaluation.titles):,} titles: {headline(self.evaluation, 'en')}"

    def _repr_html_(self) -> str:
        """Means of the scores, then some titles; RUN/evaluation.html has them all."""
        groups = (("seen", self.evaluation.seen), ("unseen", self.evaluation.unseen))
        means = [
            (kind, name, f"{pair.before:.3f}", f"{pair.after:.3f}")
            for kind, of in groups
            for name, pair in (of.scores.items() if of else ())
        ]
        titles = self.evaluation.titles[:_SHOWN_TITLES]
        return (
            _caption(str(self))
            + _table(("titles", "score", "before", "after"), means)
            + _table(
                ("title", "truth", "before", "after"),
                ((f"{each.title} ({each.kind})", each.truth, each.before.text, each.after.text) for each in titles),
            )
        )


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _num_characters(spans: Iterable[tuple[int, int]]) -> int:
    return sum(end - start for start, end in spans)


def _marked(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """The text, escaped, with a mark on each of these spans of characters, which are in order."""
    parts, place = [], 0
    for start, end in spans:
        parts += [escape(text[place:start]), f"<mark>{escape(text[start:end])}</mark>"]
        place = end
    return "".join([*parts, escape(text[place:])])


def _caption(text: str) -> str:
    return f"<div><b>{escape(text)}</b></div>"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = "".join(_row("td", row) for row in rows)
    return f"<table><thead>{_row('th', head)}</thead><tbody>{lines}</tbody></table>"


def _row(cell: str, texts: Iterable[str]) -> str:
    cells = (f'<{cell} style="text-align: left">{escape(text)}</{cell}>' for text in texts)
    return f"<tr>{''.join(cells)}</tr>"


def _frame(page: str) -> str:
    """A page that cannot run scripts: so the notebook's origin, which lets browsers draw it at once, is no danger."""
    return (
        f'<iframe sandbox="allow-same-origin" srcdoc="{escape(page)}" width="100%" height="{_FRAME_HEIGHT}"'
        ' style="border: 0"></iframe>'
    )


def _line(values: list[float]) -> str:
    """The values as a line, from left to right; nothing of fewer than two."""
    if len(values) < 2:
        return ""
    least, most = min(values), max(values)
    points = (
        f"{600 * place / (len(values) - 1):.1f},{100 - 96 * (value - least) / ((most - least) or 1):.1f}"
        for place, value in enumerate(values)
    )
    return (
        '<svg viewBox="0 0 600 104" width="600" height="104" role="img" aria-label="loss of each step">'
        f'<polyline points="{" ".join(points)}" fill="none" stroke="currentColor"/></svg>'
        f"<div>loss of each step, from {values[0]:.3f} to {values[-1]:.3f}</div>"
    )
