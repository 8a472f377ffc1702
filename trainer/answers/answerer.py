"""A trained run that answers: its base, its adapter or adapters, and all that turns a title into a request."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import transformers
from peft import PeftModel
from transformers import PreTrainedTokenizerBase

from contract.text.profiles import Profile, find_profile
from trainer.answers.adapters import PartAdapters, adapter_problem
from trainer.answers.questions import request_about
from trainer.engines.base import end_tokens, load_adapter, load_tokenizer
from trainer.examples.encoder import Encoder
from trainer.examples.wordings import wordings_of_run
from trainer.generation.batch import Batch
from trainer.generation.generate import generate
from trainer.generation.request import GREEDY, Request, Sampling
from trainer.generation.together import CPU_SLOTS, GPU_SLOTS, forward_of, room_of
from trainer.parts.manifest import is_in_parts, read_parts
from trainer.runs import names
from trainer.runs.folder import base_of, check_base, frame_of, read_info


@dataclass(frozen=True)
class Answerer:
    """A trained model with everything that a question needs."""

    model: PeftModel
    tokenizer: PreTrainedTokenizerBase
    encoder: Encoder
    profile: Profile
    adapters: PartAdapters | None = None  # of a run in parts

    @property
    def ends(self) -> list[int]:
        """The tokens that end an answer: the tokenizer's, with which answers were trained, and those of the base."""
        return sorted({self.tokenizer.eos_token_id, *end_tokens(self.model)})

    @property
    def positions(self) -> int | None:
        """The longest text that the base can read, in tokens; None where its configuration does not say it."""
        return getattr(self.model.config.get_text_config(), "max_position_embeddings", None)

    def batch(self, *, num_slots: int | None = None, max_tokens: int | None = None) -> Batch:
        """A batch over this model, for requests that `request` makes. One batch at a time loads adapters."""
        return Batch(
            forward_of(self.model),
            self.tokenizer.backend_tokenizer,
            ends=self.ends,
            num_slots=num_slots or (GPU_SLOTS if self.model.device.type == "cuda" else CPU_SLOTS),
            max_tokens=max_tokens or room_of(self.model),
            load_adapter=self.adapters.load if self.adapters else None,
        )

    def request(
        self,
        title: str,
        *,
        max_new_tokens: int,
        wording: str | None = None,
        is_before: bool = False,
        sampling: Sampling = GREEDY,
        stop: tuple[str, ...] = (),
    ) -> Request:
        """A request about a cleaned title: of the adapter that knows it, or of the base alone, as before training.

        The question is the run's first wording, unless `wording` names another. An answer ends at the last position
        that the base has.
        """
        return request_about(
            self.encoder.prompt_ids(title, wording=wording),
            adapter=None if is_before else self.adapter_of(title),
            max_new_tokens=max_new_tokens,
            positions=self.positions,
            sampling=sampling,
            stop=stop,
        )

    def adapter_of(self, title: str) -> str:
        """The name of the adapter that knows a cleaned title."""
        return self.adapters.name_of(title) if self.adapters else self.model.active_adapter

    def answer(self, title: str, *, max_new_tokens: int, wording: str | None = None, is_before: bool = False) -> str:
        """The answer to a cleaned title by greedy decoding, up to its end token."""
        request = self.request(title, max_new_tokens=max_new_tokens, wording=wording, is_before=is_before)
        return generate(self.batch(), [request])[0].text.strip()

    def answers(self, titles: Sequence[str], *, max_new_tokens: int, is_before: bool = False) -> list[str]:
        """The answers to cleaned titles, computed together; in exact arithmetic those that each gets alone."""
        requests = [self.request(title, max_new_tokens=max_new_tokens, is_before=is_before) for title in titles]
        return [each.text.strip() for each in generate(self.batch(), requests)]


def load_answerer(run: Path) -> Answerer:
    """The run's base and adapter, or adapters; UserError if its training did not finish.

    Of a run in parts, an adapter that can be loaded; those that cannot are errors for their titles only.
    """
    if not is_in_parts(run):
        return _load(run)
    runs = read_parts(run).runs
    whole = [each.folder for each in runs if not adapter_problem(run / each.folder / names.ADAPTER)]
    first = whole[0] if whole else runs[0].folder
    answerer = _load(run / first, adapter_name=first)
    return replace(answerer, adapters=PartAdapters(answerer.model, run, parts=len(runs)))


def _load(run: Path, *, adapter_name: str = "default") -> Answerer:
    info = read_info(run)
    transformers.utils.logging.disable_progress_bar()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    base = base_of(run, info.config["base"])
    check_base(run, info, base)
    tokenizer = load_tokenizer(base)
    model = load_adapter(base, str(run / names.ADAPTER), device=device, name=adapter_name)
    wordings, frame = wordings_of_run(info.identity), frame_of(info)
    encoder = Encoder(tokenizer, max_length=info.config["max_length"], wordings=wordings, frame=frame)
    return Answerer(model, tokenizer, encoder, find_profile(info.text_profile))
