"""The data card as one HTML file: no script, no network, and nothing from the data that is not escaped."""

import json
from pathlib import Path
from typing import Final

from spark_jobs.card.markup import amount, marked, number, of_bytes, percent, section, shown, table
from spark_jobs.card.plots import bar, histogram
from spark_jobs.card.schema import Bin, Card, EntityCount, Example

_HEAD: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="referrer" content="no-referrer">
"""


def card_html(card: Card) -> str:
    """The text of card.html."""
    style = Path(__file__).with_name("card.css").read_text(encoding="utf-8")
    parts = (_header, _funnel, _splits, _lengths, _raw_texts, _characters, _duplicates, _examples, _making)
    body = "\n".join(part(card) for part in parts)
    return (
        f"{_HEAD}<title>Vitrine data card</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _header(card: Card) -> str:
    read = f"{of_bytes(card.source_bytes)} in {amount(card.num_sources, 'file')}"
    tiles = [
        ("lines read", number(card.lines), read),
        ("records kept", number(card.kept), f"{percent(card.kept_share)} of the lines"),
    ]
    tiles += [
        (shown(each.split), number(each.records), f"{percent(each.share)}, {amount(each.shards, 'shard')}")
        for each in card.splits
    ]
    told = "".join(f"<div><dt>{name}</dt><dd>{value}<small>{more}</small></dd></div>" for name, value, more in tiles)
    return (
        '<header><p class="brand"><b>Vitrine</b> data card</p>\n'
        f"<h1>{number(card.kept)} records from {number(card.lines)} lines</h1>\n"
        f'<p>Data set <span class="id">{shown(card.dataset_id)}</span>, made on <time>{shown(card.created_at)}</time>,'
        f" texts cleaned by the profile <code>{shown(card.text_profile)}</code>.</p>\n"
        f'<dl class="tiles">{told}</dl></header>'
    )


def _funnel(card: Card) -> str:
    """A falling staircase: each reason takes its slice off what is left."""
    rows = [["<b>Lines read</b>", bar(("kept", 0, 1)), number(card.lines), ""]]
    left = card.lines
    for each in card.rejected:
        if not each.lines:
            continue
        before, left = left / card.lines, left - each.lines
        name = f'<code>{shown(each.reason)}</code><span class="why">{shown(each.meaning)}</span>'
        slices = bar(("rest", 0, left / card.lines), ("gone", left / card.lines, before))
        rows.append([name, slices, number(each.lines), percent(each.share)])
    rows.append(["<b>Records kept</b>", bar(("kept", 0, card.kept_share)), number(card.kept), percent(card.kept_share)])
    absent = ", ".join(f"<code>{shown(each.reason)}</code>" for each in card.rejected if not each.lines)
    return section(
        "What became of the lines",
        "Every line became a record or was rejected, for the first reason that applies.",
        table(["", "", "Lines", "Share"], rows),
        f'<p class="note">No line was rejected as {absent}.</p>' if absent else "",
    )


def _splits(card: Card) -> str:
    rows = [
        [
            f"<code>{shown(each.split)}</code>",
            bar(("kept", 0, each.share)),
            number(each.records),
            percent(each.share),
            number(each.shards),
            of_bytes(each.bytes),
        ]
        for each in card.splits
    ]
    heads = ["", "", "Records", "Share", "Shards", "Size"]
    return section("Splits", "All records of one title lie in one split.", table(heads, rows))


def _lengths(card: Card) -> str:
    lead = "Of the records kept, once cleaned. The scale is logarithmic; a bar's area stands for the number of texts."
    if any(lengths.unit == "tokens" for lengths in card.lengths):
        lead += " Tokens were counted of a sample, without prompt or special tokens."
    return section("Lengths", lead, f'<div class="pair">{"".join(map(histogram, card.lengths))}</div>')


def _raw_texts(card: Card) -> str:
    titles, contents = card.traits
    traits = [
        ["not empty", number(titles.texts), "", number(contents.texts), ""],
        [
            "with an entity",
            *(number(titles.with_entity), percent(titles.with_entity_share)),
            *(number(contents.with_entity), percent(contents.with_entity_share)),
        ],
        [
            "with a tag",
            *(number(titles.with_tag), percent(titles.with_tag_share)),
            *(number(contents.with_tag), percent(contents.with_tag_share)),
        ],
        [
            "with characters beyond ASCII",
            *(number(titles.beyond_ascii), percent(titles.beyond_ascii_share)),
            *(number(contents.beyond_ascii), percent(contents.beyond_ascii_share)),
        ],
    ]
    kinds = [
        _counted(f"{each.kind}, <code>{shown(each.example)}</code>", each.count, each.share)
        for each in card.entities.kinds
    ]
    return section(
        "What the raw texts hold",
        "Of all lines that could be read, kept or not, before cleaning. Entities are counted where HTML sees one.",
        '<div class="pair"><div>',
        table(["", "Titles", "Share", "Contents", "Share"], traits),
        f"<h3>{amount(card.entities.total, 'entity', 'entities')}, by the way they are written</h3>",
        table(["", "", "Times", "Share"], kinds),
        "</div><div>",
        table(
            ["The most frequent ones", "", "Times", "Share"], [_entity(each) for each in card.entities.most_frequent]
        ),
        "</div></div>",
    )


def _entity(each: EntityCount) -> list[str]:
    meaning = f'<code>{shown(each.entity)}</code><span class="why">{shown(each.meaning)}</span>'
    return _counted(meaning, each.count, each.share)


def _counted(name: str, count: int, share: float) -> list[str]:
    return [name, bar(("kept", 0, share)), number(count), percent(share)]


def _characters(card: Card) -> str:
    characters = card.characters
    rows = [
        [
            shown(each.characters),
            *(number(each.before), percent(each.before_share)),
            *(number(each.after), percent(each.after_share)),
        ]
        for each in characters.classes
    ]
    lead = (
        f"Of a sample of {amount(characters.sampled_records, 'record')} with title and content:"
        f" {number(characters.before)} characters before cleaning, where an entity counts as it is written, and"
        f" {number(characters.after)} after."
    )
    heads = ["", "Before", "Share", "After", "Share"]
    return section("Characters, before and after", lead, table(heads, rows))


def _duplicates(card: Card) -> str:
    found = card.duplicates
    if not found.groups:
        return section("Duplicates", "No two records have the same title and content.")
    rows = [
        [_groups_of(each), bar(("kept", 0, each.count / found.groups)), number(each.count)]
        for each in found.sizes
        if each.count
    ]
    lead = (
        f"Records with the same title and content, once cleaned, form a group, of which one is kept."
        f" There are {amount(found.groups, 'group')}; the largest has {number(found.largest)} records."
    )
    return section("Duplicates", lead, table(["", "", "Groups"], rows))


def _groups_of(sizes: Bin) -> str:
    last = f" to {number(sizes.last)}" if sizes.last > sizes.first else ""
    return f"groups of {number(sizes.first)}{last}"


def _examples(card: Card) -> str:
    lead = (
        "Drawn at random from the records kept, and the same ones whenever this data set is made."
        " <del>Removed</del> on the one side, <ins>inserted</ins> on the other."
    )
    return section("Before and after", lead, *map(_example, card.examples))


def _example(example: Example) -> str:
    titles = marked(example.raw_title, example.title, is_cut=example.raw_title_length > len(example.raw_title))
    is_cut = example.raw_content_length > len(example.raw_content)
    contents = marked(example.raw_content, example.content, is_cut=is_cut)
    cut = ""
    if is_cut:
        cut = f' <span class="cut">… cut here, {number(example.raw_content_length)} characters in all</span>'
    sides = "".join(
        f'<div class="side"><p class="label">{name}</p><p class="title">{title}</p><p>{content}{cut}</p></div>'
        for name, title, content in zip(("before", "after"), titles, contents, strict=True)
    )
    return (
        f'<article><h3><span class="id">{shown(example.uid)}</span></h3><div class="pair texts">{sides}</div></article>'
    )


def _making(card: Card) -> str:
    settings = [
        [f"<code>{shown(name)}</code>", f"<code>{shown(json.dumps(value))}</code>"]
        for name, value in card.config.items()
    ]
    sources = [[f'<span class="id">{shown(each.path)}</span>', of_bytes(each.bytes)] for each in card.sources]
    others = card.num_sources - len(card.sources)
    more = f"<p>And {amount(others, 'file')} more; the manifest lists them all.</p>" if others else ""
    return section(
        "How it was made",
        "The command, without user names, passwords and secret keys.",
        f"<pre>{shown(card.command)}</pre>",
        "<h3>Settings that change what the data set holds</h3>",
        table(["", ""], settings),
        f"<h3>{amount(card.num_sources, 'source file')}</h3>",
        table(["", "Size"], sources),
        more,
    )
