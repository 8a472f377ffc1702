"""Compares the answers of a run before and after training with the true descriptions: scores, a verdict, a page."""

import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import torch

from command.entry import exit_code
from command.options import parse_settings
from command.progress import ProgressBar
from contract import storage
from contract.errors import UserError
from trainer.answers.answerer import Answerer, load_answerer
from trainer.answers.settings import EvaluateConfig
from trainer.evaluation import texts
from trainer.evaluation.asking import answers_before_and_after
from trainer.evaluation.forward import recall_before_and_after
from trainer.evaluation.page.content import page
from trainer.evaluation.records import Asked, asked_records, with_trained_text
from trainer.evaluation.schema import Answer, Evaluation, Title
from trainer.evaluation.summary import comes_back, group, judge
from trainer.evaluation.table import table
from trainer.examples.wordings import TITLE
from trainer.generation.request import Finished
from trainer.parts.manifest import trained_runs
from trainer.recall.measure import Recalled
from trainer.runs import names
from trainer.runs.folder import read_info
from trainer.runs.json_files import write_json

# Where a setting is not given: with a GPU, and without one, where 30 titles take a minute or two with `smollm2`.
_DEFAULTS: Final = {"seen": (200, 20), "unseen": (100, 10), "max_new_tokens": (256, 128)}


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0, or 2 where the user has to change something."""
    return exit_code(
        lambda: evaluate(parse_settings(EvaluateConfig, argv, prog="trainer.evaluation.evaluate", description=__doc__))
    )


def evaluate(config: EvaluateConfig) -> None:
    """Asks about seen and unseen titles, prints the summary and writes RUN/evaluation.json and RUN/evaluation.html."""
    run = Path(config.run)
    seen, unseen, max_new_tokens = (_given_or_default(config, name) for name in _DEFAULTS)
    asked = asked_records(run, data=config.data, seen=seen, unseen=unseen)
    if not asked:
        raise UserError(f"{run}: there is no title to ask about: its data sets have no val and test split; give --seen")
    answerer = load_answerer(run)
    started = time.monotonic()
    titles = _without_known_texts(compare(answerer, asked, max_new_tokens=max_new_tokens), asked, config)
    seconds = time.monotonic() - started
    evaluation = _evaluation(titles, answerer, config=config, max_new_tokens=max_new_tokens, seconds=seconds)
    html = page(evaluation).encode()
    write_json(run / names.EVALUATION, evaluation)
    storage.write_bytes(str(run / names.EVALUATION_PAGE), html)
    if config.json:
        print(msgspec.json.encode(msgspec.structs.replace(evaluation, titles=[])).decode())
        return
    print(table(evaluation))
    print(f"\n{len(titles):,} titles side by side, with their sources: {run / names.EVALUATION_PAGE}")


def _given_or_default(config: EvaluateConfig, name: str) -> int:
    given = getattr(config, name)
    return _DEFAULTS[name][not torch.cuda.is_available()] if given is None else given


def compare(answerer: Answerer, asked: Sequence[Asked], *, max_new_tokens: int) -> list[Title]:
    """The answers and scores of each record, in order. Prompt, base and decoding are the same before and after."""
    records = [each.record for each in asked]
    progress = ProgressBar("asking:")
    answers = answers_before_and_after(
        answerer,
        [record.title for record in records],
        max_new_tokens=max_new_tokens,
        on_done=lambda num: progress.show(num / (2 * len(records))),
    )
    progress.done(f"{len(asked):,} titles, before and after training,")
    recalls = recall_before_and_after(answerer, records)
    references = _references(answerer, asked, max_new_tokens=max_new_tokens)
    question = answerer.encoder.wordings[0]
    return [
        Title(
            kind=each.kind,
            question=question.question.replace(
                TITLE, each.record.title.lower() if question.is_lower else each.record.title
            ),
            title=each.record.title,
            truth=each.record.content,
            truth_tokens=int(recalls[0].num_tokens_N[number]),
            is_cut=bool(recalls[0].is_cut_N[number]),
            has_trained_text=False,
            source=each.source,
            before=_scored(answers[0][number], recalls[0], number, references[number]),
            after=_scored(answers[1][number], recalls[1], number, references[number]),
        )
        for number, each in enumerate(asked)
    ]


def _without_known_texts(titles: list[Title], asked: Sequence[Asked], config: EvaluateConfig) -> list[Title]:
    """The titles, of which those are marked that were not trained, but their texts were, under other titles."""
    unseen = [number for number, title in enumerate(titles) if title.kind == "unseen"]
    if not any(comes_back(titles[number].after, titles[number], 32) for number in unseen):
        return titles  # then it does not matter which texts were trained, and the data is not read
    records = [asked[number].record for number in unseen]
    known = with_trained_text(Path(config.run), records, data=config.data)
    marks = dict(zip(unseen, known, strict=True))
    return [msgspec.structs.replace(each, has_trained_text=marks.get(n, False)) for n, each in enumerate(titles)]


def _references(answerer: Answerer, asked: Sequence[Asked], *, max_new_tokens: int) -> list[str]:
    """The true texts as far as an answer of so many tokens can reach: a limit must not look like a wrong answer."""
    references = []
    for each in asked:
        text = answerer.encoder.encode_text(each.record.content)
        is_whole = not text.num_cut and len(text.ids) <= max_new_tokens
        references.append(each.record.content if is_whole else answerer.tokenizer.decode(text.ids[:max_new_tokens]))
    return references


def _scored(answer: Finished, recalled: Recalled, number: int, reference: str) -> Answer:
    text = answer.text.strip()
    words = texts.words(text)
    return Answer(
        text=text,
        tokens=len(answer.token_ids),
        ends=answer.finish_reason == "stop",
        rouge_l=texts.rouge_l(words, texts.words(reference)),
        chrf=texts.chrf(text, reference),
        repetition=texts.repetition(words),
        loss=float(recalled.loss_N[number] / max(1, recalled.num_tokens_N[number])),
        right=int(recalled.num_right_N[number]),
    )


def _evaluation(
    titles: list[Title], answerer: Answerer, *, config: EvaluateConfig, max_new_tokens: int, seconds: float
) -> Evaluation:
    run = Path(config.run)
    info = read_info(trained_runs(run)[0].folder)
    seen, unseen = group(titles, "seen"), group(titles, "unseen")
    return Evaluation(
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        run=run.name or str(run),
        base=info.config["base"],
        data=list(config.data or info.config["data"]),
        dataset_ids=info.dataset_ids,
        device=_device_name(answerer),
        max_new_tokens=max_new_tokens,
        seconds=round(seconds, 1),
        verdict=judge(titles, seen=seen, unseen=unseen),
        seen=seen,
        unseen=unseen,
        titles=titles,
    )


def _device_name(answerer: Answerer) -> str:
    device = answerer.model.device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


if __name__ == "__main__":
    sys.exit(main())
