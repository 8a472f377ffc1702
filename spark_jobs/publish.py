"""Before and after the work: whether the output is up to date, publication, and sweeping of files that nobody needs.

There are no locks: a job remembers the manifest that it found at its start, and publishes only over that manifest. So a
job whose files are older than the present manifest can never publish any more, and its files may be swept. Younger
files stay: they may belong to a job that is running.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from contract import storage, store_errors
from contract.errors import UserError
from contract.manifest import Manifest, Source, find_manifest, publish, version_of_manifest
from contract.names import CARD_HTML, CARD_JSON, MANIFEST_NAME, SECTIONS, is_work_of_a_preparation
from spark_jobs.config import PrepareConfig, settings_of_data_set


def is_up_to_date(manifest: Manifest, config: PrepareConfig, *, sources: tuple[Source, ...]) -> bool:
    """Whether the output holds the data set that these inputs and settings would make, with all its files."""
    return (
        manifest.source == sources
        and dict(manifest.config) == settings_of_data_set(config)
        and set(manifest.files()) <= set(storage.list_files(config.output))
    )


def has_card(manifest: Manifest, output: str) -> bool:
    """Whether there is a whole data card, and it describes this data set."""
    if not {CARD_HTML, CARD_JSON} <= set(storage.list_files(output)):
        return False
    try:
        card = json.loads(storage.read_bytes(storage.join(output, CARD_JSON)))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(card, dict) and card.get("dataset_id") == manifest.dataset_id


def refuse_to_replace(manifest: Manifest, config: PrepareConfig, *, sources: tuple[Source, ...]) -> NoReturn:
    """Raises UserError that says how the finished data set differs from the one that is asked for now."""
    asked, found = settings_of_data_set(config), manifest.config
    changes = [
        f"{name} was {found.get(name)!r} and is {asked[name]!r}" for name in asked if asked[name] != found.get(name)
    ]
    if manifest.appended and manifest.source[: len(sources)] == sources != manifest.source:
        changes.append(f"{len(manifest.source) - len(sources)} file(s) were appended since")
    elif manifest.source != sources:
        changes.append("the input is another one or has changed")
    raise UserError(
        f"{config.output} holds a finished data set of {manifest.rows.kept} records made on {manifest.created_at},"
        f" and {'; '.join(changes) or 'some of its files are missing'};"
        " choose another output, or replace it with --overwrite"
    )


def publish_over(found: Manifest | None, manifest: Manifest, *, output: str) -> None:
    """Publishes in place of the manifest that was found at the start; UserError if that one has changed since then.

    The old card is deleted first, so that a card always describes the manifest beside it. If this data set is not
    published, its files are deleted: no later sweep would do it, as they may be younger than the present manifest. A
    file that the present manifest names as well stays: equal names mean equal content.
    """
    # Listed before the manifest is read, so no card among them is that of a job that publishes meanwhile.
    present = set(storage.list_files(output))
    version = version_of_manifest(output)  # before it is read
    if find_manifest(output) == found:
        _require_files(manifest, present, output=output)
        storage.delete_files(output, sorted(present & {CARD_HTML, CARD_JSON}))
        try:
            publish(output, manifest, replace=found is not None, version=version)
            return
        except FileExistsError:
            pass  # another job has published a moment before
    _drop(manifest, output=output)
    raise UserError(
        f"another preparation has published in {output} while this one was running; its data set stays,"
        f" the one of this preparation is deleted; run again with --overwrite to replace it"
    )


def _drop(manifest: Manifest, *, output: str) -> None:
    standing = find_manifest(output)
    kept = set(standing.files()) if standing else {MANIFEST_NAME}
    storage.delete_files(output, [name for name in manifest.files() if name not in kept])


def _require_files(manifest: Manifest, present: set[str], *, output: str) -> None:
    missing = sorted(set(manifest.files()) - {MANIFEST_NAME} - present)
    if missing:
        raise UserError(
            f"{len(missing)} shard(s) vanished from {output} before publication, {missing[0]} among them:"
            " is somebody deleting files there, or is it a folder that not all machines of the cluster share? Run again"
        )


def sweep(manifest: Manifest, *, output: str) -> int:
    """Deletes files of earlier jobs that this manifest does not name; returns how many."""
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
    """Deletes the staged files of a job, as far as no other job has swept them."""
    storage.delete_files(staging, storage.list_files(staging))
    filesystem, path = storage.open_filesystem(staging)
    if storage.is_local(filesystem):
        with suppress(FileNotFoundError):
            filesystem.rmdir(path)


@contextmanager
def without_empty_folders(output: str) -> Iterator[None]:
    """On an error, deletes the folders on the way to this one and below it that were made meanwhile and are empty."""
    filesystem, path = storage.open_filesystem(output)
    if not storage.is_local(filesystem):
        yield
        return
    new = [folder for folder in (Path(path), *Path(path).parents) if not folder.exists()]
    try:
        yield
    except BaseException:
        for folder in [Path(path, name) for name in SECTIONS] + new if new else []:
            with suppress(OSError):  # not empty, or not there
                folder.rmdir()
        raise


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
    except store_errors.read_errors() as error:
        raise UserError(
            f"cannot write to {folder}: {store_errors.reason_of(error, folder)};"
            " make room there or get permission and run again, or choose another output"
        ) from error
