"""The data card as data: the lines read, the lines rejected and why, and what the records are like."""

import json
import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from contract.manifest import Manifest
from contract.reasons import REASONS
from spark_jobs.card.schema import (
    Bin,
    Card,
    CardSample,
    CharacterCount,
    Characters,
    Duplicates,
    Entities,
    EntityCount,
    EntityKind,
    FactCount,
    Lengths,
    ReadNote,
    Rejection,
    SignCount,
    SourceFile,
    SplitSize,
    Traits,
)
from spark_jobs.card.words import meaning_of, name_of
from spark_jobs.counts.facts import FACTS, fate_of, profiles_that_keep
from spark_jobs.counts.histogram import EDGES, Histogram, quantile
from spark_jobs.counts.ids import num_shared_ids
from spark_jobs.counts.records import KeptStatistics, ReadStatistics, Sample
from spark_jobs.counts.traits import TextTraits, kind_of
from spark_jobs.input.notes import NOTES

NUM_ENTITIES: Final = 12  # shown: the most frequent ones
NUM_SOURCES: Final = 20  # shown: the first ones
NUM_EXAMPLES: Final = 10
QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)

_KINDS: Final = {"named": "&amp;", "decimal": "&#38;", "hex": "&#x26;"}  # each with the entity for `&` as an example
_URL_USER: Final = re.compile(r"(?<=://)[^/\s]*@")
_SECRET_NAMES: Final = r"secret|passw(?:or)?d|credential|access[._-]?key|session[._-]?token|signature|[?&]sig"
_SECRET: Final = re.compile(rf"(?is)((?:{_SECRET_NAMES})[\w.-]*=).+")


def make_card(manifest: Manifest, *, read: ReadStatistics, kept: KeptStatistics, command: Sequence[str]) -> Card:
    """The card of a data set. Secrets are removed from the command and from the paths."""
    rows = manifest.rows
    assert (read.num_lines, kept.title_lengths.num) == (rows.input, rows.kept), "statistics of other lines"
    return Card(
        dataset_id=manifest.dataset_id,
        created_at=manifest.created_at,
        command=shlex.join(without_secrets(argument) for argument in command),
        config=dict(manifest.config),
        text_profile=manifest.text_profile,
        num_sources=len(manifest.source),
        source_bytes=sum(source.bytes for source in manifest.source),
        sources=tuple(SourceFile(without_secrets(file.path), file.bytes) for file in manifest.source[:NUM_SOURCES]),
        lines=rows.input,
        rejected=tuple(Rejection(reason, REASONS[reason].meaning, lines) for reason, lines in rows.rejected.items()),
        notes=tuple(ReadNote(note, NOTES[note], count) for note, count in _notes(read).items() if count),
        kept=rows.kept,
        splits=tuple(_split_size(manifest, split) for split in manifest.splits),
        lengths=_all_lengths(kept),
        traits=(_traits("titles", read.titles), _traits("contents", read.contents)),
        entities=_entities(read.entities),
        characters=_characters(read),
        facts=_facts(read),
        changed_signs=_changed_signs(read, manifest.text_profile),
        duplicates=Duplicates(kept.group_sizes.num, kept.group_sizes.most, _bins(kept.group_sizes)),
        examples=tuple(_card_sample(sample) for sample in read.samples if sample.key in kept.first_keys)[:NUM_EXAMPLES],
    )


def card_json(card: Card) -> str:
    """The text of card.json. It is ASCII, so that no character of the data can disturb the program that shows it."""
    return json.dumps(msgspec.to_builtins(card), indent=1) + "\n"


def without_secrets(argument: str) -> str:
    """The argument without the user and password of a URL, and without the value of a setting that is a secret by name.

    >>> without_secrets("--input=s3://me:pass@word@host/x.json"), without_secrets("spark.hadoop.fs.s3a.secret.key=abc")
    ('--input=s3://host/x.json', 'spark.hadoop.fs.s3a.secret.key=***')
    """
    return _SECRET.sub(r"\1***", _URL_USER.sub("", argument))


def _notes(read: ReadStatistics) -> dict[str, int]:
    return {**read.notes, "shared_id": num_shared_ids(read.ids)}


def _split_size(manifest: Manifest, split: str) -> SplitSize:
    shards = manifest.splits[split]
    return SplitSize(split, manifest.num_rows(split), len(shards), sum(shard.bytes for shard in shards))


def _bins(numbers: Histogram) -> tuple[Bin, ...]:
    """From the first bin that is not empty to the last. The last edge begins no bin, as no line is that long."""
    filled = np.flatnonzero(numbers.counts)
    shown = range(filled[0], filled[-1] + 1) if len(filled) else ()
    return tuple(Bin(int(EDGES[index]), int(EDGES[index + 1]) - 1, numbers.counts[index]) for index in shown)


def _all_lengths(kept: KeptStatistics) -> tuple[Lengths, ...]:
    """Lengths in characters, and in tokens where there was a tokenizer."""
    measured = [
        ("titles", "characters", kept.title_lengths),
        ("contents", "characters", kept.content_lengths),
        ("titles", "tokens", kept.title_tokens),
        ("contents", "tokens", kept.content_tokens),
    ]
    return tuple(_lengths(lengths, of=of, unit=unit) for of, unit, lengths in measured if lengths.num)


def _lengths(lengths: Histogram, *, of: str, unit: str) -> Lengths:
    return Lengths(
        of=of,
        unit=unit,
        texts=lengths.num,
        total=lengths.total,
        mean=round(lengths.total / lengths.num, 1),
        shortest=lengths.least,
        longest=lengths.most,
        quantiles={f"{share:.0%}": quantile(lengths, share) for share in QUANTILES},
        bins=_bins(lengths),
    )


def _traits(of: str, traits: TextTraits) -> Traits:
    return Traits(
        of=of,
        texts=traits.num_texts,
        with_entity=traits.num_with_entity,
        with_tag=traits.num_with_tag,
        beyond_ascii=traits.num_beyond_ascii,
    )


def _entities(counts: Mapping[str, int]) -> Entities:
    of_kind = dict.fromkeys(_KINDS, 0)
    for entity, count in counts.items():
        of_kind[kind_of(entity)] += count
    frequent = sorted(counts, key=lambda entity: (-counts[entity], entity))[:NUM_ENTITIES]
    return Entities(
        total=sum(counts.values()),
        kinds=tuple(EntityKind(kind, _KINDS[kind], count) for kind, count in of_kind.items()),
        most_frequent=tuple(EntityCount(entity, meaning_of(entity), counts[entity]) for entity in frequent),
    )


def _characters(read: ReadStatistics) -> Characters:
    before, after = Counter(read.raw_characters), Counter(read.kept_characters)
    names = sorted(before | after, key=lambda name: (-before[name], name))
    return Characters(
        sampled_records=read.num_sampled,
        before=before.total(),
        after=after.total(),
        classes=tuple(CharacterCount(name, before[name], after[name]) for name in names),
    )


def _facts(read: ReadStatistics) -> tuple[FactCount, ...]:
    """The kinds that occur, the most frequent ones first."""
    names = sorted(read.facts, key=lambda name: (-read.facts[name], name))
    return tuple(FactCount(name, FACTS[name].example, read.facts[name], profiles_that_keep(name)) for name in names)


def _changed_signs(read: ReadStatistics, profile: str) -> tuple[SignCount, ...]:
    """All signs that occur and do not stay as they are, the most frequent ones first."""
    counts = [
        SignCount(sign, name_of(sign), read.signs[sign], becomes)
        for sign in read.signs
        if (becomes := fate_of(sign, profile)) != sign
    ]
    return tuple(sorted(counts, key=lambda each: (-each.times, each.sign)))


def _card_sample(sample: Sample) -> CardSample:
    return CardSample(**{name: getattr(sample, name) for name in CardSample.__struct_fields__})
