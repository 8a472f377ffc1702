"""What breaks the laws of a data set: each law by name, counted, with the first few examples."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

MAX_EXAMPLES: Final = 5  # of each law; further discrepancies are only counted
_MAX_CHARACTERS: Final = 80  # of a text that is quoted

LAWS: Final = {
    "manifest": "the manifest is whole, adds up and says how its records were made",
    "name": "a file's name holds its split, its number and the start of its sha256",
    "file": "every named file is there, with its size and its sha256",
    "shard rows": "every shard of a split but the last holds shard_rows rows, and each as many as the manifest says",
    "readable": "every page is whole and every text is UTF-8",
    "digests": "row groups and footer begin, end and have the digests that the manifest says",
    "schema": "files have exactly the contract's columns, nothing nullable that must be there",
    "layout": "row groups are full but the last of a file, and compressed by zstd",
    "uid": "every record has a uid",
    "alphabet": "texts are not empty, hold only the profile's characters, and single blanks between them",
    "clean": "cleaning a text again changes nothing",
    "key": "a record's key is the hash of its title and content",
    "order": "keys ascend over a whole split, those of each append for themselves",
    "unique": "no key occurs twice",
    "split": "a record lies in the split that its title gives",
    "rejected": "a rejected line has a known reason, its source and offset, and what the reason refers to",
    "rejected order": "rejected lines lie in the order of their keys, those of each append for themselves",
    "reasons": "as many lines are rejected for each reason as the manifest says",
    "card": "the data card beside the data set is its own",
}


@dataclass(frozen=True)
class Discrepancy:
    """One file or row that breaks a law. Rows are counted from 0."""

    law: str
    where: str
    found: str
    expected: str


@dataclass
class Findings:
    """Discrepancies of all laws: all are counted, the first MAX_EXAMPLES of each law are kept."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: list[Discrepancy] = field(default_factory=list)

    def add(self, discrepancies: Iterable[Discrepancy]) -> None:
        """Counts each."""
        for discrepancy in discrepancies:
            if self.counts[discrepancy.law] < MAX_EXAMPLES:
                self.examples.append(discrepancy)
            self.counts[discrepancy.law] += 1

    def add_rows(
        self, law: str, path: str, rows: Sequence[int], *, describe: Callable[[int], tuple[object, object]]
    ) -> None:
        """Counts one for each of these rows of a file; `describe` gives (found, expected) of the n-th."""
        room = max(0, MAX_EXAMPLES - self.counts[law])
        for nth, row in enumerate(rows[:room]):
            found, expected = describe(nth)
            self.examples.append(Discrepancy(law, f"{path} row {row}", str(found), str(expected)))
        if len(rows):
            self.counts[law] += len(rows)

    def merge(self, other: "Findings") -> None:
        """Adds the findings of another file, after the present ones."""
        kept = Counter(example.law for example in self.examples)
        for example in other.examples:
            kept[example.law] += 1
            if kept[example.law] <= MAX_EXAMPLES:
                self.examples.append(example)
        self.counts.update(other.counts)


def quote(value: str | bytes | None) -> str:
    """A text from the data as a message may show it, cut, without control characters; bytes in hex."""
    if value is None:
        return "nothing"
    if isinstance(value, bytes):
        return value.hex()
    cut = value[:_MAX_CHARACTERS]
    return repr(cut) + ("…" if len(cut) < len(value) else "")
