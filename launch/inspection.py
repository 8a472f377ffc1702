"""`vitrine inspect`: what a prepared data set holds, on a page for a person."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from command.quantities import format_bytes
from command.settings import check_settings, setting
from command.terminal import WIDTH, columns, cut, printable, wrap
from contract import storage
from contract.columns import CONTENT, KEY, SHARD_SCHEMA, TITLE, UID
from contract.errors import UserError
from contract.manifest import Manifest, manifest_in, read_text
from contract.shard import NOT_A_SHARD, FilePart, Shard, read_footer, read_row_group

_MARGIN: Final = 12  # columns before the text
_MAX_SOURCES: Final = 8
_MAX_LINES_OF_TEXT: Final = 6


@dataclass(frozen=True, kw_only=True)
class InspectConfig:
    """A data set to look at."""

    data: str = setting(help="folder or URL of a prepared data set")
    records: int = setting(0, help="number of records to show, from the start of a split", least=0)
    split: str | None = setting(None, help="the split that --records shows (default: train)")
    json: bool = setting(False, help="print the manifest as it is, for a program to read")

    def __post_init__(self) -> None:
        """Checks ranges; raises UserError."""
        problems = []
        if self.split is not None and not self.records:
            problems.append("split names the split that --records shows, and there is no --records")
        if self.json and self.records:
            problems.append("json prints the manifest alone, without records")
        check_settings(self, *problems)


def run(config: InspectConfig) -> int:
    """Prints the page, or the manifest."""
    text = read_text(config.data)
    manifest = manifest_in(text, root=config.data)
    if config.json:
        print(_safe_json(text.decode()), end="")
        return 0
    lines = [*page(manifest, root=config.data)]
    if config.records:
        lines += ["", *_records(manifest, config)]
    print("\n".join(lines))
    return 0


def _safe_json(text: str) -> str:
    """The same text; what a terminal would obey can only stand inside JSON's strings, where an escape is the same."""
    return re.sub(r"[^\n]+", lambda line: "".join(map(_safe_character, line[0])), text)


def _safe_character(character: str) -> str:
    return character if character.isprintable() else json.dumps(character)[1:-1]


def page(manifest: Manifest, *, root: str) -> Iterator[str]:
    """Lines of at most WIDTH columns."""
    yield from _entry("data set", manifest.dataset_id)
    yield from _entry("in", root)
    yield from _entry("made", manifest.created_at)
    yield from _entry("texts", f"profile {manifest.text_profile}")
    settings = (
        f"{name}={json.dumps(value, ensure_ascii=False)}"
        for name, value in manifest.config.items()
        if name != "text_profile" and value is not None
    )
    yield from _entry("settings", "  ".join(settings))
    yield from _entry("columns", ", ".join(f"{name} {kind}" for name, kind in manifest.schema.items()))
    yield ""
    yield from _sources(manifest)
    yield ""
    yield from _funnel(manifest)
    yield ""
    yield from _splits(manifest)


def _entry(name: str, text: str) -> Iterator[str]:
    lines = wrap(printable(text), WIDTH - _MARGIN, max_lines=_MAX_LINES_OF_TEXT)
    for label, line in zip([name, *[""] * len(lines)], lines, strict=False):
        yield f"{label:<{_MARGIN}}{line}"


def _row(name: str, *cells: str) -> str:
    """A name, cut to what the cells leave, and right-aligned cells."""
    right = "".join(f"{cell:>14}" for cell in cells)
    name = cut(printable(name), WIDTH - len(right))
    return f"{name}{' ' * (WIDTH - len(right) - columns(name))}{right}"


def _sources(manifest: Manifest) -> Iterator[str]:
    yield "source"
    for source in manifest.source[:_MAX_SOURCES]:
        yield _row(f"  {source.path}", format_bytes(source.bytes))
    others = manifest.source[_MAX_SOURCES:]
    if others:
        yield _row(f"  … and {len(others):,} more", format_bytes(sum(source.bytes for source in others)))
    if appended := manifest.appended:
        files, lines = sum(each.sources for each in appended), sum(each.lines for each in appended)
        yield _row(f"  the last {files:,} appended, in {len(appended):,} additions", f"{lines:,} lines")


def _funnel(manifest: Manifest) -> Iterator[str]:
    rows = manifest.rows
    yield "lines"
    for name, number in {"in": rows.input, **rows.rejected, "kept": rows.kept}.items():
        share = number / rows.input if rows.input else 0.0
        if number or name in ("in", "kept"):
            yield _row(f"  {name}", f"{number:,}", f"{share:.2%}")


def _splits(manifest: Manifest) -> Iterator[str]:
    yield _row("split", "rows", "shards", "size")
    for name, shards in {**manifest.splits, "rejected": manifest.rejected}.items():
        num_rows, num_bytes = sum(shard.rows for shard in shards), sum(shard.bytes for shard in shards)
        yield _row(f"  {name}", f"{num_rows:,}", f"{len(shards):,}", format_bytes(num_bytes))


def _records(manifest: Manifest, config: InspectConfig) -> Iterator[str]:
    split = config.split or "train"
    num = min(config.records, manifest.num_rows(split))
    yield f"{split}, the first {num:,} of {manifest.num_rows(split):,} records"
    for record in islice(_read(manifest.splits[split], config.data), num):
        yield ""
        yield from _entry(UID, record[UID])
        yield from _entry(KEY, record[KEY].hex())
        yield from _entry(TITLE, record[TITLE])
        yield from _entry(CONTENT, record[CONTENT])


def _read(shards: tuple[Shard, ...], root: str) -> Iterator[dict]:
    for shard in shards:
        url = storage.join(root, shard.path)
        try:
            footer = read_footer(_read_part(url, shard.footer), shard)
            for group in footer.row_groups:
                data = _read_part(url, group.part)
                yield from read_row_group(data, footer, group, columns=SHARD_SCHEMA.names).to_pylist()
        except NOT_A_SHARD as error:
            raise UserError(f"shard {shard.path} cannot be read: {error}; 'vitrine verify {root}' says more") from error


def _read_part(url: str, part: FilePart) -> bytes:
    filesystem, path = storage.open_filesystem(url)
    data: bytes = filesystem.cat_file(path, start=part.offset, end=part.stop)
    if not part.has_digest_of(data):
        raise ValueError(f"bytes {part.offset} to {part.stop} do not have the digest that the manifest says")
    return data
