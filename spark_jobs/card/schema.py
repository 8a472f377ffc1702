"""The schema of card.json: counts only, as a share is one count divided by another."""

from typing import Any

import msgspec


class SourceFile(msgspec.Struct, frozen=True):
    """One input file."""

    path: str
    bytes: int


class Rejection(msgspec.Struct, frozen=True):
    """Lines that were rejected for one reason."""

    reason: str
    meaning: str
    lines: int


class ReadNote(msgspec.Struct, frozen=True):
    """How often values or lines were read otherwise than they stand, in one way."""

    note: str
    meaning: str
    count: int


class SplitSize(msgspec.Struct, frozen=True):
    """One split."""

    split: str
    records: int
    shards: int
    bytes: int


class Bin(msgspec.Struct, frozen=True):
    """The number of values from `first` to `last`, both included."""

    first: int
    last: int
    count: int


class Lengths(msgspec.Struct, frozen=True):
    """Lengths of one kind of text. Quantiles are computed from the bins, so they are right to a few percent."""

    of: str
    unit: str
    texts: int
    total: int
    mean: float
    shortest: int
    longest: int
    quantiles: dict[str, int]
    bins: tuple[Bin, ...]


class Traits(msgspec.Struct, frozen=True):
    """The raw texts of one kind that are not empty, and how many hold an entity, a tag, a character beyond ASCII."""

    of: str
    texts: int
    with_entity: int
    with_tag: int
    beyond_ascii: int


class EntityKind(msgspec.Struct, frozen=True):
    """How often entities of one kind occur in raw titles and contents."""

    kind: str
    example: str
    count: int


class EntityCount(msgspec.Struct, frozen=True):
    """How often one entity occurs in raw titles and contents."""

    entity: str
    meaning: str
    count: int


class Entities(msgspec.Struct, frozen=True):
    """All entities, by kind, and the most frequent ones."""

    total: int
    kinds: tuple[EntityKind, ...]
    most_frequent: tuple[EntityCount, ...]


class CharacterCount(msgspec.Struct, frozen=True):
    """Characters of one class in sampled records, before and after cleaning."""

    characters: str
    before: int
    after: int


class Characters(msgspec.Struct, frozen=True):
    """Characters of sampled records, titles and contents together."""

    sampled_records: int
    before: int
    after: int
    classes: tuple[CharacterCount, ...]


class FactCount(msgspec.Struct, frozen=True):
    """Sampled records that hold facts of one kind, and the profiles that leave such facts as they are."""

    facts: str
    example: str
    records: int
    kept_by: tuple[str, ...]


class SignCount(msgspec.Struct, frozen=True):
    """A sign that the profile changes, and how often it occurs in sampled records."""

    sign: str
    name: str
    times: int
    becomes: str  # a blank, nothing, or another sign


class Duplicates(msgspec.Struct, frozen=True):
    """Groups of records that are equal once cleaned, by size. One record of each group is kept."""

    groups: int
    largest: int
    sizes: tuple[Bin, ...]


class CardSample(msgspec.Struct, frozen=True):
    """A record before and after cleaning. Its texts may be cut; lengths are those of the whole texts, in characters."""

    uid: str
    raw_title: str
    title: str
    raw_content: str
    content: str
    raw_title_length: int
    raw_content_length: int


class Card(msgspec.Struct, frozen=True):
    """The whole data card."""

    dataset_id: str
    created_at: str
    command: str
    config: dict[str, Any]  # as in the manifest: values of any JSON type
    text_profile: str
    num_sources: int
    source_bytes: int
    sources: tuple[SourceFile, ...]  # the first ones
    lines: int
    rejected: tuple[Rejection, ...]
    notes: tuple[ReadNote, ...]  # only of what happened
    kept: int
    splits: tuple[SplitSize, ...]
    lengths: tuple[Lengths, ...]
    traits: tuple[Traits, ...]
    entities: Entities
    characters: Characters
    facts: tuple[FactCount, ...]
    changed_signs: tuple[SignCount, ...]
    duplicates: Duplicates
    examples: tuple[CardSample, ...]
