"""One peer, measured on the same records; prints one JSON line. Run by bench.train, in a process of its own."""

import argparse
import itertools
import json
import sys
import tempfile
import time
from typing import Any

import torch

from bench.figures import spread

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
WINDOW = 2048


def main(arguments: list[str]) -> None:
    """Trains, and prints tokens a second without padding, times of the steps, memory and losses."""
    parser = argparse.ArgumentParser()
    parser.add_argument("library", choices=("trl", "unsloth"))
    parser.add_argument(
        "--packed", action="store_true", help="train on packs, and checkpoint only with --checkpointing"
    )
    parser.add_argument("--packs", type=int, default=16, help="packs of 2,048 tokens in a step")
    parser.add_argument(
        "--checkpointing", action="store_true", help="with the library's own way to keep fewer activations"
    )
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--precision", choices=("nf4", "bf16"), default="nf4", help="of the base")
    parser.add_argument("--model", required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--warm-up", type=int, required=True)
    options = parser.parse_args(arguments)

    # Unsloth patches the other libraries, so it is imported first.
    is_unsloth = options.library == "unsloth"
    model, tokenizer = load_unsloth(options) if is_unsloth else load_trl(options)
    trainer = make_trainer(model, tokenizer, options=options)
    counted, marks = count_tokens(trainer), []

    from transformers import TrainerCallback

    class Marks(TrainerCallback):
        def on_step_end(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
            torch.cuda.synchronize()
            marks.append((time.perf_counter(), counted["real"]))
            if state.global_step == options.warm_up:
                torch.cuda.reset_peak_memory_stats()

    trainer.add_callback(Marks())
    trainer.train()
    marks = marks[options.warm_up - 1 :]
    times_s = [second[0] - first[0] for first, second in itertools.pairwise(marks)]
    report = {
        "variant": variant(options),
        "tokens_per_s": (marks[-1][1] - marks[0][1]) / sum(times_s),
        "steps": len(times_s),
        "tokens_per_step": (marks[-1][1] - marks[0][1]) / len(times_s),
        "step_s": spread(times_s),
        "peak_memory_gib": torch.cuda.max_memory_allocated() / 2**30,
        "losses": [round(entry["loss"], 4) for entry in trainer.state.log_history if "loss" in entry],
    }
    print("RESULT", json.dumps(report))


def variant(options: argparse.Namespace) -> str:
    """The name of this variant."""
    parts = ["Unsloth" if options.library == "unsloth" else "TRL"]
    parts.append("recipe" if not options.packed else "packed" if options.library == "unsloth" else "packed + Liger")
    if options.packed and options.packs != 16:
        parts.append(f"{options.packs} x {WINDOW:,}")
    return ", ".join([*parts, *(["checkpointing"] if options.checkpointing else [])])


def load_unsloth(options: argparse.Namespace) -> tuple[Any, Any]:
    """A model with its adapter."""
    from unsloth import FastLanguageModel

    model, tokenizer = FastLanguageModel.from_pretrained(
        options.model, max_seq_length=WINDOW, dtype=torch.bfloat16, load_in_4bit=options.precision == "nf4"
    )
    model = FastLanguageModel.get_peft_model(
        model,
        r=options.rank,
        target_modules=TARGETS,
        lora_alpha=options.rank,
        lora_dropout=0,
        bias="none",
        use_gradient_checkpointing="unsloth" if options.checkpointing else False,
        random_state=0,
    )
    return model, tokenizer


def load_trl(options: argparse.Namespace) -> tuple[Any, Any]:
    """A model, to which the trainer adds the adapter."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=torch.bfloat16,
        bnb_4bit_use_double_quant=True,
    )
    model = AutoModelForCausalLM.from_pretrained(
        options.model,
        dtype=torch.bfloat16,
        device_map={"": 0},
        attn_implementation="sdpa",
        **({"quantization_config": quantization} if options.precision == "nf4" else {}),
    )
    return model, AutoTokenizer.from_pretrained(options.model)


def make_trainer(model: Any, tokenizer: Any, *, options: argparse.Namespace) -> Any:
    """An SFTTrainer with the batches of the recipe, 2 x 4 padded rows, or with batches of packs."""
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    from bench.train.records import PROMPT, make_texts

    num_records = 8_000 if options.packed else 2_000
    texts = make_texts(tokenizer, num_records)
    data = Dataset.from_dict({"text": [PROMPT.format(title=title) + content + "</s>" for title, content in texts]})
    settings: dict[str, Any] = {}
    if options.library == "trl" and options.packed:
        # Without FlashAttention TRL can only wrap records into packs, in which they see each other.
        settings = {"packing_strategy": "wrapped", "use_liger_kernel": True}
    config = SFTConfig(
        output_dir=tempfile.mkdtemp(prefix="vitrine-bench-"),
        per_device_train_batch_size=options.packs if options.packed else 2,
        gradient_accumulation_steps=1 if options.packed else 4,
        max_length=WINDOW,
        packing=options.packed,
        gradient_checkpointing=options.checkpointing or (options.library == "trl" and not options.packed),
        bf16=True,
        optim="adamw_8bit",
        max_steps=options.steps,
        warmup_steps=3,
        learning_rate=2e-4,
        max_grad_norm=0.6,
        logging_steps=1,
        report_to=[],
        save_strategy="no",
        dataset_text_field="text",
        dataset_num_proc=8,
        **settings,
    )
    adapter = {}
    if options.library == "trl":
        adapter["peft_config"] = LoraConfig(
            r=options.rank, lora_alpha=options.rank, target_modules=TARGETS, task_type="CAUSAL_LM"
        )
    return SFTTrainer(model=model, processing_class=tokenizer, args=config, train_dataset=data, **adapter)


def count_tokens(trainer: Any) -> dict[str, int]:
    """Counts the tokens without padding of each batch when it is collated, which is up to one batch before its step."""
    counted = {"real": 0}
    collate = trainer.data_collator

    def counting(rows: list[dict[str, Any]]) -> dict[str, Any]:
        batch = collate(rows)
        mask = batch.get("attention_mask")
        counted["real"] += batch["input_ids"].numel() if mask is None else int(mask.sum())
        return batch

    trainer.data_collator = counting
    return counted


if __name__ == "__main__":
    main(sys.argv[1:])
