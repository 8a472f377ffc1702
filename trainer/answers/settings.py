"""Settings of the commands that ask a trained run. Light: read by the command line before anything heavy."""

from dataclasses import dataclass

from command.settings import check_settings, setting


@dataclass(frozen=True, kw_only=True)
class AskConfig:
    """A question to a trained run."""

    run: str = setting(help="folder of a training run")
    question: str | None = setting(
        None,
        help="a question such as 'What is TITLE?', or only the title (default: one question a line, from the terminal"
        " or standard input)",
    )
    questions: str | None = setting(
        None,
        help="file of questions, answered together: a question or title a line, or JSON lines (.jsonl) that are texts"
        " or objects with 'question' or 'title', and 'id' if you like",
    )
    output: str | None = setting(
        None,
        help="file for the answers to QUESTIONS, one JSON object a line, in their order; it is written whole or not at"
        " all, and replaced if it exists (default: standard output)",
    )
    before: bool = setting(False, help="ask the base alone, as it was before training")
    as_title: bool = setting(False, help="take the whole text as the title, even if it reads like a question")
    ground: tuple[str, ...] | None = setting(
        None,
        help="folder or URL of a prepared data set whose texts stand beside the answers as their sources (default: the"
        " run's own data, where it is at hand)",
    )
    sources: bool = setting(True, help="look titles up, and name the sources of answers")
    max_new_tokens: int = setting(128, help="largest length of an answer, in tokens", least=1, most=2**20)
    temperature: float = setting(
        0.0, help="how freely words are chosen: 0 always takes the likeliest, 1 follows their probabilities", least=0
    )
    top_p: float = setting(
        1.0, help="choose only from the likeliest words that have this probability together", above=0, most=1
    )
    repetition_penalty: float = setting(
        1.0, help="above 1, words of the question and of the answer so far become less likely", above=0
    )
    seed: int = setting(0, help="seed of the choice: the same one gives the same answer", least=0, below=2**63)
    json: bool = setting(
        False, help="print each answer as one line of JSON, when it is complete, with its sources and their marks"
    )

    def __post_init__(self) -> None:
        """Checks ranges, and settings that exclude each other; raises UserError."""
        is_greedy = self.temperature == 0
        wrong = {
            "question and questions exclude each other": None not in (self.question, self.questions),
            "output without questions: one answer goes to standard output": bool(self.output and not self.questions),
            "ground and no-sources exclude each other": self.ground is not None and not self.sources,
            "top_p has no effect without a temperature above 0": is_greedy and self.top_p != 1,
            "seed has no effect without a temperature above 0": is_greedy and self.seed != 0,
        }
        check_settings(self, *(problem for problem, is_found in wrong.items() if is_found))


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
