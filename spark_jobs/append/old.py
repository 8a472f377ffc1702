"""The finished data set that lines are added to, and which of the new files it does not hold yet."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from contract.errors import UserError
from contract.manifest import Manifest, Source, read_manifest
from spark_jobs.config import PrepareConfig, require_same_settings
from spark_jobs.counts.stored import Statistics, read_statistics, tokenizer_digest
from spark_jobs.counts.tokens import read_tokenizer

_ANEW = "prepare all lines again, with --overwrite"


@dataclass(frozen=True)
class OldDataSet:
    """A data set that lines can be added to."""

    manifest: Manifest
    statistics: Statistics


def find_old(config: PrepareConfig) -> OldDataSet:
    """The data set in the output; UserError where there is none, or these settings would make another one."""
    manifest = read_manifest(config.output)
    require_same_settings(config, manifest)
    if config.near_duplicates is not None:
        raise UserError(
            f"{config.output} is without near duplicates (near_duplicates = {config.near_duplicates}), which an append"
            f" does not look for: every old record would have to be read; {_ANEW}"
        )
    if manifest.statistics is None:
        raise UserError(
            f"{config.output} lacks the counts that an append needs, as an earlier version prepared it; {_ANEW}"
        )
    statistics = read_statistics(manifest.statistics, output=config.output)
    digest = tokenizer_digest(read_tokenizer(config.tokenizer) if config.tokenizer else None)
    if digest != statistics.tokenizer:
        expected = f"the one of sha256 {statistics.tokenizer[:16]}…" if statistics.tokenizer else "none"
        raise UserError(
            f"tokenizer = {config.tokenizer!r}, expected {expected}, by which the data card of {config.output} counts"
        )
    return OldDataSet(manifest, statistics)


def new_sources(
    sources: Sequence[Source], old: OldDataSet, *, tell: Callable[[str], None] = lambda _: None
) -> tuple[Source, ...]:
    """The files that the data set does not hold yet; none where it holds all of them.

    UserError where one was changed after its lines were added, or the new ones are empty.
    """
    held = {source.path: source for source in old.manifest.source}
    changed = [source.path for source in sources if held.get(source.path, source) != source]
    if changed:
        raise UserError(
            f"{len(changed)} file(s) have changed since the data set took their lines, {changed[0]} among them: name"
            f" files with new lines only, or {_ANEW}"
        )
    new = tuple(source for source in sources if source.path not in held)
    if new and len(new) < len(sources):
        tell(f"passed over {len(sources) - len(new)} file(s) whose lines the data set holds already")
    if new and not any(source.bytes for source in new):
        raise UserError(f"the input is empty: {new[0].path} ({len(new)} new file(s) of 0 bytes)")
    return new
