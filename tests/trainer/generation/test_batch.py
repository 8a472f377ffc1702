"""Requests that join and leave a batch at different times get the answers that each gets alone."""

import time
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from transformers import AutoTokenizer

from contract.errors import UserError
from tests.trainer.generation.batches import (
    ADAPTERS,
    alone,
    batch_of,
    joined_at_random,
    mixed_requests,
    with_adapters,
)
from trainer.generation.forward import Forward
from trainer.generation.generate import as_finished, finished, generate
from trainer.generation.request import Event, Request, Sampling


@pytest.fixture(name="micro", scope="module", params=[False, True], ids=["dense", "4 bit"])
def _micro(micro_base: Path, request: pytest.FixtureRequest) -> tuple[PeftModel, object]:
    return with_adapters(str(micro_base), std=0.3, in_4_bit=request.param), AutoTokenizer.from_pretrained(micro_base)


@pytest.mark.parametrize("seed", range(3))
def test_answers_do_not_depend_on_what_else_is_in_the_batch(micro: tuple, seed: int) -> None:
    requests = mixed_requests(micro[1], 18, seed=seed)
    expected = [alone(micro, request) for request in requests]

    assert generate(batch_of(micro), requests) == expected
    assert joined_at_random(batch_of(micro), requests, seed=seed) == expected
    assert len({each.token_ids for each in expected}) > 9


def test_greedy_answers_are_those_of_transformers(micro: tuple) -> None:
    model, tokenizer = micro
    requests = mixed_requests(tokenizer, 9, rules=(Sampling(),))
    answers = generate(batch_of(micro), requests)

    for request, answer in zip(requests, answers, strict=True):
        prompt = torch.tensor([request.prompt_ids])
        names = {"adapter_names": [request.adapter or "__base__"]}
        options = {"max_new_tokens": request.max_new_tokens, "do_sample": False, "eos_token_id": tokenizer.eos_token_id}
        ids = model.generate(input_ids=prompt, **names, **options)[0, prompt.shape[1] :].tolist()
        ended = ids[-1] == tokenizer.eos_token_id
        assert answer.token_ids == tuple(ids[: len(ids) - ended])
        assert answer.finish_reason == ("stop" if ended else "length")


def test_before_and_after_and_another_part_answer_differently_in_one_batch(micro: tuple) -> None:
    request = mixed_requests(micro[1], 1)[0]
    requests = [
        Request(prompt_ids=request.prompt_ids, adapter=adapter, max_new_tokens=8) for adapter in (*ADAPTERS, None)
    ]
    before, first, second, again = generate(batch_of(micro), requests)

    assert before == again
    assert len({before.token_ids, first.token_ids, second.token_ids}) == 3


def test_rows_of_the_base_alone_are_computed_without_adapters_which_are_there_again_afterwards(micro: tuple) -> None:
    model, tokenizer = micro
    request = Request(prompt_ids=mixed_requests(tokenizer, 1)[0].prompt_ids, adapter=None, max_new_tokens=8)
    layers = [each for each in model.modules() if isinstance(each, BaseTunerLayer)]
    batch = batch_of(micro)

    batch.add(request)
    batch.step()
    assert all(layer.disable_adapters for layer in layers)
    batch.add(Request(prompt_ids=request.prompt_ids, adapter="first", max_new_tokens=2))
    batch.step()
    assert not any(layer.disable_adapters for layer in layers)
    while not batch.is_idle:
        batch.step()
    assert not any(layer.disable_adapters for layer in layers)


def test_a_cancelled_request_frees_its_slot_at_once_and_the_others_go_on(micro: tuple) -> None:
    requests = mixed_requests(micro[1], 6, rules=(Sampling(),))
    requests = [Request(prompt_ids=each.prompt_ids, adapter=each.adapter, max_new_tokens=12) for each in requests]
    expected = [alone(micro, request) for request in requests]
    batch, events = batch_of(micro, num_slots=3), {}
    handles = [batch.add(request) for request in requests]
    assert batch.num_free == 0
    for _ in range(3):
        for handle, event in batch.step():
            events.setdefault(handle, []).append(event)
    batch.cancel(handles[0])  # runs
    batch.cancel(handles[4])  # waits
    batch.cancel(handles[4])
    batch.cancel(12_345)
    while not batch.is_idle:
        for handle, event in batch.step():
            assert handle not in (handles[0], handles[4])
            events.setdefault(handle, []).append(event)

    assert batch.num_free == 3
    for number in (1, 2, 3, 5):
        assert finished(events[handles[number]]) == expected[number]


def test_a_batch_keeps_its_slots_and_its_memory(micro: tuple) -> None:
    """Rows times the tokens that the longest of them may have are never more than the memory."""
    batch, running = batch_of(micro, num_slots=4, max_tokens=100), {}
    requests = mixed_requests(micro[1], 30)
    handles = {batch.add(request): request for request in requests}
    while not batch.is_idle:
        for handle, event in batch.step():
            running[handle] = handles[handle]
            if event.finish_reason:
                del running[handle]
        assert len(running) <= 4
        assert len(running) * max((each.most_tokens for each in running.values()), default=0) <= 100

    with pytest.raises(UserError, match="memory for 100 tokens: ask for a shorter answer"):
        batch.add(Request(prompt_ids=(7,) * 90, adapter=None, max_new_tokens=11))


def test_buffers_stay_small_where_rows_come_and_go(micro: tuple) -> None:
    batch = batch_of(micro)
    requests = mixed_requests(micro[1], 200, longest=20, rules=(Sampling(),))
    for request in requests[:4]:
        batch.add(request)
    for request in requests[4:]:
        while not batch.num_free:
            batch.step()
        batch.add(request)
        keys = batch._forward._cache.layers[0].keys if batch._forward._cache.layers else torch.zeros(0, 0, 0, 0)
        assert keys.shape[0] <= 4
        assert keys.shape[2] <= 44 + 128 + 1


def test_the_stream_of_events_is_the_answer_with_log_probabilities(micro: tuple) -> None:
    request = mixed_requests(micro[1], 2)[1]
    request = Request(prompt_ids=request.prompt_ids, adapter="first", max_new_tokens=9, sampling=Sampling(logprobs=2))
    batch, events = batch_of(micro), []
    batch.add(request)
    while not batch.is_idle:
        events += [event for _, event in batch.step()]
    plain = alone(micro, Request(prompt_ids=request.prompt_ids, adapter="first", max_new_tokens=9))

    assert "".join(event.text for event in events) == plain.text
    assert [event.finish_reason for event in events[:-1]] == [None] * (len(events) - 1)
    for event in events:
        for token, logprob in zip(event.token_ids, event.logprobs, strict=True):
            assert logprob.token_id == token == logprob.top[0][0]
            assert logprob.logprob == logprob.top[0][1] > logprob.top[1][1]


def test_an_answer_ends_before_its_stop_text(micro: tuple) -> None:
    request = mixed_requests(micro[1], 2)[1]
    whole = alone(micro, Request(prompt_ids=request.prompt_ids, adapter="first", max_new_tokens=20))
    stop = whole.text[4:7]
    cut = alone(micro, Request(prompt_ids=request.prompt_ids, adapter="first", max_new_tokens=20, stop=("\0", stop)))

    assert cut.text == whole.text[: whole.text.index(stop)]
    assert cut.finish_reason == "stop"
    assert len(cut.token_ids) < len(whole.token_ids)


def test_an_adapter_is_loaded_before_its_request_joins_and_waits_for_room(micro: tuple) -> None:
    """Room for one adapter beside the base."""
    loaded: list[str] = []

    def load(name: str, in_use: set[str]) -> bool:
        loaded.append(name)
        return in_use <= {name}

    requests = mixed_requests(micro[1], 12)
    batch = batch_of(micro, load_adapter=load)
    answers = dict(as_finished(batch, requests))

    assert [answers[number] for number in range(12)] == [alone(micro, request) for request in requests]
    assert set(loaded) == {"first", "second"}


def test_a_request_whose_adapter_cannot_be_loaded_leaves_by_its_error(micro: tuple) -> None:
    def load(name: str, in_use: set[str]) -> bool:
        raise UserError(f"no {name} beside {in_use}")

    batch = batch_of(micro, load_adapter=load)
    good, bad = mixed_requests(micro[1], 2)
    handles = batch.add(bad), batch.add(good)
    events: dict[int, list[Event]] = {handle: [] for handle in handles}
    while not batch.is_idle:
        for handle, event in batch.step():
            events[handle].append(event)
    assert [event.finish_reason for event in events[handles[0]]] == ["error"]
    with pytest.raises(UserError, match="no first beside set"):
        finished(events[handles[0]])
    assert finished(events[handles[1]]) == alone(micro, good)
    with pytest.raises(UserError, match="no first beside set"):
        generate(batch, [good, bad])
    assert batch.is_idle


def test_an_iteration_that_is_left_early_leaves_an_idle_batch(micro: tuple) -> None:
    batch = batch_of(micro)
    for _ in as_finished(batch, mixed_requests(micro[1], 12)):
        break
    batch_is_idle = batch.is_idle
    assert batch_is_idle


class SlowStart:
    """A forward pass whose prompts take so long, whatever the machine: a millisecond a token, padding included."""

    def __init__(self, forward: Forward) -> None:
        self.go_on, self.keep, self._start = forward.go_on, forward.keep, forward.start

    def start(self, prompts, adapters) -> torch.Tensor:
        time.sleep(len(prompts) * max(map(len, prompts)) / 1_000)
        return self._start(prompts, adapters)


def test_prompts_that_join_keep_the_running_answers_waiting_for_a_bounded_time(micro: tuple) -> None:
    prompt = tuple(range(5, 55))
    requests = [Request(prompt_ids=prompt, adapter=None, max_new_tokens=12)] * 32
    expected = alone(micro, requests[0])
    batch = batch_of(micro, num_slots=32)
    batch._forward = SlowStart(batch._forward)
    for request in requests:
        batch.add(request)

    seconds, answers = [], {}
    while not batch.is_idle:
        begun = time.perf_counter()
        for handle, event in batch.step():
            answers.setdefault(handle, []).append(event)
        seconds.append(time.perf_counter() - begun)
    assert {finished(events).token_ids for events in answers.values()} == {expected.token_ids}
    assert max(seconds) < 1  # all prompts at once take 1.6 s
    assert len([each for each in seconds if each > 0.05]) < 16  # and one by one, no fewer steps than there are
