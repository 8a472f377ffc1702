"""Answers from a trained run, and the entry point of `vitrine ask`."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Final

import torch
import transformers
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedTokenizerBase, TextStreamer

from command.entry import exit_code
from command.options import parse_settings
from contract.errors import UserError
from contract.text.clean import clean
from contract.text.profiles import Profile, find_profile
from trainer.answers.adapters import PartAdapters
from trainer.answers.settings import AskConfig
from trainer.engines.base import end_tokens, load_adapter, load_tokenizer
from trainer.examples.encoder import Encoder
from trainer.examples.questions import Asked, asked_about
from trainer.examples.wordings import wordings_of_run
from trainer.parts.manifest import is_in_parts, read_parts
from trainer.runs import names
from trainer.runs.folder import base_of, check_base, frame_of, read_info

# Titles that are asked about together. Each takes memory for the keys and values of its prompt and answer.
TITLES_AT_ONCE: Final = 64


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

    def answer(
        self, title: str, *, max_new_tokens: int, wording: str | None = None, streamer: TextStreamer | None = None
    ) -> str:
        """The answer to a cleaned title by greedy decoding, up to its end token; the streamer gets each new token.

        The question is the run's first wording, unless `wording` names another.
        """
        return self._generate([title], max_new_tokens=max_new_tokens, wording=wording, streamer=streamer)[0]

    def answers(self, titles: Sequence[str], *, max_new_tokens: int) -> list[str]:
        """The answers to cleaned titles, computed together; in exact arithmetic those that each gets alone."""
        if self.adapters is None:
            return self._generate(titles, max_new_tokens=max_new_tokens)
        found: dict[int, str] = {}
        for batch in self.adapters.batches(titles):
            texts = self._generate([titles[index] for index in batch], max_new_tokens=max_new_tokens)
            found |= zip(batch, texts, strict=True)
        return [found[index] for index in range(len(titles))]

    def _generate(
        self,
        titles: Sequence[str],
        *,
        max_new_tokens: int,
        wording: str | None = None,
        streamer: TextStreamer | None = None,
    ) -> list[str]:
        """Shorter prompts are filled up on their left; the mask hides that, and positions begin after it."""
        prompts = [self.encoder.prompt_ids(title, wording=wording) for title in titles]
        adapters = {"adapter_names": self.adapters.load(titles)} if self.adapters else {}
        longest, end = max(map(len, prompts)), self.tokenizer.eos_token_id
        fill = [longest - len(prompt) for prompt in prompts]
        ids = torch.tensor([[end] * num + prompt for num, prompt in zip(fill, prompts, strict=True)])
        mask = torch.tensor([[0] * num + [1] * (longest - num) for num in fill])
        with torch.inference_mode():
            output = self.model.generate(
                input_ids=ids.to(self.model.device),
                attention_mask=mask.to(self.model.device),
                max_new_tokens=max_new_tokens,
                do_sample=False,
                eos_token_id=self.ends,
                pad_token_id=end,  # what follows an answer's end
                streamer=streamer,
                **adapters,
            )
        answers = [up_to_end(row, ends=self.ends) for row in output[:, longest:].tolist()]
        return [text.strip() for text in self.tokenizer.batch_decode(answers, skip_special_tokens=True)]


def up_to_end(ids: Sequence[int], *, ends: Sequence[int]) -> list[int]:
    """The tokens before the first one that ends an answer; some bases have end tokens that decoding would spell out."""
    return list(takewhile(lambda number: number not in ends, ids))


def require_room(num_tokens: int, *, window: int) -> None:
    """Raises UserError where a prompt takes the run's whole window: no title of that length was trained."""
    if num_tokens >= window:
        raise UserError(
            f"the title and its question have {num_tokens:,} tokens, expected fewer than {window:,}, the window that"
            " this run was trained with: ask about a shorter title"
        )


class _AnswerStreamer(TextStreamer):
    """Prints an answer word by word, without the tokens that end it."""

    def __init__(self, answerer: Answerer) -> None:
        super().__init__(answerer.tokenizer, skip_prompt=True, skip_special_tokens=True)
        self._ends = answerer.ends

    def put(self, value: Tensor) -> None:
        """Takes the prompt, then one token after the other."""
        if value.numel() > 1 or value.item() not in self._ends:
            super().put(value)


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


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0, or 2 where the user has to change something."""
    return exit_code(lambda: ask(parse_settings(AskConfig, argv, prog="trainer.answers.answer", description=__doc__)))


def ask(config: AskConfig) -> None:
    """Prints the answer word by word, or with `--json` as one line when it is complete; with the title it is about."""
    answerer = load_answerer(Path(config.run))
    profile = answerer.profile
    asked = Asked(clean(config.question, profile)) if config.as_title else asked_about(config.question, profile)
    if not asked.title:
        raise UserError(f"nothing is left of {config.question!r} after cleaning: ask about a product's title")
    wording = answerer.encoder.wording_for(asked.language)
    prompt = answerer.encoder.prompt_ids(asked.title, wording=wording)
    require_room(len(prompt), window=answerer.encoder.max_length)
    answer = partial(answerer.answer, asked.title, wording=wording, max_new_tokens=config.max_new_tokens)
    if config.json:
        found = {"question": config.question, "title": asked.title, "answer": answer()}
        print(json.dumps(found, ensure_ascii=False))
        return
    print(f"title: {asked.title}", file=sys.stderr, flush=True)
    answer(streamer=_AnswerStreamer(answerer))


if __name__ == "__main__":
    sys.exit(main())
