"""A trained run that answers: its base, its adapter or adapters, and all that turns a title into a request."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import transformers
from peft import PeftModel
from transformers import PreTrainedTokenizerBase

from contract.errors import UserError
from contract.text.profiles import Profile, find_profile
from trainer.answers.adapters import PartAdapters
from trainer.engines.base import end_tokens, load_adapter, load_tokenizer
from trainer.examples.encoder import Encoder
from trainer.examples.wordings import wordings_of_run
from trainer.generation.batch import Batch
from trainer.generation.generate import generate
from trainer.generation.request import GREEDY, Request, Sampling
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
        load = self.adapters.load if self.adapters else None
        return Batch(
            self.model, self.tokenizer, ends=self.ends, num_slots=num_slots, max_tokens=max_tokens, load_adapter=load
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
        prompt = tuple(self.encoder.prompt_ids(title, wording=wording))
        if self.positions:
            max_new_tokens = max(1, min(max_new_tokens, self.positions - len(prompt)))
        adapter = None if is_before else self.adapter_of(title)
        return Request(prompt_ids=prompt, adapter=adapter, max_new_tokens=max_new_tokens, sampling=sampling, stop=stop)

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


def require_room(num_tokens: int, *, window: int) -> None:
    """Raises UserError where a prompt takes the run's whole window: no title of that length was trained."""
    if num_tokens >= window:
        raise UserError(
            f"the title and its question have {num_tokens:,} tokens, expected fewer than {window:,}, the window that"
            " this run was trained with: ask about a shorter title"
        )


def profile_of(run: Path) -> Profile:
    """The profile that cleaned the titles of a run, and so cleans those of questions; UserError if there is no run."""
    return find_profile(read_parts(run).text_profile if is_in_parts(run) else read_info(run).text_profile)


def load_answerer(run: Path) -> Answerer:
    """The run's base and adapter, or adapters; UserError if its training did not finish."""
    if not is_in_parts(run):
        return _load(run)
    runs = read_parts(run).runs
    answerer = _load(run / runs[0].folder, adapter_name=runs[0].folder)
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
