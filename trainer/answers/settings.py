"""Settings of the commands that ask a trained run. Light: read by the command line before anything heavy."""

from dataclasses import dataclass

from command.settings import check_settings, setting


@dataclass(frozen=True, kw_only=True)
class AskConfig:
    """A question to a trained run."""

    run: str = setting(help="folder of a training run")
    question: str = setting(help="a question such as 'What is TITLE?', or only the title")
    max_new_tokens: int = setting(128, help="largest length of an answer, in tokens", least=1, most=2**20)
    as_title: bool = setting(False, help="take the whole text as the title, even if it reads like a question")
    json: bool = setting(False, help="print the question and the complete answer as one line of JSON")

    def __post_init__(self) -> None:
        """Checks ranges; raises UserError."""
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Titles to ask a trained run about, before and after training."""

    run: str = setting(help="folder of a training run")
    data: tuple[str, ...] | None = setting(
        None, help="folders or URLs of the data sets that the run was trained on (default: where they were then)"
    )
    seen: int | None = setting(
        None,
        help="number of titles to ask about that the run was trained on (default: 200 with a GPU, 20 without one)",
        least=0,
    )
    unseen: int | None = setting(
        None,
        help="number of titles to ask about from the val and test splits (default: 100 with a GPU, 10 without one)",
        least=0,
    )
    max_new_tokens: int | None = setting(
        None,
        help="largest length of an answer, in tokens (default: 256 with a GPU, 128 without one)",
        least=1,
        most=2**20,
    )
    json: bool = setting(False, help="print the verdict and the means as one line of JSON")

    def __post_init__(self) -> None:
        """Checks ranges; raises UserError."""
        no_title = self.seen == self.unseen == 0
        check_settings(self, *["seen = 0 and unseen = 0, expected at least one title"] * no_title)
