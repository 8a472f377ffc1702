"""Batches hold every token of the packs once, with the positions, boundaries and targets of the plain engine."""

import itertools

import pytest
import torch

from contract.errors import UserError
from tests.trainer.native.native_models import make_packs
from trainer.examples.tensors import IGNORED, pack_tensors
from trainer.native import make_batches
from trainer.native.batch import padded_size
from trainer.native.kernels.sizes import ATTENTION_BLOCK

LENGTHS = [[17, 70, 5], [64, 1, 33], [90], [128], [2, 2]]


@pytest.mark.parametrize("max_tokens", [128, 200, 256, 1000, 4096])
def test_tokens_positions_and_targets_are_those_of_the_packs(max_tokens: int) -> None:
    packs = make_packs(LENGTHS)
    plain = [pack_tensors(pack, device=torch.device("cpu")) for pack in packs]
    ids, positions, labels = (torch.cat(part) for part in zip(*plain, strict=True))
    batches = list(make_batches(packs, max_tokens=max_tokens))
    assert torch.equal(torch.cat([batch.ids_T[: batch.num_tokens] for batch in batches]), ids)
    assert torch.equal(torch.cat([batch.positions_T[: batch.num_tokens] for batch in batches]), positions.int())
    assert all(batch.num_tokens <= max_tokens for batch in batches)

    targets = torch.cat([batch.targets_A[: batch.num_answer_tokens] for batch in batches])
    assert torch.equal(targets, labels[(labels != IGNORED) & (positions > 0)])
    for batch in batches:
        indices = batch.answer_indices_A[: batch.num_answer_tokens]
        assert torch.equal(batch.ids_T[indices + 1], batch.targets_A[: batch.num_answer_tokens])
        assert (batch.targets_A[batch.num_answer_tokens :] == IGNORED).all()


@pytest.mark.parametrize("max_tokens", [128, 200, 1000, 4096])
def test_blocks_cover_every_token_once_and_stay_in_their_document(max_tokens: int) -> None:
    for batch in make_batches(make_packs(LENGTHS), max_tokens=max_tokens):
        documents = list(itertools.pairwise(batch.starts.tolist()))
        assert [end - start for start, end in documents] == list(batch.lengths)
        assert batch.longest == max(batch.lengths)
        covered = []
        for first, start, end in batch.blocks_B3.tolist():
            assert (start, end) in documents
            assert start <= first < end
            assert (first - start) % ATTENTION_BLOCK == 0
            covered += range(first, min(first + ATTENTION_BLOCK, end))
        assert sorted(covered) == list(range(len(batch.ids_T)))


def test_padding_is_little_and_of_few_sizes() -> None:
    for max_tokens in (128, 2_048, 32_768):
        sizes = {padded_size(num, max_tokens=max_tokens) for num in range(1, max_tokens + 1)}
        assert len(sizes) <= 16
        assert all(size % 128 == 0 for size in sizes)
        assert max(sizes) == max_tokens


def test_examples_that_do_not_fit_are_refused() -> None:
    packs = make_packs([[300]])
    with pytest.raises(UserError, match="300 tokens, expected at most 128"):
        list(make_batches(packs, max_tokens=128))
    with pytest.raises(UserError, match="256 in the model's attention window"):
        list(make_batches(packs, max_tokens=1024, window=256))
    assert list(make_batches([], max_tokens=128)) == []
