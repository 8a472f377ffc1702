"""The work of `vitrine synth`."""

from pathlib import Path

from command.progress import ProgressBar
from contract.errors import UserError
from synth.config import SynthConfig


def run(config: SynthConfig) -> int:
    """Writes the catalogue; UserError where that cannot be done."""
    from synth.catalogue import write_catalogue  # only this command needs it

    output, progress = Path(config.output), ProgressBar("synth:")
    if output.exists() and not (config.overwrite and output.is_file() and not output.is_symlink()):
        raise UserError(f"{output} is there already: give another name, or --overwrite to replace a file")
    try:
        truth = write_catalogue(config, on_progress=lambda rows: progress.show(rows / config.rows, f"{rows:,} lines"))
    except OSError as error:
        raise UserError(f"cannot write {output}: {error.strerror}") from error
    progress.done(f"{truth['rows_in']:,} lines in {output}, {truth['kept']:,} of them to be kept,")
    return 0
