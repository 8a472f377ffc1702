"""What a data card tells, as plain data: the schema of card.json."""

from typing import Any

import msgspec


class SourceFile(msgspec.Struct, frozen=True):
    """One input file."""

    path: str
    bytes: int


class Rejection(msgspec.Struct, frozen=True):
    """Lines that did not get through for one reason; the share is of all lines."""

    reason: str
    meaning: str
    lines: int
    share: float


class SplitSize(msgspec.Struct, frozen=True):
    """One split; the share is of the records kept."""

    split: str
    records: int
    share: float
    shards: int
    bytes: int


class Bin(msgspec.Struct, frozen=True):
    """How many whole numbers there are from the first to the last."""

    first: int
    last: int
    count: int


class Lengths(msgspec.Struct, frozen=True):
    """Lengths of one kind of text. Quantiles are read off the bins, so they are right to a few percent."""

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
    """What raw texts of one kind hold; shares are of the texts that are not empty."""

    of: str
    texts: int
    with_entity: int
    with_entity_share: float
    with_tag: int
    with_tag_share: float
    beyond_ascii: int
    beyond_ascii_share: float


class EntityKind(msgspec.Struct, frozen=True):
    """How often entities of one kind occur in raw titles and contents; the share is of all entities."""

    kind: str
    example: str
    count: int
    share: float


class EntityCount(msgspec.Struct, frozen=True):
    """How often an entity occurs in raw titles and contents; the share is of all entities."""

    entity: str
    meaning: str
    count: int
    share: float


class Entities(msgspec.Struct, frozen=True):
    """All entities, by kind, and the most frequent ones."""

    total: int
    kinds: tuple[EntityKind, ...]
    most_frequent: tuple[EntityCount, ...]


class CharacterCount(msgspec.Struct, frozen=True):
    """Characters of one class in sampled records, before and after cleaning, and their shares of all."""

    characters: str
    before: int
    before_share: float
    after: int
    after_share: float


class Characters(msgspec.Struct, frozen=True):
    """Characters of sampled records, titles and contents together."""

    sampled_records: int
    before: int
    after: int
    classes: tuple[CharacterCount, ...]


class Duplicates(msgspec.Struct, frozen=True):
    """Groups of records that are equal once cleaned, by size; of each group one record is kept."""

    groups: int
    largest: int
    sizes: tuple[Bin, ...]


class Example(msgspec.Struct, frozen=True):
    """A record before and after. Texts are cut; the lengths are of the whole, in characters."""

    uid: str
    raw_title: str
    title: str
    raw_content: str
    content: str
    raw_title_length: int
    raw_content_length: int


class Card(msgspec.Struct, frozen=True):
    """All that a data card tells."""

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
    kept: int
    kept_share: float
    splits: tuple[SplitSize, ...]
    lengths: tuple[Lengths, ...]
    traits: tuple[Traits, ...]
    entities: Entities
    characters: Characters
    duplicates: Duplicates
    examples: tuple[Example, ...]
