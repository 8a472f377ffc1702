"""The loss of a small text that has nothing to do with the catalogue: how far the base has forgotten its language.

The text, written for this project, stands in neutral.txt: a paragraph a line, behind its language.
"""

from collections.abc import Mapping
from importlib.resources import files

from trainer.engines.engine import Engine
from trainer.examples.encoder import Encoder, Example
from trainer.recall.measure import asked, recall_of
from trainer.runs.recalls import Neutral


def neutral_examples(encoder: Encoder) -> dict[str, list[Example]]:
    """The paragraphs of each language as examples, of which all tokens but the first count; cut to the window."""
    examples: dict[str, list[Example]] = {}
    for line in files(__package__).joinpath("neutral.txt").read_text(encoding="utf-8").splitlines():
        language, text = line.split(": ", maxsplit=1)
        of_language = examples.setdefault(language, [])
        of_language.append(encoder.encode_text(text, row=len(of_language)))
    return examples


def neutral_losses(
    engine: Engine, examples: Mapping[str, list[Example]], *, before: Mapping[str, Neutral] | None = None
) -> dict[str, Neutral]:
    """The mean loss of each language's text with the adapter as it is; `before` is what this gave before training."""
    found = {}
    for language, paragraphs in examples.items():
        recalled = recall_of(engine, asked(engine, paragraphs, titles=[language] * len(paragraphs)))
        base = before[language].loss_after if before and language in before else None
        found[language] = Neutral(int(recalled.num_tokens_N.sum()), base, recalled.mean_loss())
    return found
