"""A catalogue as tokens, and the static rows of numbers that a step on the GPU reads.

Shapes: T tokens of a step, D documents at most, A answer tokens at most. A document is a prompt and its answer.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

IGNORED: Final = -100
WINDOW: Final = 2_048  # tokens at which the trainer cuts a record
LONGEST: Final = WINDOW + 64  # of a document whose question has another wording

HELD_OUT: Final = "held_"  # begins the names of wordings that are never trained
BRIEF: Final = "brief"  # the first wording without the base's system prompt


@dataclass(frozen=True)
class Ragged:
    """Lists of token ids of unequal length: list i is `flat[starts[i] : starts[i + 1]]`."""

    flat: NDArray[np.int32]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, lists: Sequence[Collection[int]]) -> "Ragged":
        """These lists, one behind the other."""
        starts = np.cumsum([0, *map(len, lists)], dtype=np.int64)
        return cls(np.fromiter((each for ids in lists for each in ids), np.int32, starts[-1]), starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, index: int) -> NDArray[np.int32]:
        return self.flat[self.starts[index] : self.starts[index + 1]]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Of each list."""
        return np.diff(self.starts)


@dataclass(frozen=True)
class Catalogue:
    """Answers (with the end token) and, for each wording of the question, prompts; one of each a record."""

    answers: Ragged
    prompts: Mapping[str, Ragged]

    def __len__(self) -> int:
        return len(self.answers)

    def wordings(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """These names of wordings; `all`, or `trained`, alone stands for those of the catalogue."""
        if names == ("all",):
            return tuple(sorted(self.prompts))
        if names == ("trained",):
            return tuple(sorted(name for name in self.prompts if name != BRIEF and not name.startswith(HELD_OUT)))
        return names


@dataclass(frozen=True)
class StepShape:
    """The sizes of a step, fixed so that one CUDA graph serves all steps."""

    tokens: int
    documents: int
    answers: int

    @classmethod
    def of(cls, tokens: int) -> "StepShape":
        """Room for documents of 80 tokens, and for answers up to some four fifths of the tokens.

        Both are more than a catalogue has on average (206 tokens, 76 % of them answers); what is free costs time.
        """
        return cls(
            tokens,
            documents=tokens // 80 + tokens // WINDOW + 8,
            answers=min(tokens, max(WINDOW, tokens * 4 // 5 + 256)),
        )

    @property
    def padding(self) -> int:
        """Documents that are kept free, for a step that is all padding to hold none longer than the window."""
        return self.tokens // WINDOW + 1

    @property
    def parts(self) -> tuple[int, ...]:
        """Lengths of a row's parts: ids, positions, bounds of documents, places, targets and owners of answers."""
        return self.tokens, self.tokens, self.documents + 1, self.answers, self.answers, self.answers


def load_catalogues(path: Path) -> dict[str, Catalogue]:
    """What `project.save_catalogues` wrote."""
    with np.load(path) as file:
        names = {tuple(key.split("/")[:2]) for key in file}
        read = {
            name: Ragged(file[f"{name[0]}/{name[1]}/flat"].astype(np.int32), file[f"{name[0]}/{name[1]}/starts"])
            for name in names
        }
    return {
        part: Catalogue(
            read[part, "answers"],
            {wording: ragged for (each, wording), ragged in read.items() if each == part and wording != "answers"},
        )
        for part in sorted({name[0] for name in names})
    }


Documents = Sequence[tuple[int, str]]  # records with the wording that each is asked by


def cut_into_steps(
    documents: Iterable[tuple[int, str]], catalogue: Catalogue, shape: StepShape
) -> Iterator[list[tuple[int, str]]]:
    """The documents in their order, as many a step as fit. The last step may be part full."""
    num_prompt = {wording: ragged.lengths for wording, ragged in catalogue.prompts.items()}
    num_answer = catalogue.answers.lengths
    step: list[tuple[int, str]] = []
    tokens = answers = 0
    for record, wording in documents:
        answer = int(num_answer[record])
        length = int(num_prompt[wording][record]) + answer
        if length > min(shape.tokens, LONGEST) or answer > shape.answers:
            raise ValueError(f"record {record} has {length} tokens, too many for a step of {shape.tokens}")
        if (
            tokens + length > shape.tokens
            or answers + answer > shape.answers
            or len(step) == shape.documents - shape.padding
        ):
            yield step
            step, tokens, answers = [], 0, 0
        step.append((record, wording))
        tokens, answers = tokens + length, answers + answer
    if step:
        yield step


def step_row(documents: Documents, catalogue: Catalogue, shape: StepShape) -> NDArray[np.int32]:
    """The numbers of a step, one part behind the other as `StepShape.parts` says.

    What they leave free is cut into documents without answers, of equal length. The answers that are not there have
    IGNORED as their target, and as their owner the record after the last.
    """
    ids = np.zeros(shape.tokens, np.int32)
    positions = np.zeros(shape.tokens, np.int32)
    bounds = np.full(shape.documents + 1, shape.tokens, np.int32)
    places = np.zeros(shape.answers, np.int32)
    targets = np.full(shape.answers, IGNORED, np.int32)
    owners = np.full(shape.answers, len(catalogue), np.int32)
    at = done = 0
    for number, (record, wording) in enumerate(documents):
        prompt, answer = catalogue.prompts[wording][record], catalogue.answers[record]
        begin, end = at + len(prompt), at + len(prompt) + len(answer)
        bounds[number] = at
        ids[at:begin], ids[begin:end] = prompt, answer
        positions[at:end] = np.arange(end - at)
        span = slice(done, done + len(answer))
        places[span], targets[span], owners[span] = np.arange(begin - 1, end - 1), answer, record
        at, done = end, done + len(answer)
    free = shape.tokens - at
    length = -(-free // (shape.documents - len(documents))) or 1
    bounds[len(documents) :] = np.minimum(at + length * np.arange(len(bounds) - len(documents)), shape.tokens)
    positions[at:] = np.arange(free) % length
    return np.concatenate([ids, positions, bounds, places, targets, owners])
