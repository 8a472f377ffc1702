"""Compares the answers of a run with and without its adapter with the true descriptions."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from command.entry import exit_code
from command.options import parse_settings
from command.progress import ProgressBar
from trainer.answers.answerer import Answerer, load_answerer
from trainer.answers.comparison import SEEN, UNSEEN, Comparison, mean_rouge_l
from trainer.answers.rouge import rouge_l
from trainer.answers.settings import EvaluateConfig
from trainer.examples.encoder import Record
from trainer.generation.generate import as_finished
from trainer.parts.manifest import TrainedRun, trained_runs
from trainer.plan.data_sets import DataSet, reopen_data
from trainer.plan.order import num_lanes, rows_of_epoch
from trainer.runs import names
from trainer.runs.folder import read_info
from trainer.runs.json_files import write_json
from trainer.stream.lanes import first_records, trained_records

Item = TypeVar("Item")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0, or 2 where the user has to change something."""
    return exit_code(
        lambda: evaluate(parse_settings(EvaluateConfig, argv, prog="trainer.answers.evaluate", description=__doc__))
    )


def evaluate(config: EvaluateConfig) -> None:
    """Asks about seen and unseen titles, prints the table and writes RUN/evaluation.json."""
    run = Path(config.run)
    runs = trained_runs(run, data=config.data)
    of_runs = [_asked(each, seen=config.seen, unseen=config.unseen) for each in runs]
    seen = in_turn([each[SEEN] for each in of_runs], config.seen)
    unseen = in_turn([each[UNSEEN] for each in of_runs], config.unseen)
    asked = [*((SEEN, record) for record in seen), *((UNSEEN, record) for record in unseen)]
    comparisons = list(compare(load_answerer(run), asked, max_new_tokens=config.max_new_tokens))
    write_json(run / names.EVALUATION, comparisons)
    print(table(comparisons))


def in_turn(lists: Sequence[Sequence[Item]], num: int) -> list[Item]:
    """The first `num` items, one of each list in turn; a list that is over has no more turns.

    >>> in_turn(["ab", "cde", "f"], 5)
    ['a', 'c', 'f', 'b', 'd']
    """
    longest = max(map(len, lists))
    return [each[turn] for turn in range(longest) for each in lists if turn < len(each)][:num]


def _asked(run: TrainedRun, *, seen: int, unseen: int) -> dict[str, list[Record]]:
    """Up to so many records that this run was trained on, and up to so many of its val and test splits."""
    info = read_info(run.folder)
    data = reopen_data(run.data, config=info.config, dataset_ids=info.dataset_ids)
    others = [replace(data_set, split=split) for split in ("val", "test") for data_set in data]
    return {SEEN: _seen(data, seen, info.config), UNSEEN: first_records(others, unseen)}


def _seen(data: Sequence[DataSet], limit: int, settings: Mapping[str, Any]) -> list[Record]:
    num_records = sum(rows_of_epoch([data_set.rows for data_set in data]))
    lanes = num_lanes(num_records, max_length=settings["max_length"])
    return trained_records(data, limit, lanes=lanes, seed=settings["seed"])


def compare(answerer: Answerer, asked: Sequence[tuple[str, Record]], *, max_new_tokens: int) -> Iterator[Comparison]:
    """One comparison for each title, in order. Prompt, base and decoding are the same before and after."""
    progress, titles = ProgressBar("asking:"), [record.title for _, record in asked]
    requests = [
        answerer.request(title, max_new_tokens=max_new_tokens, is_before=is_before)
        for is_before in (True, False)
        for title in titles
    ]
    texts: dict[int, str] = {}
    for number, answer in as_finished(answerer.batch(), requests):
        texts[number] = answer.text.strip()
        progress.show(len(texts) / len(requests))
    for number, (split, record) in enumerate(asked):
        earlier, later = texts[number], texts[len(asked) + number]
        scores = rouge_l(earlier, record.content), rouge_l(later, record.content)
        yield Comparison(split, record.title, record.content, earlier, later, *scores)
    progress.done(f"{len(asked)} titles, before and after training,")


def table(comparisons: Sequence[Comparison]) -> str:
    """The comparisons for a person to read, with the mean ROUGE-L of seen and unseen titles."""
    lines = []
    for comparison in comparisons:
        lines += [
            f"\n[{'seen' if comparison.split == SEEN else 'unseen'}] {comparison.title}",
            f"  true    {comparison.truth}",
            f"  before  {comparison.before}   (ROUGE-L {comparison.rouge_l_before:.2f})",
            f"  after   {comparison.after}   (ROUGE-L {comparison.rouge_l_after:.2f})",
        ]
    lines.append("")
    for split, name in ((SEEN, "seen"), (UNSEEN, "unseen")):
        num, before, after = mean_rouge_l(comparisons, split=split)
        if num:
            lines.append(f"mean ROUGE-L of {num} {name} titles: {before:.3f} before, {after:.3f} after training")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
