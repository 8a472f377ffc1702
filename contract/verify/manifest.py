"""The laws of a manifest that can be checked without opening a shard, and the checks of rows that it allows."""

from collections.abc import Iterator, Sequence
from functools import partial

from contract.columns import REJECTED, SHARD_SCHEMA, SPLITS
from contract.keys import splits_of
from contract.manifest import Manifest
from contract.names import MANIFEST_NAME, shard_path
from contract.reasons import REASONS
from contract.shard import Shard
from contract.text.profiles import PROFILES
from contract.verify.findings import Discrepancy, quote
from contract.verify.rows import VerifyRules


def check_statements(manifest: Manifest) -> Iterator[Discrepancy]:
    """Statements beside the sums: all that is needed to make the same data set again."""
    config = manifest.config
    shares = [config.get(name) for name in ("val_share", "test_share")]
    seed, shard_rows = config.get("seed"), config.get("shard_rows")
    schema = {column.name: str(column.type) for column in SHARD_SCHEMA}
    statements: list[tuple[str, object, bool, str]] = [
        ("splits", list(manifest.splits), set(manifest.splits) == set(SPLITS), f"{', '.join(SPLITS)}"),
        ("schema", manifest.schema, manifest.schema == schema, f"{schema}"),
        ("text_profile", manifest.text_profile, manifest.text_profile in PROFILES, f"one of {', '.join(PROFILES)}"),
        (
            "config.text_profile",
            config.get("text_profile"),
            config.get("text_profile") == manifest.text_profile,
            f"{manifest.text_profile!r}, as beside it",
        ),
        ("config.val_share, test_share", shares, _are_shares(shares), "two shares from 0 to below 1"),
        ("config.seed", seed, _is_seed(seed), "a whole number from 0 to 2^64 - 1"),
        ("config.shard_rows", shard_rows, type(shard_rows) is int and shard_rows > 0, "a whole number from 1"),
        (
            "rows.rejected",
            list(manifest.rows.rejected),
            set(manifest.rows.rejected) <= set(REASONS),
            f"reasons among {', '.join(REASONS)}",
        ),
    ]
    for name, found, is_right, expected in statements:
        if not is_right:
            yield Discrepancy("manifest", MANIFEST_NAME, f"{name} = {found!r}", expected)


def _is_seed(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**64


def _are_shares(values: Sequence[object]) -> bool:
    return all(isinstance(value, float | int) and 0 <= value < 1 for value in values)


def rules_of(manifest: Manifest) -> VerifyRules:
    """Row checks that the manifest's settings allow.

    A setting that is missing or wrong, which `check_statements` reports, switches its check off.
    """
    config = manifest.config
    shares, seed = [config.get(name) for name in ("val_share", "test_share")], config.get("seed")
    rule = None
    if _are_shares(shares) and _is_seed(seed):
        rule = partial(splits_of, val_share=config["val_share"], test_share=config["test_share"], seed=config["seed"])
    return VerifyRules(
        profile=PROFILES.get(manifest.text_profile),
        splits_of=rule,
        sources=tuple(source.path for source in manifest.source),
    )


def sections_of(manifest: Manifest) -> dict[str, tuple[Shard, ...]]:
    """Shards of the splits and of the rejected lines, each in order."""
    return {**manifest.splits, REJECTED: manifest.rejected}


def starts_in_files(manifest: Manifest) -> dict[str, tuple[int, ...]]:
    """By path: the rows of each file at which appended ones begin, counted from its first row; others lie outside."""
    found = {}
    for section, shards in sections_of(manifest).items():
        first = 0
        for shard in shards:
            found[shard.path] = tuple(start - first for start in manifest.starts(section))
            first += shard.rows
    return found


def check_shards(manifest: Manifest) -> Iterator[Discrepancy]:
    """Names and numbers of rows of all shards."""
    shard_rows = manifest.config.get("shard_rows")
    if type(shard_rows) is not int:
        return  # `check_statements` reports it
    for section, shards in sections_of(manifest).items():
        for number, shard in enumerate(shards):
            name = shard_path(section, number=number, sha256=shard.sha256)
            if shard.path != name:
                yield Discrepancy("name", shard.path, quote(shard.path), name)
            is_last = number == len(shards) - 1
            if not (shard.rows == shard_rows or (is_last and 0 < shard.rows <= shard_rows)):
                expected = f"from 1 to {shard_rows}" if is_last else f"{shard_rows}"
                yield Discrepancy("shard rows", shard.path, f"{shard.rows} rows", expected)
