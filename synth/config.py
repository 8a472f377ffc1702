"""Settings of `vitrine synth`. Light: the command line reads them without loading a grammar."""

from dataclasses import dataclass
from typing import Final

from command.settings import check_settings, setting

MEAN_CONTENT_CHARS: Final = 619  # of trn.json of AmazonTitles-1.3MM
_MAX_ROWS: Final = 400_000_000  # nine digits of ISBN hold no more


@dataclass(frozen=True, kw_only=True)
class SynthConfig:
    """A catalogue of made-up products, and the file that it goes to. UserError lists every wrong setting."""

    output: str = setting(help="file to write; compressed if it ends in .gz", changes="nothing")
    rows: int = setting(10_000, help="lines", least=1, most=_MAX_ROWS)
    seed: int = setting(0, help="another seed gives other products")
    broken: float = setting(0.0, help="share of lines that are no valid records", least=0, most=1)
    mean_content_chars: int = setting(
        MEAN_CONTENT_CHARS, help="average length of the descriptions", least=1, most=100_000
    )
    overwrite: bool = setting(False, help="replace a file that is there", changes="nothing")

    def __post_init__(self) -> None:
        check_settings(self)
