"""Questions as they come, from a command line, a terminal or a file, and the requests that they become."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from command.terminal import cut, printable
from contract.errors import UserError
from contract.text.clean import clean, replace_lone_surrogates
from contract.text.profiles import Profile, find_profile
from trainer.answers.settings import AskConfig
from trainer.examples.questions import Asked, asked_about
from trainer.generation.request import GREEDY, Request, Sampling
from trainer.parts.manifest import is_in_parts, read_parts
from trainer.runs.folder import read_info

_JSON_LINES: Final = (".jsonl", ".ndjson", ".json")
_KEYS: Final = ("id", "question", "title")
_SHOWN: Final = 5  # bad lines that a message names
_SHOWN_COLUMNS: Final = 60


@dataclass(frozen=True)
class Question:
    """A question, and the title that it asks about."""

    text: str
    asked: Asked
    about: dict[str, Any]  # what its answer repeats of the line of a file: its number, and its id if it has one


def profile_of(run: Path) -> Profile:
    """The profile that cleaned the titles of a run, and so cleans those of questions; UserError if there is no run."""
    return find_profile(read_parts(run).text_profile if is_in_parts(run) else read_info(run).text_profile)


def understood(text: str, *, profile: Profile, as_title: bool, about: dict[str, Any] | None = None) -> Question:
    """The question with its title, cleaned as in training; UserError where it has none."""
    text = replace_lone_surrogates(text)
    asked = Asked(clean(text, profile)) if as_title else asked_about(text, profile)
    if not asked.title:
        shown = cut(printable(text), _SHOWN_COLUMNS)
        raise UserError(f"nothing is left of '{shown}' after cleaning: ask about a product's title")
    return Question(text, asked, about or {})


def read_questions(path: str, config: AskConfig, *, profile: Profile) -> list[Question]:
    """The questions of a file, without its blank lines; UserError names the lines that are none, by their numbers."""
    try:
        lines = Path(path).read_bytes().splitlines()
    except OSError as error:
        raise UserError(f"cannot read the questions in {path}: {error.strerror}") from error
    is_json = Path(path).suffix.lower() in _JSON_LINES
    questions, problems = [], []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            questions.append(_question(line, number, is_json=is_json, config=config, profile=profile))
        except UserError as error:
            problems.append(f"line {number}: {error}")
    raise_problems(path, problems)
    if not questions:
        raise UserError(f"{path} has no question, expected one a line")
    return questions


def raise_problems(path: str, problems: Sequence[str]) -> None:
    """Raises UserError with the first lines of a file that cannot be answered, if there are any."""
    if problems:
        more = f"; and {len(problems) - _SHOWN:,} lines more" * (len(problems) > _SHOWN)
        raise UserError(f"{path}: {'; '.join(problems[:_SHOWN])}{more}")


def require_room(num_tokens: int, *, window: int) -> None:
    """Raises UserError where a prompt takes the run's whole window: no title of that length was trained."""
    if num_tokens >= window:
        raise UserError(
            f"the title and its question have {num_tokens:,} tokens, expected fewer than {window:,}, the window that"
            " this run was trained with: ask about a shorter title"
        )


def request_about(
    prompt_ids: Sequence[int],
    *,
    adapter: str | None,
    max_new_tokens: int,
    positions: int | None,
    sampling: Sampling = GREEDY,
    stop: tuple[str, ...] = (),
) -> Request:
    """The request for an answer behind this prompt, which ends at the last of the base's positions, if it names them.

    `adapter` is its name in the model; None asks the base alone, as before training.
    """
    if positions:
        max_new_tokens = max(1, min(max_new_tokens, positions - len(prompt_ids)))
    return Request(
        prompt_ids=tuple(prompt_ids), adapter=adapter, max_new_tokens=max_new_tokens, sampling=sampling, stop=stop
    )


def _question(line: bytes, number: int, *, is_json: bool, config: AskConfig, profile: Profile) -> Question:
    about: dict[str, Any] = {"line": number}
    as_title = config.as_title
    try:
        text: Any = line.decode("utf-8-sig" if number == 1 else "utf-8")
        if is_json:
            text = json.loads(text)
    except UnicodeDecodeError as error:
        raise UserError("no text in UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"no JSON ({error})") from error
    if isinstance(text, dict):
        if "id" in text:
            about["id"] = text["id"]
        as_title = as_title or "title" in text
        text = _text_of(text)
    if not isinstance(text, str):
        raise UserError(f"{type(text).__name__}, expected a text, or an object with 'question' or 'title'")
    return understood(text.strip(), profile=profile, as_title=as_title, about=about)


def _text_of(values: dict[str, Any]) -> Any:
    if unknown := sorted(values.keys() - set(_KEYS)):
        raise UserError(f"unknown key {unknown[0]!r}, expected {', '.join(_KEYS)}")
    found = [values[key] for key in ("question", "title") if key in values]
    if len(found) != 1:
        raise UserError("an object with both or none of 'question' and 'title', expected one of them")
    return found[0]
