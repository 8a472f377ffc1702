"""The entry point of `vitrine ask`: a question to a trained run."""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from command.entry import exit_code
from command.options import parse_settings
from contract.errors import UserError
from contract.text.clean import clean
from trainer.answers.answerer import Answerer, load_answerer, require_room
from trainer.answers.settings import AskConfig
from trainer.examples.questions import Asked, asked_about
from trainer.generation.request import Request


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
    request = answerer.request(asked.title, wording=wording, max_new_tokens=config.max_new_tokens)
    require_room(len(request.prompt_ids), window=answerer.encoder.max_length)
    texts = stream(answerer, request)
    if config.json:
        found = {"question": config.question, "title": asked.title, "answer": "".join(texts).strip()}
        print(json.dumps(found, ensure_ascii=False))
        return
    print(f"title: {asked.title}", file=sys.stderr, flush=True)
    for text in texts:
        print(text, end="", flush=True)
    print()


def stream(answerer: Answerer, request: Request) -> Iterator[str]:
    """The answer to one request as it is written, without blanks before it."""
    batch, is_begun = answerer.batch(), False
    batch.add(request)
    while not batch.is_idle:
        for _, event in batch.step():
            text = event.text if is_begun else event.text.lstrip()
            is_begun = is_begun or bool(text)
            if text:
                yield text


if __name__ == "__main__":
    sys.exit(main())
