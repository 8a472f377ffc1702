"""Whether a data set keeps every law of the contract: every file is read again, nothing is changed."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import active_children, get_context, parent_process
from signal import SIG_IGN, SIGINT, signal
from threading import Thread
from typing import Any, Final

from contract import storage, store_errors
from contract.appends import StatisticsFile
from contract.columns import REJECTED, SPLITS
from contract.errors import UserError, first_line
from contract.manifest import Manifest, parse_json, read_text
from contract.names import CARD_HTML, CARD_JSON, MANIFEST_NAME, is_work_of_a_preparation
from contract.shard import Shard
from contract.verify.file import check_file, find_keys
from contract.verify.findings import Discrepancy, Findings, quote
from contract.verify.manifest import check_shards, check_statements, rules_of, sections_of, starts_in_files
from contract.verify.rows import Checked, VerifyRules

_BYTES_WORTH_A_PROCESS: Final = 4 * 2**20  # one starts in about a second

OnProgress = Callable[[float, str], None]


@dataclass
class Report:
    """What was read and what is wrong with it."""

    root: str
    manifest: Manifest | None = None  # None where it cannot be read
    findings: Findings = field(default_factory=Findings)
    notes: list[str] = field(default_factory=list)  # files that belong to no law
    num_files: int = 0
    num_records: int = 0
    num_rejected: int = 0

    @property
    def is_sound(self) -> bool:
        """Whether no law is broken."""
        return not self.findings.counts


def verify(root: str, *, num_processes: int = 1, on_progress: OnProgress = lambda *_: None) -> Report:
    """Every broken law of a data set; UserError where there is no data set.

    Some 20 us of one core for a record of 700 bytes. A few thousand rows a process are held in memory.
    """
    report = Report(root)
    text = read_text(root)
    listed = set(storage.list_files(root))
    try:
        report.manifest, problems = parse_json(text)
    except UserError as error:
        report.findings.add([Discrepancy("manifest", MANIFEST_NAME, str(error), "a manifest")])
        return report
    manifest, add = report.manifest, report.findings.add
    add(Discrepancy("manifest", MANIFEST_NAME, problem, "statements that agree") for problem in problems)
    add(check_statements(manifest))
    add(check_shards(manifest))
    if CARD_JSON in listed:
        add(_check_card(root, manifest))
    if manifest.statistics:
        add(_check_statistics(root, manifest.statistics))
    report.notes += _notes(manifest, sorted(listed))

    named = [(section, shard) for section, shards in sections_of(manifest).items() for shard in shards]
    add(Discrepancy("file", s.path, "no such file", f"{s.bytes} bytes") for _, s in named if s.path not in listed)
    present = [(section, shard) for section, shard in named if shard.path in listed]
    found = _check_files(root, manifest, present, num_processes=num_processes, on_progress=on_progress)
    for checked in found.values():
        report.findings.merge(checked.findings)
    add(_check_seams(manifest, found))
    add(_check_appended(root, manifest, found))
    add(_check_reasons(manifest, found))
    report.num_files = len(found)
    report.num_records = sum(found[shard.path].num_rows for section, shard in present if section != REJECTED)
    report.num_rejected = sum(found[shard.path].num_rows for section, shard in present if section == REJECTED)
    return report


def _check_card(root: str, manifest: Manifest) -> Iterator[Discrepancy]:
    try:
        found = json.loads(storage.read_bytes(storage.join(root, CARD_JSON)))["dataset_id"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        found = f"{error!r}"
    if found != manifest.dataset_id:
        yield Discrepancy("card", CARD_JSON, f"dataset_id {found!r}", manifest.dataset_id)


def _check_statistics(root: str, stated: StatisticsFile) -> Iterator[Discrepancy]:
    try:
        data = storage.read_bytes(storage.join(root, stated.path))
        found = f"{len(data)} bytes of sha256 {hashlib.sha256(data).hexdigest()[:16]}…"
    except store_errors.read_errors() as error:
        found = quote(first_line(error))
    expected = f"{stated.bytes} bytes of sha256 {stated.sha256[:16]}…"
    if found != expected:
        yield Discrepancy("file", stated.path, found, expected)


def _notes(manifest: Manifest, listed: Sequence[str]) -> list[str]:
    """Files that neither the manifest nor the contract names."""
    known = {*manifest.files(), CARD_HTML, CARD_JSON}
    stray = [name for name in listed if name not in known]
    left_behind = [name for name in stray if is_work_of_a_preparation(name)]
    others = [name for name in stray if not is_work_of_a_preparation(name)]
    notes = []
    if left_behind:
        notes.append(f"{_some(left_behind)} left behind by a stopped job; the next preparation sweeps it")
    if others:
        notes.append(f"{_some(others)} not of this data set")
    return notes


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{quote(names[0])}{more}:"


def _check_files(
    root: str, manifest: Manifest, present: Sequence[tuple[str, Shard]], *, num_processes: int, on_progress: OnProgress
) -> dict[str, Checked]:
    """What each file was found to hold, by path."""
    total = sum(shard.bytes for _, shard in present) or 1
    num_processes = min(num_processes, len(present), -(-total // _BYTES_WORTH_A_PROCESS))
    rules, starts = rules_of(manifest), starts_in_files(manifest)
    found: dict[str, Checked] = {}
    done_bytes = num_rows = 0
    with _mapping(num_processes) as map_files:
        tasks = map_files(partial(_check, root, rules, starts), present)
        for (_, shard), checked in zip(present, tasks, strict=True):
            found[shard.path] = checked
            done_bytes, num_rows = done_bytes + shard.bytes, num_rows + checked.num_rows
            on_progress(done_bytes / total, f"{num_rows:,} rows")
    return found


def _check(root: str, rules: VerifyRules, starts: Mapping[str, tuple[int, ...]], task: tuple[str, Shard]) -> Checked:
    section, shard = task
    return check_file(root, shard, section=section, rules=rules, starts=starts[shard.path])


@contextmanager
def _mapping(num_processes: int) -> Iterator[Callable[..., Iterator[Any]]]:
    """`map`, in this process or over several. Processes: cleaning holds the interpreter's lock much of the time."""
    if num_processes <= 1:
        yield map
        return
    pool = ProcessPoolExecutor(
        num_processes,
        mp_context=get_context("spawn"),  # a fork would copy the locks of Arrow's threads in any state
        initializer=_end_with_the_parent,
    )
    others = set(active_children())
    try:
        yield pool.map
    except BrokenProcessPool as error:
        raise UserError("a checking process was killed, perhaps for want of memory; try --num-processes 1") from error
    except BaseException:
        for process in set(active_children()) - others:
            process.terminate()  # otherwise a stop would wait until the open files are read
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_the_parent() -> None:
    """Ctrl-C is for the parent; and when that is killed, nothing else would end its processes."""
    signal(SIGINT, SIG_IGN)
    parent = parent_process()
    assert parent is not None, "this runs in a child"

    def wait() -> None:
        parent.join()
        os._exit(1)

    Thread(target=wait, daemon=True).start()


def _check_seams(manifest: Manifest, found: Mapping[str, Checked]) -> Iterator[Discrepancy]:
    """The order of keys from file to file, but where appended rows begin.

    With strict order in each split, and the right key and split of every record, no key is in two splits either: its
    record's title would have to be in both.
    """
    for section, shards in sections_of(manifest).items():
        last: bytes | None = None
        run = 0
        for shard in shards:
            checked = found.get(shard.path)
            if checked is None or not checked.is_read:
                last = None  # nothing can be said across a gap
                continue
            if last and checked.first_key and checked.first_run == run and checked.first_key <= last:
                order = "rejected order" if section == REJECTED else "order"
                yield Discrepancy(
                    "unique" if checked.first_key == last else order,
                    f"{shard.path}, its first key",
                    quote(checked.first_key),
                    f"more than {quote(last)}, the last of the shard before",
                )
            if checked.last_key:
                last, run = checked.last_key, checked.last_run


def _check_appended(root: str, manifest: Manifest, found: Mapping[str, Checked]) -> Iterator[Discrepancy]:
    """Whether appended keys occur once. Their order alone does not show it: it begins anew with each append."""
    wanted = frozenset(key for checked in found.values() for key in checked.appended_keys)
    if not wanted:
        return
    counted: Counter[bytes] = Counter()
    for shard in (shard for split in SPLITS for shard in manifest.splits.get(split, ())):
        if (checked := found.get(shard.path)) and checked.is_read:
            counted.update(find_keys(root, shard, wanted))
    for key, count in counted.items():
        if count > 1:
            yield Discrepancy("unique", MANIFEST_NAME, f"{quote(key)} in {count} records", "one record of each key")


def _check_reasons(manifest: Manifest, found: Mapping[str, Checked]) -> Iterator[Discrepancy]:
    rejected = [found.get(shard.path) for shard in manifest.rejected]
    counted: Counter[str] = Counter()
    for checked in rejected:
        if checked is None or not checked.is_read:
            return  # reported already
        counted.update(checked.reasons)
    for reason in sorted(counted.keys() | manifest.rows.rejected.keys()):
        stated = manifest.rows.rejected.get(reason, 0)
        if counted[reason] != stated:
            yield Discrepancy("reasons", REJECTED, f"{counted[reason]} {quote(reason)}", f"{stated}")
