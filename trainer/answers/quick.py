"""A run that answers soon after it was asked for: on a CPU, of a base that was kept dequantised.

The same answers as of `trainer.answers.answerer`, without transformers and PEFT, whose imports take longer than an
answer. Whatever is not as it is written by training is left to those, who name the reason.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer
from torch import Tensor

from command.machine import count_gpus, free_memory_bytes
from contract.text.profiles import Profile, find_profile
from trainer.answers.questions import request_about
from trainer.bases.dense import kept_dense
from trainer.bases.plain import PlainTokenizer, read_tokenizer
from trainer.examples.encoder import Encoder
from trainer.examples.wordings import wordings_of_run
from trainer.generation.alone import Alone, Lora, Shape
from trainer.generation.batch import Batch
from trainer.generation.forward import tokens_that_fit
from trainer.generation.request import GREEDY, Request, Sampling
from trainer.parts.manifest import is_in_parts
from trainer.runs import names
from trainer.runs.folder import RunInfo, base_of, check_base, frame_of, read_info

_ADAPTER: Final = "default"
# Fields of PEFT's configuration with the one value that is computed here.
_LORA: Final = {
    "peft_type": "LORA",
    "bias": "none",
    "fan_in_fan_out": False,
    "lora_bias": False,
    "use_dora": False,
    "use_rslora": False,
    "alpha_pattern": {},
    "rank_pattern": {},
    "modules_to_save": None,
}
_LLAMA: Final = {"model_type": "llama", "hidden_act": "silu", "attention_bias": False, "mlp_bias": False}
_LORA_NAMES: Final = ("base_model.model.model.", ".lora_A.weight", ".lora_B.weight")


@dataclass(frozen=True)
class QuickAnswerer:
    """A trained model for one question after the other."""

    encoder: Encoder
    profile: Profile
    forward: Alone
    decoder: Tokenizer
    ends: Sequence[int]
    positions: int | None
    token_bytes: int  # of keys and values

    def batch(self, *, num_slots: int) -> Batch:
        """A batch over this model, for requests that `request` makes."""
        room = tokens_that_fit(self.token_bytes, free_bytes=free_memory_bytes())
        return Batch(self.forward, self.decoder, ends=self.ends, num_slots=num_slots, max_tokens=room)

    def request(
        self, title: str, *, wording: str, max_new_tokens: int, is_before: bool = False, sampling: Sampling = GREEDY
    ) -> Request:
        """A request about a cleaned title, in the wording of this name; of the base alone, as before training."""
        return request_about(
            self.encoder.prompt_ids(title, wording=wording),
            adapter=None if is_before else _ADAPTER,
            max_new_tokens=max_new_tokens,
            positions=self.positions,
            sampling=sampling,
        )


def load_quickly(run: Path) -> QuickAnswerer | None:
    """The run's base and adapter; None where another base, adapter or device needs transformers and PEFT.

    UserError if its training did not finish, or if its base has changed.
    """
    if is_in_parts(run) or count_gpus():
        return None
    info = read_info(run)
    base = base_of(run, info.config["base"])
    check_base(run, info, base)
    kept, tokenizer = kept_dense(base), read_tokenizer(Path(base))
    encoder = _encoder(info, tokenizer) if tokenizer else None
    if kept is None or tokenizer is None or encoder is None:
        return None
    try:
        return _load(kept, run / names.ADAPTER, info=info, encoder=encoder, tokenizer=tokenizer)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError):
        return None


def _encoder(info: RunInfo, tokenizer: PlainTokenizer) -> Encoder | None:
    """None where the run has no frame of its own, or where transformers made another tokenizer of the same files."""
    frame = frame_of(info)
    if frame is None or tokenizer.eos_token_id is None:
        return None
    wordings = wordings_of_run(info.identity)
    encoder = Encoder(tokenizer, max_length=info.config["max_length"], wordings=wordings, frame=frame)
    return encoder if encoder.identity["tokenizer"] == info.identity.get("tokenizer") else None


def _load(
    kept: Path, adapter: Path, *, info: RunInfo, encoder: Encoder, tokenizer: PlainTokenizer
) -> QuickAnswerer | None:
    config = _read_json(kept / "config.json")
    lora = _read_json(adapter / "adapter_config.json")
    rope = config["rope_parameters"]
    if not (_has(config, _LLAMA) and _has(lora, _LORA) and rope["rope_type"] == "default"):
        return None
    shape = Shape(config["num_hidden_layers"], config["head_dim"], config["rms_norm_eps"], rope["rope_theta"])
    weights = _weights(kept / "model.safetensors")
    loaded = _lora(adapter / "adapter_model.safetensors", scaling=lora["lora_alpha"] / lora["r"])
    if loaded.up_NR.keys() - {name.removesuffix(".weight") for name in weights}:
        return None
    ends = _read_json(kept / "generation_config.json").get("eos_token_id") or []
    return QuickAnswerer(
        encoder=encoder,
        profile=find_profile(info.text_profile),
        forward=Alone(shape, weights, {_ADAPTER: loaded}),
        decoder=tokenizer.backend_tokenizer,
        ends=[encoder.end_id, *([ends] if isinstance(ends, int) else ends)],
        positions=config.get("max_position_embeddings"),
        token_bytes=2 * config["num_hidden_layers"] * config["num_key_value_heads"] * config["head_dim"] * 4,
    )


def _weights(path: Path) -> dict[str, Tensor]:
    """Read from the file when they are first used."""
    return {name.removeprefix("model."): weight for name, weight in _tensors(path).items()}


def _lora(path: Path, *, scaling: float) -> Lora:
    """ValueError where it has other tensors than those of linear layers."""
    before, down, up = _LORA_NAMES
    found: dict[str, dict[str, Tensor]] = {down: {}, up: {}}
    for name, weight in _tensors(path).items():
        end = next((end for end in found if name.endswith(end)), None)
        if end is None or not name.startswith(before):
            raise ValueError(f"{path} has {name}")
        found[end][name.removeprefix(before).removesuffix(end)] = weight.float()
    if found[down].keys() != found[up].keys():
        raise ValueError(f"{path} has linear layers with one matrix")
    return Lora(found[down], found[up], scaling)


def _tensors(path: Path) -> dict[str, Tensor]:
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping


def _read_json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_bytes()))


def _has(found: dict[str, Any], expected: dict[str, Any]) -> bool:
    return all(found.get(name, value) == value for name, value in expected.items())
