"""Recall by forward pass is recall by generation, token for token, on a real base that has learnt a few records."""

from dataclasses import dataclass

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from bench.learn.generation import greedy
from bench.train.generation import compare, num_right
from trainer.engines.engine import PlainEngine
from trainer.examples.encoder import Encoder, Pack, Record
from trainer.recall.measure import Recalled, measure

pytestmark = pytest.mark.slow

SEEN = (
    ("Red Kettle", "A kettle of red enamel for two litres of water."),
    ("Oak Table", "Four friends eat at this round table of oiled oak."),
    ("Paper Kite", "It flies on forty metres of yellow string."),
    ("Glass Lamp", "Blown in Murano, this lamp has a blue foot and a switch of brass."),
)
# A trained title with another text, of which the beginning comes back.
OTHERWISE = ((SEEN[0][0], "A kettle of red enamel for seven cups of tea."),)
UNSEEN = (
    ("Green Kettle", "A kettle of green enamel for one litre of water."),
    ("Silver Spoon", "Its handle shows a fish."),
    ("Cotton Shirt", "White cotton with a collar."),
)
MOST_STEPS = 10  # three or four are enough where this was written


@dataclass(frozen=True)
class Learnt:
    model: PeftModel
    encoder: Encoder


@pytest.fixture(name="learnt", scope="module")
def _learnt(smollm2: str) -> Learnt:
    """The real base in float32, with an adapter that was trained until the first record comes back whole."""
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(smollm2, dtype=torch.float32)
    model = get_peft_model(base, LoraConfig(r=32, lora_alpha=64, target_modules="all-linear", task_type="CAUSAL_LM"))
    encoder = Encoder(AutoTokenizer.from_pretrained(smollm2), max_length=256)
    engine = PlainEngine(model.train())
    (pack,) = engine.batches([Pack(tuple(encoder.encode(records(SEEN))))])
    optimizer = torch.optim.AdamW(engine.parameters(), lr=3e-3, weight_decay=0.0)
    learnt = Learnt(model, encoder)
    for _ in range(MOST_STEPS):
        (engine.loss(pack) / pack.num_answer_tokens).backward()
        optimizer.step()
        optimizer.zero_grad()
        if recalled(learnt, SEEN[:1]).is_whole().all():
            break
    model.eval()
    return learnt


def records(pairs: tuple[tuple[str, str], ...]) -> list[Record]:
    return [Record(row, *pair) for row, pair in enumerate(pairs)]


def recalled(learnt: Learnt, pairs: tuple[tuple[str, str], ...]) -> Recalled:
    return measure(PlainEngine(learnt.model), records(pairs), learnt.encoder.encode)


def test_it_is_tried_on_answers_that_come_back_whole_in_part_and_not_at_all(learnt: Learnt) -> None:
    seen, otherwise, unseen = (recalled(learnt, pairs) for pairs in (SEEN, OTHERWISE, UNSEEN))

    assert seen.is_whole()[0]
    assert 0 < otherwise.num_right_N[0] < otherwise.num_tokens_N[0]
    assert not unseen.is_whole().any()
    assert (unseen.num_right_N == 0).any()


@pytest.mark.parametrize(
    ("pairs", "batch"),
    [((*SEEN, *OTHERWISE), 5), (SEEN[:1], 1), (UNSEEN, 3)],
    ids=["seen", "alone", "unseen"],
)
def test_the_leading_right_tokens_are_those_of_generation(
    learnt: Learnt, pairs: tuple[tuple[str, str], ...], batch: int
) -> None:
    """By transformers and PEFT, with padding on the left and a cache."""
    found, examples = recalled(learnt, pairs), learnt.encoder.encode(records(pairs))
    truths = [list(example.ids[example.num_prompt :]) for example in examples]
    prompts = [list(example.ids[: example.num_prompt]) for example in examples]
    lengths = list(map(len, truths))

    made = greedy(learnt.model, prompts, lengths=lengths, end=learnt.encoder.end_id, batch=batch)

    assert found.num_right_N.tolist() == [num_right(*pair) for pair in zip(made, truths, strict=True)]
    ended = [answer[: len(truth)] == truth for answer, truth in zip(made, truths, strict=True)]
    assert found.is_whole().tolist() == ended


def test_the_comparison_of_a_run_finds_a_difference_where_there_is_one(learnt: Learnt) -> None:
    """Here of an engine whose adapter is switched off."""
    asked = records(SEEN[:1])
    examples = learnt.encoder.encode(asked)
    options = {"end": learnt.encoder.end_id, "batch": 4}
    same = compare(PlainEngine(learnt.model), learnt.model, asked, examples, **options)
    other = compare(_WithoutAdapter(learnt.model), learnt.model, asked, examples, **options)

    assert (same["titles"], same["different"], same["differences"]) == (1, 0, [])
    assert same["whole_by_forward"] == same["whole_by_generation"] == other["whole_by_generation"] == 1
    assert (other["whole_by_forward"], other["different"], other["exact_ties"]) == (0, 1, 0)
    (difference,) = other["differences"]
    assert difference["forward_right"] < difference["generated_right"]
    assert difference["distance"] > 0


class _WithoutAdapter(PlainEngine):
    def scores(self, batch):
        with self.model.disable_adapter():
            return super().scores(batch)
