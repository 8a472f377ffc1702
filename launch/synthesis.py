"""`vitrine synth`."""

from dataclasses import dataclass
from pathlib import Path

from command.progress import ProgressBar
from command.settings import setting
from contract.errors import UserError
from synth import catalogue, plan


@dataclass(frozen=True, kw_only=True)
class SynthOptions:
    """A catalogue of made-up products."""

    output: str = setting(help="file to write; compressed if it ends in .gz")
    rows: int = setting(10_000, help="lines")
    seed: int = setting(0, help="another seed gives other products")
    broken: float = setting(0.0, help="share of lines that are no valid records")
    mean_content_chars: int = setting(619, help="average length of the descriptions")
    overwrite: bool = setting(False, help="replace a file that is there")


def run(options: SynthOptions) -> int:
    """Writes the catalogue; UserError where that cannot be done."""
    output, progress = Path(options.output), ProgressBar("synth:")
    if output.exists() and not (options.overwrite and output.is_file() and not output.is_symlink()):
        raise UserError(f"{output} is there already: give another name, or --overwrite to replace a file")
    try:
        config = plan.SynthConfig(
            options.rows, options.seed, broken=options.broken, mean_content_chars=options.mean_content_chars
        )
        truth = catalogue.write_catalogue(
            options.output, config, on_progress=lambda rows: progress.show(rows / options.rows, f"{rows:,} lines")
        )
    except ValueError as error:
        raise UserError(str(error)) from error
    except OSError as error:
        raise UserError(f"cannot write {options.output}: {error.strerror}") from error
    progress.done(f"{truth['rows_in']:,} lines in {options.output}, {truth['kept']:,} of them to be kept,")
    return 0
