"""The `tiny` base: a small Llama and its tokenizer, made from a data set's train split when training starts.

It replaces a real base where there is no network and no GPU. It is pre-trained for a minute on contents without
titles: it knows the catalogue's language, but not which content belongs to which title.
"""

import itertools
import random
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from command.progress import ProgressBar
from trainer.engines.base import answer_loss
from trainer.examples.encoder import Example, Pack, Record
from trainer.examples.wordings import TITLE, WORDINGS
from trainer.plan.data_sets import DataSet
from trainer.stream.lanes import first_records
from trainer.stream.packing import pack

_SPECIAL_TOKENS = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}

_CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}{{ eos_token }}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@dataclass(frozen=True)
class TinyShape:
    """Size of the tiny base and of its pre-training."""

    vocabulary: int = 4_096
    hidden: int = 256
    layers: int = 4
    head: int = 64
    records: int = 2_000  # of the train split, at most
    steps: int = 200
    records_per_step: int = 64  # at most
    tokens_per_step: int = 4_096  # at most: without it, long contents would take ten minutes
    max_length: int = 512
    learning_rate: float = 2e-3


def make_tiny_base(
    data: Sequence[DataSet],
    *,
    folder: Path,
    seed: int,
    check: Callable[[PreTrainedTokenizerBase], object] = str,
    skip_damaged: bool = False,
    shape: TinyShape = TinyShape(),
) -> None:
    """Writes a tokenizer and a pre-trained small Llama in 32 bit to `folder`, in the format of any other base.

    `check` gets the tokenizer before the model is trained, and raises where the run cannot use it.
    """
    records = first_records(data, shape.records, skip_damaged=skip_damaged)
    tokenizer = _train_tokenizer(records, vocabulary=shape.vocabulary)
    check(tokenizer)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden,
        intermediate_size=3 * shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.hidden // shape.head,
        num_key_value_heads=shape.hidden // shape.head,
        max_position_embeddings=4_096,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    _pretrain(model, tokenizer, records=records, shape=shape, seed=seed)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _train_tokenizer(records: Sequence[Record], *, vocabulary: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE, which can encode any text; it has seen as many questions as titles."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[*_SPECIAL_TOKENS.values(), "<|user|>", "<|assistant|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    questions = itertools.cycle(wording.question for wording in WORDINGS.values())
    texts = (
        text
        for record, question in zip(records, questions, strict=False)
        for text in (record.title, record.content, question.replace(TITLE, record.title))
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, chat_template=_CHAT_TEMPLATE, model_max_length=4_096, **_SPECIAL_TOKENS
    )


def _pretrain(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    *,
    records: Sequence[Record],
    shape: TinyShape,
    seed: int,
) -> None:
    """Next-token training of all weights on contents without their titles."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=shape.learning_rate, betas=(0.9, 0.95))
    batches = _content_batches(tokenizer, records, shape=shape, seed=seed)
    progress = ProgressBar("making the tiny base:")
    model.train()
    loss_mean = float("nan")
    for step in range(shape.steps):
        batch = next(batches)
        num_tokens = sum(item.num_answer_tokens for item in batch)
        loss_mean = 0.0
        for item in batch:
            loss = answer_loss(model, item) / num_tokens
            loss.backward()
            loss_mean += loss.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = shape.learning_rate * min(1.0, (step + 1) / 10) * (1.0 - step / shape.steps)
        optimizer.step()
        optimizer.zero_grad()
        progress.show((step + 1) / shape.steps, f"loss {loss_mean:.2f}")
    progress.done(f"{shape.steps} steps, loss {loss_mean:.2f},")


def _content_batches(
    tokenizer: PreTrainedTokenizerFast, records: Sequence[Record], *, shape: TinyShape, seed: int
) -> Iterator[list[Pack]]:
    """Packs of contents without end, in a new order in each pass over the records."""
    contents = tokenizer([record.content for record in records], add_special_tokens=False)["input_ids"]
    start, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    examples = [
        Example(record.row, [start, *ids, end][: shape.max_length], 1, 0)
        for record, ids in zip(records, contents, strict=True)
    ]
    generator = random.Random(seed)
    while True:
        generator.shuffle(examples)
        for first in range(0, len(examples), shape.records_per_step):
            batch = examples[first : first + shape.records_per_step]
            ends = list(itertools.accumulate(len(example.ids) for example in batch))
            yield pack(batch[: bisect_right(ends, shape.tokens_per_step)], max_length=shape.max_length)
