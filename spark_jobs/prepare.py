"""Prepares a catalogue: JSON lines in, a published data set out.

Run it on this machine (`python -m spark_jobs.prepare --input trn.json --output data`), or on a cluster, also by
`spark-submit spark_jobs/prepare.py --input …`; docs/cluster.md has the commands.
"""

import sys

if __name__ == "__main__" and __package__ is None:  # run by its path, as spark-submit does
    sys.path.insert(0, __file__.rpartition("/spark_jobs/")[0])  # Python has put spark_jobs/ there, not its parent

from command.signals import code_of, exit_on_signals, holding_signals, raising_on_signals

if __name__ == "__main__":
    exit_on_signals()  # the libraries below take a second or more to load

import signal
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from command.entry import exit_code, leave
from command.options import parse_settings
from command.progress import ProgressBar
from contract import storage
from contract.columns import SPLITS
from contract.errors import UserError
from contract.manifest import Manifest, Source, find_manifest
from contract.names import CARD_HTML, CARD_JSON
from spark_jobs.config import PrepareConfig, load_prepare
from spark_jobs.filters import languages_of, require_languages
from spark_jobs.input.parts import is_small
from spark_jobs.input.source import list_sources
from spark_jobs.publish import (
    has_card,
    is_up_to_date,
    publish_over,
    refuse_to_replace,
    sweep,
    user_errors_of_writing,
    without_empty_folders,
)
from spark_jobs.session.launcher import java_ahead

if TYPE_CHECKING:
    from spark_jobs.counts.stored import Statistics

# The modules above are light. Functions import the others, with the libraries that they need, once Java boots.


def prepare(config: PrepareConfig) -> Manifest:
    """The manifest of the data set that these settings make of the input: published now, or already there.

    Beside it lie card.html and card.json, which say what it holds and how it was made.
    UserError where the input cannot be read, or the output holds another data set and `overwrite` is not set.
    """
    if languages := languages_of(config.filters()):
        require_languages(languages)
    tell = partial(print, file=sys.stderr)
    old = None
    if config.append is not None:
        from spark_jobs.append.old import find_old, new_sources

        old = find_old(config)
    sources = list_sources(config.input, tell=tell)
    _require_output(config, sources)
    found = old.manifest if old else find_manifest(config.output)
    if old:
        sources = new_sources(sources, old, tell=tell)
        is_done = not sources
    else:
        is_done = bool(found) and not config.overwrite
    if found and is_done:
        return _found_done(found, config, sources=sources)

    progress = ProgressBar("prepare")
    with without_empty_folders(config.output):
        try:
            if old:
                from spark_jobs.append.run import append_lines

                manifest, statistics = append_lines(config, old, sources)
            else:
                manifest, statistics = _make_all(config, sources)
        except UserError as error:
            from spark_jobs.losses import all_problems

            raise all_problems(error, sources, config.read_options()) from error
    from spark_jobs.counts.stored import write_statistics
    from spark_jobs.data_set import write_card

    with user_errors_of_writing(config.output):
        manifest = replace(manifest, statistics=write_statistics(statistics, output=config.output))
        publish_over(found, manifest, output=config.output)
        num_swept = sweep(manifest, output=config.output)
        card = write_card(manifest, statistics, config)
    progress.done(f"{_what(manifest)}, data set {manifest.dataset_id},")
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in manifest.rows.rejected.items() if count)
    print(f"rejected: {reasons or 'none'}; see {storage.join(config.output, CARD_HTML)}", file=sys.stderr)
    for note in card.notes:
        print(f"noted: {note.count:,} {note.note}: {note.meaning}", file=sys.stderr)
    if num_swept:
        print(f"swept {num_swept} file(s) that earlier preparations left in {config.output}", file=sys.stderr)
    return manifest


def _found_done(found: Manifest, config: PrepareConfig, *, sources: tuple[Source, ...]) -> Manifest:
    """The data set that is there, where nothing is to be done; UserError where it is another one."""
    if config.append is None and not is_up_to_date(found, config, sources=sources):
        refuse_to_replace(found, config, sources=sources)
    holds = "holds the lines of these files already" if found.appended else "already holds this data set"
    print(f"nothing to do: {config.output} {holds} ({found.dataset_id})", file=sys.stderr)
    is_missing = not has_card(found, config.output)
    with user_errors_of_writing(config.output):
        if is_missing and found.statistics:
            from spark_jobs.counts.stored import read_statistics
            from spark_jobs.data_set import write_card

            write_card(found, read_statistics(found.statistics, output=config.output), config)
        sweep(found, output=config.output)
    if is_missing:
        made = "it is made" if found.statistics else "--overwrite makes it"
        print(f"its data card is missing ({CARD_HTML}, {CARD_JSON}): {made} again", file=sys.stderr)
    return found


def _what(manifest: Manifest) -> str:
    """What was kept, in words."""
    kept = f"{manifest.rows.kept} of {manifest.rows.input} records kept"
    if not manifest.appended:
        return kept
    rows = manifest.appended[-1].rows
    added = sum(rows.get(split, 0) for split in SPLITS)
    return f"{added} of {manifest.appended[-1].lines} new records added, {kept}"


def _make_all(config: PrepareConfig, sources: tuple[Source, ...]) -> "tuple[Manifest, Statistics]":
    """The manifest of all lines, not yet published. Java boots while the libraries are imported."""
    with java_ahead(config.master, conf=config.spark_conf(), is_compiled=not is_small(sources)) as java:
        with holding_signals():  # Python loses an interrupt that comes while it tidies up after an import
            from spark_jobs.data_set import make_data_set
            from spark_jobs.session.daemon import leave_copy

        if java and java.copy and java.process and java.process.stdin:
            leave_copy(java.copy, driver_only=java.process.stdin)
        return make_data_set(config, sources, java=java)


def _require_output(config: PrepareConfig, sources: Sequence[Source]) -> None:
    """UserError where the output cannot be written to, or input and output lie one in the other."""
    storage.require_writable(config.output)
    filesystem, root = storage.open_filesystem(config.output)
    if root.startswith(f"{storage.open_filesystem(config.input)[1]}/"):
        raise UserError(f"the output {config.output} lies in the input folder {config.input}; choose another output")
    if not storage.is_local(filesystem):
        root = filesystem.unstrip_protocol(root)
    inside = [source.path for source in sources if source.path.startswith(f"{root}/")]
    if inside:
        raise UserError(f"the input {inside[0]} lies in the output folder {config.output}; choose another output")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; exit code 2 for an error that a user can correct."""
    arguments = sys.argv[1:] if argv is None else argv
    with raising_on_signals() as received:

        def run_unless_stopped() -> None:
            try:
                _main(arguments)
            except KeyboardInterrupt:  # pyspark's own signal handler raises it, too
                received.append(received[0] if received else signal.SIGINT)
            except BaseException:  # a library may have turned the interrupt into an error of its own
                if not received:
                    raise

        code = exit_code(run_unless_stopped)
    return code_of(received[0]) if received else code


def _main(argv: Sequence[str]) -> None:
    prepare(
        parse_settings(PrepareConfig, argv, prog="spark_jobs.prepare", description=__doc__ or "", load=load_prepare)
    )


if __name__ == "__main__":
    leave(main())
