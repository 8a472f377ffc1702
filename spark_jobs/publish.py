"""Before and after the work: whether there is any, publication of the manifest, sweeping of what it does not name.

There are no locks: a job remembers the manifest it found at its start and publishes only over that one. So a job whose
files are older than the present manifest can never publish any more, and its files may be swept; younger files are
left alone, they may belong to a job that is at work.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from command.settings import settings_of_result
from contract import storage
from contract.errors import UserError
from contract.manifest import Manifest, Source, find_manifest, publish, version_of_manifest
from contract.names import CARD_HTML, CARD_JSON, MANIFEST_NAME, is_work_of_a_preparation
from spark_jobs.config import PrepareConfig


def is_up_to_date(manifest: Manifest, config: PrepareConfig, *, sources: tuple[Source, ...]) -> bool:
    """Whether the output holds what these inputs and settings would make, every file of it."""
    return (
        manifest.source == sources
        and dict(manifest.config) == settings_of_result(config)
        and set(manifest.files()) <= set(storage.list_files(config.output))
    )


def has_card(manifest: Manifest, output: str) -> bool:
    """Whether the data card is there, whole, and tells of this data set."""
    if not {CARD_HTML, CARD_JSON} <= set(storage.list_files(output)):
        return False
    try:
        card = json.loads(storage.read_bytes(storage.join(output, CARD_JSON)))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(card, dict) and card.get("dataset_id") == manifest.dataset_id


def refuse_to_replace(manifest: Manifest, config: PrepareConfig, *, sources: tuple[Source, ...]) -> UserError:
    """What to tell a user whose output is finished and other than what is asked for now."""
    asked, found = settings_of_result(config), manifest.config
    changes = [
        f"{name} was {found.get(name)!r} and is {asked[name]!r}" for name in asked if asked[name] != found.get(name)
    ]
    if manifest.source != sources:
        changes.append("the input is another or has changed")
    return UserError(
        f"{config.output} holds a finished data set of {manifest.rows.kept} records made on {manifest.created_at},"
        f" and {'; '.join(changes) or 'some of its files are missing'};"
        " choose another output, or replace it with --overwrite"
    )


def publish_over(found: Manifest | None, manifest: Manifest, *, output: str) -> None:
    """Publishes in place of the manifest that was found at the start; UserError if it has changed since then.

    The card of the old one goes first, so that a card, where there is one, always tells of the manifest beside it.
    The files of the data set that is not published are deleted: nobody would do it later, as they may be younger than
    the manifest that stands. Names tell the content, so one that the standing manifest names, too, stays.
    """
    version = version_of_manifest(output)  # before the look at what it says
    if find_manifest(output) == found:
        _require_files(manifest, output)
        storage.delete_files(output, [CARD_HTML, CARD_JSON])
        try:
            publish(output, manifest, replace=found is not None, version=version)
            return
        except FileExistsError:
            pass  # another job was faster by a moment
    _drop(manifest, output=output)
    raise UserError(
        f"another preparation has published in {output} while this one was at work; its data set stands,"
        f" this one's is dropped; run again with --overwrite to replace it"
    )


def _drop(manifest: Manifest, *, output: str) -> None:
    standing = find_manifest(output)
    kept = set(standing.files()) if standing else {MANIFEST_NAME}
    storage.delete_files(output, [name for name in manifest.files() if name not in kept])


def _require_files(manifest: Manifest, output: str) -> None:
    missing = sorted(set(manifest.files()) - {MANIFEST_NAME} - set(storage.list_files(output)))
    if missing:
        raise UserError(
            f"{len(missing)} shard(s) vanished from {output} before publication, {missing[0]} among them:"
            " is somebody deleting files there, or is it a folder that not all machines of the cluster share? Run again"
        )


def sweep(manifest: Manifest, *, output: str) -> int:
    """Deletes what earlier jobs left behind and this manifest does not name; the number of files deleted."""
    filesystem, root = storage.open_filesystem(output)
    named = set(manifest.files())
    published = _modified(filesystem, storage.join(root, MANIFEST_NAME))
    stale = [
        name
        for name in storage.list_files(output)
        if name not in named
        and is_work_of_a_preparation(name)
        and _is_old(filesystem, storage.join(root, name), than=published)
    ]
    storage.delete_files(output, stale)
    return len(stale)


def delete_staging(staging: str) -> None:
    """Deletes a job's own staged files, those that no other job has swept."""
    storage.delete_files(staging, storage.list_files(staging))
    filesystem, path = storage.open_filesystem(staging)
    if storage.is_local(filesystem):
        with suppress(FileNotFoundError):
            filesystem.rmdir(path)


def _is_old(filesystem: Any, path: str, *, than: datetime) -> bool:
    try:
        return _modified(filesystem, path) <= than
    except FileNotFoundError:  # its owner has just deleted it
        return False


def _modified(filesystem: Any, path: str) -> datetime:
    """`filesystem` is fsspec's, which has no types."""
    modified = filesystem.modified(path)
    return modified if modified.tzinfo else modified.replace(tzinfo=UTC)


@contextmanager
def user_errors_of_writing(folder: str) -> Iterator[None]:
    """Raises a UserError that names the folder where the system refuses a write: no room, no permission, no disk."""
    try:
        yield
    except storage.read_errors() as error:
        raise UserError(
            f"cannot write to {folder}: {storage.reason_of(error, folder)};"
            " make room there or get permission and run again, or choose another output"
        ) from error
