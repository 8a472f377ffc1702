"""The data card: what came in, what went and why, and what the records are like."""

import html
import json
import re
import shlex
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from contract.manifest import Manifest
from spark_jobs.card.schema import (
    Bin,
    Card,
    CharacterCount,
    Characters,
    Duplicates,
    Entities,
    EntityCount,
    EntityKind,
    Example,
    Lengths,
    Rejection,
    SourceFile,
    SplitSize,
    Traits,
)
from spark_jobs.counts.histogram import EDGES, Histogram, quantile
from spark_jobs.counts.records import KeptStatistics, ReadStatistics, Sample
from spark_jobs.counts.traits import OTHER_DECIMAL, OTHER_HEX, TextTraits, kind_of

NUM_ENTITIES: Final = 12  # the most frequent ones are told
NUM_SOURCES: Final = 20
NUM_EXAMPLES: Final = 10
QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)

MEANINGS: Final = {
    "too_long": "longer than max_line_bytes",
    "not_json": "not JSON, or cut off",
    "not_a_record": "JSON, but no object with texts for uid, title and content",
    "no_title": "nothing left of the title once cleaned",
    "no_content": "nothing left of the content once cleaned",
    "title_length": "title shorter or longer than asked for",
    "content_length": "content shorter or longer than asked for",
    "repeats_title": "content that merely repeats the title",
    "repeated_phrase": "content that says the same over and over",
    "language": "in none of the languages asked for",
    "duplicate": "same title and content, once cleaned, as a record that is kept",
    "near_duplicate": "nearly the same title and content as a record that is kept",
}

_KINDS: Final = {"named": "&amp;", "decimal": "&#38;", "hex": "&#x26;"}  # with the `&` itself as an example
_URL_USER: Final = re.compile(r"(?<=://)[^/\s]*@")
_SECRET_NAMES: Final = r"secret|passw(?:or)?d|credential|access[._-]?key|session[._-]?token|signature|[?&]sig"
_SECRET: Final = re.compile(rf"(?is)((?:{_SECRET_NAMES})[\w.-]*=).+")


def make_card(manifest: Manifest, *, read: ReadStatistics, kept: KeptStatistics, command: Sequence[str]) -> Card:
    """The card of a data set. Secrets are taken out of the command."""
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
        rejected=tuple(
            Rejection(reason, MEANINGS[reason], lines, _share(lines, rows.input))
            for reason, lines in rows.rejected.items()
        ),
        kept=rows.kept,
        kept_share=_share(rows.kept, rows.input),
        splits=tuple(_split_size(manifest, split) for split in manifest.splits),
        lengths=_all_lengths(kept),
        traits=(_traits("titles", read.titles), _traits("contents", read.contents)),
        entities=_entities(read.entities),
        characters=_characters(read),
        duplicates=Duplicates(kept.group_sizes.num, kept.group_sizes.most, _bins(kept.group_sizes)),
        examples=tuple(_example(sample) for sample in read.samples if sample.key in kept.first_keys)[:NUM_EXAMPLES],
    )


def card_json(card: Card) -> str:
    """The text of card.json: in ASCII, so that nothing in the data can trouble what shows it."""
    return json.dumps(msgspec.to_builtins(card), indent=1) + "\n"


def without_secrets(argument: str) -> str:
    """The argument without the user and password of a URL, nor the value of a setting that is named like a secret.

    >>> without_secrets("--input=s3://me:pass@word@host/x.json"), without_secrets("spark.hadoop.fs.s3a.secret.key=abc")
    ('--input=s3://host/x.json', 'spark.hadoop.fs.s3a.secret.key=***')
    """
    return _SECRET.sub(r"\1***", _URL_USER.sub("", argument))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _split_size(manifest: Manifest, split: str) -> SplitSize:
    shards = manifest.splits[split]
    records = manifest.num_rows(split)
    num_bytes = sum(shard.bytes for shard in shards)
    return SplitSize(split, records, _share(records, manifest.rows.kept), len(shards), num_bytes)


def _bins(numbers: Histogram) -> tuple[Bin, ...]:
    """From the first bin that is not empty to the last; the last edge has no bin: no line is as long."""
    places = np.flatnonzero(numbers.counts)
    shown = range(places[0], places[-1] + 1) if len(places) else ()
    return tuple(Bin(int(EDGES[place]), int(EDGES[place + 1]) - 1, numbers.counts[place]) for place in shown)


def _all_lengths(kept: KeptStatistics) -> tuple[Lengths, ...]:
    """Lengths in characters, and in tokens where there was a tokenizer."""
    told = [
        ("titles", "characters", kept.title_lengths),
        ("contents", "characters", kept.content_lengths),
        ("titles", "tokens", kept.title_tokens),
        ("contents", "tokens", kept.content_tokens),
    ]
    return tuple(_lengths(of, unit, lengths) for of, unit, lengths in told if lengths.num)


def _lengths(of: str, unit: str, lengths: Histogram) -> Lengths:
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
    texts = traits.num_texts
    return Traits(
        of=of,
        texts=texts,
        with_entity=traits.num_with_entity,
        with_entity_share=_share(traits.num_with_entity, texts),
        with_tag=traits.num_with_tag,
        with_tag_share=_share(traits.num_with_tag, texts),
        beyond_ascii=traits.num_beyond_ascii,
        beyond_ascii_share=_share(traits.num_beyond_ascii, texts),
    )


def _entities(counts: Mapping[str, int]) -> Entities:
    total = sum(counts.values())
    of_kind = dict.fromkeys(_KINDS, 0)
    for entity, count in counts.items():
        of_kind[kind_of(entity)] += count
    frequent = sorted(counts, key=lambda entity: (-counts[entity], entity))[:NUM_ENTITIES]
    return Entities(
        total=total,
        kinds=tuple(EntityKind(kind, _KINDS[kind], count, _share(count, total)) for kind, count in of_kind.items()),
        most_frequent=tuple(
            EntityCount(entity, _meaning(entity), counts[entity], _share(counts[entity], total)) for entity in frequent
        ),
    )


def _meaning(entity: str) -> str:
    """The characters that an entity stands for, and their names."""
    if entity in (OTHER_DECIMAL, OTHER_HEX):
        return "any other number"
    characters = html.unescape(entity)
    names = ", ".join(unicodedata.name(character, "no character").lower() for character in characters)
    return names if characters.isspace() else f"{characters} {names or 'nothing'}".strip()


def _characters(read: ReadStatistics) -> Characters:
    before, after = sum(read.raw_characters.values()), sum(read.kept_characters.values())
    names = sorted(
        read.raw_characters | read.kept_characters, key=lambda name: (-read.raw_characters.get(name, 0), name)
    )
    classes = [(name, read.raw_characters.get(name, 0), read.kept_characters.get(name, 0)) for name in names]
    return Characters(
        sampled_records=read.num_sampled,
        before=before,
        after=after,
        classes=tuple(
            CharacterCount(name, old, _share(old, before), new, _share(new, after)) for name, old, new in classes
        ),
    )


def _example(sample: Sample) -> Example:
    return Example(**{name: getattr(sample, name) for name in Example.__struct_fields__})
