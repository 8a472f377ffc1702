"""The wordings of the question about a title, as wordings.toml lists them, and which one a record gets in an epoch."""

import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Annotated, Any, Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from contract.columns import KEY_BYTES
from contract.errors import unknown_name
from contract.keys import GOLDEN, mix64
from trainer.config import DEFAULT_WORDING

TITLE: Final = "{title}"
_FIRST: Final = "what-is"

Language = Literal["english", "portuguese"]
Question = Annotated[str, msgspec.Meta(pattern=r"^[^{}]*\{title\}[^{}]*$")]


class Wording(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the model is asked about a title; wordings.toml explains the fields."""

    name: str = ""
    language: Language
    use: Literal["trained", "held out", "by name"]
    question: Question
    also: tuple[Question, ...] = ()
    is_prompt: bool = False
    is_lower: bool = False


class Around(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Words that people write around a question or its title."""

    before: tuple[str, ...]
    after: tuple[str, ...]
    nouns: tuple[str, ...]
    abbreviations: tuple[str, ...]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of wordings.toml."""

    around: dict[Language, Around]
    wording: dict[str, Wording]


_FILE: Final = msgspec.toml.decode(files("trainer.examples").joinpath("wordings.toml").read_bytes(), type=_File)
AROUND: Final[Mapping[Language, Around]] = _FILE.around
WORDINGS: Final[Mapping[str, Wording]] = {
    name: msgspec.structs.replace(wording, name=name) for name, wording in _FILE.wording.items()
}


def find_wordings(name: str) -> tuple[Wording, ...]:
    """The wordings that `--wording NAME` trains; UserError with the nearest known name where there is no such set.

    A set is `mixed`, a language, or a single wording by its name.

    >>> [wording.name for wording in find_wordings("alpaca")]
    ['alpaca']
    """
    trained = [wording for wording in WORDINGS.values() if wording.use == "trained"]
    sets: dict[str, list[Wording]] = {
        language: [each for each in trained if each.language == language] for language in AROUND
    }
    sets |= {DEFAULT_WORDING: trained}
    singles = {each.name: [each] for each in WORDINGS.values() if each.use != "held out"}
    if name not in sets | singles:
        raise unknown_name("wording", name, sets | singles)
    return tuple((singles | sets)[name])


def wordings_of_run(identity: Mapping[str, Any]) -> tuple[Wording, ...]:
    """The wordings that a run trained, with the questions of that time, from its identity (see Encoder.identity).

    A run from before there were several asked only "What is TITLE?".
    """
    questions = identity.get("wordings", {_FIRST: WORDINGS[_FIRST].question})
    lower = identity.get("in lower case", ())
    unknown = Wording(language="english", use="by name", question=TITLE)
    return tuple(
        msgspec.structs.replace(WORDINGS.get(name, unknown), name=name, question=question, is_lower=name in lower)
        for name, question in questions.items()
    )


def held_out(language: Language) -> tuple[Wording, ...]:
    """The wordings of a language that no run trains."""
    return tuple(each for each in WORDINGS.values() if each.use == "held out" and each.language == language)


def draw(keys: Sequence[bytes], *, epoch: int, num: int) -> NDArray[np.int64]:
    """For each record, by its key, the number of its wording in this epoch, from 0 to below `num`.

    A pure function, so it is the same on every rank and after every resume. From one multiple of `num` epochs to the
    next, each record gets each wording once: it begins at a wording that its key gives, and steps by a stride that has
    no factor in common with `num`; both are new for the next `num` epochs.
    """
    cycle, turn = divmod(epoch, num)
    # The first half of a key orders the shards, so records that are read together have it nearly in common.
    words = np.frombuffer(b"".join(keys), ">u8")[1 :: KEY_BYTES // 8].astype(np.uint64)
    mixed = mix64(words + np.uint64((cycle + 1) * GOLDEN % 2**64))
    strides = np.array([stride for stride in range(1, num + 1) if math.gcd(stride, num) == 1])
    first = (mixed % np.uint64(num)).astype(np.int64)
    return (first + strides[(mixed >> np.uint64(32)) % np.uint64(len(strides))] * turn) % num
