"""Batches of requests for the tests: a base with two adapters, and requests that join at random times."""

from random import Random

import torch
from peft import LoraConfig, PeftModel, get_peft_model

from trainer.engines.base import load_base
from trainer.engines.dense import dequantise
from trainer.generation.batch import Batch
from trainer.generation.forward import Forward
from trainer.generation.generate import finished, generate
from trainer.generation.request import Finished, Request, Sampling
from trainer.generation.together import forward_of, room_of

CPU = torch.device("cpu")
ADAPTERS = (None, "first", "second")
RULES = (Sampling(), Sampling(temperature=0.8, top_p=0.9, seed=3), Sampling(repetition_penalty=1.3))


def with_adapters(base: str, *, std: float, in_4_bit: bool = False) -> PeftModel:
    """The base in float32 with two adapters of different ranks, each of which says something else."""
    model = load_base(base, device=CPU)
    if not in_4_bit:
        dequantise(model)
    torch.manual_seed(0)
    lora = {"lora_alpha": 16, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}
    adapted = get_peft_model(model, LoraConfig(r=8, **lora), adapter_name="first")
    adapted.add_adapter("second", LoraConfig(r=4, **lora))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=std)
    return adapted.eval()


def batch_of(micro: tuple, *, forward: Forward | None = None, **options) -> Batch:
    model, tokenizer = micro
    defaults = {"ends": [tokenizer.eos_token_id], "num_slots": 4, "max_tokens": room_of(model)}
    return Batch(forward or forward_of(model), tokenizer.backend_tokenizer, **(defaults | options))


def mixed_requests(tokenizer, num: int, *, longest: int = 40, seed: int = 0, rules=RULES) -> list[Request]:
    random, vocabulary = Random(seed), len(tokenizer)
    return [
        Request(
            prompt_ids=tuple(random.randrange(5, vocabulary) for _ in range(random.randint(1, longest))),
            adapter=ADAPTERS[number % 3],
            max_new_tokens=random.randint(1, 24),
            sampling=rules[number // 3 % len(rules)],
        )
        for number in range(num)
    ]


def alone(micro: tuple, request: Request) -> Finished:
    return generate(batch_of(micro), [request])[0]


def joined_at_random(batch: Batch, requests: list[Request], *, seed: int) -> list[Finished]:
    """Each request is added after a random number of steps."""
    random, events, handles = Random(seed), {}, {}
    left = list(enumerate(requests))
    while left or not batch.is_idle:
        while left and random.random() < 0.4:
            number, request = left.pop(0)
            handles[batch.add(request)] = number
        for handle, event in batch.step():
            events.setdefault(handles[handle], []).append(event)
    return [finished(events[number]) for number in range(len(requests))]
