"""The entry point of `vitrine ask`: questions to a trained run, their answers, and the sources of these."""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from command.entry import USER_ERROR_CODE, exit_code
from command.options import parse_settings
from command.progress import ProgressBar
from command.terminal import printable
from contract import storage
from contract.errors import UserError
from trainer.answers.questions import Question, profile_of, raise_problems, read_questions, require_room, understood
from trainer.answers.quick import QuickAnswerer, load_quickly
from trainer.answers.settings import AskConfig
from trainer.generation.generate import as_finished, finished
from trainer.generation.request import Event, Finished, Request, Sampling

if TYPE_CHECKING:
    from trainer.answers.answerer import Answerer
    from trainer.lookup.catalogue import Catalogue

_HINT: Final = "Ask about a product, one question a line; each is asked by itself, as in training. Ctrl-D ends."


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0, or 2 where the user has to change something."""
    return exit_code(lambda: ask(parse_settings(AskConfig, argv, prog="trainer.answers.answer", description=__doc__)))


def ask(config: AskConfig) -> int:
    """Answers one question, a file of them, or those that come line by line; the exit code."""
    if config.questions:
        return _ask_file(config, config.questions)
    run = Path(config.run)
    desk = _Desk(config, load_quickly(run) or _load_answerer(run))
    if config.question is None:
        return _converse(desk)
    desk.answer(config.question)
    return 0


class _Desk:
    """A trained run, and the catalogue in which it looks titles up: opened at the first answer, which need not wait."""

    def __init__(self, config: AskConfig, answerer: "Answerer | QuickAnswerer") -> None:
        self._config, self._answerer = config, answerer
        self._catalogue: Catalogue | None = None
        self._is_open = not config.sources

    def answer(self, text: str) -> None:
        """Prints the answer word by word, then its sources to stderr; with `--json` all in one line at the end."""
        config = self._config
        question = self.understood(text)
        request = self.request(question)
        if config.json:
            events = list(self._events(request))
            print(json.dumps(self.record(question, finished(events)), ensure_ascii=False), flush=True)
            return
        print(f"title: {printable(question.asked.title)}", file=sys.stderr, flush=True)
        answer = _printed(self._events(request)).strip()
        if catalogue := self.catalogue():
            from trainer.answers.sources import as_lines

            found = catalogue.find(question.asked.title)
            print(*as_lines(found, answer, marks=sys.stderr.isatty()), sep="\n", file=sys.stderr, flush=True)

    def understood(self, text: str) -> Question:
        """The question in a text; UserError where there is none."""
        return understood(text, profile=self._answerer.profile, as_title=self._config.as_title)

    def request(self, question: Question) -> Request:
        """What the model is asked; UserError where the title is too long."""
        config, encoder = self._config, self._answerer.encoder
        request = self._answerer.request(
            question.asked.title,
            wording=encoder.wording_for(question.asked.language),
            max_new_tokens=config.max_new_tokens,
            is_before=config.before,
            sampling=Sampling(
                temperature=config.temperature,
                top_p=config.top_p,
                repetition_penalty=config.repetition_penalty,
                seed=config.seed,
            ),
        )
        require_room(len(request.prompt_ids), window=encoder.max_length)
        return request

    def record(self, question: Question, answer: Finished) -> dict[str, Any]:
        """One answer as JSON has it."""
        from trainer.answers.sources import as_json

        text, catalogue = answer.text.strip(), self.catalogue()
        found = catalogue.find(question.asked.title) if catalogue else None
        return {
            **question.about,
            "question": question.text,
            "title": question.asked.title,
            "before": self._config.before,
            "answer": text,
            "finish_reason": answer.finish_reason,
            "tokens": len(answer.token_ids),
            **as_json(found, text),
        }

    def catalogue(self) -> "Catalogue | None":
        """Where titles are looked up; None where there is no catalogue."""
        if not self._is_open:
            from trainer.answers.sources import open_sources  # only now: the first word does not wait for it

            self._is_open = True
            self._catalogue = open_sources(Path(self._config.run), self._config.ground)
        return self._catalogue

    def _events(self, request: Request) -> Iterator[Event]:
        batch = self._answerer.batch(num_slots=1)
        batch.add(request)
        while not batch.is_idle:
            for _, event in batch.step():
                if event.error:
                    raise event.error
                yield event


def _load_answerer(run: Path) -> "Answerer":
    """The run by transformers and PEFT, whose imports take some seconds."""
    from trainer.answers.answerer import load_answerer

    return load_answerer(run)


def _printed(events: Iterator[Event]) -> str:
    """Prints an answer as it is written, without blanks around it, and gives it back."""
    whole = blanks = ""
    for event in events:
        text = event.text if whole else event.text.lstrip()
        solid = text.rstrip()
        if solid:
            shown = blanks + solid if whole else solid
            print("\n".join(map(printable, shown.split("\n"))), end="", flush=True)
            whole, blanks = whole + shown, ""
        blanks += text[len(solid) :]
    print(flush=True)
    return whole


def _converse(desk: _Desk) -> int:
    """Answers line by line up to the end of the input; the exit code is 2 if a piped line could not be answered."""
    is_terminal, num_failed = sys.stdin.isatty(), 0
    if hasattr(sys.stdin, "reconfigure"):
        sys.stdin.reconfigure(errors="surrogateescape")  # what is no text is cleaned away like other signs
    if is_terminal:
        print(_HINT, file=sys.stderr)
    for number, line in enumerate(_lines(prompt="> " if is_terminal else ""), start=1):
        if not line.strip():
            continue
        try:
            desk.answer(line.strip())
        except UserError as error:
            place = "" if is_terminal else f"line {number}: "
            print(f"error: {place}{error}", file=sys.stderr, flush=True)
            num_failed += 1
    return USER_ERROR_CODE if num_failed and not is_terminal else 0


def _lines(*, prompt: str) -> Iterator[str]:
    while True:
        print(prompt, end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:
            return
        yield line


def _ask_file(config: AskConfig, path: str) -> int:
    """Answers the questions of a file together, and writes the answers in their order."""
    if config.output:
        _require_place(Path(config.output))
    questions = read_questions(path, config, profile=profile_of(Path(config.run)))
    answerer = _load_answerer(Path(config.run))
    desk = _Desk(config, answerer)
    requests, problems = [], []
    for question in questions:
        try:
            requests.append(desk.request(question))
        except UserError as error:
            problems.append(f"line {question.about['line']}: {error}")
    raise_problems(path, problems)
    progress, answers = ProgressBar("answering:"), {}
    for number, answer in as_finished(answerer.batch(), requests):
        answers[number] = answer
        progress.show(len(answers) / len(requests))
    records = [desk.record(question, answers[number]) for number, question in enumerate(questions)]
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    if config.output:
        storage.write_bytes(config.output, lines.encode())
    else:
        print(lines, end="")
    progress.done(f"{len(questions):,} questions")
    return 0


def _require_place(path: Path) -> None:
    """Raises UserError where no file can be written, before anything is answered."""
    if path.is_dir() or not path.parent.is_dir():
        found = "it is a folder" if path.is_dir() else f"there is no folder {path.parent}"
        raise UserError(f"cannot write the answers to {path}: {found}")
    storage.require_writable(str(path.parent))


if __name__ == "__main__":
    sys.exit(main())
