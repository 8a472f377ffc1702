"""One training of a peer through TRL's SFTTrainer, with a clock that stands still while recall is measured."""

import gc
import math
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, Final

import torch

from bench.learn.catalogue import Catalogue
from bench.learn.peers.libraries import WINDOW, Peer, load
from bench.learn.peers.recipe import REACHED, PeerRecipe

_PROBED: Final = 512
_FIRST: Final = 5  # steps in which kernels compile: they count at the mean speed of all others


def train(
    library: str, base: str, catalogues: Mapping[str, Catalogue], recipe: PeerRecipe, *, stop_s: float
) -> dict[str, Any]:
    """Trains and measures; the run ends early, and says so, once it lasts `stop_s`."""
    peer = load(library, base, recipe)
    data, tokens = _packed(catalogues["seen"], recipe)
    trainer = _trainer(peer, data, recipe)
    if torch.cuda.is_available():  # Unsloth packs on GPUs only
        _require_packed(library, trainer, data)
    steps_a_pass = math.ceil(len(data) * WINDOW / recipe.tokens_per_step)
    clock = make_clock(
        replace(peer, model=trainer.model),
        catalogues,
        num_seen=recipe.products,
        steps_a_pass=steps_a_pass,
        stop_s=stop_s,
    )
    trainer.add_callback(clock)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    trainer.train()
    result = _result(clock, recipe, tokens=tokens, steps_a_pass=steps_a_pass)
    result["packs"], result["lora_dtype"] = len(data), str(_trained(trainer.model)[0].dtype)
    result["parameters"] = sum(parameter.numel() for parameter in _trained(trainer.model))
    result["peak_memory_gib"] = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else None
    return result


def release() -> None:
    """Frees what an earlier run left on the GPU."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def make_clock(
    peer: Peer, catalogues: Mapping[str, Catalogue], *, num_seen: int, steps_a_pass: int, stop_s: float
) -> Any:
    """A callback that keeps `marks`: step, seconds since training began less those of measuring, and recall."""
    from transformers import TrainerCallback

    from bench.learn.peers.recall import ask

    class Clock(TrainerCallback):
        def __init__(self) -> None:
            self.marks: list[dict[str, Any]] = []
            self.began = self.asked_s = self.first_s = 0.0
            self.first = 0
            self.is_cut = False

        def on_train_begin(self, _args: Any, _state: Any, _control: Any, **_: Any) -> None:
            self._measure(0)
            self.began = _now()
            self.asked_s = 0.0

        def on_step_end(self, _args: Any, state: Any, control: Any, **_: Any) -> None:
            step = state.global_step
            if step == min(_FIRST, state.max_steps // 2):
                self.first_s, self.first = _now() - self.began - self.asked_s, step
            is_last = step >= state.max_steps
            if step % steps_a_pass == 0 or is_last:
                self._measure(step)
                if time.perf_counter() - self.began > stop_s and not is_last:
                    self.is_cut = control.should_training_stop = True

        def _measure(self, step: int) -> None:
            now = _now()
            asked = {
                name: ask(peer.logits, catalogues[name], num, wording="what_is").shares()
                for name, num in (("seen", min(_PROBED, num_seen)), ("unseen", _PROBED))
            }
            self.marks.append({"step": step, "clock_s": now - self.began - self.asked_s, **asked})
            self.asked_s += _now() - now

    return Clock()


def _packed(seen: Catalogue, recipe: PeerRecipe) -> tuple[Any, int]:
    """The records in packs of the window by TRL's best-fit-decreasing, and their tokens; only answers are targets."""
    from datasets import Dataset
    from trl.data_utils import pack_dataset

    rows: dict[str, list[list[int]]] = {"input_ids": [], "labels": []}
    for record in range(recipe.products):
        prompt, answer = seen.prompts["what_is"][record].tolist(), seen.answers[record].tolist()
        rows["input_ids"].append(prompt + answer)
        rows["labels"].append([-100] * len(prompt) + answer)
    tokens = sum(map(len, rows["input_ids"]))
    packed = pack_dataset(Dataset.from_dict(rows), WINDOW, "bfd", {"batch_size": recipe.products})
    return packed, tokens


def _trainer(peer: Peer, data: Any, recipe: PeerRecipe) -> Any:
    from trl import SFTConfig, SFTTrainer

    is_gpu = torch.cuda.is_available()
    config = SFTConfig(
        output_dir=tempfile.mkdtemp(prefix="peers-"),
        per_device_train_batch_size=recipe.tokens_per_step // WINDOW,
        gradient_accumulation_steps=1,
        max_length=WINDOW,
        packing=True,
        packing_strategy="bfd",
        dataset_kwargs={"skip_prepare_dataset": True},  # the packs are made above, by the same function
        remove_unused_columns=False,
        num_train_epochs=recipe.exposures,
        learning_rate=recipe.rate,
        lr_scheduler_type="linear",
        warmup_steps=5,
        optim="adamw_torch_fused" if is_gpu else "adamw_torch",
        adam_beta2=0.99,
        weight_decay=0.0,
        max_grad_norm=0.6,
        bf16=is_gpu,
        use_cpu=not is_gpu,
        gradient_checkpointing=False,
        dataloader_num_workers=2 if is_gpu else 0,
        dataloader_persistent_workers=is_gpu,
        logging_strategy="no",
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        seed=recipe.seed,
        **peer.config_settings,
    )
    return SFTTrainer(
        model=peer.model, processing_class=peer.tokenizer, args=config, train_dataset=data, **peer.trainer_settings
    )


def _require_packed(library: str, trainer: Any, data: Any) -> None:
    """Raises ValueError if batches do not tell the model where documents begin."""
    rows = [data[index] for index in range(min(2, len(data)))]
    if library == "unsloth" and "packed_seq_lengths" not in trainer.data_collator(rows):
        from trl.trainer.sft_trainer import DataCollatorForLanguageModeling
        from unsloth.utils import enable_sample_packing

        print("Unsloth did not pack by itself; its packing is switched on by hand", flush=True)
        trainer.data_collator = DataCollatorForLanguageModeling(
            trainer.processing_class.pad_token_id, padding_free=True
        )
        enable_sample_packing(trainer.model, trainer)
    batch, lengths = trainer.data_collator(rows), [length for row in rows for length in row["seq_lengths"]]
    starts = int((batch["position_ids"] == 0).sum())
    told = len(batch["packed_seq_lengths"]) if library == "unsloth" else starts
    if len(batch["input_ids"]) != 1 or not len(lengths) == starts == told:
        raise ValueError(f"{len(lengths)} documents in two packs, but the batch tells of {starts} and {told}")


def _result(clock: Any, recipe: PeerRecipe, *, tokens: int, steps_a_pass: int) -> dict[str, Any]:
    """The run as our grids write theirs: seconds of training alone, and a curve of recall."""
    last = clock.marks[-1]
    mean_s = (last["clock_s"] - clock.first_s) / max(1, last["step"] - clock.first)
    compiled_s = clock.first_s - clock.first * mean_s
    curve = [
        {
            "exposures": mark["step"] / steps_a_pass,
            "steps": mark["step"],
            "train_s": mark["clock_s"] - compiled_s,
            "seen": mark["seen"],
            "unseen": mark["unseen"],
        }
        for mark in clock.marks[1:]
    ]
    train_s = last["clock_s"] - compiled_s
    return {
        "name": recipe.name, "settings": asdict(recipe), "products": recipe.products, "steps": last["step"],
        "is_cut": clock.is_cut, "tokens_an_exposure": tokens, "train_s": train_s, "step_s": mean_s,
        "tokens_per_s": tokens * last["step"] / steps_a_pass / train_s, "compiled_s": compiled_s,
        "asked_s": clock.asked_s, "before": {name: clock.marks[0][name] for name in ("seen", "unseen")},
        "curve": curve, "after": {name: last[name] for name in ("seen", "unseen")}, "s_to_90": s_to(curve, REACHED),
    }  # fmt: skip


def s_to(curve: list[dict[str, Any]], share: float) -> float | None:
    """Seconds of training until so much of the first 32 tokens came back, between two measurements on a line."""
    before_s = before = 0.0
    for point in curve:
        now_s, now = point["train_s"], point["seen"]["first_32"]
        if now >= share:
            return float(before_s + (now_s - before_s) * (share - before) / max(1e-9, now - before))
        before_s, before = now_s, now
    return None


def _trained(model: Any) -> list[Any]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
